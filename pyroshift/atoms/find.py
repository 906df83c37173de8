"""Atoms in an image: where, how bright, how wide, and how sure that is."""

import warnings
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import xarray as xr
from tqdm import tqdm

from pyroshift.analysis.spectrum import Array
from pyroshift.atoms import candidates
from pyroshift.atoms.frames import SMALLEST_SEPARATION, Frame, checked, labelled, prepared
from pyroshift.atoms.prior import held_together
from pyroshift.atoms.refine import Fits, fit_gaussians
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

APART = 0.6  # separations, that two atoms are at least apart: lattices may be uneven
WIDTH = 0.2  # separations, that an atom's usual width is, before it is known
SCALES = 0.1, 0.22  # separations, that the scale of blobs is kept within
ALONE = 6.0  # scales, beyond which atoms that are no lattice's don't touch
SIGNIFICANT = 4.0  # standard deviations of its own, that an amplitude always suffices with
SHARE = 0.25  # of the strong atoms' significance, that suffices in more noise
LEAST_STRONG = 3.0  # significance of the strong atoms, if there are any
FAINTEST = 0.15  # of the strong atoms' amplitude
TOUCHING = 2.0  # widths around an atom, in which no pixel may be missing


class ProbabilityMap(Protocol):
    """What finds atoms in another way, such as a `Segmenter`."""

    def probability(self, frame: Array, *, separation: float) -> Array:
        """Probability of each pixel to be an atom's, height x width."""


@dataclass(frozen=True)
class _Settings:
    """What is the same for all frames."""

    separation: float
    scale: float
    segmenter: ProbabilityMap | None
    probable: float
    prior: bool


def find_atoms(
    image: Any,
    *,
    separation: float | None = None,
    dark: bool = False,
    threshold: float | None = None,
    sublattices: int = 1,
    segmenter: ProbabilityMap | None = None,
    prior: bool = True,
    progress: bool = True,
) -> xr.Dataset:
    """Atoms in an image or a stack, to a fraction of a pixel, and how sure their positions are.

    Each frame is freed of its noise by a Wiener filter, which lets pass what repeats; maxima of its
    curvature are candidates, and so are single blobs in the frame itself that no noise makes. Then
    a Gaussian on a level background is fitted to each in the frame as it is, with those of its
    neighbours taken off, and what isn't significant is dropped. So a slow background or
    illumination and the range of grey levels don't matter.

    At a signal-to-noise ratio (an atom's height over the standard deviation of the noise per pixel)
    of A, no unbiased estimate from an atom alone is better than 0.8 / A pixels along each axis. But
    neighbours say where their lattice has an atom. With `prior`, positions are drawn towards that,
    by as much as the image shows atoms to keep to it: much at low signal-to-noise ratios, hardly at
    all where they are seen clearly off it.

    Args:
        image: `height x width` or `frame x height x width`, array or DataArray. Missing pixels are
            NaN; atoms that touch them are left out. Hot pixels are replaced by their neighbours,
            and frames of a stack that show nothing have no atoms, both with a warning.
        separation: usual distance between nearest neighbours in pixels, not the lattice's period,
            which may hold several atoms; None to see from the image. All frames share it.
        dark: whether atoms are darker than what is around, as in annular bright field.
        threshold: the least amplitude of an atom, as a share of the strong atoms' (the 90th
            percentile); None for a rule: four standard deviations of its own, or in more noise a
            quarter of what strong atoms have, and 0.15 of the strong atoms' amplitude. With a
            segmenter it is the least probability, 0.25 unless told.
        sublattices: in how many classes to sort atoms by amplitude. Where amplitudes overlap, the
            coordinate `site` of `fit_lattice` tells sublattices by their place in the cell.
        segmenter: finds candidates in place of the filter: a `Segmenter`, such as
            `load_segmenter()`, or an object whose `probability(frame, separation=...)` gives the
            probability of each pixel to be an atom's.
        prior: whether positions are drawn towards those that the lattice lets one expect. False
            for each atom by itself, for displacements that differ from atom to atom, of which a
            part would be taken for noise.
        progress: whether to show a progress bar, of the frames of a stack.

    Returns:
        Over `atom`, with coordinates `frame`, `y`, `x`, and `sublattice`, 0 the brightest:
        `amplitude` (with `dark` a depth) and `background` in grey levels, `width` (standard
        deviation of the Gaussian), and `y_std`, `x_std`, the standard deviations of the position,
        in the image's unit. The attribute `separation` is in pixels.

    Raises:
        DataError: if there are no atoms, or the image or an option can't be used.
        ImportError: if the extra isn't installed.

    Source:
        Kilaas, "Optimal and near-optimal filters in high-resolution electron microscopy", Journal
        of Microscopy 190, 45 (1998), for the filter; Nord and others, "Atomap", Advanced Structural
        and Chemical Imaging 3, 9 (2017), for fitting Gaussians to atoms.

    Example:
        >>> from pyroshift import synthetic
        >>> image = synthetic.lattice_image((64, 64), noise=0.3)["image"]
        >>> atoms = find_atoms(image)
        >>> atoms.sizes["atom"], round(atoms.separation, 1)
        (25, 10.4)
    """
    frames, data = checked(image, separation, threshold, sublattices)
    check_installed("scipy", "skimage", "sklearn", extra="atoms")
    seen = [prepared(-values if dark else values) for values in frames]
    scales = _scales(seen)
    found = _separation(seen, scales) if separation is None else float(separation)
    settings = _settings(seen, scales, found, threshold, segmenter, prior)
    parts = tqdm(seen, unit="frame", disable=not progress or len(seen) == 1)
    fits = [_fitted(frame, settings) for frame in parts]
    if segmenter is None:
        kept = _significant(fits, threshold)
        fits = [
            _fitted(frame, settings, fit.position[keep]) if not keep.all() else fit
            for frame, fit, keep in zip(seen, fits, kept, strict=True)
        ]
    fits = _away_from_missing(seen, fits)
    return labelled(data, seen, fits, dark, sublattices, settings.separation)


def _scales(frames: list[Frame]) -> list[float]:
    """Standard deviation of each frame's blobs, pixels, those of its lattice first; NaN if none."""
    return [
        frame.filtered.scale
        if np.isfinite(frame.filtered.scale) or not frame.known.any()
        else candidates.scale_of_blobs(frame.values)
        for frame in frames
    ]


def _separation(frames: list[Frame], scales: list[float]) -> float:
    """Distance of nearest neighbours, as the frames themselves say, in pixels."""
    distances = []
    for frame, scale in zip(frames, scales, strict=True):
        if np.isfinite(frame.filtered.scale):
            position = candidates.lattice_blobs(frame.filtered, scale, 2 * scale)
            distances.append(candidates.nearest_distance(position))
        elif np.isfinite(scale):
            position, _ = candidates.clear_blobs(frame.values, scale, 2 * scale)
            distances.append(min(candidates.nearest_distance(position), ALONE * scale))
    if not distances:
        raise DataError(_NOTHING)
    return max(float(np.median(distances)), SMALLEST_SEPARATION)


_NOTHING = (
    "no atoms stand out of the noise: if you see some, say how many pixels neighbours are apart "
    "(separation=...), or that they are dark (dark=True)"
)


def _settings(
    frames: list[Frame],
    scales: list[float],
    separation: float,
    threshold: float | None,
    segmenter: ProbabilityMap | None,
    prior: bool,
) -> _Settings:
    finest, coarsest = (share * separation for share in SCALES)
    lattices = [frame.filtered.scale for frame in frames if np.isfinite(frame.filtered.scale)]
    usual = lattices or [scale for scale in scales if np.isfinite(scale)] or [WIDTH * separation]
    scale = float(np.clip(np.median(usual), finest, coarsest))
    probable = candidates.PROBABLE if threshold is None else threshold
    return _Settings(separation, scale, segmenter, probable, prior and segmenter is None)


def _candidates(frame: Frame, settings: _Settings) -> Array:
    """Where atoms may be in a frame: `candidate x axis`, (y, x) in pixels."""
    from scipy.spatial import cKDTree

    apart = APART * settings.separation
    if not frame.known.any():
        return np.empty((0, 2))
    if settings.segmenter is not None:
        probability = settings.segmenter.probability(frame.values, separation=settings.separation)
        return candidates.probable(probability, settings.probable, apart)
    clear, _ = candidates.clear_blobs(frame.values, settings.scale, apart)
    if np.isnan(frame.filtered.scale):
        return clear
    repeated = candidates.lattice_blobs(frame.filtered, settings.scale, apart)
    # What doesn't repeat, such as single atoms beside a lattice, isn't in the filtered frame.
    alone = cKDTree(repeated).query(clear)[0] > apart if len(repeated) else slice(None)
    return np.concatenate([repeated, clear[alone]])


def _fitted(frame: Frame, settings: _Settings, start: Array | None = None) -> Fits:
    """Atoms of a frame."""
    if start is None:
        start = _candidates(frame, settings)
    separation, width = settings.separation, WIDTH * settings.separation
    lattice = np.isfinite(frame.filtered.scale)
    if lattice:
        expected = fit_gaussians(frame.filtered.frame, frame.known, start, width, separation)
        width = float(np.median(expected.width)) if len(start) else width
    fits = fit_gaussians(frame.values, frame.known, start, width, separation)
    if len(fits):
        more, left = frame.filtered.noise_along(float(np.median(fits.width)))
        fits = replace(fits, position_std=fits.position_std * np.sqrt(np.maximum(more, 1)))
        if lattice and settings.prior:
            size = np.array(frame.values.shape) - 1
            edge = (np.minimum(start, size - start) < separation).any(1)
            fits = held_together(fits, expected, left, edge)
    return fits.take(_apart(fits, APART * separation / 2, frame.values.shape))


def _apart(fits: Fits, least: float, shape: tuple[int, ...]) -> Array:
    """Which atoms are peaks inside the frame, each the brighter of any two in one place."""
    from scipy.spatial import cKDTree

    inside = (fits.position > -0.5) & (fits.position < np.array(shape) - 0.5)
    kept = inside.all(1) & (fits.amplitude > 0)
    pairs = cKDTree(fits.position).query_pairs(least, output_type="ndarray") if len(fits) else None
    if pairs is not None and len(pairs):
        first, second = pairs.T
        fainter = np.where(fits.amplitude[first] < fits.amplitude[second], first, second)
        kept[fainter] = False
    return kept


def _significant(fits: list[Fits], threshold: float | None) -> list[Array]:
    """Which atoms of each frame are no noise."""
    amplitude = np.concatenate([fit.amplitude for fit in fits])
    significance = np.concatenate([fit.amplitude / fit.amplitude_std for fit in fits])
    if not len(amplitude):
        raise DataError(_NOTHING)
    strong = np.quantile(significance, candidates.STRONG)
    if threshold is None and strong < LEAST_STRONG:
        raise DataError(_NOTHING)
    brightest = np.quantile(amplitude[significance >= strong / 2], candidates.STRONG)
    if threshold is None:
        kept = (significance > min(SHARE * strong, SIGNIFICANT)) & (
            amplitude > FAINTEST * brightest
        )
    else:
        kept = amplitude > threshold * brightest
    return np.split(kept, np.cumsum([len(fit) for fit in fits])[:-1])


def _away_from_missing(frames: list[Frame], fits: list[Fits]) -> list[Fits]:
    """Atoms that touch no missing pixel; the others are counted in a warning."""
    from scipy.ndimage import distance_transform_edt

    kept, left_out = [], 0
    for frame, fit in zip(frames, fits, strict=True):
        if not frame.known.all() and len(fit):
            distance = distance_transform_edt(frame.known)
            pixels = np.clip(np.rint(fit.position), 0, np.array(frame.known.shape) - 1).astype(int)
            whole = distance[tuple(pixels.T)] > TOUCHING * fit.width
            left_out += int((~whole).sum())
            fit = fit.take(whole)
        kept.append(fit)
    if left_out:
        warnings.warn(f"{left_out} atoms touch missing pixels and are left out", stacklevel=3)
    if not any(len(fit) for fit in kept):
        raise DataError(_NOTHING)
    return kept

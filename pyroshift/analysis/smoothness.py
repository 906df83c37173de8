"""Whether a latent map is smooth, as order parameters are, or beats with the lattice."""

import math
from collections.abc import Callable, Hashable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.spectrum import Array, frequencies, tapered_power
from pyroshift.data.checks import as_labelled, check_values
from pyroshift.errors import DataError
from pyroshift.maps.encode import INTERVALS
from pyroshift.maps.labels import COLLAPSED
from pyroshift.model.sites import CONTENT

SMALLEST_SIDE = 8  # patches; on less, the taper leaves smooth and periodic no room apart
FADING = 0.8  # per ring, of what a gap is filled with; unfaded, a wide gap in noise looks smooth
LATENT = "latent"
SHARE = 0.9  # of the width of all posteriors together, that each of them has on average
RESOLUTION = 2  # cycles across a map: nearer to zero frequency the taper tells nothing apart


def smoothness(map: Any, wavelength: float = 16.0) -> float | xr.DataArray:
    """Share of a map's spectral intensity in its central peak: 1 if smooth, 0 if it beats.

    A latent that means something physical changes slowly from one unit cell to the next. One that
    has caught the position of the lattice in the window beats between lattice and sampling grid,
    and has its intensity away from zero frequency.

    The intensity is that of the Fourier transform of the map less its mean, under a Hann taper
    along both axes, so that a slow ramp is not charged for the step between opposite edges; what
    happens at the edges counts for less. The central peak holds all waves at least `wavelength`
    patches long, whatever their direction. Along an axis where the map is shorter than twice that,
    it holds those of up to 2 cycles across the map, since the taper resolves no finer. So the
    share depends neither on the map's size nor on its scale, sign or mean, and that of white noise
    is pi over the square of `wavelength`, a hundredth.

    With windows of 2.5 unit cells and a step of half a window, as `suggest_window` has it, 16
    patches are 20 unit cells, and the lattice beats at some 4 patches. Windows of just 2 cells
    along an axis of the lattice would move on by whole cells, and beat so slowly that no measure
    of a map could tell.

    What is real may be sharp: vacancies, dopants and walls as narrow as a window cost a map much of
    its smoothness, as does noise. `lattice_leak` charges for nothing but the beating.

    Missing patches (NaN) are filled from their neighbours, ring by ring inwards, fading to the
    mean. So scattered ones neither break a slope nor smooth a pattern; wide gaps count for little,
    but blur: of noise with a quarter missing in one piece the share is 0.06.

    Args:
        map: y x x, at least 8 x 8 patches; or a DataArray with dims "y" and "x" beside others, as
            `encode(...)["z"]`; or the whole Dataset from `encode`, for its z.
        wavelength: shortest wave that counts as smooth, in patches, more than 2.

    Returns:
        A number from 0 to 1 for a map alone; else one for each latent, in a DataArray over all
        dimensions but y and x. The paper's score of a model is the greater of its two latents',
        `smoothness(maps).max()`. NaN where a map is constant, or has no values: a collapsed latent
        is neither smooth nor periodic, and `max` passes it over.

    Raises:
        DataError: if that is no map of real numbers of at least 8 x 8 patches, or the wavelength
            is out of range.

    Source:
        Figure 8 of Ziatdinov, Wong and Kalinin, "Finding simplicity" (2023), which gives neither
        radius nor taper.

    Example:
        >>> rows, columns = np.indices((40, 60))
        >>> round(smoothness(rows + columns), 2), round(smoothness(np.sin(1.5 * rows)), 2)
        (1.0, 0.0)
        >>> z = xr.DataArray(np.stack([rows, np.sin(1.5 * rows)], -1), dims=("y", "x", "latent"))
        >>> float(smoothness(z).max().round(2))
        1.0
    """
    _check_wavelength(wavelength)
    data = latent_map(map)
    plane = map_dims(data)
    if any(data.sizes[name] < SMALLEST_SIDE for name in plane):
        raise DataError(
            f"a map of {data.sizes[plane[0]]} x {data.sizes[plane[1]]} patches is too small to "
            f"tell smooth from periodic: it takes {SMALLEST_SIDE} x {SMALLEST_SIDE}; cut the "
            "patches with a smaller step, or take a larger image"
        )
    check_values(data.values, "the map", missing=True)
    about = "share of spectral intensity in the central peak"
    return scored(
        map, data, plane, _central_share, about, "smoothness", wavelength=float(wavelength)
    )


def scored(
    map: Any,
    data: xr.DataArray,
    plane: Sequence[Hashable],
    share: Callable[..., float],
    about: str,
    name: str,
    **options: Any,
) -> xr.DataArray | float:
    """The score of each map in the data, NaN for latents that collapsed.

    Args:
        map: what the user gave, which may tell the latents' standard deviations.
        data: the maps themselves.
        plane: names of the two dimensions of each.
        share: the score of one map, y x x, called with the options as well.
        about: what the score is, in words.
        name: its name.
        **options: as the score takes them.
    """
    data = data.compute()  # of Dask arrays, too
    shares = xr.apply_ufunc(
        share, data, kwargs=options, input_core_dims=[plane], vectorize=True, output_dtypes=[float]
    )
    if not shares.ndim:
        return float(shares)
    shares.attrs = {"long_name": about, "units": "1"}
    return without_collapsed(shares.rename(name), map)


def without_collapsed(scores: xr.DataArray, map: Any) -> xr.DataArray:
    """Scores of latents, NaN for those collapsed, where the standard deviations tell which are.

    A latent has collapsed where its posterior is as wide as all of its posteriors together, so that
    its mean tells less than a fifth of its variance; whatever the prior's width. Where intervals
    are robust, noise may have made them as wide, and it is as the maps say.
    """
    if not isinstance(map, xr.Dataset) or f"{CONTENT}_std" not in map:
        return scores
    mean, std = map[CONTENT], map[f"{CONTENT}_std"]
    over = [name for name in mean.dims if name != LATENT]
    collapsed = std.mean(over) > SHARE * np.sqrt(mean.var(over) + (std**2).mean(over))
    if map.attrs.get(INTERVALS) == "robust" and COLLAPSED in map.coords:
        collapsed = map[COLLAPSED]
    names = {"long_name": "whether the posterior is as wide as the prior"}
    return scores.where(~collapsed).assign_coords(collapsed=collapsed.assign_attrs(names))


def _central_share(values: Array, wavelength: float) -> float:
    """The share for one map, y x x."""
    power = map_power(values)
    if power is None:
        return math.nan
    cut = [max(1 / wavelength, RESOLUTION / side) for side in values.shape]
    along_y, along_x = frequencies(values.shape)
    # A little more than 1, for waves of just that length.
    central = (along_y / cut[0]) ** 2 + (along_x / cut[1]) ** 2 <= 1 + 1e-9
    return float(power[central].sum() / power.sum())


def map_power(values: Array) -> Array | None:
    """Spectral intensity of a map whose missing patches are filled; None if it doesn't vary."""
    return None if _is_constant(values) else tapered_power(_filled(values.astype(float)))


def _is_constant(values: Array) -> bool:
    """Whether a map varies by no more than rounding, or has no values."""
    known = values[np.isfinite(values)].astype(float)
    if not known.size:
        return True
    exact = values.dtype.kind in "iub"
    precision = 0.0 if exact else np.finfo(values.dtype).eps
    return bool(np.ptp(known) <= 8 * precision * np.abs(known).max())


def _filled(values: Array) -> Array:
    """A map less its mean, whose missing patches are filled ring by ring, as neighbours have it."""
    height, width = values.shape
    values = values - np.nanmean(values)
    while (missing := np.isnan(values)).any():
        padded = np.pad(values, 1, constant_values=np.nan)
        around = np.stack(
            [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
        )
        count = np.isfinite(around).sum(0)
        ring = missing & (count > 0)
        values = np.where(ring, FADING * np.nansum(around, 0) / np.maximum(count, 1), values)
    return values


def latent_map(map: Any) -> xr.DataArray:
    """The map with named dimensions; of a Dataset, its z."""
    if isinstance(map, xr.Dataset):
        if CONTENT not in map:
            raise DataError(f"the Dataset has no {CONTENT!r} to judge, only {list(map.data_vars)}")
        map = map[CONTENT]
    if not isinstance(map, xr.DataArray) and np.ndim(map) != 2:
        raise DataError(
            f"a map has two axes, y and x, but this array has shape {np.shape(map)}: pass one map, "
            'or a DataArray that names its dimensions, as encode(...)["z"] does'
        )
    return as_labelled(map, 2, None, None, name="map")


def map_dims(data: xr.DataArray) -> list[Hashable]:
    """The two dimensions that the map runs over: y and x, else all but the latents'."""
    if {"y", "x"} <= set(data.dims):
        return ["y", "x"]
    plane = [name for name in data.dims if name not in (LATENT, "axis")]
    if len(plane) != 2:
        raise DataError(
            f"a map runs over y and x, but this has the dimensions {tuple(data.dims)}: it takes "
            "patches on a grid, not at positions or in a row"
        )
    return plane


def _check_wavelength(wavelength: Any) -> None:
    number = isinstance(wavelength, Real) and not isinstance(wavelength, bool)
    if not (number and 2 < wavelength < math.inf):
        raise DataError(
            f"wavelength={wavelength!r} can't be used: give a number of patches above 2, the "
            "shortest wave that a map can hold"
        )

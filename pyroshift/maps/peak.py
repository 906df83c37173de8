"""Where the strongest peak of each spectrum is, by what the model makes of it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.checks import as_labelled, pixel_size
from pyroshift.errors import DataError
from pyroshift.maps.decode import decode
from pyroshift.model.pair import PoseVAE
from pyroshift.model.sites import OFFSET

PEAK = "peak"


def peak_position(
    model: PoseVAE,
    maps: xr.Dataset,
    spectra: Any,
    between: tuple[float, float] | None = None,
) -> xr.Dataset:
    """Where a peak that all spectra share is in each of them, such as the zero-loss peak.

    An offset says by how much a spectrum is shifted against what the model draws for its z and
    class. Where in the drawing the peak is may differ from one z to the next, as nothing in the
    data forbids it; and then offsets of different materials don't count from the same energy.
    Hence the peak is looked for in each spectrum's own drawing, free of noise, and the offset
    added.

    Args:
        model: with an offset, trained on the spectra.
        maps: from `encode`, of them.
        spectra: the cube, ... x energy, whose last axis brings its coordinate and unit.
        between: lowest and highest energy among which to look, in the typical spectrum, the one of
            median offset; by default all that there are.

    Returns:
        ``peak``, on the coordinate and in the unit of the spectra's axis, and ``peak_std``, the
        offset's posterior standard deviation, over the maps' dimensions.

    Raises:
        DataError: if the model has no offset, or isn't of spectra; the cube isn't theirs; or there
            are fewer than three channels to look at.

    Example:
        >>> import pyroshift as ps
        >>> cube = ps.synthetic.plasmons((4, 5), length=100)["counts"]
        >>> patches = ps.Patches.from_array(cube, window_ndim=1)
        >>> model = ps.ShiftVAE(patches.window, likelihood="poisson")
        >>> history = ps.fit(model, patches, epochs=1, progress=False)
        >>> ps.peak_position(model, ps.encode(model, patches), cube)["peak"].attrs["units"]
        'eV'
    """
    energy, step, unit = _axis(model, maps, spectra)
    low, high = _range(energy, between)
    offset, deviation = (maps[name].isel(axis=0, drop=True) for name in (OFFSET, f"{OFFSET}_std"))
    # As the typical spectrum is shifted, by whole channels, where drawings needn't be resampled.
    typical = step * np.round(float(np.nanmedian(offset)) / step)
    drawn = np.concatenate([_maxima(part[..., low:high]) for part in _drawn(model, maps, typical)])
    position = np.interp(drawn + low, np.arange(len(energy)), energy).reshape(offset.shape)
    position = np.where(np.isnan(offset), np.nan, position)
    return xr.Dataset(
        {
            PEAK: (offset.dims, position + (offset - typical).values, {
                "long_name": "position of the peak", "units": unit}),
            f"{PEAK}_std": (deviation.dims, deviation.values, {
                "long_name": "posterior standard deviation of its position", "units": unit}),
        },
        {name: each for name, each in maps.coords.items() if set(each.dims) <= set(offset.dims)},
    )  # fmt: skip


def _axis(model: PoseVAE, maps: xr.Dataset, spectra: Any) -> tuple[np.ndarray, float, str]:
    """Energies of the channels, their distance, and their unit."""
    if OFFSET not in maps or len(model.window) != 1 or model.channels:
        raise DataError(
            "peaks are told of maps of spectra, from a model with an offset such as "
            "ShiftVAE(patches.window), and of one channel"
        )
    cube = as_labelled(spectra, 1, None, None, name="spectra")
    if cube.shape[-1:] != model.window:
        raise DataError(
            f"the model is for spectra of {model.window[0]} channels, but these are of shape "
            f"{cube.shape}: their last axis must have as many"
        )
    axis = cube.dims[-1]
    step, unit = pixel_size(cube, axis)
    return np.asarray(cube[axis].values, dtype=float), step, unit


def _range(energy: np.ndarray, between: tuple[float, float] | None) -> tuple[int, int]:
    """The first channel to look at, and the one after the last."""
    if between is None:
        return 0, len(energy)
    within = np.nonzero((energy >= min(between)) & (energy <= max(between)))[0]
    if len(within) < 3:
        raise DataError(
            f"between={between!r} holds {len(within)} channels of those from {energy.min():.4g} to "
            f"{energy.max():.4g}: a peak takes at least 3"
        )
    return int(within[0]), int(within[-1]) + 1


def _drawn(model: PoseVAE, maps: xr.Dataset, offset: float) -> Iterator[np.ndarray]:
    """What the model draws for each spectrum's latents, all at one offset, `spectrum x channel`.

    Part by part, as all of them are as large as the cube.
    """
    shifted = maps.assign({OFFSET: xr.full_like(maps[OFFSET], offset)})
    first = maps[OFFSET].dims[0]
    for number in range(maps.sizes[first]):
        yield decode(model, shifted.isel({first: [number]})).values.reshape(-1, *model.window)


def _maxima(spectra: np.ndarray) -> np.ndarray:
    """Where each has its maximum, in channels: by a parabola through the three highest.

    Through their logarithms, where there are such, of which a Gaussian's is a parabola.
    """
    channels = spectra.shape[1]
    best = np.clip(np.nan_to_num(spectra, nan=-np.inf).argmax(1), 1, channels - 2)
    near = best[:, None] + np.arange(-1, 2)
    three = np.take_along_axis(spectra, near, 1).astype(float)
    positive = (three > 0).all(1, keepdims=True)
    left, middle, right = np.where(positive, np.log(np.where(three > 0, three, 1)), three).T
    bend = left - 2 * middle + right
    aside = np.where(bend < 0, 0.5 * (left - right) / np.where(bend < 0, bend, 1), 0.0)
    return best + np.clip(aside, -1, 1)

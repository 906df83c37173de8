"""The mean spectrum of each class, drift taken off."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.checks import as_labelled, pixel_size, plain
from pyroshift.errors import DataError
from pyroshift.model.sites import OFFSET
from pyroshift.pathways.tracks import CLASS, CLASS_INDEX, Array, class_names


def mean_spectra(
    classified: xr.Dataset,
    spectra: Any,
    *,
    position: xr.DataArray | None = None,
    origin: float | None = None,
    align: bool = True,
) -> xr.Dataset:
    """The mean spectrum of each class and how its spectra scatter, each brought back by its offset.

    Spectra are resampled linearly.

    Args:
        classified: from `classify`.
        spectra: the cube that was encoded, ... x energy.
        position: where in each spectrum something is that they are to be aligned by, such as
            ``peak`` from `peak_position`, in the unit of their axis; by default the offset.
        origin: where on the axis that is to be, such as 0 for the zero-loss peak; by default where
            it is in the typical spectrum, in the median.
        align: whether to bring them back at all.

    Returns:
        ``mean``, ``std`` (of single spectra) and ``mean_std`` (of the mean), `class` x energy, in
        the unit of the spectra, with the coordinate `count`, the number of spectra of each class.
        NaN for a class without any, and where none of its spectra reaches.

    Raises:
        DataError: if the maps aren't classified, or not of these spectra; there is nothing to align
            them by; or there is an origin, but no position.

    Example:
        >>> import pyroshift as ps
        >>> cube = ps.synthetic.plasmons((4, 5), length=100)["counts"]
        >>> patches = ps.Patches.from_array(cube, window_ndim=1)
        >>> maps = ps.encode(ps.ShiftVAE(patches.window, likelihood="gaussian"), patches)
        >>> dict(ps.mean_spectra(ps.classify(maps, classes=2), cube).sizes)
        {'class': 2, 'energy': 100}
    """
    names = class_names(classified)
    cube, index = _fitting(classified, spectra)
    axis = cube.dims[-1]
    shift = _shift(classified, cube, position, origin) if align else np.zeros(index.shape)
    known = (index >= 0) & np.isfinite(shift)
    sums = np.zeros((3, len(names), cube.shape[-1]))
    for row in range(len(cube)):  # of which there may be more than the memory holds
        chosen = known[row]
        part = np.asarray(cube[row].values, dtype=float)[chosen]
        seen = _shifted(part, shift[row][chosen])
        there = np.isfinite(seen)
        filled = np.where(there, seen, 0.0)
        for number, values in enumerate((there, filled, filled**2)):
            np.add.at(sums[number], index[row][chosen], values)
    count, total, squares = sums
    enough = np.where(count > 0, count, np.nan)
    mean = total / enough
    variance = np.maximum(squares / enough - mean**2, 0) * enough / np.maximum(enough - 1, 1)
    units = {"units": str(cube.attrs.get("units", "1"))}
    what = str(cube.attrs.get("long_name", "intensity"))
    deviation = np.sqrt(variance)
    both = (CLASS, axis)
    variables = {
        "mean": (both, mean, {"long_name": what, **units}),
        "std": (both, deviation, {"long_name": "standard deviation of single spectra", **units}),
        "mean_std": (
            both, deviation / np.sqrt(enough), {"long_name": "standard error of the mean", **units}
        ),
    }  # fmt: skip
    sizes = np.bincount(index[known], minlength=len(names))
    coords: dict[Hashable, Any] = {CLASS: names, axis: plain(cube[axis])}
    coords["count"] = (CLASS, sizes, {"long_name": "number of spectra"})
    return xr.Dataset(variables, coords, {"aligned": int(align)})


def _fitting(classified: xr.Dataset, spectra: Any) -> tuple[xr.DataArray, Array]:
    """The cube, its axes in the order of the maps, and the class of each spectrum."""
    index = classified[CLASS_INDEX]
    cube = as_labelled(spectra, 1, None, None, name="spectra")
    if not set(index.dims) <= set(cube.dims) and cube.shape[:-1] == index.shape:
        cube = cube.rename(dict(zip(cube.dims, index.dims, strict=False)))
    known = set(index.dims) <= set(cube.dims) and cube.ndim == index.ndim + 1
    if not known or any(cube.sizes[dim] != index.sizes[dim] for dim in index.dims):
        raise DataError(
            f"the maps are over {dict(index.sizes)}, but the spectra over {dict(cube.sizes)}: pass "
            "those that were encoded, over the same dimensions and their own axis"
        )
    return cube.transpose(*index.dims, ...), index.values


def _shift(
    classified: xr.Dataset, cube: xr.DataArray, position: xr.DataArray | None, origin: float | None
) -> Array:
    """By how many channels each spectrum is beyond the origin, or the median one."""
    step, unit = pixel_size(cube, cube.dims[-1])
    if position is None:
        if origin is not None:
            raise DataError(
                f"origin={origin:g} is where on the axis a peak is to be: give its position, as by "
                "position=peak_position(model, maps, spectra).peak"
            )
        if OFFSET not in classified:
            raise DataError(
                "the maps have no offset to align spectra by: take a ShiftVAE, give `position`, or "
                "leave them by align=False"
            )
        position = classified[OFFSET].isel(axis=0, drop=True)
    dims = classified[CLASS_INDEX].dims
    if set(position.dims) != set(dims):
        raise DataError(f"position is over {position.dims}, but the maps over {dims}")
    given = str(position.attrs.get("units", unit))
    if given != unit:
        raise DataError(f"position is in {given}, but the spectra's axis in {unit}")
    values = position.transpose(*dims).values.astype(float)
    return (values - (np.nanmedian(values) if origin is None else origin)) / step


def _shifted(spectra: Array, shift: Array) -> Array:
    """Spectra read so many channels further on, by linear interpolation; NaN beyond their ends."""
    channels = spectra.shape[-1]
    places = np.arange(channels) + shift[:, None]
    lower = np.floor(places).astype(int)
    share = places - lower
    # A spectrum that isn't shifted ends at its last channel, which has no next one.
    ends = [np.clip(lower + more, 0, channels - 1) for more in (0, 1)]
    before, after = (np.take_along_axis(spectra, end, -1) for end in ends)
    inside = (places >= 0) & (places <= channels - 1)
    mixed = np.where(share > 0, (1 - share) * before + share * after, before)
    return np.where(inside, mixed, np.nan)

"""Scanning diffraction (4D-STEM): a pattern at every position of a scan, read when it is needed."""

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from xarray import DataArray

from pyroshift.data.checks import checked_count
from pyroshift.data.foreign import from_library
from pyroshift.data.readers.channels import Axis, Channel, same_units
from pyroshift.data.readers.load import choose, described, find_format, reading
from pyroshift.data.readers.scans import DETECTOR, DIMS, PATTERN_FORMATS, SCAN
from pyroshift.errors import DataError, ReaderError

Step = tuple[float, str]
_AT_ONCE = 2**22  # values that are looked at at a time


def load_patterns(
    source: Any,
    channel: str | int | None = None,
    *,
    region: Mapping[str, Sequence[float]] | None = None,
    binning: int = 1,
    mask: Any = None,
    scan_step: Step | None = None,
    detector_step: Step | None = None,
) -> DataArray:
    """The diffraction patterns of a scan (4D-STEM), one for every position.

    `Patches.from_array(patterns, window_ndim=2)` makes windows of them, whose maps are over the
    scan, and whose offsets are deflections of the beam, in the detector's unit.

    Reads .npy and HDF5 of the HyperSpy and NSID layouts (.hspy, .h5, .hdf5); with the extras `io`
    and `big` also .zspy, DigitalMicrograph (.dm3, .dm4), EMD, Merlin (.mib), NanoMEGAS (.blo),
    TVIPS and MRC. Values stay in the file until they are needed, as a memory map of .npy and of
    HDF5 that isn't compressed, or as an array of Dask's. Bins and masks are of new values, in
    memory, 4 bytes each.

    Args:
        source: a file, or an array or DataArray of four axes: y and x of the scan, then ky and kx
            of the detector, in this order unless a DataArray names them so.
        channel: which of several data sets in a file, by name or by number from 0.
        region: from where to where along axes that are named, such as `{"y": (0, 20)}`, in their
            units.
        binning: of the detector, pixels along each side whose counts are added up; what is left
            over at the end is left out.
        mask: `ky x kx`, True for pixels that don't count, as behind a beam stop, before binning
            and of all the detector. They become NaN, and so do bins that hold one.
        scan_step: distance of positions and its unit, such as `(0.5, "nm")`, where the file
            doesn't tell it.
        detector_step: distance of the detector's pixels, before binning, and its unit, such as
            `(0.8, "mrad")`.

    Returns:
        Array of dims (y, x, ky, kx) in the file's own type, or float32 with bins or a mask.
        Coordinates are in the file's units, or count pixels ("px"); a warning tells of units that
        aren't known. The scan's start at 0.

    Raises:
        FileNotFoundError: if there is no such file.
        ReaderError: if it can't be read, or holds no scan of patterns.
        DataError: if the array has not four axes, a single position, a detector of less than 2
            pixels, or infinite values; or an argument doesn't fit.

    Source:
        Ophus, "Four-dimensional scanning transmission electron microscopy (4D-STEM): from scanning
        nanodiffraction to ptychography and beyond", Microscopy and Microanalysis 25, 563 (2019).

    Example:
        >>> counts = np.random.default_rng(0).poisson(3.0, (4, 5, 16, 16))
        >>> patterns = load_patterns(counts, binning=2, detector_step=(0.5, "mrad"))
        >>> dict(patterns.sizes), float(patterns.kx[1] - patterns.kx[0])
        ({'y': 4, 'x': 5, 'ky': 8, 'kx': 8}, 1.0)
    """
    is_path = isinstance(source, str | os.PathLike)
    data = _from_file(source, channel) if is_path else _from_array(source)
    _check_kind(data)
    mask = None if mask is None else _checked_mask(mask, data)
    for dims, step in ((SCAN, scan_step), (DETECTOR, detector_step)):
        data = data if step is None else _with_step(data, dims, step)
    places = _region(data, region or {})
    data = data.isel(places)
    if mask is not None:
        mask = mask[tuple(places.get(name, slice(None)) for name in DETECTOR)]
    binning = checked_count("binning", binning)
    _check_sizes(data, binning)
    return data if binning == 1 and mask is None else _binned(data, binning, mask)


def _from_file(path: Any, channel: str | int | None) -> DataArray:
    file, kind = find_format(path, PATTERN_FORMATS)
    with reading(file, kind):
        chosen = choose(kind.channels(file), channel, file, kind, _is_scan)
        if not _is_scan(chosen):
            raise ReaderError(
                f"{file.name}: {described(chosen)} is no scan of patterns, which has four axes "
                "(y, x, ky, kx). Use load_image for images and load_spectra for spectra."
            )
        values = chosen.read()
    axes = [*same_units(*chosen.axes[:2]), *same_units(*chosen.axes[2:])]
    _tell([axis.remark for axis in axes], file)
    coords = _coordinates(axes)
    attrs = {"source": file.name, "format": kind.name, "channel": chosen.name}
    attrs |= {"units": chosen.units} if chosen.units else {}
    return DataArray(values, coords, DIMS, "patterns", attrs)


def _is_scan(channel: Channel) -> bool:
    return channel.dims == DIMS


def _coordinates(axes: Sequence[Axis]) -> dict[str, tuple]:
    """Coordinates of the four axes; the scan's start at 0."""
    return {
        name: (
            name,
            axis.values - axis.values[0] if name in SCAN else axis.values,
            {"units": axis.units, "long_name": name},
        )
        for name, axis in zip(DIMS, axes, strict=True)
    }


def _tell(remarks: Sequence[str], file: Path) -> None:
    told = [remark for remark in dict.fromkeys(remarks) if remark]
    if told:
        warnings.warn(
            f"{file.name} gives its steps {' and '.join(told)}: these axes count pixels. If you "
            'know them, pass scan_step=(0.5, "nm") or detector_step=(0.8, "mrad")',
            stacklevel=4,
        )


def _from_array(array: Any) -> DataArray:
    """An array of four axes with our dims."""
    array = from_library(array)
    if isinstance(array, DataArray):
        if array.ndim != len(DIMS):
            raise DataError(_not_four(array.shape))
        if set(array.dims) == set(DIMS):
            return array.transpose(*DIMS)
        return array.rename(dict(zip(array.dims, DIMS, strict=True)))
    values = array if hasattr(array, "dask") else np.asanyarray(array)
    if values.ndim != len(DIMS):
        raise DataError(_not_four(values.shape))
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float32), np.nan)
    return DataArray(values, dims=DIMS, name="patterns")


def _not_four(shape: Sequence[int]) -> str:
    return (
        f"patterns of a scan are an array of four axes (y, x, ky, kx), but this one has shape "
        f"{tuple(shape)}: for positions along one line, insert an axis by array[:, None]"
    )


def _check_kind(data: DataArray) -> None:
    if data.dtype.kind not in "biuf":
        raise DataError(f"patterns must be real numbers, but have dtype {data.dtype}")


def _check_sizes(data: DataArray, binning: int) -> None:
    """Raise a DataError for a scan without positions to compare, or no detector to speak of."""
    if data.sizes["y"] * data.sizes["x"] < 2:
        raise DataError(
            f"the scan has {data.sizes['y']} x {data.sizes['x']} positions: patterns are compared "
            "with each other, which takes at least two"
        )
    if min(data.sizes[name] // binning for name in DETECTOR) < 2:
        raise DataError(
            f"a detector of {data.sizes['ky']} x {data.sizes['kx']} pixels, in bins of {binning}, "
            "has less than 2 along a side: choose a larger region or a smaller binning"
        )


def _checked_mask(mask: Any, data: DataArray) -> np.ndarray:
    shape = tuple(data.sizes[name] for name in DETECTOR)
    values = np.asarray(mask)
    if values.shape != shape or values.dtype != bool:
        raise DataError(
            f"mask must be True or False for each of the detector's {shape} pixels, True for those "
            f"that don't count; got shape {values.shape} of {values.dtype}"
        )
    if values.all():
        raise DataError("the mask leaves no pixel of the detector")
    return values


def _with_step(data: DataArray, dims: Sequence[str], step: Step) -> DataArray:
    try:
        size, unit = step
        size = float(size)
    except (TypeError, ValueError) as error:
        raise DataError(f'a step is a number and its unit, as (0.5, "nm"); got {step!r}') from error
    if not (np.isfinite(size) and size > 0):
        raise DataError(f"a step must be more than 0, got {size:g} {unit}")
    return data.assign_coords(
        {
            name: (name, size * np.arange(data.sizes[name]), {"units": unit, "long_name": name})
            for name in dims
        }
    )


def _region(data: DataArray, region: Mapping[str, Sequence[float]]) -> dict[str, slice]:
    """Which part of each named axis is in the region."""
    places = {}
    for name, ends in region.items():
        if name not in DIMS or np.shape(ends) != (2,):
            raise DataError(
                f'a region has (from, to) for some of {DIMS}, as {{"y": (0, 20)}}; got '
                f"{name!r}: {ends!r}"
            )
        along = data[name].values  # counted from 0 without a coordinate
        inside = np.flatnonzero((along >= min(ends)) & (along <= max(ends)))
        if not inside.size:
            raise DataError(
                f"the region goes from {min(ends):g} to {max(ends):g} along {name}, but the "
                f"patterns from {along.min():.4g} to {along.max():.4g}"
            )
        places[name] = slice(int(inside[0]), int(inside[-1]) + 1)
    return places


def _binned(data: DataArray, binning: int, mask: np.ndarray | None) -> DataArray:
    """Counts added up over bins, NaN where masked; a few rows of the scan at a time."""
    height, width = (data.sizes[name] // binning for name in DETECTOR)
    kept = data.isel(ky=slice(height * binning), kx=slice(width * binning))
    lost = None if mask is None else mask[: height * binning, : width * binning]
    binned = np.empty((*kept.shape[:2], height, width), np.float32)
    rows = max(1, _AT_ONCE // max(kept[0].size, 1))
    for first in range(0, len(kept), rows):
        part = kept[first : first + rows].values.astype(np.float32)
        if lost is not None:
            part[..., lost] = np.nan
        blocks = part.reshape(*part.shape[:2], height, binning, width, binning)
        binned[first : first + rows] = blocks.sum((3, 5))
    coords = {
        name: along for name, along in data.coords.items() if not set(along.dims) & set(DETECTOR)
    }
    for name, size in zip(DETECTOR, (height, width), strict=True):
        if name in data.coords:
            middle = kept[name].values.reshape(size, binning).mean(1)
            coords[name] = DataArray(middle, dims=name, attrs=data[name].attrs)
        elif binning > 1:
            middle = (np.arange(size) + 0.5) * binning - 0.5
            coords[name] = DataArray(middle, dims=name, attrs={"units": "px"})
    return DataArray(binned, coords, DIMS, data.name, data.attrs)

"""What every array goes through before any work starts."""

from collections.abc import Hashable, Mapping, Sequence, Set
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from pyroshift.data.foreign import from_library
from pyroshift.errors import DataError

# By these names, in any case, an axis is known wherever it stands.
ROWS, COLUMNS = ("y", "row", "rows"), ("x", "col", "column", "columns")
FRAMES = ("frame", "frames", "time", "t")
CHANNEL = "channel"


def as_labelled(
    array: Any,
    window_ndim: int | None,
    dims: Sequence[str] | None,
    coords: Mapping[str, Any] | None,
    name: str = "array",
) -> xr.DataArray:
    """An array with named dimensions; a DataArray keeps its own unless others are given.

    Signals of HyperSpy and datasets of sidpy bring theirs.

    Raises:
        DataError: if the names don't fit, or this is no array.
    """
    array = from_library(array)
    if isinstance(array, xr.Dataset):
        raise DataError(f"pass one variable of the Dataset, one of {list(array.data_vars)}")
    if isinstance(array, xr.DataArray):
        if dims is None and coords is None:
            return array
        dims, array = dims or tuple(map(str, array.dims)), array.values
    if isinstance(array, Tensor):
        array = array.detach().cpu()
    if isinstance(array, np.ma.MaskedArray) and array.dtype.kind in "biuf":  # the rest is refused
        array = np.ma.filled(array.astype(float), np.nan)
    values = _as_numpy(array, name)
    if dims is None:
        dims = _default_dims(values.ndim, window_ndim or max(values.ndim - 1, 1))
    if len(dims) != values.ndim:
        raise DataError(f"the {name} has shape {values.shape}, but dims names {tuple(dims)}")
    try:
        return xr.DataArray(values, dims=tuple(dims), coords=coords)
    except ValueError as error:
        raise DataError(f"the coordinates don't fit the {name}: {error}") from error


def as_image(image: Any, channels: bool = False) -> xr.DataArray:
    """An image, or a stack of them, with named dimensions, the rows and columns last.

    Axes named as rows and columns are taken by their names, wherever they stand, and so are
    frames; others by their order, (y, x) or (frame, y, x).

    Args:
        image: `height x width` or `frame x height x width`: an array of any kind, a DataArray, a
            HyperSpy signal or a sidpy dataset. It is not read, where it is lazy.
        channels: whether a DataArray may also have a dimension "channel", which is put right
            before the rows.

    Raises:
        DataError: if it has neither two nor three dimensions, their names leave unclear which is
            which, it has channels where one is wanted, or this is no array.

    Example:
        >>> as_image(np.zeros((3, 8, 9))).dims
        ('frame', 'y', 'x')
        >>> as_image(xr.DataArray(np.zeros((8, 9, 3)), dims=("y", "x", "time"))).dims
        ('time', 'y', 'x')
    """
    image = from_library(image)
    labelled = as_labelled(image, 2, None, None, name="image")
    channel = [CHANNEL] if CHANNEL in labelled.dims else []
    if channel and not channels:
        names = labelled[CHANNEL].values.tolist()
        raise DataError(
            f"the image has the channels {names}, of which this takes one: pick it, as by "
            f"image.sel(channel={names[0]!r})"
        )
    ndim = labelled.ndim - len(channel)
    if ndim not in (2, 3):
        raise DataError(
            "an image must have two dimensions (y, x) or three (frame, y, x), but this one has "
            f"shape {labelled.shape}: pick one channel; for windows of several, pass a DataArray "
            'with a dimension "channel" to extract_patches; or use Patches.from_array for windows '
            "that are already cut"
        )
    if not isinstance(image, xr.DataArray):
        return labelled.rename({labelled.dims[0]: "frame"}) if labelled.ndim == 3 else labelled
    unnamed = {
        f"dim_{axis}": name
        for axis, name in enumerate(("frame", "y", "x")[-ndim:])
        if f"dim_{axis}" in labelled.dims
    }
    named = labelled if set(unnamed.values()) & set(labelled.dims) else labelled.rename(unnamed)
    *frame, rows, columns = _in_order([name for name in named.dims if name not in channel])
    return named.transpose(*frame, *channel, rows, columns)


def _in_order(dims: Sequence[Hashable]) -> list[Hashable]:
    """The dimensions of an image or a stack as (frame, y, x)."""
    rows, columns, frames = (
        [name for name in dims if str(name).lower() in known] for known in (ROWS, COLUMNS, FRAMES)
    )
    plane = [name for name in dims if name not in frames]
    if len(rows) == len(columns) == 1:
        plane = [*rows, *columns]
    elif rows or columns or len(plane) < 2:
        raise DataError(
            f"of an image's dimensions {tuple(dims)} it isn't clear which are rows and columns: "
            'rename these to "y" and "x", as by image.rename({"old name": "y"})'
        )
    return [*(name for name in dims if name not in plane), *plane]


def _as_numpy(array: Any, name: str) -> np.ndarray:
    """An array of any kind as NumPy's; not an object that only holds one somewhere."""
    if isinstance(array, str | PathLike):
        raise DataError(f"the {name} is a path, {str(array)!r}: read it first, by load_image")
    kinds = ("__array__", "__array_interface__", "__buffer__", "__len__")
    known = any(hasattr(array, kind) for kind in kinds) or np.isscalar(array)
    if not known or isinstance(array, Mapping | Set):
        kind = f"{type(array).__module__}.{type(array).__qualname__}".removeprefix("builtins.")
        raise DataError(
            f"the {name} is an object of the type {kind}, not an array: pass the numbers that it "
            "holds as an array, or as an xarray.DataArray with its axes"
        )
    try:
        return np.asarray(array)
    except (TypeError, ValueError) as error:
        raise DataError(f"the {name} can't be made an array of numbers: {error}") from error


def _default_dims(ndim: int, window_ndim: int) -> tuple[str, ...]:
    window_dims = ("y", "x")[2 - min(window_ndim, ndim) :]
    lead = ndim - len(window_dims)
    if lead == 1:
        return ("patch", *window_dims)
    return (*(f"dim_{axis}" for axis in range(lead)), *window_dims)


# Differences of numbers up to this are still finite in single precision.
LARGEST = 1e37


def check_values(values: np.ndarray, name: str, missing: bool = False) -> np.ndarray:
    """Values as contiguous float32, after checking that they are real numbers.

    Args:
        values: any array.
        name: what it is, for the errors.
        missing: whether NaNs may stand for missing pixels.

    Raises:
        DataError: if the array is empty, not of real numbers, or holds NaN or infinity.

    Example:
        >>> check_values(np.arange(3), "the image").dtype
        dtype('float32')
    """
    if values.dtype == object:
        raise DataError(f"{name} is an array of Python objects: convert it to numbers first")
    if np.iscomplexobj(values):
        raise DataError(
            f"{name} is complex: take its amplitude (np.abs), phase (np.angle), real part or "
            "imaginary part"
        )
    if not (np.issubdtype(values.dtype, np.number) or values.dtype == bool):
        raise DataError(f"{name} must be made of numbers, but has dtype {values.dtype}")
    if not values.size:
        raise DataError(f"{name} is empty: its shape is {values.shape}")
    # torch can't wrap read-only memory without a warning, hence a copy where need be.
    with np.errstate(over="ignore"):  # told below, in our words
        numbers = np.require(values, dtype=np.float32, requirements=["C", "W"])
    # Without a copy of what may fill the memory, unless there is something to count.
    extremes = np.fmin.reduce(numbers, None), np.fmax.reduce(numbers, None)
    if np.abs(extremes).max() > LARGEST:
        too_large = int((np.abs(numbers) > LARGEST).sum())
        raise DataError(
            f"{name} holds {too_large} values that are infinite or beyond {LARGEST:.0e}, more than "
            "single precision can work with: replace, clip or rescale them"
        )
    if not missing and np.isnan(numbers.min()):
        raise DataError(f"{name} holds {int(np.isnan(numbers).sum())} NaNs: fill or drop them")
    return numbers


def window_shape(window: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """A window's sizes along each axis, checked.

    Raises:
        DataError: unless there are `ndim` whole numbers of at least 2 pixels.

    Example:
        >>> window_shape(32, 2)
        (32, 32)
    """
    sizes = tuple(window) if isinstance(window, Sequence) else (window,) * ndim
    if len(sizes) != ndim or not all(
        isinstance(size, int | np.integer) and size >= 2 for size in sizes
    ):
        raise DataError(f"a window needs {ndim} size(s) of at least 2 whole pixels, got {window!r}")
    return tuple(int(size) for size in sizes)


def check_window_fits(window: tuple[int, ...], shape: tuple[int, ...]) -> None:
    """Raise a DataError if a window is larger than the image, whose axes come last in the shape."""
    if any(extent < side for extent, side in zip(shape[-2:], window, strict=True)):
        raise DataError(
            f"the window {window} is larger than the image {shape[-2:]}: choose a smaller one"
        )


def check_size(shape: tuple[int, ...], smallest: int, purpose: str) -> None:
    """Raise a DataError if an image, whose axes come last in the shape, is too small.

    Args:
        shape: of the image.
        smallest: side that it takes, pixels.
        purpose: what it is too small for, as "find atoms in".
    """
    height, width = shape[-2:]
    if min(height, width) < smallest:
        raise DataError(
            f"an image of {height} x {width} pixels is too small to {purpose}: it takes "
            f"{smallest} x {smallest}"
        )


def pixel_size(data: xr.DataArray, name: Any) -> tuple[float, str]:
    """Step of the coordinate along one dimension, and its unit; 1 and "px" without one.

    Raises:
        DataError: if the coordinate isn't evenly spaced numbers.

    Example:
        >>> x = xr.Variable("x", [0.0, 0.5, 1.0], {"units": "nm"})
        >>> image = xr.DataArray(np.zeros((2, 3)), coords={"x": x}, dims=("y", "x"))
        >>> pixel_size(image, "x"), pixel_size(image, "y")
        ((0.5, 'nm'), (1.0, 'px'))
    """
    if name not in data.coords or data.sizes[name] < 2:
        return 1.0, "px"
    values = data[name].values
    if not np.issubdtype(values.dtype, np.number):
        raise DataError(f"the coordinate {name!r} must be numbers, but has dtype {values.dtype}")
    spacing = np.diff(values.astype(float))
    mean = float(spacing.mean())
    # Of what their type can hold, two neighbours may be off by half a step each.
    finest = np.finfo(values.dtype).eps if values.dtype.kind == "f" else 0.0
    rounding = float(finest * np.abs(values).max())
    even = (np.abs(spacing - mean) <= 1e-3 * abs(mean) + rounding).all()
    if not even or abs(mean) <= rounding:
        raise DataError(
            f"the coordinate {name!r} isn't evenly spaced (steps {spacing.min():.4g} to "
            f"{spacing.max():.4g}): resample onto an even grid first, spectra by evenly_spaced"
        )
    return mean, str(data[name].attrs.get("units", "px"))


def lengths(data: xr.DataArray, dims: Sequence[Hashable]) -> dict[str, Any]:
    """Step and unit of the coordinate along each axis, as `Patches` keeps them."""
    spacings, units = zip(*(pixel_size(data, name) for name in dims), strict=True)
    return {"pixel_size": spacings, "units": units}


def plain(coordinate: xr.DataArray) -> xr.Variable:
    """A coordinate as every file format can hold it."""
    variable = coordinate.variable.copy(deep=False)
    if variable.dtype.kind == "U":
        variable = variable.astype(object)  # Zarr has no text of fixed length
    variable.attrs = plain_attributes(coordinate.attrs)
    return variable


def plain_attributes(attrs: Mapping[Any, Any]) -> dict[str, str | int | float]:
    """Those attributes that every file format can hold: text and numbers.

    Example:
        >>> plain_attributes({"units": "nm", "dwell": np.float32(0.5), "ok": True, "tip": None})
        {'units': 'nm', 'dwell': 0.5}
    """
    values = {
        str(name): value.item() if isinstance(value, np.number | np.str_) else value
        for name, value in attrs.items()
    }
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }


RESERVED = (
    "z", "latent", "collapsed", "axis", "offset", "angle", "scale", "elbo", "pose_entropy", "mode",
    "class", "class_probability", "kind", "brightness", "component",
)  # fmt: skip


def check_name(name: Hashable) -> None:
    """Raise a DataError if a dimension or coordinate has the name of something in the results."""
    if str(name).removesuffix("_std") in RESERVED or str(name).startswith("mode_"):
        raise DataError(
            f"a dimension or coordinate of the patches can't be called {name!r}, which is a name "
            "in the results: rename it"
        )


def check_index(data: xr.DataArray, name: Hashable) -> None:
    """Raise a DataError if a dimension is a stacked one."""
    if name in data.indexes and data.indexes[name].nlevels > 1:
        raise DataError(
            f"the dimension {name!r} is a MultiIndex, which no file can hold: use "
            f"reset_index({name!r}) first"
        )


def checked_count(name: str, value: Any, least: int = 1) -> int:
    """A number of things, such as draws, as a whole number.

    Args:
        name: what it is called, for the error.
        value: what was given.
        least: the smallest that makes sense.

    Raises:
        DataError: if it isn't a whole number of at least that.

    Example:
        >>> checked_count("draws", 200)
        200
    """
    if isinstance(value, bool) or not (isinstance(value, Integral) and int(value) >= least):
        raise DataError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)

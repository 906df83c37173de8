"""What every array goes through before any work starts."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from pyroshift.errors import DataError


def as_labelled(
    array: Any,
    window_ndim: int | None,
    dims: Sequence[str] | None,
    coords: Mapping[str, Any] | None,
    name: str = "array",
) -> xr.DataArray:
    """An array with named dimensions; a DataArray keeps its own unless others are given.

    Raises:
        DataError: if the names don't fit.
    """
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
    values = np.asarray(array)
    if dims is None:
        dims = _default_dims(values.ndim, window_ndim or max(values.ndim - 1, 1))
    if len(dims) != values.ndim:
        raise DataError(f"the {name} has shape {values.shape}, but dims names {tuple(dims)}")
    try:
        return xr.DataArray(values, dims=tuple(dims), coords=coords)
    except ValueError as error:
        raise DataError(f"the coordinates don't fit the {name}: {error}") from error


def as_image(image: Any) -> xr.DataArray:
    """An image, or a stack of them, with named dimensions.

    Raises:
        DataError: if it has neither two nor three dimensions.

    Example:
        >>> as_image(np.zeros((3, 8, 9))).dims
        ('frame', 'y', 'x')
    """
    if not isinstance(image, xr.Dataset) and np.ndim(image) not in (2, 3):
        raise DataError(
            "an image must have two dimensions (y, x) or three (frame, y, x), but this one has "
            f"shape {np.shape(image)}: pick one channel"
        )
    if isinstance(image, xr.DataArray | xr.Dataset):
        return as_labelled(image, 2, None, None, name="image")
    return as_labelled(image, 2, ("frame", "y", "x")[-np.ndim(image) :], None, name="image")


def _default_dims(ndim: int, window_ndim: int) -> tuple[str, ...]:
    window_dims = ("y", "x")[-window_ndim:]
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
    if too_large := int((np.abs(numbers) > LARGEST).sum()):
        raise DataError(
            f"{name} holds {too_large} values that are infinite or beyond {LARGEST:.0e}, more than "
            "single precision can work with: replace, clip or rescale them"
        )
    if not missing and np.isnan(numbers).any():
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
    if mean == 0 or not np.allclose(spacing, mean, rtol=1e-3, atol=0):
        raise DataError(
            f"the coordinate {name!r} isn't evenly spaced (steps {spacing.min():.4g} to "
            f"{spacing.max():.4g}): resample onto an even grid first"
        )
    return mean, str(data[name].attrs.get("units", "px"))


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
        str(name): value.item() if isinstance(value, np.number) else value
        for name, value in attrs.items()
    }
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    }


RESERVED = ("z", "latent", "axis", "offset", "angle", "scale", "elbo", "pose_entropy", "mode")


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

"""What is known of patches besides their pixels: labels, and covariates such as a temperature."""

import math
from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.channels import CHANNEL_UNITS
from pyroshift.data.checks import CHANNEL, as_labelled, check_name, plain
from pyroshift.data.normalization import normalized
from pyroshift.errors import DataError

_TOLERATED = 1e-3  # steps, by which coordinates of the same places may differ


def check_free(name: str, taken: Collection[str]) -> None:
    """Raise a DataError if a name has a meaning of its own, or is taken.

    Example:
        >>> check_free("temperature", {"y", "x"})
    """
    check_name(name)
    if name in taken or name in (CHANNEL, CHANNEL_UNITS):
        raise DataError(
            f"the patches have a dimension or coordinate {name!r} already: choose another name, or "
            f"make that coordinate known by assign({name!r})"
        )


def over_layout(
    value: Any,
    name: str,
    layout: Mapping[str, int],
    coords: Mapping[str, xr.Variable],
    positions: np.ndarray,
) -> xr.Variable:
    """Values as a coordinate of the patches.

    Args:
        value: one for all, one for each place of the layout or for each patch, or a DataArray over
            some of the layout's dimensions.
        name: what it is, for the errors.
        layout: for each dimension of the patches, its name and size.
        coords: coordinates of the patches over these dimensions.
        positions: `patch`, where each patch belongs in the flattened layout.

    Raises:
        DataError: if it doesn't fit the layout.

    Example:
        >>> over_layout([5, 6], "dose", {"atom": 3}, {}, np.array([0, 2])).values
        array([ 5., nan,  6.])
    """
    if isinstance(value, xr.Variable):
        value = xr.DataArray(value)
    if isinstance(value, xr.DataArray):
        return _cleaned(plain(_aligned(value, name, layout, coords)), name)
    values, sizes = _as_array(value, name), tuple(layout.values())
    if values.shape == positions.shape != sizes:
        places = np.full(math.prod(sizes), None, object)
        places[positions] = values
        values = places.reshape(sizes)
    if values.shape not in ((), sizes):
        raise DataError(
            f"{name} has shape {values.shape}, but there are {len(positions)} patches over "
            f"{dict(layout)}: give one value for each patch, or an array over these dimensions, or "
            "a DataArray over some of them"
        )
    return _cleaned(xr.Variable(tuple(layout) if values.shape else (), values), name)


def as_numbers(variable: xr.Variable, name: str) -> tuple[xr.Variable, tuple[str, ...]]:
    """Values as numbers, NaN where unknown; and the texts that they stand for, if they were text.

    Raises:
        DataError: if they are neither real numbers nor text, or none is known.

    Example:
        >>> numbers, texts = as_numbers(xr.Variable("atom", ["b", "", "a"]), "label")
        >>> numbers.values, texts
        (array([ 1., nan,  0.], dtype=float32), ('a', 'b'))
    """
    variable = _cleaned(variable, name)
    values, texts = variable.values, tuple[str, ...]()
    if values.dtype == object:
        texts = tuple(sorted(set(values.flat) - {""}))
        number = {text: float(index) for index, text in enumerate(texts)} | {"": np.nan}
        values = np.array([number[text] for text in values.flat]).reshape(values.shape)
    numbers = normalized(values, None, name)
    if np.isnan(numbers).all():
        raise DataError(f"{name} isn't known of any patch: leave it out")
    return xr.Variable(variable.dims, numbers), texts


def _as_array(value: Any, name: str) -> np.ndarray:
    if isinstance(value, list | tuple | str | None):
        return np.array(value, object)  # where NaN beside text is no text
    if isinstance(value, np.ma.MaskedArray):
        values = value.data.astype(object)
        values[np.ma.getmaskarray(value)] = None
        return values
    return as_labelled(value, None, None, None, name).values


def _cleaned(variable: xr.Variable, name: str) -> xr.Variable:
    """Objects as text, "" where unknown, or as numbers, NaN where unknown; all else as it is."""
    if variable.dtype.kind not in "OUT":
        return variable
    values = variable.values.astype(object)
    unknown = variable.isnull().values | (values == "")
    text = [isinstance(value, str) for value in values[~unknown]]
    if any(text) and not all(text):
        raise DataError(f"{name} mixes text and numbers: make it all text, or all numbers")
    try:
        cleaned = np.where(unknown, "" if any(text) else np.nan, values)
        values = cleaned.astype(object if any(text) else float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be made of numbers or text: {error}") from error
    return xr.Variable(variable.dims, values, variable.attrs)


def _aligned(
    value: xr.DataArray, name: str, layout: Mapping[str, int], coords: Mapping[str, xr.Variable]
) -> xr.DataArray:
    """Values at the places of the patches: by coordinates where both have them, else by order."""
    for dim in value.dims:
        if dim in layout and dim in value.indexes and dim in coords:
            value = _at(value, name, dim, coords[str(dim)].values)
    if any(layout.get(str(dim)) != size for dim, size in value.sizes.items()):
        raise DataError(
            f"{name} is over {dict(value.sizes)}, but the patches are over {dict(layout)}: give it "
            "some of these dimensions"
        )
    return value


def _at(value: xr.DataArray, name: str, dim: Hashable, places: np.ndarray) -> xr.DataArray:
    """Values at some places along a dimension; unknown where there are none."""
    own = value[dim].values
    if np.array_equal(own, places):
        return value
    if own.shape == places.shape and own.size > 1 and own.dtype.kind == places.dtype.kind == "f":
        step = np.abs(np.diff(places)).min()
        if np.allclose(own, places, rtol=0, atol=_TOLERATED * step):
            return value
    try:
        return value.reindex({dim: places})
    except ValueError as error:
        raise DataError(f"{name} can't be placed along {dim!r}: {error}") from error

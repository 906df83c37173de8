"""HyperSpy's signals and sidpy's datasets as labelled arrays, without importing either."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr


def from_library(array: Any) -> Any:
    """A signal of HyperSpy or a dataset of sidpy as a DataArray; anything else as it is.

    Args:
        array: whose axes' names, values and units are taken, and which is not read if it is lazy.

    Example:
        >>> from_library([1, 2])
        [1, 2]
    """
    # By what they have besides their library's name: subclasses may be from elsewhere.
    libraries = {cls.__module__.partition(".")[0] for cls in type(array).__mro__}
    if "sidpy" in libraries and hasattr(array, "_axes"):
        return _from_sidpy(array)
    if hasattr(array, "axes_manager") and hasattr(array, "data"):
        return _from_hyperspy(array)
    return array


def signal_ndim(array: Any) -> int | None:
    """The number of axes of a HyperSpy signal that are no navigation; None for anything else.

    Example:
        >>> signal_ndim([1, 2]) is None
        True
    """
    manager = getattr(array, "axes_manager", None)
    return None if manager is None else len(manager.signal_axes)


def _from_hyperspy(signal: Any) -> xr.DataArray:
    """Dimensions by the axes' names; those without one by their place."""
    manager = signal.axes_manager
    axes = sorted(
        (*manager.navigation_axes, *manager.signal_axes), key=lambda axis: axis.index_in_array
    )
    navigation = len(manager.navigation_axes)
    default = (*_default(navigation, "frame"), *_default(len(axes) - navigation, "x"))
    names = [_text(axis.name) or name for axis, name in zip(axes, default, strict=True)]
    attrs = {"title": str(signal.metadata.get_item("General.title", ""))}
    quantity = str(signal.metadata.get_item("Signal.quantity", ""))  # as in "Height (nm)"
    if quantity.endswith(")") and "(" in quantity:
        attrs["units"] = quantity.rpartition("(")[2].removesuffix(")")
    values = [np.asarray(axis.axis) for axis in axes]
    return _labelled(signal.data, names, values, [axis.units for axis in axes], attrs)


def _from_sidpy(dataset: Any) -> xr.DataArray:
    """Dimensions as sidpy names them."""
    import dask.array

    axes = [dataset._axes[number] for number in range(dataset.ndim)]
    attrs = {"title": _text(dataset.title), "units": _text(dataset.units)}
    attrs["long_name"] = _text(dataset.quantity)
    # What remains without sidpy's class, whose slices and attributes are its own.
    data = dask.array.Array(dataset.dask, dataset.name, dataset.chunks, dataset.dtype)
    values = [np.asarray(axis) for axis in axes]
    names = [_text(axis.name) for axis in axes]
    return _labelled(data, names, values, [axis.units for axis in axes], attrs)


def _labelled(
    data: Any,
    names: Sequence[str],
    values: Sequence[np.ndarray],
    units: Sequence[Any],
    attrs: dict[str, str],
) -> xr.DataArray:
    """An array with its axes as coordinates; names that aren't unique become dim_0 and so on."""
    dims = [
        name if name and names.count(name) == 1 else f"dim_{number}"
        for number, name in enumerate(names)
    ]
    coords = {
        dim: xr.Variable(dim, along, {"units": _text(unit)} if _text(unit) else {})
        for dim, along, unit in zip(dims, values, units, strict=True)
    }
    told = {name: value for name, value in attrs.items() if value}
    return xr.DataArray(data, coords, dims, attrs=told)


def _default(count: int, single: str) -> tuple[str, ...]:
    """Names of axes that have none, of navigation or of a signal."""
    return {0: (), 1: (single,), 2: ("y", "x")}.get(count, ("",) * count)


def _text(value: Any) -> str:
    """A name or a unit; nothing where it isn't defined."""
    return value.strip() if isinstance(value, str) and value not in ("none", "generic") else ""

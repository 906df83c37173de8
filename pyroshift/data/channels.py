"""Channels: several values taken at every pixel, such as an amplitude and a phase."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.checks import CHANNEL, check_index
from pyroshift.data.normalization import Normalize, normalized
from pyroshift.errors import DataError

CHANNEL_UNITS = f"{CHANNEL}_units"
Labels = tuple[str, ...]


def channel_labels(data: xr.DataArray, dim: Hashable | None) -> tuple[Labels, Labels]:
    """Names and units of the channels along a dimension; none where there is no such dimension.

    Args:
        data: with the names as the dimension's coordinate, or else they are numbers from 0; and
            with the units as the coordinate `channel_units`, or else they are "".
        dim: the dimension's name.

    Raises:
        DataError: if two channels have one name.

    Example:
        >>> image = xr.DataArray(np.zeros((2, 4, 4)), dims=("channel", "y", "x"))
        >>> channel_labels(image, "channel")
        (('0', '1'), ('', ''))
    """
    if dim not in data.dims:
        return (), ()
    check_index(data, dim)
    names = tuple(str(name) for name in data[dim].values)
    if len(set(names)) < len(names):
        raise DataError(f"the channels are called {names}: give each a name of its own")
    units = data.coords.get(CHANNEL_UNITS)
    if units is None or units.dims != (dim,):
        return names, ("",) * len(names)
    return names, tuple(str(unit) for unit in units.values)


def check_order(channels: Sequence[str], expected: Sequence[str]) -> None:
    """Raise a DataError if channels are those of a model, but in another order.

    Example:
        >>> check_order(["height", "phase"], ["height", "phase"])
        >>> check_order(["phase", "height"], ["height", "phase"])
        Traceback (most recent call last):
            ...
        pyroshift.errors.DataError: the patches have the channels ['phase', 'height'] ...
    """
    pairs = zip(channels, expected, strict=False)
    if any(here != there and here in expected for here, there in pairs):
        raise DataError(
            f"the patches have the channels {list(channels)} where the model has {list(expected)}: "
            f"bring them in one order, as by image.sel(channel={list(expected)})"
        )


def channel_coords(names: Sequence[str], units: Sequence[str]) -> dict[str, xr.Variable]:
    """Coordinates that name the channels and have their units; none without channels.

    Example:
        >>> list(channel_coords(["height"], ["nm"]))
        ['channel', 'channel_units']
    """
    labels = {CHANNEL: names, CHANNEL_UNITS: units} if names else {}
    # Zarr has no text of fixed length.
    return {key: xr.Variable(CHANNEL, np.array(each, object)) for key, each in labels.items()}


def value_units(units: Any, normalize: Normalize) -> Any:
    """The units of values, which are pure numbers once they are stretched.

    Args:
        units: attributes with `units` among them, or one for each channel.
        normalize: how grey levels are stretched.

    Example:
        >>> value_units({"units": "nm", "source": "scan"}, "patch"), value_units(("nm",), None)
        ({'units': '1', 'source': 'scan'}, ('nm',))
    """
    if normalize is None:
        return units
    if isinstance(units, Mapping):
        return {name: "1" if name == "units" else value for name, value in units.items()}
    return tuple("1" for _ in units)


def normalized_each(
    values: np.ndarray,
    normalize: Normalize,
    name: str,
    channels: Sequence[str],
    compact: bool = False,
) -> np.ndarray:
    """Values as `normalized` gives them, each channel by itself.

    Args:
        values: `frame x ...`, or with channels `frame x channel x ...`.
        normalize: how grey levels are stretched.
        name: what it is, for the errors.
        channels: their names, if there are channels.
        compact: whether whole numbers of one or two bytes, such as counts, stay as they are where
            nothing is stretched.

    Raises:
        DataError: as `normalized`.

    Example:
        >>> values = np.array([[[0.0, 1.0], [0.0, 50.0]]])
        >>> normalized_each(values, "image", "it", ["height", "phase"]).tolist()
        [[[0.0, 1.0], [0.0, 1.0]]]
    """
    small = values.dtype.kind in "iu" and values.dtype.itemsize <= 2 and values.dtype.isnative
    if compact and small and normalize is None and values.size:
        return np.require(values, requirements=["C", "W"])
    if not channels:
        return normalized(values, normalize, name)
    parts = [
        normalized(values[:, number], normalize, f"channel {channel!r} of {name}")
        for number, channel in enumerate(channels)
    ]
    return np.stack(parts, axis=1)


def of_one_size(source: np.ndarray) -> np.ndarray:
    """Channels taken off their means, and of standard deviation 1, so that none outweighs others.

    Args:
        source: `frame x channel x height x width`, NaN where missing.

    Example:
        >>> of_one_size(np.array([[[[1.0, 3.0]], [[10.0, 30.0]]]])).ravel().tolist()
        [-1.0, 1.0, -1.0, 1.0]
    """
    over, count = (0, 2, 3), np.isfinite(source).sum((0, 2, 3), keepdims=True)
    mean = np.nansum(source, over, dtype=float, keepdims=True) / np.maximum(count, 1)
    square = np.nansum((source - mean) ** 2, over, keepdims=True) / np.maximum(count, 1)
    return (source - mean) / np.sqrt(np.where(square > 0, square, 1.0))

"""Pairs of two kinds of data from the same places: windows of an image, and spectra."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from pyroshift.data.channels import value_units
from pyroshift.data.checks import as_labelled, plain_attributes
from pyroshift.data.gathering import Patches
from pyroshift.errors import DataError

SOURCE = "source"  # the name under which a target's patches know the source's windows
_TOLERATED = 1e-3  # steps, by which coordinates of the same places may differ


def pair_patches(source: Any, target: Any) -> Patches:
    """Pairs of a source and a target at the same places, of which a `Bridge` learns.

    Places that only one of the two has are left out, as windows at an image's border, and those
    that `split_patches` held out. They are the same by their coordinates, where both have them
    along the same dimensions; else by their order.

    Args:
        source: what will be known when the other is predicted: `Patches`, as of `extract_patches`;
            or spectra, `... x energy`, as a DataArray or an array. Windows that are stretched one
            by one, by `normalize="patch"`, don't tell how bright they were.
        target: what is to be predicted, of either kind.

    Returns:
        Patches of the target, over the source's dimensions, that know the source's windows, and all
        that is known of either.

    Raises:
        DataError: if these are no data of the kind, there are fewer than two places, or places
            can't be told to be the same.

    Example:
        >>> from pyroshift import extract_patches
        >>> image = xr.DataArray(np.random.default_rng(0).random((20, 30)), dims=("y", "x"))
        >>> windows = extract_patches(image, window=5, step=1)
        >>> spectra = xr.DataArray(
        ...     np.zeros((20, 30, 64)), {"y": np.arange(20), "x": np.arange(30)}, ("y", "x", "bias")
        ... )
        >>> pair_patches(windows, spectra)
        <Patches (y: 16, x: 26), window 64, normalize=None, known: source>
    """
    first, second = side(source, "source"), side(target, "target")
    if SOURCE in first.known:
        raise DataError("the source is made of pairs already: give its windows, or its spectra")
    places = _same_places(first, second)  # in the target's layout, of each of the source's
    numbers = np.full(int(np.prod(list(second.layout.values()))), -1)
    numbers[second.positions] = np.arange(len(second))
    own = np.where(places >= 0, numbers[places], -1)
    if (own >= 0).sum() < 2:
        raise DataError(
            f"source and target share {(own >= 0).sum()} places, of {len(first)} and "
            f"{len(second)}: to learn one from the other takes some hundred. Are their coordinates "
            "in the same unit, and windows of an odd size, so that their centres are pixels?"
        )
    kept = torch.from_numpy(np.flatnonzero(own >= 0))
    paired, read = second.subset(torch.from_numpy(own)[kept]), first.subset(kept)
    windows = read.gather().to(second.source.device)
    return replace(
        paired,
        layout=read.layout,
        coords=read.coords,
        positions=read.positions,
        known={**paired.known, **read.known, SOURCE: windows},
        categories={**paired.categories, **read.categories},
    )


def side(data: Any, name: str) -> Patches:
    """One side of pairs as patches: as they are, or made of an array of spectra.

    The axis of spectra may have uneven steps, or go up and down: nothing shifts along it.

    Args:
        data: `Patches`, or `... x energy`.
        name: what it is, for the errors.

    Raises:
        DataError: if it is neither.
    """
    if isinstance(data, Patches):
        return data
    spectra = as_labelled(data, 1, None, None, name)
    if spectra.ndim < 2:
        raise DataError(f"the {name} has shape {spectra.shape}: one spectrum is no pair, give many")
    return Patches.from_array(spectra.drop_vars([spectra.dims[-1]], errors="ignore"), 1)


def axis_labels(data: Any, name: str) -> dict[str, Any]:
    """What is to be said of the axes of one side's windows, and of its values, in plain values.

    Args:
        data: what `side` takes.
        name: what it is, for the errors.

    Returns:
        `dims`, and for each of them `coordinates`, `long_names` and `units`; `channel_units` and
        `attrs` of the values.

    Example:
        >>> bias = xr.Variable("bias", [-1.0, 0.0, 2.0], {"units": "mV"})
        >>> spectra = xr.DataArray(np.zeros((5, 3)), {"bias": bias}, ("place", "bias"))
        >>> found = axis_labels(spectra, "target")
        >>> found["dims"], found["coordinates"], found["units"]
        (['bias'], [[-1.0, 0.0, 2.0]], ['mV'])
    """
    patches = side(data, name)
    coordinates = [
        (step * np.arange(size)).tolist()
        for step, size in zip(patches.pixel_size, patches.window, strict=True)
    ]
    labels: dict[str, Any] = {
        "dims": list(patches.pixel_dims),
        "coordinates": coordinates,
        "long_names": list(patches.pixel_dims),
        "units": list(patches.units),
        "channel_units": list(value_units(patches.channel_units, patches.normalize)),
        "attrs": plain_attributes(value_units(dict(patches.attrs), patches.normalize)),
    }
    if not isinstance(data, Patches):
        spectra = as_labelled(data, 1, None, None, name)
        axis = spectra[spectra.dims[-1]]  # numbers from 0, where it has none
        if axis.dtype.kind in "iuf":
            labels["coordinates"] = [axis.values.astype(float).tolist()]
            labels["long_names"] = [str(axis.attrs.get("long_name", axis.name))]
            labels["units"] = [str(axis.attrs.get("units", "1"))]
        labels["attrs"].setdefault("long_name", str(spectra.name or "value"))
    return labels


def _same_places(first: Patches, second: Patches) -> np.ndarray:
    """Where in the second's flattened layout each of the first's patches is; -1 if nowhere.

    Raises:
        DataError: if nothing tells.
    """
    sizes, others = dict(first.layout), dict(second.layout)
    if set(sizes) != set(others):
        if tuple(sizes.values()) == tuple(others.values()):
            return first.positions  # by their order
        raise DataError(
            f"source and target are over {sizes} and {others}: nothing tells which places are the "
            "same. Give both the same dimensions, with coordinates, or as many places in one order"
        )
    index = dict(zip(sizes, np.unravel_index(first.positions, tuple(sizes.values())), strict=True))
    along = [_along(name, first, second)[index[name]] for name in others]
    missing = np.any([each < 0 for each in along], axis=0)
    places = np.ravel_multi_index([np.maximum(each, 0) for each in along], tuple(others.values()))
    return np.where(missing, -1, places)


def _along(name: str, first: Patches, second: Patches) -> np.ndarray:
    """Which of the second's places along a dimension each of the first's is; -1 if none."""
    own, other = (_numbers(patches.coords, name) for patches in (first, second))
    if own is None or other is None:
        if first.layout[name] != second.layout[name]:
            raise DataError(
                f"source and target have {first.layout[name]} and {second.layout[name]} places "
                f"along {name!r}, and no coordinates that tell which are the same: give both some"
            )
        return np.arange(first.layout[name])
    steps = np.abs(np.diff(np.unique(other)))
    near = _TOLERATED * (steps.min() if steps.size else max(abs(other[0]), 1.0))
    apart = np.abs(own[:, None] - other)
    nearest = apart.argmin(1)
    return np.where(apart.min(1) <= near, nearest, -1)


def _numbers(coords: Mapping[str, xr.Variable], name: str) -> np.ndarray | None:
    """A dimension's coordinate as numbers, if it has one."""
    if name not in coords or coords[name].dtype.kind not in "iuf":
        return None
    return np.asarray(coords[name].values, float)

"""The windows that maps are of: as they are given, or cut again from their image."""

import ast
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from pyroshift.data.checks import as_image, pixel_size
from pyroshift.data.patches import Patches, as_patches, extract_patches
from pyroshift.errors import DataError
from pyroshift.explorer.places import FRAME, Places
from pyroshift.maps.encode import check_fit
from pyroshift.model.pair import PoseVAE

_ROUNDING = 0.02  # pixels by which centres that were rounded in a file may be off
_GIVE = "pass what encode was given as patches="


def windows_of(
    model: PoseVAE, maps: xr.Dataset, places: Places, image: Any, patches: Any
) -> Patches:
    """The windows of maps, whose `positions` number the places.

    Args:
        model: that encoded them.
        maps: from `encode`.
        places: of the maps.
        image: that they were cut from; needed where `patches` isn't given.
        patches: the windows; None to cut them again.

    Raises:
        DataError: if neither is given, or they aren't those of the maps.
    """
    if patches is None:
        if image is None:
            raise DataError(
                "there is no image and there are no windows to show: pass the image that the "
                f"patches were cut from, or {_GIVE}"
            )
        patches = _cut_again(model, maps, places, image)
    else:
        patches = as_patches(patches, model.window)
        if not isinstance(patches, Patches):
            raise DataError(f"patches must be Patches, got {type(patches).__name__}")
        expected = dict(zip(places.dims, places.template.shape, strict=True))
        if dict(patches.layout) != expected:
            raise DataError(
                f"the maps are over {expected}, but the patches over {dict(patches.layout)}: "
                f"{_GIVE}"
            )
    check_fit(model, patches)
    return patches


def _cut_again(model: PoseVAE, maps: xr.Dataset, places: Places, image: Any) -> Patches:
    """Windows around where maps say that they were centred."""
    if len(model.window) != 2 or places.kind == "list":
        raise DataError(
            f"the model is of {'x'.join(map(str, model.window))} windows over {places.dims}, which "
            f"aren't cut from an image: {_GIVE}"
        )
    data = as_image(image, channels=True)
    centres = _centres(maps, places, data)
    starts = centres[:, 1:] - (np.array(model.window) - 1) / 2
    size = np.array(data.shape[-2:]) - model.window
    outside = (starts < -_ROUNDING).any(1) | (starts > size + _ROUNDING).any(1)
    if outside.any():
        raise DataError(
            f"{int(outside.sum())} of the maps' {len(starts)} windows would leave the image of "
            f"{data.shape[-2:]} pixels: pass the image with the coordinates that the patches were "
            f"cut with, or {_GIVE}"
        )
    whole = bool(np.abs(starts - np.rint(starts)).max() < _ROUNDING)
    if whole:
        centres[:, 1:] += np.rint(starts) - starts
    with warnings.catch_warnings():
        # Of missing pixels and outliers they were told when these were first cut.
        warnings.simplefilter("ignore", UserWarning)
        cut = extract_patches(
            data,
            model.window,
            normalize=_normalize(maps),
            positions=centres,
            interpolate=not whole,
            min_valid=1e-9,
        )
    # Where the maps know nothing, too many pixels were missing.
    known = np.isfinite(places.template.values.ravel()[cut.positions])
    if not known.any():
        raise DataError("the maps are NaN everywhere: there is no window to show")
    return cut if known.all() else cut.subset(torch.from_numpy(known))


def _normalize(maps: xr.Dataset) -> str | Sequence[float] | None:
    """As windows were normalised, by what the maps say."""
    told = str(maps.attrs.get("normalize", "patch"))
    try:
        return ast.literal_eval(told)
    except (SyntaxError, ValueError):  # a word
        return told


def _centres(maps: xr.Dataset, places: Places, data: xr.DataArray) -> np.ndarray:
    """Frame, y and x of each place, in pixels of the image."""
    template, (rows, columns) = places.template, data.dims[-2:]
    if places.kind == "points":
        y, x, frames = places.template["y"].values, places.template["x"].values, places.frame
        count = int(frames.max()) + 1
    else:
        count = len(places.frames)
        missing = [name for name in places.names if name not in template.coords]
        if missing:
            raise DataError(f"the maps have no coordinate {missing[0]!r} of their windows: {_GIVE}")
        y, x = np.meshgrid(*(template[name].values for name in places.names), indexing="ij")
        frames = np.repeat(np.arange(count), y.size)
        y, x = (np.tile(along.ravel(), count) for along in (y, x))
    there = (
        data.shape[0] if "frame" in data.dims or data.ndim - ("channel" in data.dims) == 3 else 1
    )
    if count > there:
        raise DataError(
            f"the maps are of {count} frames, but the image has {there}: pass the stack that the "
            "patches were cut from"
        )
    pixels = []
    for name, along in ((rows, y), (columns, x)):
        spacing, _ = pixel_size(data, name)
        origin = float(data[name][0]) if name in data.coords else 0.0
        pixels.append((along.astype(float) - origin) / spacing)
    return np.stack([frames.astype(float), *pixels], 1)


def from_image(patches: Patches) -> bool:
    """Whether windows lie in a larger image, of which they share pixels."""
    return len(patches.window) == 2 and tuple(patches.source.shape[-2:]) != patches.window


def image_of(patches: Patches, places: Places) -> xr.DataArray:
    """The image that windows lie in, with coordinates by where the maps' windows are.

    Args:
        patches: from an image.
        places: of their maps.
    """
    coords = {}
    for axis, name in enumerate(("y", "x")):
        if places.kind == "points":
            centre = float((places.y if name == "y" else places.x)[patches.positions[0]])
        else:
            along = places.template[places.names[axis]].values
            index = np.unravel_index(patches.positions[0], places.template.shape)
            centre = float(along[index[-2 + axis]])
        step, size = patches.pixel_size[axis], patches.window[axis]
        origin = centre - (int(patches.starts[0, 1 + axis]) + (size - 1) / 2) * step
        values = origin + step * np.arange(patches.source.shape[-2 + axis])
        coords[name] = xr.Variable(name, values, {"units": patches.units[axis]})
    values = patches.source.cpu().numpy()
    dims = (FRAME, "channel", "y", "x") if patches.channels else (FRAME, "y", "x")
    named = {"channel": list(patches.channels)} if patches.channels else {}
    units = {"units": str(patches.attrs["units"])} if "units" in patches.attrs else {}
    if patches.normalize not in ("patch", None):
        units = {}
    return xr.DataArray(values, {**coords, **named}, dims, attrs=units)

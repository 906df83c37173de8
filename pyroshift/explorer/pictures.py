"""The image that a page shows, and colours."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps

from pyroshift.data.channels import CHANNEL_UNITS
from pyroshift.data.checks import CHANNEL
from pyroshift.explorer.packing import Pack
from pyroshift.plot.colours import robust_limits
from pyroshift.plot.geometry import extent, positions

_MOST_PIXELS = 1_500_000
COLOURS = ("viridis", "magma", "cividis", "gray", "RdBu_r", "twilight")


def picture(image: xr.DataArray | None, shared: bool, pack: Pack) -> dict[str, Any] | None:
    """The image, binned where it is larger than any screen.

    Args:
        image: over frame, channel, y and x; None if there is none.
        shared: whether its pixels are those in which the page finds windows.
        pack: that they go into otherwise.
    """
    if image is None:
        return None
    shown = image
    if not shared:
        factor = int(np.ceil(np.sqrt(image.size / _MOST_PIXELS)))
        if factor > 1:
            factors = {dim: min(factor, image.sizes[dim]) for dim in image.dims[-2:]}
            shown = image.coarsen(factors, boundary="trim").mean()
        pack.add_coded("picture", shown.values.reshape(-1, *shown.shape[-2:]))
    plane = shown.isel({shown.dims[0]: 0, CHANNEL: 0}, drop=True)
    units: list[str] = [str(image.attrs.get("units", "")).removeprefix("1")]
    if CHANNEL_UNITS in image.coords:
        units = [str(one) for one in image[CHANNEL_UNITS].values]
    channels = range(image.sizes[CHANNEL])
    return {
        "array": "source" if shared else "picture",
        "frames": image.shape[0],
        "channels": [str(name) for name in image[CHANNEL].values],
        "units": (units * len(channels))[: len(channels)],
        "extent": extent(plane),
        "axisUnits": [positions(plane, str(dim))[1] for dim in plane.dims],
        "limits": [robust_limits(image.isel({CHANNEL: n}).values) for n in channels],
        "label": str(image.attrs.get("long_name", "image")),
    }


def as_shown(image: xr.DataArray) -> xr.DataArray:
    """An image over frame, channel, y and x, whichever of these it has."""
    full = image if CHANNEL in image.dims else image.expand_dims({CHANNEL: [""]}, -3)
    return full if full.ndim == 4 else full.expand_dims("frame", 0)


def apart(first: np.ndarray, second: np.ndarray, period: float | None) -> np.ndarray:
    """By how much values differ; phases by half a period at most."""
    difference = first - second
    if period is None:
        return difference
    return (difference + period / 2) % period - period / 2


def tables() -> np.ndarray:
    """The colour maps that can be chosen, `map x 256 x 3`, a byte each."""
    steps = np.linspace(0, 1, 256)
    maps = [colormaps[name](steps)[:, :3] for name in COLOURS]
    return np.rint(255 * np.array(maps)).astype(np.uint8)

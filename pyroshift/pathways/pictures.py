"""The mean picture of each class."""

import math

import torch
import xarray as xr
from torch import Tensor

from pyroshift.data.channels import channel_coords, value_units
from pyroshift.data.checks import CHANNEL
from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.model.decoders import look_at
from pyroshift.model.pose import half_window, pixel_grid, unrotate, unscale, unshift
from pyroshift.model.sites import ANGLE, OFFSET, SCALE
from pyroshift.pathways.tracks import CLASS, CLASS_INDEX, class_names


def class_patches(classified: xr.Dataset, patches: Patches, *, align: bool = True) -> xr.DataArray:
    """The mean window of each class, each brought back into its motif's own frame.

    Args:
        classified: from `classify`.
        patches: that were encoded.
        align: whether windows are first turned back by their angle, shifted back by their offset,
            and brought to the same scale, as far as the maps know these.

    Returns:
        `class` x `window_y` x `window_x`, or `class` x `channel` x `window_y` x `window_x`, with
        the coordinate `count`, the number of windows of each class. NaN for a class without any,
        and for pixels that none of its windows shows.

    Raises:
        DataError: if the maps aren't classified, or not of these patches.

    Example:
        >>> from pyroshift import RVAE, classify, encode, extract_patches
        >>> image = torch.rand(32, 40, generator=torch.Generator().manual_seed(0))
        >>> patches = extract_patches(image, window=16)
        >>> found = classify(encode(RVAE(16), patches), classes=2)
        >>> class_patches(found, patches).shape
        (2, 16, 16)
    """
    names = class_names(classified)
    if {dim: classified.sizes.get(dim) for dim in patches.layout} != dict(patches.layout):
        raise DataError(
            f"the maps of sizes {dict(classified.sizes)} aren't of these patches, which are over "
            f"{dict(patches.layout)}"
        )
    index = _per_patch(classified[CLASS_INDEX], patches).long()
    pose = _pose(classified, patches) if align else {}
    channels = channel_coords(
        patches.channels, value_units(patches.channel_units, patches.normalize)
    )
    each = [len(patches.channels)] if channels else []
    total = torch.zeros(len(names), *each, *patches.window, dtype=torch.double)
    weight = torch.zeros_like(total)
    on_cpu = patches.to("cpu")
    for part in torch.nonzero(index >= 0).flatten().split(1024):
        windows = on_cpu.gather(part)
        grid = _looked_at(patches.window, {name: value[part] for name, value in pose.items()})
        grid = grid.expand(len(part), *grid.shape[1:]).repeat_interleave(math.prod(each), 0)
        # Where a turned window has nothing to show, or misses pixels, it doesn't count.
        there = (~torch.isnan(windows)).float()
        for sums, picture in ((total, windows.nan_to_num()), (weight, there)):
            flat = picture.reshape(-1, *patches.window)
            seen = look_at(flat, grid, patches.window, "zeros").reshape(windows.shape)
            sums.index_add_(0, index[part], seen.double())
    dims = ("window_y", "window_x")[-len(patches.window) :]
    return xr.DataArray(
        (total / weight.where(weight > 0, torch.nan)).numpy(),
        dims=(CLASS, *([CHANNEL] if channels else []), *dims),
        coords={
            **channels,
            CLASS: names,
            "count": (
                CLASS, torch.bincount(index[index >= 0], minlength=len(names)).numpy(),
                {"long_name": "number of windows"},
            ),
        },
        name="class_patches",
        attrs={"long_name": "mean window of each class"},
    )  # fmt: skip


def _per_patch(array: xr.DataArray, patches: Patches) -> Tensor:
    """A map's values (patch x ...), of those patches that there are."""
    values = array.transpose(*patches.layout, ...).values
    flat = values.reshape(-1, *values.shape[len(patches.layout) :])
    return torch.from_numpy(flat[patches.positions])


def _pose(maps: xr.Dataset, patches: Patches) -> dict[str, Tensor]:
    """What the maps know of the poses, in half-windows and radians."""
    pose = {
        name: _per_patch(maps[name], patches).float()
        for name in (OFFSET, ANGLE, SCALE)
        if name in maps
    }
    if OFFSET in pose:
        pose[OFFSET] /= half_window(patches.window) * torch.tensor(patches.pixel_size)
    return pose


def _looked_at(window: tuple[int, ...], pose: dict[str, Tensor]) -> Tensor:
    """Where in a window the pixels of its motif's own frame are; the inverse of its pose."""
    grid = pixel_grid(window)[None]
    if SCALE in pose:
        grid = unscale(grid, 1 / pose[SCALE])
    if ANGLE in pose:
        grid = unrotate(grid, -pose[ANGLE])
    if OFFSET in pose:
        grid = unshift(grid, -pose[OFFSET])
    return grid

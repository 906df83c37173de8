"""Blocks of windows of an image that no memory holds, each cut when it is needed."""

import hashlib
import itertools
import math
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import torch
import xarray as xr

from pyroshift.data.atoms import FRAME
from pyroshift.data.channels import channel_coords, channel_labels
from pyroshift.data.checks import CHANNEL, as_image, check_values, check_window_fits, pixel_size
from pyroshift.data.foreign import from_library
from pyroshift.data.neighbours import check_overlap, covered_share
from pyroshift.data.normalization import (
    REMEDY,
    Limits,
    Normalize,
    between,
    checked_normalize,
    limits,
    normalized,
    of_all,
)
from pyroshift.data.outliers import hot_pixels
from pyroshift.data.patches import Patches, extract_patches
from pyroshift.data.windows import check_share, on_grid
from pyroshift.errors import DataError

Step = int | Sequence[int] | None
Region = dict[str, slice]
_PATCHES = 2**13, 2**18  # of a block, about: least and most
_BLOCKS = 32  # that there are of an image, between these


@dataclass(frozen=True)
class Blocks:
    """What is cut out of an image, and in which blocks.

    Args:
        image: of which nothing is read before it is needed.
        window: height and width of the windows in pixels.
        steps: pixels between windows along y and x.
        normalize: as for `extract_patches`.
        min_valid: likewise.
        rows: rows of windows in a block.
        layout: for each dimension of the maps, its name and size.
        coords: coordinates over these dimensions.
        limits: the range of each channel, where they are to be stretched as a whole.
        power: by how much of its pixels each window counts, as `Patches` have it.
    """

    image: xr.DataArray
    window: tuple[int, ...]
    steps: tuple[int, ...]
    normalize: Normalize
    min_valid: float
    rows: int
    layout: Mapping[str, int]
    coords: Mapping[str, xr.Variable]
    limits: Sequence[Limits] = ()
    power: float | None = None

    @property
    def axes(self) -> tuple[str, str]:
        """Names of the maps' rows and columns, which are the image's."""
        down, across = map(str, self.image.dims[-2:])
        return down, across

    def regions(self) -> Iterator[Region]:
        """The blocks, as slices of the maps."""
        down, _ = self.axes
        starts = range(0, self.layout[down], self.rows)
        rows = [slice(start, min(start + self.rows, self.layout[down])) for start in starts]
        if FRAME not in self.layout:
            yield from ({down: each} for each in rows)
            return
        for frame, each in itertools.product(range(self.layout[FRAME]), rows):
            yield {FRAME: slice(frame, frame + 1), down: each}

    def count(self, region: Region) -> int:
        """How many windows a block has, those with missing pixels too."""
        down, across = self.axes
        return (region[down].stop - region[down].start) * self.layout[across]

    def part(self, region: Region) -> dict[str, slice]:
        """A block's part of the image, of one frame, as slices of the image's dimensions."""
        rows = region[self.axes[0]]
        first, last = rows.start * self.steps[0], (rows.stop - 1) * self.steps[0]
        part = {self.axes[0]: slice(first, last + self.window[0])}
        if FRAME in region:
            part[str(self.image.dims[0])] = region[FRAME]
        return part

    def lazy(self, region: Region) -> Any:
        """A block's part of the image as a Dask array; None if the image is none."""
        part = self.image.variable.isel(self.part(region))
        return None if part.chunks is None else part.data

    def read(self, region: Region) -> np.ndarray:
        """A block's part of the image, read now, over the image's dimensions."""
        return _read(self.image, self.part(region))

    def pixels(self, values: np.ndarray) -> np.ndarray:
        """What was read of the image, checked, and stretched as its windows are cut from it."""
        check_values(values, "the image", missing=True)
        patch = "patch" if self.normalize == "patch" else None

        def stretched(values: np.ndarray, channel: int) -> np.ndarray:
            if self.limits:
                return between(values, *self.limits[channel], self.normalize)
            return normalized(values, patch, "the image")

        return _each(values, self.image.dims, stretched)

    def patches(self, pixels: np.ndarray) -> Patches:
        """The windows of a block."""
        normalize = "patch" if self.normalize == "patch" else None  # the image's range: see pixels
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*windows are left out")  # told once, at the end
            channels = channel_coords(*channel_labels(self.image, CHANNEL))
            named = xr.DataArray(pixels, channels, self.image.dims)
            patches = extract_patches(
                named, self.window, self.steps, normalize, min_valid=self.min_valid
            )
        # That of the whole image: over fewer coordinates, the mean might differ by rounding.
        lengths = [pixel_size(self.image, dim) for dim in self.image.dims[-2:]]
        return replace(
            patches,
            normalize=self.normalize,
            pixel_size=tuple(size for size, _ in lengths),
            units=tuple(unit for _, unit in lengths),
            attrs=dict(self.image.attrs),
            power=self.power,
        )

    def without_image(self) -> "Blocks":
        """The same plan for another process, which is handed the pixels of its blocks."""
        import dask.array

        empty = dask.array.zeros(self.image.shape, self.image.dtype, chunks=-1)
        wide = [name for name, coord in self.image.coords.items() if coord.ndim > 1]
        return replace(self, image=self.image.drop_vars(wide).copy(data=empty))

    def sample(self, pixels: np.ndarray) -> Patches:
        """The first window of a block, zeros for its missing pixels."""
        patches = self.patches(np.nan_to_num(pixels))
        return patches.subset(torch.arange(1))

    def settings(self, first: np.ndarray) -> dict[str, Any]:
        """What tells this plan from others; the first block's pixels tell its image from others."""
        coords = [variable.values.astype(str) for variable in self.coords.values()]
        return {
            "image": [*self.image.shape, digest([first, *coords])],
            "step": list(self.steps),
            "normalize": self.normalize and str(self.normalize),
            "range": [list(limits) for limits in self.limits],
            "min_valid": self.min_valid,
            "rows": self.rows,
            **({} if self.power is None else {"power": self.power}),
        }


def plan_blocks(
    window: tuple[int, ...],
    image: Any,
    step: Step,
    normalize: Any,
    rows: int | None,
    min_valid: float = 0.5,
    overlap: str | None = None,
) -> Blocks:
    """What to cut out of an image, checked as far as can be without reading it.

    Args:
        window: height and width of the windows in pixels.
        image: an array of any kind, `height x width` or `frame x height x width`, or a DataArray
            that has channels too.
        step: pixels between windows along y and x, or None for half of the window.
        normalize: as for `extract_patches`.
        rows: rows of windows in a block, or None for a 32nd of all windows, though not fewer than
            8,000 nor more than 250,000.
        min_valid: as for `extract_patches`.
        overlap: likewise.

    Raises:
        DataError: if the windows make no sense for that image.

    Example:
        >>> blocks = plan_blocks((8, 8), np.zeros((20, 30)), 4, None, 2)
        >>> list(blocks.regions())
        [{'y': slice(0, 2, None)}, {'y': slice(2, 4, None)}]
    """
    if len(window) != 2:
        raise DataError(f"the model is for signals of {window[0]} samples, not for images")
    data = _lazy(image)
    normalize = checked_normalize(normalize)
    check_share(min_valid)
    check_overlap(overlap)
    extract_patches(np.zeros(window), window, step, normalize)  # does the step make sense?
    if not data.size:
        raise DataError(f"the image is empty: its shape is {data.shape}")
    check_window_fits(window, data.shape)
    halves = [size // 2 for size in window]
    steps = tuple(int(each) for each in np.broadcast_to(halves if step is None else step, 2))
    # Coordinates of the whole grid, from one column and one row of it: to place all windows would
    # take memory in proportion to their number.
    down, across = map(str, data.dims[-2:])
    plane = data.isel({CHANNEL: 0}, drop=True) if CHANNEL in data.dims else data
    column = on_grid(plane[..., : window[1]].drop_vars([across], errors="ignore"), window, steps)
    row = on_grid(plane[..., : window[0], :].drop_vars([down], errors="ignore"), window, steps)
    layout = {**column.layout, across: row.layout[across]}
    if rows is None:
        about = np.clip(math.prod(layout.values()) // _BLOCKS, *_PATCHES)
        rows = max(window[0], int(about) // layout[across])
    if not (isinstance(rows, Integral) and rows >= 1):
        raise DataError(f"rows must be a whole number of at least 1, got {rows!r}")
    rows = min(int(rows), layout[down])
    coords = {**column.coords, across: row.coords[across]}
    shares = (covered_share(part.starts, window) for part in (column, row))
    power = None if overlap is None else float(math.prod(shares))
    plan = Blocks(
        data, window, steps, normalize, min_valid, rows, layout, coords, power=power
    )  # fmt: skip
    if not of_all(normalize):
        return plan
    several = range(data.sizes[CHANNEL]) if CHANNEL in data.dims else ()
    found = []
    for channel in [data.isel({CHANNEL: number}) for number in several] or [data]:
        found.append(_limits(channel, rows * steps[0], normalize))
    return replace(plan, limits=found)


def _lazy(image: Any) -> xr.DataArray:
    """An image of which nothing is read yet."""
    image = from_library(image)
    in_memory = np.ndarray | torch.Tensor | xr.DataArray | xr.Dataset
    if hasattr(image, "shape") and not isinstance(image, in_memory):
        import dask.array

        if not isinstance(image, dask.array.Array):
            image = dask.array.from_array(image, name=False)  # a name of its own would read it all
        image = xr.DataArray(image)
    return as_image(image, channels=True)


def _read(image: xr.DataArray, pixels: Mapping[str, Any]) -> np.ndarray:
    """Some pixels, by slices of the dimensions."""
    return image.variable.isel(pixels).values


def _each(
    values: np.ndarray, dims: Sequence[Hashable], change: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Values with a change made to each channel, or to all where there are no channels."""
    if CHANNEL not in dims:
        return change(values, 0)
    axis = dims.index(CHANNEL)
    parts = np.moveaxis(values, axis, 0)
    return np.stack([change(part, number) for number, part in enumerate(parts)], axis)


def _limits(image: xr.DataArray, height: int, normalize: Normalize) -> Limits:
    """The values of one channel that become 0 and 1, of which so many rows are held at a time."""
    *lead, rows, _ = map(str, image.dims)
    frames = [{lead[0]: frame} for frame in range(image.shape[0])] if lead else [{}]
    hot = []

    def parts() -> Iterator[np.ndarray]:
        for frame, start in itertools.product(frames, range(0, image.shape[-2], height)):
            values = _read(image, {**frame, rows: slice(start, start + height)})
            check_values(values, "the image", missing=True)
            hot.append(int(hot_pixels(values).sum()) if normalize == "image" else 0)
            yield values

    found = limits(parts(), image.size, normalize)
    if sum(hot):
        where = f"in channel {image[CHANNEL].item()!r}, " if CHANNEL in image.coords else ""
        warnings.warn(f"{where}{sum(hot)} pixels lie far beyond all others: {REMEDY}", stacklevel=4)
    return found


def digest(arrays: Iterable[np.ndarray]) -> str:
    """A text that changes with any value of some arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return sha.hexdigest()

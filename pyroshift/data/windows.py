"""Where windows are cut: on a grid, or around positions; and how they are gathered."""

import math
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pyroshift.data.atoms import ATOM, FRAME, pixel_positions
from pyroshift.data.checks import check_index, check_name, pixel_size, plain
from pyroshift.errors import DataError, MissingPixelsError

_FRAME_INDEX = "index of the frame"


@dataclass(frozen=True)
class Placement:
    """Windows placed in an image or a stack.

    Args:
        starts: `patch x 3`: frame, and first pixel along y and x, of each window; int32, or float
            where windows start between pixels.
        layout: for each dimension of the patches, its name and size.
        coords: coordinates over these dimensions: the centres in the image's units, and frames.
        axes: names of the coordinates along the image's rows and columns.
    """

    starts: np.ndarray
    layout: dict[str, int]
    coords: dict[str, xr.Variable]
    axes: tuple[str, ...] = ("y", "x")


def on_grid(
    data: xr.DataArray, window: tuple[int, ...], step: int | Sequence[int] | None
) -> Placement:
    """Windows on a grid, whole ones only.

    Args:
        data: `height x width` or `frame x height x width`.
        window: height and width of the windows, pixels.
        step: pixels between windows, or a pair along y and x; by default half of the window.

    Raises:
        DataError: if the step isn't a whole number of at least 1.

    Example:
        >>> on_grid(xr.DataArray(np.zeros((10, 10)), dims=("y", "x")), (4, 4), 3).layout
        {'y': 3, 'x': 3}
    """
    steps = _steps(step, window)
    along = [
        np.arange(0, extent - size + 1, jump, dtype=np.int32)
        for extent, size, jump in zip(data.shape[-2:], window, steps, strict=True)
    ]
    frames = np.arange(_frames(data), dtype=np.int32)
    starts = np.stack(np.meshgrid(frames, *along, indexing="ij"), -1).reshape(-1, 3)
    axes = tuple(map(str, data.dims[-2:]))  # as the user calls them
    for name in axes:
        check_name(name)
    layout = dict(zip(axes, map(len, along), strict=True))
    coords = {
        name: _centres(data, name, first, size, name, name)
        for name, first, size in zip(axes, along, window, strict=True)
    }
    if data.ndim == 3:
        layout = {"frame": len(frames), **layout}
        coords["frame"] = _frame_labels(data, data.dims[0])
    return Placement(starts, layout, coords, axes)


def around(
    data: xr.DataArray, window: tuple[int, ...], positions: Any, whole_pixels: bool = True
) -> Placement:
    """Windows around positions; those that would leave the image are left out.

    Args:
        data: `height x width` or `frame x height x width`.
        window: height and width of the windows, pixels.
        positions: `position x 2` (y, x), or `position x 3` (frame, y, x), pixels; or a Dataset of
            atoms, whose other coordinates go with them.
        whole_pixels: whether windows start at whole pixels, or exactly where the positions ask for.

    Returns:
        The windows, along "atom". The coordinates are the centres of the windows as they are cut,
        so that coordinate plus offset is where the motif is.

    Raises:
        DataError: if the positions make no sense, or no window fits.

    Example:
        >>> image = xr.DataArray(np.zeros((10, 10)), dims=("y", "x"))
        >>> around(image, (3, 3), [[4.2, 5]]).starts
        array([[0, 3, 4]], dtype=int32)
        >>> around(image, (3, 3), [[4.2, 5]], whole_pixels=False).starts
        array([[0. , 3.2, 4. ]])
    """
    atoms = _as_atoms(positions)
    pixels = positions if atoms is None else pixel_positions(atoms, data)
    starts = _check_positions(pixels, _frames(data))
    starts[:, 1:] -= (np.array(window) - 1) / 2
    if whole_pixels:
        # Halves go up, so that windows of an even size keep their distances.
        starts = np.floor(starts + 0.5)
    last = np.array([_frames(data) - 1, *(np.array(data.shape[-2:]) - window)])
    inside = ((starts >= 0) & (starts <= last)).all(axis=1)
    if not inside.any():
        raise DataError(
            f"no window of {window} around the {len(starts)} positions lies inside the image "
            f"{data.shape[-2:]}: positions are (y, x) in pixels"
        )
    if left_out := int((~inside).sum()):
        warnings.warn(
            f"{left_out} of {len(starts)} positions are left out: their windows of {window} "
            "would leave the image",
            stacklevel=3,
        )
    starts = starts[inside].astype(np.int32 if whole_pixels else float)
    coords = {
        ATOM: xr.Variable(ATOM, np.flatnonzero(inside), {"long_name": "index of the position"}),
        FRAME: xr.Variable(ATOM, starts[:, 0].astype(np.int32), {"long_name": _FRAME_INDEX}),
        **({} if atoms is None else _along_atoms(atoms, np.flatnonzero(inside))),
    }
    for axis, (letter, name) in enumerate(zip("yx", data.dims[-2:], strict=True)):
        along = starts[:, 1 + axis]
        coords[letter] = _centres(data, name, along, window[axis], letter, ATOM)
    return Placement(starts, {ATOM: len(starts)}, coords)


def _as_atoms(positions: Any) -> xr.Dataset | xr.DataArray | None:
    """Positions that are labelled atoms; None for plain numbers."""
    labelled = isinstance(positions, xr.Dataset) or (
        isinstance(positions, xr.DataArray) and {"y", "x"} <= set(positions.coords)
    )
    return positions if labelled else None


def _along_atoms(atoms: xr.Dataset | xr.DataArray, index: np.ndarray) -> dict[str, xr.Variable]:
    """What else is known of some atoms, such as their tracks.

    Raises:
        DataError: if a coordinate has the name of something in the results.
    """
    own = (FRAME, "y", "x")
    others = [name for name in atoms.coords if atoms[name].dims == (ATOM,) and name not in own]
    for name in others:
        check_name(name)
    return {str(name): plain(atoms[name][index]) for name in others}


def gather(source: Tensor, starts: Tensor, window: tuple[int, ...]) -> Tensor:
    """Windows copied out of a source.

    Args:
        source: `frame x height x width` or `signal x length`; with channels `frame x channel x
            height x width` or `signal x channel x length`.
        starts: `batch x (1 + axes)`: frame, and first pixel along each axis, of each window.
        window: sizes of the windows, pixels.

    Returns:
        `batch x window`, or with channels `batch x channel x window`.

    Example:
        >>> gather(torch.arange(10).reshape(1, 10), torch.tensor([[0, 2], [0, 7]]), (3,))
        tensor([[2, 3, 4],
                [7, 8, 9]])
    """
    # Older versions of torch can't index counts of 16 bits without a sign.
    unsigned = source.dtype == torch.uint16
    view, axes = source.view(torch.int16) if unsigned else source, len(window)
    for axis, size in enumerate(window, start=source.dim() - axes):
        view = view.unfold(axis, size, 1)
    frame, *first = starts.long().unbind(-1)
    every: list[Any] = [slice(None)] * (source.dim() - 1 - axes)  # channel
    found = view[(frame, *every, *first)]
    return found.view(torch.uint16) if unsigned else found


def check_share(min_valid: Any) -> None:
    """Raise a DataError unless this is a share of a window's pixels.

    Example:
        >>> check_share(0.5)
    """
    if not (isinstance(min_valid, int | float | np.number) and 0 < min_valid <= 1):
        raise DataError(
            "min_valid must be the least share of a window's pixels that are there, above 0 and "
            f"at most 1; got {min_valid!r}"
        )


def with_enough_pixels(
    source: Tensor, starts: Tensor, window: tuple[int, ...], min_valid: float
) -> tuple[Tensor | None, bool]:
    """Which windows miss few enough pixels, with a warning that counts the others.

    Args:
        source: as for `gather`, NaN where pixels are missing; in the host's memory.
        starts: `patch x (1 + axes)`: frame, and first pixel along each axis, of each window.
        window: sizes of the windows, pixels.
        min_valid: least share of a window's pixels that are there, in every channel.

    Returns:
        Which they are, or None for all; and whether none of these misses any.

    Raises:
        MissingPixelsError: if there are none.

    Example:
        >>> starts = torch.tensor([[0, 0, 0], [0, 2, 2]])
        >>> with_enough_pixels(torch.zeros(1, 4, 4), starts, (2, 2), 0.5)
        (None, True)
    """
    values = source.numpy()  # several times as fast as torch
    if not np.isnan(values.min()):  # which takes no memory
        return None, True
    missing = torch.from_numpy(np.isnan(values))
    # Counted axis by axis, for windows that start anywhere: they are never held themselves.
    counts, axes = missing.int(), len(window)
    for axis, size in enumerate(window, start=source.dim() - axes):
        counts = counts.unfold(axis, size, 1).sum(-1, dtype=torch.int)
    lost = gather(counts, starts, (1,) * axes).reshape(len(starts), -1)
    size = math.prod(window)
    kept = ((size - lost).double() / size >= min_valid).all(1)
    complete = not lost[kept].any()
    if kept.all():
        return None, complete
    share = f"{int(missing.sum())} of {missing.numel()} are NaN"
    least = "" if min_valid == 1 else f", and less than {min_valid:.0%} that are there"
    if not kept.any():
        raise MissingPixelsError(
            f"every window holds missing pixels{least} ({share}): fill them, or choose a smaller "
            "window or a lower min_valid"
        )
    warnings.warn(
        f"{int((~kept).sum())} of {len(starts)} windows are left out: they hold missing pixels"
        f"{least} ({share}); maps will be NaN there",
        stacklevel=3,
    )
    return kept, complete


def _frames(data: xr.DataArray) -> int:
    return len(data) if data.ndim == 3 else 1


def _steps(step: int | Sequence[int] | None, window: tuple[int, ...]) -> tuple[int, ...]:
    if step is None:
        return tuple(max(size // 2, 1) for size in window)
    steps = tuple(step) if isinstance(step, Sequence) else (step, step)
    if len(steps) != 2 or not all(isinstance(s, int | np.integer) and s >= 1 for s in steps):
        raise DataError(f"step must be a number of pixels, at least 1, or a pair; got {step!r}")
    return tuple(int(s) for s in steps)


def _centres(
    data: xr.DataArray, name: Hashable, starts: np.ndarray, size: int, axis: str, dim: str
) -> xr.Variable:
    """Coordinate of the windows' centres along one axis, in the image's units."""
    spacing, unit = pixel_size(data, name)
    origin = float(data[name][0]) if name in data.coords else 0.0
    values = origin + (starts + (size - 1) / 2) * spacing
    return xr.Variable(dim, values, {"units": unit, "long_name": f"{axis} of the window's centre"})


def _frame_labels(data: xr.DataArray, name: Hashable) -> xr.Variable:
    """The frames' own labels, or their indices."""
    check_index(data, name)
    if name not in data.coords:
        return xr.Variable(FRAME, np.arange(data.sizes[name]), {"long_name": _FRAME_INDEX})
    labels = plain(data[name])
    return xr.Variable(FRAME, labels.values, {"long_name": "frame", **labels.attrs})


def _check_positions(positions: Any, frames: int) -> np.ndarray:
    """Positions as `position x 3` (frame, y, x)."""
    try:
        centres = np.array(positions, dtype=float)  # a copy, which is moved
    except (TypeError, ValueError) as error:
        raise DataError(f"positions must be numbers: {error}") from error
    if not centres.size:
        raise DataError("there are no positions to cut windows around")
    if centres.ndim != 2 or centres.shape[1] not in (2, 3):
        raise DataError(
            f"positions must be `position x 2` (y, x) or `position x 3` (frame, y, x), got shape "
            f"{centres.shape}"
        )
    if not np.isfinite(centres).all():
        raise DataError("positions must be finite numbers")
    if centres.shape[1] == 2:
        if frames > 1:
            raise DataError(
                f"positions must be `position x 3` (frame, y, x), as the stack has {frames} frames"
            )
        return np.column_stack((np.zeros(len(centres)), centres))
    if (centres[:, 0] != np.rint(centres[:, 0])).any():
        raise DataError("the frames of positions (frame, y, x) must be whole numbers")
    return centres

"""Where windows are in their image, which of them overlap, and blocks of neighbours."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from pyroshift import names
from pyroshift.data.atoms import FRAME
from pyroshift.errors import DataError

_TOUCHING = 1e-3  # pixels, by which coordinates are rounded


def window_places(patches: Any) -> np.ndarray | None:
    """Where each window is: its frame, and its centre along each axis in pixels.

    Args:
        patches: `Patches`, or what else gathers batches.

    Returns:
        `patch x (1 + axes)`; None where nothing says so, as for windows that were given one by one.

    Example:
        >>> from pyroshift import extract_patches
        >>> window_places(extract_patches(np.zeros((8, 12)), window=8, step=2)).tolist()
        [[0.0, 3.5, 3.5], [0.0, 3.5, 5.5], [0.0, 3.5, 7.5]]
    """
    coords, axes = getattr(patches, "coords", {}), getattr(patches, "window_dims", ())
    if not axes or not all(name in coords for name in axes):
        return None
    columns = [_spread(patches, FRAME) if FRAME in coords else np.zeros(len(patches.positions))]
    columns[0] = np.unique(columns[0], return_inverse=True)[1].astype(float)
    for name, size in zip(axes, patches.pixel_size, strict=True):
        columns.append(_spread(patches, name).astype(float) / abs(size))
    return np.column_stack(columns)


def any_overlap(places: np.ndarray, window: Sequence[int]) -> bool:
    """Whether any two windows of a frame have pixels in common.

    Args:
        places: `patch x (1 + axes)`, from `window_places`.
        window: sizes of the windows, pixels.

    Example:
        >>> any_overlap(np.array([[0, 3.5], [0, 11.5], [1, 5.0]]), [8])
        False
    """
    cells = tiles(places, window)
    found, first = np.unique(cells, axis=0, return_index=True)
    if len(found) < len(cells):
        return True
    place_of = {tuple(cell): places[row] for cell, row in zip(found.tolist(), first, strict=True)}
    for cell, place in place_of.items():
        for move in product((-1, 0, 1), repeat=len(window)):
            near = (cell[0], *(at + step for at, step in zip(cell[1:], move, strict=True)))
            if near > cell and near in place_of:
                distance = np.abs(place_of[near][1:] - place[1:])
                if (distance < np.array(window) - _TOUCHING).all():
                    return True
    return False


def check_overlap(overlap: Any) -> None:
    """Raise a DataError unless this says how pixels count that several windows hold.

    Example:
        >>> check_overlap("once")
    """
    if overlap is not None and overlap not in names.OVERLAPS:
        raise DataError(
            f"overlap must be {names.OVERLAPS[0]!r}, for each pixel to count once, or None, for it "
            f"to count in every window that holds it; got {overlap!r}"
        )


def covered_share(starts: np.ndarray, window: Sequence[int]) -> Fraction:
    """Pixels that windows cover, as a share of all pixels that they hold: 1 where none overlap.

    Windows each of which counts by that share count together as what they cover. On a grid that
    isn't small, it is the product of step over window along the axes.

    Args:
        starts: `patch x (1 + axes)`: frame, and first pixel along each axis, of each window.
        window: sizes of the windows, pixels.

    Example:
        >>> covered_share(np.array([[0, 0], [0, 5], [0, 5], [1, 5]]), [10])  # 15 and 10 of 40
        Fraction(5, 8)
    """
    axes = len(window)
    order = np.argsort(starts[:, 0], kind="stable")
    first = np.floor(starts[order, 1:] + 0.5).astype(int)
    covered = 0
    for own in np.split(first, np.flatnonzero(np.diff(starts[order, 0])) + 1):
        own = own - own.min(0)
        # Where a window begins it counts one more, and where it ends one less: summed up, how many
        # windows hold each pixel.
        counts = np.zeros(own.max(0) + np.array(window) + 1, np.int32)
        for corner in product((0, 1), repeat=axes):
            np.add.at(counts, tuple((own + np.multiply(corner, window)).T), (-1) ** sum(corner))
        for axis in range(axes):
            np.cumsum(counts, axis, out=counts)
        covered += int(np.count_nonzero(counts))
    return Fraction(covered, len(starts) * math.prod(window))


def tiles(places: np.ndarray, sizes: Sequence[float]) -> np.ndarray:
    """Frame, and number along each axis, of the tile of a plane that each place is in.

    Args:
        places: `patch x (1 + axes)`.
        sizes: of the tiles along each axis, pixels; the first begins at the first place.

    Returns:
        `patch x (1 + axes)`, whole numbers.

    Example:
        >>> tiles(np.array([[0, 3.5], [0, 11.0], [0, 11.5]]), [8]).tolist()
        [[0, 0], [0, 0], [0, 1]]
    """
    along = places[:, 1:] - places[:, 1:].min(0)
    numbers = np.floor((along + _TOUCHING) / np.asarray(sizes))
    return np.column_stack([places[:, :1], numbers]).astype(int)


def _spread(patches: Any, name: str) -> np.ndarray:
    """A coordinate's value of each patch."""
    values = patches.coords[name].set_dims(patches.layout).values
    return np.asarray(values.reshape(-1)[patches.positions])

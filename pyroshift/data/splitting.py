"""Windows to train on, and windows that hold none of their pixels."""

from itertools import product
from numbers import Integral, Real

import numpy as np
import torch

from pyroshift.data.gathering import Patches
from pyroshift.data.neighbours import tiles, window_places
from pyroshift.errors import DataError

_WINDOWS = 3  # of a tile's side, by default


def split_patches(
    patches: Patches, held_out: float = 0.2, *, block: int | None = None, seed: int = 0
) -> tuple[Patches, Patches]:
    """Patches to train on, and patches held out, no window of which shares a pixel with the former.

    Windows that overlap are no news to each other: of single windows held out at random from a
    dense grid, a model has seen nearly all pixels. So the image is laid out with square tiles, some
    are held out, in all frames alike, and windows that lie across the border of these are in
    neither part. Patches without a place in an image, as signals, are held out one by one.

    Args:
        patches: windows of an image or a stack, or signals.
        held_out: share of the tiles that is held out.
        block: side of a tile in pixels; by default three times the window's longer side. The
            smaller, the better spread, and the more windows are in neither part.
        seed: of the choice.

    Returns:
        Those to train on, and those held out, in the layout of all: maps are NaN elsewhere.

    Raises:
        DataError: if these are no patches, a number makes no sense, or either part is empty.

    Example:
        >>> from pyroshift import extract_patches
        >>> cut = extract_patches(np.zeros((64, 64)), window=8, step=4)
        >>> training, held_out = split_patches(cut)
        >>> len(cut), len(training), len(held_out)
        (225, 155, 45)
    """
    if not isinstance(patches, Patches):
        raise DataError(f"expected Patches, got {type(patches).__name__}: see extract_patches")
    if not (isinstance(held_out, Real) and 0 < held_out < 1):
        raise DataError(f"held_out must be a share between 0 and 1, got {held_out!r}")
    side = _WINDOWS * max(patches.window) if block is None else block
    if not (isinstance(side, Integral) and side >= max(patches.window)):
        raise DataError(
            f"block must be a whole number of pixels, at least the window's {max(patches.window)}; "
            f"got {block!r}"
        )
    random = np.random.default_rng(seed)
    places = window_places(patches)
    if places is None:
        outside = _chosen(len(patches), held_out, random)
        inside = ~outside
    else:
        inside, outside = _by_tiles(places, patches.window, int(side), held_out, random)
    if not inside.any() or not outside.any():
        raise DataError(
            f"tiles of {side} pixels leave {int(inside.sum())} windows to train on and "
            f"{int(outside.sum())} held out: take a smaller block, or another image to hold out"
        )
    return patches.subset(torch.from_numpy(inside)), patches.subset(torch.from_numpy(outside))


def _chosen(count: int, share: float, random: np.random.Generator) -> np.ndarray:
    """Which of so many are held out, at least one."""
    chosen = np.zeros(count, bool)
    chosen[random.permutation(count)[: max(1, round(share * count))]] = True
    return chosen


def _by_tiles(
    places: np.ndarray,
    window: tuple[int, ...],
    side: int,
    share: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Which windows touch no tile that is held out, and which lie within such tiles."""
    reach = (np.array(window) - 1) / 2  # from a window's centre to the middle of its last pixel
    corners = [reach * signs for signs in product((-1, 1), repeat=len(window))]
    moved = [places + np.concatenate([[0.0], corner]) for corner in corners]
    touched = tiles(np.concatenate(moved), [side] * len(window))[:, 1:]
    every, number = np.unique(touched, axis=0, return_inverse=True)
    held = _chosen(len(every), share, random)[number.reshape(len(corners), -1)]
    return np.asarray(~held.any(0)), np.asarray(held.all(0))

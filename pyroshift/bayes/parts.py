"""Patches part by part, each a block of their layout, so that draws needn't all be in memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from pyroshift.data.patches import Patches


@dataclass(frozen=True)
class Part:
    """Some patches that fill a block of the layout, but for gaps.

    Args:
        region: the block, as a slice of each dimension of the layout.
        shape: its sizes.
        index: which patches these are.
        places: where in the flattened block each belongs.
    """

    region: dict[str, slice]
    shape: tuple[int, ...]
    index: Tensor
    places: np.ndarray

    def laid_out(self, values: np.ndarray, first: int) -> np.ndarray:
        """Values of the patches over the block, NaN where there is no patch.

        Args:
            values: `... x patch x ...`.
            first: number of axes before that of the patches.
        """
        before, after = values.shape[:first], values.shape[first + 1 :]
        full = np.full((*before, math.prod(self.shape), *after), np.nan, np.float32)
        full[(slice(None),) * first + (self.places,)] = values
        return full.reshape(*before, *self.shape, *after)


def first_of(patches: Patches, count: int) -> Part:
    """So many of the first patches, as a part that fills the whole layout.

    Args:
        patches: the patches.
        count: how many of them.
    """
    region = {name: slice(0, size) for name, size in patches.layout.items()}
    shape = tuple(patches.layout.values())
    return Part(region, shape, torch.arange(count), patches.positions[:count])


def parts_of(patches: Patches, most: int) -> Iterator[Part]:
    """The patches in parts of at most so many, in the order of the layout; none empty.

    Args:
        patches: the patches.
        most: patches in a part.

    Example:
        >>> from pyroshift import extract_patches
        >>> patches = extract_patches(np.zeros((12, 16)), window=4, step=4)
        >>> [part.region for part in parts_of(patches, 8)]
        [{'y': slice(0, 2, None), 'x': slice(0, 4, None)},
         {'y': slice(2, 3, None), 'x': slice(0, 4, None)}]
    """
    names, sizes = list(patches.layout), list(patches.layout.values())
    axis = next(axis for axis in range(len(sizes)) if math.prod(sizes[axis + 1 :]) <= most)
    inner = math.prod(sizes[axis + 1 :])
    step = max(1, most // max(inner, 1))
    order = np.argsort(patches.positions, kind="stable")
    positions = patches.positions[order]
    for number, outer in enumerate(product(*map(range, sizes[:axis]))):
        for low in range(0, sizes[axis], step):
            high = min(low + step, sizes[axis])
            start, stop = ((number * sizes[axis] + edge) * inner for edge in (low, high))
            first, last = np.searchsorted(positions, [start, stop])
            if first == last:
                continue
            slices = [*(slice(at, at + 1) for at in outer), slice(low, high)]
            slices += [slice(0, size) for size in sizes[axis + 1 :]]
            yield Part(
                dict(zip(names, slices, strict=True)),
                tuple(each.stop - each.start for each in slices),
                torch.from_numpy(order[first:last]),
                positions[first:last] - start,
            )

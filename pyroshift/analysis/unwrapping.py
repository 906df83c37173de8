"""Positions that are known up to whole lattice vectors, made continuous over a grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyroshift.errors import DataError

Array = NDArray[Any]

# Windows of a lattice that is known differ by less from their neighbours, in halves of its shortest
# vector; of places that have nothing to do with it, half do by 0.8.
LARGEST_STEP = 0.5


def nearest_cell(moves: Array, vectors: Array) -> Array:
    """The shortest of the vectors that differ from some by whole lattice vectors.

    Args:
        moves: ... x axis.
        vectors: vector x axis, the two shortest that span the lattice.

    Example:
        >>> nearest_cell(np.array([11.0, -1.0]), 12 * np.eye(2)).tolist()
        [-1.0, -1.0]
    """
    rest = moves - np.round(moves @ np.linalg.inv(vectors)) @ vectors
    # Rounding finds a corner of the right cell; the nearest may be one of its neighbours.
    steps = (np.indices((3, 3)).reshape(2, -1).T - 1) @ vectors
    choices = rest[..., None, :] - steps
    best = np.argmin((choices**2).sum(-1), -1)
    return np.take_along_axis(choices, best[..., None, None], -2)[..., 0, :]


def neighbour_steps(places: Array, vectors: Array) -> tuple[Array, Array]:
    """How the displacement changes from each window to the next below it and beside it.

    Args:
        places: height x width x axis, where motifs are; NaN where that isn't known.
        vectors: vector x axis, the two shortest of the lattice.

    Returns:
        `height - 1 x width x axis` and `height x width - 1 x axis`: changes of less than half of a
        cell, whichever cells the places are in.

    Example:
        >>> down, beside = neighbour_steps(np.array([[[0.0, 0], [0, 13]], [[9, 1], [9, 12]]]),
        ...                                12 * np.eye(2))
        >>> beside.tolist()
        [[[0.0, 1.0]], [[0.0, -1.0]]]
    """
    return (
        nearest_cell(np.diff(places, axis=0), vectors),
        nearest_cell(np.diff(places, axis=1), vectors),
    )


def check_steps(places: Array, vectors: Array) -> None:
    """Raise a DataError if motifs change from window to window as on a lattice with other vectors.

    Args:
        places: height x width x axis, where motifs are; NaN where that isn't known.
        vectors: vector x axis, the two shortest of the lattice.
    """
    moves = np.concatenate([np.diff(places, axis=axis).reshape(-1, 2) for axis in (0, 1)])
    moves = moves[np.isfinite(moves).all(1)]
    if not len(moves):
        raise DataError("no two neighbouring windows have offsets: there is nothing to unwrap")
    half = np.linalg.norm(vectors, axis=1).min() / 2
    # Neighbours mostly see the same motif, which says nothing of the lattice.
    other = np.linalg.norm(moves, axis=1) > half
    steps = nearest_cell(moves[other] if other.any() else moves, vectors)
    typical = float(np.median(np.linalg.norm(steps, axis=1))) / half
    if typical > LARGEST_STEP:
        raise DataError(
            f"from one motif to the next, displacements jump by {typical:.0%} of what still tells "
            "one cell from the next: these aren't the lattice's vectors, which are (y, x) and in "
            "pixels unless they have units; or the windows show no lattice"
        )


def unwrapped(places: Array, vectors: Array) -> Array:
    """The displacement of all windows from that of the first, height x width x axis.

    It is put together from steps between windows that are next to each other in a row or a column,
    along the tree that takes as few large ones as can be, so that what is noisy or torn is gone
    round, and gaps are only crossed where nothing else leads to the other side.

    Args:
        places: height x width x axis, where motifs are; NaN where that isn't known.
        vectors: vector x axis, the two shortest of the lattice.

    Example:
        >>> field = np.stack(np.indices((3, 4)), -1) * 2.0
        >>> found = unwrapped(field % 5, 5 * np.eye(2))
        >>> bool(np.ptp(found - field, axis=(0, 1)).max() == 0)
        True
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, connected_components
    from scipy.sparse.csgraph import minimum_spanning_tree as spanning_tree

    flat = places.reshape(-1, 2)
    known = np.asarray(np.isfinite(flat).all(1))
    start, end, gap = _next_to_each_other(known.reshape(places.shape[:2]))
    length = np.linalg.norm(nearest_cell(flat[end] - flat[start], vectors), axis=1)
    longest = length.max(initial=0.0) or 1.0
    cost = length + longest * (1e-9 + 2 * gap)  # as zeros would be no steps
    tree = spanning_tree(coo_matrix((cost, (start, end)), (len(flat), len(flat))))
    field = np.full(flat.shape, np.nan)
    first = flat[np.argmax(known)]
    _, part = connected_components(tree, directed=False)
    for root in np.flatnonzero(known)[np.unique(part[known], return_index=True)[1]]:
        order, before = breadth_first_order(tree, root, directed=False)
        field[root] = nearest_cell(flat[root] - first, vectors)
        steps = nearest_cell(flat[order[1:]] - flat[before[order[1:]]], vectors)
        for node, previous, step in zip(order[1:], before[order[1:]], steps, strict=True):
            field[node] = field[previous] + step
    return field.reshape(places.shape)


def _next_to_each_other(known: Array) -> tuple[Array, Array, Array]:
    """Numbers of windows that follow each other in a row or a column, and how many miss between."""
    number = np.arange(known.size).reshape(known.shape)
    starts, ends, gaps = [], [], []
    for there, numbers in ((known, number), (known.T, number.T)):
        line, place = np.nonzero(there)
        follows = line[1:] == line[:-1]
        own = numbers[line, place]
        starts.append(own[:-1][follows])
        ends.append(own[1:][follows])
        gaps.append((np.diff(place) - 1)[follows])
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(gaps)


def residues(down: Array, beside: Array, vectors: Array) -> Array:
    """What steps around every four windows add up to, in lattice vectors: 0 but at dislocations.

    Args:
        down: height - 1 x width x axis.
        beside: height x width - 1 x axis.
        vectors: vector x axis.

    Returns:
        `height - 1 x width - 1 x vector`, whole numbers, going beside first and then down; NaN
        where one of the four isn't known.

    Example:
        >>> field = np.zeros((2, 2, 2))
        >>> residues(np.diff(field, axis=0), np.diff(field, axis=1), np.eye(2)).tolist()
        [[[0.0, 0.0]]]
    """
    around = beside[:-1] + down[:, 1:] - beside[1:] - down[:, :-1]
    return np.round(around @ np.linalg.inv(vectors)) + 0.0  # without negative zeros

"""The vectors of a lattice, read off the positions of its atoms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyroshift.errors import DataError

Array = NDArray[Any]

FEWEST_ATOMS = 9  # of which a lattice can be found
NEIGHBOURS = 32  # of each atom, among which its nearest equivalents must be
RADIUS = 0.2  # of the spacing of atoms, within which two differences are the same;
STRAIN = 0.08  # or of their length where that is more, but not beyond
LARGEST_RADIUS = 0.4
ALIKE = 0.75  # of the most common difference's share, for another to be of the lattice too
LEAST_SHARE = 0.25  # of the atoms that the most common difference leads to another
LEAST_SINE = 0.3  # of the angle between two directions that count as different
_BINS = 10  # per spacing of atoms
_SAME_AREA = 1.2  # ratio of the areas of two cells that are alike


def spacing(positions: Sequence[Array]) -> float:
    """Median distance of an atom to its nearest neighbour.

    Args:
        positions: atom x axis, of each frame.
    """
    from scipy.spatial import KDTree

    nearest = [KDTree(frame).query(frame, 2)[0][:, 1] for frame in positions if len(frame) > 1]
    return float(np.median(np.concatenate(nearest))) if nearest else 0.0


def find_vectors(positions: Sequence[Array]) -> Array:
    """The two shortest vectors that lead from atoms to atoms all over the lattice.

    From an atom of a crystal, any lattice vector leads to another atom; a vector between two of
    the atoms in a cell does so from some of the atoms only. So the vectors are sought among the
    most common differences between neighbours. Of several grains it is the largest's.

    Args:
        positions: atom x axis; those of each frame, or of each sublattice of a frame, apart.

    Returns:
        vector x axis; the first along y rather than the second, both with positive signs there.

    Raises:
        DataError: if no lattice is seen.

    Example:
        >>> rows = np.indices((6, 6)).reshape(2, -1).T
        >>> find_vectors([rows * [3.0, 2.0]]).tolist()
        [[3.0, 0.0], [0.0, 2.0]]
    """
    found, share = _common_differences(positions)
    chosen = found[share >= max(ALIKE * share.max(initial=0.0), LEAST_SHARE)]
    first, second = np.triu_indices(len(chosen), 1)
    pairs = np.stack([chosen[first], chosen[second]], 1)
    lengths = np.linalg.norm(pairs, axis=2)
    area = np.abs(np.linalg.det(pairs))
    # Vectors of two grains have no sum that leads to an atom too.
    good = (area > LEAST_SINE * lengths.prod(1)) & _closed(pairs, chosen, spacing(positions))
    if not good.any():
        raise DataError(
            "the atoms show no lattice: no two vectors lead from most of them to others; give the "
            "lattice's vectors, such as suggest_window(image).vectors, or check the positions"
        )
    pairs, lengths, area = pairs[good], lengths[good], area[good]
    size = np.where(area < _SAME_AREA * area.min(), np.sum(lengths**2, axis=1), np.inf)
    return _in_order(pairs[np.argmin(size)])


def _common_differences(positions: Sequence[Array]) -> tuple[Array, Array]:
    """Differences between neighbours that are common, and from what share of the atoms.

    Returns:
        difference x axis, and the shares, as if the atoms had no outer edge.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter
    from scipy.spatial import KDTree

    differences, distances = _differences(positions)
    if not len(differences):
        return np.empty((0, 2)), np.empty(0)
    unit, reach = spacing(positions), float(np.median(distances))
    count = int(np.ceil(_BINS * reach / max(unit, reach / 50)))
    edges = np.linspace(-reach, reach, 2 * count + 2)
    density = np.histogram2d(differences[:, 0], differences[:, 1], bins=[edges, edges])[0]
    density = gaussian_filter(density, RADIUS * _BINS / 2, mode="constant")
    peaks = (density == maximum_filter(density, _BINS // 2)) & (density > 0)
    centres = np.argwhere(peaks) * (edges[1] - edges[0]) + (edges[0] + edges[1]) / 2
    tree = KDTree(differences)
    members = tree.query_ball_point(centres, _radius(centres, unit))
    found = np.array([differences[part].mean(0) for part in members if part]).reshape(-1, 2)
    counts = tree.query_ball_point(found, _radius(found, unit), return_length=True)
    return found, counts / _starting_points(found, positions)


def _differences(positions: Sequence[Array]) -> tuple[Array, Array]:
    """Differences of all atoms to their neighbours, and the distance of the farthest of these."""
    from scipy.spatial import KDTree

    differences, reach = [np.empty((0, 2))], [np.empty(0)]
    for part in positions:
        if len(part) >= FEWEST_ATOMS:
            distance, neighbour = KDTree(part).query(part, min(NEIGHBOURS + 1, len(part)))
            differences.append((part[neighbour[:, 1:]] - part[:, None]).reshape(-1, 2))
            reach.append(distance[:, -1])
    return np.concatenate(differences), np.concatenate(reach)


def _starting_points(differences: Array, positions: Sequence[Array]) -> Array:
    """How many atoms are far enough from the edge for each difference to end among the others."""
    count = np.zeros(len(differences))
    for part in positions:
        if len(part) >= FEWEST_ATOMS:
            side = np.ptp(part, axis=0) * (1 + 1 / np.sqrt(len(part)))
            within = np.clip(1 - np.abs(differences) / np.maximum(side, 1e-300), 0, 1)
            count += len(part) * within.prod(1)
    return np.maximum(count, FEWEST_ATOMS)


def _radius(differences: Array, unit: float) -> Array:
    """How far from a difference those like it may be, which grows with the strain."""
    strained = STRAIN * np.linalg.norm(differences, axis=-1)
    return np.clip(strained, RADIUS * unit, LARGEST_RADIUS * unit)


def _closed(pairs: Array, chosen: Array, unit: float) -> Array:
    """Whether the sum or the difference of each pair is among the chosen vectors too."""
    from scipy.spatial import KDTree

    both = np.stack([pairs.sum(1), pairs[:, 0] - pairs[:, 1]], 1)
    if not len(both):
        return np.zeros(0, bool)
    return (KDTree(chosen).query(both)[0] < _radius(both, unit)).any(1)


def _in_order(vectors: Array) -> Array:
    """The vector along y first, and both pointing to larger y or x."""
    first = int(np.argmax(np.abs(vectors[:, 0]) / np.linalg.norm(vectors, axis=1)))
    ordered = vectors[[first, 1 - first]]
    return ordered * np.where(np.diagonal(ordered) < 0, -1.0, 1.0)[:, None] + 0.0

"""Positions of atoms by fits, and how offsets agree with them: pure functions."""

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from benchmarks.common.atoms import disc
from benchmarks.common.metrics import Array
from pyroshift import synthetic


def fit_atoms(image: Array, maxima: Array, radius: float) -> Array:
    """Positions of atoms (atom x axis): a Gaussian is fitted around each maximum.

    Its widths along y and x, its height and the level around it are free. Maxima near the border
    are left out, and fits that went away, or to another shape than a peak's.
    """
    edge = int(np.ceil(radius))
    near = np.argwhere(disc(radius)) - edge
    inside = ((maxima >= edge) & (maxima < np.array(image.shape) - edge)).all(1)
    atoms = []
    for maximum in maxima[inside]:
        values = image[tuple((maximum + near).T)]
        scale = values.std() or 1.0
        start = np.array([0.0, 0.0, np.log(radius / 2), np.log(radius / 2), 2.0, -1.0])
        data = (values - values.mean()) / scale
        found = least_squares(_misfit, start, _slopes, method="lm", args=(near, data), max_nfev=200)
        shift, widths, height = found.x[:2], np.exp(found.x[2:4]), found.x[4]
        round_enough = (widths < 3 * radius).all() and (widths > 0.5).all()
        if found.success and height > 0 and np.hypot(*shift) < radius / 2 and round_enough:
            atoms.append(maximum + shift)
    return np.array(atoms)


def _peak(parameters: Array, pixels: Array) -> tuple[Array, Array]:
    """Gaussian of height 1, and the pixels in its widths."""
    scaled = (pixels - parameters[:2]) / np.exp(parameters[2:4])
    return np.exp(-0.5 * np.sum(scaled**2, 1)), scaled


def _misfit(parameters: Array, pixels: Array, data: Array) -> Array:
    return parameters[4] * _peak(parameters, pixels)[0] + parameters[5] - data


def _slopes(parameters: Array, pixels: Array, data: Array) -> Array:
    peak, scaled = _peak(parameters, pixels)
    shape = parameters[4] * peak[:, None]
    widths = np.exp(parameters[2:4])
    return np.column_stack([shape * scaled / widths, shape * scaled**2, peak, np.ones_like(data)])


def lattice_vectors(atoms: Array, longest: float) -> Array:
    """Two shortest vectors (vector x axis) that lead from atom to atom.

    Args:
        atoms: atom x axis.
        longest: no vector is longer, pixels.
    """
    pairs = cKDTree(atoms).query_pairs(longest, output_type="ndarray")
    steps = atoms[pairs[:, 1]] - atoms[pairs[:, 0]]
    steps[steps @ (1.0, 1e-6) < 0] *= -1  # of a vector and its opposite, one
    tree = cKDTree(np.concatenate([steps, -steps]))
    reach = 0.15 * longest
    crowd = np.array([len(near) for near in tree.query_ball_point(steps, reach)])
    vectors: list[Array] = []
    # Crowded steps are lattice vectors; of these the shortest two that are independent.
    common = steps[crowd >= 0.5 * crowd.max()]
    for step in common[np.argsort(np.linalg.norm(common, axis=1))]:
        middle = _middle(tree.data, step, reach)
        area = abs(np.linalg.det([vectors[0], middle])) if vectors else np.inf
        if area > 0.4 * middle @ middle:
            vectors.append(middle)
        if len(vectors) == 2:
            return np.array(vectors)
    raise ValueError(f"no two lattice vectors of up to {longest} px between these atoms")


def _middle(points: Array, start: Array, reach: float) -> Array:
    """Where the points around a start gather."""
    middle = start
    for _ in range(20):
        middle = np.median(points[np.linalg.norm(points - middle, axis=1) < reach], 0)
    return middle


def common_origin(points: Array, atoms: Array, period: float) -> Array:
    """The one vector (axis) that, taken off all points, brings them closest to atoms.

    Where in its cell a model has its origin is a convention; so the vector is tried all over a
    disc that holds a cell, and the best is then moved to the middle of what is left.

    Args:
        points: where the motifs are said to be, point x axis.
        atoms: atom x axis.
        period: the longest distance between neighbouring atoms.
    """
    tree = cKDTree(atoms)
    candidates = (np.argwhere(disc(period)) - int(np.ceil(period))).astype(float)[::2]
    origin = min(candidates, key=lambda c: float(np.median(tree.query(points - c)[0])))
    for _ in range(20):
        left = from_nearest(points - origin, atoms)
        size = np.linalg.norm(left, axis=1)
        origin = origin + np.median(left[size <= 2 * np.median(size)], 0)
    return origin


def from_nearest(points: Array, atoms: Array) -> Array:
    """Vectors (point x axis) from the nearest atoms."""
    return points - atoms[cKDTree(atoms).query(points)[1]]


def from_local_lattice(points: Array, atoms: Array, vectors: Array, radius: float) -> Array:
    """Vectors (point x axis) from the lattice of the atoms within a radius of each point.

    Each atom by itself is as uncertain as the noise makes it; all atoms of a window say together,
    modulo the lattice, where its lattice is. NaN where there are fewer than three.
    """
    # About the point's nearest atom, so that no atom is wrapped to another cell than the others.
    tree = cKDTree(atoms)
    nearest = points - from_nearest(points, atoms)
    result = np.full(points.shape, np.nan)
    for index, near in enumerate(tree.query_ball_point(points, radius)):
        if len(near) >= 3:
            spread = synthetic.reduce_modulo_lattice(atoms[near] - nearest[index], vectors)
            result[index] = points[index] - nearest[index] - np.median(spread, 0)
    return result


def jitter(atoms: Array, vectors: Array, radius: float) -> float:
    """Median distance of atoms from the lattice of their neighbours: how sure the truth is."""
    left = from_local_lattice(atoms, atoms, vectors, radius)
    return float(np.nanmedian(np.linalg.norm(left, axis=1)))

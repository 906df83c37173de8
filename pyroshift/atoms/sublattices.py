"""Atoms sorted into sublattices by how bright they are."""

import numpy as np

from pyroshift.analysis.spectrum import Array

SUBLATTICE = "sublattice"
ROUNDS = 30


def by_amplitude(amplitude: Array, position: Array, frame: Array, count: int) -> Array:
    """The sublattice of each atom, 0 the brightest.

    Classes of the logarithm of the amplitude, about a slow change of illumination: classes and a
    quadratic surface per frame are fitted in turn.

    Args:
        amplitude: atom, above zero.
        position: atom x axis.
        frame: atom, its index.
        count: of sublattices.
    """
    if count == 1 or len(amplitude) < count:
        return np.zeros(len(amplitude), int)
    level = np.log(amplitude)
    surface = _surface(position, frame)
    flat = level - surface @ np.linalg.lstsq(surface, level)[0]
    # From either start, as illumination or the classes may be the larger change.
    attempts = [_in_turn(level, surface, start, count) for start in (level, flat)]
    return min(attempts, key=lambda attempt: attempt[1])[0]


def _in_turn(level: Array, surface: Array, start: Array, count: int) -> tuple[Array, float]:
    """Classes by falling level, and the variance that they and a surface leave."""
    labels = _classes(start, count)
    for _ in range(ROUNDS):
        design = np.column_stack([np.eye(count)[labels], surface])
        fit = np.linalg.lstsq(design, level)[0]
        light = surface @ fit[count:]
        before, labels = labels, _classes(level - light, count)
        if (labels == before).all():
            break
    means = np.array([(level - light)[labels == label].mean() for label in range(count)])
    return labels, float(np.var(level - light - means[labels]))


def _classes(values: Array, count: int) -> Array:
    """Classes of numbers, 0 the highest."""
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=5, random_state=0).fit(values[:, None])
    order = np.argsort(-found.cluster_centers_[:, 0])
    return np.argsort(order)[found.labels_]


def _surface(position: Array, frame: Array) -> Array:
    """Slow changes: a quadratic surface per frame, without its mean."""
    y, x = (position / np.maximum(np.abs(position).max(), 1)).T
    terms = np.stack([y, x, y * y, x * y, x * x], 1)
    surfaces = [np.where((frame == index)[:, None], terms, 0.0) for index in np.unique(frame)]
    return np.concatenate(surfaces, 1)

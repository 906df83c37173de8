"""Atoms found without a model, and paired with those that are known: pure functions."""

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

from benchmarks.common.metrics import Array


def find_atoms(image: Array, smoothing: float, background: float, apart: float) -> Array:
    """Maxima of an image (atom x axis), to whole pixels.

    Args:
        image: height x width.
        smoothing: standard deviation of the Gaussian that takes the noise away, pixels.
        background: of the one that the slow background is found with, pixels.
        apart: every maximum is the highest point within this radius, pixels.
    """
    smooth = gaussian_filter(image, smoothing) - gaussian_filter(image, background)
    return np.argwhere(is_highest(smooth, apart) & (smooth > 0))


def is_highest(image: Array, radius: float) -> Array:
    """Whether each pixel is the highest within a radius around it."""
    return maximum_filter(image, footprint=disc(radius)) == image


def disc(radius: float) -> Array:
    """Pixels within a radius of the middle one: True there."""
    edge = int(np.ceil(radius))
    rows, columns = np.mgrid[-edge : edge + 1, -edge : edge + 1]
    return np.hypot(rows, columns) <= radius


def mutual_pairs(found: Array, known: Array, nearby: float) -> tuple[Array, Array]:
    """Which found and which known atoms are each other's nearest.

    Args:
        found: atom x axis, pixels.
        known: atom x axis, pixels.
        nearby: pairs are closer than this, pixels.

    Returns:
        Indices of the found atoms and of the known ones, pair by pair.
    """
    distance, nearest = cKDTree(found).query(known)
    mutual = cKDTree(known).query(found)[1][nearest] == np.arange(len(known))
    paired = np.flatnonzero(mutual & (distance < nearby))
    return nearest[paired], paired

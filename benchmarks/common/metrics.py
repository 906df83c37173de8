"""How well a truth was recovered: pure functions from arrays to numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from pyroshift import synthetic

Array = NDArray[Any]


def squared_correlation(found: Array, truth: Array) -> float:
    """Squared Pearson correlation."""
    return float(np.corrcoef(found, truth)[0, 1] ** 2)


def slope(found: Array, truth: Array) -> float:
    """Slope of the straight line through found against true values."""
    return float(np.polyfit(truth, found, 1)[0])


def circular_correlation(found: Array, truth: Array) -> float:
    """Correlation of angles, by Jammalamadaka and SenGupta: 1 if equal up to a constant."""
    sines = [np.sin(angle - mean_angle(angle)) for angle in (found, truth)]
    return float(np.sum(sines[0] * sines[1]) / np.sqrt(np.prod([np.sum(s**2) for s in sines])))


def mean_angle(angle: Array) -> float:
    """Direction of the mean of the unit vectors."""
    return float(np.angle(np.mean(np.exp(1j * angle))))


def explained_offset(found: Array, truth: Array, angle: Array) -> float:
    """R² of the offset (sample x axis), up to one gauge for all samples.

    Where a motif's own origin lies is a convention, so that found and true offsets may differ by
    a constant, and by a constant that turns with the motif.
    """
    cos, sin, one, zero = np.cos(angle), np.sin(angle), np.ones_like(angle), np.zeros_like(angle)
    along_y = np.stack([one, zero, cos, -sin], 1)
    along_x = np.stack([zero, one, sin, cos], 1)
    design = np.concatenate([along_y, along_x])
    difference = (found - truth).T.ravel()
    gauge = np.linalg.lstsq(design, difference)[0]
    residual = difference - design @ gauge
    return float(1 - np.sum(residual**2) / np.sum((truth - truth.mean(0)) ** 2))


def predictability(z: Array, target: Array) -> float:
    """R² of a target predicted from all z (sample x latent) together, by quadratic regression."""
    products = [z[:, i] * z[:, j] for i in range(z.shape[1]) for j in range(i + 1)]
    design = np.column_stack([np.ones(len(z)), z, *products])
    residual = target - design @ np.linalg.lstsq(design, target)[0]
    return float(1 - np.sum(residual**2) / np.sum((target - target.mean()) ** 2))


def error_modulo_lattice(found: Array, truth: Array, vectors: Array, angle: Array) -> Array:
    """Distance between offsets (sample x axis), in periods.

    Offsets may differ by lattice vectors, sample by sample, and by one constant for all.
    """
    difference = found - truth
    cells = difference @ np.linalg.inv(vectors)
    constant = np.angle(np.mean(np.exp(2j * np.pi * cells), 0)) / (2 * np.pi) @ vectors
    smallest = synthetic.reduce_modulo_lattice(difference - constant, vectors, angle)
    return np.linalg.norm(smallest, axis=-1) / np.linalg.norm(vectors[0])


def best_accuracy(z: Array, labels: Array) -> float:
    """Share of samples that the best single threshold on one z assigns to the right one of two."""
    ordered = labels[np.argsort(z)].astype(float)
    ones_below = np.concatenate([[0.0], np.cumsum(ordered)])
    zeros_above = np.cumsum((1 - ordered)[::-1])[::-1]
    share = (ones_below + np.concatenate([zeros_above, [0.0]])) / len(z)
    return float(max(share.max(), 1 - share.min()))


def central_share(values: Array, radius: float = 4.0) -> float:
    """Share of a map's spectral intensity within so many bins of the centre: 1 if smooth."""
    intensity = np.abs(np.fft.fftshift(np.fft.fft2(values - values.mean()))) ** 2
    rows, columns = np.indices(values.shape)
    height, width = values.shape
    near = np.hypot(rows - height // 2, columns - width // 2) <= radius
    return float(intensity[near].sum() / intensity.sum())


def area_under_curve(value: Array, positive: Array) -> float:
    """Probability that a positive has a larger value than a negative: 0.5 by chance."""
    ranks, count = rankdata(value), positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (~positive).sum()))

"""How well a truth was recovered: pure functions from arrays to numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def bond_order(atoms: Array, fold: int = 6, radius: float = 40.0, bond: float = 16.0) -> Array:
    """Orientation of the lattice around each atom, from the directions of the bonds alone.

    Args:
        atoms: positions (atom x axis), y and x.
        fold: directions that differ by a full turn divided by this are alike.
        radius: of the neighbourhood that is averaged over.
        bond: longest distance of bonded neighbours.

    Returns:
        For each atom a complex number: `fold` times the orientation is its argument, and its
        modulus is 1 in a perfect lattice and small where two grains meet.
    """
    difference = atoms - atoms[:, None]
    distance = np.linalg.norm(difference, axis=-1)
    bonded = (distance > 0) & (distance <= bond)
    direction = np.arctan2(-difference[..., 0], difference[..., 1])
    order = np.where(bonded, np.exp(1j * fold * direction), 0).sum(1)
    near = distance <= radius
    return (near @ order) / np.maximum(near @ bonded.sum(1), 1)


def two_arcs(phase: Array) -> Array:
    """Two-means clustering on the circle: False or True for each angle in radians."""
    points = np.exp(1j * phase)
    # The best of many starts: each splits the circle in two halves.
    splits = [
        _two_means(points, np.cos(phase - start) > 0)
        for start in np.linspace(0, np.pi, 24, endpoint=False)
    ]
    return max(splits, key=lambda split: _concentration(points, split))


def _two_means(points: Array, split: Array) -> Array:
    for _ in range(50):
        if split.all() or not split.any():
            return split
        first, second = points[~split].mean(), points[split].mean()
        first, second = first / abs(first), second / abs(second)
        split = (points * np.conj(second)).real > (points * np.conj(first)).real
    return split


def _concentration(points: Array, split: Array) -> float:
    """Length of the clusters' vector sums, larger for tighter clusters."""
    return float(abs(points[split].sum()) + abs(points[~split].sum()))


def agreement(first: Array, second: Array) -> float:
    """Share of samples that two clusterings in two put together, whatever the names."""
    same = float(np.mean(first == second))
    return max(same, 1 - same)

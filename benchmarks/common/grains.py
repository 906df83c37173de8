"""Two grains of a sixfold lattice, told apart by its bonds or by an angle latent."""

import numpy as np
import xarray as xr

from benchmarks.common.metrics import Array

INSIDE = 0.7  # least bond order of an atom inside a grain; at the boundary there is no orientation


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


def with_orientations(maps: xr.Dataset, order: Array) -> xr.Dataset:
    """Maps with the angle modulo 60°, and with the orientation of the bonds, in degrees.

    Args:
        maps: with an angle at each atom or position.
        order: what `bond_order` returned for each of them.
    """
    sixfold = np.exp(6j * maps.angle.values)
    modulo = maps.angle.copy(data=np.degrees(np.angle(sixfold)) / 6)
    modulo.attrs = {"long_name": "angle modulo 60°", "units": "°"}
    bonds = maps.angle.copy(data=np.degrees(np.angle(order)) / 6)
    bonds.attrs = {"long_name": "orientation of the bonds", "units": "°"}
    return maps.assign(angle_modulo_60=modulo, bonds_modulo_60=bonds)

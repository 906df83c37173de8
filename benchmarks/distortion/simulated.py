"""Simulated scans whose distortion is known, and how much of it is recovered."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import ndimage

import pyroshift as ps
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row
from pyroshift.data.atoms import labelled_atoms

SIDE = 1024  # pixels
NOISE = 0.1  # pixels, error of each coordinate of a position
VACANCIES, SPURIOUS = 0.1, 0.02  # shares of the atoms


@dataclass(frozen=True)
class Scan:
    """A simulated scan: where atoms are seen and are, and the distortion where it is seen."""

    seen: Array
    ideal: Array  # NaN for spurious atoms
    vectors: Array
    move: Callable[[Array], Array]
    side: int


def sines(seed: int) -> Scan:
    """`synthetic.lattice_image`: one wave over the image, along the other axis, of 4 pixels."""
    side = 512
    truth = ps.synthetic.lattice_image((side, side), period=16, distortion=4, seed=seed)
    field = truth.displacement.values  # of the ideal position, and periodic

    def move(positions: Array) -> Array:
        ideal = positions
        for _ in range(30):
            ideal = positions - _periodic(field, ideal)
        return _periodic(field, ideal)

    atoms = truth.atoms.values
    noise = np.random.default_rng(seed).normal(0, NOISE, atoms.shape)
    return Scan(atoms + noise, atoms - move(atoms), truth.lattice_vectors.values, move, side)


def drift(seed: int) -> Scan:
    """A honeycomb of 10,000 atoms under a drift: fast from line to line, slow along each line.

    The drift is a random walk over the lines, smoothed over 10 of them, more along x than along y,
    and slowly different along x. Some atoms are missing, some found where there are none.
    """
    rng = np.random.default_rng(seed)
    walk = ndimage.gaussian_filter1d(rng.normal(0, 1, (2, SIDE)).cumsum(1), 10)
    walk *= np.array([[0.06], [0.2]])
    slow = rng.normal(0, 1, (2, 3))

    def move(positions: Array) -> Array:
        y, x = positions.T / SIDE
        along = [np.interp(y, np.linspace(0, 1, SIDE), part) for part in walk]
        bend = [a * np.sin(2 * x + b) + c * x * y for a, b, c in slow]
        return np.stack(along, -1) + np.stack(bend, -1)

    vectors = 16 * np.array([[np.sqrt(3) / 2, 0.5], [0.0, 1.0]])
    cells = np.indices((160, 160)).reshape(2, -1).T - 60
    ideal = np.concatenate([cells, cells + 1 / 3]) @ vectors
    seen = ideal
    for _ in range(50):
        seen = ideal + move(seen)
    kept = (np.abs(seen - SIDE / 2) < SIDE / 2).all(1) & (rng.random(len(seen)) > VACANCIES)
    seen = seen[kept] + rng.normal(0, NOISE, (kept.sum(), 2))
    spurious = rng.uniform(0, SIDE, (int(SPURIOUS * len(seen)), 2))
    ideal = np.concatenate([ideal[kept], np.full_like(spurious, np.nan)])
    return Scan(np.concatenate([seen, spurious]), ideal, vectors, move, SIDE)


SCANS = {"sines": sines, "drift": drift}


def measured(case: str, scan: Scan, fixed: bool, seed: int) -> Row:
    """How far the field and the corrected positions are from the truth."""
    image = xr.DataArray(np.zeros((scan.side, scan.side)), dims=("y", "x"))
    atoms = labelled_atoms(image, np.insert(scan.seen, 0, 0, axis=1), {})
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not on the lattice")
        displaced = ps.fit_lattice(atoms, scan.vectors if fixed else None, fixed=fixed)
    distortion = ps.fit_distortion(displaced, seed=seed)
    field = distortion.on(image)
    corrected = distortion.correct(atoms)
    seconds = time.perf_counter() - start
    row = Row(f"{case}, {'fixed' if fixed else 'free'} vectors", "", seed, seconds)
    pixels = np.indices(image.shape).reshape(2, -1).T
    move = scan.move(pixels)
    # What a fitted lattice takes up is affine in the ideal positions.
    off = field.distortion.values.reshape(2, -1).T - move
    off = _up_to(off, pixels - move, affine=not fixed)
    row.add("field, px", np.sqrt((off**2).mean()), highest=0.2)
    row.add("worst pixel", np.abs(off).max())
    covered = np.abs(off) < 1.96 * field.distortion_std.values.reshape(2, -1).T
    row.add("in 95% interval", covered.mean())
    real = np.isfinite(scan.ideal[:, 0])
    ideal = scan.ideal[real]
    distances = [
        np.sqrt((_up_to(positions[real] - ideal, ideal, affine=not fixed) ** 2).mean())
        for positions in (scan.seen, np.stack([corrected.y, corrected.x], 1))
    ]
    row.add("before, px", distances[0])
    row.add("after, px", distances[1])
    row.add("times closer", distances[0] / distances[1], lowest=5)
    row.add("noise learned", float(distortion.parameters.noise.mean()))
    row.add("atoms", len(scan.seen))
    row.add("real off lattice", np.count_nonzero(displaced.site.values[real] < 0))
    row.add("spurious on it", np.count_nonzero(displaced.site.values[~real] >= 0))
    return row


def _periodic(field: Array, positions: Array) -> Array:
    """A periodic field (axis x height x width) between its pixels: position x axis."""
    parts = [
        ndimage.map_coordinates(part, positions.T, order=3, mode="grid-wrap") for part in field
    ]
    return np.stack(parts, -1)


def _up_to(values: Array, positions: Array, affine: bool) -> Array:
    """Values less their mean, or less their affine part."""
    design = np.ones((len(positions), 1))
    if affine:
        design = np.hstack([design, positions])
    return values - design @ np.linalg.lstsq(design, values)[0]

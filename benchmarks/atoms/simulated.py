"""Atoms of simulated lattices, whose positions are known, in more and more noise.

Signal-to-noise is the height of the (brighter) atoms over the standard deviation of the noise in
one pixel. With two phases the right half has atoms half as bright between the others.
"""

import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
import xarray as xr

from benchmarks.atoms import peers
from benchmarks.atoms.metrics import CRAMER_RAO, Agreement, agreement
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row
from pyroshift import find_atoms, synthetic
from pyroshift.errors import DataError

SHAPE = (256, 256)
KINDS = {"square": 1 / math.sqrt(2), "hexagonal": 1 / math.sqrt(3)}  # to the second site, periods
# Period and standard deviation of an atom, pixels. Closer than some 2.8 of these two atoms of
# unequal brightness show one maximum; here they are at least 3.4 apart.
SIZES = [(12.0, 2.0), (16.0, 2.5), (20.0, 3.0)]
DISTORTION = 1.0  # pixels, of the lattice
# Signal-to-noise: the least precision and recall, and the largest error, pixels.
TARGETS = {10: (0.99, 0.1), 3: (0.98, 0.25), 1: (0.9, 0.5)}
NEARBY = 3.0  # pixels, or a third of the distance between neighbours
BORDER = 2.0  # pixels


def simulated(seed: int, peer: Path | None) -> Iterator[Row]:
    """One row per lattice and signal-to-noise ratio."""
    cases = list(product(TARGETS, KINDS, (1, 2), SIZES))
    images = [_image(*case, seed) for case in cases]
    by_peer = (
        peers.by_atomap(
            peer,
            [data["image"].values for data in images],
            [_nearest(*case[1:]) for case in cases],
        )
        if peer
        else [None] * len(cases)
    )
    for case, data, theirs in zip(cases, images, by_peer, strict=True):
        yield _row(case, data, theirs, seed)


def _image(ratio: int, kind: str, phases: int, size: tuple[float, float], seed: int) -> xr.Dataset:
    period, width = size
    return synthetic.lattice_image(
        SHAPE, kind, period, width, DISTORTION, 1 / ratio, phases, seed=seed
    )


def _nearest(kind: str, phases: int, size: tuple[float, float]) -> float:
    """Distance of nearest neighbours, pixels."""
    return size[0] * (KINDS[kind] if phases == 2 else 1.0)


def _row(
    case: tuple[int, str, int, tuple[float, float]],
    data: xr.Dataset,
    theirs: Array | None,
    seed: int,
) -> Row:
    ratio, kind, phases, size = case
    least, largest = TARGETS[ratio]
    start = perf_counter()
    found, std = _found(data["image"], prior=True)
    seconds = perf_counter() - start
    period, width = size
    name = f"{ratio}, {kind}, {phases} phase{'s' * (phases - 1)}, {period:g}/{width:g}"
    row = Row("simulated", name, seed, seconds)
    nearest = _nearest(*case[1:])

    def compared(positions: Array) -> Agreement:
        truth = data["atoms"].values
        return agreement(positions, truth, SHAPE, min(NEARBY, nearest / 3), BORDER)

    ours = compared(found)
    row.add("recall", ours.recall, lowest=least)
    row.add("precision", ours.precision, lowest=least)
    row.add("error px", ours.error, highest=largest)
    row.add("median distance px", ours.median_distance)
    row.add("error / std", float(np.sqrt(np.mean((ours.errors / std[ours.found]) ** 2))))
    brightness = data["brightness"].values[ours.known]
    bound = CRAMER_RAO / ratio * np.sqrt(np.mean(brightness**-2.0)) if len(brightness) else math.nan
    row.add("bound, each atom alone", float(bound))
    alone = compared(_found(data["image"], prior=False)[0])
    row.add("error px without prior", alone.error)
    if theirs is not None:
        peer = compared(theirs)
        row.add("atomap recall", peer.recall)
        row.add("atomap precision", peer.precision)
        row.add("atomap error px", peer.error)
    return row


def _found(image: xr.DataArray, prior: bool) -> tuple[Array, Array]:
    """Positions and their standard deviations (atom x axis), with default options."""
    try:
        atoms = find_atoms(image, prior=prior, progress=False)
    except DataError:
        return np.empty((0, 2)), np.empty((0, 2))
    return (
        np.column_stack([atoms.y.values, atoms.x.values]),
        np.column_stack([atoms.y_std.values, atoms.x_std.values]),
    )

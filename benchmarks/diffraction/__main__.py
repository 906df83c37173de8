"""Is the deflection of a beam told from patterns as well as by the centre of mass and correlation?

    python -m benchmarks.diffraction --out diffraction
    python -m benchmarks.diffraction --held-out mos2.npz --out diffraction

prints one row for each dose, errors in pixels of the detector, and writes them as csv. The patterns
are those of `synthetic.diffraction`; or of MoS2 with a vacancy by multislice, from the file that
`python -m benchmarks.diffraction.simulated --out mos2.npz` writes. All methods see the same counts.
"""

import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import command
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row, written
from benchmarks.common.training import print_versions
from benchmarks.diffraction.methods import (
    THRESHOLDS,
    centre_of_mass,
    correlated,
    cramer_rao,
    difference,
    error,
    thresholded,
)
from pyroshift import KLAnnealing, Patches, ShiftVAE, encode, fit, synthetic

DOSES = (1e2, 1e3, 1e4, 1e5)  # electrons of each pattern
HALVED = 1e3  # electrons, below which the error is to be half of the centre of mass's
NINETY = 1.645  # standard deviations to each side


def main() -> None:
    """Run what was asked for."""
    parser = command.parser("diffraction", __doc__, seeds=(0,), out="diffraction")
    parser.add_argument("--held-out", type=Path, metavar="NPZ", help="patterns of MoS2 instead")
    parser.add_argument("--doses", type=float, nargs="+", default=DOSES, help="electrons")
    parser.add_argument("--side", type=int, default=24, help="of the scan of a disk, positions")
    parser.add_argument("--latent-dim", type=int, default=4, help="latents of the model")
    parser.add_argument("--epochs", type=int, default=24, help="of the training")
    options = command.asked(parser)
    print_versions()
    name = "held_out" if options.held_out else "diffraction"
    written(rows(options), options.out / f"{name}.csv")


def rows(options: Namespace) -> Iterator[Row]:
    """One for each seed and dose."""
    for seed in options.seeds:
        for dose in options.doses:
            expected, truth = scene(options, dose, seed)
            rng = np.random.default_rng(1000 + seed)
            counts = rng.poisson(expected).astype(np.uint16)
            yield measured(counts, expected, truth, dose, seed, options)


def scene(options: Namespace, dose: float, seed: int) -> tuple[Array, Array]:
    """Expected counts (`y x x x ky x kx`) and deflections (`y x x x axis`), pixels."""
    if options.held_out is None:
        scan = synthetic.diffraction((options.side,) * 2, (32, 32), 10.0, dose=dose, seed=seed)
        return scan.expected.values, scan.deflection.values
    with np.load(options.held_out) as file:
        return dose * file["expected"], file["deflection"]


def measured(
    counts: Array, expected: Array, truth: Array, dose: float, seed: int, options: Namespace
) -> Row:
    """Errors of all methods, and how honest the model's intervals are."""
    flat, moves = counts.reshape(-1, *counts.shape[2:]), truth.reshape(-1, 2)
    began = time.perf_counter()
    patches = Patches.from_array(counts, 2, dims=("y", "x", "ky", "kx"))
    model = ShiftVAE(patches.window, options.latent_dim, "poisson", offset_scale=0.1, seed=seed)
    fit(
        model, patches, epochs=options.epochs, batch_size=32, seed=seed, progress=False,
        kl={"z": KLAnnealing(0.1, 1.0, 3 * options.epochs // 4)},
    )  # fmt: skip
    maps = encode(model, patches)
    seconds = time.perf_counter() - began
    found = maps.offset.values.reshape(-1, 2)
    off = np.abs(difference(found, moves))
    inside, robust = (
        off <= NINETY * each.offset_std.values.reshape(-1, 2)
        for each in (maps, encode(model, patches, robust=True))
    )
    centre = error(centre_of_mass(flat), moves)
    name = "MoS2" if options.held_out else "disk"
    row = Row("diffraction", f"{name}, {dose:.0e} electrons", seed, seconds)
    row.add("model", error(found, moves), highest=centre / 2 if dose < HALVED else centre)
    row.add("centre of mass", centre)
    by_threshold = [error(thresholded(flat, share), moves) for share in THRESHOLDS]
    row.add("thresholded", min(by_threshold))
    row.add("cross-correlation", error(correlated(flat, None), moves))
    row.add("phase correlation", error(correlated(flat, "phase"), moves))
    row.add("Cramer-Rao", cramer_rao(expected.reshape(flat.shape)))
    row.add("truth", float(np.sqrt(np.square(moves - moves.mean(0)).mean())))
    row.add("coverage of 90%", float(inside.mean()), 0.87, 0.93)
    row.add("robust", float(robust.mean()), 0.87, 0.93)
    row.add("latents in use", float((~maps["collapsed"]).sum()))
    return row


if __name__ == "__main__":
    main()

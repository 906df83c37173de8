"""MoS2 with a vacancy, each pattern simulated by multislice (abTEM), and moved by a known amount.

    python -m benchmarks.diffraction.simulated --out FILE.npz

needs abTEM (`pip install pyroshift[simulate]`), which may be in an environment of its own: nothing
of pyroshift is imported here. The scene is a monolayer at 80 kV under a probe of 21 mrad, stepped
finely over some cells about a vacancy of sulphur. As the probe is narrower than the cell, what is
in the disk changes from position to position, by interference of Bragg disks and by the atoms' own
fields; what is imposed besides is the deflection by a longer field.
"""

from argparse import ArgumentParser
from pathlib import Path

import numpy as np

KILOVOLTS, SEMIANGLE = 80, 21.0  # mrad
SIDE, STEP = 20, 0.6  # positions along a side, and angstrom between them
CELLS = (12, 7)
BINNED = 2  # simulated pixels to a detector's, along each side
WINDOW = 32  # pixels of the detector along each side


def fine_patterns() -> tuple[np.ndarray, float]:
    """Probabilities of an electron in each simulated pixel, `y x x x ky x kx`; mrad to a pixel."""
    import abtem
    from ase.build import mx2

    abtem.config.set({"local_diagnostics.progress_bar": False})
    sheet = mx2("MoS2", kind="2H", a=3.18, thickness=3.13, size=(1, 1, 1), vacuum=2)
    atoms = abtem.orthogonalize_cell(sheet) * (*CELLS, 1)
    middle = atoms.cell.lengths()[:2] / 2
    distance = np.linalg.norm(atoms.positions[:, :2] - middle, axis=1)
    sulphur = np.flatnonzero(atoms.numbers == 16)
    del atoms[sulphur[np.argmin(distance[sulphur])]]
    # Side lengths that are nearly equal, so that pixels are nearly square.
    potential = abtem.Potential(atoms, sampling=0.12, slice_thickness=1.6)
    probe = abtem.Probe(energy=KILOVOLTS * 1e3, semiangle_cutoff=SEMIANGLE)
    probe.grid.match(potential)
    half = SIDE * STEP / 2
    scan = abtem.GridScan(middle - half, middle + half, gpts=(SIDE, SIDE), endpoint=False)
    detector = abtem.PixelatedDetector(max_angle=60)
    found = probe.scan(potential, scan=scan, detectors=detector).compute()
    sampling = np.array(found.angular_sampling)
    return on_square_pixels(np.asarray(found.array, float), sampling)


def on_square_pixels(patterns: np.ndarray, sampling: np.ndarray) -> tuple[np.ndarray, float]:
    """Patterns resampled to pixels of one size along both axes, and that size."""
    from scipy.ndimage import map_coordinates

    step, side = float(sampling.max()), BINNED * WINDOW
    along = [
        (np.arange(side) - (side - 1) / 2) * step / each + size // 2
        for each, size in zip(sampling, patterns.shape[2:], strict=True)
    ]
    places = np.stack(np.meshgrid(*along, indexing="ij"))
    resampled = [
        map_coordinates(one, places, order=1, mode="constant")
        for one in patterns.reshape(-1, *patterns.shape[2:])
    ]
    return np.reshape(resampled, (*patterns.shape[:2], side, side)), step


def deflected(fine: np.ndarray, deflection: np.ndarray) -> np.ndarray:
    """Patterns moved as a whole by `y x x x axis` simulated pixels, then binned to the detector."""
    from scipy.ndimage import shift

    flat, moves = fine.reshape(-1, *fine.shape[2:]), deflection.reshape(-1, 2)
    moved = [shift(one, move, order=1) for one, move in zip(flat, moves, strict=True)]
    blocks = np.reshape(moved, (len(flat), WINDOW, BINNED, WINDOW, BINNED)).sum((2, 4))
    blocks = np.maximum(blocks, 1e-12)
    return (blocks / blocks.sum((1, 2), keepdims=True)).reshape(*fine.shape[:2], WINDOW, WINDOW)


def vortex(side: int, largest: float) -> np.ndarray:
    """A deflection that turns about a point, of at most so much, `y x x x axis`."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij")
    y, x = y - 0.1, x + 0.15
    swirl = np.exp((1 - (np.hypot(y, x) / 0.6) ** 2) / 2) / 0.6
    return largest * np.stack([swirl * x, -swirl * y], -1)


def main() -> None:
    """Simulate, and write what is expected of each pattern and how it was moved."""
    parser = ArgumentParser(prog="python -m benchmarks.diffraction.simulated")
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    options = parser.parse_args()
    fine, step = fine_patterns()
    moves = vortex(SIDE, 2.0 * BINNED)
    np.savez_compressed(
        options.out,
        expected=deflected(fine, moves).astype(np.float32),
        deflection=moves / BINNED,
        pixel=BINNED * step,
        scan_step=STEP / 10,
    )


if __name__ == "__main__":
    main()

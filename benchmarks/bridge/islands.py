"""The second kind of structures: islands on a surface, and energy losses that they set.

Nothing of it is shared with `synthetic.structure_spectra`: what varies are discs, not a field; the
lattice is hexagonal and isn't turned; spectra are counts with Poisson noise of one peak that moves
and widens, on a tail.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

SPACING, DISCS, RADIUS = 5.0, 26, (3.0, 9.0)  # pixels but for their number
ENERGY = np.linspace(8.0, 28.0, 72)  # eV
BARE, COVERED = 14.0, 20.0  # eV, of the plasmon
COUNTS, IMAGE_COUNTS = 120.0, 80.0  # at the peak, and where the image is 1


def islands(shape: Sequence[int], seed: int) -> xr.Dataset:
    """`image` (y x x), `spectra` and `expected` (y x x x energy)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape).astype(float)
    height = np.zeros(shape)
    edge = np.full(shape, np.inf)  # distance to the nearest rim
    for _ in range(DISCS):
        y, x = rng.uniform(0, shape)
        from_rim = np.hypot(rows - y, columns - x) - rng.uniform(*RADIUS)
        height = np.maximum(height, 1 / (1 + np.exp(2 * from_rim)))
        edge = np.minimum(edge, np.abs(from_rim))
    waves = [
        np.cos(2 * np.pi / SPACING * (np.sin(angle) * rows + np.cos(angle) * columns))
        for angle in np.deg2rad([0, 60, 120])
    ]
    rate = IMAGE_COUNTS * (0.6 + 0.25 * height + 0.1 * np.sum(waves, 0))
    image = rng.poisson(np.clip(rate, 0, None)) / IMAGE_COUNTS
    covered, rim = height[..., None], np.exp(-((edge / 2.5) ** 2))[..., None]
    middle = BARE + (COVERED - BARE) * covered
    width = 1.5 + 1.0 * covered + 1.2 * rim
    peak = 1 / (1 + ((ENERGY - middle) / width) ** 2)
    expected = COUNTS * ((1 - 0.4 * rim) * peak + 0.5 * (ENERGY / 8.0) ** -2)
    coords = {"y": np.arange(shape[0]), "x": np.arange(shape[1]), "energy": ENERGY}
    cube, scan = ("y", "x", "energy"), ("y", "x")
    variables = {
        "image": (scan, image.astype(np.float32)),
        "spectra": (cube, rng.poisson(expected).astype(np.float32)),
        "expected": (cube, expected.astype(np.float32)),
    }
    return xr.Dataset(variables, coords)

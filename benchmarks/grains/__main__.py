"""Two grains of graphene, seen by an rVAE at atoms that were found, against their Fourier spectra.

    OMP_NUM_THREADS=1 python benchmarks/grains.py --seeds 0 1 2 --out recovery

One row per seed: how the lattice of each grain is turned, by the angle latent modulo 60 degrees and
by the grain's power spectrum; and how well single atoms at the boundary stand out from those inside
the grains, in z and in the bound, as the area under the curve of true against false alarms.
"""

import argparse
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import recovery_metrics as metrics
import xarray as xr
from numpy.typing import NDArray
from recovery_real import DATA, read_atoms
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from scipy.stats import rankdata

from pyroshift import (
    RVAE,
    decode,
    encode,
    extract_patches,
    find_atoms,
    fit,
    load_image,
    plot,
    suggest_window,
)

Array = NDArray[Any]

SMOOTHING = 2.0  # pixels, a tenth of the period, for single pixels are mostly noise
WINDOW = 48  # two and a quarter periods
EPOCHS = 30
FOLD = 6
INSIDE = 0.7  # least bond order of an atom inside a grain
BOUNDARY = 24.0  # pixels, within which a boundary atom has atoms of the other grain
BRIGHT = 2.0  # times the median, from where on it is dirt


def measure(seed: int, out: Path) -> dict[str, float]:
    """One training, and what it found."""
    image = load_image(DATA / "stem_graphene_boundary.npy")
    given = read_atoms(DATA / "stem_graphene_boundary_atoms.npy")
    found = find_atoms(image, progress=False)
    smooth = image.copy(data=gaussian_filter(image.values.astype(float), SMOOTHING))
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*positions are left out")
        patches = extract_patches(smooth, WINDOW, positions=found, interpolate=True)
    model = RVAE(WINDOW, guide="anchor", angle_scale=math.inf, symmetry=FOLD // 2, seed=seed)
    fit(model, patches, epochs=EPOCHS, batch_size=32, seed=seed, progress=False)
    maps = encode(model, patches)
    seconds = time.process_time() - started
    plot.maps(maps, smooth).savefig(out / f"grains_{seed}.png", dpi=110)

    atoms = np.column_stack([maps.y, maps.x])
    # From the positions that come with the image, which the model has never seen.
    bonds = metrics.bond_order(given)
    nearest = KDTree(given).query(atoms)[1]
    grain_of_given = metrics.two_arcs(np.angle(bonds))
    grain, order = grain_of_given[nearest], np.abs(bonds)[nearest]
    clean = _brightness(image, atoms) < BRIGHT
    boundary = _at_boundary(given, grain_of_given)[nearest] & clean
    inside = (order > INSIDE) & clean & ~boundary
    planes = math.sqrt(3) / 2 * suggest_window(image).period
    row: dict[str, float] = {"seed": seed, "atoms": len(atoms), "seconds": round(seconds)}
    for which in (False, True):
        members = inside & (grain == which)
        # The spectrum's and the latent's orientation, over the same part of the grain.
        mask = _mask(given[grain_of_given == which], given[grain_of_given != which], image.shape)
        weight = mask[tuple(np.rint(atoms[members]).astype(int).T)]
        latent = np.angle(weight @ np.exp(1j * FOLD * maps.angle.values[members])) / FOLD
        # Angles count from the motif as it is decoded, whose own turn is a convention.
        motif = weight @ decode(model, maps.z.values[members]).values.reshape(len(weight), -1)
        upright = spectral_orientation(motif.reshape(WINDOW, WINDOW), _disc(WINDOW), planes)
        spectrum = spectral_orientation(image.values, mask, planes)
        row[f"motif {int(which)}"] = math.degrees(_modulo(upright))
        row[f"angle {int(which)}"] = math.degrees(_modulo(upright + latent))
        row[f"spectrum {int(which)}"] = math.degrees(_modulo(spectrum))
        row[f"difference {int(which)}"] = math.degrees(_modulo(upright + latent - spectrum))
    row["between, angle"] = _modulo_degrees(row["angle 1"] - row["angle 0"])
    row["between, spectrum"] = _modulo_degrees(row["spectrum 1"] - row["spectrum 0"])
    shown = boundary | inside
    row["boundary atoms"] = int(boundary.sum())
    for name, value in _signals(maps, shown).items():
        row[f"boundary by {name}"] = area_under_curve(value, boundary[shown])
    return row


def spectral_orientation(image: Array, weight: Array, spacing: float) -> float:
    """How a hexagonal lattice is turned, radians modulo 60 degrees, by its power spectrum.

    The rigid star of wave vectors with the most power is found first, and then each of its three
    peaks by itself: a scan's shear turns them against each other, but not their mean.

    Args:
        image: height x width.
        weight: of each pixel, going down to zero smoothly.
        spacing: roughly that of the lattice's planes, pixels.
    """
    level = weight * (image - np.average(image, weights=weight))
    rows, columns = np.arange(image.shape[0]), np.arange(image.shape[1])

    def power(turn: float, length: float) -> float:
        y, x = -length * math.sin(turn), length * math.cos(turn)
        wave = np.exp(-2j * np.pi * y * rows) @ level @ np.exp(-2j * np.pi * x * columns)
        return abs(wave) ** 2

    star = math.pi / 3 * np.arange(3)
    found = _highest(
        lambda turn, length: sum(power(turn + each, length) for each in star),
        np.radians(np.arange(0, 60, 1.0)),
        np.linspace(0.9, 1.1, 17) / spacing,
    )
    peaks = [
        _highest(
            power,
            found[0] + each + np.radians(np.linspace(-4, 4, 17)),
            found[1] * np.linspace(0.92, 1.08, 17),
        )[0]
        for each in star
    ]
    return metrics.mean_angle(FOLD * np.array(peaks)) / FOLD


def _highest(function: Callable[[float, float], float], first: Array, second: Array) -> Array:
    """Where a function of two numbers is largest, on grids that close in on it."""
    best = np.zeros(2)
    for _ in range(4):
        table = [[function(one, other) for other in second] for one in first]
        row, column = np.unravel_index(np.argmax(table), (len(first), len(second)))
        best = np.array([first[row], second[column]])
        first = best[0] + np.linspace(-1, 1, 9) * (first[1] - first[0])
        second = best[1] + np.linspace(-1, 1, 9) * (second[1] - second[0])
    return best


def area_under_curve(value: Array, positive: Array) -> float:
    """Probability that a positive has a larger value than a negative: 0.5 by chance."""
    ranks, count = rankdata(value), positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (~positive).sum()))


def _signals(maps: xr.Dataset, shown: Array) -> dict[str, Array]:
    """What may tell atoms at the boundary from others: one number per atom, large if unusual."""
    z = maps.z.values[shown]
    unusual = np.abs(z - np.median(z, 0)) / z.std(0)
    atoms = np.column_stack([maps.y, maps.x])
    neighbours = KDTree(atoms).query(atoms, k=7)[1]
    return {
        "z": unusual.max(1),
        "elbo": -maps.elbo.values[shown],
        "elbo of 7": -maps.elbo.values[neighbours].mean(1)[shown],
    }


def _brightness(image: xr.DataArray, atoms: Array) -> Array:
    """Around each atom, over the median of all."""
    broad = gaussian_filter(image.values.astype(float), 10.0)
    level = broad[tuple(np.rint(atoms).astype(int).T)]
    return level / np.median(level)


def _at_boundary(atoms: Array, grain: Array) -> Array:
    """Whether more than a fifth of the atoms around are of the other grain."""
    near = KDTree(atoms).query_ball_point(atoms, BOUNDARY)
    other = [np.mean(grain[index] != grain[each]) for each, index in enumerate(near)]
    return np.array(other) > 0.2


def _mask(own: Array, other: Array, shape: tuple[int, ...]) -> Array:
    """One where the own grain is, well away from the other and from where no atom is."""
    pixels = np.stack(np.indices(shape), -1).reshape(-1, 2)
    near, far = KDTree(own).query(pixels)[0], KDTree(other).query(pixels)[0]
    inside = ((near < 12) & (far > 24)).reshape(shape)
    return gaussian_filter(inside.astype(float), 8.0)


def _disc(size: int) -> Array:
    """A round taper, without a direction of its own."""
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    return np.cos(np.pi / 2 * np.minimum(np.hypot(rows, columns) / (size / 2), 1)) ** 2


def _modulo(angle: float) -> float:
    sixth = math.pi / 3
    return (angle + sixth / 2) % sixth - sixth / 2


def _modulo_degrees(angle: float) -> float:
    return abs((angle + 30) % 60 - 30)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("recovery"))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for seed in chosen.seeds:
        for name, value in measure(seed, chosen.out).items():
            print(f"{name:22} {value:.4g}")
        print(flush=True)


if __name__ == "__main__":
    main()

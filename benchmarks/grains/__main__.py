"""Two grains of graphene, seen by an rVAE at atoms that were found, against their Fourier spectra.

    OMP_NUM_THREADS=1 python -m benchmarks.grains --seeds 0 1 2 --out recovery

One row per seed: how the lattice of each grain is turned, by the angle latent modulo 60 degrees and
by the grain's power spectrum; and how well single atoms at the boundary stand out from those inside
the grains, in z and in the bound, as the area under the curve of true against false alarms.
"""

import math
import time
import warnings
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from benchmarks.common import command, data
from benchmarks.common.grains import INSIDE, bond_order, two_arcs
from benchmarks.common.metrics import Array, area_under_curve
from benchmarks.grains.spectra import FOLD, spectral_orientation, taper
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

SMOOTHING = 2.0  # pixels, a tenth of the period, for single pixels are mostly noise
WINDOW = 48  # two and a quarter periods
EPOCHS = 30
BOUNDARY = 24.0  # pixels, within which a boundary atom has atoms of the other grain
BRIGHT = 2.0  # times the median, from where on it is dirt


def measure(seed: int, out: Path) -> dict[str, float]:
    """One training, and what it found."""
    image = load_image(data.measurement(data.GRAPHENE))
    given = data.graphene_atoms()
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
    bonds = bond_order(given)
    nearest = KDTree(given).query(atoms)[1]
    grain_of_given = two_arcs(np.angle(bonds))
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
        upright = spectral_orientation(motif.reshape(WINDOW, WINDOW), taper(WINDOW), planes)
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


def _modulo(angle: float) -> float:
    sixth = math.pi / 3
    return (angle + sixth / 2) % sixth - sixth / 2


def _modulo_degrees(angle: float) -> float:
    return abs((angle + 30) % 60 - 30)


def main() -> None:
    """Print the rows."""
    chosen = command.asked(command.parser("grains", __doc__, seeds=[0], out="recovery"))
    for seed in chosen.seeds:
        for name, value in measure(seed, chosen.out).items():
            print(f"{name:22} {value:.4g}")
        print(flush=True)


if __name__ == "__main__":
    main()

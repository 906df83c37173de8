"""Does z tell structure, or how bright a window is? With and without a site for brightness.

    python benchmarks/brightness.py all --out results
    python benchmarks/brightness.py atoms --ways site amortised normalised

trains on windows of real images whose grey levels are kept (normalize="image"), and
prints one row per training: the bound; the largest correlation of a z with the window's mean grey
level, and with another z; and for the sulphide how well z finds the vacancies that
mos2_vacancies.csv lists, which were marked by eye in pictures of the image. A z that collapsed
tells nothing, and is left out. Windows are on a grid, and a ShiftVAE finds their poses; those of
the tasks `atoms` and `held out` are centred on the brighter of two kinds of atoms, and have none.
"""

import argparse
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import brightness_ways
import numpy as np
import xarray as xr
from recovery_real import DATA
from recovery_table import Row, write_csv
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree
from scipy.stats import rankdata

from pyroshift import (
    VAE,
    Brightness,
    Patches,
    PoseVAE,
    ShiftVAE,
    encode,
    explained_by_blur,
    extract_patches,
    find_atoms,
    fit,
    load_image,
    plot,
)

VACANCIES = Path(__file__).with_name("mos2_vacancies.csv")
FAR = 30.0  # pixels from every vacancy: windows that show none near their centre
COLLAPSED = 0.9  # of the prior's width

TASKS: dict[str, dict[str, Any]] = {
    "titanate": {"file": "stem_srtio3.hf5", "window": 40, "step": 10, "latent_dim": 2},
    "manganite": {"file": "stem_nsmo_cryo.tif", "window": 40, "step": 20, "latent_dim": 2},
    # Here dirt, bending and uneven light vary more than vacancies, which are rare.
    "sulphide": {"file": "stem_mos2_se.dm3", "window": 40, "step": 22, "latent_dim": 4},
    "atoms": {"file": "stem_mos2_se.dm3", "window": 40, "latent_dim": 4},
    # Of another microscope, and not looked at while the site was made.
    "held out": {"file": "stem_srtio3_ncem.ser", "window": 48, "latent_dim": 4},
}
FIT = {"batch_size": 32, "learning_rate": 3e-3}
STEPS = 700
WAYS = ("without", "site", "amortised", "normalised", "wide gain")


def main() -> None:
    """Run the tasks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="+", choices=[*TASKS, "all"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS[:2])
    parser.add_argument("--steps", type=int, default=STEPS, help="of the optimiser")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("brightness"), help="folder of results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for task in TASKS if "all" in options.tasks else options.tasks:
        for seed in options.seeds:
            for way in options.ways:
                rows.append(measured(task, way, seed, options))
                print(rows[-1], flush=True)
                write_csv(rows, options.out / "brightness.csv")


def measured(task: str, way: str, seed: int, options: argparse.Namespace) -> Row:
    """One training and its figures."""
    settings = TASKS[task]
    image = read(settings["file"])
    patches = windows(image, settings)
    model = untrained(patches.window, settings["latent_dim"], way, "step" in settings, seed)
    epochs = max(round(options.steps * FIT["batch_size"] / len(patches)), 1)
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, patches, epochs=epochs, seed=seed, progress=False, **FIT)
    row = Row(task, way, seed, time.perf_counter() - begin)
    maps = encode(model, patches)
    row.add("bound", float(maps.elbo.mean()))
    alive = maps.z_std.mean(tuple(patches.layout)).values < COLLAPSED
    row.add("z alive", int(alive.sum()))
    told = np.sqrt(explained_by_blur(maps, patches).values[alive])
    row.add("z with local mean", max(told, default=0.0), highest=0.5)
    z = maps.z.values.reshape(-1, len(alive))[:, alive]
    others = np.abs(np.corrcoef(z.T).reshape(len(z.T), -1) - np.eye(len(z.T)))
    row.add("z with z", others.max(initial=0.0))
    if "brightness" in maps:
        for name, part in zip(
            maps.component.values, np.moveaxis(maps.brightness.values, -1, 0), strict=True
        ):
            row.add(f"std of {name}", part.std())
    if settings["file"].startswith("stem_mos2"):
        for name, share in found(model, image, alive).items():
            row.add(name, share, lowest=0.9 if name == "vacancies, best z" else -np.inf)
    figure = plot.maps(maps, image)
    figure.savefig(options.out / f"{task}_{way}_{seed}.png".replace(" ", "_"))
    return row


def windows(image: xr.DataArray, settings: Mapping[str, Any]) -> Patches:
    """Windows on a grid, or at the brighter of two kinds of atoms."""
    if "step" in settings:
        return extract_patches(image, settings["window"], settings["step"], normalize="image")
    atoms = positions(find_atoms(image))
    grey = gaussian_filter(image.values, 2) - gaussian_filter(image.values, 40)
    height = map_coordinates(grey, atoms.T, order=1)
    bright = atoms[height > np.percentile(height, (25, 75)).mean()]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*positions are left out")
        return extract_patches(image, settings["window"], positions=bright, normalize="image")


def untrained(
    window: tuple[int, ...], latent_dim: int, way: str, posed: bool, seed: int
) -> PoseVAE:
    """A model that keeps brightness apart in that way, or not at all."""
    options: dict[str, Any] = {"seed": seed, "brightness": None if way == "without" else "site"}
    if way == "amortised":
        options["guide"] = brightness_ways.AmortisedGuide()
    elif posed:
        options["guide"] = "anchor"
    if way == "normalised":
        margin = round(window[0] / 2) if posed else 0
        options["decoder"] = brightness_ways.NormalisedDecoder(window, latent_dim, margin)
    if way == "wide gain":  # nothing then keeps the decoder's scale
        options["priors"] = {"brightness": Brightness(gain_scale=0.5)}
    if posed:
        return ShiftVAE(window, latent_dim, offset_scale=0.4, **options)
    return VAE(window, latent_dim, **options)


def found(model: PoseVAE, image: xr.DataArray, alive: np.ndarray) -> Mapping[str, float]:
    """Areas under the curve: windows centred on vacancies against windows centred on atoms.

    Of `best z` the score is the distance of the z that does it best from its median; of `all z` the
    Mahalanobis distance of all; of the others the bound, and the darkness of the whole window.
    """
    vacancies = np.loadtxt(VACANCIES, delimiter=",", skiprows=1, usecols=(0, 1))
    atoms = positions(find_atoms(image))
    atoms = atoms[cKDTree(vacancies).query(atoms)[0] > FAR]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*positions are left out")
        patches = extract_patches(
            image, model.window, positions=np.concatenate([vacancies, atoms]), normalize="image"
        )
    maps = encode(model, patches)
    vacant = maps.atom.values < len(vacancies)
    away = maps.z.values[:, alive]
    away = away - np.median(away[~vacant], 0)
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(away[~vacant].T)))
    dark = -patches.gather().numpy().mean((1, 2))
    single = [area(np.abs(column), vacant) for column in away.T]
    return {
        "vacancies, best z": max(single, default=0.5),
        "all z": area(np.einsum("ni,ij,nj->n", away, inverse, away), vacant),
        "bound alone": area(-maps.elbo.values, vacant),
        "local mean alone": area(dark, vacant),
    }


def area(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the curve: how often a positive has the higher score."""
    count = positive.sum()
    ranks = rankdata(score)[positive].sum() - count * (count + 1) / 2
    return float(ranks / count / (len(score) - count))


def positions(atoms: xr.Dataset) -> np.ndarray:
    """Positions of atoms, atom x axis, pixels."""
    return np.stack([atoms.y.values, atoms.x.values], 1)


def read(name: str) -> xr.DataArray:
    """The image without its own units, so that all lengths are in pixels."""
    path = DATA / name
    if not path.is_file():
        raise SystemExit(f"there is no {path}: this task needs that measurement")
    return xr.DataArray(load_image(path).values.astype(np.float32), dims=("y", "x"), name="image")


if __name__ == "__main__":
    main()

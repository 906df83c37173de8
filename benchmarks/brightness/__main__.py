"""Does z tell structure, or how bright a window is? With and without a site for brightness.

    python -m benchmarks.brightness all --out results
    python -m benchmarks.brightness atoms --ways site amortised normalised

trains on windows of real images whose grey levels are kept (normalize="image"), and
prints one row per training: the bound; the largest correlation of a z with the window's mean grey
level, and with another z; and for the sulphide how well z finds the vacancies that
mos2_vacancies.csv lists, which were marked by eye in pictures of the image. A z that collapsed
tells nothing, and is left out. Windows are on a grid, and a ShiftVAE finds their poses; those of
the tasks `atoms` and `held out` are centred on the brighter of two kinds of atoms, and have none.
"""

import time
import warnings
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter, map_coordinates

from benchmarks.brightness.vacancies import found, positions
from benchmarks.brightness.ways import AmortisedGuide, NormalisedDecoder
from benchmarks.common import command
from benchmarks.common.data import in_pixels
from benchmarks.common.table import Row, written
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
    plot,
)

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
FIT = {"batch_size": 32}
STEPS = 700
WAYS = ("without", "site", "amortised", "normalised", "wide gain")


def main() -> None:
    """Run the tasks that are asked for."""
    parser = command.parser("brightness", __doc__, TASKS, seeds=[0], out="brightness")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS[:2])
    parser.add_argument("--steps", type=int, default=STEPS, help="of the optimiser")
    options = command.asked(parser, TASKS)
    written(measured(options), options.out / "brightness.csv")


def measured(options: Namespace) -> Iterator[Row]:
    """A row for each training that is asked for."""
    for task in options.tasks:
        for seed in options.seeds:
            for way in options.ways:
                yield training(task, way, seed, options)


def training(task: str, way: str, seed: int, options: Namespace) -> Row:
    """One training and its figures."""
    settings = TASKS[task]
    image = in_pixels(settings["file"]).astype(np.float32)
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
    if len(z.T) > 1:
        others = np.abs(np.corrcoef(z.T) - np.eye(len(z.T)))
        row.add("z with z", others.max())
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
        options["guide"] = AmortisedGuide()
    elif posed:
        options["guide"] = "anchor"
    if way == "normalised":
        margin = round(window[0] / 2) if posed else 0
        options["decoder"] = NormalisedDecoder(window, latent_dim, margin)
    if way == "wide gain":  # nothing then keeps the decoder's scale
        options["priors"] = {"brightness": Brightness(gain_scale=0.5)}
    if posed:
        return ShiftVAE(window, latent_dim, offset_scale=0.4, **options)
    return VAE(window, latent_dim, **options)


if __name__ == "__main__":
    main()

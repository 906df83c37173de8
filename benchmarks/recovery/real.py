"""Real images: do the maps show what is known to be in them?"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from benchmarks.common import data, grains, metrics
from benchmarks.common.run import Settings
from benchmarks.common.table import Row
from benchmarks.common.training import save_pictures, train
from pyroshift import RVAE, ShiftVAE, extract_patches, load_image

GRAPHITE: Settings = {
    "file": "stm_graphite.tif",
    "patches": {"window": 40, "step": 12},
    "model": {"likelihood": "gaussian", "latent_dim": 2, "offset_scale": 0.3},
    # At weight 1 the z of neighbouring windows differ by what is left of the lattice: see README.
    "fit": {"epochs": 15, "batch_size": 128, "kl": {"z": 20.0}},
}

GRAPHENE: Settings = {
    "file": data.GRAPHENE,
    "patches": {"window": 32},
    "model": {"likelihood": "gaussian", "latent_dim": 2, "angle_scale": 1.0},
    "fit": {"epochs": 100, "batch_size": 64},
}


def graphite(seed: int, out: Path) -> Iterator[Row]:
    """STM of graphite: offsets beat with the lattice, z shows the tip change and the defects."""
    image = load_image(data.measurement(GRAPHITE["file"]))
    patches = extract_patches(image, **GRAPHITE["patches"])
    model = ShiftVAE(patches.window, seed=seed, **GRAPHITE["model"])
    maps, history, seconds = train(model, patches, seed, GRAPHITE["fit"])
    row = Row("graphite", "", seed, seconds)
    for name, component in _components(maps):
        row.add(f"{name} central share", metrics.central_share(component))
    row.add("loss per pixel", float(history.loss[-1]) / np.prod(patches.window))
    save_pictures(out / f"graphite_{seed}", maps, image, model, history)
    yield row


def graphene(seed: int, out: Path) -> Iterator[Row]:
    """STEM of graphene: the angle at each atom tells the two grains apart."""
    image = load_image(data.measurement(GRAPHENE["file"]))
    atoms = data.graphene_atoms()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*positions are left out")
        patches = extract_patches(image, positions=atoms, **GRAPHENE["patches"])
    model = RVAE(patches.window, seed=seed, **GRAPHENE["model"])
    maps, history, seconds = train(model, patches, seed, GRAPHENE["fit"])
    # Which grain an atom is in, from positions alone; angles are alike modulo 60 degrees.
    order = grains.bond_order(atoms)[maps.atom.values]
    sixfold = 6 * maps.angle.values
    true_grain, found_grain = grains.two_arcs(np.angle(order)), grains.two_arcs(sixfold)
    inside = np.abs(order) > grains.INSIDE
    row = Row("graphene", "", seed, seconds)
    row.add("grains told apart", grains.agreement(found_grain, true_grain), lowest=0.95)
    agreement = grains.agreement(found_grain[inside], true_grain[inside])
    row.add("inside the grains", agreement, lowest=0.98)
    difference = _between(sixfold, true_grain, inside)
    row.add("degrees between grains", difference)
    row.add("degrees between, by bonds", _between(np.angle(order), true_grain, inside))
    row.add("spread within, degrees", _spread(sixfold, true_grain, inside))
    shown = grains.with_orientations(maps, order)
    save_pictures(out / f"graphene_{seed}", shown, image, model, history)
    yield row


def _between(sixfold: np.ndarray, grain: np.ndarray, inside: np.ndarray) -> float:
    """Degrees between the mean orientations of both grains, 0 to 30."""
    means = [metrics.mean_angle(sixfold[inside & (grain == which)]) for which in (False, True)]
    return abs(float(np.degrees(np.angle(np.exp(1j * (means[1] - means[0])))))) / 6


def _spread(sixfold: np.ndarray, grain: np.ndarray, inside: np.ndarray) -> float:
    """Circular standard deviation within a grain, in degrees; the larger one of both."""
    lengths = [abs(np.mean(np.exp(1j * sixfold[inside & (grain == which)]))) for which in (0, 1)]
    return float(np.degrees(np.sqrt(-2 * np.log(min(lengths))))) / 6


def _components(maps: xr.Dataset) -> Iterator[tuple[str, np.ndarray]]:
    for index in maps.latent.values:
        yield f"z{index}", maps.z.sel(latent=index).values
    for axis in maps.axis.values:
        yield f"offset {axis}", maps.offset.sel(axis=axis).values

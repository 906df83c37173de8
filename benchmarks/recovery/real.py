"""Real images: do the maps show what is known to be in them?"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import recovery_metrics as metrics
import xarray as xr
from recovery_synthetic import Settings, train
from recovery_table import Row

from pyroshift import RVAE, PoseVAE, ShiftVAE, extract_patches, load_image, manifold, plot

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

GRAPHITE: Settings = {
    "file": "stm_graphite.tif",
    "patches": {"window": 40, "step": 12},
    "model": {"likelihood": "gaussian", "latent_dim": 2, "offset_scale": 0.3},
    # At weight 1 the z of neighbouring windows differ by what is left of the lattice: see README.
    "fit": {"epochs": 15, "batch_size": 128, "kl": {"z": 20.0}},
}

GRAPHENE: Settings = {
    "file": "stem_graphene_boundary.npy",
    "positions": "stem_graphene_boundary_atoms.npy",
    "patches": {"window": 32},
    "model": {"likelihood": "gaussian", "latent_dim": 2, "angle_scale": 1.0},
    "fit": {"epochs": 100, "batch_size": 64},
    # Smallest bond order of an atom inside a grain; at the boundary there is no orientation.
    "inside": 0.7,
}


def graphite(seed: int, out: Path) -> Iterator[Row]:
    """STM of graphite: offsets beat with the lattice, z shows the tip change and the defects."""
    path = _file(GRAPHITE["file"])
    image = load_image(path)
    patches = extract_patches(image, **GRAPHITE["patches"])
    model = ShiftVAE(patches.window, seed=seed, **GRAPHITE["model"])
    maps, history, seconds = train(model, patches, seed, GRAPHITE["fit"])
    row = Row("graphite", "", seed, seconds)
    for name, component in _components(maps):
        row.add(f"{name} central share", metrics.central_share(component))
    row.add("loss per pixel", float(history.loss[-1]) / np.prod(patches.window))
    _save(out / f"graphite_{seed}", maps, image, model, history)
    yield row


def graphene(seed: int, out: Path) -> Iterator[Row]:
    """STEM of graphene: the angle at each atom tells the two grains apart."""
    image = load_image(_file(GRAPHENE["file"]))
    atoms = read_atoms(_file(GRAPHENE["positions"]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*positions are left out")
        patches = extract_patches(image, positions=atoms, **GRAPHENE["patches"])
    model = RVAE(patches.window, seed=seed, **GRAPHENE["model"])
    maps, history, seconds = train(model, patches, seed, GRAPHENE["fit"])
    # Which grain an atom is in, from positions alone; angles are alike modulo 60 degrees.
    order = metrics.bond_order(atoms)[maps.atom.values]
    sixfold = 6 * maps.angle.values
    true_grain, found_grain = metrics.two_arcs(np.angle(order)), metrics.two_arcs(sixfold)
    inside = np.abs(order) > GRAPHENE["inside"]
    row = Row("graphene", "", seed, seconds)
    row.add("grains told apart", metrics.agreement(found_grain, true_grain), lowest=0.95)
    agreement = metrics.agreement(found_grain[inside], true_grain[inside])
    row.add("inside the grains", agreement, lowest=0.98)
    difference = _between(sixfold, true_grain, inside)
    row.add("degrees between grains", difference)
    row.add("degrees between, by bonds", _between(np.angle(order), true_grain, inside))
    row.add("spread within, degrees", _spread(sixfold, true_grain, inside))
    modulo = maps.angle.copy(data=np.degrees(np.angle(np.exp(1j * sixfold))) / 6)
    modulo.attrs = {"long_name": "angle modulo 60°", "units": "°"}
    bonds = maps.angle.copy(data=np.degrees(np.angle(order)) / 6)
    bonds.attrs = {"long_name": "orientation of the bonds", "units": "°"}
    shown = maps.assign(angle_modulo_60=modulo, bonds_modulo_60=bonds)
    _save(out / f"graphene_{seed}", shown, image, model, history)
    yield row


def read_atoms(path: Path) -> np.ndarray:
    """Positions (atom x axis), y and x, from a pickled table of y, x and class per frame."""
    table = np.load(path, allow_pickle=True).item()[0]
    return np.asarray(table[:, :2], float)


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


def _save(
    stem: Path, maps: xr.Dataset, image: xr.DataArray, model: PoseVAE, history: xr.Dataset
) -> None:
    """Pictures of the maps, the manifold and the training."""
    figures: dict[str, Any] = {
        "maps": plot.maps(maps, image),
        "manifold": plot.manifold(manifold(model)).figure,
        "training": plot.history(history),
    }
    for name, figure in figures.items():
        getattr(figure, "figure", figure).savefig(f"{stem}_{name}.png", dpi=110)


def _file(name: str) -> Path:
    path = DATA / name
    if not path.is_file():
        raise SystemExit(f"there is no {path}: this task needs that measurement")
    return path

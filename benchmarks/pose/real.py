"""Pose in real images, cut at random: does it agree with atoms that are found independently?"""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from benchmarks.common import data, grains, metrics
from benchmarks.common.atoms import find_atoms
from benchmarks.common.metrics import Array
from benchmarks.common.run import Job, Run, Settings
from benchmarks.common.table import Row
from benchmarks.common.training import save_pictures, train
from benchmarks.pose import atoms as fits
from pyroshift import RVAE, Patches, PoseVAE, ShiftVAE, extract_patches

POSITIONS: dict[str, Settings] = {
    "graphite": {
        "file": "stm_graphite.tif",
        "n": 3000,
        "window": 40,
        "model": {"likelihood": "gaussian", "latent_dim": 2, "offset_scale": 0.3},
        "guides": {"anchor": {}, "normal": {}},
        "fit": {"epochs": 15, "batch_size": 128, "kl": 1.0},
        # A Gaussian much wider than this along the rows is no longer one atom's.
        "maxima": {"smoothing": 2.5, "background": 14.0, "apart": 8.0},
        "fit_radius": 9.0,
        "longest": 27.0,
        "small": {"n": 300, "fit": {"epochs": 2}, "crop": 400},
    },
    "strontium titanate": {
        "file": "stem_srtio3.hf5",
        "n": 3000,
        "window": 40,
        # Half a cell is 0.67 half-windows.
        "model": {"likelihood": "gaussian", "latent_dim": 2, "offset_scale": 0.4},
        "guides": {"anchor": {}, "normal": {}},
        "fit": {"epochs": 15, "batch_size": 128, "kl": 1.0},
        # Between the titanium columns (19 px away) and the next strontium ones (27 px).
        "maxima": {"smoothing": 2.0, "background": 40.0, "apart": 22.0},
        "fit_radius": 7.0,
        "longest": 40.0,
        "small": {"n": 300, "fit": {"epochs": 2}},
    },
}

GRAPHENE: Settings = {
    "file": data.GRAPHENE,
    "n": 2000,
    "window": 32,
    "model": {"likelihood": "gaussian", "latent_dim": 2, "offsets": True, "offset_scale": 0.3},
    "guides": {"anchor": {}, "normal": {}},
    "fit": {"epochs": 20, "batch_size": 64, "kl": 1.0},
    "neighbours": 3,
    # Positions further from atoms than this show none, for the specimen is covered there.
    "near": 20.0,
    "small": {"n": 300, "fit": {"epochs": 2}},
}

SMOOTHNESS: Settings = {
    "file": "stm_graphite.tif",
    "patches": {"window": 40, "step": 12},
    "model": {"likelihood": "gaussian", "latent_dim": 2, "offset_scale": 0.3},
    "guides": {"anchor": {}, "normal": {}},
    "fit": {"epochs": 15, "batch_size": 128, "kl": 1.0},
    "small": {"fit": {"epochs": 1}, "crop": 300},
}

OURS = ("anchor", "normal")


def real(seed: int, run: Run) -> Iterator[Job]:
    """Atoms at random positions, the grains of graphene, and the maps of graphite at weight 1."""
    ours = [guide for guide in run.guides if guide in OURS]
    for name in POSITIONS:
        for guide, case in run.wanted(f"atoms of {name}", ours):
            yield case, partial(_positions, name, guide, case, seed, run)
    for guide, case in run.wanted("grains of graphene", ours):
        yield case, partial(_grains, guide, case, seed, run)
    for guide, case in run.wanted("maps of graphite", ours):
        yield case, partial(_smoothness, guide, case, seed, run)


def _positions(name: str, guide: str, case: str, seed: int, run: Run) -> Row:
    """Offsets from random positions, against the atoms: they may differ by one vector for all."""
    settings = run.settings(POSITIONS[name])
    image, atoms, vectors = _atoms(name, run.small)
    patches = at_random(image, settings["window"], settings["n"], seed)
    model = ShiftVAE(settings["window"], guide=guide, seed=seed, **_options(settings, guide))
    maps, history, seconds = train(model, patches, seed, settings["fit"])
    centres = np.stack([maps.y.values, maps.x.values], 1)
    period = float(np.linalg.norm(vectors, axis=1).max())
    row = Row("real", case, seed, seconds)
    points = centres + maps.offset.values
    points = points - fits.common_origin(points, atoms, period)
    nearest = _sizes(fits.from_nearest(points, atoms))
    row.add("from nearest atom, px", float(np.median(nearest)), highest=0.5)
    row.add("within 1 px", float(np.mean(nearest <= 1)))
    local = fits.from_local_lattice(points, atoms, vectors, 1.5 * period)
    local = _sizes(local - np.nanmedian(local, 0))
    row.add("from local lattice, px", float(np.nanmedian(local)), highest=0.5)
    row.add("atoms from it, px", fits.jitter(atoms, vectors, 1.5 * period))
    blind = centres - fits.common_origin(centres, atoms, period)
    row.add("by chance, px", float(np.median(_sizes(fits.from_nearest(blind, atoms)))))
    row.add("atoms", len(atoms))
    _finish(row, maps, history, image, model, run.out / f"{_slug(case)}_{seed}")
    return row


def _grains(guide: str, case: str, seed: int, run: Run) -> Row:
    """Angles at random positions, modulo 60 degrees, against the bonds of the atoms nearby."""
    settings = run.settings(GRAPHENE)
    image = _image(settings)
    atoms = data.graphene_atoms()
    patches = at_random(image, settings["window"], settings["n"], seed)
    model = RVAE(settings["window"], guide=guide, seed=seed, **_options(settings, guide))
    maps, history, seconds = train(model, patches, seed, settings["fit"])
    centres = np.stack([maps.y.values, maps.x.values], 1)
    distance, nearest = cKDTree(atoms).query(centres, settings["neighbours"])
    order = grains.bond_order(atoms)[nearest].mean(1)
    seen = distance[:, -1] <= settings["near"]
    inside = seen & (np.abs(order) > grains.INSIDE)
    sixfold = 6 * maps.angle.values
    grain = np.zeros(len(order), bool)
    grain[seen] = grains.two_arcs(np.angle(order[seen]))
    found = np.zeros(len(order), bool)
    found[seen] = grains.two_arcs(sixfold[seen])
    row = Row("real", case, seed, seconds)
    row.add("grains told apart", grains.agreement(found[seen], grain[seen]), lowest=0.9)
    agreement = grains.agreement(found[inside], grain[inside])
    row.add("inside the grains", agreement, lowest=0.95)
    row.add("larger grain's share", max(grain[inside].mean(), 1 - grain[inside].mean()))
    row.add("angle with bonds", abs(np.mean(np.exp(1j * (sixfold - np.angle(order)))[inside])))
    row.add("positions", float(seen.sum()))
    shown = grains.with_orientations(maps, order)
    _finish(row, shown, history, image, model, run.out / f"{_slug(case)}_{seed}")
    return row


def _smoothness(guide: str, case: str, seed: int, run: Run) -> Row:
    """Maps of z on the grid: smooth if the lattice is in the offsets alone."""
    settings = run.settings(SMOOTHNESS)
    image = _image(settings)
    patches = extract_patches(image, **settings["patches"])
    model = ShiftVAE(patches.window, guide=guide, seed=seed, **_options(settings, guide))
    maps, history, seconds = train(model, patches, seed, settings["fit"])
    row = Row("real", case, seed, seconds)
    for index in maps.latent.values:
        share = metrics.central_share(maps.z.sel(latent=index).values)
        row.add(f"z{index} central share", share, lowest=0.25)
        row.add(f"z{index} std", float(maps.z_std.sel(latent=index).mean()))
    for axis in maps.axis.values:
        share = metrics.central_share(maps.offset.sel(axis=axis).values)
        row.add(f"offset {axis} central share", share)
    row.add("loss per pixel", float(history.loss[-1]) / np.prod(patches.window))
    _finish(row, maps, history, image, model, run.out / f"{_slug(case)}_{seed}")
    return row


def at_random(image: xr.DataArray, window: int, count: int, seed: int) -> Patches:
    """Windows at uniformly random positions that know nothing of the atoms."""
    rng = np.random.default_rng(seed)
    extent = np.array(image.shape) - window
    positions = rng.integers(0, extent + 1, (count, 2)) + (window - 1) / 2
    return extract_patches(image, window, positions=positions)


def _options(settings: Settings, guide: str) -> dict[str, Any]:
    return settings["model"] | settings["guides"][guide]


@lru_cache
def _atoms(name: str, small: bool) -> tuple[xr.DataArray, Array, Array]:
    """The image, its atoms by Gaussian fits, and the lattice vectors between them."""
    settings = POSITIONS[name]
    image = _image(settings | settings["small"] if small else settings)
    values = image.values.astype(float)
    maxima = find_atoms(values, **settings["maxima"])
    atoms = fits.fit_atoms(values, maxima, settings["fit_radius"])
    return image, atoms, fits.lattice_vectors(atoms, settings["longest"])


def _image(settings: Settings) -> xr.DataArray:
    """The image, or a part of it."""
    crop = settings.get("crop")
    return data.in_pixels(settings["file"])[:crop, :crop]


def _sizes(vectors: Array) -> Array:
    return np.linalg.norm(vectors, axis=1)


def _slug(case: str) -> str:
    return case.replace(", ", "_").replace(" ", "_")


def _finish(
    row: Row,
    maps: xr.Dataset,
    history: xr.Dataset,
    image: xr.DataArray,
    model: PoseVAE,
    stem: Path,
) -> None:
    """The loss, and pictures of the maps and the manifold."""
    if "loss per pixel" not in row.figures:
        row.add("loss per pixel", float(history.loss[-1]) / np.prod(model.window))
    save_pictures(stem, maps, image, model)

"""How far strains are from those that are known, by offsets, phases and atoms."""

import time

import numpy as np
import xarray as xr
from scipy.optimize import curve_fit
from scipy.special import erf

import pyroshift as ps
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row
from benchmarks.common.training import collapse_expected, train
from benchmarks.strain.methods import FWHM, PARTS, at_atoms, parts, phase_analysis
from benchmarks.strain.simulated import PERIOD, PIXEL, SIDE, Scene
from pyroshift.analysis.unwrapping import nearest_cell

WINDOW, STEP = 30, 8  # pixels
OPTIONS = {"epochs": 10, "batch_size": 128}
# Full width at half maximum in pixels, the window's own share included.
RESOLUTIONS = (28, 36, 48, 60)
METHODS = ("offsets", "phases", "atoms", "held together")
CORE = 2 * PERIOD  # pixels; so near to a dislocation there is no strain to be compared


def measured(case: str, scene: Scene, seed: int) -> list[Row]:
    """A row for each resolution, and one with each method at its best."""
    start = time.perf_counter()
    patches = ps.extract_patches(scene.image, WINDOW, step=STEP, normalize="image")
    model = ps.ShiftVAE(patches.window, latent_dim=1, period=scene.vectors.tolist(), seed=seed)
    with collapse_expected():
        maps, _, _ = train(model, patches, seed, OPTIONS)
    displaced = ps.displacement(maps, scene.vectors, fixed=True)
    seconds = time.perf_counter() - start
    rows = [compared(case, scene, seed, displaced, each, seconds) for each in RESOLUTIONS]
    best = Row(f"{case}, best", "", seed, seconds)
    for where in ("all", "inside"):
        least = {
            method: min(row.figures[f"{method}, {where}"][0] for row in rows) for method in METHODS
        }
        _add(best, least, where)
    return [*rows, best]


def compared(
    case: str, scene: Scene, seed: int, displaced: xr.Dataset, resolution: float, seconds: float
) -> Row:
    """Errors of all methods at one resolution."""
    along = displaced.y.values / PIXEL, displaced.x.values / PIXEL
    places = np.stack(np.meshgrid(*along, indexing="ij"), -1)
    flat = places.reshape(-1, 2)
    own = np.sqrt(resolution**2 - FWHM**2 * WINDOW**2 / 12)  # but for what a window leaves
    found = ps.strain(displaced, own * PIXEL)
    plain = xr.DataArray(scene.image.values, dims=("y", "x"))
    by = {
        "offsets": {name: found[name].values.ravel() for name in PARTS},
        "phases": parts(phase_analysis(plain.values, scene.vectors, resolution, flat)),
        "atoms": parts(at_atoms(plain, scene.vectors, resolution, flat, prior=False)),
        "held together": parts(at_atoms(plain, scene.vectors, resolution, flat, prior=True)),
    }
    truth = parts(scene.gradient(flat))
    apart = np.linalg.norm(flat[:, None] - scene.cores[:, :2], axis=-1).min(1, initial=np.inf)
    counts = apart > CORE
    inside = counts & (np.abs(flat - SIDE / 2).max(1) < SIDE / 2 - max(RESOLUTIONS))
    row = Row(f"{case}, {resolution} px", "", seed, seconds)
    for where, which in {"all": counts, "inside": inside}.items():
        errors = {name: _error(each, truth, which) for name, each in by.items()}
        _add(row, errors, where)
    there = _averaged(scene, places)
    ideal = ps.strain(displaced.assign(displacement=(("y", "x", "axis"), there)), own * PIXEL)
    held = [
        (found[f"{name}_lower"] < ideal[name]) & (ideal[name] < found[f"{name}_upper"])
        for name in PARTS
    ]
    row.add("in 90% interval", np.mean([each.values.ravel()[counts] for each in held]))
    row.add("excess, y", found.excess[0])
    row.add("excess, x", found.excess[1])
    if case == "step":
        for name, each in by.items():
            row.add(f"edge of {name}, px", _edge(flat, each["exx"]))
    if len(scene.cores):
        row.add("dislocations", _dislocations_found(scene, displaced), lowest=2, highest=2)
    return row


def _add(row: Row, errors: dict[str, float], where: str) -> None:
    """Every method's error; that of offsets should be no more than of phases and of atoms."""
    least = min(errors["phases"], errors["atoms"])
    for method in METHODS:
        target = least if method == "offsets" else np.inf
        row.add(f"{method}, {where}", errors[method], highest=target)


def _error(found: dict[str, Array], truth: dict[str, Array], which: Array) -> float:
    """Root mean square over strains, rotation and places, per cent."""
    off = [(found[name] - truth[name])[which] for name in PARTS]
    return 100 * float(np.sqrt(np.nanmean(np.square(off))))


def _edge(places: Array, exx: Array) -> float:
    """Full width at half maximum of what blurs a step along x, from the mean over y, pixels."""
    x, number = np.unique(places[:, 1], return_inverse=True)
    known = np.isfinite(exx)
    mean = np.bincount(number[known], exx[known]) / np.bincount(number[known])

    def blurred(x: Array, height: float, middle: float, width: float) -> Array:
        return height / 2 * (1 + erf((x - middle) / np.sqrt(2) / width))

    return FWHM * abs(curve_fit(blurred, x, mean, (0.03, SIDE / 2, 15.0))[0][2])


def _averaged(scene: Scene, places: Array) -> Array:
    """What windows are displaced by, in nm: the mean over their pixels, cut or not."""
    along = np.arange(2, WINDOW, 5) - WINDOW / 2 + 0.5
    middle = scene.move(places)
    rest = [
        nearest_cell(scene.move(places + np.array([y, x])) - middle, scene.vectors)
        for y in along
        for x in along
    ]
    return (middle + np.mean(rest, 0)) * PIXEL


def _dislocations_found(scene: Scene, displaced: xr.Dataset) -> int:
    """How many there are with the right Burgers vector within a window; less what isn't there."""
    found = ps.dislocations(displaced)
    places = np.column_stack([found.y, found.x]) / PIXEL
    right = 0
    for core in scene.cores:
        near = np.linalg.norm(places - core[:2], axis=1) < WINDOW / 2
        same = np.abs(found.burgers.values / PIXEL - core[2:]).max(1) < 0.5
        right += int((near & same).any())
    return right - (len(places) - right)

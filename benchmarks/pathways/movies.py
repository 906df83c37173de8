"""Trainings on movies of atoms that switch, turn, shake and drift."""

import math
import time
from collections.abc import Iterator

import numpy as np
import xarray as xr
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

import pyroshift as ps
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row

MOVIE = {"frames": 40, "sites": (6, 6)}
RATES = np.array([[0.95, 0.05], [0.1, 0.9]])
WINDOW = 24
# Noise, of atoms of brightness 1 and neighbours of 0.6 to 0.9, and whether atoms are found first.
CASES = ((0.1, False), (0.1, True), (0.3, False), (0.45, False))
FIT = {"epochs": 30, "batch_size": 64, "learning_rate": 2e-3, "schedule": "cosine"}
NEAR = 0.2  # radians; windows whose angle is further from the truth are counted


def movies(seeds: list[int], small: bool) -> Iterator[Row]:
    """A training on the windows at the atoms of a movie, for each seed and noise."""
    size = MOVIE | ({"frames": 8, "sites": (3, 3)} if small else {})
    settings = FIT | ({"epochs": 2} if small else {})
    for noise, find in CASES:
        for seed in seeds:
            movie = ps.synthetic.switching(**size, transition=RATES, noise=noise, seed=seed)
            truth = movie.drop_vars(["image", "transition"])
            start = time.perf_counter()
            atoms = ps.find_atoms(movie.image, progress=False) if find else truth
            found = ps.classify(encoded(movie.image, atoms.drop_vars("track", errors="ignore"),
                                        seed, settings))  # fmt: skip
            case = f"noise {noise:g}, atoms {'found' if find else 'given'}"
            row = Row("movie", case, seed, time.perf_counter() - start)
            row.add("atoms", found.sizes["atom"] / truth.sizes["atom"], 0.99, 1.01)
            own = ps.transition_matrix(truth.rename(state="class_index"))
            row.add("rates within, true states", within(own, RATES))
            # What is true of the atom at each window.
            truth = truth.isel(atom=nearest(found, truth))
            add_classes(row, found, truth)
            add_angles(row, found, truth)
            yield row


def encoded(image: xr.DataArray, atoms: xr.Dataset, seed: int, settings: dict) -> xr.Dataset:
    """What a model finds that was trained on the windows at the atoms, which are linked first."""
    atoms = ps.link_atoms(atoms)
    patches = ps.extract_patches(image, WINDOW, positions=atoms, normalize="image")
    model = ps.RVAE(
        WINDOW, latent_dim=2, offsets=True, offset_scale=0.1, guide="anchor", angle_scale=math.inf,
        seed=seed,
    )  # fmt: skip
    ps.fit(model, patches, seed=seed, progress=False, **settings)
    return ps.encode(model, patches)


def nearest(found: xr.Dataset, truth: xr.Dataset) -> Array:
    """Index of the true atom nearest to each one found, in the same frame."""
    far = 1e6  # pixels, from frame to frame
    places = [np.stack([far * part.frame, part.y, part.x], 1) for part in (truth, found)]
    return cKDTree(places[0]).query(places[1])[1]


def add_classes(row: Row, found: xr.Dataset, truth: xr.Dataset) -> None:
    """Whether classes, single atoms' sequences of classes, and rates are right."""
    row.add("classes", found.sizes["class"], 2, 2)
    row.add("classes by BIC", int(found.components[found.bic.argmin("components")]))
    state = truth.state.values
    name = renamed(found.class_index.values, state)
    right = name[found.class_index.values] == state
    row.add("windows right", right.mean(), 0.95)
    ways = [found.track.values == track for track in np.unique(found.track) if track >= 0]
    whole = [right[way].all() and len(np.unique(truth.track[way])) == 1 for way in ways]
    row.add("tracks without an error", np.mean(whole), 0.9)
    if sorted(name) != [0, 1]:
        row.add("rates within", math.nan, 1)
        return
    rates = RATES[np.ix_(name, name)]
    row.add("rates within", within(ps.transition_matrix(found), rates), 1)
    row.add("rates within, hidden", within(ps.transition_matrix(found, hidden=True), rates), 1)


def renamed(found: Array, state: Array) -> Array:
    """The state of each class, each state once; -1 for classes beyond the states."""
    together = np.zeros((found.max() + 1, state.max() + 1))
    np.add.at(together, (found, state), 1)
    name = np.full(len(together), -1)
    classes, states = linear_sum_assignment(-together)
    name[classes] = states
    return name


def within(found: xr.Dataset, rates: Array) -> float:
    """Share of the two rates of switching that are in their 95% intervals."""
    inside = (found.lower.values <= rates) & (rates <= found.upper.values)
    return float(np.mean([inside[0, 1], inside[1, 0]]))


def add_angles(row: Row, found: xr.Dataset, truth: xr.Dataset) -> None:
    """Errors of single atoms' angles, up to a constant for each class.

    Which way up a class is held is a convention of its own, as its motif is another.
    """
    vector = np.exp(1j * (found.angle.values - truth.angle.values))
    index = found.class_index.values
    means = np.array([vector[index == number].mean() for number in range(index.max() + 1)])
    size = np.abs(np.angle(vector / means[index]))
    row.add("median angle error", np.median(size), highest=0.05)
    row.add("angles off", (size > NEAR).mean(), highest=0.05)
    row.add("turn between classes", np.abs(np.angle(means / means[0])).max())

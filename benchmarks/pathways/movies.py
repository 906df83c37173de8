"""Are states, rates of switching and single atoms' ways found in a movie of atoms that switch?

    python benchmarks/pathways.py --seeds 0 1 2 --out pathways

prints one row per training or simulation, each figure beside its target, and writes them as csv.
Tasks: `movie`, a training per seed and noise, at the true atoms or at those found; `intervals`,
how often the intervals of rates hold the truth over many simulated sequences of classes, as they
are and with errors and gaps; `hidden`, the same by the hidden Markov model. `--small` shrinks every
task to test the script itself.
"""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from recovery_table import Row, write_csv
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

import pyroshift as ps

Array = NDArray[Any]

MOVIE = {"frames": 40, "sites": (6, 6)}
RATES = np.array([[0.95, 0.05], [0.1, 0.9]])
WINDOW = 24
# Noise, of atoms of brightness 1 and neighbours of 0.6 to 0.9, and whether atoms are found first.
CASES = ((0.1, False), (0.1, True), (0.3, False), (0.45, False))
FIT = {"epochs": 30, "batch_size": 64, "learning_rate": 2e-3, "schedule": "cosine"}
# Shares of classes that are wrong, and of frames that are missing.
SEQUENCES = ((0.0, 0.0), (0.0, 0.1), (0.01, 0.0), (0.03, 0.0), (0.05, 0.1))
SIMULATED, SIMULATED_HIDDEN = 500, 20
NEAR = 0.2  # radians; windows whose angle is further from the truth are counted


def main() -> None:
    """Run the tasks that are asked for."""
    tasks = {"movie": movies, "intervals": intervals, "hidden": hidden}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(tasks), metavar="TASK",
                        help=f"of {', '.join(tasks)}; all by default")  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--small", action="store_true", help="few frames, epochs and simulations")
    parser.add_argument("--out", type=Path, default=Path("pathways"), help="folder of the results")
    options = parser.parse_args()
    if unknown := set(options.tasks) - set(tasks):
        parser.error(f"no task {', '.join(unknown)}: choose from {', '.join(tasks)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for task in options.tasks:
        rows = []
        for row in tasks[task](options.seeds, options.small):
            print(row, flush=True)
            rows.append(row)
            write_csv(rows, options.out / f"{task}.csv")


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


def intervals(seeds: list[int], small: bool) -> Iterator[Row]:
    """Coverage of the intervals by Dirichlet posteriors."""
    yield from coverage("intervals", seeds, 10 if small else SIMULATED, {})


def hidden(seeds: list[int], small: bool) -> Iterator[Row]:
    """Coverage of the intervals by the hidden Markov model."""
    yield from coverage("hidden", seeds, 2 if small else SIMULATED_HIDDEN, {"hidden": True})


def coverage(task: str, seeds: list[int], count: int, options: dict[str, Any]) -> Iterator[Row]:
    """How often the intervals hold the truth, for sequences with errors and with gaps."""
    for errors, missing in SEQUENCES:
        for seed in seeds:
            rng = np.random.default_rng(seed)
            start = time.perf_counter()
            inside, rates = [], []
            for _ in range(count):
                matrix = ps.transition_matrix(sequences(rng, errors, missing), **options)
                inside.append(within(matrix, RATES))
                rates.append(matrix.probability.values[[0, 1], [1, 0]])
            case = f"{errors:.0%} wrong, {missing:.0%} missing"
            row = Row(task, case, seed, time.perf_counter() - start)
            # Counted as they are, wrong classes are not meant to give the right rates.
            judged = bool(options) or not errors
            row.add("intervals with the truth", np.mean(inside), 0.9 if judged else 0)
            row.add("mean rate, 0.05", np.mean(rates, 0)[0])
            row.add("mean rate, 0.1", np.mean(rates, 0)[1])
            yield row


def sequences(rng: np.random.Generator, errors: float, missing: float) -> xr.Dataset:
    """Classes of as many tracks and frames as in the movies, of which some are wrong."""
    frames, tracks = MOVIE["frames"], math.prod(MOVIE["sites"])
    state = np.empty((frames, tracks), int)
    for frame in range(frames):
        above = np.full(tracks, 0.5) if frame == 0 else RATES[state[frame - 1], 1]
        state[frame] = rng.random(tracks) < above
    seen = np.where(rng.random(state.shape) < errors, 1 - state, state)
    kept = rng.random(state.shape) >= missing
    frame, track = np.indices(state.shape)
    return xr.Dataset(
        {
            "class_index": ("atom", seen[kept]),
            "class_probability": (("atom", "class"), np.eye(2)[seen[kept]]),
        },
        {"frame": ("atom", frame[kept]), "track": ("atom", track[kept])},
    )


if __name__ == "__main__":
    main()

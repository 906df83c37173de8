"""Do channels, missing pixels and kinds of motif cost the pose, and is it still honest?

    OMP_NUM_THREADS=1 python -m benchmarks.wide all
    OMP_NUM_THREADS=1 python -m benchmarks.wide gaps --seeds 0
    OMP_NUM_THREADS=1 python -m benchmarks.wide cost

trains on windows whose motifs, poses and kinds are known, and prints one row per training. Offsets
and their intervals are of the windows that were trained on, less what of the motif's origin depends
on its content; content and gaps are told as R², by regression on z.
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_predict

from benchmarks.common import command
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row, written
from benchmarks.common.timing import in_turns
from benchmarks.common.training import COMMON
from benchmarks.likelihoods.data import Data
from benchmarks.likelihoods.recovery import add_recovery
from benchmarks.wide import data
from benchmarks.wide.cards import cards
from benchmarks.wide.digits import digits
from pyroshift import RVAE, Patches, PoseVAE, ShiftVAE, encode, fit

FIT: dict[str, Any] = {"epochs": 20, "batch_size": 64}
COSTS: dict[str, dict[str, Any]] = {
    "one channel": {},
    "30% of the pixels missing": {},
    "two channels": {"channels": 2},
    "ten classes": {"classes": 10},
}


def main() -> None:
    """Run the tasks that are asked for."""
    parser = command.parser("wide", __doc__, TASKS, seeds=[0, 1, 2], out="wide")
    parser.add_argument("--windows", type=int, default=2000, help="to train on")
    options = command.asked(parser, TASKS)
    rows = (row for task in options.tasks for row in TASKS[task](options.seeds, options.windows))
    written(rows, options.out / "wide.csv")


def channels(seeds: list[int], count: int) -> Iterator[Row]:
    """A channel that tells something, alone and beside one of noise."""
    for make in (data.spots, data.rings):
        for seed in seeds:
            truth = make(count, seed)
            noise = np.random.default_rng(seed + 100).standard_normal(truth.windows.shape)
            both = np.stack([truth.windows, noise], 1).astype(np.float32)
            for label, windows in (("alone", truth.windows), ("beside noise", both)):
                yield _measured("channels", f"{make.__name__}, {label}", seed, truth, windows)


def gaps(seeds: list[int], count: int) -> Iterator[Row]:
    """Whole windows, and such as lack 30% of their pixels at random, or a corner."""
    for make in (data.spots, data.rings):
        for seed in seeds:
            truth = make(count, seed)
            rng = np.random.default_rng(seed + 200)
            for label, missing in data.missing(truth.windows.shape, rng).items():
                windows = np.where(missing, np.nan, truth.windows).astype(np.float32)
                row = _measured("gaps", f"{make.__name__}, {label}", seed, truth, windows, missing)
                yield row


def kinds(seeds: list[int], count: int) -> Iterator[Row]:
    """Three kinds of glyph of one surface, 80 : 15 : 5, turned and shifted, in noise."""
    for noise in (0.1, 0.25, 0.5):
        for seed in seeds:
            yield _told_apart("kinds", noise, seed, count, flips=False)


def mirrored(seeds: list[int], count: int) -> Iterator[Row]:
    """The same glyphs, half of them mirrored, which the frequent kind alone tells."""
    for noise in (0.1, 0.25):
        for seed in seeds:
            yield _told_apart("mirrored", noise, seed, count, flips=True)


def cost(seeds: list[int], count: int) -> Iterator[Row]:
    """Seconds of an epoch, taken in turns."""
    truth = data.spots(count, 0)
    both = np.stack([truth.windows, truth.windows], 1)
    missing = data.missing(truth.windows.shape, np.random.default_rng(0))["30% missing"]
    each = dict.fromkeys(COSTS, truth.windows)
    each |= {
        "two channels": both,
        "30% of the pixels missing": np.where(missing, np.nan, both[:, 0]),
    }

    def epoch(name: str) -> Callable[[], float]:
        patches, window = _patches(each[name]), truth.windows.shape[1:]

        def seconds() -> float:
            model = ShiftVAE(window, **COSTS[name])
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit(model, patches, epochs=3, progress=False)
            return time.perf_counter() - begin

        return seconds

    times = in_turns({name: epoch(name) for name in COSTS}, len(seeds))
    for name, values in times.items():
        row = Row("cost", name, 0, float(np.median(values)))
        row.add("times one channel", float(np.median(values) / np.median(times["one channel"])))
        yield row


TASKS: dict[str, Callable[[list[int], int], Iterator[Row]]] = {
    "channels": channels, "gaps": gaps, "kinds": kinds, "mirrored": mirrored,
    "cards": cards, "digits": digits, "cost": cost,
}  # fmt: skip


def _told_apart(task: str, noise: float, seed: int, count: int, flips: bool) -> Row:
    """One training on three kinds of glyph: whether kinds, mirror images and angles are found.

    Which of two mirror images is the motif, and how turned each kind is drawn, is a convention; so
    angles are compared within a kind, and where it is mirrored or not apart.
    """
    truth = data.glyphs(count, noise, seed, flips)
    model = RVAE(truth.windows.shape[1:], 1, offsets=True, classes=3, flips=flips, seed=seed)
    begin = time.perf_counter()
    maps = _trained(model, truth.windows, seed)
    row = Row(task, f"noise {noise}", seed, time.perf_counter() - begin)
    row.add("accuracy", accuracy(maps["class"].values, truth.kind), 0.98)
    error = np.exp(1j * (maps.angle.values - truth.angle))
    if flips:
        told = truth.kind == 0
        same = float(np.mean(maps.flip.values[told] == truth.flip[told]))
        row.add("mirrored, of the frequent", max(same, 1 - same), 0.98)
        for flip in (False, True):
            which = told & (truth.flip == flip)
            row.add(f"its angle, {'mirrored' if flip else 'not'}", abs(error[which].mean()))
        return row
    for number in range(3):
        row.add(f"angle of kind {number}", abs(error[truth.kind == number].mean()))
    return row


def _measured(
    task: str, label: str, seed: int, truth: Data, windows: Array, missing: Array | None = None
) -> Row:
    """One training, and its figures."""
    channels = windows.shape[1] if windows.ndim == 4 else None
    model = ShiftVAE(truth.windows.shape[1:], 1, channels=channels, seed=seed)
    begin = time.perf_counter()
    maps = _trained(model, windows, seed)
    row = Row(task, label, seed, time.perf_counter() - begin)
    add_recovery(row, maps, truth)
    if missing is not None and missing.any():
        row.add("gaps from z", seen_gaps(maps.z.values, missing), -math.inf, 0.05)
    return row


def _trained(model: PoseVAE, windows: Array, seed: int) -> Any:
    patches = _patches(windows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, patches, seed=seed, **COMMON, **FIT)
    return encode(model, patches)


def _patches(windows: Array) -> Patches:
    """Windows, with channels or without, few pixels or many."""
    dims = ("patch", "channel", "y", "x") if windows.ndim == 4 else ("patch", "y", "x")
    return Patches.from_array(windows, 2, dims, min_valid=0.1)


def seen_gaps(z: Array, missing: Array) -> float:
    """How well z tells where pixels are missing: the best R² of their share in each quarter."""
    rows, columns = (size // 2 for size in missing.shape[1:])
    quarters = [
        missing[:, a, b].mean((1, 2))
        for a in (slice(rows), slice(rows, None))
        for b in (slice(columns), slice(columns, None))
    ]
    features = np.column_stack([z, z**2])
    found = []
    for share in quarters:
        predicted = cross_val_predict(LinearRegression(), features, share, cv=5)
        found.append(1 - np.var(share - predicted) / np.var(share))
    return float(max(found))


def accuracy(found: Array, truth: Array) -> float:
    """Share of windows whose class is that of their kind, classes being called as fits best."""
    count = int(max(found.max(), truth.max())) + 1
    table = np.zeros((count, count))
    np.add.at(table, (found.astype(int), truth), 1)
    return float(table[linear_sum_assignment(-table)].sum() / len(truth))


if __name__ == "__main__":
    main()

"""What a training step costs with each guide, measured in turns in one run."""

from collections.abc import Iterator
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
import pyro.distributions as dist

from benchmarks.common.run import Job, Run, Settings, merged
from benchmarks.common.table import Row
from benchmarks.pose.found import as_float32
from benchmarks.pose.guides import make
from pyroshift import Patches, PoseVAE, fit, synthetic
from pyroshift.training.history import EpochRecord

COST: Settings = {
    "cases": {
        "window 40, offsets": {"window": (40, 40), "turns": False, "highest": 3.0},
        "signals of 100": {"window": (100,), "turns": False, "highest": 3.0},
        "window 40, turned": {"window": (40, 40), "turns": True, "highest": 8.0},
    },
    "model": {"likelihood": "gaussian", "latent_dim": 2, "decoder": "canvas"},
    "guides": {"anchor": {}, "normal": {"offset_scale": 0.25}},
    # So many times in turns, each of so many epochs of so many steps, of which the first isn't
    # counted.
    "rounds": 5,
    "epochs": 3,
    "steps": 8,
    "batch_size": 128,
    "small": {"rounds": 2, "epochs": 2, "steps": 2},
}


def cost(seed: int, run: Run) -> Iterator[Job]:
    """Seconds per training step, and how many times those of the Normal guide."""
    settings = run.settings(COST)
    others = [guide for guide in run.guides if guide not in ("normal", "pyroved")] or ["normal"]
    for name, case in settings["cases"].items():
        for guide, label in run.wanted(name, others):
            yield label, partial(_compare, guide, label, seed, merged(settings, case))


def _compare(guide: str, label: str, seed: int, settings: Settings) -> Row:
    patches = _patches(settings, seed)
    models = [_make(each, patches.window, seed, settings) for each in (guide, "normal")]
    start = perf_counter()
    times: list[list[float]] = [[], []]
    for number in range(settings["rounds"]):
        for which in (0, 1) if number % 2 else (1, 0):
            times[which].append(_seconds(models[which], patches, settings))
    row = Row("cost", label, seed, perf_counter() - start)
    own, normal = median(times[0]), median(times[1])
    row.add(f"ms per step, {guide}", 1000 * own)
    row.add("ms per step, normal guide", 1000 * normal)
    row.add("ratio", own / normal, highest=settings["highest"])
    ratios = [first / second for first, second in zip(*times, strict=True)]
    row.add("lowest of the rounds", min(ratios))
    row.add("highest of the rounds", max(ratios))
    return row


def _make(guide: str, window: tuple[int, ...], seed: int, settings: Settings) -> PoseVAE:
    """The model, with a prior over the whole circle if it turns."""
    whole = {"priors": {"angle": dist.Uniform(-np.pi, np.pi)}} if settings["turns"] else {}
    return make(guide, window, seed, merged(settings, {"guides": {guide: whole}}))


def _patches(settings: Settings, seed: int) -> Patches:
    count = settings["steps"] * settings["batch_size"]
    if len(settings["window"]) == 1:
        data = synthetic.peaks(count, settings["window"][0], seed=seed).signal
    else:
        angle = np.pi if settings["turns"] else 0.0
        data = synthetic.motifs(
            count, settings["window"][0], max_angle=angle, max_offset=8.0, seed=seed
        ).patch
    return Patches.from_array(as_float32(data.values))


def _seconds(model: PoseVAE, patches: Patches, settings: Settings) -> float:
    """Seconds per step, without what is done once."""
    ends: list[float] = []

    def note(_: PoseVAE, __: EpochRecord) -> None:
        ends.append(perf_counter())

    fit(
        model, patches, epochs=settings["epochs"], batch_size=settings["batch_size"],
        progress=False, callbacks=[note],
    )  # fmt: skip
    return (ends[-1] - ends[0]) / ((len(ends) - 1) * settings["steps"])

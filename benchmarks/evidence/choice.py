"""Is the true model chosen by held-out evidence: how many latents, which likelihood, any classes?

    OMP_NUM_THREADS=1 python -m benchmarks.evidence.choice all

makes ten data sets of each question, trains the models that are in question, and chooses the
simplest of those whose evidence is within two standard errors of the best. Signals have 24 points.
"""

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np

import pyroshift as ps
from benchmarks.common import command
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row, written
from benchmarks.common.training import COMMON, collapse_expected

LENGTH, COUNT, HELD_OUT = 24, 1500, 500
FIT: dict[str, Any] = {"epochs": 40, "batch_size": 64}
Question = Callable[[int], tuple[str, Array, dict[str, ps.PoseVAE]]]
"""From a seed to the true model's name, signals, and models by name, the simplest first."""


def main() -> None:
    """Run the questions that are asked for."""
    parser = command.parser("evidence.choice", __doc__, QUESTIONS, range(10), "evidence")
    options = command.asked(parser, QUESTIONS)
    rows = (row for task in options.tasks for row in _asked(task, options.seeds))
    written(rows, options.out / "choice.csv")


def _asked(task: str, seeds: list[int]) -> Iterator[Row]:
    """One row for each data set."""
    for seed in seeds:
        start = perf_counter()
        true, signals, models = QUESTIONS[task](seed)
        chosen, table = _chosen(signals, models, seed)
        row = Row(task, f"true: {true}, chosen: {chosen}", seed, perf_counter() - start)
        row.add("right", chosen == true, 1)
        for name in models:
            row.add(name, float(table.log_evidence.sel(model=name)))
        yield row


def _chosen(signals: Array, models: dict[str, ps.PoseVAE], seed: int) -> tuple[str, Any]:
    """The simplest model that isn't clearly worse than the best, and the table."""
    parts = np.split(signals.astype(np.float32), [COUNT])
    training, held_out = map(ps.Patches.from_array, parts)
    with collapse_expected():
        for model in models.values():
            ps.fit(model, training, seed=seed, **COMMON, **FIT)
    table = ps.compare(models, held_out, draws=300, seed=seed)
    near = table.difference >= -2 * table.difference_se
    return next(name for name in models if bool(near.sel(model=name))), table


def _bumps(heights: Array) -> Array:
    """Bumps side by side, as many as there are heights: `signal x point`."""
    points, count = np.arange(LENGTH), heights.shape[1]
    centres = (np.arange(count) + 0.5) * LENGTH / count
    return heights @ np.exp(-np.square(points - centres[:, None]) / 8)


def latents(seed: int) -> tuple[str, Array, dict[str, ps.PoseVAE]]:
    """One to three bumps whose heights vary on their own, by one to four latents."""
    random, true = np.random.default_rng(seed), 1 + seed % 3
    heights = random.uniform(0.3, 1.2, (COUNT + HELD_OUT, true))
    signals = _bumps(heights) + 0.15 * random.normal(size=(len(heights), LENGTH))
    models = {str(count): ps.VAE((LENGTH,), count) for count in range(1, 5)}
    return str(true), signals, models


def likelihoods(seed: int) -> tuple[str, Array, dict[str, ps.PoseVAE]]:
    """Noise that is Normal or Student's, or counts that are Poisson or scatter more."""
    random = np.random.default_rng(seed)
    expected = _bumps(random.uniform(0.3, 1.2, (COUNT + HELD_OUT, 1)))
    if seed % 2:
        pair, rate = ("poisson", "negative_binomial"), 1 + 8 * expected
        true = pair[seed // 2 % 2]
        gain = random.gamma(5, 1 / 5, rate.shape) if true == pair[1] else 1.0
        signals = random.poisson(rate * gain).astype(float)
    else:
        pair = ("gaussian", "student_t")
        true = pair[seed // 2 % 2]
        shape = expected.shape
        noise = random.standard_t(3, shape) if true == pair[1] else random.normal(size=shape)
        signals = expected + 0.15 * noise
    return true, signals, {name: ps.VAE((LENGTH,), 1, likelihood=name) for name in pair}


def classes(seed: int) -> tuple[str, Array, dict[str, ps.PoseVAE]]:
    """Bumps of varying height in one place, or each signal's in one of four.

    Of two places one latent could tell by its sign which it is, and by its size how high.
    """
    random, kinds = np.random.default_rng(seed), 4 if seed % 2 else 1
    count = COUNT + HELD_OUT
    heights = np.zeros((count, 4))
    place = random.integers(0, kinds, count)
    heights[np.arange(count), place] = random.uniform(0.5, 1.2, count)
    signals = _bumps(heights) + 0.15 * random.normal(size=(count, LENGTH))
    models = {"one kind": ps.VAE((LENGTH,), 1), "four kinds": ps.VAE((LENGTH,), 1, classes=4)}
    return "one kind" if kinds == 1 else "four kinds", signals, models


QUESTIONS: dict[str, Question] = {
    "latents": latents, "likelihoods": likelihoods, "classes": classes,
}  # fmt: skip

if __name__ == "__main__":
    main()

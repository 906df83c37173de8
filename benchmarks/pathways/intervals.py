"""How often the intervals of rates hold the truth, over simulated sequences of classes."""

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

import pyroshift as ps
from benchmarks.common.table import Row
from benchmarks.pathways.movies import MOVIE, RATES, within

# Shares of classes that are wrong, and of frames that are missing.
SEQUENCES = ((0.0, 0.0), (0.0, 0.1), (0.01, 0.0), (0.03, 0.0), (0.05, 0.1))
SIMULATED, SIMULATED_HIDDEN = 500, 20


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

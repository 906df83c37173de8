"""Suits of playing cards at any angle and sheared, by four classes and one latent, unlabelled."""

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.common.metrics import Array
from benchmarks.common.table import Row
from benchmarks.pose import metrics
from pyroshift import RVAE, Patches, encode, fit, synthetic

WINDOW, NOISE, SUITS = 24, 0.1, ("clubs", "diamonds", "hearts", "spades")
FIT: dict[str, Any] = {"epochs": 12, "batch_size": 64, "progress": False}
FOLDS = {"diamonds": 2}  # of a turn after which a suit looks the same


def cards(seeds: list[int], count: int) -> Iterator[Row]:
    """Four classes and one latent, of windows that were trained on."""
    for seed in seeds:
        truth = synthetic.cards(count, WINDOW, np.pi, WINDOW / 12, noise=NOISE, seed=seed)
        patches = Patches.from_array(truth.patch.values)
        model = RVAE(WINDOW, 1, offsets=True, classes=len(SUITS), seed=seed)
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = fit(model, patches, seed=seed, **FIT)
        row = Row("cards", f"noise {NOISE}", seed, time.perf_counter() - begin)
        _add(row, encode(model, patches), truth)
        row.add("loss", float(history.loss[-1]))
        yield row


def _add(row: Row, maps: xr.Dataset, truth: xr.Dataset) -> None:
    """How well suits, their angles and their shears are told."""
    found = maps["class"].values.astype(int)
    row.add("class", metrics.cluster_accuracy(found, truth.suit.values), 0.95)
    turn = maps.angle.values - truth.angle.values
    for number, name in enumerate(SUITS):
        own = truth.suit.values == number
        error = np.exp(1j * FOLDS.get(name, 1) * turn[own])
        row.add(f"angle of {name}", float(abs(error.mean())))
        row.add(f"shear of {name}", _explained(maps.z.values[own, 0], truth.shear.values[own]))


def _explained(z: Array, shear: Array) -> float:
    """R² of a shear by a parabola in z."""
    left = shear - np.polyval(np.polyfit(z, shear, 2), z)
    return float(1 - left.var() / shear.var())

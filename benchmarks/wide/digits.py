"""Digits of MNIST in any pose, by ten classes and two latents, with no, few or all labels known."""

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyro.distributions as dist
import torch

from benchmarks.common.metrics import Array, circular_correlation
from benchmarks.common.table import Row
from benchmarks.pose import metrics
from benchmarks.pose.digits import Digits, placed_digits
from pyroshift import RVAE, AnchorGuide, CanvasDecoder, Patches, encode, fit

WINDOW, MAX_OFFSET, HELD_OUT, CLASSES, LATENTS = 50, 8.0, 2000, 10, 2
FIT: dict[str, Any] = {"epochs": 15, "batch_size": 128, "kl": 1.0, "progress": False}
LABELS = {"no labels": 0, "20 labels of each": 20, "all labels": None}
HALF_TURNS = (0, 1, 8)  # look alike after half a turn


def digits(seeds: list[int], count: int) -> Iterator[Row]:
    """Class, pose and what clusters tell, of digits that were not trained on."""
    for seed in seeds:
        training, test = placed_digits(count, HELD_OUT, WINDOW, MAX_OFFSET, seed)
        for label, known in LABELS.items():
            for likelihood in ("gaussian", "bernoulli"):
                yield _measured(f"{label}, {likelihood}", known, likelihood, training, test, seed)


def _measured(
    case: str, known: int | None, likelihood: str, training: Digits, test: Digits, seed: int
) -> Row:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        # Hardly larger than a digit, so that digits are centred on it.
        decoder = CanvasDecoder((WINDOW, WINDOW), LATENTS + CLASSES, -12, classes=CLASSES)
    priors = {"angle": dist.Uniform(-np.pi, np.pi), "offset": dist.Uniform(-0.36, 0.36)}
    guide = AnchorGuide(reduction=3, turn=np.pi / 12)
    model = RVAE(
        WINDOW, LATENTS, offsets=True, guide=guide, decoder=decoder, likelihood=likelihood,
        priors=priors, classes=CLASSES, seed=seed,
    )  # fmt: skip
    patches = Patches.from_array(training.moved)
    if known != 0:
        patches = patches.assign(label=_labels(training.label, known))
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, patches, seed=seed, **FIT)
    row = Row("digits", case, seed, time.perf_counter() - begin)
    moved, placed = (encode(model, Patches.from_array(each)) for each in (test.moved, test.placed))
    turn = moved.angle.values - placed.angle.values
    whole = ~np.isin(test.label, HALF_TURNS)
    row.add("angle", circular_correlation(turn[whole], test.angle[whole]), 0.95)
    row.add("mean resultant", metrics.resultant(turn[whole], test.angle[whole]), 0.95)
    shift = moved.offset.values - placed.offset.values
    for axis, name in enumerate("yx"):
        row.add(f"offset {name}", metrics.pearson(shift[:, axis], test.offset[:, axis]), 0.98)
    found, probability = moved["class"].values.astype(int), moved.class_probability.values
    named = metrics.cluster_accuracy(found, test.label)
    row.add("class", named if known == 0 else float(np.mean(found == test.label)), 0.7)
    clusters = metrics.k_means(np.hstack([probability, moved.z.values]), CLASSES)
    row.add("k-means", metrics.cluster_accuracy(clusters, test.label), 0.75)
    return row


def _labels(labels: Array, known: int | None) -> Array:
    """The labels of so many digits of each, of others not a number."""
    told = labels.astype(float)
    for each in range(CLASSES) if known is not None else ():
        told[np.flatnonzero(labels == each)[known:]] = np.nan
    return told

"""Digits of MNIST, turned over the circle and shifted, judged as TARGET-VAE's code does it."""

import gzip
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyro.distributions as dist

from benchmarks.common.data import measurement
from benchmarks.common.metrics import Array
from benchmarks.common.run import Job, Run, Settings
from benchmarks.common.table import Row
from benchmarks.pose import metrics
from benchmarks.pose.guides import train
from benchmarks.pose.placed import add_moves, moves, placed
from benchmarks.pose.tasks import add_state

DIGITS: Settings = {
    "train": 8000,
    "test": 2000,
    "window": 48,
    "max_offset": 8.0,
    "turns": True,
    # A canvas hardly larger than a digit, so that digits are centred on it.
    "model": {"likelihood": "gaussian", "latent_dim": 4, "margin": -11},
    "guides": {
        "anchor": {
            "priors": {"angle": dist.Uniform(-np.pi, np.pi), "offset": dist.Uniform(-0.36, 0.36)},
            "search": {"reduction": 3, "turn": np.pi / 12},
        },
        "normal": {"offset_scale": 0.2, "priors": {"angle": dist.Uniform(-np.pi, np.pi)}},
        "pyroved": {"dx_prior": 0.2},
    },
    "fit": {"epochs": 20, "batch_size": 128, "kl": 1.0},
    "peer": {"epochs": 30},
    "small": {"train": 300, "test": 100, "fit": {"epochs": 1}, "peer": {"epochs": 1}},
}


class Digits(NamedTuple):
    """Digits, some of them placed without a turn or a shift, and the truth about the others."""

    placed: Array
    moved: Array
    angle: Array
    offset: Array
    label: Array


def digits(seed: int, run: Run) -> Iterator[Job]:
    """Pose and class of digits that were not trained on."""
    settings = run.settings(DIGITS)
    wanted = list(run.wanted(""))
    if not wanted:
        return
    training, test = placed_digits(
        settings["train"], settings["test"], settings["window"], settings["max_offset"], seed
    )
    for guide, case in wanted:
        yield case, partial(_measure, case, guide, training, test, seed, settings)


def _measure(
    case: str, guide: str, training: Digits, test: Digits, seed: int, settings: Settings
) -> Row:
    trained = train(guide, training.moved, seed, settings)
    row = Row("digits", case, seed, trained.seconds)
    moved, still = trained.find(test.moved), trained.find(test.placed)
    add_moves(row, moved, still, test.angle, test.offset, wanted=(0.9, 0.97))
    clusters = metrics.k_means(moved.z, 10)
    row.add("k-means accuracy", metrics.cluster_accuracy(clusters, test.label), lowest=0.6)
    if moved.category is not None:
        accuracy = metrics.cluster_accuracy(moved.category, test.label)
        row.add("class accuracy", accuracy, lowest=0.6)
    add_state(row, trained)
    return row


@lru_cache(maxsize=1)
def placed_digits(
    count: int, held_out: int, window: int, max_offset: float, seed: int
) -> tuple[Digits, Digits]:
    """The first digits to train on, and the last ones to test."""
    images = read_idx(measurement("mnist_t10k-images-idx3-ubyte.gz")) / 255
    labels = read_idx(measurement("mnist_t10k-labels-idx1-ubyte.gz")).astype(int)
    angle, offset = moves(len(images), max_offset, seed)
    parts = []
    for part in (slice(count), slice(len(images) - held_out, None)):
        poses = angle[part], offset[part]
        parts.append(Digits(*placed(images[part], *poses, window), *poses, labels[part]))
    return parts[0], parts[1]


def read_idx(path: Path) -> Array:
    """An array in MNIST's format: two zeros, type, number of axes, their sizes, the bytes."""
    with gzip.open(path) as file:
        content = file.read()
    sizes = np.frombuffer(content, ">u4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)

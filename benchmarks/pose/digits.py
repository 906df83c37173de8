"""Digits of MNIST, turned over the circle and shifted, judged as TARGET-VAE's code does it."""

import gzip
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyro.distributions as dist
from scipy.ndimage import affine_transform

from benchmarks.common.data import measurement
from benchmarks.common.metrics import Array, circular_correlation
from benchmarks.common.run import Job, Run, Settings
from benchmarks.common.table import Row
from benchmarks.pose import metrics
from benchmarks.pose.found import Found, as_float32
from benchmarks.pose.guides import train
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
    _add_digits(row, trained.find(test.moved), trained.find(test.placed), test)
    add_state(row, trained)
    return row


def _add_digits(row: Row, moved: Found, placed: Found, test: Digits) -> None:
    """Figures of the difference to the same digit without a turn or a shift."""
    assert moved.angle is not None
    assert placed.angle is not None
    turn = moved.angle - placed.angle
    row.add("angle", circular_correlation(turn, test.angle), lowest=0.9)
    row.add("angle, mean resultant", metrics.resultant(turn, test.angle))
    error = metrics.angle_error(turn, test.angle)
    row.add("median angle error, degrees", float(np.degrees(np.median(np.abs(error)))))
    shift = moved.offset - placed.offset
    for axis, name in enumerate("yx"):
        row.add(
            f"offset {name}", metrics.pearson(shift[:, axis], test.offset[:, axis]), lowest=0.97
        )
    # An origin off the digit's centre turns with the digit, which the plain difference ignores.
    cos, sin = np.cos(turn), np.sin(turn)
    y, x = placed.offset.T
    shift = moved.offset - np.stack([cos * y - sin * x, sin * y + cos * x], 1)
    distance = np.linalg.norm(shift - test.offset, axis=1)
    row.add("median offset error, px", float(np.median(distance)))
    clusters = metrics.k_means(moved.z, 10)
    row.add("k-means accuracy", metrics.cluster_accuracy(clusters, test.label), lowest=0.6)
    if moved.category is not None:
        accuracy = metrics.cluster_accuracy(moved.category, test.label)
        row.add("class accuracy", accuracy, lowest=0.6)


@lru_cache(maxsize=1)
def placed_digits(
    count: int, held_out: int, window: int, max_offset: float, seed: int
) -> tuple[Digits, Digits]:
    """The first digits to train on, and the last ones to test."""
    images = read_idx(measurement("mnist_t10k-images-idx3-ubyte.gz")) / 255
    labels = read_idx(measurement("mnist_t10k-labels-idx1-ubyte.gz")).astype(int)
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-np.pi, np.pi, len(images))
    offset = rng.uniform(-max_offset, max_offset, (len(images), 2))
    parts = []
    for part in (slice(count), slice(len(images) - held_out, None)):
        chosen = images[part]
        moved = [
            move(*each, window) for each in zip(chosen, angle[part], offset[part], strict=True)
        ]
        placed = [move(image, 0.0, np.zeros(2), window) for image in chosen]
        stacks = as_float32(np.stack(placed)), as_float32(np.stack(moved))
        parts.append(Digits(*stacks, angle[part], offset[part], labels[part]))
    return parts[0], parts[1]


def move(image: Array, angle: float, offset: Array, window: int) -> Array:
    """An image in a larger window, turned about its own centre and then shifted.

    Args:
        image: height x width.
        angle: radians, counter-clockwise as displayed.
        offset: of the image's centre from the window's, y and x, pixels.
        window: height and width of the result.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    back = np.array([[cos, sin], [-sin, cos]])  # turns (y, x) clockwise
    centre, target = (np.array(image.shape) - 1) / 2, (window - 1) / 2 + offset
    start = centre - back @ target
    moved = affine_transform(image, back, start, (window, window), order=1, mode="grid-constant")
    return moved.clip(0, 1)


def read_idx(path: Path) -> Array:
    """An array in MNIST's format: two zeros, type, number of axes, their sizes, the bytes."""
    with gzip.open(path) as file:
        content = file.read()
    sizes = np.frombuffer(content, ">u4", content[3], 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)

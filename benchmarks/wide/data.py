"""Windows with known motifs, poses and kinds, and what may be missing of them."""

from typing import NamedTuple

import numpy as np

from benchmarks.common.metrics import Array
from benchmarks.likelihoods.data import Data, pairs


def spots(count: int, seed: int) -> Data:
    """Two spots of 20 pixels' windows, one of which varies in brightness, in Normal noise."""
    truth = pairs(count, seed)
    noise = 0.1 * np.random.default_rng(seed + 50).standard_normal(truth.windows.shape)
    return _noisy(truth, noise)


def rings(count: int, seed: int) -> Data:
    """Rings of 24 pixels' windows, whose radius varies, in Laplace noise; not looked at before."""
    rng = np.random.default_rng(seed + 1000)
    offset, radius = rng.uniform(-4, 4, (count, 2)), rng.uniform(3.0, 5.0, count)
    axis = np.arange(24) - 11.5
    y, x = (axis - offset[:, [i]] for i in range(2))
    distance = np.hypot(y[:, :, None], x[:, None, :] * 1.2)
    expected = np.exp(-(((distance - radius[:, None, None]) / 1.2) ** 2) / 2)
    truth = Data(expected, expected, offset, radius)
    return _noisy(truth, 0.1 / np.sqrt(2) * rng.laplace(size=expected.shape))


def _noisy(truth: Data, noise: Array) -> Data:
    windows = (truth.expected + noise).astype(np.float32)
    return Data(windows, truth.expected.astype(np.float32), truth.offset, truth.content)


def missing(shape: tuple[int, ...], rng: np.random.Generator) -> dict[str, Array]:
    """Which pixels are missing, by name: none, 30% at random, a corner of half of the windows."""
    count, height, width = shape
    corner = np.zeros(shape, dtype=bool)
    which = rng.integers(0, 8, count)  # of half of the windows none
    for number, (down, across) in enumerate(np.ndindex(2, 2)):
        rows = slice(height // 2 * down, height // 2 * (down + 1))
        columns = slice(width // 2 * across, width // 2 * (across + 1))
        corner[which == number, rows, columns] = True
    return {
        "whole": np.zeros(shape, dtype=bool),
        "30% missing": rng.random(shape) < 0.3,
        "a corner missing": corner,
    }


class Glyphs(NamedTuple):
    """Windows of 28 pixels, and of each its kind, its angle, and whether it is mirrored."""

    windows: Array
    kind: Array
    angle: Array
    flip: Array


def glyphs(count: int, noise: float, seed: int, flips: bool = False) -> Glyphs:
    """Three spots, rings and crosses, 80 : 15 : 5, at any angle within 3 pixels of the middle.

    Of them only the three spots tell whether they are mirrored.

    Args:
        count: number of windows.
        noise: its standard deviation; spots are 1 high.
        seed: of all that is random.
        flips: whether half of them are mirrored.
    """
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, count, p=(0.8, 0.15, 0.05))
    offset, angle = rng.uniform(-3, 3, (count, 2)), rng.uniform(-np.pi, np.pi, count)
    flip = np.random.default_rng(seed + 300).random(count) < 0.5 * flips
    axis = np.arange(28) - 13.5
    y, x = np.meshgrid(axis, axis, indexing="ij")
    windows = np.empty((count, 28, 28), np.float32)
    for number in range(count):
        down, across = y - offset[number, 0], x - offset[number, 1]
        cosine, sine = np.cos(angle[number]), np.sin(angle[number])
        turned = cosine * down + sine * across, cosine * across - sine * down
        windows[number] = _GLYPHS[kind[number]](turned[0], turned[1] * (1 - 2 * flip[number]))
    windows += noise * rng.standard_normal(windows.shape)
    return Glyphs(windows, kind, angle, flip)


def _spot(y: Array, x: Array, at: tuple[float, float], width: float) -> Array:
    return np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * width**2))


def _three(y: Array, x: Array) -> Array:
    return (
        _spot(y, x, (-3, 0), 1.6) + 0.8 * _spot(y, x, (3, 0), 1.6) + 0.9 * _spot(y, x, (0, 3), 1.3)
    )


def _ring(y: Array, x: Array) -> Array:
    """A ring, one half of which is brighter."""
    around = np.exp(-((np.hypot(y, x) - 4) ** 2) / (2 * 1.2**2))
    return around * (0.6 + 0.4 * (y > 0))


def _cross(y: Array, x: Array) -> Array:
    """A bar with a shorter one across, off its middle."""
    long = np.exp(-((x / 1.2) ** 2) / 2) * (np.abs(y) < 5)
    return np.maximum(long, np.exp(-(((y - 2) / 1.2) ** 2) / 2) * (np.abs(x) < 3.5))


_GLYPHS = (_three, _ring, _cross)

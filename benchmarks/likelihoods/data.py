"""Pairs of spots, and peaks, whose place and content are known, in noise of several kinds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.common.metrics import Array
from pyroshift import synthetic


@dataclass(frozen=True)
class Data:
    """Windows, and what is known of them.

    Args:
        windows: `sample x y x x` or `sample x point`.
        expected: the same without noise.
        offset: `sample x axis`, pixels.
        content: `sample`.
    """

    windows: Array
    expected: Array
    offset: Array
    content: Array


def pairs(n: int, seed: int) -> Data:
    """Images of two spots, of which the second varies in brightness from 0.2 to 1."""
    rng = np.random.default_rng(seed)
    offset, brightness = rng.uniform(-3, 3, (n, 2)), rng.uniform(0.2, 1.0, n)
    axis = np.arange(20) - 9.5

    def spot(y: float, x: float) -> Array:
        rows, columns = (
            np.exp(-(((axis - at - offset[:, [i]]) / 2) ** 2) / 2) for i, at in enumerate((y, x))
        )
        return rows[:, :, None] * columns[:, None]

    expected = spot(-1.5, -3.0) + brightness[:, None, None] * spot(1.5, 3.0)
    return Data(expected, expected, offset, brightness)


def peaks(n: int, seed: int) -> Data:
    """Shifted peaks in signals, from 0 to 1, whose flanks differ and whose width varies."""
    truth = synthetic.peaks(
        n, 60, span=12.0, offset_spread=4.0, widths=(1.0, 2.0), noise=0.0, asymmetry=0.4, seed=seed
    )
    expected = truth.signal.values.astype(np.float32)
    offset = truth.offset.values[:, None] * (60 - 1) / (2 * 12.0)  # in points
    return Data(expected, expected, offset, truth.width.values)


def outliers(data: Data, rng: np.random.Generator) -> Data:
    """Normal noise of 0.05, and at 3 of 100 pixels another one of 1."""
    shape = data.expected.shape
    noise = 0.05 * rng.standard_normal(shape) + rng.standard_normal(shape) * (
        rng.random(shape) < 0.03
    )
    return _with(data, data.expected + noise, data.expected)


def heavy_tails(data: Data, rng: np.random.Generator) -> Data:
    """Student's t noise of two degrees of freedom, which has no variance."""
    noise = 0.1 * rng.standard_t(2, data.expected.shape)
    return _with(data, data.expected + noise, data.expected)


def dispersed(data: Data, rng: np.random.Generator) -> Data:
    """Counts from 1 to 9 in the mean, whose rates vary by a gamma distribution of shape 2."""
    rate = 1 + 8 * data.expected
    return _with(data, rng.poisson(rate * rng.gamma(2.0, 1 / 2.0, rate.shape)), rate)


def unsteady(data: Data, rng: np.random.Generator) -> Data:
    """Counts from 2 to 14 in the mean, whose rates vary by half their logarithm."""
    rate = 2 + 12 * data.expected
    gain = np.exp(0.5 * rng.standard_normal(rate.shape) - 0.5**2 / 2)
    return _with(data, rng.poisson(rate * gain), rate)


def lost(data: Data, rng: np.random.Generator) -> Data:
    """Poisson counts from 1 to 9, of which one in five is lost."""
    rate = 1 + 8 * data.expected
    return _with(data, rng.poisson(rate) * (rng.random(rate.shape) > 0.2), 0.8 * rate)


def _with(data: Data, windows: Array, expected: Array) -> Data:
    return Data(
        np.asarray(windows, np.float32),
        np.asarray(expected, np.float32),
        data.offset,
        data.content,
    )


Clean = Callable[[int, int], Data]
Noise = Callable[[Data, np.random.Generator], Data]


def sample(clean: Clean, noise: Noise, n: int, seed: int) -> tuple[Data, Data]:
    """Data to train on, and others that are held out, half as many."""
    training = noise(clean(n, 2 * seed), np.random.default_rng([seed, 1]))
    held_out = noise(clean(n // 2, 2 * seed + 1), np.random.default_rng([seed, 2]))
    return training, held_out

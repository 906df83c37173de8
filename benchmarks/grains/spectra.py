"""How a hexagonal lattice is turned, by the peaks of its power spectrum."""

import math
from collections.abc import Callable

import numpy as np

from benchmarks.common.metrics import Array, mean_angle

FOLD = 6


def spectral_orientation(image: Array, weight: Array, spacing: float) -> float:
    """How a hexagonal lattice is turned, radians modulo 60 degrees, by its power spectrum.

    The rigid star of wave vectors with the most power is found first, and then each of its three
    peaks by itself: a scan's shear turns them against each other, but not their mean.

    Args:
        image: height x width.
        weight: of each pixel, going down to zero smoothly.
        spacing: roughly that of the lattice's planes, pixels.
    """
    level = weight * (image - np.average(image, weights=weight))
    rows, columns = np.arange(image.shape[0]), np.arange(image.shape[1])

    def power(turn: float, length: float) -> float:
        y, x = -length * math.sin(turn), length * math.cos(turn)
        wave = np.exp(-2j * np.pi * y * rows) @ level @ np.exp(-2j * np.pi * x * columns)
        return abs(wave) ** 2

    star = math.pi / 3 * np.arange(3)
    found = _highest(
        lambda turn, length: sum(power(turn + each, length) for each in star),
        np.radians(np.arange(0, 60, 1.0)),
        np.linspace(0.9, 1.1, 17) / spacing,
    )
    peaks = [
        _highest(
            power,
            found[0] + each + np.radians(np.linspace(-4, 4, 17)),
            found[1] * np.linspace(0.92, 1.08, 17),
        )[0]
        for each in star
    ]
    return mean_angle(FOLD * np.array(peaks)) / FOLD


def _highest(function: Callable[[float, float], float], first: Array, second: Array) -> Array:
    """Where a function of two numbers is largest, on grids that close in on it."""
    best = np.zeros(2)
    for _ in range(4):
        table = [[function(one, other) for other in second] for one in first]
        row, column = np.unravel_index(np.argmax(table), (len(first), len(second)))
        best = np.array([first[row], second[column]])
        first = best[0] + np.linspace(-1, 1, 9) * (first[1] - first[0])
        second = best[1] + np.linspace(-1, 1, 9) * (second[1] - second[0])
    return best


def taper(size: int) -> Array:
    """A round taper, without a direction of its own."""
    rows, columns = np.indices((size, size)) - (size - 1) / 2
    return np.cos(np.pi / 2 * np.minimum(np.hypot(rows, columns) / (size / 2), 1)) ** 2

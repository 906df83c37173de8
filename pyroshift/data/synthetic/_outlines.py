"""Outlines of flat figures, and pictures of them.

An outline tells how deep a point (y, x) lies within a figure, y downwards, in the figure's own
radius; near its edge about the distance to it, below 0 outside.
"""

import math
from collections.abc import Callable, Collection

import numpy as np

from pyroshift.data.synthetic._common import Array, centred, chunks, rotate

Outline = Callable[[Array, Array], Array]
_EDGE = 0.7  # pixels over which a figure's edge is smooth


def drawn(
    window: int,
    outlines: Collection[Outline],
    kind: Array,
    offset: Array,
    angle: Array,
    radius: Array | float,
    shear: Array | float = 0.0,
) -> Array:
    """Figures in grey levels, 1 within and 0 outside (sample × y × x).

    Args:
        window: height and width in pixels.
        outlines: of each kind.
        kind: number of the outline (sample).
        offset: where figures are (sample × axis), pixels from the window's centre.
        angle: how they are turned (sample), radians.
        radius: how large they are, pixels, of each (sample) or all.
        shear: of x by y before they are turned, of each (sample) or all.
    """
    n = len(kind)
    radius, shear = np.broadcast_to(radius, n), np.broadcast_to(shear, n)
    pixels = np.stack(np.meshgrid(centred(window), centred(window), indexing="ij"), -1)
    patch = np.empty((n, window, window), np.float32)
    for part in chunks(n, 8 * window**2):
        size = radius[part, None, None]
        shifted = pixels - offset[part, None, None]
        y, x = np.moveaxis(rotate(shifted, -angle[part, None, None]), -1, 0) / size
        x = x - shear[part, None, None] * y
        for number, depth in enumerate(outlines):
            own = kind[part] == number
            within = 4 * depth(y[own], x[own]) * size[own] / _EDGE
            patch[part][own] = 1 / (1 + np.exp(-np.clip(within, -50, 50)))
    return patch


def square(y: Array, x: Array) -> Array:
    """A square."""
    return 0.8 - np.maximum(np.abs(y), np.abs(x))


def ellipse(y: Array, x: Array) -> Array:
    """An ellipse half as high as wide."""
    level = np.hypot(2 * y, x)
    steepness = np.hypot(4 * y, x)  # of the level, times the level
    return np.where(level > 0.5, (1 - level) * level / np.maximum(steepness, 0.5), 0.25)


def diamond(y: Array, x: Array) -> Array:
    """A card's."""
    return (1 - np.abs(y) - np.abs(x) / 0.72) / math.hypot(1, 1 / 0.72)


def _disk(y: Array, x: Array, row: float, column: float, radius: float) -> Array:
    return radius - np.hypot(y - row, x - column)


def heart(y: Array, x: Array) -> Array:
    """Two lobes, and below them the wedge whose sides are tangents to both."""
    row, column, radius, tip = -0.35, 0.42, 0.45, 0.95
    away = math.hypot(tip - row, column)
    slant = math.atan2(column, tip - row) + math.asin(radius / away)
    touching = tip - math.sqrt(away**2 - radius**2) * math.cos(slant)
    lobes = np.maximum(_disk(y, x, row, -column, radius), _disk(y, x, row, column, radius))
    wedge = np.minimum((tip - y) * math.sin(slant) - np.abs(x) * math.cos(slant), y - touching)
    return np.maximum.reduce([lobes, wedge, _disk(y, x, touching, 0, 0.2)])


def _stem(y: Array, x: Array) -> Array:
    """From the middle downwards, and wider there."""
    return np.minimum(np.minimum(y, 0.95 - y), 0.06 + 0.3 * np.maximum(y, 0) - np.abs(x))


def spade(y: Array, x: Array) -> Array:
    """A smaller heart upside down, on a stem."""
    return np.maximum(0.85 * heart((-0.15 - y) / 0.85, x / 0.85), _stem(y, x))


def club(y: Array, x: Array) -> Array:
    """Three leaves on a stem."""
    leaves = [_disk(y, x, *at, 0.42) for at in ((-0.5, 0.0), (0.12, -0.48), (0.12, 0.48))]
    return np.maximum(np.maximum.reduce([*leaves, _disk(y, x, 0, 0, 0.2)]), _stem(y, x))

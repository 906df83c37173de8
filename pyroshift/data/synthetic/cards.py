"""The suits of playing cards, turned, shifted and sheared: four kinds of motif in one data set."""

import math

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    Array,
    centred,
    check,
    check_counts,
    chunks,
    labelled_patches,
    rotate,
    variable,
)

_RADIUS = 0.27  # of a suit, in windows
_EDGE = 0.7  # pixels over which a suit's edge is smooth


def cards(
    n: int = 3000,
    window: int = 48,
    max_angle: float = math.pi / 3,
    max_offset: float = 4.0,
    max_shear: float = 0.2,
    noise: float = 0.05,
    seed: int = 0,
) -> xr.Dataset:
    """The four suits of playing cards, each of them turned, shifted and sheared.

    Args:
        n: number of patches.
        window: height and width in pixels; suits grow with it.
        max_angle: angles are uniform within ± this, radians; π for the full circle.
        max_offset: offsets are uniform within ± this along each axis, in pixels.
        max_shear: shears are uniform within ± this, of x by y, before a suit is turned.
        noise: its standard deviation; suits are 1 high.
        seed: of the random numbers.

    Returns:
        ``patch`` (sample × y × x); ``offset`` (sample × axis); ``angle``, ``shear`` and ``suit``
        (sample), the last a number, whose names in order are its attribute ``flag_meanings``.

    Raises:
        DataError: if an argument is out of its range.

    Source:
        Ziatdinov and Kalinin, "Robust feature disentanglement in imaging data via joint invariant
        variational autoencoders: from cards to atoms", arXiv:2104.10180 (2021).

    Example:
        >>> cards(n=5)["patch"].shape
        (5, 48, 48)
    """
    check_counts(1, n=n)
    check_counts(8, window=window)
    check(max_angle=(max_angle, 0, math.pi), max_offset=(max_offset, 0, window / 2))
    check(max_shear=(max_shear, 0, 1), noise=(noise, 0, math.inf))
    rng = np.random.default_rng(seed)
    suit, shear = rng.integers(0, len(_SUITS), n), rng.uniform(-max_shear, max_shear, n)
    angle = rng.uniform(-max_angle, max_angle, n)
    offset = rng.uniform(-max_offset, max_offset, (n, 2))
    pixels = np.stack(np.meshgrid(centred(window), centred(window), indexing="ij"), -1)
    patch = np.empty((n, window, window), np.float32)
    for part in chunks(n, 8 * window**2):
        shifted = pixels - offset[part, None, None]
        y, x = np.moveaxis(rotate(shifted, -angle[part, None, None]), -1, 0) / (_RADIUS * window)
        x = x - shear[part, None, None] * y
        for number, depth in enumerate(_SUITS.values()):
            own = suit[part] == number
            inside = depth(y[own], x[own]) * _RADIUS * window / _EDGE
            patch[part][own] = 1 / (1 + np.exp(-np.clip(4 * inside, -50, 50)))
    patch += noise * rng.standard_normal(patch.shape, np.float32)
    truth = {
        "shear": variable("sample", shear, "shear of x by y"),
        "suit": variable("sample", suit, "suit"),
    }
    truth["suit"][2]["flag_meanings"] = " ".join(_SUITS)
    return labelled_patches(patch, offset, angle, truth, {"generator": "cards", "seed": seed})


# Each suit by how deep a point (y, x) lies within it, y downwards, in its own radius; near its edge
# about the distance to it, below 0 outside.


def _diamond(y: Array, x: Array) -> Array:
    return (1 - np.abs(y) - np.abs(x) / 0.72) / math.hypot(1, 1 / 0.72)


def _disk(y: Array, x: Array, row: float, column: float, radius: float) -> Array:
    return radius - np.hypot(y - row, x - column)


def _heart(y: Array, x: Array) -> Array:
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


def _spade(y: Array, x: Array) -> Array:
    """A smaller heart upside down, on a stem."""
    return np.maximum(0.85 * _heart((-0.15 - y) / 0.85, x / 0.85), _stem(y, x))


def _club(y: Array, x: Array) -> Array:
    leaves = [_disk(y, x, *at, 0.42) for at in ((-0.5, 0.0), (0.12, -0.48), (0.12, 0.48))]
    return np.maximum(np.maximum.reduce([*leaves, _disk(y, x, 0, 0, 0.2)]), _stem(y, x))


_SUITS = {"clubs": _club, "diamonds": _diamond, "hearts": _heart, "spades": _spade}

"""The suits of playing cards, turned, shifted and sheared: four kinds of motif in one data set."""

import math

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    check,
    check_counts,
    labelled_patches,
    variable,
)
from pyroshift.data.synthetic._outlines import club, diamond, drawn, heart, spade

_RADIUS = 0.27  # of a suit, in windows
_SUITS = {"clubs": club, "diamonds": diamond, "hearts": heart, "spades": spade}


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
    patch = drawn(window, _SUITS.values(), suit, offset, angle, _RADIUS * window, shear)
    patch += noise * rng.standard_normal(patch.shape, np.float32)
    truth = {
        "shear": variable("sample", shear, "shear of x by y"),
        "suit": variable("sample", suit, "suit"),
    }
    truth["suit"][2]["flag_meanings"] = " ".join(_SUITS)
    return labelled_patches(patch, offset, angle, truth, {"generator": "cards", "seed": seed})

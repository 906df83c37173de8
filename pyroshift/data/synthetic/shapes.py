"""Squares, ellipses and hearts of any size, place and turn, as in dSprites."""

import math

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    check,
    check_counts,
    extremes,
    labelled_patches,
    variable,
)
from pyroshift.data.synthetic._outlines import drawn, ellipse, heart, square

_RADIUS = 0.2  # of a shape of scale 1, in windows
_SHAPES = {"square": square, "ellipse": ellipse, "heart": heart}


def shapes(
    n: int = 3000,
    window: int = 48,
    scale: tuple[float, float] = (0.5, 1.0),
    max_angle: float = math.pi,
    max_offset: float = 8.0,
    noise: float = 0.05,
    seed: int = 0,
) -> xr.Dataset:
    """Squares, ellipses and hearts, scaled, turned and shifted: the factors of dSprites.

    Args:
        n: number of patches.
        window: height and width in pixels; shapes grow with it.
        scale: lowest and highest magnification, uniform between.
        max_angle: angles are uniform within ± this, radians; π for the full circle. Squares look
            the same after a quarter of it, ellipses after half.
        max_offset: offsets are uniform within ± this along each axis, in pixels.
        noise: its standard deviation; shapes are 1 high.
        seed: of the random numbers.

    Returns:
        ``patch`` (sample × y × x); ``offset`` (sample × axis); ``angle``, ``scale`` and ``shape``
        (sample), the last a number, whose names in order are its attribute ``flag_meanings``.

    Raises:
        DataError: if an argument is out of its range.

    Source:
        Matthey, Higgins, Hassabis and Lerchner, "dSprites: Disentanglement testing Sprites
        dataset" (2017), whose pictures have no noise and sharp edges.

    Example:
        >>> shapes(n=5)["patch"].shape
        (5, 48, 48)
    """
    check_counts(1, n=n)
    check_counts(8, window=window)
    check(max_angle=(max_angle, 0, math.pi), max_offset=(max_offset, 0, window / 2))
    check(noise=(noise, 0, math.inf))
    rng = np.random.default_rng(seed)
    kind, size = rng.integers(0, len(_SHAPES), n), rng.uniform(*extremes("scale", scale, 0.1, 2), n)
    angle = rng.uniform(-max_angle, max_angle, n)
    offset = rng.uniform(-max_offset, max_offset, (n, 2))
    patch = drawn(window, _SHAPES.values(), kind, offset, angle, _RADIUS * window * size)
    patch += noise * rng.standard_normal(patch.shape, np.float32)
    truth = {
        "scale": variable("sample", size, "magnification"),
        "shape": variable("sample", kind, "shape"),
    }
    truth["shape"][2]["flag_meanings"] = " ".join(_SHAPES)
    return labelled_patches(patch, offset, angle, truth, {"generator": "shapes", "seed": seed})

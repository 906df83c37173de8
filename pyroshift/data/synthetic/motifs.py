"""Synthetic motifs whose pose and content are known."""

import math

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    centred,
    check,
    check_counts,
    chunks,
    extremes,
    labelled_patches,
    rotate,
    variable,
)

_GLYPH = (  # each part's centre and standard deviations, (y, x) in pixels of a window of 28
    ((0.5, -2.5), (3.2, 0.9)),  # stem
    ((-4.5, 0.5), (0.9, 2.4)),  # arm, from the stem's top to the right
    ((3.0, 2.5), (1.6, 1.6)),  # dot, whose brightness is the content
)


def motifs(
    n: int = 3000,
    window: int = 28,
    max_angle: float = math.pi / 3,
    max_offset: float = 4.0,
    content: tuple[float, float] = (0.3, 0.8),
    noise: float = 0.05,
    seed: int = 0,
) -> xr.Dataset:
    """Rotated and shifted copies of a glyph without any symmetry, of which one part changes.

    Args:
        n: number of patches.
        window: height and width in pixels; the glyph grows with it.
        max_angle: angles are uniform within ± this, radians; π for the full circle.
        max_offset: offsets are uniform within ± this along each axis, in pixels.
        content: lowest and highest brightness of the glyph's dot, in [0, 1], uniform between.
        noise: its standard deviation.
        seed: of the random numbers.

    Returns:
        ``patch`` (sample × y × x); ``offset`` (sample × axis); ``angle``, ``content`` (sample).

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> motifs(n=5, max_angle=3.14159)["patch"].shape
        (5, 28, 28)
    """
    check_counts(1, n=n)
    check_counts(2, window=window)
    check(max_angle=(max_angle, 0, math.pi), max_offset=(max_offset, 0, window / 2))
    check(noise=(noise, 0, math.inf))
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-max_angle, max_angle, n)
    offset = rng.uniform(-max_offset, max_offset, (n, 2))
    dot = rng.uniform(*extremes("content", content, 0, 1), n)
    pixels = np.stack(np.meshgrid(centred(window), centred(window), indexing="ij"), -1)
    patch = np.empty((n, window, window), np.float32)
    for part in chunks(n, 2 * window**2):
        shifted = pixels - offset[part, None, None]
        position = rotate(shifted, -angle[part, None, None]) * 28 / window
        dark = np.ones(position.shape[:-1])
        for (centre, width), brightness in zip(_GLYPH, (1, 1, dot[part, None, None]), strict=True):
            distance = np.sum(((position - centre) / width) ** 2, -1)
            dark *= 1 - brightness * np.exp(-0.5 * distance)  # joins the parts, never above 1
        patch[part] = 1 - dark
    patch += noise * rng.standard_normal(patch.shape, np.float32)
    truth = {"content": variable("sample", dot, "brightness of the dot")}
    return labelled_patches(patch, offset, angle, truth, {"generator": "motifs", "seed": seed})

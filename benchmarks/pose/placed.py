"""Pictures turned and shifted, beside the same at rest, as TARGET-VAE's code judges poses."""

import numpy as np
from scipy.ndimage import affine_transform

from benchmarks.common.metrics import Array, circular_correlation
from benchmarks.common.table import Row
from benchmarks.pose import metrics
from benchmarks.pose.found import Found, as_float32


def moves(count: int, max_offset: float, seed: int) -> tuple[Array, Array]:
    """Angles over the circle (sample), and offsets of so many pixels (sample x axis)."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-np.pi, np.pi, count), rng.uniform(-max_offset, max_offset, (count, 2))


def placed(images: Array, angle: Array, offset: Array, window: int) -> tuple[Array, Array]:
    """Pictures (sample x height x width) in a larger window: in its middle, and moved."""
    still = [move(image, 0.0, np.zeros(2), window) for image in images]
    moved = [move(*each, window) for each in zip(images, angle, offset, strict=True)]
    return as_float32(np.stack(still)), as_float32(np.stack(moved))


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


def add_moves(
    row: Row,
    moved: Found,
    still: Found,
    angle: Array,
    offset: Array,
    wanted: tuple[float, float],
) -> None:
    """How well moves were found, as the difference to the same picture at rest.

    Args:
        row: which gets the figures.
        moved: what was found of the moved pictures.
        still: what was found of those at rest.
        angle: by which they were turned.
        offset: by which they were shifted.
        wanted: least correlation of angles, and of offsets.
    """
    assert moved.angle is not None
    assert still.angle is not None
    turn = moved.angle - still.angle
    row.add("angle", circular_correlation(turn, angle), lowest=wanted[0])
    row.add("angle, mean resultant", metrics.resultant(turn, angle))
    error = metrics.angle_error(turn, angle)
    row.add("median angle error, degrees", float(np.degrees(np.median(np.abs(error)))))
    shift = moved.offset - still.offset
    for axis, name in enumerate("yx"):
        found = metrics.pearson(shift[:, axis], offset[:, axis])
        row.add(f"offset {name}", found, lowest=wanted[1])
    # An origin off the picture's centre turns with it, which the plain difference ignores.
    cos, sin = np.cos(turn), np.sin(turn)
    y, x = still.offset.T
    shift = moved.offset - np.stack([cos * y - sin * x, sin * y + cos * x], 1)
    distance = np.linalg.norm(shift - offset, axis=1)
    row.add("median offset error, px", float(np.median(distance)))

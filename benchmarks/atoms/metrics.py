"""How found atoms agree with those that are known: pure functions."""

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.common.atoms import mutual_pairs
from benchmarks.common.metrics import Array

# No unbiased estimate from an atom alone, of known height, width and background, has a smaller
# standard deviation along an axis, in pixels, times its signal-to-noise ratio.
CRAMER_RAO = math.sqrt(2 / math.pi)


@dataclass(frozen=True)
class Agreement:
    """Found atoms beside known ones, but for those at the border.

    Args:
        recall: share of the known ones that have a found one of their own nearby.
        precision: share of the found ones that have a known one of their own nearby.
        errors: pair x axis, found less known position, pixels.
        found: pair, which of the found.
        known: pair, which of the known.
    """

    recall: float
    precision: float
    errors: Array
    found: Array
    known: Array

    @property
    def error(self) -> float:
        """Root mean square along an axis, pixels."""
        return float(np.sqrt(np.mean(self.errors**2))) if len(self.errors) else math.nan

    @property
    def median_distance(self) -> float:
        """Pixels."""
        return (
            float(np.median(np.linalg.norm(self.errors, axis=1))) if len(self.errors) else math.nan
        )


def agreement(
    found: Array, known: Array, shape: tuple[int, ...], nearby: float, border: float
) -> Agreement:
    """Each found atom is paired with the known one that it is nearest to, and which it is nearest.

    Args:
        found: atom x axis, pixels.
        known: atom x axis, pixels.
        shape: height and width of the image.
        nearby: the largest distance of a pair, pixels.
        border: atoms closer to the border, which may be cut, neither need be found nor mustn't be.
    """
    if not len(found):
        return Agreement(0.0, math.nan, np.empty((0, 2)), np.empty(0, int), np.empty(0, int))
    pairs = np.stack(mutual_pairs(found, known, nearby))
    found_paired, known_paired = (
        np.isin(np.arange(len(points)), index)
        for points, index in zip((found, known), pairs, strict=True)
    )
    last = np.array(shape) - 1
    whole, asked = (
        ((points >= border) & (points <= last - border)).all(1) for points in (found, known)
    )
    ours, theirs = pairs[:, asked[pairs[1]]]
    return Agreement(
        recall=float(known_paired[asked].mean()),
        precision=float(found_paired[whole].mean()) if whole.any() else math.nan,
        errors=found[ours] - known[theirs],
        found=ours,
        known=theirs,
    )

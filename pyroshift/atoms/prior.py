"""What the lattice lets one expect of each atom's position, and how far to trust it."""

from dataclasses import replace

import numpy as np

from pyroshift.analysis.spectrum import Array
from pyroshift.atoms.refine import Fits

FEWEST = 20  # atoms, from which it can be told how far they keep to what is expected
MEDIAN_OF_SQUARE = 0.455  # of a standard normal variable
OUTLYING = 3.0  # standard deviations
SHOWN = 0.25  # of its amplitude, that the filtered frame must show of an atom


def held_together(fits: Fits, expected: Fits, left: Array, edge: Array) -> Fits:
    """Positions drawn towards those that the lattice lets one expect, by as much as it is right.

    Empirical Bayes: what is expected of each atom is a normal distribution around the place that
    the lattice around has for it. How wide that is, is told by how much further than their own
    uncertainty the atoms are from there; by itself at the edge of the frame, where a filter knows
    less. Atoms that are off by more than three standard deviations are left where they are.

    Args:
        fits: each atom by itself.
        expected: the same atoms in the frame without its noise.
        left: along both axes, share of the noise's effect on positions that this still has.
        edge: atom, whether it is at the edge of the frame.
    """
    away = fits.position - expected.position
    own = fits.position_std**2
    usable = np.isfinite(own).all(1) & (expected.amplitude > SHOWN * fits.amplitude)
    share = np.zeros_like(own)
    for group in (usable & edge, usable & ~edge):
        if group.sum() >= FEWEST:
            prior = _variance(away[group], own[group], left)
            share[group] = own[group] / (own[group] + prior)
            off = (away[group] ** 2 > OUTLYING**2 * (own[group] + prior)).any(1)
            share[np.flatnonzero(group)[off]] = 0
    position = fits.position - share * away
    return replace(fits, position=position, position_std=fits.position_std * np.sqrt(1 - share))


def _variance(away: Array, own: Array, left: Array) -> Array:
    """Variance of positions about what is expected of them, atom x axis."""
    usual = np.median(own, 0)
    # What was expected has seen the same noise, as far as it passed the filter.
    spread = np.median(away**2, 0) / MEDIAN_OF_SQUARE - usual * (1 - left)
    unsure = usual * np.sqrt(2 / len(own))  # of that estimate itself
    return np.asarray(np.maximum(spread, 0) + unsure + own * left)

"""Pareto-smoothed importance sampling, of many patches at once.

The largest weights decide, and there are few of them. A generalised Pareto distribution is fitted
to them; its quantiles take their places, and its shape, k-hat, tells whether the weights' mean can
be trusted at all.

ArviZ has the same, which tests agree with. But it needs SciPy, which the core does without, a loop
over patches, and where one draw outweighs all others beyond what numbers hold, it gives k-hat as
nearly 0 instead of infinite: of windows, whose log densities are in the hundreds, such there are.
"""

import math

import numpy as np

FEWEST = 25  # draws of which a fifth, the least tail to fit, are five
_PRIOR_SHAPE, _PRIOR_DRAWS = 0.5, 10  # what few draws in the tail are shrunk towards, and how much
_ALIKE = 0.02  # log weights this close differ by rounding, if the guide is exact
_AT_ONCE = 2**22  # numbers


def khat_limit(draws: int) -> float:
    """The largest k-hat with which so many draws can be trusted.

    Args:
        draws: number of draws.

    Source:
        Vehtari and others, "Pareto smoothed importance sampling", J. Mach. Learn. Res. 25 (2024).

    Example:
        >>> round(khat_limit(200), 2), khat_limit(10_000)
        (0.57, 0.7)
    """
    return min(1 - 1 / math.log10(draws), 0.7)


def smoothed(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log weights with their largest smoothed, normalized, and k-hat.

    Args:
        log_weights: `draw x patch`; minus infinity, or not a number, for an impossible draw.

    Returns:
        Log weights, `draw x patch`, whose exponentials add up to 1 over the draws; and the shape of
        each tail, `patch`: infinite where no Pareto distribution fits, as where no draw is
        possible, 0 where those of the tail are alike but for 2%, and NaN where there are fewer than
        25 draws, which stay as they are.

    Source:
        Vehtari and others, "Pareto smoothed importance sampling", J. Mach. Learn. Res. 25 (2024);
        Zhang and Stephens, "A new and efficient estimation method for the generalized Pareto
        distribution", Technometrics 51, 316 (2009).

    Example:
        >>> uniform = (np.arange(1000) + 0.5) / 1000
        >>> weights, khat = smoothed(-0.4 * np.log1p(-uniform)[:, np.newaxis])
        >>> khat.round(2)  # of a Pareto distribution of shape 0.4
        array([0.41])
    """
    draws, patches = log_weights.shape
    result, khat = np.empty((draws, patches)), np.full(patches, np.nan)
    tail = _tail_size(draws)
    step = max(1, _AT_ONCE // max(draws, tail * _grid_size(tail)))
    for start in range(0, patches, step):
        part = slice(start, start + step)
        values = np.array(log_weights[:, part], float)
        values[np.isnan(values)] = -np.inf
        highest = values.max(0)
        possible = np.isfinite(highest)
        values = np.where(possible, values - np.where(possible, highest, 0.0), 0.0)
        if draws >= FEWEST:
            khat[part] = np.where(possible, _smooth(values, tail), np.inf)
        with np.errstate(divide="ignore"):
            result[:, part] = values - np.log(np.exp(values).sum(0))
    return result, khat


def effective(log_weights: np.ndarray) -> np.ndarray:
    """How many equally weighted draws weighted ones are worth, `patch`.

    Args:
        log_weights: `draw x patch`, normalized.

    Example:
        >>> effective(np.log([[0.5, 0.98], [0.5, 0.02]])).round(2)
        array([2.  , 1.04])
    """
    return np.asarray(1 / np.exp(2 * log_weights).sum(0))


def resampled(log_weights: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Numbers of draws, each as often as its weight says, in random order: `count x patch`.

    By systematic resampling: a draw of weight w is taken `count * w` times, rounded up or down.

    Args:
        log_weights: `draw x patch`, normalized.
        count: how many.
        random: from which.

    Source:
        Carpenter, Clifford and Fearnhead, "Improved particle filter for nonlinear problems", IEE
        Proc. Radar, Sonar Navig. 146, 2 (1999).

    Example:
        >>> weights = np.log([[0.25], [0.75]])
        >>> np.bincount(resampled(weights, 8, np.random.default_rng(0))[:, 0])
        array([2, 6])
    """
    draws, patches = log_weights.shape
    below = np.exp(log_weights).cumsum(0)
    below /= below[-1]
    places = np.ceil(count * below - random.random(patches))  # drawn up to and with each
    places[-1] = count
    times = np.diff(places.astype(int).clip(0, count), axis=0, prepend=0)
    chosen = np.repeat(np.tile(np.arange(draws), patches), times.T.ravel())
    return random.permuted(chosen.reshape(patches, count), axis=1).T


def _tail_size(draws: int) -> int:
    return math.floor(min(draws / 5, 3 * math.sqrt(draws)))


def _grid_size(tail: int) -> int:
    return 30 + math.floor(math.sqrt(tail))


def _smooth(values: np.ndarray, tail: int) -> np.ndarray:
    """Put the fitted distribution's quantiles in the place of the tail's draws, and give k-hat.

    Args:
        values: `draw x patch`, log weights whose largest is 0: changed in place.
        tail: how many are in the tail.
    """
    order = np.argsort(values, 0)
    last = order[-tail:]
    largest = np.exp(np.take_along_axis(values, last, 0))
    cutoff = np.exp(np.take_along_axis(values, order[-tail - 1 : -tail], 0))
    with np.errstate(all="ignore"):
        khat, scale = _fitted(largest - cutoff)
        probability = ((np.arange(tail) + 0.5) / tail)[:, np.newaxis]
        beyond = np.expm1(-khat * np.log1p(-probability)) / khat
        beyond = np.where(khat == 0, -np.log1p(-probability), beyond)
        quantiles = np.log(cutoff + scale * beyond).clip(max=0.0)
    alike = cutoff[0] >= math.exp(-_ALIKE)
    fits = np.isfinite(khat) & ~alike & np.isfinite(quantiles).all(0)
    kept = np.take_along_axis(values, last, 0)
    np.put_along_axis(values, last, np.where(fits, quantiles, kept), 0)
    return np.where(fits, khat, np.where(alike, 0.0, np.inf))


def _fitted(excess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shape and scale of generalised Pareto distributions, by Zhang and Stephens.

    The mean of the likelihood over a grid of one parameter, the other at its best given that.

    Args:
        excess: `draw x patch`, sorted, from 0.

    Returns:
        Of each patch, the shape as if ten draws more had been of shape 0.5, and the scale.
    """
    count = len(excess)
    size = _grid_size(count)
    quartile = excess[math.floor(count / 4 + 0.5) - 1]
    grid = 1 - np.sqrt(size / (np.arange(1, size + 1) - 0.5))
    ratio = grid[:, np.newaxis] / (3 * quartile) + 1 / excess[-1]
    shape = np.log1p(-ratio[:, np.newaxis] * excess).mean(1)
    worth = count * (np.log(-ratio / shape) - shape - 1)
    worth = np.exp(worth - worth.max(0))
    mean = (worth * ratio).sum(0) / worth.sum(0)
    shape = np.log1p(-mean * excess).mean(0)
    scale = -shape / mean
    return (count * shape + _PRIOR_DRAWS * _PRIOR_SHAPE) / (count + _PRIOR_DRAWS), scale

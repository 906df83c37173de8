"""Ranks of true values among draws of their posteriors, and whether these are uniform."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from pyroshift.bayes.pareto import effective

_POINTS = 50  # at which the share of ranks below is looked at
_SIMULATED = 4000  # sets of uniform ranks, by which the smallest p-value is told to 0.03%


def ranks(
    values: np.ndarray,
    truth: np.ndarray,
    log_weights: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Where true values are among draws, 0 to 1, uniform if the draws are of the true posterior.

    Ties, as those of classes, are broken at random, and so is where between two draws a value is.

    Args:
        values: `draw x patch`.
        truth: `patch`.
        log_weights: of the draws, normalized, `draw x patch`; of as many equal ones as `effective`
            tells they are worth.
        random: what breaks ties.

    Returns:
        `patch`.

    Source:
        Talts, Betancourt, Simpson, Vehtari and Gelman, "Validating Bayesian inference algorithms
        with simulation-based calibration", arXiv:1804.06788.

    Example:
        >>> draws = np.random.default_rng(0).normal(size=(999, 3))
        >>> even = np.full(draws.shape, -np.log(999.0))
        >>> ranks(draws, np.array([-4.0, 0.0, 4.0]), even, np.random.default_rng(0)).round(1)
        array([0. , 0.5, 1. ])
    """
    worth, weights = effective(log_weights), np.exp(log_weights)
    below = (weights * (values < truth)).sum(0) * worth
    equal = (weights * (values == truth)).sum(0) * worth
    return (below + random.random(truth.shape) * (equal + 1)) / (worth + 1)


@dataclass(frozen=True)
class Uniformity:
    """What so many uniform ranks look like, at every share at once.

    Of each of a few shares, the number of ranks below it is binomial. How improbable the most
    improbable of these numbers is, tells of any departure: of the middle, width and tails alike.

    Args:
        count: number of ranks.
        seed: of the simulated sets by which improbable is told from expected.

    Source:
        Säilynoja, Bürkner and Vehtari, "Graphical test for discrete uniformity and its applications
        in goodness-of-fit evaluation and multiple sample comparison", Stat. Comput. 32, 32 (2022).

    Example:
        >>> uniformity = Uniformity(500)
        >>> even = (np.arange(500) + 0.5) / 500
        >>> uniformity.p_value(even) > 0.5, uniformity.p_value(0.9 * even) < 0.001
        (True, True)
    """

    count: int
    seed: int = 0

    @property
    def shares(self) -> np.ndarray:
        """At which the ranks are looked at, `point`."""
        return np.arange(1, _POINTS) / _POINTS

    def p_value(self, ranks: np.ndarray) -> float:
        """How probable uniform ranks are to be this uneven.

        Args:
            ranks: as many as `count`, 0 to 1.
        """
        found = self._least(np.searchsorted(np.sort(ranks), self.shares)[np.newaxis])
        return float((1 + (self._simulated <= found).sum()) / (1 + _SIMULATED))

    def band(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Between which the shares of ranks below each share all are, with this probability.

        Args:
            level: the probability.

        Returns:
            Lower and upper ends, `point`.
        """
        least = np.quantile(self._simulated, 1 - level)
        low = (self._below <= least / 2).sum(1)
        high = (self._below < 1 - least / 2).sum(1)
        return low / self.count, high / self.count

    @cached_property
    def _below(self) -> np.ndarray:
        """Probability that at most so many ranks are below each share, `point x number`."""
        numbers = torch.arange(self.count + 1).double()
        binomial = torch.distributions.Binomial(self.count, torch.tensor(self.shares)[:, None])
        return np.cumsum(binomial.log_prob(numbers).exp().numpy(), 1)

    def _least(self, numbers: np.ndarray) -> np.ndarray:
        """Two-sided probability of the most improbable of numbers below, `set`.

        Args:
            numbers: of ranks below each share, `set x point`.
        """
        points = np.arange(len(self._below))
        at_most = self._below[points, numbers]
        fewer = np.where(numbers > 0, self._below[points, numbers - 1], 0.0)
        return 2 * np.minimum(at_most, 1 - fewer).min(1)

    @cached_property
    def _simulated(self) -> np.ndarray:
        """What `_least` gives of uniform ranks, `set`."""
        random = np.random.default_rng(self.seed)
        parts = random.multinomial(self.count, np.full(_POINTS, 1 / _POINTS), size=_SIMULATED)
        return self._least(parts.cumsum(1)[:, :-1])

"""Likelihoods of counts, of electrons or photons: Poisson, over-dispersed, with too many zeros."""

from collections.abc import Sequence
from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.nn.functional import softplus

from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.distributions import Expandable
from pyroshift.model.likelihood import Likelihood
from pyroshift.model.pace import PACE

_HIGHEST = 30.0  # log rate relative to the data's mean, whose exponential is still a number


class Counts(Likelihood):
    """Base of likelihoods of counts, whose decoder tells a log rate relative to the data's mean."""

    def doubt(self, x: Tensor) -> str | None:
        """Numbers that are no counts."""
        x = x[~torch.isnan(x)]
        if bool((x == x.round()).all()):
            return None
        if bool(((x >= 0) & (x <= 1)).all()):
            what = "all data are in [0, 1], as if they had been stretched"
        else:
            what = "the data aren't whole numbers"
        return (
            f"the {type(self).__name__} likelihood is for counts, but {what}: its noise is wrong "
            "then; cut the patches from raw counts with normalize=None, or take "
            "likelihood='gaussian'"
        )

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError if there are negative counts."""
        if minimum < 0:
            raise DataError(
                f"the {type(self).__name__} likelihood needs counts, but the data go down to "
                f"{minimum:.6g}: subtract the detector's offset, or take likelihood='gaussian'"
            )

    def _mean_rate(self) -> Tensor:
        return torch.where(self.location > 0, self.location, torch.ones_like(self.location))

    def _log_mean(self, output: Tensor) -> Tensor:
        """Logarithm of the expected counts."""
        return output.clamp(max=_HIGHEST) + self._mean_rate().log()


class Poisson(Counts):
    """Poisson likelihood of counts: electrons or photons.

    Example:
        >>> Poisson().mean(torch.zeros(1))
        tensor([1.])
    """

    def distribution(self, output: Tensor) -> Distribution:
        """Poisson with the output as log rate, relative to the data's mean."""
        rate = output.clamp(max=_HIGHEST).exp() * self._mean_rate()
        return dist.Poisson(rate, validate_args=False)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The log rate, and the rate."""
        log_rate = self._log_mean(output)
        return log_rate, log_rate.exp()


class NegativeBinomial(Counts):
    """Negative binomial likelihood of counts that scatter more than Poisson's.

    The rate itself varies about the one that is decoded, by a gamma distribution: through the gain
    of a detector, an unsteady beam, or whatever of the motif the latents don't tell. Posteriors are
    wider by that, where Poisson's would be too sure. Hilbe, "Negative Binomial Regression",
    2nd edition, Cambridge 2011, its NB2.

    Args:
        dispersion: the variance of counts is `mean + dispersion * mean**2`; None to learn it.

    Raises:
        SpecificationError: if `dispersion` isn't positive.

    Example:
        >>> likelihood = NegativeBinomial(dispersion=0.5)
        >>> counts = likelihood.distribution(torch.zeros(1))
        >>> counts.mean, counts.variance
        (tensor([1.]), tensor([1.5000]))
    """

    # At the data's mean the variance is larger than Poisson's by at least this share of it.
    smallest = 0.01

    def __init__(self, dispersion: float | None = None) -> None:
        if dispersion is not None and not dispersion > 0:
            raise SpecificationError(
                f"dispersion must be positive, or None to learn it; got {dispersion}. "
                "For none take likelihood='poisson'"
            )
        super().__init__()
        self.dispersion = dispersion
        if dispersion is None:
            self.log_excess = nn.Parameter(torch.zeros(()))

    @property
    def concentration(self) -> Tensor:
        """Of the rates' gamma distribution: the reciprocal of the dispersion."""
        if self.dispersion is not None:
            return torch.full_like(self.location, 1 / self.dispersion)
        return self._mean_rate() / ((PACE * self.log_excess).exp() + self.smallest)

    def distribution(self, output: Tensor) -> Distribution:
        """Negative binomial with the output as log mean, relative to the data's mean."""
        return GammaPoisson(self._log_mean(output), self.concentration, validate_args=False)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The log odds of another count, up to a constant, and the normalizer."""
        return _natural_of_gamma_poisson(self._log_mean(output), self.concentration.reciprocal())

    def information(self, output: Tensor) -> Tensor:
        """Fisher's, about the log mean: never more than the concentration."""
        mean = self._log_mean(output).exp()
        return mean / (1 + mean / self.concentration)

    def extra_repr(self) -> str:
        """The dispersion."""
        return "learned" if self.dispersion is None else f"dispersion={self.dispersion}"


class ZeroInflatedPoisson(Counts):
    """Poisson likelihood of counts of which some were lost and read zero, whatever the rate.

    As dead time, blanked pixels or a threshold leave them. Lambert, "Zero-inflated Poisson
    regression, with an application to defects in manufacturing", Technometrics 34, 1 (1992).

    Args:
        inflation: probability that a count is lost; None to learn it, from 0.1 on.
        per_pixel: whether the decoder tells it pixel by pixel, by a second number: its log odds
            relative to the odds of all.

    Raises:
        SpecificationError: if `inflation` isn't between 0 and 1.

    Example:
        >>> likelihood = ZeroInflatedPoisson(inflation=0.2)
        >>> likelihood.mean(torch.zeros(1))  # of those that aren't lost it is 1.25
        tensor([1.])
    """

    def __init__(self, inflation: float | None = None, per_pixel: bool = False) -> None:
        if inflation is not None and not 0 < inflation < 1:
            raise SpecificationError(
                f"inflation must be between 0 and 1, or None to learn it; got {inflation}. "
                "For none take likelihood='poisson'"
            )
        super().__init__()
        self.inflation, self.per_pixel = inflation, per_pixel
        self.maps = 2 if per_pixel else None
        if inflation is None:
            self.log_odds = nn.Parameter(torch.zeros(()))

    @property
    def odds(self) -> Tensor:
        """Log odds that a count is lost."""
        if self.inflation is not None:
            return torch.full_like(self.location, self.inflation).logit()
        return PACE * self.log_odds + torch.full_like(self.location, 0.1).logit()

    def _log_rate_and_odds(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Log rate of what isn't lost, and log odds that it is."""
        level, odds = output, self.odds
        if self.per_pixel:
            level, change = output.unbind(-1)
            odds = odds + change
        # At the odds of all, the mean is what the decoder's number says.
        return self._log_mean(level) + softplus(self.odds), odds

    def distribution(self, output: Tensor) -> Distribution:
        """Zero-inflated Poisson with the output as log mean, relative to the data's mean."""
        log_rate, odds = self._log_rate_and_odds(output)
        return dist.ZeroInflatedPoisson(log_rate.exp(), gate_logits=odds, validate_args=False)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the negative binomial of the same mean and variance, which proposes poses."""
        log_rate, odds = self._log_rate_and_odds(output)
        # One dispersion for all: else it wouldn't be an exponential family.
        return _natural_of_gamma_poisson(log_rate - softplus(odds), odds.mean().exp())

    def information(self, output: Tensor) -> Tensor:
        """Fisher's, about the log rate, and if there is one about the log odds."""
        log_rate, odds = self._log_rate_and_odds(output)
        rate, lost = log_rate.exp(), torch.sigmoid(odds)
        # Of a zero, the probability that the count was lost.
        zero_is_lost = torch.sigmoid(odds + rate)
        about_rate = (1 - lost) * (rate - rate * (rate * (-rate).exp()) * zero_is_lost)
        if not self.per_pixel:
            return about_rate
        seen = -(1 - lost) * torch.expm1(-rate)  # probability of a count above zero
        return torch.stack([about_rate, lost * zero_is_lost * seen], -1)

    def extra_repr(self) -> str:
        """The inflation."""
        level = "learned" if self.inflation is None else f"inflation={self.inflation}"
        return f"{level}, per pixel" if self.per_pixel else level


class GammaPoisson(Expandable):
    """Poisson counts whose rates are gamma distributed about a mean: negative binomial.

    Pyro's own loses digits where concentrations are large, and counts nearly Poisson.

    Args:
        log_mean: logarithm of the mean, any shape.
        concentration: of the gamma distribution of all, a scalar.

    Example:
        >>> counts = GammaPoisson(torch.zeros(2), torch.tensor(3.0))
        >>> expected = dist.GammaPoisson(3.0, torch.full((2,), 3.0))
        >>> torch.allclose(counts.log_prob(torch.ones(2)), expected.log_prob(torch.ones(2)))
        True
    """

    each = ("log_mean",)
    arg_constraints: ClassVar = {
        "log_mean": constraints.real, "concentration": constraints.positive
    }  # fmt: skip
    support = constraints.nonnegative_integer

    def __init__(
        self, log_mean: Tensor, concentration: Tensor, validate_args: bool | None = None
    ) -> None:
        self.log_mean, self.concentration = log_mean, concentration
        super().__init__(log_mean.shape, torch.Size(), validate_args=validate_args)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Counts."""
        mean = self.mean.expand(self._extended_shape(torch.Size(sample_shape)))
        gamma = dist.Gamma(self.concentration, self.concentration).sample(mean.shape)
        return torch.poisson(mean * gamma)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability."""
        if self._validate_args:
            self._validate_sample(value)
        # What is between a rising factorial and a power is far smaller than they are.
        size, count = self.concentration.double(), value.double()
        rising = torch.lgamma(size + count) - torch.lgamma(size) - count * size.log()
        surplus = (self.mean / self.concentration).log1p()
        log_prob = value * self.log_mean - (value + self.concentration) * surplus
        return log_prob + rising.to(log_prob) - torch.lgamma(value + 1)

    @property
    def mean(self) -> Tensor:
        """Mean."""
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        """Variance."""
        return self.mean + self.mean.square() / self.concentration


def _natural_of_gamma_poisson(log_mean: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
    """Natural parameter, less the logarithm of the dispersion, and normalizer."""
    dispersion = dispersion.clamp(1e-6, 1e6)  # at least: Poisson's to a millionth
    surplus = (dispersion * log_mean.exp()).log1p()
    return log_mean - surplus, surplus / dispersion

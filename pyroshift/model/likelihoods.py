"""The likelihoods that there are, for grey levels and for counts."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from pyroshift import names
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.distributions import HomoscedasticNormal
from pyroshift.model.likelihood import Likelihood as Likelihood


def _check_unit_interval(name: str, minimum: float, maximum: float) -> None:
    if minimum < 0 or maximum > 1:
        raise DataError(
            f"the {name} likelihood needs data in [0, 1], but they span "
            f"[{minimum:.6g}, {maximum:.6g}]: cut the patches with normalize='patch' or "
            "normalize='image', or take likelihood='gaussian'"
        )


class Bernoulli(Likelihood):
    """Bernoulli likelihood of grey levels in [0, 1], as the shift-VAE and rVAE papers use it.

    For grey levels it is a cross-entropy, not a density: bounds compare among models with this
    likelihood only, and a pixel is worth so little that faint content may collapse.

    Example:
        >>> Bernoulli().mean(torch.zeros(1, 2))
        tensor([[0.5000, 0.5000]])
    """

    def distribution(self, output: Tensor) -> Distribution:
        """Bernoulli with the output as logits, relative to the data's mean."""
        # Grey levels are outside the support that torch would check.
        return dist.Bernoulli(logits=output + _logit(self.location), validate_args=False)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The logits, and their softplus."""
        logits = output + _logit(self.location)
        return logits, softplus(logits)

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError unless the data are in [0, 1]."""
        _check_unit_interval("Bernoulli", minimum, maximum)


class ContinuousBernoulli(Likelihood):
    """Continuous Bernoulli likelihood: the normalised density on [0, 1] of the same form.

    Loaiza-Ganem and Cunningham, "The continuous Bernoulli", NeurIPS 2019.

    Example:
        >>> ContinuousBernoulli().mean(torch.zeros(1))
        tensor([0.5000])
    """

    def distribution(self, output: Tensor) -> Distribution:
        """Continuous Bernoulli with the output as logits."""
        return dist.ContinuousBernoulli(logits=output, validate_args=False)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The logits, and minus the log density at zero."""
        density = dist.ContinuousBernoulli(logits=output, validate_args=False)
        return output, -density.log_prob(torch.zeros_like(output))

    def information(self, output: Tensor) -> Tensor:
        """The variance, whose difference of two infinities torch takes for logits near zero."""
        near = output.abs() < 0.3
        logits = torch.where(near, torch.ones_like(output), output)
        sine = 2 * (logits / 2).sinh()
        far = logits.square().reciprocal() - sine.square().reciprocal()
        return torch.where(near, 1 / 12 - output.square() / 240, far)

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError unless the data are in [0, 1]."""
        _check_unit_interval("ContinuousBernoulli", minimum, maximum)


class Gaussian(Likelihood):
    """Gaussian likelihood with one noise level for all pixels, fixed or learned.

    Args:
        sigma: noise's standard deviation in the data's units; None to learn it.

    Raises:
        SpecificationError: if `sigma` isn't positive.

    Example:
        >>> float(Gaussian(sigma=0.25).noise)
        0.25
    """

    # A learned noise level can't fall below this share of the data's spread: on data without noise
    # it would go to zero, and the bound to infinity.
    smallest = 0.01
    # The noise level is exp(quickness x parameter), since an optimiser moves every parameter by
    # about the learning rate per step, and the noise level has orders of magnitude to go.
    quickness = 10.0

    def __init__(self, sigma: float | None = None) -> None:
        if sigma is not None and not sigma > 0:
            raise SpecificationError(f"sigma must be positive, or None to learn it; got {sigma}")
        super().__init__()
        self.sigma = sigma
        if sigma is None:
            self.log_noise = nn.Parameter(torch.zeros(()))

    @property
    def noise(self) -> Tensor:
        """The noise's standard deviation, in the data's units."""
        if self.sigma is not None:
            return torch.full_like(self.spread, self.sigma)
        return self.spread * ((self.quickness * self.log_noise).exp() + self.smallest)

    def distribution(self, output: Tensor) -> Distribution:
        """Normal about the output, which is in units of the data's spread about their mean."""
        return HomoscedasticNormal(self.location + self.spread * output, self.noise)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The output over the noise's variance, both in units of the data's spread."""
        precision = self.information(output)
        return output * precision, output.square() * precision / 2

    def statistic(self, x: Tensor) -> Tensor:
        """Standardized data: raw ones far from zero would cost digits."""
        return self.standardize(x)

    def information(self, output: Tensor) -> Tensor:
        """The inverse variance of the noise, in units of the data's spread."""
        return (self.spread / self.noise).square().expand_as(output)

    def extra_repr(self) -> str:
        """The noise level."""
        return "learned sigma" if self.sigma is None else f"sigma={self.sigma}"


class Poisson(Likelihood):
    """Poisson likelihood of counts: electrons or photons.

    Example:
        >>> Poisson().mean(torch.zeros(1))
        tensor([1.])
    """

    def distribution(self, output: Tensor) -> Distribution:
        """Poisson with the output as log rate, relative to the data's mean."""
        return dist.Poisson(output.clamp(max=30).exp() * self._mean_rate(), validate_args=False)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The log rate, and the rate."""
        log_rate = output.clamp(max=30) + self._mean_rate().log()
        return log_rate, log_rate.exp()

    def doubt(self, x: Tensor) -> str | None:
        """Numbers that are no counts."""
        if bool((x == x.round()).all()):
            return None
        if bool(((x >= 0) & (x <= 1)).all()):
            what = "all data are in [0, 1], as if they had been stretched"
        else:
            what = "the data aren't whole numbers"
        return (
            f"the Poisson likelihood is for counts, but {what}: its noise is wrong then; cut the "
            "patches from raw counts with normalize=None, or take likelihood='gaussian'"
        )

    def _mean_rate(self) -> Tensor:
        return torch.where(self.location > 0, self.location, torch.ones_like(self.location))

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError if there are negative counts."""
        if minimum < 0:
            raise DataError(
                f"the Poisson likelihood needs counts, but the data go down to {minimum:.6g}: "
                "subtract the detector's offset, or take likelihood='gaussian'"
            )


def _logit(location: Tensor) -> Tensor:
    """Logit of the data's mean; 0 where it isn't inside (0, 1), as before `prepare`."""
    inside = (location > 0) & (location < 1)
    return torch.where(inside, location, torch.full_like(location, 0.5)).logit()


LIKELIHOODS: dict[str, type[Likelihood]] = names.by_name(
    names.LIKELIHOODS, Gaussian, Bernoulli, ContinuousBernoulli, Poisson
)

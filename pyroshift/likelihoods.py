"""Likelihoods: small modules whose call makes the observed sample site.

A decoder returns one unconstrained number per pixel, near 0 before it is trained; the likelihood
turns it into a distribution of the data, in their unit. `prepare` checks the data's range once and
sets the data's location and spread, by which encoders see data of any units alike, and most
untrained models predict the data's mean.
"""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

from pyroshift import names
from pyroshift.distributions import HomoscedasticNormal, Rescaled
from pyroshift.errors import DataError, SpecificationError
from pyroshift.sites import DATA


class Likelihood(nn.Module):
    """Distribution of the data given the decoder's output, pixels independent.

    A subclass gives `standardized`, in which the data have mean 0 and spread 1 whatever their unit:
    decoders' outputs start near 0. It is carried to the data's unit, which bounds are in. Where
    that makes no sense, as for counts, it gives `distribution` in the data's own unit instead, by
    the data's `location` and `spread`; and `check` where not all real numbers are possible data.

    Example:
        >>> class StudentT(Likelihood):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.log_width = nn.Parameter(torch.tensor(-1.0))
        ...
        ...     def standardized(self, output):
        ...         return dist.StudentT(4.0, output, self.log_width.exp())
        >>> likelihood = StudentT()
        >>> likelihood.prepare(minimum=1800.0, maximum=2300.0, mean=2000.0, stddev=50.0)
        >>> likelihood.mean(torch.tensor([0.0, 1.0]))
        tensor([2000., 2050.])
    """

    location: Tensor
    spread: Tensor
    prepared: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("prepared", torch.tensor(False))

    def forward(
        self, output: Tensor, x: Tensor | None = None, event_dim: int | None = None
    ) -> Tensor:
        """Make the observed site `x`.

        Args:
            output: decoder's output, `batch x height x width` (or `batch x length`).
            x: data of the same shape, or None to sample them.
            event_dim: number of axes of a window; by default all but the first.
        """
        event_dim = output.dim() - 1 if event_dim is None else event_dim
        distribution = dist.Independent(self.distribution(output), event_dim)
        return pyro.sample(DATA, distribution, obs=x)

    def standardized(self, output: Tensor) -> Distribution:
        """Distribution of each pixel of the standardized data, of the output's shape.

        Args:
            output: decoder's output, any shape: what is expected, in most likelihoods.
        """
        raise SpecificationError(
            f"{type(self).__name__} has no distribution: give it a method `standardized(output)` "
            "for data of mean 0 and spread 1, or `distribution(output)` in the data's own unit"
        )

    def distribution(self, output: Tensor) -> Distribution:
        """Distribution of each pixel in the data's unit, of the output's shape.

        That of `standardized`, unless overridden.
        """
        base = self.standardized(output)
        if base.support is not None and base.support.is_discrete:
            raise SpecificationError(
                f"{type(self).__name__}: standardized data can't be {type(base).__name__}, which "
                "is discrete: give it a method `distribution(output)` in the data's own unit"
            )
        return Rescaled(base, self.location, self.spread)

    @property
    def _by_standard_units(self) -> bool:
        """Whether a subclass has left the data's unit to this class."""
        return type(self).distribution is Likelihood.distribution

    def mean(self, output: Tensor) -> Tensor:
        """Expected data, of the output's shape."""
        return self.distribution(output).mean

    def standardize(self, x: Tensor) -> Tensor:
        """Data with mean about 0 and spread about 1, as encoders like them."""
        return (x - self.location) / self.spread

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """What compares every patch with every output by one matrix product.

        The log likelihood of exponential families is `statistic(x) * parameter - normalizer`, up
        to a term of the data alone. For other likelihoods in standard units this is a Normal as
        wide as they are, which proposes poses, while the bound stays theirs.

        Args:
            output: decoder's output, any shape.

        Returns:
            The natural parameter and the log normalizer of each pixel, of the output's shape.
        """
        if self._by_standard_units:
            precision = self.information(output)
            return output * precision, output.square() * precision / 2
        raise SpecificationError(
            f"{type(self).__name__} has no `natural` parameters, which the anchor guide compares "
            "patches with poses by: give it that method, or take guide='normal'"
        )

    def statistic(self, x: Tensor) -> Tensor:
        """What of the data the natural parameter multiplies: an affine function of them."""
        return self.standardize(x) if self._by_standard_units else x

    def information(self, output: Tensor) -> Tensor:
        """Fisher information of a pixel about the decoder's output, of the output's shape.

        In standard units, that of a Normal as wide about the output: no more than there is. Else
        the variance of the data, where the output is the natural parameter up to a constant.
        """
        if not self._by_standard_units:
            return self.distribution(output).variance
        variance = self.standardized(output).variance.expand_as(output)
        # Tails may be so heavy that there is no variance; the data have one, which is 1.
        known = torch.isfinite(variance) & (variance > 0)
        return torch.where(known, variance, 1.0).reciprocal()

    def score(self, x: Tensor, output: Tensor) -> Tensor:
        """Derivative of the log likelihood by the decoder's output, of the output's shape.

        It can itself be differentiated, where the output can.

        Args:
            x: data, of the output's shape.
            output: decoder's output.
        """
        further = torch.is_grad_enabled() and output.requires_grad
        with torch.enable_grad():
            output = output if further else output.detach().requires_grad_()
            log_likelihood = self.distribution(output).log_prob(x).sum()
            (score,) = torch.autograd.grad(log_likelihood, output, create_graph=further)
        return score

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError if data of this range can't come from this likelihood."""

    def doubt(self, x: Tensor) -> str | None:
        """What speaks against these data coming from this likelihood, in words; None if nothing.

        Args:
            x: some of the data, any shape.
        """
        return None

    def prepare(self, minimum: float, maximum: float, mean: float, stddev: float) -> None:
        """Check the data's range, and the first time set their location and spread.

        Later data are measured by the first, since the weights were trained on that scale.

        Args:
            minimum: smallest value of the data.
            maximum: largest value.
            mean: their mean.
            stddev: their standard deviation.

        Raises:
            DataError: if the range can't come from this likelihood.
        """
        self.check(minimum, maximum)
        if not self.prepared:
            self.location.fill_(mean)
            self.spread.fill_(stddev if stddev > 0 else 1.0)
            self.prepared.fill_(True)


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

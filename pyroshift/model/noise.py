"""Likelihoods of grey levels with noise of any level: Gaussian, with outliers, uneven."""

import math
from collections.abc import Sequence
from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from pyroshift.errors import SpecificationError
from pyroshift.model.distributions import Expandable, HomoscedasticNormal
from pyroshift.model.likelihood import Likelihood
from pyroshift.model.pace import PACE


class NoiseLevel(Likelihood):
    """Base of likelihoods with one noise level for all pixels, fixed or learned.

    Args:
        sigma: noise's standard deviation in the data's units; None to learn it.

    Raises:
        SpecificationError: if `sigma` isn't positive.
    """

    # A learned noise level can't fall below this share of the data's spread: on data without noise
    # it would go to zero, and the bound to infinity.
    smallest = 0.01

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
        return self.spread * self.relative_noise()

    def relative_noise(self, ratio: Tensor | float = 1.0) -> Tensor:
        """The noise's standard deviation in units of the data's spread, times a ratio."""
        if self.sigma is not None:
            return self.sigma / self.spread * ratio
        return (PACE * self.log_noise).exp() * ratio + self.smallest

    def extra_repr(self) -> str:
        """The noise level."""
        return "learned sigma" if self.sigma is None else f"sigma={self.sigma}"


class Gaussian(NoiseLevel):
    """Gaussian likelihood with one noise level for all pixels, fixed or learned.

    Args:
        sigma: noise's standard deviation in the data's units; None to learn it.

    Raises:
        SpecificationError: if `sigma` isn't positive.

    Example:
        >>> float(Gaussian(sigma=0.25).noise)
        0.25
    """

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


class StudentT(NoiseLevel):
    """Student's t likelihood: Gaussian noise but for outliers, as hot pixels, spikes and glitches.

    A pixel far off costs the logarithm of its distance, not the square, so that it pulls neither
    motif nor pose. How heavy the tails are is learned with the rest; without outliers they become
    Gaussian. Lange, Little and Taylor, "Robust statistical modeling using the t distribution",
    Journal of the American Statistical Association 84, 881 (1989).

    Args:
        degrees: degrees of freedom, more than 1; None to learn them, from 4 on.
        sigma: the noise's width in the data's units, in the middle, without the tails; None to
            learn it. The standard deviation is larger by `sqrt(degrees / (degrees - 2))`.

    Raises:
        SpecificationError: if `degrees` or `sigma` is too small.

    Example:
        >>> likelihood = StudentT()
        >>> likelihood.prepare(minimum=1800.0, maximum=2300.0, mean=2000.0, stddev=50.0)
        >>> likelihood.mean(torch.tensor([0.0, 1.0])).detach()
        tensor([2000., 2050.])
    """

    fewest = 1.0  # degrees of freedom: there is no mean with less
    most = 1000.0  # as good as Gaussian

    def __init__(self, degrees: float | None = None, sigma: float | None = None) -> None:
        if degrees is not None and not self.fewest < degrees <= self.most:
            raise SpecificationError(
                f"degrees must be more than {self.fewest:g} and at most {self.most:g}, or None to "
                f"learn them; got {degrees}. For no outliers at all take likelihood='gaussian'"
            )
        super().__init__(sigma)
        self.degrees = degrees
        if degrees is None:
            self.tail = nn.Parameter(torch.zeros(()))

    @property
    def degrees_of_freedom(self) -> Tensor:
        """Degrees of freedom, as given or as learned so far."""
        if self.degrees is not None:
            return torch.full_like(self.spread, self.degrees)
        # Their reciprocal is between its bounds, and 1/4 at first.
        tail = torch.sigmoid(PACE * self.tail - math.log(3))
        return (tail * (1 / self.fewest - 1 / self.most) + 1 / self.most).reciprocal()

    def standardized(self, output: Tensor) -> Distribution:
        """Student's t about the output."""
        return HomoscedasticStudentT(output, self.relative_noise(), self.degrees_of_freedom)

    def information(self, output: Tensor) -> Tensor:
        """Fisher's, which is less than the inverse square of the width: outliers tell nothing."""
        degrees = self.degrees_of_freedom
        share = (degrees + 1) / (degrees + 3)
        return (share / self.relative_noise().square()).expand_as(output)

    def extra_repr(self) -> str:
        """The noise level, and the degrees of freedom."""
        degrees = "learned degrees" if self.degrees is None else f"degrees={self.degrees}"
        return f"{degrees}, {super().extra_repr()}"


class HeteroscedasticGaussian(NoiseLevel):
    """Gaussian likelihood whose noise level the decoder tells pixel by pixel.

    For noise that grows with the signal, or where motifs differ from each other in some pixels more
    than the latents tell. Two maps: where the pixel is, and the logarithm of its noise level
    relative to the one of all, `noise`. That logarithm is bounded: a pixel that is predicted well
    by chance doesn't take all of the bound. Nix and Weigend, "Estimating the mean and variance of
    the target probability distribution", ICNN 1994.

    Args:
        sigma: the noise level where the decoder's second number is 0, in the data's units; None to
            learn it.

    Raises:
        SpecificationError: if `sigma` isn't positive.

    Example:
        >>> likelihood = HeteroscedasticGaussian(sigma=0.2)
        >>> output = torch.tensor([[0.5, 0.0], [0.5, 1.0]])  # location and log width
        >>> likelihood.distribution(output).stddev
        tensor([0.2000, 0.5247])
    """

    maps = 2
    reach = 3.0  # natural logarithms by which noise levels may differ from that of all

    def standardized(self, output: Tensor) -> Distribution:
        """Normal about the first number, of a width by the second."""
        location, change = output.unbind(-1)
        ratio = (self.reach * torch.tanh(change / self.reach)).exp()
        return dist.Normal(location, self.relative_noise(ratio))


class HomoscedasticStudentT(Expandable):
    """Student's t of one and the same width and tail: the usual density, in fewer passes.

    Args:
        loc: locations, any shape.
        width: scale of all, a scalar.
        degrees: degrees of freedom of all, a scalar.

    Example:
        >>> student = HomoscedasticStudentT(torch.zeros(2, 3), torch.tensor(2.0), torch.tensor(4.0))
        >>> expected = dist.StudentT(4.0, torch.zeros(2, 3), 2.0)
        >>> value = torch.ones(2, 3)
        >>> torch.allclose(student.log_prob(value), expected.log_prob(value))
        True
    """

    each = ("loc",)
    arg_constraints: ClassVar = {
        "loc": constraints.real, "width": constraints.positive, "degrees": constraints.positive
    }  # fmt: skip
    support = constraints.real
    has_rsample = True

    def __init__(
        self, loc: Tensor, width: Tensor, degrees: Tensor, validate_args: bool | None = None
    ) -> None:
        self.loc, self.width, self.degrees = loc, width, degrees
        super().__init__(loc.shape, torch.Size(), validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Samples, differentiable in location, width and degrees of freedom."""
        loc = self.loc.expand(self._extended_shape(torch.Size(sample_shape)))
        chi_square = dist.Chi2(self.degrees).rsample(loc.shape)
        return loc + self.width * torch.randn_like(loc) * (self.degrees / chi_square).sqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        if self._validate_args:
            self._validate_sample(value)
        # The difference of the two is far smaller than they are.
        half = self.degrees.double() / 2
        constant = (torch.lgamma(half + 0.5) - torch.lgamma(half)).to(self.degrees)
        constant = constant - (math.pi * self.degrees).log() / 2 - self.width.log()
        deviation = (value - self.loc) / self.width
        return constant - (self.degrees + 1) / 2 * (deviation.square() / self.degrees).log1p()

    @property
    def mean(self) -> Tensor:
        """Mean: not a number if there is none."""
        return torch.where(self.degrees > 1, self.loc, torch.nan)

    @property
    def variance(self) -> Tensor:
        """Variance: infinite with at most two degrees of freedom."""
        ratio = torch.where(self.degrees > 2, self.degrees / (self.degrees - 2), torch.inf)
        return (self.width.square() * ratio).expand(self.loc.shape)

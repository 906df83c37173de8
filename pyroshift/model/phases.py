"""The likelihood of phases, which are the same after a full period."""

import math
from collections.abc import Sequence
from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.distributions import Expandable
from pyroshift.model.likelihood import Likelihood
from pyroshift.model.pace import PACE

_ASYMPTOTIC = 20.0  # concentration above which an expansion has more digits than a difference
_LITTLE = 1e-12  # added to a squared concentration, so that its root has a gradient


class VonMises(Likelihood):
    """Von Mises likelihood of phases, as of piezoresponse, polarization, holograms and lattices.

    The decoder gives two numbers per pixel, a vector: its direction is the phase, its length how
    sure that is, in units of a concentration that is learned. So no edge of the range has to be
    drawn sharply, and where there is no phase, the vector is 0 and all phases are equally probable,
    as of an untrained decoder. Encoders see cosine and sine. The density is per unit of the data.

    Mardia and Jupp, "Directional Statistics", Wiley 2000, section 3.5.4.

    Args:
        period: after which phases are the same, in the data's unit: 360 for degrees, 2 pi for
            radians.

    Raises:
        SpecificationError: if `period` isn't positive.

    Example:
        >>> likelihood = VonMises()
        >>> likelihood.prepare(minimum=0.0, maximum=360.0, mean=180.0, stddev=100.0)
        >>> likelihood.mean(torch.tensor([[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])).detach()
        tensor([ 90., 180., 270.])
    """

    maps = 2
    statistics = 2
    # However long the vector is, the phase isn't surer than to this share of a period over 2 pi.
    smallest = 0.02

    centre: Tensor

    def __init__(self, period: float = 360.0) -> None:
        if not 0 < period < math.inf:
            raise SpecificationError(
                f"period must be positive, 360 for phases in degrees; got {period}"
            )
        super().__init__()
        self.period = period
        self.log_concentration = nn.Parameter(torch.zeros(()))
        self.register_buffer("centre", torch.zeros(()))

    @property
    def concentration(self) -> Tensor:
        """Concentration where the decoder's vector is of length 1."""
        return (PACE * self.log_concentration).exp()

    def standardize(self, x: Tensor) -> Tensor:
        """Cosine and sine, `... x 2`."""
        radians = x * (2 * math.pi / self.period)
        return torch.stack([radians.cos(), radians.sin()], -1)

    def statistic(self, x: Tensor) -> Tensor:
        """Cosine and sine, `... x 2`."""
        return self.standardize(x)

    def distribution(self, output: Tensor) -> Distribution:
        """Von Mises of phases within half a period of the middle of the data's range."""
        return VonMisesPhase(self._natural(output), self.period, self.centre)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """The mean direction times the concentration, `... x 2`, and the log of its integral."""
        natural = self._natural(output)
        return natural, _log_bessel(_length(natural))

    def information(self, output: Tensor) -> Tensor:
        """Fisher's, about either number: the variances of cosine and sine."""
        vector = self.concentration * output
        length = _length(vector)
        shrunk = (1 + (length * self.smallest**2).square()).rsqrt()
        concentration = length * shrunk
        resultant = _resultant(concentration)
        across = resultant / concentration
        exact = 1 - across - resultant.square()
        far = concentration.clamp(min=_ASYMPTOTIC).reciprocal()
        series = far.square() * (1 / 2 + far * (1 / 4 + far * (3 / 8 + far * 25 / 32)))
        along = torch.where(concentration > _ASYMPTOTIC, series, exact)
        # By how much the bound on the concentration shrinks a change of the vector.
        along, across = along * shrunk.pow(6), across * shrunk.square()
        share = (vector / length.unsqueeze(-1)).square()
        share = share + (1 - share.sum(-1, keepdim=True)) / 2  # of no direction, half each
        variance = across.unsqueeze(-1) + (along - across).unsqueeze(-1) * share
        return self.concentration.square() * variance

    def _natural(self, output: Tensor) -> Tensor:
        """The decoder's vector times the concentration, of bounded length."""
        vector = self.concentration * output
        longest = vector * self.smallest**2
        return vector * (1 + longest.square().sum(-1, keepdim=True)).rsqrt()

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError if the data aren't finite."""
        if not (math.isfinite(minimum) and math.isfinite(maximum)):
            raise DataError(
                f"the VonMises likelihood needs finite phases, but they span [{minimum}, {maximum}]"
            )

    def doubt(self, x: Tensor) -> str | None:
        """Data that span so little or so much of a period that they may be of another unit."""
        x = x[~torch.isnan(x)]
        span = float(x.max() - x.min()) / self.period
        if 1 / 20 <= span <= 2:
            return None
        return (
            f"the VonMises likelihood is for phases with a period of {self.period:g}, but the data "
            f"span {span:.3g} of it: cut the patches with normalize=None, and give the period in "
            "the data's unit, such as likelihood=VonMises(period=2 * math.pi); phases that nowhere "
            "wrap may as well be likelihood='gaussian'"
        )

    def prepare(self, minimum: float, maximum: float, mean: float, stddev: float) -> None:
        """Check the data's range, and the first time take it for that of phases to come.

        Means lie within half a period of the multiple of half a period that is next to the middle
        of the range, such as 0 or 180 degrees; or of the middle, if data lie beyond.

        Args:
            minimum: smallest value of the data.
            maximum: largest value.
            mean: their mean.
            stddev: their standard deviation.

        Raises:
            DataError: if the data aren't finite.
        """
        untold = not bool(self.prepared)
        super().prepare(minimum, maximum, mean, stddev)
        if untold:
            half, middle = self.period / 2, (minimum + maximum) / 2
            centre = half * round(middle / half)
            beyond = max(maximum - centre, centre - minimum) > half * (1 + 1e-6)
            self.centre.fill_(middle if beyond else centre)

    def extra_repr(self) -> str:
        """The period."""
        return f"period={self.period:g}"


class VonMisesPhase(Expandable):
    """Von Mises distribution by its natural parameter, in any unit; uniform at zero.

    Args:
        natural: `... x 2`, a vector in the mean direction, as long as the concentration.
        period: of the phases.
        centre: of the period from which samples and means are.

    Example:
        >>> vectors = torch.tensor([[0.0, 50.0], [0.0, 0.0]])
        >>> phase = VonMisesPhase(vectors, 360.0, torch.tensor(0.0))
        >>> phase.mean
        tensor([90.,  0.])
        >>> phase.stddev[0]  # degrees
        tensor(8.1440)
    """

    each = ("natural",)
    arg_constraints: ClassVar = {"natural": constraints.real_vector}
    support = constraints.real

    def __init__(
        self, natural: Tensor, period: float, centre: Tensor, validate_args: bool | None = None
    ) -> None:
        self.natural, self.period, self.centre = natural, period, centre
        super().__init__(natural.shape[:-1], torch.Size(), validate_args=validate_args)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Phases, within half a period of the centre."""
        natural = self.natural.expand((*self._extended_shape(torch.Size(sample_shape)), 2))
        direction = torch.atan2(natural[..., 1], natural[..., 0])
        return self._in_range(dist.VonMises(direction, _length(natural)).sample())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density per unit of the phase."""
        if self._validate_args:
            self._validate_sample(value)
        radians = value * (2 * math.pi / self.period)
        cosine, sine = self.natural.unbind(-1)
        fit = cosine * radians.cos() + sine * radians.sin()
        return fit - _log_bessel(_length(self.natural)) - math.log(self.period)

    @property
    def mean(self) -> Tensor:
        """Mean direction, within half a period of the centre."""
        return self._in_range(torch.atan2(self.natural[..., 1], self.natural[..., 0]))

    @property
    def stddev(self) -> Tensor:
        """Circular standard deviation sqrt(-2 log R), with R the mean resultant length."""
        resultant = _resultant(_length(self.natural)).clamp(max=1 - 1e-7)
        return self.period / (2 * math.pi) * (-2 * resultant.log()).sqrt()

    @property
    def variance(self) -> Tensor:
        """Square of the circular standard deviation."""
        return self.stddev.square()

    def _in_range(self, radians: Tensor) -> Tensor:
        """Radians as phases within half a period of the centre."""
        phase = radians * (self.period / (2 * math.pi))
        lowest = self.centre - self.period / 2
        return lowest + torch.remainder(phase - lowest, self.period)


def _length(vector: Tensor) -> Tensor:
    """Length of a vector, never zero, so that it has a gradient."""
    return (vector.square().sum(-1) + _LITTLE).sqrt()


def _log_bessel(concentration: Tensor) -> Tensor:
    """Logarithm of the modified Bessel function of order 0."""
    return torch.special.i0e(concentration).log() + concentration


def _resultant(concentration: Tensor) -> Tensor:
    """Mean resultant length: the ratio of Bessel functions of orders 1 and 0."""
    return torch.special.i1e(concentration) / torch.special.i0e(concentration)

"""Guide families: what shape the posterior of one site may take, and how a network sets it.

A family turns raw network outputs into a distribution, in units of the site's prior: an output of
zero is the prior's own location and width, whatever the user's units. Which family fits is read
off the prior by `family_for`; a site takes any other through its `family` argument.
"""

import math
from abc import ABC, abstractmethod
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution, ExpTransform, Transform, biject_to, constraints
from torch.nn.functional import softplus

from pyroshift.errors import SpecificationError
from pyroshift.model.distributions import ProjectedNormalAngle, moments

# softplus(raw + this) is 1 at raw = 0, so that untrained networks start at the prior's width.
_UNIT_SOFTPLUS = math.log(math.e - 1)
# In widths of the prior: a width of zero has no logarithm, and one outlier can bring it there.
_NARROWEST = 1e-4


class GuideFamily(ABC):
    """Shape of the posterior of one site.

    A subclass says how many raw numbers one value needs, builds the distribution from them, and
    sums it up by a location and a standard deviation.
    """

    @abstractmethod
    def size(self, event_shape: tuple[int, ...]) -> int:
        """How many raw network outputs set the distribution of one value."""

    @abstractmethod
    def distribution(self, raw: Tensor, prior: Distribution) -> Distribution:
        """The posterior, of the prior's event shape.

        Args:
            raw: `batch x size`, network outputs.
            prior: the site's prior, which sets the units.
        """

    @abstractmethod
    def summary(self, distribution: Distribution) -> tuple[Tensor, Tensor]:
        """Location and standard deviation of the posterior, each `batch x event shape`."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class LocatedFamily(GuideFamily):
    """A family whose distributions a location and a standard deviation tell."""

    @abstractmethod
    def located(self, location: Tensor, stddev: Tensor, prior: Distribution) -> Distribution:
        """The posterior that `summary` sums up so.

        Args:
            location: `batch x event shape`.
            stddev: `batch x event shape`.
            prior: the site's prior.
        """


def _finite_or(value: Tensor, otherwise: float) -> Tensor:
    """A value, replaced where it is infinite or no number, as moments of heavy tails are."""
    return torch.where(torch.isfinite(value), value, otherwise)


def _width_or_one(width: Tensor) -> Tensor:
    """A width, replaced by 1 where it is none: zero, infinite or no number."""
    return torch.where(torch.isfinite(width) & (width > 0), width, 1.0)


def _loc_and_scale(raw: Tensor, event_shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Split raw outputs into a location and a positive width, each of the event's shape."""
    loc, scale = raw.chunk(2, dim=-1)
    shape = raw.shape[:-1] + event_shape
    return loc.reshape(shape), _bounded(softplus(scale + _UNIT_SOFTPLUS)).reshape(shape)


def _bounded(width: Tensor) -> Tensor:
    """A width that is no narrower than may be; its gradient passes, or it could never widen."""
    return width + (width.clamp(min=_NARROWEST) - width).detach()


class NormalFamily(LocatedFamily):
    """Independent Normals: the papers' guide, for sites on the whole real line.

    Example:
        >>> posterior = NormalFamily().distribution(
        ...     torch.zeros(1, 4), dist.Normal(torch.zeros(2), 0.3).to_event(1)
        ... )
        >>> posterior.batch_shape, posterior.event_shape
        (torch.Size([1]), torch.Size([2]))
    """

    def size(self, event_shape: tuple[int, ...]) -> int:
        """A location and a width per element."""
        return 2 * math.prod(event_shape)

    def distribution(self, raw: Tensor, prior: Distribution) -> Distribution:
        """A Normal of the prior's event shape."""
        loc, scale = _loc_and_scale(raw, prior.event_shape)
        mean, stddev = (moment.to(raw) for moment in moments(prior))
        centre, width = _finite_or(mean, 0.0), _width_or_one(stddev)
        return self.located(centre + width * loc, width * scale, prior)

    def located(self, location: Tensor, stddev: Tensor, prior: Distribution) -> Distribution:
        """A Normal of the prior's event shape."""
        return dist.Normal(location, stddev).to_event(len(prior.event_shape))

    def summary(self, distribution: Distribution) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        return distribution.mean, distribution.stddev


class TransformedNormalFamily(LocatedFamily):
    """Normals carried onto the prior's support: for positive sites and for bounded ones.

    The prior's location and width are carried back through the transform, so that untrained
    networks start there as well; where it has none, at the middle of the support.

    Example:
        >>> prior = dist.LogNormal(0.0, 0.1)
        >>> posterior = TransformedNormalFamily().distribution(torch.zeros(1, 2), prior)
        >>> bool(posterior.sample() > 0)
        True
    """

    def size(self, event_shape: tuple[int, ...]) -> int:
        """A location and a width per element."""
        return 2 * math.prod(event_shape)

    def distribution(self, raw: Tensor, prior: Distribution) -> Distribution:
        """A transformed Normal of the prior's event shape."""
        loc, scale = _loc_and_scale(raw, prior.event_shape)
        centre, width = (moment.to(raw) for moment in real_moments(prior))
        return _transformed(centre + width * loc, width * scale, prior)

    def located(self, location: Tensor, stddev: Tensor, prior: Distribution) -> Distribution:
        """A transformed Normal of the prior's event shape, of this median."""
        transform = onto_support(prior)
        centre = transform.inv(location)
        slope = transform.log_abs_det_jacobian(centre, location).exp()
        return _transformed(centre, stddev / slope, prior)

    def summary(self, distribution: Distribution) -> tuple[Tensor, Tensor]:
        """Median, and the standard deviation to first order in the transform."""
        transformed = _base(distribution)
        normal, transform = transformed.base_dist, transformed.transforms[0]
        median = transform(normal.loc)
        return median, normal.scale * transform.log_abs_det_jacobian(normal.loc, median).exp()


def _transformed(centre: Tensor, width: Tensor, prior: Distribution) -> Distribution:
    """Normals carried onto a prior's support, of its event shape."""
    transform = onto_support(prior)
    if isinstance(transform, ExpTransform):
        return dist.LogNormal(centre, width).to_event(len(prior.event_shape))
    transformed = dist.TransformedDistribution(dist.Normal(centre, width), [transform])
    return transformed.to_event(len(prior.event_shape))


def onto_support(prior: Distribution) -> Transform:
    """The transform that carries real numbers onto the support of a prior's elements.

    Args:
        prior: a site's prior.

    Example:
        >>> onto_support(dist.LogNormal(0.0, 0.1))
        ExpTransform()
    """
    support = elementwise(prior.support)
    # Torch's own for positive numbers isn't a LogNormal's, whose KL divergences are then not known.
    return ExpTransform() if support is constraints.positive else biject_to(support)


def real_moments(prior: Distribution) -> tuple[Tensor, Tensor]:
    """A prior's location and width, carried back through `onto_support` to first order.

    Args:
        prior: a site's prior.

    Returns:
        Both of the prior's event shape; 0 and 1 where it has none.

    Example:
        >>> real_moments(dist.HalfCauchy(1.0))
        (tensor(0.), tensor(1.))
    """
    transform, (mean, stddev) = onto_support(prior), moments(prior)
    centre = _finite_or(transform.inv(_finite_or(mean, math.nan)), 0.0)
    slope = transform.log_abs_det_jacobian(centre, transform(centre)).exp()
    return centre, _width_or_one(stddev / slope)


def is_discrete(prior: Distribution) -> bool:
    """Whether a prior is known to be one over separate values, such as classes.

    Example:
        >>> is_discrete(dist.Categorical(torch.ones(3))), is_discrete(dist.Normal(0.0, 1.0))
        (True, False)
    """
    try:
        return bool(elementwise(prior.support).is_discrete)
    except NotImplementedError:
        return False


def middle_of(prior: Distribution) -> Tensor:
    """A prior's mean, or where that isn't finite the middle of its support, of its event shape.

    Args:
        prior: a site's prior.

    Example:
        >>> middle_of(dist.Normal(3.0, 1.0)), middle_of(dist.HalfCauchy(1.0))
        (tensor(3.), tensor(1.))
    """
    mean = moments(prior)[0]
    if bool(torch.isfinite(mean).all()):
        return mean
    return onto_support(prior)(real_moments(prior)[0])


class ProjectedNormalFamily(LocatedFamily):
    """Angles of bivariate Normals: for sites on the circle, without a cut at pi.

    Example:
        >>> family = ProjectedNormalFamily()
        >>> posterior = family.distribution(torch.tensor([[0.0, 9.0]]), dist.VonMises(0.0, 81.0))
        >>> [round(float(value), 2) for value in family.summary(posterior)]  # half-way to pi / 2
        [0.79, 0.08]
    """

    def size(self, event_shape: tuple[int, ...]) -> int:
        """The mean cosine and sine, times the concentration."""
        return 2 * math.prod(event_shape)

    def distribution(self, raw: Tensor, prior: Distribution) -> Distribution:
        """A projected Normal of the prior's event shape."""
        shape = raw.shape[:-1] + prior.event_shape
        concentration = raw.reshape((*shape, 2)) + _concentration(_base(prior))
        return ProjectedNormalAngle(concentration, _middle_of_turn(prior)).to_event(
            len(prior.event_shape)
        )

    def located(self, location: Tensor, stddev: Tensor, prior: Distribution) -> Distribution:
        """A projected Normal of the prior's event shape; as wide as said where it is narrow."""
        direction = torch.stack((location.cos(), location.sin()), -1)
        concentration = direction / stddev.unsqueeze(-1)
        return ProjectedNormalAngle(concentration, _middle_of_turn(prior)).to_event(
            len(prior.event_shape)
        )

    def summary(self, distribution: Distribution) -> tuple[Tensor, Tensor]:
        """Mean direction and circular standard deviation."""
        return distribution.mean, distribution.stddev


def _middle_of_turn(prior: Distribution) -> float:
    """The middle of the turn in which a prior tells angles."""
    support: Any = elementwise(prior.support)
    if not isinstance(support, constraints.interval):
        return 0.0
    return float(torch.as_tensor(support.lower_bound + support.upper_bound).mean()) / 2


def _concentration(prior: Any) -> Tensor | float:
    """The projected Normal's concentration that is about as wide as a prior on the circle."""
    if isinstance(prior, ProjectedNormalAngle):
        return prior.concentration
    if isinstance(prior, dist.VonMises):
        direction = torch.stack((prior.loc.cos(), prior.loc.sin()), dim=-1)
        return prior.concentration.sqrt().unsqueeze(-1) * direction
    return 0.0


def elementwise(support: Any) -> constraints.Constraint:
    """The constraint on one element of a support declared over whole events."""
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support


def _base(distribution: Any) -> Any:
    """The distribution of one element of an event."""
    while isinstance(distribution, dist.Independent):
        distribution = distribution.base_dist
    return distribution


def family_for(prior: Distribution, circular: bool = False) -> GuideFamily:
    """The guide family whose support is the prior's.

    Args:
        prior: a site's prior.
        circular: whether the site lives on the circle, so that a prior which spans all of it
            has no ends.

    Returns:
        `ProjectedNormalFamily` for von Mises priors and for a prior over the whole circle,
        `TransformedNormalFamily` for bounded or positive supports, else `NormalFamily`.

    Raises:
        SpecificationError: if none has, as for discrete priors.

    Example:
        >>> family_for(dist.Laplace(0.0, 1.0)), family_for(dist.LogNormal(0.0, 0.1))
        (NormalFamily(), TransformedNormalFamily())
    """
    base, support = _base(prior), elementwise(prior.support)
    if support.is_discrete or support.event_dim:
        raise SpecificationError(
            f"no guide family for the prior {prior}, whose values are in {support}: take a prior "
            "over real, positive or bounded numbers, or give the site a family of your own"
        )
    if isinstance(base, dist.VonMises | ProjectedNormalAngle):
        return ProjectedNormalFamily()
    if isinstance(support, constraints.interval):
        turn = torch.as_tensor(support.upper_bound - support.lower_bound)
        whole_circle = bool((turn >= 2 * math.pi - 1e-5).all())
        return ProjectedNormalFamily() if circular and whole_circle else TransformedNormalFamily()
    return NormalFamily() if support is constraints.real else TransformedNormalFamily()

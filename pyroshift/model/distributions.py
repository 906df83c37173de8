"""What the sites need of distributions beyond Pyro's own: circular samples, and moving priors."""

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions import (
    Distribution,
    Transform,
    biject_to,
    constraints,
    kl_divergence,
    transform_to,
)

from pyroshift.errors import SpecificationError
from pyroshift.model.pose import wrap_angle


class Expandable(dist.TorchDistribution):
    """Base of distributions that broadcast some of their parameters, and keep others as they are.

    What is one for all values so stays one, however many these are.
    """

    each: ClassVar[tuple[str, ...]]  # names of those parameters that each value has its own of

    def expand(
        self, batch_shape: Sequence[int], _instance: Distribution | None = None
    ) -> "Expandable":
        """The same distribution broadcast to a batch shape."""
        new, shape = copy.copy(self), torch.Size(batch_shape)
        for name in self.each:
            parameter, axes = getattr(self, name), self.arg_constraints[name].event_dim
            setattr(new, name, parameter.expand(shape + parameter.shape[parameter.ndim - axes :]))
        new._batch_shape = shape
        return new


class ProjectedNormalAngle(Expandable):
    """Angle of a bivariate Normal of unit covariance: circular, and can be reparametrised.

    The von Mises distribution has no reparametrised sampler; this one does, has no cut at pi,
    and becomes uniform at zero concentration.

    Args:
        concentration: `... x 2`, mean (cosine, sine) of the Normal; its length is the
            concentration, its direction the mean angle.
        middle: of the turn in which angles are told, radians.

    Example:
        >>> angle = ProjectedNormalAngle(torch.tensor([0.0, 5.0]))
        >>> float(angle.mean)  # a quarter turn
        1.57...
        >>> round(float(angle.stddev), 2)
        0.2
    """

    each = ("concentration",)
    arg_constraints: ClassVar = {"concentration": constraints.real_vector}
    has_rsample = True

    def __init__(
        self,
        concentration: Tensor,
        middle: float = 0.0,
        validate_args: bool | None = None,
    ) -> None:
        self.concentration, self.middle = concentration, middle
        super().__init__(concentration.shape[:-1], torch.Size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The turn."""
        return constraints.interval(self.middle - math.pi, self.middle + math.pi)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Angles of the turn, differentiable in the concentration."""
        mean = self.concentration.expand((*self._extended_shape(torch.Size(sample_shape)), 2))
        cosine, sine = (mean + torch.randn_like(mean)).unbind(-1)
        return self._told(torch.atan2(sine, cosine))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density per radian."""
        direction = torch.stack((value.cos(), value.sin()), dim=-1)
        return dist.ProjectedNormal(self.concentration, validate_args=False).log_prob(direction)

    @property
    def mean(self) -> Tensor:
        """Mean direction, radians."""
        return self._told(torch.atan2(self.concentration[..., 1], self.concentration[..., 0]))

    @property
    def stddev(self) -> Tensor:
        """Circular standard deviation sqrt(-2 log R), with R the mean resultant length."""
        quarter = self.concentration.square().sum(-1) / 4
        bessel = torch.special.i0e(quarter) + torch.special.i1e(quarter)
        resultant = (math.pi / 2 * quarter).sqrt() * bessel
        return (-2 * resultant.clamp(1e-12, 1 - 1e-7).log()).sqrt()

    @property
    def variance(self) -> Tensor:
        """Square of the circular standard deviation."""
        return self.stddev.square()

    def _told(self, angle: Tensor) -> Tensor:
        """Angles in (-pi, pi] as they are told."""
        return self.middle + wrap_angle(angle - self.middle) if self.middle else angle


class HomoscedasticNormal(dist.Normal):
    """Normals of one and the same width: the usual density, in half the passes over the values.

    Args:
        loc: means, any shape.
        width: standard deviation of all, a scalar.

    Example:
        >>> normal = HomoscedasticNormal(torch.zeros(2, 3), torch.tensor(2.0))
        >>> expected = dist.Normal(torch.zeros(2, 3), 2.0)
        >>> value = torch.ones(2, 3)
        >>> torch.allclose(normal.log_prob(value), expected.log_prob(value))
        True
    """

    def __init__(self, loc: Tensor, width: Tensor, validate_args: bool | None = None) -> None:
        self.width = width
        super().__init__(loc, width, validate_args=validate_args)

    def expand(
        self, batch_shape: Sequence[int], _instance: "HomoscedasticNormal | None" = None
    ) -> "HomoscedasticNormal":
        """The same distribution broadcast to a batch shape."""
        new = HomoscedasticNormal(self.loc.expand(batch_shape), self.width, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        if self._validate_args:
            self._validate_sample(value)
        log_width = self.width.log()
        # Standardized by a logarithm: squares of widths, and so much the more the gradient's fourth
        # powers, would leave single precision where data are heights in metres.
        deviation = (value - self.loc) * (-log_width).exp()
        constant = log_width + 0.5 * math.log(2 * math.pi)
        return torch.addcmul(-constant, deviation, deviation, value=-0.5)


class Rescaled(dist.TransformedDistribution):
    """What is `location + spread * value`, where the values have a distribution that is known.

    Args:
        base: distribution of the values.
        location: where zero goes, a scalar.
        spread: what one becomes, a positive scalar.

    Example:
        >>> rescaled = Rescaled(dist.StudentT(3.0), torch.tensor(2000.0), torch.tensor(50.0))
        >>> rescaled.mean, rescaled.variance
        (tensor(2000.), tensor(7500.))
    """

    def __init__(
        self,
        base: Distribution,
        location: Tensor,
        spread: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        self.location, self.spread = location, spread
        affine = dist.transforms.AffineTransform(location, spread)
        super().__init__(base, [affine], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: "Rescaled | None" = None) -> "Rescaled":
        """The same distribution broadcast to a batch shape."""
        base = self.base_dist.expand(torch.Size(batch_shape))
        return Rescaled(base, self.location, self.spread, self._validate_args)

    @property
    def mean(self) -> Tensor:
        """Mean."""
        return self.location + self.spread * self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        """Variance."""
        return self.spread.square() * self.base_dist.variance


def _onto_mixture(constraint: Any) -> Transform:
    """A mixture's support is its components', which torch doesn't say: NUTS needs it of priors."""
    return biject_to(constraint.base_constraint)


if hasattr(constraints, "MixtureSameFamilyConstraint"):  # as of torch 2.7
    biject_to.register(constraints.MixtureSameFamilyConstraint, _onto_mixture)
    transform_to.register(constraints.MixtureSameFamilyConstraint, _onto_mixture)


def map_tensors(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A copy of a distribution with `function` applied to every tensor that it holds.

    Distributions are no modules, so a model that moves to another device must move them itself.

    Example:
        >>> map_tensors(dist.Normal(torch.zeros(2), 1.0), torch.Tensor.double).loc.dtype
        torch.float64
    """
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(item, function) for item in value)
    if isinstance(value, Distribution | Transform):
        clone = copy.copy(value)
        for name, attribute in vars(value).items():
            # A transform keeps its inverse, which keeps the transform; it is made anew when needed.
            clone.__dict__[name] = None if name == "_inv" else map_tensors(attribute, function)
        return clone
    return value


# Distributions whose constructors want other names than their attributes', or not all of them.
_COMPOSED: dict[type[Distribution], dict[str, str]] = {
    dist.Independent: {
        "base_distribution": "base_dist",
        "reinterpreted_batch_ndims": "reinterpreted_batch_ndims",
    },
    dist.MixtureSameFamily: {
        "mixture_distribution": "mixture_distribution",
        "component_distribution": "component_distribution",
    },
    dist.MultivariateNormal: {"loc": "loc", "scale_tril": "scale_tril"},
    dist.Categorical: {"logits": "logits"},
}
_TRANSFORMED = {"base_distribution": "base_dist", "transforms": "transforms"}


def constructor_arguments(value: Distribution) -> dict[str, str]:
    """The constructor's arguments that build a distribution again, and the attributes with them.

    Args:
        value: a Pyro distribution.

    Raises:
        SpecificationError: if they aren't known.

    Example:
        >>> constructor_arguments(dist.Normal(0.0, 1.0))
        {'loc': 'loc', 'scale': 'scale'}
    """
    if type(value) is dist.TransformedDistribution:
        return _TRANSFORMED
    for cls, arguments in _COMPOSED.items():
        if isinstance(value, cls):
            return arguments
    accepted = inspect.signature(type(value)).parameters
    names = [name for name in value.arg_constraints if name in accepted]
    if {"probs", "logits"} <= set(names):
        names.remove("probs")
    if not names:
        raise SpecificationError(
            f"the prior {value} can't be built again from its arguments: subclass its site, and "
            "build the prior there, or give a module of your own, whose forward() builds it"
        )
    return {name: name for name in names}


def moments(distribution: Distribution) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, without gradients; not a number where torch knows none.

    Example:
        >>> moments(dist.Normal(1.0, 2.0))
        (tensor(1.), tensor(2.))
    """
    try:
        mean, stddev = torch.as_tensor(distribution.mean), torch.as_tensor(distribution.stddev)
    except NotImplementedError:
        unknown = torch.full(distribution.event_shape, math.nan)
        return unknown, unknown
    return mean.detach(), stddev.detach()


def divergence(posterior: Distribution, prior: Distribution, value: Tensor) -> Tensor:
    """KL divergence in closed form where there is one, else estimated at a sample.

    Args:
        posterior: the distribution that the sample is from.
        prior: the one from which it diverges.
        value: the sample.

    Example:
        >>> divergence(dist.Normal(1.0, 1.0), dist.Normal(0.0, 1.0), torch.tensor(0.3))
        tensor(0.5000)
    """
    try:
        return kl_divergence(posterior, prior)
    except NotImplementedError:
        return posterior.log_prob(value) - prior.log_prob(value)


def with_event_shape(prior: Any, event_shape: tuple[int, ...], name: str) -> Distribution:
    """A prior as one event of the given shape, where it is a scalar or one per element.

    Args:
        prior: a Pyro distribution with the event shape already, or of scalars that broadcast to it.
        event_shape: shape of one value of the site, `()` for angles, `(2,)` for offsets in images.
        name: the site's name, for the error.

    Raises:
        SpecificationError: if it can't be brought to that shape.

    Example:
        >>> with_event_shape(dist.Laplace(0.0, 0.3), (2,), "offset").event_shape
        torch.Size([2])
    """
    if not isinstance(prior, TorchDistributionMixin):
        raise SpecificationError(
            f"the prior of site {name!r} must be a Pyro distribution, got {prior!r}"
        )
    if tuple(prior.event_shape) == event_shape and not prior.batch_shape:
        return prior
    if not prior.event_shape:
        try:
            return prior.expand(event_shape).to_event(len(event_shape))
        except (RuntimeError, ValueError) as error:
            cause: Exception | None = error
    else:
        cause = None
    raise SpecificationError(
        f"the prior of site {name!r} has batch shape {tuple(prior.batch_shape)} and event shape "
        f"{tuple(prior.event_shape)}, but one value has shape {event_shape}: pass a scalar "
        f"distribution, one of that batch shape, or one of that event shape (`.to_event(1)`)"
    ) from cause

"""Normalizing flows, by the library zuko: invertible maps that are learned, and what they make."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Transform, constraints

from pyroshift.errors import SpecificationError
from pyroshift.extras import check_installed
from pyroshift.model.distributions import Expandable
from pyroshift.model.parts import seed_all

_START = 0.1  # by which the last layers' weights are scaled, so that a flow begins near nothing
_NODES = 512  # points of the noise by which moments are taken


class SplineFlow(nn.Module):
    """A learned map of vectors: autoregressive monotonic splines, one after the other.

    It begins near the identity, and is the identity far out: beyond 5 along each axis.

    Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", NeurIPS 2019.

    Args:
        size: elements of a vector.
        context: how many numbers the map depends on.
        transforms: number of autoregressive transforms, each in the other order than the last.
        bins: of each spline.
        hidden: units of each hidden layer of the networks that set the splines.
        seed: of the initial weights; the process's random state stays as it is.

    Raises:
        ImportError: if zuko isn't installed.
        SpecificationError: if a number makes no sense.

    Example:
        >>> flow = SplineFlow(2)
        >>> value = torch.tensor([[0.3, -0.7]])
        >>> noise, _ = flow(None).call_and_ladj(value)
        >>> torch.allclose(flow(None).inv(noise), value, atol=1e-5)
        True
    """

    def __init__(
        self,
        size: int,
        context: int = 0,
        transforms: int = 3,
        bins: int = 8,
        hidden: Sequence[int] = (32, 32),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(size, transforms, bins - 1, *hidden) < 1 or context < 0:
            raise SpecificationError(
                "a flow needs at least one latent, one transform, two bins and one unit in each "
                f"hidden layer; got {size}, {transforms}, {bins} and {tuple(hidden)}"
            )
        self.size, self.context = size, context
        with torch.random.fork_rng(devices=[]):
            seed_all(seed)
            self.map = _zuko_flows().NSF(
                size, context, bins=bins, transforms=transforms, hidden_features=tuple(hidden)
            ).transform  # fmt: skip
        for module in self.map.modules():
            last = [each for each in module.children() if isinstance(each, nn.Linear)][-1:]
            for layer in last:
                nn.init.zeros_(layer.bias)
                layer.weight.data.mul_(_START)

    def forward(self, context: Tensor | None) -> Transform:
        """The map as it is now.

        Args:
            context: `... x context`; None if it depends on nothing.
        """
        return self.map(context)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size}, context={self.context})"  # zuko's draws numbers


class FlowDistribution(Expandable):
    """A standard Normal carried through an invertible map, then shifted and scaled.

    Args:
        loc: `... x element`.
        scale: `... x element`.
        transform: from the noise to values before shift and scale; with `call_and_ladj`, as
            zuko's have.

    Example:
        >>> flow = SplineFlow(2)
        >>> distribution = FlowDistribution(torch.zeros(2), torch.ones(2), flow(None))
        >>> distribution.event_shape, distribution.rsample((5,)).shape
        (torch.Size([2]), torch.Size([5, 2]))
    """

    each = ("loc", "scale")
    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Tensor, scale: Tensor, transform: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.transform = loc, scale, transform
        self._drawn: tuple[Any, ...] = (None, None, None)
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values, differentiable in the map and in shift and scale."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        carried, ladj = self.transform.call_and_ladj(noise)
        value = self.loc + self.scale * carried
        self._drawn = value, noise, ladj  # so that its own draws needn't be carried back
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        if self._validate_args:
            self._validate_sample(value)
        drawn, noise, ladj = self._drawn
        if value is not drawn:
            carried = (value - self.loc) / self.scale
            noise, inverse = self.transform.inv.call_and_ladj(carried)
            ladj = -inverse
        normal = dist.Normal(torch.zeros_like(noise), 1.0, validate_args=False)
        return normal.log_prob(noise).sum(-1) - ladj - self.scale.log().sum(-1)

    @property
    def mean(self) -> Tensor:
        """The mean, by quasi-random points of the noise, `... x element`."""
        return self._carried().mean(0)

    @property
    def variance(self) -> Tensor:
        """The elements' variances, by quasi-random points of the noise, `... x element`."""
        return self._carried().var(0)

    def _carried(self) -> Tensor:
        """What becomes of the points, `point x ... x element`."""
        points = normal_points(self.loc.shape[-1]).to(self.loc)
        points = points.reshape(len(points), *(1,) * len(self.batch_shape), -1)
        points = points.expand(len(points), *self.loc.shape)
        return self.loc + self.scale * self.transform(points)


@lru_cache
def normal_points(size: int) -> Tensor:
    """Quasi-random points of a standard Normal, the same ones always, `point x size`.

    Example:
        >>> normal_points(2).shape
        torch.Size([512, 2])
    """
    uniform = torch.quasirandom.SobolEngine(size, scramble=True, seed=0).draw(_NODES // 2)
    points = torch.special.ndtri(uniform.double().clamp(1e-6, 1 - 1e-6))
    return torch.cat([points, -points])  # so that their mean is zero


def _zuko_flows() -> Any:
    """The module `zuko.flows`; without what its import does to all of torch's distributions."""
    check_installed("zuko", extra="flows", what="a normalizing flow")
    kept = {name: vars(Distribution)[name] for name in ("_validate_args", "arg_constraints")}
    from zuko import flows

    for name, value in kept.items():  # it turns their validation off
        setattr(Distribution, name, value)
    return flows

"""Independent Normals seen in another frame: the posterior of latents in theirs."""

import math
from collections.abc import Sequence
from typing import ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints, register_kl

from pyroshift.model.distributions import Expandable


class LinearNormal(Expandable):
    """A linear map of independent Normals: a multivariate Normal, without factorising anything.

    Args:
        loc: means, `... x element`.
        matrix: the map, `element x element`, of the deviations from the mean.
        scale: standard deviations of what is mapped, `... x element`.

    Example:
        >>> turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
        >>> normal = LinearNormal(torch.zeros(2), turn, torch.tensor([1.0, 2.0]))
        >>> expected = dist.MultivariateNormal(torch.zeros(2), normal.covariance_matrix)
        >>> value = torch.tensor([0.3, 0.4])
        >>> torch.allclose(normal.log_prob(value), expected.log_prob(value))
        True
    """

    each = ("loc", "scale")
    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "scale": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Tensor, matrix: Tensor, scale: Tensor, validate_args: bool | None = None
    ) -> None:
        self.loc, self.matrix, self.scale = loc, matrix, scale
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=validate_args)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values, differentiable in all parameters."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self.scale * noise) @ self.matrix.mT

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density."""
        if self._validate_args:
            self._validate_sample(value)
        independent = (value - self.loc) @ torch.linalg.inv(self.matrix).mT
        log_prob = dist.Normal(0.0, self.scale, validate_args=False).log_prob(independent).sum(-1)
        return log_prob - torch.linalg.slogdet(self.matrix)[1]

    def entropy(self) -> Tensor:
        """Differential entropy, nats."""
        independent = dist.Normal(0.0, self.scale, validate_args=False).entropy().sum(-1)
        return independent + torch.linalg.slogdet(self.matrix)[1]

    @property
    def covariance_matrix(self) -> Tensor:
        """`... x element x element`."""
        factor = self.matrix * self.scale.unsqueeze(-2)
        return factor @ factor.mT

    @property
    def mean(self) -> Tensor:
        """The means, `... x element`."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The elements' variances, `... x element`."""
        return self.scale.square() @ self.matrix.square().mT


@register_kl(LinearNormal, dist.Independent)
def _kl_of_linear_normal(posterior: LinearNormal, prior: dist.Independent) -> Tensor:
    """From independent Normals; any other prior has no closed form."""
    normal = prior.base_dist
    if not isinstance(normal, dist.Normal) or prior.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    squares = (posterior.variance + (posterior.loc - normal.loc).square()) / normal.variance
    cross_entropy = 0.5 * (squares + (2 * math.pi * normal.variance).log()).sum(-1)
    return cross_entropy - posterior.entropy()

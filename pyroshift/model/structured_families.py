"""Guide families whose elements depend on each other: for the posterior of latents z.

A posterior of independent Normals is blind to latents that can stand in for each other. These begin
as such Normals, in units of the prior, and learn what is between the elements.
"""

from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence, register_kl

from pyroshift.errors import SpecificationError
from pyroshift.model.families import GuideFamily, NormalFamily
from pyroshift.model.flows import FlowDistribution, SplineFlow


class FullNormal(dist.MultivariateNormal):
    """A multivariate Normal whose divergence from independent Normals is known.

    Args:
        loc: means, `... x element`.
        scale_tril: lower triangular factor of the covariance, `... x element x element`.

    Example:
        >>> normal = FullNormal(torch.zeros(2), scale_tril=torch.eye(2))
        >>> kl_divergence(normal, dist.Normal(torch.ones(2), 1.0).to_event(1))
        tensor(1.)
    """


@register_kl(FullNormal, dist.Independent)
def _kl_of_full_normal(posterior: FullNormal, prior: dist.Independent) -> Tensor:
    """From independent Normals; any other prior has no closed form."""
    normal = prior.base_dist
    if not isinstance(normal, dist.Normal) or prior.reinterpreted_batch_ndims != 1:
        raise NotImplementedError
    factor = torch.diag_embed(normal.scale)
    return kl_divergence(posterior, dist.MultivariateNormal(normal.loc, scale_tril=factor))


class FullNormalFamily(GuideFamily):
    """Normals with a full covariance, by its Cholesky factor, over the whole real line.

    Example:
        >>> family = FullNormalFamily()
        >>> prior = dist.Normal(torch.zeros(3), 1.0).to_event(1)
        >>> posterior = family.distribution(torch.zeros(1, family.size((3,))), prior)
        >>> bool((posterior.covariance_matrix == torch.eye(3)).all())
        True
    """

    def size(self, event_shape: tuple[int, ...]) -> int:
        """A location and a width per element, and a number per pair of them."""
        count = _elements(event_shape, self)
        return 2 * count + count * (count - 1) // 2

    def distribution(self, raw: Tensor, prior: Distribution) -> Distribution:
        """A multivariate Normal of the prior's event shape."""
        count = _elements(tuple(prior.event_shape), self)
        normal = NormalFamily().distribution(raw[..., : 2 * count], prior)
        rows, columns = torch.tril_indices(count, count, -1, device=raw.device)
        factor = torch.eye(count, dtype=raw.dtype, device=raw.device)
        factor = factor.expand(*raw.shape[:-1], count, count).clone()
        factor[..., rows, columns] = raw[..., 2 * count :]
        return FullNormal(normal.mean, scale_tril=normal.stddev.unsqueeze(-1) * factor)

    def summary(self, distribution: Distribution) -> tuple[Tensor, Tensor]:
        """Mean, and standard deviation of each element."""
        return distribution.mean, distribution.stddev


class FlowFamily(nn.Module, GuideFamily):
    """Independent Normals bent by a flow that depends on the patch: skewed, or of two parts.

    A map of `SplineFlow` carries a standard Normal, and is then shifted and scaled as in
    `NormalFamily`. The map depends on the patch by some further outputs of the network. Needs
    zuko: `pip install pyroshift[flows]`.

    Rezende and Mohamed, "Variational inference with normalizing flows", ICML 2015.

    Args:
        latent_dim: number of latents of the site.
        context: how many outputs of the network the map depends on.
        others: transforms, bins, hidden and seed are as of `SplineFlow`.

    Raises:
        ImportError: if zuko isn't installed.
        SpecificationError: if a number makes no sense, or the site has another number of latents.

    Example:
        >>> family = FlowFamily(2)
        >>> prior = dist.Normal(torch.zeros(2), 1.0).to_event(1)
        >>> posterior = family.distribution(torch.zeros(5, family.size((2,))), prior)
        >>> posterior.rsample().shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        latent_dim: int = 2,
        context: int = 8,
        transforms: int = 2,
        bins: int = 8,
        hidden: Sequence[int] = (32, 32),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if context < 1:
            raise SpecificationError(f"context must be at least 1, got {context}")
        self.latent_dim, self.context, self.transforms = latent_dim, context, transforms
        self.bins, self.hidden, self.seed = bins, hidden, seed
        self.flow = SplineFlow(latent_dim, context, transforms, bins, hidden, seed)

    def size(self, event_shape: tuple[int, ...]) -> int:
        """A location and a width per element, and what the map depends on."""
        if (count := _elements(event_shape, self)) != self.latent_dim:
            raise SpecificationError(
                f"the family is for {self.latent_dim} latents, but the site has {count}: "
                f"FlowFamily({count})"
            )
        return 2 * count + self.context

    def distribution(self, raw: Tensor, prior: Distribution) -> Distribution:
        """A flow of the prior's event shape."""
        normal = NormalFamily().distribution(raw[..., : -self.context], prior)
        return FlowDistribution(normal.mean, normal.stddev, self.flow(raw[..., -self.context :]))

    def summary(self, distribution: Distribution) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each element, by quasi-random points."""
        return distribution.mean, distribution.stddev

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.latent_dim}, context={self.context})"


def _elements(event_shape: tuple[int, ...], family: GuideFamily) -> int:
    """How many elements a vector has."""
    if len(event_shape) != 1:
        raise SpecificationError(
            f"{type(family).__name__} is for vectors, but one value of the site has shape "
            f"{event_shape}: leave the family out"
        )
    return event_shape[0]

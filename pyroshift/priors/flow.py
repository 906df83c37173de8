"""A normalizing flow, for latents of whatever shape their distribution has."""

from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.model.flows import FlowDistribution, SplineFlow


class Flow(nn.Module):
    """A normalizing flow of splines, which begins near a standard Normal and is learned.

    Where the aggregate posterior is no Normal (rings, bars, several islands) a flow can follow it,
    so that draws from the prior look like the data. Needs zuko: `pip install pyroshift[flows]`.

    Durkan, Bekasov, Murray and Papamakarios, "Neural spline flows", NeurIPS 2019.

    Args:
        latent_dim: number of latents.
        others: transforms, bins, hidden and seed are as of `SplineFlow`.

    Raises:
        ImportError: if zuko isn't installed.
        SpecificationError: if a number makes no sense.

    Example:
        >>> from pyroshift import VAE
        >>> model = VAE((16, 16), priors={"z": Flow(2)})
        >>> model.sites[0].prior.sample().shape
        torch.Size([2])
    """

    zeros: Tensor

    def __init__(
        self,
        latent_dim: int = 2,
        transforms: int = 3,
        bins: int = 8,
        hidden: Sequence[int] = (32, 32),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.latent_dim, self.transforms = latent_dim, transforms
        self.bins, self.hidden, self.seed = bins, hidden, seed
        # From values to noise: densities are asked for at every step, and draws seldom.
        self.flow = SplineFlow(latent_dim, 0, transforms, bins, hidden, seed)
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)

    def start(self) -> Distribution:
        """What it begins near: a standard Normal."""
        return dist.Normal(self.zeros, 1.0).to_event(1)

    def forward(self) -> Distribution:
        """The flow by the present weights."""
        transform = self.flow(None).inv
        return FlowDistribution(self.zeros, torch.ones_like(self.zeros), transform)

    def extra_repr(self) -> str:
        """The size of it."""
        return f"latent_dim={self.latent_dim}, transforms={self.transforms}, bins={self.bins}"

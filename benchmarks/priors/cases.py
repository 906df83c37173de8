"""The priors and guide families that are compared, and the motifs that they are compared on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyroshift import Content, FlowFamily, FullNormalFamily, priors, synthetic

Make = Callable[[int], Any]
"""Makes a prior, or a site, for so many latents; None for the default."""


class Paced(nn.Module):
    """Widths that are learned alone, at ten times the pace of the networks."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.free = nn.Parameter(torch.zeros(latent_dim))

    def forward(self) -> dist.TorchDistribution:
        """Normals of the present widths."""
        return dist.Normal(torch.zeros_like(self.free), (10 * self.free).exp()).to_event(1)


def width(latent_dim: int) -> dist.TorchDistribution:
    """A width that is learned for each latent, and nothing else."""
    return dist.Normal(torch.zeros(latent_dim), nn.Parameter(torch.ones(latent_dim))).to_event(1)


# Of five latents, three too many.
RELEVANCE: dict[str, Make] = {
    "Normal(0, 1)": lambda latent_dim: dist.Normal(0.0, 1.0),
    "learned widths": width,
    "learned widths, faster": Paced,
    "ARD": priors.ARD,
}

# Of two, as many as are needed.
BOUND: dict[str, Make] = {
    "default": lambda latent_dim: None,
    "Normal(0, 1)": lambda latent_dim: dist.Normal(0.0, 1.0),
    "Hierarchical": priors.Hierarchical,
    "Mixture(2)": lambda latent_dim: priors.Mixture(2, latent_dim),
    "Mixture(10)": lambda latent_dim: priors.Mixture(10, latent_dim),
    "Flow": priors.Flow,
    "VampPrior(20)": lambda latent_dim: priors.VampPrior(20, latent_dim),
    "Normal(0, 1), full covariance": lambda latent_dim: Content(
        latent_dim, family=FullNormalFamily()
    ),
    "Normal(0, 1), flow": lambda latent_dim: Content(latent_dim, family=FlowFamily(latent_dim)),
    "Flow, flow": lambda latent_dim: Content(
        latent_dim, priors.Flow(latent_dim), family=FlowFamily(latent_dim)
    ),
}


def two_factors(count: int, seed: int, offset: float) -> Tensor:
    """Motifs that turn a little, and whose dot is more or less bright: two factors beside pose."""
    found = synthetic.motifs(count, max_angle=0.3, max_offset=offset, seed=seed)
    return torch.from_numpy(found.patch.values)


def two_kinds(count: int, seed: int, offset: float) -> Tensor:
    """The same, but that dots are either dark or bright."""
    kinds = [
        synthetic.motifs(
            count // 2, content=content, max_angle=0.3, max_offset=offset, seed=2 * seed + number
        ).patch.values
        for number, content in enumerate([(0.1, 0.3), (0.7, 0.9)])
    ]
    return torch.from_numpy(np.concatenate(kinds))

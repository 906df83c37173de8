"""The pose drawn site by site from one Normal, and its modes told apart."""

import math
from collections.abc import Mapping

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.transforms import identity_transform

from pyroshift.errors import SpecificationError
from pyroshift.guides.bins import Binned
from pyroshift.guides.refinement import Laplace
from pyroshift.guides.vector import size_of, transform_of
from pyroshift.model.guide import Pair
from pyroshift.model.sites import PoseSite


def without_repeats(pair: Pair, modes: dict[str, Tensor]) -> Tensor:
    """Evidence of the modes, `batch x mode`; minus infinity for one that is another once more."""
    evidence = modes["evidence"]
    count = evidence.shape[1]
    same = torch.ones(len(evidence), count, count, dtype=torch.bool, device=evidence.device)
    for discrete in pair.discrete:
        kind = modes[discrete.name]
        same &= kind.unsqueeze(1) == kind.unsqueeze(2)
    for site in pair.pose_sites:
        if isinstance(site, Binned):
            value = modes[site.name].reshape(len(evidence), count, -1)
            difference = site.reduce(value.unsqueeze(1) - value.unsqueeze(2))
            same &= (difference.abs() < site.width).all(-1)
    better = evidence.unsqueeze(1) > evidence.unsqueeze(2)
    better |= (evidence.unsqueeze(1) == evidence.unsqueeze(2)).tril(-1)
    return evidence.masked_fill((same & better).any(2), -math.inf)


def draw_pose(
    pair: Pair, laplace: Laplace, kl_weight: float | Mapping[str, float]
) -> dict[str, Tensor]:
    """Draw the pose sites one after the other, each given those before it: their values by name."""
    values = {}
    factor = torch.linalg.cholesky(laplace.covariance.double()).to(laplace.mean)
    noise = factor.new_zeros(len(factor), 0)
    for site in pair.pose_sites:
        done = noise.shape[1]
        rows = slice(done, done + size_of(site))
        mean = laplace.mean[:, rows] + (factor[:, rows, :done] @ noise.unsqueeze(-1)).squeeze(-1)
        own = factor[:, rows, rows]
        with pair.latent_scale(kl_weight, site.name):
            value = pyro.sample(site.name, _conditional(site, mean, own))  # type: ignore[arg-type]
        values[site.name] = value
        drawn = transform_of(site).inv(value).reshape(mean.shape) - mean
        white = torch.linalg.solve_triangular(own, drawn.unsqueeze(-1), upper=False)
        noise = torch.cat((noise, white.squeeze(-1)), 1)
    return values


def _conditional(site: PoseSite, mean: Tensor, factor: Tensor) -> Distribution:
    """Normal over a site's elements of the pose's vector, carried to where its values are."""
    normal: Distribution = dist.MultivariateNormal(mean, scale_tril=factor)
    if not site.event_shape:
        normal = dist.Normal(mean.squeeze(-1), factor[:, 0, 0])
    transform = transform_of(site)
    if transform is identity_transform:  # the plain one has KL divergences in closed form
        return normal
    return dist.TransformedDistribution(normal, [transform])


def check_particles(value: Tensor, event_dim: int = 0) -> None:
    """Raise a SpecificationError if several particles are drawn at once.

    Args:
        value: of a site, `batch x event shape`.
        event_dim: number of the event's axes.
    """
    if value.dim() > 1 + event_dim:
        raise SpecificationError(
            "this guide draws one particle after the other: give the bound "
            "vectorize_particles=False, or Predictive parallel=False, which take as many"
        )

"""Latents as sure as the data let them be: what the encoder says is where a search for them begins.

What a network has learned of other patches is off by what it can't tell of this one, and how far it
doesn't know. A few steps of Fisher scoring, of latents and pose together, end at Laplace's
approximation of their posterior, as it is for a pose alone.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.guides.refinement import refine_with_latents
from pyroshift.guides.vector import Independent, unpack, widths_within
from pyroshift.model.batch import Batch
from pyroshift.model.distributions import moments
from pyroshift.model.families import NormalFamily
from pyroshift.model.guide import Pair
from pyroshift.model.shapes import Latents, Matrices, Vectors, Widths
from pyroshift.model.sites import CONTENT
from pyroshift.model.structured_families import FullNormal, FullNormalFamily

_STEPS = 2


@torch.no_grad()
def scored(
    pair: Pair,
    batch: Batch,
    posterior: Distribution,
    values: Mapping[str, Tensor],
    pose: Vectors,
    prior: Independent,
    reach: Widths | None = None,
    steps: int = _STEPS,
) -> tuple[Distribution, Vectors]:
    """The posterior of the latents whatever the pose is about a mode, and the mode.

    Where the latents' posterior is no Normal, or one of neighbours together, it stays as it is.

    Args:
        pair: the pair.
        batch: data, and by how much they count.
        posterior: what the encoder says of the latents.
        values: of all other sites but the pose's, and of covariates.
        pose: `batch x element`.
        prior: the pose's prior.
        reach: largest change of each of its elements by a step; by default two widths of the
            prior in a bin. Farther it may be another mode.
        steps: how many of them.
    """
    content = pair.contents[0]
    if content.tiled_by or not isinstance(content.family, NormalFamily | FullNormalFamily):
        return posterior, pose
    z, spread = content.family.summary(posterior)
    elements, reach = pose.shape[-1], 2 * widths_within(pair) if reach is None else reach
    for _ in range(steps):
        known = _about(content.prior_given({**values, **unpack(pair, pose)}), z)
        code = pair.code({**values, CONTENT: z})
        laplace = refine_with_latents(pair, batch, code, pose, prior, known, spread, reach)
        pose, z = laplace.mean.tensor_split([elements], -1)
        covariance = laplace.covariance[:, elements:, elements:]
        spread = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    return FullNormal(z, scale_tril=torch.linalg.cholesky(covariance)), pose


def _about(prior: Distribution, z: Latents) -> Independent:
    """Normals that have a prior's slope and curvature at given latents: itself, if it is Normal."""
    spread = moments(prior)[1].to(z)
    least = torch.where(torch.isfinite(spread) & (spread > 0), spread, 1.0).square().reciprocal()
    with torch.enable_grad():
        at = z.detach().requires_grad_()
        slope = torch.autograd.grad(prior.log_prob(at).sum(), at, create_graph=True)[0]
        bend = [
            torch.autograd.grad(each.sum(), at, retain_graph=True)[0][:, latent]
            for latent, each in enumerate(slope.unbind(-1))
        ]
    # Where it bends upwards, as between two modes, no Normal does: there the whole prior counts.
    certainty = torch.maximum(-torch.stack(bend, -1), least)
    return Independent(z + slope.detach() / certainty, certainty.rsqrt())


def axes(posterior: Distribution, spread: Vectors) -> Matrices:
    """Steps of one standard deviation along which latents are independent, `batch x step x latent`.

    Args:
        posterior: of the latents.
        spread: its standard deviations.
    """
    if isinstance(posterior, FullNormal):
        return posterior.scale_tril.mT
    return torch.diag_embed(spread)

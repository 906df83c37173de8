"""Candidates for a patch's kind and pose: each pursued to its best, and how sure it is then."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.guides import kinds
from pyroshift.guides.bins import PoseBins
from pyroshift.guides.drawing import without_repeats
from pyroshift.guides.refinement import Laplace, quadrature, refine, refine_with_latents
from pyroshift.guides.search import Found
from pyroshift.guides.vector import Independent, pack, unpack, unpack_widths
from pyroshift.model.batch import Batch
from pyroshift.model.brightness import posterior_given
from pyroshift.model.distributions import divergence
from pyroshift.model.guide import Pair
from pyroshift.model.shapes import Matrices, Vectors
from pyroshift.model.sites import CONTENT

Pursuit = Callable[[Tensor, Tensor], dict[str, Tensor]]
"""Tells what patches would be in a kind, `batch`, near a bin, `batch`; and `evidence` of it."""


def candidates(
    bins: PoseBins, found: Found, count: int, rivals: int
) -> list[tuple[Tensor, Tensor]]:
    """The most probable bins of each patch, no two of one kind neighbours; and its best kinds'.

    Args:
        bins: the bins.
        found: by the search.
        count: how many, at most.
        rivals: kinds of which the best bin is a candidate, however much better another kind is.

    Returns:
        Number of the kind, 0 where nothing tells kinds apart, and of the bin, `batch` each.
    """
    left, chosen = found.joint, list[tuple[Tensor, Tensor]]()
    kinds, size = left.shape[1:]
    rows = torch.arange(len(left), device=left.device)
    every = found.kind_logits
    for number in range(min(count, kinds * size)):
        if 0 < number < min(kinds, rivals):  # the best of another kind
            every = every.scatter(1, chosen[-1][0].unsqueeze(1), -math.inf)
            kind = every.argmax(1)
            pose = left[rows, kind].argmax(1)
        else:
            best = left.flatten(1).argmax(1)
            kind, pose = best // size, best % size
        chosen.append((kind, pose))
        near = torch.zeros_like(left, dtype=torch.bool)
        near[rows, kind] = bins.neighbours(pose)
        left = left.masked_fill(near, -math.inf)
    return chosen


class Explained(NamedTuple):
    """Patches as each kind or class explains them.

    Args:
        evidence: of each, `batch x kind` or `batch x class`.
        modes: what the sites are in the best kind, by name, `batch x event shape`.
    """

    evidence: Tensor
    modes: dict[str, Tensor]


@torch.no_grad()
def kinds_in_full(found: Found, pursued: Pursuit, rivals: int) -> Explained:
    """How kinds explain patches, with the kinds' weights: the best ones by their motifs in full.

    A kind whose motif fits between two bins would else lose to one that fits into none.

    Args:
        found: by the search.
        pursued: tells what patches would be in a kind near a bin.
        rivals: how many kinds of each patch are compared in full.
    """
    by_anchor = found.kind_logits
    best = by_anchor.topk(min(rivals, by_anchor.shape[1]), 1).indices
    modes = [pursued(kind, found.of(kind).argmax(1)) for kind in best.unbind(1)]
    searched = by_anchor.gather(1, best)
    gain = torch.stack([mode["evidence"] for mode in modes], 1) - searched
    gain = torch.where(torch.isfinite(gain), gain, 0.0)  # of kinds that labels rule out
    others = by_anchor + gain.min(1, keepdim=True).values
    rows, first = torch.arange(len(best), device=best.device), (searched + gain).argmax(1)
    each = {name: torch.stack([mode[name] for mode in modes], 1) for name in modes[0]}
    chosen = {name: values[rows, first] for name, values in each.items()}
    return Explained(others.scatter(1, best, searched + gain), chosen)


def pursue(
    pair: Pair,
    batch: Batch,
    anchor: Tensor,
    bounds: Independent,
    posterior_at: Callable[[Vectors], Distribution],
    drawn: Mapping[str, Tensor],
    prior: Independent,
) -> dict[str, Tensor]:
    """What a patch would be if its pose were near a bin, and how well this explains it.

    Args:
        pair: the pair.
        batch: data, and by how much they count.
        anchor: the code to begin with, `batch x code`.
        bounds: the pose's prior within the bin.
        posterior_at: the posterior of z of patches in a pose.
        drawn: values of what else there is: the kind, covariates, the bin, what patches share.
        prior: the pose's own prior.

    Returns:
        The sites' values and standard deviations by name, and `evidence`, `batch`, but for the
        prior of the kind and the bin.
    """
    content = pair.contents[0]
    at = bounds.mean
    for _ in range(2):
        at = refine(pair, batch, anchor, at, bounds).mean
    for _ in range(2):
        posterior = posterior_at(at)
        z, spread = content.family.summary(posterior)
        code = pair.code({**drawn, CONTENT: z})
        laplace = refine(pair, batch, code, at, prior, 2 * bounds.width)
        at = laplace.mean
    values = {**drawn, **unpack(pair, at), CONTENT: z}
    brightness = posterior_given(pair, batch, values)
    bright = {name: given.mean for name, given in brightness.items()}
    output = pair.output(values | bright)
    likelihood = batch.power * pair.likelihood.log_prob(batch.x, output).flatten(1).sum(1)
    volume = -torch.linalg.slogdet(laplace.precision)[1].to(likelihood) / 2
    evidence = likelihood + volume - divergence(posterior, content.prior_given(values), z)
    for name, given in brightness.items():
        known = next(site.prior for site in pair.sites if site.name == name)
        evidence = evidence - divergence(given, known, bright[name])
    spreads = {f"{name}_std": given.stddev for name, given in brightness.items()}
    own = {CONTENT: z, f"{CONTENT}_std": spread, "evidence": evidence}
    return own | unpack(pair, at) | bright | spreads


def ranked(
    pair: Pair, modes: Sequence[dict[str, Tensor]]
) -> tuple[dict[str, Tensor], Tensor, dict[str, Tensor]]:
    """Modes in the order in which they are told, and how probable they are.

    Args:
        pair: the pair.
        modes: what `pursue` tells of each candidate.

    Returns:
        What sites are in each mode by name, `batch x mode x event shape`; the modes' probability,
        `batch x mode`; and what is told of the probabilities of kinds, by name.
    """
    each = {name: torch.stack([mode[name] for mode in modes], 1) for name in modes[0]}
    evidence = without_repeats(pair, each)
    order, shares = evidence.argsort(1, descending=True), dict[str, Tensor]()
    if pair.discrete:
        probable = kinds.kind_shares(pair, each, evidence)
        order = kinds.best_first(pair, each, evidence, probable)
        shares = kinds.probabilities(pair, probable)
    rows = torch.arange(len(order), device=order.device).unsqueeze(1)
    told = {name: value[rows, order] for name, value in each.items() if name != "evidence"}
    return told, evidence[rows, order].softmax(1), shares


def pose_moments(
    pair: Pair,
    batch: Batch,
    found: Mapping[str, Tensor],
    steps: Matrices,
    prior: Independent,
) -> dict[str, Tensor]:
    """Mean and standard deviation of the pose sites about a mode, z not known exactly either.

    Var(pose) = E[Var(pose | z)] + Var(E[pose | z]): the first by quadrature along the axes of
    Laplace's Normal, as noise bends the likelihood; the second to first order in z, as a motif
    that may be wider may as well be further to one side.

    Args:
        pair: the pair.
        batch: data, and by how much they count.
        found: values of the sites at the mode, and of covariates.
        steps: of one standard deviation of the latents each, along which they are independent,
            `batch x step x latent`.
        prior: the pose's own prior.
    """
    code, pose = pair.code(found), pack(pair, found)
    latents = Independent(found[CONTENT], found[f"{CONTENT}_std"])
    together = refine_with_latents(
        pair, batch, code, pose, prior, latents, latents.width, limit=torch.zeros(())
    ).precision
    own, cross = together[:, : pose.shape[-1]].tensor_split([pose.shape[-1]], -1)
    mean, variance = quadrature(pair, batch, code, Laplace(pose, own), prior)
    moved = torch.linalg.solve(own, cross @ steps.mT.to(cross))  # by a step of the latents
    variance = variance + moved.square().sum(-1).to(variance)
    widths = unpack_widths(pair, mean, variance.sqrt())
    return unpack(pair, mean) | {f"{name}_std": width for name, width in widths.items()}

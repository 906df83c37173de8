"""The evidence lower bound, term by term and patch by patch."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor

from pyroshift.errors import SpecificationError
from pyroshift.model.distributions import divergence


@dataclass(frozen=True)
class EvidenceTerms:
    """The terms of the evidence lower bound, per patch and in nats.

    Args:
        log_likelihood: expected log likelihood of each patch, `batch`.
        kl: KL divergence of each latent site from its prior, unscaled, `batch` each. Of a global
            site, which all patches share, every patch has an equal part.
        weights: the scale under which each latent site was drawn, but for that of the plates.
        total: number of patches that there are, which a batch stands for.
    """

    log_likelihood: Tensor
    kl: dict[str, Tensor]
    weights: dict[str, float]
    total: float

    @property
    def elbo(self) -> Tensor:
        """The lower bound on each patch's log evidence, `batch`: no weights."""
        return self.log_likelihood - sum(self.kl.values(), torch.zeros_like(self.log_likelihood))

    @property
    def objective(self) -> Tensor:
        """What training minimises, `batch`: the KL terms under their weights."""
        weighted = [self.weights[name] * kl for name, kl in self.kl.items()]
        return sum(weighted, torch.zeros_like(self.log_likelihood)) - self.log_likelihood

    @property
    def loss(self) -> Tensor:
        """The objective of all patches that there are, as the batch has it; as Pyro counts."""
        return self.objective.sum() * (self.total / self.objective.numel())


class PatchELBO(TraceMeanField_ELBO):
    """A Pyro ELBO for pairs whose patches are independent and whose guide is reparametrised.

    It agrees with `pyro.infer.TraceMeanField_ELBO` (closed-form KL terms where there are any, else
    from the same samples), but also keeps the terms apart, in `terms`, and refuses a pair whose
    model and guide are scaled differently, which Pyro's own accept in silence. Latent sites are
    local or global by their plates: those outside the data's plates count once for all patches,
    of which there are as many as the plates' `size` says.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> model, x = ShiftVAE((16, 16)), torch.rand(4, 16, 16)
        >>> sorted(PatchELBO().terms(model.sample_model, model.sample_guide, x).kl)
        ['offset', 'pose', 'z']
    """

    def terms(self, model: Callable, guide: Callable, *args: Any, **kwargs: Any) -> EvidenceTerms:
        """The terms of the bound, from `num_particles` samples of the guide.

        Args:
            model: Pyro model.
            guide: Pyro guide.
            *args: arguments of both.
            **kwargs: keyword arguments of both.

        Raises:
            SpecificationError: if model and guide don't fit each other.
        """
        particles = [
            terms_given(poutine.trace(guide).get_trace(*args, **kwargs), model, *args, **kwargs)
            for _ in range(max(self.num_particles, 1))
        ]
        if len(particles) == 1:
            return particles[0]
        return EvidenceTerms(
            torch.stack([terms.log_likelihood for terms in particles]).mean(0),
            {
                name: torch.stack([terms.kl[name] for terms in particles]).mean(0)
                for name in particles[0].kl
            },
            particles[0].weights,
            particles[0].total,
        )

    def differentiable_loss(
        self, model: Callable, guide: Callable, *args: Any, **kwargs: Any
    ) -> Tensor:
        """The objective, summed over all patches that the plate's size says there are."""
        return self.terms(model, guide, *args, **kwargs).loss

    def loss(self, model: Callable, guide: Callable, *args: Any, **kwargs: Any) -> float:
        """The objective as a number."""
        with torch.no_grad():
            return self.differentiable_loss(model, guide, *args, **kwargs).item()

    def loss_and_grads(self, model: Callable, guide: Callable, *args: Any, **kwargs: Any) -> float:
        """The objective as a number, with gradients left in the parameters."""
        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        loss.backward()
        return loss.item()


def terms_given(
    guide_trace: poutine.Trace, model: Callable, *args: Any, **kwargs: Any
) -> EvidenceTerms:
    """The terms of the bound from one sample of the guide, which was drawn before.

    Args:
        guide_trace: of the guide.
        model: Pyro model.
        *args: arguments that the guide was called with.
        **kwargs: keyword arguments that the guide was called with.

    Raises:
        SpecificationError: if model and guide don't fit each other.
    """
    model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args, **kwargs)
    drawn, generated = sample_sites(guide_trace), sample_sites(model_trace)
    latent = {name: site for name, site in generated.items() if not site["is_observed"]}
    if set(drawn) != set(latent):
        raise SpecificationError(
            f"the guide draws {sorted(drawn)}, but the model's latent sites are {sorted(latent)}: "
            "both must have the same"
        )
    observed = [site for name, site in generated.items() if name not in latent]
    if not observed:
        raise SpecificationError("the model has no observed site: call it with data")
    plates = _plates(observed)
    parts = [
        scale_and_mask(site["fn"].log_prob(site["value"]), _weight(site), site["mask"])
        for site in observed
    ]
    total = max(
        part.numel() * _subsampling(site) for part, site in zip(parts, observed, strict=True)
    )
    log_likelihood = torch.zeros(())
    for part, site in zip(parts, observed, strict=True):
        log_likelihood = log_likelihood.to(part) + _per_patch(site, part, plates, total)
    kl: dict[str, Tensor] = {}
    weights: dict[str, float] = {}
    for name, site in latent.items():
        _check_pair(name, drawn[name], site)
        divergences = divergence(drawn[name]["fn"], site["fn"], site["value"])
        divergences = scale_and_mask(divergences, mask=site["mask"])
        kl[name] = _per_patch(site, divergences, plates, total).expand_as(log_likelihood)
        weights[name] = _weight(site)
    return EvidenceTerms(log_likelihood, kl, weights, total)


def _plates(observed: list[dict[str, Any]]) -> set[str]:
    """The names of the data's plates: those that all observed sites are in which are in any."""
    stacks = [{frame.name for frame in site["cond_indep_stack"]} for site in observed]
    return set.intersection(*(stack for stack in stacks if stack)) if any(stacks) else set()


def _subsampling(site: dict[str, Any]) -> float:
    """By how much a site's plates scale it, as they hold a part of what there is."""
    return math.prod(
        (frame.full_size or frame.size) / frame.size for frame in site["cond_indep_stack"]
    )


def _weight(site: dict[str, Any]) -> float:
    """The scale under which a site was drawn, but for that of its plates."""
    return float(site["scale"]) / _subsampling(site)


def _per_patch(
    site: dict[str, Any], terms: Tensor, plates: Collection[str], total: float
) -> Tensor:
    """A site's terms by patch; if it is outside the data's plates, each patch's equal part."""
    if set(plates) <= {frame.name for frame in site["cond_indep_stack"]}:
        return terms
    return terms.sum() * (_subsampling(site) / total)


def sample_sites(trace: poutine.Trace) -> dict[str, dict[str, Any]]:
    """The sample sites of a trace, without the plates'."""
    return {
        name: dict(site)
        for name, site in trace.nodes.items()
        if site["type"] == "sample" and not poutine.util.site_is_subsample(site)
    }


def _check_pair(name: str, drawn: dict[str, Any], site: dict[str, Any]) -> None:
    """Raise a SpecificationError unless the bound and its gradient can be had at a site."""
    if drawn["scale"] != site["scale"]:
        raise SpecificationError(
            f"site {name!r} is scaled by {site['scale']} in the model and by {drawn['scale']} in "
            "the guide: scale both by the same number, or the bound is silently wrong"
        )
    if not drawn["fn"].has_rsample and drawn["fn"].log_prob(drawn["value"]).requires_grad:
        raise SpecificationError(
            f"the guide's {type(drawn['fn']).__name__} at site {name!r} can't be reparametrised: "
            "train with elbo=pyro.infer.Trace_ELBO() or TraceGraph_ELBO()"
        )

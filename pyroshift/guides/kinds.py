"""Of which kind a motif is, given all else that is known of its window: exact, by trying each.

A kind is a value of every discrete site: a class, whether it is mirrored, or both.
"""

from collections.abc import Mapping

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyroshift.model.batch import Batch
from pyroshift.model.classes import FLIP
from pyroshift.model.guide import Pair


@torch.no_grad()
def kind_logits(pair: Pair, batch: Batch, values: Mapping[str, Tensor]) -> Tensor:
    """Log posterior of each kind, given the values of all other sites, `batch x kind`.

    Since it is exact, the bound doesn't change with it to first order, and needs no gradient of it.

    Args:
        pair: a pair with discrete sites.
        batch: data, and what else is known of them.
        values: of all other sites by name, and of covariates.
    """
    worth = []
    for kind in range(pair.kinds):
        every = torch.full((len(batch),), kind, device=batch.x.device)
        output = pair.decoded({**values, **pair.of_kind(every)})
        worth.append(pair.likelihood.log_prob(batch.x, output).flatten(1).sum(1))
    seen = batch.power * torch.stack(worth, 1)
    return (seen + kind_weights(pair, batch)).log_softmax(-1)


@torch.no_grad()
def kind_weights(pair: Pair, batch: Batch) -> Tensor:
    """Log probability of each kind before its window is seen, by priors and labels, `batch x kind`.

    Args:
        pair: a pair with discrete sites.
        batch: data, and what else is known of them.
    """
    weights = batch.x.new_zeros(len(batch), 1)
    for site in pair.discrete:
        own = site.log_weights.to(weights).expand(len(batch), -1)
        if (labels := batch.known.get(site.label)) is not None:
            own = own.masked_fill(site.ruled_out(labels.to(own.device)), -torch.inf)
        weights = (weights.unsqueeze(2) + own.unsqueeze(1)).flatten(1)
    return weights


def draw_kind(
    pair: Pair, logits: Tensor, kl_weight: float | Mapping[str, float]
) -> dict[str, Tensor]:
    """Draw the discrete sites one after the other, each given those before it: values by name.

    Args:
        pair: a pair with discrete sites.
        logits: log posterior of each kind, `batch x kind`.
        kl_weight: weight of the sites' KL terms.
    """
    values = {}
    for site in pair.discrete:
        left = logits.unflatten(1, (site.count, -1))
        own = left.logsumexp(2)
        with pair.latent_scale(kl_weight, site.name):
            values[site.name] = pyro.sample(site.name, dist.Categorical(logits=own))
        logits = left[torch.arange(len(left), device=left.device), values[site.name]]
    return values


def kind_shares(pair: Pair, modes: Mapping[str, Tensor], evidence: Tensor) -> Tensor:
    """Probability of each kind, by modes of the posterior, `batch x kind`.

    Args:
        pair: a pair with discrete sites.
        modes: values of the discrete sites, `batch x mode`.
        evidence: of the modes, `batch x mode`.
    """
    none = evidence.new_zeros(len(evidence), pair.kinds)
    return none.scatter_add(1, pair.kind_of(modes), evidence.softmax(1))


def most_probable(pair: Pair, shares: Tensor) -> Tensor:
    """The most probable value of the first discrete site, then of the next given it: a kind.

    Of a motif that is its own mirror image, both halves count for its class.

    Args:
        pair: a pair with discrete sites.
        shares: probability of each kind, `batch x kind`.

    Returns:
        Number of the kind, `batch`.
    """
    rows, kind = torch.arange(len(shares), device=shares.device), None
    for site in pair.discrete:
        left = shares.unflatten(1, (site.count, -1))
        value = left.sum(2).argmax(1)
        kind = value if kind is None else kind * site.count + value
        shares = left[rows, value]
    assert kind is not None
    return kind


def best_first(pair: Pair, modes: Mapping[str, Tensor], evidence: Tensor, shares: Tensor) -> Tensor:
    """Order of modes: those of the most probable kind first, by their evidence, `batch x mode`.

    Args:
        pair: a pair with discrete sites.
        modes: values of the discrete sites, `batch x mode`.
        evidence: of the modes, `batch x mode`.
        shares: probability of each kind, `batch x kind`.
    """
    kind = most_probable(pair, shares).unsqueeze(1)
    by_evidence = evidence.argsort(descending=True, stable=True, dim=1)
    others = (pair.kind_of(modes) != kind) | evidence.isinf()  # repeats are the last
    later = others.gather(1, by_evidence).long().argsort(stable=True, dim=1)
    return by_evidence.gather(1, later)


def probabilities(pair: Pair, shares: Tensor) -> dict[str, Tensor]:
    """What maps show of how sure kinds are: the probability of each class, of being mirrored.

    Args:
        pair: a pair with discrete sites.
        shares: probability of each kind, `batch x kind`.
    """
    joint = shares.unflatten(1, [site.count for site in pair.discrete])
    found = {}
    for axis, site in enumerate(pair.discrete, start=1):
        others = [other for other in range(1, joint.dim()) if other != axis]
        own = (joint.sum(others) if others else joint).clamp(max=1.0)  # but for rounding
        found[f"{site.name}_probability"] = own[:, 1] if site.name == FLIP else own
    return found

"""Of which class a motif is, given all else that is known of its window: exact, by trying each."""

from collections.abc import Mapping

import torch
from torch import Tensor

from pyroshift.model.batch import Batch
from pyroshift.model.guide import Pair
from pyroshift.model.sites import Site


@torch.no_grad()
def class_logits(pair: Pair, batch: Batch, values: Mapping[str, Tensor]) -> Tensor:
    """Log posterior of each class, given the values of all other sites, `batch x class`.

    Since it is exact, the bound doesn't change with it to first order, and needs no gradient of it.

    Args:
        pair: a pair with a class site.
        batch: data, and what else is known of them.
        values: of all other sites by name, and of covariates.
    """
    site = pair.class_site
    assert site is not None
    worth = []
    for kind in range(site.count):
        every = torch.full((len(batch),), kind, device=batch.x.device)
        output = pair.decoded({**values, site.name: every})
        worth.append(pair.likelihood.log_prob(batch.x, output).flatten(1).sum(1))
    logits = torch.stack(worth, 1) + site.log_weights.detach()
    return labelled(pair, batch, logits).log_softmax(-1)


def labelled(pair: Pair, batch: Batch, logits: Tensor) -> Tensor:
    """Logarithms of what classes are worth, minus infinity of those that labels rule out.

    Args:
        pair: a pair with a class site.
        batch: data, and what else is known of them.
        logits: `batch x class`, or with more axes.
    """
    site = pair.class_site
    assert site is not None
    worth = logits.flatten(2) if logits.dim() > 2 else logits.unsqueeze(-1)
    ruled_out = site.given_labels(torch.zeros_like(worth[..., 0]), batch.known.get(site.label))
    return (worth + ruled_out.unsqueeze(-1)).reshape(logits.shape)


def summary_of(site: Site, logits: Tensor) -> dict[str, Tensor]:
    """What maps show of the classes: the most probable, and the probability of each.

    Args:
        site: the class site.
        logits: normalised, `batch x class`.
    """
    return {site.name: logits.argmax(-1), f"{site.name}_probability": logits.exp()}

"""Whether chains agree, and of how many independent draws theirs are worth."""

import math

import torch
from pyro.ops.stats import effective_sample_size, split_gelman_rubin
from torch import Tensor

from pyroshift.model.classes import Discrete, one_hot
from pyroshift.model.sites import Site

_ROUNDS = 5  # in which the mean of values that go round is found


def centred(site: Site, draws: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of draws, and their deviations from it: of values that go round, the shorter way.

    Args:
        site: whose draws they are.
        draws: `chain x draw x patch x event shape`.

    Returns:
        `patch x event shape`, and as the draws.

    Example:
        >>> from pyroshift import Angle
        >>> mean, deviations = centred(Angle(), torch.tensor([[[3.1], [-3.1]]]))
        >>> mean.abs(), deviations.flatten()
        (tensor([3.1416]), tensor([-0.0416,  0.0416]))
    """
    mean = draws[0, 0]
    for _ in range(_ROUNDS):
        mean = mean + site.reduce(draws - mean).mean((0, 1))
    return site.reduce(mean), site.reduce(draws - mean)


def agreement(site: Site, draws: Tensor) -> tuple[Tensor, Tensor]:
    """R-hat and the effective number of draws, each `patch x event shape`.

    Of classes, those of the class that chains agree on least.

    Args:
        site: whose draws they are.
        draws: `chain x draw x patch x event shape`, at least 4 draws.
    """
    if isinstance(site, Discrete):
        each = one_hot(draws, site.count).double()
        return r_hat(each).amax(-1), bulk_ess(each).amin(-1)
    deviations = centred(site, draws)[1]
    return r_hat(deviations), bulk_ess(deviations)


def r_hat(draws: Tensor) -> Tensor:
    """Rank-normalized split R-hat, the larger of location's and spread's; 1 where none differ.

    Args:
        draws: `chain x draw x ...`, at least 4 draws.

    Source:
        Vehtari, Gelman, Simpson, Carpenter and Bürkner, "Rank-normalization, folding, and
        localization: an improved R-hat", Bayesian Analysis 16, 667 (2021).

    Example:
        >>> apart = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
        >>> apart[1] += 10
        >>> bool(r_hat(apart) > 1.5)
        True
    """
    folded = (draws - draws.flatten(0, 1).median(0).values).abs()
    both = [split_gelman_rubin(_normal_scores(each)) for each in (draws, folded)]
    return torch.stack(both).nan_to_num(1.0, math.inf).amax(0).masked_fill(_constant(draws), 1.0)


def bulk_ess(draws: Tensor) -> Tensor:
    """How many independent draws are worth as much, in the bulk; as many, where none differ.

    Args:
        draws: `chain x draw x ...`, at least 4 draws.

    Source:
        As of `r_hat`.

    Example:
        >>> independent = torch.randn(4, 500, generator=torch.Generator().manual_seed(0))
        >>> 1500 < float(bulk_ess(independent)) < 2500
        True
    """
    half = draws.shape[1] // 2
    halves = torch.cat([draws[:, :half], draws[:, -half:]])
    scores = _normal_scores(halves)
    # One after the other, as it takes memory by the square of the draws.
    columns = scores.reshape(*scores.shape[:2], -1).unbind(2)
    each = [effective_sample_size(column) for column in columns]
    worth = torch.stack(each).reshape(draws.shape[2:])
    return worth.masked_fill(_constant(halves), draws.shape[0] * draws.shape[1])


def _constant(draws: Tensor) -> Tensor:
    """Which numbers are the same in all draws."""
    return (draws == draws[0, 0]).flatten(0, 1).all(0)


def _normal_scores(draws: Tensor) -> Tensor:
    """Quantiles of a standard Normal, by the draws' ranks among those of all chains.

    Ties have their mean rank.
    """
    flat = draws.flatten(0, 1)
    columns = flat.reshape(len(flat), -1).T.contiguous()
    ordered = columns.sort(-1).values
    below, upto = (torch.searchsorted(ordered, columns, right=right) for right in (False, True))
    ranks = (below + upto + 1) / 2
    scores = torch.special.ndtri((ranks.double() - 0.375) / (len(flat) + 0.25))
    return scores.T.reshape(draws.shape)

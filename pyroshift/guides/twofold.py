"""Two means for values that have one: found in some of them, and weighed by others."""

from typing import NamedTuple

import torch
from torch import Tensor

_ROUNDS = 20
_AXES = 3  # principal ones, across which a first division is tried
_RAREST = 0.01  # share that a part has at least


class Halves(NamedTuple):
    """Two parts of some values, which need not be as large.

    Args:
        means: of both, `2 x value shape`.
        shares: of the values that are in each, `2`.
        part: in which each value is, 0 or 1, `value`.
    """

    means: Tensor
    shares: Tensor
    part: Tensor

    def swapped(self) -> "Halves":
        """The same, the second part first."""
        return Halves(self.means.flip(0), self.shares.flip(0), 1 - self.part)


def halved(values: Tensor) -> Halves:
    """Values in two parts, each nearer to its own mean: Lloyd's k-means of two.

    It begins with the values on either side of their mean, along each of a few principal axes, and
    the parts that leave least unexplained are told.

    Args:
        values: at least two, `value x shape`.

    Source:
        Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28
        (1982).

    Example:
        >>> halves = halved(torch.tensor([[0.0], [0.5], [5.0], [5.5], [6.0]]))
        >>> halves.means.sort(0).values.flatten()
        tensor([0.2500, 5.5000])
    """
    flat = values.flatten(1)
    centred = flat - flat.mean(0)
    axes = torch.linalg.eigh(centred @ centred.mT).eigenvectors[:, -_AXES:]
    means, part, _ = min(
        (_settled(centred, (along > 0).long()) for along in axes.unbind(1)),
        key=lambda found: float(found[2]),
    )
    share = (part == 0).to(flat).mean().clamp(_RAREST, 1 - _RAREST)
    means = (means + flat.mean(0)).reshape(2, *values.shape[1:])
    return Halves(means, torch.stack([share, 1 - share]), part)


def gain_of_two(values: Tensor, halves: Halves) -> float:
    """What two means bring over one, in nats, for values which they were not found in.

    In Normal noise as wide as what two leave unexplained; the part of each value costs as much as
    there is to be told by it.

    Args:
        values: `value x shape`.
        halves: the two means and their shares.

    Example:
        >>> values = torch.tensor([[0.0], [0.5], [5.0], [5.5], [6.0], [6.5]])
        >>> gain_of_two(values[1::2], halved(values[::2])) > 0
        True
    """
    flat, means = values.flatten(1), halves.means.flatten(1)
    whole = (flat - halves.shares @ means).square().sum(1)
    parts = torch.cdist(flat, means).square()
    variance = parts.amin(1).sum() / flat.numel()
    two = (halves.shares.log() - parts / (2 * variance)).logsumexp(1)
    return float((two + whole / (2 * variance)).sum())


def _settled(values: Tensor, part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Two means by way of a first division, the part of each value, and what is left of them."""
    for _ in range(_ROUNDS):
        count = part.bincount(minlength=2).clamp(min=1).unsqueeze(1)
        means = values.new_zeros(2, values.shape[1]).index_add_(0, part, values) / count
        distances = torch.cdist(values, means).square()
        before, part = part, distances.argmin(1)
        if bool((part == before).all()):
            break
    return means, part, distances.amin(1).sum()

"""Discrete sites: which of several kinds of motif a window shows, and whether it is mirrored."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional

from pyroshift.errors import SpecificationError
from pyroshift.model.families import GuideFamily
from pyroshift.model.pace import PACE
from pyroshift.model.site import Prior, Site

CLASS, FLIP = "class", "flip"


class CategoricalFamily(GuideFamily):
    """A probability for each class.

    Args:
        count: number of classes.

    Example:
        >>> family = CategoricalFamily(3)
        >>> family.distribution(torch.zeros(1, 3), dist.Categorical(torch.ones(3))).probs
        tensor([[0.3333, 0.3333, 0.3333]])
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def size(self, event_shape: tuple[int, ...]) -> int:
        """A number for each class."""
        return self.count

    def distribution(self, raw: Tensor, prior: Distribution) -> Distribution:
        """The prior's probabilities, weighed by the exponentials of the raw numbers."""
        logits: Tensor = prior.logits  # type: ignore[attr-defined]
        return dist.Categorical(logits=raw + logits.to(raw))

    def summary(self, distribution: Distribution) -> tuple[Tensor, Tensor]:
        """The most probable class, and the probability that it is another."""
        best = distribution.probs.max(-1)  # type: ignore[attr-defined]
        return best.indices, 1 - best.values

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.count})"


class ClassWeights(nn.Module):
    """A prior over classes whose weights learn, from equal ones.

    Args:
        count: number of classes.

    Example:
        >>> ClassWeights(4)().probs.detach()
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.free = nn.Parameter(torch.zeros(count))

    def forward(self) -> Distribution:
        """The distribution by the present weights."""
        return dist.Categorical(logits=PACE * self.free)

    @torch.no_grad()
    def split(self, source: int, into: int, shares: Tensor) -> None:
        """Give a class's weight to two: itself, and one whose own weight the others then have.

        Args:
            source: number of the class.
            into: number of the other one.
            shares: of the weight, for both, `2`.
        """
        self.free[[source, into]] = self.free[source] + shares.log() / PACE


class Discrete(Site):
    """A site with a few values, numbered from 0: all together say of which kind a motif is.

    Guides find the kinds' probabilities from what each would make of the window, so that none of
    their weights need to learn them.

    Args:
        name: name of the site.
        count: number of values.
        prior: a Pyro `Categorical` over them.
        label: name under which patches have known values, whole numbers from 0.

    Raises:
        SpecificationError: if the prior isn't over so many values.
    """

    def __init__(self, name: str, count: int, prior: Prior, label: str) -> None:
        super().__init__(name, prior, (), CategoricalFamily(count))
        self.count, self.label = count, label
        logits = getattr(self.prior, "logits", None)
        if logits is None or logits.shape != (count,):
            raise SpecificationError(
                f"the prior of {name!r} must be a Categorical over {count} values, got {self.prior}"
            )

    @property
    def log_weights(self) -> Tensor:
        """Logarithms of the values' prior probabilities, `value`."""
        return self.prior.logits  # type: ignore[attr-defined]

    def ruled_out(self, labels: Tensor) -> Tensor:
        """Which values windows are known not to have, `batch x value`.

        Args:
            labels: known values, `batch`, not a number where unknown.

        Raises:
            SpecificationError: if a label is none of the values.
        """
        told = labels[~torch.isnan(labels)]
        numbers = torch.arange(self.count, device=labels.device)
        if not bool(torch.isin(told, numbers).all()):
            raise SpecificationError(
                f"labels of {self.name!r} must be whole numbers from 0 to {self.count - 1}, the "
                f"values that there are, but they span {float(told.min()):g} to "
                f"{float(told.max()):g}"
            )
        return (labels.unsqueeze(1) != numbers) & ~torch.isnan(labels).unsqueeze(1)


class Class(Discrete):
    """Which of several kinds of motif a window shows; the decoder is told it beside z.

    The weights of the classes are learned, unless a prior is given. Where some windows' classes are
    known, `Patches.assign` tells them by the name of `label`, and the others are inferred.

    Args:
        name: name of the site: "class", as a model has but one.
        count: number of classes.
        prior: a Pyro `Categorical` over them; by default one whose weights learn, from equal ones.
        label: name under which patches have known classes, whole numbers from 0.

    Raises:
        SpecificationError: if there are fewer than two classes, or the prior isn't over them.

    Example:
        >>> Class("class", 10).prior.probs.shape
        torch.Size([10])
    """

    def __init__(
        self, name: str = CLASS, count: int = 2, prior: Prior | None = None, label: str = "label"
    ) -> None:
        if name != CLASS:
            raise SpecificationError(f"a class site is named {CLASS!r}, got {name!r}")
        if not (isinstance(count, int) and count >= 2):
            raise SpecificationError(f"there must be at least two classes, got {count!r}")
        super().__init__(name, count, ClassWeights(count) if prior is None else prior, label)


class Flip(Discrete):
    """Whether the motif is seen mirrored: of surfaces and particles that lie either way up.

    A mirrored motif has its x, or the one axis of signals, reversed about its own origin, and is
    then turned and shifted. Which of the two is called mirrored is a convention.

    Args:
        prior: a Pyro `Categorical` over the motif as it is and mirrored; by default both are as
            probable.
        label: name under which patches are known to be mirrored, 1, or not, 0.

    Raises:
        SpecificationError: if the prior isn't over two values.

    Example:
        >>> Flip(dist.Categorical(torch.tensor([0.75, 0.25]))).log_weights.exp()
        tensor([0.7500, 0.2500])
    """

    def __init__(self, prior: Prior | None = None, label: str = FLIP) -> None:
        even = dist.Categorical(logits=torch.zeros(2))
        super().__init__(FLIP, 2, even if prior is None else prior, label)


def one_hot(kind: Tensor, count: int) -> Tensor:
    """Classes as one of many numbers that is 1, where the others are 0: `... x class`."""
    return functional.one_hot(kind.long(), count)

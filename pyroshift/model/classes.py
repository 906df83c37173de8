"""The class site: which of several kinds of motif a window shows."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional

from pyroshift.errors import SpecificationError
from pyroshift.model.families import GuideFamily
from pyroshift.model.site import Prior, Site

CLASS = "class"


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

    # An optimiser moves every parameter by about the learning rate per step, and weights may have
    # orders of magnitude to go.
    quickness = 10.0

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.free = nn.Parameter(torch.zeros(count))

    def forward(self) -> Distribution:
        """The distribution by the present weights."""
        return dist.Categorical(logits=self.quickness * self.free)


class Class(Site):
    """Which of several kinds of motif a window shows; the decoder is told it beside z.

    The weights of the classes are learned, unless a prior is given. Guides find a class's
    probability from what it would make of the window, so that none of their weights need to learn
    it. Where some windows' classes are known, `Patches.assign` tells them by the name of `label`,
    and the others are inferred.

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
        prior = ClassWeights(count) if prior is None else prior
        super().__init__(name, prior, (), CategoricalFamily(count))
        self.count, self.label = count, label
        logits = getattr(self.prior, "logits", None)
        if logits is None or logits.shape != (count,):
            raise SpecificationError(
                f"the prior of {count} classes must be a Categorical over them, got {self.prior}"
            )

    @property
    def log_weights(self) -> Tensor:
        """Logarithms of the classes' prior probabilities, `class`."""
        return self.prior.logits  # type: ignore[attr-defined]

    def given_labels(self, logits: Tensor, labels: Tensor | None) -> Tensor:
        """Logarithms of probabilities, minus infinity of classes that a window is known not to be.

        Args:
            logits: `batch x class`.
            labels: known classes, `batch`, not a number where unknown; None if none is known.

        Raises:
            SpecificationError: if a label is none of the classes.
        """
        if labels is None:
            return logits
        labels = labels.to(logits.device)
        told = labels[~torch.isnan(labels)]
        numbers = torch.arange(self.count, device=logits.device)
        if not bool(torch.isin(told, numbers).all()):
            raise SpecificationError(
                f"labels must be whole numbers from 0 to {self.count - 1}, the classes that there "
                f"are, but they span {float(told.min()):g} to {float(told.max()):g}"
            )
        another = (labels.unsqueeze(1) != numbers) & ~torch.isnan(labels).unsqueeze(1)
        return logits.masked_fill(another, -torch.inf)


def one_hot(kind: Tensor, count: int) -> Tensor:
    """Classes as one of many numbers that is 1, where the others are 0: `... x class`."""
    return functional.one_hot(kind.long(), count)

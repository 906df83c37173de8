"""A batch: some windows, and all that is known of them beside their pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Some windows, as models and guides take them; a tensor of windows alone is one as well.

    Args:
        x: data, `batch x height x width`, `batch x length`, or either with a channel axis after
            the batch's; not a number where a pixel wasn't taken.
        known: what else is known of each window, by name, `batch`: labels and covariates; not a
            number where it isn't.
        power: by which each window's likelihood is raised: 1, or less where windows overlap and
            each pixel counts once. Guides multiply log likelihoods, scores and information by it.

    Example:
        >>> import torch
        >>> batch = Batch(torch.rand(3, 8, 8), {"dose": torch.tensor([1.0, 2.0, 3.0])})
        >>> len(batch), batch.known["dose"]
        (3, tensor([1., 2., 3.]))
    """

    x: Tensor
    known: Mapping[str, Tensor] = field(default_factory=dict)
    power: float = 1.0

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        known = {name: value.to(device) for name, value in self.known.items()}
        return replace(self, x=self.x.to(device), known=known)


def as_batch(x: Tensor | Batch) -> Batch:
    """Windows as a batch, of which nothing else is known unless it is one already."""
    return x if isinstance(x, Batch) else Batch(x)


def gathered(patches: Any, index: Tensor) -> Tensor | Batch:
    """Some patches: their windows alone, or a batch where more is to be told than the pixels.

    Args:
        patches: `Patches`, or anything else that gathers batches.
        index: which of them, integers.
    """
    x, known, power = patches.gather(index), known_of(patches, index), power_of(patches)
    return Batch(x, known, power) if known or power != 1 else x


def power_of(patches: Any) -> float:
    """By which the likelihood of each of some patches is raised, as these say: 1 by default.

    Args:
        patches: `Patches`, or anything else that gathers batches.
    """
    power = getattr(patches, "power", None)
    return 1.0 if power is None else power


def known_of(patches: Any, index: Tensor) -> dict[str, Tensor]:
    """What else is known of some patches, by name.

    Args:
        patches: `Patches`, or anything else that gathers batches.
        index: which of them, integers.
    """
    known = getattr(patches, "known", {})
    return {name: value[index.to(value.device)] for name, value in known.items()}


def has_gaps(x: Tensor) -> bool:
    """Whether pixels are missing.

    Example:
        >>> import torch
        >>> has_gaps(torch.ones(2, 3)), has_gaps(torch.tensor([1.0, torch.nan]))
        (False, True)
    """
    return bool(x.sum().isnan())  # a quarter of the time of asking every pixel


def planes(values: Tensor, axes: int) -> Tensor:
    """Values with what there is of each pixel before the pixels' axes, `n x plane x pixels`.

    Args:
        values: one for each pixel, or several along a last axis.
        axes: of a window.

    Example:
        >>> import torch
        >>> planes(torch.ones(5, 8, 9), 2).shape, planes(torch.ones(5, 8, 9, 2), 2).shape
        (torch.Size([5, 1, 8, 9]), torch.Size([5, 2, 8, 9]))
    """
    return values.unsqueeze(1) if values.dim() == axes + 1 else values.movedim(-1, 1)

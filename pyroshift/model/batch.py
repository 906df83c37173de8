"""A batch: some windows, and all that is known of them beside their pixels."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
        index: which of all patches they are, `batch`, if that is known.

    Example:
        >>> batch = Batch(torch.rand(3, 8, 8), {"dose": torch.tensor([1.0, 2.0, 3.0])})
        >>> len(batch), batch[1:].known["dose"]
        (3, tensor([2., 3.]))
    """

    x: Tensor
    known: Mapping[str, Tensor] = field(default_factory=dict)
    index: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | Tensor) -> "Batch":
        """Some of the batch."""
        known = {name: value[rows] for name, value in self.known.items()}
        return Batch(self.x[rows], known, None if self.index is None else self.index[rows])

    @property
    def mask(self) -> Tensor:
        """Which pixels were taken, of the data's shape."""
        return ~torch.isnan(self.x)


def as_batch(x: Tensor | Batch) -> Batch:
    """Windows as a batch, of which nothing else is known unless it is one already."""
    return x if isinstance(x, Batch) else Batch(x)


def gathered(patches: Any, index: Tensor) -> Tensor | Batch:
    """Some patches: their windows alone, or a batch where more is known than the pixels.

    Args:
        patches: `Patches`, or anything else that gathers batches.
        index: which of them, integers.
    """
    x, known = patches.gather(index), known_of(patches, index)
    return Batch(x, known, index) if known else x


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
        >>> has_gaps(torch.ones(2, 3)), has_gaps(torch.tensor([1.0, torch.nan]))
        (False, True)
    """
    return bool(x.sum().isnan())  # a quarter of the time of asking every pixel

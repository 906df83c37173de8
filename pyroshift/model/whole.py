"""The whole of a batch of which each of several processes has a share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

_GATHER: list[Callable[[Tensor], Tensor]] = []  # how to, while there are several processes


def whole_batch(values: Tensor) -> Tensor:
    """Values of all windows of a batch, without gradients, of those that this process has.

    What a model learns of a batch as a whole, other than by gradients, it learns of these.

    Args:
        values: `batch x ...`.

    Example:
        >>> import torch
        >>> whole_batch(torch.arange(3))
        tensor([0, 1, 2])
    """
    return _GATHER[-1](values.detach()) if _GATHER else values


@contextmanager
def gathering(gather: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Have `whole_batch` ask all processes.

    Args:
        gather: what gives values of the whole batch of those that each process has.
    """
    _GATHER.append(gather)
    try:
        yield
    finally:
        _GATHER.pop()

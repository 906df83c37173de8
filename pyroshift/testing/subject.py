"""A model to be checked: how to make it, and data for it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pyroshift.model.channels import ByChannel
from pyroshift.model.likelihood import Likelihood
from pyroshift.model.pair import PoseVAE
from pyroshift.model.pose import pixel_grid
from pyroshift.training.elbo import PatchELBO


@dataclass(frozen=True)
class Subject:
    """A model in as many copies as checks need.

    Args:
        make: makes one, called with `seed=`; such as `functools.partial(ShiftVAE, 12)`.
        classes: classes of your own that the model is made of, as `load` wants them.
        data: draws as many windows as it is told to; by default bright spots, in grey
            levels from 0 to 1 or in counts.

    Example:
        >>> from functools import partial
        >>> from pyroshift import ShiftVAE
        >>> Subject(partial(ShiftVAE, 12)).windows(3).shape
        torch.Size([3, 12, 12])
    """

    make: Callable[..., PoseVAE]
    classes: tuple[type, ...] = ()
    data: Callable[[int], Tensor] | None = None

    def windows(self, count: int = 4) -> Tensor:
        """Data, `count x height x width` or `count x length`, channels before the window's axes."""
        if self.data is not None:
            return self.data(count)
        model = self.make(seed=0)
        grey = _spots(count, model.window)
        if not isinstance(model.likelihood, ByChannel):
            return _as_possible(model.likelihood, grey)
        each = [_as_possible(part, grey) for part in model.likelihood.likelihoods]
        return torch.stack(each, 1)

    def prepared(self, x: Tensor, seed: int = 0) -> PoseVAE:
        """An untrained model that knows the data's range, location and spread."""
        model = self.make(seed=seed)
        prepare(model.likelihood, x)
        return model


def prepare(likelihood: Likelihood, x: Tensor) -> None:
    """Tell a likelihood the data's range, location and spread, by channel if there are any."""
    if isinstance(likelihood, ByChannel):
        each = [_statistics(channel) for channel in x.unbind(-likelihood.window_ndim - 1)]
        likelihood.prepare(*zip(*each, strict=True))
    else:
        likelihood.prepare(*_statistics(x))


def _statistics(x: Tensor) -> tuple[float, float, float, float]:
    """Minimum, maximum, mean and standard deviation of what there is of some data."""
    known = x[~torch.isnan(x)]
    return float(known.min()), float(known.max()), float(known.mean()), float(known.std())


def _as_possible(likelihood: Likelihood, grey: Tensor) -> Tensor:
    """Grey levels, or counts where a likelihood is of these."""
    return (9 * grey).round() if _counts(likelihood) else grey


def likely_data(likelihood: Likelihood, shape: tuple[int, ...]) -> Tensor:
    """Grey levels from 0 to 1 at random, or where the likelihood is of counts, counts to 9.

    Where it sees data as several numbers, as phases, what an untrained model makes of no data.
    """
    if likelihood.statistics is not None:
        return likelihood.distribution(torch.zeros(output_shape(likelihood, shape))).sample()
    grey = torch.rand(shape)
    return (9 * grey).round() if _counts(likelihood) else grey


def output_shape(likelihood: Likelihood, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a decoder's output for data of a shape."""
    return shape if likelihood.maps is None else (*shape, likelihood.maps)


def _counts(likelihood: Likelihood) -> bool:
    """Whether a likelihood is of counts: discrete, and of more than 0 and 1."""
    try:
        likelihood.check(0.0, 9.0)
        support = likelihood.distribution(torch.zeros(output_shape(likelihood, (1,)))).support
    except Exception:  # a broken one is told by the checks themselves
        return False
    return support is not None and support.is_discrete


def _spots(count: int, window: tuple[int, ...]) -> Tensor:
    """Bright spots near the windows' centres, which any training picks up."""
    axes = len(window)
    place = 0.3 * torch.randn(count, *(1,) * axes, axes)
    width = torch.tensor([0.35, 0.2])[-axes:]
    distance = ((pixel_grid(window) - place) / width).square().sum(-1)
    return 0.1 + 0.8 * torch.exp(-distance / 2)


def loss_of(model: PoseVAE, x: Tensor) -> Tensor:
    """The objective of one batch, differentiable."""
    return PatchELBO().differentiable_loss(model.sample_model, model.sample_guide, x)


def step(model: PoseVAE, x: Tensor) -> None:
    """One step of training."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    loss_of(model, x).backward()
    optimizer.step()
    optimizer.zero_grad()

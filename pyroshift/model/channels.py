"""A likelihood for each channel of windows that have several: heights, currents, phases."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints

from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.likelihood import Likelihood

Given = str | Likelihood
"""A likelihood, or its name."""


class ByChannel(Likelihood):
    """Channels independent given the latents, each of a likelihood of its own.

    Data have their channels before the window's axes, and decoders' outputs the maps of all
    channels along the last axis, one after the other.

    Args:
        channels: their names.
        likelihoods: one for each.
        window_ndim: number of axes of a window, 2 for images and 1 for signals.

    Raises:
        SpecificationError: if there are no channels, or two of a name, or not as many likelihoods.

    Example:
        >>> from pyroshift import Gaussian, Poisson
        >>> both = ByChannel(["height", "counts"], [Gaussian(), Poisson()], window_ndim=2)
        >>> both.mean(torch.zeros(5, 8, 8, 2)).shape
        torch.Size([5, 2, 8, 8])
    """

    maps: int
    statistics: int

    def __init__(
        self, channels: Sequence[str], likelihoods: Sequence[Likelihood], window_ndim: int
    ) -> None:
        super().__init__()
        if not channels or len(set(channels)) != len(channels):
            raise SpecificationError(f"every channel needs its own name, got {list(channels)}")
        if len(channels) != len(likelihoods):
            raise SpecificationError(
                f"{len(likelihoods)} likelihoods for the {len(channels)} channels {list(channels)}"
            )
        self.channels, self.window_ndim = list(channels), window_ndim
        self.parts = nn.ModuleList(likelihoods)
        self.maps = sum(part.maps or 1 for part in likelihoods)
        self.statistics = sum(part.statistics or 1 for part in likelihoods)

    @property
    def likelihoods(self) -> list[Likelihood]:
        """One for each channel."""
        return list(self.parts)  # type: ignore[arg-type]

    def distribution(self, output: Tensor) -> Distribution:
        """Distribution of each pixel of each channel, `... x channel x height x width`."""
        parts = [
            part.distribution(own)
            for part, own in zip(self.likelihoods, self._outputs(output), strict=True)
        ]
        return Stacked(parts, -self.window_ndim - 1)

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Natural parameters of all statistics, and the log normalizer of each channel, last."""
        pairs = [
            part.natural(own)
            for part, own in zip(self.likelihoods, self._outputs(output), strict=True)
        ]
        parameters = [
            parameter if part.statistics else parameter.unsqueeze(-1)
            for part, (parameter, _) in zip(self.likelihoods, pairs, strict=True)
        ]
        return torch.cat(parameters, -1), torch.stack([normalizer for _, normalizer in pairs], -1)

    def standardize(self, x: Tensor) -> Tensor:
        """Each channel's data as encoders like them, all statistics along the last axis."""
        return self._seen(x, lambda part, own: part.standardize(own))

    def statistic(self, x: Tensor) -> Tensor:
        """Each channel's statistics along the last axis."""
        return self._seen(x, lambda part, own: part.statistic(own))

    def information(self, output: Tensor) -> Tensor:
        """Fisher information about each of the maps."""
        return self._joined(
            [
                part.information(own)
                for part, own in zip(self.likelihoods, self._outputs(output), strict=True)
            ]
        )

    def filled(self, x: Tensor) -> Tensor:
        """Data with possible values where pixels weren't taken."""
        parts = zip(self.likelihoods, self._data(x), strict=True)
        return torch.stack([part.filled(own) for part, own in parts], -self.window_ndim - 1)

    def over_maps(self, values: Tensor) -> Tensor:
        """Values of pixels for each of the maps, along the last axis."""
        parts = zip(self.likelihoods, self._data(values), strict=True)
        return torch.stack([own for part, own in parts for _ in range(part.maps or 1)], -1)

    def over_statistics(self, values: Tensor) -> Tensor:
        """Values of pixels for each of the statistics, along the last axis."""
        parts = zip(self.likelihoods, self._data(values), strict=True)
        return torch.stack([own for part, own in parts for _ in range(part.statistics or 1)], -1)

    def over_channels(self, values: Tensor) -> Tensor:
        """Values of pixels for each of the channels, along the last axis."""
        return values.movedim(-self.window_ndim - 1, -1)

    def start(self, mean: Tensor) -> Tensor:
        """The output by which a decoder may start from mean windows, statistics last."""
        sizes = [part.statistics or 1 for part in self.likelihoods]
        parts = zip(self.likelihoods, mean.split(sizes, -1), strict=True)
        return self._joined(
            [part.start(own if part.statistics else own.squeeze(-1)) for part, own in parts]
        )

    def check(self, minimum: Any, maximum: Any) -> None:
        """Raise a DataError if the range of a channel can't come from its likelihood."""
        for name, part, *ends in self._each(minimum, maximum):
            try:
                part.check(*ends)
            except DataError as error:
                raise DataError(f"channel {name!r}: {error}") from error

    def doubt(self, x: Tensor) -> str | None:
        """What speaks against these data coming from these likelihoods, in words."""
        for name, part, own in zip(self.channels, self.likelihoods, self._data(x), strict=True):
            if doubt := part.doubt(own):
                return f"channel {name!r}: {doubt}"
        return None

    def prepare(self, minimum: Any, maximum: Any, mean: Any, stddev: Any) -> None:
        """Check each channel's range, and the first time set their locations and spreads.

        Args:
            minimum: smallest value of each channel.
            maximum: largest value of each.
            mean: mean of each.
            stddev: standard deviation of each.
        """
        self.check(minimum, maximum)
        for _, part, *statistics in self._each(minimum, maximum, mean, stddev):
            part.prepare(*statistics)
        self.prepared.fill_(True)

    def extra_repr(self) -> str:
        """The channels' names."""
        return ", ".join(self.channels)

    def _each(self, *values: Any) -> list[tuple[Any, ...]]:
        """Name, likelihood and numbers of each channel."""
        if any(len(tuple(value)) != len(self.channels) for value in values):
            raise DataError(f"the model is for the channels {self.channels}: give numbers for each")
        return list(zip(self.channels, self.likelihoods, *values, strict=True))

    def _outputs(self, output: Tensor) -> list[Tensor]:
        """Each likelihood's part of a decoder's output."""
        parts = output.split([part.maps or 1 for part in self.likelihoods], -1)
        return [
            own if part.maps else own.squeeze(-1)
            for part, own in zip(self.likelihoods, parts, strict=True)
        ]

    def _joined(self, outputs: Sequence[Tensor]) -> Tensor:
        """A decoder's output of each likelihood's part."""
        parts = zip(self.likelihoods, outputs, strict=True)
        return torch.cat([own if part.maps else own.unsqueeze(-1) for part, own in parts], -1)

    def _data(self, x: Tensor) -> tuple[Tensor, ...]:
        """Each channel's data."""
        return x.unbind(-self.window_ndim - 1)

    def _seen(self, x: Tensor, see: Callable[[Likelihood, Tensor], Tensor]) -> Tensor:
        """What is made of each channel's data, along the last axis."""
        seen = []
        for part, own in zip(self.likelihoods, self._data(x), strict=True):
            value = see(part, own)
            seen.append(value if part.statistics else value.unsqueeze(-1))
        return torch.cat(seen, -1)


def by_channel(
    likelihood: Given | Mapping[str, Given],
    channels: int | Sequence[str] | None,
    make: Callable[[Given], Likelihood],
    window: tuple[int, ...],
) -> Likelihood:
    """The likelihood of windows, with channels or without.

    Args:
        likelihood: one, which each channel then gets a copy of; or one for each by its name.
        channels: their names or their number; None for none, unless there is one for each.
        make: makes a likelihood of its name, or takes it as it is.
        window: sizes of the windows.

    Raises:
        SpecificationError: if names and channels don't fit.
    """
    if isinstance(channels, int):
        channels = [str(number) for number in range(channels)]
    if isinstance(channels, str):
        channels = [channels]
    if isinstance(likelihood, ByChannel):
        if channels is not None and list(channels) not in (likelihood.channels, []):
            raise SpecificationError(
                f"the likelihood is for the channels {likelihood.channels}, not {list(channels)}"
            )
        return likelihood
    if isinstance(likelihood, Mapping):
        names = list(likelihood) if channels is None else list(channels)
        if set(names) != set(likelihood):
            raise SpecificationError(
                f"likelihoods for the channels {sorted(likelihood)}, but the windows have {names}: "
                "give one for each"
            )
        return ByChannel(names, [make(likelihood[name]) for name in names], len(window))
    if not channels:
        return make(likelihood)
    parts = [make(copy.deepcopy(likelihood)) for _ in channels]
    return ByChannel(list(channels), parts, len(window))


class Stacked(dist.TorchDistribution):
    """Independent distributions side by side along one axis of the batch.

    Args:
        parts: the distributions, of one batch shape and of scalars.
        dim: where the new axis is in the batch's shape, negative.

    Example:
        >>> heights, counts = dist.Normal(torch.zeros(5, 8), 1.0), dist.Poisson(torch.ones(5, 8))
        >>> both = Stacked([heights, counts], -2)
        >>> both.batch_shape, both.sample().shape
        (torch.Size([5, 2, 8]), torch.Size([5, 2, 8]))
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real

    def __init__(self, parts: Sequence[Distribution], dim: int) -> None:
        self.parts, self.dim = list(parts), dim
        shape = list(torch.broadcast_shapes(*(part.batch_shape for part in parts)))
        shape.insert(len(shape) + 1 + dim, len(parts))
        super().__init__(torch.Size(shape), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether all parts can be reparametrised."""
        return all(part.has_rsample for part in self.parts)

    @property
    def mean(self) -> Tensor:
        """Means of the parts."""
        return torch.stack([part.mean for part in self.parts], self.dim)

    @property
    def variance(self) -> Tensor:
        """Variances of the parts."""
        return torch.stack([part.variance for part in self.parts], self.dim)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples that gradients go through."""
        return torch.stack([part.rsample(sample_shape) for part in self.parts], self.dim)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Samples."""
        with torch.no_grad():
            return torch.stack([part.sample(sample_shape) for part in self.parts], self.dim)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of each part at its value."""
        values = value.unbind(self.dim)
        densities = [part.log_prob(own) for part, own in zip(self.parts, values, strict=True)]
        return torch.stack(densities, self.dim)

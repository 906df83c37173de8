"""Encoders: from a batch of windows to features, from which the guide sets the posteriors."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyroshift import names
from pyroshift.errors import SpecificationError
from pyroshift.model.parts import evaluating


class FullyConnectedEncoder(nn.Module):
    """Features by fully connected layers over all pixels, as in the papers.

    Args:
        window: height and width of the windows (or the one length of signals), in pixels.
        hidden: width of each layer; the last is the number of features.
        window_channels: how many channels windows have; None for windows without such an axis.

    Example:
        >>> FullyConnectedEncoder((8, 6), hidden=(32, 16))(torch.zeros(5, 8, 6)).shape
        torch.Size([5, 16])
    """

    def __init__(
        self,
        window: Sequence[int],
        hidden: Sequence[int] = (256, 256),
        window_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.window, self.hidden = tuple(window), tuple(hidden)
        self.window_channels = window_channels
        widths = ((window_channels or 1) * math.prod(self.window), *self.hidden)
        layers: list[nn.Module] = [nn.Flatten()]
        for narrow, wide in itertools.pairwise(widths):
            layers += [nn.Linear(narrow, wide), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Features of each window.

        Args:
            x: `batch x height x width` or `batch x length`; with channels, after the batch's axis.

        Returns:
            `batch x features`.
        """
        return self.layers(x)


class ConvolutionalEncoder(nn.Module):
    """Features by strided convolutions and one fully connected layer.

    Args:
        window: height and width of the windows (or the one length of signals), in pixels.
        channels: channels of each convolution; every one halves the resolution.
        features: number of features.
        window_channels: how many channels windows have; None for windows without such an axis.

    Raises:
        SpecificationError: if the window is too small for that many convolutions.

    Example:
        >>> ConvolutionalEncoder((16, 16))(torch.zeros(5, 16, 16)).shape
        torch.Size([5, 256])
    """

    def __init__(
        self,
        window: Sequence[int],
        channels: Sequence[int] = (32, 64),
        features: int = 256,
        window_channels: int | None = None,
    ) -> None:
        super().__init__()
        self.window, self.channels, self.features = tuple(window), tuple(channels), features
        self.window_channels = window_channels
        if min(self.window) < 2 ** len(self.channels):
            raise SpecificationError(
                f"a window of {self.window} pixels is too small for {len(self.channels)} "
                "convolutions that halve it: give fewer channels, or the fully connected encoder"
            )
        convolution = {1: nn.Conv1d, 2: nn.Conv2d}[len(self.window)]
        layers: list[nn.Module] = []
        for narrow, wide in zip(
            (window_channels or 1, *self.channels[:-1]), self.channels, strict=True
        ):
            layers += [
                convolution(narrow, wide, kernel_size=5, stride=2, padding=2),
                nn.LeakyReLU(0.1),
            ]
        reduced = [-(-size // 2 ** len(self.channels)) for size in self.window]
        self.layers = nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(self.channels[-1] * math.prod(reduced), features),
            nn.LeakyReLU(0.1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of each window.

        Args:
            x: `batch x height x width` or `batch x length`; with channels, after the batch's axis.

        Returns:
            `batch x features`.
        """
        return self.layers(x.unsqueeze(1) if self.window_channels is None else x)


ENCODERS: dict[str, type[nn.Module]] = names.by_name(
    names.ENCODERS, FullyConnectedEncoder, ConvolutionalEncoder
)


def count_features(encoder: nn.Module, window: tuple[int, ...]) -> int:
    """How many features an encoder gives, by running it on an empty window.

    Args:
        encoder: the encoder.
        window: shape of what it sees of a window, channels included.

    Raises:
        SpecificationError: if it does not return `batch x features`.
    """
    with evaluating(encoder), torch.no_grad():
        features = encoder(torch.zeros(1, *window))
    if not isinstance(features, Tensor) or features.dim() != 2:
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise SpecificationError(f"an encoder must return `batch x features`, but gave {got}")
    return features.shape[-1]

"""The fully convolutional network that tells atoms from all else, pixel by pixel."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyroshift.errors import SpecificationError

_FIRST = 7  # pixels wide: the first convolution


class UNet(nn.Module):
    """A small U-Net: from images of any size to one logit per pixel.

    Every level but the last halves the resolution; at the last one, dilated convolutions see some
    ten atoms far, which tells atoms from noise by the lattice they are in. Features are normalised
    over the channels of one pixel, and over nothing else. So the logit of a pixel depends only on
    the pixels up to `reach` away: not on the batch, as with batch normalisation, nor on the rest of
    the image, as with group normalisation. An image cut into overlapping tiles then gives the same
    result as in one piece.

    Args:
        widths: channels at each level.
        dilations: of the convolutions at the last level, in its own pixels.

    Raises:
        SpecificationError: if a width or dilation is less than 1, or there is none.

    Source:
        Ronneberger, Fischer and Brox, "U-Net" (2015); the dilated middle is AtomAI's.

    Example:
        >>> UNet(widths=(4, 8))(torch.zeros(2, 30, 41)).shape
        torch.Size([2, 30, 41])
    """

    def __init__(
        self, widths: Sequence[int] = (8, 24, 40), dilations: Sequence[int] = (1, 2, 4, 8)
    ) -> None:
        super().__init__()
        self.widths, self.dilations = tuple(widths), tuple(dilations)
        for name, values in (("widths", self.widths), ("dilations", self.dilations)):
            if not values or min(values) < 1:
                raise SpecificationError(
                    f"{name}={values} can't be used: give whole numbers from 1 up, at least one"
                )
        *upper, deepest = self.widths
        # Before anything that isn't linear, the first layer averages: noise is as strong as atoms.
        sizes = [_FIRST, *[3] * len(upper)]
        incoming = (1, *upper)
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, width, size), _convolution(width, width))
            for before, width, size in zip(incoming, upper, sizes, strict=False)
        )
        self.enter = _convolution(incoming[-1], deepest, sizes[-1])
        self.middle = nn.ModuleList(
            _convolution(deepest, deepest, dilation=dilation) for dilation in self.dilations
        )
        self.narrow = nn.ModuleList(
            nn.Conv2d(below, width, kernel_size=1)
            for width, below in itertools.pairwise(self.widths)
        )
        self.up = nn.ModuleList(
            nn.Sequential(_convolution(2 * width, width), _convolution(width, width))
            for width in upper
        )
        self.logit = nn.Conv2d(self.widths[0], 1, kernel_size=1)

    @property
    def stride(self) -> int:
        """Pixels per pixel of the last level; tiles must start at multiples of it."""
        return 2 ** len(self.down)

    @property
    def reach(self) -> int:
        """How far away, in pixels, an image can change a logit, at most."""
        # At each level: two convolutions down, two up, and a pixel each of pooling and enlarging.
        upper = sum(6 * 2**level for level in range(len(self.down)))
        return upper + self.stride * (1 + sum(self.dilations)) + _FIRST // 2

    def forward(self, image: Tensor) -> Tensor:
        """Logits of the probability that there is an atom.

        Args:
            image: `batch x height x width`.

        Returns:
            `batch x height x width`.
        """
        height, width = image.shape[1:]
        x = functional.pad(image[:, None], (0, -width % self.stride, 0, -height % self.stride))
        kept = []
        for down in self.down:
            x = down(x)
            kept.append(x)
            x = functional.avg_pool2d(x, 2)
        x = self.enter(x)
        for dilated in self.middle:
            x = x + dilated(x)
        for narrow, up, fine in reversed(list(zip(self.narrow, self.up, kept, strict=True))):
            coarse = functional.interpolate(narrow(x), scale_factor=2.0, mode="bilinear")
            x = up(torch.cat([fine, coarse], 1))
        return self.logit(x)[:, 0, :height, :width]


class ChannelNorm(nn.Module):
    """Features with mean 0 and variance 1 over the channels of each pixel, scaled and shifted.

    Args:
        channels: number of features.

    Example:
        >>> ChannelNorm(3)(torch.ones(2, 3, 5, 5)).shape
        torch.Size([2, 3, 5, 5])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `batch x channels x height x width`."""
        variance, mean = torch.var_mean(x, 1, keepdim=True, correction=0)
        return self.scale * (x - mean) * (variance + 1e-5).rsqrt() + self.shift


def _convolution(before: int, after: int, size: int = 3, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    convolution = nn.Conv2d(before, after, size, padding=padding, dilation=dilation)
    return nn.Sequential(convolution, ChannelNorm(after), nn.LeakyReLU(0.1))

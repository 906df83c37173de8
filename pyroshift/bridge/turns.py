"""An encoder to which a turn of the window is nothing."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from pyroshift.errors import SpecificationError


class TurnedEncoder(nn.Module):
    """Features of a window that tell nothing of how it is turned.

    Windows are looked at within their inscribed disc. In training each is turned at random, so that
    the encoder learns from all turns of the few windows there are. In use its features are averaged
    over several turns: quarter turns among them change nothing, others but by interpolation.

    Args:
        encoder: of single windows, returns `batch x features`.
        window: height and width of the windows, the same.
        turns: how many turns, a full one over so many apart, are averaged over in use.

    Raises:
        SpecificationError: if windows aren't square, or there aren't at least two turns.

    Source:
        Laptev, Savinov, Buhmann and Pollefeys, "TI-pooling: transformation-invariant pooling for
        feature learning in convolutional neural networks", CVPR 2016.

    Example:
        >>> from pyroshift.model.encoders import FullyConnectedEncoder
        >>> encoder = TurnedEncoder(FullyConnectedEncoder((9, 9)), (9, 9), turns=4).eval()
        >>> x = torch.rand(2, 9, 9)
        >>> torch.allclose(encoder(x), encoder(x.rot90(1, (1, 2))), atol=1e-5)
        True
    """

    disc: Tensor

    def __init__(self, encoder: nn.Module, window: Sequence[int], turns: int = 8) -> None:
        super().__init__()
        self.encoder, self.window, self.turns = encoder, tuple(window), turns
        if len(self.window) != 2 or len(set(self.window)) != 1:
            raise SpecificationError(
                f"turns are of square windows, but these are {self.window}: cut square ones, or "
                "say turns=1"
            )
        if not (isinstance(turns, int) and turns >= 2):
            raise SpecificationError(f"turns must be a whole number from 2, or 1, got {turns!r}")
        along = torch.linspace(-1, 1, self.window[0])
        disc = (along[:, None].square() + along.square() <= 1 + 1e-6).float()
        self.register_buffer("disc", disc, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features of each window.

        Args:
            x: `batch x height x width`; with channels, after the batch's axis.

        Returns:
            `batch x features`.
        """
        full = x.new_tensor(2 * math.pi)
        if self.training:
            return self.encoder(self.turned(x, full * torch.rand_like(x.flatten(1)[:, 0])))
        every = [full * number / self.turns for number in range(self.turns)]
        return torch.stack(
            [self.encoder(self.turned(x, each.expand(len(x)))) for each in every]
        ).mean(0)

    def turned(self, x: Tensor, angle: Tensor) -> Tensor:
        """Windows turned, and empty beyond their disc.

        Args:
            x: `batch x height x width`; with channels, after the batch's axis.
            angle: `batch`, radians.
        """
        cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        rows = torch.stack([cosine, -sine, zero], -1), torch.stack([sine, cosine, zero], -1)
        grid = affine_grid(torch.stack(rows, 1), [len(x), 1, *self.window], align_corners=True)
        stacked = x.reshape(len(x), -1, *self.window)
        seen = grid_sample(stacked, grid, padding_mode="border", align_corners=True)
        return (seen * self.disc).reshape(x.shape)

    def extra_repr(self) -> str:
        """Over how many turns."""
        return f"turns={self.turns}"

"""Decoders: from latents z and a pose to the likelihood's parameter at every pixel of the window.

The pose comes as coordinates: where, in the motif's frame, each pixel of the window looks, in
half-windows. Any module with the signature `(z, coordinates) -> output` is a decoder. What it gets
as z is all that it is told: the latents, and after them a class and covariates, if the model has
any. Where a likelihood wants several numbers of every pixel, these are the output's last axis.
"""

import itertools
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, linear, pad

from pyroshift import names
from pyroshift.errors import SpecificationError
from pyroshift.model.pose import half_window
from pyroshift.model.shapes import Coordinates, Inputs


class SpatialDecoder(nn.Module):
    """A coordinate network, evaluated at every transformed pixel: the papers' decoder.

    Bepler and others, "Explicitly disentangling image content from translation and rotation with
    spatial-VAE", NeurIPS 2019. Its cost is batch x pixels x hidden^2.

    Args:
        window: height and width of the windows (or the one length of signals), in pixels.
        latent_dim: number of latents.
        hidden: width of each hidden layer.
        maps: how many numbers it gives for every pixel, along a last axis; None for one, without.

    Example:
        >>> decoder = SpatialDecoder((8, 8), latent_dim=2)
        >>> decoder(torch.zeros(5, 2), torch.zeros(5, 8, 8, 2)).shape
        torch.Size([5, 8, 8])
    """

    def __init__(
        self,
        window: Sequence[int],
        latent_dim: int,
        hidden: Sequence[int] = (128, 128),
        maps: int | None = None,
    ) -> None:
        super().__init__()
        self.window, self.latent_dim, self.hidden = tuple(window), latent_dim, tuple(hidden)
        self.maps = maps
        self.from_coordinates = nn.Linear(len(self.window), self.hidden[0])
        self.from_latents = nn.Linear(latent_dim, self.hidden[0], bias=False)
        layers: list[nn.Module] = [nn.Tanh()]
        for narrow, wide in itertools.pairwise(self.hidden):
            layers += [nn.Linear(narrow, wide), nn.Tanh()]
        self.layers = nn.Sequential(*layers, nn.Linear(self.hidden[-1], maps or 1))

    def forward(self, z: Inputs, coordinates: Coordinates) -> Tensor:
        """The likelihood's parameter at every pixel.

        Args:
            z: `batch x latent`.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.

        Returns:
            `batch x height x width` or `batch x length`, and a last axis of `maps` if it has them.
        """
        latents = self.from_latents(z)
        latents = latents.reshape(*z.shape[:-1], *(1,) * len(self.window), latents.shape[-1])
        output = self.layers(self.from_coordinates(coordinates) + latents)
        return output.squeeze(-1) if self.maps is None else output


class CanvasDecoder(nn.Module):
    """Decode z once to a canvas larger than the window, then look at it through the pose.

    The canvas is resampled linearly, which is some 200 times less arithmetic than a network
    evaluated at every pixel.

    Args:
        window: height and width of the windows (or the one length of signals), in pixels.
        latent_dim: number of latents.
        margin: pixels of canvas beyond the window on each side, as far as poses look; negative
            for a canvas smaller than the window, for motifs that are. Beyond the canvas its edge
            goes on.
        hidden: width of each hidden layer.
        maps: how many numbers it gives for every pixel, along a last axis; None for one, without.
        classes: how many of the last inputs tell a class, each of which has a mean canvas of its
            own, so that classes needn't be drawn apart by weights that they share.

    Raises:
        SpecificationError: if the margin leaves no canvas.

    Example:
        >>> decoder = CanvasDecoder((8, 8), latent_dim=2, margin=4)
        >>> decoder.canvas(torch.zeros(5, 2)).shape
        torch.Size([5, 16, 16])
        >>> decoder(torch.zeros(5, 2), torch.zeros(5, 8, 8, 2)).shape
        torch.Size([5, 8, 8])
    """

    def __init__(
        self,
        window: Sequence[int],
        latent_dim: int,
        margin: int = 0,
        hidden: Sequence[int] = (128, 128),
        maps: int | None = None,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.window, self.latent_dim, self.classes = tuple(window), latent_dim, classes
        self.margin, self.hidden, self.maps = margin, tuple(hidden), maps
        self.canvas_shape = tuple(size + 2 * margin for size in self.window)
        if min(self.canvas_shape) < 2:
            raise SpecificationError(
                f"margin={margin} leaves nothing of a window of {self.window}: the canvas would be "
                f"{self.canvas_shape}"
            )
        layers: list[nn.Module] = []
        for narrow, wide in itertools.pairwise((latent_dim, *self.hidden)):
            layers += [nn.Linear(narrow, wide), nn.Tanh()]
        raw = math.prod(size + 2 for size in self.canvas_shape)
        pixels = nn.Linear(self.hidden[-1], (maps or 1) * raw)
        # A canvas that starts almost flat: on one of random noise, poses would first be fitted to
        # the noise, and content found later or not at all.
        with torch.no_grad():
            pixels.weight.mul_(0.1)
            pixels.bias.zero_()
        self.layers = nn.Sequential(*layers, pixels)
        if classes:
            # Apart from each other from the start, if by little, or they would stay alike.
            self.class_means = nn.Parameter(0.02 * torch.randn(len(pixels.bias), classes))

    def canvas(self, z: Tensor) -> Tensor:
        """The motif in its own frame, before any pose.

        Args:
            z: `batch x latent`.

        Returns:
            `batch x canvas height x canvas width` or `batch x canvas length`; with an axis of
            `maps` after the batch's, if it has them.
        """
        return self._drawn(self.layers[:-1](z), z)

    def _drawn(self, features: Tensor, z: Tensor) -> Tensor:
        """Canvases of the last layer's input, `... x feature`, in which they are linear."""
        # Noise from pixel to pixel would tell poses apart that nothing in the motif does. To smooth
        # the last layer's weights is to smooth every canvas, and cheaper by far.
        weight, bias = (self._smoothed(parameter) for parameter in self._pixels.parameters())
        smooth = linear(features, weight, bias)
        if self.classes:
            smooth = smooth + linear(z[..., -self.classes :], self._smoothed(self.class_means))
        return smooth.reshape(*features.shape[:-1], *self._stack, *self.canvas_shape)

    def _smoothed(self, raw: Tensor) -> Tensor:
        """Values over a canvas larger by a pixel on each side, smoothed by (1, 2, 1) / 4.

        Args:
            raw: `pixels x ...`.
        """
        values = raw.unflatten(0, [*self._stack, *(size + 2 for size in self.canvas_shape)])
        for axis, size in enumerate(self.canvas_shape, start=len(self._stack)):
            for pixels in (size + 1, size):  # the mean of two neighbours, twice
                values = values.narrow(axis, 0, pixels) + values.narrow(axis, 1, pixels)
        last = len(self._stack) + len(self.window) - 1
        return values.flatten(0, last) / 4 ** len(self.window)

    @property
    def _stack(self) -> tuple[int, ...]:
        """Shape of what a canvas has at each of its pixels."""
        return () if self.maps is None else (self.maps,)

    @property
    def _pixels(self) -> nn.Linear:
        return self.layers[-1]  # type: ignore[return-value]

    @property
    def starts_flat(self) -> bool:
        """Whether the canvas has no mean motif yet, so that one may be given to `start_from`."""
        return not bool(self._pixels.bias.any())

    @torch.no_grad()
    def start_from(self, template: Tensor) -> None:
        """Give an untrained canvas a mean motif.

        Args:
            template: the likelihood's parameter over the canvas and a pixel more on each side;
                with a last axis of `maps`, if it has them.
        """
        self._pixels.bias.copy_(self._raw(template))

    @torch.no_grad()
    def split_class(self, source: int, into: int, first: Tensor, second: Tensor) -> None:
        """Draw a class by two: another one, which is given up for that, becomes part of it.

        Args:
            source: number of the class.
            into: number of the other one.
            first: what the class gains, as `start_from` takes it.
            second: what the other one has beyond what the class had.
        """
        weight = cast(nn.Linear, self.layers[0]).weight[:, -self.classes :]
        weight[:, into] = weight[:, source]
        means = self.class_means
        means[:, into] = means[:, source] + self._raw(second)
        means[:, source] += self._raw(first)

    def _raw(self, parameter: Tensor) -> Tensor:
        """The likelihood's parameter over the canvas and a pixel more, as the last layer has it."""
        return (parameter if self.maps is None else parameter.movedim(-1, 0)).flatten()

    def forward(self, z: Inputs, coordinates: Coordinates) -> Tensor:
        """The likelihood's parameter at every pixel.

        Args:
            z: `batch x latent`.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.

        Returns:
            `batch x height x width` or `batch x length`, and a last axis of `maps` if it has them.
        """
        return look_at(self.canvas(z), coordinates, self.window, maps=self.maps)

    def mean_output(self, z: Inputs, coordinates: Coordinates) -> Tensor:
        """Mean of what `forward` gives for some latents at the same coordinates, by one canvas.

        Args:
            z: `batch x latent`.
            coordinates: `height x width x 2` or `length x 1`, half-windows.

        Returns:
            `height x width` or `length`, and a last axis of `maps` if it has them.
        """
        canvas = self._drawn(self.layers[:-1](z).mean(0, keepdim=True), z.mean(0, keepdim=True))
        return look_at(canvas, coordinates.unsqueeze(0), self.window, maps=self.maps)[0]

    def output_and_slope(self, z: Inputs, coordinates: Coordinates) -> tuple[Tensor, Tensor]:
        """What `forward` gives, and how it changes with where each pixel looks.

        Linear interpolation has a kink at every pixel, where a one-sided slope would hold a search
        for the best pose. So the slope is the central one, over half a pixel to each side, which
        is that of the canvas blurred by a pixel.

        Args:
            z: `batch x latent`.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.

        Returns:
            The output, and its slope by each coordinate, along a last axis.
        """
        # At the start of a search all motifs are one: a single canvas does.
        canvas = self.canvas(z[:1] if bool((z == z[:1]).all()) else z)
        slopes = []
        for axis in range(-len(self.window), 0):
            # Differences of neighbours lie half-way between them, so they are centred as well.
            # Beyond the canvas its edge goes on, and there is no slope.
            ends = torch.zeros_like(canvas.narrow(axis, 0, 1))
            slopes.append(torch.cat((ends, canvas.diff(dim=axis), ends), axis))

        def seen(canvas: Tensor) -> Tensor:
            return look_at(canvas, coordinates, self.window, maps=self.maps)

        unit = half_window(self.window)
        return seen(canvas), torch.stack([unit * seen(each) for each in slopes]).movedim(0, -1)

    def changes(self, pairs: Sequence[tuple[Inputs, Inputs]], coordinates: Coordinates) -> Tensor:
        """What `forward` gives for some latents less what it gives for others of the same class.

        The last layer is linear, so that each difference takes one canvas, and not two.

        Args:
            pairs: of latents, `batch x latent` each.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.

        Returns:
            `batch x pair x height x width` or `batch x pair x length`, and a last axis of `maps` if
            it has them.
        """
        weight = self._smoothed(self._pixels.weight)
        hidden = self.layers[:-1]
        features = torch.stack([hidden(one) - hidden(other) for one, other in pairs], 1)
        stack = len(pairs) * (self.maps or 1)
        planes = linear(features, weight).reshape(len(features), stack, *self.canvas_shape)
        seen = look_at(planes, coordinates, self.window, maps=stack).movedim(-1, 1)
        return seen if self.maps is None else seen.unflatten(1, (-1, self.maps)).movedim(2, -1)


def look_at(
    canvas: Tensor,
    coordinates: Coordinates,
    window: tuple[int, ...],
    beyond: str = "border",
    maps: int | None = None,
) -> Tensor:
    """Read a canvas at coordinates, by linear interpolation.

    Args:
        canvas: `batch x canvas height x canvas width` or `batch x canvas length`, or one for all,
            centred on the coordinates' origin; with an axis of `maps` after the batch's, if there
            are any.
        coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows of `window`.
        window: the window that sets the coordinates' unit.
        beyond: what to read outside the canvas: its "border", or "zeros".
        maps: how many numbers the canvas has at each of its pixels, if it has an axis of them.

    Returns:
        `batch x height x width` or `batch x length`, and a last axis of `maps` if there are any.

    Example:
        >>> canvas = torch.arange(5.0).reshape(1, 5)
        >>> look_at(canvas, torch.tensor([[[-0.5], [0.0], [0.25]]]), (4,))
        tensor([[1.0000, 2.0000, 2.5000]])
    """
    # grid_sample has -1 and 1 at the centres of the first and the last pixel, and wants (x, y): of
    # the transposed canvas that is (y, x), for which no coordinate need be moved.
    axes = len(window)
    sizes = canvas.shape[-axes:]
    ends = [2 * half_window(window) / max(size - 1, 1) for size in sizes]
    grid = (coordinates * coordinates.new_tensor(ends)).flatten(0, -axes - 2)
    canvas = canvas.reshape(-1, maps or 1, *sizes).expand(len(grid), -1, *sizes)
    if axes == 1:  # a signal is an image one pixel high
        canvas, grid = canvas.unsqueeze(-1), pad(grid.unsqueeze(1), (0, 1))
    seen = grid_sample(canvas.mT, grid, padding_mode=beyond, align_corners=True)
    if maps is None:
        return seen.reshape(coordinates.shape[:-1])
    return seen.movedim(1, -1).reshape(*coordinates.shape[:-1], maps)


DECODERS: dict[str, type[nn.Module]] = names.by_name(names.DECODERS, CanvasDecoder, SpatialDecoder)

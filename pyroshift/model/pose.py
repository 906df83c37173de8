"""Coordinate grids and their transforms: pure functions, the only place that knows signs and units.

Coordinates are in half-windows: the window's centre is the origin, and both axes are divided by
half of the window's longer side, so that a rotation of a non-square window stays rigid. The last
axis of every coordinate tensor runs over the window's axes, (y, x) for images and (x,) for signals,
each positive towards larger index.

A pixel at `r` reads the motif at `R(-angle) (r - offset) / scale`. So `offset` is a position in the
window whatever the angle, and `angle` turns the motif counter-clockwise as displayed with row 0 on
top.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pyroshift.model.shapes import Coordinates, Offsets, Pixelwise


def half_window(window: tuple[int, ...]) -> float:
    """Half of the window's longer side in pixels: the unit of length of all coordinates.

    Example:
        >>> half_window((20, 40))
        20.0
    """
    return max(window) / 2


def pixel_grid(window: tuple[int, ...]) -> Tensor:
    """Coordinates of every pixel of a window, in half-windows.

    Args:
        window: height and width of the window, or its one length for signals, in pixels.

    Returns:
        A tensor `height x width x 2` (`length x 1` for signals).

    Example:
        >>> pixel_grid((2, 4))[..., 1]
        tensor([[-0.7500, -0.2500,  0.2500,  0.7500],
                [-0.7500, -0.2500,  0.2500,  0.7500]])
    """
    unit = half_window(window)
    axes = [(torch.arange(size) - (size - 1) / 2) / unit for size in window]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def affine_grid(transform: Callable[[Tensor], Tensor], grid: Tensor) -> Tensor:
    """What an affine map makes of a pixel grid, from what it makes of one row and one column.

    Args:
        transform: an affine map of coordinates `batch x height x width x 2`.
        grid: `height x width x 2`, as `pixel_grid` gives it.

    Returns:
        What `transform` would make of the whole grid, for a fraction of the arithmetic.

    Example:
        >>> grid = pixel_grid((3, 4))
        >>> affine_grid(lambda r: 2 * r + 1, grid).equal(2 * grid + 1)
        True
    """
    height, width = grid.shape[:2]
    points = grid.new_zeros(height + width + 1, 1, 2)
    points[:height, 0, 0] = grid[:, 0, 0]
    points[height:-1, 0, 1] = grid[0, :, 1]
    column, row, origin = transform(points).squeeze(-2).split((height, width, 1), dim=-2)
    return column.unsqueeze(-2) + (row - origin).unsqueeze(-3)


def _over_pixels(value: Tensor, axes: int, event_dim: int) -> Tensor:
    """View a value per patch so that it broadcasts over the pixels of that many axes."""
    batch_dims = value.dim() - event_dim
    return value.reshape(value.shape[:batch_dims] + (1,) * axes + value.shape[batch_dims:])


def unshift(coordinates: Coordinates, offset: Offsets) -> Coordinates:
    """Coordinates relative to a motif that sits at `offset`.

    Args:
        coordinates: `batch x height x width x 2` (or `batch x length x 1`), half-windows.
        offset: `batch x 2` (or `batch x 1`), half-windows.

    Returns:
        A tensor of the coordinates' shape.

    Example:
        >>> unshift(torch.zeros(1, 1, 1, 2), torch.tensor([[0.5, -0.25]])).flatten()
        tensor([-0.5000,  0.2500])
    """
    return coordinates - _over_pixels(offset, coordinates.shape[-1], event_dim=1)


def unrotate(coordinates: Coordinates, angle: Tensor) -> Coordinates:
    """Coordinates in the frame of a motif that is turned by `angle`.

    Args:
        coordinates: `batch x height x width x 2`, (y, x).
        angle: `batch`, radians, counter-clockwise as displayed with row 0 on top.

    Returns:
        A tensor of the coordinates' shape.

    Example:
        >>> right = torch.tensor([[[[0.0, 1.0]]]])
        >>> unrotate(right, torch.tensor([math.pi / 2])).flatten().round().int()
        tensor([1, 0], dtype=torch.int32)
    """
    angle = _over_pixels(angle, axes=2, event_dim=0)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    y, x = coordinates.unbind(-1)
    return torch.stack((cosine * y + sine * x, cosine * x - sine * y), dim=-1)


def mirror(coordinates: Coordinates, flip: Tensor) -> Coordinates:
    """Coordinates whose last axis, x, is reversed where a motif is mirrored.

    Args:
        coordinates: `batch x height x width x 2` or `batch x length x 1`.
        flip: `batch`, 1 where it is mirrored, else 0.

    Returns:
        A tensor of the coordinates' shape; mirrored twice, they are what they were.

    Example:
        >>> mirror(torch.tensor([[[1.0], [2.0]]]), torch.ones(1)).flatten()
        tensor([-1., -2.])
    """
    axes = coordinates.shape[-1]
    sign = torch.stack([*[torch.ones_like(flip)] * (axes - 1), 1 - 2 * flip], -1)
    return coordinates * _over_pixels(sign, axes, event_dim=1)


def unscale(coordinates: Coordinates, scale: Tensor) -> Coordinates:
    """Coordinates in the frame of a motif that is magnified by `scale`.

    Args:
        coordinates: `batch x height x width x 2` (or `batch x length x 1`).
        scale: `batch`, magnification, greater than 0.

    Returns:
        A tensor of the coordinates' shape.

    Example:
        >>> unscale(torch.ones(1, 1, 1, 2), torch.tensor([2.0])).flatten()
        tensor([0.5000, 0.5000])
    """
    return coordinates / _over_pixels(scale.unsqueeze(-1), coordinates.shape[-1], event_dim=1)


def wrap_angle(angle: Pixelwise) -> Pixelwise:
    """The same angle in (-pi, pi].

    Example:
        >>> wrap_angle(torch.tensor([math.pi, -math.pi, 3 * math.pi / 2])) / math.pi
        tensor([ 1.0000,  1.0000, -0.5000])
    """
    return math.pi - torch.remainder(math.pi - angle, 2 * math.pi)


def reduce_modulo(offset: Tensor, vectors: Tensor) -> Tensor:
    """The shortest of the offsets that differ by lattice vectors.

    Args:
        offset: `... x axis`.
        vectors: `axis x axis`, one lattice vector in each row; the shortest ones there are.

    Example:
        >>> reduce_modulo(torch.tensor([0.9, -0.2]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        tensor([-0.1000, -0.2000])
    """
    cells = offset @ torch.linalg.inv(vectors)
    offset = offset - cells.round() @ vectors
    # Of skew vectors, the nearest lattice point may be a neighbour of the one that rounding gives.
    steps = torch.cartesian_prod(*[torch.arange(-1.0, 2.0)] * len(vectors)).reshape(
        -1, len(vectors)
    )
    candidates = offset.unsqueeze(-2) - steps.to(vectors) @ vectors
    # On the cell's edge two are as short; take the same one whatever the rounding.
    order = torch.linspace(1.0, 0.5, len(vectors)).to(vectors)
    bias = 1e-5 * vectors.abs().max() * (candidates.sign() @ order)
    shortest = (candidates.norm(dim=-1) - bias).argmin(-1, keepdim=True).unsqueeze(-1)
    return candidates.take_along_dim(shortest, -2).squeeze(-2)

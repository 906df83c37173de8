"""Frames as the segmenting network wants them: of one scale, one contrast, and in tiles."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pyroshift.errors import DataError
from pyroshift.segmentation.network import UNet

# Pixels between neighbouring atoms that frames are brought to: few, so that noise averages out.
SPACING = 6.6
RADIUS = 1.6  # pixels around an atom, then, that count as the atom
NEIGHBOURHOOD = 12.8  # pixels: standard deviation of the Gaussian that contrast is taken over
_FLATTEST = 0.02  # of the frame's standard deviation: a region with less contrast counts as flat


def prepared(frame: np.ndarray, separation: float, spacing: float) -> Tensor:
    """A frame resampled, with mean 0 and standard deviation 1 around every pixel.

    The mean and the standard deviation are taken over the neighbourhood, so that uneven light and
    slow backgrounds go away. Missing pixels count in neither, and become 0.

    Args:
        frame: height x width; NaN where a pixel is missing.
        separation: of neighbouring atoms in it, pixels.
        spacing: what this is to become, in new pixels.

    Returns:
        `height x width`, in new pixels.

    Raises:
        DataError: if all pixels are missing.

    Example:
        >>> prepared(np.arange(600.0).reshape(20, 30), 8.0, 4.0).shape
        torch.Size([10, 15])
    """
    there = np.isfinite(frame)
    if not there.any():
        raise DataError("a frame has no pixels: all are missing (NaN)")
    values = frame - frame[there].mean(dtype=float)
    scale = float(np.sqrt(np.mean(values[there] ** 2, dtype=float))) or 1.0
    weight = torch.from_numpy(there.astype(np.float32))
    known = torch.from_numpy(np.where(there, values / scale, 0).astype(np.float32))
    zoom = spacing / separation
    known, weight = _resized(known, zoom), _resized(weight, zoom)
    share = _neighbourhood(weight).clamp(1e-6)
    known = known - weight * _neighbourhood(known) / share
    variance = _neighbourhood(known**2 / weight.clamp(0.1)) / share
    return known * (variance + _FLATTEST**2).rsqrt()


def logits(network: UNet, image: Tensor, tile: int) -> Tensor:
    """The network's logits for an image of any size, tile by tile.

    Tiles overlap by as much as the network sees, so that no seam shows.

    Args:
        network: the network.
        image: `height x width`.
        tile: height and width of a tile in pixels, without the overlap.

    Returns:
        `height x width`.

    Example:
        >>> logits(UNet((4, 8)), torch.zeros(50, 40), tile=32).shape
        torch.Size([50, 40])
    """
    result = torch.empty_like(image)
    step = max(1, tile // network.stride) * network.stride
    overlap = math.ceil(network.reach / network.stride) * network.stride
    with torch.no_grad():
        for rows, around_rows in _tiles(image.shape[0], step, overlap):
            for columns, around_columns in _tiles(image.shape[1], step, overlap):
                found = network(image[None, around_rows, around_columns])[0]
                top, left = rows.start - around_rows.start, columns.start - around_columns.start
                inside = found[top : top + step, left : left + step]
                result[rows, columns] = inside[
                    : rows.stop - rows.start, : columns.stop - columns.start
                ]
    return result


def resized_back(image: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A resampled image brought back to the frame's own pixels, smoothly.

    Example:
        >>> resized_back(torch.zeros(10, 15), (20, 30)).shape
        torch.Size([20, 30])
    """
    if tuple(image.shape) == shape:
        return image
    return functional.interpolate(image[None, None], shape, mode="bicubic")[0, 0]


def discs(atoms: np.ndarray, shape: Sequence[int]) -> Tensor:
    """Which pixels are atoms: 1 within `RADIUS`, 0 outside, and in between on the rim.

    Args:
        atoms: atom x axis, in pixels.
        shape: height and width.

    Returns:
        `height x width`.

    Example:
        >>> discs(np.array([[3.0, 3.0]]), (7, 7))[3]
        tensor([0.0000, 0.1000, 1.0000, 1.0000, 1.0000, 0.1000, 0.0000])
    """
    reach = math.ceil(RADIUS + 0.5)
    around = np.indices((2 * reach + 1,) * 2).reshape(2, -1).T - reach
    pixels = np.round(atoms).astype(int)[:, None] + around
    distance = np.linalg.norm(pixels - atoms[:, None], axis=-1)
    inside = np.clip(RADIUS + 0.5 - distance, 0, 1).astype(np.float32)
    kept = ((pixels >= 0) & (pixels < np.array(shape))).all(-1)
    target = np.zeros(tuple(shape), np.float32)
    np.maximum.at(target, tuple(pixels[kept].T), inside[kept])
    return torch.from_numpy(target)


def _resized(image: Tensor, zoom: float) -> Tensor:
    shape = tuple(max(1, round(size * zoom)) for size in image.shape)
    if shape == tuple(image.shape):
        return image
    return functional.interpolate(image[None, None], shape, mode="bilinear", antialias=True)[0, 0]


def _neighbourhood(image: Tensor) -> Tensor:
    """An image smoothed by a Gaussian; outside of it is nothing."""
    radius = math.ceil(3 * NEIGHBOURHOOD)
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / NEIGHBOURHOOD) ** 2)
    weights /= weights.sum()
    down, along = weights[None, None, :, None], weights[None, None, None, :]
    smooth = functional.conv2d(image[None, None], down, padding=(radius, 0))
    return functional.conv2d(smooth, along, padding=(0, radius))[0, 0]


def _tiles(size: int, step: int, overlap: int) -> Iterator[tuple[slice, slice]]:
    """Slices over a length, and the same with an overlap on both sides."""
    for start in range(0, size, step):
        stop = min(start + step, size)
        yield slice(start, stop), slice(max(0, start - overlap), min(size, stop + overlap))

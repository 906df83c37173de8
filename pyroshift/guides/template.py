"""What an untrained decoder starts from: the mean window, each about its most salient point.

From a flat start several copies of a motif may form on a canvas wider than a window, far enough
apart that no window shows two of them, and no window then tells which it should have seen. A faint
motif in the middle is in every window's reach, so that all windows agree on it.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv1d

from pyroshift.model.shapes import Windows

_BLUR = 1 / 16  # of the window's longer side: what counts as a point
_NEAR = 0.5  # of the window's longer side: what is within is the motif's own
_OFTEN = 1 / 4  # share of the windows that must see a point for it to count
# Of the most salient point's height, which is the highest of its window: of motifs alone nothing
# else reaches 0.03 of it, in any noise tried, and of lattices in noise of their own height 0.12.
_AS_SALIENT = 0.06
STRENGTH = 0.5  # of the mean window: enough to align by, and soon forgotten if it is wrong


def salience(x: Tensor) -> Tensor:
    """How far each point is from its window's median, in the noise of the mean over a Gaussian.

    Nearer to an end there is less to take the mean of, and were that forgotten, the most salient
    point of noise would be there most often. Of several planes the one tells that tells most.

    Args:
        x: standardized data, `batch x plane x height x width` or `batch x plane x length`.

    Returns:
        `batch x height x width` or `batch x length`.
    """
    planes = x.flatten(0, 1)
    axes = range(1, planes.dim())
    level = planes.flatten(1).median(1).values.reshape(-1, *(1,) * len(axes))
    width = _BLUR * max(planes.shape[1:])
    reach = max(round(2 * width), 1)
    kernel = (-(torch.arange(-reach, reach + 1).to(x) / width).square() / 2).exp()
    total, variance = planes - level, torch.ones_like(planes[:1])
    for axis in axes:
        total = _convolved(total, kernel, axis)
        variance = _convolved(variance, kernel.square(), axis)
    return (total.abs() / variance.sqrt()).unflatten(0, x.shape[:2]).amax(1)


def stands_alone(salient: Windows) -> bool:
    """Whether windows show one motif each: nothing else in them is as salient in the mean.

    Of a lattice, which has its motif again and again, windows tell one motif in any case, and one
    that forms by itself is the better one.

    Args:
        salient: how salient each point is, `batch x height x width` or `batch x length`.

    Example:
        >>> spikes = torch.eye(16).unsqueeze(1)
        >>> stands_alone(salience(spikes)), stands_alone(salience(spikes + spikes.roll(8, -1)))
        (True, False)
    """
    shape = tuple(2 * size - 1 for size in salient.shape[1:])
    seen = sum_about(torch.ones_like(salient), salient, shape)
    mean = sum_about(salient, salient, shape) / seen.clamp(min=1)
    often = seen > _OFTEN * len(salient)
    middle = [size - 1 for size in salient.shape[1:]]
    axes = [torch.arange(size).to(salient) - at for size, at in zip(shape, middle, strict=True)]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).norm(dim=0)
    other = often & (distance > _NEAR * max(salient.shape[1:]))
    level = mean[often].median()
    return bool((mean[other] - level < _AS_SALIENT * (mean[tuple(middle)] - level)).all())


def sum_about(values: Windows, salient: Windows, shape: tuple[int, ...]) -> Tensor:
    """Sum of windows, each moved so that its most salient point is in the middle of a frame.

    Args:
        values: `batch x height x width` or `batch x length`.
        salient: how salient each point is, of the same shape.
        shape: of the frame, which is larger than a window; what a window doesn't reach counts as 0.

    Returns:
        A tensor of that shape.

    Example:
        >>> spikes = torch.eye(5)[[1, 3]]
        >>> sum_about(spikes, spikes, (9,))
        tensor([0., 0., 0., 0., 2., 0., 0., 0., 0.])
    """
    window = values.shape[1:]
    points = torch.unravel_index(salient.flatten(1).argmax(1), window)
    total = values.new_zeros([size + 2 * side for size, side in zip(shape, window, strict=True)])
    for patch, point in zip(values, torch.stack(points, 1).tolist(), strict=True):
        begin = [side + size // 2 - at for size, side, at in zip(shape, window, point, strict=True)]
        total[tuple(slice(b, b + side) for b, side in zip(begin, window, strict=True))] += patch
    return total[tuple(slice(side, side + n) for n, side in zip(shape, window, strict=True))]


def _convolved(x: Tensor, kernel: Tensor, axis: int) -> Tensor:
    """Values convolved along one axis, nothing beyond its ends."""
    last = x.movedim(axis, -1)
    rows = last.reshape(-1, 1, last.shape[-1])
    done = conv1d(rows, kernel[None, None], padding=len(kernel) // 2)
    return done.reshape(last.shape).movedim(-1, axis)

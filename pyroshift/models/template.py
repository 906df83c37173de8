"""What an untrained decoder starts from: the mean window, each about its most salient point.

From a flat start several copies of a motif may form on a canvas wider than a window, far enough
apart that no window shows two of them, and no window then tells which it should have seen. A faint
motif in the middle is in every window's reach, so that all windows agree on it.
"""

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv2d, pad

_BLUR = 1 / 16  # of the window's longer side: what counts as a point
STRENGTH = 0.5  # of the mean window: enough to align by, and soon forgotten if it is wrong


def salient_mean(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Mean of windows, each moved so that its most salient point is in the middle of a frame.

    Args:
        x: standardized data, `batch x height x width` or `batch x length`.
        shape: of the frame, which is larger than a window; what a window doesn't reach counts as
            the data's mean.

    Returns:
        A tensor of that shape.

    Example:
        >>> spikes = torch.eye(5)[[1, 3]]
        >>> salient_mean(spikes, (9,))
        tensor([0., 0., 0., 0., 1., 0., 0., 0., 0.])
    """
    window = x.shape[1:]
    salience = _blurred(x - x.flatten(1).median(1).values.reshape(-1, *(1,) * len(window))).abs()
    points = torch.unravel_index(salience.flatten(1).argmax(1), window)
    total = x.new_zeros([size + 2 * side for size, side in zip(shape, window, strict=True)])
    for patch, point in zip(x, torch.stack(points, 1).tolist(), strict=True):
        begin = [side + size // 2 - at for size, side, at in zip(shape, window, point, strict=True)]
        total[tuple(slice(b, b + side) for b, side in zip(begin, window, strict=True))] += patch
    inside = tuple(slice(side, side + size) for size, side in zip(shape, window, strict=True))
    return total[inside] / len(x)


def _blurred(x: Tensor) -> Tensor:
    """Windows under a Gaussian, their ends going on."""
    width = _BLUR * max(x.shape[1:])
    reach = max(round(2 * width), 1)
    distance = torch.arange(-reach, reach + 1).to(x) / width
    kernel = (-distance.square() / 2).exp()
    x = pad(x.unsqueeze(1), [reach] * 2 * (x.dim() - 1), mode="replicate")
    if x.dim() == 3:
        return conv1d(x, kernel[None, None]).squeeze(1)
    rows = conv2d(x, kernel[None, None, None])
    return conv2d(rows, kernel[None, None, :, None]).squeeze(1)

"""The search for poses: what every patch would be worth in every bin, by one matrix product.

The log likelihood of an exponential family is the data times a natural parameter, less a
normalizer. So the decoder's output at every pose makes one matrix, the patches another, and their
product has it all. (By Fourier transforms, every pair of a patch and an angle would need one back.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, avg_pool2d

from pyroshift.guides.bins import PoseBins
from pyroshift.guides.vector import neutral
from pyroshift.model.brightness import brightness_of, marginal_gain
from pyroshift.model.guide import Pair
from pyroshift.model.pose import half_window
from pyroshift.model.shapes import PerBin, Windows
from pyroshift.model.sites import ANGLE

_FEW = 8  # inputs of a motif that a decoder without a mean of its own is asked for, one by one


@dataclass(frozen=True)
class Found:
    """What a search finds in a batch of patches.

    Args:
        logits: log posterior of each bin, `batch x bin`.
        anchor: number of the latents that explain the patch best in each bin, `batch x bin`.
    """

    logits: PerBin
    anchor: PerBin


def search(pair: Pair, bins: PoseBins, x: Windows, motifs: Sequence[Tensor]) -> Found:
    """The posterior of each bin, if what patches show is one of a few motifs.

    Exact at the bins' centres, up to the reduction of pixels by the bins' pitch. A motif is the
    mean of what the decoder makes of some inputs. To look for that of one alone, such as the
    prior's mean, is to place all patches by it, and if it is a little to one side of the others,
    these are drawn after it by training, it moves on with them, and the canvas never comes to rest.

    Args:
        pair: the pair.
        bins: the bins.
        x: data, `batch x height x width` or `batch x length`.
        motifs: the decoder's inputs for each motif, `point x latent`, all equally probable.
    """
    values = neutral(pair, len(bins.angles))  # the offsets are in the grid
    if ANGLE in bins.widths:
        values[ANGLE] = bins.angles
    grid = _all_offsets(pair.window, bins).expand(len(bins.angles), *(-1,) * (len(pair.window) + 1))
    coordinates = pair.into_motif(grid, values)
    output = torch.cat([_mean_output(pair, inputs, coordinates) for inputs in motifs])
    parameter, normalizer = pair.likelihood.natural(output)
    reduced = _reduced(pair.likelihood.statistic(x), bins.pitch)
    size = reduced.shape[1:]
    normalizer = _windows(normalizer, size).flatten(-len(size)).sum(-1).flatten()
    pixels = _windows(parameter, size).reshape(len(normalizer), -1)
    product, share = reduced.flatten(1) @ pixels.mT, bins.pitch ** len(size)
    score = share * (product - normalizer)
    if brightness_of(pair) is not None:
        outputs = _windows(output, size).reshape(len(normalizer), -1)
        score = score + marginal_gain(pair, product, reduced.flatten(1).sum(1), outputs, share)
    score = score.reshape(len(x), len(motifs), -1)
    total = score.logsumexp(1) if len(motifs) > 1 else score[:, 0]
    return Found((total + bins.log_mass).log_softmax(-1), score.argmax(1))


def _mean_output(pair: Pair, inputs: Tensor, coordinates: Tensor) -> Tensor:
    """Mean of what the decoder makes of some inputs, at coordinates `pose x height x width x 2`.

    All poses are decoded as one tall window, so that each input has but one canvas.
    """
    tall = coordinates.flatten(0, 1)
    if (mean := getattr(pair.decoder, "mean_output", None)) is not None:
        output = mean(inputs, tall)
    else:
        few = inputs[:: math.ceil(len(inputs) / _FEW)].split(1)
        output = torch.stack([pair.decoder(one, tall.unsqueeze(0))[0] for one in few]).mean(0)
    return output.reshape(coordinates.shape[:-1])


def _all_offsets(window: tuple[int, ...], bins: PoseBins) -> Tensor:
    """Coordinates of the reduced pixels less every offset: all offsets' windows in one grid."""
    unit, pitch = half_window(window), bins.pitch
    axes = []
    for axis, size in enumerate(window):
        count = size // pitch + bins.shape[1 + axis] - 1
        # The centre of the first block of pixels, less the last offset.
        first = (pitch - size) / 2 / unit - bins.shifts[-1, axis]
        axes.append(first + pitch / unit * torch.arange(count, device=first.device))
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def _reduced(x: Tensor, pitch: int) -> Tensor:
    """Means over blocks of pixels."""
    if pitch == 1:
        return x
    pool = avg_pool1d if x.dim() == 2 else avg_pool2d
    return pool(x.unsqueeze(1), pitch).squeeze(1)


def _windows(wide: Tensor, size: torch.Size) -> Tensor:
    """All windows of a size in a wider field, the last first, as offsets run against pixels."""
    for axis, length in enumerate(size, start=1):
        wide = wide.unfold(axis, length, 1)
    return wide.flip(tuple(range(1, len(size) + 1)))

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
from pyroshift.guides.kinds import kind_weights
from pyroshift.guides.vector import neutral
from pyroshift.model.batch import Batch, as_batch, has_gaps, planes
from pyroshift.model.brightness import brightness_of, marginal_gain
from pyroshift.model.guide import Pair
from pyroshift.model.pose import half_window
from pyroshift.model.shapes import PerBin
from pyroshift.model.sites import ANGLE

_FEW = 8  # inputs of a motif that a decoder without a mean of its own is asked for, one by one


@dataclass(frozen=True)
class Anchor:
    """A motif that is searched for: the mean of what the decoder makes of some inputs.

    Args:
        inputs: the decoder's, `point x input`.
        code: one that tells the motif's kind, `1 x code`.
    """

    inputs: Tensor
    code: Tensor


@dataclass(frozen=True)
class Found:
    """What a search finds in a batch of patches.

    Args:
        joint: log posterior of each kind with each bin, `batch x kind x bin`; one kind, where
            nothing tells kinds apart.
        anchor: number of the anchor that explains the patch best in each of them, `batch x kind x
            bin`.
    """

    joint: Tensor
    anchor: Tensor

    @property
    def logits(self) -> PerBin:
        """Log posterior of each bin, whatever the kind."""
        return self.joint[:, 0] if self.joint.shape[1] == 1 else self.joint.logsumexp(1)

    @property
    def kind_logits(self) -> Tensor:
        """Log posterior of each kind, wherever the motif is, `batch x kind`."""
        return self.joint.logsumexp(2)

    def of(self, kind: Tensor) -> PerBin:
        """Log posterior of each bin together with a kind for each patch, `batch`."""
        return self.joint[torch.arange(len(kind), device=kind.device), kind]


def search(
    pair: Pair, bins: PoseBins, x: Tensor | Batch, anchors: Sequence[Sequence[Anchor]]
) -> Found:
    """The posterior of each bin, if what patches show is one of a few motifs.

    Exact at the bins' centres, up to the reduction of pixels by the bins' pitch. To look for a mean
    of one input alone, such as the prior's mean, is to place all patches by it, and if it is a
    little to one side of the others, these are drawn after it by training, it moves on with them,
    and the canvas never comes to rest.

    Args:
        pair: the pair.
        bins: the bins.
        x: data, and what else is known of them.
        anchors: for each kind, or for the only one, some that are all equally probable.
    """
    batch = as_batch(x)
    outputs = [_mean_output(pair, bins, anchor) for each in anchors for anchor in each]
    score = _scores(pair, bins, batch, torch.cat(outputs))
    score = score.reshape(len(batch), len(anchors), len(anchors[0]), -1)
    total = score.logsumexp(2) if score.shape[2] > 1 else score[:, :, 0]
    joint = total + bins.log_mass
    if pair.kinds > 1:
        joint = joint + kind_weights(pair, batch).unsqueeze(-1)
    return Found(joint.flatten(1).log_softmax(1).reshape(joint.shape), score.argmax(2))


def _scores(pair: Pair, bins: PoseBins, batch: Batch, output: Tensor) -> Tensor:
    """Log likelihood of patches in each bin of each motif, up to a term of the patch alone.

    Args:
        pair: the pair.
        bins: the bins.
        batch: data, and by how much they count.
        output: the decoder's, over all offsets of each motif at each angle.

    Returns:
        `batch x row`: motif, angle, and offset along each axis.
    """
    likelihood, axes, x = pair.likelihood, len(pair.window), batch.x
    parameter, normalizer = likelihood.natural(output)
    statistic, taken = likelihood.statistic(x), None
    if has_gaps(x):
        mask = ~torch.isnan(x)
        statistic = torch.where(likelihood.over_statistics(mask), statistic, 0.0)
        taken = planes(likelihood.over_channels(mask).to(x), axes)
        taken = _reduced(taken, bins.pitch).flatten(1)
    seen = _reduced(planes(statistic, axes), bins.pitch)
    size = seen.shape[2:]
    product = seen.flatten(1) @ _windows(planes(parameter, axes), size).mT
    cost = _windows(planes(normalizer, axes), size)

    def total(values: Tensor) -> Tensor:
        """Sum of what each pixel costs in each row, over the pixels that each patch has."""
        return values.sum(-1) if taken is None else taken @ values.mT

    share = batch.power * bins.pitch**axes
    score = share * (product - total(cost))
    if brightness_of(pair) is not None:
        wide = _windows(planes(output, axes), size)
        score = score + marginal_gain(pair, product, seen.flatten(1).sum(1), wide, share, total)
    return score


def _mean_output(pair: Pair, bins: PoseBins, anchor: Anchor) -> Tensor:
    """What the decoder makes of an anchor over all offsets, by angle.

    All poses are decoded as one tall window, so that each input has but one canvas.
    """
    values = neutral(pair, len(bins.angles))  # the offsets are in the grid
    if ANGLE in bins.widths:
        values[ANGLE] = bins.angles
    grid = _all_offsets(pair.window, bins).expand(len(bins.angles), *(-1,) * (len(pair.window) + 1))
    coordinates = pair.into_motif(grid, values)
    tall = pair.into_drawing(coordinates.flatten(0, 1).unsqueeze(0), anchor.code)
    inputs = anchor.inputs
    if (mean := getattr(pair.decoder, "mean_output", None)) is not None:
        output = mean(inputs, tall[0])
    else:
        few = inputs[:: math.ceil(len(inputs) / _FEW)].split(1)
        output = torch.stack([pair.decoder(one, tall)[0] for one in few]).mean(0)
    return output.reshape(*coordinates.shape[:-1], *output.shape[tall.dim() - 2 :])


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
    """Means over blocks of pixels, `n x plane x pixels`."""
    if pitch == 1:
        return x
    return (avg_pool1d if x.dim() == 3 else avg_pool2d)(x, pitch)


def _windows(wide: Tensor, size: torch.Size) -> Tensor:
    """All windows of a size in wider fields, the last first, as offsets run against pixels.

    Args:
        wide: `n x plane x pixels`.
        size: of the windows.

    Returns:
        `n and window x plane and pixel`.
    """
    for axis, length in enumerate(size, start=2):
        wide = wide.unfold(axis, length, 1)
    axes = len(size)
    wide = wide.flip(tuple(range(2, axes + 2))).movedim(1, axes + 1)
    return wide.flatten(axes + 1).flatten(0, axes)

"""What an anchor guide keeps of each class between steps: typical motifs, and where they lie."""

import torch
from torch import Tensor

from pyroshift.guides.vector import unpack
from pyroshift.model.guide import Pair
from pyroshift.model.shapes import Latents, Vectors
from pyroshift.model.sites import Offset

_PACE = 0.1  # share of its mean displacement by which the motifs' origin moves at each step
_FARTHEST = 0.2  # that it may move along each axis, half-windows, lest windows look off canvas
REMEMBERED = 64  # latents of which the mean motif is made
RENEWED = 4  # of them at each step: few, as a batch misplaced by it would spoil it for the next


def typical_at_first(pair: Pair, codes: Latents) -> Tensor:
    """Decoders' inputs for typical motifs, before there are any: the same again and again.

    Args:
        pair: the pair.
        codes: one of each kind, `kind x code`.

    Returns:
        `class x motif x input`, or `motif x input` where there are no classes.
    """
    of_kinds = pair.decoder_input(codes)
    of_classes = of_kinds.unflatten(0, (max(pair.classes, 1), -1))[:, :1]
    typical = of_classes.repeat(1, REMEMBERED, 1)
    return typical if pair.classes else typical[0]


def renewed(typical: Tensor, inputs: Tensor, kind: Tensor | None) -> Tensor:
    """Typical motifs, some of them those of the last batch.

    Args:
        typical: the decoder's inputs for motifs, `class x motif x input`, or `motif x input`.
        inputs: of the batch, `batch x input`.
        kind: its classes, `batch`, if there are any.
    """
    if kind is None:
        return torch.cat((typical[len(inputs[:RENEWED]) :], inputs[:RENEWED]))
    each = [renewed(own, inputs[kind == number], None) for number, own in enumerate(typical)]
    return torch.stack(each)


def displaced(
    pair: Pair, displacement: Tensor, pose: Vectors, code: Latents, kind: Tensor | None
) -> Tensor:
    """How far off the motifs' origin windows of the last batch have their middle in the mean.

    Args:
        pair: the pair.
        displacement: as it was before, as it stays for classes that no window shows, half-windows,
            `axis`, or `class x axis`.
        pose: `batch x element`.
        code: `batch x code`.
        kind: classes of the batch, `batch`, if there are any.
    """
    axes = len(pair.window)
    middle = pair.grid.new_zeros(len(pose), *(1,) * axes, axes)
    middle = pair.into_drawing(pair.into_motif(middle, unpack(pair, pose)), code)
    seen = middle.flatten(0, -2) - pair.origin
    if kind is None:
        return seen.mean(0)
    result = displacement.clone()
    for each in kind.unique():
        result[each] = seen[kind == each].mean(0) - pair.class_origin[each]
    return result


@torch.no_grad()
def centre(pair: Pair, displacement: Tensor) -> None:
    """Move the motifs' origin to where the last batch's windows had their middle in the mean.

    The likelihood is the same wherever in the decoder's frame the motif lies; only the offset's
    prior says where, and too faintly for a gradient to follow. Poses must be found after it:
    a motif drawn at poses that were found before would follow its origin.

    Args:
        pair: the pair.
        displacement: from the origin, half-windows, `axis`, or `class x axis`.
    """
    # Where a lattice is known, offsets have no mean but that of its cell, whose middle is off
    # zero by where its ends fall among the bins: the origin would run away at a constant rate.
    offsets = [site for site in pair.given_sites if isinstance(site, Offset)]
    if any(site.vectors is None for site in offsets):
        origin = pair.class_origin if pair.classes else pair.origin
        origin.copy_((origin + _PACE * displacement).clamp(-_FARTHEST, _FARTHEST))


@torch.no_grad()
def split_memory(pair: Pair, typical: Tensor, displacement: Tensor, source: int, into: int) -> None:
    """Remember of a class, in place, what is remembered of that of which it has become a part.

    Args:
        pair: the pair.
        typical: the decoder's inputs for motifs, `class x motif x input`.
        displacement: from the origin, `class x axis`.
        source: number of the class that was split.
        into: number of the other one.
    """
    displacement[into] = displacement[source]
    typical[into] = typical[source]
    told = typical[into][:, -pair.classes :]
    told[:, [source, into]] = told[:, [into, source]]

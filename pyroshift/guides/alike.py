"""One frame for the drawings of all classes, so that angles of different classes compare."""

import math

import torch
from torch import Tensor

from pyroshift.guides.bins import whole_circle
from pyroshift.model.guide import Pair
from pyroshift.model.pose import unrotate
from pyroshift.model.sites import Angle

_ANGLES = 180  # that are tried


@torch.no_grad()
def turn_classes_alike(pair: Pair, typical: Tensor) -> None:
    """Turn each class's drawing to where it looks most like that of the most frequent class.

    How turned a class is drawn is a convention, where angles have a flat prior: poses, which are
    searched for anew, and windows brought back to the drawing are as probable as they were.

    Args:
        pair: a trained pair.
        typical: the decoder's inputs for motifs of each class, `class x motif x input`.
    """
    angle = next((site for site in pair.given_sites if isinstance(site, Angle)), None)
    if pair.classes == 0 or angle is None or not whole_circle(angle):
        return
    frequent = int(pair.discrete[0].log_weights.argmax())
    turns = 2 * math.pi / _ANGLES * torch.arange(_ANGLES, device=pair.device)
    reference = _drawn(pair, typical[frequent], frequent, turns[:1])[0]
    for number, inputs in enumerate(typical):
        pair.class_turn[number] = 0.0
        if number != frequent:
            alike = _drawn(pair, inputs, number, turns) @ reference
            pair.class_turn[number] = turns[alike.argmax()]


def _drawn(pair: Pair, inputs: Tensor, number: int, turns: Tensor) -> Tensor:
    """A class's mean motif turned in several ways, its mean taken off, `turn x pixels`.

    Args:
        pair: the pair.
        inputs: the decoder's, `motif x input`, of which the middle one is drawn.
        number: of the class.
        turns: radians.
    """
    points = unrotate(pair.grid.expand(len(turns), *pair.grid.shape), turns)
    seen = pair.decoder(
        inputs.mean(0).expand(len(turns), -1), points + pair.origin + pair.class_origin[number]
    )
    expected = pair.likelihood.mean(seen).flatten(1)
    return expected - expected.mean(1, keepdim=True)

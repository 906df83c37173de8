"""What of a pair's poses is found rather than told: the lattice's period, the motif's symmetry."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from pyroshift.guides.refinement import refine
from pyroshift.guides.vector import pack, specified, unpack
from pyroshift.model.batch import Batch, as_batch
from pyroshift.model.pair import PoseVAE
from pyroshift.model.pose import half_window
from pyroshift.model.sites import ANGLE, AUTO, Angle, Offset

SYMMETRIES = (6, 4, 3, 2)  # of motifs on lattices, the highest first
# A motif looks the same if a turn costs less than this share of what half of that turn costs.
SAME = 0.05
# Nats per patch: where no turn costs more, there is no angle to be seen.
VISIBLE = 2.0
_FREE = 0.1  # radians and half-windows by which a turned motif may settle


def settle_period(pair: PoseVAE, vectors: Tensor) -> None:
    """Let offsets that wait for it be meant modulo a lattice.

    Args:
        pair: the pair.
        vectors: one lattice vector (y, x) in each row, pixels.
    """
    for site in pair.given_sites:
        if isinstance(site, Offset) and site.period == AUTO:
            site.settle((vectors / half_window(pair.window)).tolist())
    pair.guide_module.respecify(pair)


@torch.no_grad()
def settle_symmetry(pair: PoseVAE, x: Tensor | Batch, found: Mapping[str, Tensor]) -> None:
    """Let angles that wait for it be meant modulo the symmetry of the trained motif.

    Args:
        pair: a trained pair.
        x: data, and what else is known of them.
        found: by the guide's `summary` of them.
    """
    for site in pair.given_sites:
        if isinstance(site, Angle) and site.symmetry == AUTO:
            site.symmetry = found_symmetry(pair, x, found)
    pair.guide_module.respecify(pair)


@torch.no_grad()
def found_symmetry(pair: PoseVAE, x: Tensor | Batch, found: Mapping[str, Tensor]) -> int:
    """The highest symmetry by which a trained motif looks the same in its patches, else 1.

    Each patch is explained once more by the motif turned by a part of the full turn. If it is the
    motif's symmetry, that costs next to nothing, and half of that turn costs most.

    Args:
        pair: a trained pair.
        x: data, and what else is known of them.
        found: by the guide's `summary` of them.
    """
    batch = as_batch(x)
    found = {**found, **pair.covariates(batch.known, len(batch))}
    best = _worth(pair, batch, found, 0.0)
    for symmetry in SYMMETRIES:
        turn = 2 * math.pi / symmetry
        between = best - _worth(pair, batch, found, turn / 2)
        if between > VISIBLE and best - _worth(pair, batch, found, turn) < SAME * between:
            return symmetry
    return 1


def _worth(pair: PoseVAE, batch: Batch, found: Mapping[str, Tensor], turn: float) -> float:
    """Mean log likelihood of patches by their motif turned further, in nats, in full."""
    prior = specified(pair, len(batch))
    pose = pack(pair, {**found, ANGLE: found[ANGLE] + turn})
    for _ in range(3):
        limit = torch.full_like(pose, _FREE)
        pose = refine(pair, batch, pair.code(found), pose, prior, limit).mean
    output = pair.output({**found, **unpack(pair, pose)})
    return float(pair.likelihood.log_prob(batch.x, output).flatten(1).sum(1).mean())

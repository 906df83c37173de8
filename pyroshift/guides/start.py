"""What an untrained canvas starts from: the mean window, where windows show one motif each."""

from typing import Any, cast

import torch

from pyroshift.guides.template import STRENGTH, salience, stands_alone, sum_about
from pyroshift.model.batch import Batch
from pyroshift.model.guide import Pair


@torch.no_grad()
def start_canvas(pair: Pair, batch: Batch) -> bool:
    """Give the decoder what to start from, if it is a canvas that has nothing yet.

    Args:
        pair: the pair.
        batch: some of its data.

    Returns:
        Whether windows show one motif each, rather than a lattice.
    """
    x = pair.standardized(batch.x).nan_to_num(0.0)
    planes = x if x.dim() > 1 + len(pair.window) else x.unsqueeze(1)
    salient = salience(planes)
    alone, decoder = stands_alone(salient), cast(Any, pair.decoder)
    if alone and getattr(decoder, "starts_flat", False):
        shape = tuple(size + 2 for size in decoder.canvas_shape)
        each = [sum_about(one, salient, shape) for one in planes.unbind(1)]
        mean = STRENGTH * torch.stack(each, -1) / len(planes)
        stacked = pair.likelihood.statistics is not None
        decoder.start_from(pair.likelihood.start(mean if stacked else mean.squeeze(-1)))
    return alone

"""What an untrained canvas starts from: the mean window, or a mean window of each class."""

from collections.abc import Callable

import torch

from pyroshift.guides.bins import PoseBins
from pyroshift.guides.search import Found
from pyroshift.guides.seeding import Sorter
from pyroshift.guides.template import STRENGTH, salience, stands_alone, sum_about
from pyroshift.model.batch import Batch
from pyroshift.model.decoders import CanvasDecoder
from pyroshift.model.guide import Pair


@torch.no_grad()
def start_canvas(
    pair: Pair, batch: Batch, bins: PoseBins, few: Batch, search: Callable[[], Found]
) -> bool:
    """Give the decoder what to start from, if it is a canvas that has nothing yet.

    Args:
        pair: the pair.
        batch: some of its data.
        bins: its bins.
        few: some of these, by which classes are told apart.
        search: finds the classes and poses of these few by the canvases as they are.

    Returns:
        Whether windows show one motif each, rather than a lattice.
    """
    planes = _planes(pair, batch)
    salient = salience(planes.nan_to_num(0.0))
    alone, decoder = stands_alone(salient), pair.decoder
    if not (isinstance(decoder, CanvasDecoder) and decoder.starts_flat):
        return alone
    if decoder.classes:
        Sorter(pair, bins, _planes(pair, few), search).start()
    elif alone:
        shape = tuple(size + 2 for size in decoder.canvas_shape)
        each = [sum_about(one, salient, shape) for one in planes.nan_to_num(0.0).unbind(1)]
        mean = STRENGTH * torch.stack(each, -1) / len(planes)
        stacked = pair.likelihood.statistics is not None
        decoder.start_from(pair.likelihood.start(mean if stacked else mean.squeeze(-1)))
    return alone


def _planes(pair: Pair, batch: Batch) -> torch.Tensor:
    """What a likelihood sees of windows, `batch x plane x pixels`."""
    x = pair.standardized(batch.x)
    return x if x.dim() > 1 + len(pair.window) else x.unsqueeze(1)

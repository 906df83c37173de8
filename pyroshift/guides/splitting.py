"""Split and merge: a class that two kinds of motif share is split, into the place of a spare one.

Training ends in optima of which few are good: two kinds that are drawn as one in the first steps
stay together, and of two classes that draw one kind neither leaves it. No gradient leads out of
that. A move does: it gives up the class without which least would be lost, and draws in its place
what some of another class's windows have in common. Whether that is better, other windows say than
those that it was made of.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from pyroshift.guides.candidates import Explained
from pyroshift.guides.refinement import align, beyond
from pyroshift.guides.twofold import Halves, gain_of_two, halved
from pyroshift.guides.vector import pack
from pyroshift.model.batch import Batch
from pyroshift.model.classes import ClassWeights
from pyroshift.model.decoders import look_at
from pyroshift.model.guide import Pair
from pyroshift.model.pose import half_window

_AT_ONCE = 256  # windows that are compared at once
_FEWEST = 32  # windows of a class that may be split
_TRIED = 3  # moves, the most promising first, before classes are left as they are
_SURE = 2.0  # standard errors by which a move must be better

Explain = Callable[[Batch], Explained]
"""Tells how each class explains windows, by the pair as it is."""

Follow = Callable[[int, int], None]
"""Told which class is split and which is given up for it, for what a guide keeps of classes."""


class Move(NamedTuple):
    """A class to be split, one to be given up for that, and what should come of it, in nats."""

    source: int
    spare: int
    halves: Halves
    worth: float


@torch.no_grad()
def split_and_merge(pair: Pair, x: Batch, explain: Explain, follow: Follow) -> int:
    """Move classes to where they explain more, as long as there is such a move.

    Where every class is known of some windows, none can be spared, and none is moved. Decoders that
    have no `split_class` are left as they are.

    Args:
        pair: a pair with a class site, which is changed in place.
        x: some of its data.
        explain: how each class explains windows.
        follow: what else is to be done of a move.

    Returns:
        How many moves were made.

    Source:
        Ueda, Nakano, Ghahramani and Hinton, "SMEM algorithm for mixture models", Neural
        Computation 12, 2109 (2000).
    """
    if not hasattr(pair.decoder, "split_class"):
        return 0
    made = 0
    while made < pair.classes and _moved(pair, x, explain, follow):
        made += 1
    return made


def _moved(pair: Pair, x: Batch, explain: Explain, follow: Follow) -> bool:
    """Make the first of the most promising moves that is better, if one is."""
    seen, module = _in_parts(explain, x), cast(Any, pair)
    for move in _promising(pair, x, seen)[:_TRIED]:
        before, better = deepcopy(module.state_dict()), False
        try:
            _make(pair, move)
            follow(move.source, move.spare)
            better = _is_better(x, seen, move, explain)
        finally:  # whatever ends the trial, such as Ctrl-C
            if not better:
                module.load_state_dict(before)
        if better:
            return True
    return False


def _promising(pair: Pair, x: Batch, seen: Explained) -> list[Move]:
    """Moves that should be better, the best first."""
    costs, moves = _costs(seen), []
    for source in range(pair.classes):
        own = _of_class(seen, source)
        spare = int(costs.scatter(0, torch.tensor(source).to(own), torch.inf).argmin())
        if len(own) < _FEWEST or bool(costs[spare].isinf()):
            continue
        left = _residuals(pair, _some(x, own), _rows(seen.modes, own))
        halves = _with_labels_first(halved(left[::2]), pair, _some(x, own[::2]))
        worth = 2 * x.power * gain_of_two(left[1::2], halves) - float(costs[spare])
        moves.append(Move(source, spare, halves, worth))
    return sorted((move for move in moves if move.worth > 0), key=lambda move: -move.worth)


def _of_class(seen: Explained, number: int) -> Tensor:
    """Which windows a class explains best."""
    return (seen.evidence.argmax(1) == number).nonzero().squeeze(1)


def _costs(seen: Explained) -> Tensor:
    """What all windows together would lose without each class, in nats, `class`."""
    first, second = seen.evidence.topk(2, 1).values.unbind(1)
    best = seen.evidence.argmax(1)
    return torch.zeros_like(seen.evidence[0]).index_add_(0, best, first - second)


def _residuals(pair: Pair, x: Batch, modes: Mapping[str, Tensor]) -> Tensor:
    """What their class leaves unexplained of windows, as it is drawn, `window x seen shape`."""
    code = pair.code({**modes, **pair.covariates(x.known, len(x))})
    expected = beyond(pair, code)
    return align(pair, pair.seen(x.x), pack(pair, modes), code, expected) - expected


def _with_labels_first(halves: Halves, pair: Pair, x: Batch) -> Halves:
    """The part first in which more windows are whose class is known: that stays what it is."""
    labels = x.known.get(pair.discrete[0].label)
    if labels is None:
        return halves
    told = halves.part[~torch.isnan(labels).to(halves.part.device)]
    return halves.swapped() if 2 * int(told.sum()) > len(told) else halves


def _make(pair: Pair, move: Move) -> None:
    """Draw the two parts of a class by two classes, and share its weight between them."""
    source, spare, halves = move.source, move.spare, move.halves
    first, second = (_on_canvas(pair, mean, source) for mean in halves.means)
    cast(Any, pair.decoder).split_class(source, spare, first, second)
    pair.class_origin[spare] = pair.class_origin[source]
    pair.class_turn[spare] = pair.class_turn[source]
    weights = pair.discrete[0].prior
    if isinstance(weights, ClassWeights):
        weights.split(source, spare, halves.shares)


def _on_canvas(pair: Pair, change: Tensor, number: int) -> Tensor:
    """What a class's canvas gains by a change of its motif, with a pixel more on each side."""
    shape = [size + 2 for size in cast(Any, pair.decoder).canvas_shape]
    unit = half_window(pair.window)
    axes = [(torch.arange(size, device=pair.device) - (size - 1) / 2) / unit for size in shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    points = points - pair.origin - pair.class_origin[number]
    planes = change.reshape(1, -1, *pair.window)
    there = look_at(planes, points.unsqueeze(0), pair.window, "zeros", planes.shape[1])[0]
    stacked = pair.likelihood.statistics is not None
    return pair.likelihood.start(there if stacked else there.squeeze(-1))


def _is_better(x: Batch, seen: Explained, move: Move, explain: Explain) -> bool:
    """Whether windows of both classes are surely explained better, of which it was not made."""
    rows = torch.cat([_of_class(seen, number)[1::2] for number in (move.source, move.spare)])
    now = _in_parts(explain, _some(x, rows)).evidence.logsumexp(1)
    gain = now - seen.evidence[rows].logsumexp(1)
    return bool(gain.mean() > _SURE * gain.std() * len(gain) ** -0.5)


def _in_parts(explain: Explain, x: Batch) -> Explained:
    """What is told of windows, some at a time."""
    rows = torch.arange(len(x), device=x.x.device).split(_AT_ONCE)
    evidence, modes = zip(*[explain(_some(x, some)) for some in rows], strict=True)
    together = {name: torch.cat([each[name] for each in modes]) for name in modes[0]}
    return Explained(torch.cat(evidence), together)


def _some(x: Batch, rows: Tensor) -> Batch:
    """Some windows of a batch, and what is known of them."""
    return Batch(x.x[rows], _rows(x.known, rows), x.power)


def _rows(values: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {name: value[rows.to(value.device)] for name, value in values.items()}

"""Transitions behind classes that are sometimes wrong: a hidden Markov model, by Gibbs sampling.

Generative story, for each track:

    transition[i] ~ Dirichlet(prior)                 for each class i
    confusion[i] ~ Dirichlet(mostly i)               what class i is taken for
    state[t] ~ Categorical(transition[state[t - 1]])
    seen[t] ~ Categorical(confusion[state[t]])       the class that it looks like
    z[t] ~ mixture component seen[t]

A wrong class looks like a switch there and back. What tells it from one is that too many visits
last for a single frame.
"""

from dataclasses import dataclass

import numpy as np

from pyroshift.pathways.tracks import Array

BURN_IN = 100  # sweeps before the first draw that counts
# Before any data, 1 window in 20 is wrong, which counts as much as 20 windows seen.
_RIGHT, _WRONG = 19.0, 1.0


@dataclass(frozen=True)
class Draws:
    """Draws from the posterior, each `draw x class x class`."""

    transition: Array
    confusion: Array
    count: Array


def draw_hidden(evidence: Array, prior: float, draws: int, seed: int) -> Draws:
    """Draws of transitions, confusion and numbers of switches, given what each frame says.

    Args:
        evidence: `track x frame x class`, likelihood of each class; NaN at gaps.
        prior: pseudo-count of each transition.
        draws: their number.
        seed: of the random numbers.

    Example:
        >>> evidence = np.eye(2)[np.arange(60) // 20 % 2][None]  # stays for 20 frames
        >>> found = draw_hidden(evidence, prior=0.5, draws=100, seed=0)
        >>> bool(found.transition.mean(0)[0, 0] > 0.9)
        True
    """
    evidence, known, within = _left_aligned(evidence)
    rng = np.random.default_rng(seed)
    classes = evidence.shape[-1]
    wrong = _WRONG / max(classes - 1, 1)
    expected = np.full((classes, classes), wrong) + (_RIGHT - wrong) * np.eye(classes)
    transition = np.full((classes, classes), 0.1 / classes) + 0.9 * np.eye(classes)
    confusion, start = expected / expected.sum(1, keepdims=True), np.full(classes, 1 / classes)
    kept: dict[str, list[Array]] = {"transition": [], "confusion": [], "count": []}
    for sweep in range(BURN_IN + draws):
        # One row for each class, so that gaps and frames beyond the end say nothing.
        emission = np.where(known[..., None], evidence @ confusion.T, 1.0)
        state = draw_states(emission, transition, start, rng)
        seen = _drawn(confusion[state[known]] * evidence[known], rng)
        count = _counted(state[:, :-1][within], state[:, 1:][within], classes)
        transition = _dirichlets(prior + count, rng)
        confusion = _dirichlets(expected + _counted(state[known], seen, classes), rng)
        start = rng.dirichlet(0.5 + np.bincount(state[:, 0], minlength=classes))
        if sweep >= BURN_IN:
            for name, value in zip(kept, (transition, confusion, count), strict=True):
                kept[name].append(value)
    return Draws(**{name: np.array(values) for name, values in kept.items()})


def draw_states(
    emission: Array, transition: Array, start: Array, rng: np.random.Generator
) -> Array:
    """States of all tracks, `track x frame`, by forward filtering and backward sampling.

    Args:
        emission: `track x frame x class`, likelihood of each state.
        transition: `class x class`.
        start: `class`, probabilities of the first state.
        rng: where random numbers come from.

    Example:
        >>> emission = np.array([[[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]])
        >>> stays = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> draw_states(emission, stays, np.array([0.5, 0.5]), np.random.default_rng(0)).tolist()
        [[0, 0, 0]]
    """
    tracks, frames = emission.shape[:2]
    filtered = np.empty_like(emission)
    ahead = np.broadcast_to(start, (tracks, len(start)))
    for frame in range(frames):
        joint = ahead * emission[:, frame]
        filtered[:, frame] = joint / joint.sum(-1, keepdims=True)
        ahead = filtered[:, frame] @ transition
    state = np.empty((tracks, frames), np.int64)
    state[:, -1] = _drawn(filtered[:, -1], rng)
    into = np.ascontiguousarray(transition.T)
    for frame in range(frames - 2, -1, -1):
        state[:, frame] = _drawn(filtered[:, frame] * into[state[:, frame + 1]], rng)
    return state


def _left_aligned(evidence: Array) -> tuple[Array, Array, Array]:
    """Evidence of tracks that all begin in the first column, and which of it is there.

    Returns:
        `track x frame x class`; `track x frame`, whether a frame was seen; and `track x (frame -
        1)`, whether a step is between the first and the last frame of its track.
    """
    known = np.all(np.isfinite(evidence), axis=-1)
    used = np.any(known, axis=1)
    evidence, known = evidence[used], known[used]
    frames = known.shape[1]
    first, last = known.argmax(1), frames - 1 - known[:, ::-1].argmax(1)
    columns = first[:, None] + np.arange(frames)
    beyond = columns > last[:, None]
    columns = np.minimum(columns, frames - 1)
    moved = np.take_along_axis(evidence, columns[..., None], 1)
    seen = np.take_along_axis(known, columns, 1) & ~beyond
    return np.where(seen[..., None], moved, 1.0), seen, ~beyond[:, 1:]


def _drawn(weight: Array, rng: np.random.Generator) -> Array:
    """One index from each row (row × class) of weights."""
    passed = np.cumsum(weight, -1)
    threshold = rng.random(len(weight)) * passed[:, -1]
    return (threshold[:, None] >= passed[:, :-1]).sum(-1)


def _counted(first: Array, second: Array, classes: int) -> Array:
    """How often each pair occurs, `class x class`."""
    pairs = np.bincount(first * classes + second, minlength=classes**2)
    return pairs.reshape(classes, classes)


def _dirichlets(concentration: Array, rng: np.random.Generator) -> Array:
    """One row of probabilities from each row of concentrations."""
    rows = np.array([rng.dirichlet(row) for row in concentration])
    return rows / rows.sum(1, keepdims=True)  # to the last digit, so that one class has exactly 1

"""Synthetic movies of atoms that switch between known states and turn at random."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from pyroshift.data.synthetic._common import (
    Array,
    check,
    check_counts,
    chunks,
    rotate,
    variable,
)
from pyroshift.errors import DataError

# Each state's neighbours of the atom in the middle: direction in radians and brightness. None of
# them looks the same at two angles.
_NEIGHBOURS = (
    ((0.0, 0.9), (1.6, 0.6)),
    ((0.0, 0.9), (1.6, 0.6), (3.5, 0.75)),
    ((0.0, 0.9),),
    ((0.0, 0.9), (1.6, 0.6), (2.8, 0.75), (4.6, 0.75)),
)
_DISTANCE = 6.5  # pixels, of the neighbours
_MIDDLE_WIDTH, _WIDTH = 1.8, 1.4  # standard deviations of the atoms, pixels
_REACH = 12  # pixels from the middle to where a motif has faded
_DISORDER = 0.08  # periods that sites are off the lattice along each axis, at most


def switching(
    frames: int = 40,
    sites: tuple[int, int] = (6, 6),
    spacing: float = 32.0,
    transition: ArrayLike = ((0.95, 0.05), (0.1, 0.9)),
    initial: Sequence[float] | None = None,
    turn: float = 0.3,
    jitter: float = 0.3,
    drift: tuple[float, float] = (0.1, -0.05),
    noise: float = 0.1,
    seed: int = 0,
) -> xr.Dataset:
    """A movie of atoms that gain and lose neighbours at known rates, turn, shake and drift.

    In state 0 an atom has two neighbours; in states 1, 2 and 3 it has three, one and four. The
    states of each atom are a Markov chain of its own; its neighbours turn around it at random.

    Args:
        frames: number of frames.
        sites: rows and columns of a lattice that the atoms are on, with some disorder.
        spacing: of the lattice in pixels, at least 24.
        transition: `state x next state`, for two to four states: probability that an atom in a
            state is in the next one a frame later. Rows sum to 1.
        initial: probability of each state in the first frame; all alike unless told.
        turn: standard deviation of the angle's random steps from frame to frame, radians.
        jitter: standard deviation of the thermal motion along each axis, pixels.
        drift: motion of the whole specimen per frame, (y, x) pixels.
        noise: its standard deviation.
        seed: of the random numbers.

    Returns:
        ``image`` (frame × y × x); for each atom in each frame ``state`` and ``angle`` (atom), with
        the coordinates ``frame``, ``y``, ``x`` in pixels and ``track`` (atom), which tells the
        same atom in other frames; ``transition`` (class × next_class).

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> movie = switching(frames=3, sites=(2, 2))
        >>> movie["image"].sizes["frame"], movie["state"].shape
        (3, (12,))
    """
    check_counts(1, frames=frames, rows=sites[0], columns=sites[1])
    check(spacing=(spacing, 2 * _REACH, math.inf), turn=(turn, 0, math.inf))
    check(jitter=(jitter, 0, math.inf), noise=(noise, 0, math.inf))
    check(drift_y=(drift[0], -math.inf, math.inf), drift_x=(drift[1], -math.inf, math.inf))
    matrix = _probabilities(transition)
    start = np.full(len(matrix), 1 / len(matrix)) if initial is None else np.asarray(initial, float)
    if start.shape != (len(matrix),) or not _sums_to_one(start):
        raise DataError(f"initial={initial!r} can't be used: give {len(matrix)} that sum to 1")
    rng = np.random.default_rng(seed)
    ideal = np.indices(sites).reshape(2, -1).T * spacing
    count = len(ideal)
    state = _chains(matrix, start, frames, count, rng)
    steps = turn * rng.standard_normal((frames - 1, count))
    angle = rng.uniform(-math.pi, math.pi, count) + np.cumsum(np.pad(steps, ((1, 0), (0, 0))), 0)
    moved = np.arange(frames)[:, None] * np.asarray(drift, float)
    home = ideal + _DISORDER * spacing * rng.uniform(-1, 1, (count, 2))
    shaken = home + jitter * rng.standard_normal((frames, count, 2)) + moved[:, None]
    # So much room on all sides that a window as large as the spacing holds every atom.
    margin = spacing / 2 + _DISORDER * spacing + 4 * jitter + 1
    position = shaken - moved.min(0) + margin
    shape = np.ceil(ideal.max(0) + np.ptp(moved, axis=0) + 2 * margin).astype(int) + 1
    image = _drawn(position, angle, state, tuple(shape))
    image += noise * rng.standard_normal(image.shape, np.float32)
    variables = {
        "image": variable(("frame", "y", "x"), image, "grey level"),
        "state": variable("atom", state.ravel(), "state of the atom"),
        "angle": variable(
            "atom", np.angle(np.exp(1j * angle)).ravel(), "angle, counter-clockwise", "rad"
        ),
        "transition": variable(
            ("class", "next_class"), matrix, "probability to be in the next state a frame later"
        ),
    }
    coordinates = {
        "atom": variable("atom", np.arange(state.size), "index of the atom"),
        "frame": variable("atom", np.repeat(np.arange(frames), count), "index of the frame"),
        "y": variable("atom", position[..., 0].ravel(), "y of the atom", "px"),
        "x": variable("atom", position[..., 1].ravel(), "x of the atom", "px"),
        "track": variable("atom", np.tile(np.arange(count), frames), "index of the track"),
    }
    attrs: dict[str, Any] = {"generator": "switching", "seed": seed}
    return xr.Dataset(variables, coordinates, attrs)


def _probabilities(transition: ArrayLike) -> Array:
    """The transition matrix, checked."""
    matrix = np.asarray(transition, float)
    square = matrix.ndim == 2 and len(matrix) == matrix.shape[1]
    if not (square and 2 <= len(matrix) <= len(_NEIGHBOURS) and _sums_to_one(matrix)):
        raise DataError(
            f"transition={transition!r} can't be used: give `state x next state` for 2 to "
            f"{len(_NEIGHBOURS)} states, probabilities whose rows sum to 1"
        )
    return matrix


def _sums_to_one(probability: Array) -> bool:
    return bool((probability >= 0).all() and np.allclose(probability.sum(-1), 1))


def _chains(
    matrix: Array, initial: Array, frames: int, count: int, rng: np.random.Generator
) -> Array:
    """States (frame × track) of independent Markov chains."""
    state = np.empty((frames, count), np.int64)
    last = len(matrix) - 1  # where rounding leaves a row's sum below 1
    for frame in range(frames):
        probability = initial[None] if frame == 0 else matrix[state[frame - 1]]
        passed = rng.uniform(size=(count, 1)) > np.cumsum(probability, -1)
        state[frame] = np.minimum(passed.sum(-1), last)
    return state


def _drawn(position: Array, angle: Array, state: Array, shape: tuple[int, ...]) -> Array:
    """Frames (frame × y × x) with each atom (frame × track) and its neighbours drawn in."""
    dark = np.ones((len(position), *shape), np.float32)
    box = np.arange(-_REACH, _REACH + 1)
    frame, track = np.indices(state.shape).reshape(2, -1)
    for part in chunks(state.size, 2 * len(box) ** 2):
        at = frame[part], track[part]
        corner = np.rint(position[at]).astype(int)
        rows = corner[:, 0, None, None] + box[:, None]
        columns = corner[:, 1, None, None] + box
        pixels = np.stack(np.broadcast_arrays(rows, columns), -1)
        seen = _motif(pixels - position[at][:, None, None], angle[at], state[at])
        # Boxes of neighbours may overlap: then what one leaves dark, the other may still light.
        np.multiply.at(dark, (at[0][:, None, None], rows, columns), 1 - seen)
    return 1 - dark


def _motif(relative: Array, angle: Array, state: Array) -> Array:
    """Brightness (atom × y × x) of motifs at pixels relative to their middle (… × axis)."""
    dark = 1 - np.exp(-0.5 * np.sum((relative / _MIDDLE_WIDTH) ** 2, -1))
    for index, neighbours in enumerate(_NEIGHBOURS):
        these = state == index
        for direction, brightness in neighbours:
            centre = rotate(np.array([0.0, _DISTANCE]), angle[these] + direction)
            away = (relative[these] - centre[:, None, None]) / _WIDTH
            dark[these] *= 1 - brightness * np.exp(-0.5 * np.sum(away**2, -1))
    return 1 - dark

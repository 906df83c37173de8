"""`link_atoms`: which atom of one frame is which of the next."""

import logging
from collections.abc import Iterator
from numbers import Integral, Real
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.atoms.translations import spacing as usual_spacing
from pyroshift.data.atoms import ATOM, FRAME, check_atoms, length_unit, positions
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

NEAR = 0.4  # of the distance between neighbours, that an atom may move from frame to frame
REACH = 2.0  # of that distance, within which the frames' common shift is looked for
SAME = 0.15  # of that distance, within which shifts count as the same
NO_TRACK = -1


def link_atoms(
    atoms: xr.Dataset,
    search_range: float | None = None,
    *,
    memory: int = 2,
    shortest: int = 2,
    drift: bool = True,
) -> xr.Dataset:
    """Tracks: the same atom in one frame after another, by trackpy, with the drift taken off first.

    The drift from one frame to the next is the shift by which most atoms find a partner, the
    smallest one where several are as good, as on a lattice; so frames may drift by more than the
    distance between atoms only where vacancies or edges tell shifts apart. It is then refined to
    the median move of the atoms that were linked.

    Args:
        atoms: of a stack, from `find_atoms` or `encode`, with the coordinates `frame`, `y`, `x`.
        search_range: how far an atom may move between frames, drift apart, in the unit of `y` and
            `x`; by default 0.4 of the distance between neighbours.
        memory: how many frames an atom may be unseen, and still be the same.
        shortest: fewest frames of a track; atoms of shorter ones are in none.
        drift: whether to take off the drift; if not, it is 0.

    Returns:
        The atoms with the coordinate `track`, an integer, -1 for those in no track; and the
        variable `drift` (atom x axis), how far the atom's frame has moved since the first one, in
        the unit of `y` and `x`. These stay where the atoms are in the frames.

    Raises:
        DataError: if there are no frames to link, an option is out of its range, or so many atoms
            are within the search range of each other that they can't be linked.
        ImportError: if the extra `atoms` isn't installed.

    Source:
        Crocker and Grier, "Methods of digital video microscopy for colloidal studies" (1996), as in
        trackpy.

    Example:
        >>> from pyroshift.data.atoms import labelled_atoms
        >>> positions = [[0, 10, 10], [0, 10, 30], [1, 11, 31], [1, 11, 11], [1, 40, 40]]
        >>> atoms = labelled_atoms(xr.DataArray(np.zeros((2, 50, 50))), np.array(positions), {})
        >>> linked = link_atoms(atoms)
        >>> linked.track.values
        array([ 0,  1,  1,  0, -1])
        >>> linked.drift.values[2]
        array([1., 1.])
    """
    check_installed("trackpy", "scipy", extra="atoms")
    _check(atoms, search_range, memory, shortest)
    frame = atoms[FRAME].values.astype(int)
    position = positions(atoms)
    # Single particles have only one measure: how far they are from each other over all frames.
    spacing = usual_spacing([position[index] for index in _frames(frame)])
    spacing = spacing or float(np.hypot(*np.ptp(position, axis=0))) or 1.0
    reach = NEAR * spacing if search_range is None else float(search_range)
    moved = _rough_drift(position, frame, spacing) if drift else np.zeros((np.ptp(frame) + 1, 2))
    since = frame - frame.min()
    track = _linked(position - moved[since], frame, reach, memory)
    if drift:
        moved = moved + _remaining_drift(position - moved[since], frame, track)
    attrs = {"long_name": "index of the track; -1 for none", "search_range": reach}
    moves = {"long_name": "drift of the frame since the first", "units": length_unit(atoms)}
    return atoms.assign_coords(
        track=(ATOM, _numbered(track, shortest), attrs), axis=np.array(["y", "x"], dtype=object)
    ).assign(drift=((ATOM, "axis"), moved[since], moves))


def _check(atoms: Any, search_range: Any, memory: Any, shortest: Any) -> None:
    """Raise a DataError for what can't be linked, or not that way."""
    check_atoms(atoms)
    if FRAME not in atoms.coords or len(np.unique(atoms[FRAME])) < 2:
        raise DataError(
            "there is nothing to link: the atoms are of one frame, or have no coordinate `frame`; "
            "find them in a stack"
        )
    length_unit(atoms)
    if search_range is not None and not (
        isinstance(search_range, Real) and 0 < float(search_range) < np.inf
    ):
        raise DataError(f"search_range must be a positive length, got {search_range!r}")
    for name, value, least in (("memory", memory, 0), ("shortest", shortest, 1)):
        if not (isinstance(value, Integral) and int(value) >= least):
            raise DataError(f"{name} must be a whole number of at least {least}, got {value!r}")


def _frames(frame: np.ndarray) -> Iterator[np.ndarray]:
    """The indices of each frame's atoms, from the first frame to the last."""
    return (np.flatnonzero(frame == each) for each in range(frame.min(), frame.max() + 1))


def _rough_drift(position: np.ndarray, frame: np.ndarray, spacing: float) -> np.ndarray:
    """How far each frame has moved since the first: `frame x axis`."""
    shifts = [np.zeros(2)]
    before = None
    for index in _frames(frame):
        if before is not None:
            known = len(index) > 0
            shifts.append(_shift(before, position[index], spacing) if known else np.zeros(2))
        before = position[index] if len(index) else before
    return np.cumsum(shifts, axis=0)


def _shift(before: np.ndarray, after: np.ndarray, spacing: float) -> np.ndarray:
    """The move that brings most atoms onto others."""
    from scipy.spatial import KDTree

    close = KDTree(after).query_ball_point(before, REACH * spacing)
    first = np.repeat(np.arange(len(before)), [len(found) for found in close])
    if not len(first):
        return np.zeros(2)
    moves = after[np.concatenate([found for found in close if found]).astype(int)] - before[first]
    alike = KDTree(moves).query_ball_point(moves, SAME * spacing, return_length=True)
    # On a lattice every lattice vector does about as well: of these the smallest is taken.
    length = np.linalg.norm(moves, axis=1)
    best = np.argmax(alike * (1 - 0.25 * length / (REACH * spacing)))
    near = np.linalg.norm(moves - moves[best], axis=1) < SAME * spacing
    return np.median(moves[near], axis=0)


def _linked(position: np.ndarray, frame: np.ndarray, reach: float, memory: int) -> np.ndarray:
    """The track of each atom."""
    import trackpy

    indices = list(_frames(frame))
    # In units of the reach: trackpy adds a millionth to it, which would be far in metres.
    given = ((number, position[index] / reach) for number, index in enumerate(indices))
    track = np.empty(len(frame), int)
    level = trackpy.logger.level
    trackpy.logger.setLevel(logging.WARNING)  # it tells of every frame otherwise
    try:
        found = trackpy.link_iter(given, 1.0, memory=memory)
        for index, (_, labels) in zip(indices, found, strict=True):
            track[index] = labels
    except trackpy.SubnetOversizeException as error:
        raise DataError(
            f"too many atoms are within search_range={reach:.4g} of each other to tell who is who: "
            "choose a smaller one"
        ) from error
    finally:
        trackpy.logger.setLevel(level)
    return track


def _remaining_drift(position: np.ndarray, frame: np.ndarray, track: np.ndarray) -> np.ndarray:
    """Drift that is left: the median move of the atoms from each frame to the next, summed up."""
    moves = [np.zeros(2)]
    before: dict[int, np.ndarray] = {}
    for count, index in enumerate(_frames(frame)):
        now = dict(zip(track[index].tolist(), position[index], strict=True))
        both = [now[each] - before[each] for each in now if each in before]
        if count:
            moves.append(np.median(both, axis=0) if both else np.zeros(2))
        before = before | now
    return np.cumsum(moves, axis=0)


def _numbered(track: np.ndarray, shortest: int) -> np.ndarray:
    """Tracks numbered from 0 as they come, without the short ones."""
    labels, first, inverse, count = np.unique(
        track, return_index=True, return_inverse=True, return_counts=True
    )
    number = np.full(len(labels), NO_TRACK)
    kept = np.flatnonzero(count >= shortest)
    number[kept[np.argsort(first[kept])]] = np.arange(len(kept))
    return number[inverse]

"""Maps as sequences: which atom of each frame belongs to which track."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pyroshift.data.atoms import ATOM, FRAME
from pyroshift.errors import DataError

Array = NDArray[Any]
TRACK = "track"
CLASS, NEXT_CLASS, CLASS_INDEX, CLASS_PROBABILITY, CLASS_WEIGHT = (
    "class", "next_class", "class_index", "class_probability", "class_weight",
)  # fmt: skip
MISSING = -1  # class of a patch that has none, and track of an atom in none


@dataclass(frozen=True)
class Tracks:
    """Where in a list of atoms each frame of each track is.

    Args:
        labels: `track`, the tracks' numbers.
        frames: `frame`, consecutive numbers.
        atoms: `track x frame`, indices into the list; -1 at gaps.
    """

    labels: Array
    frames: Array
    atoms: Array

    def spread(self, values: Array, fill: float) -> Array:
        """Values per atom (`atom x ...`) as `track x frame x ...`, filled at gaps."""
        found = np.asarray(values)[self.atoms]
        found[self.atoms < 0] = fill
        return found


def flattened(maps: xr.Dataset) -> xr.Dataset:
    """Maps of a sequence over "atom", with the coordinate `frame` counted from 0.

    On a grid, every window's place is a track of its own. Frames keep their numbers, between which
    there may be gaps; where these are times, they are counted.

    Raises:
        DataError: if the maps aren't of a sequence of frames.

    Example:
        >>> maps = xr.Dataset({"z": (("frame", "y", "x", "latent"), np.zeros((2, 3, 4, 1)))})
        >>> flattened(maps).sizes["atom"], int(flattened(maps).track.max())
        (24, 11)
    """
    if not isinstance(maps, xr.Dataset):
        raise DataError(f"expected a Dataset from encode, got {type(maps).__name__}")
    if ATOM in maps.dims:
        if FRAME not in maps.coords or maps[FRAME].dims != (ATOM,):
            raise DataError("the atoms have no coordinate `frame`: cut them from a stack of frames")
        return maps
    if not {FRAME, "y", "x"} <= set(maps.dims):
        raise DataError(
            f"the maps are over {tuple(maps.dims)}: for a sequence they must be over `atom`, with "
            "the coordinate frame, or over `frame`, `y` and `x`"
        )
    frames, places = maps.sizes[FRAME], maps.sizes["y"] * maps.sizes["x"]
    numbers = maps[FRAME].values
    if numbers.dtype.kind not in "iu":
        numbers = np.arange(frames)
    flat = maps.stack({ATOM: (FRAME, "y", "x")}, create_index=False).transpose(ATOM, ...)
    return flat.assign_coords(
        {
            FRAME: (ATOM, np.repeat(numbers, places)),
            TRACK: (ATOM, np.tile(np.arange(places), frames)),
        }
    )


def tracks(maps: xr.Dataset) -> Tracks:
    """The tracks of flattened maps; atoms in none are left out.

    Raises:
        DataError: if there are none, or an atom is twice in one frame.

    Example:
        >>> coords = {"frame": ("atom", [5, 7, 5]), "track": ("atom", [3, 3, -1])}
        >>> tracks(xr.Dataset(coords=coords)).atoms
        array([[ 0, -1,  1]])
    """
    if TRACK not in maps.coords:
        raise DataError("the atoms have no coordinate `track`: link_atoms gives them one")
    linked = np.flatnonzero(maps[TRACK].values >= 0)
    if not len(linked):
        raise DataError("no atom is in a track: link_atoms links them from frame to frame")
    frame = maps[FRAME].values[linked].astype(np.int64)
    labels, row = np.unique(maps[TRACK].values[linked], return_inverse=True)
    frames = np.arange(frame.min(), frame.max() + 1)
    atoms = np.full((len(labels), len(frames)), -1)
    atoms[row, frame - frames[0]] = linked
    if (atoms >= 0).sum() < len(linked):
        raise DataError("a track has two atoms in one frame: link the atoms anew by link_atoms")
    return Tracks(labels, frames, atoms)


def class_names(maps: xr.Dataset) -> Array:
    """Names of the classes; as many as occur where maps don't say.

    Raises:
        DataError: if the maps aren't classified.

    Example:
        >>> class_names(xr.Dataset({"class_index": ("atom", [0, 1, -1])})).tolist()
        ['class 0', 'class 1']
    """
    if CLASS_INDEX not in maps:
        raise DataError("the maps have no classes: classify gives them some")
    if CLASS in maps.coords:
        return maps[CLASS].values
    count = maps.sizes.get(CLASS, int(maps[CLASS_INDEX].max()) + 1)
    if not count:
        raise DataError("no patch has a class: all of class_index are -1")
    return default_names(count)


def default_names(count: int) -> Array:
    """Names of so many classes; as objects, since Zarr has no text of fixed length."""
    return np.array([f"class {index}" for index in range(count)], dtype=object)

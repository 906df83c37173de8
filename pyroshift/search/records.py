"""What the trainings of a search left: kept one by one, and put together over the space."""

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.files import write_dataset
from pyroshift.errors import TrainingError
from pyroshift.maps.labels import COLLAPSED
from pyroshift.search.space import FINAL, INITIAL, Point, Space, label
from pyroshift.search.study import JOURNAL

# What the numbers of the result mean, and their units.
_MEANINGS = {
    INITIAL: ("initial KL weight", "1"),
    FINAL: ("final KL weight", "1"),
    "score": ("score", "1"),
    "smoothness": ("share of spectral intensity in the central peak", "1"),
    "bound": ("held-out ELBO", "nats/px"),
    "seconds": ("processor time", "s"),
    "training": ("number of the training", "1"),
}
_ITS_OWN = ("configuration", "window")  # attributes that tell of one training's model


class Records:
    """What the trainings left, by their numbers: in a folder, or in memory.

    Args:
        folder: where to keep it, if anywhere.
        overwrite: whether to remove a search that is there.

    Raises:
        FileExistsError: if the folder holds some of which no journal tells.
    """

    def __init__(self, folder: Path | None, overwrite: bool) -> None:
        self.folder = folder
        self.kept: dict[int, xr.Dataset] = {}
        if folder is None:
            return
        left = sorted(folder.glob("training_*"))
        if overwrite:
            for path in (folder / JOURNAL, *left):
                path.unlink(missing_ok=True)
        elif left and not (folder / JOURNAL).exists():
            raise FileExistsError(
                f"{folder} holds {left[0].name} but no {JOURNAL} to go on with: choose another "
                "folder"
            )

    def model(self, number: int) -> Path | None:
        """Where a training's model goes, if anywhere."""
        return None if self.folder is None else self.folder / _name(number, "pt")

    def write(self, number: int, found: xr.Dataset) -> None:
        """Keep what a training found."""
        if self.folder is None:
            self.kept[number] = found
            return
        write_dataset(self.folder / _name(number, "nc"), found)

    def read_all(self, settled: Mapping[Point, int]) -> dict[Point, xr.Dataset]:
        """What was found at each point, but where a training failed."""
        return {
            point: maps.assign(training=number)
            for point, number in settled.items()
            if (maps := self._read(number)) is not None
        }

    def _read(self, number: int) -> xr.Dataset | None:
        if self.folder is None:
            return self.kept.get(number)
        path = self.folder / _name(number, "nc")
        return xr.load_dataset(path, engine="h5netcdf") if path.exists() else None


def assembled(space: Space, found: Mapping[Point, xr.Dataset], folder: Path | None) -> xr.Dataset:
    """One Dataset over the space, NaN where nothing was found.

    Args:
        space: what was searched.
        found: what the trainings left, by point.
        folder: where their models are, if anywhere.

    Raises:
        TrainingError: if none left anything.
    """
    if not found:
        raise TrainingError(
            "no training of the search kept a finite loss: see the warnings for the likely causes"
        )
    largest = max(found.values(), key=lambda maps: maps.sizes["latent"])
    variables = {
        name: ((*space.axes, *variable.dims), _spread(space, found, name), variable.attrs)
        for name, variable in largest.data_vars.items()
    }
    shared = {name: value for name, value in largest.attrs.items() if name not in _ITS_OWN}
    # Without those that they bring along themselves.
    coordinates: dict[Hashable, Any] = {
        name: max((maps.coords[name].variable for maps in found.values()), key=lambda one: one.size)
        for name in largest.coords
    } | dict(space.labels())
    if COLLAPSED in coordinates:  # which differs among the trainings
        gone = _spread(space, found, COLLAPSED) == 1
        coordinates[COLLAPSED] = ((*space.axes, "latent"), gone, coordinates[COLLAPSED].attrs)
    result = xr.Dataset(variables, coordinates, shared | {"title": "Search of KL weights"})
    for name, (long_name, units) in _MEANINGS.items():
        result[name].attrs.update(long_name=long_name, units=units)
    return result.assign_attrs(_best(space, found, folder))


def _spread(space: Space, found: Mapping[Point, xr.Dataset], name: Hashable) -> np.ndarray:
    """One variable at all points; those of fewer latents or classes leave NaN."""
    parts = {point: maps[name].values for point, maps in found.items()}
    shape = np.max([part.shape for part in parts.values()], axis=0).astype(int)
    dtype = np.result_type(*(part.dtype for part in parts.values()), np.float32)
    full = np.full((*space.shape, *shape), np.nan, dtype)
    for point, part in parts.items():
        region: tuple[Any, ...] = (*point, *map(slice, part.shape))
        full[region] = part
    return full


def _best(space: Space, found: Mapping[Point, xr.Dataset], folder: Path | None) -> dict[str, Any]:
    """The settings of the best score, and the file of its model, as attributes."""
    scores = {point: float(maps.score) for point, maps in found.items()}
    point = max(scores, key=lambda point: np.nan_to_num(scores[point], nan=-math.inf))
    best = {f"best_{name}": label(value) for name, value in space.settings(point).items()}
    if folder is not None:
        best["best_model"] = _name(int(found[point].training), "pt")
    return best


def _name(number: int, ending: str) -> str:
    """The file of a training's maps (nc) or model (pt)."""
    return f"training_{number:04d}.{ending}"

"""Where the places of maps are: cells of a grid, points, or a plain list; frame by frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.plot.fields import fields
from pyroshift.plot.geometry import Extent, extent, positions

FRAME = "frame"


@dataclass(frozen=True)
class Places:
    """The places of maps, numbered in the order of their dimensions.

    Args:
        kind: "grid", "points" or "list".
        template: a map, whose dimensions and coordinates they are.
        frames: a label for each frame; one where there are none.
        rows: of a grid, or of a list that is wrapped.
        columns: the same.
        extent: left, right, bottom and top of a grid or of all points, in `units`.
        names: of the axes, y and x.
        units: along y and x.
        x: of points; empty otherwise.
        y: of points; empty otherwise.
        frame: index of the frame of each point; empty otherwise.
    """

    kind: str
    template: xr.DataArray
    frames: tuple[str, ...]
    rows: int
    columns: int
    extent: Extent
    names: tuple[str, str]
    units: tuple[str, str]
    x: np.ndarray
    y: np.ndarray
    frame: np.ndarray

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of the maps."""
        return tuple(map(str, self.template.dims))

    def __len__(self) -> int:
        """How many there are, those without a window included."""
        return self.template.size


def places_of(maps: xr.Dataset) -> Places:
    """The places that maps are of.

    Args:
        maps: from `encode`.

    Raises:
        DataError: if there is no map, or no place.

    Example:
        >>> maps = xr.Dataset({"z": (("y", "x", "latent"), np.zeros((3, 4, 2)))})
        >>> places = places_of(maps)
        >>> places.kind, len(places), places.extent
        ('grid', 12, (-0.5, 3.5, 2.5, -0.5))
    """
    template = next(iter(fields(maps).values()))
    if template.ndim > 1:
        return _grid(template)
    along = template.dims[0]
    is_point = all(
        name in template.coords and template[name].dims == (along,) for name in ("y", "x")
    )
    return _points(template) if is_point else _list(template)


_NONE: Any = np.zeros(0, np.float32)


def _grid(template: xr.DataArray) -> Places:
    *before, rows, columns = template.dims
    plane = template.isel(dict.fromkeys(before, 0), drop=True)
    y, x = (positions(plane, str(dim))[1] for dim in (rows, columns))
    labels = [""]
    for dim in before:
        labels = [f"{old} {new}".strip() for old in labels for new in _labels(template, str(dim))]
    return Places(
        "grid",
        template,
        tuple(labels),
        plane.shape[0],
        plane.shape[1],
        extent(plane),
        (str(rows), str(columns)),
        (y, x),
        _NONE,
        _NONE,
        np.zeros(0, np.int32),
    )


def _labels(template: xr.DataArray, dim: str) -> list[str]:
    """What the entries along a dimension are called."""
    if dim not in template.coords:
        return [f"{dim} {index}" for index in range(template.sizes[dim])]
    units = str(template[dim].attrs.get("units", "")).removeprefix("1")
    return [
        f"{dim} {value:.4g} {units}".strip() if isinstance(value, float) else f"{dim} {value}"
        for value in template[dim].values.tolist()
    ]


def _points(template: xr.DataArray) -> Places:
    y, x = (template[name].values.astype(float) for name in ("y", "x"))
    area = max(np.ptp(x) * np.ptp(y), np.ptp(x) ** 2 / 16, np.ptp(y) ** 2 / 16) or 1.0
    margin = float(np.sqrt(area / len(x)))
    frame = np.zeros(len(x), np.int32)
    if FRAME in template.coords and template[FRAME].ndim == 1:
        frame = template[FRAME].values.astype(np.int32)
    return Places(
        "points",
        template,
        tuple(f"{FRAME} {number}" for number in range(int(frame.max()) + 1)),
        0,
        0,
        (x.min() - margin, x.max() + margin, y.max() + margin, y.min() - margin),
        ("y", "x"),
        tuple(str(template[name].attrs.get("units", "px")) for name in ("y", "x")),  # type: ignore[arg-type]
        x.astype(np.float32),
        y.astype(np.float32),
        frame,
    )


def _list(template: xr.DataArray) -> Places:
    """A list, wrapped into rows, as it has no place."""
    columns = int(np.ceil(np.sqrt(template.size)))
    rows = -(-template.size // columns)
    return Places(
        "list",
        template,
        ("",),
        rows,
        columns,
        (-0.5, columns - 0.5, rows - 0.5, -0.5),
        ("row", "column"),
        ("", ""),
        _NONE,
        _NONE,
        np.zeros(0, np.int32),
    )

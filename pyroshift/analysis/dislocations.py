"""`dislocations`: where a displacement doesn't close, and by which lattice vector."""

from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.unwrapping import Array
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

DISLOCATION = "dislocation"


def dislocations(displaced: xr.Dataset, separation: float | None = None) -> xr.Dataset:
    """Dislocations of a lattice: where they are, and their Burgers vectors.

    Around a dislocation the displacement grows by a lattice vector, its Burgers vector. Windows on
    its core see no lattice that fits, and so there may be several residues close to each other:
    those nearer than `separation` are one dislocation, by their sum, and none where that is 0, as
    it mostly is in noise.

    Args:
        displaced: from `displacement`.
        separation: distance in the image's unit within which residues are one dislocation's; by
            default a window's longer side, or the longer lattice vector if that is more.

    Returns:
        Over "dislocation": the coordinates `y` and `x`, the mean place of its residues; `burgers`
        (dislocation x axis), in the image's unit, of the perfect reference lattice; `burgers_index`
        (dislocation x vector), whole numbers of `lattice_vectors`. What the displacement grows by
        is counted around it from x towards y, which is clockwise as displayed where y runs down.
        There may be none.

    Raises:
        DataError: if that is no displacement from `displacement`, or the separation is no length.

    Example:
        >>> from pyroshift import displacement
        >>> y, x = np.meshgrid(np.arange(20.0), np.arange(30.0), indexing="ij")
        >>> around = 6 * np.arctan2(y - 9.5, x - 14.5) / (2 * np.pi)
        >>> offset = (np.stack([0 * x, around], -1) - np.stack([y, x], -1) + 3) % 6 - 3
        >>> maps = xr.Dataset({"offset": (("y", "x", "axis"), offset)}, {"y": y[:, 0], "x": x[0]})
        >>> maps["offset_std"] = 0.01 + 0 * maps.offset
        >>> found = dislocations(displacement(maps, [[6, 0], [0, 6]], fixed=True))
        >>> found.burgers.values.tolist(), found.y.item(), found.x.item()
        ([[0.0, 6.0]], 9.5, 14.5)
    """
    check_installed("scipy", extra="atoms")
    if not isinstance(displaced, xr.Dataset) or not {"residue", "lattice_vectors"} <= set(
        displaced.data_vars
    ):
        raise DataError("expected a displacement on a grid, from displacement(maps, vectors)")
    lattice = displaced["lattice_vectors"].values
    window = np.max(displaced.attrs.get("window_length", 0.0))
    reach = max(float(window), float(np.linalg.norm(lattice, axis=1).max()))
    if separation is not None:
        if not (isinstance(separation, int | float | np.number) and 0 < separation < np.inf):
            raise DataError(f"the separation must be a length greater than 0, got {separation!r}")
        reach = float(separation)
    residue = np.nan_to_num(displaced["residue"].transpose("y_between", "x_between", ...).values)
    y, x = (displaced[f"{name}_between"].values for name in "yx")
    rows, columns = np.nonzero(residue.any(-1))
    places, indices = np.column_stack([y[rows], x[columns]]), residue[rows, columns]
    found = list(_together(places, indices, reach))
    return _labelled(displaced, found, lattice)


def _together(places: Array, indices: Array, reach: float) -> Any:
    """Place and sum of the residues of each dislocation."""
    from scipy.sparse.csgraph import connected_components

    if not len(places):
        return
    near = np.linalg.norm(places[:, None] - places, axis=-1) <= reach
    _, group = connected_components(near, directed=False)
    for number in np.unique(group):
        own = group == number
        total = indices[own].sum(0)
        if total.any():
            # Pairs of opposite residues beside it say nothing of where it is.
            weight = np.maximum(indices[own] @ total, 0.0)
            yield (weight[:, None] * places[own]).sum(0) / weight.sum(), total


def _labelled(displaced: xr.Dataset, found: list[Any], lattice: Array) -> xr.Dataset:
    places = np.array([place for place, _ in found]).reshape(-1, 2)
    index = np.array([total for _, total in found]).reshape(-1, 2)
    units = str(displaced["lattice_vectors"].attrs.get("units", "px"))
    burgers = {"long_name": "Burgers vector", "units": units}
    counted = {"long_name": "Burgers vector, in lattice vectors", "units": "1"}
    coords: dict[str, Any] = {
        name: (DISLOCATION, places[:, axis], dict(displaced[name].attrs))
        for axis, name in enumerate("yx")
    }
    coords["axis"] = np.array(["y", "x"], dtype=object)
    return xr.Dataset(
        {
            "burgers": ((DISLOCATION, "axis"), index @ lattice, burgers),
            "burgers_index": ((DISLOCATION, "vector"), index, counted),
            "lattice_vectors": displaced["lattice_vectors"].variable,
        },
        coords,
        attrs={"title": "dislocations of the lattice"},
    )

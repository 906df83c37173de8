"""`displacement`: how far the lattice is from where it should be, from the offsets of windows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.grids import (
    WindowGrid,
    check_credible,
    grid_of,
    lattice_in_units,
    with_interval,
)
from pyroshift.analysis.lattice import shortest
from pyroshift.analysis.unwrapping import (
    Array,
    check_steps,
    neighbour_steps,
    residues,
    unwrapped,
)
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

_NAMES = {
    "displacement": "displacement from the reference lattice",
    "residue": "Burgers vector around four windows, in lattice vectors",
    "lattice_vectors": "vectors of the reference lattice",
}
_FEWEST = 4  # steps between windows along each axis, from which a mean lattice is told
Region = Mapping[str, Sequence[float]] | None


def displacement(
    maps: xr.Dataset,
    vectors: Any,
    *,
    fixed: bool = False,
    region: Region = None,
    credible: float = 0.9,
) -> xr.Dataset:
    """The lattice's displacement field: where windows show it, less where it should be.

    Coordinate plus offset is where a motif is, so that on a lattice it is the displacement but for
    whole lattice vectors. From a window to its neighbour the displacement changes by less than half
    a cell, so that these steps are known, whichever cells the motifs are in; they are put together
    along the small ones first, around what is noisy or torn. Where steps around four windows don't
    add up to nothing, they enclose a dislocation: `residue`, in lattice vectors, which
    `dislocations` lists. Beyond a dislocation, the displacement is only known but for its Burgers
    vector, and jumps by it along a cut that has no meaning; the strain knows of no cut.

    A window's offset is the mean displacement over its pixels, so that of a field that changes
    quickly only what a window leaves of it is seen. Across gaps of missing windows, too, it is
    taken to change by less than half a cell.

    Args:
        maps: from `encode`, on a grid of windows (y, x), with offsets: of a `ShiftVAE`, or an
            `RVAE` with offsets. Windows that are missing are NaN, and stay so.
        vectors: vector x axis, the lattice's, (y, x) in pixels, such as
            `suggest_window(image).vectors`, or that suggestion itself; or a DataArray with the
            attribute `units`, which must be the maps'. They may be some per cent off.
        fixed: whether the vectors are known exactly. By default they are only where to begin from:
            the reference is the mean lattice of the region, in which there is then no mean strain.
        region: which part of the image is the reference, such as the substrate of a film:
            `{"y": (0, 5), "x": (0, 20)}`, from where to where in the image's units; an axis that is
            left out counts as a whole. By default all of it. The displacement is 0 there on
            average.
        credible: probability that an interval holds the truth.

    Returns:
        Over the maps' y and x, and "axis": `displacement`, in the image's unit of length, positive
        in the direction in which the coordinate grows; `displacement_std`, `displacement_lower`
        and `displacement_upper`, from the posterior of the offsets, not of the reference. Of maps
        of windows with `overlap="once"` each window's own uncertainty: neighbours share pixels, of
        which `strain` takes account. `residue` (`y_between`, `x_between`, `vector`), whole numbers,
        counted in `lattice_vectors` (vector x axis), the reference.

    Raises:
        DataError: if these are no such maps, they have no offsets, no unit of length in common, no
            two neighbours, or the vectors are no lattice or not that of the maps.

    Source:
        Hÿtch, Snoeck and Kilaas, "Quantitative measurement of displacement and strain fields from
        HREM micrographs", Ultramicroscopy 74, 131 (1998), of the phases of two Fourier components;
        here of the offsets of windows.

    Example:
        >>> y, x = np.meshgrid(np.arange(20.0), np.arange(30.0), indexing="ij")
        >>> bent = np.stack([0.02 * (x - 15) ** 2 / 2, 0 * x], -1)
        >>> offset = (bent - np.stack([y, x], -1) + 3) % 6 - 3  # a motif every 6 pixels
        >>> maps = xr.Dataset({"offset": (("y", "x", "axis"), offset)}, {"y": y[:, 0], "x": x[0]})
        >>> maps["offset_std"] = 0.01 + 0 * maps.offset
        >>> found = displacement(maps, [[6, 0], [0, 6]], fixed=True)
        >>> bool(abs(found.displacement[0, :, 0].std() - bent[0, :, 0].std()) < 1e-9)
        True
    """
    check_installed("scipy", extra="atoms")
    check_credible(credible)
    grid = grid_of(maps)
    given = lattice_in_units(vectors, grid)
    cell = shortest(given)
    motifs = grid.places + grid.offset
    check_steps(motifs, cell)
    steps = neighbour_steps(motifs, cell)
    here = _region(grid, region)
    field = unwrapped(motifs, cell)
    lattice = given
    if not fixed:
        relative = np.eye(2) - _mean_gradient(steps, here, grid)
        inverse = np.linalg.inv(relative).T
        field = grid.places - (grid.places - field) @ inverse
        lattice = given @ inverse
    known = here & np.isfinite(field).all(-1)
    field = field - field[known].mean(0)
    return _labelled(grid, field, residues(*steps, given), lattice, credible)


def _region(grid: WindowGrid, region: Region) -> Array:
    """Which windows are the reference: height x width."""
    here = np.asarray(np.isfinite(grid.offset).all(-1))
    if region is not None and (
        not isinstance(region, Mapping) or not set(region) <= {"y", "x"} or not region
    ):
        raise DataError(
            f"region={region!r} is no part of the image: give from where to where along its axes, "
            f'in {grid.unit}, as {{"y": (0, 5), "x": (0, 20)}}'
        )
    for axis, name in enumerate(("y", "x")):
        if region is None or name not in region:
            continue
        try:
            low, high = sorted(float(end) for end in region[name])
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the region's {name} must be two numbers, from where to where in {grid.unit}; got "
                f"{region[name]!r}"
            ) from error
        along = grid.places[..., axis]
        here = here & (along >= low) & (along <= high)
    if not here.any():
        y, x = grid.along
        raise DataError(
            f"no window of the maps is in the region {region}: windows are at y from {y.min():.4g} "
            f"to {y.max():.4g} and x from {x.min():.4g} to {x.max():.4g} {grid.unit}"
        )
    return here


def _mean_gradient(steps: tuple[Array, Array], here: Array, grid: WindowGrid) -> Array:
    """The displacement's mean gradient over a region, component x axis.

    Steps are weighted as a fitted line weighs them, those in the middle the most.

    Raises:
        DataError: if the region is too small for one.
    """
    gradient = np.zeros((2, 2))
    for axis, step in enumerate(steps):
        size = here.shape[axis]
        inside = np.isfinite(step).all(-1)
        inside &= np.take(here, range(1, size), axis) & np.take(here, range(size - 1), axis)
        along = np.flatnonzero(inside.any(1 - axis))
        if len(along) < _FEWEST:
            raise DataError(
                f"the region has {len(along)} steps between windows along {'yx'[axis]}, of which a "
                f"mean lattice needs {_FEWEST}: take a larger one, or cut windows with a smaller "
                "step; or, if the vectors are known exactly, pass fixed=True"
            )
        number = np.arange(size - 1.0)
        parabola = (number - along[0] + 1) * (along[-1] + 1 - number)
        weight = inside * np.expand_dims(parabola, 1 - axis)
        total = (weight[..., None] * np.nan_to_num(step)).sum((0, 1)) / weight.sum()
        gradient[:, axis] = total / grid.spacing[axis]
    return gradient


def _labelled(
    grid: WindowGrid, field: Array, around: Array, lattice: Array, credible: float
) -> xr.Dataset:
    """The field and all that goes with it, with names and units."""
    plane = ("y", "x", "axis")
    attrs = {"long_name": _NAMES["displacement"], "units": grid.unit}
    found = with_interval("displacement", plane, field, grid.deviation, credible, attrs)
    found["lattice_vectors"] = xr.Variable(
        ("vector", "axis"), lattice, {"long_name": _NAMES["lattice_vectors"], "units": grid.unit}
    )
    # Around a closed circuit from x to y, whichever way the coordinates run.
    around = around * np.sign(grid.spacing).prod()
    found["residue"] = xr.Variable(
        ("y_between", "x_between", "vector"),
        around,
        {"long_name": _NAMES["residue"], "units": "1"},
    )
    coords: dict[str, Any] = {name: grid.coords[name] for name in ("y", "x")}
    for name, along in zip("yx", grid.along, strict=True):
        coords[f"{name}_between"] = xr.Variable(
            f"{name}_between", (along[1:] + along[:-1]) / 2, dict(grid.coords[name].attrs)
        )
    coords["axis"] = np.array(["y", "x"], dtype=object)
    return xr.Dataset(
        found,
        coords,
        attrs={
            "title": "displacement from the reference lattice",
            "credible": credible,
            "window_length": [float(side) for side in grid.window],
            **grid.attrs,
        },
    )

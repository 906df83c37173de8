"""Maps of offsets on a grid of windows, checked, and in one unit of length."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pyroshift.analysis.lattice import WindowSuggestion
from pyroshift.errors import DataError

Array = NDArray[Any]

FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian, in its standard deviations


@dataclass(frozen=True, eq=False)
class WindowGrid:
    """Windows on a grid, where they are, and what is known of each.

    Args:
        along: coordinates of the rows, and of the columns.
        offset: height x width x axis.
        deviation: height x width x axis, of the offset, from the window's own pixels.
        pixel: signed size of a pixel along y and x.
        window: sides of a window along y and x, in the unit.
        unit: of all lengths.
        coords: y and x, as the maps have them.
        attrs: of the source.
    """

    along: tuple[Array, Array]
    offset: Array
    deviation: Array
    pixel: Array | None
    window: Array
    unit: str
    coords: Mapping[Any, Any]
    attrs: dict[str, Any]

    @property
    def places(self) -> Array:
        """Centres of the windows, height x width x axis."""
        return np.stack(np.meshgrid(*self.along, indexing="ij"), -1)

    @property
    def spacing(self) -> Array:
        """From one window to the next along y and x, with its sign."""
        return np.array([(each[-1] - each[0]) / (len(each) - 1) for each in self.along])


def grid_of(maps: Any) -> WindowGrid:
    """The windows that maps are of.

    Raises:
        DataError: if these are no maps of offsets on a grid of windows, in one unit.
    """
    if not isinstance(maps, xr.Dataset):
        raise DataError(f"expected the maps from encode, a Dataset; got {type(maps).__name__}")
    if "offset" not in maps or "offset_std" not in maps:
        raise DataError(
            "the maps have no offset and offset_std, from which displacements are told: encode by "
            "a ShiftVAE, or an RVAE with offsets=True"
        )
    offset = maps["offset"]
    if "atom" in offset.dims:
        raise DataError(
            "these maps are of windows at atoms, whose displacements fit_lattice tells: cut "
            "windows on a grid, by extract_patches without positions"
        )
    if extra := [str(dim) for dim in offset.dims if dim not in ("y", "x", "axis")]:
        raise DataError(
            f"the maps have the dimension {extra[0]!r}: pick one of its entries, as by "
            f"maps.isel({extra[0]}=0)"
        )
    if set(offset.dims) != {"y", "x", "axis"} or offset.sizes["axis"] != 2:
        raise DataError(
            f"expected offsets over y, x and axis, but they have the dimensions {offset.dims}"
        )
    if min(offset.sizes["y"], offset.sizes["x"]) < 2:
        raise DataError(
            f"the maps have {offset.sizes['y']} x {offset.sizes['x']} windows, of which no field "
            "can be told: cut them with a smaller step"
        )
    offset, deviation = (
        maps[name].transpose("y", "x", "axis").astype(float) for name in ("offset", "offset_std")
    )
    unit = _unit(maps)
    along = _along(maps, "y"), _along(maps, "x")
    # What a window says of itself, its own pixels counted in full.
    spread = deviation.values * np.sqrt(float(maps.attrs.get("power", 1.0)))
    known = np.isfinite(offset.values).all(-1) & np.isfinite(spread).all(-1)
    if not known.any():
        raise DataError("no window of the maps has an offset: all are NaN")
    if (spread[known] < 0).any():
        raise DataError("offset_std has values below 0, which no standard deviation has")
    pixel = _pixel(maps, unit)
    return WindowGrid(
        along,
        np.where(known[..., None], offset.values, np.nan),
        np.where(known[..., None], spread, np.nan),
        pixel,
        _window(maps, pixel),
        unit,
        {name: maps[name].variable if name in maps.coords else along[axis]
         for axis, name in enumerate(("y", "x"))},
        {name: value for name, value in maps.attrs.items() if name.startswith("source_")},
    )  # fmt: skip


def _unit(maps: xr.Dataset) -> str:
    """The unit that both axes and the offsets have."""
    given = {
        "offset": maps["offset"].attrs.get("units", "px"),
        **{n: maps[n].attrs.get("units", "px") if n in maps.coords else "px" for n in ("y", "x")},
    }
    check_units(given)
    return str(given["offset"])


def check_units(units: Mapping[str, str]) -> None:
    """Raise a DataError unless all of these, by name, are the same.

    Example:
        >>> check_units({"y": "nm", "x": "nm"})
    """
    if len(set(units.values())) > 1:
        told = ", ".join(f"{name} in {unit}" for name, unit in units.items())
        raise DataError(
            f"a displacement takes one unit of length, but here are {told}: give both axes of the "
            'image coordinates in the same one, with attrs["units"], before cutting windows'
        )


def _along(maps: xr.Dataset, name: str) -> Array:
    """Where windows are along an axis, evenly spaced."""
    if name not in maps.coords:
        raise DataError(
            f"the maps have no coordinate {name}, which says where windows are: take them as "
            "encode gives them"
        )
    try:
        values = maps[name].values.astype(float)
    except (TypeError, ValueError) as error:
        raise DataError(f"the maps' {name} must be numbers") from error
    steps = np.diff(values)
    if not np.isfinite(values).all() or not np.allclose(steps, steps.mean(), rtol=1e-2, atol=0):
        raise DataError(f"the maps' {name} isn't evenly spaced: take the whole grid of windows")
    if steps.mean() == 0:
        raise DataError(f"the maps' {name} is the same for all windows")
    return values


def _pixel(maps: xr.Dataset, unit: str) -> Array | None:
    """Signed size of a pixel along y and x, if it is known."""
    told = maps["offset"].attrs.get("pixel_size")
    if told is not None and np.size(told) == 2:
        return np.asarray(told, float)
    return np.ones(2) if unit == "px" else None


def _window(maps: xr.Dataset, pixel: Array | None) -> Array:
    """Sides of a window along y and x; 0 where nothing tells them."""
    told = maps.attrs.get("window")
    if told is None or pixel is None:
        return np.zeros(2)
    return np.broadcast_to(np.asarray(told, float), 2) * np.abs(pixel)


def lattice_in_units(vectors: Any, grid: WindowGrid) -> Array:
    """Lattice vectors in the unit of the maps: vector x axis.

    Raises:
        DataError: if these are none, or their unit is another one or not known.
    """
    if vectors is None:
        raise DataError(
            "a displacement is one from a lattice: give its vectors, such as "
            "suggest_window(image).vectors"
        )
    if isinstance(vectors, WindowSuggestion):
        vectors = vectors.vectors
    try:
        cell = np.asarray(vectors, float)
    except (TypeError, ValueError):
        cell = np.empty(0)
    flat = cell.shape != (2, 2) or not np.isfinite(cell).all()
    if (
        flat
        or abs(np.linalg.det(cell)) < 0.05 * np.linalg.norm(cell, axis=1).prod()
        or not (cell.any(1).all())
    ):
        raise DataError(
            f"vectors={vectors!r} span no lattice: give two that aren't parallel, (y, x) in "
            "pixels, such as suggest_window(image).vectors"
        )
    if isinstance(vectors, xr.DataArray) and "units" in vectors.attrs:
        if vectors.attrs["units"] != grid.unit:
            raise DataError(f"the vectors are in {vectors.attrs['units']}, the maps in {grid.unit}")
        return cell
    if grid.pixel is None:
        raise DataError(
            f"vectors in pixels need the pixel size, which the maps' offset lacks: give a "
            f"DataArray of vectors in {grid.unit} with the attribute `units`"
        )
    return cell * grid.pixel


def check_credible(credible: Any) -> None:
    """Raise a DataError unless this is a probability of an interval."""
    if not (isinstance(credible, int | float) and 0 < credible < 1):
        raise DataError(f"credible must be between 0 and 1, such as 0.9; got {credible!r}")


def checked_resolution(
    resolution: Any, finest: float, unit: str, apart: str, remedy: str = ""
) -> float:
    """A resolution that was asked for, as a number.

    Args:
        resolution: what was given.
        finest: the finest there can be.
        unit: of both.
        apart: what it is too fine for, if it is, such as "pixels of 2 nm".
        remedy: what else can be done than to take a coarser one.

    Raises:
        DataError: if it is no length, or too fine.
    """
    if isinstance(resolution, bool) or not isinstance(resolution, int | float | np.number):
        raise DataError(f"the resolution must be a length in {unit}, got {resolution!r}")
    if not (np.isfinite(resolution) and resolution >= finest * (1 - 1e-9)):
        raise DataError(
            f"a resolution of {resolution:.4g} {unit} is too fine for {apart}: take at least "
            f"{finest:.4g} {unit}{remedy}"
        )
    return float(resolution)


def with_interval(
    name: str,
    dims: tuple[str, ...],
    values: Array,
    deviation: Array,
    credible: float,
    attrs: Mapping[str, Any],
) -> dict[str, xr.Variable]:
    """A map, its standard deviation, and both ends of its interval, by name."""
    half = NormalDist().inv_cdf(0.5 + credible / 2) * deviation
    about = str(attrs["long_name"])
    each = {
        "": (values, about),
        "_std": (deviation, f"standard deviation of the {about}"),
        "_lower": (values - half, f"lower end of the credible interval of the {about}"),
        "_upper": (values + half, f"upper end of the credible interval of the {about}"),
    }
    return {
        f"{name}{ending}": xr.Variable(dims, array, {**attrs, "long_name": text})
        for ending, (array, text) in each.items()
    }

"""One panel of each kind: an image, a map on a grid, points at positions, a plain list."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from pyroshift.errors import DataError
from pyroshift.model.sites import ANGLE
from pyroshift.plot.colours import (
    CIRCLE,
    GREY,
    NOTHING,
    PALE,
    Limits,
    add_colour_bar,
    colour_limits,
    colour_map,
    in_kinds,
    name_kinds,
    quarter_ticks,
    robust_limits,
)
from pyroshift.plot.fields import title
from pyroshift.plot.geometry import Extent, add_scale_bar, extent, positions
from pyroshift.plot.pictures import Shades, name_of, period_of
from pyroshift.plot.style import LINE_COLOURS, round_ticks, without_box
from pyroshift.plot.units import describe, name_with_unit, show_units, units_of

_SIDE = 2.3  # inches, side of a square picture
_LETTERS_PER_INCH = 14


def is_list(array: xr.DataArray) -> bool:
    """Whether a map's patches have no place in an image."""
    return array.ndim == 1 and not _is_points(array)


def panel_size(array: xr.DataArray) -> tuple[float, float]:
    """Width and height in inches that a map or image needs, with its labels and colour bar.

    Raises:
        DataError: if a map has more dimensions than can be drawn.
    """
    if is_list(array):
        return 4.2, 1.7
    left, right, bottom, top = _view(array)
    ratio = abs((bottom - top) / (right - left)) if _isotropic(array) else 1.0
    # Pictures of any shape are about equally large.
    stretch = math.sqrt(min(max(ratio, 0.25), 4.0))
    return _SIDE / stretch + 0.75, _SIDE * stretch + 0.35


def draw_image(
    ax: Axes,
    picture: xr.DataArray,
    name: str = "grey level",
    scale_bar: bool = True,
    colour_bar: bool = True,
) -> None:
    """An image with a scale bar, and a colour bar where its values have a unit, or are phases."""
    shades = Shades.of(picture.values, period_of(picture))
    low, high = shades.limits
    pixels = ax.imshow(
        shades.shown(picture.values),
        cmap=shades.colours,
        vmin=low,
        vmax=high,
        extent=extent(picture),
        aspect="equal" if _isotropic(picture) else "auto",
    )
    units = units_of(picture)
    if colour_bar and (units or shades.period is not None):
        # The title says which channel it is.
        named = name_with_unit("", units) if name_of(picture) else _bar_text(picture, name, picture)
        bar = add_colour_bar(pixels, ax, named, units)
        if shades.period is not None:
            quarter_ticks(bar, shades.limits)
    _finish(ax, picture, scale_bar)


def draw_map(
    ax: Axes,
    name: str,
    array: xr.DataArray,
    picture: xr.DataArray | None = None,
    limits: Limits | None = None,
    scale_bar: bool = True,
    collapsed: bool = False,
    kinds: Sequence[str] = (),
    opacity: xr.DataArray | None = None,
) -> None:
    """One map with its colour bar, drawn as its dimensions ask for.

    Args:
        ax: where to draw.
        name: of the map.
        array: over (y, x), or over one dimension.
        picture: the image it comes from, whose field of view is shown.
        limits: of the colours, or of the values in a list.
        scale_bar: whether this panel bears the scale bar.
        collapsed: whether the map means nothing, and is to look so.
        kinds: what its whole numbers stand for, where it holds such; negative ones for none.
        opacity: over the same dimensions, 0 to 1: the paler, the less sure.

    Raises:
        DataError: if the map has more dimensions than can be drawn, or another unit of length than
            the image.
    """
    ax.set_title(title(name, collapsed), color=NOTHING if collapsed else "black")
    if is_list(array):
        _draw_list(ax, name, array, limits, PALE if collapsed else LINE_COLOURS[0], kinds)
        return
    place = array if picture is None else picture
    view = _view(place)
    if _units(array) != _units(place):
        raise DataError(
            f"the maps are in {_units(array)}, but the image in {_units(place)}: pass the image "
            "with the coordinates that the patches were cut with"
        )
    low, high = limits or colour_limits(name, array.values)
    colours: dict[str, Any] = {"cmap": colour_map(name, collapsed), "vmin": low, "vmax": high}
    if kinds:
        array, colours = array.where(array >= 0), in_kinds(len(kinds))
    if opacity is not None:
        colours["alpha"] = opacity.fillna(1.0).clip(0.0, 1.0).values
    if array.ndim == 2:
        edges = extent(array)
        mappable: Any = ax.imshow(array.values, extent=edges, interpolation="nearest", **colours)
    else:
        if picture is not None:
            dark, bright = robust_limits(picture.values)
            ax.imshow(picture.values, cmap=GREY, vmin=dark, vmax=bright, extent=view)
        mappable = ax.scatter(
            array["x"],
            array["y"],
            c=array.values,
            s=_point_size(len(array)),
            linewidths=0,
            rasterized=True,
            plotnonfinite=True,
            **colours,
        )
    ax.set(xlim=view[:2], ylim=view[2:], aspect="equal" if _isotropic(place) else "auto")
    bar = add_colour_bar(mappable, ax, _bar_text(array, name, place), units_of(array))
    if kinds:
        name_kinds(bar, kinds)
    _finish(ax, place, scale_bar)


def _draw_list(
    ax: Axes,
    name: str,
    array: xr.DataArray,
    limits: Limits | None,
    colour: str,
    kinds: Sequence[str],
) -> None:
    """Values against their index or coordinate."""
    dim = str(array.dims[0])
    along, units = positions(array, dim)
    size = float(np.clip(1500 / max(len(array), 1), 1.0, 12.0))
    colours = {"c": array.values, **in_kinds(len(kinds))} if kinds else {"color": colour}
    ax.scatter(along, array.values, s=size, linewidths=0, rasterized=True, **colours)
    ax.set(ylabel=describe(array, name, length=22))
    ax.set_xlabel(dim if units == "px" else f"{dim} ({units})")
    show_units(ax.yaxis, units_of(array))
    ax.yaxis.set_major_locator(round_ticks())
    if kinds:
        ax.set_yticks(range(len(kinds)), kinds)
        ax.set_ylim(-0.5, len(kinds) - 0.5)
    if limits or name == ANGLE:
        ax.set_ylim(limits or CIRCLE)
    without_box(ax)


def _bar_text(array: xr.DataArray, name: str, place: xr.DataArray) -> str:
    """What the colours mean, in lines no longer than the panel is high."""
    return describe(array, name, int(_LETTERS_PER_INCH * (panel_size(place)[1] - 0.35)))


def _finish(ax: Axes, place: xr.DataArray, scale_bar: bool) -> None:
    """A scale bar instead of ticks where both axes have the same unit, or labels."""
    ax.spines[:].set_linewidth(0.5)
    if _isotropic(place):
        ax.set(xticks=[], yticks=[])
        if scale_bar:
            add_scale_bar(ax, _units(place)[1])
        return
    for axis, dim, units in zip("yx", _axes_names(place), _units(place), strict=True):
        ax.set(**{f"{axis}label": f"{dim} ({units})"})


def _view(place: xr.DataArray) -> Extent:
    """Left, right, bottom and top of what a panel shows."""
    if not _is_points(place):
        if place.ndim != 2:
            raise DataError(
                f"a map over {place.dims} can't be drawn: choose an entry of the dimensions before "
                "the last two with dataset.isel"
            )
        return extent(place)
    y, x = place["y"].values, place["x"].values
    area = max(np.ptp(x) * np.ptp(y), np.ptp(x) ** 2 / 16, np.ptp(y) ** 2 / 16) or 1.0
    margin = float(np.sqrt(area / len(x)))
    left, right = float(x.min()) - margin, float(x.max()) + margin
    return left, right, float(y.max()) + margin, float(y.min()) - margin


def _is_points(array: xr.DataArray) -> bool:
    return array.ndim == 1 and all(
        name in array.coords and array[name].dims == array.dims for name in ("y", "x")
    )


def _axes_names(array: xr.DataArray) -> tuple[str, str]:
    return ("y", "x") if _is_points(array) else (str(array.dims[0]), str(array.dims[1]))


def _units(array: xr.DataArray) -> tuple[str, str]:
    """Unit of length along y and x."""
    if _is_points(array):
        y, x = (str(array[name].attrs.get("units", "px")) for name in ("y", "x"))
    else:
        y, x = (positions(array, str(dim))[1] for dim in array.dims)
    return y, x


def _isotropic(array: xr.DataArray) -> bool:
    """Whether both axes have the same unit of length."""
    y, x = _units(array)
    return y == x


def _point_size(count: int) -> float:
    """Area of a point in square points so that neighbours nearly touch."""
    spacing = _SIDE * 72 / np.sqrt(max(count, 1))
    return float(np.clip((0.65 * spacing) ** 2, 1.0, 64.0))

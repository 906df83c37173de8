"""`deflection`: where a beam goes over a scan, as colours of a wheel, and how sure that is."""

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from pyroshift.errors import DataError
from pyroshift.plot.colours import robust_limits
from pyroshift.plot.drawing import draw_image, draw_map, panel_size
from pyroshift.plot.geometry import add_scale_bar, extent
from pyroshift.plot.pictures import as_image
from pyroshift.plot.style import add_axes, new_figure, styled
from pyroshift.plot.units import with_unit

_WHEEL = 0.26  # of a panel's width
_MISSING = 0.88


@styled
def deflection(
    maps: xr.Dataset,
    image: Any = None,
    *,
    std: bool = False,
    largest: float | None = None,
    mean: bool = False,
) -> Figure:
    """The offsets of patterns over a scan: direction as hue, size as brightness, and size alone.

    Args:
        maps: from `encode`, over y and x; or any Dataset with such an `offset` (y × x × axis).
        image: of the same scan, such as the counts of each pattern, drawn beside it.
        std: whether to show the standard deviation too, of both components together.
        largest: deflection of the brightest colours, in the offsets' unit; by default nearly the
            largest there is.
        mean: whether to leave the mean deflection in, which is where the beam went without a
            field; by default it is taken off.

    Returns:
        A Figure of panels, row 0 on top. In the wheel, a colour stands where the beam went to,
        on the detector as displayed.

    Raises:
        DataError: if there are no offsets along two axes, or they aren't over y and x.

    Example:
        >>> offset = (("y", "x", "axis"), np.random.default_rng(0).normal(size=(5, 6, 2)))
        >>> figure = deflection(xr.Dataset({"offset": offset}))
        >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
        ['deflection', 'size']
    """
    moves = _moves(maps, "offset")
    if not mean:
        moves = moves - moves.mean(("y", "x"))
    size = np.hypot(*np.moveaxis(moves.values, -1, 0))
    largest = float(np.nanquantile(size, 0.98) or 1.0) if largest is None else largest
    units = str(maps["offset"].attrs.get("units", "px"))
    single = moves.isel(axis=0, drop=True)
    shown: dict[str, xr.DataArray] = {"size": single.copy(data=size)}
    if std:
        spread = _moves(maps, "offset_std").values
        shown["size, std"] = single.copy(data=np.sqrt((spread**2).mean(-1)))
    picture = None if image is None else as_image(image, 0)
    width, height = panel_size(single)
    count = 1 + len(shown) + (picture is not None)
    figure = new_figure(count * width, height, compressed=True)
    grid = figure.add_gridspec(1, count)
    ax = add_axes(figure, grid[0, 0])
    ax.imshow(_coloured(moves.values, largest), extent=extent(single), aspect="equal")
    ax.set(title="deflection", xticks=[], yticks=[])
    add_scale_bar(ax, str(single["x"].attrs.get("units", "px")) if "x" in single.coords else "px")
    _draw_wheel(ax, with_unit(float(f"{largest:.3g}"), units))
    for column, (name, values) in enumerate(shown.items(), start=1):
        values.attrs = {"units": units}
        limits = (0.0, largest) if name == "size" else robust_limits(values)
        draw_map(add_axes(figure, grid[0, column]), name, values, limits=limits, scale_bar=False)
    if picture is not None:
        ax = add_axes(figure, grid[0, count - 1])
        draw_image(ax, picture, scale_bar=False)
        ax.set_title("image")
    return figure


def _moves(maps: Any, name: str) -> xr.DataArray:
    """Vectors over a scan, `y x x x axis`."""
    if not isinstance(maps, xr.Dataset) or name not in maps:
        raise DataError(f"expected the maps from encode, with {name}: a model without offsets?")
    moves = maps[name]
    if set(moves.dims) != {"y", "x", "axis"} or moves.sizes["axis"] != 2:
        raise DataError(
            f"deflections are of two axes over y and x, but {name} is over {dict(moves.sizes)}"
        )
    return moves.transpose("y", "x", "axis")


def _coloured(moves: np.ndarray, largest: float) -> np.ndarray:
    """Vectors (… × axis) as colours: hue by direction as displayed, black where there is none."""
    down, right = np.moveaxis(moves, -1, 0)
    hue = np.arctan2(-down, right) / (2 * math.pi) % 1
    value = np.clip(np.hypot(down, right) / largest, 0, 1)
    colours = hsv_to_rgb(np.nan_to_num(np.stack([hue, np.ones_like(hue), value], -1)))
    colours[np.isnan(value)] = _MISSING
    return colours


def _draw_wheel(ax: Axes, told: str) -> None:
    """What colours mean, in a corner: the direction in which the beam went, out to the largest."""
    side = np.linspace(-1, 1, 101)
    down, right = np.meshgrid(side, side, indexing="ij")
    colours = _coloured(np.stack([down, right], -1), 1.0)
    inside = np.hypot(down, right) <= 1
    wheel = np.dstack([colours, inside])
    inset = ax.inset_axes((0.98 - _WHEEL, 0.98 - _WHEEL, _WHEEL, _WHEEL))
    inset.imshow(wheel, extent=(-1, 1, 1, -1))
    edge = Circle((0, 0), 1.0, fill=False, edgecolor="white", linewidth=0.8, clip_on=False)
    inset.add_patch(edge)
    inset.set(xticks=[], yticks=[])
    inset.axis("off")
    inset.text(0, 1.15, told, ha="center", va="top", color="white", fontsize="x-small")

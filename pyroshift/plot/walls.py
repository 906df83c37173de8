"""`walls`, their `rose`, and `switched`: where domains end, which way walls go, what changed."""

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from pyroshift.data.atoms import check_units
from pyroshift.errors import DataError
from pyroshift.plot.colours import PHASES, add_colour_bar, name_kinds, quarter_ticks
from pyroshift.plot.drawing import draw_image, panel_size
from pyroshift.plot.geometry import add_scale_bar, extent
from pyroshift.plot.pictures import as_image
from pyroshift.plot.style import (
    LINE_COLOURS,
    add_axes,
    figure_of,
    new_figure,
    own_axes,
    round_ticks,
    styled,
)

_HALF_TURN = (-math.pi / 2, math.pi / 2)
_QUARTERS = [r"$-\pi/2$", r"$-\pi/4$", "0", r"$\pi/4$", r"$\pi/2$"]
_KINDS = {"below": "0.35", "above": "0.8", "fell": LINE_COLOURS[0], "rose": LINE_COLOURS[1]}


@styled
def walls(found: xr.Dataset, image: Any, ax: Axes | None = None) -> Figure:
    """Domain walls on the image, coloured by their angle.

    Args:
        found: from `walls`.
        image: `height x width`, that the walls are of, or another one of the same place.
        ax: where to draw; in a new figure by default.

    Returns:
        The Figure, in the image's units, row 0 on top.

    Raises:
        DataError: if these are no walls, or in another unit than the image.

    Example:
        >>> from pyroshift import walls as told
        >>> y, x = np.mgrid[:40, :50]
        >>> field = np.tanh(x - 25.0)
        >>> len(walls(told(field), field).axes[0].collections[0].get_segments())
        39
    """
    _check_walls(found)
    picture = as_image(image, 0)
    check_units(found, picture)
    width, height = panel_size(picture)
    ax = own_axes(ax, 1.6 * width + 0.4, 1.6 * height)
    draw_image(ax, picture, colour_bar=False)
    view = ax.axis()
    segments, angles = _segments(found)
    ax.add_collection(LineCollection(segments, colors="black", linewidths=3.0, capstyle="round"))
    shown = LineCollection(segments, array=angles, cmap=PHASES, linewidths=1.8, capstyle="round")
    shown.set_clim(*_HALF_TURN)
    ax.add_collection(shown)
    ax.axis(view)
    quarter_ticks(add_colour_bar(shown, ax, "angle of the wall (rad)"), _HALF_TURN, _QUARTERS)
    return figure_of(ax)


@styled
def rose(found: xr.Dataset, *, bins: int = 36) -> Figure:
    """Which way walls go: their length by angle, modulo a half turn.

    Args:
        found: from `walls`.
        bins: of the whole circle, an even number, as opposite ones are the same. One is centred on
            an angle of 0.

    Returns:
        The Figure: length in each bin, per cent of that of all walls; angles as displayed.

    Raises:
        DataError: if these are no walls, or the bins no even number.

    Example:
        >>> from pyroshift import walls as told
        >>> y, x = np.mgrid[:40, :50]
        >>> bars = rose(told(np.tanh(x - 25.0)), bins=8).axes[0].patches
        >>> [round(float(bar.get_height())) for bar in bars]
        [0, 0, 100, 0, 0, 0, 100, 0]
    """
    _check_walls(found)
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 2 or bins % 2:
        raise DataError(f"bins must be an even number of at least 2, got {bins!r}")
    ax = add_axes(new_figure(3.0, 3.0), projection="polar")
    wide = 2 * math.pi / bins
    length = found["length"].values
    number = np.floor(found["angle"].values / wide + 0.5).astype(int) % (bins // 2)
    share = 100 * np.bincount(number, length, bins // 2) / length.sum()
    centres = wide * np.arange(bins)
    ax.bar(
        centres, np.tile(share, 2), wide, color=LINE_COLOURS[0], edgecolor="white", linewidth=0.3
    )
    ax.set_axisbelow(True)
    ax.yaxis.set_major_locator(round_ticks(3))
    ax.set_title("length of walls by angle (%)")
    return figure_of(ax)


@styled
def switched(found: xr.Dataset, ax: Axes | None = None) -> Figure:
    """Which domains rose above the level, and which fell below it, between two scans.

    Args:
        found: from `switched`.
        ax: where to draw; in a new figure by default.

    Returns:
        The Figure; what stayed is in the colours of below and above.

    Raises:
        DataError: if that is not from `switched`.

    Example:
        >>> map = xr.DataArray(np.eye(5), dims=("y", "x"))
        >>> figure = switched(xr.Dataset({"switched": map, "before": 0 * map, "after": map}))
        >>> [text.get_text() for text in figure.axes[1].get_yticklabels()]
        ['below', 'above', 'fell', 'rose']
    """
    if not isinstance(found, xr.Dataset) or not {"switched", "before"} <= set(found.data_vars):
        raise DataError("expected what switched(before, after) gives, a Dataset")
    change, before = (found[name].transpose("y", "x") for name in ("switched", "before"))
    kinds = before.where(change == 0, (change + 5) / 2).where(change.notnull())
    width, height = panel_size(kinds)
    ax = own_axes(ax, 1.6 * width, 1.6 * height)
    colours = ListedColormap(list(_KINDS.values())).with_extremes(bad="white")
    shown = ax.imshow(
        kinds.values, colours, extent=extent(kinds), interpolation="nearest", vmin=-0.5, vmax=3.5
    )
    name_kinds(add_colour_bar(shown, ax), list(_KINDS))
    ax.set(xticks=[], yticks=[], title="switched")
    add_scale_bar(ax, str(change["x"].attrs.get("units", "px")))
    return figure_of(ax)


def _check_walls(found: Any) -> None:
    """Raise a DataError unless these are walls."""
    needed = {"angle", "length", "wall", "closed", "y", "x"}
    if not isinstance(found, xr.Dataset) or not needed <= {*found.data_vars, *found.coords}:
        raise DataError("expected the walls from walls(field), a Dataset")
    if not found["angle"].size:
        raise DataError("there is no point of a wall")


def _segments(found: xr.Dataset) -> tuple[list[np.ndarray], np.ndarray]:
    """Lines between neighbouring points, and their angles."""
    places = np.column_stack([found["x"].values, found["y"].values])
    wall, angle = found["wall"].values, found["angle"].values
    starts = np.flatnonzero(np.diff(wall, prepend=wall[0] - 1))
    following = np.arange(1, len(wall) + 1)
    lasts = np.append(starts[1:], len(wall)) - 1
    following[lasts] = starts
    kept = np.ones(len(wall), bool)
    kept[lasts] = found["closed"].values[lasts]
    mean = np.angle(np.exp(2j * angle) + np.exp(2j * angle[following])) / 2
    return list(np.stack([places, places[following]], 1)[kept]), mean[kept]

"""`heat_map` and `heat_maps`: tables of numbers as colours."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from pyroshift.errors import DataError
from pyroshift.plot.colours import Limits, add_colour_bar, colour_limits, colour_map
from pyroshift.plot.fields import title
from pyroshift.plot.style import (
    TICK_SIZE,
    add_axes,
    figure_of,
    new_figure,
    own_axes,
    round_ticks,
    styled,
)
from pyroshift.plot.units import describe, name_with_unit, units_of

_MOST_NUMBERS = 64  # fields of a table that leave room to be read
_MOST_TICKS = 8
_FIELD = 0.42  # inches
_WIDEST = 12.5  # inches; three large panels


@styled
def heat_map(
    table: xr.DataArray, ax: Axes | None = None, *, limits: Limits | None = None
) -> Figure:
    """A table in colours: what explains what, or one number over a plane of two others.

    Args:
        table: over two dimensions, the first down the side, the second along the bottom. Rows that
            go by numbers grow upwards, as in a graph; those that go by names read downwards, as in
            a table.
        ax: where to draw; in a new figure by default.
        limits: lowest and highest value of the colours; by default those without outliers.

    Returns:
        The Figure, with the numbers themselves written in tables of up to 64.

    Raises:
        DataError: if this isn't a table of numbers with names for its two dimensions.

    Example:
        >>> from pyroshift import correlation_ratio
        >>> rng = np.random.default_rng(0)
        >>> figure = heat_map(correlation_ratio(rng.random((50, 2)), {"width": rng.random(50)}))
        >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
        ['$z_{0}$', '$z_{1}$']
    """
    if not isinstance(table, xr.DataArray) or table.ndim != 2 or table.dtype.kind not in "biuf":
        shape = dict(getattr(table, "sizes", {}))
        raise DataError(
            f"expected a DataArray of numbers over two dimensions, got {type(table).__name__} with "
            f"{shape}: select or average over the others"
        )
    if not table.size:
        raise DataError(f"the table is empty: its sizes are {dict(table.sizes)}")
    name, values = str(table.name or ""), table.values.astype(float)
    rows, columns = values.shape
    ax = own_axes(ax, *_panel_size(table))
    low, high = limits or colour_limits(name, values)
    picture = ax.imshow(
        np.ma.masked_invalid(values), cmap=colour_map(name), vmin=low, vmax=high, aspect="auto",
        origin="lower" if _by_number(table, 0) else "upper",
    )  # fmt: skip
    for axis, side in ((ax.yaxis, 0), (ax.xaxis, 1)):
        _label(axis, table, side)
    if rows * columns <= _MOST_NUMBERS:
        _write(ax, values, picture)
    ax.set_title(title(name))
    add_colour_bar(picture, ax, describe(table, name, 24) if "long_name" in table.attrs else "")
    return figure_of(ax)


@styled
def heat_maps(
    tables: xr.Dataset,
    variables: Sequence[str] | None = None,
    *,
    limits: Limits | None = None,
) -> Figure:
    """Several tables side by side, each in colours of its own.

    Args:
        tables: a Dataset of tables such as `heat_map` takes, for instance `fit_sine(manifold)`.
        variables: which of them; all by default.
        limits: lowest and highest value of the colours of all, so that they compare.

    Returns:
        A Figure with one panel per table.

    Raises:
        DataError: if there is no such variable, or it is no table.

    Example:
        >>> from pyroshift import VAE, fit_sine, manifold
        >>> figure = heat_maps(fit_sine(manifold(VAE((40,)), size=5)), ["offset", "period"])
        >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
        ['offset', 'period']
    """
    if not isinstance(tables, xr.Dataset):
        raise DataError(f"expected a Dataset of tables, got {type(tables).__name__}")
    names = list(map(str, tables.data_vars)) if variables is None else list(variables)
    if not names or not set(names) <= set(tables.data_vars):
        raise DataError(f"there are no {names}: choose some of {list(tables.data_vars)}")
    width, height = _panel_size(tables[names[0]])
    rows = math.ceil(len(names) / max(1, int(_WIDEST / width)))
    columns = math.ceil(len(names) / rows)
    figure = new_figure(width * columns, height * rows)
    grid = figure.add_gridspec(rows, columns)
    for index, name in enumerate(names):
        heat_map(tables[name], add_axes(figure, grid[index]), limits=limits)
    return figure


def _panel_size(table: xr.DataArray) -> tuple[float, float]:
    """Width and height of a panel in inches, with room for labels and colour bar."""
    rows, columns = (*table.shape, 1, 1)[:2]
    return min(max(_FIELD * columns, 1.0), 2.4) + 1.3, min(max(_FIELD * rows, 1.2), 2.4) + 0.7


def _by_number(table: xr.DataArray, side: int) -> bool:
    name = table.dims[side]
    return name in table.coords and table[name].dtype.kind in "iuf"


def _label(axis: Axis, table: xr.DataArray, side: int) -> None:
    """The rows' or columns' names or numbers; round ones where there are too many for all."""
    name, count = table.dims[side], table.shape[side]
    values = table[name].values if name in table.coords else np.arange(count)
    places = np.arange(count, dtype=float)
    if values.dtype.kind not in "iuf":
        axis.set_ticks(places, [title(str(value)) for value in values])
        return
    if count > _MOST_TICKS:
        low, high, order = values.min(), values.max(), np.argsort(values)
        ticks = [tick for tick in round_ticks().tick_values(low, high) if low <= tick <= high]
        places, values = np.interp(ticks, values[order], places[order]), np.array(ticks)
    axis.set_ticks(places, [f"{value:g}" for value in values])
    axis.set_label_text(name_with_unit(title(str(name)), units_of(table[name])))


def _write(ax: Axes, values: np.ndarray, picture: Any) -> None:
    """The numbers in their fields, in black or white, whichever is read more easily."""
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            red, green, blue, _ = picture.to_rgba(value)
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            ax.text(
                column, row, f"{value:.2f}", ha="center", va="center", size=TICK_SIZE,
                color="white" if dark else "black",
            )  # fmt: skip

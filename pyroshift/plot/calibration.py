"""`rank`: whether posteriors hold true values as often as they say."""

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pyroshift.bayes.ranks import Uniformity
from pyroshift.errors import DataError
from pyroshift.plot.style import (
    LINE_COLOURS,
    TICK_SIZE,
    add_axes,
    new_figure,
    round_ticks,
    styled,
    without_box,
)

_NEEDED = ("rank", "p_value", "coverage")
_COLOURS = (LINE_COLOURS[1], LINE_COLOURS[0])  # of the guide's draws, and of the weighed ones
_COLUMNS, _WIDTH, _HEIGHT = 4, 1.75, 1.55  # inches
_LINE = 0.13  # of a panel's height


@styled
def rank(calibration: xr.Dataset, level: float = 0.99) -> Figure:
    """Ranks of true values among draws of their posteriors: lines within the band are as right.

    Drawn is the share of ranks below each rank, less that rank. A line that goes up first and then
    down, through 0 in the middle, is of a posterior that is too narrow; down and then up, too wide;
    a bow upwards, of values that are too large, downwards, too small.

    Args:
        calibration: from `calibrate`.
        level: how probable a right posterior's line is to be within the band all along.

    Returns:
        A Figure of one panel for each quantity, with the share of true values in its intervals of
        90%, of the guide's draws and of the weighed ones.

    Raises:
        DataError: if this isn't what `calibrate` returns, or the level is no probability.

    Source:
        Säilynoja, Bürkner and Vehtari, Stat. Comput. 32, 32 (2022).

    Example:
        >>> from pyroshift import ShiftVAE, calibrate
        >>> found = calibrate(ShiftVAE(16, guide="normal"), windows=100, progress=False)
        >>> [ax.get_title() for ax in rank(found).axes][:3]
        ['offset_y', 'offset_x', 'z0']
    """
    if not isinstance(calibration, xr.Dataset) or not {*_NEEDED} <= set(calibration.data_vars):
        raise DataError(
            f"expected what calibrate gives, a Dataset of {', '.join(_NEEDED)}; got "
            f"{type(calibration).__name__}"
        )
    if not 0 < level < 1:
        raise DataError(f"level must be a probability between 0 and 1, got {level!r}")
    names = [str(name) for name in calibration["quantity"].values]
    columns = min(len(names), _COLUMNS)
    rows = math.ceil(len(names) / columns)
    uniformity = Uniformity(int(calibration["rank"][0, 0].notnull().sum()))
    figure = new_figure(_WIDTH * columns + 0.4, _HEIGHT * rows + 0.5)
    grid = figure.add_gridspec(rows, columns)
    for number, name in enumerate(names):
        row, column = divmod(number, columns)
        ax = add_axes(figure, grid[row, column])
        _panel(ax, calibration.sel(quantity=name), uniformity, level)
        ax.set_title(name)
        if column == 0:
            ax.set_ylabel("share below less rank")
        if number + columns >= len(names):
            ax.set_xlabel("rank of the true value")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    handles.append(Line2D([], [], linestyle="none"))
    labels.append("%: of the true values in intervals of 90%")
    figure.legend(handles, labels, loc="outside lower left", ncols=len(labels))
    return figure


def _panel(ax: Axes, found: xr.Dataset, uniformity: Uniformity, level: float) -> None:
    """One quantity: the band, and a line for each way of drawing."""
    count = uniformity.count
    shares = np.concatenate([[0.0], uniformity.shares, [1.0]])
    low, high = (np.concatenate([[0.0], end, [1.0]]) for end in uniformity.band(level))
    ax.fill_between(shares, low - shares, high - shares, color="0.88", linewidth=0)
    for number, name in enumerate(found["posterior"].values):
        own, colour = found.sel(posterior=name), _COLOURS[number]
        below = np.searchsorted(np.sort(own["rank"].values, axis=None)[:count], shares) / count
        ax.plot(shares, below - shares, color=colour, label=str(name))
        ax.annotate(
            f"{float(own['coverage'].sel(level=0.9)):.0%}", (1.0, 1.0 - _LINE * number),
            xycoords="axes fraction", ha="right", va="top", color=colour, fontsize=TICK_SIZE,
        )  # fmt: skip
    ax.axhline(0.0, color="0.6", linewidth=0.6)
    ax.set(xlim=(0, 1))
    ax.margins(y=0.3)
    ax.xaxis.set_major_locator(round_ticks(4))
    ax.yaxis.set_major_locator(round_ticks(4))
    without_box(ax)

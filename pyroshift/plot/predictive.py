"""`predictive_check`: do windows that a model predicts look like those it was given?"""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.bayes.predictive import predictive_check as checked
from pyroshift.data.checks import CHANNEL
from pyroshift.errors import DataError
from pyroshift.plot.colours import DIVERGES
from pyroshift.plot.drawing import draw_map, is_list
from pyroshift.plot.fields import select_frame
from pyroshift.plot.style import (
    LINE_COLOURS,
    add_axes,
    new_figure,
    round_ticks,
    styled,
    without_box,
)

_NEEDED = ("observed", "predicted", "p_value", "density", "density_predicted")
_EXTREME = 0.025


@styled
def predictive_check(source: xr.DataTree | xr.Dataset, *, frame: int = 0) -> Figure:
    """What was observed beside what the posterior predicts: pixels' values, and statistics.

    Above, the density of the pixels' values, black, over those of predictions; and of each
    statistic, windows by what was observed and what is predicted on the mean: a right model has
    them about the line. Below, maps of the share of predicted windows at or above the observed one:
    red where nearly all of them are, blue where nearly none: where either is together, the model
    fails.

    Args:
        source: from `pyroshift.predictive_check`; or draws from `posterior`, which are
            checked by its default statistics.
        frame: which frame of a stack the maps are of.

    Returns:
        A Figure of two rows of panels for each channel. Titles tell p, the mean over windows of
        the share of predictions at or above the observed one: about 1/2 if the model is right.

    Raises:
        DataError: if there are no predicted windows, or no such frame.

    Example:
        >>> from pyroshift import ShiftVAE, extract_patches, posterior
        >>> cut = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> tree = posterior(ShiftVAE(16, guide="normal"), cut, draws=50)
        >>> [ax.get_title() for ax in predictive_check(tree).axes][0]
        "pixels' values"
    """
    found = checked(source) if isinstance(source, xr.DataTree) else source
    if not isinstance(found, xr.Dataset) or not set(_NEEDED) <= set(found.data_vars):
        raise DataError(
            "expected what predictive_check gives, or draws from posterior; got "
            f"{type(source).__name__}"
        )
    channels = found[CHANNEL].values.tolist() if CHANNEL in found.dims else [None]
    names = found["statistic"].values.tolist()
    figure = new_figure(1.95 * (len(names) + 1), 3.7 * len(channels) + 0.3)
    grid = figure.add_gridspec(2 * len(channels), len(names) + 1)
    for number, channel in enumerate(channels):
        own = found if channel is None else found.sel({CHANNEL: channel})
        ax = add_axes(figure, grid[2 * number, 0])
        _densities(ax, own, channel or "")
        for column, name in enumerate(names, 1):
            statistic = own.sel(statistic=name)
            _against(add_axes(figure, grid[2 * number, column]), statistic, name)
            _map(add_axes(figure, grid[2 * number + 1, column]), statistic["p_value"], frame)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=len(labels))
    return figure


def _densities(ax: Axes, found: xr.Dataset, channel: str) -> None:
    """The pixels' values, observed and in predictions."""
    value = found["value"].values
    for density in found["density_predicted"].values:
        ax.plot(value, density, color=LINE_COLOURS[0], linewidth=0.4, alpha=0.3)
    ax.plot(value, found["density"].values, color="black", label="observed")
    ax.plot([], color=LINE_COLOURS[0], linewidth=0.8, label="predicted")
    ax.set(title="pixels' values", xlabel="value", ylabel=channel, yticks=[], ylim=(0, None))
    ax.xaxis.set_major_locator(round_ticks(3))
    without_box(ax)
    ax.spines["left"].set_visible(False)


def _against(ax: Axes, found: xr.Dataset, name: str) -> None:
    """One statistic of each window, predicted against observed; extreme ones in colour."""
    observed, predicted, p = (
        found[each].values.ravel() for each in ("observed", "predicted", "p_value")
    )
    extreme = (p < _EXTREME) | (p > 1 - _EXTREME)
    for which, colour in ((~extreme, "0.45"), (extreme, LINE_COLOURS[1])):
        ax.plot(observed[which], predicted[which], ".", color=colour, markersize=2.5, alpha=0.7)
    both = np.concatenate([observed, predicted])
    ends = np.nanmin(both), np.nanmax(both)
    ax.plot(ends, ends, color="0.7", linewidth=0.8, zorder=0)
    ax.set(title=f"{name}, p = {np.nanmean(p):.2f}", xlabel="observed")
    ax.set_ylabel("predicted")
    ax.xaxis.set_major_locator(round_ticks(2))
    ax.yaxis.set_major_locator(round_ticks(2))
    without_box(ax)


def _map(ax: Axes, p_value: xr.DataArray, frame: int) -> None:
    """Where the model fails."""
    shown: Any = select_frame(p_value, frame).assign_attrs(long_name="share predicted above")
    draw_map(ax, DIVERGES, shown, None, (0.0, 1.0), scale_bar=not is_list(shown))
    ax.set_title("")

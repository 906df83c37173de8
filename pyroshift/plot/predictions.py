"""`predicted_spectra`: what a bridge expects at some places, in bands, and what was measured."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.data.checks import CHANNEL
from pyroshift.errors import DataError
from pyroshift.plot.drawing import draw_map, is_list
from pyroshift.plot.fields import select_frame
from pyroshift.plot.geometry import positions
from pyroshift.plot.style import add_axes, line_colour, new_figure, styled, without_box
from pyroshift.plot.units import name_with_unit, show_units, units_of

_NEEDED = ("mean", "lower", "upper")
_COLUMNS = 4


@styled
def predicted_spectra(
    predicted: xr.Dataset, places: int | Sequence[int] = 7, *, seed: int = 0, frame: int = 0
) -> Figure:
    """Predicted spectra in their bands at some places, over those measured, and where they fail.

    Args:
        predicted: from `predict`, of spectra; of pairs, for what was measured to be drawn too.
        places: how many places, drawn at random; or their numbers, in the flattened layout.
        seed: of the choice.
        frame: which frame of a stack the map is of.

    Returns:
        A Figure with a panel for each place: measured black, expected in colour, the band pale. If
        spectra were measured, a map comes first, on which the places are numbered: the error, root
        mean square over the spectrum in units of the predictive standard deviation, which is about
        1 where the prediction is as good as it says.

    Raises:
        DataError: if this isn't what `predict` returns of spectra without channels, or there are no
            such places.

    Example:
        >>> names = ("mean", "lower", "upper", "std", "observed")
        >>> both = {name: (("atom", "bias"), np.ones((5, 9))) for name in names}
        >>> len(predicted_spectra(xr.Dataset(both), places=3).axes)
        4
    """
    axis = _axis(predicted)
    layout = [dim for dim in predicted["mean"].dims if dim != axis]
    stacked = predicted.transpose(*layout, axis, ...)
    known = np.isfinite(stacked["mean"].values.reshape(-1, predicted.sizes[axis])).any(1)
    chosen = _chosen(places, known, seed)
    mapped = "observed" in predicted and "std" in predicted
    columns = min(_COLUMNS, len(chosen) + mapped)
    rows = -(-(len(chosen) + mapped) // columns)
    figure = new_figure(2.1 * columns + 0.4, 1.75 * rows + 0.3)
    grid = figure.add_gridspec(rows, columns)
    if mapped:
        _error_map(add_axes(figure, grid[0, 0]), stacked, axis, chosen, frame)
    for number, place in enumerate(chosen, 1):
        row, column = divmod(number - 1 + mapped, columns)
        ax = add_axes(figure, grid[row, column])
        _spectrum(ax, stacked, axis, place)
        ax.set_title(f"place {number}")
        if column > (mapped and row == 0):
            ax.set_ylabel("")
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _axis(predicted: Any) -> str:
    """The spectra's own axis.

    Raises:
        DataError: if this isn't what `predict` returns of spectra.
    """
    if not isinstance(predicted, xr.Dataset) or not set(_NEEDED) <= set(predicted.data_vars):
        raise DataError(f"expected what predict returns, got {type(predicted).__name__}")
    dims = [str(dim) for dim in predicted["mean"].dims]
    if CHANNEL in dims or len(dims) < 2 or predicted.attrs.get("target_axes", 1) != 1:
        raise DataError(
            f"the predictions are over {dims}, but spectra without channels are drawn: take a "
            "channel by predicted.sel(channel=...), and draw windows by plot.image"
        )
    return dims[-1]


def _chosen(places: int | Sequence[int], known: np.ndarray, seed: int) -> list[int]:
    """Numbers of the places to draw.

    Raises:
        DataError: if there are none, or nothing was predicted there.
    """
    there = np.flatnonzero(known)
    if isinstance(places, int) and places >= 1 and there.size:
        count = min(places, there.size)
        return sorted(np.random.default_rng(seed).choice(there, count, replace=False).tolist())
    wanted = [] if isinstance(places, int) else [int(place) for place in places]
    if not wanted or not set(wanted) <= set(there.tolist()):
        raise DataError(
            f"places must be a number of places, or numbers of some of the {there.size} that have "
            f"a prediction, below {known.size}; got {places!r}"
        )
    return wanted


def _spectrum(ax: Axes, predicted: xr.Dataset, axis: str, place: int) -> None:
    """One place's spectrum: measured, expected, and the band."""
    coordinate, mean = predicted[axis], predicted["mean"]
    along = coordinate.values

    def at(name: str) -> np.ndarray:
        return np.asarray(predicted[name].values.reshape(-1, len(along))[place])

    band = f"{100 * predicted.attrs.get('credible', 0.9):g}% band"
    colour = line_colour(0)
    ax.fill_between(along, at("lower"), at("upper"), color=colour, alpha=0.25, lw=0, label=band)
    if "observed" in predicted:
        ax.plot(along, at("observed"), color="black", linewidth=0.6, label="measured")
    ax.plot(along, at("mean"), color=colour, label="expected")
    value = str(mean.attrs.get("long_name", "value")).removeprefix("expected ")
    for side, array, what in (
        (ax.xaxis, coordinate, str(coordinate.attrs.get("long_name", axis))),
        (ax.yaxis, mean, value),
    ):
        side.set_label_text(name_with_unit(what, units_of(array)))
        show_units(side, units_of(array))
    without_box(ax)


def _error_map(ax: Axes, predicted: xr.Dataset, axis: str, chosen: list[int], frame: int) -> None:
    """Each place's error by what was said of it, and where those are that are drawn."""
    off = (predicted["observed"] - predicted["mean"]) / predicted["std"]
    errors = ((off**2).mean(axis) ** 0.5).rename("error")
    errors.attrs = {"long_name": "root mean square", "units": "1"}
    shown = select_frame(errors, frame)
    draw_map(ax, "error", shown, scale_bar=not is_list(shown))
    ax.set_title("error / its spread")
    if shown.ndim != 2 or errors.ndim != 2:
        return
    (y, _), (x, _) = (positions(shown, str(dim)) for dim in shown.dims)
    for number, place in enumerate(chosen, 1):
        row, column = np.unravel_index(place, shown.shape)
        ax.text(
            x[column], y[row], str(number), color="white", fontsize=6, ha="center", va="center",
            bbox={"boxstyle": "circle,pad=0.15", "color": "black", "alpha": 0.6},
        )  # fmt: skip

"""`mean_spectra` and `abundances`: what spectra of each class look like, and where they are."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.errors import DataError
from pyroshift.maps.labels import KIND
from pyroshift.pathways.tracks import CLASS, CLASS_PROBABILITY
from pyroshift.plot.fields import kind_title
from pyroshift.plot.panels import maps
from pyroshift.plot.style import figure_of, line_colour, own_axes, styled, without_box
from pyroshift.plot.units import name_with_unit, show_units, units_of

BANDS = ("std", "mean_std")


@styled
def mean_spectra(
    found: xr.Dataset, ax: Axes | None = None, *, band: str = "std", log: bool = False
) -> Figure:
    """The mean spectrum of each class, in a band.

    Args:
        found: from `mean_spectra`.
        ax: where to draw; in a new figure by default.
        band: "std" for one standard deviation of single spectra to either side, "mean_std" for two
            of the mean, 95%.
        log: whether intensities are drawn by their logarithms.

    Returns:
        The Figure; the legend says how many spectra are of each class.

    Raises:
        DataError: if this isn't what `mean_spectra` returns, or there is no such band.

    Example:
        >>> both = {name: (("class", "energy"), np.ones((2, 9))) for name in ("mean", "std")}
        >>> [text.get_text() for text in mean_spectra(xr.Dataset(both)).axes[0].get_legend().texts]
        ['class 0', 'class 1']
    """
    if not isinstance(found, xr.Dataset) or "mean" not in found or CLASS not in found["mean"].dims:
        raise DataError("expected what mean_spectra returns, over `class` and the spectra's axis")
    if band not in BANDS or band not in found:
        raise DataError(f"band={band!r} can't be drawn: choose one of {BANDS}")
    means = found["mean"].transpose(CLASS, ...)
    axis = means[means.dims[1]]
    width = (2.0 if band == "mean_std" else 1.0) * found[band].transpose(CLASS, ...).values
    ax = own_axes(ax, 4.6, 2.8)
    names = means[CLASS].values if CLASS in means.coords else range(len(means))
    for number, name in enumerate(names):
        mean, colour = means.values[number], line_colour(number)
        low, high = mean - width[number], mean + width[number]
        if log:  # a band that goes below 0 ends at the lowest that is drawn
            low = np.maximum(low, _lowest(means.values))
        ax.fill_between(axis.values, low, high, color=colour, alpha=0.25, linewidth=0)
        count = f" ({int(found['count'][number])})" if "count" in found.coords else ""
        ax.plot(axis.values, mean, color=colour, label=f"{kind_title(str(name))}{count}")
    if log:
        ax.set_yscale("log")
        ax.set_ylim(bottom=_lowest(means.values))
    for side, array in ((ax.xaxis, axis), (ax.yaxis, means)):
        what = str(array.attrs.get("long_name", array.name))
        side.set_label_text(name_with_unit(what, units_of(array)))
        if not (log and side is ax.yaxis):
            show_units(side, units_of(array))
    known = axis.values[np.isfinite(means.values).any(0)]
    if known.size > 1:
        ax.set_xlim(known.min(), known.max())
    ax.legend()
    without_box(ax)
    return figure_of(ax)


def abundances(classified: xr.Dataset, image: Any = None) -> Figure:
    """How probable each class is, everywhere, side by side.

    Args:
        classified: from `classify`, or from `encode` by a model with classes.
        image: the source image, drawn before them, such as a cube's mean over its energies.

    Returns:
        A Figure with a panel per class, from 0 to 1 all of them.

    Raises:
        DataError: if the maps have no probabilities of classes.

    Example:
        >>> sure = (("y", "x", "class"), np.ones((3, 4, 2)) / 2)
        >>> figure = abundances(xr.Dataset({"class_probability": sure}, {"class": ["a", "b"]}))
        >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
        ['a', 'b']
    """
    if not isinstance(classified, xr.Dataset) or CLASS_PROBABILITY not in classified:
        raise DataError("the maps have no classes: classify gives them some")
    sure = classified[CLASS_PROBABILITY]
    kind = KIND if KIND in sure.dims else CLASS
    names = sure[kind].values if kind in sure.coords else range(sure.sizes[kind])
    about = {"long_name": "probability", "units": "1"}
    parts = {
        kind_title(str(name)): sure.isel({kind: number}, drop=True).assign_attrs(about)
        for number, name in enumerate(names)
    }
    return maps(xr.Dataset(parts), image, list(parts), limits=dict.fromkeys(parts, (0.0, 1.0)))


def _lowest(means: np.ndarray) -> float:
    """The lowest that is drawn by its logarithm, four decades below the highest at most."""
    positive = means[np.isfinite(means) & (means > 0)]
    return float(max(0.5 * positive.min(), 1e-4 * positive.max())) if positive.size else 1e-3

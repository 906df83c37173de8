"""Colour maps, limits and colour bars, by what a map holds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap

from pyroshift.maps.labels import PROBABILITIES
from pyroshift.model.sites import ANGLE, OFFSET
from pyroshift.plot.fields import MIRRORED, is_deviation
from pyroshift.plot.style import LINE_COLOURS, TICK_SIZE, round_ticks
from pyroshift.plot.units import show_units

Limits = tuple[float, float]

DIVERGES = "displacement"  # a name by which colours diverge, for what has a title of its own
_DIVERGE = ("distortion", "exx", "eyy", "exy", "rotation")
CIRCLE = (-math.pi, math.pi)
_MISSING = "0.88"
_GAP = "#c6d3e6"  # where light grey is a value
GREY = colormaps["gray"].with_extremes(bad=_GAP)
PHASES = colormaps["twilight"].with_extremes(bad=_GAP)
DIVERGING = colormaps["RdBu_r"].with_extremes(bad=_MISSING)
_SEQUENTIAL = colormaps["viridis"].with_extremes(bad=_MISSING)
_PALE = LinearSegmentedColormap.from_list("pale", ["0.96", "0.80"]).with_extremes(bad=_GAP)
PALE, NOTHING = "0.72", "0.5"  # points and words of what collapsed


def colour_map(name: str, collapsed: bool = False) -> Colormap:
    """Diverging for offsets and their like, cyclic for angles, else sequential; grey if missing.

    What collapsed is in pale grey.
    """
    if collapsed:
        return _PALE
    return DIVERGING if _is_offset(name) else PHASES if name == ANGLE else _SEQUENTIAL


def colour_limits(name: str, values: Any) -> Limits:
    """Limits that show what a map holds.

    The full circle for angles, symmetric for offsets, all of the probabilities, else robust.
    """
    if name == ANGLE:
        return CIRCLE
    if name.startswith((PROBABILITIES, MIRRORED)):
        return 0.0, 1.0
    return symmetric_limits(values) if _is_offset(name) else robust_limits(values)


def in_kinds(count: int) -> dict[str, Any]:
    """Colours and limits by which whole numbers show as kinds, no two alike up to 20.

    Example:
        >>> colours = in_kinds(12)["cmap"]
        >>> len(np.unique(colours(range(12)), axis=0))
        12
    """
    few = count <= len(LINE_COLOURS)
    colours: Any = LINE_COLOURS if few else colormaps["tab20"].colors  # type: ignore[attr-defined]
    each = ListedColormap([colours[number % len(colours)] for number in range(count)])
    return {"cmap": each.with_extremes(bad=_MISSING), "vmin": -0.5, "vmax": count - 0.5}


def robust_limits(values: Any) -> Limits:
    """Least and greatest value, unless a few lie far outside of the others.

    Example:
        >>> robust_limits(np.append(np.linspace(0.0, 1.0, 1000), 500.0))[1] < 2
        True
        >>> robust_limits([np.nan, 3.0, 4.0])
        (3.0, 4.0)
    """
    finite = _finite(values)
    if not finite.size:
        return 0.0, 1.0
    least, greatest = float(finite.min()), float(finite.max())
    low, high = (float(value) for value in np.percentile(finite, (1, 99)))
    if high > low:
        margin = (high - low) / 4
        least, greatest = max(least, low - margin), min(greatest, high + margin)
    if not greatest > least:
        margin = max(abs(least) / 10, 1e-12)
        return least - margin, greatest + margin
    return least, greatest


def symmetric_limits(values: Any) -> Limits:
    """Robust limits centred on zero.

    Example:
        >>> symmetric_limits([-1.0, 3.0])
        (-3.0, 3.0)
    """
    finite = np.abs(_finite(values))
    bound = robust_limits(finite)[1] if finite.any() else 1.0
    return -bound, bound


def circle_limits(values: Any, period: float) -> Limits:
    """A whole period about the values, from a whole number of quarters.

    Example:
        >>> circle_limits([-90.0, 170.0], 360.0), circle_limits([10.0, 350.0], 360.0)
        ((-180.0, 180.0), (0.0, 360.0))
    """
    finite, quarter = _finite(values), period / 4
    middle = (float(finite.min()) + float(finite.max())) / 2 if finite.size else 0.0
    centre = quarter * round(middle / quarter)
    return centre - period / 2, centre + period / 2


def add_colour_bar(
    mappable: ScalarMappable, axes: Axes | Sequence[Axes], text: str = "", units: str = ""
) -> Colorbar:
    """A colour bar beside the Axes that says what the colours mean.

    Args:
        mappable: the picture or points.
        axes: whose picture it is; several share the bar.
        text: what the colours mean, with the unit.
        units: the unit again, for the ticks.
    """
    limits = mappable.get_clim()
    first = axes if isinstance(axes, Axes) else axes[0]
    figure = first.get_figure()
    assert figure is not None
    bar = figure.colorbar(
        mappable,
        ax=axes,
        extend=_extend(mappable.get_array(), limits),
        extendfrac=0.04,
        fraction=0.06 * max(1.0, _height_over_width(first)),
        pad=0.02,
        aspect=25,
    )
    bar.outline.set_linewidth(0.5)
    bar.ax.tick_params(labelsize=TICK_SIZE, width=0.6, length=2.0)
    bar.ax.yaxis.set_major_locator(round_ticks())
    if limits == CIRCLE:
        quarter_ticks(bar, CIRCLE, [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"])
    show_units(bar.ax.yaxis, units)
    bar.set_label(text, linespacing=1.1)
    return bar


def quarter_ticks(bar: Colorbar, limits: Limits, labels: Sequence[str] | None = None) -> None:
    """Ticks at the quarters of a circle."""
    bar.set_ticks(np.linspace(*limits, 5).tolist(), labels=labels)


def name_kinds(bar: Colorbar, kinds: Sequence[str]) -> None:
    """A legend instead of numbers."""
    bar.set_ticks(range(len(kinds)), labels=kinds)
    bar.ax.tick_params(length=0.0)


def _height_over_width(ax: Axes) -> float:
    """Shape of a picture with square pixels; 1 for anything else."""
    if ax.get_aspect() != 1.0:
        return 1.0
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    return min(abs((top - bottom) / (right - left)), 4.0)


def _extend(values: Any, limits: Limits) -> str:
    """At which ends of the colour bar an arrow says that there are values beyond."""
    finite = _finite(values)
    rounding = 1e-6 * (limits[1] - limits[0])
    below = bool(finite.size) and finite.min() < limits[0] - rounding
    above = bool(finite.size) and finite.max() > limits[1] + rounding
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (bool(below), bool(above)), "neither"
    )


def _is_offset(name: str) -> bool:
    return name.startswith((OFFSET, DIVERGES, *_DIVERGE)) and not is_deviation(name)


def _finite(values: Any) -> np.ndarray:
    array: np.ndarray = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    return array[np.isfinite(array)]

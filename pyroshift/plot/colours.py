"""Colour maps, limits and colour bars, by what a map holds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, LinearSegmentedColormap

from pyroshift.model.sites import ANGLE, OFFSET
from pyroshift.plot.fields import is_deviation
from pyroshift.plot.style import TICK_SIZE, round_ticks
from pyroshift.plot.units import show_units

Limits = tuple[float, float]

GREY = "gray"
DIVERGING = "RdBu_r"
CIRCLE = (-math.pi, math.pi)
_SEQUENTIAL = "viridis"
_CYCLIC = "twilight"
_MISSING = "0.88"
_PALE = LinearSegmentedColormap.from_list("pale", ["0.96", "0.80"])
PALE, NOTHING = "0.72", "0.5"  # points and words of what collapsed


def colour_map(name: str, collapsed: bool = False) -> Colormap:
    """Diverging for offsets and their like, cyclic for angles, else sequential; grey if missing.

    What collapsed is in pale grey.
    """
    if collapsed:
        return _PALE
    kind = DIVERGING if _is_offset(name) else _CYCLIC if name == ANGLE else _SEQUENTIAL
    return colormaps[kind].with_extremes(bad=_MISSING)


def colour_limits(name: str, values: Any) -> Limits:
    """Limits that show what a map holds: the full circle, symmetric for offsets, else robust."""
    if name == ANGLE:
        return CIRCLE
    return symmetric_limits(values) if _is_offset(name) else robust_limits(values)


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
        quarters = [-math.pi, -math.pi / 2, 0.0, math.pi / 2, math.pi]
        bar.set_ticks(quarters, labels=[r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"])
    show_units(bar.ax.yaxis, units)
    bar.set_label(text, linespacing=1.1)
    return bar


def _height_over_width(ax: Axes) -> float:
    """Shape of a picture with square pixels; 1 for anything else."""
    if ax.get_aspect() != 1.0:
        return 1.0
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    return min(abs((top - bottom) / (right - left)), 4.0)


def _extend(values: Any, limits: Limits) -> str:
    """At which ends of the colour bar an arrow says that there are values beyond."""
    finite = _finite(values)
    below = bool(finite.size) and finite.min() < limits[0]
    above = bool(finite.size) and finite.max() > limits[1]
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (bool(below), bool(above)), "neither"
    )


def _is_offset(name: str) -> bool:
    return name.startswith((OFFSET, "displacement", "distortion")) and not is_deviation(name)


def _finite(values: Any) -> np.ndarray:
    array: np.ndarray = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    return array[np.isfinite(array)]

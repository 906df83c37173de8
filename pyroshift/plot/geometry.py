"""Where maps lie in the image's own units: extents of grids, and scale bars."""

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from pyroshift.plot.units import with_unit

Extent = tuple[float, float, float, float]


def positions(array: xr.DataArray, dim: str) -> tuple[np.ndarray, str]:
    """Where the entries along one dimension lie, and in which unit.

    Returns:
        Its coordinate, or the entries' indices and "px" where it has no evenly spaced one.
    """
    indices = np.arange(array.sizes[dim], dtype=float), "px"
    if dim not in array.coords or not np.issubdtype(array[dim].dtype, np.number):
        return indices
    values = array[dim].values.astype(float)
    steps = np.diff(values)
    if len(steps) and (steps[0] == 0 or not np.allclose(steps, steps.mean(), rtol=1e-2)):
        return indices
    return values, str(array[dim].attrs.get("units", "px"))


def extent(array: xr.DataArray) -> Extent:
    """Outer edges of a map or image whose coordinates are the centres of its pixels.

    Args:
        array: over two dimensions, rows first; row 0 comes on top.

    Returns:
        Left, right, bottom and top, as `imshow` takes them.

    Example:
        >>> extent(xr.DataArray(np.zeros((2, 3)), {"x": [5.0, 7.0, 9.0]}, ("y", "x")))
        (4.0, 10.0, 1.5, -0.5)
    """
    rows, columns = (positions(array, str(dim))[0] for dim in array.dims)
    row_step, column_step = _step(rows, columns), _step(columns, rows)
    return (
        float(columns[0] - column_step / 2),
        float(columns[-1] + column_step / 2),
        float(rows[-1] + row_step / 2),
        float(rows[0] - row_step / 2),
    )


def nice_length(width: float) -> float:
    """A round length, 1, 2 or 5 times a power of ten, of about a quarter of a width.

    Example:
        >>> nice_length(25.6), nice_length(512), nice_length(3e-8)
        (5.0, 100.0, 5e-09)
    """
    target = 0.32 * width
    power = 10.0 ** math.floor(math.log10(target))
    return float(f"{max(factor for factor in (1, 2, 5) if factor * power <= target) * power:.3g}")


def add_scale_bar(ax: Axes, units: str) -> None:
    """A bar of a round length below the lower left corner, in place of ticks."""
    left, right = ax.get_xlim()
    length = nice_length(abs(right - left))
    bar = AnchoredSizeBar(
        ax.transData,
        length,
        with_unit(length, units),
        loc="upper left",
        pad=0.0,
        borderpad=0.5,
        sep=3,
        frameon=False,
        size_vertical=0.0,
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=ax.transAxes,
    )
    (line,) = bar.size_bar.get_children()
    line.set_linewidth(2.0)
    ax.add_artist(bar)


def _step(values: np.ndarray, others: np.ndarray) -> float:
    """Spacing along an axis; a single row or column is as wide as the other axis's."""
    for axis in (values, others):
        if len(axis) > 1:
            return float(axis[-1] - axis[0]) / (len(axis) - 1)
    return 1.0

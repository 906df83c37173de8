"""`reconstructions`: the data beside what the model makes of them."""

import math

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import (
    DIVERGING,
    GREY,
    Limits,
    add_colour_bar,
    robust_limits,
    symmetric_limits,
)
from pyroshift.plot.sources import as_reconstructed
from pyroshift.plot.style import LINE_COLOURS, add_axes, new_figure, styled, without_box


@styled
def reconstructions(
    data: xr.DataArray | PoseVAE, decoded: xr.DataArray | Patches, n: int = 8, *, seed: int = 0
) -> Figure:
    """Some patches, what the model makes of them, and what remains.

    Args:
        data: a model; or data from `patches.to_xarray()`, the window's axes last.
        decoded: the patches that the model is to reconstruct; or, of the data's shape, what
            `decode(model, encode(model, patches))` returns.
        n: how many patches, drawn at random from those without missing pixels, if there are any.
        seed: of that draw.

    Returns:
        A Figure with a column per patch: data, reconstruction and residual.

    Raises:
        DataError: if the shapes differ, the model is for other windows, or there is no patch.

    Example:
        >>> import pyroshift
        >>> image = np.random.default_rng(0).random((32, 40))
        >>> patches = pyroshift.extract_patches(image, window=16)
        >>> len(reconstructions(pyroshift.ShiftVAE(16), patches, n=5).axes)
        17
    """
    if n < 1:
        raise DataError(f"n must be at least 1, got {n}")
    seen, made = _draw(*as_reconstructed(data, decoded, n, seed), n, seed)
    draw = _signals if seen.ndim == 2 else _images
    return draw(seen, made)


def _draw(
    data: xr.DataArray, decoded: xr.DataArray, n: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Patches and their reconstructions, `n x window`, at random but in order."""
    window = [dim for dim in getattr(decoded, "dims", ()) if str(dim).startswith("window_")]
    if len(window) not in (1, 2):
        raise DataError("decoded must be what decode returns, ending in window_y, window_x")
    if np.shape(data) != decoded.shape:
        raise DataError(
            f"data of shape {np.shape(data)} and decoded of shape {decoded.shape} differ: pass "
            "patches.to_xarray() and decode(model, encode(model, patches)) of the same patches"
        )
    size = decoded.shape[-len(window) :]
    seen, made = np.asarray(data).reshape(-1, *size), decoded.values.reshape(-1, *size)
    axes = tuple(range(1, seen.ndim))
    there, reconstructed = np.isfinite(seen), np.isfinite(made).all(axes)
    whole = np.flatnonzero(there.all(axes) & reconstructed)
    shown = whole if len(whole) else np.flatnonzero(there.any(axes) & reconstructed)
    if not len(shown):
        raise DataError("there is no patch to show: all their pixels are missing")
    kept = np.random.default_rng(seed).choice(shown, min(n, len(shown)), replace=False)
    kept.sort()
    return seen[kept].astype(float), made[kept].astype(float)


def _images(seen: np.ndarray, made: np.ndarray) -> Figure:
    """A column per patch, with the data, the reconstruction and the residual below each other."""
    count, (height, width) = len(seen), seen.shape[1:]
    side = min(1.1, 9.0 / count)
    figure = new_figure(side * count + 1.0, 3 * side * height / width + 0.2, compressed=True)
    grid = figure.add_gridspec(3, count)
    shades, signed = robust_limits(np.stack((seen, made))), symmetric_limits(seen - made)
    rows = (
        ("data", seen, GREY, shades),
        ("reconstruction", made, GREY, shades),
        ("residual", seen - made, DIVERGING, signed),
    )
    panels = [[add_axes(figure, grid[row, column]) for column in range(count)] for row in range(3)]
    for axes, (name, values, colours, (low, high)) in zip(panels, rows, strict=True):
        for ax, picture in zip(axes, values, strict=True):
            ax.imshow(picture, cmap=colours, vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_linewidth(0.5)
        axes[0].set_ylabel(name)
    add_colour_bar(panels[0][0].images[0], panels[0] + panels[1])
    add_colour_bar(panels[2][0].images[0], panels[2])
    return figure


def _signals(seen: np.ndarray, made: np.ndarray) -> Figure:
    """A graph per patch of the data and the reconstruction, and one of the residual below it."""
    count = len(seen)
    columns = min(count, 4)
    rows = math.ceil(count / columns)
    figure = new_figure(1.8 * columns + 0.4, 1.8 * rows + 0.3)
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[3, 1] * rows)
    bounds, signed = (
        _margin(robust_limits(np.stack((seen, made)))),
        _margin(symmetric_limits(seen - made)),
    )
    for index, (signal, model) in enumerate(zip(seen, made, strict=True)):
        row, column = divmod(index, columns)
        upper = add_axes(figure, grid[2 * row, column], ylim=bounds, xticklabels=[])
        lower = add_axes(figure, grid[2 * row + 1, column], ylim=signed)
        upper.plot(signal, ".", color="0.6", markersize=2.5, label="data")
        upper.plot(model, color=LINE_COLOURS[0], label="reconstruction")
        lower.axhline(0.0, color="0.7", linewidth=0.6)
        lower.plot(signal - model, color=LINE_COLOURS[1], linewidth=0.8, label="residual")
        for ax in (upper, lower):
            ax.set_xlim(-0.5, len(signal) - 0.5)
            ax.tick_params(labelleft=column == 0)
            without_box(ax)
        if column == 0:
            lower.set_ylabel("residual")
        if index + columns >= count:
            lower.set_xlabel("sample")
    figure.legend(
        *upper.get_legend_handles_labels(), loc="outside upper left", ncols=2, borderaxespad=0.2
    )
    figure.align_ylabels()
    return figure


def _margin(limits: Limits) -> Limits:
    """Limits with some room around the values."""
    low, high = limits
    return low - 0.05 * (high - low), high + 0.05 * (high - low)

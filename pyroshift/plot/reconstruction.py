"""`reconstructions`: the data beside what the model makes of them."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from pyroshift.data.channels import CHANNEL_UNITS
from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import (
    DIVERGING,
    Limits,
    add_colour_bar,
    quarter_ticks,
    robust_limits,
    symmetric_limits,
)
from pyroshift.plot.pictures import Shades, by_channel, name_of, period_of
from pyroshift.plot.sources import as_reconstructed
from pyroshift.plot.style import LINE_COLOURS, add_axes, new_figure, styled, without_box
from pyroshift.plot.units import name_with_unit, show_units, units_of

_ACROSS = 4  # graphs of signals side by side


@dataclass(frozen=True)
class _Channel:
    """Some windows in one channel, and what the model makes of them.

    Args:
        name: of the channel; empty if there are no channels.
        units: of the values.
        seen: `n x window`, NaN where pixels are missing.
        made: `n x window`.
        shades: that suit both.
    """

    name: str
    units: str
    seen: np.ndarray
    made: np.ndarray
    shades: Shades

    @property
    def residual(self) -> np.ndarray:
        """What remains, `n x window`."""
        return self.shades.difference(self.seen, self.made)


@styled
def reconstructions(
    data: xr.DataArray | PoseVAE, decoded: xr.DataArray | Patches, n: int = 8, *, seed: int = 0
) -> Figure:
    """Some patches, what the model makes of them, and what remains; each channel by itself.

    Args:
        data: a model; or data from `patches.to_xarray()`, the window's axes last.
        decoded: the patches that the model is to reconstruct; or, of the data's shape, what
            `decode(model, encode(model, patches))` returns.
        n: how many patches, drawn at random. Where pixels are missing, there are gaps.
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
    channels = _draw(*as_reconstructed(data, decoded, n, seed), n, seed)
    draw = _signals if channels[0].seen.ndim == 2 else _images
    return draw(channels)


def _draw(data: xr.DataArray, decoded: xr.DataArray, n: int, seed: int) -> list[_Channel]:
    """Patches and their reconstructions, channel by channel, at random but in order."""
    window = [dim for dim in getattr(decoded, "dims", ()) if str(dim).startswith("window_")]
    if len(window) not in (1, 2):
        raise DataError("decoded must be what decode returns, ending in window_y, window_x")
    if np.shape(data) != decoded.shape:
        raise DataError(
            f"data of shape {np.shape(data)} and decoded of shape {decoded.shape} differ: pass "
            "patches.to_xarray() and decode(model, encode(model, patches)) of the same patches"
        )
    labelled = decoded.copy(data=np.asarray(data, dtype=float))
    if isinstance(data, xr.DataArray):
        known = {CHANNEL_UNITS} & set(data.coords)
        labelled = labelled.assign_coords({name: data.coords[name].variable for name in known})
        labelled = labelled.assign_attrs(units=units_of(data))
    size = decoded.shape[-len(window) :]
    pairs = [
        (seen, seen.values.reshape(-1, *size), made.values.reshape(-1, *size).astype(float))
        for seen, made in zip(by_channel(labelled), by_channel(decoded), strict=True)
    ]
    axes = tuple(range(1, 1 + len(size)))
    shown = np.all([np.isfinite(made).all(axes) for _, _, made in pairs], 0)
    shown &= np.any([np.isfinite(seen).any(axes) for _, seen, _ in pairs], 0)
    if not shown.any():
        raise DataError("there is no patch to show: all their pixels are missing")
    places = np.flatnonzero(shown)
    kept = np.random.default_rng(seed).choice(places, min(n, len(places)), replace=False)
    kept.sort()
    return [
        _Channel(
            name_of(of) if len(pairs) > 1 else "",
            units_of(of),
            seen[kept],
            made[kept],
            Shades.of(np.stack((seen[kept], made[kept])), period_of(of)),
        )
        for of, seen, made in pairs
    ]


def _images(channels: list[_Channel]) -> Figure:
    """A column per patch, with the data, the reconstruction and the residual below each other."""
    count, (height, width) = len(channels[0].seen), channels[0].seen.shape[1:]
    side = min(1.1, 9.0 / count)
    tall = 3 * side * height / width + (0.35 if len(channels) > 1 else 0.2)
    figure = new_figure(side * count + 1.0, tall * len(channels), compressed=True)
    grid = figure.add_gridspec(3 * len(channels), count)
    for block, channel in enumerate(channels):
        shades = channel.shades
        rows = (
            ("data", shades.shown(channel.seen), shades.colours, shades.limits),
            ("reconstruction", shades.shown(channel.made), shades.colours, shades.limits),
            ("residual", channel.residual, DIVERGING, symmetric_limits(channel.residual)),
        )
        panels = [
            [add_axes(figure, grid[3 * block + row, column]) for column in range(count)]
            for row in range(len(rows))
        ]
        for axes, (name, values, colours, (low, high)) in zip(panels, rows, strict=True):
            for ax, picture in zip(axes, values, strict=True):
                ax.imshow(picture, cmap=colours, vmin=low, vmax=high)
                ax.set(xticks=[], yticks=[])
                ax.spines[:].set_linewidth(0.5)
            axes[0].set_ylabel(name)
        panels[0][0].set_title(channel.name, loc="left")
        text = name_with_unit("", channel.units)
        bar = add_colour_bar(panels[0][0].images[0], panels[0] + panels[1], text, channel.units)
        if shades.period is not None:
            quarter_ticks(bar, shades.limits)
        add_colour_bar(panels[2][0].images[0], panels[2], text, channel.units)
    return figure


def _signals(channels: list[_Channel]) -> Figure:
    """A graph per patch of the data and the reconstruction, and one of the residual below it."""
    count = len(channels[0].seen)
    columns = min(count, _ACROSS)
    rows = list(itertools.product(range(math.ceil(count / columns)), channels))
    figure = new_figure(1.8 * columns + 0.4, 1.8 * len(rows) + 0.3)
    grid = figure.add_gridspec(2 * len(rows), columns, height_ratios=[3, 1] * len(rows))
    for row, (block, channel) in enumerate(rows):
        bounds = _margin(robust_limits(np.stack((channel.seen, channel.made))))
        signed = _margin(symmetric_limits(channel.residual))
        for column, index in enumerate(range(block * columns, min((block + 1) * columns, count))):
            upper = add_axes(figure, grid[2 * row, column], ylim=bounds, xticklabels=[])
            lower = add_axes(figure, grid[2 * row + 1, column], ylim=signed)
            upper.plot(channel.seen[index], ".", color="0.6", markersize=2.5, label="data")
            upper.plot(channel.made[index], color=LINE_COLOURS[0], label="reconstruction")
            lower.axhline(0.0, color="0.7", linewidth=0.6)
            remains = channel.residual[index]
            lower.plot(remains, color=LINE_COLOURS[1], linewidth=0.8, label="residual")
            for ax in (upper, lower):
                ax.set_xlim(-0.5, len(remains) - 0.5)
                ax.tick_params(labelleft=column == 0)
                show_units(ax.yaxis, channel.units)
                without_box(ax)
            if column == 0:
                upper.set_ylabel(name_with_unit(channel.name, channel.units))
                lower.set_ylabel("residual")
            if channel is channels[-1] and index + columns >= count:
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

"""`manifold`: what the model sees in its latent space, tile by tile."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from pyroshift.data.checks import CHANNEL
from pyroshift.errors import DataError
from pyroshift.maps.labels import KIND
from pyroshift.model.classes import CLASS
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import NOTHING, PALE
from pyroshift.plot.fields import collapsed_fields, kind_title, kinds_of, title
from pyroshift.plot.pictures import Shades, by_channel, name_of, period_of
from pyroshift.plot.sources import as_manifold
from pyroshift.plot.style import LINE_COLOURS, add_axes, figure_of, new_figure, own_axes, styled

_UNSEEN = 0.25  # opacity of tiles that the data don't have
_WIDEST = 12.0  # inches, of several panels side by side


@dataclass(frozen=True)
class _Picture:
    """The tiles of one panel, and how they are drawn.

    Args:
        heading: which class and channel they are of.
        tiles: over both latents and the window.
        shades: their colours, which all classes share.
        seen: over both latents, whether the data have such a tile.
    """

    heading: str
    tiles: np.ndarray
    shades: Shades
    seen: np.ndarray


@styled
def manifold(
    array: xr.DataArray | PoseVAE, ax: Axes | None = None, *, maps: xr.Dataset | None = None
) -> Figure:
    """What the model expects to see over its latents, tile by tile.

    Args:
        array: from `manifold`, `z0 x z1 x height x width` or `z0 x z1 x length`; or without `z1`;
            or a model. Channels and classes each get a panel.
        ax: where to draw, one channel and class only, such as
            `manifold(model).sel(channel="height")` or `.isel(kind=0)`; in a new figure by default.
        maps: from `encode`, which tell what of this the data have: tiles along a latent that
            collapsed, and those of a class that no window is of, are then drawn pale.

    Returns:
        The Figure, in units of the latents: the first to the right, the second upwards, as in
        `scatter`.

    Raises:
        DataError: if this isn't what `manifold` returns, or there is one `ax` for several panels.

    Example:
        >>> import pyroshift
        >>> ax = manifold(pyroshift.manifold(pyroshift.VAE((16, 16)), size=5)).axes[0]
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('$z_{0}$', '$z_{1}$')
    """
    table = as_manifold(array)
    names = _latents(table)
    across, up = _centres(table, names[0]), _centres(table, names[-1], len(names))
    collapsed = frozenset() if maps is None else collapsed_fields(maps)
    seen = _seen(across, names[0] in collapsed)[:, None] & _seen(up, names[-1] in collapsed)
    pictures = list(_pictures(table, names, seen, maps))
    if len(pictures) > 1 and ax is not None:
        several = KIND if KIND in table.dims else CHANNEL
        raise DataError(
            f"an `ax` shows the manifold of one {several}, but there are {table.sizes[several]}: "
            f"choose one, such as by .isel({several}=0), or leave out `ax`"
        )
    window = pictures[0].tiles.shape[2:]
    height, width = window if len(window) == 2 else (2, 3)
    side = min(4.2, 0.8 * max(len(across), len(up)))
    flat = side * len(up) * height / (len(across) * width)
    if len(pictures) == 1:
        axes = [own_axes(ax, side + 0.5, max(flat, 0.3) + 0.45)]
    else:
        axes = _panels(table, len(pictures), side + 0.5, flat)
    for place, picture in zip(axes, pictures, strict=True):
        draw = _draw_tiles if len(window) == 2 else _draw_signals
        draw(place, picture, across, up)
        place.set(xlim=_edges(across), ylim=_edges(up), title=picture.heading)
        place.set_aspect(height * _step(across) / (width * _step(up)))
        for axis, name in zip((place.xaxis, place.yaxis), names, strict=False):
            axis.set_label_text(title(name, name in collapsed))
            axis.label.set_color(NOTHING if name in collapsed else "black")
        if len(names) == 1:
            place.set_yticks([])
        place.spines[:].set_visible(False)
    return figure_of(axes[0])


def _latents(array: xr.DataArray) -> list[str]:
    """Names of the latents that a table of expected data runs over.

    Raises:
        DataError: if it isn't what `manifold` returns.
    """
    dims = [str(dim) for dim in getattr(array, "dims", ()) if dim not in (KIND, CHANNEL)]
    names = [dim for dim in dims if not dim.startswith("window_")]
    if not 1 <= len(names) <= 2 or not 1 <= len(dims) - len(names) <= 2:
        raise DataError(
            "expected what manifold returns, over one or two latents and the window's window_y, "
            f"window_x; got {getattr(array, 'dims', type(array).__name__)}"
        )
    return names


def _pictures(
    table: xr.DataArray, names: list[str], seen: np.ndarray, maps: xr.Dataset | None
) -> Iterator[_Picture]:
    """The tiles of each class, and of these of each channel."""
    channels = by_channel(table)
    shades = [Shades.of(channel.values, period_of(channel)) for channel in channels]
    for kind, (called, share) in enumerate(_kinds(table, maps)):
        for channel, colours in zip(channels, shades, strict=True):
            one = channel.isel({KIND: kind}) if KIND in table.dims else channel
            tiles = colours.shown(one.transpose(*names, ...).values)
            yield _Picture(
                ", ".join(filter(None, (called, name_of(channel)))),
                tiles[:, None] if len(names) == 1 else tiles,
                colours,
                seen & (share != 0),
            )


def _kinds(table: xr.DataArray, maps: xr.Dataset | None) -> list[tuple[str, float]]:
    """What each class is called, and its share of the windows; NaN if that isn't known."""
    if KIND not in table.dims:
        return [("", np.nan)]
    numbers = [str(number) for number in range(table.sizes[KIND])]
    called = () if maps is None else kinds_of(maps, CLASS)
    if maps is None or len(called) != len(numbers):
        return [(kind_title(number), np.nan) for number in numbers]
    known = maps[CLASS].values[np.isfinite(maps[CLASS].values)]
    shares = [float(np.mean(known == kind)) for kind in range(len(called))]
    return [
        (f"{kind_title(name)} ({share:.0%} of the windows)", share)
        for name, share in zip(called, shares, strict=True)
    ]


def _panels(table: xr.DataArray, count: int, width: float, height: float) -> list[Axes]:
    """Axes for several pictures: a row of channels for each class, or all in a few rows.

    Args:
        table: what is drawn.
        count: number of pictures.
        width: of one, inches.
        height: of its tiles, inches.
    """
    if {KIND, CHANNEL} <= set(table.dims):
        columns = table.sizes[CHANNEL]
    elif height < width / 4:
        columns = 1
    else:
        columns = min(count, math.ceil(math.sqrt(1.5 * count)))
    rows, scale = math.ceil(count / columns), min(1.0, _WIDEST / (columns * width))
    figure = new_figure(scale * width * columns, (scale * max(height, 0.3) + 0.6) * rows)
    grid = figure.add_gridspec(rows, columns)
    return [add_axes(figure, grid[number]) for number in range(count)]


def _centres(array: xr.DataArray, name: str, latents: int = 2) -> np.ndarray:
    """Latent of each tile along one axis; whole numbers where it has none, or there is no such."""
    if latents == 1:
        return np.zeros(1)
    if name not in array.coords:
        return np.arange(array.sizes[name], dtype=float)
    return array[name].values.astype(float)


def _seen(centres: np.ndarray, collapsed: bool) -> np.ndarray:
    """Which tiles along an axis the data have: of a latent that collapsed, the middle one."""
    if not collapsed:
        return np.ones(len(centres), bool)
    return np.arange(len(centres)) == np.abs(centres - centres.mean()).argmin()


def _step(centres: np.ndarray) -> float:
    """Latent from tile to tile; 1 for a single one."""
    return float(centres[1] - centres[0]) if len(centres) > 1 else 1.0


def _edges(centres: np.ndarray) -> tuple[float, float]:
    """Latents at the outer edges of the first and last tile."""
    half = _step(centres) / 2
    return float(centres[0]) - half, float(centres[-1]) + half


def _draw_tiles(ax: Axes, picture: _Picture, across: np.ndarray, up: np.ndarray) -> None:
    """Images side by side in one picture, with a narrow gap between them."""
    tiles, seen = picture.tiles, picture.seen
    rows, height, width = tiles.shape[1:]
    gap = max(1, round(max(height, width) / 25))

    def side_by_side(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, ((0, 0), (0, 0), (0, gap), (0, gap)), constant_values=np.nan)
        # The second latent grows upwards, rows of pixels downwards.
        whole = padded[:, ::-1].transpose(1, 2, 0, 3).reshape(rows * (height + gap), -1)
        return whole[:-gap, :-gap]

    low, high = picture.shades.limits
    opacity = np.where(seen, 1.0, _UNSEEN)[..., None, None] * np.ones_like(tiles, float)
    ax.imshow(
        side_by_side(tiles), cmap=picture.shades.colours.with_extremes(bad="white"),
        vmin=low, vmax=high, extent=(*_edges(across), *_edges(up)),
        alpha=None if seen.all() else np.nan_to_num(side_by_side(opacity)),
    )  # fmt: skip


def _draw_signals(ax: Axes, picture: _Picture, across: np.ndarray, up: np.ndarray) -> None:
    """Signals as small graphs, all on the same scale."""
    columns, rows, length = picture.tiles.shape
    low, high = picture.shades.limits
    along = 0.84 * _step(across) * (np.arange(length) / max(length - 1, 1) - 0.5)
    values = 0.8 * _step(up) * ((picture.tiles - low) / (high - low) - 0.5)
    lines = [
        np.column_stack((across[column] + along, up[row] + values[column, row]))
        for column in range(columns)
        for row in range(rows)
    ]
    colours = [LINE_COLOURS[0] if there else PALE for there in picture.seen.ravel()]
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=1.0))

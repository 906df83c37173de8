"""`scatter` and `manifold`: the latent space, and what the model sees in it."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import (
    GREY,
    NOTHING,
    PALE,
    add_colour_bar,
    colour_limits,
    colour_map,
    robust_limits,
)
from pyroshift.plot.fields import collapsed_fields, field, fields, title
from pyroshift.plot.sources import as_manifold, as_maps
from pyroshift.plot.style import LINE_COLOURS, figure_of, own_axes, round_ticks, styled, without_box
from pyroshift.plot.units import describe, name_with_unit, show_units, units_of

_UNSEEN = 0.25  # opacity of tiles that the data don't have


@styled
def scatter(
    dataset: xr.Dataset | PoseVAE,
    x: str = "z0",
    y: str | None = None,
    color: Any = "elbo",
    ax: Axes | None = None,
    *,
    patches: Patches | None = None,
) -> Figure:
    """Two variables of all patches against each other, coloured by a third.

    Args:
        dataset: from `encode`, or a model, with `patches`.
        x: variable along x: "z0", "offset_y", "angle", "elbo" ..., or a coordinate.
        y: variable along y; by default "z1", or the first offset of a model with one latent.
        color: variable or coordinate that colours the points, or one number per patch.
        ax: where to draw; in a new figure by default.
        patches: what a model is to encode; maps are given without.

    Returns:
        The Figure.

    Raises:
        DataError: if there is no such variable, or the array isn't one number per patch.

    Example:
        >>> from pyroshift import ShiftVAE, encode, extract_patches
        >>> patches = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> scatter(encode(ShiftVAE(16), patches), "offset_x", "offset_y").axes[0].get_ylabel()
        'offset y (px)'
    """
    maps = as_maps(dataset, patches)
    names, collapsed = list(fields(maps)), collapsed_fields(maps)
    if y is None:
        y = next((name for name in ("z1", *names) if name in names and name != x), x)
    across, up = field(maps, x), field(maps, y)
    shown = _colour(maps, color, across)
    name = color if isinstance(color, str) else ""
    low, high = colour_limits(name, shown.values)
    count = max(across.size, 1)
    ax = own_axes(ax, 3.6, 3.0)
    points = ax.scatter(
        across.values.ravel(),
        up.values.ravel(),
        c=shown.values.ravel(),
        s=float(np.clip(8000 / count, 1.5, 18.0)),
        alpha=float(np.clip(60 / np.sqrt(count), 0.3, 0.9)),
        cmap=colour_map(name, name in collapsed or {x, y} <= collapsed),
        vmin=low,
        vmax=high,
        linewidths=0,
        rasterized=True,
    )
    for axis, label, array in ((ax.xaxis, x, across), (ax.yaxis, y, up)):
        gone = label in collapsed
        axis.set_label_text(name_with_unit(title(label, gone), units_of(array)))
        axis.label.set_color(NOTHING if gone else "black")
        axis.set_major_locator(round_ticks())
        show_units(axis, units_of(array))
    without_box(ax)
    text = describe(shown, name)
    if name:
        text = name_with_unit(title(name, name in collapsed), units_of(shown))
    bar = add_colour_bar(points, ax, text, units_of(shown))
    bar.solids.set_alpha(1.0)  # type: ignore[union-attr]
    return figure_of(ax)


@styled
def manifold(
    array: xr.DataArray | PoseVAE, ax: Axes | None = None, *, maps: xr.Dataset | None = None
) -> Figure:
    """What the model expects to see over its latents, tile by tile.

    Args:
        array: from `manifold`, `z0 x z1 x height x width` or `z0 x z1 x length`; or without `z1`;
            or a model. Of several channels or classes one, such as
            `manifold(model).sel(channel="height")` or `.isel(kind=0)`.
        ax: where to draw; in a new figure by default.
        maps: from `encode`, which tell what of this the data have: tiles along a latent that
            collapsed are then drawn pale.

    Returns:
        The Figure, in units of the latents: the first to the right, the second upwards, as in
        `scatter`.

    Raises:
        DataError: if this isn't what `manifold` returns.

    Example:
        >>> import pyroshift
        >>> ax = manifold(pyroshift.manifold(pyroshift.VAE((16, 16)), size=5)).axes[0]
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('$z_{0}$', '$z_{1}$')
    """
    table = as_manifold(array)
    tiles, names = _tiles(table)
    columns, rows = tiles.shape[:2]
    across, up = _centres(table, names[0], columns), _centres(table, names[-1], rows)
    collapsed = frozenset() if maps is None else collapsed_fields(maps)
    seen = _seen(across, names[0] in collapsed)[:, None] & _seen(up, names[-1] in collapsed)
    height, width = tiles.shape[2:] if tiles.ndim == 4 else (2, 3)
    side = min(4.2, 0.8 * max(columns, rows))
    tall = side * rows * height / (columns * width)
    ax = own_axes(ax, side + 0.5, max(tall, 0.3) + 0.45)
    draw = _draw_tiles if tiles.ndim == 4 else _draw_signals
    draw(ax, tiles, across, up, seen)
    ax.set(xlim=_edges(across), ylim=_edges(up))
    ax.set_aspect(height * _step(across) / (width * _step(up)))
    for axis, name in zip((ax.xaxis, ax.yaxis), names, strict=False):
        axis.set_label_text(title(name, name in collapsed))
        axis.label.set_color(NOTHING if name in collapsed else "black")
    if len(names) == 1:
        ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return figure_of(ax)


def _colour(dataset: xr.Dataset, color: Any, like: xr.DataArray) -> xr.DataArray:
    """The values that colour the points, in their order."""
    if isinstance(color, str):
        return field(dataset, color)
    if isinstance(color, xr.DataArray) and set(color.dims) == set(like.dims):
        color = color.transpose(*like.dims)
    values = np.asarray(color)
    if values.size != like.size or not (
        np.issubdtype(values.dtype, np.number) or values.dtype == bool
    ):
        raise DataError(
            f"color must be one number for each of {like.size} patches, or one of "
            f"{list(fields(dataset))}; got an array of shape {values.shape} and {values.dtype}"
        )
    attrs = color.attrs if isinstance(color, xr.DataArray) else {}
    name = str(color.name or "") if isinstance(color, xr.DataArray) else ""
    return like.copy(data=values.reshape(like.shape)).assign_attrs(
        {"long_name": name, "units": "", **attrs}
    )


def _tiles(array: xr.DataArray) -> tuple[np.ndarray, list[str]]:
    """Values over both latents and the window, and the names of the latents."""
    names = [str(dim) for dim in getattr(array, "dims", ()) if not str(dim).startswith("window_")]
    if several := [name for name in ("kind", "channel") if name in names]:
        raise DataError(
            f"a picture shows the manifold of one {several[0]}, but there are "
            f"{array.sizes[several[0]]}: choose one, such as by .isel({several[0]}=0)"
        )
    if not 1 <= len(names) <= 2 or not 1 <= array.ndim - len(names) <= 2:
        raise DataError(
            "expected what manifold returns, over one or two latents and the window's window_y, "
            f"window_x; got {getattr(array, 'dims', type(array).__name__)}"
        )
    values = array.transpose(*names, ...).values
    return (values[:, None] if len(names) == 1 else values), names


def _centres(array: xr.DataArray, name: str, count: int) -> np.ndarray:
    """Latent of each tile along one axis; whole numbers where it has none."""
    if name not in array.coords or array.sizes[name] != count:
        return np.arange(count, dtype=float)
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


def _draw_tiles(
    ax: Axes, tiles: np.ndarray, across: np.ndarray, up: np.ndarray, seen: np.ndarray
) -> None:
    """Images side by side in one picture, with a narrow gap between them."""
    rows, height, width = tiles.shape[1:]
    gap = max(1, round(max(height, width) / 25))

    def side_by_side(values: np.ndarray) -> np.ndarray:
        padded = np.pad(values, ((0, 0), (0, 0), (0, gap), (0, gap)), constant_values=np.nan)
        # The second latent grows upwards, rows of pixels downwards.
        picture = padded[:, ::-1].transpose(1, 2, 0, 3).reshape(rows * (height + gap), -1)
        return picture[:-gap, :-gap]

    low, high = robust_limits(tiles)
    extent = (*_edges(across), *_edges(up))
    opacity = np.where(seen, 1.0, _UNSEEN)[..., None, None] * np.ones_like(tiles, float)
    ax.imshow(
        side_by_side(tiles.astype(float)), cmap=GREY, vmin=low, vmax=high, extent=extent,
        alpha=None if seen.all() else np.nan_to_num(side_by_side(opacity)),
    )  # fmt: skip


def _draw_signals(
    ax: Axes, tiles: np.ndarray, across: np.ndarray, up: np.ndarray, seen: np.ndarray
) -> None:
    """Signals as small graphs, all on the same scale."""
    columns, rows, length = tiles.shape
    low, high = robust_limits(tiles)
    along = 0.84 * _step(across) * (np.arange(length) / max(length - 1, 1) - 0.5)
    values = 0.8 * _step(up) * ((tiles - low) / (high - low) - 0.5)
    lines = [
        np.column_stack((across[column] + along, up[row] + values[column, row]))
        for column in range(columns)
        for row in range(rows)
    ]
    colours = [LINE_COLOURS[0] if there else PALE for there in seen.ravel()]
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=1.0))

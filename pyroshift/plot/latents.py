"""`scatter` and `manifold`: the latent space, and what the model sees in it."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from pyroshift.errors import DataError
from pyroshift.plot.colours import GREY, add_colour_bar, colour_limits, colour_map, robust_limits
from pyroshift.plot.fields import field, fields, title
from pyroshift.plot.style import LINE_COLOURS, own_axes, round_ticks, styled, without_box
from pyroshift.plot.units import describe, name_with_unit, show_units, units_of


@styled
def scatter(
    dataset: xr.Dataset,
    x: str = "z0",
    y: str | None = None,
    color: Any = "elbo",
    ax: Axes | None = None,
) -> Axes:
    """Two variables of all patches against each other, coloured by a third.

    Args:
        dataset: from `encode`.
        x: variable along x: "z0", "offset_y", "angle", "elbo" ..., or a coordinate.
        y: variable along y; by default "z1", or the first offset of a model with one latent.
        color: variable or coordinate that colours the points, or one number per patch.
        ax: where to draw; a new figure by default.

    Returns:
        The Axes.

    Raises:
        DataError: if there is no such variable, or the array isn't one number per patch.

    Example:
        >>> from pyroshift import ShiftVAE, encode, extract_patches
        >>> patches = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> scatter(encode(ShiftVAE(16), patches), color="offset_y").get_ylabel()
        '$z_{1}$'
    """
    names = list(fields(dataset))
    if y is None:
        y = next((name for name in ("z1", *names) if name in names and name != x), x)
    across, up = field(dataset, x), field(dataset, y)
    shown = _colour(dataset, color, across)
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
        cmap=colour_map(name),
        vmin=low,
        vmax=high,
        linewidths=0,
        rasterized=True,
    )
    for axis, label, array in ((ax.xaxis, x, across), (ax.yaxis, y, up)):
        axis.set_label_text(name_with_unit(title(label), units_of(array)))
        axis.set_major_locator(round_ticks())
        show_units(axis, units_of(array))
    without_box(ax)
    text = name_with_unit(title(name), units_of(shown)) if name else describe(shown, name)
    bar = add_colour_bar(points, ax, text, units_of(shown))
    bar.solids.set_alpha(1.0)  # type: ignore[union-attr]
    return ax


@styled
def manifold(array: xr.DataArray, ax: Axes | None = None) -> Axes:
    """What the model expects to see over its latents, tile by tile.

    Args:
        array: from `manifold`, `z0 x z1 x height x width` or `z0 x z1 x length`; or without `z1`.
        ax: where to draw; a new figure by default.

    Returns:
        The Axes, in units of the latents: the first to the right, the second upwards, as in
        `scatter`.

    Raises:
        DataError: if this isn't what `manifold` returns.

    Example:
        >>> import pyroshift
        >>> ax = manifold(pyroshift.manifold(pyroshift.VAE((16, 16)), size=5))
        >>> ax.get_xlabel(), ax.get_ylabel()
        ('$z_{0}$', '$z_{1}$')
    """
    tiles, names = _tiles(array)
    columns, rows = tiles.shape[:2]
    across, up = _centres(array, names[0], columns), _centres(array, names[-1], rows)
    height, width = tiles.shape[2:] if tiles.ndim == 4 else (2, 3)
    side = min(4.2, 0.8 * max(columns, rows))
    tall = side * rows * height / (columns * width)
    ax = own_axes(ax, side + 0.5, max(tall, 0.3) + 0.45)
    draw = _draw_tiles if tiles.ndim == 4 else _draw_signals
    draw(ax, tiles, across, up)
    ax.set(xlim=_edges(across), ylim=_edges(up), xlabel=title(names[0]))
    ax.set_aspect(height * _step(across) / (width * _step(up)))
    if len(names) > 1:
        ax.set_ylabel(title(names[1]))
    else:
        ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


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


def _step(centres: np.ndarray) -> float:
    """Latent from tile to tile; 1 for a single one."""
    return float(centres[1] - centres[0]) if len(centres) > 1 else 1.0


def _edges(centres: np.ndarray) -> tuple[float, float]:
    """Latents at the outer edges of the first and last tile."""
    half = _step(centres) / 2
    return float(centres[0]) - half, float(centres[-1]) + half


def _draw_tiles(ax: Axes, tiles: np.ndarray, across: np.ndarray, up: np.ndarray) -> None:
    """Images side by side in one picture, with a narrow gap between them."""
    rows, height, width = tiles.shape[1:]
    gap = max(1, round(max(height, width) / 25))
    padded = np.pad(
        tiles.astype(float), ((0, 0), (0, 0), (0, gap), (0, gap)), constant_values=np.nan
    )
    # The second latent grows upwards, rows of pixels downwards.
    picture = padded[:, ::-1].transpose(1, 2, 0, 3).reshape(rows * (height + gap), -1)
    low, high = robust_limits(tiles)
    extent = (*_edges(across), *_edges(up))
    ax.imshow(picture[:-gap, :-gap], cmap=GREY, vmin=low, vmax=high, extent=extent)


def _draw_signals(ax: Axes, tiles: np.ndarray, across: np.ndarray, up: np.ndarray) -> None:
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
    ax.add_collection(LineCollection(lines, colors=LINE_COLOURS[0], linewidths=1.0))

"""`scatter`: the latent space, and where in it the patches are."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import (
    NOTHING,
    add_colour_bar,
    colour_limits,
    colour_map,
    in_kinds,
    name_kinds,
)
from pyroshift.plot.fields import collapsed_fields, field, fields, kinds_of, title
from pyroshift.plot.sources import as_maps
from pyroshift.plot.style import figure_of, own_axes, round_ticks, styled, without_box
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
        color: variable or coordinate that colours the points, such as "class", or one number per
            patch.
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
    kinds = kinds_of(maps, name)
    low, high = colour_limits(name, shown.values)
    pale = name in collapsed or {x, y} <= collapsed
    colours: dict[str, Any] = {"cmap": colour_map(name, pale), "vmin": low, "vmax": high}
    if kinds:
        shown, colours = shown.where(shown >= 0), in_kinds(len(kinds))
    count = max(across.size, 1)
    ax = own_axes(ax, 3.6, 3.0)
    points = ax.scatter(
        across.values.ravel(),
        up.values.ravel(),
        c=shown.values.ravel(),
        s=float(np.clip(8000 / count, 1.5, 18.0)),
        alpha=float(np.clip(60 / np.sqrt(count), 0.3, 0.9)),
        linewidths=0,
        rasterized=True,
        **colours,
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
    if kinds:
        name_kinds(bar, kinds)
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

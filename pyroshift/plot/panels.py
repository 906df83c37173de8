"""`image`, `latent_map` and `maps`: what the model found, where it is in the image."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.maps.labels import PERIOD
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import Limits
from pyroshift.plot.drawing import draw_image, draw_map, is_list, panel_size
from pyroshift.plot.fields import (
    certainty,
    collapsed_fields,
    field,
    fields,
    is_optional,
    kinds_of,
    select_frame,
)
from pyroshift.plot.pictures import as_image, as_images, name_of
from pyroshift.plot.sources import as_maps
from pyroshift.plot.style import (
    NotebookFigure,
    add_axes,
    figure_of,
    new_figure,
    own_axes,
    styled,
)

_WIDEST = 12.5  # inches; four square panels with their colour bars


@styled
def image(array: Any, ax: Axes | None = None, *, frame: int = 0) -> Figure:
    """An image in shades of grey, with a scale bar; missing pixels are blueish.

    Args:
        array: `height x width`, or `frame x height x width`; a DataArray brings its units, and may
            have channels, each of which gets a panel, with colours of its own.
        ax: where to draw, one channel only; in a new figure by default.
        frame: which frame of a stack.

    Returns:
        The Figure, in the image's units, row 0 on top.

    Raises:
        DataError: if this is no image, there is no such frame, or there are several channels for
            one `ax`.

    Example:
        >>> import numpy as np
        >>> [float(edge) for edge in image(np.zeros((20, 30))).axes[0].get_ylim()]
        [19.5, -0.5]
    """
    pictures = as_images(array, frame)
    if len(pictures) == 1:
        ax = own_axes(ax, *panel_size(pictures[0]))
        draw_image(ax, pictures[0])
        if name := name_of(pictures[0]):
            ax.set_title(name)
        return figure_of(ax)
    names = list(map(name_of, pictures))
    if ax is not None:
        raise DataError(
            f"the image has the channels {names}, but one is drawn into an `ax`: pick it, as by "
            f"image.sel(channel={names[0]!r})"
        )
    width, height = panel_size(pictures[0])
    figure, axes = _grid(len(pictures), width, height)
    for place, picture in zip(axes, pictures, strict=True):
        _draw_channel(place, picture, scale_bar=picture is pictures[0])
    return figure


@styled
def latent_map(
    dataset: xr.Dataset | PoseVAE,
    variable: str,
    ax: Axes | None = None,
    *,
    image: Any = None,
    frame: int = 0,
    limits: Limits | None = None,
    patches: Patches | None = None,
) -> Figure:
    """One map: a picture for windows on a grid, points for atoms, a graph for a plain list.

    Args:
        dataset: from `encode`, or a model, with `patches`.
        variable: "z0", "offset_y", "angle", "class", "class_probability_0", "elbo", "z0_std" ...,
            or any variable added to it. Classes are the paler the less sure.
        ax: where to draw; in a new figure by default.
        image: the source image. Atoms are drawn over it, or over its first channel, maps in its
            field of view.
        frame: which frame of a stack.
        limits: lowest and highest value of the colours; by default the full circle for angles,
            symmetric for offsets, and without outliers.
        patches: what a model is to encode; maps are given without.

    Returns:
        The Figure, in the image's units, row 0 on top.

    Raises:
        DataError: if there is no such variable or frame, or the dimensions can't be drawn.

    Example:
        >>> import numpy as np
        >>> from pyroshift import ShiftVAE, encode, extract_patches
        >>> patches = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> latent_map(encode(ShiftVAE(16), patches), "elbo").axes[0].get_title()
        'ELBO'
    """
    found = as_maps(dataset, patches)
    array = select_frame(field(found, variable), frame)
    picture = None if image is None else as_image(image, frame)
    ax = own_axes(ax, *panel_size(array if picture is None else picture))
    draw_map(ax, variable, array, picture, limits, **_looks(found, variable, frame))
    return figure_of(ax)


@styled
def maps(
    dataset: xr.Dataset | PoseVAE,
    image: Any = None,
    variables: Sequence[str] | None = None,
    *,
    std: bool = False,
    frame: int = 0,
    limits: Mapping[str, Limits] | None = None,
    patches: Patches | None = None,
) -> Figure:
    """All maps side by side, after the image that they come from, channel by channel.

    Args:
        dataset: from `encode`, or a model, with `patches`.
        image: the source image, or stack of images. Atoms are drawn over its first channel.
        variables: which maps: "z0", "offset_y", "angle" ..., or "z", "offset" for all components;
            by default all that there are, but for the "class_probability" of each kind.
        std: whether to show the posterior's standard deviations too, and such probabilities.
        frame: which frame of a stack.
        limits: lowest and highest value of the colours, by variable, instead of those that
            `latent_map` finds.
        patches: what a model is to encode; maps are given without.

    Returns:
        A Figure with one panel per map.

    Raises:
        DataError: if there is no such variable or frame, or the dimensions can't be drawn.

    Example:
        >>> import numpy as np
        >>> from pyroshift import ShiftVAE, encode, extract_patches
        >>> image = np.random.default_rng(0).random((32, 40))
        >>> found = encode(ShiftVAE(16), extract_patches(image, window=16))
        >>> figure = maps(found, image, ["offset", "elbo"])
        >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
        ['image', 'offset y', 'offset x', 'ELBO']
    """
    found = as_maps(dataset, patches)
    chosen = _chosen(found, variables, std)
    arrays = {name: select_frame(field(found, name), frame) for name in chosen}
    first = next(iter(arrays.values()))
    shown = image is not None and not is_list(first)
    pictures = [_as_seen(picture, found) for picture in as_images(image, frame)] if shown else []
    picture = pictures[0] if pictures else None
    width, height = panel_size(first if picture is None else picture)
    figure, axes = _grid(len(arrays) + len(pictures), width, height, not is_list(first))
    places = iter(axes)
    for each in pictures:
        _draw_channel(next(places), each, scale_bar=each is picture)
    for name, array in arrays.items():
        draw_map(
            next(places), name, array, picture, (limits or {}).get(name),
            scale_bar=picture is None and array is first, **_looks(found, name, frame),
        )  # fmt: skip
    figure.align_ylabels()
    return figure


def _grid(
    count: int, width: float, height: float, compressed: bool = True
) -> tuple[NotebookFigure, list[Axes]]:
    """A figure of so many panels, sizes in inches, in as few rows as its width allows."""
    rows = math.ceil(count / max(1, int(_WIDEST / width)))
    columns = math.ceil(count / rows)
    figure = new_figure(width * columns, height * rows, compressed)
    grid = figure.add_gridspec(rows, columns)
    return figure, [add_axes(figure, grid[index]) for index in range(count)]


def _draw_channel(ax: Axes, picture: xr.DataArray, scale_bar: bool) -> None:
    """An image under its channel's name."""
    draw_image(ax, picture, scale_bar=scale_bar)
    ax.set_title(name_of(picture) or "image")


def _as_seen(picture: xr.DataArray, dataset: xr.Dataset) -> xr.DataArray:
    """A picture of phases as such, if the model of the maps takes them so."""
    configuration = json.loads(dataset.attrs.get("configuration", "{}"))
    period = configuration.get("phase_periods", {}).get(name_of(picture))
    return picture if period is None else picture.assign_coords({PERIOD: period})


def _looks(dataset: xr.Dataset, name: str, frame: int) -> dict[str, Any]:
    """How a map is drawn that isn't just numbers: what collapsed, and classes."""
    looks: dict[str, Any] = {"collapsed": name in collapsed_fields(dataset)}
    if kinds := kinds_of(dataset, name):
        looks["kinds"] = kinds
        if (sure := certainty(dataset, name)) is not None:
            looks["opacity"] = select_frame(sure.transpose(*field(dataset, name).dims), frame)
    return looks


def _chosen(dataset: xr.Dataset, variables: Sequence[str] | None, std: bool) -> list[str]:
    """Names of the maps to show, a variable with components standing for all of these."""
    found = list(fields(dataset))
    if variables is None:
        return [name for name in found if std or not is_optional(name)]
    if isinstance(variables, str):
        variables = [variables]
    names = []
    for variable in variables:
        parts = [variable]
        if variable not in found and variable in dataset.data_vars:
            parts = list(fields(dataset[[variable]]))
        names += parts + [f"{part}_std" for part in parts if std and f"{part}_std" in found]
    if not names:
        raise DataError(f"no variables to show: choose some of {found}")
    return names

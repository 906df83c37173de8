"""`image`, `latent_map` and `maps`: what the model found, where it is in the image."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import Limits
from pyroshift.plot.drawing import as_image, draw_image, draw_map, is_list, panel_size
from pyroshift.plot.fields import collapsed_fields, field, fields, is_deviation, select_frame
from pyroshift.plot.sources import as_maps
from pyroshift.plot.style import add_axes, figure_of, new_figure, own_axes, styled

_WIDEST = 12.5  # inches; four square panels with their colour bars


@styled
def image(array: Any, ax: Axes | None = None, *, frame: int = 0) -> Figure:
    """An image in shades of grey, with a scale bar.

    Args:
        array: `height x width`, or `frame x height x width`; a DataArray brings its units.
        ax: where to draw; in a new figure by default.
        frame: which frame of a stack.

    Returns:
        The Figure, in the image's units, row 0 on top.

    Raises:
        DataError: if this is no image, or there is no such frame.

    Example:
        >>> import numpy as np
        >>> [float(edge) for edge in image(np.zeros((20, 30))).axes[0].get_ylim()]
        [19.5, -0.5]
    """
    picture = as_image(array, frame)
    ax = own_axes(ax, *panel_size(picture))
    draw_image(ax, picture)
    return figure_of(ax)


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
        variable: "z0", "offset_y", "angle", "elbo", "z0_std" ..., or any variable added to it.
        ax: where to draw; in a new figure by default.
        image: the source image. Atoms are drawn over it, maps in its field of view.
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
    collapsed = variable in collapsed_fields(found)
    draw_map(ax, variable, array, picture, limits, collapsed=collapsed)
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
    """All maps side by side, after the image that they come from.

    Args:
        dataset: from `encode`, or a model, with `patches`.
        image: the source image, or stack of images.
        variables: which maps: "z0", "offset_y", "angle" ..., or "z", "offset" for all components;
            by default all that there are.
        std: whether to show the posterior's standard deviations too.
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
    collapsed = collapsed_fields(found)
    first = next(iter(arrays.values()))
    picture = None if image is None or is_list(first) else as_image(image, frame)
    count = len(arrays) + (picture is not None)
    width, height = panel_size(first if picture is None else picture)
    rows = math.ceil(count / max(1, int(_WIDEST / width)))
    columns = math.ceil(count / rows)
    figure = new_figure(width * columns, height * rows, compressed=not is_list(first))
    grid = figure.add_gridspec(rows, columns)
    axes = iter([add_axes(figure, grid[index]) for index in range(count)])
    if picture is not None:
        ax = next(axes)
        draw_image(ax, picture)
        ax.set_title("image")
    for name, array in arrays.items():
        draw_map(
            next(axes), name, array, picture, (limits or {}).get(name),
            scale_bar=picture is None and array is first, collapsed=name in collapsed,
        )  # fmt: skip
    figure.align_ylabels()
    return figure


def _chosen(dataset: xr.Dataset, variables: Sequence[str] | None, std: bool) -> list[str]:
    """Names of the maps to show, a variable with components standing for all of these."""
    found = list(fields(dataset))
    if variables is None:
        return [name for name in found if std or not is_deviation(name)]
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

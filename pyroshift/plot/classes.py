"""`classes` and `class_patches`: where each class is, and what it looks like."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pyroshift.data.checks import CHANNEL
from pyroshift.errors import DataError
from pyroshift.pathways.tracks import CLASS, CLASS_INDEX, MISSING, class_names
from pyroshift.plot.colours import GREY, robust_limits
from pyroshift.plot.drawing import draw_image, panel_size
from pyroshift.plot.fields import kind_title, kinds_of, select_frame
from pyroshift.plot.geometry import extent, positions
from pyroshift.plot.pictures import as_image, by_channel, name_of
from pyroshift.plot.style import add_axes, figure_of, line_colour, new_figure, own_axes, styled

_LEGEND = 1.2  # inches beside a picture


@styled
def classes(
    classified: xr.Dataset, image: Any = None, ax: Axes | None = None, *, frame: int = 0
) -> Figure:
    """Where each class is: atoms, or windows on a grid, in its colour.

    Args:
        classified: from `classify`, or from `encode` by a model with classes.
        image: the source image or stack; of several channels, the first is shown.
        ax: where to draw; in a new figure by default.
        frame: which frame of a stack.

    Returns:
        The Figure, in the image's units, row 0 on top; the legend says how many are of each class.

    Raises:
        DataError: if the maps aren't classified, are in another unit than the image, or have no
            such frame.

    Example:
        >>> maps = xr.Dataset({"class_index": (("y", "x"), [[0, 1], [1, 1]])})
        >>> [text.get_text() for text in classes(maps).axes[0].get_legend().get_texts()]
        ['class 0 (1)', 'class 1 (3)']
    """
    if not isinstance(classified, xr.Dataset):
        raise DataError(f"expected a Dataset from classify, got {type(classified).__name__}")
    own = next((name for name in (CLASS_INDEX, CLASS) if kinds_of(classified, name)), CLASS_INDEX)
    names = kinds_of(classified, own) or class_names(classified)
    index = select_frame(classified[own].fillna(MISSING), frame)
    picture = None if image is None else as_image(image, frame)
    place = index if picture is None else picture
    width, height = panel_size(place)
    ax = own_axes(ax, width + _LEGEND, height)
    if picture is not None:
        _check_units(index, picture)
        draw_image(ax, picture, colour_bar=False)
    if index.ndim == 2:
        colours = np.array(
            [to_rgba(line_colour(number)) for number in range(len(names))] + [(0,) * 4]
        )
        shown = colours[index.values.astype(int)]
        shown[..., 3] *= 1.0 if picture is None else 0.5
        ax.imshow(shown, extent=extent(index), interpolation="nearest")
    elif {"y", "x"} <= set(index.coords):
        _points(ax, index, len(names), over_image=picture is not None)
    else:
        raise DataError(f"classes over {index.dims} have no place in an image")
    counts = np.bincount(index.values[index.values >= 0].astype(int), minlength=len(names))
    handles = [
        Line2D(
            [], [], color=line_colour(number), marker="o", linestyle="",
            label=f"{kind_title(str(name))} ({count})",
        )
        for number, (name, count) in enumerate(zip(names, counts, strict=True))
    ]  # fmt: skip
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.1)
    ax.set(xticks=[], yticks=[], title="classes")
    return figure_of(ax)


@styled
def class_patches(array: xr.DataArray) -> Figure:
    """The mean window of each class.

    Args:
        array: from `class_patches`.

    Returns:
        A Figure with one panel per class, or a row of them for each channel, whose panels are all
        in the same shades of grey.

    Raises:
        DataError: if this isn't what `class_patches` returns.

    Example:
        >>> means = xr.DataArray(np.zeros((2, 8, 8)), dims=("class", "window_y", "window_x"))
        >>> [ax.get_title() for ax in class_patches(means).axes]
        ['class 0', 'class 1']
    """
    dims = [dim for dim in getattr(array, "dims", ()) if dim != CHANNEL]
    if not isinstance(array, xr.DataArray) or dims[:1] != [CLASS] or len(dims) not in (2, 3):
        raise DataError("expected what class_patches returns, over `class` and the window's axes")
    names = array[CLASS].values if CLASS in array.coords else range(array.sizes[CLASS])
    channels = by_channel(array)
    figure = new_figure(1.5 * len(names), 0.3 + 1.5 * len(channels), compressed=len(dims) == 3)
    grid = figure.add_gridspec(len(channels), len(names))
    for row, channel in enumerate(channels):
        low, high = robust_limits(channel.values)
        for number, name in enumerate(names):
            ax = add_axes(figure, grid[row, number])
            if len(dims) == 3:
                ax.imshow(channel.values[number], cmap=GREY, vmin=low, vmax=high)
                ax.set(xticks=[], yticks=[])
            else:
                ax.plot(channel.values[number], color=line_colour(number))
                ax.set_ylim(low, high)
            ax.spines[:].set(color=line_colour(number), linewidth=2.0)
            if not number:
                ax.set_ylabel(name_of(channel))
            if not row:
                count = (
                    f"\n{int(array['count'][number])} windows" if "count" in array.coords else ""
                )
                ax.set_title(f"{kind_title(str(name))}{count}")
    return figure


def _points(ax: Axes, index: xr.DataArray, count: int, over_image: bool) -> None:
    """Atoms as rings over an image, so that they can be seen, else as dots."""
    for number in range(count):
        these = index.values == number
        face = "none" if over_image else line_colour(number)
        ax.scatter(
            index["x"].values[these], index["y"].values[these], s=30.0, facecolors=face,
            edgecolors=line_colour(number), linewidths=1.0,
        )  # fmt: skip
    if not over_image:
        ax.set_aspect("equal")
        ax.invert_yaxis()


def _check_units(index: xr.DataArray, picture: xr.DataArray) -> None:
    """Raise a DataError if classes and image are in different units of length."""
    for axis, dim in zip("yx", picture.dims, strict=True):
        if axis not in index.coords:
            continue
        given, wanted = str(index[axis].attrs.get("units", "px")), positions(picture, str(dim))[1]
        if given != wanted:
            raise DataError(
                f"the classes are in {given}, but the image in {wanted}: pass the image with the "
                "coordinates that the patches were cut with"
            )

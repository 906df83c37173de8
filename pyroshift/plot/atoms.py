"""`atoms` and `tracks`: where atoms are in an image, and how they moved."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from pyroshift.data.atoms import ATOM, check_atoms, check_units
from pyroshift.errors import DataError
from pyroshift.plot.drawing import draw_image, panel_size
from pyroshift.plot.fields import select_frame
from pyroshift.plot.pictures import as_image
from pyroshift.plot.style import LINE_COLOURS, figure_of, own_axes, styled

_AREA = 0.35  # of the panel, that all rings together cover
_MOST_GROUPS = 12  # that a legend names


@styled
def atoms(
    dataset: xr.Dataset,
    image: Any,
    ax: Axes | None = None,
    *,
    color: str | None = "sublattice",
    frame: int = 0,
) -> Figure:
    """Atoms as rings on the image that they were found in.

    Args:
        dataset: of atoms, from `find_atoms`, `link_atoms` or `encode`.
        image: `height x width`, or `frame x height x width`, that the atoms were found in, or a
            part of it; of several channels, the first is shown.
        ax: where to draw; in a new figure by default.
        color: coordinate or variable of few different values that colours the rings, such as
            "sublattice", with how many there are of each in the legend; one colour where there is
            none of that name, or only one value.
        frame: which frame of a stack.

    Returns:
        The Figure, in the image's units, row 0 on top.

    Raises:
        DataError: if these aren't atoms, or in another unit than the image, no atom is in that
            frame, or there are too many colours.

    Example:
        >>> from pyroshift.data.atoms import labelled_atoms
        >>> image = xr.DataArray(np.zeros((20, 30)))
        >>> found = labelled_atoms(image, np.array([[0, 5.0, 7.5], [0, 15, 20]]), {})
        >>> len(atoms(found, image).axes[0].collections[0].get_offsets())
        2
    """
    check_atoms(dataset)
    shown = _in_frame(dataset, frame)
    picture = as_image(image, frame)
    check_units(dataset, picture)
    ax = own_axes(ax, *_size(picture))
    draw_image(ax, picture)
    view = ax.axis()
    groups = _groups(shown, color)
    for number, (name, index) in enumerate(groups.items()):
        ax.scatter(
            shown.x[index],
            shown.y[index],
            s=_ring(ax, shown.sizes[ATOM]),
            facecolors="none",
            edgecolors=LINE_COLOURS[(number + 1) % len(LINE_COLOURS)],
            linewidths=0.8,
            label=f"{name}: {len(index)}",
        )
    ax.axis(view)
    if len(groups) > 1:
        ax.legend(title=color, loc="upper left", bbox_to_anchor=(1.0, 1.0), handletextpad=0.2)
    return figure_of(ax)


@styled
def tracks(
    dataset: xr.Dataset, image: Any, ax: Axes | None = None, *, frame: int = 0, drift: bool = False
) -> Figure:
    """The ways of atoms through a stack, on one of its frames.

    Args:
        dataset: of atoms, from `link_atoms`.
        image: `frame x height x width`, that the atoms were found in, or a part of it.
        ax: where to draw; in a new figure by default.
        frame: which frame is shown.
        drift: whether the ways include the drift of the frames.

    Returns:
        The Figure, in the image's units; each way begins with a dot.

    Raises:
        DataError: if the atoms aren't linked, or are in another unit than the image.

    Example:
        >>> from pyroshift import link_atoms
        >>> from pyroshift.data.atoms import labelled_atoms
        >>> image = xr.DataArray(np.zeros((2, 50, 50)), dims=("frame", "y", "x"))
        >>> positions = np.array([[0, 10, 10], [0, 10, 30], [1, 11, 31], [1, 11, 11]])
        >>> figure = tracks(link_atoms(labelled_atoms(image, positions, {})), image)
        >>> len(figure.axes[0].collections[0].get_paths())
        2
    """
    check_atoms(dataset)
    if "track" not in dataset.coords:
        raise DataError("the atoms are in no tracks: link them by link_atoms first")
    picture = as_image(image, frame)
    check_units(dataset, picture)
    ax = own_axes(ax, *_size(picture))
    draw_image(ax, picture)
    view = ax.axis()
    place = np.column_stack([dataset.x, dataset.y]).astype(float)
    if not drift and "drift" in dataset:
        shown = dataset.drift[dataset.frame == frame].mean(ATOM).fillna(0.0)
        place -= (dataset.drift - shown).sel(axis=["x", "y"]).transpose(ATOM, "axis").values
    order = np.lexsort((dataset.frame.values, dataset.track.values))
    order = order[dataset.track.values[order] >= 0]
    ways = np.split(place[order], np.flatnonzero(np.diff(dataset.track.values[order])) + 1)
    colours = [LINE_COLOURS[1 + number % (len(LINE_COLOURS) - 1)] for number in range(len(ways))]
    ax.add_collection(LineCollection(ways, colors=colours, linewidths=0.8))
    starts = np.array([way[0] for way in ways if len(way)]).reshape(-1, 2)
    ax.scatter(starts[:, 0], starts[:, 1], s=3, c=colours[: len(starts)], linewidths=0)
    ax.axis(view)
    ax.set_title(f"{len(starts)} tracks")
    return figure_of(ax)


def _size(picture: xr.DataArray) -> tuple[float, float]:
    """Width and height in inches: twice those of a map, for there is much to see."""
    width, height = panel_size(picture)
    return 2 * width, 2 * height


def _in_frame(dataset: xr.Dataset, frame: int) -> xr.Dataset:
    """The atoms of one frame."""
    index = dataset.y.copy(data=np.arange(dataset.sizes[ATOM]))
    return dataset.isel({ATOM: select_frame(index, frame).values})


def _groups(shown: xr.Dataset, color: str | None) -> dict[str, np.ndarray]:
    """The atoms by the value that colours them."""
    if color is None or (color not in shown.coords and color not in shown.data_vars):
        return {"atoms": np.arange(shown.sizes[ATOM])}
    values = shown[color].values
    found = np.unique(values)
    if len(found) > _MOST_GROUPS:
        raise DataError(
            f"{color} has {len(found)} values, too many to tell apart as colours: choose another, "
            "or draw it by latent_map"
        )
    return {str(value): np.flatnonzero(values == value) for value in found}


def _ring(ax: Axes, count: int) -> float:
    """Area of a ring in square points, so that neighbours stay apart."""
    figure = ax.get_figure()
    assert figure is not None
    area = figure.bbox.width * figure.bbox.height * (72 / figure.dpi) ** 2
    return float(np.clip(_AREA * area / max(count, 1), 2.0, 60.0))

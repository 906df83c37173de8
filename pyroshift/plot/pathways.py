"""`transitions`, `trajectories` and `ensemble`: what classes and latents do over time."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from pyroshift.errors import DataError
from pyroshift.maps.labels import components
from pyroshift.pathways.tracks import CLASS, TRACK, Array
from pyroshift.plot.colours import add_colour_bar
from pyroshift.plot.fields import title
from pyroshift.plot.geometry import positions
from pyroshift.plot.style import (
    TICK_SIZE,
    add_axes,
    figure_of,
    line_colour,
    new_figure,
    own_axes,
    round_ticks,
    styled,
    without_box,
)
from pyroshift.plot.units import name_with_unit, units_of

_TRACKS = 3  # that are shown unless others are asked for
_TIME = "plasma"
_SHARE, _ORDER = "share", "angle_order"


@styled
def transitions(matrix: xr.Dataset, ax: Axes | None = None) -> Figure:
    r"""The transition matrix, with its credible intervals.

    Args:
        matrix: from `transition_matrix`.
        ax: where to draw; in a new figure by default.

    Returns:
        The Figure: from the class of the row to that of the column.

    Raises:
        DataError: if this isn't what `transition_matrix` returns.

    Example:
        >>> from pyroshift import transition_matrix
        >>> coords = {"frame": ("atom", np.arange(4)), "track": ("atom", np.zeros(4, int))}
        >>> atoms = xr.Dataset({"class_index": ("atom", [0, 0, 1, 1])}, coords)
        >>> figure = transitions(transition_matrix(atoms))
        >>> figure.axes[0].texts[0].get_text()
        '0.500\n0.061 to 0.939'
    """
    _check_variables(matrix, ("probability", "lower", "upper"), "transition_matrix")
    table = matrix["probability"]
    side = max(0.95 * len(table), 1.4)
    ax = own_axes(ax, side + 1.9, side + 0.7)
    picture = ax.imshow(table.values, cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, column), value in np.ndenumerate(table.values):
        low, high = (float(matrix[name][row, column]) for name in ("lower", "upper"))
        ax.text(
            column, row, f"{value:.3f}\n{low:.3f} to {high:.3f}", ha="center", va="center",
            size=TICK_SIZE, color="white" if value > 0.6 else "black",
        )  # fmt: skip
    names = [str(name) for name in matrix[CLASS].values]
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    lag = int(matrix.attrs.get("lag", 1))
    later = "next frame" if lag == 1 else f"{lag} frames later"
    ax.set(xlabel=f"class in the {later}" if lag == 1 else f"class {later}", ylabel="class")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    add_colour_bar(picture, ax, "probability")
    return figure_of(ax)


@styled
def trajectories(
    dataset: xr.Dataset,
    tracks: Sequence[int] | None = None,
    *,
    x: str = "z0",
    y: str | None = None,
) -> Figure:
    """Single atoms in the latent plane, over the density of all, coloured by time.

    Args:
        dataset: from `trajectories`.
        tracks: which of them, by number; by default the three that go the longest way.
        x: variable along x: "z0", "angle", "elbo" ...
        y: variable along y; by default "z1", or the angle of a model with one latent.

    Returns:
        A Figure with one panel per track.

    Raises:
        DataError: if this isn't what `trajectories` returns, or there is no such variable or track.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(5, 9, 2))
        >>> found = xr.Dataset({"z": (("track", "frame", "latent"), z)}, {"track": np.arange(5)})
        >>> [ax.get_title() for ax in trajectories(found, [3, 4]).axes if ax.get_title()]
        ['track 3', 'track 4']
    """
    found = _by_track(dataset)
    y = y or next((name for name in ("z1", "angle", *found) if name in found and name != x), x)
    if missing := [name for name in (x, y) if name not in found]:
        raise DataError(f"there are no variables {missing}: choose some of {list(found)}")
    points = np.stack([found[x].values, found[y].values], -1)
    labels = dataset[TRACK].values if TRACK in dataset.coords else np.arange(len(points))
    rows = _rows(points, labels, tracks)
    frames = positions(found[x], "frame")[0]
    everything = points[np.isfinite(points).all(-1)]
    if not len(everything):
        raise DataError(f"{x} and {y} are missing everywhere")
    figure = new_figure(2.2 * len(rows) + 0.7, 2.4)
    grid = figure.add_gridspec(1, len(rows))
    axes = [add_axes(figure, grid[number]) for number in range(len(rows))]
    for ax, row in zip(axes, rows, strict=True):
        ax.hexbin(
            everything[:, 0], everything[:, 1], gridsize=30, cmap="Greys", bins="log", mincnt=1,
            linewidths=0.1,
        )  # fmt: skip
        dots = _draw_path(ax, points[row], frames)
        ax.set_title(f"track {labels[row]}")
        ax.set_xlabel(name_with_unit(title(x), units_of(found[x])))
        ax.xaxis.set_major_locator(round_ticks())
        ax.yaxis.set_major_locator(round_ticks())
        without_box(ax)
    axes[0].set_ylabel(name_with_unit(title(y), units_of(found[y])))
    for ax in axes[1:]:
        ax.set_yticklabels([])
    add_colour_bar(dots, axes, "frame")
    return figure


@styled
def ensemble(dataset: xr.Dataset) -> Figure:
    """Averages over all atoms against time, with bands of uncertainty.

    Args:
        dataset: from `ensemble_average`.

    Returns:
        A Figure with a panel for each variable (mean, and two standard errors to each side), one
        for the classes' shares (with credible intervals), and one for the order of the angles,
        beside what one in twenty sets of random angles exceeds.

    Raises:
        DataError: if this isn't what `ensemble_average` returns.

    Example:
        >>> from pyroshift import ensemble_average
        >>> maps = xr.Dataset({"z": (("atom", "latent"), np.ones((4, 2)))})
        >>> maps = maps.assign_coords(frame=("atom", [0, 0, 1, 1]))
        >>> [ax.get_title() for ax in ensemble(ensemble_average(maps)).axes]
        ['z']
    """
    _check_variables(dataset, ("count",), "ensemble_average")
    means = [str(name) for name in dataset.data_vars if f"{name}_error" in dataset]
    panels = [*means, *(name for name in (_SHARE, _ORDER) if name in dataset)]
    figure = new_figure(2.6 * len(panels), 2.2)
    grid = figure.add_gridspec(1, len(panels))
    frames = dataset["frame"].values
    for number, name in enumerate(panels):
        ax = add_axes(figure, grid[number])
        for index, (label, middle, reach) in enumerate(_lines(dataset, name)):
            ax.plot(frames, middle, color=line_colour(index), label=label)
            if reach is not None:
                ax.fill_between(frames, *reach, color=line_colour(index), alpha=0.25, linewidth=0)
        if name not in means:
            ax.set_ylim(0, 1)
        if name == _ORDER:
            chance = np.sqrt(-np.log(0.05) / dataset["count"].values)  # Rayleigh's distribution
            ax.plot(frames, np.minimum(chance, 1), "--", color="0.6", label="by chance, 1 in 20")
        ax.set(title=title(name), xlabel="frame")
        if len(ax.lines) > 1:
            ax.legend()
        ax.xaxis.set_major_locator(round_ticks(integer=True))
        ax.yaxis.set_major_locator(round_ticks())
        without_box(ax)
    return figure


def _check_variables(dataset: Any, names: Sequence[str], source: str) -> None:
    if not isinstance(dataset, xr.Dataset) or not set(names) <= set(dataset.data_vars):
        raise DataError(f"expected what {source} returns, a Dataset with {', '.join(names)}")


def _by_track(dataset: Any) -> dict[str, xr.DataArray]:
    """All variables with one number for each track and frame, by name."""
    if not isinstance(dataset, xr.Dataset) or not {TRACK, "frame"} <= set(dataset.dims):
        raise DataError("expected what trajectories returns, a Dataset over `track` and `frame`")
    parts = {
        part: array.transpose(TRACK, "frame")
        for name, variable in dataset.data_vars.items()
        for part, array in components(str(name), variable).items()
        if set(array.dims) == {TRACK, "frame"}
    }
    return parts


def _rows(points: Array, labels: Array, tracks: Sequence[int] | None) -> list[int]:
    """Which rows to show."""
    if tracks is None:
        way = np.nansum(np.linalg.norm(np.diff(points, axis=1), axis=-1), axis=1)
        return sorted(np.argsort(-way, kind="stable")[:_TRACKS].tolist())
    if not len(tracks) or not set(tracks) <= set(labels.tolist()):
        raise DataError(f"there are no tracks {list(tracks)}: choose from {labels.tolist()}")
    return [int(np.flatnonzero(labels == number)[0]) for number in tracks]


def _draw_path(ax: Axes, points: Array, frames: Array) -> PathCollection:
    """One track (`frame x 2`), coloured by time."""
    known = np.all(np.isfinite(points), axis=-1)
    path, when = points[known], frames[known]
    steps = list(np.stack([path[:-1], path[1:]], 1))
    lines = LineCollection(steps, array=when[:-1], cmap=_TIME, linewidths=0.6, alpha=0.7)
    lines.set_clim(frames[0], frames[-1])
    ax.add_collection(lines)
    return ax.scatter(
        path[:, 0], path[:, 1], c=when, s=9, cmap=_TIME, vmin=frames[0], vmax=frames[-1],
        linewidths=0, zorder=3,
    )  # fmt: skip


def _lines(dataset: xr.Dataset, name: str) -> Iterator[tuple[str, Array, tuple | None]]:
    """What a panel shows: each line's name, its values, and the limits of its band."""
    if name == _ORDER:
        yield "measured", dataset[name].values, None
    elif name == _SHARE:
        shares = (dataset[f"{_SHARE}{part}"].values.T for part in ("", "_lower", "_upper"))
        for label, share, low, high in zip(dataset[CLASS].values, *shares, strict=True):
            yield str(label), share, (low, high)
    else:
        errors = components(name, dataset[f"{name}_error"]).values()
        for (label, mean), error in zip(
            components(name, dataset[name]).items(), errors, strict=True
        ):
            yield title(label), mean.values, (mean - 2 * error, mean + 2 * error)

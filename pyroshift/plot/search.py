"""`search`: scores over initial and final KL weights, and the maps behind some of them."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.patches import Rectangle

from pyroshift.errors import DataError
from pyroshift.model.sites import CONTENT
from pyroshift.plot.drawing import draw_map, panel_size
from pyroshift.plot.fields import collapsed_fields, fields, kinds_of
from pyroshift.plot.style import TICK_SIZE, add_axes, new_figure, styled
from pyroshift.plot.tables import heat_map

_WEIGHTS = ("initial", "final")
_NEEDED = {"score", "bound", "smoothness", CONTENT}
_FRAME = "#D55E00"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"

Place = tuple[int, int]
Maps = dict[str, xr.DataArray]


@styled
def search(
    dataset: xr.Dataset,
    points: Sequence[tuple[float, float]] | None = None,
    variables: Sequence[str] = ("z", "offset"),
) -> Figure:
    """Score and bound over initial and final KL weights, and the maps of chosen points.

    Args:
        dataset: from `search_kl`; of a search of more than the two weights, one value of each of
            the others, as by `found.sel(window=40)`.
        points: (initial, final) weights of the maps to show, which needn't be exact; by default the
            corners of the grid and the best.
        variables: which maps to show: "z", "offset", "elbo" ...

    Returns:
        A Figure: two heat maps, the best point framed, and a row of maps for each chosen point,
        with the smoothness of each z. Points that weren't trained are grey.

    Raises:
        DataError: if this isn't what `search_kl` returns, or has no such maps.

    Source:
        Figure 8 of Ziatdinov, Wong and Kalinin, "Finding simplicity" (2023).

    Example:
        >>> weights = {"initial": [0.1, 1.0], "final": [0.1, 1.0]}
        >>> z = np.random.default_rng(0).normal(size=(2, 2, 9, 9, 1))
        >>> found = xr.Dataset(
        ...     {
        ...         "z": ((*weights, "y", "x", "latent"), z),
        ...         "smoothness": ((*weights, "latent"), np.full((2, 2, 1), 0.5)),
        ...         "score": (tuple(weights), np.eye(2)),
        ...         "bound": (tuple(weights), np.eye(2)),
        ...     },
        ...     weights,
        ... )
        >>> [ax.get_title() for ax in search(found, variables=["z"]).axes if ax.get_title()][:2]
        ['score', 'bound']
    """
    _check(dataset, variables)
    chosen = _chosen(dataset, points)
    rows = [fields(_at(dataset, point)[list(variables)]) for point in chosen]
    width, height = panel_size(next(iter(rows[0].values())))
    across, tall = max(width * len(rows[0]), 6.4), 2.9
    figure = new_figure(across, tall + height * len(rows))
    parts = figure.add_gridspec(2, 1, height_ratios=[tall, height * len(rows)])
    above = parts[0].subgridspec(1, 2)
    for index, name in enumerate(("score", "bound")):
        _draw_scores(add_axes(figure, above[index]), dataset, name, chosen)
    _draw_rows(figure, parts[1], dataset, chosen, rows)
    return figure


def _check(dataset: xr.Dataset, variables: Sequence[str]) -> None:
    if not isinstance(dataset, xr.Dataset) or not set(dataset.data_vars) >= _NEEDED:
        raise DataError(f"expected a Dataset from search_kl, with {', '.join(sorted(_NEEDED))}")
    if missing := [name for name in variables if name not in dataset.data_vars]:
        raise DataError(f"the search has no {missing}: choose some of {list(dataset.data_vars)}")
    if set(dataset.score.dims) != set(_WEIGHTS):
        others = [name for name in dataset.score.dims if name not in _WEIGHTS]
        raise DataError(
            f"scores over {dataset.score.dims} can't be drawn: choose one value of each of "
            f"{others}, as by found.sel({', '.join(f'{name}=...' for name in others)})"
        )
    if not bool(dataset.score.notnull().any()):
        raise DataError("nothing was trained in this part of the search")


def _chosen(dataset: xr.Dataset, points: Sequence[tuple[float, float]] | None) -> list[Place]:
    """Indices of the points to show, in order and without repetition."""
    trained = dataset.score.transpose(*_WEIGHTS).notnull().values
    if points is None:
        last = tuple(size - 1 for size in trained.shape)
        found = [(0, 0), (0, last[1]), (last[0], 0), last, _best(dataset)]
        return list(dict.fromkeys(point for point in found if trained[point]))
    indices = {name: dataset.indexes[name] for name in _WEIGHTS}
    found = []
    for point in points:
        place = tuple(
            int(np.abs(np.log(indices[name] / weight)).argmin())
            for name, weight in zip(_WEIGHTS, point, strict=True)
        )
        if not trained[place]:
            raise DataError(f"nothing was trained at the initial and final weights {point}")
        found.append((place[0], place[1]))
    return list(dict.fromkeys(found))


def _best(dataset: xr.Dataset) -> Place:
    score = dataset.score.transpose(*_WEIGHTS).values
    row, column = np.unravel_index(int(np.nanargmax(score)), score.shape)
    return int(row), int(column)


def _at(dataset: xr.Dataset, point: Place) -> xr.Dataset:
    return dataset.isel(dict(zip(_WEIGHTS, point, strict=True)))


def _draw_scores(ax: Axes, dataset: xr.Dataset, name: str, chosen: list[Place]) -> None:
    """One number over both weights, the chosen points by their letters, the best one framed."""
    heat_map(dataset[name].transpose(*_WEIGHTS), ax)
    for letter, (row, column) in zip(_LETTERS, chosen, strict=False):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        place = (column - 0.42, row + 0.36)
        ax.text(*place, letter, ha="left", va="top", fontsize=TICK_SIZE, bbox=box)
    row, column = _best(dataset)
    frame = Rectangle((column - 0.47, row - 0.44), 0.94, 0.88, fill=False, edgecolor=_FRAME, lw=2)
    ax.add_patch(frame)
    ax.set(ylabel="initial KL weight", xlabel="final KL weight")


def _draw_rows(
    figure: Figure,
    place: SubplotSpec,
    dataset: xr.Dataset,
    chosen: list[Place],
    rows: list[Maps],
) -> None:
    """A row of maps for each chosen point."""
    grid = place.subgridspec(len(rows), len(rows[0]))
    for row, (weights, maps) in enumerate(zip(chosen, rows, strict=True)):
        point = _at(dataset, weights)
        collapsed = collapsed_fields(point)
        smooth = dict(zip(fields(point[[CONTENT]]), point.smoothness.values.tolist(), strict=True))
        for column, (name, array) in enumerate(maps.items()):
            ax = add_axes(figure, grid[row, column])
            draw_map(
                ax, name, array, scale_bar=row == column == 0, collapsed=name in collapsed,
                kinds=kinds_of(point, name),
            )  # fmt: skip
            if name in smooth:
                ax.set_title(f"{ax.get_title()}, smoothness {smooth[name]:.2f}")
            if column == 0:
                initial, final = (f"{float(point[weight]):g}" for weight in _WEIGHTS)
                letter = _LETTERS[row % len(_LETTERS)]
                text = f"{letter}: KL weight {initial} to {final}\n{ax.get_title()}"
                ax.set_title(text, multialignment="left")

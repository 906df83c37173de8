"""`strain`, and displacements on a grid: maps in colours that diverge, dislocations on them."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.analysis.dislocations import dislocations as listed
from pyroshift.errors import DataError
from pyroshift.plot.colours import Limits, robust_limits, symmetric_limits
from pyroshift.plot.drawing import draw_image, draw_map, panel_size
from pyroshift.plot.pictures import as_image
from pyroshift.plot.style import add_axes, new_figure, styled

STRAINS, ROTATION = ("exx", "eyy", "exy"), "rotation"
_TITLES = {
    "exx": r"$\varepsilon_{xx}$",
    "eyy": r"$\varepsilon_{yy}$",
    "exy": r"$\varepsilon_{xy}$",
    ROTATION: "rotation",
}
_SYMBOL = 0.03  # of a panel's width, half the length of a dislocation's symbol


@styled
def strain(
    strained: xr.Dataset,
    image: Any = None,
    dislocations: xr.Dataset | None = None,
    *,
    std: bool = False,
    limits: Limits | None = None,
) -> Figure:
    """Strains and rotation as maps, in per cent and degrees, with dislocations where they are.

    Args:
        strained: from `strain`.
        image: the source image, drawn beside them and in whose field of view they are.
        dislocations: from `dislocations`, or the displacement that they are told from, to mark
            them: a line along the Burgers vector, and one to the side of the extra half plane.
        std: whether to show standard deviations too.
        limits: lowest and highest strain, per cent, of the colours that all three share; by default
            symmetric, and without outliers.

    Returns:
        A Figure with a panel for each, row 0 on top.

    Raises:
        DataError: if these are no strains, or have another unit of length than the image.

    Example:
        >>> zero = xr.DataArray(np.zeros((5, 6)), dims=("y", "x"))
        >>> figure = strain(xr.Dataset({name: zero for name in ("exx", "eyy", "exy", "rotation")}))
        >>> len([ax for ax in figure.axes if ax.get_title()])
        4
    """
    names = (*STRAINS, ROTATION)
    if not isinstance(strained, xr.Dataset) or not set(names) <= set(strained.data_vars):
        raise DataError("expected the strains from strain(displacement), a Dataset")
    endings = ("", "_std") if std else ("",)
    if missing := [f"{n}{e}" for n in names for e in endings if f"{n}{e}" not in strained]:
        raise DataError(f"the strains have no {missing[0]}: take them as strain gives them")
    maps = {f"{name}{end}": _to_read(strained, name, end) for end in endings for name in names}
    shared = {end: _limits([maps[f"{n}{end}"] for n in STRAINS], end) for end in endings}
    ranges = {
        f"{name}{end}": _limits([maps[f"{name}{end}"]], end)
        if name == ROTATION
        else ((limits if not end else None) or shared[end])
        for end in endings
        for name in names
    }
    titles = {f"{n}{e}": _TITLES[n] + (", std" if e else "") for e in endings for n in names}
    return _panels(maps, ranges, titles, image, _marks(dislocations))


def is_field(displaced: Any) -> bool:
    """Whether this is a displacement on a grid."""
    known = isinstance(displaced, xr.Dataset) and "displacement" in displaced
    return known and set(displaced["displacement"].dims) == {"y", "x", "axis"}


def displacement_field(field: xr.Dataset, image: Any = None, std: bool = False) -> Figure:
    """Both components of a displacement on a grid, with dislocations.

    Args:
        field: from `displacement`.
        image: the source image, drawn beside them.
        std: whether to show standard deviations too.

    Raises:
        DataError: if these are to be shown and aren't there.

    Example:
        >>> zero = xr.DataArray(np.zeros((5, 6, 2)), {"axis": ["y", "x"]}, ("y", "x", "axis"))
        >>> figure = displacement_field(xr.Dataset({"displacement": zero}))
        >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
        ['displacement y', 'displacement x']
    """
    names = ["displacement", "displacement_std"] if std else ["displacement"]
    if names[-1] not in field:
        raise DataError(
            "the displacement has no displacement_std: take it as displacement gives it"
        )
    maps, ranges, titles = {}, {}, {}
    for name in names:
        end = name.removeprefix("displacement")
        shared = _limits([field[name]], end)
        for axis, direction in enumerate("yx"):
            key = f"displacement_{direction}{end}"
            maps[key] = field[name].isel(axis=axis, drop=True).transpose("y", "x")
            ranges[key] = shared
            titles[key] = f"displacement {direction}" + (", std" if end else "")
    marks = listed(field) if {"residue", "lattice_vectors"} <= set(field.data_vars) else None
    return _panels(maps, ranges, titles, image, marks)


def _to_read(strained: xr.Dataset, name: str, end: str) -> xr.DataArray:
    """Per cent, or degrees."""
    factor, unit = (180 / np.pi, "°") if name == ROTATION else (100.0, "%")
    values = strained[f"{name}{end}"].transpose("y", "x")
    about = values.attrs.get("long_name", name)
    return (values * factor).assign_attrs(long_name=about, units=unit)


def _limits(arrays: list[xr.DataArray], end: str) -> Limits:
    """Symmetric ones, but of deviations."""
    values = np.concatenate([np.ravel(array.values) for array in arrays])
    return robust_limits(values) if end else symmetric_limits(values)


def _marks(given: xr.Dataset | None) -> xr.Dataset | None:
    """Dislocations, told from a displacement if it is one."""
    if given is None or (isinstance(given, xr.Dataset) and "burgers" in given):
        return given
    return listed(given)


def _panels(
    maps: dict[str, xr.DataArray],
    ranges: dict[str, Limits],
    titles: dict[str, str],
    image: Any,
    marks: xr.Dataset | None,
) -> Figure:
    """Two maps beside each other in each row, the image before those of the first."""
    picture = None if image is None else as_image(image, 0)
    first = next(iter(maps.values()))
    width, height = panel_size(first if picture is None else picture)
    before, rows = int(picture is not None), len(maps) // 2
    figure = new_figure(width * (before + 2), height * rows, compressed=True)
    grid = figure.add_gridspec(rows, before + 2)
    if picture is not None:
        ax = add_axes(figure, grid[0, 0])
        draw_image(ax, picture)
        ax.set_title("image")
        _mark(ax, marks)
    for number, (name, array) in enumerate(maps.items()):
        ax = add_axes(figure, grid[number // 2, before + number % 2])
        bar = picture is None and array is first
        draw_map(ax, name, array, picture, ranges[name], scale_bar=bar)
        ax.set_title(titles[name])
        _mark(ax, marks)
    figure.align_ylabels()
    return figure


def _mark(ax: Axes, marks: xr.Dataset | None) -> None:
    """The symbol of each dislocation: its slip plane, and the side of its extra half plane."""
    if marks is None:
        return
    size = _SYMBOL * abs(np.ptp(ax.get_xlim()))
    for y, x, burgers in zip(
        marks["y"].values, marks["x"].values, marks["burgers"].values, strict=True
    ):
        along = size * burgers / np.linalg.norm(burgers)
        # The displacement grows from x towards y, so that what is beyond is pressed together.
        aside = np.array([along[1], -along[0]])
        for colour, width in (("white", 2.6), ("black", 1.2)):
            for start, end in ((-along, along), (0 * along, 1.6 * aside)):
                ax.plot(
                    [x + start[1], x + end[1]], [y + start[0], y + end[0]], color=colour,
                    linewidth=width, solid_capstyle="butt", scalex=False, scaley=False,
                )  # fmt: skip

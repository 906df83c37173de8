"""`displacement`, `displacement_modes`, `distortion`: how atoms are off their places, and why."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.data.atoms import ATOM, FRAME, check_atoms
from pyroshift.errors import DataError
from pyroshift.plot.colours import Limits, robust_limits, symmetric_limits
from pyroshift.plot.drawing import draw_image, draw_map, panel_size
from pyroshift.plot.fields import select_frame
from pyroshift.plot.geometry import add_scale_bar, nice_length
from pyroshift.plot.pictures import as_image
from pyroshift.plot.strain import displacement_field, is_field
from pyroshift.plot.style import (
    LINE_COLOURS,
    add_axes,
    figure_of,
    new_figure,
    own_axes,
    round_ticks,
    styled,
)
from pyroshift.plot.units import with_unit

_LENGTH = 1.2  # spacings of the atoms, of the arrow that one in ten is longer than
_MOST_OF_ALL = 0.9
_ENLARGED = 1.6  # than a panel of maps, for arrows to be seen
_SCORES = 1.3  # inches, height of a graph


@styled
def displacement(
    displaced: xr.Dataset,
    image: Any = None,
    ax: Axes | None = None,
    *,
    frame: int = 0,
    scale: float | None = None,
    std: bool = False,
) -> Figure:
    """Each atom's displacement from the ideal lattice as an arrow; that of windows as maps.

    Arrows are drawn larger than displacements are. On a grid, both components are maps, with a
    symbol at each dislocation.

    Args:
        displaced: from `fit_lattice`, or on a grid from `displacement`.
        image: the source image, to draw over; maps are drawn beside it.
        ax: where to draw arrows; in a new figure by default.
        frame: which frame of a stack.
        scale: how much larger arrows are than the displacements; by default so that most are no
            longer than the spacing of the atoms.
        std: whether to show maps of the standard deviations too.

    Returns:
        The Figure, in the image's units, row 0 on top. An arrow starts at the ideal position.

    Raises:
        DataError: if there are no displacements, or no such frame, or `ax` is given for maps.

    Example:
        >>> from pyroshift import fit_lattice
        >>> y, x = np.indices((8, 8)).reshape(2, -1) * 10.0
        >>> atoms = xr.Dataset(coords={"y": ("atom", y + np.sin(x / 9)), "x": ("atom", x)})
        >>> displacement(fit_lattice(atoms)).axes[0].get_title()
        'displacement'
    """
    if is_field(displaced):
        if ax is not None:
            raise DataError("a displacement on a grid takes several panels: leave out ax")
        return displacement_field(displaced, image, std)
    check_atoms(displaced)
    if not isinstance(displaced, xr.Dataset) or "displacement" not in displaced:
        raise DataError("the atoms have no displacements: pass what fit_lattice returns")
    known = displaced.isel({ATOM: np.isfinite(displaced["displacement"].values).all(1)})
    if not known.sizes[ATOM]:
        raise DataError("no atom has a displacement")
    ideal, moves = (select_frame(known[name], frame) for name in ("ideal", "displacement"))
    picture = None if image is None else as_image(image, frame)
    width, height = panel_size(moves[:, 0] if picture is None else picture)
    ax = own_axes(ax, _ENLARGED * width, _ENLARGED * height)
    unit = str(moves.attrs.get("units", "px"))
    if picture is None:
        _frame_around(ax, ideal.values, unit)
    else:
        draw_image(ax, picture)
    _draw_arrows(ax, ideal.values, moves.values, scale, unit)
    ax.set_title("displacement")
    return figure_of(ax)


@styled
def distortion(field: xr.Dataset, *, limits: Limits | None = None) -> Figure:
    """Both components of a scan's distortion, and how uncertain they are.

    Args:
        field: from `Distortion.on` or `Distortion.field`.
        limits: lowest and highest value of the components' colours.

    Returns:
        A Figure of four panels. Components share their colours, as do deviations.

    Raises:
        DataError: if this is no such field.

    Example:
        >>> grid = {"axis": ["y", "x"], "y": np.arange(6.0), "x": np.arange(8.0)}
        >>> values = xr.DataArray(np.ones((2, 6, 8)), grid, ("axis", "y", "x"))
        >>> figure = distortion(xr.Dataset({"distortion": values, "distortion_std": values}))
        >>> [ax.get_title() for ax in figure.axes if ax.get_title()]
        ['distortion y', 'distortion x', 'distortion y, std', 'distortion x, std']
    """
    names = ("distortion", "distortion_std")
    if not isinstance(field, xr.Dataset) or not set(names) <= set(field.data_vars):
        raise DataError(
            "expected the field from Distortion.on, a Dataset of distortion and its std"
        )
    width, height = panel_size(field["distortion"].isel(axis=0))
    figure = new_figure(2 * width, 2 * height, compressed=True)
    grid = figure.add_gridspec(2, 2)
    for row, name in enumerate(names):
        values = field[name]
        shown = limits or symmetric_limits(values) if row == 0 else robust_limits(values)
        for column, axis in enumerate(("y", "x")):
            ax = add_axes(figure, grid[row, column])
            part = values.isel(axis=column, drop=True)
            title = f"distortion_{axis}" + ("_std" if row else "")
            draw_map(ax, title, part, limits=shown, scale_bar=row == column == 0)
    return figure


@styled
def displacement_modes(modes: xr.Dataset) -> Figure:
    """Each mode's pattern as arrows over the sites, and its scores over the frames.

    Args:
        modes: from `displacement_modes`.

    Returns:
        A Figure with two panels per mode.

    Raises:
        DataError: if these are no modes.

    Example:
        >>> from pyroshift import fit_lattice
        >>> from pyroshift import displacement_modes as find_modes
        >>> y, x = np.indices((8, 8)).reshape(2, -1) * 10.0
        >>> y = np.concatenate([y + frame * np.sin(x / 20) for frame in range(3)])
        >>> coords = {"y": y, "x": np.tile(x, 3), "frame": np.repeat([0, 1, 2], 64)}
        >>> atoms = xr.Dataset(coords={name: ("atom", array) for name, array in coords.items()})
        >>> figure = displacement_modes(find_modes(fit_lattice(atoms), modes=1))
        >>> [ax.get_title() for ax in figure.axes]
        ['mode 0: 100% of the variance', 'score']
    """
    if not isinstance(modes, xr.Dataset) or not {"pattern", "score", "explained"} <= set(modes):
        raise DataError("expected the modes from displacement_modes")
    ideal = np.column_stack([modes["y"].values, modes["x"].values])
    count = modes.sizes["mode"]
    width, height = panel_size(modes["pattern"].isel(mode=0, axis=0))
    figure = new_figure(width * count, height + _SCORES)
    grid = figure.add_gridspec(2, count, height_ratios=[height, _SCORES])
    unit = str(modes["score"].attrs.get("units", "px"))
    for mode in range(count):
        ax = add_axes(figure, grid[0, mode])
        _frame_around(ax, ideal, unit)
        _draw_arrows(ax, ideal, modes["pattern"].values[mode])
        ax.set_title(f"mode {mode}: {float(modes['explained'][mode]):.0%} of the variance")
        below = add_axes(figure, grid[1, mode])
        below.axhline(0, color="0.8", linewidth=0.6)
        below.plot(modes[FRAME], modes["score"].values[mode], marker="o", color=LINE_COLOURS[0])
        below.set(title="score", xlabel="frame", ylabel=unit)
        below.xaxis.set_major_locator(round_ticks(integer=True, min_n_ticks=1))
        below.yaxis.set_major_locator(round_ticks(3))
    return figure


def _frame_around(ax: Axes, ideal: np.ndarray, unit: str) -> None:
    """The field of view of some positions, row 0 on top."""
    margin = _spacing(ideal)
    (top, left), (bottom, right) = ideal.min(0) - margin, ideal.max(0) + margin
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[])
    add_scale_bar(ax, unit)


def _draw_arrows(
    ax: Axes, ideal: np.ndarray, moves: np.ndarray, scale: float | None = None, unit: str = ""
) -> None:
    """Moves of some positions, all made longer alike; with a unit, and one arrow to compare."""
    typical = float(np.quantile(np.hypot(*moves.T), _MOST_OF_ALL)) or 1.0
    if scale is None:
        scale = _LENGTH * _spacing(ideal) / typical
    y, x = ideal.T
    ax.autoscale(False)
    arrows = ax.quiver(
        x, y, moves[:, 1], moves[:, 0], angles="xy", scale_units="xy", scale=1 / scale,
        color=LINE_COLOURS[1], width=0.004,
    )  # fmt: skip
    if unit:
        length = nice_length(4 * typical)
        ax.quiverkey(arrows, 0.9, -0.04, length, with_unit(length, unit), labelpos="W")


def _spacing(positions: np.ndarray) -> float:
    """About the distance between neighbours."""
    return float(np.sqrt(max(np.ptp(positions, axis=0).prod(), 1e-300) / len(positions)))

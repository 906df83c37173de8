"""How all figures look, and figures that show themselves in notebooks without pyplot."""

import warnings
from io import BytesIO
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import MaxNLocator

LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
TICK_SIZE = 7.0

# As a decorator, gives what a function draws the common style and leaves the user's own alone.
styled = rc_context(
    {
        "font.size": 8.0,
        "axes.titlesize": 9.0,
        "axes.labelsize": 8.0,
        "axes.linewidth": 0.6,
        "axes.formatter.useoffset": False,
        "axes.formatter.limits": (-4, 6),
        "xtick.labelsize": TICK_SIZE,
        "ytick.labelsize": TICK_SIZE,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "legend.fontsize": TICK_SIZE,
        "legend.frameon": False,
        "lines.linewidth": 1.2,
        "lines.markersize": 3.0,
        "mathtext.fontset": "dejavusans",
        "figure.dpi": 150.0,
    }
)


class NotebookFigure(Figure):
    """A Figure unknown to pyplot, so that it is freed with its last reference."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=self.dpi)
        return buffer.getvalue()


class PanelFigure(NotebookFigure):
    """A figure of one panel, which answers for its Axes, that used to be returned instead."""

    def __getattr__(self, name: str) -> Any:
        # Some versions of matplotlib look for attributes before the figure has any `axes`.
        internal = name == "axes" or name.startswith("_")
        if internal or not self.axes or not hasattr(self.axes[0], name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        warnings.warn(
            f"plots are Figures: take `{name}` of its `.axes[0]`", DeprecationWarning, stacklevel=2
        )
        return getattr(self.axes[0], name)


def new_figure(width: float, height: float, compressed: bool = False) -> NotebookFigure:
    """An empty figure, sizes in inches; compressed to bring pictures in a grid close together."""
    layout: Literal["compressed", "constrained"] = "compressed" if compressed else "constrained"
    return NotebookFigure(figsize=(width, height), layout=layout)


def add_axes(figure: Figure, place: SubplotSpec | None = None, **options: Any) -> Axes:
    """Axes at a place of a figure's grid, or on all of it."""
    ax = figure.add_subplot(place or figure.add_gridspec(1, 1)[0], **options)
    # Ticks are made only when drawn, after the style has gone.
    ax.tick_params(labelsize=TICK_SIZE, width=0.6, length=2.5)
    return ax


def round_ticks(count: int = 5, **options: Any) -> MaxNLocator:
    """A few ticks at round numbers."""
    return MaxNLocator(count, steps=[1, 2, 2.5, 5, 10], **options)


def line_colour(number: int) -> str:
    """The colour of a line or class by its number."""
    return LINE_COLOURS[number % len(LINE_COLOURS)]


def own_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The Axes given, or those of a new figure, sizes in inches."""
    if ax is not None:
        return ax
    return add_axes(PanelFigure(figsize=(width, height), layout="constrained"))


def figure_of(ax: Axes) -> Figure:
    """The whole figure that Axes are in, if need be around a part of it."""
    figure: Any = ax.get_figure()
    return figure.figure


def without_box(ax: Axes) -> None:
    """Leave only the left and lower line around a graph."""
    ax.spines[["top", "right"]].set_visible(False)

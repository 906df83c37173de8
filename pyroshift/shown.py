"""How things show themselves in notebooks: tables and small graphs in plain HTML, all escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

_CELL = "text-align: left; padding: 2px 14px 2px 0; vertical-align: top"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table.

    Args:
        header: of each column.
        rows: their cells, as text.

    Example:
        >>> table(["site"], [["<z>"]]).count("&lt;z&gt;")
        1
    """
    lines = [_row(header, "th"), *(_row(row, "td") for row in rows)]
    style = "border-collapse: collapse; font-size: inherit; margin: 4px 0 8px"
    return f'<table style="{style}">{"".join(lines)}</table>'


def _row(cells: Sequence[str], tag: str) -> str:
    each = "".join(f'<{tag} style="{_CELL}">{escape(str(cell))}</{tag}>' for cell in cells)
    return f"<tr>{each}</tr>"


def block(heading: str, *parts: str) -> str:
    """A heading, escaped, and parts of HTML below it."""
    return f"<div><strong>{escape(heading)}</strong>{''.join(parts)}</div>"


def preformatted(text: str) -> str:
    """Text with its line breaks."""
    return f'<pre style="margin: 6px 0; line-height: 1.4">{escape(text)}</pre>'


def graph(lines: Sequence[Any], label: str, width: int = 220, height: int = 70) -> str:
    """Lines over their index in a small graph, on one scale; gaps where a value is missing.

    Args:
        lines: numbers of each.
        label: what the graph shows, for those who can't see it.
        width: in pixels.
        height: in pixels.

    Example:
        >>> graph([[3.0, 2.0, 1.5]], "loss").count("<polyline")
        1
    """
    arrays = [np.asarray(line, float) for line in lines]
    known = np.concatenate([array[np.isfinite(array)] for array in arrays] or [np.zeros(0)])
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    drawn = [
        _line(array, (low, high), colour, width, height)
        for array, colour in zip(arrays, COLOURS * len(arrays), strict=False)
    ]
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="{escape(label)}" '
        f'style="background: #fff; border: 1px solid #ccc">{"".join(drawn)}</svg>'
    )


def _line(
    values: np.ndarray, limits: tuple[float, float], colour: str, width: int, height: int
) -> str:
    """Pieces of a line, one for each run of values that are there."""
    low, high = limits
    x = 4 + (width - 8) * np.arange(len(values)) / max(len(values) - 1, 1)
    y = 4 + (height - 8) * (high - values) / ((high - low) or 1.0)
    known = np.isfinite(values)
    breaks = np.flatnonzero(np.diff(known.astype(int))) + 1
    pieces = [piece for piece in np.split(np.arange(len(values)), breaks) if known[piece].all()]
    return "".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="'
        f'{" ".join(f"{x[at]:.1f},{y[at]:.1f}" for at in piece)}"/>'
        for piece in pieces
        if len(piece)
    )

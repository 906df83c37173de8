"""How patches show themselves in a notebook: some windows, and where all of them are."""

import base64
import io
from html import escape
from typing import Any

import numpy as np
import torch
from PIL import Image

from pyroshift.shown import block, graph, table

_COUNT = 8  # windows that are shown
_SIDE = 72  # pixels of the longer side of one


class Shown:
    """What shows itself in a notebook as patches do."""

    def _repr_html_(self) -> str:
        return as_html(self)


def as_html(patches: Any) -> str:
    """Some windows as pictures, evenly spread, and a table of coordinates.

    Args:
        patches: of any layout.

    Example:
        >>> from pyroshift.data.gathering import Patches
        >>> shown = as_html(Patches.from_array(np.random.default_rng(0).random((20, 8, 8))))
        >>> shown.count("<img"), "20 windows of 8 x 8" in shown
        (8, True)
    """
    count = len(patches)
    index = np.unique(np.linspace(0, count - 1, min(_COUNT, count)).astype(int))
    windows = patches.gather(torch.from_numpy(index).to(patches.starts.device)).cpu().numpy()
    axes = len(patches.window)
    first = windows[:, 0] if patches.channels else windows
    limits = _limits(first)
    drawn = [
        graph([window], f"window {at}", 110, 60) if axes == 1 else _picture(window, limits, at)
        for window, at in zip(first, index, strict=True)
    ]
    size = " x ".join(map(str, patches.window))
    channels = ""
    if patches.channels:
        channels = f", the channel {patches.channels[0]} of {len(patches.channels)}"
    row = "".join(drawn)
    return block(
        f"Patches: {count} windows of {size} pixels",
        f'<div style="display: flex; flex-wrap: wrap; gap: 4px; margin: 6px 0">{row}</div>',
        f"<div>Evenly spread{escape(channels)}, in grey from {limits[0]:.3g} to {limits[1]:.3g}"
        f"; normalize={escape(repr(patches.normalize))}</div>"
        if axes == 2
        else f"<div>Evenly spread{escape(channels)}</div>",
        table(["along", "how many", "from", "to", "unit"], list(_coordinates(patches))),
    )


def _limits(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)


def _picture(window: np.ndarray, limits: tuple[float, float], number: int) -> str:
    """A window in grey, missing pixels white."""
    low, high = limits
    share = np.nan_to_num((window - low) / ((high - low) or 1.0), nan=1.0)
    image = Image.fromarray(np.rint(255 * share).astype(np.uint8))
    file = io.BytesIO()
    image.save(file, "PNG")
    scale = _SIDE / max(window.shape)
    height, width = (max(1, round(scale * size)) for size in window.shape)
    return (
        f'<img alt="window {number}" width="{width}" height="{height}" '
        f'style="image-rendering: pixelated" src="data:image/png;base64,'
        f'{base64.b64encode(file.getvalue()).decode("ascii")}">'
    )


def _coordinates(patches: Any) -> Any:
    """A row of each coordinate of the patches, and of each axis of the windows."""
    for name, size in patches.layout.items():
        if name not in patches.coords:
            yield name, f"{size}", "", "", ""
    for name, variable in patches.coords.items():
        values = np.asarray(variable.values)
        units = str(variable.attrs.get("units", ""))
        numbers = values.dtype.kind in "biuf" and values.size
        ends = (f"{values.min():.5g}", f"{values.max():.5g}") if numbers else ("", "")
        yield name, f"{values.size}", *ends, units
    for name, step, units in zip(
        patches.window_dims, patches.pixel_size, patches.units, strict=True
    ):
        yield f"{name} of a window", "", "", f"steps of {step:.4g}", units

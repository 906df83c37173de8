"""`compare` and `khat`: which model explains windows best, and where its guide can be trusted."""

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.errors import DataError
from pyroshift.plot.colours import DIVERGES, Limits
from pyroshift.plot.drawing import draw_map, is_list, panel_size
from pyroshift.plot.fields import select_frame
from pyroshift.plot.pictures import as_image
from pyroshift.plot.style import LINE_COLOURS, figure_of, own_axes, round_ticks, styled, without_box

_KHAT, _LIMIT = "khat", "khat_limit"
_NEEDED = ("log_evidence", "log_evidence_se", "difference", "difference_se", "elbo")
_ROW = 0.32  # inches


@styled
def compare(table: xr.Dataset, ax: Axes | None = None) -> Figure:
    """Models by their held-out evidence, best on top, and how sure the differences are.

    Filled points are the evidence, with its standard error in grey; open ones the bound that
    training raises. Bars in colour are the standard errors of the differences to the best model,
    the dashed line: what crosses it is hardly worse.

    Args:
        table: from `pyroshift.compare`.
        ax: where to draw; in a new figure by default.

    Returns:
        The Figure, nats per window.

    Raises:
        DataError: if this is no such table.

    Example:
        >>> from pyroshift import VAE, ShiftVAE, extract_patches
        >>> from pyroshift import compare as compared
        >>> cut = extract_patches(np.random.default_rng(0).random((48, 64)), window=16, step=16)
        >>> models = {"shift": ShiftVAE(16, guide="normal"), "plain": VAE(16)}
        >>> figure = compare(compared(models, cut, draws=25))
        >>> figure.axes[0].get_xlabel()
        'log evidence of a window (nat)'
    """
    if not isinstance(table, xr.Dataset) or not {*_NEEDED, "model"} <= set(table.variables):
        raise DataError(
            f"expected the table from compare, a Dataset of {', '.join(_NEEDED)} over model; got "
            f"{type(table).__name__}"
        )
    names = [str(name) for name in table["model"].values]
    rows = np.arange(len(names))
    values = {name: table[name].values.astype(float) for name in _NEEDED}
    ax = own_axes(ax, 4.6, 0.8 + _ROW * max(len(names), 2))
    mean = values["log_evidence"]
    ax.axvline(mean[0], color="0.6", linewidth=0.8, linestyle="--")
    ax.errorbar(mean, rows, xerr=values["log_evidence_se"], fmt="none", ecolor="0.75", elinewidth=4)
    ax.errorbar(
        mean[1:], rows[1:], xerr=values["difference_se"][1:], fmt="none", capsize=2.5,
        ecolor=LINE_COLOURS[1], label="error of the difference",
    )  # fmt: skip
    ax.plot(mean, rows, "o", color=LINE_COLOURS[0], markersize=4.5, label="evidence")
    ax.plot(values["elbo"], rows, "o", color=LINE_COLOURS[0], mfc="white", label="ELBO")
    ax.set_yticks(rows, names)
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel="log evidence of a window (nat)")
    ax.xaxis.set_major_locator(round_ticks())
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)  # over names, if need be
    without_box(ax)
    return figure_of(ax)


@styled
def khat(
    source: xr.Dataset | xr.DataTree,
    ax: Axes | None = None,
    *,
    image: Any = None,
    frame: int = 0,
    limits: Limits | None = None,
) -> Figure:
    """Where the guide can be trusted: a map of k-hat, its colours turning at the limit.

    Args:
        source: from `evidence`, or the tree from `posterior`.
        ax: where to draw; in a new figure by default.
        image: the source image. Atoms are drawn over it, maps in its field of view.
        frame: which frame of a stack.
        limits: lowest and highest value of the colours, by default as far to either side of the
            limit; whatever they are, the title tells the limit.

    Returns:
        The Figure: blue where draws can be trusted, red where few of them make up all. Its title
        tells which share of the windows is beyond the limit, which is 0.7 or, for few draws, less.

    Raises:
        DataError: if there is no k-hat, or no such frame.

    Example:
        >>> from pyroshift import ShiftVAE, evidence, extract_patches
        >>> cut = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> found = evidence(ShiftVAE(16, guide="normal"), cut, draws=50)
        >>> khat(found).axes[0].get_title()
        'k-hat: 8% beyond 0.41'
    """
    if isinstance(source, xr.DataTree):
        source = source["importance"].to_dataset() if "importance" in source else xr.Dataset()
    if not isinstance(source, xr.Dataset) or _KHAT not in source or _LIMIT not in source.attrs:
        raise DataError(
            "expected what evidence or posterior gives, with a map of khat; got "
            f"{type(source).__name__}"
        )
    array, limit = source[_KHAT], float(source.attrs[_LIMIT])
    known = array.values[~np.isnan(array.values)]
    if not known.size:
        raise DataError("there is no window of which k-hat is known")
    share = float((known > limit).mean())
    shown = select_frame(array, frame)
    reach = float(np.abs(known[np.isfinite(known)] - limit).max(initial=0.1))
    low, high = limits or (limit - min(reach, 1.0), limit + min(reach, 1.0))
    picture = None if image is None or is_list(shown) else as_image(image, frame)
    ax = own_axes(ax, *panel_size(shown if picture is None else picture))
    red = shown.clip(max=high)  # where it is infinite
    draw_map(ax, DIVERGES, red, picture, (low, high))
    ax.set_title(f"k-hat: {share:.0%} beyond {limit:.2g}")
    if is_list(shown):
        ax.axhline(limit, color=LINE_COLOURS[1], linewidth=0.8, linestyle="--")
    return figure_of(ax)

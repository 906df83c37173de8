"""`history`: how the training went."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pyroshift.errors import DataError
from pyroshift.plot.style import (
    LINE_COLOURS,
    add_axes,
    new_figure,
    round_ticks,
    styled,
    without_box,
)

_NEEDED = ("loss", "validation_loss", "log_likelihood", "kl", "kl_scale", "learning_rate")
_PLACES = {
    "loss": np.s_[0, :3],
    "log_likelihood": np.s_[0, 3:],
    "kl": np.s_[1, :2],
    "kl_scale": np.s_[1, 2:4],
    "rate": np.s_[1, 4:],
}

_DASHES = ("-", (0, (3, 1.5)), (0, (1, 1)), (0, (3, 1, 1, 1)))  # so that equal lines all show


@styled
def history(dataset: xr.Dataset) -> Figure:
    """Loss, likelihood, KL terms and their weights, and learning rate over the epochs.

    Args:
        dataset: from `fit`.

    Returns:
        A Figure of five panels.

    Raises:
        DataError: if this isn't what `fit` returns.

    Example:
        >>> from pyroshift import ShiftVAE, extract_patches, fit
        >>> patches = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> figure = history(fit(ShiftVAE(16), patches, epochs=2, progress=False))
        >>> [ax.get_title() for ax in figure.axes]
        ['loss', 'log likelihood', 'KL divergence', 'KL weight', 'learning rate']
    """
    if not isinstance(dataset, xr.Dataset) or not set(_NEEDED) <= set(dataset.data_vars):
        raise DataError(f"expected the history from fit, a Dataset of {', '.join(_NEEDED)}")
    figure = new_figure(7.0, 4.2)
    grid = figure.add_gridspec(2, 6)
    axes = {name: add_axes(figure, grid[place]) for name, place in _PLACES.items()}
    _losses(axes["loss"], dataset)
    _line(axes["log_likelihood"], dataset["log_likelihood"], 0)
    _per_site(axes["kl"], dataset["kl"])
    _per_site(axes["kl_scale"], dataset["kl_scale"])
    _line(axes["rate"], dataset["learning_rate"], 0)
    axes["loss"].set(title="loss", ylabel="nats per patch")
    axes["log_likelihood"].set(title="log likelihood", ylabel="nats per patch")
    axes["kl"].set(title="KL divergence", ylabel="nats per patch")
    axes["kl_scale"].set(title="KL weight", ylim=_from_zero(dataset["kl_scale"]))
    axes["rate"].set(title="learning rate", ylim=_from_zero(dataset["learning_rate"]))
    for ax in axes.values():
        _finish(ax, dataset["epoch"].values)
    # Of both panels per site, and beside them, as there may be many.
    lines, names = axes["kl"].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower left", ncols=len(names), handlelength=3.0)
    return figure


def _losses(ax: Axes, dataset: xr.Dataset) -> None:
    """Training loss, and validation loss where patches were held out."""
    _line(ax, dataset["loss"], 0, "training")
    if dataset["validation_loss"].notnull().any():
        _line(ax, dataset["validation_loss"], 1, "validation")
        ax.legend()


def _per_site(ax: Axes, array: xr.DataArray) -> None:
    for index, site in enumerate(array["site"].values):
        _line(ax, array.isel(site=index), index, str(site))


def _line(ax: Axes, array: xr.DataArray, colour: int, name: str | None = None) -> None:
    """A line over the epochs, with points where these are few."""
    ax.plot(
        array["epoch"],
        array.values,
        color=LINE_COLOURS[colour % len(LINE_COLOURS)],
        linestyle=_DASHES[colour % len(_DASHES)],
        marker="o" if array.sizes["epoch"] <= 30 else None,
        label=name,
    )


def _from_zero(array: xr.DataArray) -> tuple[float, float]:
    """Limits of a graph of numbers that aren't negative."""
    finite = array.values[np.isfinite(array.values)]
    return 0.0, 1.08 * float(finite.max()) if finite.any() else 1.0


def _finish(ax: Axes, epochs: np.ndarray) -> None:
    last = max(len(epochs), 1)
    ax.set(xlim=(0.5, last + 0.5) if last <= 30 else (0, last), xlabel="epoch")
    ax.xaxis.set_major_locator(round_ticks(6, integer=True, min_n_ticks=1))
    ax.yaxis.set_major_locator(round_ticks())
    ax.grid(axis="y", color="0.9", linewidth=0.5)
    without_box(ax)

"""Posterior predictive checks: do windows that a model predicts look like those it was given?"""

import math
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.bayes.tree import (
    CHAIN,
    DRAW,
    OBSERVED,
    PATCHES,
    POSTERIOR_PREDICTIVE,
    SAMPLE_STATS,
)
from pyroshift.data.checks import CHANNEL
from pyroshift.errors import DataError

Statistic = Callable[[np.ndarray], np.ndarray]
_POINTS = 60  # intervals in which pixels are counted
_COUNTED = 50  # predictions of which they are
_BEYOND = 0.25  # of the observed range, to either side


def _of_pixels(function: Callable[..., Any]) -> Statistic:
    """A function of all pixels of a window, which leaves out those that are missing."""
    return lambda windows: function(windows.reshape(len(windows), -1), axis=-1)


def _roughness(windows: np.ndarray) -> np.ndarray:
    """Mean square of the steps from pixel to pixel, over twice the variance: 1 for white noise."""
    axes = tuple(range(1, windows.ndim))
    steps = [np.nanmean(np.square(np.diff(windows, axis=axis)), axis=axes) for axis in axes]
    return np.mean(steps, 0) / (2 * np.nanvar(windows, axis=axes))


STATISTICS: dict[str, Statistic] = {
    "mean": _of_pixels(np.nanmean),
    "spread": _of_pixels(np.nanstd),
    "least": _of_pixels(np.nanmin),
    "greatest": _of_pixels(np.nanmax),
    "roughness": _roughness,
}
DEFAULT = ("mean", "spread", "greatest", "roughness")
_LABELS = {
    "observed": "statistic of the window",
    "predicted": "mean of the statistic of predicted windows",
    "predicted_std": "standard deviation of the statistic of predicted windows",
    "p_value": "share of predicted windows at or above the observed one",
    "density": "density of the pixels' values",
    "density_predicted": "density of the pixels' values in each prediction",
}


def predictive_check(
    draws: xr.DataTree, statistics: Sequence[str] | Mapping[str, Statistic] = DEFAULT
) -> xr.Dataset:
    """Whether windows that the posterior predicts are like those observed, by some statistics.

    If the model is right, what was observed is like one more prediction. What the model wasn't
    fitted to tells best: roughness sees noise that is correlated, the greatest value outliers. As
    each window's latents were fitted to it, p-values are nearer to 1/2 than uniform ones, so that
    those near 0 or 1 mean the more.

    Args:
        draws: from `posterior`, with predicted windows.
        statistics: names, of "mean", "spread", "least", "greatest" and "roughness" (mean square of
            the steps from pixel to pixel, over twice the variance: 1 for white noise); or functions
            by name, of `window x height x width` or `window x length`, NaN where pixels are
            missing, to `window`.

    Returns:
        A Dataset over `statistic` and the patches' dimensions (and `channel`): `observed`, the mean
        `predicted` and its spread `predicted_std`, and `p_value`, the share of predicted windows at
        or above the observed one, about 1/2 in the mean if the model is right; and
        over `bin`, at the coordinate `value`, the `density` of the pixels' values, and
        `density_predicted` of up to 50 predictions. Where pixels are missing, predictions do
        without them too.

    Raises:
        DataError: if these are no draws with predicted windows, or a statistic is unknown or gives
            another shape.

    Source:
        Gelman, Meng and Stern, "Posterior predictive assessment of model fitness via realized
        discrepancies", Stat. Sinica 6, 733 (1996).

    Example:
        >>> from pyroshift import ShiftVAE, extract_patches, posterior
        >>> cut = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> tree = posterior(ShiftVAE(16, guide="normal"), cut, draws=50)
        >>> predictive_check(tree).p_value.dims
        ('statistic', 'y', 'x')
    """
    chosen = _chosen(statistics)
    windows = _Windows(draws)
    data = windows.observed()
    known = ~np.isnan(data).all(tuple(range(1, data.ndim)))
    edges = np.stack([_edges(each) for each in windows.by_channel(data)])
    every: list[np.ndarray] = []
    densities: list[np.ndarray] = []
    for again in windows.predicted():
        again = np.where(np.isnan(data), np.nan, again)
        every.append(_evaluated(chosen, again[known]))
        if len(densities) < _COUNTED:
            densities.append(_densities(windows.by_channel(again), edges))
    observed, predicted = _evaluated(chosen, data[known]), np.stack(every)
    by_window = {
        "observed": observed,
        "predicted": predicted.mean(0),
        "predicted_std": predicted.std(0),
        "p_value": (predicted >= observed).mean(0),
    }
    density = _densities(windows.by_channel(data), edges)
    bins = (*windows.channel, "bin")
    variables: dict[str, tuple[tuple[Hashable, ...], np.ndarray]] = {
        name: (("statistic", *windows.over), windows.laid_out(each, known))
        for name, each in by_window.items()
    }
    variables |= {
        "density": (bins, windows.squeezed(density)),
        "density_predicted": (("prediction", *bins), windows.squeezed(np.stack(densities))),
    }
    coords = {
        **windows.coords,
        "statistic": np.array(list(chosen), dtype=object),
        "value": (bins, windows.squeezed((edges[:, 1:] + edges[:, :-1]) / 2)),
    }
    labelled = {
        name: xr.Variable(dims, values, {"long_name": _LABELS[name]})
        for name, (dims, values) in variables.items()
    }
    attrs = {"title": "posterior predictive check", "draws": len(predicted)}
    return xr.Dataset(labelled, coords, {**draws.attrs, **attrs})


class _Windows:
    """Observed and predicted windows of a tree, each channel's by themselves.

    Args:
        draws: the tree.

    Raises:
        DataError: if it has none.
    """

    def __init__(self, draws: xr.DataTree) -> None:
        needed = (OBSERVED, POSTERIOR_PREDICTIVE, SAMPLE_STATS)
        groups = set(draws.children) if isinstance(draws, xr.DataTree) else set()
        if missing := [name for name in needed if name not in groups]:
            raise DataError(
                f"expected draws with predicted windows, as posterior(model, patches) gives them; "
                f"{missing} isn't in this {type(draws).__name__}"
            )
        self._observed = _array(draws, OBSERVED)
        self._predicted = _array(draws, POSTERIOR_PREDICTIVE)
        layout = draws[SAMPLE_STATS].to_dataset()["lp"].dims[2:]
        inner = [dim for dim in self._observed.dims if dim not in layout]
        self.channel = tuple(dim for dim in inner if dim == CHANNEL)
        self.over = (*layout, *self.channel)
        self._order = (*self.over, *(dim for dim in inner if dim not in self.channel))
        self._shape = tuple(self._observed.sizes[dim] for dim in self.over)
        self.coords = {
            name: each.variable
            for name, each in self._observed.coords.items()
            if set(each.dims) <= set(self.over)
        }

    def observed(self) -> np.ndarray:
        """What was given, `window x height x width`."""
        return self._flat(self._observed)

    def predicted(self) -> Iterator[np.ndarray]:
        """One prediction after the other, each `window x height x width`."""
        every = self._predicted
        for chain in range(every.sizes[CHAIN]):
            for draw in range(every.sizes[DRAW]):
                yield self._flat(every.isel({CHAIN: chain, DRAW: draw}))

    def by_channel(self, windows: np.ndarray) -> np.ndarray:
        """All pixels of each channel, `channel x pixel`."""
        channels = self._shape[-1] if self.channel else 1
        return (
            windows.reshape(-1, channels, *windows.shape[1:]).swapaxes(0, 1).reshape(channels, -1)
        )

    def squeezed(self, values: np.ndarray) -> np.ndarray:
        """Values `... x channel x bin`, without that axis where there are no channels."""
        return values if self.channel else values.squeeze(-2)

    def laid_out(self, values: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Values of the windows that are there, `statistic x window`, over all dimensions."""
        full = np.full((len(values), len(known)), np.nan)
        full[:, known] = values
        return full.reshape(-1, *self._shape)

    def _flat(self, array: xr.DataArray) -> np.ndarray:
        values = array.transpose(*self._order).values.astype(float)
        return values.reshape(-1, *values.shape[len(self.over) :])


def _array(draws: xr.DataTree, group: str) -> xr.DataArray:
    """What a group has of the windows."""
    return draws[group].to_dataset()[PATCHES]


def _chosen(statistics: Any) -> Mapping[str, Statistic]:
    """Functions by name.

    Raises:
        DataError: if a name is unknown, or there is none.
    """
    if isinstance(statistics, Mapping) and statistics and all(map(callable, statistics.values())):
        return statistics
    names = [statistics] if isinstance(statistics, str) else list(statistics)
    if not names or isinstance(statistics, Mapping) or not set(names) <= set(STATISTICS):
        raise DataError(
            f"statistics must be names, of {list(STATISTICS)}, or functions by name; got "
            f"{statistics!r}"
        )
    return {name: STATISTICS[name] for name in names}


def _evaluated(chosen: Mapping[str, Statistic], windows: np.ndarray) -> np.ndarray:
    """Each statistic of each window, `statistic x window`.

    Raises:
        DataError: if one gives something else.
    """
    found = []
    for name, statistic in chosen.items():
        with warnings.catch_warnings(), np.errstate(invalid="ignore"):
            # Of a step from pixel to pixel along an axis where each other pixel is missing.
            warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
            values = np.asarray(statistic(windows), dtype=float)
        if values.shape != (len(windows),):
            raise DataError(
                f"the statistic {name!r} must give one number for each of {len(windows)} windows, "
                f"but gives the shape {values.shape}"
            )
        found.append(values)
    return np.stack(found)


def _edges(pixels: np.ndarray) -> np.ndarray:
    """Ends of intervals of values, somewhat beyond those observed; whole numbers in the middle."""
    low, high = float(np.nanmin(pixels)), float(np.nanmax(pixels))
    margin = _BEYOND * (high - low) or 1.0
    if bool((np.nan_to_num(pixels) % 1 == 0).all()):
        step = math.ceil((high - low + 2 * margin) / _POINTS)
        return math.floor(low - margin) - 0.5 + step * np.arange(_POINTS + 1)
    return np.linspace(low - margin, high + margin, _POINTS + 1)


def _densities(pixels: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of each channel's pixels per unit of their value, `channel x bin`.

    Args:
        pixels: `channel x pixel`, NaN where missing.
        edges: `channel x edge`.
    """
    known = [each[np.isfinite(each)] for each in pixels]
    counts = [np.histogram(each, ends)[0] for each, ends in zip(known, edges, strict=True)]
    return np.stack(counts) / (np.array([[len(each)] for each in known]) * np.diff(edges))

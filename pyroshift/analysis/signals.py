"""What a signal is made of: sines fitted to many signals at once."""

import math
from collections.abc import Hashable
from numbers import Real
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.spectrum import Array
from pyroshift.data.checks import as_labelled, check_values
from pyroshift.errors import DataError

FEWEST_POINTS = 8  # for the sine's four parameters, with some left to tell how well it fits
SHORTEST = 2.5  # samples per period; of two, amplitude and phase can't be told apart
LONGEST = 4.0  # lengths of the signal per period; beyond, a sine is any parabola
RESOLUTION = 4  # trial frequencies per cycle over the signal, so that no maximum is missed
REFINEMENTS = 40  # golden sections, which narrow a frequency down by 2e-9
_CHUNK = 2**22  # numbers held at once
_LONG_NAMES = {"r2": "share of the variance that the sine explains"}


def fit_sine(
    signals: Any, periods: tuple[float, float] | None = None, dim: str | None = None
) -> xr.Dataset:
    """The best `mean + amplitude sin(2 pi (x - offset) / period)` for each of many signals.

    For a given period the rest is linear least squares, so the period alone is searched for, first
    on an even grid of frequencies, then by golden sections around the best of them: there is no
    first guess, and no local minimum to end in. The `width` of `synthetic.sines` is the period
    divided by 2 pi.

    Args:
        signals: ... x length; or a DataArray, whose last dimension is the signal's unless `dim`
            says otherwise, such as `manifold(model)` or `synthetic.sines()["signal"]`.
        periods: shortest and longest period to try, in units of x; by default from 2.5 samples to
            4 lengths of the signal, the shortest and longest that can be told.
        dim: the dimension that the signals run along.

    Returns:
        Over all other dimensions `offset`, where the sine crosses its mean upwards, the crossing
        nearest to x = 0 and so within half a period; `period`; `amplitude`, not negative; `mean`;
        and `r2`, the share of the signal's variance that the sine explains, by which to tell
        whether it is one. x is the signals' coordinate, or without one counts samples from the
        centre of the signal, as offsets do. A constant signal has amplitude 0 and no offset,
        period or r2 (NaN).

    Raises:
        DataError: if the signals hold NaN or fewer than 8 points, x is not strictly increasing or
            decreasing, or the periods can't be told apart on it.

    Source:
        Figure 3 of Ziatdinov, Wong and Kalinin, "Finding simplicity" (2023), for the fit over the
        plane of the latents.

    Example:
        >>> from pyroshift import synthetic
        >>> truth = synthetic.sines(n=200, noise=0.0)
        >>> found = fit_sine(truth["signal"])
        >>> bool(abs(found["period"] / (2 * np.pi) - truth["width"]).max() < 1e-4)
        True
    """
    data = as_labelled(signals, 1, None, None, name="signals")
    if data.ndim < 1:
        raise DataError(
            "a signal needs at least one dimension, but this is a single number, of shape ()"
        )
    along = _dimension(data, dim)
    data = data.transpose(..., along)
    values = check_values(data.values, "the signals").astype(float)
    x, unit = _positions(data, along)
    frequencies = _trial_frequencies(x, periods)
    flat = values.reshape(-1, len(x))
    chunk = max(1, _CHUNK // (3 * (len(x) + len(frequencies))))
    parts = [
        _fitted(flat[start : start + chunk], x, frequencies) for start in range(0, len(flat), chunk)
    ]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    height = str(data.attrs.get("units", "1"))
    units = {"offset": unit, "period": unit, "amplitude": height, "mean": height, "r2": "1"}
    variables = {
        name: xr.Variable(
            data.dims[:-1],
            value.reshape(values.shape[:-1]),
            {
                "long_name": _LONG_NAMES.get(name, f"{name} of the sine"),
                "units": units[name],
            },
        )
        for name, value in found.items()
    }
    kept = {name: value for name, value in data.coords.items() if along not in value.dims}
    return xr.Dataset(variables, kept)


def _fitted(signals: Array, x: Array, frequencies: Array) -> dict[str, Array]:
    """What describes the sine of each signal (signal x position)."""
    # Least squares are well conditioned for deviations from the mean, over distances from the
    # centre.
    centre = (x[0] + x[-1]) / 2
    level = signals.mean(1, keepdims=True)
    deviation, position = signals - level, x - centre
    frequency = _refined(deviation, position, _best(deviation, position, frequencies), frequencies)
    weights, explained = _least_squares(deviation, position, frequency)
    total = (deviation**2).sum(1)
    constant = np.abs(deviation).max(1) <= 8 * np.finfo(np.float32).eps * np.abs(signals).max(1)
    period = np.where(constant, np.nan, 1 / frequency)
    rising = centre - np.arctan2(weights[:, 1], weights[:, 2]) / (2 * math.pi) * period
    return {
        "offset": rising - period * np.round(rising / period),
        "period": period,
        "amplitude": np.where(constant, 0.0, np.hypot(weights[:, 1], weights[:, 2])),
        "mean": level[:, 0] + np.where(constant, 0.0, weights[:, 0]),
        "r2": np.where(constant, np.nan, explained / np.where(constant, 1.0, total)),
    }


def _best(deviation: Array, position: Array, frequencies: Array) -> Array:
    """Which of the trial frequencies explains most of each signal."""
    design = _design(position, frequencies)
    basis = np.linalg.qr(design)[0]  # frequency x position x 3
    flat = np.moveaxis(basis, 0, 1).reshape(len(position), -1)
    explained = ((deviation @ flat) ** 2).reshape(len(deviation), len(frequencies), 3).sum(-1)
    return explained.argmax(1)


def _refined(deviation: Array, position: Array, best: Array, frequencies: Array) -> Array:
    """The frequency of each signal, by golden sections between the neighbours of its best."""
    low = frequencies[np.maximum(best - 1, 0)]
    high = frequencies[np.minimum(best + 1, len(frequencies) - 1)]
    golden = (math.sqrt(5) - 1) / 2
    inner = [high - golden * (high - low), low + golden * (high - low)]
    values = [_least_squares(deviation, position, frequency)[1] for frequency in inner]
    for _ in range(REFINEMENTS):
        left = values[0] > values[1]  # the maximum is between low and the right one
        low, high = np.where(left, low, inner[0]), np.where(left, inner[1], high)
        new = np.where(left, high - golden * (high - low), low + golden * (high - low))
        value = _least_squares(deviation, position, new)[1]
        inner = [np.where(left, new, inner[1]), np.where(left, inner[0], new)]
        values = [np.where(left, value, values[1]), np.where(left, values[0], value)]
    return (low + high) / 2


def _least_squares(deviation: Array, position: Array, frequency: Array) -> tuple[Array, Array]:
    """Weights of constant, cosine and sine for each signal at its own frequency.

    Returns:
        The weights (signal x 3), and the sum of squares that they explain (signal).
    """
    design = _design(position, frequency)
    overlap = np.einsum("npk,np->nk", design, deviation)
    weights = np.linalg.solve(np.swapaxes(design, 1, 2) @ design, overlap[..., None])[..., 0]
    return weights, (weights * overlap).sum(1)


def _design(position: Array, frequency: Array) -> Array:
    """Constant, cosine and sine, frequency x position x 3."""
    phase = 2 * math.pi * frequency[:, None] * position
    return np.stack([np.ones_like(phase), np.cos(phase), np.sin(phase)], -1)


def _dimension(data: xr.DataArray, dim: str | None) -> Hashable:
    """The dimension that the signals run along."""
    if dim is None:
        return data.dims[-1]
    if dim not in data.dims:
        raise DataError(f"dim={dim!r} is none of the signals' dimensions {tuple(data.dims)}")
    return dim


def _positions(data: xr.DataArray, along: Hashable) -> tuple[Array, str]:
    """Where the signals' points are, and the unit of that."""
    length = data.sizes[along]
    if length < FEWEST_POINTS:
        raise DataError(
            f"signals of {length} points are too short to fit a sine to: it takes {FEWEST_POINTS}"
        )
    if along not in data.coords:
        return np.arange(length) - (length - 1) / 2, "px"
    x = np.asarray(data[along].values)
    steps = np.diff(x.astype(float)) if np.issubdtype(x.dtype, np.number) else np.zeros(1)
    if not (np.all(steps > 0) or np.all(steps < 0)):
        raise DataError(
            f"the coordinate {along!r} must be numbers that go up or down throughout: sort the "
            f"signals along it, or drop_vars({along!r}) to count in samples"
        )
    return x.astype(float), str(data[along].attrs.get("units", "1"))


def _trial_frequencies(x: Array, periods: tuple[float, float] | None) -> Array:
    """An even grid of frequencies, in cycles per unit of x."""
    span = abs(x[-1] - x[0])
    shortest, longest = SHORTEST * span / (len(x) - 1), LONGEST * span
    if periods is not None:
        if not (
            np.shape(periods) == (2,)
            and all(isinstance(period, Real) for period in periods)
            and shortest <= periods[0] < periods[1] <= longest
        ):
            raise DataError(
                f"periods={periods!r} can't be told apart: give the shortest and the longest, "
                f"from {shortest:.4g} to {longest:.4g} (2.5 samples and 4 lengths of the signal)"
            )
        shortest, longest = periods
    cycles = span / shortest - span / longest
    return np.linspace(1 / longest, 1 / shortest, 2 + math.ceil(RESOLUTION * cycles))

"""Synthetic signals whose offset and width are known."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    SMALLEST,
    Array,
    check,
    check_counts,
    extremes,
    variable,
)


def sines(
    n: int = 5000,
    length: int = 100,
    span: float = 10.0,
    offset_spread: float = 3.0,
    widths: Sequence[float] = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2),
    noise: float = 0.1,
    seed: int = 0,
    amplitude: tuple[float, float] = (1.0, 1.0),
    continuous_widths: bool = False,
) -> xr.Dataset:
    """Sine waves ``amplitude sin((x - offset) / width)``, of few widths and any offset.

    Figure 2 of Ziatdinov, Wong and Kalinin, "Finding simplicity" (2021); its figure 3 takes
    ``offset_spread=6, widths=(1.8, 12), continuous_widths=True, amplitude=(1, 12)``.

    Args:
        n: number of signals.
        length: number of points.
        span: x runs from -span to span, both included.
        offset_spread: offsets are uniform within ± this, in units of x.
        widths: choices of the width, in units of x.
        noise: each signal's standard deviation of the noise is uniform in [0, noise].
        seed: of the random numbers.
        amplitude: lowest and highest, uniform between.
        continuous_widths: draw uniformly between the extremes of `widths` instead of choosing.

    Returns:
        ``signal`` (sample × x); ``offset``, ``width``, ``amplitude`` and ``noise`` (sample).

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> sines(n=3, length=50)["signal"].shape
        (3, 50)
    """
    check_counts(1, n=n)
    low, high = extremes("widths", widths, SMALLEST)
    rng = np.random.default_rng(seed)
    width = rng.uniform(low, high, n) if continuous_widths else rng.choice(np.ravel(widths), n)
    attrs = {"generator": "sines", "seed": seed}
    return _signals(np.sin, width, length, span, offset_spread, amplitude, noise, rng, attrs)


def peaks(
    n: int = 5000,
    length: int = 100,
    span: float = 10.0,
    offset_spread: float = 3.0,
    widths: tuple[float, float] = (0.6, 1.4),
    noise: float = 0.1,
    seed: int = 0,
    asymmetry: float = 0.0,
) -> xr.Dataset:
    """Isolated Gaussian peaks of height 1, whose flanks may differ.

    Args:
        n: number of signals.
        length: number of points.
        span: x runs from -span to span, both included.
        offset_spread: offsets are uniform within ± this, in units of x.
        widths: lowest and highest standard deviation, uniform between, in units of x.
        noise: each signal's standard deviation of the noise is uniform in [0, noise].
        seed: of the random numbers.
        asymmetry: within ± 0.9; the left flank is ``1 - asymmetry`` times as wide and the right one
            ``1 + asymmetry`` times. The offset is where the maximum is.

    Returns:
        The variables of `sines`.

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> int(peaks(n=1, length=101, offset_spread=0, noise=0)["signal"].values.argmax())
        50
    """
    check_counts(1, n=n)
    check(asymmetry=(asymmetry, -0.9, 0.9))
    rng = np.random.default_rng(seed)
    width = rng.uniform(*extremes("widths", widths, SMALLEST), n)

    def peak(t: Array) -> Array:
        return np.exp(-0.5 * (t / (1 + asymmetry * np.sign(t))) ** 2)

    attrs = {"generator": "peaks", "seed": seed, "asymmetry": asymmetry}
    return _signals(peak, width, length, span, offset_spread, (1, 1), noise, rng, attrs)


def _signals(
    profile: Callable[[Array], Array],
    width: Array,
    length: int,
    span: float,
    offset_spread: float,
    amplitude: tuple[float, float],
    noise: float,
    rng: np.random.Generator,
    attrs: dict[str, Any],
) -> xr.Dataset:
    """Noisy signals ``amplitude profile((x - offset) / width)`` and their truth."""
    check_counts(2, length=length)
    check(span=(span, SMALLEST, math.inf), noise=(noise, 0, math.inf))
    check(offset_spread=(offset_spread, 0, span))
    x = np.linspace(-span, span, length)
    offset = rng.uniform(-offset_spread, offset_spread, len(width))
    height = rng.uniform(*extremes("amplitude", amplitude, 0), len(width))
    level = rng.uniform(0, noise, len(width))
    signal = height[:, None] * profile((x - offset[:, None]) / width[:, None])
    signal += level[:, None] * rng.standard_normal(signal.shape)
    variables = {
        "signal": variable(("sample", "x"), signal.astype(np.float32), "signal"),
        "offset": variable("sample", offset, "position of the motif", "a.u."),
        "width": variable("sample", width, "width of the motif", "a.u."),
        "amplitude": variable("sample", height, "amplitude"),
        "noise": variable("sample", level, "standard deviation of the noise"),
    }
    return xr.Dataset(variables, {"x": variable("x", x, "x", "a.u.")}, attrs)

"""Cubes of energy-loss spectra whose drift and materials are known, of two kinds."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import erfcx

from pyroshift import synthetic

Array = NDArray[Any]

SHAPE = (20, 20)
CASES: dict[str, dict[str, Any]] = {
    "bright": {},
    "faint": {"counts": 150.0},
    "close": {"resonances": (1.7, 1.8)},
}
STEP = 0.05  # eV per channel, of both kinds


def cube(case: str, seed: int, held_out: bool = False, **changed: Any) -> xr.Dataset:
    """A cube of a case.

    Args:
        case: one of `CASES`.
        seed: of the random numbers.
        held_out: whether it is of the second kind.
        changed: arguments of `synthetic.plasmons` other than the case's.
    """
    settings = {**CASES[case], **changed}
    if held_out:
        counts, resonances = settings.get("counts", 3000.0), settings.get("resonances", (1.4, 2.2))
        return another(counts, resonances, seed)
    return synthetic.plasmons(SHAPE, seed=seed, **settings)


def another(
    counts: float, resonances: tuple[float, float], seed: int, length: int = 150
) -> xr.Dataset:
    """Another kind: a skewed zero-loss peak, Lorentzian losses on a background, gain of channels.

    The peak is a Gaussian convolved with an exponential decay. Losses aren't scattered again, and
    vary in strength alone. Rows drift as a whole, with a hum. Channels differ in gain by 1%.
    Materials are where a random field is high.
    """
    rng = np.random.default_rng(seed + 1000)
    energy = -1.5 + STEP * np.arange(length)
    field = gaussian_filter(rng.normal(size=SHAPE), 4, mode="wrap")
    region = (field > np.quantile(field, 0.6)).astype(int)
    strength = gaussian_filter(rng.normal(size=SHAPE), 6, mode="wrap")
    strength = 0.35 + 0.12 * strength / strength.std()
    rows = np.cumsum(rng.normal(0, 0.03, SHAPE[0])) + 0.25 * (
        np.arange(SHAPE[0]) > rng.integers(5, 16)
    )
    moved = rows[:, None] + 0.03 * np.sin(0.7 * np.arange(SHAPE[0] * SHAPE[1])).reshape(SHAPE)
    moved -= moved.mean()
    x = energy - moved[..., None]
    peak = STEP * _skewed(x, 0.08, 0.06)
    loss = _lorentzian(x, np.take(resonances, region)[..., None], 0.45)
    tail = np.where(x > 0.3, 0.03 * STEP / np.maximum(x, 0.3), 0.0)
    rate = counts * (peak + np.maximum(strength, 0.1)[..., None] * STEP * loss + tail)
    gain = rng.normal(1.0, 0.01, length)
    return xr.Dataset(
        {
            "counts": (("y", "x", "energy"), rng.poisson(rate * gain).astype(np.float32)),
            "rate": (("y", "x", "energy"), rate),
            "drift": (("y", "x"), moved),
            "region": (("y", "x"), region),
        },
        {"energy": ("energy", energy, {"units": "eV"})},
    )


def _lorentzian(x: Array, centre: Array, width: float) -> Array:
    """Of unit area, at energies above 0."""
    half = width / 2
    return np.where(x > 0, half / np.pi / ((x - centre) ** 2 + half**2), 0.0)


def _skewed(x: Array, deviation: float, decay: float) -> Array:
    """A Gaussian convolved with an exponential decay, of unit area, its maximum at 0."""
    fine = np.linspace(-1, 1, 20001)
    return _modified(x + fine[_modified(fine, deviation, decay).argmax()], deviation, decay)


def _modified(x: Array, deviation: float, decay: float) -> Array:
    """The exponentially modified Gaussian, by the scaled complementary error function."""
    u = (deviation / decay - x / deviation) / np.sqrt(2)
    gauss = np.exp(-0.5 * (x / deviation) ** 2) / (2 * decay)
    tail = np.exp(np.minimum(0.5 * (deviation / decay) ** 2 - x / decay, 50)) / decay
    return np.where(u > -5, gauss * erfcx(np.maximum(u, -5)), tail)


def bound(data: xr.Dataset) -> float:
    """The least error of a drift, channels: the Cramer-Rao bound where all else is known."""
    rate = data["rate"].values.astype(float)
    slope = np.gradient(rate, axis=-1)
    information = (slope**2 / np.maximum(rate, 1e-9)).sum(-1)
    return float(np.sqrt((1 / information).mean()))

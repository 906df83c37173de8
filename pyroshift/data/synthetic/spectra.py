"""Synthetic cubes of energy-loss spectra whose drift, materials and thickness are known."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    SMALLEST,
    Array,
    check,
    check_counts,
    check_shape,
    extremes,
    scan_coordinates,
    variable,
)
from pyroshift.errors import DataError

_PIXEL = 2.0  # nm
_PADDING = 4  # lengths of a spectrum, over which what is scattered often comes back to nothing
_WIDTH_OF_MAXIMUM = math.sqrt(8 * math.log(2))  # standard deviations of a Gaussian


def plasmons(
    shape: Sequence[int] = (32, 32),
    length: int = 128,
    dispersion: float = 0.05,
    start: float = -1.2,
    resonances: tuple[float, float] = (1.4, 2.2),
    widths: tuple[float, float] = (0.5, 0.5),
    zero_loss: float = 0.2,
    thickness: tuple[float, float] = (0.3, 0.8),
    counts: float = 3000.0,
    drift: float = 0.05,
    jumps: int = 3,
    jump: float = 0.3,
    particles: int = 6,
    seed: int = 0,
) -> xr.Dataset:
    """Electron energy-loss spectra of particles on a support, each with a plasmon of its own.

    A spectrum is the zero-loss peak, convolved with what one, two, three ... losses make of it:
    with s the Fourier transform of a single loss, of unit area, and t the thickness in mean free
    paths, the peak's is multiplied by ``exp(t (s - 1))``. A single loss is that of a Drude metal.
    All of it drifts: a random walk from spectrum to spectrum, row by row, which jumps now and then.
    Counts are Poisson's.

    Args:
        shape: height and width of the scan, in spectra.
        length: channels of a spectrum.
        dispersion: eV per channel.
        start: energy of the first channel, eV.
        resonances: energies of the plasmons of the support and of the particles, eV.
        widths: of the plasmons, eV.
        zero_loss: the zero-loss peak's full width at half maximum, eV; a Gaussian.
        thickness: thinnest and thickest place, in mean free paths.
        counts: expected in a spectrum, where it doesn't leave the detector.
        drift: standard deviation of a step of the walk, channels.
        jumps: how many times it jumps.
        jump: standard deviation of a jump, eV.
        particles: how many discs lie on the support.
        seed: of the random numbers.

    Returns:
        ``counts`` and ``rate``, what is expected of them (y × x × energy); ``drift`` in eV, towards
        higher energies, 0 in the mean; ``region``, 0 for the support and 1 for a particle; and
        ``thickness`` (y × x).

    Raises:
        DataError: if an argument is out of its range.

    Source:
        Egerton, "Electron Energy-Loss Spectroscopy in the Electron Microscope", 3rd edition,
        Springer 2011: the Drude loss (3.43), and plural scattering by Fourier transforms (4.9).

    Example:
        >>> cube = plasmons((4, 5), length=100)
        >>> cube["counts"].dims, cube["energy"].attrs["units"]
        (('y', 'x', 'energy'), 'eV')
    """
    check_shape(shape)
    check_counts(8, length=length)
    check_counts(0, jumps=jumps, particles=particles)
    for name, value in {"dispersion": dispersion, "zero_loss": zero_loss, "counts": counts}.items():
        check(**{name: (value, SMALLEST, math.inf)})
    check(start=(start, -math.inf, 0), drift=(drift, 0, math.inf), jump=(jump, 0, math.inf))
    for name, pair in {"resonances": resonances, "widths": widths}.items():
        if len(pair) != 2:
            raise DataError(f"{name}={pair!r} can't be used: give one for support and particles")
        extremes(name, pair, SMALLEST)
    thinnest, thickest = extremes("thickness", thickness, 0)
    rng = np.random.default_rng(seed)
    region = _discs(rng, shape, particles)
    thick = thinnest + (thickest - thinnest) * _smooth(rng, shape)
    moved = dispersion * _walk(rng, shape, drift) + _jumps(rng, shape, jumps, jump)
    moved -= moved.mean()
    single = [
        _single_loss(length, dispersion, *each) for each in zip(resonances, widths, strict=True)
    ]
    rate = np.empty((*shape, length))
    for row in range(shape[0]):  # whose transforms fit into memory
        part = np.array(single)[region[row]], thick[row], moved[row]
        rate[row] = counts * _spectra(*part, length, dispersion, start, zero_loss)
    coords = scan_coordinates(shape, _PIXEL)
    energy = start + dispersion * np.arange(length)
    coords["energy"] = variable("energy", energy, "energy loss", "eV")
    cube, scan = ("y", "x", "energy"), ("y", "x")
    variables = {
        "counts": variable(cube, rng.poisson(rate).astype(np.float32), "electrons"),
        "rate": variable(cube, rate.astype(np.float32), "expected electrons"),
        "drift": variable(scan, moved, "drift of the zero-loss peak", "eV"),
        "region": variable(scan, region, "0 support, 1 particle"),
        "thickness": variable(scan, thick, "thickness in mean free paths"),
    }
    attrs = {"generator": "plasmons", "seed": seed, "counts": counts}
    return xr.Dataset(variables, coords, attrs)


def _discs(rng: np.random.Generator, shape: Sequence[int], count: int) -> Array:
    """1 within discs that may overlap, of a fifth of the scan across, else 0."""
    rows, columns = np.indices(shape)
    region = np.zeros(shape, dtype=int)
    for _ in range(count):
        y, x = rng.uniform(0, shape)
        radius = min(shape) * rng.uniform(0.1, 0.2)
        region[np.hypot(rows - y, columns - x) <= radius] = 1
    return region


def _smooth(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """A few long waves, stretched to [0, 1]."""
    rows, columns = (along / size for along, size in zip(np.indices(shape), shape, strict=True))
    total = np.zeros(shape)
    for _ in range(4):
        (down, across), phase = rng.normal(0, 0.8, 2), rng.uniform(0, 2 * np.pi)
        total += np.cos(2 * np.pi * (down * rows + across * columns) + phase)
    return (total - total.min()) / max(np.ptp(total), SMALLEST)


def _walk(rng: np.random.Generator, shape: Sequence[int], step: float) -> Array:
    """A random walk in the order of the scan."""
    return np.cumsum(rng.normal(0, step, shape).ravel()).reshape(shape)


def _jumps(rng: np.random.Generator, shape: Sequence[int], count: int, size: float) -> Array:
    """Jumps between two spectra of the scan, anywhere."""
    steps = np.zeros(shape).ravel()
    np.add.at(steps, rng.integers(1, len(steps), count), rng.normal(0, size, count))
    return np.cumsum(steps).reshape(shape)


def _single_loss(length: int, dispersion: float, resonance: float, width: float) -> Array:
    """Fourier transform of a Drude metal's energy loss, of unit area."""
    energy = dispersion * np.arange(_PADDING * length)
    loss = width * energy / ((energy**2 - resonance**2) ** 2 + (energy * width) ** 2)
    return np.fft.rfft(loss / loss.sum())


def _spectra(
    single: Array, thickness: Array, moved: Array, length: int, dispersion: float, start: float,
    zero_loss: float,
) -> Array:  # fmt: skip
    """Expected share of the electrons in each channel, spectrum x channel."""
    size = _PADDING * length
    frequency = 2 * np.pi * np.fft.rfftfreq(size, dispersion)
    deviation = zero_loss / _WIDTH_OF_MAXIMUM
    peak = np.exp(-0.5 * (deviation * frequency) ** 2)
    # The first channel is at `start`, and so is the peak's place in it.
    shifted = np.exp(-1j * frequency * (moved[:, None] - start))
    losses = np.exp(thickness[:, None] * (single - 1))
    return np.clip(np.fft.irfft(peak * shifted * losses, size)[:, :length], 0, None)

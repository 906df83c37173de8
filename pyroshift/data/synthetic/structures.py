"""Synthetic images of a lattice, and spectra at its pixels that its local structure sets."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    SMALLEST,
    Array,
    blurred,
    check,
    check_counts,
    check_shape,
    extremes,
    in_view,
    lattice_points,
    render,
    rotate,
    scan_coordinates,
    variable,
)

_PIXEL = 0.05  # nm
_REACH = 2.5  # gaps, to which the bias goes
_RESONANCE, _WIDTH = 0.35, 0.12  # of a bound state, in units of the smallest gap
_DARKER = 0.5  # by how much atoms are where the order is complete
_ATOM = 0.22  # standard deviation of an atom, periods


def structure_spectra(
    shape: Sequence[int] = (96, 96),
    length: int = 64,
    period: float = 6.0,
    gaps: tuple[float, float] = (0.6, 1.4),
    broadening: float = 0.12,
    order_size: float = 10.0,
    vacancies: float = 0.03,
    reach: float = 4.0,
    image_noise: float = 0.05,
    noise: float = 0.1,
    seed: int = 0,
) -> xr.Dataset:
    """An image of a lattice, and at each of its pixels a tunnelling spectrum that structure sets.

    Atoms are the darker the larger a smooth order parameter is, and some are missing. The spectrum
    is the density of states of a superconductor whose gap goes from one value to the other with the
    order parameter; near a vacancy there are states bound within the gap, at either sign of the
    bias. So what is near a pixel tells its spectrum, and how the lattice is turned doesn't. Noise
    is white, of a variance that goes with the signal.

    Args:
        shape: height and width, pixels.
        length: channels of a spectrum.
        period: of the square lattice, pixels, which is turned at random.
        gaps: where the order parameter is 0 and 1, mV.
        broadening: of the gap's edges, mV.
        order_size: standard deviation of the Gaussian that makes the order parameter smooth,
            pixels.
        vacancies: share of the atoms that are missing.
        reach: standard deviation of the Gaussian by which bound states fade about a vacancy,
            pixels.
        image_noise: its standard deviation, where atoms are about 1 high.
        noise: its standard deviation where the spectrum is 1, as it is at a high bias.
        seed: of the random numbers.

    Returns:
        ``image`` (y × x); ``spectra`` and ``expected``, without noise (y × x × bias); ``order``,
        the order parameter, and ``bound``, how strong bound states are (y × x), both from 0 to 1.

    Raises:
        DataError: if an argument is out of its range.

    Source:
        Dynes, Narayanamurti and Garno, "Direct measurement of quasiparticle-lifetime broadening in
        a strong-coupled superconductor", Phys. Rev. Lett. 41, 1509 (1978): density of states.

    Example:
        >>> truth = structure_spectra((32, 40))
        >>> truth["spectra"].dims, truth["bias"].attrs["units"]
        (('y', 'x', 'bias'), 'mV')
    """
    check_shape(shape)
    check_counts(8, length=length)
    lowest, highest = extremes("gaps", gaps, SMALLEST)
    for name, value, low in (
        ("period", period, 2.0), ("broadening", broadening, SMALLEST), ("reach", reach, SMALLEST),
        ("order_size", order_size, SMALLEST), ("image_noise", image_noise, 0.0),
        ("noise", noise, 0.0),
    ):  # fmt: skip
        check(**{name: (value, low, math.inf)})
    check(vacancies=(vacancies, 0.0, 0.9))
    rng = np.random.default_rng(seed)
    order = _smooth(rng, shape, order_size)
    atoms = _atoms(rng, shape, period)
    missing = rng.random(len(atoms)) < vacancies
    rows, columns = (np.arange(size) for size in shape)
    image = _image(atoms[~missing], order, rows, columns, period)
    bound = _nearness(atoms[missing], rows, columns, reach)
    bias = np.linspace(-_REACH, _REACH, length) * highest
    gap = gaps[0] + (gaps[1] - gaps[0]) * order
    expected = _density(bias, gap[..., None], broadening)
    expected = expected + bound[..., None] * _bound_states(bias, lowest)
    measured = expected + noise * np.sqrt(expected) * rng.standard_normal(expected.shape)
    image = image + image_noise * rng.standard_normal(image.shape)
    coords = scan_coordinates(shape, _PIXEL)
    coords["bias"] = variable("bias", bias, "bias", "mV")
    cube, scan, states = ("y", "x", "bias"), ("y", "x"), "dI/dV, normalized"
    variables = {
        "image": variable(scan, image.astype(np.float32), "topography"),
        "spectra": variable(cube, measured.astype(np.float32), states),
        "expected": variable(cube, expected.astype(np.float32), f"{states}, without noise"),
        "order": variable(scan, order, "order parameter"),
        "bound": variable(scan, bound, "strength of bound states"),
    }
    attrs = {"generator": "structure_spectra", "seed": seed, "noise": noise}
    return xr.Dataset(variables, coords, attrs)


def _smooth(rng: np.random.Generator, shape: Sequence[int], size: float) -> Array:
    """A smooth random field, stretched to [0, 1]."""
    noise = rng.standard_normal(shape)
    field = blurred(noise - noise.mean(), size)
    return (field - field.min()) / max(np.ptp(field), 1e-300)


def _atoms(rng: np.random.Generator, shape: Sequence[int], period: float) -> Array:
    """Positions (atom × axis) of a square lattice that is turned and shifted, pixels."""
    vectors = rotate(period * np.eye(2), rng.uniform(0, 2 * math.pi))
    centre = (np.array(shape) - 1) / 2
    points = lattice_points(vectors, math.hypot(*shape) / 2 + 2 * period)
    atoms = points + centre + rng.uniform(-period / 2, period / 2, 2)
    return atoms[in_view(atoms, shape)]


def _image(atoms: Array, order: Array, rows: Array, columns: Array, period: float) -> Array:
    """Atoms (atom × axis) drawn, the darker the larger the order is where they are."""
    last = np.array(order.shape) - 1
    nearest = np.clip(np.rint(atoms), 0, last).astype(int)
    brightness = 1 - _DARKER * order[nearest[:, 0], nearest[:, 1]]
    return render(atoms, brightness, rows, columns, _ATOM * period)


def _nearness(places: Array, rows: Array, columns: Array, reach: float) -> Array:
    """From 0, far from all places (place × axis), to 1, at one."""
    far = np.full((len(rows), len(columns)), np.inf)
    for y, x in places:
        far = np.minimum(far, (rows[:, None] - y) ** 2 + (columns - x) ** 2)
    return np.exp(-far / (2 * reach**2))


def _density(bias: Array, gap: Array, broadening: float) -> Array:
    """Dynes' density of states, 1 at a high bias."""
    energy = bias - 1j * broadening
    return np.abs((energy / np.sqrt(energy**2 - gap**2)).real)


def _bound_states(bias: Array, gap: float) -> Array:
    """Two Lorentzians, 1 high, within the gap."""
    place, width = _RESONANCE * gap, _WIDTH * gap
    return np.sum([1 / (1 + ((bias - sign * place) / width) ** 2) for sign in (-1, 1)], axis=0)

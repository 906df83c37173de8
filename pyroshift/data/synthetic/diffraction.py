"""Simulated scanning diffraction (4D-STEM): a bright-field disk that fields deflect, counted."""

import math

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    SMALLEST,
    Array,
    centred,
    check,
    check_kind,
    check_shape,
    chunks,
    variable,
)

FIELDS = ("vortex", "domains", "none")
_PITCH = 5.3  # scan positions to a lattice period, by which the phase of overlaps goes round
_WAVES = 3  # of the thickness along the longer side of the scan
_REACH = 1.25  # radii from the disk's centre to that of a Bragg disk that overlaps with it
_FRINGES = 1.5  # of thickness contrast across the disk


def diffraction(
    shape: tuple[int, int] = (24, 24),
    detector: tuple[int, int] = (48, 48),
    radius: float = 15.0,
    *,
    field: str = "vortex",
    deflection: float = 2.0,
    dose: float = 1000.0,
    edge: float = 0.5,
    contrast: float = 0.3,
    background: float = 0.1,
    pixel: float = 1.0,
    step: float = 1.0,
    seed: int = 0,
) -> xr.Dataset:
    """Diffraction patterns over a scan, whose deflection by a field is known.

    Each is a bright-field disk with what is inside of it, moved as a whole by the deflection, over
    an even background: what a detector counts of electrons that passed a polar material.
    Inside, two things vary from position to position that are no deflection, and move the centre
    of mass: fringes of thickness, and the overlap with two Bragg disks of a systematic row, in a
    phase that goes round with the lattice. A pixel at ``k`` reads the disk at ``k - deflection``.

    Args:
        shape: height and width of the scan, positions.
        detector: height and width of the patterns, pixels.
        radius: of the disk, pixels.
        field: "vortex", deflections that turn about the scan's centre; "domains", stripes of
            opposite deflection with walls between; or "none".
        deflection: largest, pixels.
        dose: electrons that are counted of a pattern in the mean.
        edge: width of the disk's edge, a logistic curve, pixels.
        contrast: of what is inside: 0 for an even disk, below 1.
        background: share of the electrons that are scattered evenly over the detector.
        pixel: of the detector, mrad.
        step: of the scan, nm.
        seed: of the random numbers.

    Returns:
        ``pattern`` (y × x × ky × kx), counts; ``deflection`` (y × x × axis), mrad; ``expected``
        counts, of the same dims as the patterns; ``thickness`` (y × x), fringes.

    Raises:
        DataError: if an argument is out of its range.

    Source:
        Ophus, "Four-dimensional scanning transmission electron microscopy (4D-STEM): from scanning
        nanodiffraction to ptychography and beyond", Microscopy and Microanalysis 25, 563 (2019).

    Example:
        >>> scan = diffraction((4, 5), (16, 16), radius=5)
        >>> scan.pattern.shape, scan.deflection.units
        ((4, 5, 16, 16), 'mrad')
    """
    check_shape(shape)
    check_shape(detector)
    check_kind(field, FIELDS)
    half = min(detector) / 2
    check(radius=(radius, 1, half), deflection=(deflection, 0, half))
    check(dose=(dose, SMALLEST, 1e9), edge=(edge, 0.05, half), contrast=(contrast, 0, 0.95))
    check(background=(background, 0, 1), pixel=(pixel, SMALLEST, math.inf))
    check(step=(step, SMALLEST, math.inf))
    rng = np.random.default_rng(seed)
    moved = deflection * _deflections(shape, field, rng)
    thickness, phase = _thickness(shape, rng), _phase(shape, rng)
    count = math.prod(shape)
    expected = np.empty((count, *detector), np.float32)
    rows, columns = (centred(size) for size in detector)
    for part in chunks(count, math.prod(detector)):
        y = rows[:, None] - moved.reshape(-1, 2)[part, 0, None, None]
        x = columns - moved.reshape(-1, 2)[part, 1, None, None]
        inside = _inside(y, x, radius, edge, thickness.ravel()[part], phase.ravel()[part])
        disk = _disk(np.hypot(y, x), radius, edge) * (1 + contrast * inside)
        share = (1 - background) * disk / disk.sum((1, 2), keepdims=True)
        expected[part] = dose * (share + background / math.prod(detector))
    pattern = rng.poisson(expected).astype(np.uint16 if dose < 1e6 else np.uint32)
    dims, size = ("y", "x", "ky", "kx"), (*shape, *detector)
    variables = {
        "pattern": variable(dims, pattern.reshape(size), "counts", "electrons"),
        "deflection": variable(("y", "x", "axis"), moved * pixel, "deflection", "mrad"),
        "expected": variable(dims, expected.reshape(size), "expected counts", "electrons"),
        "thickness": variable(("y", "x"), thickness, "thickness", "fringes"),
    }
    coordinates = {
        **{n: variable(n, step * np.arange(s), n, "nm") for n, s in zip("yx", shape, strict=True)},
        "ky": variable("ky", pixel * rows, "ky", "mrad"),
        "kx": variable("kx", pixel * columns, "kx", "mrad"),
        "axis": ("axis", ["y", "x"], {"long_name": "detector axis"}),
    }
    attrs = {"generator": "diffraction", "seed": seed, "field": field, "dose": dose}
    return xr.Dataset(variables, coordinates, attrs)


def _disk(distance: Array, radius: float, edge: float) -> Array:
    """1 inside of a disk, 0 outside, and a logistic curve at the edge."""
    return 1 / (1 + np.exp(np.clip((distance - radius) / edge, -50, 50)))


def _inside(
    y: Array, x: Array, radius: float, edge: float, thickness: Array, phase: Array
) -> Array:
    """What varies inside of the disk, within ± 1 about: fringes, and overlaps with two others."""
    tilted = (0.8 * y + 0.6 * x) / radius
    fringes = np.cos(2 * np.pi * (_FRINGES / 2 * tilted + thickness[:, None, None]))
    overlaps = np.zeros_like(fringes)
    for sign in (-1, 1):
        wave = np.cos(sign * phase + math.pi / 4)
        other = _disk(np.hypot(y, x - sign * _REACH * radius), radius, edge)
        overlaps += other * wave[:, None, None]
    return 0.5 * fringes + 0.5 * overlaps


def _deflections(shape: tuple[int, int], field: str, rng: np.random.Generator) -> Array:
    """Deflections of at most 1 over the scan, `y x x x axis`."""
    y, x = np.meshgrid(*(centred(size) / (size / 2) for size in shape), indexing="ij")
    if field == "none":
        return np.zeros((*shape, 2))
    if field == "vortex":
        y, x = y - rng.uniform(-0.2, 0.2), x - rng.uniform(-0.2, 0.2)
        distance = np.hypot(y, x)
        # The highest of r exp((1 - r²)/2) is 1, at r = 1.
        swirl = np.exp((1 - (distance / 0.5) ** 2) / 2) / 0.5
        return np.stack([swirl * x, -swirl * y], -1)
    turn = rng.uniform(0, 2 * math.pi)
    across = 2 * (math.sin(turn) * y + math.cos(turn) * x) + rng.uniform(-0.3, 0.3)
    profile = np.tanh(np.sin(math.pi * across) / 0.3)
    polar = rng.uniform(0, 2 * math.pi)
    return profile[..., None] * np.array([math.sin(polar), math.cos(polar)])


def _thickness(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """A slowly varying thickness, in fringes."""
    y, x = np.meshgrid(*(np.arange(size) / max(shape) for size in shape), indexing="ij")
    waves = np.zeros(shape)
    for _ in range(4):
        turn, phase = rng.uniform(0, 2 * math.pi, 2)
        waves += np.sin(_WAVES * (math.sin(turn) * y + math.cos(turn) * x) + phase)
    return 0.25 * waves


def _phase(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Phase of the Bragg disks, which goes round with the lattice along the scan's rows."""
    x = np.indices(shape)[1] + rng.uniform(0, _PITCH)
    return 2 * np.pi / _PITCH * x

"""Particles as electron cryomicroscopy sees them: flexible, faint, and with fringes."""

import math

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    Array,
    centred,
    check,
    check_counts,
    chunks,
    extremes,
    labelled_patches,
    render,
    rotate,
    variable,
)

# A particle of two legs, as an integrin's: domains (y, x), ångström, of a width, from the hinge.
_HEAD = ((-26.0, -6.0), (-17.0, 9.0), (-12.0, -10.0))
_LONG = tuple((4.0 + 13.0 * domain, 0.0) for domain in range(5))
_SHORT = tuple((4.0 + 13.0 * domain, 0.0) for domain in range(3))
_WIDTH = 7.0
_WAVELENGTH = 0.0197  # ångström, at 300 kV
_SPHERICAL_ABERRATION = 2.7e7  # ångström
_AMPLITUDE_CONTRAST = 0.07


def particles(
    n: int = 3000,
    window: int = 48,
    opening: tuple[float, float] = (0.4, 1.4),
    max_angle: float = math.pi,
    max_offset: float = 4.0,
    pixel_size: float = 4.0,
    defocus: float = 1.5,
    noise: float = 1.0,
    seed: int = 0,
) -> xr.Dataset:
    """One kind of particle in projection, turned in its plane, with legs that open and close.

    The projection is seen through the contrast transfer function of a 300 kV microscope, which
    puts fringes around the particle, then noise is added.

    Args:
        n: number of patches.
        window: height and width in pixels.
        opening: smallest and largest angle between the legs, radians, uniform between.
        max_angle: angles are uniform within ± this, radians; π for the full circle.
        max_offset: offsets are uniform within ± this along each axis, in pixels.
        pixel_size: ångström. The particle is some 100 long.
        defocus: underfocus, micrometres.
        noise: its standard deviation, in units of that of all pixels without noise: the inverse
            root of the signal-to-noise ratio.
        seed: of the random numbers.

    Returns:
        ``patch`` (sample × y × x), of unit variance before noise; ``offset`` (sample × axis), of
        the hinge; ``angle`` and ``opening`` (sample).

    Raises:
        DataError: if an argument is out of its range.

    Source:
        Modelled on the simulated particles of 5HDB on which Bepler, Zhong, Kelley, Brignole and
        Berger, "Explicitly disentangling image content from translation and rotation with
        spatial-VAE" (2019), and later work are judged.

    Example:
        >>> particles(n=5)["patch"].shape
        (5, 48, 48)
    """
    check_counts(1, n=n)
    check_counts(8, window=window)
    check(max_angle=(max_angle, 0, math.pi), max_offset=(max_offset, 0, window / 2))
    check(pixel_size=(pixel_size, 0.1, 100), defocus=(defocus, 0, 10), noise=(noise, 0, math.inf))
    rng = np.random.default_rng(seed)
    wide = rng.uniform(*extremes("opening", opening, 0, math.pi), n)
    angle = rng.uniform(-max_angle, max_angle, n)
    offset = rng.uniform(-max_offset, max_offset, (n, 2))
    patch = np.empty((n, window, window), np.float32)
    drawn, edge = centred(2 * window), window // 2  # room for fringes, cut off below
    inner = slice(edge, edge + window)
    transfer = _contrast_transfer(len(drawn), pixel_size, 1e4 * defocus)
    # Between pixels: both grids have the same centre only if they are of one parity.
    drawn = drawn + (0.5 if window % 2 else 0.0)
    for part in chunks(n, 16 * window**2):
        domains = rotate(_domains(wide[part]), angle[part, None]) / pixel_size
        atoms = domains + offset[part, None]
        density = render(atoms, np.ones(atoms.shape[:2]), drawn, drawn, _WIDTH / pixel_size)
        seen = np.fft.ifft2(np.fft.fft2(density) * transfer).real
        patch[part] = seen[:, inner, inner]
    patch /= np.std(patch, dtype=np.float64)
    patch += noise * rng.standard_normal(patch.shape, np.float32)
    truth = {"opening": variable("sample", wide, "angle between the legs", "rad")}
    return labelled_patches(patch, offset, angle, truth, {"generator": "particles", "seed": seed})


def _domains(opening: Array) -> Array:
    """Where the domains of particles are (sample × domain × axis), ångström from the hinge."""
    half = opening[:, None] / 2
    legs = [rotate(np.array(leg), side * half) for leg, side in ((_LONG, 1), (_SHORT, -1))]
    head = np.broadcast_to(np.array(_HEAD), (len(opening), len(_HEAD), 2))
    return np.concatenate([head, *legs], 1)


def _contrast_transfer(size: int, pixel_size: float, defocus: float) -> Array:
    """The contrast transfer function of a square picture's frequencies, lengths in ångström."""
    frequency = np.fft.fftfreq(size, pixel_size)
    square = frequency[:, None] ** 2 + frequency**2
    phase = (
        math.pi
        * _WAVELENGTH
        * square
        * (defocus - _SPHERICAL_ABERRATION * _WAVELENGTH**2 * square / 2)
    )
    return np.sin(phase + math.asin(_AMPLITUDE_CONTRAST))

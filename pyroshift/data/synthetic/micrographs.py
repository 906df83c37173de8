"""Simulated micrographs of atoms: lattices as a scanning microscope shows them, with the truth."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from pyroshift.data.synthetic._common import (
    SMALLEST,
    Array,
    check,
    check_kind,
    check_shape,
    extremes,
    in_view,
    lattice_points,
    pixel_coordinates,
    render,
    rotate,
    variable,
)
from pyroshift.data.synthetic.lattices import CELLS
from pyroshift.errors import DataError

_HOLLOW = CELLS["hexagonal"][2]  # between three sites
_SUBLATTICES: dict[
    str, list[list[tuple[float, float]]]
] = {  # of each kind, the sites of every sublattice in a cell, (y, x) in periods
    "square": [[(0, 0)], [(1 / 2, 1 / 2)], [(1 / 2, 0), (0, 1 / 2)]],
    "hexagonal": [[(0, 0)], [_HOLLOW]],
    "honeycomb": [[(0, 0), _HOLLOW]],
}
_CLOSEST = 0.7  # of the spacing: atoms of two grains that are closer are one
_STEEPEST = 0.1  # of the shorter side: with more drift, a scan would meet the same atom twice


def micrograph(
    shape: tuple[int, int] = (256, 256),
    kind: str = "square",
    period: float = 12.0,
    atom_width: float = 2.0,
    *,
    brightness: Sequence[float] = (1.0,),
    rotation: float = 0.0,
    misorientation: float = 0.0,
    coverage: float = 1.0,
    vacancies: float = 0.0,
    displacement: float = 0.0,
    drift: float = 0.0,
    jitter: float = 0.0,
    blur: float = 0.0,
    illumination: float = 0.0,
    background: float = 0.0,
    dose: float | None = None,
    noise: float = 0.0,
    correlation: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """One image of a crystal as a scanning microscope takes it, whose atoms are known.

    Grey levels are such that a sharp atom of brightness 1, well lit, has a height of 1. Its
    signal-to-noise ratio is then ``1 / noise``. All that comes after the atoms' positions (blur,
    jitter, uneven light, counting, noise) leaves the truth as it is.

    Args:
        shape: height and width in pixels.
        kind: "square", "hexagonal" or "honeycomb".
        period: length of the lattice vectors in pixels. Neighbours in a honeycomb are 0.58 of it
            apart.
        atom_width: standard deviation of a sharp atom in pixels.
        brightness: of each sublattice. Square: the corners of the cell, its centre, and the middles
            of its edges, as the A, B and oxygen columns of a perovskite. Hexagonal: the sites, and
            every other hollow between three. Sublattices that aren't given are empty.
        rotation: of the lattice, radians.
        misorientation: by which a second grain is turned against the first, radians. A straight
            boundary near the image's centre divides them; 0: there is only one.
        coverage: share of the image, from one side to the other, up to which the crystal reaches;
            less than 1: it ends at a straight edge.
        vacancies: share of the atoms that are missing.
        displacement: standard deviation of the atoms from their sites along each axis, pixels.
        drift: the sample moves by up to so many pixels along each axis while row after row is
            scanned: steadily, which shears the lattice, and in a slow wave.
        jitter: standard deviation of each row's own shift along x, pixels.
        blur: standard deviation in pixels of what widens the atoms, and lowers them as much.
        illumination: share of the light that is lost where it is darkest, from 0 to 1.
        background: height of a slow additive background, as of dirt.
        dose: electrons per pixel at grey level 1, which are counted; None: not counted.
        noise: standard deviation of noise added at the end.
        correlation: standard deviation in pixels of the blur that this noise went through, as in
            images that were resampled. Its standard deviation stays.
        seed: of the random numbers.

    Returns:
        ``image`` (y × x); ``atoms`` (atom × axis), positions in pixels from the first one, their
        ``ideal`` sites without displacement and drift, ``brightness`` and ``sublattice`` (atom);
        ``displacement`` (axis × y × x), by how much drift moves a site ideally there, in pixels;
        ``lattice_vectors`` (vector × axis) of the first grain.

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> micrograph((64, 48), "honeycomb", 14, drift=1.5, noise=0.3)["image"].shape
        (64, 48)
    """
    _check(shape, kind, period, atom_width, brightness)
    check(rotation=(rotation, -math.inf, math.inf), misorientation=(misorientation, -4, 4))
    check(coverage=(coverage, 0, 1), vacancies=(vacancies, 0, 1), illumination=(illumination, 0, 1))
    check(displacement=(displacement, 0, period / 4), drift=(drift, 0, _STEEPEST * min(shape)))
    check(jitter=(jitter, 0, period / 4), blur=(blur, 0, math.inf))
    check(background=(background, 0, math.inf), dose=(1 if dose is None else dose, SMALLEST, 1e9))
    check(noise=(noise, 0, math.inf), correlation=(correlation, 0, min(shape) / 8))
    # Each with random numbers of its own, so that no option changes what another one draws.
    geometry, missing, moved, scan, light, detector = np.random.default_rng(seed).spawn(6)
    centre = (np.array(shape) - 1) / 2
    reach = math.hypot(*shape) / 2 + 2 * drift + 4 * math.hypot(atom_width, blur) + period
    spacing, sites, sublattice = _crystal(kind, period, len(brightness), reach, geometry)
    ideal, edge = rotate(sites, rotation), _Line(geometry, centre, near=1 / 4)
    if misorientation:
        turned = rotate(ideal, misorientation)
        own, other = edge.side(ideal) < 0, edge.side(turned) >= 0
        other[other] = ~_close(turned[other], ideal[own], _CLOSEST * spacing)
        ideal = np.concatenate([ideal[own], turned[other]])
        sublattice = np.concatenate([sublattice[own], sublattice[other]])
    # From the centre outwards: a larger reach adds sites behind those that are there.
    order = np.argsort(np.hypot(*ideal.T))
    ideal, sublattice = ideal[order], sublattice[order]
    wave, end = _Drift(geometry, drift, shape[0]), _Line(geometry, centre)
    there = missing.uniform(size=len(ideal)) >= vacancies
    if 0 < coverage < 1:
        there &= end.side(ideal) <= (2 * coverage - 1) * end.reach
    else:  # no edge: atoms beyond the image's corners, whose tails show, are there too, or none is
        there &= coverage == 1
    ideal = ideal + centre
    atoms = ideal + wave(ideal[:, 0]) + displacement * moved.standard_normal(ideal.shape)
    ideal, atoms, sublattice = ideal[there], atoms[there], sublattice[there]

    heights = np.array(brightness, float)[sublattice]
    shifts = jitter * scan.standard_normal(shape[0])
    image = _scanned(atoms, heights, shape, atom_width, blur, shifts)
    image = image * (1 - illumination * _slow(shape, light)) + background * _slow(shape, light)
    if dose is not None:
        image = detector.poisson(dose * image) / dose
    image += noise * _smoothed(detector.standard_normal(shape), correlation)

    seen = (heights > 0) & in_view(atoms, shape)
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    moves = np.broadcast_to(wave(rows).T[:, :, None], (2, *shape)).copy()
    vectors = rotate(period * np.array(CELLS[_cell(kind)][:2]), rotation)
    variables = {
        "image": variable(("y", "x"), image.astype(np.float32), "grey level"),
        "atoms": variable(("atom", "axis"), atoms[seen], "position of the atom", "px"),
        "ideal": variable(("atom", "axis"), ideal[seen], "site of the atom", "px"),
        "brightness": variable("atom", heights[seen], "brightness of the atom"),
        "sublattice": variable("atom", sublattice[seen], "sublattice of the atom"),
        "displacement": variable(("axis", "y", "x"), moves, "move of the site", "px"),
        "lattice_vectors": variable(("vector", "axis"), vectors, "lattice vectors", "px"),
    }
    attrs = {"generator": "micrograph", "kind": kind, "period": period, "seed": seed}
    return xr.Dataset(variables, pixel_coordinates(rows, columns), attrs)


def _check(
    shape: tuple[int, int], kind: str, period: float, width: float, brightness: Sequence[float]
) -> None:
    check_shape(shape)
    check_kind(kind, _SUBLATTICES)
    check(atom_width=(width, SMALLEST, math.inf))
    check(period=(period, max(1, width), math.inf))
    extremes("brightness", brightness, 0)
    if len(brightness) > len(_SUBLATTICES[kind]):
        raise DataError(
            f"brightness={brightness!r} can't be used: a {kind} lattice has up to "
            f"{len(_SUBLATTICES[kind])} sublattices"
        )


def _cell(kind: str) -> str:
    return "hexagonal" if kind == "honeycomb" else kind


def _crystal(
    kind: str, period: float, sublattices: int, reach: float, rng: np.random.Generator
) -> tuple[float, Array, Array]:
    """Shortest distance of sites, all sites (site × axis) within reach, and their sublattices."""
    vectors = period * np.array(CELLS[_cell(kind)][:2])
    basis = _SUBLATTICES[kind][:sublattices]
    points = lattice_points(vectors, reach + period) + rng.uniform(size=2) @ vectors
    sites = np.concatenate([points + period * np.array(site) for part in basis for site in part])
    owner = np.repeat([number for number, part in enumerate(basis) for _ in part], len(points))
    within = np.hypot(*sites.T) <= reach
    sites, owner = sites[within], owner[within]
    middle = np.argmin(np.hypot(*sites.T))
    return np.sort(np.hypot(*(sites - sites[middle]).T))[1], sites, owner


class _Line:
    """A straight line in a random direction, `near` of the way off the centre at most."""

    def __init__(self, rng: np.random.Generator, centre: Array, near: float = 0.0) -> None:
        self.normal = rotate(np.array([0.0, 1.0]), rng.uniform(0, 2 * math.pi))
        self.reach = float(np.abs(self.normal) @ centre)  # from the centre to the farthest corner
        self.offset = near * self.reach * rng.uniform(-1, 1)

    def side(self, points: Array) -> Array:
        """Distances of points, given from the centre, before (< 0) or behind the line."""
        return points @ self.normal - self.offset


def _close(points: Array, others: Array, distance: float) -> Array:
    """Which points are closer than a distance to any of the others."""
    near = np.zeros(len(points), bool)
    for part in np.array_split(np.arange(len(points)), len(points) // 256 + 1):
        apart = points[part, None] - others
        near[part] = (np.sum(apart**2, -1) < distance**2).any(1)
    return near


class _Drift:
    """How far the sample has moved along (y, x) when a row is scanned."""

    def __init__(self, rng: np.random.Generator, most: float, height: int) -> None:
        self.height = height
        shear, wave = rng.uniform(-1, 1, (2, 2))
        self.shear, self.wave = (most / 2) * shear, (most / 2) * wave
        self.start = rng.uniform(0, 2 * math.pi, 2)

    def __call__(self, row: Array) -> Array:
        time = 2 * row[:, None] / self.height - 1
        return self.shear * time + self.wave * np.sin(math.pi * time + self.start)


def _scanned(
    atoms: Array, heights: Array, shape: tuple[int, int], width: float, blur: float, shifts: Array
) -> Array:
    """Picture of blurred atoms whose rows are shifted along x."""
    # A Gaussian blurred by another is a wider one: no pixels are needed to blur exactly.
    wide = math.hypot(width, blur)
    margin = math.ceil(np.abs(shifts).max()) + 2
    columns = np.arange(-margin, shape[1] + margin)
    image = render(atoms, heights * (width / wide) ** 2, np.arange(shape[0]), columns, wide)
    if shifts.any():
        phase = -2j * math.pi * np.fft.rfftfreq(len(columns)) * shifts[:, None]
        image = np.fft.irfft(np.fft.rfft(image) * np.exp(phase), len(columns))
        image = np.maximum(image, 0)  # ringing where the border cuts an atom
    return image[:, margin:-margin]


def _slow(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """A smooth random field (y × x) from 0 to 1: a few waves, as long as the image or longer."""
    y, x = (np.arange(size) / size for size in shape)
    waves = rng.uniform(-1, 1, (4, 2))
    start, height = rng.uniform(0, 2 * math.pi, 4), rng.uniform(0.5, 1, 4)
    field = np.zeros(shape)
    for (along_y, along_x), phase, size in zip(waves, start, height, strict=True):
        field += size * np.cos(2 * math.pi * (along_y * y[:, None] + along_x * x) + phase)
    return (field - field.min()) / max(np.ptp(field), SMALLEST)


def _smoothed(noise: Array, width: float) -> Array:
    """White noise, smoothed by a Gaussian and brought back to its standard deviation."""
    if width == 0:
        return noise
    along_y, along_x = np.fft.fftfreq(noise.shape[0])[:, None], np.fft.rfftfreq(noise.shape[1])
    passed = np.exp(-2 * (math.pi * width) ** 2 * (along_y**2 + along_x**2))
    smooth = np.fft.irfft2(np.fft.rfft2(noise) * passed, noise.shape)
    return smooth / smooth.std()

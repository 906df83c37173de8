"""Synthetic atomic lattices whose sites and phases are known."""

import math

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from pyroshift.data.synthetic._common import (
    SMALLEST,
    Array,
    centred,
    check,
    check_counts,
    check_kind,
    check_shape,
    chunks,
    in_view,
    labelled_patches,
    lattice_points,
    pixel_coordinates,
    render,
    rotate,
    variable,
)
from pyroshift.errors import DataError

CELLS = {  # the two lattice vectors and the cell's second site, (y, x) in periods
    "square": ((1, 0), (0, 1), (1 / 2, 1 / 2)),
    "hexagonal": ((0, 1), (math.sqrt(3) / 2, 1 / 2), (math.sqrt(3) / 6, 1 / 2)),
}
_SECOND_BRIGHTNESS = 0.5


def lattice(
    n: int = 2000,
    window: int = 32,
    kind: str = "square",
    period: float = 12.0,
    atom_width: float = 2.0,
    rotation: float = math.pi / 90,
    displacement: float = 0.1,
    noise: float = 0.0,
    phases: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Patches of a lattice of Gaussian atoms, cut at random sub-pixel positions.

    Figure 4 of Ziatdinov, Wong and Kalinin, "Finding simplicity" (2021). The second phase has
    atoms half as bright on a second sublattice: the centre of the square cell, as the B sites of a
    perovskite, or every other hollow of the hexagonal lattice, as in boron nitride.

    Args:
        n: number of patches.
        window: height and width in pixels.
        kind: "square" or "hexagonal".
        period: length of the lattice vectors in pixels, at least 3 `atom_width`.
        atom_width: standard deviation of an atom in pixels.
        rotation: the lattice's angles are uniform within ± this, radians; 2° unless told.
        displacement: atoms are off their sites, uniform over a disc of this many periods.
        noise: its standard deviation.
        phases: 1, or 2 to draw each patch from either phase.
        seed: of the random numbers.

    Returns:
        ``patch`` (sample × y × x); ``offset`` (sample × axis), the site nearest to the centre, in
        pixels; ``angle``, ``phase`` (sample); ``lattice_vectors`` (vector × axis) at angle 0.

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> lattice(n=4, window=24, phases=2)["patch"].shape
        (4, 24, 24)
    """
    check_counts(1, n=n)
    check_counts(2, window=window)
    check(rotation=(rotation, 0, math.pi), displacement=(displacement, 0, 0.5))
    check(noise=(noise, 0, math.inf))
    vectors, sites, sublattice = _sites(kind, period, atom_width, phases, window / math.sqrt(2))
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-rotation, rotation, n)
    phase = rng.integers(0, phases, n)
    offset = rotate(reduce_modulo_lattice(rng.uniform(size=(n, 2)) @ vectors, vectors), angle)
    patch = np.empty((n, window, window), np.float32)
    for part in chunks(n, window * len(sites)):
        atoms = offset[part, None] + rotate(sites, angle[part, None])
        distance, direction = rng.uniform(size=(2, *atoms.shape[:-1]))
        shift = np.stack([displacement * period * np.sqrt(distance), np.zeros_like(distance)], -1)
        atoms += rotate(shift, 2 * math.pi * direction)
        brightness = np.where(sublattice, _SECOND_BRIGHTNESS * phase[part, None], 1.0)
        patch[part] = _picture(atoms, brightness, centred(window), centred(window), atom_width)
    patch += noise * rng.standard_normal(patch.shape, np.float32)
    truth = {
        "phase": variable("sample", phase, "phase"),
        "lattice_vectors": variable(("vector", "axis"), vectors, "lattice vectors", "px"),
    }
    attrs = {"generator": "lattice", "kind": kind, "period": period, "seed": seed}
    return labelled_patches(patch, offset, angle, truth, attrs)


def lattice_image(
    shape: tuple[int, int] = (256, 256),
    kind: str = "square",
    period: float = 12.0,
    atom_width: float = 2.0,
    distortion: float = 0.0,
    noise: float = 0.0,
    phases: int = 1,
    wall_width: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """One image of a lattice whose atoms, phases and distortion are known.

    Args:
        shape: height and width in pixels.
        kind: "square" or "hexagonal".
        period: length of the lattice vectors in pixels, at least 3 `atom_width`.
        atom_width: standard deviation of an atom in pixels.
        distortion: sites are moved by up to so many pixels along each axis, as a slow scan does, in
            one sine wave over the image, along the other axis.
        noise: its standard deviation.
        phases: 1, or 2 for the second phase of `lattice` in the right half.
        wall_width: so many pixels wide is the smooth wall between the phases.
        seed: of the random numbers.

    Returns:
        ``image`` (y × x); ``atoms`` (atom × axis), positions in pixels from the first one, and
        their ``brightness`` (atom); ``phase`` (y × x), from 0 to 1; ``displacement`` (axis × y ×
        x), the move in pixels of a site ideally there; ``lattice_vectors`` (vector × axis).

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> lattice_image((64, 48), distortion=1.5)["displacement"].shape
        (2, 64, 48)
    """
    check_shape(shape)
    height, width = shape
    check(distortion=(distortion, 0, math.inf), wall_width=(wall_width, 0, math.inf))
    check(noise=(noise, 0, math.inf))
    reach = math.hypot(height, width) / 2 + 2 * distortion
    vectors, sites, sublattice = _sites(kind, period, atom_width, phases, reach)
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, 2 * math.pi, 2)
    centre = np.array([height - 1, width - 1]) / 2

    def move(position: Array) -> Array:
        return distortion * np.sin(2 * math.pi * position[..., ::-1] / (width, height) + start)

    def phase(x: Array) -> Array:
        ramp = np.clip(0.5 + (x - centre[1]) / max(wall_width, SMALLEST), 0, 1)
        return (phases - 1) * ramp**2 * (3 - 2 * ramp)

    ideal = centre + sites + rng.uniform(size=2) @ vectors
    atoms = ideal + move(ideal)
    brightness = np.where(sublattice, _SECOND_BRIGHTNESS * phase(atoms[:, 1]), 1.0)
    rows, columns = np.arange(height), np.arange(width)
    image = _picture(atoms, brightness, rows, columns, atom_width)
    image += noise * rng.standard_normal(image.shape, np.float32)
    seen = (brightness > 0) & in_view(atoms, shape)
    pixels = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1)
    variables = {
        "image": variable(("y", "x"), image, "grey level"),
        "atoms": variable(("atom", "axis"), atoms[seen], "position of the atom", "px"),
        "brightness": variable("atom", brightness[seen], "brightness of the atom"),
        "phase": variable(("y", "x"), phase(pixels[..., 1]), "phase"),
        "displacement": variable(
            ("axis", "y", "x"), np.moveaxis(move(pixels), -1, 0), "move of the site", "px"
        ),
        "lattice_vectors": variable(("vector", "axis"), vectors, "lattice vectors", "px"),
    }
    attrs = {"generator": "lattice_image", "kind": kind, "period": period, "seed": seed}
    return xr.Dataset(variables, pixel_coordinates(rows, columns), attrs)


def reduce_modulo_lattice(
    offset_difference: ArrayLike, vectors: ArrayLike, angle: ArrayLike = 0.0
) -> Array:
    """Smallest vectors that differ from the given ones by whole lattice vectors.

    Args:
        offset_difference: the vectors, … × axis.
        vectors: two shortest vectors that span the lattice, vector × axis.
        angle: of the lattice, radians; one, or one per vector (…).

    Returns:
        The smallest equivalent vectors, … × axis.

    Raises:
        DataError: if the lattice vectors span no lattice.

    Example:
        >>> reduce_modulo_lattice([11.0, -1.0], [[12.0, 0.0], [0.0, 12.0]])
        array([-1., -1.])
    """
    cell, angles = np.asarray(vectors, float), np.asarray(angle, float)
    if cell.shape != (2, 2) or not np.isfinite(cell).all() or np.linalg.det(cell) == 0:
        raise DataError(f"vectors={vectors!r} span no lattice: give two independent (y, x) vectors")
    vector = rotate(np.asarray(offset_difference, float), -angles)
    vector = vector - np.round(vector @ np.linalg.inv(cell)) @ cell
    # Rounding reaches a corner of the right cell; the nearest site may be one of its neighbours.
    choices = vector[..., None, :] - (np.indices((3, 3)).reshape(2, -1).T - 1) @ cell
    nearest = np.argmin(np.sum(choices**2, -1), -1)[..., None, None]
    return rotate(np.take_along_axis(choices, nearest, -2)[..., 0, :], angles)


def _sites(
    kind: str, period: float, atom_width: float, phases: int, reach: float
) -> tuple[Array, Array, Array]:
    """Lattice vectors, all sites (site × axis) that show within `reach`, and their sublattice."""
    check_kind(kind, CELLS)
    if phases not in (1, 2):
        raise DataError(f"phases={phases!r} can't be used: give 1 or 2")
    check(atom_width=(atom_width, SMALLEST, math.inf))
    check(period=(period, 3 * atom_width, math.inf))
    *vectors, second = period * np.array(CELLS[kind])
    radius = reach + 4 * atom_width + 2 * period  # for atoms' tails, offset and displacement
    first = lattice_points(np.array(vectors), radius)
    sites = np.concatenate([first, first + second][:phases])
    inside = np.hypot(*sites.T) <= radius
    return np.array(vectors), sites[inside], np.repeat(np.arange(phases), len(first))[inside]


def _picture(atoms: Array, brightness: Array, rows: Array, columns: Array, width: float) -> Array:
    """Atoms rendered, at most 1 where they overlap."""
    return np.minimum(render(atoms, brightness, rows, columns, width), 1).astype(np.float32)

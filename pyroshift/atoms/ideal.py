"""`fit_lattice`: where each atom should be, and how far from there it is."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.atoms.translations import FEWEST_ATOMS, find_vectors, spacing
from pyroshift.atoms.walk import Array, Cell, Places, place_atoms
from pyroshift.data.atoms import ATOM, FRAME, check_atoms, length_unit
from pyroshift.data.atoms import positions as positions_of
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

TOLERANCE = 0.3  # of the spacing of atoms, that one may be off its place seen from a neighbour
HUBER = 1.345  # standard deviations; from there on, an atom counts less
ITERATIONS = 20
LEAST_SHARE = 0.05  # of the atoms from which a given vector must lead to another
_NAMES = {
    "ideal": "position of the atom's site in the ideal lattice",
    "displacement": "displacement from the ideal lattice",
    "lattice_index": "cell of the atom, in lattice vectors",
    "lattice_vectors": "lattice vectors fitted to the frame",
    "origin": "position of the first site of the cell (0, 0)",
}


def fit_lattice(
    atoms: xr.Dataset, vectors: Any = None, *, basis: Any = None, fixed: bool = False
) -> xr.Dataset:
    """The ideal position of each atom and its displacement, from a lattice fitted to each frame.

    Cells are counted from neighbour to neighbour, so that slow distortions may add up to more than
    a period, and missing atoms do no harm. The lattice (vectors, origin, and where in the cell its
    atoms are) is then fitted to each frame by least squares with Huber's weights. Atoms that aren't
    on it (spurious ones, other grains) get NaN, and are counted in a warning.

    What a fit to one image can't tell: whether an affine change (stretch, shear, turn) is the
    lattice's own shape or a distortion of the scan. With free vectors all of it goes into these,
    none into the displacements. Where the lattice is known, give it as `vectors` with `fixed`, and
    the affine part of the distortion is in the displacements too. The same holds for where in the
    cell the atoms are, and `basis`.

    Args:
        atoms: over "atom", with `y` and `x` in the same unit, and `frame`. Atoms that a coordinate
            `sublattice` tells apart aren't taken for equivalent. A coordinate `track` says which
            atoms of a stack are the same; without one, those nearest to each other in frames one
            after the other are, and drift from one to the next should be less than half a period.
        vectors: two vectors that span the lattice, vector x axis, in pixels as
            `suggest_window(image).vectors` is; or a DataArray with the attribute `units`, which
            must be the atoms' unit. They may be up to a tenth off. By default those of the smallest
            cell that explains the positions, of up to some six atoms, on the largest grain.
        basis: the cell's atoms, site x vector, in fractions of the vectors, [[0, 0], [0.5, 0.5]]
            for a centred cell; found by default. Found ones are fitted too, so that of sites
            displaced all alike, as in a polar crystal, only a given basis shows the displacement.
        fixed: whether the vectors are known exactly, and only the origin (and a basis that isn't
            given) is fitted.

    Returns:
        The atoms, with `ideal` and `displacement`, observed minus ideal (atom x axis), in their
        unit; `lattice_index` (atom x vector), the cell, counted alike in all frames; the
        coordinate `site`, which of the cell's atoms, -1 off the lattice; and for each frame in
        ascending order (dimension "lattice", coordinate `lattice_frame`) `lattice_vectors`
        (lattice x vector x axis) and `origin` (lattice x axis).

    Raises:
        DataError: if these aren't atoms, there are fewer than 9, no lattice is seen, or vectors or
            basis make none.

    Example:
        >>> from pyroshift import synthetic
        >>> from pyroshift.data.atoms import labelled_atoms
        >>> truth = synthetic.lattice_image((96, 96), distortion=2.0)
        >>> found = np.insert(truth.atoms.values, 0, 0, axis=1)  # in frame 0
        >>> displaced = fit_lattice(labelled_atoms(truth["image"], found, {}))
        >>> np.abs(displaced.lattice_vectors.values).round().tolist()
        [[[12.0, 0.0], [0.0, 12.0]]]
        >>> bool((np.hypot(*displaced.displacement.T) > 1).any())
        True
    """
    check_installed("scipy", extra="atoms")
    check_atoms(atoms)
    length_unit(atoms)
    positions = positions_of(atoms)
    frames = _labels(atoms, FRAME)
    species = _labels(atoms, "sublattice")
    if len(positions) < FEWEST_ATOMS:
        raise DataError(f"a lattice needs at least {FEWEST_ATOMS} atoms, got {len(positions)}")
    if fixed and vectors is None:
        raise DataError("fixed=True needs the lattice's vectors, which are known exactly")
    kinds = np.column_stack([frames, species])
    alike = [positions[(kinds == kind).all(1)] for kind in np.unique(kinds, axis=0)]
    off = TOLERANCE * spacing([positions[frames == frame] for frame in np.unique(frames)])
    if vectors is None:
        known = find_vectors(alike)
    else:
        known = _checked_vectors(vectors, atoms)
        _check_steps(known, alike, off)
    cell = Cell(known, _checked_basis(basis) @ known, off, closed=basis is not None)
    places, cell = _place_frames(positions, frames, species, _labels(atoms, "track", -1), cell)
    ideal = np.full_like(positions, np.nan)
    fitted = []
    for frame in np.unique(frames):
        here = frames == frame
        chosen = here & places.known
        origin, lattice, found = _fit(positions[chosen], _part(places, chosen), cell, fixed)
        ideal[chosen] = found
        fitted.append((frame, origin, lattice))
    places = replace(places, site=np.where(np.isfinite(ideal[:, 0]), places.site, -1))
    _warn(places)
    return _labelled(atoms, ideal, places, fitted)


def _labels(atoms: xr.Dataset, name: str, default: int = 0) -> Array:
    """A coordinate of whole numbers over the atoms, or the same number for all."""
    count = atoms.sizes[ATOM]
    return atoms[name].values.astype(int) if name in atoms.coords else np.full(count, default)


def _checked_vectors(vectors: Any, atoms: xr.Dataset) -> Array:
    """Given vectors, vector x axis in the atoms' unit."""
    try:
        values = np.asarray(vectors, float)
    except (TypeError, ValueError) as error:
        raise DataError(f"vectors={vectors!r} are no numbers") from error
    if values.shape != (2, 2) or not np.isfinite(values).all():
        raise DataError(f"give two vectors (y, x), finite numbers; got {values.tolist()}")
    lengths = np.linalg.norm(values, axis=1)
    if abs(np.linalg.det(values)) <= 0.05 * lengths.prod():
        raise DataError(f"the vectors {values.tolist()} span no lattice: they are on one line")
    unit = length_unit(atoms)
    if isinstance(vectors, xr.DataArray) and "units" in vectors.attrs:
        if vectors.attrs["units"] != unit:
            raise DataError(f"the vectors are in {vectors.attrs['units']}, the atoms in {unit}")
        return values
    about = [atoms[name].attrs for name in "yx"]
    sizes = [each.get("pixel_size") for each in about]
    if None in sizes and unit != "px":
        raise DataError(
            f"vectors in pixels need the pixel size, which the atoms' y and x lack: give a "
            f"DataArray of vectors in {unit} with the attribute `units`"
        )
    signs = [-1.0 if each.get("descending") else 1.0 for each in about]
    return values * [
        sign if size is None else sign * float(size)
        for sign, size in zip(signs, sizes, strict=True)
    ]


def _check_steps(vectors: Array, alike: list[Array], tolerance: float) -> None:
    """Raise a DataError if a vector leads from hardly any atom to another like it."""
    from scipy.spatial import KDTree

    count = sum(map(len, alike))
    for vector in vectors:
        off = np.concatenate([KDTree(part).query(part + vector)[0] for part in alike])
        if np.count_nonzero(off < tolerance) < LEAST_SHARE * count:
            raise DataError(
                f"the vector {vector.round(3).tolist()} leads from hardly any atom to another: "
                "vectors are (y, x), and in pixels unless they have units"
            )


def _checked_basis(basis: Any) -> Array:
    """The cell's sites in fractions of the vectors, site x vector."""
    if basis is None:
        return np.zeros((1, 2))
    try:
        values = np.asarray(basis, float)
    except (TypeError, ValueError) as error:
        raise DataError(f"basis={basis!r} are no numbers") from error
    if values.ndim != 2 or values.shape[1] != 2 or not len(values) or not np.isfinite(values).all():
        raise DataError(
            f"a basis is a list of sites in fractions of both vectors, such as [[0, 0], [0.5, "
            f"0.5]]; got shape {values.shape}"
        )
    return values


def _place_frames(
    positions: Array, frames: Array, species: Array, tracks: Array, cell: Cell
) -> tuple[Places, Cell]:
    """The places of all atoms, each frame's cells counted as those of the one before."""
    places = Places(np.zeros((len(positions), 2), np.int64), np.full(len(positions), -1))
    before = np.zeros(len(positions), bool)
    for frame in np.unique(frames):
        here = frames == frame
        expected = None
        if before.any():
            same = _same_atoms(positions, tracks, before, here)
            expected = Places(places.index[same], np.where(same >= 0, places.site[same], -1))
        found, cell = place_atoms(positions[here], species[here], cell, expected)
        places.index[here], places.site[here] = found.index, found.site
        if found.known.any():
            before = here & places.known
    return places, cell


def _same_atoms(positions: Array, tracks: Array, before: Array, here: Array) -> Array:
    """For each atom of one frame its number in another, -1 where it has none."""
    from scipy.spatial import KDTree

    candidates = np.flatnonzero(before)
    tracked = candidates[tracks[candidates] >= 0]
    if len(tracked) and (tracks[here] >= 0).any():
        order = tracked[np.argsort(tracks[tracked])]
        found = np.searchsorted(tracks[order], tracks[here]).clip(max=len(order) - 1)
        return np.where(tracks[order[found]] == tracks[here], order[found], -1)
    return candidates[KDTree(positions[candidates]).query(positions[here])[1]]


def _fit(positions: Array, places: Places, cell: Cell, fixed: bool) -> tuple[Array, Array, Array]:
    """Origin, vectors and ideal positions of one frame's atoms, by least squares made robust."""
    index = places.index.astype(float)
    columns = [np.ones((len(index), 1))]
    target = positions
    if cell.closed:
        index = index + (cell.basis @ np.linalg.inv(cell.vectors))[places.site]
    else:
        columns.append(np.eye(len(cell.basis))[places.site][:, 1:])
    if fixed:
        target = positions - index @ cell.vectors
    else:
        columns.append(index)
    design = np.hstack(columns)
    if len(positions) < design.shape[1] + 1:
        nothing = np.full((2, 2), np.nan)
        return nothing[0], nothing, np.full_like(positions, np.nan)
    weight, least = np.ones(len(positions)), 1e-12 * float(np.abs(cell.vectors).max())
    for _ in range(ITERATIONS):
        root = np.sqrt(weight)[:, None]
        solution = np.linalg.lstsq(root * design, root * target)[0]
        off = np.linalg.norm(target - design @ solution, axis=1)
        deviation = max(float(np.median(off)) / 1.1774, least)  # the median of a Rayleigh
        weight = np.minimum(1, HUBER * deviation / np.maximum(off, 1e-300))
    lattice = cell.vectors if fixed else solution[-2:]
    return solution[0], lattice, design @ solution + positions - target


def _part(places: Places, chosen: Array) -> Places:
    return Places(places.index[chosen], places.site[chosen])


def _warn(places: Places) -> None:
    """Count the atoms that are left out, if there are any.

    Raises:
        DataError: if those are all.
    """
    missing = int(np.count_nonzero(~places.known))
    if missing == len(places.site):
        raise DataError(
            "no atom is on the lattice: check that the vectors are those of these atoms, (y, x)"
        )
    if missing:
        warnings.warn(
            f"{missing} of {len(places.site)} atoms are not on the lattice and have no ideal "
            "position: spurious ones, or those of other grains",
            UserWarning,
            stacklevel=3,
        )


def _labelled(
    atoms: xr.Dataset, ideal: Array, places: Places, fitted: list[tuple[int, Array, Array]]
) -> xr.Dataset:
    """The atoms with all that was found."""
    unit = length_unit(atoms)
    positions = positions_of(atoms)
    frames, origins, lattices = (np.array(part) for part in zip(*fitted, strict=True))
    values = {
        "ideal": ((ATOM, "axis"), ideal, unit),
        "displacement": ((ATOM, "axis"), positions - ideal, unit),
        "lattice_index": ((ATOM, "vector"), places.index * places.known[:, None], "1"),
        "lattice_vectors": (("lattice", "vector", "axis"), lattices, unit),
        "origin": (("lattice", "axis"), origins, unit),
    }
    variables = {
        name: xr.Variable(dims, array, {"long_name": _NAMES[name], "units": units})
        for name, (dims, array, units) in values.items()
    }
    site = xr.Variable(ATOM, places.site, {"long_name": "site in the cell, -1 off the lattice"})
    frame = xr.Variable("lattice", frames, {"long_name": "index of the frame"})
    coords: dict[str, Any] = {"site": site, "lattice_frame": frame}
    if "axis" not in atoms.coords:
        coords["axis"] = np.array(["y", "x"], dtype=object)  # Zarr has no fixed lengths
    return atoms.assign(variables).assign_coords(coords)

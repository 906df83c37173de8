"""Atoms as every step of the work takes and gives them: a Dataset over "atom".

Its coordinates are `atom`, an index; `frame`, the index of the frame; and `y`, `x`, in the unit of
the image; a step may add others, such as `track` or `sublattice`, which stay with the atoms.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.checks import pixel_size
from pyroshift.errors import DataError

ATOM = "atom"
FRAME = "frame"


def labelled_atoms(
    image: xr.DataArray, positions: np.ndarray, variables: Mapping[str, xr.Variable]
) -> xr.Dataset:
    """Atoms found in an image, as a Dataset.

    Args:
        image: `height x width` or `frame x height x width`.
        positions: `atom x 3`, (frame, y, x) in pixels.
        variables: what else is known of each atom, over "atom".

    Returns:
        The variables, and the coordinates `atom`, `frame`, and `y` and `x` in the image's unit.

    Example:
        >>> atoms = labelled_atoms(xr.DataArray(np.zeros((8, 9))), np.array([[0, 2.5, 4]]), {})
        >>> float(atoms.y[0]), atoms.y.units
        (2.5, 'px')
    """
    coords = {
        ATOM: xr.Variable(ATOM, np.arange(len(positions)), {"long_name": "index of the atom"}),
        FRAME: xr.Variable(
            ATOM, positions[:, 0].astype(np.int64), {"long_name": "index of the frame"}
        ),
    }
    for axis, (letter, name) in enumerate(zip("yx", image.dims[-2:], strict=True), start=1):
        origin, spacing, unit = _axis(image, str(name))
        attrs = {"units": unit, "long_name": f"{letter} of the atom", "pixel_size": abs(spacing)}
        if spacing < 0:
            attrs["descending"] = 1  # from pixel to pixel
        coords[letter] = xr.Variable(ATOM, origin + spacing * positions[:, axis], attrs)
    return xr.Dataset(dict(variables), coords)


def pixel_positions(atoms: xr.Dataset | xr.DataArray, image: xr.DataArray) -> np.ndarray:
    """Where atoms are in an image, in pixels.

    Args:
        atoms: with the coordinates `y`, `x`, and for a stack `frame`, along "atom".
        image: `height x width` or `frame x height x width`.

    Returns:
        `atom x 3`, (frame, y, x).

    Raises:
        DataError: if a coordinate is missing, or in another unit than the image.

    Example:
        >>> image = xr.DataArray(np.zeros((8, 9)))
        >>> pixel_positions(labelled_atoms(image, np.array([[0, 2.5, 4]]), {}), image).tolist()
        [[0.0, 2.5, 4.0]]
    """
    check_atoms(atoms)
    check_units(atoms, image)
    columns = [
        atoms[FRAME].values.astype(float) if FRAME in atoms.coords else np.zeros(len(atoms.y))
    ]
    for letter, name in zip("yx", image.dims[-2:], strict=True):
        origin, spacing, _ = _axis(image, str(name))
        columns.append((atoms[letter].values - origin) / spacing)
    return np.column_stack(columns)


def positions(atoms: xr.Dataset | xr.DataArray) -> np.ndarray:
    """Where atoms are, `atom x 2` (y, x), in their own unit.

    Example:
        >>> image = xr.DataArray(np.zeros((8, 9)))
        >>> positions(labelled_atoms(image, np.array([[0, 2.5, 4]]), {})).tolist()
        [[2.5, 4.0]]
    """
    return np.column_stack([atoms["y"].values, atoms["x"].values]).astype(float)


def length_unit(atoms: xr.Dataset | xr.DataArray) -> str:
    """The one unit of the atoms' positions.

    Raises:
        DataError: if `y` and `x` have different ones, so that distances mean nothing.

    Example:
        >>> length_unit(labelled_atoms(xr.DataArray(np.zeros((8, 9))), np.array([[0, 2, 4]]), {}))
        'px'
    """
    y, x = (str(atoms[name].attrs.get("units", "px")) for name in "yx")
    if y != x:
        raise DataError(
            f"the atoms' y is in {y} and x in {x}: they must have the same unit, so that distances "
            "mean one"
        )
    return y


def check_atoms(atoms: Any) -> None:
    """Raise a DataError unless this is a Dataset or DataArray of atoms that has any.

    Example:
        >>> check_atoms(labelled_atoms(xr.DataArray(np.zeros((8, 9))), np.array([[0, 2, 4]]), {}))
    """
    if not isinstance(atoms, xr.Dataset | xr.DataArray) or not all(
        name in atoms.coords and atoms[name].dims == (ATOM,) for name in "yx"
    ):
        raise DataError(
            "atoms must be a Dataset over `atom` with the coordinates y and x, as find_atoms and "
            f"encode give it; got {type(atoms).__name__}"
        )
    if not atoms.sizes[ATOM]:
        raise DataError("there are no atoms")
    for name in "yx":
        if not np.isfinite(atoms[name].values).all():
            raise DataError(f"the atoms' {name} must be finite numbers")


def check_units(atoms: xr.Dataset | xr.DataArray, image: xr.DataArray) -> None:
    """Raise a DataError if atoms and image are in different units of length.

    Example:
        >>> image = xr.DataArray(np.zeros((8, 9)))
        >>> check_units(labelled_atoms(image, np.array([[0, 2, 4]]), {}), image)
    """
    for letter, name in zip("yx", image.dims[-2:], strict=True):
        given, unit = str(atoms[letter].attrs.get("units", "px")), pixel_size(image, name)[1]
        if given != unit:
            raise DataError(
                f"the atoms' {letter} is in {given}, but the image's in {unit}: take the image "
                "that they were found in, with its coordinates"
            )


def _axis(image: xr.DataArray, name: str) -> tuple[float, float, str]:
    """Coordinate of the first pixel along an axis, length of a pixel, and the unit."""
    spacing, unit = pixel_size(image, name)
    return (float(image[name][0]) if name in image.coords else 0.0), spacing, unit

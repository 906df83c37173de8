"""What the synthetic data share: labels, geometry and the check of arguments."""

import math
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pyroshift.errors import DataError

Array = NDArray[Any]

SMALLEST = 1e-6  # a length must be at least this to count as more than zero
_TILE = 256  # pixels
_REACH = 8  # widths of an atom, where it is 1e-14 of its height


def labelled_patches(
    patch: Array, offset: Array, angle: Array, truth: dict[str, tuple], attrs: dict[str, Any]
) -> xr.Dataset:
    """Patches and their truth."""
    variables = {
        "patch": variable(("sample", "y", "x"), patch, "grey level"),
        "offset": variable(("sample", "axis"), offset, "position of the motif", "px"),
        "angle": variable("sample", angle, "angle, counter-clockwise", "rad"),
    }
    coordinates = pixel_coordinates(centred(patch.shape[1]), centred(patch.shape[2]))
    return xr.Dataset(variables | truth, coordinates, attrs)


def rotate(vector: Array, angle: Array | float) -> Array:
    """Vectors (… × axis) turned counter-clockwise as displayed, with y pointing down."""
    y, x = np.moveaxis(vector, -1, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * y - sin * x, sin * y + cos * x], -1)


def lattice_points(vectors: Array, radius: float) -> Array:
    """Points of a lattice (point × axis), at least all those within a radius of the origin."""
    normals = np.linalg.norm(np.linalg.inv(vectors), axis=0)  # one over the spacing of its rows
    most = math.ceil(radius * normals.max())
    return (np.indices((2 * most + 1,) * 2).reshape(2, -1).T - most) @ vectors


def render(atoms: Array, brightness: Array, rows: Array, columns: Array, width: float) -> Array:
    """Gaussian atoms (… × atom × axis) summed to pictures (… × y × x).

    Of a single picture each tile is drawn by the atoms near it, or a large one would take as many
    products as it has atoms times pixels.
    """
    if atoms.ndim > 2 or max(len(rows), len(columns)) <= _TILE:
        return _drawn(atoms, brightness, rows, columns, width)
    picture = np.empty((len(rows), len(columns)))
    for y in range(0, len(rows), _TILE):
        for x in range(0, len(columns), _TILE):
            tile = slice(y, y + _TILE), slice(x, x + _TILE)
            here = rows[tile[0]], columns[tile[1]]
            first, last = np.array([(pixels[0], pixels[-1]) for pixels in here]).T
            near = (np.abs(atoms - (first + last) / 2) < (last - first) / 2 + _REACH * width).all(1)
            picture[tile] = _drawn(atoms[near], brightness[near], *here, width)
    return picture


def _drawn(atoms: Array, brightness: Array, rows: Array, columns: Array, width: float) -> Array:
    """All of the atoms in all of the pixels."""
    along_y = np.exp(-0.5 * ((rows - atoms[..., :1]) / width) ** 2) * brightness[..., None]
    along_x = np.exp(-0.5 * ((columns - atoms[..., 1:]) / width) ** 2)
    return np.swapaxes(along_y, -1, -2) @ along_x


def chunks(n: int, size: int) -> Iterator[slice]:
    """Slices over n samples of a size, which bound the memory to some 100 MB."""
    step = max(1, 2**21 // size)
    return (slice(start, start + step) for start in range(0, n, step))


def centred(length: int) -> Array:
    return np.arange(length) - (length - 1) / 2


def variable(dims: str | tuple, values: Array, long_name: str, units: str = "1") -> tuple:
    return dims, values, {"long_name": long_name, "units": units}


def pixel_coordinates(rows: Array, columns: Array) -> dict[str, tuple]:
    return {
        "y": variable("y", rows, "y", "px"),
        "x": variable("x", columns, "x", "px"),
        "axis": ("axis", ["y", "x"], {"long_name": "image axis"}),
    }


def scan_coordinates(shape: Sequence[int], step: float) -> dict[str, tuple]:
    """Coordinates of a scan's positions along ``y`` and ``x``, `step` nanometres apart."""
    return {
        axis: variable(axis, step * np.arange(size), axis, "nm")
        for axis, size in zip("yx", shape, strict=True)
    }


def blurred(values: Array, deviation: float) -> Array:
    """The last two axes blurred by a Gaussian; what leaves at one side comes in at the other."""
    rows, columns = (np.fft.fftfreq(length) for length in values.shape[-2:])
    exponent = -2 * (math.pi * deviation) ** 2 * (rows[:, None] ** 2 + columns**2)
    return np.fft.ifft2(np.fft.fft2(values) * np.exp(exponent)).real


def check(**arguments: tuple[float, float, float]) -> None:
    """Each named argument's value must be a finite number from a lowest to a highest one."""
    for name, (value, low, high) in arguments.items():
        if not (isinstance(value, Real) and math.isfinite(value) and low <= value <= high):
            limits = f"from {low:g} to {high:g}"
            raise DataError(f"{name}={value!r} can't be used: give a finite number {limits}")


def check_shape(shape: Sequence[int]) -> None:
    """The height and width of an image must be two integers from 2 up."""
    if len(shape) != 2:
        raise DataError(f"shape={shape!r} can't be used: give (height, width)")
    check_counts(2, height=shape[0], width=shape[1])


def check_kind(kind: str, known: Iterable[str]) -> None:
    """A lattice's kind must be one of those known."""
    if kind not in (names := list(known)):
        raise DataError(f"unknown lattice kind={kind!r}: choose one of {', '.join(names)}")


def in_view(atoms: Array, shape: Sequence[int]) -> Array:
    """Which atoms (atom × axis) are within an image's pixels."""
    centre = (np.array(shape) - 1) / 2
    return np.all(np.abs(atoms - centre) <= centre + 0.5, axis=1)


def check_counts(lowest: int, **arguments: int) -> None:
    for name, value in arguments.items():
        if not (isinstance(value, Integral) and value >= lowest):
            raise DataError(f"{name}={value!r} can't be used: give an integer from {lowest} up")


def extremes(
    name: str, values: Sequence[float], low: float, high: float = math.inf
) -> tuple[float, float]:
    """Smallest and largest of the values, each of which is checked."""
    if np.size(values) == 0:
        raise DataError(f"{name} is empty: give at least one number")
    for value in np.ravel(values).tolist():
        check(**{name: (value, low, high)})
    return np.min(values), np.max(values)

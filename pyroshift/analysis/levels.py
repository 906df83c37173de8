"""Maps of two levels: what is checked of them, the level between, and noise taken off."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pyroshift.analysis.grids import check_units
from pyroshift.data.checks import as_image, as_labelled
from pyroshift.errors import DataError

Array = NDArray[Any]

_FEWEST = 4  # pixels along each axis, in which a wall can be told
_VALLEY = 0.5  # of the lower peak's density, below which two peaks are two
_BINS = 512


@dataclass(frozen=True, eq=False)
class Field:
    """A map on a grid, and where it is.

    Args:
        values: height x width; NaN where nothing was measured.
        along: coordinates of the rows, and of the columns.
        unit: of length.
        coords: y and x, as the map has them.
    """

    values: Array
    along: tuple[Array, Array]
    unit: str
    coords: dict[str, Any]

    @property
    def spacing(self) -> Array:
        """From one pixel to the next along y and x, with its sign."""
        return np.array([(each[-1] - each[0]) / (len(each) - 1) for each in self.along])


def field_of(array: Any, name: str = "field") -> Field:
    """A map over y and x, checked.

    Raises:
        DataError: if it is none, too small, or NaN everywhere.
    """
    labelled = as_labelled(array, 2, None, None, name=name)
    if labelled.ndim == 2:  # whatever rows and columns are called
        labelled = as_image(labelled)
        labelled = labelled.rename(dict(zip(labelled.dims, ("y", "x"), strict=True)))
    if extra := [str(dim) for dim in labelled.dims if dim not in ("y", "x")]:
        raise DataError(
            f"the {name} has the dimension {extra[0]!r}: pick one of its entries, as by "
            f"{name}.isel({extra[0]}=0)"
        )
    if set(labelled.dims) != {"y", "x"}:
        raise DataError(f"the {name} must be over y and x, but is over {labelled.dims}")
    labelled = labelled.transpose("y", "x")
    if min(labelled.shape) < _FEWEST:
        raise DataError(
            f"the {name} has {labelled.shape[0]} x {labelled.shape[1]} pixels, in which no wall "
            f"can be told: it takes {_FEWEST} along each axis"
        )
    if np.iscomplexobj(labelled.values):
        raise DataError(f"the {name} is complex: take its real part, or the cosine of its phase")
    values = labelled.values.astype(float)
    values = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(values).all():
        raise DataError(f"the {name} is NaN everywhere")
    coords: dict[str, Any] = {
        dim: labelled[dim].variable
        if dim in labelled.coords
        else xr.Variable(dim, np.arange(float(labelled.sizes[dim])), {"units": "px"})
        for dim in ("y", "x")
    }
    along = _even(coords["y"], name), _even(coords["x"], name)
    units = {dim: str(variable.attrs.get("units", "px")) for dim, variable in coords.items()}
    check_units(units)
    return Field(values, along, units["y"], coords)


def _even(variable: xr.Variable, name: str) -> Array:
    """Coordinates, evenly spaced.

    Raises:
        DataError: if they aren't.
    """
    try:
        values = variable.values.astype(float)
    except (TypeError, ValueError) as error:
        raise DataError(f"the {name}'s {variable.dims[0]} must be numbers") from error
    steps = np.diff(values)
    mean = steps.mean()
    if not np.isfinite(values).all() or mean == 0 or not np.allclose(steps, mean, 1e-2, 0):
        raise DataError(f"the {name}'s {variable.dims[0]} isn't evenly spaced")
    return values


def level_between(values: Array, name: str = "field") -> float:
    """The level halfway between the two modes of values, which Otsu's threshold tells apart.

    Args:
        values: any shape; NaN counts for nothing.
        name: what they are of, for the error.

    Raises:
        DataError: if they are one value, or have one mode only.

    Source:
        Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on
        Systems, Man, and Cybernetics 9, 62 (1979).

    Example:
        >>> level_between(np.array([0.0, 0.1, 0.0, 4.0, 4.1, 4.1]))
        2.05
    """
    known = np.sort(values[np.isfinite(values)])
    if known[0] == known[-1]:
        raise DataError(f"no wall: the {name} is {known[0]:.4g} everywhere")
    count = np.arange(1, len(known))
    total = np.cumsum(known - known.mean())[:-1]
    between = total**2 / (count * (len(known) - count))
    cut = int(np.argmax(np.where(np.diff(known) > 0, between, -1.0))) + 1
    low, high = known[:cut], known[cut:]
    level = float(np.median(low) + np.median(high)) / 2
    if not _two_modes(known, (low, high)):
        raise DataError(
            f"no wall: the values of the {name} have one mode, not two with a level between them; "
            "if there are two domains nevertheless, say where one begins, as by "
            f"level={level:.4g}"
        )
    return level


def _two_modes(known: Array, parts: tuple[Array, Array]) -> bool:
    """Whether the density has a valley between its peaks on both sides of a threshold."""
    from scipy.ndimage import gaussian_filter1d

    # Rounding of what is constant is no width.
    smallest = 1e-3 * (known[-1] - known[0])
    widths = [max(float(part.std()), smallest) * len(part) ** -0.2 for part in parts]
    counts, edges = np.histogram(known, _BINS)
    bandwidth = 0.9 * min(widths) / (edges[1] - edges[0])
    density = gaussian_filter1d(counts.astype(float), bandwidth, mode="constant")
    cut = int(np.clip(np.searchsorted(edges, parts[1][0], side="right") - 1, 1, _BINS - 1))
    first, second = int(np.argmax(density[:cut])), cut + int(np.argmax(density[cut:]))
    valley = density[first : second + 1].min()
    return bool(valley < _VALLEY * min(density[first], density[second]))


def smoothed(values: Array, deviation: Array) -> Array:
    """Values less their noise: around each pixel a plane is fitted, by Gaussian weights.

    Unlike a mean, a plane has no bias at borders and beside gaps. NaN stay NaN.

    Args:
        values: height x width.
        deviation: the Gaussian's standard deviation along y and x, pixels.

    Example:
        >>> ramp = np.arange(30.0).reshape(5, 6)
        >>> bool(np.allclose(smoothed(ramp, np.array([1.0, 1.0])), ramp))
        True
    """
    from scipy.ndimage import correlate1d

    known = np.isfinite(values)
    reach = [max(1, int(np.ceil(4 * each))) for each in deviation]
    steps = [np.arange(-each, each + 1.0) for each in reach]
    shapes = [
        np.exp(-0.5 * (step / each) ** 2) for step, each in zip(steps, deviation, strict=True)
    ]

    def moment(of: Array, *powers: int) -> Array:
        for axis, power in enumerate(powers):
            kernel = shapes[axis] * steps[axis] ** power
            of = correlate1d(of, kernel, axis, mode="constant")
        return of

    weight, filled = known.astype(float), np.where(known, values, 0.0)
    powers = ((0, 0), (1, 0), (0, 1))
    matrix = np.stack(
        [[moment(weight, a + c, b + d) for c, d in powers] for a, b in powers]
    ).transpose(2, 3, 0, 1)
    right = np.stack([moment(filled, a, b) for a, b in powers], -1)
    # Where all neighbours are in one line, the plane that is flat across it.
    matrix = matrix + 1e-9 * matrix[..., :1, :1] * np.diag([0.0, 1.0, 1.0])
    matrix[~known] = np.eye(3)
    fitted = np.linalg.solve(matrix, right[..., None])[..., 0, 0]
    return np.where(known, fitted, np.nan)

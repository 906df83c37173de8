"""`piezoresponse`: amplitude and phase as one map, above 0 in one domain, below in the other."""

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pyroshift.data.channels import CHANNEL_UNITS
from pyroshift.data.checks import CHANNEL
from pyroshift.errors import DataError

DEGREES, RADIANS = 360.0, 2 * math.pi
_ALIGNED = 0.1  # mean resultant of doubled phases, below which they have no axis
Array = NDArray[Any]


def piezoresponse(
    phase: Any, amplitude: Any = None, *, period: float | None = None, near: float = 0.0
) -> xr.DataArray:
    """The cosine of a phase, counted from its own offset, times the amplitude if there is one.

    Phases of two opposite domains are half a period apart, about an offset that is the
    instrument's. Doubled, both are the same, and their mean tells the offset, whatever wraps;
    phases count by the square of the amplitude, as where it falls to zero they are noise. The map
    has two levels, as `walls` and `switched` need it.

    Which domain is the positive one, a phase can't tell: the offset is known but for half a period.

    Args:
        phase: any shape, such as `image.sel(channel="Phase")`. NaN is what wasn't measured.
        amplitude: of the same shape.
        period: after which phases are the same; by default 360 for the unit "deg", 2 pi for "rad",
            and of phases in another unit or none the one of these that they span.
        near: a phase that is rather in the positive domain: the offset is the one within a quarter
            of a period. Of a second scan, give the first one's `offset`.

    Returns:
        Array of the phase's dimensions and coordinates, from -1 to 1, or in the amplitude's unit.
        Attributes: `offset`, in the phase's unit; `period`; `aligned`, from 0 for phases that point
        anywhere to 1 for two opposite ones.

    Raises:
        DataError: if these are no real numbers, no phase is finite, shapes or the period don't fit,
            or the phases are about as often in one direction as in any other.

    Source:
        Mardia and Jupp, "Directional Statistics", Wiley 2000, section 1.3, for axes by doubling.

    Example:
        >>> phase = xr.DataArray([[-41.0, -39.0], [139.0, 141.0]], dims=("y", "x"))
        >>> found = piezoresponse(phase)
        >>> found.offset, found.round(3).values.tolist()
        (-40.0, [[1.0, 1.0], [-1.0, -1.0]])
    """
    array = phase if isinstance(phase, xr.DataArray) else xr.DataArray(phase)
    values = _numbers(array, "phase")
    period = phase_period(array) if period is None else _checked(period)
    weight = np.ones(values.shape)
    if amplitude is not None:
        # By place, as files may give channels coordinates of their own.
        if isinstance(amplitude, xr.DataArray) and set(amplitude.dims) == set(array.dims):
            amplitude = amplitude.transpose(*array.dims)
        weight = _numbers(amplitude, "amplitude")
        if weight.shape != values.shape:
            raise DataError(
                f"the amplitude has the shape {weight.shape}, but the phase {values.shape}"
            )
    known = np.isfinite(values) & np.isfinite(weight)
    if not known.any():
        raise DataError("no phase is a finite number: there is nothing to tell domains from")
    turned = np.where(known, weight * np.exp(2j * math.pi / period * values), np.nan)
    square = np.nansum(np.square(turned))
    size = np.nansum(np.square(np.abs(turned)))
    if not size > 0:
        raise DataError("the amplitude is 0 everywhere: there is no piezoresponse")
    aligned = float(np.abs(square) / size)
    if aligned < _ALIGNED:
        raise DataError(
            f"the phases aren't those of two opposite domains: they are {aligned:.2g} aligned (1: "
            f"all along one axis; 0: as often in any direction), for a period of {period:.4g}"
        )
    offset = float(np.angle(square)) / 2 * period / (2 * math.pi)
    offset += period / 2 * round((near - offset) / (period / 2))
    response = (turned * np.exp(-2j * math.pi / period * offset)).real
    about = {"offset": round(offset, 10), "period": period, "aligned": aligned}
    units = "1" if amplitude is None else unit_of(amplitude) or "1"
    coords = {name: each for name, each in array.coords.items() if CHANNEL not in str(name)}
    attrs = {"long_name": "piezoresponse", "units": units, **about}
    return xr.DataArray(response, coords, array.dims, "piezoresponse", attrs)


def phase_period(phase: xr.DataArray) -> float:
    """The period that a phase's unit tells, or that its values span.

    Example:
        >>> phase_period(xr.DataArray([0.0, 1.0], attrs={"units": "deg"}))
        360.0
        >>> phase_period(xr.DataArray([-3.1, 3.1])) < 7
        True
    """
    unit = unit_of(phase).strip().lower()
    if unit.startswith("rad"):
        return RADIANS
    if unit.startswith(("deg", "°", "º")):
        return DEGREES
    values = phase.values[np.isfinite(phase.values)]
    # Domains are half a period apart, 180 degrees: such phases span more than 2 pi.
    return RADIANS if values.size and np.ptp(values) <= RADIANS * (1 + 1e-6) else DEGREES


def unit_of(array: Any) -> str:
    """The unit of an array's values, of which a channel has one of its own; "" where none is told.

    Example:
        >>> unit_of(xr.DataArray(1.0, {"channel_units": "pm"}, attrs={"units": "m"}))
        'pm'
    """
    if not isinstance(array, xr.DataArray):
        return ""
    own = array.coords.get(CHANNEL_UNITS)
    return str(array.attrs.get("units", "") if own is None or own.ndim else own.item())


def _numbers(array: Any, name: str) -> Array:
    """Values as real numbers.

    Raises:
        DataError: if they are none.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "biuf":
        what = "complex" if values.dtype.kind == "c" else f"of type {values.dtype}"
        raise DataError(f"the {name} must be real numbers, but is {what}")
    return values.astype(float)


def _checked(period: Any) -> float:
    """A period.

    Raises:
        DataError: if it is none.
    """
    number = isinstance(period, int | float | np.number) and not isinstance(period, bool)
    if not (number and 0 < period < math.inf):
        raise DataError(f"the period must be positive, such as 360 for degrees; got {period!r}")
    return float(period)

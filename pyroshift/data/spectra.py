"""Spectra on an even axis, by whose steps a shift is counted."""

from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.checks import as_labelled, pixel_size
from pyroshift.errors import DataError


def evenly_spaced(spectra: Any) -> xr.DataArray:
    """Spectra resampled to even steps of their axis, linearly; even ones as they are.

    Models shift spectra by channels, which should be equal steps then, as they aren't where a
    voltage was swept by its square root, say.

    Args:
        spectra: ... x energy, with a coordinate along the last axis that rises or falls.

    Returns:
        As many channels, from the lowest to the highest of the coordinate.

    Raises:
        DataError: if the coordinate neither rises nor falls all along, or isn't made of numbers.

    Example:
        >>> roots = xr.DataArray([[1.0, 2.0, 3.0]], {"bias": [1.0, 4.0, 9.0]}, ("x", "bias"))
        >>> evenly_spaced(roots)["bias"].values, evenly_spaced(roots).values.round(2)
        (array([1., 5., 9.]), array([[1. , 2.2, 3. ]]))
    """
    cube = as_labelled(spectra, 1, None, None, name="spectra")
    axis = cube.dims[-1]
    try:
        pixel_size(cube, axis)
        return cube
    except DataError:
        values = cube[axis].values
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise
    steps = np.diff(values.astype(float))
    if not ((steps > 0).all() or (steps < 0).all()):
        raise DataError(
            f"the coordinate {axis!r} goes up and down: take one sweep of it, as by "
            f"spectra.isel({axis}=slice(0, {len(values) // 2}))"
        )
    rising = cube if steps[0] > 0 else cube.isel({axis: slice(None, None, -1)})
    known = rising[axis].values.astype(float)
    even = np.linspace(known[0], known[-1], len(known))
    before = np.clip(np.searchsorted(known, even, side="right") - 1, 0, len(known) - 2)
    share = (even - known[before]) / (known[before + 1] - known[before])
    left, right = (rising.values[..., channel] for channel in (before, before + 1))
    coordinate = xr.Variable(axis, even, cube[axis].attrs)
    # An end that isn't missing stays so, whatever its neighbour is.
    resampled = np.where(
        share == 0, left, np.where(share == 1, right, left + share * (right - left))
    )
    return rising.copy(data=resampled).assign_coords({axis: coordinate})

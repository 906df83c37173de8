"""Which axes of an array of windows or signals are the window's, and which the maps'."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import xarray as xr

from pyroshift.data.checks import COLUMNS, ROWS, as_labelled
from pyroshift.data.foreign import signal_ndim
from pyroshift.errors import DataError


def cut_already(
    array: Any,
    window_ndim: int | None,
    dims: Sequence[str] | None,
    coords: Mapping[str, Any] | None,
    channel_dim: str | None = None,
) -> tuple[xr.DataArray, int]:
    """An array of windows or signals with named dimensions, and how many the window has, the last.

    A dimension of channels is put right before the window's.

    Args:
        array: of any kind.
        window_ndim: number of axes of a window, 1 or 2; None where the array tells.
        dims: names of the dimensions, if it has none of its own.
        coords: coordinates by dimension.
        channel_dim: name of the dimension of channels, if there is one.

    Raises:
        DataError: if it can't be understood that way.

    Example:
        >>> import numpy as np
        >>> data, window_ndim = cut_already(np.zeros((9, 4, 5)), None, None, None)
        >>> data.dims, window_ndim
        (('patch', 'y', 'x'), 2)
    """
    window_ndim = signal_ndim(array) if window_ndim is None else window_ndim
    labelled = as_labelled(array, window_ndim, dims, coords)
    channel = [channel_dim] if channel_dim in labelled.dims else []
    single = labelled.isel(dict.fromkeys(channel, 0))
    window_ndim = _window_ndim(single, window_ndim)
    single = windows_last(single, window_ndim)
    _check_named(single, window_ndim, dims)
    lead, window = single.dims[:-window_ndim], single.dims[-window_ndim:]
    return labelled.transpose(*lead, *channel, *window), window_ndim


def windows_last(data: xr.DataArray, window_ndim: int) -> xr.DataArray:
    """Windows or signals with the window's axes last, rows before columns.

    Windows have the axes named as rows and columns, wherever they stand, where there are such;
    other axes are taken by their order.

    Raises:
        DataError: if it isn't clear which axes are the window's.

    Example:
        >>> import numpy as np
        >>> windows_last(xr.DataArray(np.zeros((4, 5, 9)), dims=("x", "y", "patch")), 2).dims
        ('patch', 'y', 'x')
    """
    rows, columns = (
        [name for name in data.dims if str(name).lower() in known] for known in (ROWS, COLUMNS)
    )
    plane, last = [*rows, *columns], data.dims[-window_ndim:]
    if len(rows) != 1 or len(columns) != 1 or not set(plane) & set(last):
        return data
    if window_ndim == 2:
        return data.transpose(..., *plane)
    if data.ndim > 2:
        raise DataError(
            f"the signals of an array over {tuple(data.dims)} would run along {last[0]!r}: put "
            'their own axis last, as by array.transpose(..., "energy")'
        )
    return data


def _window_ndim(data: xr.DataArray, window_ndim: int | None) -> int:
    if window_ndim is None:
        if data.ndim not in (2, 3):
            raise DataError(
                f"an array of shape {data.shape} may hold signals or windows: say which by "
                "window_ndim=1 or window_ndim=2"
            )
        known = data.ndim == 2 or windows_last(data, 2).dims[:1] == data.dims[:1]
        if not known:
            raise DataError(
                f"an array over {tuple(data.dims)} may hold signals along {data.dims[-1]!r}, or "
                "windows over its rows and columns: say which by window_ndim=1 or window_ndim=2"
            )
        return data.ndim - 1
    if window_ndim not in (1, 2) or window_ndim >= data.ndim:
        raise DataError(
            f"window_ndim must be 1 or 2, and less than the array's {data.ndim} dimensions; got "
            f"{window_ndim}"
        )
    return window_ndim


def _check_named(data: xr.DataArray, window_ndim: int, dims: Sequence[str] | None) -> None:
    """Raise a DataError where it isn't said what several dimensions of windows are."""
    lead = data.dims[:-window_ndim]
    if window_ndim == 2 and len(lead) > 1 and dims is None and any(_unnamed(name) for name in lead):
        names = (*(f"dim_{axis}" for axis in range(len(lead))), "y", "x")
        raise DataError(
            f"of windows of shape {data.shape} it isn't clear what the first {len(lead)} "
            f"dimensions are: if each is one of the maps', name them, as by dims={names}; if one "
            'is of channels, call it "channel"'
        )


def _unnamed(name: Hashable) -> bool:
    return str(name).startswith("dim_")

"""Levelling: the tilt and bow of a scanned surface, taken off."""

import numpy as np
from xarray import DataArray

from pyroshift.data.checks import CHANNEL, as_image
from pyroshift.errors import DataError


def level(image: DataArray | np.ndarray, order: int = 1, rows: str | None = None) -> DataArray:
    """The image less the polynomial surface that fits it best, by frames and channels.

    Scanning probe images carry the tilt of the sample and the drift between scan lines, which are
    often larger than the atoms. A step edge bends the fit: there, windows normalised one by one
    (`extract_patches(..., normalize="patch")`) are the safer way to make terraces comparable.

    Args:
        image: Heights or the like, (y, x) or (frame, y, x), with channels too; an array without
            labels is taken as such by the number of its dimensions. Pixels that are not finite
            (lines not scanned) take no part in the fit and stay as they are.
        order: Degree of the surface: 0 takes off the mean, 1 a plane, 2 a paraboloid. Default: 1.
        rows: "median" also takes its median off every scan line; None (the default) does not.

    Returns:
        The levelled image, float64 (float32 stays), with the coordinates and attributes it had.

    Raises:
        DataError: The image has other dims, a frame has fewer finite pixels than the surface has
            terms, or `order` or `rows` is none of the above.

    Example:
        >>> import numpy as np, xarray as xr
        >>> y, x = np.mgrid[:20, :30]
        >>> tilted = xr.DataArray(3.0 + 0.5 * y - 0.1 * x, dims=("y", "x"))
        >>> bool(abs(level(tilted)).max() < 1e-9)
        True
    """
    image = as_image(image, channels=True)
    if [dim for dim in image.dims if dim != CHANNEL][-3:] not in (["y", "x"], ["frame", "y", "x"]):
        raise DataError(
            f'level takes an image ("y", "x") or ("frame", "y", "x"), not {image.dims}.'
        )
    if isinstance(order, bool) or not isinstance(order, int) or not 0 <= order <= 10:
        raise DataError(
            f"order is the degree of a polynomial, a whole number 0 to 10, not {order!r}."
        )
    if rows not in (None, "median"):
        raise DataError(f'rows is None or "median", not {rows!r}.')
    kind = np.float32 if image.dtype == np.float32 else np.float64
    frames = image.values.reshape(-1, *image.shape[-2:]).astype(np.float64)
    levelled = np.stack([_level_frame(frame, order, rows) for frame in frames])
    return image.copy(data=levelled.reshape(image.shape).astype(kind))


def _level_frame(frame: np.ndarray, order: int, rows: str | None) -> np.ndarray:
    """One frame less its surface and, if asked, the medians of its rows."""
    finite = np.isfinite(frame)
    y, x = np.meshgrid(*(np.linspace(-1, 1, size) for size in frame.shape), indexing="ij")
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    if finite.sum() < len(powers):
        raise DataError(
            f"A surface of order {order} has {len(powers)} terms, but only {finite.sum()} pixels "
            "are finite: lower the order or leave out empty frames."
        )
    terms = np.stack([y**i * x**j for i, j in powers], axis=-1)
    coefficients = np.linalg.lstsq(terms[finite], frame[finite])[0]
    flat = frame - terms @ coefficients
    if rows == "median":
        scanned = finite.any(axis=1)
        masked = np.where(finite[scanned], flat[scanned], np.nan)
        flat[scanned] -= np.nanmedian(masked, axis=1, keepdims=True)
    return flat

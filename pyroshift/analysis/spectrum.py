"""Power spectra of images and maps, as the analyses share them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyroshift.data.channels import of_one_size
from pyroshift.data.checks import CHANNEL, as_image, check_size, check_values
from pyroshift.data.outliers import mended

Array = NDArray[Any]

SMALLEST_SIDE = 32  # pixels


def tapered_power(values: Array) -> Array:
    """Spectral intensity of fluctuations about the mean, under a Hann taper.

    Without the taper, opposite edges that differ make a step at the seam, whose intensity spreads
    along both axes of the spectrum. The mean is taken under the taper, so that nothing of it is
    left at zero frequency or beside it.

    Args:
        values: ... x height x width, NaN where missing; those count as the mean.

    Returns:
        ... x height x width, in the order of `numpy.fft.fftfreq`.

    Example:
        >>> power = tapered_power(np.cos(2 * np.pi * np.indices((32, 32))[0] / 4))
        >>> divmod(int(power.argmax()), 32)
        (8, 0)
    """
    height, width = values.shape[-2:]
    taper = np.outer(hann(height), hann(width)) * np.isfinite(values)
    known = np.nan_to_num(values.astype(float))
    total = np.maximum(taper.sum((-2, -1), keepdims=True), np.finfo(float).tiny)
    mean = (taper * known).sum((-2, -1), keepdims=True) / total
    return np.abs(np.fft.fft2(taper * (known - mean))) ** 2


def hann(length: int) -> Array:
    """The periodic Hann taper, whose spectrum is three bins wide."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(length) + 0.5) / length)


def frequencies(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Frequencies along y (height x 1) and x (1 x width), in cycles per sample."""
    height, width = shape
    return np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]


def mean_power(image: Any) -> Array:
    """Power spectrum of an image, or the mean of a stack's, or of channels', which count alike.

    Args:
        image: `height x width` or `frame x height x width`, or a DataArray that also has channels;
            NaN where missing. Hot pixels are left out, with a warning.

    Returns:
        `height x width`.

    Raises:
        DataError: if that is no image of real numbers, or a very small one.

    Example:
        >>> mean_power(np.random.default_rng(0).normal(size=(3, 40, 50))).shape
        (40, 50)
    """
    data = as_image(image, channels=True)
    check_values(data.values, "the image", missing=True)
    check_size(data.shape, SMALLEST_SIDE, "find a lattice in")
    height, width = data.shape[-2:]
    channels = CHANNEL in data.dims
    values = data.values.reshape(-1, *data.shape[-3:]) if channels else data.values
    known = mended(values, stacklevel=3)
    frames = (of_one_size(known) if channels else known).reshape(-1, height, width)
    power = np.zeros((height, width))
    for frame in frames:
        power += tapered_power(frame) / len(frames)
    return power

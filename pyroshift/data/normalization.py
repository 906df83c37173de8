"""Grey levels stretched to [0, 1]: of all values alike, or of each window."""

import warnings
from collections.abc import Iterable, Sequence
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from pyroshift import names
from pyroshift.data.checks import check_values
from pyroshift.data.outliers import described, hot_pixels
from pyroshift.errors import DataError

NORMALIZATIONS = (*names.NORMALIZATIONS, None)
Normalize = str | tuple[float, float] | None
Limits = tuple[float, float]

_ENOUGH = 2**24  # values that percentiles are taken from
# A step of single precision may be this share of the values' standard deviation.
_TOLERATED, _UNSEEN = 0.1, 1e-4
REMEDY = (
    "with normalize='image' this takes the range of grey levels, and little is left for all else; "
    "stretch by percentiles instead, as by normalize=(0.1, 99.9)"
)


def checked_normalize(normalize: str | Sequence[float] | None) -> Normalize:
    """A way to stretch grey levels; two percentiles as a tuple of numbers.

    Raises:
        DataError: if there is no such way.

    Example:
        >>> checked_normalize("patch"), checked_normalize([0.1, 99.9])
        ('patch', (0.1, 99.9))
    """
    if normalize is None or isinstance(normalize, str):
        if normalize in NORMALIZATIONS:
            return normalize
    elif isinstance(normalize, Sequence) and [isinstance(e, Real) for e in normalize] == [True] * 2:
        low, high = map(float, normalize)
        if 0 <= low < high <= 100:
            return low, high
    raise DataError(
        f"normalize must be one of {NORMALIZATIONS}, or two percentiles such as (0.1, 99.9), got "
        f"{normalize!r}"
    )


def of_all(normalize: Normalize) -> bool:
    """Whether all values are stretched alike.

    Example:
        >>> of_all("image"), of_all((1, 99)), of_all("patch")
        (True, True, False)
    """
    return normalize == "image" or isinstance(normalize, tuple)


def normalized(values: np.ndarray, normalize: Normalize, name: str) -> np.ndarray:
    """Values as contiguous float32, stretched alike to [0, 1] where asked; missing ones stay NaN.

    Args:
        values: any array. What single precision can't tell apart is stretched, or taken off its
            mean where windows are to be stretched later, in double.
        normalize: "image" for the whole range, or two percentiles, beyond which values are clipped.
        name: what it is, for the errors.

    Raises:
        DataError: if the array is empty, not of real numbers, holds infinity, or differences that
            single precision can't tell.

    Example:
        >>> normalized(np.array([2.0, 4.0, np.nan]), "image", "it")
        array([ 0.,  1., nan], dtype=float32)
        >>> normalized(np.array([1e9, 1e9 + 1]), "image", "it")
        array([0., 1.], dtype=float32)
    """
    numbers = check_values(values, name, missing=True)
    if of_all(normalize):
        return between(values, *limits([values], values.size, normalize), normalize)
    if np.can_cast(values.dtype, np.float32):
        return numbers
    size = np.fmax.reduce(np.abs(numbers), None)
    if np.isnan(size):
        return numbers
    step, spread = float(np.spacing(size)), float(np.nanstd(values, dtype=float))
    if normalize == "patch" and step > _UNSEEN * spread:
        return (values - np.nanmean(values, dtype=float)).astype(np.float32)
    if normalize is None and step > _TOLERATED * spread > 1e-13 * size:  # else constant
        raise DataError(
            f"the values of {name} differ by {spread:.3g} (standard deviation) about {size:.6g}, "
            f"where single precision goes by steps of {step:.3g}: take off a constant first, or "
            "stretch them by normalize='image'"
        )
    return numbers


def limits(parts: Iterable[np.ndarray], size: int, normalize: Normalize) -> Limits:
    """The values that become 0 and 1, in double.

    Args:
        parts: all values, in parts of any shape, in their order.
        size: how many these are.
        normalize: "image" or two percentiles, which are taken of up to 16 million values, evenly
            spread.

    Example:
        >>> limits([np.arange(50), np.arange(50, 101)], 101, (10, 90))
        (10.0, 90.0)
    """
    if not isinstance(normalize, tuple):
        ranges = [(np.fmin.reduce(part, None), np.fmax.reduce(part, None)) for part in parts]
        low, high = zip(*ranges, strict=True)
        return float(np.fmin.reduce(low)), float(np.fmax.reduce(high))
    stride, seen, sample = -(-size // _ENOUGH) | 1, 0, []  # odd, not to fall in with rows
    for part in parts:
        flat = part.reshape(-1)
        sample.append(flat[-seen % stride :: stride].astype(float))
        seen += flat.size
    values = np.concatenate(sample)
    known = values[~np.isnan(values)]
    if not known.size:
        return np.nan, np.nan
    low, high = np.percentile(known, normalize)
    return float(low), float(high)


def between(values: np.ndarray, low: float, high: float, normalize: Normalize) -> np.ndarray:
    """Values stretched so that a lowest and a highest one become 0 and 1, as float32.

    Args:
        values: any array.
        low: what becomes 0.
        high: what becomes 1.
        normalize: with two percentiles, what is beyond is clipped.

    Example:
        >>> between(np.array([2.0, 4.0]), 2, 6, "image")
        array([0. , 0.5], dtype=float32)
    """
    height = high - low if high > low else 1.0
    if np.can_cast(values.dtype, np.float32):
        stretched = (values.astype(np.float32) - np.float32(low)) / np.float32(height)
    else:
        stretched = ((values - low) / height).astype(np.float32)
    clipped = np.clip(stretched, 0, 1) if isinstance(normalize, tuple) else stretched
    return np.ascontiguousarray(clipped)


def warn_about_outliers(
    frames: np.ndarray, normalize: Normalize, channels: Sequence[str] = (), stacklevel: int = 2
) -> None:
    """Tell of single pixels that take the range of grey levels for themselves.

    Args:
        frames: `frame x height x width`, or with channels `frame x channel x height x width`, as
            they were before they were stretched.
        normalize: how they are stretched; by anything but "image", no pixel takes all of it.
        channels: their names, if there are channels.
        stacklevel: how many calls up the warning points.
    """
    if normalize != "image":
        return
    named = {f"in channel {name!r}, ": frames[:, each] for each, name in enumerate(channels)}
    for where, part in (named or {"": frames}).items():
        hot = hot_pixels(part)
        if hot.any():
            image = part[0] if len(part) == 1 else part
            warnings.warn(
                f"{where}{described(image, hot.reshape(image.shape))}: {REMEDY}",
                stacklevel=stacklevel + 1,
            )


def stretch(windows: Tensor, axes: int, complete: bool = True) -> Tensor:
    """Each window stretched to [0, 1]; a constant one becomes 0.

    Args:
        windows: `... x window`.
        axes: how many axes a window has, the last.
        complete: whether no pixels are missing; else NaNs, which stay, have no part in the range.

    Example:
        >>> stretch(torch.tensor([[2.0, 4.0, 3.0], [7.0, 7.0, 7.0]]), 1)
        tensor([[0.0000, 1.0000, 0.5000],
                [0.0000, 0.0000, 0.0000]])
    """
    last = tuple(range(-axes, 0))
    above, below = windows, windows
    if not complete:
        missing = torch.isnan(windows)
        above, below = (windows.masked_fill(missing, end) for end in (torch.inf, -torch.inf))
    low, high = above.amin(last, keepdim=True), below.amax(last, keepdim=True)
    height = high - low
    return (windows - low) / torch.where(height > 0, height, torch.ones_like(height))

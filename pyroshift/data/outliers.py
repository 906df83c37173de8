"""Hot pixels: single ones that lie far beyond all the rest of an image."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TAIL = 0.005  # share of the values at either end, that doesn't count as their range
BEYOND = 4.0  # ranges, outside of the range
SHARPER = 5.0  # times as high as its second highest neighbour; atoms 0.6 pixels wide are 4
ENOUGH = 1_000_000  # values, that a range is told by
_AROUND = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]


def hot_pixels(image: Array) -> NDArray[np.bool_]:
    """Which pixels are outliers: far above or below all values, and nothing of it around them.

    A detector's defects, cosmic rays and spikes of the electronics take one pixel, or two. They
    stand out by 4 times the range of the values (of 99% of them) and more, and but one neighbour
    at most has a fifth of that. So neither sharp atoms, however sparse, nor bright defects, nor
    noise of counts, few or many, are taken for outliers.

    Args:
        image: ... x height x width, of real numbers; NaN where missing. Of a stack, all frames
            have their range in common: call it for each where their brightness differs.

    Returns:
        ... x height x width, True at outliers.

    Example:
        >>> image = np.random.default_rng(0).normal(size=(64, 64))
        >>> image[20, 30] = 1e4
        >>> np.argwhere(hot_pixels(image)).tolist()
        [[20, 30]]
    """
    found = np.zeros(image.shape, bool)
    low, high = _range(image)
    if not np.isfinite(low):
        return found
    reach = BEYOND * (high - low or _least_departure(image, low))
    with np.errstate(invalid="ignore"):  # NaN is no outlier
        places = np.argwhere((image > high + reach) | (image < low - reach))
    if len(places):
        around = np.sort(_neighbours(image, places), -1)
        known = np.isfinite(around).sum(-1)  # NaNs come last
        rows = np.arange(len(places))
        lowest, highest = around[:, 0], around[rows, known - 1]
        value = image[tuple(places.T)].astype(float)
        above = value - lowest, around[rows, known - 2] - lowest
        below = highest - value, highest - around[:, 1]
        height, second = np.where(value > high, above, below)
        isolated = (height > reach) & (height > SHARPER * second) & (known > 1)
        found[tuple(places[isolated].T)] = True
    return found


def without_outliers(image: Array, outliers: Array) -> Array:
    """The image with outliers replaced by the median of their neighbours.

    Args:
        image: ... x height x width.
        outliers: ... x height x width, as `hot_pixels` gives them.

    Example:
        >>> image = np.ones((3, 3))
        >>> image[1, 1] = 9.0
        >>> without_outliers(image, image > 5)[1].tolist()
        [1.0, 1.0, 1.0]
    """
    if not outliers.any():
        return image
    places = np.argwhere(outliers)
    around = np.sort(_neighbours(np.where(outliers, np.nan, image), places), -1)
    mended = np.array(image)
    mended[tuple(places.T)] = _median(around)
    return mended


def mended(image: Array, stacklevel: int = 2) -> Array:
    """The image with its outliers replaced by the median of their neighbours, told by a warning.

    Args:
        image: height x width, or frame x height x width, each of whose frames is judged by itself.
        stacklevel: how many calls up the warning points.

    Example:
        >>> image = np.random.default_rng(0).normal(size=(64, 64))
        >>> float(np.abs(mended(image)).max().round(1))
        3.9
    """
    frames = image.reshape(-1, *image.shape[-2:])
    outliers = np.stack([hot_pixels(frame) for frame in frames]).reshape(image.shape)
    if outliers.any():
        warnings.warn(
            f"{described(image, outliers)}: taken for outliers, and replaced by the median of "
            "their neighbours; if they are real, clip the image before",
            stacklevel=stacklevel + 1,
        )
    return without_outliers(image, outliers)


def described(image: Array, outliers: Array) -> str:
    """What the outliers are, as the beginning of a warning.

    Example:
        >>> image = np.zeros((4, 4))
        >>> image[1, 2] = 70.0
        >>> described(image, image > 5)
        '1 pixel lies far beyond all others, at (y, x) = (1, 2) with 70, where others are 0 to 0'
    """
    places, count = np.argwhere(outliers), int(outliers.sum())
    low, high = _range(image[~outliers])
    values = image[outliers].astype(float)
    furthest = int(np.argmax(np.abs(values - (low + high) / 2)))
    axes = {3: "(frame, y, x)", 4: "(frame, channel, y, x)"}.get(image.ndim, "(y, x)")
    place = tuple(map(int, places[furthest]))
    what = "1 pixel lies" if count == 1 else f"{count} pixels lie"
    where = "at" if count == 1 else "the furthest at"
    return (
        f"{what} far beyond all others, {where} {axes} = {place} with {values[furthest]:.4g}, "
        f"where others are {low:.4g} to {high:.4g}"
    )


def _range(image: Array) -> tuple[float, float]:
    """The range of 99% of the values; NaN if there are none."""
    # A stride that is odd, so as not to fall in with what repeats in the rows.
    values = image.ravel()[:: (image.size // ENOUGH) | 1] if image.size > ENOUGH else image.ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        return np.nan, np.nan
    low, high = np.quantile(values, (TAIL, 1 - TAIL), method="nearest")
    return float(low), float(high)


def _least_departure(image: Array, usual: float) -> float:
    """Where nearly all values are one, the next one's distance, such as one count from none."""
    distance = np.abs(image.astype(float) - usual)
    return float(np.nanmin(np.where(distance > 0, distance, np.inf)))


def _neighbours(image: Array, places: Array) -> Array:
    """Values around pixels: place x neighbour, NaN beyond the edge."""
    height, width = image.shape[-2:]
    *frames, rows, columns = places.T
    around = np.full((len(places), len(_AROUND)), np.nan)
    for number, (down, right) in enumerate(_AROUND):
        y, x = rows + down, columns + right
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        index = (*(frame[inside] for frame in frames), y[inside], x[inside])
        around[inside, number] = image[index]
    return around


def _median(rising: Array) -> Array:
    """The median of rows that rise and may end in NaNs; NaN if there is nothing else."""
    rows, known = np.arange(len(rising)), np.maximum(np.isfinite(rising).sum(-1), 1)
    return (rising[rows, (known - 1) // 2] + rising[rows, known // 2]) / 2

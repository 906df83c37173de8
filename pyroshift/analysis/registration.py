"""Two images of the same area: by how far they are shifted, to a fraction of a pixel."""

from statistics import NormalDist

import numpy as np

from pyroshift.analysis.levels import Array, smoothed
from pyroshift.errors import DataError

_SMOOTHED = 1.0  # pixels, standard deviation
_STEPS = 15  # of least squares
_LEAST_OVERLAP = 0.3
_BY_CHANCE = 0.01  # how often images of different areas are taken for the same
_NORMAL = 1.4826  # standard deviations in a median deviation


def registered(first: Array, second: Array) -> tuple[Array, float]:
    """By how far the second image is shifted against the first.

    The greatest correlation over what both show tells it to a pixel; least squares to a fraction,
    in which what differs by more than most, as what switched does, hardly counts.

    Args:
        first: height x width; NaN where nothing was measured.
        second: as large.

    Returns:
        The shift along y and x, pixels, and the images' correlation over what both show then.

    Raises:
        DataError: if too little is shown by both, or it isn't alike.

    Source:
        Padfield, "Masked object registration in the Fourier domain", IEEE Transactions on Image
        Processing 21, 2706 (2012), for the correlation.
    """
    from skimage.registration import phase_cross_correlation

    # Interpolation smooths noise between pixels, which would draw shifts there.
    first, second = (smoothed(each, np.full(2, _SMOOTHED)) for each in (first, second))
    masks = [np.isfinite(each) for each in (first, second)]
    filled = [np.where(mask, each, 0.0) for mask, each in zip(masks, (first, second), strict=True)]
    back, *_ = phase_cross_correlation(
        *filled, reference_mask=masks[0], moving_mask=masks[1], overlap_ratio=_LEAST_OVERLAP
    )
    shift = -np.asarray(back, float)
    for _ in range(_STEPS):
        step = _least_squares(*_common(first, second, shift))
        shift = shift + np.clip(step, -1.0, 1.0)
    (image, both), (moved, _) = _common(first, second, shift)
    seen = image[both], moved[both]
    flat = min(each.std() for each in seen) == 0
    correlation = 0.0 if flat else float(np.corrcoef(*seen)[0, 1])
    least = _least(image, moved, both)
    if not correlation >= least:
        raise _unlike(
            f"where they agree best, they correlate at {correlation:.2f}, but images of so few "
            f"domains may do at {min(least, 1.0):.2f} by chance"
        )
    return shift, correlation


def _common(first: Array, second: Array, shift: Array) -> list[tuple[Array, Array]]:
    """Both images without the shift, and where both show something.

    Raises:
        DataError: if that is too little.
    """
    moved = seen_at(second, shift)
    both = np.isfinite(first) & np.isfinite(moved)
    if both.mean() < _LEAST_OVERLAP:
        raise _unlike(f"they would share {both.mean():.0%} of the first")
    return [(first, both), (moved, both)]


def _least_squares(first: tuple[Array, Array], second: tuple[Array, Array]) -> Array:
    """By how much further the second is shifted, but for its gain and background."""
    (image, both), (moved, _) = first, second
    if not (spread := float(image[both].std())):
        return np.zeros(2)
    # In units of its own: of small values slopes would be lost beside the background.
    image, moved = ((each - image[both].mean()) / spread for each in (image, moved))
    slopes = np.gradient((image + moved) / 2)
    known = both & np.isfinite(slopes).all(0)
    if not known.any():
        return np.zeros(2)
    columns = [*(np.asarray(slope)[known] for slope in slopes), moved[known], np.ones(known.sum())]
    design, target = np.stack(columns, -1), image[known]
    difference = target - moved[known]
    scale = _NORMAL * float(np.median(np.abs(difference - np.median(difference))))
    weight = 1 / (1 + (difference / (2 * scale)) ** 2) if scale > 0 else np.ones_like(target)
    weighted = design * weight[:, None]
    found = np.linalg.lstsq(weighted.T @ design, weighted.T @ target, rcond=1e-10)[0]
    return np.asarray(found[:2])


def _least(first: Array, second: Array, both: Array) -> float:
    """The correlation that the best of all shifts of images of different areas rarely has.

    Neighbouring pixels are alike, so that there are fewer independent ones, and shifts.

    Source:
        Bartlett, "Some aspects of the time-correlation problem in regard to tests of significance",
        Journal of the Royal Statistical Society 98, 536 (1935).
    """
    size = [2 * side for side in both.shape]
    alike = []
    for image in (first, second):
        centred = np.where(both, image - image[both].mean(), 0.0)
        spectrum = np.abs(np.fft.rfft2(centred, size)) ** 2
        alike.append(np.fft.irfft2(spectrum, size) / max(spectrum.sum(), 1e-300))
    scale = max(float(alike[0].flat[0] * alike[1].flat[0]), 1e-300)
    area = max(float((alike[0] * alike[1]).sum()) / scale, 1.0)
    shifts = max(both.size / area, 1.0)
    quantile = NormalDist().inv_cdf(1 - _BY_CHANCE / shifts)
    return float(quantile * np.sqrt(area / both.sum()))


def _unlike(why: str) -> DataError:
    return DataError(
        f"it can't be told that the scans are of the same area: {why}. Register them by images "
        "that don't switch, by=(before, after), such as heights; or give the drift (--drift)"
    )


def seen_at(image: Array, shift: Array) -> Array:
    """An image as it would be without its shift, NaN where it has nothing.

    Args:
        image: height x width.
        shift: along y and x, pixels.

    Example:
        >>> seen_at(np.array([[1.0, 2.0, 4.0]]), np.array([0.0, 0.5]))
        array([[1.5, 3. , nan]])
    """
    from scipy.ndimage import map_coordinates

    places = np.indices(image.shape) + shift[:, None, None]
    # A hair beyond the last pixel is still the last.
    edges = np.array(image.shape)[:, None, None] - 1.0
    inside = ((places > -1e-6) & (places < edges + 1e-6)).all(0)
    places = np.clip(places, 0, edges)
    known = np.isfinite(image)
    values = map_coordinates(np.where(known, image, 0.0), places, order=1)
    whole = map_coordinates(known.astype(float), places, order=1) > 1 - 1e-6
    return np.where(inside & whole, values, np.nan)

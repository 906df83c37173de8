"""How deflections are told without a model: centres of mass, correlation with the mean pattern."""

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from benchmarks.common.metrics import Array

THRESHOLDS = (0.1, 0.2, 0.3, 0.5)


def centre_of_mass(counts: Array) -> Array:
    """Centre of all counts of each pattern, pixels from the middle, `pattern x axis`.

    Args:
        counts: `pattern x ky x kx`.
    """
    total = np.maximum(counts.sum((1, 2)), 1e-9)
    ky, kx = (np.arange(size) - (size - 1) / 2 for size in counts.shape[1:])
    along_y = (counts * ky[:, None]).sum((1, 2)) / total
    return np.stack([along_y, (counts * kx).sum((1, 2)) / total], -1)


def thresholded(counts: Array, threshold: float) -> Array:
    """Centre of those counts where the smoothed pattern is above a share of its highest.

    Args:
        counts: `pattern x ky x kx`.
        threshold: the share.
    """
    smooth = gaussian_filter(counts.astype(float), (0, 1, 1))
    kept = smooth > threshold * smooth.max((1, 2), keepdims=True)
    return centre_of_mass(np.where(kept, counts, 0))


def correlated(counts: Array, normalization: str | None) -> Array:
    """Where each pattern matches the mean of all best, to a hundredth of a pixel.

    Args:
        counts: `pattern x ky x kx`.
        normalization: "phase" for phase correlation, None for cross-correlation, which is template
            matching.
    """
    from skimage.registration import phase_cross_correlation

    mean = counts.mean(0)
    return np.array(
        [
            -phase_cross_correlation(mean, one, upsample_factor=100, normalization=normalization)[0]
            for one in counts.astype(float)
        ]
    )


def cramer_rao(expected: Array) -> float:
    """Least error of an unbiased estimate of a rigid shift, all else of a pattern known, pixels.

    Fisher's information of Poisson counts, the sum of (slope of the rate)² / rate; its inverse's
    root mean square over patterns and axes.

    Args:
        expected: counts of each pixel, `pattern x ky x kx`.
    """

    def moved(rate: Array, by: Array) -> Array:
        return shift(rate, by, order=3, mode="nearest")

    bounds, steps = [], 0.25 * np.eye(2)
    for rate in expected.astype(float):
        safe = np.maximum(rate, 1e-3 * rate.mean())  # splines ring where there is nothing
        slopes = [(moved(rate, step) - moved(rate, -step)) / 0.5 for step in steps]
        information = np.array([[(a * b / safe).sum() for a in slopes] for b in slopes])
        bounds.append(np.linalg.inv(information).trace() / 2)
    return float(np.sqrt(np.mean(bounds)))


def error(found: Array, truth: Array) -> float:
    """Root mean square error, but for a constant, which nothing in the patterns tells.

    Args:
        found: `pattern x axis`.
        truth: of the same shape.
    """
    return float(np.sqrt(np.square(difference(found, truth)).mean()))


def difference(found: Array, truth: Array) -> Array:
    """What was found less the truth, but for their means."""
    off = found - truth
    return off - off.mean(0)

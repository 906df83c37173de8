"""Where atoms may be: maxima of what a frame shows above its noise."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pyroshift.analysis.peaks import FURTHEST, SLOWEST, noise_power
from pyroshift.analysis.spectrum import Array, frequencies, hann, tapered_power

SURE = 6.0  # times the noise's power, that noise never has
SMOOTHING = 1  # bins to either side that power is averaged over
SPAN = 0.17  # periods, of the waves that a filtered frame is made of: the scale of its blobs
MARGIN = 1.25  # times the frame's size, to which it is padded
FAINTEST = 0.1  # of the strong maxima's height
STRONG = 0.9  # quantile of heights that stands for the strong ones
NEAR = 0.25  # quantile of distances between nearest neighbours
ROUNDS = 10
LIKELY = 4.0  # standard deviations of noise, that few of its maxima have
BLOB = 3.0  # scales, that a blob reaches
FEWEST_BETWEEN = 0.1  # share of the pixels, from which noise can be told
MEDIAN = 0.6745  # of the size of a standard normal variable
FLATTEST = 1e-3  # of the highest blob, that is taken for noise where there is none
CLEAR = 5.5  # standard deviations of noise, that no maximum of noise has
NARROWEST = 0.75  # pixels, scale of the blobs that a lattice is made of
FINEST, COARSEST = 1.0, 1 / 16  # scales of blobs: pixels, and of the frame's shorter side
THIRD = 3  # highest blob, that scales are compared by, as one alone may be a speck
PROBABLE = 0.25  # of a pixel, that is part of an atom, at the least


@dataclass(frozen=True)
class Filtered:
    """A frame without its noise.

    Args:
        frame: height x width, with mean 0.
        scale: standard deviation in pixels of the blobs that suit it, or NaN if nothing is left.
        noise: height x width, power of the noise at each frequency.
        passed: height x width, share of each frequency that passed.
    """

    frame: Array
    scale: float
    noise: Array
    passed: Array

    def noise_along(self, width: float) -> tuple[Array, Array]:
        """Noise that moves atoms along y and x: how much more than white noise, and what is left.

        Args:
            width: of the atoms, pixels.

        Returns:
            Along both axes, variance of the position in noise as it is over that in white noise of
            the same variance per pixel, and the share of it that passed the filter.
        """
        along = frequencies(self.frame.shape)
        blob = np.exp(-((2 * np.pi * width) ** 2) * (along[0] ** 2 + along[1] ** 2))
        slopes = np.stack([frequency**2 * blob for frequency in along])
        felt = np.sum(slopes * self.noise, (1, 2))
        white = np.sum(slopes, (1, 2)) * self.noise.mean()
        left = np.sum(slopes * self.noise * self.passed**2, (1, 2))
        return felt / white, left / felt


def without_noise(frame: Array, known: Array) -> Filtered:
    """A frame by a Wiener filter: of each frequency as much as there is above the noise.

    What a lattice repeats passes, and noise, which has all frequencies alike, hardly does; without
    a lattice, or something as strong, nothing is left.

    Args:
        frame: height x width, with mean 0.
        known: height x width, False where pixels are missing.

    Source:
        Kilaas, "Optimal and near-optimal filters in high-resolution electron microscopy", Journal
        of Microscopy 190, 45 (1998).
    """
    from scipy.ndimage import map_coordinates

    power = tapered_power(np.where(known, frame, np.nan))
    smooth = _over_neighbours(power)
    noise = noise_power(power)
    passed = np.clip(1 - noise / np.maximum(smooth, _TINY), 0, 1)
    along_y, along_x = frequencies(frame.shape)
    squared = along_y**2 + along_x**2
    height, width = frame.shape
    passed[(along_y * height) ** 2 + (along_x * width) ** 2 < SLOWEST**2] = 0
    weight = squared * np.where(smooth > SURE * noise, passed * smooth, 0.0) ** 2
    strongest = squared.ravel()[np.argmax(weight)]
    waves = round(np.sqrt(strongest) * min(frame.shape))  # which are known to one
    if not weight.any() or waves < SLOWEST or NARROWEST * np.sqrt(strongest) > SPAN:
        return Filtered(np.zeros(frame.shape), np.nan, noise, np.zeros(frame.shape))
    passed[squared > FURTHEST**2 * strongest] = 0
    weight = weight * (passed > 0)
    scale = SPAN * np.sqrt(weight.sum() / (squared * weight).sum())
    # Padded, or a filter would mix what is at opposite edges.
    padded = [int(MARGIN * size) for size in frame.shape]
    places = [np.arange(size) * old / size for size, old in zip(padded, frame.shape, strict=True)]
    grid = np.meshgrid(*places, indexing="ij")
    finer = map_coordinates(passed, grid, order=1, mode="grid-wrap")
    filtered = np.fft.ifft2(np.fft.fft2(np.where(known, frame, 0.0), padded) * finer).real
    inside = filtered[: frame.shape[0], : frame.shape[1]]
    return Filtered(inside, float(scale), noise, passed)


_TINY = np.finfo(float).tiny


def _over_neighbours(power: Array) -> Array:
    """Power averaged over the bins around each."""
    size = 2 * SMOOTHING + 1
    padded = np.pad(power, SMOOTHING, mode="wrap")
    return sliding_window_view(padded, (size, size)).mean((-2, -1))


def blobs(frame: Array, scale: float, apart: float) -> tuple[Array, Array]:
    """Bright blobs of a scale: maxima of the Laplacian of a Gaussian.

    Args:
        frame: height x width, without missing pixels.
        scale: standard deviation of the Gaussian, pixels.
        apart: the least distance between blobs, pixels.

    Returns:
        `blob x axis`, (y, x) in pixels, and their heights, falling.
    """
    return maxima(_curvature(frame, scale), apart)


def _curvature(frame: Array, scale: float) -> Array:
    """How bright a frame is above what is around, at a scale."""
    from scipy.ndimage import gaussian_laplace

    return -gaussian_laplace(frame, scale)


def clear_blobs(frame: Array, scale: float, apart: float) -> tuple[Array, Array]:
    """Blobs that are no noise's, and their heights in its standard deviations.

    How high noise goes is told by the spectrum, which sets a lattice apart from it, or by what is
    left between blobs, which sets those without order apart: either takes the other for noise.
    """
    height, width = frame.shape
    weight = np.sum(np.outer(hann(height), hann(width)) ** 2)
    power = noise_power(tapered_power(frame)) / weight
    along_y, along_x = frequencies(frame.shape)
    squared = (2 * np.pi) ** 2 * (along_y**2 + along_x**2)
    transfer = squared * np.exp(-squared * scale**2 / 2)
    noise = np.sqrt(np.mean(power * transfer**2))
    response = _curvature(frame, scale)
    position, height = maxima(response, apart)
    noise = min(noise, _between(response, position, height, scale))
    noise = max(noise, FLATTEST * response.max(), _TINY)
    kept = height > CLEAR * noise
    return position[kept], height[kept] / noise


def _between(response: Array, position: Array, height: Array, scale: float) -> float:
    """Standard deviation of a response where there are no clear blobs, found in turn with these."""
    left, clear = np.ones(response.shape, bool), 0
    for _ in range(ROUNDS):
        noise = float(np.median(np.abs(response[left])) / MEDIAN)
        found = height > LIKELY * noise
        if found.sum() <= clear:
            break
        clear = int(found.sum())
        left = _away(response.shape, position[found], BLOB * scale)
        if left.mean() < FEWEST_BETWEEN:
            break
    return noise


def _away(shape: tuple[int, ...], position: Array, distance: float) -> Array:
    """Which pixels are so far from positions."""
    from scipy.ndimage import distance_transform_edt

    there = np.ones(shape, bool)
    there[tuple(position.astype(int).T)] = False
    return np.asarray(distance_transform_edt(there) > distance)


def lattice_blobs(filtered: Filtered, scale: float, apart: float) -> Array:
    """Blobs of a frame without its noise: `blob x axis`, (y, x) in pixels."""
    position, height = blobs(filtered.frame, scale, apart)
    if not len(position):
        return position
    return position[height > FAINTEST * np.quantile(height, STRONG)]


def probable(probability: Array, least: float, apart: float) -> Array:
    """Peaks of a map of probabilities: `peak x axis`, (y, x) in pixels."""
    from scipy.ndimage import gaussian_filter

    # Smoothed, since a network's probabilities have plateaus of 1.
    position, _ = maxima(gaussian_filter(probability, SMOOTHING), apart)
    return position[probability[tuple(position.astype(int).T)] > least]


def scale_of_blobs(frame: Array) -> float:
    """The scale at which blobs stand out most, or NaN if they don't at any."""
    coarsest = max(COARSEST * min(frame.shape), FINEST)
    scales = np.geomspace(FINEST, coarsest, max(round(4 * np.log2(coarsest / FINEST)), 1) + 1)
    heights = []
    for scale in scales:
        height = clear_blobs(frame, scale, 2 * scale)[1]
        heights.append(height[min(THIRD, len(height)) - 1] if len(height) else 0.0)
    return float(scales[np.argmax(heights)]) if max(heights) else np.nan


def nearest_distance(position: Array) -> float:
    """Usual distance between nearest neighbours, pixels; infinite with fewer than two."""
    from scipy.spatial import cKDTree

    if len(position) < 2:
        return np.inf
    return float(np.quantile(cKDTree(position).query(position, 2)[0][:, 1], NEAR))


def maxima(response: Array, apart: float) -> tuple[Array, Array]:
    """Maxima above zero, none closer to a higher one than some pixels, and their heights."""
    from scipy.spatial import cKDTree
    from skimage.feature import peak_local_max

    position = peak_local_max(response, min_distance=1, threshold_abs=0, exclude_border=False)
    height = response[tuple(position.T)]  # falling
    pairs = cKDTree(position).query_pairs(apart, output_type="ndarray")
    kept = np.ones(len(position), bool)
    kept[pairs.max(1, initial=0)] = False
    return position[kept].astype(float), height[kept]

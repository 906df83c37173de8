"""Sharp peaks in the power spectrum of an image, above whatever else is in it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pyroshift.analysis.spectrum import Array, frequencies

SLOWEST = 4  # waves across the image; fewer can't be told from uneven background
THRESHOLD = 12.0  # times the noise around it, that no noise reaches
FAINTEST = 1e-4  # of the strongest peak's power; below lie the side lobes of the taper
FURTHEST = 4.0  # times the strongest peak's frequency; beyond lies interference, if anything
MOST = 40  # peaks
ROUNDING = 1e-12  # of the largest power
SMOOTHING = 1  # bins to either side that power is averaged over
PIECE = 24  # bins, at least, of a line that noise is judged from
QUARTILE = 0.25


@dataclass(frozen=True)
class Peaks:
    """Peaks of a spectrum, one of each pair at opposite frequencies, strongest first.

    Args:
        position: peak x axis, (y, x) in cycles per pixel.
        power: peak.
        significance: peak, power over that of the noise around.
        bin: along y and x, distance of the spectrum's samples, in cycles per pixel.
    """

    position: Array
    power: Array
    significance: Array
    bin: Array

    def __len__(self) -> int:
        return len(self.power)


def find_peaks(power: Array, noise: Array, threshold: float = THRESHOLD) -> Peaks:
    """Peaks of a power spectrum that stand out from the noise around them.

    Args:
        power: height x width, as `tapered_power` gives it.
        noise: height x width, as `noise_power` gives it.
        threshold: times the noise around it, that a peak must reach.
    """
    # Distorted lattices have speckled peaks, which an average over neighbours makes whole.
    smooth = _nearby(np.mean, power, SMOOTHING)
    along_y, along_x = frequencies(power.shape)
    candidate = (along_y > 0) | ((along_y == 0) & (along_x > 0))
    candidate &= np.hypot(along_y, along_x) >= SLOWEST / min(power.shape)
    candidate &= (smooth > threshold * noise) & (smooth == _nearby(np.max, smooth, 2))
    rows, columns = np.nonzero(candidate)
    order = np.argsort(-smooth[rows, columns])
    rows, columns = rows[order], columns[order]
    excess = np.maximum(power - noise, np.finfo(float).tiny)
    position = _centroids(excess, rows, columns)
    heights = smooth[rows, columns]
    kept = _well_apart(position, heights, 4 / min(power.shape))
    significance = (smooth / noise)[rows, columns]
    return Peaks(position[kept], heights[kept], significance[kept], 1 / np.array(power.shape))


def noise_power(power: Array) -> Array:
    """Mean power of the noise around each frequency.

    The largest of lower quartiles over a ring, for what is alike in all directions, and along both
    lines through the frequency, for the streaks that jumps between scan lines leave along an axis.
    The lower quartile holds even where the lattice's own peaks take up half of a line.
    """
    quartile = np.maximum(_of_rings(power), _of_lines(power, 0))
    quartile = np.maximum(quartile, _of_lines(power, 1))
    # Power of noise is exponentially distributed.
    mean = quartile / -np.log(1 - QUARTILE)
    return np.maximum(mean, ROUNDING * power.max() + np.finfo(float).tiny)


def _of_rings(power: Array) -> Array:
    """Lower quartile of power on rings that widen outwards, interpolated between them."""
    radius = np.hypot(*frequencies(power.shape)).ravel()
    edges = np.geomspace(2 / min(power.shape), radius.max(), 24)
    ring = np.digitize(radius, edges)
    order = np.argsort(ring, kind="stable")
    starts = np.unique(ring[order], return_index=True)[1][1:]
    rings = np.split(order, starts)
    centres = [np.median(radius[bins]) for bins in rings]
    quartiles = [np.quantile(power.ravel()[bins], QUARTILE) for bins in rings]
    tiny = np.finfo(float).tiny
    return np.exp(np.interp(radius, centres, np.log(np.add(quartiles, tiny)))).reshape(power.shape)


def _of_lines(power: Array, axis: int) -> Array:
    """Lower quartile along pieces of each line; between pieces' centres, the larger of both."""
    length = power.shape[axis]
    pieces = np.array_split(np.arange(length), max(1, length // max(PIECE, length // PIECE)))
    quartiles = np.stack(
        [np.quantile(np.take(power, piece, axis), QUARTILE, axis) for piece in pieces], axis
    )
    centres = [piece.mean() for piece in pieces]
    place = np.interp(np.arange(length), centres, np.arange(len(pieces)))
    below, above = np.floor(place).astype(int), np.ceil(place).astype(int)
    return np.maximum(np.take(quartiles, below, axis), np.take(quartiles, above, axis))


def _nearby(combine: Callable[..., Array], power: Array, reach: int) -> Array:
    """The mean or the largest (`np.mean`, `np.max`) of power over bins to either side."""
    for axis in (0, 1):
        shifted = [np.roll(power, step, axis) for step in range(-reach, reach + 1)]
        power = combine(shifted, axis=0)
    return power


def _centroids(power: Array, rows: Array, columns: Array, reach: int = 2) -> Array:
    """Centres of power around some bins, in cycles per pixel from -1/2 to 1/2."""
    dy, dx = np.indices((2 * reach + 1,) * 2).reshape(2, -1) - reach
    y, x = rows[:, None] + dy, columns[:, None] + dx
    weight = power[y % power.shape[0], x % power.shape[1]]
    centre = np.stack([(weight * y).sum(1), (weight * x).sum(1)], 1) / weight.sum(1)[:, None]
    frequency = centre / power.shape
    return frequency - np.round(frequency)


def _well_apart(position: Array, power: Array, least: float) -> list[int]:
    """Which peaks, given strongest first, are not faint, nor far out, nor beside a stronger one.

    Args:
        position: peak x axis.
        power: peak.
        least: distance between peaks, in cycles per pixel.
    """
    kept: list[int] = []
    frequency = np.linalg.norm(position, axis=1)
    for index in range(len(power)):
        if len(kept) == MOST or power[index] < FAINTEST * power[0]:
            break
        stronger = np.concatenate([position[kept], -position[kept]])
        distance = np.linalg.norm(position[index] - stronger, axis=-1)
        apart = np.all(distance > max(0.15 * frequency[0], least))
        if apart and frequency[index] <= FURTHEST * frequency[0]:
            kept.append(index)
    return kept

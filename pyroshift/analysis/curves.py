"""Noisy curves: where they are, which way they go and how they bend, by local fits."""

import math
from dataclasses import dataclass

import numpy as np

from pyroshift.analysis.levels import Array

_REACH = 3.0  # standard deviations, beyond which points count for nothing
_ROUNDS = 6  # of fits, each along the tangent and with the bend of the one before
_TIGHTEST = 0.4  # bends per standard deviation, beyond which an arc would turn back
_ALL = 20.0  # points by which a curve's own scatter is drawn to that of all


@dataclass(frozen=True, eq=False)
class LocalFits:
    """An arc of a circle around each point of a curve.

    Args:
        places: point x 2, on the arcs.
        tangent: point x 2, of length 1.
        curvature: positive where the curve turns from the first axis towards the second.
        residual: how far each point was beside its arc.
        gain: point x (place, slope, curvature) x neighbour, by which errors of neighbours go in.
        along: point x neighbour, where neighbours are along the curve.
        closed: whether the curve's last point is next to its first.
    """

    places: Array
    tangent: Array
    curvature: Array
    residual: Array
    gain: Array
    along: Array
    closed: bool

    def deviation(self, scatter: float, correlation: float) -> Array:
        """Standard deviations of place, slope and curvature: point x 3.

        Args:
            scatter: standard deviation of a point's place across the curve.
            correlation: standard deviation of the Gaussian that errors were smoothed with along it.
        """
        apart = self.along[:, :, None] - self.along[:, None, :]
        shared = np.exp(-((apart / (2 * correlation)) ** 2))
        variance = np.einsum("pcj,pjk,pck->pc", self.gain, shared, self.gain)
        return scatter * np.sqrt(np.maximum(variance, 0.0))


def resampled(points: Array, step: float) -> Array:
    """Points of a polygon at even distances: about `step`, and both ends.

    Args:
        points: point x 2; the last is the first where it is closed, and left out then.
        step: distance.

    Example:
        >>> resampled(np.array([[0.0, 0.0], [0.0, 3.0]]), 1.0)[:, 1]
        array([0., 1., 2., 3.])
    """
    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    count = max(round(along[-1] / step), 2)
    at = np.linspace(0.0, along[-1], count + 1)
    even = np.column_stack([np.interp(at, along, points[:, axis]) for axis in range(2)])
    return even[:-1] if np.array_equal(points[0], points[-1]) else even


def fitted(points: Array, closed: bool, deviation: float) -> LocalFits:
    """Arcs through the points around each, by Gaussian weights of the distance along.

    Args:
        points: point x 2, from `resampled`.
        closed: whether the last point is next to the first.
        deviation: the Gaussian's standard deviation, in the points' unit.
    """
    count = len(points)
    step = np.hypot(*np.diff(points, axis=0).T).mean()
    # Ways along the curve, without those that noise takes to and fro.
    smooth = _smooth(points, closed, max(deviation / step / 2, 1.0))
    steps = np.hypot(*np.diff(smooth, axis=0, append=smooth[:1]).T)
    along = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    reach = min(math.ceil(_REACH * deviation / max(steps[:-1].mean(), 1e-300)), (count - 1) // 2)
    index = np.arange(count)[:, None] + np.arange(-reach, reach + 1)
    turns, index = (index // count, index % count)
    inside = (turns == 0) | closed
    apart = along[index] - along[:, None] + turns * (along[-1] + steps[-1])
    weight = inside * np.exp(-0.5 * (apart / deviation) ** 2)
    tangent = _direction(points[index], weight)
    forward = (smooth[index[:, reach + 1]] - smooth[index[:, reach - 1]]) * tangent
    tangent = tangent * np.where(forward.sum(-1, keepdims=True) < 0, -1.0, 1.0)
    bend = np.zeros(count)
    for _ in range(_ROUNDS):
        normal = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
        relative = points[index] - smooth[:, None]
        u, v = (np.einsum("pja,pa->pj", relative, each) for each in (tangent, normal))
        v = v - _beyond(u, bend, deviation)
        design = np.stack([np.ones_like(u), u, u**2 / 2], -2)
        weighted = design * weight[:, None]
        gain = np.linalg.solve(weighted @ design.swapaxes(-1, -2), weighted)
        place, slope, bend = np.einsum("pcj,pj->cp", gain, v)
        tangent = tangent + slope[:, None] * normal
        tangent = tangent / np.hypot(*tangent.T)[:, None]
    own = u[:, reach]
    residual = v[:, reach] - place - slope * own - bend * own**2 / 2
    return LocalFits(smooth + place[:, None] * normal, tangent, bend, residual, gain, apart, closed)


def _beyond(u: Array, bend: Array, deviation: float) -> Array:
    """How far arcs are beside the parabolas that touch them, to the eighth order."""
    c = np.clip(bend, -_TIGHTEST / deviation, _TIGHTEST / deviation)[:, None]
    square = (c * u) ** 2
    return np.asarray(c * u**2 * square * (1 / 8 + square / 16 + 5 * square**2 / 128))


def _smooth(points: Array, closed: bool, width: float) -> Array:
    """The points, smoothed; ends stay where a line through them goes."""
    from scipy.ndimage import gaussian_filter1d

    if closed:
        return np.asarray(gaussian_filter1d(points, width, axis=0, mode="wrap"))
    pad = min(math.ceil(4 * width), len(points) - 1)
    wide = np.pad(points, ((pad, pad), (0, 0)), mode="reflect", reflect_type="odd")
    return np.asarray(gaussian_filter1d(wide, width, axis=0))[pad : pad + len(points)]


def _direction(points: Array, weight: Array) -> Array:
    """The direction in which points spread the most: point x 2."""
    share = weight / weight.sum(1, keepdims=True)
    relative = points - np.einsum("pj,pja->pa", share, points)[:, None]
    spread = np.einsum("pj,pja,pjb->pab", share, relative, relative)
    return np.asarray(np.linalg.eigh(spread)[1][..., -1])


def errors(curves: list[LocalFits], step: float, deviation: float) -> tuple[list[float], float]:
    """How far points scatter across each curve, and over which length their errors are alike.

    Residuals are smaller than errors, as fits follow these; by how much at which distance follows
    from the fits, so that the correlation of errors is told by that of the residuals.

    Args:
        curves: fitted.
        step: distance of neighbouring points.
        deviation: of the fits' Gaussian.

    Returns:
        The standard deviation of each curve's points, and that of the Gaussian that errors were
        smoothed with.
    """
    lags = np.arange(max(2, round(deviation / step)) + 1)
    seen, pairs = np.zeros(len(lags)), np.zeros(len(lags))
    for curve in curves:
        residual = curve.residual
        for lag in lags[lags < len(residual)]:
            products = residual[lag:] * residual[: len(residual) - lag]
            seen[lag] += products.sum()
            pairs[lag] += len(products)
    seen = seen / np.maximum(pairs, 1)
    best = (math.inf, step, 1.0)
    for length in np.geomspace(step / 4, deviation / 1.5, 40):
        expected = _left(lags, step, deviation, float(length))
        variance = max(float(seen @ expected / (expected @ expected)), 0.0)
        miss = float(((seen - variance * expected) ** 2).sum())
        best = min(best, (miss, float(length), float(expected[0])))
    _, correlation, left = best
    scatter = []
    for curve in curves:
        count = len(curve.residual) * step / max(correlation, step)
        own = float((curve.residual**2).mean())
        scatter.append(math.sqrt((count * own + _ALL * seen[0]) / (count + _ALL) / left))
    return scatter, correlation


def _left(lags: Array, step: float, deviation: float, correlation: float) -> Array:
    """Covariance of residuals at these lags, where errors have variance 1."""
    reach = math.ceil(_REACH * deviation / step)
    u = step * np.arange(-reach, reach + 1.0)
    weight = np.exp(-0.5 * (u / deviation) ** 2)
    design = np.stack([np.ones_like(u), u, u**2 / 2])
    kernel = -np.linalg.solve((design * weight) @ design.T, design * weight)[0]
    kernel[reach] += 1.0
    both = np.correlate(kernel, kernel, "full")
    wide = step * np.arange(-2 * reach, 2 * reach + 1.0)
    apart = lags[:, None] * step - wide
    return np.asarray(np.exp(-((apart / (2 * correlation)) ** 2)) @ both)

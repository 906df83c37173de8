"""How well poses were found: pure functions from arrays to numbers, beside common.metrics."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment

from benchmarks.common.metrics import Array, mean_angle


def coverage(error: Array, stddev: Array, level: float) -> float:
    """Share of errors within the Gaussian credible interval of a level, such as 0.9."""
    quantile = NormalDist().inv_cdf((1 + level) / 2)
    return float(np.mean(np.abs(error) <= quantile * stddev))


def explained(error: Array, truth: Array) -> float:
    """R²: what the errors, less their mean, leave of the truth's variance."""
    return float(1 - np.var(error) / np.var(truth))


def rms(error: Array) -> float:
    """Root mean square of errors, less their mean."""
    return float(np.std(error))


def median_size(error: Array) -> float:
    """Median size of errors, less their median."""
    return float(np.median(np.abs(error - np.median(error))))


def less_content(error: Array, content: Array) -> Array:
    """Errors less what a cubic of the content explains, found from the better three quarters.

    Where the origin of a motif lies may depend on the motif: no data can tell a wider peak from
    the same peak whose origin is a little to the left.
    """
    design = np.vander((content - content.mean()) / np.std(content), 4)
    residual = error - np.median(error)
    for _ in range(10):
        kept = np.abs(residual) <= np.quantile(np.abs(residual), 0.75)
        residual = error - design @ np.linalg.lstsq(design[kept], error[kept])[0]
    return residual


def matched_filter(
    signal: Array,
    x: Array,
    profile: Callable[[Array], Array],
    width: Array,
    limit: float,
    step: float = 0.1,
) -> Array:
    """Most likely offset of each signal under white noise, its motif and width being known.

    All offsets within ± limit are tried, first in steps, then ten times finer about the best one,
    which a parabola refines.

    Args:
        signal: sample x point.
        x: of the points.
        profile: the motif, of height 1, as a function of (x - offset) / width.
        width: sample, in units of x.
        limit: largest offset, in units of x.
        step: of the first search, a fraction of a width.
    """
    coarse = np.linspace(-limit, limit, 2 * int(np.ceil(limit / step)) + 1)
    step = coarse[1] - coarse[0]
    fine = np.linspace(-step, step, 21)
    offset = np.empty(len(signal))
    for part in np.array_split(np.arange(len(signal)), -(-len(signal) // 64)):
        score = _scores(signal[part], x, profile, width[part], coarse[None])
        near = coarse[score.argmax(1)][:, None] + fine
        score = _scores(signal[part], x, profile, width[part], near)
        best = score.argmax(1).clip(1, len(fine) - 2)
        rows = np.arange(len(part))
        below, at, above = (score[rows, best + shift] for shift in (-1, 0, 1))
        curvature = below - 2 * at + above
        shift = np.where(curvature < 0, 0.5 * (below - above) / np.minimum(curvature, -1e-300), 0.0)
        offset[part] = near[rows, best] + shift.clip(-1, 1) * (fine[1] - fine[0])
    return offset.clip(-limit, limit)


def _scores(
    signal: Array, x: Array, profile: Callable[[Array], Array], width: Array, offset: Array
) -> Array:
    """Log-likelihood, up to factors and constants, of each signal at each of its offsets."""
    motif = profile((x - offset[..., None]) / width[:, None, None])
    return np.einsum("sp,sop->so", signal, motif) - 0.5 * np.sum(motif**2, -1)


def wrapped(value: Array, period: Array | float) -> Array:
    """The values nearest to zero that differ by whole periods."""
    return value - period * np.round(value / period)


def error_modulo_period(
    found: Array, truth: Array, period: Array, phase_too: bool = False
) -> Array:
    """Errors within ± half of each sample's own period, less one constant for all samples.

    Args:
        found: sample, found offset.
        truth: sample, true offset.
        period: sample.
        phase_too: whether to take a constant phase off as well, a shift in proportion to the
            period: whether a sine's origin is its zero or its maximum is a convention too.
    """
    difference = found - truth
    constants = np.linspace(-0.5, 0.5, 201) * period.max()
    phases = np.arange(48) / 48 if phase_too else np.zeros(1)
    turn = 2j * np.pi / period
    # Exponentials of sums are products, so that every pair of candidates is one matrix product.
    rows = np.exp(turn * (difference - phases[:, None] * period))
    fit = (rows @ np.exp(-turn * constants[:, None]).T).real
    phase, constant = np.unravel_index(fit.argmax(), fit.shape)
    error = wrapped(difference - phases[phase] * period - constants[constant], period)
    design = np.column_stack([np.ones_like(period), period][: 1 + phase_too])
    for _ in range(20):
        error = wrapped(error - design @ np.linalg.lstsq(design, error)[0], period)
    return error


def explained_modulo_period(error: Array, truth: Array, period: Array) -> float:
    """R² of an offset modulo a period: 1 if found exactly, about 0 or less if it says nothing.

    That is 1 less the mean square of the wrapped error, divided by what it would be if nothing
    were known: the truth's variance, or the period's square / 12, whichever is smaller.
    """
    unknown = min(float(np.var(truth)), float(np.mean(period**2)) / 12)
    return float(1 - np.mean(error**2) / unknown)


def offset_error(found: Array, truth: Array, angle: Array) -> Array:
    """Errors of offsets (sample x axis), less one gauge for all samples.

    The gauge is a constant and a constant that turns with the motif (common.metrics tells why),
    here fitted to samples whose error is not far beyond the median.
    """
    cos, sin, one, zero = np.cos(angle), np.sin(angle), np.ones_like(angle), np.zeros_like(angle)
    design = np.stack(
        [np.stack([one, zero, cos, -sin], 1), np.stack([zero, one, sin, cos], 1)], 1
    )  # sample x axis x parameter
    difference = found - truth
    residual = difference - np.median(difference, 0)
    for _ in range(10):
        size = np.linalg.norm(residual, axis=1)
        kept = size <= 3 * np.median(size)
        gauge = np.linalg.lstsq(design[kept].reshape(-1, 4), difference[kept].ravel())[0]
        residual = difference - design @ gauge
    return residual


def offset_less_content(error: Array, angle: Array, content: Array) -> Array:
    """Errors of offsets (sample x axis) less what content explains of them in the motif's frame.

    Which point of a motif is its origin may depend on the motif: nothing in the data tells a glyph
    with a brighter dot from the same glyph moved a little within its frame.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    y, x = error.T
    turned = (cos * y + sin * x, cos * x - sin * y)
    y, x = (less_content(component, content) for component in turned)
    return np.stack([cos * y - sin * x, sin * y + cos * x], 1)


def spread_about_content(z: Array, content: Array) -> Array:
    """A latent (sample) less the smooth function of the content that it is."""
    design = np.vander((content - content.mean()) / np.std(content), 8)
    return z - design @ np.linalg.lstsq(design, z)[0]


def angle_error(found: Array, truth: Array) -> Array:
    """Errors of angles in (-pi, pi], less their median on the circle."""
    error = wrapped(found - truth - mean_angle(found - truth), 2 * np.pi)
    return wrapped(error - np.median(error), 2 * np.pi)


def resultant(found: Array, truth: Array) -> float:
    """Length of the mean of the unit vectors of the errors: 1 if equal up to a constant."""
    return float(np.abs(np.mean(np.exp(1j * (found - truth)))))


def pearson(found: Array, truth: Array) -> float:
    """Pearson correlation."""
    return float(np.corrcoef(found, truth)[0, 1])


def k_means(z: Array, count: int, starts: int = 20) -> Array:
    """Cluster of each sample (sample x latent), the tightest of many starts."""
    best, labels = np.inf, np.zeros(len(z), int)
    for seed in range(starts):
        centres, found = kmeans2(z, count, iter=100, minit="++", rng=seed, missing="warn")
        inertia = float(np.sum((z - centres[found]) ** 2))
        if inertia < best:
            best, labels = inertia, found
    return labels


def cluster_accuracy(found: Array, truth: Array) -> float:
    """Share of samples in the right class, under the best pairing of clusters with classes."""
    size = int(max(found.max(), truth.max())) + 1
    counts = np.zeros((size, size), int)
    np.add.at(counts, (found, truth), 1)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(truth))

"""Planes fitted to a displacement around each window, and how sure their slopes are."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pyroshift.analysis.unwrapping import Array, nearest_cell

REACH = 3.0  # standard deviations of the weights, beyond which windows don't count
FLATTEST = 1e6  # condition, beyond which windows are nearly on one line
MEDIAN = 0.4549  # of a squared standard Normal


@dataclass(frozen=True)
class Slopes:
    """The displacement's gradient around each window.

    Args:
        gradient: height x width x component x axis.
        covariance: height x width x component x axis x axis, of the errors along both axes.
        excess: component, how many times as much windows scatter about the field as they say.
    """

    gradient: Array
    covariance: Array
    excess: Array


@dataclass(frozen=True)
class Grid:
    """Windows on a grid, as far as fits ask for it.

    Args:
        spacing: of the windows along y and x, with its sign.
        window: how far a window reaches along y and x.
        width: standard deviation of the weights, in the same unit.
        vectors: vector x axis, the two shortest of the lattice.
    """

    spacing: Array
    window: Array
    width: float
    vectors: Array

    @property
    def reach(self) -> Array:
        """How many windows to either side count."""
        return np.ceil(REACH * self.width / np.abs(self.spacing) - 1e-9).astype(int)

    def steps(self) -> tuple[Array, Array]:
        """Distances of the windows around one from it, along y and x, in its spacing's unit."""
        ky, kx = self.reach
        y, x = (np.arange(-k, k + 1) * size for k, size in zip((ky, kx), self.spacing, strict=True))
        return y, x

    def shared(self) -> tuple[Array, Array]:
        """The share of their pixels that windows so far apart have in common, along y and x."""
        each = []
        for along, size in zip(self.steps(), self.window, strict=True):
            apart = np.abs(along[:, None] - along)
            each.append(np.maximum(0.0, 1.0 - apart / size) if size > 0 else np.eye(len(along)))
        return each[0], each[1]


def slopes(values: Array, deviation: Array, steps: tuple[Array, Array], grid: Grid) -> Slopes:
    """Planes fitted by least squares, windows weighted by a Gaussian of their distance.

    Errors of two windows are correlated by the share of the pixels that both hold: what their
    pixels' noise says of the offset is a sum over these. Steps between neighbours, which no cut in
    the unwrapped field touches, say which way to expect it, and each window counts in the cell that
    is nearest to that.

    Args:
        values: height x width x component, the displacement; NaN where that isn't known.
        deviation: height x width x component, how sure it is.
        steps: from `neighbour_steps`.
        grid: of the windows.
    """
    known = np.asarray(np.isfinite(values).all(-1))
    expected = _expected(known, steps, grid)
    weight = np.where(known, 1.0 / _weighed(deviation, known), 0.0)
    padded = [_padded(each, grid) for each in (values, np.nan_to_num(deviation), weight)]
    height, width = known.shape
    gradient = np.full((height, width, 2, 2), np.nan)
    covariance = np.full((height, width, 2, 2, 2), np.nan)
    ratios = [
        _row(row, padded, expected[row], values[row], grid, gradient, covariance)
        for row in range(height)
    ]
    scatter = np.concatenate(ratios)
    squared = np.median(scatter, 0) / MEDIAN if scatter.size else np.ones(2)
    gradient[~known], covariance[~known] = np.nan, np.nan
    return Slopes(gradient, covariance, np.sqrt(squared))


def _weighed(deviation: Array, known: Array) -> Array:
    """Variances by which windows count, none much more than most."""
    variance = (deviation**2).mean(-1)
    typical = float(np.median(variance[known]))
    return np.maximum(variance / typical, 0.5) if typical > 0 else np.ones(known.shape)


def _expected(known: Array, steps: tuple[Array, Array], grid: Grid) -> Array:
    """The gradient as the steps between neighbours have it, height x width x component x axis."""
    from scipy.ndimage import gaussian_filter

    width = grid.width / np.abs(grid.spacing)
    found = np.zeros((*known.shape, 2, 2))
    for axis, step in enumerate(steps):
        full = np.full((*known.shape, 2), np.nan)
        full[tuple(slice(0, size) for size in step.shape[:2])] = step
        there = np.isfinite(full).all(-1)
        total = gaussian_filter(there.astype(float), width, mode="constant", truncate=REACH)
        for component in range(2):
            filled = np.where(there, full[..., component], 0.0)
            smooth = gaussian_filter(filled, width, mode="constant", truncate=REACH)
            found[..., component, axis] = smooth / np.maximum(total, 1e-9) / grid.spacing[axis]
    return found


def _padded(array: Array, grid: Grid) -> Array:
    """An array with what isn't there, zero, around it."""
    edges = [(k, k) for k in grid.reach] + [(0, 0)] * (array.ndim - 2)
    return np.pad(array, edges)


def _row(
    row: int,
    padded: list[Array],
    expected: Array,
    centres: Array,
    grid: Grid,
    gradient: Array,
    covariance: Array,
) -> Array:
    """Fit around each window of a row; how much they scatter over how much they should, squared."""
    ky, kx = grid.reach
    # window x component x y x x, and without components of the weights.
    values, deviation, weight = (
        np.moveaxis(
            sliding_window_view(each[row : row + 2 * ky + 1], 2 * kx + 1, 1), [0, -1], [-2, -1]
        )
        for each in padded
    )
    y, x = grid.steps()
    gauss = np.exp(-0.5 * (y[:, None] ** 2 + x**2) / grid.width**2)
    weight = weight * gauss
    plane, curved = _design(grid)
    slope, good = _functionals(plane, weight)
    away = np.stack(np.broadcast_arrays(y[:, None], x))
    tilt = np.einsum("ncd,dij->ncij", expected, away)
    start = np.where(np.isfinite(centres), centres, 0.0)[..., None, None]
    rest = np.where(np.isfinite(values), values - start - tilt, 0.0)
    rest = np.moveaxis(nearest_cell(np.moveaxis(rest, 1, -1), grid.vectors), -1, 1)
    near = tilt + rest
    fitted = np.einsum("ndij,ncij->ncd", slope[:, 1:3], near)
    told = _covariance(slope[:, None, 1:3], deviation, grid)
    gradient[row], covariance[row] = np.where(good[:, None, None], fitted, np.nan), told
    covariance[row][~good] = np.nan
    # A curved surface, as scatter about a plane would be what the field itself does.
    level, certain = _functionals(curved, weight)
    off = -level[:, :1]
    off[:, 0, ky, kx] += 1.0
    scatter = np.einsum("nij,ncij->nc", off[:, 0], near)
    should = _covariance(off[:, None], deviation, grid)[..., 0, 0]
    counts = certain & np.isfinite(centres).all(-1)
    counts &= (weight > 0).sum((1, 2)) >= 2 * len(curved)
    return scatter[counts] ** 2 / np.maximum(should[counts], 1e-300)


def _design(grid: Grid) -> tuple[Array, Array]:
    """What planes and curved surfaces are made of: term x y x x, in widths of the weights."""
    y, x = np.broadcast_arrays(grid.steps()[0][:, None], grid.steps()[1])
    one = np.ones_like(y)
    scaled = y / grid.width, x / grid.width
    plane = np.stack([one, y, x])
    curved = np.stack([one, *scaled, scaled[0] ** 2, scaled[0] * scaled[1], scaled[1] ** 2])
    return plane, curved


def _functionals(design: Array, weight: Array) -> tuple[Array, Array]:
    """Weights with which values add up to each term's coefficient: window x term x y x x."""
    terms, count = len(design), len(weight)
    scale = np.abs(design).max((1, 2), keepdims=True)
    design = design / scale
    products = (design[:, None] * design).reshape(terms * terms, -1)
    normal = (weight.reshape(count, -1) @ products.T).reshape(count, terms, terms)
    size = np.trace(normal, axis1=1, axis2=2)
    usable = size > 0
    normal[~usable] = np.eye(terms)
    good = usable & (np.linalg.cond(normal) < FLATTEST)
    normal[~good] = np.eye(terms)
    weighted = weight[:, None] * design
    solved = np.linalg.solve(normal, weighted.reshape(count, terms, -1))
    return solved.reshape(weighted.shape) / scale, good


def _covariance(functionals: Array, deviation: Array, grid: Grid) -> Array:
    """Covariance of sums of windows' errors: window x component x term x term.

    Args:
        functionals: window x (component or 1) x term x y x x, what windows count in each sum.
        deviation: window x component x y x x.
        grid: of the windows.
    """
    along_y, along_x = grid.shared()
    each = functionals * deviation[:, :, None]
    return np.einsum("ncaij,ncbij->ncab", each, along_y @ each @ along_x)

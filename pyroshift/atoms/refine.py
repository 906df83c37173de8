"""Gaussian atoms fitted to a frame, all at once."""

from dataclasses import dataclass, fields, replace

import numpy as np

from pyroshift.analysis.spectrum import Array

RADIUS = 0.6  # separations around an atom, in which it is fitted
SMALLEST_RADIUS = 2.5  # pixels
REACH = 1 / 3  # separations that an atom may move away from where it was thought to be
WIDTH_SPREAD = 0.2  # relative, that atoms' widths are thought to differ by
ITERATIONS = 12
DAMPING = 0.02  # of the curvature, that is added to it
LONGEST_STEP = 0.3  # widths
SETTLED = 0.01  # pixels
TAILS = 3.0  # widths, within which an atom is felt
AT_ONCE = 60_000  # pixels of windows worked on at once
FEWEST = 20  # atoms, from which the width of what is expected can be told
CHI_SQUARE_MEDIAN = 0.455
OUTLYING = 3.0  # standard deviations
PARAMETERS = 5
Y, X, LOG_WIDTH, AMPLITUDE, BACKGROUND = range(PARAMETERS)


@dataclass(frozen=True)
class Fits:
    """Gaussian atoms, on a level background each, in an image.

    Args:
        position: atom x axis, (y, x) in pixels.
        amplitude: atom.
        width: atom, standard deviation in pixels.
        background: atom.
        position_std: atom x axis.
        amplitude_std: atom.
        moved: atom, pixels from where it was thought to be.
    """

    position: Array
    amplitude: Array
    width: Array
    background: Array
    position_std: Array
    amplitude_std: Array
    moved: Array

    def __len__(self) -> int:
        return len(self.position)

    def take(self, kept: Array) -> "Fits":
        """Some of them."""
        return Fits(*(getattr(self, field.name)[kept] for field in fields(self)))


def fit_gaussians(
    frame: Array, known: Array, start: Array, width: float, separation: float
) -> Fits:
    """Fit a Gaussian to each atom, with its neighbours' taken off.

    Levenberg and Marquardt's method, for each atom within a disc around it, over and over until
    neighbours agree. Widths are held together, as the noise may leave them open.

    Args:
        frame: height x width.
        known: height x width, False where pixels are missing.
        start: atom x axis, where they are thought to be.
        width: their usual standard deviation, pixels.
        separation: the least distance between them, pixels.
    """
    fit = _Fit(frame, known, start, width, separation)
    for iteration in range(ITERATIONS if len(start) else 0):
        if fit.improve() < SETTLED and iteration:
            break
    return fit.result()


class _Fit:
    """A fit on its way."""

    def __init__(
        self, frame: Array, known: Array, start: Array, width: float, separation: float
    ) -> None:
        self.radius = max(RADIUS * separation, SMALLEST_RADIUS)
        self.reach = REACH * separation
        self.edge = int(np.ceil(max(self.radius, TAILS * width)))
        self.start, self.width = start, width
        self.frame = np.pad(np.where(known, frame, 0.0), self.edge)
        self.known = np.pad(known, self.edge)
        self.corner = np.round(start).astype(int)  # of the windows in the padded frame
        self.steps = np.arange(2 * self.edge + 1)
        self.parameters = np.zeros((len(start), PARAMETERS))
        self.parameters[:, [Y, X]] = start
        self.parameters[:, LOG_WIDTH] = np.log(width)
        self.variance = np.zeros(len(start))
        self.covariance = np.zeros((len(start), PARAMETERS, PARAMETERS))
        for part in self._parts():
            inside, values = self._inside(part), self._windows(self.frame, part)
            count = np.maximum(inside.sum((1, 2)), 1)
            mean = (values * inside).sum((1, 2)) / count
            self.parameters[part, BACKGROUND] = mean
            spread = np.sqrt(((values - mean[:, None, None]) ** 2 * inside).sum((1, 2)) / count)
            self.parameters[part, AMPLITUDE] = spread

    def improve(self) -> float:
        """One step of all atoms; gives how far they moved, but for the most restless hundredth."""
        residual = self.frame - self._render()
        moved = np.zeros(len(self.start))
        for part in self._parts():
            slopes, left, inside = self._linearised(residual, part)
            curvature = slopes.transpose(0, 2, 1) @ slopes
            gradient = (slopes.transpose(0, 2, 1) @ left[..., None])[..., 0]
            freedom = np.maximum(inside.sum(1) - PARAMETERS, 1)
            self.variance[part] = (left**2).sum(1) / freedom
            stiffness = self.variance[part] / WIDTH_SPREAD**2
            curvature[:, LOG_WIDTH, LOG_WIDTH] += stiffness
            offset = self.parameters[part, LOG_WIDTH] - np.log(self.width)
            gradient[:, LOG_WIDTH] -= stiffness * offset
            diagonal = np.einsum("nii->ni", curvature)
            diagonal += 1e-9 * diagonal.max(1, keepdims=True) + 1e-30
            self.covariance[part] = np.linalg.inv(curvature)
            diagonal *= 1 + DAMPING
            step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
            limit = LONGEST_STEP * np.array([self.width, self.width, 1.0])
            step[:, :3] = np.clip(step[:, :3], -limit, limit)
            self.parameters[part] += step
            away = self.parameters[part, :2] - self.start[part]
            distance = np.linalg.norm(away, axis=1, keepdims=True)
            away *= np.minimum(1, self.reach / np.maximum(distance, 1e-9))
            self.parameters[part, :2] = self.start[part] + away
            moved[part] = np.abs(step[:, :2]).max(1)
        return float(np.quantile(moved, 0.99))

    def result(self) -> Fits:
        """The atoms as they are now."""
        y, x, log_width, amplitude, background = self.parameters.T
        position = np.stack([y, x], 1)
        std = np.sqrt(np.einsum("nii->ni", self.covariance) * self.variance[:, None])
        moved = np.linalg.norm(position - self.start, axis=1)
        return Fits(
            position, amplitude, np.exp(log_width), background, std[:, :2], std[:, AMPLITUDE], moved
        )

    def _parts(self) -> list[slice]:
        """Atoms, as many at once as there is memory for."""
        size = max(AT_ONCE // len(self.steps) ** 2, 1)
        return [slice(first, first + size) for first in range(0, len(self.start), size)]

    def _places(self, part: slice) -> tuple[Array, Array]:
        """Rows and columns of windows in the padded frame, atom x row x 1 and atom x 1 x column."""
        corner = self.corner[part]
        return corner[:, 0, None, None] + self.steps[:, None], corner[:, 1, None, None] + self.steps

    def _windows(self, padded: Array, part: slice) -> Array:
        return padded[self._places(part)]

    def _inside(self, part: slice) -> Array:
        """Which pixels of the windows count: atom x row x column."""
        rows, columns = self._places(part)
        y, x = (self.start[part].T + self.edge)[:, :, None, None]
        return ((rows - y) ** 2 + (columns - x) ** 2 <= self.radius**2) & self.known[rows, columns]

    def _shapes(self, part: slice) -> tuple[Array, Array, Array]:
        """Gaussians of height 1 (atom x row x column), and pixels from their centres in widths."""
        width = np.exp(self.parameters[part, LOG_WIDTH])[:, None]
        along = (self.corner[part] - self.edge - self.parameters[part, :2])[..., None] + self.steps
        y, x = along[:, 0] / width, along[:, 1] / width
        return np.exp(-0.5 * y**2)[:, :, None] * np.exp(-0.5 * x**2)[:, None], y, x

    def _render(self) -> Array:
        """The sum of all atoms, without their backgrounds, in the padded frame."""
        total = np.zeros(self.frame.size)
        for part in self._parts():
            shape, _, _ = self._shapes(part)
            rows, columns = self._places(part)
            flat = rows * self.frame.shape[1] + columns
            values = shape * self.parameters[part, AMPLITUDE, None, None]
            total += np.bincount(flat.ravel(), values.ravel(), total.size)
        return total.reshape(self.frame.shape)

    def _linearised(self, residual: Array, part: slice) -> tuple[Array, Array, Array]:
        """Slopes (atom x pixel x parameter), misfit and whether pixels count (atom x pixel)."""
        shape, y, x = self._shapes(part)
        height = self.parameters[part, AMPLITUDE, None, None] * shape
        width = np.exp(self.parameters[part, LOG_WIDTH])[:, None, None]
        inside = self._inside(part)
        slopes = np.empty((*shape.shape, PARAMETERS))
        slopes[..., Y] = height * y[:, :, None] / width
        slopes[..., X] = height * x[:, None] / width
        slopes[..., LOG_WIDTH] = height * (y[:, :, None] ** 2 + x[:, None] ** 2)
        slopes[..., AMPLITUDE] = shape
        slopes[..., BACKGROUND] = 1
        slopes *= inside[..., None]
        left = self._windows(residual, part) - self.parameters[part, BACKGROUND, None, None]
        count = len(shape)
        return (
            slopes.reshape(count, -1, PARAMETERS),
            (left * inside).reshape(count, -1),
            inside.reshape(count, -1),
        )


def held_together(fits: Fits, expected: Fits) -> Fits:
    """Positions drawn towards those that the lattice lets one expect, by as much as it is right.

    Empirical Bayes: what is expected of each atom is a normal distribution around the place that
    the lattice around has for it. How wide it is, is told by how much further than their own
    uncertainty the atoms are from there. Atoms off by more than three standard deviations are left
    where they are.

    Args:
        fits: each atom by itself.
        expected: the same atoms in the frame without its noise.
    """
    away = fits.position - expected.position
    own = fits.position_std**2
    good = np.isfinite(own).all(1) & (fits.amplitude > 0)
    if good.sum() < FEWEST:
        return fits
    usual = np.median(own[good], 0)
    spread = np.median(away[good] ** 2, 0) / CHI_SQUARE_MEDIAN - usual
    # What the estimate itself leaves open.
    prior = np.maximum(spread, 0) + usual * np.sqrt(2 / good.sum())
    share = own / (own + prior)
    off = (away**2 > OUTLYING**2 * (own + prior)).any(1) | ~good
    share[off] = 0
    position = fits.position - share * away
    std = fits.position_std * np.sqrt(1 - share)
    return replace(fits, position=position, position_std=std)

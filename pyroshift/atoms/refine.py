"""Gaussian atoms fitted to a frame, all at once."""

from dataclasses import dataclass, fields

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
IN_CACHE = 30_000  # pixels around atoms, that the processor's cache has room for
IN_MEMORY = 1_000_000
CALM = 0.95  # share of atoms that must have settled
ROUNDING = 1e-9
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
    """

    position: Array
    amplitude: Array
    width: Array
    background: Array
    position_std: Array
    amplitude_std: Array

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
    """A fit on its way. All is kept in a frame with a margin, so that no atom is at its edge."""

    def __init__(
        self, frame: Array, known: Array, start: Array, width: float, separation: float
    ) -> None:
        radius = max(RADIUS * separation, SMALLEST_RADIUS)
        self.start, self.width, self.reach = start, width, REACH * separation
        self.disc = _disc(radius)
        self.tails = int(np.ceil(TAILS * width))
        self.margin = max(self.tails, int(np.ceil(radius)))
        self.frame = np.pad(np.where(known, frame, 0.0), self.margin)
        self.known = np.pad(known, self.margin)
        self.pixel = np.round(start).astype(int)
        count = len(start)
        self.parameters = np.zeros((count, PARAMETERS))
        self.parameters[:, [Y, X]] = start
        self.parameters[:, LOG_WIDTH] = np.log(width)
        self.variance = np.zeros(count)
        self.covariance = np.zeros((count, PARAMETERS, PARAMETERS))
        for part in self._parts():
            inside, values = self._around(self.known, part), self._around(self.frame, part)
            pixels = np.maximum(inside.sum(1), 1)
            mean = (values * inside).sum(1) / pixels
            spread = np.sqrt(((values - mean[:, None]) ** 2 * inside).sum(1) / pixels)
            self.parameters[part, BACKGROUND], self.parameters[part, AMPLITUDE] = mean, spread

    def improve(self) -> float:
        """One step of all atoms; gives how far all but the most restless few moved."""
        residual = self.frame - self._rendered()
        moved = np.zeros(len(self.start))
        for part in self._parts():
            slopes, left, freedom = self._linearised(residual, part)
            turned = slopes.transpose(0, 2, 1)
            curvature, gradient = turned @ slopes, (turned @ left[..., None])[..., 0]
            self.variance[part] = (left**2).sum(1) / freedom
            stiffness = self.variance[part] / WIDTH_SPREAD**2
            curvature[:, LOG_WIDTH, LOG_WIDTH] += stiffness
            offset = self.parameters[part, LOG_WIDTH] - np.log(self.width)
            gradient[:, LOG_WIDTH] -= stiffness * offset
            diagonal = np.einsum("nii->ni", curvature)  # a view
            diagonal += ROUNDING * diagonal.max(1, keepdims=True) + np.finfo(float).tiny
            self.covariance[part] = np.linalg.inv(curvature)
            diagonal *= 1 + DAMPING
            step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
            moved[part] = np.abs(step[:, [Y, X]]).max(1)
            self._move(part, step)
        return float(np.quantile(moved, CALM))

    def result(self) -> Fits:
        """The atoms as they are now."""
        std = np.sqrt(np.einsum("nii->ni", self.covariance) * self.variance[:, None])
        return Fits(
            position=self.parameters[:, [Y, X]],
            amplitude=self.parameters[:, AMPLITUDE],
            width=np.exp(self.parameters[:, LOG_WIDTH]),
            background=self.parameters[:, BACKGROUND],
            position_std=std[:, [Y, X]],
            amplitude_std=std[:, AMPLITUDE],
        )

    def _parts(self, pixels: int = IN_CACHE) -> list[slice]:
        """Atoms, as many at once as have together so many pixels around them."""
        size = max(pixels // len(self.disc), 1)
        return [slice(first, first + size) for first in range(0, len(self.start), size)]

    def _around(self, padded: Array, part: slice) -> Array:
        """The pixels around atoms: atom x pixel."""
        stride = np.array([padded.shape[1], 1])
        first = (self.pixel[part] + self.margin) @ stride
        return padded.ravel().take(first[:, None] + self.disc @ stride)

    def _rendered(self) -> Array:
        """The sum of all atoms, without their backgrounds."""
        total = np.zeros(self.frame.size)
        along = np.arange(-self.tails, self.tails + 1)
        for part in self._parts(IN_MEMORY):
            width = np.exp(self.parameters[part, LOG_WIDTH, None])
            place = self.pixel[part, :, None] + along  # atom x axis x pixel
            scaled = (place - self.parameters[part, :2, None]) / width[..., None]
            y, x = np.exp(-0.5 * scaled**2).transpose(1, 0, 2)
            height = self.parameters[part, AMPLITUDE, None, None] * y[:, :, None] * x[:, None]
            rows, columns = (place + self.margin).transpose(1, 0, 2)
            flat = rows[:, :, None] * self.frame.shape[1] + columns[:, None]
            total += np.bincount(flat.ravel(), height.ravel(), total.size)
        return total.reshape(self.frame.shape)

    def _linearised(self, residual: Array, part: slice) -> tuple[Array, Array, Array]:
        """Slopes (atom x pixel x parameter), misfit (atom x pixel), and degrees of freedom."""
        parameters = self.parameters[part]
        width = np.exp(parameters[:, LOG_WIDTH, None])
        inside = self._around(self.known, part)
        place = self.pixel[part, None] + self.disc - parameters[:, None, [Y, X]]
        y, x = place.transpose(2, 0, 1) / width
        shape = np.exp(-0.5 * (y**2 + x**2)) * inside
        height = parameters[:, AMPLITUDE, None] * shape
        slopes = np.empty((*shape.shape, PARAMETERS))
        slopes[..., Y] = height * y / width
        slopes[..., X] = height * x / width
        slopes[..., LOG_WIDTH] = height * (y**2 + x**2)
        slopes[..., AMPLITUDE] = shape
        slopes[..., BACKGROUND] = inside
        left = (self._around(residual, part) - parameters[:, BACKGROUND, None]) * inside
        return slopes, left, np.maximum(inside.sum(1) - PARAMETERS, 1)

    def _move(self, part: slice, step: Array) -> None:
        """Take a step, not too long, and not too far from the start."""
        limit = LONGEST_STEP * np.array([self.width, self.width, 1.0])
        step[:, : len(limit)] = np.clip(step[:, : len(limit)], -limit, limit)
        self.parameters[part] += step
        away = self.parameters[part, :2] - self.start[part]
        distance = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), self.reach)
        self.parameters[part, :2] = self.start[part] + away * self.reach / distance


def _disc(radius: float) -> Array:
    """Pixels within a radius of one: pixel x axis."""
    edge = int(radius)
    steps = np.stack(np.meshgrid(*[np.arange(-edge, edge + 1)] * 2, indexing="ij"), -1)
    return steps[np.linalg.norm(steps, axis=-1) <= radius]

"""A smooth function of the position, fitted to noisy values: a Gaussian process, by Pyro.

The kernel is Matérn's of 5/2, a function that bends twice: of the smoother squared exponential, the
intervals hold the truth in half of the places only, where it is a random walk such as a drift. The
length scales along y and x, the amplitude and the noise are those under which a part of the
values is most probable; then the posterior is taken from all values, through inducing points on a
grid as dense as the length scales ask for. So functions that change quickly along one axis and
slowly along the other, as distortions of a scan do, take few of them.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
from numpy.typing import NDArray
from pyro.contrib import gp
from pyro.infer import TraceMeanField_ELBO
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import constraints

from pyroshift.errors import TrainingError

Array = NDArray[Any]

SUBSET = 600  # values that the length scales are learned from; time grows with the cube
STARTS = (0.03, 0.1, 0.3, 1.0)  # length scales to begin with, in larger sides of the area
STEPS = 50
ENOUGH = 1e-3  # nats; a step that gains less is the last
# Beyond these, nothing changes any more but the condition of matrices.
LENGTHS = (1e-3, 30.0)  # larger sides of the area
VARIANCES = (1e-6, 1e3)  # of the function, variances of the values
NOISES = (1e-5, 3.0)  # of the noise, likewise
DENSITY = 0.06  # length scales between inducing points
FEWEST_POINTS = 6  # inducing ones along an axis
MOST_POINTS = 1000  # inducing ones
JITTER = 1e-6
FINE = 25  # nodes per length scale, between which splines interpolate
_CHUNK = 2**14  # positions at once


@dataclass(frozen=True, eq=False)
class SmoothFunction:
    """The posterior of a smooth function of (y, x).

    Args:
        process: a sparse Gaussian process of standardised values.
        corner: lowest y and x of the area.
        side: length of its larger side.
        mean: of the values.
        scale: of the values, their standard deviation.
    """

    process: gp.models.SparseGPRegression
    corner: Array
    side: float
    mean: float
    scale: float

    @property
    def length_scale(self) -> Array:
        """Distance along y and along x over which the function changes."""
        with torch.no_grad():
            return self.side * self.process.kernel.lengthscale.numpy()

    @property
    def noise(self) -> float:
        """Standard deviation of the values from the function."""
        return self.scale * math.sqrt(torch.as_tensor(self.process.noise).item())

    @property
    def amplitude(self) -> float:
        """Standard deviation of the function itself, before anything is known of it."""
        return self.scale * math.sqrt(float(self.process.kernel.variance))

    def at(self, positions: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the function.

        Args:
            positions: position x axis.
        """
        inputs = torch.as_tensor((positions - self.corner) / self.side)
        parts = []
        # Within a module's call Pyro puts parameters into the store, which is the user's.
        with pyro.get_param_store().scope(), torch.no_grad():
            for chunk in inputs.split(_CHUNK):
                mean, variance = self.process(chunk)
                parts.append(torch.stack([mean, variance.clamp(min=0).sqrt()]))
        mean, deviation = torch.cat(parts, 1).numpy() if parts else np.empty((2, 0))
        return self.mean + self.scale * mean, self.scale * deviation

    def on_grid(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation on a grid, height x width.

        They are computed at some nodes per length scale and interpolated, as both are smooth.
        """
        from scipy.interpolate import make_interp_spline

        nodes = [
            _nodes(values, float(length) / FINE)
            for values, length in zip((y, x), self.length_scale, strict=True)
        ]
        at_nodes = self.at(np.stack(np.meshgrid(*nodes, indexing="ij"), -1).reshape(-1, 2))
        parts = [part.reshape(len(nodes[0]), len(nodes[1])) for part in at_nodes]
        for axis, values in enumerate((y, x)):
            if len(nodes[axis]) < len(values):
                parts = [make_interp_spline(nodes[axis], part, axis=axis)(values) for part in parts]
            else:
                parts = [part.take(np.searchsorted(nodes[axis], values), axis) for part in parts]
        return parts[0], np.maximum(parts[1], 0)


def fit_smooth(positions: Array, values: Array, seed: int = 0) -> SmoothFunction:
    """The smooth function behind some noisy values.

    Args:
        positions: value x axis.
        values: one for each position.
        seed: of the choice of those that the length scales are learned from.

    Raises:
        TrainingError: if the process can't be fitted.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> positions = rng.uniform(0, 100, (200, 2))
        >>> values = np.sin(positions[:, 0] / 10) + rng.normal(0, 0.1, 200)
        >>> function = fit_smooth(positions, values)
        >>> bool(abs(function.at(np.array([[50.0, 50.0]]))[0] - np.sin(5)) < 0.15)
        True
    """
    corner, side = positions.min(0), float(np.ptp(positions, axis=0).max())
    mean, scale = float(values.mean()), max(float(values.std()), 1e-9 * side)
    inputs = torch.as_tensor((positions - corner) / side, dtype=torch.float64)
    targets = torch.as_tensor((values - mean) / scale, dtype=torch.float64)
    chosen = np.random.default_rng(seed).permutation(len(values))[:SUBSET]
    try:
        kernel, noise = _learned(inputs[chosen], targets[chosen])
    except RuntimeError as error:  # of torch.linalg, whose own class isn't public
        raise TrainingError(
            "no smooth function can be fitted to these displacements: are atoms doubled?"
        ) from error
    places = _inducing(inputs, kernel.lengthscale.detach())
    process = gp.models.SparseGPRegression(
        inputs, targets, kernel, places, noise=noise, jitter=JITTER
    )
    return SmoothFunction(process.requires_grad_(False), corner, side, mean, scale)


def _learned(inputs: Tensor, targets: Tensor) -> tuple[gp.kernels.Kernel, Tensor]:
    """The kernel and the variance of the noise under which values are most probable."""
    loss = TraceMeanField_ELBO().differentiable_loss
    losses = {}
    for start in itertools.product(STARTS, STARTS):
        with pyro.get_param_store().scope(), torch.no_grad():
            process = _exact(inputs, targets, start)
            losses[start] = float(loss(process.model, process.guide))
    # A scope of its own, for parameters of the same name are taken from the store.
    with pyro.get_param_store().scope():
        process = _exact(inputs, targets, min(losses, key=lambda start: losses[start]))
        optimiser = torch.optim.LBFGS(
            process.parameters(),
            max_iter=STEPS,
            tolerance_change=ENOUGH,
            line_search_fn="strong_wolfe",
        )
        gp.util.train(process, optimiser, num_steps=1)
        return process.kernel, torch.as_tensor(process.noise).detach()


def _exact(inputs: Tensor, targets: Tensor, start: tuple[float, float]) -> gp.models.GPRegression:
    """A process of few values, to learn from."""
    kernel = gp.kernels.Matern52(2)
    kernel.lengthscale = _bounded(inputs.new_tensor(start), LENGTHS)
    kernel.variance = _bounded(inputs.new_tensor(1.0), VARIANCES)
    process = gp.models.GPRegression(inputs, targets, kernel, jitter=JITTER)
    process.noise = _bounded(inputs.new_tensor(0.05), NOISES)
    return process


def _bounded(start: Tensor, limits: tuple[float, float]) -> PyroParam:
    return PyroParam(start, constraints.interval(*limits))


def _inducing(inputs: Tensor, length_scale: Tensor) -> Tensor:
    """A grid over the area, as dense as the length scales ask for: point x axis."""
    low, high = inputs.min(0).values, inputs.max(0).values
    count = ((high - low) / (DENSITY * length_scale)).ceil().clamp(1, MOST_POINTS) + 1
    count = count.clamp(min=FEWEST_POINTS)
    excess = float(count.prod()) / MOST_POINTS
    if excess > 1:
        count = (count / excess**0.5).clamp(min=FEWEST_POINTS)
    axes = [
        torch.linspace(float(first), float(last), int(number), dtype=inputs.dtype)
        for first, last, number in zip(low, high, count, strict=True)
    ]
    return torch.cartesian_prod(*axes)


def _nodes(values: Array, step: float) -> Array:
    """Ascending places over the range of some values; those themselves unless far denser."""
    low, high = float(values.min()), float(values.max())
    count = math.ceil((high - low) / step) + 4  # cubic splines need four
    return np.sort(values) if count >= len(values) else np.linspace(low, high, count)

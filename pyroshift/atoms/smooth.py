"""A smooth function of the position, fitted to noisy values: a Gaussian process, by Pyro.

The function is a sum of two: one that may change quickly along one axis and hardly along the other,
as a drift does from line to line, and one that bends slowly over the image. Both have Matérn's
kernel of 5/2. (A single one can't be both, and of the smoother squared exponential the intervals
hold the truth in half of the places only.) Length scales, amplitudes and noise are those under
which a part of the values is most probable; then the posterior is taken from all values, through
inducing points on a grid as dense as the length scales ask for.
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

SUBSET = 500  # values that the length scales are learned from; time grows with the cube
STARTS = (0.03, 0.1, 0.3, 1.0)  # length scales to begin with, in larger sides of the area
SLOW = ((1.0, 1.0), 0.3)  # length scales and variance that the slower term begins with
STEPS = 50
ENOUGH = 1e-3  # nats; a step that gains less is the last
# Beyond the other limits, nothing changes any more but the condition of matrices.
LENGTHS = (0.02, 30.0)  # larger sides of the area; what is shorter counts as noise
VARIANCES = (1e-6, 1e3)  # of the function, variances of the values
NOISES = (1e-5, 3.0)  # of the noise, likewise
DENSITY = 0.1  # length scales between inducing points, if that needs no more than the most
COARSEST = 0.5  # length scales, likewise; shorter ones are raised, lest the function overshoots
FEWEST_POINTS = 6  # inducing ones along an axis
MOST_POINTS = 600  # inducing ones
JITTER = 1e-6
FINE = 10  # nodes per length scale, between which splines interpolate
_CHUNK = 2**15  # positions at once


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
        """Distances along y and along x over which its terms change, term x axis."""
        return self.side * np.stack([_values(term.lengthscale) for term in self._terms])

    @property
    def amplitude(self) -> Array:
        """Standard deviation of each term, before anything is known of it."""
        return self.scale * np.sqrt([float(_values(term.variance)) for term in self._terms])

    @property
    def noise(self) -> float:
        """Standard deviation of the values from the function."""
        return self.scale * math.sqrt(_values(self.process.noise))

    @property
    def _terms(self) -> tuple[gp.kernels.Matern52, gp.kernels.Matern52]:
        return self.process.kernel.kern0, self.process.kernel.kern1

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
            for values, length in zip((y, x), self.length_scale.min(0), strict=True)
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
        variances, lengths, noise = _learned(inputs[chosen], targets[chosen])
    except RuntimeError as error:  # of torch.linalg, whose own class isn't public
        raise TrainingError(
            "no smooth function can be fitted to these displacements: are atoms doubled?"
        ) from error
    places, apart = _inducing(inputs, lengths.min(0).values)
    lengths = torch.maximum(lengths, apart / COARSEST)
    kernel = gp.kernels.Sum(
        *(gp.kernels.Matern52(2, *term) for term in zip(variances, lengths, strict=True))
    )
    process = gp.models.SparseGPRegression(
        inputs, targets, kernel, places, noise=noise, jitter=JITTER
    )
    return SmoothFunction(process.requires_grad_(False), corner, side, mean, scale)


def _learned(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Under what values are most probable.

    Returns:
        Variances (term) and length scales (term x axis), the quicker one's first; and the variance
        of the noise.
    """
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
            process.parameters(), max_iter=STEPS, tolerance_change=ENOUGH,
            line_search_fn="strong_wolfe",
        )  # fmt: skip
        gp.util.train(process, optimiser, num_steps=1)
        kernel = process.kernel
        terms = [(term.variance, term.lengthscale) for term in (kernel.kern0, kernel.kern1)]
        terms.sort(key=lambda term: _values(term[1]).min())
        lengths = torch.stack([length.detach() for _, length in terms])
        variances = torch.stack([variance.detach() for variance, _ in terms])
        return variances, lengths, torch.as_tensor(process.noise).detach()


def _exact(inputs: Tensor, targets: Tensor, start: tuple[float, float]) -> gp.models.GPRegression:
    """A process of few values, to learn from."""
    terms = []
    for lengths, variance in ((start, 1.0), SLOW):
        term = gp.kernels.Matern52(2)
        term.lengthscale = _bounded(inputs.new_tensor(lengths), LENGTHS)
        term.variance = _bounded(inputs.new_tensor(variance), VARIANCES)
        terms.append(term)
    process = gp.models.GPRegression(inputs, targets, gp.kernels.Sum(*terms), jitter=JITTER)
    process.noise = _bounded(inputs.new_tensor(0.05), NOISES)
    return process


def _values(parameter: Any) -> Array:
    """The numbers in a parameter of Pyro's."""
    return parameter.detach().numpy()


def _bounded(start: Tensor, limits: tuple[float, float]) -> PyroParam:
    return PyroParam(start, constraints.interval(*limits))


def _inducing(inputs: Tensor, length_scale: Tensor) -> tuple[Tensor, Tensor]:
    """A grid over the area: point x axis, and how far apart its points are along each axis."""
    low, high = inputs.min(0).values, inputs.max(0).values
    count = ((high - low) / (DENSITY * length_scale)).ceil().clamp(FEWEST_POINTS, MOST_POINTS)
    while count.prod() > MOST_POINTS:
        # Fewer along the axis that has more than the fewest, and the denser points for its length.
        dense = torch.where(count > FEWEST_POINTS, count * length_scale / (high - low), 0)
        count[dense.argmax()] -= 1
    axes = [
        torch.linspace(float(first), float(last), int(number), dtype=inputs.dtype)
        for first, last, number in zip(low, high, count, strict=True)
    ]
    return torch.cartesian_prod(*axes), (high - low) / (count - 1)


def _nodes(values: Array, step: float) -> Array:
    """Ascending places over the range of some values; those themselves unless far denser."""
    low, high = float(values.min()), float(values.max())
    count = math.ceil((high - low) / step) + 4  # cubic splines need four
    return np.sort(values) if count >= len(values) else np.linspace(low, high, count)

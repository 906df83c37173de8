"""What every guide's training hands back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.common.metrics import Array


@dataclass(frozen=True)
class Found:
    """Where a model says that each motif is, how it is turned, and what it looks like.

    Args:
        offset: sample x axis, pixels or samples from the window's centre.
        offset_std: the posterior's standard deviation of it.
        z: sample x latent.
        z_std: the posterior's standard deviation of it.
        angle: sample, radians, counter-clockwise; None for models that do not turn.
        angle_std: the posterior's standard deviation of it.
        category: sample, the class where a model has one.
        scale: sample, the magnification where a model has one.
        extras: means of whatever else was encoded, such as the poses' entropy.
    """

    offset: Array
    offset_std: Array
    z: Array
    z_std: Array
    angle: Array | None = None
    angle_std: Array | None = None
    category: Array | None = None
    scale: Array | None = None
    extras: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """A trained model: how to ask it, what it found in its own data, and what it took."""

    find: Callable[[Array], Found]
    found: Found
    seconds: float
    loss: float


def as_float32(values: Array) -> Array:
    """An array as the models take it."""
    return np.ascontiguousarray(values, dtype=np.float32)

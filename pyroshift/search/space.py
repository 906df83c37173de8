"""What a search varies: named axes of values, and the points where they cross."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from pyroshift.errors import SpecificationError

INITIAL, FINAL, WINDOW = "initial", "final", "window"

Point = tuple[int, ...]
"""Which value along each axis."""


@dataclass(frozen=True)
class Space:
    """The product of some axes, each a name with the values that it can take.

    Args:
        axes: values by name: the KL weights `initial` and `final`, then what else is varied.

    Example:
        >>> space = Space({"initial": (0.1, 1.0), "decoder": ("canvas", "spatial")})
        >>> space.settings((1, 0))
        {'initial': 1.0, 'decoder': 'canvas'}
    """

    axes: Mapping[str, tuple[Any, ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values there are along each axis."""
        return tuple(map(len, self.axes.values()))

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __iter__(self) -> Iterator[Point]:
        return itertools.product(*map(range, self.shape))

    def settings(self, point: Point) -> dict[str, Any]:
        """The values at a point, by name."""
        return {
            name: values[index]
            for (name, values), index in zip(self.axes.items(), point, strict=True)
        }

    def along_axes(self) -> Iterator[Point]:
        """The first point, and those that differ from it in one value."""
        first = (0,) * len(self.shape)
        yield first
        for axis, count in enumerate(self.shape):
            for index in range(1, count):
                yield (*first[:axis], index, *first[axis + 1 :])

    def labels(self) -> dict[str, list[Any]]:
        """The values by name, as the coordinates of a Dataset hold them."""
        return {name: [label(value) for value in values] for name, values in self.axes.items()}


def build_space(
    initial: Sequence[float], final: Sequence[float], vary: Mapping[str, Sequence[Any]] | None
) -> Space:
    """The space that `search_kl` is asked for, checked.

    Args:
        initial: KL weights in the first epoch.
        final: KL weights after annealing.
        vary: other settings by name, each with its values.

    Raises:
        SpecificationError: if an axis is empty, names a value twice, or has values that are
            neither numbers nor text.

    Example:
        >>> build_space([0.1, 1], [1], {"window": [(20, 24)]}).labels()
        {'initial': [0.1, 1.0], 'final': [1.0], 'window': ['20x24']}
    """
    if clash := {INITIAL, FINAL} & set(vary or {}):
        raise SpecificationError(f"{sorted(clash)} are no settings to vary: pass them by name")
    axes = {}
    for name, values in {INITIAL: initial, FINAL: final, **(vary or {})}.items():
        if isinstance(values, str) or not np.iterable(values) or not len(values):
            raise SpecificationError(f"{name}={values!r} can't be searched: give a list of values")
        axes[name] = tuple(_plain(name, value) for value in values)
        if len(set(axes[name])) < len(axes[name]):
            raise SpecificationError(f"{name}={list(values)} has a value twice")
    for name in (INITIAL, FINAL):
        for weight in axes[name]:
            if isinstance(weight, str | tuple) or not 0 < weight < math.inf:
                raise SpecificationError(
                    f"{name}={weight!r} is no KL weight: give positive numbers"
                )
        axes[name] = tuple(map(float, axes[name]))
    return Space(axes)


def label(value: Any) -> Any:
    """A value as a coordinate: windows of two sides as text.

    Example:
        >>> label((20, 24)), label(0.5)
        ('20x24', 0.5)
    """
    return "x".join(map(str, value)) if isinstance(value, tuple) else value


def _plain(name: str, value: Any) -> Any:
    """A number or text of Python's own; a window of two sides as a tuple."""
    if name == WINDOW and np.ndim(value) == 1:
        return tuple(map(int, value))
    if isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and math.isfinite(value):
        return float(value)
    raise SpecificationError(
        f"{name}={value!r} can't be searched: values are finite numbers or text, which label the "
        "results; bind anything else to the model, as by functools.partial"
    )

"""The numbers of a training run, checked before it starts."""

import dataclasses
import math
from collections.abc import Callable
from numbers import Integral

from pyroshift import names
from pyroshift.errors import SpecificationError

PRECISIONS = ("float32", "bfloat16")
_KINDS = {
    "epochs": int, "batch_size": int, "seed": int, "patience": int, "learning_rate": float,
    "validation_fraction": float, "clip_norm": float,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """The numbers of a run, checked; `fit` says what each means."""

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    validation_fraction: float
    patience: int | None
    clip_norm: float | None
    schedule: str | Callable[[int], float] | None
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not (isinstance(value, Integral) and int(value) >= 1):
                raise SpecificationError(
                    f"{name} must be a whole number of at least 1, got {value!r}"
                )
        if not 0 < self.learning_rate < math.inf:
            raise SpecificationError(f"learning_rate must be positive, got {self.learning_rate}")
        if not 0 <= self.validation_fraction < 1:
            raise SpecificationError(
                f"validation_fraction must be in [0, 1), got {self.validation_fraction}"
            )
        if self.patience is not None and not (self.patience >= 1 and self.validation_fraction > 0):
            raise SpecificationError(
                "patience must be at least 1, and needs patches to judge by: give "
                "validation_fraction, such as 0.1"
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise SpecificationError(f"clip_norm must be positive or None, got {self.clip_norm}")
        if not (self.schedule in (*names.SCHEDULES, None) or callable(self.schedule)):
            raise SpecificationError(
                f"schedule must be one of {names.SCHEDULES}, a function or None; got "
                f"{self.schedule!r}"
            )

        if self.precision not in PRECISIONS:
            raise SpecificationError(
                f"unknown precision {self.precision!r}: choose one of {PRECISIONS}"
            )
        for name, kind in _KINDS.items():  # numbers of numpy's have no JSON
            if getattr(self, name) is not None:
                object.__setattr__(self, name, kind(getattr(self, name)))

    def rate(self, epoch: int) -> float:
        """Learning rate of an epoch, the first being 0."""
        if self.schedule is None:
            return self.learning_rate
        if callable(self.schedule):
            return float(self.learning_rate * self.schedule(epoch))
        return self.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2

"""Checks run one after the other, and a report of what holds and what does not."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from pyroshift.errors import PyroshiftError
from pyroshift.model.parts import seed_all


class CheckError(PyroshiftError, AssertionError):
    """Something doesn't hold that users of the object rely on; the message lists all of it."""


@dataclass(frozen=True)
class Check:
    """One thing that must hold, in words, and the function that raises unless it does."""

    name: str
    function: Callable[..., None]

    def __call__(self, *arguments: Any) -> None:
        """Raise unless it holds; torch's random state stays as it is, and is the same each time."""
        with torch.random.fork_rng():
            seed_all(0)
            self.function(*arguments)

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Report:
    """What holds of a subject, and what doesn't, each with the reason.

    Args:
        subject: what was checked.
        passed: what holds.
        failed: what doesn't, with what was seen instead.

    Example:
        >>> print(Report("MyGuide", ("a batch of one",), {"double precision": "got float32"}))
        MyGuide: 1 of 2 checks failed
        FAILED  double precision: got float32
        passed  a batch of one
    """

    subject: str
    passed: tuple[str, ...]
    failed: dict[str, str]

    def __str__(self) -> str:
        count = len(self.passed) + len(self.failed)
        head = f"{self.subject}: {len(self.failed)} of {count} checks failed"
        if not self.failed:
            head = f"{self.subject}: all {count} checks passed"
        lines = [f"FAILED  {name}: {reason}" for name, reason in self.failed.items()]
        return "\n".join([head, *lines, *(f"passed  {name}" for name in self.passed)])


def run(subject: str, checks: Iterable[Check], *arguments: Any) -> Report:
    """Run all checks, whatever fails.

    Args:
        subject: what is checked, for the report.
        checks: what must hold.
        *arguments: of every check.

    Raises:
        CheckError: if any does not hold; the message is the whole report.
    """
    passed, failed = [], {}
    for check in checks:
        try:
            check(*arguments)
        except Exception as error:
            kind = "" if isinstance(error, CheckError) else f"{type(error).__name__}: "
            failed[check.name] = f"{kind}{error}"
        else:
            passed.append(check.name)
    report = Report(subject, tuple(passed), failed)
    if failed:
        raise CheckError(str(report))
    return report


def require(holds: Any, otherwise: str) -> None:
    """Raise a CheckError with what was seen, unless something holds."""
    if not holds:
        raise CheckError(otherwise)


def require_close(
    found: torch.Tensor, expected: torch.Tensor, what: str, tolerance: float = 1e-4
) -> None:
    """Raise a CheckError unless two tensors are alike, to a share of the larger one's values."""
    require(
        found.shape == expected.shape,
        f"{what}: shape {tuple(found.shape)} instead of {tuple(expected.shape)}",
    )
    found, expected = found.detach(), expected.detach()
    scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
    worst = float((found - expected).abs().max()) if expected.numel() else 0.0
    require(worst <= tolerance * scale, f"{what}: off by {worst:.3g}")


def require_gradient(name: str, value: torch.Tensor, effect: bool = True) -> None:
    """Raise a CheckError unless the gradient that was left in a tensor is finite.

    Args:
        name: of the tensor, for the message.
        value: the tensor.
        effect: whether the gradient must also differ from zero somewhere.
    """
    gradient = value.grad
    if gradient is None:
        raise CheckError(f"{name} gets no gradient")
    require(torch.isfinite(gradient).all(), f"the gradient of {name} is not finite")
    require(gradient.dtype == value.dtype, f"the gradient of {name} is {gradient.dtype}")
    require(not effect or (gradient != 0).any(), f"{name} has no effect")


def require_mean(samples: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    """Raise a CheckError unless the mean of independent samples is as expected.

    Within five standard errors: of a million right ones, one is refused.

    Args:
        samples: `sample x ...`.
        expected: `...`.
        what: whose mean it is.
    """
    error = samples.std(0) / len(samples) ** 0.5
    distance = (samples.mean(0) - expected).abs()
    # Where all samples are alike there is no error but that of rounding.
    beyond = distance - 5 * error - 1e-4 * (1 + expected.abs())
    require(
        bool((beyond <= 0).all()),
        f"{what}: the mean of {len(samples)} samples is off by up to {float(distance.max()):.3g}, "
        f"with a standard error of {float(error.max()):.2g}",
    )

"""What every guide's training hands back, and what a run of the benchmark was asked for."""

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recovery_table import Row

Array = NDArray[Any]
Settings = dict[str, Any]

# One training yet to be done: its label, and what does it and measures it. So a training that
# fails does not take the others with it.
Job = tuple[str, Callable[[], Row]]


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
        extras: means of whatever else was encoded, such as the poses' entropy.
    """

    offset: Array
    offset_std: Array
    z: Array
    z_std: Array
    angle: Array | None = None
    angle_std: Array | None = None
    category: Array | None = None
    extras: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """A trained model: how to ask it, what it found in its own data, and what it took."""

    find: Callable[[Array], Found]
    found: Found
    seconds: float
    loss: float


@dataclass(frozen=True)
class Run:
    """What was asked for on the command line.

    Args:
        guides: which guides to train with.
        out: folder of the results.
        small: whether to shrink every task, to test the script itself.
        cases: parts of the labels of those trainings that are wanted; all if empty.
    """

    guides: tuple[str, ...]
    out: Path
    small: bool = False
    cases: tuple[str, ...] = ()

    def settings(self, full: Settings) -> Settings:
        """A task's settings, shrunk if asked for."""
        return merged(full, full["small"]) if self.small else full

    def wanted(self, label: str, guides: Iterable[str] | None = None) -> Iterable[tuple[str, str]]:
        """Guide and label of each training of a case that is wanted."""
        for guide in self.guides if guides is None else guides:
            name = f"{guide}, {label}" if label else guide
            if not self.cases or any(part in name for part in self.cases):
                yield guide, name


def merged(settings: Settings, changes: Settings) -> Settings:
    """Settings with some changed, dictionaries among them likewise."""
    result = dict(settings)
    for name, value in changes.items():
        old = result.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            value = merged(old, value)
        result[name] = value
    return result


def as_float32(values: Array) -> Array:
    """An array as the models take it."""
    return np.ascontiguousarray(values, dtype=np.float32)


def asked_for(
    about: str, tasks: Iterable[str], guides: Iterable[str], about_guides: str, out: str
) -> tuple[list[str], list[int], Run]:
    """Tasks, seeds and the rest of what was asked for on the command line.

    Args:
        about: the script's documentation.
        tasks: that there are.
        guides: that there are.
        about_guides: which tasks they are for.
        out: folder of the results, unless another is given; made if it isn't there.
    """
    names = list(tasks)
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("tasks", nargs="+", choices=[*names, "all"], metavar="TASK",
                        help=", ".join([*names, "all"]))  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--guides", nargs="+", choices=list(guides), default=["anchor", "normal"],
                        help=about_guides)  # fmt: skip
    parser.add_argument("--cases", nargs="+", default=[], metavar="TEXT",
                        help="only trainings whose label holds one of these")  # fmt: skip
    parser.add_argument("--small", action="store_true", help="few samples and epochs")
    parser.add_argument("--out", type=Path, default=Path(out), help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(tuple(options.guides), options.out, options.small, tuple(options.cases))
    return names if "all" in options.tasks else options.tasks, options.seeds, run

"""Runs of many trainings: the settings, which trainings are wanted, and those that fail."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import command
from benchmarks.common.table import Row
from pyroshift.errors import TrainingError

Settings = dict[str, Any]

# One training yet to be done: its label, and what does it and measures it. So a training that
# fails does not take the others with it.
Job = tuple[str, Callable[[], Row]]


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


def asked_for(
    name: str, about: str | None, tasks: Iterable[str], guides: Iterable[str], about_guides: str
) -> tuple[list[str], list[int], Run]:
    """Tasks, seeds and the rest of what was asked for on the command line.

    Args:
        name: of the benchmark, and of the folder of its results unless another is given.
        about: the script's documentation.
        tasks: that there are.
        guides: that there are.
        about_guides: which tasks they are for.
    """
    names = list(tasks)
    parser = command.parser(name, about, names, out=name)
    parser.add_argument("--guides", nargs="+", choices=list(guides), default=["anchor", "normal"],
                        help=about_guides)  # fmt: skip
    parser.add_argument("--cases", nargs="+", default=[], metavar="TEXT",
                        help="only trainings whose label holds one of these")  # fmt: skip
    parser.add_argument("--small", action="store_true", help="few samples and epochs")
    options = command.asked(parser, names)
    run = Run(tuple(options.guides), options.out, options.small, tuple(options.cases))
    return options.tasks, options.seeds, run


def measured(
    tasks: Mapping[str, Callable[[int, Run], Iterator[Job]]], task: str, seeds: list[int], run: Run
) -> Iterator[Row]:
    """A row for each training of a task."""
    for seed in seeds:
        for case, job in tasks[task](seed, run):
            yield attempt(task, case, seed, job)


def attempt(task: str, case: str, seed: int, job: Callable[[], Row]) -> Row:
    """A training's row, or if it failed one that misses its target."""
    try:
        return job()
    except TrainingError as error:
        print(f"{case}, seed {seed}: {error}", file=sys.stderr, flush=True)
        failed = Row(task, case, seed, math.nan)
        failed.add("training", math.nan, lowest=0)
        return failed

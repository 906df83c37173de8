"""The shift-VAE paper, figure by figure, in numbers.

    python -m benchmarks.paper figure2 figure3 --seeds 0 1 2 --out paper

prints one row per training, each figure beside its target, and writes them as csv, and pictures.
A training whose row is in the csv of `--out` already isn't done again. The settings stand at the
top of each task's module. `--small` shrinks every task to test the script itself.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.common.run import Job, Run, asked_for, attempt
from benchmarks.common.table import Row, read_csv, written
from benchmarks.common.training import collapse_expected, print_versions
from benchmarks.paper import figure2, figure3, figure7, figure8


@dataclass(frozen=True)
class Task:
    """One figure of the paper: its trainings, and what is told and drawn of all their rows."""

    jobs: Callable[[int, Run], Iterator[Job]]
    summary: Callable[[Sequence[Row], Run], None]


TASKS = {
    "figure2": Task(figure2.jobs, figure2.summary),
    "figure3": Task(figure3.jobs, figure3.summary),
    "figure7": Task(figure7.jobs, figure7.summary),
    "figure8": Task(figure8.jobs, figure8.summary),
}


def main() -> None:
    """Run the tasks that are asked for, and sum up each."""
    names, seeds, run = asked_for("paper", __doc__, TASKS, figure3.GUIDES, "of figure3")
    print_versions()
    for name in names:
        path = run.out / f"{name}.csv"
        before = read_csv(path)
        done = {(row.case, row.seed) for row in before}
        with collapse_expected():
            rows = written(measured(name, seeds, run, done), path, before)
        TASKS[name].summary(rows, run)


def measured(
    name: str, seeds: list[int], run: Run, done: Collection[tuple[str, int]]
) -> Iterator[Row]:
    """A row for each training of a task, but for cases and seeds that are done."""
    for seed in seeds:
        for case, job in TASKS[name].jobs(seed, run):
            if (case, seed) not in done:
                yield attempt(name, case, seed, job)


if __name__ == "__main__":
    main()

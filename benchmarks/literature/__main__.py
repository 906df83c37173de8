"""Pose benchmarks of the machine-learning literature: shapes, particles, galaxies, and digits.

    python -m benchmarks.literature all --guides anchor normal pyroved --out literature

prints one row per training, of data that were not trained on, each figure beside what is wanted.
`--small` shrinks every task to test the script itself.
"""

from collections.abc import Callable, Iterator

from benchmarks.common.run import Job, Run, asked_for, measured
from benchmarks.common.table import written
from benchmarks.common.training import collapse_expected, print_versions
from benchmarks.literature.galaxies import galaxies
from benchmarks.literature.particles import particles
from benchmarks.literature.shapes import shapes
from benchmarks.pose.digits import digits
from benchmarks.pose.guides import GUIDES

TASKS: dict[str, Callable[[int, Run], Iterator[Job]]] = {
    "shapes": shapes,
    "particles": particles,
    "galaxies": galaxies,
    "digits": digits,
}


def main() -> None:
    """Run the tasks that are asked for."""
    names, seeds, run = asked_for("literature", __doc__, TASKS, GUIDES, "which guides")
    print_versions()
    for task in names:
        with collapse_expected():
            written(measured(TASKS, task, seeds, run), run.out / f"{task}.csv")


if __name__ == "__main__":
    main()

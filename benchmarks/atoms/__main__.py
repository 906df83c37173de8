"""Are atoms found where they are, and nowhere else?

    python -m benchmarks.atoms simulated graphene images --seeds 0 1 2 --out atoms

prints one row per image, each figure beside its target, and writes them as csv, and the atoms on
measured images as pictures. All at default options. `--atomap PYTHON` names an interpreter that
has atomap, which is then given the simulated images of the first seed.
"""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from benchmarks.atoms import real
from benchmarks.atoms.simulated import simulated
from benchmarks.common import command
from benchmarks.common.table import Row, written

TASKS = ("simulated", "graphene", "images")


def main() -> None:
    """Run the tasks that are asked for."""
    parser = command.parser("atoms", __doc__, TASKS, out="atoms")
    parser.add_argument("--atomap", type=Path, help="Python interpreter that has atomap")
    options = command.asked(parser, TASKS)
    for task in options.tasks:
        written(measured(task, options), options.out / f"{task}.csv")


def measured(task: str, options: Namespace) -> Iterator[Row]:
    """The rows of one task."""
    if task == "graphene":
        yield from real.graphene()
    elif task == "images":
        yield from real.images(options.out)
    else:
        for seed in options.seeds:
            yield from simulated(seed, options.atomap if seed == options.seeds[0] else None)


if __name__ == "__main__":
    main()

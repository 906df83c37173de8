"""Are atoms found where they are, and nowhere else?

    python benchmarks/atoms.py simulated graphene images --seeds 0 1 2 --out atoms

prints one row per image, each figure beside its target, and writes them as csv, and the atoms on
measured images as pictures. All at default options. `--atomap PYTHON` names an interpreter that
has atomap, which is then given the simulated images of the first seed.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import atoms_real
from atoms_simulated import simulated
from recovery_table import Row, write_csv

TASKS = ["simulated", "graphene", "images"]


def main() -> None:
    """Run the tasks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="+", choices=[*TASKS, "all"], metavar="TASK",
                        help=", ".join([*TASKS, "all"]))  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--atomap", type=Path, help="Python interpreter that has atomap")
    parser.add_argument("--out", type=Path, default=Path("atoms"), help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for task in TASKS if "all" in options.tasks else options.tasks:
        rows: list[Row] = []
        for row in measured(task, options):
            print(row, flush=True)
            rows.append(row)
            write_csv(rows, options.out / f"{task}.csv")


def measured(task: str, options: argparse.Namespace) -> Iterator[Row]:
    """The rows of one task."""
    if task == "graphene":
        yield from atoms_real.graphene(options.out)
    elif task == "images":
        yield from atoms_real.images(options.out)
    else:
        for seed in options.seeds:
            yield from simulated(seed, options.atomap if seed == options.seeds[0] else None)


if __name__ == "__main__":
    main()

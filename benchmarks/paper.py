"""The shift-VAE paper, figure by figure, in numbers.

    python benchmarks/paper.py figure2 figure3 --seeds 0 1 2 --out paper

prints one row per training, each figure beside its target, and writes them as csv, and pictures.
A training whose row is in the csv of `--out` already isn't done again. The settings stand at the
top of each task's module. `--small` shrinks every task to test the script itself.
"""

import argparse
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import paper_figure2
import paper_figure3
import paper_figure7
import paper_figure8
import torch
from paper_table import read_csv
from pose import attempt
from pose_found import Job, Run
from recovery_table import Row, write_csv

from pyroshift.errors import LatentWarning


@dataclass(frozen=True)
class Task:
    """One figure of the paper: its trainings, and what is told and drawn of all their rows."""

    jobs: Callable[[int, Run], Iterator[Job]]
    summary: Callable[[Sequence[Row], Run], None]


TASKS = {
    "figure2": Task(paper_figure2.jobs, paper_figure2.summary),
    "figure3": Task(paper_figure3.jobs, paper_figure3.summary),
    "figure7": Task(paper_figure7.jobs, paper_figure7.summary),
    "figure8": Task(paper_figure8.jobs, paper_figure8.summary),
}


def main() -> None:
    """Run the tasks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="+", choices=[*TASKS, "all"], metavar="TASK",
                        help=", ".join([*TASKS, "all"]))  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--guides", nargs="+", choices=paper_figure3.GUIDES,
                        default=["anchor", "normal"], help="of figure3")  # fmt: skip
    parser.add_argument("--cases", nargs="+", default=[], metavar="TEXT",
                        help="only trainings whose label holds one of these")  # fmt: skip
    parser.add_argument("--small", action="store_true", help="few samples and epochs")
    parser.add_argument("--out", type=Path, default=Path("paper"), help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(tuple(options.guides), options.out, options.small, tuple(options.cases))
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for name in TASKS if "all" in options.tasks else options.tasks:
        measure(name, options.seeds, run)


def measure(name: str, seeds: list[int], run: Run) -> None:
    """Train for each seed what isn't in the csv yet, print and write the figures, and sum up."""
    path = run.out / f"{name}.csv"
    rows = read_csv(path)
    done = {(row.case, row.seed) for row in rows}
    for seed in seeds:
        for case, job in TASKS[name].jobs(seed, run):
            if (case, seed) not in done:
                with warnings.catch_warnings():
                    # Latents that nothing varies for are meant to collapse here.
                    warnings.simplefilter("ignore", LatentWarning)
                    row = attempt(job, Row(name, case, seed, math.nan))
                print(row, flush=True)
                rows.append(row)
                write_csv(rows, path)
    TASKS[name].summary(rows, run)


if __name__ == "__main__":
    main()

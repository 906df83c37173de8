"""The shift-VAE paper, figure by figure, in numbers.

    python benchmarks/paper.py figure2 figure3 --seeds 0 1 2 --out paper

prints one row per training, each figure beside its target, and writes them as csv, and pictures.
A training whose row is in the csv of `--out` already isn't done again. The settings stand at the
top of each task's module. `--small` shrinks every task to test the script itself.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import paper_figure2
import paper_figure3
import paper_figure7
import paper_figure8
import torch
from paper_table import read_csv
from pose import attempt
from pose_found import Job, Run, asked_for
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
    tasks, seeds, run = asked_for(__doc__, TASKS, paper_figure3.GUIDES, "of figure3", "paper")
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for name in tasks:
        measure(name, seeds, run)


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

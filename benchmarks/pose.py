"""Is pose found over the whole window and the whole circle, and is the posterior honest?

    python benchmarks/pose.py peaks motifs --seeds 0 1 2 --guides anchor normal --out pose

prints one row per training, each figure beside its target, and writes them as csv, and maps as
pictures. The settings, the same for all seeds, stand at the top of pose_tasks.py, pose_digits.py,
pose_real.py and pose_cost.py. `--small` shrinks every task to test the script itself.
"""

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pose_tasks
import torch
from pose_cost import cost
from pose_digits import digits
from pose_found import Job, Run
from pose_guides import GUIDES
from pose_maps import sines_maps
from pose_real import real
from recovery_table import Row, write_csv

from pyroshift.errors import LatentWarning, TrainingError

TASKS: dict[str, Callable[[int, Run], Iterator[Job]]] = {
    "peaks": pose_tasks.peaks,
    "sines": pose_tasks.sines,
    "motifs": pose_tasks.motifs,
    "digits": digits,
    "real": real,
    "cost": cost,
}


def main() -> None:
    """Run the tasks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="+", choices=[*TASKS, "all"], metavar="TASK",
                        help=", ".join([*TASKS, "all"]))  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--guides", nargs="+", choices=GUIDES, default=["anchor", "normal"],
                        help="pyroved: see pose_peers.py; not for real and cost")  # fmt: skip
    parser.add_argument("--cases", nargs="+", default=[], metavar="TEXT",
                        help="only trainings whose label holds one of these")  # fmt: skip
    parser.add_argument("--small", action="store_true", help="few samples and epochs")
    parser.add_argument("--out", type=Path, default=Path("pose"), help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(tuple(options.guides), options.out, options.small, tuple(options.cases))
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for task in TASKS if "all" in options.tasks else options.tasks:
        measure(task, options.seeds, run)


def measure(task: str, seeds: list[int], run: Run) -> None:
    """Train for each seed, and print and write the figures."""
    rows: list[Row] = []
    for seed in seeds:
        with warnings.catch_warnings():
            # Latents that nothing varies for are meant to collapse here.
            warnings.simplefilter("ignore", LatentWarning)
            for case, job in TASKS[task](seed, run):
                row = attempt(job, Row(task, case, seed, math.nan))
                print(row, flush=True)
                rows.append(row)
                write_csv(rows, run.out / f"{task}.csv")
    if task == "sines" and rows:
        sines_maps(rows, run)


def attempt(job: Callable[[], Row], failed: Row) -> Row:
    """The training's figures, or if it failed one that misses its target."""
    try:
        return job()
    except TrainingError as error:
        print(f"{failed.case}, seed {failed.seed}: {error}", file=sys.stderr, flush=True)
        failed.add("training", math.nan, lowest=0)
        return failed


if __name__ == "__main__":
    main()

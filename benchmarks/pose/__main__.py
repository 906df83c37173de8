"""Is pose found over the whole window and the whole circle, and is the posterior honest?

    python benchmarks/pose.py peaks motifs --seeds 0 1 2 --guides anchor normal --out pose

prints one row per training, each figure beside its target, and writes them as csv, and maps as
pictures. The settings, the same for all seeds, stand at the top of pose_tasks.py, pose_digits.py,
pose_real.py and pose_cost.py. `--small` shrinks every task to test the script itself.
"""

import math
import sys
import warnings
from collections.abc import Callable, Iterator

import pose_tasks
import torch
from pose_cost import cost
from pose_digits import digits
from pose_found import Job, Run, asked_for
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
    tasks, seeds, run = asked_for(
        __doc__, TASKS, GUIDES, "pyroved: see pose_peers.py; not for real and cost", "pose"
    )
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for task in tasks:
        measure(task, seeds, run)


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

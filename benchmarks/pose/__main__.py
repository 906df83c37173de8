"""Is pose found over the whole window and the whole circle, and is the posterior honest?

    python -m benchmarks.pose peaks motifs --seeds 0 1 2 --guides anchor normal --out pose

prints one row per training, each figure beside its target, and writes them as csv, and maps as
pictures. The settings, the same for all seeds, stand at the top of tasks.py, digits.py, real.py and
cost.py. `--small` shrinks every task to test the script itself.
"""

from collections.abc import Callable, Iterator

from benchmarks.common.run import Job, Run, asked_for, measured
from benchmarks.common.table import written
from benchmarks.common.training import collapse_expected, print_versions
from benchmarks.pose import tasks
from benchmarks.pose.cost import cost
from benchmarks.pose.digits import digits
from benchmarks.pose.guides import GUIDES
from benchmarks.pose.maps import sines_maps
from benchmarks.pose.real import real

TASKS: dict[str, Callable[[int, Run], Iterator[Job]]] = {
    "peaks": tasks.peaks,
    "sines": tasks.sines,
    "motifs": tasks.motifs,
    "digits": digits,
    "real": real,
    "cost": cost,
}


def main() -> None:
    """Run the tasks that are asked for."""
    names, seeds, run = asked_for(
        "pose", __doc__, TASKS, GUIDES, "pyroved: see peers.py; not for real and cost"
    )
    print_versions()
    for task in names:
        with collapse_expected():
            rows = written(measured(TASKS, task, seeds, run), run.out / f"{task}.csv")
        if task == "sines" and rows:
            sines_maps(rows, run)


if __name__ == "__main__":
    main()

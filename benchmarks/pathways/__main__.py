"""Are states, rates of switching and single atoms' ways found in a movie of atoms that switch?

    python -m benchmarks.pathways --seeds 0 1 2 --out pathways

prints one row per training or simulation, each figure beside its target, and writes them as csv.
Tasks: `movie`, a training per seed and noise, at the true atoms or at those found; `intervals`,
how often the intervals of rates hold the truth over many simulated sequences of classes, as they
are and with errors and gaps; `hidden`, the same by the hidden Markov model. `--small` shrinks every
task to test the script itself.
"""

from benchmarks.common import command
from benchmarks.common.table import written
from benchmarks.pathways.intervals import hidden, intervals
from benchmarks.pathways.movies import movies

TASKS = {"movie": movies, "intervals": intervals, "hidden": hidden}


def main() -> None:
    """Run the tasks that are asked for."""
    parser = command.parser("pathways", __doc__, out="pathways")
    parser.add_argument("tasks", nargs="*", default=list(TASKS), metavar="TASK",
                        help=f"of {', '.join(TASKS)}; all by default")  # fmt: skip
    parser.add_argument("--small", action="store_true", help="few frames, epochs and simulations")
    options = command.asked(parser, TASKS)
    if unknown := set(options.tasks) - set(TASKS):
        parser.error(f"no task {', '.join(unknown)}: choose from {', '.join(TASKS)}")
    for task in options.tasks:
        written(TASKS[task](options.seeds, options.small), options.out / f"{task}.csv")


if __name__ == "__main__":
    main()

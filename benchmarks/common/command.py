"""The command line of the benchmarks: tasks, seeds and the folder of results, alike for all.

Nothing large is imported here: `speed.startup` measures memory, which counts from its parent's.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]


def parser(
    name: str,
    about: str | None,
    tasks: Iterable[str] = (),
    seeds: Sequence[int] | None = (0, 1, 2),
    out: str | None = None,
) -> ArgumentParser:
    """A parser with the options that benchmarks share.

    Args:
        name: of the package or module in `benchmarks`.
        about: the script's documentation, of which the first line is told.
        tasks: that there are; "all" stands for all of them. No argument if there are none.
        seeds: taken unless others are asked for; None where each task has its own. No option if
            there are none.
        out: folder of the results unless another is asked for. No option if there is none.
    """
    result = ArgumentParser(
        prog=f"python -m benchmarks.{name}", description=(about or "").split("\n")[0]
    )
    if names := list(tasks):
        result.add_argument("tasks", nargs="+", choices=[*names, "all"], metavar="TASK",
                            help=", ".join([*names, "all"]))  # fmt: skip
    if seeds is None or seeds:
        told = "those of each task" if seeds is None else " ".join(map(str, seeds))
        result.add_argument("--seeds", nargs="+", type=int, default=seeds, metavar="SEED",
                            help=f"default: {told}")  # fmt: skip
    if out is not None:
        result.add_argument("--out", type=Path, default=Path(out), help="folder of the results")
    return result


def asked(result: ArgumentParser, tasks: Iterable[str] = ()) -> Namespace:
    """What was asked for, every task named, and the folder of the results made.

    Args:
        result: what `parser` returned, perhaps with more options.
        tasks: that there are.
    """
    options = result.parse_args()
    if "all" in getattr(options, "tasks", ()):
        options.tasks = list(tasks)
    if getattr(options, "out", None) is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    return options


def checkouts(result: ArgumentParser) -> list[Path]:
    """The checkouts that were asked for, to be compared; by default the one that this is in.

    Args:
        result: what `parser` returned.
    """
    result.add_argument("checkouts", nargs="*", type=Path, help="default: this one")
    return [path.resolve() for path in asked(result).checkouts] or [HERE]

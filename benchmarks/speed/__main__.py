"""How fast, and in how much memory: every benchmark of speed by one command.

    OMP_NUM_THREADS=1 python -m benchmarks.speed all --out speed
    python -m benchmarks.speed step peers --seeds 0 1 2 --out speed

Each measures its sides in one run, in turns. Read the ratios: seconds are those of a machine that
may be doing other things.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch

from benchmarks.common import command
from benchmarks.common.timing import Record, machine
from benchmarks.speed import choices, peers, scale, step


def main() -> None:
    """Run what was asked for; print tables, and write them with plots."""
    arguments = command.asked(_parser(), TASKS)
    torch.set_num_threads(arguments.threads)
    print(machine())
    for task in arguments.tasks:
        rows = TASKS[task](arguments)
        table = pd.DataFrame(rows).drop(columns="curve", errors="ignore")
        if arguments.out is not None:
            table.to_csv(arguments.out / f"{task}.csv", index=False)
            (arguments.out / "machine.txt").write_text(machine() + "\n")
            PLOTS.get(task, _no_plot)(rows, arguments.out / f"{task}.png")
        shown = table.to_string(index=False, float_format="{:.4g}".format, na_rep="")
        print(f"\n{task}\n{shown}", flush=True)


def _peers(arguments: argparse.Namespace) -> list[Record]:
    return [row for seed in arguments.seeds for row in peers.measure(seed, arguments.small)]


def _step(arguments: argparse.Namespace) -> list[Record]:
    sizes = ((32, 256),) if arguments.small else ((32, 256), (32, 128), (16, 256), (64, 256))
    rounds = 3 if arguments.small else 9
    return [row for window, batch in sizes for row in step.measure(window, batch, rounds)]


TASKS: dict[str, Callable[[argparse.Namespace], list[Record]]] = {
    "peers": _peers,
    "step": _step,
    "choices": lambda arguments: choices.measure(*((2, 96) if arguments.small else ())),
    "patches": lambda arguments: scale.patches(arguments.small, arguments.threads),
    "windows": lambda arguments: scale.windows(arguments.small, arguments.threads),
    "batches": lambda arguments: scale.batches(arguments.small, arguments.threads),
    "dense": lambda arguments: scale.dense(arguments.small, arguments.threads),
    "cores": lambda arguments: scale.cores(arguments.small),
}


def _no_plot(rows: list[Record], path: Path) -> None:
    """Some tables say all."""


def _plot_scale(key: str) -> Callable[[list[Record], Path], None]:
    """Rates and memory against a size, from zero on, so that noise is not made much of."""

    def draw(rows: list[Record], path: Path) -> None:
        numbers = [row for row in rows if not isinstance(row[key], str)]
        sizes = [row[key] for row in numbers]
        figure, (rates, memory) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
        for column, label in (("trained_per_s", "training"), ("encoded_per_s", "encoding")):
            rates.semilogx(sizes, [row[column] for row in numbers], "o-", label=label)
        memory.semilogx(sizes, [row["peak_gb"] for row in numbers], "o-", color="tab:gray")
        rates.set(xlabel=key.replace("_", " "), ylabel="patches per second", ylim=(0, None))
        memory.set(xlabel=key.replace("_", " "), ylabel="GB above the imports", ylim=(0, None))
        rates.legend()
        figure.savefig(path, dpi=150)
        plt.close(figure)

    return draw


PLOTS: dict[str, Callable[[list[Record], Path], None]] = {
    "peers": peers.plot,
    "patches": _plot_scale("patches"),
    "windows": _plot_scale("window"),
    "batches": _plot_scale("batch_size"),
}


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("speed", __doc__, TASKS, seeds=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a quick look, to see that it runs")
    parser.add_argument("--out", type=Path, help="folder of tables (csv) and plots")
    return parser


if __name__ == "__main__":
    main()

"""Do the models recover what is known to be in the data?

    python -m benchmarks.recovery sines lattice --seeds 0 1 2 --out results

prints one row per training, each figure beside its target, and writes them as csv, and the maps of
real images as pictures. The settings stand in synthetic.py and real.py, the same for all seeds.
Times depend on the machine and are shown, not judged.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.common import command
from benchmarks.common.table import Row, written
from benchmarks.common.training import collapse_expected, print_versions
from benchmarks.recovery import real, synthetic

SYNTHETIC: dict[str, Callable[[int], Iterator[Row]]] = {
    "sines": synthetic.sines,
    "lattice": synthetic.lattice,
    "motifs": synthetic.motifs,
    "likelihoods": synthetic.likelihoods,
    "decoders": synthetic.decoders,
}
REAL: dict[str, Callable[[int, Path], Iterator[Row]]] = {
    "graphite": real.graphite,
    "graphene": real.graphene,
}
TASKS = (*SYNTHETIC, *REAL)
# The spatial decoder and the large image take minutes for each seed.
SEEDS: dict[str, list[int]] = {"decoders": [0], "graphite": [0]}


def main() -> None:
    """Run the tasks that are asked for."""
    parser = command.parser("recovery", __doc__, TASKS, seeds=None, out="recovery")
    options = command.asked(parser, TASKS)
    print_versions()
    for task in options.tasks:
        seeds = options.seeds or SEEDS.get(task, [0, 1, 2])
        with collapse_expected():
            written(measured(task, seeds, options.out), options.out / f"{task}.csv")


def measured(task: str, seeds: list[int], out: Path) -> Iterator[Row]:
    """The rows of one task."""
    for seed in seeds:
        yield from REAL[task](seed, out) if task in REAL else SYNTHETIC[task](seed)


if __name__ == "__main__":
    main()

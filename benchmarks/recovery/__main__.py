"""Do the models recover what is known to be in the data?

    python benchmarks/recovery.py sines lattice --seeds 0 1 2 --out results

prints one row per training, each figure beside its target, and writes them as csv, and the maps of
real images as pictures. The settings stand in recovery_synthetic.py and recovery_real.py, the same
for all seeds. Times depend on the machine and are shown, not judged.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import recovery_real
import recovery_synthetic
import torch
from recovery_table import Row, write_csv

from pyroshift.errors import LatentWarning

SYNTHETIC: dict[str, Callable[[int], Iterator[Row]]] = {
    "sines": recovery_synthetic.sines,
    "lattice": recovery_synthetic.lattice,
    "motifs": recovery_synthetic.motifs,
    "likelihoods": recovery_synthetic.likelihoods,
    "decoders": recovery_synthetic.decoders,
}
REAL: dict[str, Callable[[int, Path], Iterator[Row]]] = {
    "graphite": recovery_real.graphite,
    "graphene": recovery_real.graphene,
}
# The spatial decoder and the large image take minutes for each seed.
SEEDS: dict[str, list[int]] = {"decoders": [0], "graphite": [0]}


def main() -> None:
    """Run the tasks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = [*SYNTHETIC, *REAL]
    parser.add_argument("tasks", nargs="+", choices=[*tasks, "all"], metavar="TASK",
                        help=", ".join([*tasks, "all"]))  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, help="default: 0 1 2, or 0 where slow")
    parser.add_argument("--out", type=Path, default=Path("recovery"), help="folder of the results")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    for task in tasks if "all" in options.tasks else options.tasks:
        run(task, options.seeds or SEEDS.get(task, [0, 1, 2]), options.out)


def run(task: str, seeds: list[int], out: Path) -> None:
    """Train for each seed, and print and write the figures."""
    rows: list[Row] = []
    for seed in seeds:
        with warnings.catch_warnings():
            # Latents that nothing varies for are meant to collapse here.
            warnings.simplefilter("ignore", LatentWarning)
            measured = REAL[task](seed, out) if task in REAL else SYNTHETIC[task](seed)
            for row in measured:
                print(row, flush=True)
                rows.append(row)
                write_csv(rows, out / f"{task}.csv")


if __name__ == "__main__":
    main()

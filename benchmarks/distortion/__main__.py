"""Is the distortion of a scan recovered, and are positions corrected by it?

    python -m benchmarks.distortion --seeds 0 1 2 --out distortion

prints one row for each simulated scan, each figure beside its target, writes them as csv, and draws
the displacements and distortions of two real measurements where `../shared/data` has them. Times
depend on the machine and are shown, not judged.
"""

from collections.abc import Iterator

from benchmarks.common import command
from benchmarks.common.table import Row, written
from benchmarks.common.training import print_versions
from benchmarks.distortion.real import perovskite_stack, strontium_titanate
from benchmarks.distortion.simulated import SCANS, measured


def main() -> None:
    """Run everything."""
    options = command.asked(command.parser("distortion", __doc__, out="distortion"))
    print_versions()
    written(rows(options.seeds), options.out / "distortion.csv")
    strontium_titanate(options.out)
    perovskite_stack(options.out)


def rows(seeds: list[int]) -> Iterator[Row]:
    """One row for each simulated scan."""
    for case, simulate in SCANS.items():
        for fixed in (True, False):
            for seed in seeds:
                yield measured(case, simulate(seed), fixed, seed)


if __name__ == "__main__":
    main()

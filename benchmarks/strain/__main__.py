"""Is the strain of a lattice told from offsets as well as by the methods that the field knows?

    python -m benchmarks.strain --seeds 0 1 2 --out strain
    python -m benchmarks.strain --held-out --seeds 0 1 2 --out strain
    python -m benchmarks.strain --real --out strain

prints one row for each simulated image and resolution, errors in per cent of strain (of rotation,
in hundredths of a radian), and writes them as csv; or draws the strains of two real measurements
where `../shared/data` has them. Times depend on the machine and are shown, not judged.
"""

from collections.abc import Iterator

from benchmarks.common import command
from benchmarks.common.table import Row, written
from benchmarks.common.training import print_versions
from benchmarks.strain.real import draw_all
from benchmarks.strain.recovered import measured
from benchmarks.strain.simulated import FIELDS, scene


def main() -> None:
    """Run what was asked for."""
    parser = command.parser("strain", __doc__, out="strain")
    parser.add_argument("--held-out", action="store_true", help="the second kind of images")
    parser.add_argument("--real", action="store_true", help="draw real measurements instead")
    options = command.asked(parser)
    print_versions()
    if options.real:
        draw_all(options.out)
        return
    name = "held_out" if options.held_out else "strain"
    written(rows(options.seeds, options.held_out), options.out / f"{name}.csv")


def rows(seeds: list[int], held_out: bool) -> Iterator[Row]:
    """Two rows for each simulated image."""
    for case in FIELDS:
        for seed in seeds:
            yield from measured(case, scene(case, seed, held_out), seed)


if __name__ == "__main__":
    main()

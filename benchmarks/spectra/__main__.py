"""Are drift and materials of energy-loss spectra told as well as by what the field does?

    python -m benchmarks.spectra --seeds 0 1 2 --out spectra
    python -m benchmarks.spectra --held-out --seeds 0 1 2 --out spectra
    python -m benchmarks.spectra --transfer --seeds 0 1 2 --out spectra

prints one row for each simulated cube, errors of the drift in channels, regions as shares of the
spectra, and writes them as csv. Needs the extra `atoms`. Times depend on the machine.
"""

import time
import warnings
from collections.abc import Iterator

import numpy as np

from benchmarks.common import command
from benchmarks.common.table import Row, written
from benchmarks.common.training import print_versions
from benchmarks.spectra import methods
from benchmarks.spectra.simulated import CASES, STEP, bound, cube
from pyroshift.errors import LatentWarning

LABELLED = 0.05  # share of the first cube's spectra


def main() -> None:
    """Run what was asked for."""
    parser = command.parser("spectra", __doc__, out="spectra")
    parser.add_argument("--held-out", action="store_true", help="the second kind of cubes")
    parser.add_argument("--transfer", action="store_true", help="labels to another cube instead")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    options = command.asked(parser)
    print_versions()
    warnings.simplefilter("ignore", LatentWarning)  # where a cube has less to tell than latents
    kind = "held_out" if options.held_out else "spectra"
    if options.transfer:
        written(transfers(options.seeds, options.held_out), options.out / f"transfer_{kind}.csv")
        return
    rows = measured(options.cases, options.seeds, options.held_out)
    written(rows, options.out / f"{kind}.csv")


def measured(cases: list[str], seeds: list[int], held_out: bool) -> Iterator[Row]:
    """A row for each simulated cube."""
    for case in cases:
        for seed in seeds:
            data = cube(case, seed, held_out)
            counts, drift, region = (data[name].values for name in ("counts", "drift", "region"))
            begin = time.perf_counter()
            found = methods.found(methods.trained(data, seed), data)
            row = Row("spectra", case, seed, time.perf_counter() - begin)
            least = bound(data)
            row.add(
                "peak", methods.error(found["peak"], drift, STEP), highest=max(0.1, 1.2 * least)
            )
            row.add("offset", methods.error(found["offset"], drift, STEP))
            row.add("said", float(np.sqrt((found["said"] ** 2).mean())) / STEP)
            row.add("bound", least)
            for name, shift in (
                ("maximum", methods.maxima(counts)),
                ("correlation", methods.correlated(counts)),
            ):
                row.add(name, methods.error(shift, drift / STEP, 1.0))
                for kind in ("PCA", "NMF"):
                    classes = methods.clustered(kind, counts, shift, seed)
                    row.add(f"{kind}, {name}", methods.agreement(classes, region))
            row.add("regions", methods.agreement(found["class"], region), lowest=0.98)
            yield row


def transfers(seeds: list[int], held_out: bool) -> Iterator[Row]:
    """Labels of a few spectra, for the rest and for another cube of another dose and drift."""
    for seed in seeds:
        first, second = (
            cube("close", seed, held_out),
            cube("close", seed + 50, held_out, counts=1500.0),
        )
        rng = np.random.default_rng(seed)
        region = first["region"].values
        labels = np.where(rng.random(region.shape) < LABELLED, region, np.nan)
        begin = time.perf_counter()
        model = methods.trained(first, seed, labels=labels)
        row = Row("transfer", "close", seed, time.perf_counter() - begin)
        for name, data in (("same", first), ("another", second)):
            counts = data["counts"].values
            classes = methods.found(model, data)["class"]
            row.add(name, float((classes == data["region"].values).mean()), lowest=0.98)
            by_scores = methods.transferred(first["counts"].values, labels, counts, seed)
            row.add(f"{name}, PCA", float((by_scores == data["region"].values).mean()))
        row.add("labels", float(np.isfinite(labels).sum()))
        yield row


if __name__ == "__main__":
    main()

"""Does a bridge predict spectra from structure, and back, and do its bands hold?

    python -m benchmarks.bridge --seeds 0 1 2 --out bridge [--atomai PYTHON]

prints a row for each case and seed and writes them as csv: errors of the targets held out, root
mean square in their own unit, beside those of other methods, and the share of measured values
within 90% bands. Needs scikit-learn, and AtomAI where an interpreter that has it is told.
"""

import time
import warnings
from argparse import Namespace
from collections.abc import Iterator

from benchmarks.bridge import methods
from benchmarks.bridge.cases import BFO, CASES
from benchmarks.common import command
from benchmarks.common.data import is_there
from benchmarks.common.table import Row, written
from benchmarks.common.training import print_versions
from pyroshift.errors import LatentWarning

LOWEST, HIGHEST = 0.87, 0.93


def main() -> None:
    """Run what was asked for."""
    parser = command.parser("bridge", __doc__, out="bridge")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--atomai", metavar="PYTHON", help="an interpreter that has AtomAI 0.8.1")
    parser.add_argument("--likelihood", default="heteroscedastic", help="of the bridge")
    parser.add_argument("--epochs", type=int, default=120, help="of AtomAI; default: 120")
    options = command.asked(parser)
    print_versions()
    warnings.simplefilter("ignore", LatentWarning)  # fewer are needed than there are
    written(measured(options), options.out / f"{options.likelihood}.csv")


def measured(options: Namespace) -> Iterator[Row]:
    """A row for each case and seed."""
    for name in options.cases:
        if name.startswith("bfo") and not is_there(BFO):
            continue
        for seed in options.seeds:
            case = CASES[name](seed)
            begin = time.perf_counter()
            own = methods.scored(methods.bridged(case, seed, options.likelihood), case)
            row = Row(options.likelihood, name, seed, time.perf_counter() - begin)
            others = {
                "mean": methods.mean(case),
                "neighbours": methods.neighbours(case),
                "ridge": methods.ridge(case),
            }
            if options.atomai:
                others["ImSpec"] = methods.imspec(case, seed, options.atomai, options.epochs)
            scores = {other: methods.scored(told, case) for other, told in others.items()}
            highest = scores.get("ImSpec", scores["mean"])["error"]
            row.add("error", own["error"], highest=highest)
            row.add("coverage", own["coverage"], LOWEST, HIGHEST)
            for figure in sorted(own.keys() - {"error", "coverage"}):
                row.add(figure, own[figure])
            for other, each in scores.items():
                for figure, value in each.items():
                    row.add(f"{other}, {figure}", value)
            yield row


if __name__ == "__main__":
    main()

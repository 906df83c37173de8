"""Tables of what was measured: rows of figures beside their targets, printed, written, read."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Target:
    """The range in which a figure should be; by default it has none."""

    lowest: float = -math.inf
    highest: float = math.inf

    def __str__(self) -> str:
        if math.isinf(self.lowest) and math.isinf(self.highest):
            return ""
        if math.isinf(self.highest):
            return f">= {self.lowest:g}"
        if math.isinf(self.lowest):
            return f"<= {self.highest:g}"
        return f"{self.lowest:g} to {self.highest:g}"

    def is_met(self, measured: float) -> bool:
        """Whether the figure is in the range; NaN never is."""
        return self.lowest <= measured <= self.highest


@dataclass
class Row:
    """One training: which, how long it took, and its figures with their targets."""

    task: str
    case: str
    seed: int
    seconds: float
    figures: dict[str, tuple[float, Target]] = field(default_factory=dict)

    def add(
        self, name: str, measured: float, lowest: float = -math.inf, highest: float = math.inf
    ) -> None:
        """Add a figure, and the range in which it should be."""
        self.figures[name] = (float(measured), Target(lowest, highest))

    def __str__(self) -> str:
        parts = [f"{self.task:12}{self.case:30} seed {self.seed} {self.seconds:5.0f} s"]
        for name, (measured, target) in self.figures.items():
            wanted = f" ({target})" if str(target) else ""
            missed = "" if target.is_met(measured) else " MISSED"
            parts.append(f"{name} {measured:.4g}{wanted}{missed}")
        return " | ".join(parts)


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """One line per figure."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["task", "case", "seed", "seconds", "figure", "measured", "lowest", "highest", "met"]
        )
        for row in rows:
            for name, (measured, target) in row.figures.items():
                writer.writerow(
                    [row.task, row.case, row.seed, f"{row.seconds:.1f}", name, f"{measured:.6g}",
                     target.lowest, target.highest, target.is_met(measured)]
                )  # fmt: skip


def written(rows: Iterable[Row], path: Path, before: Iterable[Row] = ()) -> list[Row]:
    """All rows, each printed as it comes and written with those so far, so that none is lost.

    Args:
        rows: yet to be measured.
        path: of the csv.
        before: rows that are there already; written, not printed.
    """
    done = list(before)
    for row in rows:
        print(row, flush=True)
        done.append(row)
        write_csv(done, path)
    return done


def print_records(records: Iterable[dict[str, Any]], digits: int) -> None:
    """Print a line for each record as it comes, below one of the names.

    Args:
        records: of the same names, yet to be measured.
        digits: of each number that isn't whole.
    """
    for number, record in enumerate(records):
        if number == 0:
            print(*record, sep=" | ")
        values = (f"{v:.{digits}g}" if isinstance(v, float) else v for v in record.values())
        print(*values, sep=" | ", flush=True)


def read_csv(path: Path) -> list[Row]:
    """The rows that `write_csv` wrote; none if there is no such file."""
    rows: dict[tuple[str, int], Row] = {}
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            key = line["case"], int(line["seed"])
            row = rows.setdefault(key, Row(line["task"], *key, float(line["seconds"])))
            limits = float(line["lowest"]), float(line["highest"])
            row.add(line["figure"], float(line["measured"]), *limits)
    return list(rows.values())


def figures(rows: Iterable[Row], case: str, name: str) -> dict[int, float]:
    """One figure of a case, by seed."""
    return {
        row.seed: row.figures[name][0] for row in rows if row.case == case and name in row.figures
    }


def worst(values: Iterable[float]) -> float:
    """The lowest; NaN if there is none."""
    return min(values, default=math.nan)

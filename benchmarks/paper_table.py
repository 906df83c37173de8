"""Rows of figures, read back and summed up."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path

from recovery_table import Row


def read_csv(path: Path) -> list[Row]:
    """The rows that `recovery_table.write_csv` wrote; none if there is no such file."""
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

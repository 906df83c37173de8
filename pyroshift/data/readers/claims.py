"""Sizes that a file's header claims, held against the file's own size before memory is taken."""

from math import prod
from pathlib import Path

import numpy as np

from pyroshift.errors import ReaderError

# What a small file may claim, bytes, and how many times its size a larger one: no common
# compression packs more than about a thousand equal bytes into one.
SMALL, DENSEST = 2**27, 1100
COORDINATE = 8  # bytes, along each axis even of an array without a value


def check_claim(path: Path, *claims: tuple[tuple[int, ...], np.dtype]) -> None:
    """Raises a ReaderError if arrays of these shapes and types can't be in so small a file."""
    bytes_claimed = 0
    for shape, dtype in claims:
        sizes = [int(size) for size in shape]
        bytes_claimed += prod(sizes) * dtype.itemsize + sum(sizes) * COORDINATE
    files = path.rglob("*") if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files)
    if bytes_claimed > max(SMALL, DENSEST * size):
        raise ReaderError(
            f"{path.name} is damaged: its header claims {bytes_claimed / 1e9:.3g} GB of values, "
            f"but the file has {size / 1e6:.3g} MB. Copy it again from its source."
        )

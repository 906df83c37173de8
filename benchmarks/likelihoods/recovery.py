"""How well content and place of windows were told, beside what is true of them."""

import numpy as np
import xarray as xr

from benchmarks.common.metrics import Array, predictability
from benchmarks.common.table import Row
from benchmarks.likelihoods.data import Data
from benchmarks.pose.metrics import coverage, offset_less_content

WANTED = {0.5: (0.47, 0.53), 0.9: (0.87, 0.93)}


def add_recovery(row: Row, maps: xr.Dataset, truth: Data) -> None:
    """Add how well content is told, by how much offsets are off, and whether they know."""
    row.add("content R2", predictability(maps.z.values, truth.content))
    error = offset_error(maps.offset.values, truth)
    row.add("offset off by", float(np.median(np.abs(error))))
    for level, (lowest, highest) in WANTED.items():
        share = coverage(error, maps.offset_std.values, level)
        row.add(f"within {level:.0%}", share, lowest, highest)


def offset_error(found: Array, truth: Data) -> Array:
    """Errors of offsets, `sample x axis`, less what of the origin depends on the content."""
    error = found - truth.offset
    if error.shape[1] == 1:  # along x, for what follows
        error = np.concatenate([np.zeros_like(error), error], 1)
    error = offset_less_content(error, np.zeros(len(error)), truth.content)
    return error[:, -found.shape[1] :]

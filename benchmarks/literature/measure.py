"""Train on some patches whose truth is known, and judge by others."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from benchmarks.common.run import Settings
from benchmarks.common.table import Row
from benchmarks.pose import metrics
from benchmarks.pose.found import Found
from benchmarks.pose.guides import train
from benchmarks.pose.tasks import add_state


def measure(
    task: str,
    add: Callable[[Row, Found, xr.Dataset], None],
    training: xr.Dataset,
    test: xr.Dataset,
    seed: int,
    case: str,
    guide: str,
    settings: Settings,
) -> Row:
    """A row of figures, of patches that weren't trained on.

    Args:
        task: its name.
        add: what adds its figures.
        training: patches to train on.
        test: patches to judge by.
        seed: of the weights and of the training.
        case: which of the task's trainings this is.
        guide: to train with.
        settings: the task's.
    """
    trained = train(guide, training.patch.values, seed, settings)
    row = Row(task, case, seed, trained.seconds)
    add(row, trained.find(test.patch.values), test)
    add_state(row, trained)
    return row


def add_offsets(row: Row, found: Found, truth: xr.Dataset, wanted: float) -> None:
    """How well offsets are found, and to how many pixels; so much correlation is wanted."""
    offset = truth.offset.values
    for axis, name in enumerate("yx"):
        row.add(f"offset {name}", metrics.pearson(found.offset[:, axis], offset[:, axis]), wanted)
    error = metrics.offset_error(found.offset, offset, truth.angle.values)
    distance = np.linalg.norm(error, axis=1)
    row.add("median offset error, px", float(np.median(distance)))

"""What is checked of a model, patches and numbers before draws are made, and settings for these."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tqdm import tqdm

from pyroshift.bayes.pareto import FEWEST
from pyroshift.data.checks import checked_count
from pyroshift.data.patches import Patches, as_patches
from pyroshift.data.pixels import warn_about_pixels
from pyroshift.errors import DataError, SpecificationError
from pyroshift.maps.encode import check_fit, each_alone
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import evaluating, seed_all

LARGEST = 4 * 2**30  # bytes of draws that are held in memory


def checked_draws(name: str, value: Any) -> int:
    """A number of the guide's draws, enough to fit the tail of their weights.

    Raises:
        DataError: if it is none, or too small.
    """
    return checked_count(name, value, FEWEST)


def checked_patches(model: Any, patches: Any, stacklevel: int) -> Patches:
    """Patches that the model is made for.

    Args:
        model: a trained model.
        patches: `Patches`, or what `Patches.from_array` takes.
        stacklevel: how many calls up a warning points.

    Raises:
        SpecificationError: if this is no model.
        DataError: if they don't fit the model, or some dimension of theirs has the name of one of
            draws.
    """
    if not isinstance(model, PoseVAE):
        raise SpecificationError(
            f"expected a model, such as ShiftVAE or what load returns; got {type(model).__name__}"
        )
    patches = as_patches(patches, model.window)
    check_fit(model, patches)
    warn_about_pixels(model.trained_on, getattr(patches, "pixels", None), stacklevel=stacklevel + 1)
    if taken := {"chain", "draw", "proposal", "model"} & set(patches.layout):
        raise DataError(
            f"the patches have a dimension {sorted(taken)[0]!r}, which draws and models go by: "
            "rename theirs"
        )
    return each_alone(model, model.with_needs(patches))


def progress_bar(what: str, windows: int, draws: int, shown: bool, done: int = 0) -> tqdm:
    """A bar that counts the guide's draws, of all windows together.

    Args:
        what: is done.
        windows: how many there are.
        draws: of each.
        shown: whether it is.
        done: windows that were done before.
    """
    return tqdm(
        total=windows * draws, initial=done * draws, desc=what, unit="draw", unit_scale=True,
        disable=not shown,
    )  # fmt: skip


@contextmanager
def drawing_from(model: PoseVAE, seed: int) -> Iterator[None]:
    """A model in evaluation mode, and random numbers of their own."""
    devices = range(torch.cuda.device_count())
    with torch.no_grad(), evaluating(model), torch.random.fork_rng(devices=devices):
        seed_all(seed)
        yield

"""Training as most benchmarks do it, timed, and what it is shown by."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import xarray as xr

from benchmarks.common.run import Settings
from pyroshift import Patches, PoseVAE, encode, fit, manifold, plot
from pyroshift.errors import LatentWarning

COMMON: Settings = {"learning_rate": 2e-3, "schedule": "cosine", "progress": False}


def train(
    model: PoseVAE, patches: Patches, seed: int, options: Settings
) -> tuple[xr.Dataset, xr.Dataset, float]:
    """Maps, history, and how many seconds the training took."""
    start = perf_counter()
    history = fit(model, patches, seed=seed, **COMMON, **options)
    seconds = perf_counter() - start
    return encode(model, patches), history, seconds


@contextmanager
def collapse_expected() -> Iterator[None]:
    """No warnings of latents that nothing varies for, where these are meant to collapse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)
        yield


def save_pictures(
    stem: Path,
    maps: xr.Dataset,
    image: xr.DataArray,
    model: PoseVAE,
    history: xr.Dataset | None = None,
) -> None:
    """Pictures of the maps and the manifold, and of the training if its history is given."""
    figures: dict[str, Any] = {"maps": plot.maps(maps, image)}
    figures["manifold"] = plot.manifold(manifold(model)).figure
    if history is not None:
        figures["training"] = plot.history(history)
    for name, figure in figures.items():
        getattr(figure, "figure", figure).savefig(f"{stem}_{name}.png", dpi=110)


def print_versions() -> None:
    """Print what the figures, the seconds above all, depend on."""
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)

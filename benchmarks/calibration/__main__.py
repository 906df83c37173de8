"""Are posteriors right of windows that the trained model made itself, before and after weighing?

    OMP_NUM_THREADS=1 python -m benchmarks.calibration all
    OMP_NUM_THREADS=1 python -m benchmarks.calibration turned --seeds 0

trains on motifs, has the model make windows of known latents, and prints one row per training and
way of drawing: the least p-value of uniform ranks, and what 90% intervals hold in the worst and in
the mean of all quantities. In half of the rows the guide has then learned from windows that the
model made, with the decoder as it was: the prior reaches where the motifs weren't.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import xarray as xr

from benchmarks.common import command
from benchmarks.common.table import Row, written
from benchmarks.common.training import COMMON
from benchmarks.wide.data import glyphs
from pyroshift import (
    RVAE,
    AnchorGuide,
    Patches,
    PoseVAE,
    ShiftVAE,
    calibrate,
    fit,
    synthetic,
)

WINDOW, COUNT, NOISE = 20, 2000, 0.2
FIT: dict[str, Any] = {"epochs": 30, "batch_size": 64}
TOLD = 400  # windows that are made to be ranked
GUIDES = ("anchor", "normal")


def main() -> None:
    """Run the tasks that are asked for."""
    parser = command.parser("calibration", __doc__, TASKS, seeds=[0, 1, 2], out="calibration")
    parser.add_argument("--draws", type=int, default=400)
    options = command.asked(parser, TASKS)
    rows = (
        row
        for task in options.tasks
        for seed in options.seeds
        for guide in GUIDES
        for row in _rows(task, guide, seed, options.draws)
    )
    written(rows, options.out / "calibration.csv")


def _shifted(guide: str, seed: int) -> tuple[PoseVAE, Patches]:
    """Motifs that are shifted."""
    data = synthetic.motifs(COUNT, WINDOW, max_angle=0.0, max_offset=3.0, noise=NOISE, seed=seed)
    model = ShiftVAE(WINDOW, latent_dim=1, guide=guide, offset_scale=0.15)
    return model, Patches.from_array(data["patch"])


def _turned(guide: str, seed: int) -> tuple[PoseVAE, Patches]:
    """Motifs that are shifted, and turned over the whole circle."""
    data = synthetic.motifs(COUNT, WINDOW, math.pi, max_offset=3.0, noise=NOISE, seed=seed)
    model = RVAE(WINDOW, latent_dim=1, offsets=True, guide=guide, offset_scale=0.15)
    return model, Patches.from_array(data["patch"])


def _classed(guide: str, seed: int) -> tuple[PoseVAE, Patches]:
    """Glyphs of three kinds, shifted and turned."""
    windows = glyphs(COUNT, NOISE, seed).windows
    window = windows.shape[-1]
    model = RVAE(window, latent_dim=1, offsets=True, classes=3, guide=guide, offset_scale=0.1)
    return model, Patches.from_array(windows)


def _rows(task: str, guide: str, seed: int, draws: int) -> Iterator[Row]:
    """Calibration after training, and after the guide has learned from the model's own windows."""
    model, patches = TASKS[task](guide, seed)
    for learned in ("data", "model"):
        start = time.perf_counter()
        if learned == "data":
            fit(model, patches, seed=seed, **COMMON, **FIT)
        else:
            _learn_from_the_model(model, seed)
        found = calibrate(model, draws=draws, windows=TOLD, seed=seed + 1, progress=False)
        for drawn in found["posterior"].values:
            case = f"{guide}, learned from the {learned}, {drawn}"
            yield _told(Row(task, case, seed, time.perf_counter() - start), found, drawn)


def _told(row: Row, found: xr.Dataset, drawn: str) -> Row:
    """How even the ranks are, and what intervals hold."""
    own = found.sel(posterior=drawn)
    for name in own["quantity"].values:
        row.add(f"p of {name}", float(own.p_value.sel(quantity=name)), 0.01)
    held = own.coverage.sel(level=0.9)
    row.add("in 90%", float(held.mean()), 0.87, 0.93)
    row.add("worst", float(held.min()))
    row.add("k-hat beyond", float((found.khat > found.khat_limit).mean()))
    return row


def _learn_from_the_model(model: PoseVAE, seed: int) -> None:
    """Train the guide on windows that the model makes, which stays as it is."""
    model.eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed + 500)
        made = Patches.from_array(model.sample_model(n=COUNT))
    generative = [model.decoder, model.likelihood, *model.given_sites]
    for module in generative:
        module.requires_grad_(False)
    if isinstance(model.guide_module, AnchorGuide):
        model.guide_module.centres.fill_(False)  # where its origin lies is the model's as well
    fit(model, made, seed=seed, **COMMON, **FIT)


TASKS: dict[str, Callable[[str, int], tuple[PoseVAE, Patches]]] = {
    "shifted": _shifted, "turned": _turned, "classes": _classed,
}  # fmt: skip

if __name__ == "__main__":
    main()

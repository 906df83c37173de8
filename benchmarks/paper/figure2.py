"""Figure 2: offset and period of sines share a VAE's latents, and part in a ShiftVAE's.

What a factor explains of a latent, and what a latent tells of a factor, is the correlation ratio:
R² by any function, since a VAE's latents lie on curves that no straight line sees.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from benchmarks.common.run import Job, Run, Settings
from benchmarks.common.table import Row, figures
from benchmarks.common.training import train
from pyroshift import (
    VAE,
    KLAnnealing,
    Patches,
    PoseVAE,
    ShiftVAE,
    correlation_ratio,
    manifold,
    plot,
    synthetic,
)
from pyroshift.model.sites import OFFSET

FIGURE2: Settings = {
    "data": {"n": 5000, "widths": (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4), "offset_spread": 3.0},
    # As recovery has it for sines: offsets and content start tied to their priors, so that one
    # sine serves all signals before there are several.
    "fit": {"epochs": 30, "batch_size": 128, "kl": KLAnnealing(5.0, 1.0, 15)},
    "small": {"data": {"n": 400}, "fit": {"epochs": 2}},
}
MODELS: dict[str, type[PoseVAE]] = {"VAE": VAE, "ShiftVAE": ShiftVAE}
LIKELIHOODS = ("bernoulli", "gaussian")  # the paper's, and the default
FACTORS = ("offset", "width")


def jobs(seed: int, run: Run) -> Iterator[Job]:
    """Both models under both likelihoods."""
    for likelihood in LIKELIHOODS:
        for name in MODELS:
            case = f"{name}, {likelihood}"
            if not run.cases or any(part in case for part in run.cases):
                yield case, partial(_training, case, name, likelihood, seed, run)


def _training(case: str, name: str, likelihood: str, seed: int, run: Run) -> Row:
    """Train, measure what mixes, and draw the latents and what they decode to."""
    settings = run.settings(FIGURE2)
    truth = synthetic.sines(seed=seed, **settings["data"])
    signal = (1 + truth.signal) / 2
    patches = Patches.from_array(signal.clip(0, 1) if likelihood == "bernoulli" else signal)
    model = MODELS[name](patches.window, likelihood=likelihood, seed=seed)
    maps, history, seconds = train(model, patches, seed, settings["fit"])
    row = Row("figure2", case, seed, seconds)
    # Which of two latents is which is arbitrary: by the width of their posteriors.
    order = np.argsort(maps.z_std.mean("sample").values)
    spread = maps.z_std.mean("sample").values[order]
    row.add("narrower z std", spread[0])
    row.add("wider z std", spread[1], lowest=0.9 if name == "ShiftVAE" else -np.inf)
    names = {f"z{order[0]}": "narrower z", f"z{order[1]}": "wider z"}
    names[f"{OFFSET}_x"] = "offset latent"
    by = correlation_ratio(maps, truth[list(FACTORS)])
    of = correlation_ratio(truth[list(FACTORS)], maps)
    for latent in by["latent"].values.tolist():
        for factor in FACTORS:
            row.add(f"{factor} explains {names[latent]}", by.sel(latent=latent, factor=factor))
            row.add(f"{names[latent]} tells {factor}", of.sel(latent=factor, factor=latent))
    row.add("KL of z, nats", float(history.kl.sel(site="z")[-1]))
    row.add("loss", float(history.loss[-1]))
    _draw(model, maps, truth.width, run.out / f"figure2_{case.replace(', ', '_')}_{seed}.png")
    return row


def _draw(model: PoseVAE, maps: xr.Dataset, width: xr.DataArray, path: Path) -> None:
    """The latents, coloured by the width, beside what they decode to."""
    figure = Figure((8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot.scatter(maps, color=width, ax=left)
    plot.manifold(manifold(model, size=8), ax=right)
    figure.savefig(path, dpi=100)


def summary(rows: Sequence[Row], run: Run) -> None:
    """Print the figures of all seeds beside each other."""
    for case in dict.fromkeys(row.case for row in rows):
        print(case)
        for name in next(row for row in rows if row.case == case).figures:
            values = " ".join(f"{value:7.3f}" for value in figures(rows, case, name).values())
            print(f"    {name:32}{values}")

"""Figures 5 to 7: real images, VAE against ShiftVAE, and the anchor guide without any search."""

from collections.abc import Iterator, Sequence
from functools import partial
from time import process_time
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from benchmarks.common.data import in_pixels
from benchmarks.common.run import Job, Run, Settings
from benchmarks.common.table import Row
from benchmarks.common.training import COMMON
from pyroshift import (
    VAE,
    Patches,
    PoseVAE,
    ShiftVAE,
    encode,
    explained_by_blur,
    extract_patches,
    fit,
    manifold,
    plot,
    smoothness,
    suggest_window,
)

# Where no window is given, it is the suggested one. Steps are about a quarter of it, so that maps
# have enough patches, and no simple part of the lattice's period, or nothing beats.
# STEM's grey levels mean something, and are kept. Were each window stretched to [0, 1] by itself,
# one bright pixel would change all windows that hold it, to squares in the maps. STM needs that,
# as the paper found.
IMAGES: dict[str, Settings] = {
    "graphite": {
        "file": "stm_graphite.tif",
        "patches": {"window": 40, "step": 12, "normalize": "patch"},
    },
    "manganite": {"file": "stem_nsmo_cryo.tif", "patches": {"step": 13, "normalize": "image"}},
    # Four pixels in one: the lattice has 40 pixels a cell, of which 20 show as much.
    "strontium titanate": {
        "file": "stem_srtio3_ncem.ser",
        "reduction": 2,
        "patches": {"step": 13, "normalize": "image"},
    },
    "molybdenum disulphide": {
        "file": "stem_mos2_se.dm3",
        "patches": {"step": 15, "normalize": "image"},
    },
}

# Guide (or VAE), and the KL weight: of all sites, or of z alone as in recovery.real, which for the
# VAE is the same.
CASES: dict[str, Settings] = {
    "VAE, 1": {"model": VAE, "kl": 1.0},
    "VAE, 20": {"model": VAE, "kl": 20.0},
    "normal, 1": {"model": ShiftVAE, "kl": 1.0},
    "normal, 5": {"model": ShiftVAE, "kl": 5.0},
    "normal, 20": {"model": ShiftVAE, "kl": 20.0},
    "normal, 20 on z": {"model": ShiftVAE, "kl": {"z": 20.0}},
    "anchor, 1": {"model": ShiftVAE, "kl": 1.0, "options": {"guide": "anchor"}},
}
# Which VAE each case is held against.
BASELINES = {"1": "VAE, 1", "5": "VAE, 1", "20": "VAE, 20", "20 on z": "VAE, 20"}
TIMES_SMOOTHER = 5.0  # asked for

FIT: Settings = {"epochs": 15, "batch_size": 128, "validation_fraction": 0.1}
SMALL_EPOCHS, SMALL_SIDE = 1, 300


def jobs(seed: int, run: Run) -> Iterator[Job]:
    """Maps of z are smooth and offsets beat, where the VAE's z beat: each image, each case."""
    for name in IMAGES:
        for case, label in run.wanted(name, CASES):
            yield label, partial(_measure, name, case, label, seed, run)


def summary(rows: Sequence[Row], run: Run) -> None:
    """How many times as smooth the ShiftVAE's z are as the VAE's, at the same weight and seed."""
    smooth = {(row.case, row.seed): row.figures["smoothness"][0] for row in rows if row.figures}
    for name in IMAGES:
        for case in CASES:
            baseline = BASELINES[case.split(", ")[1]]
            ratios = [
                share / smooth[f"{baseline}, {name}", seed]
                for (label, seed), share in smooth.items()
                if label == f"{case}, {name}" and (f"{baseline}, {name}", seed) in smooth
            ]
            if ratios and case != baseline:
                times = " ".join(f"{ratio:.3g}" for ratio in ratios)
                missed = "" if min(ratios) >= TIMES_SMOOTHER else " MISSED"
                print(f"{name}, {case}: {times} times {baseline} (>= {TIMES_SMOOTHER:g}){missed}")


def read(settings: Settings) -> xr.DataArray:
    """The image, lengths in pixels, reduced where asked."""
    image = in_pixels(settings["file"]).astype(np.float32)
    reduction = settings.get("reduction", 1)
    return image.coarsen(y=reduction, x=reduction, boundary="trim").mean()


def cut(image: xr.DataArray, settings: Settings) -> Patches:
    """Windows of two to three unit cells on a grid that knows nothing of the atoms."""
    options = dict(settings["patches"])
    window = options.pop("window", None) or suggest_window(image).window
    return extract_patches(image, window, **options)


def _measure(name: str, case: str, label: str, seed: int, run: Run) -> Row:
    settings, image = CASES[case], read(IMAGES[name])
    options = dict(FIT)
    if run.small:
        image, options["epochs"] = image[:SMALL_SIDE, :SMALL_SIDE], SMALL_EPOCHS
    patches = cut(image, IMAGES[name])
    model = settings["model"](patches.window, seed=seed, **settings.get("options", {}))
    start = process_time()
    history = fit(model, patches, seed=seed, kl=settings["kl"], **COMMON, **options)
    row = Row("figure7", label, seed, process_time() - start)
    maps = encode(model, patches)
    row.add("smoothness", float(smoothness(maps).max()))
    add_smoothness(row, maps)
    for index in maps.latent.values:
        row.add(f"z{index} std", float(maps.z_std.sel(latent=index).mean()))
    if not maps.collapsed.any():
        z = maps.z.values.reshape(-1, maps.sizes["latent"])
        row.add("z alike", float(np.corrcoef(z.T)[0, 1]))
    for index, share in enumerate(explained_by_blur(maps, patches).values):
        row.add(f"z{index} by blur", float(share))
    pixels = np.prod(patches.window)
    row.add("bound per pixel", float(maps.elbo.mean()) / pixels)
    row.add("held out", -float(history.validation_loss[-1]) / pixels)
    stem = f"figure7_{label}_{seed}".replace(", ", "_").replace(" ", "_")
    _draw(model, maps, image, str(run.out / stem))
    return row


def add_smoothness(row: Row, maps: xr.Dataset) -> None:
    """Smoothness of each z, and of each offset where there are any."""
    for name, label in (("z", "z"), ("offset", "offset ")):
        for place, share in smoothness(maps[name]).to_series().items() if name in maps else ():
            row.add(f"{label}{place}", share)


def _draw(model: PoseVAE, maps: xr.Dataset, image: xr.DataArray, stem: str) -> None:
    """The maps, and the manifold beside the latents' distribution."""
    plot.maps(maps, image).savefig(f"{stem}_maps.png", dpi=110)
    figure = Figure((9, 4), layout="constrained")
    axes: Any = figure.subplots(1, 2)
    plot.manifold(manifold(model), ax=axes[0])
    plot.scatter(maps, ax=axes[1])
    figure.savefig(f"{stem}_latents.png", dpi=110)

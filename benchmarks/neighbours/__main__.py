"""What does a prior by which neighbouring windows are alike bring, and is its length the true one?

    OMP_NUM_THREADS=1 python -m benchmarks.neighbours all
    OMP_NUM_THREADS=1 python -m benchmarks.neighbours fields --seeds 0

trains on windows of a grid, whose motif has an order parameter that is a Gaussian field of known
length, with windows as independent and as neighbours, and prints one row per training. Beside the
error stands the one that the exact posterior of the field would have, if each window by itself said
as much as it does where they are independent.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import torch

from benchmarks.common import command
from benchmarks.common.data import measurement
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row, written
from benchmarks.common.training import COMMON
from benchmarks.neighbours import missing
from benchmarks.neighbours import overlap as overlap_of
from pyroshift import (
    Patches,
    ShiftVAE,
    encode,
    extract_patches,
    fit,
    load_image,
    priors,
    smoothness,
)
from pyroshift.priors.matern import matern

SIDE, WINDOW, STEP = 32, 12, 0.5  # windows, pixels, and nanometres from window to window
SMOOTH = 0.8  # share of the variance
FIT: dict[str, Any] = {"epochs": 60, "batch_size": 64, "kl": 1.0}
CASES = list(product(("independent", "neighbours"), (None, "once")))
NOISE = 0.3  # of the image whose windows overlap
LENGTHS, NOISES = (5.0, 10.0), (0.3, 0.45)


def main() -> None:
    """Run the tasks that are asked for."""
    parser = command.parser("neighbours", __doc__, TASKS, seeds=[0, 1, 2], out="neighbours")
    parser.add_argument("--epochs", type=int, default=FIT["epochs"])
    options = command.asked(parser, TASKS)
    rows = (row for task in options.tasks for row in TASKS[task](options.seeds, options.epochs))
    written(rows, options.out / "neighbours.csv")


def fields(seeds: list[int], epochs: int) -> Iterator[Row]:
    """Order parameters of known length, by the anchor guide."""
    for length in LENGTHS:
        for noise in NOISES:
            for seed in seeds:
                yield from _both(length, noise, seed, epochs)


def graphite(seeds: list[int], epochs: int) -> Iterator[Row]:
    """How smooth maps of an STM image are, at weight 1, without a search."""
    image = load_image(measurement("stm_graphite.tif"))
    for guide, (prior, overlap), seed in product(("normal", "anchor"), CASES, seeds):
        patches = extract_patches(image, window=40, step=12, overlap=overlap)
        model = ShiftVAE(40, 2, guide=guide, priors=_priors(prior, 2), seed=seed)
        maps, seconds = _trained(model, patches, seed, epochs)
        row = Row("graphite", f"{guide}, {prior}, {overlap}", seed, seconds)
        for latent in range(2):
            row.add(f"smoothness of z{latent}", float(smoothness(maps.z.isel(latent=latent))))
        counted = (patches.power or 1.0) * 40**2
        row.add("bound per pixel", float(maps.elbo.mean()) / counted)
        _add_process(row, model)
        yield row


def overlapping(seeds: list[int], epochs: int) -> Iterator[Row]:
    """How often intervals of 90% hold the truth, where windows overlap."""
    for (prior, overlap), seed in product(CASES, seeds):
        seen = overlap_of.scene(NOISE, seed)
        patches = seen.patches(overlap)
        model = ShiftVAE(
            overlap_of.WINDOW, 1, period=overlap_of.PERIOD, priors=_priors(prior, 1), seed=seed
        )
        maps, seconds = _trained(model, patches, seed, epochs)
        row = Row("overlapping", f"{prior}, {overlap}", seed, seconds)
        for name, value in overlap_of.coverage(seen, maps, model, patches).items():
            row.add(name, value)
        _add_process(row, model)
        yield row


def quarters(seeds: list[int], epochs: int) -> Iterator[Row]:
    """Bands in a quarter of a field of which there are no windows, over many fields."""
    for length, noise, seed in product(missing.LENGTHS, NOISES, seeds):
        seen = missing.scene(length, noise, seed)
        model = ShiftVAE(WINDOW, 1, priors=_priors("neighbours", 1), seed=seed)
        _, seconds = _trained(model, seen.patches, seed, epochs // missing.TIMES)
        row = Row("quarters", f"length {length:g}, noise {noise}", seed, seconds)
        for name, value in missing.coverage(seen, model).items():
            row.add(name, value, *((0.87, 0.93) if name == "quarter covered" else ()))
        _add_process(row, model)
        yield row


TASKS: dict[str, Callable[[list[int], int], Iterator[Row]]] = {
    "fields": fields, "quarters": quarters, "graphite": graphite, "overlapping": overlapping,
}  # fmt: skip


def _priors(prior: str, latents: int) -> dict[str, Any]:
    """The prior of z by its name: the model's own, or of neighbours."""
    return {"z": priors.Matern(latents)} if prior == "neighbours" else {}


def _add_process(row: Row, model: ShiftVAE) -> None:
    """Lengths and shares, where neighbours say something of each other."""
    site: Any = model.contents[0]
    if isinstance(site, priors.Matern):
        lengths = site.length_posterior.mean.tolist()
        share_posterior: Any = site.share_posterior
        shares = share_posterior.base_dist.base_dist.loc.sigmoid().tolist()
        for latent, (length, share) in enumerate(zip(lengths, shares, strict=True)):
            row.add(f"length of z{latent}", length)
            row.add(f"share of z{latent}", share)


def _both(length: float, noise: float, seed: int, epochs: int) -> Iterator[Row]:
    """Windows of one field, trained on as independent and as neighbours."""
    correlation = _correlation(length)
    rng = np.random.default_rng(seed)
    content = np.linalg.cholesky(correlation) @ rng.standard_normal(SIDE**2)
    patches = _windows(content, noise, rng)
    left = 1.0
    for label, prior in (("independent", {}), ("neighbours", {"z": priors.Matern(1)})):
        model = ShiftVAE(WINDOW, 1, priors=prior, seed=seed)
        maps, seconds = _trained(model, patches, seed, epochs)
        z = maps.z.values.ravel()
        told = float(np.corrcoef(z, content)[0, 1] ** 2)
        row = Row("fields", f"length {length:g}, noise {noise}, {label}", seed, seconds)
        row.add("R2", told)
        if prior:
            row.add("error to independent", float(np.sqrt((1 - told) / left)))
            site: Any = model.contents[0]
            found = float(site.length_posterior.mean.detach()) / STEP
            row.add("length to the true one", found / length, 0.8, 1.25)
            row.add("share", float(site.share_posterior.base_dist.base_dist.loc.detach().sigmoid()))
        else:
            left = 1 - told
            row.add("the exact posterior's error to it", _exact(correlation, told))
        yield row


def _correlation(length: float) -> Array:
    """Of a field with a Matern part and noise of each window's own."""
    axis = np.arange(SIDE)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    distance = np.linalg.norm(grid[:, None] - grid, axis=-1) / length
    smooth = matern(torch.from_numpy(distance), 1.5).numpy()
    return SMOOTH * smooth + (1 - SMOOTH) * np.eye(len(grid))


def _windows(content: Array, noise: float, rng: np.random.Generator) -> Patches:
    """Two spots, one of which is as bright as the content says, shifted, in Normal noise."""
    axis = np.arange(WINDOW) - (WINDOW - 1) / 2
    offset = rng.uniform(-1.5, 1.5, (len(content), 2))
    y, x = axis[:, None] - offset[:, 0, None, None], axis - offset[:, 1, None, None]
    spot = np.exp(-((y - 2.5) ** 2 + (x - 2.5) ** 2) / 3)
    windows = np.exp(-(y**2 + x**2) / 4) + 0.3 * content[:, None, None] * spot
    windows = (windows + noise * rng.standard_normal(windows.shape)).astype(np.float32)
    steps = STEP * np.arange(SIDE)
    return Patches.from_array(
        windows.reshape(SIDE, SIDE, WINDOW, WINDOW), 2, ("y", "x", "down", "across"),
        {"y": steps, "x": steps},
    )  # fmt: skip


def _exact(correlation: Array, told: float) -> float:
    """Error of the field's posterior, to that of windows by themselves that tell so much of it."""
    variance = (1 - told) / told
    left = correlation - correlation @ np.linalg.solve(
        correlation + variance * np.eye(len(correlation)), correlation
    )
    return float(np.sqrt(np.trace(left) / len(left) / (1 - told)))


def _trained(model: ShiftVAE, patches: Patches, seed: int, epochs: int) -> tuple[Any, float]:
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, patches, seed=seed, **COMMON | FIT | {"epochs": epochs})
    return encode(model, patches), time.perf_counter() - begin


if __name__ == "__main__":
    main()

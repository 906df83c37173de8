"""Figure 8: which KL weights make the maps of z smooth, by the grid and by Bayesian search."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from time import process_time

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from benchmarks.common.run import Job, Run, Settings
from benchmarks.common.table import Row
from benchmarks.paper.figure7 import add_smoothness, read
from pyroshift import (
    ShiftVAE,
    encode,
    extract_patches,
    fit,
    plot,
    search_kl,
)
from pyroshift.search.search_kl import WEIGHTS
from pyroshift.search.space import Space
from pyroshift.search.study import Study
from pyroshift.search.training import physical_smoothness

IMAGE: Settings = {"file": "stm_graphite.tif", "patches": {"window": 40, "step": 20}}
GRIDS = {"6 x 6": WEIGHTS, "3 x 3": (0.1, 1.0, 10.0)}
# The spatial decoder takes some thirty times as long, so it gets a coarser grid, four pixels in one
# and fewer epochs; and the canvas gets the same once more, so that both can be compared.
COARSE: Settings = {"grid": "3 x 3", "epochs": 10, "reduction": 2}
CASES: dict[str, Settings] = {
    "canvas": {"decoder": "canvas", "grid": "6 x 6", "epochs": 20, "reduction": 1},
    "canvas, coarse": {"decoder": "canvas", **COARSE},
    "spatial, coarse": {"decoder": "spatial", **COARSE},
}
FIT: Settings = {"batch_size": 64}
SHARES = (1.0, 0.95, 0.9)  # of the best score; a training with another seed may differ by a tenth
REPLAYS = 24  # Bayesian searches over a grid that is known, each with a seed of its own


def jobs(seed: int, run: Run) -> Iterator[Job]:
    """A grid for each decoder, and the anchor guide at weight 1 beside."""
    for case, label in run.wanted("graphite", [*CASES, "anchor"]):
        job = _anchor if case == "anchor" else partial(_search, CASES[case])
        yield label, partial(job, label, seed, run)


def summary(rows: Sequence[Row], run: Run) -> None:
    """How often a quarter of the trainings holds the best score of a grid, or nearly."""
    maps = {
        path.stem: xr.load_dataset(path, engine="h5netcdf").score.values
        for path in sorted(run.out.glob("figure8_*.nc"))
    }
    for name, scores in {**maps, **simulated()}.items():
        needed = np.array([trainings_needed(scores, seed, SHARES) for seed in range(REPLAYS)])
        within = (needed <= scores.size // 4).mean(0)
        told = [
            f"{share:.0%} of it {met:.0%} (by chance {by_chance(scores, share):.0%})"
            for share, met in zip(SHARES, within, strict=True)
        ]
        print(
            f"{name}: the best of {scores.size} after {np.median(needed[:, 0]):g} trainings in the "
            f"median; within {scores.size // 4} met {', '.join(told)}"
        )


def simulated() -> dict[str, np.ndarray]:
    """Score maps such as the paper's, which falls with the initial weight, and with one summit."""
    initial, final = np.mgrid[:6, :6] / 5
    maps = {}
    for seed in range(3):
        rng = np.random.default_rng(seed)
        noise = 0.03 * rng.normal(size=(2, 6, 6))
        falling = 0.5 / (1 + np.exp(8 * (initial - 0.45))) * (1 - 0.15 * final)
        y, x = rng.uniform(0, 1, 2)
        summit = 0.5 * np.exp(-((initial - y) ** 2 + 0.3 * (final - x) ** 2) / 0.15)
        maps |= {f"falling {seed}": 0.1 + falling + noise[0]}
        maps |= {f"summit {seed}": 0.1 + summit + noise[1]}
    return maps


def by_chance(scores: np.ndarray, share: float) -> float:
    """How often a quarter of the points, drawn at random, holds so much of the best score."""
    good, quarter = int((scores >= share * scores.max()).sum()), scores.size // 4
    return 1 - math.comb(scores.size - good, quarter) / math.comb(scores.size, quarter)


def trainings_needed(scores: np.ndarray, seed: int, shares: Sequence[float]) -> list[int]:
    """How many trainings a search takes until each of some shares of the best score."""
    space = Space({name: tuple(range(size)) for name, size in zip("ab", scores.shape, strict=True)})
    study, found = Study(space, None, seed, {}), []
    while not found or max(found) < scores.max():
        trial = study.next(expected=True)
        assert trial is not None
        found.append(float(scores[study.point(trial)]))
        study.finish(trial, found[-1])
    reached = np.maximum.accumulate(found) / scores.max()
    return [int(np.argmax(reached >= share)) + 1 for share in shares]


def _search(settings: Settings, label: str, seed: int, run: Run) -> Row:
    """The grid, its picture, and the best point's figures."""
    weights = GRIDS[settings["grid"]]
    stem = run.out / f"figure8_{label}_{seed}".replace(", ", "_")
    found = search_kl(
        _image(run, settings["reduction"]),
        **{name: pixels // settings["reduction"] for name, pixels in IMAGE["patches"].items()},
        model=partial(ShiftVAE, decoder=settings["decoder"]),
        initial=weights,
        final=weights,
        epochs=1 if run.small else settings["epochs"],
        folder=stem,
        seed=seed,
        **FIT,
    )
    found.to_netcdf(f"{stem}.nc", engine="h5netcdf")
    plot.search(found).savefig(f"{stem}.png", dpi=90)
    best = found.sel(initial=found.best_initial, final=found.best_final)
    row = Row("figure8", label, seed, float(found.seconds.sum()))
    for name in ("initial", "final"):
        row.add(f"best {name}", float(best[name]))
    _add_scores(row, best, float(best.score), float(best.bound))
    row.add("seconds of one training", float(found.seconds.mean()))
    # Rank correlation of the score with each weight: below 0, low weights are better.
    for name in ("initial", "final"):
        weight = found[name].broadcast_like(found.score).transpose(*found.score.dims)
        ranks = spearmanr(weight.values.ravel(), found.score.values.ravel())
        row.add(f"score's rank correlation with {name}", ranks.statistic)
    row.add("lowest score", float(found.score.min()))
    row.add("median score", float(found.score.median()))
    return row


def _anchor(label: str, seed: int, run: Run) -> Row:
    """The anchor guide at weight 1, once."""
    patches = extract_patches(_image(run), **IMAGE["patches"])
    model = ShiftVAE(patches.window, guide="anchor", seed=seed)
    start = process_time()
    epochs = 1 if run.small else CASES["canvas"]["epochs"]
    history = fit(
        model, patches, epochs=epochs, seed=seed, validation_fraction=0.1, progress=False, **FIT
    )
    maps = encode(model, patches)
    row = Row("figure8", label, seed, process_time() - start)
    bound = -float(history.validation_loss[-1]) / np.prod(patches.window)
    _add_scores(row, maps, physical_smoothness(maps), bound)
    stem = run.out / f"figure8_{label}_{seed}".replace(", ", "_")
    plot.maps(maps, variables=["z", "offset", "elbo"]).savefig(f"{stem}.png", dpi=90)
    return row


def _image(run: Run, reduction: int = 1) -> xr.DataArray:
    image = read({"file": IMAGE["file"], "reduction": reduction})
    return image[:300, :300] if run.small else image


def _add_scores(row: Row, maps: xr.Dataset, score: float, bound: float) -> None:
    row.add("score", score)
    add_smoothness(row, maps)
    row.add("held out, nats a pixel", bound)

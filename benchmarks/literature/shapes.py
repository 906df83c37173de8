"""Shapes as in dSprites: turned over the circle, shifted, of three kinds and any size."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyro.distributions as dist
import xarray as xr

from benchmarks.common.metrics import squared_correlation
from benchmarks.common.run import Job, Run, Settings, merged
from benchmarks.common.table import Row
from benchmarks.literature.measure import add_offsets, measure
from benchmarks.pose import metrics
from benchmarks.pose.found import Found
from pyroshift import synthetic

_ANYWHERE = {"angle": dist.Uniform(-np.pi, np.pi), "offset": dist.Uniform(-0.4, 0.4)}
FOLDS = {"square": 4, "ellipse": 2, "heart": 1}  # of a turn after which it looks the same
SHAPES: Settings = {
    "data": {"n": 4000, "window": 48, "max_offset": 8.0, "noise": 0.05},
    "test": 1000,
    "turns": True,
    "model": {"likelihood": "gaussian", "latent_dim": 2},
    "guides": {
        "anchor": {"priors": _ANYWHERE},
        "normal": {"offset_scale": 0.2, "priors": {"angle": dist.Uniform(-np.pi, np.pi)}},
        "pyroved": {"dx_prior": 0.2},
    },
    # What only this package's models have, beside latents for whatever there is.
    "sites": {"classes": 3, "scales": True, "latent_dim": 1},
    "scale": dist.Uniform(0.6, 1.6),
    "fit": {"epochs": 20, "batch_size": 128, "kl": 1.0},
    "peer": {"epochs": 30},
    "small": {"data": {"n": 200}, "test": 60, "fit": {"epochs": 1}, "peer": {"epochs": 1}},
}  # fmt: skip


def shapes(seed: int, run: Run) -> Iterator[Job]:
    """Pose, kind and size of shapes that were not trained on."""
    settings = run.settings(SHAPES)
    data = settings["data"]
    training = synthetic.shapes(seed=seed, **data)
    test = synthetic.shapes(seed=seed + 100, **{**data, "n": settings["test"]})
    measured = partial(measure, "shapes", _add_shapes, training, test, seed)
    for guide, case in run.wanted(""):
        yield case, partial(measured, case, guide, settings)
    ours = [guide for guide in run.guides if guide in ("anchor", "normal")]
    for guide, case in run.wanted("kinds and scales", ours):
        priors = {"guides": {guide: {"priors": {"scale": settings["scale"]}}}}
        named = merged(settings, {"model": settings["sites"], **priors})
        yield case, partial(measured, case, guide, named)


def _add_shapes(row: Row, found: Found, truth: xr.Dataset) -> None:
    """Angles kind by kind, as each kind may have an upright of its own, modulo its symmetry."""
    assert found.angle is not None
    kind, angle = truth["shape"].values, truth.angle.values
    for number, name in enumerate(truth["shape"].flag_meanings.split()):
        own, fold = kind == number, FOLDS[name]
        turned, true = fold * found.angle[own], fold * angle[own]
        row.add(f"angle of {name}, mean resultant", metrics.resultant(turned, true), lowest=0.9)
        size = np.median(np.abs(metrics.angle_error(turned, true))) / fold
        row.add(f"median, degrees, {name}", float(np.degrees(size)))
    add_offsets(row, found, truth, wanted=0.97)
    size = [squared_correlation(value, truth.scale.values) for value in found.z.T]
    if found.scale is not None:
        within = np.concatenate([found.scale[kind == k] / found.scale[kind == k].mean()
                                 for k in range(len(FOLDS))])  # fmt: skip
        true = np.concatenate([truth.scale.values[kind == k] for k in range(len(FOLDS))])
        size.append(squared_correlation(within, true))
    row.add("size r2", max(size), lowest=0.9)
    clusters = metrics.k_means(found.z, len(FOLDS)) if found.category is None else found.category
    row.add("kind", metrics.cluster_accuracy(clusters, kind), lowest=0.9)

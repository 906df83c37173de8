"""Particles of electron cryomicroscopy, as 5HDB is simulated for spatial-VAE and its successors."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyro.distributions as dist
import xarray as xr

from benchmarks.common.metrics import circular_correlation, predictability
from benchmarks.common.run import Job, Run, Settings
from benchmarks.common.table import Row
from benchmarks.literature.measure import add_offsets, measure
from benchmarks.pose import metrics
from benchmarks.pose.found import Found
from pyroshift import synthetic

PARTICLES: Settings = {
    "data": {"n": 4000, "window": 48, "max_offset": 4.0},
    "test": 1000,
    "noises": (1.0, 3.0),
    "turns": True,
    "model": {"likelihood": "gaussian", "latent_dim": 2},
    "guides": {
        "anchor": {
            "priors": {
                "angle": dist.Uniform(-np.pi, np.pi), "offset": dist.Uniform(-0.25, 0.25),
            }
        },
        "normal": {"offset_scale": 0.1, "priors": {"angle": dist.Uniform(-np.pi, np.pi)}},
        "pyroved": {"dx_prior": 0.1, "sampler_d": "gaussian", "sigmoid_d": False},
    },
    "fit": {"epochs": 20, "batch_size": 128, "kl": 1.0},
    "peer": {"epochs": 30},
    "small": {
        "data": {"n": 200}, "test": 60, "noises": (1.0,), "fit": {"epochs": 1},
        "peer": {"epochs": 1},
    },
}  # fmt: skip


def particles(seed: int, run: Run) -> Iterator[Job]:
    """Pose and opening of particles that were not trained on, at two levels of noise."""
    settings = run.settings(PARTICLES)
    for noise in settings["noises"]:
        wanted = list(run.wanted(f"noise {noise:g}"))
        if not wanted:
            continue
        data = settings["data"] | {"noise": noise}
        training = synthetic.particles(seed=seed, **data)
        test = synthetic.particles(seed=seed + 100, **{**data, "n": settings["test"]})
        measured = partial(measure, "particles", _add_particles, training, test, seed)
        for guide, case in wanted:
            yield case, partial(measured, case, guide, settings)


def _add_particles(row: Row, found: Found, truth: xr.Dataset) -> None:
    assert found.angle is not None
    angle = truth.angle.values
    row.add("angle", circular_correlation(found.angle, angle), lowest=0.9)
    row.add("angle, mean resultant", metrics.resultant(found.angle, angle))
    turn = np.abs(metrics.angle_error(found.angle, angle))
    row.add("median angle error, degrees", float(np.degrees(np.median(turn))))
    add_offsets(row, found, truth, wanted=0.9)
    row.add("opening from z R2", predictability(found.z, truth.opening.values), lowest=0.8)

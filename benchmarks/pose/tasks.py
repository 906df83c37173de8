"""Pose of synthetic data over the whole window and the whole circle: peaks, sines, motifs."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pyro.distributions as dist
import xarray as xr

from benchmarks.common.metrics import (
    Array,
    circular_correlation,
    predictability,
    squared_correlation,
)
from benchmarks.common.run import Job, Run, Settings, merged
from benchmarks.common.table import Row
from benchmarks.pose import metrics
from benchmarks.pose.found import Found, Trained, as_float32
from benchmarks.pose.guides import train
from pyroshift import synthetic

# Each guide gets the prior that it can best use, matched to the data's spread. Everything else is
# the same for all: training at weight 1 from the start, with the learning rate of common.training.

PEAKS: Settings = {
    "data": {
        "n": 5000, "length": 100, "span": 10.0, "offset_spread": 9.0, "widths": (0.6, 1.4),
    },
    "asymmetries": (0.0, 0.5),
    "noises": (0.0, 0.1, 0.25, 0.5, 1.0),
    "turns": False,
    "model": {"likelihood": "gaussian", "latent_dim": 2},
    "guides": {
        "anchor": {"priors": {"offset": dist.Uniform(-0.95, 0.95)}},
        "normal": {"offset_scale": 0.55},
        "pyroved": {"dx_prior": 0.55, "sampler_d": "gaussian", "sigmoid_d": False},
    },
    # Peaks as faint as the noise take their time: the canvas is averaged over many poses.
    "fit": {"epochs": 60, "batch_size": 128, "kl": 1.0},
    "peer": {"epochs": 30},
    "small": {
        "data": {"n": 400}, "asymmetries": (0.5,), "noises": (0.1,),
        "fit": {"epochs": 3}, "peer": {"epochs": 1},
    },
}  # fmt: skip

SINES: Settings = {
    "data": {"n": 2000, "length": 100, "span": 10.0},
    "spreads": (0.5, 1.0, 2.0, 3.0, 4.5, 6.0),
    "noises": (0.0, 0.5, 1.0, 1.5, 2.0),
    "turns": False,
    "model": {"likelihood": "gaussian", "latent_dim": 2},
    # In the data's spread: half the uniform prior's range, and the Normal priors' width.
    "prior": {"anchor": 1.1, "normal": 0.6, "pyroved": 0.6},
    "guides": {
        "anchor": {}, "normal": {}, "pyroved": {"sampler_d": "gaussian", "sigmoid_d": False},
    },
    "fit": {"epochs": 30, "batch_size": 128, "kl": 1.0},
    "peer": {"epochs": 30},
    "collapse": 0.5,  # below this R² the offset is said to have collapsed
    "noise_allowed": 0.5,  # up to which none may
    "small": {
        "data": {"n": 300}, "spreads": (1.0, 6.0), "noises": (0.0, 1.0),
        "fit": {"epochs": 3}, "peer": {"epochs": 1},
    },
}  # fmt: skip

MOTIFS: Settings = {
    "data": {"n": 3000, "window": 40, "max_angle": math.pi, "max_offset": 8.0, "noise": 0.05},
    "turns": True,
    "model": {"likelihood": "gaussian", "latent_dim": 2},
    "guides": {
        "anchor": {
            "priors": {
                "angle": dist.Uniform(-math.pi, math.pi), "offset": dist.Uniform(-0.45, 0.45),
            }
        },
        "normal": {"offset_scale": 0.25, "priors": {"angle": dist.Uniform(-math.pi, math.pi)}},
        "pyroved": {"dx_prior": 0.25},
    },
    "fit": {"epochs": 30, "batch_size": 128, "kl": 1.0},
    "peer": {"epochs": 30},
    "small": {"data": {"n": 300}, "fit": {"epochs": 2}, "peer": {"epochs": 1}},
}  # fmt: skip


def peaks(seed: int, run: Run) -> Iterator[Job]:
    """Isolated peaks all over the window, beside the filter that knows each true peak."""
    settings = run.settings(PEAKS)
    for asymmetry in settings["asymmetries"]:
        for noise in settings["noises"]:
            wanted = list(run.wanted(f"asymmetry {asymmetry:g}, noise {noise:g}"))
            if not wanted:
                continue
            data = settings["data"] | {"asymmetry": asymmetry}
            truth = synthetic.peaks(noise=0.0, seed=seed, **data)
            signal = noisy(truth.signal.values, noise, seed)
            filtered = filtered_offsets(truth, signal, _peak(asymmetry), data["offset_spread"])
            for guide, case in wanted:
                add = partial(_add_peaks, truth=truth, filtered=filtered, noise=noise)
                yield case, partial(_measure, "peaks", case, guide, signal, seed, settings, add)


def sines(seed: int, run: Run) -> Iterator[Job]:
    """The paper's map for sines: spread of the offsets times noise, modulo the period."""
    settings = run.settings(SINES)
    for spread in settings["spreads"]:
        for noise in settings["noises"]:
            wanted = list(run.wanted(sines_label(spread, noise)))
            if not wanted:
                continue
            truth = synthetic.sines(noise=0.0, seed=seed, offset_spread=spread, **settings["data"])
            signal = noisy(truth.signal.values, noise, seed)
            filtered = filtered_offsets(truth, signal, np.sin, spread)
            lowest = settings["collapse"] if noise <= settings["noise_allowed"] else -math.inf
            for guide, case in wanted:
                add = partial(add_sines, truth=truth, filtered=filtered, lowest=lowest)
                fitting = with_prior(settings, guide, spread)
                yield case, partial(_measure, "sines", case, guide, signal, seed, fitting, add)


def motifs(seed: int, run: Run) -> Iterator[Job]:
    """Glyphs over the full circle and over ± 8 px: angle, offset, content, honesty, new ones."""
    settings = run.settings(MOTIFS)
    truth, new = (synthetic.motifs(seed=seed + apart, **settings["data"]) for apart in (0, 100))
    for guide, case in run.wanted(""):
        yield case, partial(_measure_motifs, case, guide, truth, new, seed, settings)


def _measure_motifs(
    case: str, guide: str, truth: xr.Dataset, new: xr.Dataset, seed: int, settings: Settings
) -> Row:
    """Train on some motifs, and ask for the pose of these and of others."""
    trained = train(guide, truth.patch.values, seed, settings)
    row = Row("motifs", case, seed, trained.seconds)
    _add_motifs(row, trained.found, truth)
    _add_motif_intervals(row, trained.found, truth)
    _add_motif_intervals(row, trained.find(new.patch.values), new, "new ")
    add_state(row, trained)
    return row


def _measure(
    task: str,
    case: str,
    guide: str,
    data: Array,
    seed: int,
    settings: Settings,
    add: Callable[[Row, Found], None],
) -> Row:
    """Train, and add the task's own figures."""
    trained = train(guide, data, seed, settings)
    row = Row(task, case, seed, trained.seconds)
    add(row, trained.found)
    add_state(row, trained)
    return row


def sines_label(spread: float, noise: float) -> str:
    """Name of one field of the map."""
    return f"spread {spread:g}, noise {noise:g}"


def noisy(signal: Array, level: float, seed: int) -> Array:
    """Signals with white noise of one standard deviation for all."""
    rng = np.random.default_rng([seed, 1])
    return as_float32(signal + level * rng.standard_normal(signal.shape))


def add_state(row: Row, trained: Trained) -> None:
    """The loss and whatever else was encoded, without targets."""
    for name, mean in trained.found.extras.items():
        row.add(f"mean {name}", mean)
    row.add("loss", trained.loss)


def add_coverage(row: Row, name: str, error: Array, stddev: Array) -> None:
    """How often the nominal 50% and 90% credible intervals hold the truth."""
    for level, lowest, highest in ((0.5, 0.45, 0.55), (0.9, 0.85, 0.95)):
        share = metrics.coverage(error, stddev, level)
        row.add(f"{name} in {level:.0%}", share, lowest=lowest, highest=highest)


def _peak(asymmetry: float) -> Callable[[Array], Array]:
    """The profile of synthetic.peaks, written again."""

    def profile(t: Array) -> Array:
        return np.exp(-0.5 * (t / np.where(t < 0, 1 - asymmetry, 1 + asymmetry)) ** 2)

    return profile


def filtered_offsets(
    truth: xr.Dataset, signal: Array, profile: Callable[[Array], Array], limit: float
) -> Array:
    """Offsets by the matched filter that knows each true motif, in samples."""
    x = truth.x.values
    return metrics.matched_filter(signal, x, profile, truth.width.values, limit) / (x[1] - x[0])


def _add_peaks(row: Row, found: Found, truth: xr.Dataset, filtered: Array, noise: float) -> None:
    spacing = float(truth.x[1] - truth.x[0])
    offset = truth.offset.values / spacing
    error, least = found.offset[:, 0] - offset, filtered - offset
    least_explained = metrics.explained(least, offset)
    lowest = 0.99 if least_explained >= 0.99 else -math.inf
    row.add("offset R2", metrics.explained(error, offset), lowest=lowest)
    row.add("filter R2", least_explained)
    row.add("rms error, samples", metrics.rms(error))
    row.add("filter rms", metrics.rms(least))
    row.add("median error, samples", metrics.median_size(error))
    row.add("filter median", metrics.median_size(least))
    if noise > 0:  # without noise the filter is exact
        free = metrics.less_content(error, truth.width.values)
        row.add("rms / filter", metrics.rms(error) / metrics.rms(least), highest=1.5)
        row.add("median / filter", metrics.median_size(error) / metrics.median_size(least))
        row.add("rms / filter, less width", metrics.rms(free) / metrics.rms(least))
    row.add("offset from z R2", predictability(found.z, offset), highest=0.02)
    add_coverage(row, "offset", error - np.median(error), found.offset_std[:, 0])
    free = metrics.less_content(error, truth.width.values)
    add_coverage(row, "offset, less width,", free, found.offset_std[:, 0])
    best = int(np.argmax([squared_correlation(z, truth.width.values) for z in found.z.T]))
    spread = metrics.spread_about_content(found.z[:, best], truth.width.values)
    add_coverage(row, "z", spread, found.z_std[:, best])


def with_prior(settings: Settings, guide: str, spread: float) -> Settings:
    """Settings with the offset prior that fits the spread."""
    width = settings["prior"][guide] * spread / settings["data"]["span"]
    options = {
        "anchor": {"priors": {"offset": dist.Uniform(-width, width)}},
        "normal": {"offset_scale": width},
        "pyroved": {"dx_prior": width},
    }
    return merged(settings, {"guides": {guide: options[guide]}})


def add_sines(row: Row, found: Found, truth: xr.Dataset, filtered: Array, lowest: float) -> None:
    """The offset modulo the period, what of it is in z, and the width."""
    spacing = float(truth.x[1] - truth.x[0])
    offset = truth.offset.values / spacing
    period = 2 * math.pi * truth.width.values / spacing
    error = metrics.error_modulo_period(found.offset[:, 0], offset, period)
    explained = metrics.explained_modulo_period(error, offset, period)
    row.add("offset R2", explained, lowest=lowest)
    least = metrics.error_modulo_period(filtered, offset, period)
    row.add("filter R2", metrics.explained_modulo_period(least, offset, period))
    freer = metrics.error_modulo_period(found.offset[:, 0], offset, period, phase_too=True)
    row.add("offset R2, less phase", metrics.explained_modulo_period(freer, offset, period))
    row.add("median error, samples", float(np.median(np.abs(error))))
    row.add("filter median", float(np.median(np.abs(least))))
    width = [squared_correlation(z, truth.width.values) for z in found.z.T]
    row.add("best z with width r2", max(width))
    row.add("offset from z R2", predictability(found.z, offset))


def _add_motifs(row: Row, found: Found, truth: xr.Dataset) -> None:
    """How well poses and content are found, and what of the pose is in z."""
    assert found.angle is not None
    angle, offset = truth.angle.values, truth.offset.values
    row.add("angle", circular_correlation(found.angle, angle), lowest=0.995)
    turn = metrics.angle_error(found.angle, angle)
    row.add("median angle error, degrees", float(np.degrees(np.median(np.abs(turn)))))
    distance = np.linalg.norm(metrics.offset_error(found.offset, offset, angle), axis=1)
    row.add("median offset error, px", float(np.median(distance)), highest=0.25)
    row.add("offset within 1 px", float(np.mean(distance <= 1)))
    content = [squared_correlation(z, truth.content.values) for z in found.z.T]
    row.add("best z with content r2", max(content), lowest=0.95)
    poses = [np.sin(angle), np.cos(angle), *offset.T]
    row.add("pose from z R2", max(predictability(found.z, pose) for pose in poses))


def _add_motif_intervals(row: Row, found: Found, truth: xr.Dataset, which: str = "") -> None:
    """What intervals hold, less what of a motif's own frame depends on its content."""
    assert found.angle is not None
    assert found.angle_std is not None
    angle, content = truth.angle.values, truth.content.values
    error = metrics.offset_error(found.offset, truth.offset.values, angle)
    error = metrics.offset_less_content(error, angle, content)
    for axis, name in enumerate("yx"):
        add_coverage(row, f"{which}offset {name}", error[:, axis], found.offset_std[:, axis])
    # Which way up a motif is depends on it as its origin does: a decoder that draws brighter dots
    # a little turned, with angles as much smaller, is the same model.
    turn = metrics.less_content(metrics.angle_error(found.angle, angle), content)
    add_coverage(row, f"{which}angle", turn, found.angle_std)
    best = int(np.argmax([squared_correlation(z, content) for z in found.z.T]))
    spread = metrics.spread_about_content(found.z[:, best], content)
    add_coverage(row, f"{which}z", spread, found.z_std[:, best])

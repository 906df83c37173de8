"""Galaxies of the Hubble deep field, which scikit-image brings, turned and shifted."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pyro.distributions as dist
from scipy.ndimage import center_of_mass as centres_of_mass
from scipy.ndimage import gaussian_filter, label, sum_labels
from skimage.data import hubble_deep_field

from benchmarks.common.metrics import Array
from benchmarks.common.run import Job, Run, Settings
from benchmarks.common.table import Row
from benchmarks.pose import metrics
from benchmarks.pose.guides import train
from benchmarks.pose.placed import add_moves, moves, placed
from benchmarks.pose.tasks import add_state

CUTOUT = 25  # pixels; the window is larger
SMALLEST, BRIGHT = 30, 0.12  # pixels of a galaxy above so much of the full range
GALAXIES: Settings = {
    "each": 24,  # windows of each galaxy that is trained on
    "held_out": 3,  # one of so many galaxies is not
    "window": 40,
    "max_offset": 4.0,
    "turns": True,
    "model": {"likelihood": "gaussian", "latent_dim": 4},
    "guides": {
        "anchor": {
            "priors": {"angle": dist.Uniform(-np.pi, np.pi), "offset": dist.Uniform(-0.3, 0.3)}
        },
        "normal": {"offset_scale": 0.15, "priors": {"angle": dist.Uniform(-np.pi, np.pi)}},
        "pyroved": {"dx_prior": 0.15},
    },
    "fit": {"epochs": 20, "batch_size": 128, "kl": 1.0},
    "peer": {"epochs": 30},
    "small": {"each": 1, "fit": {"epochs": 1}, "peer": {"epochs": 1}},
}


def galaxies(seed: int, run: Run) -> Iterator[Job]:
    """Moves of galaxies that were not trained on."""
    settings = run.settings(GALAXIES)
    cut = cutouts()
    unseen = np.arange(len(cut)) % settings["held_out"] == 0
    training, test = np.repeat(cut[~unseen], settings["each"], 0), np.repeat(cut[unseen], 4, 0)
    for guide, case in run.wanted(""):
        yield case, partial(_measure, case, guide, training, test, seed, settings)


def _measure(
    case: str, guide: str, training: Array, test: Array, seed: int, settings: Settings
) -> Row:
    window, reach = settings["window"], settings["max_offset"]
    _, seen = placed(training, *moves(len(training), reach, seed), window)
    trained = train(guide, seen, seed, settings)
    row = Row("galaxies", case, seed, trained.seconds)
    poses = moves(len(test), reach, seed + 100)
    still, moved = placed(test, *poses, window)
    there, here = trained.find(moved), trained.find(still)
    add_moves(row, there, here, *poses, wanted=(0.9, 0.97))
    assert there.angle is not None
    assert here.angle is not None
    twice = 2 * (there.angle - here.angle)  # many look the same after half a turn
    row.add("modulo half a turn, mean resultant", metrics.resultant(twice, 2 * poses[0]))
    add_state(row, trained)
    return row


def cutouts() -> Array:
    """Galaxies in grey levels from 0 to 1 (galaxy x height x width), each in the middle of a disk.

    What is beyond the disk is the sky's level, so that turning a cutout needs nothing beside it.
    """
    image = hubble_deep_field().mean(-1) / 255
    image = image - np.median(image)
    parts, count = label(gaussian_filter(image, 1) > BRIGHT)
    every = np.arange(1, count + 1)
    large = every[sum_labels(np.ones(image.shape), parts, every) >= SMALLEST]
    half = CUTOUT // 2
    rows, columns = np.indices((CUTOUT, CUTOUT)) - half
    taper = np.clip(half + 0.5 - np.hypot(rows, columns), 0, 2) / 2
    found = []
    for centre in centres_of_mass(image.clip(0), parts, large):
        y, x = np.rint(centre).astype(int)
        part = image[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1]
        if part.shape == taper.shape:
            found.append((part * taper).clip(0) / part.max())
    return np.stack(found)

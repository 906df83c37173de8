"""A bridge, and what it stands beside: mean, neighbours, PCA with ridge, AtomAI's ImSpec."""

import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline

from benchmarks.bridge.cases import Case
from benchmarks.common.run import Settings
from pyroshift import Bridge, Patches, fit, predict

Array = np.ndarray
OPTIONS: Settings = {"batch_size": 64, "learning_rate": 2e-3, "progress": False}
STEPS = 1400  # of the optimiser, whatever the number of pairs
NEIGHBOURS, COMPONENTS, RIDGES = 10, 30, np.logspace(-2, 4, 13)
HERE = Path(__file__).parent
PUBLISHED = 0.90  # the bands' probability


class Told(NamedTuple):
    """What a method expects of the targets held out, and the ends of its bands if it has any."""

    mean: Array
    lower: Array | None = None
    upper: Array | None = None


def bridged(case: Case, seed: int, likelihood: str = "heteroscedastic") -> Told:
    """A bridge as it comes, but for its likelihood."""
    source, target = case.training.known["source"], case.training
    bridge = Bridge(tuple(source.shape[1:]), target.window, likelihood=likelihood, seed=seed)
    epochs = round(STEPS * OPTIONS["batch_size"] / len(target))
    fit(bridge, target, epochs=epochs, seed=seed, **OPTIONS)
    found = predict(bridge, case.held_out, credible=PUBLISHED, seed=seed)
    there = case.held_out.positions
    flat = {
        name: found[name].values.reshape(-1, *target.window)[there]
        for name in ("mean", "lower", "upper")
    }
    return Told(**flat)


def flat(pairs: Patches) -> tuple[Array, Array]:
    """Sources and targets, a row each; a source's missing pixels are 0."""
    sources = torch.nan_to_num(pairs.known["source"]).flatten(1).numpy()
    return sources, pairs.gather().flatten(1).numpy()


def mean(case: Case) -> Told:
    """The mean target, and quantiles of all that were trained on."""
    target = case.training.gather().numpy()
    tail = (1 - PUBLISHED) / 2
    shape = case.held_out.gather().shape
    ends = np.quantile(target, [tail, 1 - tail], axis=0)
    return Told(*(np.broadcast_to(each, shape) for each in (target.mean(0), *ends)))


def neighbours(case: Case) -> Told:
    """Mean target of the nearest sources, the nearer the more."""
    return _regressed(KNeighborsRegressor(NEIGHBOURS, weights="distance"), case)


def ridge(case: Case) -> Told:
    """Linear in the principal components of sources; the ridge by leaving out one at a time."""
    count = min(COMPONENTS, flat(case.training)[0].shape[1] - 1)
    return _regressed(make_pipeline(PCA(count, whiten=True), RidgeCV(RIDGES)), case)


def _regressed(method: object, case: Case) -> Told:
    method.fit(*flat(case.training))  # type: ignore[attr-defined]
    told = method.predict(flat(case.held_out)[0])  # type: ignore[attr-defined]
    return Told(told.reshape(case.held_out.gather().shape))


def imspec(case: Case, seed: int, python: str, epochs: int) -> Told:
    """AtomAI's ImSpec, by an interpreter of its own.

    Args:
        case: the pairs.
        seed: of its weights.
        python: the interpreter of an environment that has atomai 0.8.1.
        epochs: of its training.
    """
    with tempfile.TemporaryDirectory() as folder:
        pairs, told = Path(folder) / "pairs.npz", Path(folder) / "told.npy"
        np.savez(
            pairs,
            source=torch.nan_to_num(case.training.known["source"]).numpy(),
            target=case.training.gather().numpy(),
            held_out=torch.nan_to_num(case.held_out.known["source"]).numpy(),
        )
        subprocess.run(
            [
                "env",
                "-u",
                "PYTHONPATH",
                python,
                HERE / "imspec.py",
                pairs,
                told,
                str(seed),
                str(epochs),
            ],
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        return Told(np.load(told))


def scored(told: Told, case: Case) -> dict[str, float]:
    """Errors, root mean square, of measured and of clean targets; the bands' coverage."""
    observed = case.held_out.gather().numpy()
    found = {"error": float(np.sqrt(np.square(told.mean - observed).mean()))}
    if case.expected is not None:
        found["clean"] = float(np.sqrt(np.square(told.mean - case.expected).mean()))
    if told.lower is not None and told.upper is not None:
        inside = (observed >= told.lower) & (observed <= told.upper)
        found |= {
            "coverage": float(inside.mean()),
            "width": float((told.upper - told.lower).mean()),
        }
    return found

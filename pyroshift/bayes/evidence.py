"""How well a model explains each patch: bounds on the log evidence by importance sampling."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr

from pyroshift.bayes.checks import (
    checked_draws,
    checked_patches,
    drawing_from,
    progress_bar,
)
from pyroshift.bayes.draws import Drawing
from pyroshift.bayes.pareto import effective, khat_limit, smoothed
from pyroshift.data.checks import checked_count
from pyroshift.data.patches import Patches
from pyroshift.maps.labels import attributes
from pyroshift.model.pair import PoseVAE

KHAT = "khat"
EVIDENCE = "log_evidence"
LABELS = {
    EVIDENCE: ("importance-weighted bound on the log evidence", "nat"),
    f"{EVIDENCE}_se": ("Monte Carlo standard error of the bound", "nat"),
    "elbo": ("evidence lower bound per patch", "nat"),
    KHAT: ("Pareto k-hat of the importance weights", "1"),
    "ess": ("effective number of the guide's draws", "1"),
}


def evidence(
    model: PoseVAE,
    patches: Any,
    draws: int = 200,
    *,
    batch_size: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Log evidence of each patch under a model: the importance-weighted bound, and the ELBO.

    The weight of a draw of the guide is the joint density of window and latents over the guide's
    density; the mean weight estimates the evidence, and the logarithm of it is on average too low:
    the less so, the more draws there are, where the ELBO, which is the mean logarithm of a weight,
    stays as much too low as the guide is wrong. Where k-hat is beyond the limit in the attribute
    `khat_limit`, a few draws decide: the bound is still one, but neither near nor is its error.

    Of windows cut with `overlap="once"` it is of tempered data: the likelihood raised to `power`,
    no density any more, integrated over the latents. Added up over windows it is of each pixel
    once, and a higher one still speaks for a model.

    Of windows whose class is known by a label, it is the evidence of window and class. What all
    patches share, as the widths of a hierarchical prior, is drawn from its posterior.

    Args:
        model: a trained model.
        patches: `Patches`, or windows or signals that are cut already, as for `encode`.
        draws: of the guide for each patch, at least 25.
        batch_size: windows that go through the networks at a time.
        seed: of the draws.
        progress: whether to show a progress bar.

    Returns:
        A Dataset over the patches' own dimensions: `log_evidence` and its standard error
        `log_evidence_se`, and `elbo`, the mean log weight, all in nats (of the anchor guide with
        its bins summed out, so that it is above what `fit` and `encode` tell); `khat`; and `ess`,
        how many equally weighted draws the weighted ones are worth. NaN where there is no patch.

    Raises:
        DataError: if the patches don't fit the model, or there are too few draws.
        SpecificationError: if this is no model, or its guide draws other sites.

    Source:
        Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", ICLR (2016); k-hat:
        Vehtari and others, J. Mach. Learn. Res. 25 (2024).

    Example:
        >>> from pyroshift import ShiftVAE, extract_patches
        >>> cut = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> found = evidence(ShiftVAE(16, guide="normal"), cut, draws=50)
        >>> found.log_evidence.dims, bool((found.log_evidence > found.elbo).all())
        (('y', 'x'), True)
    """
    draws = checked_draws("draws", draws)
    batch_size = checked_count("batch_size", batch_size)
    patches = checked_patches(model, patches, stacklevel=2)
    with progress_bar("evidence", len(patches), draws, progress) as bar:
        found = pointwise(model, patches, draws, batch_size, seed, bar.update)
    variables = {
        name: xr.Variable(tuple(patches.layout), patches.unflatten(values), labels_of(name))
        for name, values in found.items()
    }
    attrs = {**attributes(model, patches), "draws": draws, "khat_limit": khat_limit(draws)}
    title = f"log evidence of windows under {type(model).__name__}"
    return xr.Dataset(variables, dict(patches.coords), {**attrs, "title": title})


def labels_of(name: str) -> dict[str, str]:
    """Attributes of what is found of each patch."""
    long_name, units = LABELS[name]
    return {"long_name": long_name, "units": units}


def pointwise(
    model: PoseVAE,
    patches: Patches,
    draws: int,
    batch_size: int,
    seed: int,
    told: Callable[[int], Any],
) -> dict[str, np.ndarray]:
    """What `evidence` gives, `patch` each, double precision."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in LABELS}
    on_device = patches.to(model.device)
    with drawing_from(model, seed):
        for index in torch.arange(len(patches)).split(batch_size):
            drawing = Drawing(model, on_device, index, batch_size, told)
            weights = drawing.weigh(draws).log_weights
            for name, values in summary(weights).items():
                parts[name].append(values)
    return {name: np.concatenate(each) for name, each in parts.items()}


def summary(log_weights: np.ndarray) -> dict[str, np.ndarray]:
    """Bounds, their error and k-hat of weights.

    Args:
        log_weights: `draw x patch`.

    Returns:
        By the names of what `evidence` gives, `patch` each.

    Example:
        >>> summary(np.log([[1.0], [3.0]]))["log_evidence"].round(3)  # log 2
        array([0.693])
    """
    draws = len(log_weights)
    highest = log_weights.max(0)
    highest = np.where(np.isfinite(highest), highest, 0.0)
    weights = np.exp(log_weights - highest)
    mean = weights.mean(0)
    normalized, khat = smoothed(log_weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            EVIDENCE: np.log(mean) + highest,
            # Of the logarithm of a mean, to first order.
            f"{EVIDENCE}_se": weights.std(0, ddof=1) / mean / np.sqrt(draws),
            "elbo": log_weights.mean(0),
            KHAT: khat,
            "ess": effective(normalized),
        }

"""Pixels left out by importance weights, and by refits without them."""

import warnings

import arviz_stats
import numpy as np
import torch

import pyroshift as ps

LOOKED_AT, WINDOWS, PIXELS = 16, 8, 20
DRAWS, PROPOSALS, REFITTED = 1000, 3000, 1500


def against_refits(name: str, model: ps.PoseVAE, held_out: ps.Patches) -> None:
    """Print ArviZ's leave-one-out of pixels, and how far refits are from it.

    A refit is the posterior of the window in which the pixel is missing: the pixel's log density by
    it is the evidence of the window with the pixel less that without. Windows are those in which
    the guide's draws can be weighed: elsewhere a few of them make up all, and are all alike.

    Args:
        name: of the guide.
        model: a trained model.
        held_out: windows that it wasn't trained on.
    """
    looked_at = held_out.gather(torch.arange(LOOKED_AT)).numpy()
    tree = ps.posterior(
        model, looked_at, DRAWS, proposals=PROPOSALS, predictive=False, pixelwise=True,
        progress=False,
    )  # fmt: skip
    importance = tree["importance"]
    good = np.flatnonzero(importance.khat.values < importance.attrs["khat_limit"])
    print(f"{name}: weights hold in {len(good)} of {LOOKED_AT} windows")
    if len(good) < 2:
        return
    windows = looked_at[good[:WINDOWS]]
    tree["log_likelihood"] = tree["log_likelihood"].to_dataset().isel(patch=good[:WINDOWS])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of k-hat, which is printed
        found = arviz_stats.loo(tree, pointwise=True)
    each, khat = (
        every.values.reshape(len(windows), -1) for every in (found.elpd_i, found.pareto_k)
    )
    random = np.random.default_rng(0)
    chosen = np.stack([random.choice(each.shape[1], PIXELS, replace=False) for _ in windows])
    refitted = _refits(model, windows, chosen)
    by_window = np.nanmean(np.take_along_axis(each, chosen, 1) - refitted, 1)
    print(
        f"{name}: {np.nanmean(each):.4f} nats a pixel, of {each.size} in {len(windows)} windows, "
        f"{np.isnan(each).sum()} not known, k-hat beyond 0.7 in {(khat > 0.7).mean():.2%}; of "
        f"{PIXELS} pixels of each, less refits {by_window.mean():+.4f} ± "
        f"{by_window.std(ddof=1) / np.sqrt(len(by_window)):.4f} nats a pixel, which scatter by "
        f"{refitted.std():.2f}"
    )


def _refits(model: ps.PoseVAE, windows: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Log density of pixels by their windows without them, `window x pixel`."""
    count = chosen.shape[1]
    repeated = np.repeat(windows[:, np.newaxis], count + 1, 1)
    flat = repeated.reshape(*repeated.shape[:2], -1)
    for number, pixels in enumerate(chosen):
        flat[number, np.arange(count), pixels] = np.nan  # the last one stays whole
    patches = ps.Patches.from_array(repeated.reshape(-1, *windows.shape[1:]))
    found = ps.evidence(model, patches, draws=REFITTED, progress=False)
    evidence = found.log_evidence.values.reshape(len(windows), -1)
    return evidence[:, -1:] - evidence[:, :-1]

"""Simulation-based calibration: are posteriors right of windows whose latents are known?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyro
import torch
import xarray as xr
from pyro import poutine

from pyroshift.bayes.checks import (
    checked_draws,
    checked_patches,
    drawing_from,
    progress_bar,
)
from pyroshift.bayes.draws import Drawing, Values, called, shared
from pyroshift.bayes.evidence import KHAT, labels_of
from pyroshift.bayes.pareto import effective, khat_limit, smoothed
from pyroshift.bayes.ranks import Uniformity, ranks
from pyroshift.bayes.tree import LOG_LIKELIHOOD
from pyroshift.data.checks import CHANNEL, checked_count
from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.maps.labels import attributes
from pyroshift.model.batch import gathered
from pyroshift.model.brightness import BACKGROUND, GAIN
from pyroshift.model.pair import PoseVAE
from pyroshift.model.sites import BRIGHTNESS, CONTENT, DATA, OFFSET, Site
from pyroshift.training.elbo import sample_sites

LEVELS = (0.5, 0.8, 0.9, 0.95)
GUIDE, WEIGHTED = "guide", "weighted"
_LABELS = {
    "rank": "share of the posterior's draws below the true value",
    "coverage": "share of true values within central intervals",
    "p_value": "probability of ranks as uneven, if the posterior is right",
}


def calibrate(
    model: PoseVAE,
    patches: Any = None,
    draws: int = 200,
    *,
    windows: int = 1000,
    batch_size: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Whether posteriors are right: their ranks of true latents, in windows that the model made.

    Latents are drawn from the prior, a window is made of them, and its posterior is found as that
    of any other. If posteriors are right, each true value is equally likely to be anywhere among
    the draws, and intervals of 90% hold 90% of them. This is asked of each number of each site, and
    of the log likelihood, which sees errors that depend on the data; of the guide's draws as they
    are, and weighed by importance as `posterior` does it.

    A guide may fail where the prior reaches and the data that it learned from don't; what matters
    of such is how far these data are from the prior, which `predictive_check` tells.

    Args:
        model: a trained model.
        patches: `Patches`, for each of which one window is made, with its gaps, and what is known
            of it but for labels; by default nothing is known and nothing missing. Windows are made
            one by one, so that all their pixels count in full, with `overlap="once"` too.
        draws: of the guide for each window, at least 25.
        windows: how many are made where no patches are given.
        batch_size: windows that go through the networks at a time.
        seed: of all draws.
        progress: whether to show a progress bar.

    Returns:
        A Dataset over `posterior` ("guide" and "weighted") and `quantity`, such as "offset_y",
        "z0", "log_likelihood": `rank` of each window, 0 to 1, uniform if the posterior is right;
        `p_value`, how probable ranks so uneven are then; and `coverage` over `level`, the share of
        true values in central intervals. Besides, of each window, `khat` and `ess` of the weights:
        where k-hat is beyond the attribute `khat_limit`, the weighted draws aren't right either.

    Raises:
        DataError: if the patches don't fit the model, or a number makes no sense; or if the model
            has covariates or neighbours to know of, and there are no patches.
        SpecificationError: if this is no model, or its guide draws other sites.

    Source:
        Talts and others, "Validating Bayesian inference algorithms with simulation-based
        calibration", arXiv:1804.06788; Modrák and others, Bayesian Anal. 20, 461 (2025), on the
        log likelihood.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> found = calibrate(ShiftVAE(16, guide="normal"), windows=100, progress=False)
        >>> list(found.quantity.values)
        ['offset_y', 'offset_x', 'z0', 'z1', 'log_likelihood']
        >>> found.coverage.dims
        ('posterior', 'quantity', 'level')
    """
    draws = checked_draws("draws", draws)
    windows = checked_count("windows", windows)
    batch_size = checked_count("batch_size", batch_size)
    given = _blank(model, windows) if patches is None else patches
    given = checked_patches(model, given, stacklevel=2)
    random = np.random.default_rng(seed)
    known = _without_labels(model, given).to(model.device)
    parts = list[dict[str, np.ndarray]]()
    with (
        drawing_from(model, seed),
        progress_bar("calibrate", len(known), draws, progress) as bar,
    ):
        for index in torch.arange(len(known), device=model.device).split(batch_size):
            made = _make(Drawing(model, known, index, batch_size, bar.update))
            parts.append(_ranked(made, draws, random))
    found = {name: np.concatenate([part[name] for part in parts], -1) for name in parts[0]}
    return _labelled(model, given, found, draws)


def _blank(model: Any, count: int) -> Any:
    """Windows of which nothing is known, in the shape that a model is for."""
    if not isinstance(model, PoseVAE):
        return None  # the checks say so
    if asked := [*model.condition, *(name for site in model.given_sites for name in site.needs)]:
        raise DataError(
            f"the model must know {asked} of each window: pass patches that have it, of which "
            "windows are then made"
        )
    names = list(model.channels) or None
    coords = {CHANNEL: names} if names else None
    dims = ("window", *([CHANNEL] if names else []), *("y", "x")[-len(model.window) :])
    blank = np.zeros((count, *model.shape), np.float32)
    return Patches.from_array(blank, len(model.window), dims=dims, coords=coords)


def _without_labels(model: PoseVAE, patches: Patches) -> Patches:
    """Patches of which no class and no flip is known, as these are drawn."""
    labels = {site.label for site in model.discrete} - set(model.condition)
    known = {name: values for name, values in patches.known.items() if name not in labels}
    return replace(patches, known=known)


@dataclass(frozen=True)
class _Made:
    """Windows that a model made, and of what.

    Args:
        drawing: the model and the windows, with what is known of them.
        truth: values of the sites, one draw of each.
        log_likelihood: of the windows given these, `1 x patch`.
    """

    drawing: Drawing
    truth: Values
    log_likelihood: np.ndarray


def _make(like: Drawing) -> _Made:
    """A window for each of some patches, as the model makes it; what all share, as it was learned.

    Args:
        like: the model, and patches that tell what is known of windows, and where they have gaps.
    """
    model, patches, index = like.model, like.patches, like.index
    batch = gathered(patches, index)
    with pyro.validation_enabled(False):
        given = poutine.replay(model.sample_model, trace=shared(model))
        trace = poutine.trace(given).get_trace(batch, observe=False)
        values = {name: site["value"] for name, site in sample_sites(trace).items()}
        x = values[DATA].masked_fill(torch.isnan(patches.gather(index)), torch.nan)
        known = {name: values[index] for name, values in patches.known.items()}
        every = torch.arange(len(index), device=x.device)
        starts = patches.starts.new_zeros((len(index), patches.starts.shape[1]))
        starts[:, 0] = every
        made = replace(
            patches, source=x, starts=starts, normalize=None, known=known, power=None,
            layout={"patch": len(index)}, coords={}, positions=np.arange(len(index)),
        )  # fmt: skip
        truth = {site.name: values[site.name].unsqueeze(0) for site in model.given_sites}
        drawing = replace(like, patches=made, index=every)
        return _Made(drawing, truth, drawing.log_likelihood(trace)[np.newaxis])


def _ranked(made: _Made, draws: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Ranks of made windows by quantity, `posterior x patch`; and k-hat and ess, `patch`."""
    weighed = made.drawing.weigh(draws, keep=True)
    normalized, khat = smoothed(weighed.log_weights)
    even = np.full_like(normalized, -np.log(draws))
    truth = _by_quantity(made.drawing, made.truth)
    drawn = _by_quantity(made.drawing, weighed.values)
    truth[LOG_LIKELIHOOD] = made.log_likelihood
    drawn[LOG_LIKELIHOOD] = weighed.log_likelihood
    found = {
        name: np.stack(
            [ranks(drawn[name], truth[name][0], by, random) for by in (even, normalized)]
        )
        for name in truth
    }
    return {**found, KHAT: khat, "ess": effective(normalized)}


def _by_quantity(drawing: Drawing, values: Values) -> dict[str, np.ndarray]:
    """Each number of each site by name, `draw x patch`."""
    found: dict[str, np.ndarray] = {}
    each = called(drawing.model, values)
    for site in drawing.model.given_sites:
        numbers = each[site.name].reshape(*each[site.name].shape[:2], -1)
        names = _names(site, drawing.patches, numbers.shape[-1])
        found |= dict(zip(names, np.moveaxis(numbers, -1, 0), strict=True))
    return found


def _names(site: Site, patches: Patches, count: int) -> list[str]:
    """What the numbers of a site are called, as maps of them are."""
    elements: dict[str, Sequence[str]] = {
        OFFSET: patches.window_dims, BRIGHTNESS: (GAIN, BACKGROUND)
    }  # fmt: skip
    if not site.event_shape:
        return [site.name]
    if site.name == CONTENT:
        return [f"{CONTENT}{number}" for number in range(count)]
    return [f"{site.name}_{each}" for each in elements.get(site.name, range(count))]


def _labelled(
    model: PoseVAE, patches: Patches, found: dict[str, np.ndarray], draws: int
) -> xr.Dataset:
    """What was found, under names, with how uneven the ranks are."""
    quantities = [name for name in found if name not in (KHAT, "ess")]
    rank = np.stack([found[name] for name in quantities], 1)  # posterior x quantity x patch
    uniformity = Uniformity(rank.shape[-1])
    by_place = patches.unflatten(np.moveaxis(rank, -1, 0))
    covered = np.abs(rank - 0.5)[..., np.newaxis] <= np.array(LEVELS) / 2
    by = ("posterior", "quantity")
    variables = {
        "rank": xr.Variable((*patches.layout, *by), by_place).transpose(*by, *patches.layout),
        "coverage": xr.Variable((*by, "level"), covered.mean(2)),
        "p_value": xr.Variable(by, np.apply_along_axis(uniformity.p_value, -1, rank)),
    }
    for name, long_name in _LABELS.items():
        variables[name].attrs |= {"long_name": long_name, "units": "1"}
    for name in (KHAT, "ess"):
        values = patches.unflatten(found[name])
        variables[name] = xr.Variable(tuple(patches.layout), values, labels_of(name))
    coords = {
        **patches.coords,
        "posterior": np.array([GUIDE, WEIGHTED], dtype=object),
        "quantity": np.array(quantities, dtype=object),
        "level": np.array(LEVELS),
    }
    attrs = {
        **attributes(model, patches),
        "title": f"simulation-based calibration of {type(model).__name__}",
        "draws": draws,
        "khat_limit": khat_limit(draws),
        "windows": len(patches),
    }
    return xr.Dataset(variables, coords, attrs)

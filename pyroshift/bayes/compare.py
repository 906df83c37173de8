"""Models compared by how probable they hold windows that none of them was trained on."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from pyroshift.bayes.checks import (
    checked_draws,
    checked_patches,
    progress_bar,
)
from pyroshift.bayes.evidence import EVIDENCE, KHAT, pointwise
from pyroshift.bayes.pareto import khat_limit
from pyroshift.data.checks import checked_count
from pyroshift.data.neighbours import any_overlap, tiles, window_places
from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.model.likelihood import Likelihood
from pyroshift.model.pair import PoseVAE

_SIDE = 2  # windows along each side of a block
# Neighbouring blocks are correlated as far as windows reach across. If windows are correlated in
# proportion to the pixels that they share, blocks m windows wide miss a share 1 / 3m along an axis.
_MISSED = 1 / (3 * _SIDE)
_FEW = 8  # blocks, of which the error's own error is a quarter
_LABELS = {
    EVIDENCE: "mean log evidence of a window",
    f"{EVIDENCE}_se": "standard error of the mean log evidence",
    "difference": "mean log evidence of a window less that of the best model",
    "difference_se": "standard error of the difference, paired by window",
    "elbo": "mean evidence lower bound of a window",
    "beyond": "share of windows whose k-hat is beyond the limit",
    "ess": "effective number of the guide's draws, median over windows",
    "pointwise": "log evidence of each window",
}


def compare(
    models: Mapping[str, PoseVAE],
    held_out: Any,
    draws: int = 200,
    *,
    batch_size: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Models by the log evidence of windows that were held out, best first.

    What is compared is how probable each model holds the same windows, its latents integrated out,
    as `evidence` bounds it: the better the guide, the closer; where many windows are `beyond` the
    limit of k-hat, a model may be better than it looks, and `draws` help. Differences are paired by
    window, so that what all models find hard doesn't blur them.

    Windows that overlap have pixels in common, and count as often as they bring news: where any
    do, the errors are those of the means of blocks two windows wide, enlarged by a tenth for each
    axis, as neighbouring blocks share pixels too. Windows of different frames are taken for
    independent. Of windows cut with `overlap="once"` evidences are of tempered data: added up over
    windows, of each pixel once. Which windows a model was trained on can't be known here:
    `split_patches` holds out such as share no pixel with the others.

    Args:
        models: trained models by name, all for windows like these.
        held_out: `Patches` that none was trained on, or windows that are cut already.
        draws: of each guide for each patch, at least 25.
        batch_size: windows that go through the networks at a time.
        seed: of the draws.
        progress: whether to show a progress bar.

    Returns:
        A Dataset over `model`, best first, all in nats and per window: `log_evidence` and its
        standard error `log_evidence_se`; `difference` to the best, 0 or less, and `difference_se`;
        `elbo`; `beyond`, the share of windows whose k-hat is beyond the limit; `ess`, how many
        equally weighted draws the weighted ones are worth, in the median; and `pointwise` (`model`,
        then the patches' dimensions), log evidences as maps. Attributes count `windows` and
        `blocks`. Errors are NaN where there is one block.

    Raises:
        DataError: if there is no model, the patches don't fit one, there are too few draws, or
            some likelihoods are of whole numbers and others of real ones, as probabilities and
            densities can't be compared.
        SpecificationError: if one of them is no model.

    Source:
        Vehtari, Gelman and Gabry, "Practical Bayesian model evaluation", Stat. Comput. 27, 1413
        (2017), on paired differences; Künsch, "The jackknife and the bootstrap for general
        stationary observations", Ann. Stat. 17, 1217 (1989), on blocks.

    Example:
        >>> from pyroshift import VAE, ShiftVAE, extract_patches
        >>> cut = extract_patches(np.random.default_rng(0).random((48, 64)), window=16, step=16)
        >>> models = {"shift": ShiftVAE(16, guide="normal"), "plain": VAE(16)}
        >>> table = compare(models, cut, draws=25)
        >>> sorted(table.model.values), int((table.difference == 0).sum()), table.attrs["blocks"]
        (['plain', 'shift'], 1, 12)
    """
    draws = checked_draws("draws", draws)
    batch_size = checked_count("batch_size", batch_size)
    if not isinstance(models, Mapping) or not models:
        raise DataError(
            'expected models by name, such as {"two latents": model}; got '
            f"{'none' if isinstance(models, Mapping) else type(models).__name__}"
        )
    patches = held_out
    for model in models.values():
        patches = checked_patches(model, patches, stacklevel=2)
    _check_alike(models)
    with progress_bar("compare", len(models) * len(patches), draws, progress) as bar:
        found = {
            name: pointwise(model, patches, draws, batch_size, seed, bar.update)
            for name, model in models.items()
        }
    names = sorted(found, key=lambda name: -float(found[name][EVIDENCE].mean()))
    every = np.stack([found[name][EVIDENCE] for name in names])
    blocks = _blocks(patches)
    differences = every - every[0]
    limit = khat_limit(draws)
    columns = {
        EVIDENCE: every.mean(1),
        f"{EVIDENCE}_se": blocks.errors(every),
        "difference": differences.mean(1),
        "difference_se": blocks.errors(differences),
        "elbo": np.array([found[name]["elbo"].mean() for name in names]),
        "beyond": np.array([(found[name][KHAT] > limit).mean() for name in names]),
        "ess": np.array([np.median(found[name]["ess"]) for name in names]),
    }
    variables = {name: xr.Variable("model", values) for name, values in columns.items()}
    maps = np.stack([patches.unflatten(values) for values in every])
    variables["pointwise"] = xr.Variable(("model", *patches.layout), maps)
    for name, variable in variables.items():
        units = "1" if name in ("beyond", "ess") else "nat"
        variable.attrs |= {"long_name": _LABELS[name], "units": units}
    coords = {**patches.coords, "model": np.array([str(name) for name in names], dtype=object)}
    attrs = {
        "title": "models compared by held-out evidence",
        "draws": draws,
        "khat_limit": limit,
        "windows": len(patches),
        "blocks": blocks.count,
        "overlapping": int(blocks.overlapping),
    }
    return xr.Dataset(variables, coords, attrs)


@dataclass(frozen=True)
class _Blocks:
    """Blocks of windows that are about independent of each other.

    Args:
        number: of each window's block, `patch`.
        overlapping: whether windows overlap.
        axes: along how many axes they do.
    """

    number: np.ndarray
    overlapping: bool
    axes: int

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self.number.max()) + 1

    def errors(self, values: np.ndarray) -> np.ndarray:
        """Standard errors of means over windows, `... `.

        Args:
            values: `... x patch`.
        """
        if self.count < 2:
            return np.full(values.shape[:-1], np.nan)
        with np.errstate(invalid="ignore"):
            deviation = values - values.mean(-1, keepdims=True)
        sums = np.stack([np.bincount(self.number, each, self.count) for each in deviation])
        variance = np.square(sums).sum(-1) * self.count / (self.count - 1) / values.shape[-1] ** 2
        return np.sqrt(variance * (1 - _MISSED) ** -(self.axes * self.overlapping))


def _blocks(patches: Patches) -> _Blocks:
    """Blocks of neighbouring windows, or each window alone where none overlap."""
    alone = _Blocks(np.arange(len(patches)), False, len(patches.window))
    places = window_places(patches)
    if places is None or not any_overlap(places, patches.window):
        blocks = alone
    else:
        sides = [_SIDE * size for size in patches.window]
        number = np.unique(tiles(places, sides), axis=0, return_inverse=True)[1]
        blocks = _Blocks(number.reshape(-1), True, len(patches.window))
    if blocks.count < _FEW:
        warnings.warn(
            f"the standard errors are of {blocks.count} blocks of windows, and themselves "
            "uncertain: hold out more of the image",
            stacklevel=3,
        )
    return blocks


def _check_alike(models: Mapping[str, PoseVAE]) -> None:
    """Raise a DataError where some likelihoods give probabilities and others densities."""
    kinds: dict[tuple[bool, ...], list[str]] = {}
    for name, model in models.items():
        each = getattr(model.likelihood, "likelihoods", [model.likelihood])  # of the channels
        kinds.setdefault(tuple(map(_is_of_whole_numbers, each)), []).append(name)
    if len(kinds) > 1:
        one, other = list(kinds.values())[:2]
        raise DataError(
            f"some likelihoods of {one} give probabilities of whole numbers where those of {other} "
            "give densities of real ones, or the other way round: these can't be compared"
        )


@torch.no_grad()
def _is_of_whole_numbers(likelihood: Likelihood) -> bool:
    """Whether a likelihood is of whole numbers, as counts are."""
    maps = () if likelihood.maps is None else (likelihood.maps,)
    output = torch.zeros((1, *maps), device=likelihood.location.device)
    return bool(getattr(likelihood.distribution(output).support, "is_discrete", False))

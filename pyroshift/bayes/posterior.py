"""Draws of the exact posterior: the guide's, chosen anew by their importance weights."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.bayes import tree
from pyroshift.bayes.checks import (
    LARGEST,
    checked_draws,
    checked_patches,
    drawing_from,
    progress_bar,
)
from pyroshift.bayes.draws import Drawing, called, chosen
from pyroshift.bayes.evidence import KHAT
from pyroshift.bayes.pareto import effective, khat_limit, resampled, smoothed
from pyroshift.bayes.parts import parts_of
from pyroshift.bayes.store import InStore, identity
from pyroshift.data.checks import checked_count
from pyroshift.errors import DataError
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import seed_all

_AT_ONCE = 2**26  # numbers of predicted windows of a part


def posterior(
    model: PoseVAE,
    patches: Any,
    draws: int = 200,
    *,
    proposals: int | None = None,
    predictive: bool = True,
    pixelwise: bool = False,
    path: str | Path | None = None,
    overwrite: bool = False,
    batch_size: int = 512,
    seed: int = 0,
    progress: bool = True,
) -> xr.DataTree:
    """Draws of the posterior of each patch, in ArviZ's layout, and how far to trust them.

    The guide is an approximation. So its draws are weighed, by the joint density of window and
    latents over the guide's own density, the largest weights are smoothed (PSIS), and as many draws
    as are wanted are chosen by their weights: if the guide reaches wherever the posterior does,
    they are those of the exact posterior, in the limit of many `proposals`. The map
    `tree["importance"].khat` tells where it doesn't: beyond the attribute `khat_limit` of that
    group, 0.7 or less, a few draws make up all, and the guide is wrong. `ess` tells how many
    draws they are worth.

    ArviZ's functions take the tree. Its `loo` is of what `log_likelihood` is told of. With
    `pixelwise` that is each pixel, left out of its window and predicted by the others, given the
    networks' weights, which have seen it too. Without, it is each window, and `loo` misleads: all
    latents of a window are its own, so that one left out is predicted by the prior, and `loo` is
    the harmonic mean of its likelihoods, an estimate of the evidence that a few draws decide. See
    `evidence` and `compare` for that, of windows that were held out of the training. `loo` takes no
    NaN: `stack` the dimensions of `log_likelihood`, and `dropna`, where there are gaps. Where k-hat
    is beyond the limit, it means nothing, and where draws come twice it may give NaN for a pixel:
    take more `proposals`.

    Of windows cut with `overlap="once"`, it is the tempered posterior, and so are `log_likelihood`
    and `lp`; predicted windows are as the likelihood has them.

    Args:
        model: a trained model.
        patches: `Patches`, or windows or signals that are cut already, as for `encode`.
        draws: of the posterior of each patch.
        proposals: draws of the guide that these are chosen among, at least 25; by default as many,
            so that some come twice where weights are uneven: the more, the fewer.
        predictive: whether predicted windows are given too, which are far larger than all else.
        pixelwise: whether `log_likelihood` is told of each pixel, which takes as much as predicted
            windows, instead of each window.
        path: a Zarr store, such as `draws.zarr`, to which everything is written part by part, as
            memory may not hold it. Ctrl-C or a crash keeps the parts that are written; called again
            with the same arguments, it goes on where it was. Needs the extra `big`.
        overwrite: whether a store that exists may be replaced.
        batch_size: windows that go through the networks at a time.
        seed: of the draws.
        progress: whether to show a progress bar.

    Returns:
        A tree, as `arviz.from_dict` makes one and its functions take it, with these groups:
        `posterior` and `prior`, all latent sites over `chain`, `draw` and then as `encode` has
        them, in its units; `posterior_predictive` and `prior_predictive`, `patches` over `chain`,
        `draw` and then as `Patches.to_xarray` has them, where pixels are missing as well;
        `observed_data`, the windows themselves; `log_likelihood` of each window, or pixel by pixel
        as the windows are, and in `sample_stats` the joint log density `lp`, given each draw;
        `importance`, with `log_weight`
        (`proposal`, ...) of every draw of the guide, not normalized, and the maps `khat` and `ess`.
        There is one chain, of independent draws. NaN where there is no patch. The anchor guide's
        `pose`, which is a bin's number, is summed out, and left out, as are sites that all
        patches share. Opened lazily from the store, if there is a path; where it was interrupted,
        NaN.

    Raises:
        DataError: if the patches don't fit the model, a number makes no sense, or the predicted
            windows are more than 4 GB and there is no path.
        SpecificationError: if this is no model, or its guide draws other sites.
        FileExistsError: if the path holds anything but an unfinished run of the same settings.
        ImportError: if there is a path, and the extra isn't installed.
        OSError: if there is no space; what is written stays, and the same call goes on with it.

    Source:
        Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed importance sampling", J. Mach.
        Learn. Res. 25 (2024); of leaving out: Vehtari, Gelman and Gabry, Stat. Comput. 27, 1413
        (2017); the layout: ArviZ's InferenceData schema.

    Example:
        >>> from pyroshift import ShiftVAE, extract_patches
        >>> cut = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> found = posterior(ShiftVAE(16, guide="normal"), cut, draws=50)
        >>> found["posterior"].offset.dims
        ('chain', 'draw', 'y', 'x', 'axis')
        >>> bool((found["importance"].khat < 0.7).any())
        True
    """
    draws = checked_count("draws", draws)
    given = draws if proposals is None else proposals
    proposals = checked_draws("draws" if proposals is None else "proposals", given)
    batch_size = checked_count("batch_size", batch_size)
    patches = checked_patches(model, patches, stacklevel=2)
    times = 2 * predictive + pixelwise
    pixels = math.prod(model.shape) if times else 1
    size = times * 4 * draws * pixels * math.prod(patches.layout.values())
    if path is None and size > LARGEST:
        raise DataError(
            f"{draws} windows for each of {len(patches)} patches, predicted by posterior and prior "
            f"or told pixel by pixel, take {size / 2**30:.3g} GB: pass predictive=False and "
            "pixelwise=False, a path for a Zarr store, fewer draws, or patches.subset(...)"
        )
    labels = tree.Labels(model, patches)
    attrs = {"proposals": proposals, "khat_limit": khat_limit(proposals)}
    most = max(1, min(batch_size, _AT_ONCE // (pixels * max(draws, proposals))))
    parts, done = list(parts_of(patches, most)), 0
    sink = tree.InMemory(labels, attrs)
    groups = partial(_groups, draws, proposals, predictive, pixelwise)
    if path is not None:
        sink = InStore(labels, attrs, path, overwrite)
        settings = {"draws": draws, "proposals": proposals, "predictive": predictive}
        settings |= {"pixelwise": pixelwise}
        settings |= {"batch_size": batch_size, "part": int(most), "seed": int(seed)}
        done = sink.begin({**identity(model, labels, patches), **settings})
    before, on_device = sum(len(part.index) for part in parts[:done]), patches.to(model.device)
    with (
        drawing_from(model, seed),
        progress_bar("posterior", len(patches), proposals, progress, before) as bar,
    ):
        try:
            for number, part in enumerate(parts[done:], done):
                seed_all(seed + number)  # each part's own, so that any can be the next
                random = np.random.default_rng(seed + number)
                index = part.index.to(model.device)
                drawing = Drawing(model, on_device, index, batch_size, bar.update)
                sink.add(groups(drawing, random), part)
        except KeyboardInterrupt:
            if not (isinstance(sink, InStore) and sink.done):
                raise
            if progress:
                bar.write(
                    f"interrupted after {sink.done} of {len(parts)} parts: call it again with the "
                    f"same arguments to go on with {path}"
                )
            return sink.unfinished()
    return sink.finish()


def _groups(
    draws: int,
    proposals: int,
    predictive: bool,
    pixelwise: bool,
    drawing: Drawing,
    random: np.random.Generator,
) -> tree.Groups:
    """All groups of some patches."""
    weighed = drawing.weigh(proposals, keep=True, pixelwise=pixelwise)
    normalized, khat = smoothed(weighed.log_weights)
    which = resampled(normalized, draws, random)
    values = chosen(weighed.values, which)
    before, data_before = drawing.prior(draws)
    likelihood = weighed.log_likelihood if weighed.pixelwise is None else weighed.pixelwise
    groups: tree.Groups = {
        tree.POSTERIOR: called(drawing.model, values),
        tree.PRIOR: called(drawing.model, before),
        tree.OBSERVED: {tree.PATCHES: drawing.patches.gather(drawing.index).cpu().numpy()},
        tree.LOG_LIKELIHOOD: {tree.PATCHES: likelihood[which, np.arange(which.shape[1])]},
        tree.SAMPLE_STATS: {"lp": np.take_along_axis(weighed.log_joint, which, 0)},
        tree.IMPORTANCE: {
            "log_weight": weighed.log_weights, KHAT: khat, "ess": effective(normalized),
        },
    }  # fmt: skip
    if predictive:
        groups[tree.POSTERIOR_PREDICTIVE] = {tree.PATCHES: drawing.predicted(values).cpu().numpy()}
        groups[tree.PRIOR_PREDICTIVE] = {tree.PATCHES: data_before.cpu().numpy()}
    return tree.in_one_chain(groups)

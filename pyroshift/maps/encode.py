"""From a trained model to labelled maps: gathered, inferred, and labelled at last."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from numbers import Integral
from typing import Any

import numpy as np
import pyro
import torch
import xarray as xr
from pyro import poutine
from torch import Tensor

from pyroshift.data.channels import check_order
from pyroshift.data.patches import Patches, as_patches
from pyroshift.data.pixels import warn_about_pixels
from pyroshift.errors import DataError
from pyroshift.extras import check_installed
from pyroshift.maps.labels import MODE, labelled
from pyroshift.maps.robust import check_robust, widen
from pyroshift.model.batch import Batch, as_batch, gathered
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import evaluating, seed_all
from pyroshift.model.sites import CONTENT
from pyroshift.training.batches import in_order
from pyroshift.training.elbo import sample_sites, terms_given

INTERVALS = "intervals"  # the attribute that tells of which kind they are
_TOGETHER = 8  # batches that are sent to a worker at once

Found = dict[str, np.ndarray]


@torch.no_grad()
def encode(
    model: PoseVAE,
    patches: Any,
    batch_size: int = 512,
    *,
    seed: int = 0,
    robust: bool = False,
    client: Any = None,
) -> xr.Dataset:
    """Maps of what the model finds in each patch: its latents, where it is, how it is turned.

    Args:
        model: a trained model.
        patches: the data, streamed in batches: `Patches`, or windows or signals that are cut
            already, in any array that `Patches.from_array` takes.
        batch_size: patches per batch.
        seed: seed of the one posterior sample per patch that `elbo` is estimated from.
        robust: give the standard deviations as they are if the noise is what these patches show,
            of another size or of neighbouring pixels together, rather than what the likelihood
            says; by the sandwich estimate, for half as much time again.
        client: a `distributed.Client`, or the address of a scheduler, whose workers are to do it:
            batches are cut here and sent to them. The maps are the same to the last bit, where
            workers have the same kind of processor. Needs the extra `big`.

    Returns:
        A Dataset over the patches' own dimensions: `z` (..., `latent`); `offset` (..., `axis`) in
        the source's unit of length (the unit of each axis where they differ, as in "nm, eV"),
        from the window's centre, so that coordinate plus offset is where the motif is;
        `angle`, radians in (-pi, pi]; `scale`; `class`, the most probable one, and
        `class_probability` (..., `kind`); `brightness` (..., `component`), gain and background
        in units of the decoder's output, given all else; for each the posterior's standard
        deviation under `..._std`; and `elbo`, the bound on each patch's log evidence in nats, a map
        of anomalies; of windows cut with `overlap="once"`, on their tempered data, whose power is
        an attribute. The coordinate `collapsed` tells which latents say nothing of these data.
        The attribute `intervals` is "robust" where they are.
        NaN where a patch was left out for missing pixels. Poses that a site's period or symmetry
        makes alike go by the one nearest to zero. The anchor guide adds `pose_entropy`, and over
        `mode`, best first, `mode_probability`, `mode_offset` and `mode_angle`. Written and read
        back by `to_netcdf` and `to_zarr` unchanged.

    Raises:
        DataError: if the patches don't fit the model's window or likelihood, or the batch size is
            no number of patches.
        SpecificationError: if intervals are to be robust, but a prior is of neighbours together.
        ClusterError: if no scheduler answers, or its workers have no pyroshift or another version.
        ImportError: if the extra isn't installed.

    Example:
        >>> from pyroshift import ShiftVAE, extract_patches
        >>> patches = extract_patches(np.random.default_rng(0).random((32, 40)), window=16)
        >>> maps = encode(ShiftVAE(16), patches)
        >>> dict(maps.sizes)
        {'y': 3, 'x': 4, 'latent': 2, 'axis': 2, 'mode': 4}
    """
    patches = as_patches(patches, model.window)
    check_fit(model, patches)
    # The caller stands behind the decorator of torch.
    warn_about_pixels(model.trained_on, getattr(patches, "pixels", None), stacklevel=3)
    if not (isinstance(batch_size, Integral) and int(batch_size) >= 1):
        raise DataError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
    if robust:
        check_robust(model)
    values: dict[str, np.ndarray] = {}
    if client is not None:
        check_installed("distributed", extra="big", what="encode with a client")
    with evaluating(model), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        seed_all(seed)
        found = _here if client is None else _by_workers
        needed = model.with_needs(patches)
        batches = found(model, needed, int(batch_size), int(seed), client)
        with closing(batches):
            for index, inferred in batches:
                for name, value in inferred.items():
                    if name not in values:
                        values[name] = np.empty((len(patches), *value.shape[1:]), np.float32)
                    values[name][index.numpy()] = value[: len(index)]
        # Whether latents tell anything is for the guide to say: noise can make any of them vague.
        own = values.get(f"{CONTENT}_std")
        spread = None if own is None else own.mean(0, dtype=float)
        if robust:
            seed_all(seed)
            widen(model, needed.to(model.device), values)
    maps = labelled(model, patches, values, spread)
    return maps.assign_attrs({INTERVALS: "robust"}) if robust else maps


def _here(
    model: PoseVAE, patches: Patches, size: int, seed: int, client: None
) -> Iterator[tuple[Tensor, Found]]:
    """What is found in this process: numbers of patches, and of these the values by name."""
    on_device = patches.to(model.device)
    for number, (index, count) in enumerate(in_order(model, on_device, size)):
        x = gathered(on_device, index)
        yield index[:count], _inferred_by(model, x, _seed(seed, number))


def _by_workers(
    model: PoseVAE, patches: Patches, size: int, seed: int, client: Any
) -> Iterator[tuple[Tensor, Found]]:
    """What workers of a cluster find, as they do."""
    from pyroshift.maps.cluster import workers

    def calls() -> Iterator[tuple[list[Tensor], tuple[list[Tensor | Batch], list[int]]]]:
        batches = enumerate(in_order(model, patches, size))
        while some := list(islice(batches, _TOGETHER)):
            indices = [index[:count] for _, (index, count) in some]
            windows = [gathered(patches, index) for _, (index, _) in some]
            yield indices, (windows, [_seed(seed, number) for number, _ in some])

    with workers(client, model) as at_work:
        for indices, found in at_work.completed(_found_there, calls()):
            yield from zip(indices, found, strict=True)


def _found_there(key: str, windows: Iterable[Tensor | Batch], seeds: Iterable[int]) -> list[Found]:
    """On a worker: what its model finds in some batches."""
    from pyroshift.maps.cluster import held

    with held(key) as model, torch.no_grad(), torch.random.fork_rng(devices=[]):
        batches = (as_batch(each).to(model.device) for each in windows)
        return [_inferred_by(model, x, each) for x, each in zip(batches, seeds, strict=True)]


def _seed(seed: int, number: int) -> int:
    """The seed of a batch: its own, so that any process can draw what another would."""
    return (seed + 1_000_003 * number) % 2**63


def _inferred_by(model: PoseVAE, x: Tensor | Batch, seed: int) -> Found:
    """What is found in a batch, drawn by a seed."""
    seed_all(seed)
    return {name: value.cpu().numpy() for name, value in _inferred(model, x).items()}


def _inferred(model: PoseVAE, x: Tensor | Batch) -> dict[str, Tensor]:
    """What is found in a batch: the posteriors in summary, and the bound."""
    # The data are checked; to check every distribution in every batch takes a third of the time.
    with pyro.validation_enabled(False):
        trace, found = summarized(model, x)
        terms = terms_given(trace, model.sample_model, x)
        # What all patches share was learned from others too, and is no matter of these.
        own = sum(terms.kl[site.name] for site in model.sites)
        return {**found, "elbo": terms.log_likelihood - own}


def summarized(model: PoseVAE, x: Tensor | Batch) -> tuple[poutine.Trace, dict[str, Tensor]]:
    """What the guide draws of a batch, and its posteriors in summary, as maps have them."""
    trace = poutine.trace(model.sample_guide).get_trace(x)
    drawn = {name: site["fn"] for name, site in sample_sites(trace).items()}
    return trace, _reduced(model, model.guide_module.summary(model, x, drawn))


def _reduced(model: PoseVAE, found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Poses that are alike, by a period or a symmetry, under one value."""
    reduced = {
        name: site.reduce(found[name])
        for site in model.pose_sites
        for name in (site.name, f"{MODE}{site.name}")
        if name in found
    }
    return found | reduced


def each_alone(model: PoseVAE, patches: Patches) -> Patches:
    """Patches of which no prior knows that they are neighbours.

    Of one window by itself, what its latents would be is as well defined.

    Args:
        model: whose priors may know of it.
        patches: of which all is known that these need.
    """
    tiled, others = (
        {name for site in model.given_sites if bool(site.tiled_by) is tile for name in site.asks}
        for tile in (True, False)
    )
    places = tiled - others - set(model.condition)
    known = {name: values for name, values in patches.known.items() if name not in places}
    return replace(patches, known=known)


def check_fit(model: PoseVAE, patches: Patches) -> None:
    """Raise a DataError unless the patches are what the model was made for."""
    channels = tuple(getattr(patches, "channels", ()))
    if len(channels) != len(model.channels):
        raise DataError(
            f"the model is for {_in_words(model.channels)}, but the patches have "
            f"{_in_words(channels)}: make it with channels=patches.channels, or load these"
        )
    check_order(channels, model.channels)
    if patches.window != model.window:
        raise DataError(
            f"the model is for windows of {model.window}, but the patches are {patches.window}: "
            f"cut them with window={model.window}"
        )
    statistics = patches.statistics(sample=1)
    model.likelihood.check(statistics["minimum"], statistics["maximum"])


def _in_words(channels: Sequence[str]) -> str:
    """Channels by their names, where there are any."""
    return f"the channels {list(channels)}" if channels else "windows without channels"

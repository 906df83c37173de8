"""`predict`: targets of sources by a bridge, in credible bands."""

from typing import Any

import numpy as np
import pyro
import torch
import xarray as xr
from torch import Tensor

from pyroshift._version import __version__
from pyroshift.bridge.bridge import Bridge
from pyroshift.data.channels import channel_coords
from pyroshift.data.checks import CHANNEL, checked_count
from pyroshift.data.gathering import Patches
from pyroshift.data.pairs import SOURCE, side
from pyroshift.data.pixels import warn_about_pixels
from pyroshift.errors import DataError, SpecificationError
from pyroshift.maps.encode import check_fit
from pyroshift.model.parts import evaluating, seed_all

_LONG_NAMES = {
    "mean": "expected {}",
    "lower": "lower end of the band of {}",
    "upper": "upper end of the band of {}",
    "std": "predictive standard deviation of {}",
    "mean_std": "standard deviation of the expected {} over the latents",
    "observed": "{}",
}
_VALUES = 2**24  # drawn at once


@torch.no_grad()
def predict(
    bridge: Bridge,
    source: Any,
    *,
    credible: float = 0.9,
    draws: int = 500,
    batch_size: int = 256,
    seed: int = 0,
) -> xr.Dataset:
    """What a bridge expects of a target at each place, of which it sees the source alone.

    Latents are drawn from q(z | source), and of each a target with its noise: bands are of what
    would be measured, not of its mean.

    Args:
        bridge: a trained bridge.
        source: sources of the kind that it was trained on: `Patches`, or spectra `... x energy`;
            or pairs, of which only the sources are looked at, and the targets given back.
        credible: probability of the bands, from the one tail to the other.
        draws: targets drawn for each source.
        batch_size: sources per batch.
        seed: of the draws.

    Returns:
        A Dataset over the source's dimensions (of pairs, the target's), `channel` if there are any,
        and the target's own axes, with their coordinates and units: `mean`; `lower` and `upper`,
        the band's ends; `std`, the predictive standard deviation, and `mean_std`, the part of it
        that is of the latents; of pairs, `observed`. NaN where there is no source.

    Raises:
        SpecificationError: if this is no bridge.
        DataError: if the sources are of another shape, or the bridge isn't trained.

    Example:
        >>> from pyroshift import Patches
        >>> bridge, windows = Bridge((9, 9), (64,)), Patches.from_array(torch.rand(20, 9, 9))
        >>> bridge.likelihood.prepare(minimum=0.0, maximum=1.0, mean=0.5, stddev=0.1)
        >>> predict(bridge, windows, draws=50)["upper"].sizes
        Frozen({'patch': 20, 'x': 64})
    """
    if not isinstance(bridge, Bridge):
        raise SpecificationError(
            f"predict is of a Bridge, got {type(bridge).__name__}: encode and decode are of others"
        )
    if not 0 < credible < 1:
        raise DataError(f"credible must be a probability between 0 and 1, got {credible!r}")
    for name, count, least in (("draws", draws, 20), ("batch_size", batch_size, 1)):
        checked_count(name, count, least)
    if not bool(bridge.likelihood.prepared):
        raise DataError("the bridge isn't trained: fit(bridge, pairs) comes first")
    patches = _sources(bridge, source)
    if SOURCE not in patches.known:
        # The caller stands behind the decorator of torch.
        warn_about_pixels(bridge.source_pixels, patches.pixels, stacklevel=3)
    on_device = patches.to(bridge.device)
    found: dict[str, list[np.ndarray]] = {}
    size = max(1, min(batch_size, _VALUES // (draws * int(np.prod(bridge.shape)))))
    with evaluating(bridge), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        seed_all(seed)
        for index in torch.arange(len(patches)).split(size):
            for name, values in _predicted(bridge, on_device, index, credible, draws).items():
                found.setdefault(name, []).append(values.cpu().numpy())
    joined = {name: np.concatenate(parts) for name, parts in found.items()}
    if SOURCE in patches.known:
        joined["observed"] = patches.gather().cpu().numpy()
    return _labelled(bridge, patches, joined, credible)


def _sources(bridge: Bridge, source: Any) -> Patches:
    """Sources, or pairs, that the bridge can read.

    Raises:
        DataError: if they are of another shape.
    """
    patches = side(source, "source")
    if SOURCE in patches.known:
        check_fit(bridge, patches)
        return patches
    shape = (len(patches.channels), *patches.window) if patches.channels else patches.window
    if shape != bridge.source_shape:
        raise DataError(
            f"the bridge reads sources of shape {bridge.source_shape}, but these are of "
            f"{shape}: cut windows of that size, with as many channels"
        )
    return patches


def _predicted(
    bridge: Bridge, patches: Patches, index: Tensor, credible: float, draws: int
) -> dict[str, Tensor]:
    """Mean, band and spreads of the targets of some sources, `batch x shape`."""
    known = {name: values[index.to(values.device)] for name, values in patches.known.items()}
    known.setdefault(SOURCE, patches.gather(index))
    posterior = bridge.read(known)
    covariates = bridge.covariates(known, len(index))
    every, means = [], []
    with pyro.validation_enabled(False):
        for _ in range(draws):
            values = {name: each.rsample() for name, each in posterior.items()} | covariates
            pixels = bridge.likelihood.distribution(bridge.output(values))
            every.append(pixels.sample())
            means.append(pixels.mean)
    drawn, expected = torch.stack(every), torch.stack(means)
    tail = (1 - credible) / 2
    ordered = drawn.sort(0).values
    return {
        "mean": expected.mean(0),
        "lower": _quantile(ordered, tail),
        "upper": _quantile(ordered, 1 - tail),
        "std": drawn.std(0),
        "mean_std": expected.std(0),
    }


def _quantile(ordered: Tensor, share: float) -> Tensor:
    """The value of which one more draw is below with some probability, along the first axis.

    Args:
        ordered: draws, from the lowest up.
        share: the probability.
    """
    place = share * (len(ordered) + 1) - 1
    low = min(max(int(np.floor(place)), 0), len(ordered) - 2)
    return torch.lerp(ordered[low], ordered[low + 1], min(max(place - low, 0.0), 1.0))


def _labelled(
    bridge: Bridge, patches: Patches, values: dict[str, np.ndarray], credible: float
) -> xr.Dataset:
    """Values by name, `place x shape`, under the names and in the units of the target."""
    labels = bridge.target
    taken = set(patches.layout) | set(patches.coords)
    dims = [f"target_{dim}" if dim in taken else dim for dim in labels["dims"]]
    channel = (CHANNEL,) if bridge.channels else ()
    coords: dict[str, Any] = {
        **patches.coords,
        **channel_coords(bridge.channels, labels["channel_units"]),
    }
    for dim, numbers, long_name, units in zip(
        dims, labels["coordinates"], labels["long_names"], labels["units"], strict=True
    ):
        coords[dim] = xr.Variable(dim, numbers, {"long_name": long_name, "units": units})
    value = labels["attrs"].get("long_name", "target")
    units = {"units": labels["attrs"]["units"]} if "units" in labels["attrs"] else {}
    variables = {
        name: xr.Variable(
            (*patches.layout, *channel, *dims),
            patches.unflatten(each.astype(np.float32)),
            {"long_name": _LONG_NAMES[name].format(value), **units},
        )
        for name, each in values.items()
    }
    attrs = {
        "title": "predictions of a bridge",
        "credible": credible,
        "target_axes": len(bridge.window),
        "pyroshift_version": __version__,
    }
    return xr.Dataset(variables, coords, attrs)

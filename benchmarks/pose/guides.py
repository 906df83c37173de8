"""Train one model with one guide, ours or pyroVED's, and ask it for poses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr

from benchmarks.common.metrics import Array
from benchmarks.common.run import Settings
from benchmarks.common.training import train as train_and_encode
from benchmarks.pose import peers
from benchmarks.pose.found import Found, Trained
from pyroshift import RVAE, AnchorGuide, CanvasDecoder, Patches, PoseVAE, ShiftVAE, encode

GUIDES = ("anchor", "normal", "refined", "pyroved")

# Variables of `encode` with a place of their own in `Found`; means of the others are its extras.
_KNOWN = ("offset", "angle", "scale", "z")
_CATEGORIES = ("class", "category")


def train(guide: str, data: Array, seed: int, settings: Settings) -> Trained:
    """Train on windows or signals.

    Args:
        guide: "pyroved", or a guide of the models.
        data: sample x height x width, or sample x length.
        seed: of the weights and of the training.
        settings: the task's, of which "model", "guides", "fit", "turns" and "peer" count.
    """
    if guide == "pyroved":
        return peers.train(data, seed, settings)
    model = make(guide, data.shape[1:], seed, settings)
    patches = Patches.from_array(data)
    maps, history, seconds = train_and_encode(model, patches, seed, settings["fit"])

    def find(other: Array) -> Found:
        return found(encode(model, Patches.from_array(other)))

    return Trained(find, found(maps), seconds, float(history.loss[-1]))


def make(guide: str, window: tuple[int, ...], seed: int, settings: Settings) -> PoseVAE:
    """An untrained ShiftVAE, or an RVAE with offsets if motifs turn."""
    same = "normal" if guide == "refined" else guide  # which trains as that does
    options: dict[str, Any] = settings["model"] | settings["guides"][same]
    search, margin = options.pop("search", {}), options.pop("margin", None)
    if margin is not None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            options["decoder"] = CanvasDecoder(window, options["latent_dim"], margin)
    chosen = AnchorGuide(**search) if guide == "anchor" else guide
    if settings["turns"]:
        return RVAE(window, offsets=True, guide=chosen, seed=seed, **options)
    return ShiftVAE(window, guide=chosen, seed=seed, **options)


def found(maps: xr.Dataset) -> Found:
    """What `encode` returned, as arrays."""
    turned: Mapping[str, Array] = {
        name: maps[name].values for name in ("angle", "angle_std") if name in maps
    }
    known = {*_KNOWN, *(f"{name}_std" for name in _KNOWN), *_CATEGORIES}
    extras = {
        str(name): float(np.nanmean(values))
        for name, values in maps.data_vars.items()
        if name not in known and values.ndim == 1 and np.issubdtype(values.dtype, np.number)
    }
    return Found(
        offset=maps.offset.values,
        offset_std=maps.offset_std.values,
        z=maps.z.values,
        z_std=maps.z_std.values,
        category=_category(maps),
        scale=maps["scale"].values if "scale" in maps else None,
        extras=extras,
        **turned,
    )


def _category(maps: xr.Dataset) -> Array | None:
    """The class of each sample: given as such, or as probabilities along a last axis."""
    for name in _CATEGORIES:
        if name in maps:
            values = maps[name].values
            return (values.argmax(-1) if values.ndim > 1 else values).astype(int)
    return None

"""What was measured in each epoch, as a labelled Dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.shown import COLOURS, block, graph, table


class Epochs(xr.Dataset):
    """A Dataset of what was measured, which shows itself in a notebook by its curves."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        plain = super()._repr_html_()
        if not self.sizes.get("epoch") or not {"loss", "kl"} <= set(self.data_vars):
            return plain
        return as_html(self) + f"<details><summary>as a Dataset</summary>{plain}</details>"


def as_html(history: xr.Dataset) -> str:
    """The last epoch in numbers, and the curves of all epochs.

    Args:
        history: with `loss`, `kl` and their kin, over "epoch".
    """
    last = history.isel(epoch=-1)
    names = [
        name
        for name in ("loss", "validation_loss", "log_likelihood")
        if name in history and bool(history[name].notnull().any())
    ]
    rows = [(name.replace("_", " "), f"{float(last[name]):.5g}") for name in names]
    rows += [
        (f"KL of {site}", f"{float(last['kl'].sel(site=site)):.4g}")
        for site in history["site"].values
    ]
    losses = [name for name in names if "loss" in name]
    curves = [
        ("loss" + ", and of the patches held out" * (len(losses) > 1),
         [history[name].values for name in losses]),
        (f"KL of {', '.join(map(str, history['site'].values))}",
         [history["kl"].sel(site=site).values for site in history["site"].values]),
    ]  # fmt: skip
    drawn = "".join(
        f'<figure style="margin: 0 16px 6px 0">{graph(lines, label)}'
        f"<figcaption>{_coloured(label, len(lines))}</figcaption></figure>"
        for label, lines in curves
    )
    count, stopped = history.sizes["epoch"], history.attrs.get("stopped", "")
    return block(
        f"{count} epochs{f', {stopped}' if stopped else ''}; nats per patch",
        f'<div style="display: flex; flex-wrap: wrap; margin-top: 6px">{drawn}</div>',
        table(["last epoch", "nat"], rows),
    )


def _coloured(label: str, count: int) -> str:
    """A label, the first so many of its parts in their lines' colours."""
    first, *others = label.split(", ")
    head, _, name = first.rpartition(" ")
    parts = [name, *others]
    told = [
        f'<span style="color: {COLOURS[at % len(COLOURS)]}">{escape(part)}</span>'
        if at < count
        else escape(part)
        for at, part in enumerate(parts)
    ]
    return f"{escape(head)} {', '.join(told)}"


@dataclass
class EpochRecord:
    """What was measured in one epoch, all in nats per patch.

    Args:
        loss: negative bound that is trained, the KL terms unweighted, so that epochs compare; mean
            over batches while the weights were moving.
        log_likelihood: expected log likelihood.
        kl: KL divergence of each site from its prior, unweighted; of a global site, which all
            patches share, the part of each patch.
        kl_scale: the KL weight of each site in this epoch.
        validation_loss: negative bound of the patches held out; NaN where there are none.
        learning_rate: learning rate of this epoch.
    """

    loss: float
    log_likelihood: float
    kl: dict[str, float]
    kl_scale: dict[str, float]
    validation_loss: float
    learning_rate: float


_LONG_NAMES = {
    "loss": "{} of the training patches",
    "log_likelihood": "expected log likelihood",
    "validation_loss": "{} of the validation patches",
    "learning_rate": "learning rate",
}


@dataclass
class History:
    """The records of a training run, which grow by one per epoch.

    Args:
        sites: names of the latent sites: those of each patch, then those that all patches share.
        bound: what `loss` and `validation_loss` are, in words.
        records: what was measured so far.
    """

    sites: Sequence[str]
    bound: str = "negative ELBO"
    records: list[EpochRecord] = field(default_factory=list)

    def to_xarray(self, attrs: dict[str, Any] | None = None) -> "Epochs":
        """The records as a Dataset over `epoch`, with `kl` and `kl_scale` over `site` too."""
        epochs = len(self.records)
        variables: dict[str, Any] = {
            name: ("epoch", np.array([getattr(record, name) for record in self.records], float))
            for name in _LONG_NAMES
        }
        for name in ("kl", "kl_scale"):
            values = [
                [getattr(record, name)[site] for site in self.sites] for record in self.records
            ]
            shape = (epochs, len(self.sites))
            variables[name] = (("epoch", "site"), np.array(values, float).reshape(shape))
        history = Epochs(
            variables,
            coords={"epoch": np.arange(1, epochs + 1), "site": list(self.sites)},
            attrs=attrs or {},
        )
        for name, long_name in _LONG_NAMES.items():
            units = {} if name == "learning_rate" else {"units": "nat"}
            history[name].attrs = {"long_name": long_name.format(self.bound), **units}
        history["kl"].attrs = {"long_name": "KL divergence from the prior", "units": "nat"}
        history["kl_scale"].attrs = {"long_name": "KL weight"}
        return history

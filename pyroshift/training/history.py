"""What was measured in each epoch, as a labelled Dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr


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
        epoch: its number, the first is 1.
    """

    loss: float
    log_likelihood: float
    kl: dict[str, float]
    kl_scale: dict[str, float]
    validation_loss: float
    learning_rate: float
    epoch: int


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

    def to_xarray(self, attrs: dict[str, Any] | None = None) -> xr.Dataset:
        """The records as a Dataset over `epoch`, with `kl` and `kl_scale` over `site` too."""
        numbers = [record.epoch for record in self.records]
        variables: dict[str, Any] = {
            name: ("epoch", np.array([getattr(record, name) for record in self.records], float))
            for name in _LONG_NAMES
        }
        for name in ("kl", "kl_scale"):
            values = [
                [getattr(record, name)[site] for site in self.sites] for record in self.records
            ]
            shape = (len(numbers), len(self.sites))
            variables[name] = (("epoch", "site"), np.array(values, float).reshape(shape))
        history = xr.Dataset(
            variables,
            coords={"epoch": np.array(numbers, int), "site": list(self.sites)},
            attrs=attrs or {},
        )
        for name, long_name in _LONG_NAMES.items():
            units = {} if name == "learning_rate" else {"units": "nat"}
            history[name].attrs = {"long_name": long_name.format(self.bound), **units}
        history["kl"].attrs = {"long_name": "KL divergence from the prior", "units": "nat"}
        history["kl_scale"].attrs = {"long_name": "KL weight"}
        return history

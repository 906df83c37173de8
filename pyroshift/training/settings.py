"""What must be the same for a run to go on from a checkpoint to the same result."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pyro.infer import ELBO

from pyroshift.data.blocks import digest
from pyroshift.errors import ModelFileError
from pyroshift.model.batch import known_of, power_of
from pyroshift.model.distributions import moments
from pyroshift.model.pair import PoseVAE
from pyroshift.model.sites import Site
from pyroshift.training.annealing import Schedule, weights_at
from pyroshift.training.history import EpochRecord
from pyroshift.training.options import Options


def settings_of(
    model: PoseVAE,
    patches: Any,
    statistics: Mapping[str, float],
    options: Options,
    annealing: Mapping[str, Schedule],
    elbo: ELBO | None,
    optimizer: torch.optim.Optimizer,
) -> dict[str, Any]:
    """A run in plain values, which a checkpoint holds.

    Args:
        model: the model.
        patches: to train on.
        statistics: of their pixels.
        options: the run's numbers.
        annealing: KL weights by site.
        elbo: the bound.
        optimizer: the optimiser.
    """
    settings = dataclasses.asdict(options)
    if callable(options.schedule):
        settings["schedule"] = _named(options.schedule)
    if (power := power_of(patches)) != 1:
        settings["power"] = power
    if known := known_of(patches, torch.arange(len(patches))):
        settings["known"] = {name: digest([told.cpu().numpy()]) for name, told in known.items()}
    if options.schedule != "cosine":
        del settings["epochs"]  # more epochs may be added to a run that doesn't depend on them
    return settings | {
        "kl": {name: _named(kl) for name, kl in annealing.items()},
        "patches": len(patches),
        "data": dict(statistics),
        "model": [_fingerprint(site) for site in model.given_sites]
        + [repr(model.likelihood), repr(model.guide_module)],
        "elbo": type(elbo).__name__,
        "optimizer": type(optimizer).__name__,
        "weights": {name: list(value.shape) for name, value in model.state_dict().items()},
    }


def check_schedules(
    checkpoint: Path,
    records: Sequence[EpochRecord],
    annealing: Mapping[str, Schedule],
    options: Options,
) -> None:
    """Check functions of the user's own, which have no other name than what they give.

    Raises:
        ModelFileError: if KL weights or learning rates of past epochs were others.
    """
    for number, record in enumerate(records):
        now = weights_at(annealing, number) | {"learning_rate": options.rate(number)}
        then = {**record.kl_scale, "learning_rate": record.learning_rate}
        for name, value in now.items():
            if not math.isclose(value, then.get(name, value), rel_tol=1e-9):
                what = "learning rate" if name == "learning_rate" else f"KL weight of {name!r}"
                raise ModelFileError(
                    f"the checkpoint {checkpoint} is from a different run: the {what} of epoch "
                    f"{number + 1} was {then[name]:.4g} and would now be {value:.4g}. Give the "
                    "same functions, or another checkpoint"
                )


def _named(schedule: Any) -> Any:
    """A schedule in plain values: a function by its name."""
    if dataclasses.is_dataclass(schedule) and not isinstance(schedule, type):
        return dataclasses.asdict(schedule)
    return getattr(schedule, "__name__", "function")


def _fingerprint(site: Site) -> str:
    """A site in words that change with what its prior started as."""
    start = [value.tolist() for value in moments(site.reference)]
    return f"{site.name}: {site!r}, mean and width {start}"

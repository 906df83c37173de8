"""KL annealing: how much the latent sites' KL terms weigh, epoch by epoch."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pyroshift.errors import SpecificationError, TrainingWarning

SHAPES = ("linear", "cosine")


@dataclass(frozen=True)
class KLAnnealing:
    """A KL weight that goes from `initial` to `final` over some epochs, then stays.

    Equation 1 of the shift-VAE paper, with beta(t) this weight. A small initial weight lets the
    latents spread before they are tied to their priors. To anneal sites apart, give `fit` one
    of these per site: `kl={"offset": KLAnnealing(0.1, 1, 10), "z": 1.0}`.

    Args:
        initial: weight in the first epoch, positive.
        final: weight after `epochs` epochs, positive.
        epochs: how many epochs it takes; 0 for `final` throughout.
        shape: "linear" or "cosine".

    Raises:
        SpecificationError: if a weight isn't positive, or the shape is unknown.

    Example:
        >>> annealing = KLAnnealing(initial=0.2, final=1.0, epochs=4)
        >>> [round(annealing(epoch), 2) for epoch in range(6)]
        [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    """

    initial: float = 1.0
    final: float = 1.0
    epochs: int = 0
    shape: str = "linear"

    def __post_init__(self) -> None:
        for name, weight in (("initial", self.initial), ("final", self.final)):
            if not 0 < weight < math.inf:
                raise SpecificationError(
                    f"the {name} KL weight must be positive and finite, got {weight}: to start "
                    "without the KL term, anneal from a small number such as 0.01"
                )
        if self.epochs < 0:
            raise SpecificationError(f"epochs must not be negative, got {self.epochs}")
        if self.shape not in SHAPES:
            raise SpecificationError(f"unknown shape {self.shape!r}: choose one of {SHAPES}")

    def __call__(self, epoch: int) -> float:
        """Weight in the given epoch, the first being 0."""
        progress = min(epoch / self.epochs, 1.0) if self.epochs else 1.0
        if self.shape == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.initial + (self.final - self.initial) * progress


Schedule = Callable[[int], float]
"""The KL weight of an epoch, the first being 0: a `KLAnnealing`, or a function."""

Annealing = Schedule | float
"""One site's schedule, or a constant weight."""


def schedules(kl: Annealing | Mapping[str, Annealing], sites: list[str]) -> dict[str, Schedule]:
    """One schedule per site from what `fit` takes as `kl`.

    Args:
        kl: a schedule, a function of the epoch or a constant, for all sites or one per site name,
            those left out being 1.
        sites: names of the model's latent sites.

    Raises:
        SpecificationError: if `kl` names a site that the model does not have, or a weight is none.

    Example:
        >>> schedules({"offset": 0.5}, ["offset", "z"])["offset"](0)
        0.5
    """
    per_site = dict(kl) if isinstance(kl, Mapping) else dict.fromkeys(sites, kl)
    if unknown := sorted(set(per_site) - set(sites)):
        raise SpecificationError(f"kl names {unknown}, but the model's sites are {sites}")
    return {name: _schedule(per_site.get(name, 1.0)) for name in sites}


def _schedule(weight: Any) -> Schedule:
    if callable(weight):
        return weight
    if isinstance(weight, Real):
        return KLAnnealing(float(weight), float(weight))
    raise SpecificationError(
        "a KL weight must be a number, a KLAnnealing or a function of the epoch, such as "
        f"lambda epoch: 0.1 if epoch < 5 else 1.0; got {weight!r}"
    )


def weights_at(schedules: Mapping[str, Schedule], epoch: int) -> dict[str, float]:
    """The KL weight of each site in an epoch.

    Raises:
        SpecificationError: if a function of the user's own gives no positive number.
    """
    weights: dict[str, float] = {}
    for name, schedule in schedules.items():
        weight = schedule(epoch)
        if not (isinstance(weight, Real) and 0 < float(weight) < math.inf):
            raise SpecificationError(
                f"the KL weight of {name!r} must be a positive number, but its function gives "
                f"{weight!r} for epoch {epoch}"
            )
        weights[name] = float(weight)
    return weights


def settled_after(schedules: Mapping[str, Schedule], epochs: int) -> int:
    """The first epoch from which the weights stay as they are to the end of a training.

    Example:
        >>> settled_after({"z": KLAnnealing(0.1, 1.0, epochs=4)}, epochs=10)
        4
    """
    last = weights_at(schedules, epochs - 1)
    for epoch in reversed(range(epochs - 1)):
        if weights_at(schedules, epoch) != last:
            return epoch + 1
    return 0


def warn_if_unfinished(schedules: Mapping[str, Schedule], epochs: int) -> None:
    """Issue a `TrainingWarning` for annealing that a training of so many epochs doesn't finish."""
    unfinished = [
        f"that of {name!r} ends at {schedule(epochs - 1):.2g} and not at {schedule.final:.3g}, as "
        f"its annealing takes {schedule.epochs} epochs"
        for name, schedule in schedules.items()
        if isinstance(schedule, KLAnnealing)
        and schedule.epochs > epochs
        and schedule(epochs - 1) != schedule.final
    ]
    if unfinished:
        warnings.warn(
            f"the KL weight never gets where it should in {epochs} epochs of training: "
            f"{'; '.join(unfinished)}. Train longer, or give at most {epochs} annealing epochs "
            "(`epochs` of KLAnnealing, `annealing_epochs` of a search, --kl-epochs)",
            TrainingWarning,
            stacklevel=3,
        )

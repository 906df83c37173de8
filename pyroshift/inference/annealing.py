"""KL annealing: how much the latent sites' KL terms weigh, epoch by epoch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pyroshift.errors import SpecificationError

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


Annealing = KLAnnealing | float
"""One site's schedule, or a constant weight."""


def schedules(kl: Annealing | Mapping[str, Annealing], sites: list[str]) -> dict[str, KLAnnealing]:
    """One schedule per site from what `fit` takes as `kl`.

    Args:
        kl: a schedule or a constant for all sites, or one per site name, those left out being 1.
        sites: names of the model's latent sites.

    Raises:
        SpecificationError: if `kl` names a site that the model does not have.

    Example:
        >>> schedules({"offset": 0.5}, ["offset", "z"])["offset"](0)
        0.5
    """
    per_site = dict(kl) if isinstance(kl, Mapping) else dict.fromkeys(sites, kl)
    if unknown := sorted(set(per_site) - set(sites)):
        raise SpecificationError(f"kl names {unknown}, but the model's sites are {sites}")
    return {
        name: weight if isinstance(weight, KLAnnealing) else KLAnnealing(weight, weight)
        for name, weight in ((name, per_site.get(name, 1.0)) for name in sites)
    }

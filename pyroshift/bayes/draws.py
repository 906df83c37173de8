"""Draws of the guide, of the prior and of the data, for some patches at once; their densities."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from torch import Tensor

from pyroshift.errors import SpecificationError
from pyroshift.guides.bins import PoseBins
from pyroshift.model.batch import gathered
from pyroshift.model.pair import PoseVAE
from pyroshift.model.sites import DATA
from pyroshift.training.elbo import sample_sites

Values = dict[str, Tensor]
"""Of sites by name, `draw x patch x event shape`."""


@dataclass(frozen=True)
class Weighed:
    """Draws of the guide, and how probable model and guide hold them.

    Args:
        log_prior: log density of the latent sites under the model, `draw x patch`.
        log_likelihood: of the data given these, `draw x patch`.
        log_guide: log density of the latent sites under the guide, `draw x patch`.
        values: the draws; empty where nobody asked for them.
        pixelwise: log density of each pixel given the draw, `draw x patch x window`, not a number
            where it wasn't taken; None where nobody asked for it.
    """

    log_prior: np.ndarray
    log_likelihood: np.ndarray
    log_guide: np.ndarray
    values: Values
    pixelwise: np.ndarray | None = None

    @property
    def log_joint(self) -> np.ndarray:
        """Log density of data and latent sites, `draw x patch`."""
        return self.log_prior + self.log_likelihood

    @property
    def log_weights(self) -> np.ndarray:
        """Log of the joint density over the guide's, `draw x patch`: its mean is the bound."""
        return self.log_joint - self.log_guide


@dataclass(frozen=True)
class Drawing:
    """A model and some of its patches, of each of which there are to be several draws.

    Args:
        model: the model, in evaluation mode.
        patches: on its device.
        index: which of the patches.
        rows: windows that go through the networks at a time.
        told: is told how many draws there are more, of all patches together, as they come.
    """

    model: PoseVAE
    patches: Any
    index: Tensor
    rows: int
    told: Callable[[int], Any] = int

    def weigh(self, draws: int, keep: bool = False, pixelwise: bool = False) -> Weighed:
        """Draws of the guide, and their densities.

        What all patches share, as the widths of a hierarchical prior, is drawn from its own
        posterior, which was learned from other patches too, and has no weight.

        Args:
            draws: of each patch.
            keep: whether the drawn values are kept.
            pixelwise: whether the likelihood is told pixel by pixel too.
        """
        densities: dict[str, list[Tensor]] = {"prior": [], "likelihood": [], "guide": []}
        kept: dict[str, list[Tensor]] = {}
        pixels: list[np.ndarray] = []
        for count in self._passes(draws):
            batch = self._repeated(count)
            with pyro.validation_enabled(False):
                drawn = poutine.trace(self.model.sample_guide).get_trace(batch)
                replayed = poutine.replay(self.model.sample_model, trace=drawn)
                generated = sample_sites(poutine.trace(replayed).get_trace(batch))
                latent = self._latent(sample_sites(drawn), generated)
                more = self._summed_out(latent)
                observed = [site for site in generated.values() if site["is_observed"]]
                for name, sites in (
                    ("guide", [latent[name] for name in latent]),
                    ("prior", [generated[name] for name in latent]),
                    ("likelihood", observed),
                ):
                    total = sum(map(log_density, sites), more.get(name, torch.zeros(()))).double()
                    densities[name].append(total.reshape(count, -1).cpu())
                if pixelwise:
                    each = self._apart(_of_pixels(generated[DATA]), count).cpu().numpy()
                    gaps = torch.isnan(self.patches.gather(self.index)).cpu().numpy()
                    pixels.append(np.where(gaps, np.nan, each))
            for name, site in latent.items() if keep else ():
                kept.setdefault(name, []).append(self._apart(site["value"], count))
            self.told(count * len(self.index))
        prior, likelihood, guide = (torch.cat(parts).numpy() for parts in densities.values())
        told = np.concatenate(pixels) if pixelwise else None
        return Weighed(prior, likelihood, guide, _joined(kept), told)

    def prior(self, draws: int) -> tuple[Values, Tensor]:
        """Draws of the latent sites before the data are seen, and data as they would then be.

        Returns:
            The values, and data `draw x patch x window`.
        """
        kept: dict[str, list[Tensor]] = {}
        for count in self._passes(draws):
            with pyro.validation_enabled(False):
                trace = poutine.trace(self.model.sample_model)
                sites = sample_sites(trace.get_trace(self._repeated(count), observe=False))
            for name in (*(site.name for site in self.model.given_sites), DATA):
                kept.setdefault(name, []).append(self._apart(sites[name]["value"], count))
        values = _joined(kept)
        return values, values.pop(DATA)

    def log_likelihood(self, trace: poutine.Trace) -> np.ndarray:
        """Of the patches, `patch`, given one value of each site.

        Args:
            trace: of the model, that has these values.
        """
        with pyro.validation_enabled(False):
            replayed = poutine.replay(self.model.sample_model, trace=trace)
            generated = poutine.trace(replayed).get_trace(self._repeated(1))
        return log_density(sample_sites(generated)[DATA]).cpu().numpy()

    def predicted(self, values: Values) -> Tensor:
        """Data as they would be once more, given values of all latent sites.

        Args:
            values: of each site.

        Returns:
            `draw x patch x window`.
        """
        parts, start = list[Tensor](), 0
        for count in self._passes(len(next(iter(values.values())))):
            flat = {
                name: value[start : start + count].flatten(0, 1) for name, value in values.items()
            }
            with pyro.validation_enabled(False):
                given = poutine.replay(self.model.sample_model, trace=shared(self.model))
                again = poutine.condition(given, data=flat)
                parts.append(self._apart(again(self._repeated(count), observe=False), count))
            start += count
        return torch.cat(parts)

    def _passes(self, draws: int) -> Iterator[int]:
        """How many draws of all patches go through the networks at a time."""
        # Of what all patches share there is one value in a pass, but one for each draw is wanted.
        most = 1 if self.model.global_values() else max(1, self.rows // len(self.index))
        return iter([min(most, draws - done) for done in range(0, draws, most)])

    def _repeated(self, count: int) -> Any:
        """The patches, as often as they are to be drawn."""
        return gathered(self.patches, self.index.repeat(count))

    def _apart(self, values: Tensor, count: int) -> Tensor:
        """Values of repeated patches, `draw x patch x ...`."""
        return values.reshape(count, len(self.index), *values.shape[1:])

    def _summed_out(self, latent: dict[str, Any]) -> dict[str, Tensor]:
        """What densities gain by summing out the bins that the guide draws poses about."""
        for site in self.model.sites:
            if isinstance(site, PoseBins):
                values = {name: each["value"] for name, each in latent.items()}
                logits = latent[site.name]["fn"].logits
                both = site.summed_out(self.model.sites, values, logits)
                return dict(zip(("prior", "guide"), both, strict=True))
        return {}

    def _latent(self, drawn: dict[str, Any], generated: dict[str, Any]) -> dict[str, Any]:
        """The guide's sites of the patches, without those that all patches share.

        Raises:
            SpecificationError: if the model hasn't the same.
        """
        latent = {name for name, site in generated.items() if not site["is_observed"]}
        if latent != set(drawn):
            raise SpecificationError(
                f"the guide draws {sorted(drawn)}, but the model's latent sites are "
                f"{sorted(latent)}: both must have the same"
            )
        own = {site.name for site in self.model.sites}
        return {name: site for name, site in drawn.items() if name in own}


def shared(model: PoseVAE) -> poutine.Trace:
    """A draw of what all patches share, from its posterior.

    Args:
        model: whose.
    """
    return poutine.trace(lambda: [part.guide_global() for part in model.shared]).get_trace()


def log_density(site: dict[str, Any]) -> Tensor:
    """Log density of the value of a site of a trace, of each patch."""
    return scale_and_mask(site["fn"].log_prob(site["value"]), site["scale"], site["mask"]).double()


def _of_pixels(site: dict[str, Any]) -> Tensor:
    """Log density of each pixel of the observed site of a trace, which are independent."""
    return site["scale"] * site["fn"].base_dist.log_prob(site["value"])


def called(model: PoseVAE, values: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The sites as specified, poses that are alike under one value, as `encode` has them.

    Args:
        model: whose sites they are.
        values: by name, `... x event shape`.
    """
    return {site.name: site.reduce(values[site.name]).cpu().numpy() for site in model.given_sites}


def chosen(values: Values, which: np.ndarray) -> Values:
    """Some draws of each patch.

    Args:
        values: of sites by name, `draw x patch x ...`.
        which: `chosen x patch`, numbers of draws.
    """
    rows = torch.from_numpy(which)
    return {
        name: value[rows.to(value.device), torch.arange(rows.shape[1], device=value.device)]
        for name, value in values.items()
    }


def _joined(parts: dict[str, list[Tensor]]) -> Values:
    return {name: torch.cat(each) for name, each in parts.items()}

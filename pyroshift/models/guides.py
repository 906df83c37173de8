"""Guides: how the posterior of each site is found from the data.

A guide is exchangeable: it sees the pair's sites, encoder, decoder and likelihood, and nothing
else depends on how it works. Pass an object of your own as a model's `guide` argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.networks.encoders import count_features

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyroshift.models.pair import PoseVAE
    from pyroshift.sites import Site


class Guide(nn.Module, ABC):
    """How the posterior over a pair's sites is found.

    The pair is handed to every call rather than kept, so that no module holds another twice.
    """

    @abstractmethod
    def setup(self, pair: PoseVAE) -> None:
        """Build what the guide needs for this pair; called once, by the pair's constructor."""

    @abstractmethod
    def forward(self, pair: PoseVAE, x: Tensor, kl_weight: float | Mapping[str, float]) -> None:
        """Draw every site as a Pyro sample statement, inside the patches' plate.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`.
            kl_weight: weight of the sites' KL terms, as the pair's `latent_scale` takes it.
        """

    @abstractmethod
    def summary(
        self, pair: PoseVAE, x: Tensor, drawn: Mapping[str, Distribution] | None = None
    ) -> dict[str, Tensor]:
        """Location and standard deviation of every site, the latter under the name `..._std`.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`.
            drawn: by name, what `forward` has drawn the sites of these data from, if it has: what
                that tells needn't be worked out again.

        Returns:
            Tensors `batch x event shape` by name.
        """


class NormalGuide(Guide):
    """The papers' amortised mean-field guide: every site's family, set by one shared encoder.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> sorted(ShiftVAE((16, 16)).guide_module.heads)
        ['offset', 'z']
    """

    heads: nn.ModuleDict

    def setup(self, pair: PoseVAE) -> None:
        """One linear head per site, on the encoder's features."""
        features = count_features(pair.encoder, pair.window)
        self.heads = nn.ModuleDict()
        for site in pair.sites:
            self.heads[site.name] = posterior_head(site, features)

    def posterior(self, pair: PoseVAE, x: Tensor) -> dict[str, Distribution]:
        """The posterior of each site by name.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`.
        """
        features = pair.encoder(pair.likelihood.standardize(x))
        return {
            site.name: site.family.distribution(self.heads[site.name](features), site.reference)
            for site in pair.sites
        }

    def forward(self, pair: PoseVAE, x: Tensor, kl_weight: float | Mapping[str, float]) -> None:
        """Draw every site from its family."""
        for name, distribution in self.posterior(pair, x).items():
            with pair.latent_scale(kl_weight, name):
                pyro.sample(name, distribution)  # type: ignore[arg-type]

    def summary(
        self, pair: PoseVAE, x: Tensor, drawn: Mapping[str, Distribution] | None = None
    ) -> dict[str, Tensor]:
        """Location and standard deviation of every site."""
        posterior = self.posterior(pair, x) if drawn is None else drawn
        found = {}
        for site in pair.sites:
            found[site.name], found[f"{site.name}_std"] = site.family.summary(posterior[site.name])
        return found


class Head(nn.Linear):
    """A linear layer that keeps single precision where networks multiply in half of it.

    A position rounded to eight bits would be off by some hundredths of a pixel.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Raw outputs, single precision."""
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.to(self.weight))


def posterior_head(site: Site, features: int) -> nn.Linear:
    """A layer from an encoder's features to what sets a site's posterior; it starts at the prior.

    Args:
        site: the site.
        features: number of features.
    """
    head = Head(features, site.family.size(site.event_shape))
    nn.init.normal_(head.weight, std=0.1 * features**-0.5)
    nn.init.zeros_(head.bias)
    return head

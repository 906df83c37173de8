"""The papers' guide: every posterior set by one network.

Heads on an encoder's features, which other guides use as well.
"""

from collections.abc import Mapping

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.guides.drawing import check_particles
from pyroshift.guides.kinds import draw_kind, kind_logits, most_probable, probabilities
from pyroshift.model.batch import Batch, as_batch
from pyroshift.model.brightness import Brightness, draw_brightness, posterior_given
from pyroshift.model.classes import Discrete
from pyroshift.model.encoders import count_features
from pyroshift.model.guide import Guide, Pair
from pyroshift.model.sites import Site


class NormalGuide(Guide):
    """The papers' amortised mean-field guide: every site's family, set by one shared encoder.

    A class, a flip and brightness, which are known exactly where all else is, need no network.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> sorted(ShiftVAE((16, 16), guide="normal").guide_module.heads)
        ['offset', 'z']
    """

    heads: nn.ModuleDict

    def setup(self, pair: Pair) -> None:
        """One linear head per site, on the encoder's features and the covariates."""
        features = count_features(pair.encoder, pair.seen_shape) + len(pair.condition)
        self.heads = nn.ModuleDict()
        for site in _amortised(pair):
            self.heads[site.name] = posterior_head(site, features)

    def posterior(
        self, pair: Pair, x: Tensor | Batch, learn: bool = False
    ) -> dict[str, Distribution]:
        """The posterior of each site by name, but of those known exactly given the others.

        Args:
            pair: the pair.
            x: data, and what else is known of them.
            learn: whether what sites learn from their posteriors may follow these.
        """
        batch = as_batch(x)
        # What wasn't taken is as the data are on average.
        features = pair.encoder(pair.seen(batch.x).nan_to_num(0.0))
        covariates = pair.covariates(batch.known, len(batch)).values()
        features = torch.cat([features, *covariates], -1)
        known = pair.needed(batch.known)
        return {
            site.name: site.posterior_given(self.heads[site.name](features), known, learn)
            for site in _amortised(pair)
        }

    def posterior_of(self, pair: Pair, site: Site, seen: Tensor) -> Distribution:
        """The posterior of a site, given standardized windows."""
        features = pair.encoder(seen)
        covariates = features.new_zeros(len(features), len(pair.condition))
        return site.posterior(self.heads[site.name](torch.cat([features, covariates], -1)))

    def forward(
        self, pair: Pair, x: Tensor | Batch, kl_weight: float | Mapping[str, float]
    ) -> None:
        """Draw every site from its family, then the kind and brightness given these."""
        batch = as_batch(x)
        values = dict(pair.covariates(batch.known, len(batch)))
        for name, distribution in self.posterior(pair, batch, self.training).items():
            with pair.latent_scale(kl_weight, name):
                values[name] = pyro.sample(name, distribution)  # type: ignore[arg-type]
        if pair.discrete:
            for site in _amortised(pair):
                check_particles(values[site.name], len(site.event_shape))
            values |= draw_kind(pair, kind_logits(pair, batch, values), kl_weight)
        draw_brightness(pair, batch, values, kl_weight)

    def summary(
        self,
        pair: Pair,
        x: Tensor | Batch,
        drawn: Mapping[str, Distribution] | None = None,
    ) -> dict[str, Tensor]:
        """Location and standard deviation of every site; of kinds, their probabilities."""
        batch = as_batch(x)
        posterior = self.posterior(pair, batch) if drawn is None else drawn
        found = dict(pair.covariates(batch.known, len(batch)))
        spreads, told, shares = {}, set(found), {}
        for site in _amortised(pair):
            found[site.name], spreads[site.name] = site.family.summary(posterior[site.name])
        if pair.discrete:
            each = kind_logits(pair, batch, found).exp()
            found |= pair.of_kind(most_probable(pair, each))
            shares = probabilities(pair, each)
        for name, given in posterior_given(pair, batch, found).items():
            found[name], spreads[name] = given.mean, given.stddev
        own = {name: value for name, value in found.items() if name not in told}
        return own | shares | {f"{name}_std": spread for name, spread in spreads.items()}


def _amortised(pair: Pair) -> list[Site]:
    """The sites whose posteriors a network sets."""
    return [site for site in pair.sites if not isinstance(site, Brightness | Discrete)]


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

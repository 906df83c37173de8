"""The papers' guide: every posterior set by one network.

Heads on an encoder's features, which other guides use as well.
"""

from collections.abc import Mapping

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.model.brightness import (
    Brightness,
    draw_brightness,
    posterior_given,
    without_brightness,
)
from pyroshift.model.encoders import count_features
from pyroshift.model.guide import Guide, Pair
from pyroshift.model.shapes import Windows
from pyroshift.model.sites import Site


class NormalGuide(Guide):
    """The papers' amortised mean-field guide: every site's family, set by one shared encoder.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> sorted(ShiftVAE((16, 16), guide="normal").guide_module.heads)
        ['offset', 'z']
    """

    heads: nn.ModuleDict

    def setup(self, pair: Pair) -> None:
        """One linear head per site, on the encoder's features."""
        features = count_features(pair.encoder, pair.window)
        self.heads = nn.ModuleDict()
        for site in _amortised(pair):
            self.heads[site.name] = posterior_head(site, features)

    def posterior(self, pair: Pair, x: Tensor, learn: bool = False) -> dict[str, Distribution]:
        """The posterior of each site by name, but of brightness, which is known given the others.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`.
            learn: whether what sites learn from their posteriors may follow these.
        """
        features = pair.encoder(without_brightness(pair, pair.likelihood.standardize(x)))
        return {
            site.name: site.posterior(self.heads[site.name](features), learn)
            for site in _amortised(pair)
        }

    def posterior_of(self, pair: Pair, site: Site, seen: Windows) -> Distribution:
        """The posterior of a site, given standardized windows."""
        return site.posterior(self.heads[site.name](pair.encoder(seen)))

    def forward(self, pair: Pair, x: Windows, kl_weight: float | Mapping[str, float]) -> None:
        """Draw every site from its family."""
        values = {}
        for name, distribution in self.posterior(pair, x, self.training).items():
            with pair.latent_scale(kl_weight, name):
                values[name] = pyro.sample(name, distribution)  # type: ignore[arg-type]
        draw_brightness(pair, x, values, kl_weight)

    def summary(
        self, pair: Pair, x: Windows, drawn: Mapping[str, Distribution] | None = None
    ) -> dict[str, Tensor]:
        """Location and standard deviation of every site."""
        posterior = self.posterior(pair, x) if drawn is None else drawn
        found, spreads = {}, {}
        for site in _amortised(pair):
            found[site.name], spreads[site.name] = site.family.summary(posterior[site.name])
        for name, given in posterior_given(pair, x, found).items():
            found[name], spreads[name] = given.mean, given.stddev
        return found | {f"{name}_std": spread for name, spread in spreads.items()}


def _amortised(pair: Pair) -> list[Site]:
    """The sites whose posteriors a network sets."""
    return [site for site in pair.sites if not isinstance(site, Brightness)]


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

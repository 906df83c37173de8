"""Ways to keep brightness apart from z, beside the one that the package takes."""

from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift import Brightness, CanvasDecoder, NormalGuide, PoseVAE
from pyroshift.guides.normal import posterior_head
from pyroshift.model.brightness import without_brightness
from pyroshift.model.encoders import count_features


class AmortisedGuide(NormalGuide):
    """Gain and background by a head of their own, which also sees the window's mean and spread."""

    def setup(self, pair: PoseVAE) -> None:
        """A linear head per site."""
        features = count_features(pair.encoder, pair.window)
        self.heads = nn.ModuleDict()
        for site in pair.sites:
            seen = features + 2 * isinstance(site, Brightness)
            self.heads[site.name] = posterior_head(site, seen)

    def posterior(self, pair: PoseVAE, x: Tensor) -> dict[str, Distribution]:
        """The posterior of each site by name, brightness among them."""
        x = pair.likelihood.standardize(x)
        features = pair.encoder(without_brightness(pair, x))
        flat = x.flatten(1)
        bright = torch.cat([features, flat.mean(1, keepdim=True), flat.std(1, keepdim=True)], 1)
        return {
            site.name: site.family.distribution(
                self.heads[site.name](bright if isinstance(site, Brightness) else features),
                site.prior,
            )
            for site in pair.sites
        }

    def forward(self, pair: PoseVAE, x: Tensor, kl_weight: Any) -> None:
        """Draw every site from its family."""
        for name, distribution in self.posterior(pair, x).items():
            with pair.latent_scale(kl_weight, name):
                pyro.sample(name, distribution)

    def summary(self, pair: PoseVAE, x: Tensor, drawn: Any = None) -> dict[str, Tensor]:
        """Location and standard deviation of every site."""
        result = {}
        for name, distribution in (self.posterior(pair, x) if drawn is None else drawn).items():
            result[name], result[f"{name}_std"] = distribution.mean, distribution.stddev
        return {name: result[name] for name in sorted(result)}


class NormalisedDecoder(CanvasDecoder):
    """Canvases of mean 0 and spread 1, whatever z: what is left to brightness is all of it."""

    def canvas(self, z: Tensor) -> Tensor:
        """The motif in its own frame, normalised."""
        canvas = super().canvas(z)
        axes = tuple(range(z.dim() - 1, canvas.dim()))
        canvas = canvas - canvas.mean(axes, keepdim=True)
        return canvas / (canvas.square().mean(axes, keepdim=True) + 1e-3).sqrt()

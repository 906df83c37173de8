"""Signals of a peak and a flank, whose exact posteriors are sums over a grid."""

import pyro.distributions as dist
import torch
from glyphs import handmade, patches_of
from torch import nn

from pyroshift import Content, Gaussian, Offset, Poisson

WINDOW, COUNT = (40,), 60
LIKELIHOODS = {"gaussian": lambda: Gaussian(0.1), "poisson": Poisson}


class Flank(nn.Module):
    """A peak with a flank whose height z tells, so that where the peak is isn't known without."""

    def __init__(self, height):
        super().__init__()
        self.height = height

    def forward(self, z, coordinates):
        at = coordinates[..., 0]
        peak, flank = (torch.exp(-(((at - centre) / 0.16) ** 2) / 2) for centre in (0.0, 0.25))
        return self.height * (peak + (0.6 + 0.15 * z) * flank)


def make(likelihood="gaussian", family=None, prior=None, guide="anchor"):
    """A pair in double precision, untrained: of latents the encoder tells the prior."""
    height = 1.0 if likelihood == "gaussian" else 2.5
    site = Content(1, prior, family=family)
    sites = [Offset(dist.Normal(0.0, 0.15), ndim=1), site]
    model = handmade(
        WINDOW, sites, Flank(height), likelihood=LIKELIHOODS[likelihood](), guide=guide
    )
    return model.double()


def made(model, count=COUNT, seed=0):
    """Windows of the model with their offsets and latents."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        offset, z = torch.randn(2, count, 1, dtype=torch.double)
        values = {"offset": 0.15 * offset, "z": z}
        mean = patches_of(model, values)
        if isinstance(model.likelihood, Gaussian):
            return mean + 0.1 * torch.randn_like(mean), values
        return torch.poisson(mean), values


def as_encoded(model, count):
    """What the encoder says of latents: their prior."""
    site = model.contents[0]
    return site.posterior(torch.zeros(count, site.family.size((1,)), dtype=torch.double))


@torch.no_grad()
def exact(model, x):
    """Mean and standard deviation of offset and z given each window, by a sum over a grid."""
    offset, z = torch.meshgrid(
        torch.linspace(-0.6, 0.6, 241, dtype=torch.double),
        torch.linspace(-5, 5, 201, dtype=torch.double),
        indexing="ij",
    )
    values = {"offset": offset.reshape(-1, 1), "z": z.reshape(-1, 1)}
    output = model.output(values)
    prior = -(offset / 0.15).square() / 2 - z.square() / 2
    found = []
    for window in x:
        seen = model.likelihood.log_prob(window.expand_as(output), output).sum(1)
        share = (seen + prior.reshape(-1)).softmax(0)
        for value in (values["offset"][:, 0], values["z"][:, 0]):
            mean = share @ value
            found += [mean, (share @ (value - mean).square()).sqrt()]
    return torch.stack(found).reshape(len(x), 4).T

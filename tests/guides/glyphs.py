"""Decoders made by hand, whose motifs are smooth and known: no training, and closed forms."""

import torch
from pyro import poutine
from torch import nn

from pyroshift import PatchELBO, PoseVAE
from pyroshift.model.likelihoods import Gaussian


class Peak(nn.Module):
    """An asymmetric peak of signals, or a stroke with a dot of images; z makes the dot brighter.

    It is zero far from the motif. All of it is smooth, so that a pose has a gradient everywhere.
    """

    # Each part's centre along each axis, and its width, half-windows.
    parts = (((0.0, -0.1), (0.16, 0.05)), ((-0.15, 0.0), (0.05, 0.13)), ((0.12, 0.15), (0.1, 0.1)))

    def __init__(self, height=1.0):
        super().__init__()
        self.height = nn.Parameter(torch.tensor(height))

    def forward(self, z, coordinates):
        axes = coordinates.shape[-1]
        brightness = (1.0, 0.8, 0.9 + 0.3 * torch.tanh(z[..., 0]))
        seen = 0.0
        for (centre, width), bright in zip(self.parts, brightness, strict=True):
            centre = coordinates.new_tensor(centre[-axes:])
            width = coordinates.new_tensor(width[-axes:])
            part = torch.exp(-(((coordinates - centre) / width) ** 2).sum(-1) / 2)
            if isinstance(bright, torch.Tensor):
                bright = bright.reshape(bright.shape + (1,) * axes)
            seen = seen + bright * part
        return self.height * seen


class Waves(nn.Module):
    """A lattice: a wave along each axis, of a period in half-windows."""

    def __init__(self, period):
        super().__init__()
        self.period = period
        self.height = nn.Parameter(torch.tensor(1.0))

    def forward(self, z, coordinates):
        return self.height * torch.cos(2 * torch.pi * coordinates / self.period).sum(-1)


class Blobs(nn.Module):
    """Round blobs, each at a place of its own, (y, x) in half-windows."""

    def __init__(self, *centres, width=0.12):
        super().__init__()
        self.register_buffer("centres", torch.tensor(centres))
        self.width = width
        self.height = nn.Parameter(torch.tensor(1.0))

    def forward(self, z, coordinates):
        distance = (coordinates.unsqueeze(-2) - self.centres).square().sum(-1)
        return self.height * torch.exp(-distance / self.width**2 / 2).sum(-1)


def handmade(window, sites, decoder, *, likelihood=None, **options):
    """A pair whose decoder's output is the expected data, in their own units."""
    likelihood = Gaussian(0.05) if likelihood is None else likelihood
    likelihood.prepare(0.0, 1.0, 0.0, 1.0)
    options = {"guide": "anchor", "decoder": decoder} | options
    return PoseVAE(window, sites, likelihood=likelihood, **options).eval()


def randomised(model, scale=0.3):
    """The same model with a decoder that is not flat, and a frame that is not centred."""
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
        model.origin.copy_(torch.tensor([0.07, -0.04])[: len(model.window)])
    return model.eval()


@torch.no_grad()
def bound_and_log_weights(model, patch, particles=10_000):
    """The bound of a patch, and log p(x, latents) - log q(latents), from samples of each."""
    x = patch.expand(particles, *patch.shape)
    bound = PatchELBO().terms(model.sample_model, model.sample_guide, x).elbo
    guide = poutine.trace(model.sample_guide).get_trace(x)
    joint = poutine.trace(poutine.replay(model.sample_model, guide)).get_trace(x)
    guide.compute_log_prob()
    joint.compute_log_prob()
    log_weights = joint.nodes["x"]["log_prob"]
    for site in model.sites:
        log_weights = log_weights + joint.nodes[site.name]["log_prob"]
        log_weights = log_weights - guide.nodes[site.name]["log_prob"]
    return bound.double(), log_weights.double()


@torch.no_grad()
def patches_of(model, values):
    """What a model expects to see, without noise."""
    return model.likelihood.mean(model.output(values))

"""A model whose posterior and evidence are known: latents, a linear decoder, and known noise."""

import math

import numpy as np
import pyro.distributions as dist
import torch
from torch import nn

from pyroshift import Content, Gaussian, PoseVAE

PIXELS, NOISE = 12, 0.5


class Flat(nn.Module):
    """Pixels as they are."""

    def forward(self, x):
        return x.flatten(1)


class Linear(nn.Module):
    """Patterns, orthogonal to each other, as many as there are latents."""

    def __init__(self, patterns):
        super().__init__()
        self.register_buffer("patterns", torch.as_tensor(patterns, dtype=torch.float))

    def forward(self, z, coordinates):
        return z @ self.patterns


def patterns(latents):
    """`latent x pixel`, orthogonal, of different lengths."""
    random = np.random.default_rng(5)
    basis = np.linalg.qr(random.normal(size=(PIXELS, PIXELS)))[0][:latents]
    return basis * np.linspace(1.0, 0.6, latents)[:, np.newaxis]


def model(latents=2, narrow=1.0, shifted=0.0, power=1.0):
    """A model with its exact posterior as a guide, but for its width and where it is.

    Args:
        latents: how many.
        narrow: the guide's width in those of the posterior.
        shifted: how far off it is, in the same.
        power: to which the likelihood is raised, whose posterior it is.
    """
    decoder, site = Linear(patterns(latents)), Content(latents, dist.Normal(0.0, 1.0))
    made = PoseVAE((PIXELS,), [site], likelihood=Gaussian(NOISE), encoder=Flat(), decoder=decoder)
    width = posterior_widths(latents, power)
    head = made.guide_module.heads["z"]
    with torch.no_grad():
        head.weight.zero_()
        head.weight[:latents] = torch.tensor(
            power * width[:, np.newaxis] ** 2 * patterns(latents) / NOISE**2
        )
        head.bias[:latents] = torch.tensor(shifted * width)
        raw = np.log(np.expm1(narrow * width)) - math.log(math.expm1(1.0))
        head.bias[latents:] = torch.tensor(raw)
    return made.eval()


def data(count, latents=2, seed=0):
    """Signals from the model, `signal x pixel`, single precision."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(count, latents))
    noise = NOISE * random.normal(size=(count, PIXELS))
    return (z @ patterns(latents) + noise).astype(np.float32)


def posterior_widths(latents, power=1.0):
    """Standard deviation of each latent, given a signal."""
    return (1 + power * np.square(patterns(latents)).sum(1) / NOISE**2) ** -0.5


def posterior_means(x, latents, power=1.0):
    """`signal x latent`."""
    widths = posterior_widths(latents, power)
    return power * widths**2 * (x @ patterns(latents).T) / NOISE**2


def log_evidence(x, latents, power=1.0):
    """Of each signal; a power of the likelihood is that of wider noise, but for a constant."""
    noise = NOISE**2 / power
    covariance = patterns(latents).T @ patterns(latents) + noise * np.eye(PIXELS)
    exact = torch.distributions.MultivariateNormal(
        torch.zeros(PIXELS, dtype=torch.double), torch.tensor(covariance)
    )
    constant = PIXELS / 2 * ((1 - power) * math.log(2 * math.pi * NOISE**2) - math.log(power))
    return exact.log_prob(torch.tensor(x, dtype=torch.double)).numpy() + constant

"""Widths with a prior of their own: the posterior that is learned is the one that NUTS samples."""

import math
import warnings

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import MCMC, NUTS
from torch import nn

from pyroshift import VAE, Gaussian, PatchELBO, Patches, encode, fit
from pyroshift.priors import Hierarchical

SIGMA = 0.1
WIDTHS = torch.tensor([1.5, 0.5])


class Identity(nn.Module):
    """The latents as they are are what is expected: the exact posterior of z is Normal."""

    def forward(self, z, coordinates):
        return z


class Features(nn.Module):
    """An encoder whose features are the data."""

    def forward(self, x):
        return x


def data(count=30):
    generator = torch.Generator().manual_seed(3)
    x = WIDTHS * torch.randn(count, 2, generator=generator)
    x = x + SIGMA * torch.randn(count, 2, generator=generator)
    return (x - x.mean()) / x.std()  # as the likelihood would have it


def model_of(hyperprior=None):
    return VAE(
        (2,), decoder=Identity(), encoder=Features(), likelihood=Gaussian(SIGMA),
        priors={"z": Hierarchical(2, hyperprior)},
    )  # fmt: skip


@pytest.mark.parametrize("hyperprior", [None, dist.HalfCauchy(1.0)])
def test_the_widths_posterior_is_that_of_nuts(hyperprior):
    x = data()
    model = model_of(hyperprior)
    fit(model, Patches.from_array(x), epochs=500, batch_size=30, learning_rate=0.03,
        progress=False)  # fmt: skip
    learned = model.sites[0].width_posterior.base_dist

    def marginal():
        """The model with z integrated out, so that chains mix."""
        with pyro.plate("latents", 2):
            width = pyro.sample("width", hyperprior or dist.LogNormal(0.0, 1.0))
            with pyro.plate("patches", len(x)):
                spread = (width.square() + SIGMA**2).sqrt()
                pyro.sample("x", dist.Normal(0.0, spread), obs=x)

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        torch.manual_seed(0)
        warnings.simplefilter("ignore")
        chain = MCMC(NUTS(marginal), num_samples=150, warmup_steps=50, disable_progbar=True)
        chain.run()
    log_width = chain.get_samples()["width"].log()
    mean, spread = log_width.mean(0), log_width.std(0)
    # NUTS knows the mean to an eighth of the width. The guide takes z and its width to be
    # independent, and the posterior to be LogNormal, each of which costs a few per cent.
    torch.testing.assert_close(learned.loc.detach(), mean, atol=0.5 * float(spread.max()), rtol=0)
    torch.testing.assert_close(learned.scale.detach(), spread, atol=0, rtol=0.3)
    assert float(spread.min()) > 0.05  # there was something to agree on


def test_the_bound_counts_the_widths_once():
    model, x = model_of().eval(), data()
    terms = PatchELBO().terms(model.sample_model, model.sample_guide, x, total=1000)
    posterior = model.sites[0].width_posterior
    prior = dist.LogNormal(0.0, 1.0).expand([2]).to_event(1)
    shared = torch.distributions.kl_divergence(posterior, prior)
    torch.testing.assert_close(terms.kl["z_width"].sum() * 1000 / 30, shared, rtol=1e-4, atol=0)


def test_what_comes_after_the_training_goes_by_the_middle_of_the_widths():
    model = VAE((8, 8), priors={"z": Hierarchical(2)})
    values = model.global_values()
    assert list(values) == ["z_width"]
    found = model.priors()["z"].stddev
    expected = math.exp(0.1**2 / 2)  # the mean of the LogNormal that it begins with
    torch.testing.assert_close(found.detach(), torch.full_like(found, expected))
    maps = encode(model.eval(), Patches.from_array(torch.rand(3, 8, 8)))
    assert maps.z.shape == (3, 2)

"""A power of the likelihood in guides: of Gaussian noise, it is the same as wider noise."""

import math

import numpy as np
import pytest
import torch

import pyroshift as ps
from pyroshift.guides.refinement import refine
from pyroshift.guides.vector import specified
from pyroshift.model.batch import Batch
from pyroshift.training.elbo import PatchELBO

POWER, NOISE, SIDE = 0.25, 0.2, 12
MODELS = {
    "shift": (ps.ShiftVAE, {}),
    "turn": (ps.RVAE, {"offsets": True, "scales": True}),
    "several anchors": (ps.ShiftVAE, {"guide": ps.AnchorGuide(anchors=2)}),
    "classes": (ps.RVAE, {"offsets": True, "classes": 2, "flips": True}),
    "brightness": (ps.ShiftVAE, {"brightness": "site"}),
    "network": (ps.ShiftVAE, {"guide": "normal"}),
    "network, classes": (ps.ShiftVAE, {"guide": "normal", "classes": 2}),
    "network, brightness": (ps.ShiftVAE, {"guide": "normal", "brightness": "site"}),
}


def pair(name, noise):
    """A model whose decoder draws something, though untrained."""
    make, options = MODELS[name]
    model = make(SIDE, likelihood=ps.Gaussian(noise), seed=3, **options)
    model.likelihood.prepare(0.0, 1.0, 0.4, 0.3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for parameter in model.decoder.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


def windows(count=6):
    """A spot off the middle, in noise."""
    random = np.random.default_rng(0)
    axis = np.arange(SIDE) - (SIDE - 1) / 2
    y, x = (axis - random.uniform(-2, 2, (count, 1)) for _ in range(2))
    spots = np.exp(-(y[:, :, None] ** 2 + x[:, None, :] ** 2) / 6)
    return torch.tensor(spots + 0.1 * random.normal(size=spots.shape), dtype=torch.float)


@pytest.mark.parametrize("name", MODELS)
def test_posteriors_are_those_of_wider_noise(name):
    x = windows()
    model, wider = pair(name, NOISE), pair(name, NOISE / math.sqrt(POWER))
    found = model.guide_module.summary(model, Batch(x, power=POWER))
    expected = wider.guide_module.summary(wider, x)
    in_full = model.guide_module.summary(model, x)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=2e-3, atol=2e-3, msg=key)
    if name in ("shift", "several anchors"):  # those of others may be of other modes
        assert found["offset_std"].mean() > 1.2 * in_full["offset_std"].mean()


@pytest.mark.parametrize("name", MODELS)
def test_the_bound_is_that_of_wider_noise_but_for_a_constant(name):
    x = windows()
    model, wider = pair(name, NOISE), pair(name, NOISE / math.sqrt(POWER))

    def terms(of, data):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return PatchELBO().terms(of.sample_model, of.sample_guide, data, total=30)

    found, expected = terms(model, Batch(x, power=POWER)), terms(wider, x)
    tau = math.log(2 * math.pi * NOISE**2)
    constant = SIDE**2 / 2 * ((1 - POWER) * tau - math.log(POWER))
    torch.testing.assert_close(
        found.log_likelihood, expected.log_likelihood + constant, rtol=1e-3, atol=0.02
    )
    for site, kl in expected.kl.items():
        torch.testing.assert_close(found.kl[site], kl, rtol=1e-2, atol=1e-2)
    assert found.total == 30


def test_information_and_score_are_multiplied():
    model, x = pair("shift", NOISE), windows()
    prior = specified(model, len(x))
    z, start = torch.zeros(len(x), 2), torch.zeros(len(x), 2)
    known = torch.diag(prior.width.double() ** -2)
    part, full = (refine(model, Batch(x, power=power), z, start, prior) for power in (POWER, 1.0))
    torch.testing.assert_close(part.precision - known, POWER * (full.precision - known))


def test_a_batch_in_full_is_as_the_windows_alone():
    model, x = pair("turn", NOISE), windows()
    found, expected = (model.guide_module.summary(model, each) for each in (Batch(x), x))
    for key, value in expected.items():
        assert torch.equal(found[key], value)

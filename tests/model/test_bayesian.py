"""Decoders whose weights are uncertain."""

import warnings

import numpy as np
import pyro
import pytest
import torch
from torch import nn

from pyroshift import (
    VAE,
    BayesianDecoder,
    CanvasDecoder,
    PatchELBO,
    Patches,
    ShiftVAE,
    SpatialDecoder,
    decode,
    fit,
)
from pyroshift.errors import SpecificationError
from pyroshift.testing import MODEL_CHECKS, Subject
from pyroshift.testing.subject import prepare


def spatial(seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = BayesianDecoder(SpatialDecoder((5, 8), 2, hidden=(8,)))
    return VAE((5, 8), decoder=decoder, seed=seed, **options)


def canvas(seed=0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = BayesianDecoder(CanvasDecoder((6, 8), 4, hidden=(8,), classes=2))
    return ShiftVAE((6, 8), decoder=decoder, classes=2, seed=seed, **options)


@pytest.mark.parametrize("check", MODEL_CHECKS, ids=repr)
@pytest.mark.parametrize("make", [spatial, canvas])
def test_every_model_check(make, check):
    check(Subject(make))


def test_weights_are_shared_by_all_patches_and_counted_once():
    model = spatial()
    x = torch.rand(4, 5, 8)
    prepare(model.likelihood, x)
    few = PatchELBO().terms(model.sample_model, model.sample_guide, x[:2], total=100)
    name = "decoder.from_latents.weight"
    middle, spread = model.decoder.decoder.from_latents.weight, 0.02 / np.sqrt(2)
    width = 1 / np.sqrt(2)
    each = np.log(width / spread) + (spread**2 + middle.detach() ** 2) / (2 * width**2) - 0.5
    expected = each.sum().float() / 100
    torch.testing.assert_close(few.kl[name], expected.expand(2), rtol=1e-4, atol=1e-6)


def test_what_is_drawn_scatters_about_what_is_decoded():
    model = spatial().eval()
    x = torch.rand(3, 5, 8)
    prepare(model.likelihood, x)
    z = torch.zeros(3, 2)
    with torch.no_grad():
        outputs = []
        for _ in range(200):
            with pyro.poutine.block(), pyro.poutine.trace() as drawn:
                model.decoder.guide_global()
            values = {name: node["value"] for name, node in drawn.trace.nodes.items()}
            outputs.append(model.output({"z": z, **values}))
        outputs = torch.stack(outputs)
    middle = torch.from_numpy(decode(model, np.zeros((3, 2))).values)
    spread = outputs.std(0)
    assert bool((spread > 0).all())
    expected = model.likelihood.mean(outputs.mean(0))
    error = (expected - middle).abs() / (model.likelihood.spread * spread / np.sqrt(200))
    assert float(error.mean()) < 2.0


class Level(nn.Module):
    """A decoder of one level for each pixel, whatever z."""

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(4, 4))

    def forward(self, z, coordinates):
        return self.level.expand(len(z), 4, 4)


def test_the_posterior_is_the_exact_one_where_that_is_known():
    # Levels in white noise: Normal about their means, of the noise over the root of the number.
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((4, 4))
    x = (truth + rng.standard_normal((300, 4, 4))).astype(np.float32)
    model = VAE((4, 4), 1, decoder=BayesianDecoder(Level()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that z tells nothing
        options = {"epochs": 200, "batch_size": 50, "learning_rate": 3e-3, "schedule": "cosine"}
        fit(model, Patches.from_array(x), progress=False, **options)
    likelihood = model.likelihood
    noise = float((likelihood.noise / likelihood.spread).detach())
    precision = 300 / noise**2 + 1
    mean = ((torch.from_numpy(x) - likelihood.location) / likelihood.spread).sum(0) / noise**2
    with pyro.poutine.trace() as drawn:
        model.decoder.guide_global()
    posterior = drawn.trace.nodes["decoder.level"]["fn"]
    spread = posterior.stddev.detach()
    assert float((spread * np.sqrt(precision)).mean()) == pytest.approx(1.0, abs=0.1)
    error = (posterior.mean.detach() - mean / precision) * np.sqrt(precision)
    assert float(error.abs().mean()) < 0.5


@pytest.mark.parametrize(
    ("decoder", "width", "match"),
    [(SpatialDecoder((4, 4), 1), 0.0, "width must be positive"), (nn.Identity(), 1.0, "no param")],
)
def test_what_can_not_be_uncertain_is_refused(decoder, width, match):
    with pytest.raises(SpecificationError, match=match):
        BayesianDecoder(decoder, width)

"""Latents by Fisher scoring, with an encoder that knows nothing: against exact posteriors."""

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from flank import COUNT, LIKELIHOODS, as_encoded, exact, made, make
from glyphs import patches_of
from pyro import poutine

from pyroshift.guides.latents import axes, scored
from pyroshift.guides.refinement import refine, refine_with_latents
from pyroshift.guides.vector import Independent, specified
from pyroshift.model.batch import as_batch
from pyroshift.model.structured_families import FlowFamily, FullNormal


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_latents_and_pose_are_as_the_exact_posterior_has_them(likelihood):
    model = make(likelihood)
    x, values = made(model)
    posterior, pose = scored(
        model, as_batch(x), as_encoded(model, COUNT), {}, values["offset"],
        specified(model, COUNT),
    )  # fmt: skip
    mean, width, z, spread = exact(model, x)
    # What the exact posterior's bend leaves of a Normal, in its own widths.
    assert float(((posterior.mean[:, 0] - z) / spread).square().mean().sqrt()) < 0.25
    assert float((posterior.stddev[:, 0] / spread).log().abs().median()) < 0.1
    assert float(((pose[:, 0] - mean) / width).square().mean().sqrt()) < 0.25
    assert float(spread.median()) < 0.7  # and the data do tell


def test_a_step_goes_to_where_the_derivatives_say():
    model = make()
    x, values = made(model, 8)
    none, latents = specified(model, 8), Independent(torch.zeros(8, 1), torch.ones(1))
    steps = torch.full((8, 1), 1e-4, dtype=torch.double)
    code, pose = values["z"], values["offset"]
    limit = torch.full((1,), 9.0, dtype=torch.double)
    both = refine_with_latents(model, as_batch(x), code, pose, none, latents, steps, limit)
    alone = refine(model, x, code, pose, none)
    assert torch.allclose(both.precision[:, :1, :1], alone.precision)
    ends = [model.output({"offset": pose, "z": code + sign * steps}) for sign in (1, -1)]
    slope = (ends[0] - ends[1]) / 2e-4
    own = slope.square().sum(1) / 0.1**2 + 1
    assert torch.allclose(both.precision[:, 1, 1], own, rtol=1e-6)


def test_the_latents_interval_is_whatever_the_pose_may_be():
    model = make()
    x, values = made(model)
    posterior, _ = scored(
        model, as_batch(x), as_encoded(model, COUNT), {}, values["offset"],
        specified(model, COUNT),
    )  # fmt: skip
    sure = Independent(values["offset"], torch.full((1,), 1e-6, dtype=torch.double))
    known, _ = scored(model, as_batch(x), as_encoded(model, COUNT), {}, values["offset"], sure)
    assert float((posterior.stddev / known.stddev).median()) > 1.02


def test_what_is_no_normal_stays_as_it_is():
    pytest.importorskip("zuko")
    model = make(family=FlowFamily(1))
    x, values = made(model, 8)
    given = as_encoded(model, 8)
    posterior, pose = scored(model, as_batch(x), given, {}, values["offset"], specified(model, 8))
    assert posterior is given
    assert pose is values["offset"]


@torch.no_grad()
def test_only_the_trained_guide_goes_beyond_its_encoder():
    model = make().float()
    x = made(make(), 8)[0].float()
    drawn = {
        training: poutine.trace(model.train(training).sample_guide).get_trace(x).nodes["z"]["fn"]
        for training in (True, False)
    }
    assert not isinstance(drawn[True], FullNormal)
    assert isinstance(drawn[False], FullNormal)
    assert float((drawn[False].stddev / drawn[True].stddev).max()) < 0.9


@torch.no_grad()
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_intervals_hold_what_they_say_of_the_models_own_windows(likelihood):
    model = make(likelihood).float()
    x, values = made(make(likelihood), 600, seed=1)
    found = model.guide_module.summary(model, x.float())
    error = ((found["z"] - values["z"]) / found["z_std"]).abs()[:, 0].numpy()
    held = [np.mean(error < quantile) for quantile in (0.6745, 1.6449)]
    # Of 600 windows, by chance 2 and 1.2 in 100 at one standard deviation.
    assert held == pytest.approx([0.5, 0.9], abs=0.05)


def test_axes_are_those_of_the_covariance():
    factor = torch.tensor([[[2.0, 0.0], [1.0, 0.5]]])
    normal = FullNormal(torch.zeros(1, 2), scale_tril=factor)
    steps = axes(normal, normal.stddev)
    assert torch.allclose(steps.mT @ steps, normal.covariance_matrix)
    plain = dist.Normal(torch.zeros(1, 2), torch.tensor([[2.0, 0.5]])).to_event(1)
    assert torch.equal(axes(plain, plain.stddev), torch.diag_embed(plain.stddev))


def test_a_prior_of_several_kinds_counts_as_it_is():
    """About one of two narrow Normals: where that one and the data say, not where their mean is."""
    narrow = dist.Normal(torch.tensor([[-1.5], [1.5]], dtype=torch.double), 0.15).to_event(1)
    both = dist.MixtureSameFamily(dist.Categorical(torch.ones(2, dtype=torch.double)), narrow)
    model = make(prior=both)
    x, values = made(model)
    rest = (x - patches_of(model, values)) / 0.1
    kind = torch.arange(COUNT, dtype=torch.double) % 2
    values["z"] = (3 * kind - 1.5 + 0.15 * values["z"][:, 0])[:, None]
    x = patches_of(model, values) + 0.1 * rest
    start = dist.Normal(values["z"], 0.15).to_event(1)
    none = specified(model, COUNT)
    posterior, _ = scored(model, as_batch(x), start, {}, values["offset"], none)
    error = (posterior.mean - values["z"]).square().mean().sqrt()
    assert float(error) < 0.15  # the prior alone says as much; the data alone some 0.4

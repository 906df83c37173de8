"""The pose as one vector: priors on any support, and sites of any name and shape."""

import pyro.distributions as dist
import pytest
import torch
from glyphs import Peak, handmade, patches_of, randomised
from pyro import poutine
from torch.distributions import kl_divergence

from pyroshift import Angle, Content, Offset, PatchELBO, PoseVAE, Scale
from pyroshift.guides.vector import neutral, pack, specified, unpack, unpack_widths, within
from pyroshift.model.sites import PoseSite


class Stretch(PoseSite):
    """A site of the user's own, of two elements: magnification along each axis."""

    def __init__(self, prior, name="stretch"):
        super().__init__(name, prior, (2,))

    def transform(self, coordinates, value):
        return coordinates / value.reshape(-1, 1, 1, 2)

    def inverse(self, value):
        return value.reciprocal()

    def reach(self, radius):
        return 1.2 * radius


# Positive, bounded, half-bounded away from zero, and without moments.
MAGNIFICATIONS = {
    "LogNormal": dist.LogNormal(0.0, 0.1),
    "Gamma": dist.Gamma(100.0, 100.0),
    "Uniform": dist.Uniform(0.5, 1.5),
    "from zero": dist.Uniform(0.0, 2.0),
    "Beta": dist.Beta(8.0, 2.0),
    "HalfNormal": dist.HalfNormal(1.0),
    "InverseGamma": dist.InverseGamma(30.0, 30.0),
    "Pareto": dist.Pareto(0.7, 3.0),
    "HalfCauchy": dist.HalfCauchy(1.0),
    "Normal": dist.Normal(1.0, 0.1),
}
EVERY_PRIOR = pytest.mark.parametrize("prior", MAGNIFICATIONS.values(), ids=MAGNIFICATIONS)
EVERY_SITE = pytest.mark.parametrize("kind", [Scale, Stretch])


def magnified(kind, prior):
    sites = [Offset(), Angle(), kind(prior), Content(1)]
    return randomised(PoseVAE((8, 8), sites, guide="anchor"))


# Across the vector


@EVERY_PRIOR
@EVERY_SITE
def test_values_are_on_the_support_and_come_back(kind, prior):
    model = magnified(kind, prior).double()
    vector = 2 * torch.randn(50, 4 if kind is Scale else 5, dtype=torch.double)
    values = unpack(model, vector)
    site = model.pose_sites[-1]
    assert bool(site.prior.support.check(values[site.name]).all())
    assert values[site.name].shape == (50, *site.event_shape)
    torch.testing.assert_close(pack(model, values), vector)


@EVERY_PRIOR
@EVERY_SITE
def test_widths_are_carried_by_the_slope(kind, prior):
    model = magnified(kind, prior).double()
    vector = torch.randn(20, 4 if kind is Scale else 5, dtype=torch.double)
    width = 1e-6 * torch.rand_like(vector)
    lower, upper = unpack(model, vector - width), unpack(model, vector + width)
    for name, found in unpack_widths(model, vector, width).items():
        torch.testing.assert_close(found, (upper[name] - lower[name]) / 2, rtol=1e-5, atol=1e-13)


def test_of_binned_sites_nothing_is_carried():
    sites = [Offset(dist.Uniform(-0.5, 0.5)), Angle(dist.Uniform(-1.0, 1.0)), Content(1)]
    model = PoseVAE((8, 8), sites, guide="anchor")
    vector = 3 * torch.randn(5, 3)  # a bin's Normal goes beyond the ends of the prior
    values = unpack(model, vector)
    assert torch.equal(values["offset"], vector[:, :2])
    assert torch.equal(values["angle"], vector[:, 2])


def test_the_prior_in_a_bin_and_without_one():
    sites = [Offset(dist.Normal(0.1, 0.2)), Scale(dist.LogNormal(0.3, 0.05)), Content(1)]
    model = PoseVAE((16, 16), sites, guide="anchor")
    bins, pose = model.sites[0], torch.tensor([3, 40])
    inside, whole = within(model, pose), specified(model, 2)
    torch.testing.assert_close(inside.mean[:, :2], bins.centre("offset", pose))
    torch.testing.assert_close(inside.width[:2], torch.full((2,), bins.widths["offset"]))
    torch.testing.assert_close(whole.mean[:, :2], torch.full((2, 2), 0.1))
    torch.testing.assert_close(whole.width[:2], torch.full((2,), 0.2))
    for found in (inside, whole):  # to first order the logarithm's own
        torch.testing.assert_close(found.mean[:, 2], torch.full((2,), 0.3), rtol=0, atol=2e-3)
        assert float(found.width[2]) == pytest.approx(0.05, rel=1e-2)


def test_a_searched_prior_without_a_width_is_wide():
    sites = [Offset(dist.Cauchy(0.0, 0.1)), Content(1)]
    model = PoseVAE((16, 16), sites, guide="anchor")
    found = specified(model, 3)
    assert torch.equal(found.mean, torch.zeros(3, 2))
    assert torch.equal(found.width, torch.full((2,), 10.0))


@EVERY_PRIOR
@EVERY_SITE
def test_a_neutral_pose_does_nothing_and_is_possible(kind, prior):
    model = magnified(kind, prior)
    values = neutral(model, 3)
    assert not bool(values["offset"].any())
    assert not bool(values["angle"].any())
    site = model.pose_sites[-1]
    assert values[site.name].shape == (3, *site.event_shape)
    assert bool(torch.isfinite(site.prior.log_prob(values[site.name])).all())


# By the guide


@EVERY_PRIOR
@EVERY_SITE
def test_magnifications_of_any_prior_have_bounds_and_maps(kind, prior):
    model, x = magnified(kind, prior), torch.rand(20, 8, 8)
    terms = PatchELBO().terms(model.sample_model, model.sample_guide, x)
    assert bool(torch.isfinite(terms.elbo).all())
    site = model.pose_sites[-1]
    summary = model.guide_module.summary(model, x)
    assert all(bool(torch.isfinite(value).all()) for value in summary.values())
    for name in (site.name, f"mode_{site.name}"):
        value = summary[name].reshape(-1, *site.event_shape)
        assert bool(site.prior.support.check(value).all())
    assert bool((summary[f"{site.name}_std"] > 0).all())


def sharp(kind, prior):
    """A model that knows its motif, and patches of it magnified along either axis."""
    sites = [Offset(dist.Uniform(-0.4, 0.4)), kind(prior), Content(1)]
    model = handmade((20, 20), sites, Peak())
    truth = 1 + 0.1 * (2 * torch.rand(40, *model.pose_sites[-1].event_shape) - 1)
    offset = 0.4 * torch.rand(40, 2) - 0.2
    values = {"offset": offset, model.pose_sites[-1].name: truth, "z": torch.zeros(40, 1)}
    return model, patches_of(model, values), truth


@pytest.mark.parametrize("name", ["LogNormal", "Gamma", "Uniform", "HalfCauchy"])
@EVERY_SITE
def test_magnifications_are_found_whatever_the_prior(kind, name):
    model, x, truth = sharp(kind, MAGNIFICATIONS[name])
    site = model.pose_sites[-1].name
    summary = model.guide_module.summary(model, x)
    torch.testing.assert_close(summary[site], truth, rtol=0, atol=0.03)
    # How well they are known is the data's to say.
    reference, x, _ = sharp(kind, dist.Normal(1.0, 0.3))
    expected = reference.guide_module.summary(reference, x)[f"{site}_std"]
    found = summary[f"{site}_std"]
    assert float(found.mean() / expected.mean()) == pytest.approx(1, abs=0.15)


def test_the_divergence_from_a_lognormal_prior_is_in_closed_form():
    model = randomised(PoseVAE((8, 8), [Angle(), Scale(), Content(1)], guide="anchor"))
    x, prior = torch.rand(5, 8, 8), dist.LogNormal(0.0, 0.1)
    found = poutine.trace(model.sample_guide).get_trace(x).nodes["scale"]["fn"]
    expected = kl_divergence(found.base_dist, dist.Normal(0.0, 0.1))
    torch.testing.assert_close(kl_divergence(found, prior), expected)
    assert bool((expected > 0).all())

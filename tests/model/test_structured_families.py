"""Guide families with a full covariance, and with a flow: densities, divergences, checks."""

import math
from functools import partial

import pyro.distributions as dist
import pytest
import torch
from torch import nn
from torch.distributions import kl_divergence

import pyroshift as ps
from pyroshift import Content, FlowFamily, FullNormalFamily, PatchELBO, ShiftVAE, load, save
from pyroshift.errors import SpecificationError
from pyroshift.model.distributions import divergence
from pyroshift.model.flows import FlowDistribution, SplineFlow, normal_points
from pyroshift.model.structured_families import FullNormal
from pyroshift.testing import MODEL_CHECKS, Subject, check_site

FAMILIES = {"FullNormalFamily": FullNormalFamily, "FlowFamily": FlowFamily}
each = pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
guides = pytest.mark.parametrize("guide", ["normal", "anchor"])
PRIOR = dist.Normal(torch.tensor([0.5, -1.0]), torch.tensor([0.3, 2.0])).to_event(1)


def raw_of(family, count=1, spread=0.7):
    generator = torch.Generator().manual_seed(1)
    return spread * torch.randn(count, family.size((2,)), generator=generator)


def integral(distribution, reach=12.0, steps=600):
    """Of a density, and of the values under it, about the prior's mean by the midpoint rule."""
    step = 2 * reach / steps
    axis = -reach + step * (torch.arange(steps) + 0.5)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).flatten(0, 1)
    grid = PRIOR.mean + points * PRIOR.stddev
    area = step**2 * float(PRIOR.stddev.prod())
    mass = distribution.log_prob(grid).exp().double() * area
    mean = (mass.unsqueeze(-1) * grid).sum(0)
    return mass.sum(), mean, ((mass.unsqueeze(-1) * grid**2).sum(0) - mean**2).sqrt()


@each
def test_the_density_is_one_and_has_the_moments_of_the_summary(make):
    family = make()
    with torch.no_grad():
        posterior = family.distribution(raw_of(family), PRIOR)
        total, mean, spread = integral(posterior)
        assert float(total) == pytest.approx(1, abs=2e-3)
        found = family.summary(posterior)
        for value, expected in zip(found, (mean, spread), strict=True):
            error = ((value[0] - expected).abs() / PRIOR.stddev).max()
            assert float(error) < 0.03


def test_the_covariance_is_any_and_starts_at_the_priors():
    family = FullNormalFamily()
    raw = torch.zeros(1, 5)
    start = family.distribution(raw, PRIOR)
    torch.testing.assert_close(start.mean[0], PRIOR.mean)
    torch.testing.assert_close(start.covariance_matrix[0], torch.diag(PRIOR.variance))
    raw[0, 4] = -0.8  # of the second element on the first
    covariance = family.distribution(raw, PRIOR).covariance_matrix[0]
    correlation = covariance[0, 1] / covariance.diagonal().prod().sqrt()
    assert float(correlation) == pytest.approx(-0.8 / math.hypot(1, 0.8), rel=1e-5)


def test_the_divergence_of_a_full_normal_is_known():
    family = FullNormalFamily()
    posterior = family.distribution(raw_of(family, 3), PRIOR)
    covariance = torch.diag(PRIOR.variance)
    expected = kl_divergence(posterior, dist.MultivariateNormal(PRIOR.mean, covariance))
    found = kl_divergence(posterior, PRIOR)
    assert found.shape == (3,)
    torch.testing.assert_close(found, expected)
    by_hand = 0.5 * (
        (posterior.covariance_matrix.diagonal(dim1=-2, dim2=-1) / PRIOR.variance).sum(-1)
        + ((posterior.mean - PRIOR.mean) ** 2 / PRIOR.variance).sum(-1)
        - 2 + PRIOR.variance.log().sum() - torch.logdet(posterior.covariance_matrix)
    )  # fmt: skip
    torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-5)


def test_other_priors_have_a_sampled_divergence():
    posterior = FullNormalFamily().distribution(torch.zeros(20_000, 5), PRIOR)
    laplace = dist.Laplace(PRIOR.mean, PRIOR.stddev).to_event(1)
    value = posterior.rsample()
    found = divergence(posterior, laplace, value)
    # Of each element by hand: E|z| = sqrt(2/pi); five standard errors.
    expected = 2 * (math.log(2) + math.sqrt(2 / math.pi) - 0.5 * math.log(2 * math.pi) - 0.5)
    assert float(found.mean()) == pytest.approx(expected, abs=5 * float(found.std()) / 20_000**0.5)


def test_a_flows_own_draws_have_the_density_that_others_find():
    family = FlowFamily(hidden=(16,), seed=3)
    posterior = family.distribution(raw_of(family, 4), PRIOR)
    value = posterior.rsample((5,))
    drawn = posterior.log_prob(value)
    torch.testing.assert_close(posterior.log_prob(value.clone()), drawn, atol=1e-3, rtol=0)
    wider = posterior.expand((5, 4))
    torch.testing.assert_close(wider.log_prob(value), drawn, atol=1e-3, rtol=0)
    assert wider.rsample().shape == (5, 4, 2)


def test_a_flow_depends_on_the_patch_and_bends():
    family = FlowFamily(seed=1)
    raw = torch.zeros(2, family.size((2,)))
    raw[1, -8:] = 3.0
    posterior = family.distribution(raw, PRIOR)
    value = PRIOR.mean + torch.tensor([0.2, -1.0])
    first, second = posterior.log_prob(value)
    assert abs(float((first - second).detach())) > 1e-3


def test_a_flow_learns_a_density_that_is_no_normal():
    # A bar with two ends: half of the mass about (-2, 0), half about (2, 0).
    target = dist.MixtureSameFamily(
        dist.Categorical(torch.ones(2)),
        dist.Normal(torch.tensor([[-2.0, 0.0], [2.0, 0.0]]), 0.5).to_event(1),
    )
    flow = ps.priors.Flow(2, transforms=2)
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    for _ in range(300):
        loss = -flow().log_prob(target.sample((256,))).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    value = target.sample((2000,))
    with torch.no_grad():
        short = float((target.log_prob(value) - flow().log_prob(value)).mean())
        normal = dist.Normal(value.mean(0), value.std(0)).to_event(1)
        best_normal = float((target.log_prob(value) - normal.log_prob(value)).mean())
    assert short < 0.3 * best_normal


@each
def test_the_sites_checks_hold(make):
    check_site(Content(2, family=make()))


@guides
@each
@pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.name)
def test_the_models_checks_hold(check, make, guide):
    def model(seed):
        return ShiftVAE((8, 8), guide=guide, priors={"z": Content(2, family=make())}, seed=seed)

    check(Subject(model))


@each
def test_saved_and_loaded_it_encodes_the_same(make, tmp_path):
    model = ShiftVAE((8, 8), priors={"z": Content(2, family=make())}).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    patches = ps.Patches.from_array(torch.rand(4, 8, 8))
    save(model, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    found, expected = (ps.encode(each, patches) for each in (loaded, model))
    assert found.drop_attrs().equals(expected.drop_attrs())


@guides
@each
@pytest.mark.parametrize(
    "prior", [partial(ps.priors.Mixture, 3), ps.priors.Flow, partial(ps.priors.VampPrior, 3)]
)
def test_families_and_priors_that_learn_go_together(prior, make, guide):
    model = ShiftVAE((8, 8), guide=guide, priors={"z": Content(2, prior(), family=make())})
    x = torch.rand(3, 8, 8)
    PatchELBO().differentiable_loss(model.sample_model, model.sample_guide, x).backward()
    for name, weight in model.given_sites[1].named_parameters():
        assert weight.grad is not None, name
        assert bool(torch.isfinite(weight.grad).all()), name


@pytest.mark.parametrize("family", [FullNormalFamily(), FlowFamily()])
def test_a_site_that_is_no_vector_is_told(family):
    with pytest.raises(SpecificationError, match="is for vectors"):
        family.size(())


@pytest.mark.parametrize(
    "make",
    [
        partial(FlowFamily, 0), partial(FlowFamily, 2, 0), partial(FlowFamily, 2, hidden=(0,)),
        partial(SplineFlow, 2, -1), lambda: FlowFamily(3).size((2,)),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(SpecificationError):
        make()


def test_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pyroshift\[flows\]"):
        SplineFlow(2)


def test_points_of_the_noise_are_those_of_a_standard_normal(untouched):
    with untouched():
        points = normal_points(3)
    torch.testing.assert_close(points.mean(0), torch.zeros(3, dtype=torch.double))
    covariance = torch.cov(points.T)
    torch.testing.assert_close(covariance, torch.eye(3, dtype=torch.double), atol=0.03, rtol=0)


def test_a_flow_without_a_bend_is_a_normal():
    flow = SplineFlow(2)
    for weight in flow.parameters():
        nn.init.zeros_(weight)
    distribution = FlowDistribution(PRIOR.mean, PRIOR.stddev, flow(None))
    value = PRIOR.sample((50,))
    torch.testing.assert_close(distribution.log_prob(value), PRIOR.log_prob(value))
    torch.testing.assert_close(distribution.stddev, PRIOR.stddev, rtol=0.02, atol=0)
    assert isinstance(FullNormal(PRIOR.mean, scale_tril=torch.eye(2)).rsample(), torch.Tensor)

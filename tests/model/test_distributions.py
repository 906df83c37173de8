"""Circular samples, and priors that move or take another shape."""

import math

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import constraints

from pyroshift.errors import SpecificationError
from pyroshift.model.counts import GammaPoisson
from pyroshift.model.distributions import (
    HomoscedasticNormal,
    ProjectedNormalAngle,
    divergence,
    map_tensors,
    with_event_shape,
)
from pyroshift.model.flows import FlowDistribution, SplineFlow
from pyroshift.model.linear_normal import LinearNormal
from pyroshift.model.noise import HomoscedasticStudentT
from pyroshift.model.phases import VonMisesPhase
from pyroshift.model.sites import Scale

CONCENTRATIONS = pytest.mark.parametrize(
    "concentration", [(0.0, 0.0), (0.5, 0.2), (-2.0, 1.0), (0.0, -6.0), (12.0, 9.0)], ids=str
)


def full_circle(points):
    return (torch.arange(points, dtype=torch.double) + 0.5) * (2 * math.pi / points) - math.pi


# ProjectedNormalAngle


@CONCENTRATIONS
def test_density_integrates_to_one(concentration):
    angle = ProjectedNormalAngle(torch.tensor(concentration, dtype=torch.double))
    density = angle.log_prob(full_circle(4000)).exp()
    assert float(density.mean() * 2 * math.pi) == pytest.approx(1, abs=1e-6)


@CONCENTRATIONS
def test_density_matches_the_samples(concentration):
    # Each of 12 bins within 5 binomial standard deviations: fails once in 10^5 for a fresh seed.
    samples, bins = 40_000, 12
    angle = ProjectedNormalAngle(torch.tensor(concentration, dtype=torch.double))
    drawn = angle.sample((samples,))
    assert bool(((drawn >= -math.pi) & (drawn <= math.pi)).all())
    counts = torch.histc(drawn, bins, -math.pi, math.pi)
    density = angle.log_prob(full_circle(bins * 500)).exp().reshape(bins, -1).mean(1)
    expected = density * 2 * math.pi / bins
    deviation = (samples * expected * (1 - expected)).sqrt()
    assert bool(((counts - samples * expected).abs() < 5 * deviation + 5).all())


def test_uniform_without_concentration():
    angle = ProjectedNormalAngle(torch.zeros(2, dtype=torch.double))
    log_prob = angle.log_prob(full_circle(100))
    torch.testing.assert_close(log_prob, torch.full_like(log_prob, -math.log(2 * math.pi)))


def test_no_cut_at_pi():
    angle = ProjectedNormalAngle(torch.tensor([-3.0, 0.5], dtype=torch.double))
    ends = angle.log_prob(torch.tensor([-math.pi, math.pi], dtype=torch.double))
    torch.testing.assert_close(ends[0], ends[1])


@CONCENTRATIONS
def test_stddev_is_that_of_the_samples(concentration):
    # The mean resultant length of 40,000 samples is known to 1 / sqrt(2 x 40,000) = 0.0035 at
    # most; 5 of these: fails less than once in 10^6 for a fresh seed.
    angle = ProjectedNormalAngle(torch.tensor(concentration, dtype=torch.double))
    drawn = angle.sample((40_000,))
    resultant = torch.complex(drawn.cos(), drawn.sin()).mean().abs()
    expected = torch.exp(-angle.variance / 2)
    assert float(resultant) == pytest.approx(float(expected), abs=0.018)
    assert float(angle.variance) == pytest.approx(float(angle.stddev) ** 2)


def test_stddev_of_a_sharp_angle_is_one_over_its_concentration():
    angle = ProjectedNormalAngle(torch.tensor([0.0, 100.0], dtype=torch.double))
    assert float(angle.stddev) == pytest.approx(0.01, rel=1e-3)
    assert float(angle.mean) == pytest.approx(math.pi / 2)


def test_gradients_flow_through_samples_and_spread():
    concentration = torch.tensor([[1.0, 2.0], [-3.0, 0.1]], requires_grad=True)
    angle = ProjectedNormalAngle(concentration)
    for value in (angle.rsample((5,)), angle.log_prob(torch.ones(2)), angle.stddev, angle.mean):
        (gradient,) = torch.autograd.grad(value.sum(), concentration, retain_graph=True)
        assert bool(torch.isfinite(gradient).all())
        assert bool((gradient != 0).any(-1).all())


def test_gradient_of_an_expectation_through_samples():
    # d/dm E[cos(angle)] at concentration (m, 0), against a difference of the density's integrals.
    # Standard error of 40,000 samples of a bounded gradient (at most about 1): 0.005; 5 of these.
    def expectation(m):
        angles = full_circle(4000)
        density = ProjectedNormalAngle(torch.tensor([m, 0.0], dtype=torch.double)).log_prob(angles)
        return float((density.exp() * angles.cos()).mean() * 2 * math.pi)

    m = torch.tensor(1.0, dtype=torch.double, requires_grad=True)
    concentration = torch.stack((m, torch.zeros_like(m)))
    ProjectedNormalAngle(concentration).rsample((40_000,)).cos().mean().backward()
    slope = (expectation(1.001) - expectation(0.999)) / 0.002
    assert float(m.grad) == pytest.approx(slope, abs=0.025)


def test_expand_and_shapes():
    angle = ProjectedNormalAngle(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    assert angle.batch_shape == (2,)
    assert angle.event_shape == ()
    wide = angle.expand((3, 2))
    assert isinstance(wide, ProjectedNormalAngle)
    assert wide.rsample((5,)).shape == (5, 3, 2)
    value = torch.tensor([0.3, -1.0])
    torch.testing.assert_close(wide.log_prob(value), angle.log_prob(value).expand(3, 2))
    torch.testing.assert_close(wide.stddev, angle.stddev.expand(3, 2))


def test_samples_are_valid_by_its_own_support():
    angle = ProjectedNormalAngle(torch.tensor([-5.0, 0.0]), validate_args=True)
    assert bool(angle.support.check(angle.sample((1000,))).all())


# Expandable


def flow_distribution():
    pytest.importorskip("zuko")
    return FlowDistribution(torch.zeros(3, 2), torch.rand(3, 2) + 0.5, SplineFlow(2)(None))


EXPANDABLE = {
    "projected normal": lambda: ProjectedNormalAngle(torch.randn(3, 2)),
    "linear normal": lambda: LinearNormal(torch.randn(3, 2), torch.eye(2), torch.ones(3, 2)),
    "flow": flow_distribution,
    "counts": lambda: GammaPoisson(torch.randn(3), torch.tensor(2.0)),
    "phases": lambda: VonMisesPhase(torch.randn(3, 2), 360.0, torch.tensor(0.0)),
    "t": lambda: HomoscedasticStudentT(torch.randn(3), torch.tensor(2.0), torch.tensor(4.0)),
}


@pytest.mark.parametrize("make", EXPANDABLE.values(), ids=EXPANDABLE)
def test_an_expanded_distribution_is_of_each_value_what_it_was(make):
    narrow = make()
    value = narrow.sample()
    wide = narrow.expand((5, 3))
    assert type(wide) is type(narrow)
    assert (wide.batch_shape, wide.event_shape) == ((5, 3), narrow.event_shape)
    assert wide.sample((2,)).shape == (2, 5, *value.shape)
    torch.testing.assert_close(wide.log_prob(value), narrow.log_prob(value).expand(5, 3))
    for name in ("mean", "variance"):
        found, expected = getattr(wide, name), getattr(narrow, name)
        torch.testing.assert_close(found, expected.expand(5, *expected.shape))
    assert narrow.batch_shape == (3,)
    assert all(getattr(narrow, name).shape[0] == 3 for name in narrow.each)


# HomoscedasticNormal


@pytest.mark.parametrize("shape", [(), (4,), (3, 5, 2)], ids=str)
def test_one_width_for_all_is_the_usual_density_and_gradient(shape):
    loc = torch.randn(shape, dtype=torch.double, requires_grad=True)
    width = torch.tensor(0.3, dtype=torch.double, requires_grad=True)
    value = torch.randn(shape, dtype=torch.double, requires_grad=True)
    found, expected = (
        normal(loc, width).log_prob(value) for normal in (HomoscedasticNormal, dist.Normal)
    )
    torch.testing.assert_close(found, expected)
    weights = torch.rand_like(value)
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), (loc, width, value)),
        torch.autograd.grad((expected * weights).sum(), (loc, width, value)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_one_width_for_all_expands_and_has_closed_divergences():
    normal = HomoscedasticNormal(torch.tensor([0.0, 1.0]), torch.tensor(2.0))
    wide = normal.expand((3, 2))
    assert wide.batch_shape == (3, 2)
    assert wide.rsample().shape == (3, 2)
    torch.testing.assert_close(wide.log_prob(torch.ones(2))[1], normal.log_prob(torch.ones(2)))
    usual = dist.Normal(torch.tensor([0.0, 1.0]), 2.0)
    other = dist.Normal(0.5, 1.0)
    expected = torch.distributions.kl_divergence(usual, other)
    torch.testing.assert_close(torch.distributions.kl_divergence(normal, other), expected)


def test_one_width_for_all_checks_its_values():
    normal = HomoscedasticNormal(torch.zeros(2), torch.tensor(1.0), validate_args=True)
    for distribution in (normal, normal.expand((3, 2))):
        with pytest.raises(ValueError, match="support"):
            distribution.log_prob(torch.tensor([0.0, math.nan]))
    with pytest.raises(ValueError, match="scale"):
        HomoscedasticNormal(torch.zeros(2), torch.tensor(-1.0), validate_args=True)


# map_tensors


def mixture(means):
    components = dist.Normal(means, 0.5).to_event(means.dim() - 1)
    return dist.MixtureSameFamily(dist.Categorical(torch.tensor([0.3, 0.7])), components)


PRIORS = {
    "normal": lambda: dist.Normal(torch.tensor(0.5), 0.3),
    "independent": lambda: dist.Laplace(torch.zeros(2), 0.3).to_event(1),
    "mixture": lambda: mixture(torch.tensor([[-1.0, 0.0], [1.0, 0.5]])),
    "lognormal": lambda: dist.LogNormal(torch.tensor(0.0), 0.1),
    "transformed": lambda: dist.TransformedDistribution(
        dist.Normal(torch.tensor(0.0), 1.0),
        [
            dist.transforms.AffineTransform(torch.tensor(1.0), torch.tensor(2.0)),
            dist.transforms.ExpTransform(),
        ],
    ),
    "multivariate": lambda: dist.MultivariateNormal(torch.zeros(2), torch.eye(2) * 0.2),
    "uniform": lambda: dist.Uniform(torch.tensor(-1.0), 2.0),
    "von mises": lambda: dist.VonMises(torch.tensor(0.1), 2.0),
    "projected": lambda: ProjectedNormalAngle(torch.tensor([1.0, 2.0])),
}
EVERY_PRIOR = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)


def value_of(prior):
    return torch.full(prior.event_shape, 0.7)


@EVERY_PRIOR
def test_moved_prior_is_the_same_in_its_new_type(make):
    prior = make()
    before = prior.log_prob(value_of(prior))
    moved = map_tensors(make(), torch.Tensor.double)
    after = moved.log_prob(value_of(prior).double())
    assert type(moved) is type(prior)
    assert after.dtype == torch.double
    torch.testing.assert_close(after.float(), before)
    assert moved.sample().dtype == torch.double
    assert moved.batch_shape == prior.batch_shape
    assert moved.event_shape == prior.event_shape


@EVERY_PRIOR
def test_moved_prior_goes_to_a_device(make):
    def devices(value, found):
        map_tensors(value, lambda tensor: found.add(tensor.device.type) or tensor)
        return found

    prior = make()
    assert devices(map_tensors(prior, lambda tensor: tensor.to("meta")), set()) == {"meta"}
    assert devices(prior, set()) == {"cpu"}


@EVERY_PRIOR
def test_moving_leaves_the_original_as_it_was(make):
    prior, same = make(), make()
    map_tensors(prior, lambda tensor: tensor.double() * 3)
    value = value_of(prior)
    assert prior.log_prob(value).dtype == torch.float
    torch.testing.assert_close(prior.log_prob(value), same.log_prob(value))


@pytest.mark.parametrize(
    "name", [name for name in PRIORS if name not in ("lognormal", "transformed")]
)
def test_a_prior_moves_after_it_was_used(name):
    prior = PRIORS[name]()
    prior.log_prob(value_of(prior))
    if isinstance(prior, dist.MultivariateNormal):
        assert prior.precision_matrix.dtype == torch.float  # cached by torch
    moved = map_tensors(prior, torch.Tensor.double)
    assert moved.log_prob(value_of(prior).double()).dtype == torch.double
    assert moved.sample().dtype == torch.double


@pytest.mark.parametrize("name", ["lognormal", "transformed"])
def test_a_transformed_prior_moves_after_it_was_used(name):
    prior = PRIORS[name]()
    before = prior.log_prob(value_of(prior))
    moved = map_tensors(prior, torch.Tensor.double)
    after = moved.log_prob(value_of(prior).double())
    assert after.dtype == torch.double
    torch.testing.assert_close(after.float(), before)
    # The copy's own inverse, not the original's.
    assert moved.transforms[0].inv.inv is moved.transforms[0]


def test_a_scale_site_moves_after_its_prior_was_used():
    site = Scale()
    site.prior.log_prob(torch.tensor(1.1))
    assert site.double().prior.sample().dtype == torch.double


def test_what_is_no_tensor_stays():
    assert map_tensors("name", torch.Tensor.double) == "name"
    assert map_tensors(None, torch.Tensor.double) is None
    nested = map_tensors([1, (torch.zeros(2), "a")], torch.Tensor.double)
    assert nested[0] == 1
    assert nested[1][0].dtype == torch.double


# with_event_shape


@pytest.mark.parametrize(
    ("prior", "event_shape"),
    [
        (dist.Normal(0.0, 1.0), ()),
        (dist.Normal(0.0, 1.0), (3,)),
        (dist.Normal(torch.zeros(1), 1.0), (3,)),
        (dist.Normal(torch.zeros(3), 1.0), (3,)),
        (dist.Normal(torch.zeros(3), 1.0).to_event(1), (3,)),
        (dist.MultivariateNormal(torch.zeros(3), torch.eye(3)), (3,)),
        (dist.LogNormal(0.0, 0.1), (3,)),
        (mixture(torch.ones(2)), (3,)),
    ],
)
def test_accepted_priors_become_one_event(prior, event_shape):
    found = with_event_shape(prior, event_shape, "site")
    assert found.event_shape == event_shape
    assert found.batch_shape == ()
    assert found.sample().shape == event_shape
    assert found.log_prob(found.sample()).shape == ()


def test_each_element_keeps_its_own_prior():
    found = with_event_shape(dist.Normal(torch.tensor([0.0, 5.0]), 1.0), (2,), "site")
    value = torch.tensor([1.0, 2.0])
    expected = dist.Normal(torch.tensor([0.0, 5.0]), 1.0).log_prob(value).sum()
    torch.testing.assert_close(found.log_prob(value), expected)


@pytest.mark.parametrize(
    "prior",
    [
        dist.Normal(torch.zeros(3), 1.0),
        dist.Normal(torch.zeros(3), 1.0).to_event(1),
        dist.MultivariateNormal(torch.zeros(3), torch.eye(3)),
        dist.Normal(torch.zeros(2, 2), 1.0).to_event(1),
        dist.Normal(torch.zeros(1, 2), 1.0).to_event(1),
        dist.Normal(torch.zeros(2, 2), 1.0).to_event(2),
        torch.distributions.Normal(0.0, 1.0),
        "normal",
        0.3,
    ],
)
def test_priors_that_do_not_fit_are_refused_by_name(prior):
    with pytest.raises(SpecificationError, match="'offset'"):
        with_event_shape(prior, (2,), "offset")


def test_support_is_kept():
    found = with_event_shape(dist.LogNormal(0.0, 1.0), (2,), "site")
    assert found.support.base_constraint is constraints.positive


def test_divergence_in_closed_form_needs_no_sample():
    posterior, prior = dist.Normal(1.0, 0.5), dist.Normal(0.0, 1.0)
    for value in (-3.0, 2.0):
        found = divergence(posterior, prior, torch.tensor(value))
        assert float(found) == pytest.approx(0.625 + math.log(2) - 0.5)


def test_divergence_without_a_closed_form_is_that_of_the_sample():
    posterior, prior, value = dist.Normal(1.0, 0.5), dist.StudentT(3.0), torch.tensor([0.3, 2.0])
    found = divergence(posterior, prior, value)
    torch.testing.assert_close(found, posterior.log_prob(value) - prior.log_prob(value))


@pytest.mark.parametrize("unit", [1e-19, 1e-12, 1.0, 1e15])
def test_density_and_its_slopes_in_any_unit(unit):
    loc, width = torch.tensor([0.3, -1.0]) * unit, torch.tensor(0.01 * unit)
    loc.requires_grad_()
    width.requires_grad_()
    value = loc.detach() + torch.tensor([0.02, -0.01]) * unit
    density = HomoscedasticNormal(loc, width).log_prob(value)
    density.sum().backward()
    expected = -torch.tensor([2.0, 0.5]) - math.log(unit) - math.log(0.01 * (2 * math.pi) ** 0.5)
    torch.testing.assert_close(density, expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(loc.grad * unit, torch.tensor([200.0, -100.0]), rtol=1e-3, atol=0)
    torch.testing.assert_close(width.grad * unit, torch.tensor(300.0), rtol=1e-3, atol=0)

"""The likelihood of phases: density against scipy's, information, ranges."""

import math

import numpy as np
import pytest
import torch
from learning import learn
from scipy import special, stats

from pyroshift import VonMises
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.phases import VonMisesPhase
from pyroshift.testing.subject import prepare


def vector(degrees, length=1.0):
    radians = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float))
    return length * torch.stack([radians.cos(), radians.sin()], -1)


def bounded(length):
    """Concentration for a vector of some length."""
    return length / math.hypot(1, length / 2500)


@pytest.mark.parametrize("length", [0.01, 1.0, 30.0, 1000.0])
def test_it_is_scipys_von_mises_whatever_the_turns(length):
    x, mean = torch.tensor([-170.0, 10.0, 30.0, 200.0, 390.0]), torch.tensor([20.0] * 5)
    found = VonMises().distribution(vector(mean, length)).log_prob(x).detach()
    radians = np.deg2rad(x.double().numpy())
    expected = stats.vonmises.logpdf(radians, bounded(length), math.radians(20))
    expected = expected + math.log(2 * math.pi / 360)  # per degree
    torch.testing.assert_close(found, torch.as_tensor(expected).float(), rtol=1e-5, atol=1e-4)
    turned = VonMises(2 * math.pi).distribution(vector(mean, length))
    found = turned.log_prob(torch.as_tensor(radians).float()).detach() - math.log(360 / 2 / math.pi)
    torch.testing.assert_close(found, torch.as_tensor(expected).float(), rtol=1e-5, atol=1e-4)


def test_an_untrained_decoder_knows_no_phase_and_can_learn_one():
    likelihood, output = VonMises(), torch.zeros(3, 2, requires_grad=True)
    log_prob = likelihood.distribution(output).log_prob(torch.tensor([0.0, 90.0, 180.0]))
    torch.testing.assert_close(log_prob.exp().detach(), torch.full((3,), 1 / 360))
    log_prob.sum().backward()
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    torch.testing.assert_close(output.grad, expected)


@pytest.mark.parametrize("length", [0.0, 1e-4, 0.1, 3.0, 19.9, 20.1, 500.0, 1e4])
def test_information_is_summed_over_the_circle(length):
    likelihood = VonMises()
    output = vector(35.0, length)
    found = likelihood.information(output).detach()
    angle = torch.linspace(-180, 180, 200_001)[:-1].double()
    likelihood = likelihood.double()
    repeated = output.double().expand(len(angle), 2)
    density = likelihood.distribution(repeated).log_prob(angle).exp().detach()
    probability = density * 360 / len(angle)
    assert float(probability.sum()) == pytest.approx(1.0, abs=1e-6)
    score = likelihood.score(angle, repeated)
    expected = (probability.unsqueeze(-1) * score.square()).sum(0).detach()
    torch.testing.assert_close(found, expected.float(), rtol=2e-3, atol=1e-12)


def test_the_normalizers_slope_is_the_mean_of_the_statistic():
    likelihood = VonMises()
    output = vector(35.0, 2.0).expand(200_000, 2).clone().requires_grad_()
    parameter, normalizer = likelihood.natural(output)
    (slope,) = torch.autograd.grad(normalizer.sum(), parameter)
    x = likelihood.distribution(output).sample()
    assert float(x.min()) >= -180
    assert float(x.max()) < 180
    # Of 200,000 samples: known to 0.16%; 5 of these.
    torch.testing.assert_close(likelihood.statistic(x).mean(0), slope[0], rtol=0, atol=0.008)
    resultant = special.i1(bounded(2.0)) / special.i0(bounded(2.0))
    torch.testing.assert_close(slope[0], vector(35.0, resultant), rtol=1e-4, atol=1e-4)


def test_no_phase_is_surer_than_what_floats_tell():
    likelihood = VonMises()
    distribution = likelihood.distribution(vector(torch.tensor([0.0, 90.0]), 1e6))
    deviation = distribution.stddev.detach()
    torch.testing.assert_close(
        deviation, torch.full((2,), 0.02 * 360 / 2 / math.pi), rtol=0.01, atol=0
    )
    output = vector(0.0, 1e6).requires_grad_()
    likelihood.distribution(output).log_prob(torch.tensor(1.0)).backward()
    assert bool(torch.isfinite(output.grad).all())


@pytest.mark.parametrize(
    ("period", "low", "high", "expected"),
    [
        (360.0, 0.0, 359.9, [0, 90, 180, 270]),
        (360.0, 12.0, 351.0, [0, 90, 180, 270]),
        (360.0, -179.9, 180.0, [0, 90, -180, -90]),
        (360.0, -20.0, 30.0, [0, 90, -180, -90]),
        (360.0, 500.0, 600.0, [360, 450, 540, 630]),
        (360.0, 420.0, 760.0, [720, 450, 540, 630]),
        (2 * math.pi, -3.1, 3.1, np.deg2rad([0, 90, -180, -90])),
        (1.0, 0.0, 0.99, [0, 0.25, 0.5, 0.75]),
    ],
)
def test_means_are_in_the_range_of_the_data(period, low, high, expected):
    likelihood = VonMises(period)
    likelihood.prepare(low, high, (low + high) / 2, 1.0)
    likelihood.prepare(0.0, 1e3, 0.0, 1.0)  # later data don't change it
    found = likelihood.mean(vector([1e-3, 90.0, 180.0, 270.0])).detach()
    wanted = torch.as_tensor(np.asarray(expected)).float()
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5 * period)
    other = VonMises(period)
    other.load_state_dict(likelihood.state_dict())
    assert torch.equal(other.centre, likelihood.centre)


def test_encoders_see_no_edge():
    likelihood = VonMises()
    likelihood.prepare(-180.0, 180.0, 0.0, 100.0)
    seen = likelihood.standardize(torch.tensor([-180.0, 180.0, 0.0]))
    torch.testing.assert_close(seen, vector([180.0, 180.0, 0.0]), rtol=0, atol=1e-6)
    assert torch.equal(
        likelihood.statistic(torch.ones(2, 3)), likelihood.standardize(torch.ones(2, 3))
    )


def test_the_concentration_is_found():
    # 20,000 phases: the concentration is known to 1%; 5 of these.
    x = np.rad2deg(stats.vonmises.rvs(8.0, 0.5, size=20_000, random_state=0))
    x = torch.as_tensor(x).float()
    likelihood = VonMises()
    prepare(likelihood, x)
    learn(likelihood, vector(math.degrees(0.5)).expand(20_000, 2), x)
    assert float(likelihood.concentration.detach()) == pytest.approx(8.0, rel=0.05)


def test_it_broadcasts():
    phase = VonMisesPhase(vector([10.0, 20.0], 5.0), 360.0, torch.tensor(0.0))
    wider = phase.expand((3, 2))
    assert wider.sample((4,)).shape == (4, 3, 2)
    torch.testing.assert_close(wider.mean[1], torch.tensor([10.0, 20.0]))


def test_another_unit_is_told():
    degrees = VonMises()
    assert degrees.doubt(torch.tensor([-170.0, 150.0])) is None
    for x in (torch.tensor([-3.1, 3.1]), torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2000.0])):
        assert "period of 360" in degrees.doubt(x)
        assert "VonMises(period=2 * math.pi)" in degrees.doubt(x)
    assert VonMises(2 * math.pi).doubt(torch.tensor([-3.1, 3.1])) is None


def test_phases_must_be_finite():
    with pytest.raises(DataError, match=r"finite.*inf"):
        VonMises().prepare(0.0, math.inf, 0.0, 1.0)
    VonMises().prepare(-1e6, 1e6, 0.0, 1.0)


@pytest.mark.parametrize("period", [0.0, -1.0, math.inf, math.nan])
def test_the_period_must_be_positive(period):
    with pytest.raises(SpecificationError, match=r"period.*360"):
        VonMises(period)

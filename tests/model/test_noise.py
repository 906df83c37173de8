"""Likelihoods of grey levels with outliers, and with noise that differs from pixel to pixel."""

import numpy as np
import pytest
import torch
from learning import learn, standard_errors
from scipy import stats

from pyroshift import HeteroscedasticGaussian, StudentT
from pyroshift.errors import SpecificationError
from pyroshift.model.noise import HomoscedasticStudentT
from pyroshift.testing.subject import prepare


def prepared(likelihood, mean=2000.0, stddev=50.0):
    likelihood.prepare(mean - 5 * stddev, mean + 5 * stddev, mean, stddev)
    return likelihood


# Student's t


def test_student_t_is_scipys_t():
    output, x = torch.randn(3, 4), 2000 + 100 * torch.randn(3, 4)
    likelihood = prepared(StudentT())
    found = likelihood.distribution(output).log_prob(x).detach()
    degrees = float(likelihood.degrees_of_freedom.detach())
    assert degrees == pytest.approx(4, abs=0.02)
    expected = stats.t.logpdf(x, degrees, 2000 + 50 * output, 50 * 1.01)
    torch.testing.assert_close(found, torch.as_tensor(expected).float())
    found = prepared(StudentT(2.5, sigma=7.0)).distribution(output).log_prob(x)
    expected = stats.t.logpdf(x, 2.5, 2000 + 50 * output, 7)
    torch.testing.assert_close(found, torch.as_tensor(expected).float(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("degrees", [1.01, 4.0, 1000.0])
def test_its_density_keeps_its_digits(degrees):
    # Where the degrees are many, two large logarithms of gamma functions all but cancel.
    student = HomoscedasticStudentT(torch.zeros(5), torch.tensor(0.3), torch.tensor(degrees))
    x = torch.tensor([-2.0, -0.3, 0.0, 0.1, 4.0])
    expected = torch.as_tensor(stats.t.logpdf(x.double(), degrees, 0, 0.3)).float()
    torch.testing.assert_close(student.log_prob(x), expected, rtol=1e-5, atol=3e-6)


def test_its_samples_are_scipys():
    student = HomoscedasticStudentT(torch.full((20_000,), 2.0), *torch.tensor([0.3, 3.0]))
    assert stats.kstest(student.sample().numpy(), stats.t(3, 2, 0.3).cdf).pvalue > 1e-4
    wider = student.expand((2, 20_000))
    assert wider.sample((3,)).shape == (3, 2, 20_000)
    torch.testing.assert_close(student.variance[0], torch.tensor(0.09 * 3))
    heavy = HomoscedasticStudentT(torch.zeros(1), torch.tensor(1.0), torch.tensor(1.5))
    assert float(heavy.variance) == float("inf")


def test_its_width_and_tail_are_found():
    # Five standard errors of the best estimates.
    x = torch.as_tensor(stats.t.rvs(3.0, 0, 0.3, 20_000, random_state=0)).float()
    likelihood = StudentT()
    prepare(likelihood, x)
    learn(likelihood, likelihood.standardize(torch.zeros(20_000)), x)
    errors = standard_errors(lambda x, df, width: stats.t.logpdf(x, df, 0, width), (3.0, 0.3), x)
    found = likelihood.degrees_of_freedom.detach(), likelihood.noise.detach()
    assert float(found[0]) == pytest.approx(3.0, abs=5 * errors[0])
    assert float(found[1]) == pytest.approx(0.3, abs=5 * errors[1])


def test_without_outliers_it_becomes_gaussian():
    x = torch.as_tensor(stats.norm.rvs(0, 0.3, 20_000, random_state=0)).float()
    likelihood = StudentT()
    prepare(likelihood, x)
    output = likelihood.standardize(torch.zeros(20_000))
    learn(likelihood, output, x)
    assert float(likelihood.degrees_of_freedom.detach()) > 50
    found = float(likelihood.distribution(output).log_prob(x).mean().detach())
    assert found == pytest.approx(stats.norm.logpdf(x, 0, 0.3).mean(), abs=1e-3)


@pytest.mark.parametrize("tail", [-1e3, -0.5, 0.5, 1e3])
def test_degrees_stay_where_there_is_a_mean(tail):
    likelihood = StudentT()
    with torch.no_grad():
        likelihood.tail.fill_(tail)
    assert 1 <= float(likelihood.degrees_of_freedom.detach()) <= 1000.1
    output = torch.randn(5, requires_grad=True)
    log_prob = likelihood.distribution(output).log_prob(torch.randn(5))
    log_prob.sum().backward()
    assert bool(torch.isfinite(log_prob).all())
    assert all(bool(torch.isfinite(value.grad).all()) for value in (output, likelihood.tail))


def test_an_outlier_pulls_less_the_farther_it_is():
    likelihood = prepared(StudentT())
    x = 2000 + torch.tensor([50.0, 500.0, 5000.0])
    near, far, farther = likelihood.score(x, torch.zeros(3)).tolist()
    assert near > far > farther > 0


def test_what_it_proposes_by_is_a_normal_of_its_variance():
    likelihood = prepared(StudentT(3.0, sigma=10.0))
    output, x = torch.randn(7), 2000 + 50 * torch.randn(7)
    parameter, normalizer = likelihood.natural(output)
    score = likelihood.statistic(x) * parameter - normalizer
    width = 10 * 3**0.5
    expected = stats.norm.logpdf(x, 2000 + 50 * output, width) - stats.norm.logpdf(x, 2000, width)
    torch.testing.assert_close(score, torch.as_tensor(expected).float(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("degrees", [1.0, 0.0, -3.0, 1e4, float("nan")])
def test_degrees_must_leave_a_mean(degrees):
    with pytest.raises(SpecificationError, match=r"degrees.*more than 1.*gaussian"):
        StudentT(degrees)


@pytest.mark.parametrize("make", [StudentT, HeteroscedasticGaussian])
def test_sigma_must_be_positive(make):
    with pytest.raises(SpecificationError, match="sigma"):
        make(sigma=-1.0)


# Noise that differs


def test_the_second_number_is_the_log_width():
    x = 2000 + 100 * torch.randn(6)
    output = torch.stack([torch.randn(6), torch.tensor([-9.0, -1.0, 0.0, 0.0, 1.0, 9.0])], -1)
    likelihood = prepared(HeteroscedasticGaussian(sigma=30.0))
    ratio = (3 * torch.tanh(output[:, 1] / 3)).exp()
    expected = stats.norm.logpdf(x, 2000 + 50 * output[:, 0], 30 * ratio)
    found = likelihood.distribution(output)
    torch.testing.assert_close(found.log_prob(x), torch.as_tensor(expected).float())
    torch.testing.assert_close(likelihood.mean(output), 2000 + 50 * output[:, 0])


def test_no_width_goes_to_zero():
    likelihood = prepared(HeteroscedasticGaussian())
    output = torch.tensor([[0.0, -1e4], [0.0, 0.0], [0.0, 1e4]], requires_grad=True)
    assert float(likelihood.distribution(output).stddev[0].detach()) > 0.05 * 50
    with torch.no_grad():
        likelihood.log_noise.fill_(-1e3)
    distribution = likelihood.distribution(output)
    torch.testing.assert_close(distribution.stddev.detach(), torch.full((3,), 0.01 * 50))
    distribution.log_prob(torch.full((3,), 2000.0)).sum().backward()
    assert bool(torch.isfinite(output.grad).all())


def test_its_information_can_be_differentiated():
    likelihood = prepared(HeteroscedasticGaussian(sigma=30.0)).double()
    output = torch.randn(5, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(likelihood.information, output)
    with torch.no_grad():
        assert not likelihood.information(output).requires_grad


def test_where_all_are_as_wide_its_proposals_are_exact():
    likelihood = prepared(HeteroscedasticGaussian(sigma=30.0))
    output, x = torch.stack([torch.randn(7), torch.full((7,), 0.4)], -1), 2000 + 50 * torch.randn(7)
    parameter, normalizer = likelihood.natural(output)
    score = likelihood.statistic(x) * parameter - normalizer
    at, centred = (likelihood.distribution(o).log_prob(x) for o in (output, 0 * output + output[0]))
    start = likelihood.natural(0 * output + output[0])
    expected = at - centred + likelihood.statistic(x) * start[0] - start[1]
    torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-3)


def test_both_widths_of_two_kinds_of_pixels_are_found():
    # 10,000 pixels each: a width is known to 1 / sqrt(20,000) = 0.7%; 5 of these.
    widths = torch.tensor([0.1, 0.8])
    generator = torch.Generator().manual_seed(0)
    x = 3 + widths * torch.randn(10_000, 2, generator=generator)
    likelihood = HeteroscedasticGaussian()
    prepare(likelihood, x)
    change = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([*likelihood.parameters(), change], lr=0.02)
    for _ in range(600):
        location = likelihood.standardize(torch.full_like(x, 3.0))
        distribution = likelihood.distribution(torch.stack([location, change.expand_as(x)], -1))
        optimizer.zero_grad()
        (-distribution.log_prob(x).mean()).backward()
        optimizer.step()
    torch.testing.assert_close(distribution.stddev[0].detach(), widths, rtol=0.035, atol=0)


# The data's unit


@pytest.mark.parametrize("unit", [1e-10, 1e6])
@pytest.mark.parametrize("make", [StudentT, HeteroscedasticGaussian])
def test_they_do_not_care_for_the_unit(make, unit):
    x, output = 3 + torch.randn(2, 3, 4), torch.randn(2, 3, 4, 2)
    output = output if make().maps else output[..., 0]
    here, there = make(), make()
    prepare(here, x)
    prepare(there, x * unit)
    found, expected = there.distribution(output), here.distribution(output)
    torch.testing.assert_close(found.mean / unit, expected.mean)
    # The density is per unit of the data.
    found, expected = found.log_prob(x * unit) + np.log(unit), expected.log_prob(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


# Proposals


def spots(centres):
    """Images of a spot that is 2 pixels wide, `centre x pixel`."""
    grid = torch.arange(16.0) - 7.5
    y, x = centres.unsqueeze(-1).unbind(1)
    return torch.einsum(
        "ni,nj->nij", *(torch.exp(-((grid - at) ** 2) / 8) for at in (y, x))
    ).flatten(1)


@pytest.mark.parametrize("degrees", [2.2, 4.0, 30.0])
def test_heavy_tails_are_not_taken_for_evidence(degrees):
    # How far the proposed posterior of a spot's place is from the true one, in nats.
    likelihood = StudentT(degrees, sigma=0.25)  # the data's spread is 1
    centres = torch.cartesian_prod(*[torch.arange(-4.0, 5.0, 2)] * 2)
    motifs = spots(centres)
    x = likelihood.distribution(motifs[torch.randint(25, (500,))]).sample()
    exact = torch.stack([likelihood.distribution(m).log_prob(x).sum(1) for m in motifs], 1)

    def divergence(parameter, normalizer):
        proposed = (x @ parameter.mT - normalizer.sum(1)).log_softmax(1)
        log = exact.log_softmax(1)
        return float((log.exp() * (log - proposed)).sum(1).mean())

    found = divergence(*likelihood.natural(motifs))
    precision = likelihood.information(motifs)
    by_information = divergence(motifs * precision, motifs.square() * precision / 2)
    assert found < 2.0
    assert found < by_information

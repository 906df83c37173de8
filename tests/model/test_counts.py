"""Likelihoods of counts that scatter more than Poisson's, and of counts some of which are lost."""

import numpy as np
import pytest
import torch
from learning import learn, standard_errors
from scipy import stats

from pyroshift import NegativeBinomial, Poisson, ZeroInflatedPoisson
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.counts import GammaPoisson
from pyroshift.testing.subject import prepare

MAKERS = [
    Poisson, NegativeBinomial, ZeroInflatedPoisson, lambda: ZeroInflatedPoisson(per_pixel=True)
]  # fmt: skip


def prepared(likelihood, mean=7.0):
    likelihood.prepare(0.0, 100.0, mean, 5.0)
    return likelihood


def zero_inflated(x, mean, lost):
    """Log probability of counts whose mean is what is left of the rate."""
    x, mean, lost = np.asarray(x), np.asarray(mean), np.asarray(lost)
    seen = (1 - lost) * stats.poisson.pmf(x, mean / (1 - lost))
    return np.log(seen + lost * (x == 0))


# Densities


def test_negative_binomial_is_scipys():
    x, output = torch.arange(40.0), torch.randn(40)
    mean = 7 * output.exp()
    for likelihood, size in ((NegativeBinomial(0.5), 2.0), (NegativeBinomial(), 7 / 1.01)):
        found = prepared(likelihood).distribution(output).log_prob(x).detach()
        expected = stats.nbinom.logpmf(x, size, size / (size + mean))
        torch.testing.assert_close(found, torch.as_tensor(expected).float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [1e-2, 1.0, 1e3, 1e5])
def test_its_density_keeps_its_digits(size):
    # Where it is nearly Poisson, two large logarithms of gamma functions all but cancel.
    mean, x = 1000.0, torch.tensor([0.0, 900.0, 1000.0, 1100.0])
    counts = GammaPoisson(torch.full((4,), mean).log(), torch.tensor(size))
    expected = stats.nbinom.logpmf(x.double(), size, size / (size + mean))
    torch.testing.assert_close(
        counts.log_prob(x), torch.as_tensor(expected).float(), rtol=1e-5, atol=2e-3
    )


def test_its_samples_have_its_variance():
    # Of 100,000 counts: known to about 1%; 5 of these.
    likelihood = NegativeBinomial(0.5)
    counts = likelihood.distribution(torch.full((100_000,), 1.0))
    x = counts.sample()
    torch.testing.assert_close(x.var(), counts.variance[0], rtol=0.05, atol=0)
    assert counts.expand((2, 100_000)).sample((3,)).shape == (3, 2, 100_000)


def test_zero_inflated_poisson_is_a_mixture():
    x, output = torch.arange(40.0), torch.randn(40)
    for likelihood, lost in ((ZeroInflatedPoisson(0.3), 0.3), (ZeroInflatedPoisson(), 0.1)):
        found = prepared(likelihood).distribution(output).log_prob(x).detach()
        expected = zero_inflated(x, 7 * output.exp(), lost)
        torch.testing.assert_close(found, torch.as_tensor(expected).float(), rtol=1e-4, atol=1e-5)


def test_the_second_number_is_of_the_odds():
    likelihood = prepared(ZeroInflatedPoisson(0.2, per_pixel=True))
    output = torch.tensor([[0.3, 0.0], [0.3, 1.0], [0.3, -1.0]])
    lost = torch.sigmoid(torch.tensor([0.2]).logit() + output[:, 1])
    rate = 7 * output[:, 0].exp() / 0.8  # whatever is lost of it
    expected = zero_inflated(torch.zeros(3), rate * (1 - lost), lost)
    found = likelihood.distribution(output).log_prob(torch.zeros(3))
    torch.testing.assert_close(found, torch.as_tensor(expected).float())
    torch.testing.assert_close(likelihood.mean(output), rate * (1 - lost))


@pytest.mark.parametrize("make", MAKERS)
def test_an_untrained_decoder_predicts_the_mean(make):
    likelihood = prepared(make())
    output = torch.zeros(3, 2) if likelihood.maps else torch.zeros(3)
    torch.testing.assert_close(likelihood.mean(output).detach(), torch.full((3,), 7.0))


@pytest.mark.parametrize("make", MAKERS)
def test_wild_outputs_and_parameters_are_survived(make):
    likelihood = prepared(make())
    output = torch.tensor([-1e4, 0.0, 1e4])
    output = torch.stack([output] * 2, -1) if likelihood.maps else output
    for value in (-3.0, 3.0):  # at a pace of 10: thirteen orders of magnitude either way
        with torch.no_grad():
            for parameter in likelihood.parameters():
                parameter.fill_(value)
        log_prob = likelihood.distribution(output).log_prob(torch.tensor([0.0, 3.0, 9.0]))
        assert not bool(log_prob.isnan().any())
        assert not any(bool(part.isnan().any()) for part in likelihood.natural(output))


# What is learned


def test_the_dispersion_is_found():
    size = 2.0  # the variance is mean + mean² / 2
    x = torch.as_tensor(stats.nbinom.rvs(size, size / (size + 7), size=20_000, random_state=0))
    x = x.float()
    likelihood = NegativeBinomial()
    prepare(likelihood, x)
    learn(likelihood, (7 / x.mean()).log().expand(20_000), x)
    (error,) = standard_errors(lambda x, n: stats.nbinom.logpmf(x, n, n / (n + 7)), (size,), x)
    found = likelihood.concentration.detach()
    assert float(found) == pytest.approx(size, abs=5 * error)


def test_poisson_counts_have_hardly_a_dispersion():
    x = torch.as_tensor(stats.poisson.rvs(7, size=20_000, random_state=0)).float()
    likelihood = NegativeBinomial()
    prepare(likelihood, x)
    output = torch.zeros(20_000)
    learn(likelihood, output, x)
    found = likelihood.distribution(output).log_prob(x).mean()
    assert float(found.detach()) == pytest.approx(stats.poisson.logpmf(x, 7).mean(), abs=1e-3)


@pytest.mark.parametrize("lost", [0.02, 0.4])
def test_the_inflation_is_found(lost):
    rng = np.random.default_rng(0)
    x = torch.as_tensor(rng.poisson(2.0, 20_000) * (rng.random(20_000) > lost)).float()
    likelihood = ZeroInflatedPoisson()
    prepare(likelihood, x)
    mean = 2 * (1 - lost)
    learn(likelihood, (mean / x.mean()).log().expand(20_000), x)
    (error,) = standard_errors(lambda x, share: zero_inflated(x, mean, share), (lost,), x)
    assert float(torch.sigmoid(likelihood.odds.detach())) == pytest.approx(lost, abs=5 * error)


# What searches and refines poses


@pytest.mark.parametrize("level", [-2.0, 0.0, 1.5])
@pytest.mark.parametrize("make", [lambda: NegativeBinomial(0.5), lambda: ZeroInflatedPoisson(0.3)])
def test_information_is_summed_over_all_counts(make, level):
    likelihood = prepared(make()).double()
    x = torch.arange(1000.0).double()
    output = torch.full_like(x, level)
    probability = likelihood.distribution(output).log_prob(x).exp()
    assert float(probability.sum()) == pytest.approx(1.0, abs=1e-9)
    expected = (probability * likelihood.score(x, output).square()).sum()
    torch.testing.assert_close(likelihood.information(output)[0], expected)


def test_lost_counts_are_proposed_by_their_mean_and_variance():
    # The slope of what proposes is (x - mean) / variance x the mean's slope: a quasi-likelihood.
    likelihood = prepared(ZeroInflatedPoisson(0.3)).double()
    output = torch.linspace(-2, 2, 9).double().requires_grad_()
    x = torch.arange(9.0).double()
    parameter, normalizer = likelihood.natural(output)
    (found,) = torch.autograd.grad((x * parameter - normalizer).sum(), output)
    counts = likelihood.distribution(output)
    expected = (x - counts.mean) / counts.variance * counts.mean
    torch.testing.assert_close(found, expected.detach())


# Messages


@pytest.mark.parametrize("make", MAKERS)
def test_data_that_are_no_counts_are_told(make):
    likelihood = make()
    name = type(likelihood).__name__
    assert likelihood.doubt(torch.tensor([0.0, 3.0])) is None
    assert f"{name} likelihood is for counts" in likelihood.doubt(torch.tensor([0.5, 3.0]))
    assert "stretched" in likelihood.doubt(torch.tensor([0.5, 1.0]))
    with pytest.raises(DataError, match=rf"{name}.*counts.*-3.*'gaussian'"):
        likelihood.prepare(-3.0, 10.0, 2.0, 1.0)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_dispersion_must_be_positive(value):
    with pytest.raises(SpecificationError, match=r"dispersion.*positive.*poisson"):
        NegativeBinomial(value)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, float("nan")])
def test_inflation_must_be_a_probability(value):
    with pytest.raises(SpecificationError, match=r"inflation.*between 0 and 1.*poisson"):
        ZeroInflatedPoisson(value)


def test_a_channel_without_any_pixel_is_filled_by_a_count():
    """Of a batch that has nothing else to go by."""
    likelihood = Poisson()
    likelihood.prepare(minimum=0.0, maximum=9.0, mean=3.7, stddev=2.0)
    gaps = torch.full((2, 4), torch.nan)
    assert likelihood.filled(gaps).unique().tolist() == [3.0]
    assert likelihood.log_prob(gaps, torch.zeros(2, 4)).unique().tolist() == [0.0]

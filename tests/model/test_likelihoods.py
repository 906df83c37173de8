"""Likelihoods: densities against scipy's, range checks, units."""

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from learning import learn
from pyro import poutine
from scipy import stats
from torch import nn
from torch.distributions import constraints

from pyroshift import FullyConnectedEncoder, Patches, encode, fit, synthetic
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.counts import Counts
from pyroshift.model.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    ContinuousBernoulli,
    Gaussian,
    HeteroscedasticGaussian,
    Likelihood,
    NegativeBinomial,
    Poisson,
    StudentT,
    VonMises,
    ZeroInflatedPoisson,
)
from pyroshift.model.vae import VAE, ShiftVAE
from pyroshift.testing.subject import prepare

MAKERS = {
    **LIKELIHOODS,
    "fixed sigma": lambda: Gaussian(0.2),
    "fixed degrees": lambda: StudentT(3.0, 0.2),
    "uneven about a fixed sigma": lambda: HeteroscedasticGaussian(0.2),
    "fixed dispersion": lambda: NegativeBinomial(0.5),
    "fixed inflation": lambda: ZeroInflatedPoisson(0.3),
    "inflation per pixel": lambda: ZeroInflatedPoisson(per_pixel=True),
    "radians": lambda: VonMises(2 * math.pi),
}


def such(condition):
    """Those of all likelihoods of which something holds."""
    names = [name for name, make in MAKERS.items() if condition(make())]
    return pytest.mark.parametrize("make", [MAKERS[name] for name in names], ids=names)


EVERY_LIKELIHOOD = such(lambda likelihood: True)
OF_NUMBERS = such(lambda likelihood: likelihood.statistics is None)  # not of phases
# Whose natural parameters tell all of the density, and not only propose by it.
EXPONENTIAL = such(
    lambda likelihood: (
        not isinstance(likelihood, StudentT | HeteroscedasticGaussian | ZeroInflatedPoisson)
    )
)
# Whose natural parameters are affine in the output, one for one.
CANONICAL = such(
    lambda likelihood: isinstance(likelihood, Bernoulli | ContinuousBernoulli | Gaussian | Poisson)
)


def prepared(likelihood, x):
    prepare(likelihood, x)
    return likelihood


def outputs(likelihood, output):
    """An output per pixel, for every map in another order."""
    if likelihood.maps is None:
        return output
    return torch.stack([output.roll(shift, -1) for shift in range(likelihood.maps)], -1)


def grey_levels(shape=(2, 3, 4)):
    return torch.rand(shape)


def log_prob(likelihood, output, x):
    with poutine.trace() as tracer:
        likelihood(output, x)
    node = tracer.trace.nodes["x"]
    assert node["is_observed"]
    return node["fn"].log_prob(x)


def summed(terms):
    return torch.from_numpy(np.asarray(terms)).float().sum((1, 2))


# Densities


def test_bernoulli_is_the_cross_entropy():
    x, output = grey_levels(), torch.randn(2, 3, 4)
    p = torch.sigmoid(output)
    expected = summed(x * p.log() + (1 - x) * (1 - p).log())
    torch.testing.assert_close(log_prob(Bernoulli(), output, x), expected)
    black_and_white = (x > 0.5).float()
    expected = summed(stats.bernoulli.logpmf(black_and_white, p))
    torch.testing.assert_close(log_prob(Bernoulli(), output, black_and_white), expected)


def test_continuous_bernoulli_is_a_truncated_exponential():
    x = grey_levels()
    rate = torch.rand(2, 3, 4) * 3 + 0.5
    falling = summed(stats.truncexpon.logpdf(x, b=rate, scale=1 / rate))
    torch.testing.assert_close(log_prob(ContinuousBernoulli(), -rate, x), falling)
    rising = summed(stats.truncexpon.logpdf(1 - x, b=rate, scale=1 / rate))
    torch.testing.assert_close(log_prob(ContinuousBernoulli(), rate, x), rising)


@pytest.mark.parametrize("sigma", [None, 0.3])
def test_gaussian_is_scipys_normal(sigma):
    x, output = 5 + 2 * torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    likelihood = prepared(Gaussian(sigma), x)
    mean = x.mean() + x.std() * output
    width = x.std() * 1.01 if sigma is None else sigma
    expected = summed(stats.norm.logpdf(x, mean, width))
    torch.testing.assert_close(log_prob(likelihood, output, x), expected)


def test_poisson_is_scipys_poisson():
    x, output = torch.poisson(torch.full((2, 3, 4), 7.0)), torch.randn(2, 3, 4)
    likelihood = prepared(Poisson(), x)
    expected = summed(stats.poisson.logpmf(x, output.exp() * x.mean()))
    torch.testing.assert_close(log_prob(likelihood, output, x), expected)


def test_poisson_survives_a_wild_output():
    output = torch.tensor([[1e4, -1e4]])
    assert bool(torch.isfinite(Poisson().mean(output)).all())


# Location and spread


@pytest.mark.parametrize("make", [Bernoulli, Gaussian, Poisson])
@pytest.mark.parametrize("level", [0.2, 0.5, 0.9])
def test_untrained_model_predicts_the_datas_mean(make, level):
    noise = grey_levels((50, 3, 4))
    x = level + 0.1 * (noise - noise.mean())
    likelihood = prepared(make(), x)
    found = likelihood.mean(torch.zeros(2, 3, 4))
    torch.testing.assert_close(found, x.mean().expand(2, 3, 4), rtol=1e-4, atol=0)


@EVERY_LIKELIHOOD
def test_prepare_measures_the_first_data_only(make):
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.3, 0.2)
    likelihood.prepare(0.0, 1.0, 0.8, 0.1)
    assert float(likelihood.location) == pytest.approx(0.3)
    assert float(likelihood.spread) == pytest.approx(0.2)


@OF_NUMBERS
def test_standardized_data_have_location_0_and_spread_1(make):
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.3, 0.2)
    x = torch.tensor([0.1, 0.5])
    torch.testing.assert_close(likelihood.standardize(x), torch.tensor([-1.0, 1.0]))


@EVERY_LIKELIHOOD
def test_what_was_measured_is_saved_with_the_weights(make):
    first, second = make(), make()
    first.prepare(0.0, 1.0, 0.3, 0.2)
    second.load_state_dict(first.state_dict())
    second.prepare(0.0, 1.0, 0.8, 0.1)
    assert float(second.location) == pytest.approx(0.3)


@EVERY_LIKELIHOOD
@pytest.mark.parametrize("level", [0.0, 1.0, 0.5])
def test_constant_data_have_finite_densities(make, level):
    x = torch.full((2, 3, 4), level)
    likelihood = make()
    likelihood.prepare(level, level, level, 0.0)
    output = outputs(likelihood, torch.zeros(2, 3, 4))
    assert bool(torch.isfinite(log_prob(likelihood, output, x)).all())
    assert bool(torch.isfinite(likelihood.standardize(x)).all())


@pytest.mark.parametrize("unit", [1e-10, 1e6])
def test_gaussian_with_learned_sigma_does_not_care_for_the_unit(unit):
    x, output = 3 + torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    here = prepared(Gaussian(), x)
    there = prepared(Gaussian(), x * unit)
    torch.testing.assert_close(there.mean(output) / unit, here.mean(output))
    torch.testing.assert_close(there.standardize(x * unit), here.standardize(x))
    # The density is per unit of the data: 12 pixels, each log(unit) apart.
    expected = log_prob(here, output, x) - 12 * np.log(unit)
    torch.testing.assert_close(log_prob(there, output, x * unit), expected, rtol=1e-4, atol=1e-3)


def test_the_noise_is_in_the_datas_units():
    x = 100 * torch.randn(500, 3, 4)
    fixed, learned = prepared(Gaussian(25.0), x), prepared(Gaussian(), x)
    assert float(fixed.noise) == 25
    assert list(fixed.parameters()) == []
    assert float(learned.noise.detach()) == pytest.approx(1.01 * float(x.std()), rel=1e-4)
    with torch.no_grad():
        learned.log_noise.fill_(-1e3)
    assert float(learned.noise.detach()) == pytest.approx(0.01 * float(x.std()), rel=1e-4)


def test_a_learned_sigma_finds_the_noise():
    # 6,000 pixels: the noise level is known to 1 / sqrt(12,000) = 0.9%; 5 of these.
    x = 4 + 0.3 * torch.randn(500, 3, 4)
    likelihood = prepared(Gaussian(), torch.cat((x, x + 5, x - 5)))
    output = likelihood.standardize(torch.full((500, 3, 4), 4.0))
    learn(likelihood, output, x)
    assert float(likelihood.noise.detach()) == pytest.approx(0.3, rel=0.045)


# Range checks


@pytest.mark.parametrize("name", ["bernoulli", "continuous_bernoulli"])
@pytest.mark.parametrize(("minimum", "maximum"), [(0, 255), (-0.1, 1), (0, 1.001), (-1e3, 1e3)])
def test_data_outside_the_unit_interval_are_refused(name, minimum, maximum):
    likelihood = LIKELIHOODS[name]()
    with pytest.raises(DataError, match=r"in \[0, 1\].*normalize='patch'.*'gaussian'"):
        likelihood.prepare(minimum, maximum, 0.5, 0.1)
    assert not likelihood.prepared
    likelihood.prepare(0.0, 1.0, 0.5, 0.1)


def test_negative_counts_are_refused():
    with pytest.raises(DataError, match=r"counts.*-3.*'gaussian'"):
        Poisson().prepare(-3.0, 10.0, 2.0, 1.0)
    Poisson().prepare(0.0, 1e6, 2.0, 1.0)


@EVERY_LIKELIHOOD
def test_later_data_are_checked_too(make):
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.5, 0.1)
    if likelihood.distribution(outputs(likelihood, torch.zeros(1))).support is constraints.real:
        likelihood.prepare(-1e9, 1e9, 0.0, 1.0)
    else:
        with pytest.raises(DataError):
            likelihood.prepare(-1.0, 1.0, 0.5, 0.1)


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan")])
def test_sigma_must_be_positive(sigma):
    with pytest.raises(SpecificationError, match="sigma"):
        Gaussian(sigma)


def test_unknown_likelihood_names_the_known_ones():
    with pytest.raises(SpecificationError, match=r"likelihood 'normal'.*'bernoulli'.*'poisson'"):
        VAE((8, 8), likelihood="normal")
    with pytest.raises(SpecificationError, match="torch module"):
        VAE((8, 8), likelihood=3)


# The sample site


@EVERY_LIKELIHOOD
@pytest.mark.parametrize("window", [(5,), (3, 4)], ids=str)
def test_without_data_they_are_sampled(make, window):
    likelihood = make()
    with pyro.plate("patches", 6), poutine.trace() as tracer:
        x = likelihood(outputs(likelihood, torch.zeros(6, *window)))
    assert x.shape == (6, *window)
    node = tracer.trace.nodes["x"]
    assert not node["is_observed"]
    assert node["fn"].event_shape == window
    assert node["fn"].batch_shape == (6,)


@OF_NUMBERS
def test_samples_have_the_mean(make):
    # 24,000 pixels of standard deviation s: the mean is known to s / 155; 5 of these.
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.3, 0.2)
    output = outputs(likelihood, torch.full((2000, 3, 4), 0.4))
    distribution = likelihood.distribution(output)
    found = likelihood(output).detach().mean()
    error = float(distribution.stddev.detach().flatten()[0]) / 24_000**0.5
    expected = likelihood.mean(output).detach().mean()
    assert float(found) == pytest.approx(float(expected), abs=5 * error)


# What searches and refines poses


class Laplace(Likelihood):
    """A likelihood of the user's own, without natural parameters."""

    def distribution(self, output):
        return dist.Laplace(output, 0.5)


def outputs_and_data(likelihood):
    """Outputs from black to white through zero, and possible data beside them."""
    output = outputs(likelihood, torch.linspace(-4, 4, 33).double())
    if isinstance(likelihood, Counts):
        return output, torch.arange(33).double()
    return output, torch.linspace(0, 1, 33).double()


@EXPONENTIAL
@pytest.mark.parametrize("location", [0.3, 0.0, 7.0])
def test_natural_parameters_make_the_log_likelihood_up_to_the_data(make, location):
    likelihood = make().double()
    likelihood.location.fill_(location)
    likelihood.spread.fill_(0.2)
    output, x = outputs_and_data(likelihood)
    output, x = output.unsqueeze(0), x.unsqueeze(1)
    parameter, normalizer = likelihood.natural(output)
    assert normalizer.shape == (1, 33)
    product = likelihood.statistic(x) * parameter
    score = (product if likelihood.statistics is None else product.sum(-1)) - normalizer
    of_the_data = likelihood.distribution(output).log_prob(x) - score
    torch.testing.assert_close(of_the_data, of_the_data[:, :1].expand_as(of_the_data))


@OF_NUMBERS
def test_the_statistic_is_affine_in_the_data(make):
    # So that it may be taken of means of pixels.
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.3, 0.2)
    x = torch.tensor([0.1, 0.4, 0.9])
    torch.testing.assert_close(likelihood.statistic(x).mean(), likelihood.statistic(x.mean()))


@EVERY_LIKELIHOOD
def test_information_is_fishers(make):
    # From 400,000 samples of the score: its variance is known to better than 1%; 5 of these.
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.3, 0.2)
    output = outputs(likelihood, torch.tensor([-2.0, -0.5, 0.0, 1e-3, 0.02, 0.5, 2.0]))
    repeated = output.expand(400_000, *output.shape).clone().requires_grad_()
    distribution = likelihood.distribution(repeated)
    with torch.no_grad():
        x = distribution.sample()
    (score,) = torch.autograd.grad(distribution.log_prob(x).sum(), repeated)
    found = likelihood.information(output).detach()
    assert found.shape == output.shape
    torch.testing.assert_close(found, score.square().mean(0), rtol=0.05, atol=1e-4)


@CANONICAL
def test_information_is_the_curvature_of_the_normalizer(make):
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.3, 0.2)
    output = torch.linspace(-3, 3, 61).double().requires_grad_()
    normalizer = likelihood.double().natural(output)[1]
    (slope,) = torch.autograd.grad(normalizer.sum(), output, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), output)
    if isinstance(likelihood, ContinuousBernoulli):  # torch's own has no accurate slope near zero
        far = output.detach().abs() > 0.5
        curvature, output = curvature[far], output[far]
    torch.testing.assert_close(likelihood.information(output), curvature, rtol=1e-3, atol=1e-6)


@EVERY_LIKELIHOOD
def test_information_is_positive_and_smooth(make):
    # Near zero too, where an untrained decoder's output is.
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.3, 0.2)
    output = outputs(likelihood, torch.linspace(-0.5, 0.5, 10_001))
    found = likelihood.information(output).detach()
    assert float(found.min()) > 0
    smooth = found if likelihood.maps is None else found[likelihood.maps - 1 :]
    assert float((smooth.diff(dim=0) / smooth[1:]).abs().max()) < 1e-3
    wild = likelihood.information(outputs(likelihood, torch.tensor([-50.0, 50.0]))).detach()
    assert bool((torch.isfinite(wild) & (wild >= 0)).all())


@EVERY_LIKELIHOOD
def test_natural_parameters_of_wild_outputs_are_finite(make):
    likelihood = make()
    likelihood.prepare(0.0, 1.0, 0.3, 0.2)
    wild = outputs(likelihood, torch.tensor([-200.0, -50.0, 50.0, 200.0]))
    for values in likelihood.natural(wild):
        assert bool(torch.isfinite(values).all())


def test_a_likelihood_without_natural_parameters_says_what_to_do():
    x = torch.rand(2, 12)
    model = ShiftVAE((12,), likelihood=Laplace(), guide="anchor")
    with pytest.raises(SpecificationError, match=r"Laplace.*natural.*guide='normal'"):
        model.guide_module.summary(model, x)
    ShiftVAE((12,), likelihood=Laplace(), guide="normal").guide(x)  # which takes it as it is
    output = torch.randn(5)
    torch.testing.assert_close(Laplace().statistic(x), x)
    torch.testing.assert_close(Laplace().information(output), torch.full((5,), 0.5))


def test_repr_tells_the_noise_level():
    assert "sigma=0.25" in repr(Gaussian(0.25))
    assert "learned" in repr(Gaussian())


# Of the user's own, in whatever unit the data are


class OwnStudentT(Likelihood):
    """Outliers are no surprise to it."""

    def __init__(self, df=4.0):
        super().__init__()
        self.df = df
        self.log_width = nn.Parameter(torch.tensor(-1.0))

    def standardized(self, output):
        return dist.StudentT(self.df, output, self.log_width.exp())


@pytest.mark.parametrize("batch", [(5,), (3, 5)])
def test_a_standardized_distribution_is_carried_to_the_datas_unit(batch):
    likelihood = OwnStudentT()
    likelihood.prepare(minimum=1000.0, maximum=3000.0, mean=2000.0, stddev=50.0)
    output, x = torch.randn(batch), 2000 + 100 * torch.randn(batch)
    width = 50 * np.exp(-1.0)
    expected = stats.t.logpdf(x, 4, loc=2000 + 50 * output, scale=width)
    found = likelihood.distribution(output)
    torch.testing.assert_close(found.log_prob(x).detach(), torch.as_tensor(expected).float())
    torch.testing.assert_close(likelihood.mean(output).detach(), 2000 + 50 * output)
    torch.testing.assert_close(
        found.stddev.detach(), torch.full(batch, width * 2**0.5, dtype=torch.float)
    )
    wider = found.expand((2, *batch))
    assert wider.batch_shape == (2, *batch)
    torch.testing.assert_close(wider.log_prob(x)[1], found.log_prob(x))
    assert likelihood(output).shape == batch


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_the_docstrings_student_t_learns_data_in_the_thousands(guide):
    truth = synthetic.peaks(n=300, length=24, span=8, widths=(1, 2), offset_spread=2, noise=0)
    rng = np.random.default_rng(0)
    noisy = truth["signal"].values + 0.05 * rng.standard_t(4, truth["signal"].shape)
    patches = Patches.from_array((3000 + 500 * noisy).astype(np.float32))
    model = ShiftVAE(
        (24,), latent_dim=1, likelihood=OwnStudentT(), guide=guide,
        encoder=FullyConnectedEncoder((24,), (64,)),
    )  # fmt: skip
    history = fit(model, patches, epochs=30, batch_size=30, learning_rate=8e-3, progress=False)
    found = encode(model, patches)
    offset = found.offset[:, 0].values
    if guide == "normal":
        assert abs(np.corrcoef(offset, truth["offset"])[0, 1]) > 0.98
    # Where the origin of a narrow peak is, against that of a wide one, no data say, and the anchor
    # guide may choose as it likes.
    known = np.stack([truth["offset"], truth["width"], np.ones(300)], 1)
    left_over = offset - known @ np.linalg.lstsq(known, offset, rcond=None)[0]
    assert left_over.std() < 0.2 * offset.std()
    # The width found is the noise's and what the model leaves over; the bound is of this unit too.
    width = float(model.likelihood.spread * model.likelihood.log_width.detach().exp())
    # 25 is the noise's; with the anchor guide 42 to 54, of three seeds.
    assert 20 < width < {"normal": 40, "anchor": 60}[guide]
    noise = stats.t.logpdf(noisy * 0, 4, scale=25)[0].sum()  # the highest that it could be
    assert -float(history.loss[-1]) < noise
    assert -float(history.loss[-1]) > noise - 24 * 3


def test_what_it_proposes_by_is_a_normal_as_wide():
    likelihood = OwnStudentT()
    likelihood.prepare(minimum=1000.0, maximum=3000.0, mean=2000.0, stddev=50.0)
    output, x = torch.randn(7), 2000 + 50 * torch.randn(7)
    parameter, normalizer = likelihood.natural(output)
    score = likelihood.statistic(x) * parameter - normalizer
    width = likelihood.standardized(output).stddev
    at, centred = (
        dist.Normal(mean, width).log_prob(likelihood.standardize(x)) for mean in (output, 0)
    )
    torch.testing.assert_close(score, at - centred)
    # Cauchy's has no variance, so it is the data's.
    torch.testing.assert_close(OwnStudentT(1.0).information(output), torch.ones(7))


def test_a_likelihood_without_a_distribution_says_what_to_give():
    class Empty(Likelihood):
        pass

    class Counts(Likelihood):
        def standardized(self, output):
            return dist.Poisson(output.exp())

    with pytest.raises(SpecificationError, match=r"Empty.*`standardized\(output\)`"):
        Empty().mean(torch.zeros(2))
    with pytest.raises(SpecificationError, match=r"Counts.*Poisson.*`distribution\(output\)`"):
        Counts().mean(torch.zeros(2))

"""The evidence lower bound: closed forms, agreement with Pyro's own, and that it is a bound."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch import nn
from torch.distributions import kl_divergence

from pyroshift import RVAE, VAE, Guide, PatchELBO, ShiftVAE
from pyroshift.errors import SpecificationError
from pyroshift.model.likelihoods import Gaussian

SIGMA = 1.0


def pair_with_everything(x):
    model = RVAE(
        (6, 8),
        latent_dim=2,
        offsets=True,
        scales=True,
        likelihood=Gaussian(SIGMA),
        guide="normal",
        angle_scale=1.0,
    )
    model.likelihood.prepare(0.0, 1.0, float(x.mean()), float(x.std()))
    with torch.no_grad():  # away from the prior, where KL divergences are nearly zero
        for head in model.guide_module.heads.values():
            head.bias.copy_(torch.linspace(-1, 1, len(head.bias)))
    return model.eval()  # whose latents' frame stands still


def seeded(seed, function, *arguments):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return function(*arguments)


def mean_and_error(values):
    values = torch.as_tensor(values, dtype=torch.double)
    return float(values.mean()), float(values.std()) / len(values) ** 0.5


# Terms


def test_terms_are_the_closed_forms():
    x = torch.rand(5, 6, 8)
    model = pair_with_everything(x)
    terms = seeded(1, PatchELBO().terms, model.sample_model, model.sample_guide, x)
    posterior = model.guide_module.posterior(model, x)
    for site in model.sites:
        if site.name in ("offset", "angle", "z"):
            expected = kl_divergence(posterior[site.name], site.prior.expand((5,)))
            torch.testing.assert_close(terms.kl[site.name], expected)
    loc, scale = posterior["angle"].loc, posterior["angle"].scale
    by_hand = (scale**2 + loc**2 - 1) / 2 - scale.log()
    torch.testing.assert_close(terms.kl["angle"], by_hand)
    trace = seeded(1, poutine.trace(model.sample_guide).get_trace, x)
    values = {site.name: trace.nodes[site.name]["value"] for site in model.sites}
    mean = model.likelihood.mean(model.output(values))
    expected = dist.Normal(mean, SIGMA).log_prob(x).sum((1, 2))
    torch.testing.assert_close(terms.log_likelihood, expected)


def test_terms_without_a_closed_form_are_the_samples():
    x = torch.rand(5, 6, 8)
    model = ShiftVAE((6, 8), priors={"offset": dist.Cauchy(0.1, 0.3)}, guide="normal")
    terms = seeded(1, PatchELBO().terms, model.sample_model, model.sample_guide, x)
    trace = seeded(1, poutine.trace(model.sample_guide).get_trace, x)
    drawn = trace.nodes["offset"]
    expected = drawn["fn"].log_prob(drawn["value"])
    expected = expected - dist.Cauchy(0.1, 0.3).log_prob(drawn["value"]).sum(-1)
    torch.testing.assert_close(terms.kl["offset"], expected)


def test_bound_and_objective_are_sums_of_the_terms():
    x = torch.rand(5, 6, 8)
    model = pair_with_everything(x)
    weights = {"offset": 0.2, "angle": 3.0, "scale": 1.0, "z": 0.5}
    terms = PatchELBO().terms(model.sample_model, model.sample_guide, x, weights)
    assert terms.weights == pytest.approx(weights)
    kl = sum(terms.kl.values())
    weighted = sum(weights[name] * value for name, value in terms.kl.items())
    torch.testing.assert_close(terms.elbo, terms.log_likelihood - kl)
    torch.testing.assert_close(terms.objective, weighted - terms.log_likelihood)


def test_terms_are_per_patch():
    x = torch.rand(5, 6, 8)
    model = pair_with_everything(x)
    x[3] += 10
    terms = PatchELBO().terms(model.sample_model, model.sample_guide, x)
    assert terms.elbo.shape == terms.objective.shape == terms.log_likelihood.shape == (5,)
    assert all(kl.shape == (5,) for kl in terms.kl.values())
    assert int(terms.elbo.argmin()) == 3
    assert bool((terms.elbo[[0, 1, 2, 4]] > terms.elbo[3] + 1000).all())


def test_particles_are_averaged():
    x = torch.rand(5, 6, 8)
    model = pair_with_everything(x)
    pair = model.sample_model, model.sample_guide, x

    def one_by_one():
        return [PatchELBO().terms(*pair) for _ in range(3)]

    singles = seeded(2, one_by_one)
    together = seeded(2, PatchELBO(num_particles=3).terms, *pair)
    torch.testing.assert_close(together.elbo, torch.stack([one.elbo for one in singles]).mean(0))
    for name, kl in together.kl.items():
        torch.testing.assert_close(kl, torch.stack([one.kl[name] for one in singles]).mean(0))


def test_loss_in_its_three_forms():
    x = torch.rand(5, 6, 8)
    model = pair_with_everything(x)
    pair = model.sample_model, model.sample_guide, x
    terms = seeded(4, PatchELBO().terms, *pair)
    assert seeded(4, PatchELBO().loss, *pair) == pytest.approx(float(terms.objective.sum()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        loss = PatchELBO().loss_and_grads(*pair)
    assert loss == pytest.approx(float(terms.objective.sum()), rel=1e-5)
    assert all(parameter.grad is not None for parameter in model.parameters())


# Agreement with Pyro's own


@pytest.mark.parametrize(
    "weight", [1.0, 0.3, {"offset": 0.2, "angle": 2.0, "scale": 0.7, "z": 0.5}]
)
def test_same_as_trace_mean_field_for_the_same_samples(weight):
    x = torch.rand(5, 6, 8)
    model = pair_with_everything(x)
    pair = model.sample_model, model.sample_guide, x, weight
    for seed in range(3):
        ours, pyros = (
            seeded(seed, elbo().loss, *pair) for elbo in (PatchELBO, TraceMeanField_ELBO)
        )
        assert ours == pytest.approx(pyros, rel=1e-5)


def test_same_gradients_as_trace_mean_field():
    x = torch.rand(5, 6, 8)
    model = pair_with_everything(x)
    gradients = []
    for elbo in (PatchELBO(), TraceMeanField_ELBO()):
        model.zero_grad()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            loss = elbo.differentiable_loss(model.sample_model, model.sample_guide, x, 0.4)
        loss.backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for ours, pyros in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, pyros, rtol=1e-4, atol=1e-4)


def test_same_mean_as_trace_elbo():
    weight = 0.3
    # Means over 200 and 400 seeds, within 5 standard errors: fails less than once in 10^6 times.
    x = torch.rand(5, 6, 8)
    model = pair_with_everything(x)
    pair = model.sample_model, model.sample_guide, x, weight
    ours, our_error = mean_and_error([seeded(s, PatchELBO().loss, *pair) for s in range(200)])
    pyros, error = mean_and_error([seeded(s, Trace_ELBO().loss, *pair) for s in range(1000, 1400)])
    assert ours == pytest.approx(pyros, abs=5 * math.hypot(our_error, error))
    # Sharp enough to notice if a KL term, or its weight, went missing.
    terms = seeded(0, PatchELBO().terms, *pair)
    smallest = min(float(terms.kl[name].sum()) for name in ("offset", "angle", "z"))
    assert 5 * math.hypot(our_error, error) < 0.7 * smallest * weight


# A bound on the log evidence, where that is known


class LinearDecoder(nn.Module):
    """Four pixels that are linear in two latents: the evidence is Normal."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([[0.6, 0], [0.3, 0.5], [0, -0.7], [-0.4, 0.2]]))
        self.constant = nn.Parameter(torch.tensor([0.1, 0.0, -0.3, 0.2]))

    def forward(self, z, coordinates):
        return z @ self.slope.T + self.constant

    def log_evidence(self, x, sigma):
        covariance = self.slope @ self.slope.T + sigma**2 * torch.eye(4)
        return dist.MultivariateNormal(self.constant, covariance).log_prob(x)

    def posterior(self, x, sigma):
        precision = torch.eye(2) + self.slope.T @ self.slope / sigma**2
        covariance = torch.linalg.inv(precision)
        mean = (x - self.constant) @ self.slope @ covariance / sigma**2
        return dist.MultivariateNormal(mean, covariance)


class ExactGuide(Guide):
    """The true posterior of the linear model, or one that is off by some distance."""

    def __init__(self, off=0.0):
        super().__init__()
        self.off = off

    def setup(self, pair):
        pass

    def posterior(self, pair, x):
        exact = pair.decoder.posterior(x, pair.likelihood.sigma)
        return dist.MultivariateNormal(exact.loc + self.off, exact.covariance_matrix)

    def forward(self, pair, x, kl_weight):
        with pair.latent_scale(kl_weight, "z"):
            pyro.sample("z", self.posterior(pair, x))

    def summary(self, pair, x, drawn=None):
        posterior = self.posterior(pair, x)
        return {"z": posterior.mean, "z_std": posterior.stddev}


@pytest.mark.parametrize("guide", [ExactGuide(), ExactGuide(0.3), "normal"])
def test_bound_falls_short_of_the_evidence_by_the_guides_divergence(guide):
    # 20,000 samples, 5 standard errors: fails less than once in 10^6 for a fresh seed.
    sigma = 0.5
    model = VAE((4,), decoder=LinearDecoder(), likelihood=Gaussian(sigma), guide=guide)
    x = torch.tensor([0.9, 0.4, -1.0, 0.3]).expand(20_000, 4)
    with torch.no_grad():
        terms = PatchELBO().terms(model.sample_model, model.sample_guide, x)
        posterior = model.guide_module.posterior(model, x[:1])
        posterior = posterior["z"] if isinstance(posterior, dict) else posterior
        if guide == "normal":
            posterior = dist.MultivariateNormal(
                posterior.mean, torch.diag_embed(posterior.variance)
            )
        gap = kl_divergence(posterior, model.decoder.posterior(x[:1], sigma)).item()
        evidence = model.decoder.log_evidence(x[0], sigma).item()
    bound, error = mean_and_error(terms.elbo)
    assert bound + gap == pytest.approx(evidence, abs=5 * error + 1e-4)
    assert error < 0.1


def test_importance_sampling_through_the_pair_finds_the_evidence():
    # The weights' mean over 20,000 samples, 5 standard errors: about once in 10^6.
    sigma = 0.5
    model = VAE((4,), decoder=LinearDecoder(), likelihood=Gaussian(sigma), guide=ExactGuide(0.3))
    x = torch.tensor([0.9, 0.4, -1.0, 0.3]).expand(20_000, 4)
    with torch.no_grad():
        guide = poutine.trace(model.sample_guide).get_trace(x)
        joint = poutine.trace(poutine.replay(model.sample_model, guide)).get_trace(x)
        guide.compute_log_prob()
        joint.compute_log_prob()
        log_weights = joint.nodes["z"]["log_prob"] + joint.nodes["x"]["log_prob"]
        log_weights = log_weights - guide.nodes["z"]["log_prob"]
        evidence = model.decoder.log_evidence(x[0], sigma).item()
    ratio, error = mean_and_error((log_weights - evidence).exp())
    assert ratio == pytest.approx(1, abs=5 * error)
    assert error < 0.05


# Pairs that do not fit


def test_scales_that_differ_are_refused():
    model, x = ShiftVAE((6, 8), guide="normal"), torch.rand(3, 6, 8)
    with pytest.raises(
        SpecificationError, match=r"'offset' is scaled by 0.5 .* by 1.0 in the guide"
    ):
        PatchELBO().terms(
            lambda x: model.sample_model(x, 0.5), lambda x: model.sample_guide(x, 1.0), x
        )


def latent_and_data(x, name="z", prior=None):
    prior = dist.Normal(0.0, 1.0) if prior is None else prior
    with pyro.plate("patches", len(x)):
        z = pyro.sample(name, prior)
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def guide_of(posterior, name="z"):
    def guide(x):
        with pyro.plate("patches", len(x)):
            pyro.sample(name, posterior)

    return guide


def test_a_site_that_the_guide_forgets_is_refused():
    with pytest.raises(SpecificationError, match="both must have the same"):
        PatchELBO().terms(latent_and_data, lambda x: None, torch.rand(3))


def test_a_model_without_data_is_refused():
    def model(x):
        with pyro.plate("patches", len(x)):
            pyro.sample("z", dist.Normal(0.0, 1.0))

    with pytest.raises(SpecificationError, match="no observed site"):
        PatchELBO().terms(model, guide_of(dist.Normal(0.0, 1.0)), torch.rand(3))


def test_guides_that_cannot_be_reparametrised_are_refused():
    guide = guide_of(dist.VonMises(torch.zeros((), requires_grad=True), 1.0))
    with pytest.raises(SpecificationError, match=r"VonMises at site 'z'.*Trace_ELBO"):
        PatchELBO().terms(latent_and_data, guide, torch.rand(3))


def test_guides_that_need_no_gradient_need_not_be_reparametrised():
    # 4,000 samples, 5 standard errors.
    guide, x = guide_of(dist.VonMises(0.3, 2.0)), torch.full((4000,), 0.7)
    terms = PatchELBO().terms(latent_and_data, guide, x)
    assert not terms.elbo.requires_grad
    expected = [-Trace_ELBO().loss(latent_and_data, guide, x) / len(x) for _ in range(3)]
    bound, error = mean_and_error(terms.elbo)
    assert bound == pytest.approx(sum(expected) / 3, abs=5 * error * (4 / 3) ** 0.5)
    # Nor does it matter where gradients are off.
    learned = guide_of(dist.VonMises(torch.zeros((), requires_grad=True), 1.0))
    with torch.no_grad():
        assert bool(torch.isfinite(PatchELBO().terms(latent_and_data, learned, x).elbo).all())


def test_a_constant_discrete_site_counts_in_closed_form():
    def model(x):
        with pyro.plate("patches", len(x)):
            which = pyro.sample("which", dist.Categorical(torch.tensor([0.5, 0.25, 0.25])))
            z = pyro.sample("z", dist.Normal(which.float(), 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    location = torch.zeros((), requires_grad=True)

    def guide(x):
        with pyro.plate("patches", len(x)):
            pyro.sample("which", dist.Categorical(torch.tensor([0.1, 0.2, 0.7])))
            pyro.sample("z", dist.Normal(location, 1.0))

    terms = PatchELBO().terms(model, guide, torch.rand(3))
    by_hand = sum(q * math.log(q / p) for q, p in ((0.1, 0.5), (0.2, 0.25), (0.7, 0.25)))
    torch.testing.assert_close(terms.kl["which"], torch.full((3,), by_hand))
    terms.objective.sum().backward()
    assert float(location.grad.abs()) > 0


def test_guides_that_cannot_be_reparametrised_are_refused_despite_a_closed_form():
    logits = torch.zeros((), requires_grad=True)
    with pytest.raises(SpecificationError, match="Trace_ELBO"):
        PatchELBO().terms(
            lambda x: latent_and_data(x, prior=dist.Bernoulli(0.5)),
            guide_of(dist.Bernoulli(logits=logits)),
            torch.rand(3),
        )


def test_sites_that_only_the_guide_has_are_counted_or_refused():
    def guide(x):
        with pyro.plate("patches", len(x)):
            pyro.sample("u", dist.Normal(0.0, 0.1), infer={"is_auxiliary": True})
            pyro.sample("z", dist.Normal(0.0, 1.0))

    x = torch.rand(3)
    expected = seeded(0, TraceMeanField_ELBO().loss, latent_and_data, guide, x)
    try:
        found = seeded(0, PatchELBO().loss, latent_and_data, guide, x)
    except SpecificationError:
        return
    assert found == pytest.approx(expected, rel=1e-5)


def test_masked_sites_count_as_in_pyro():
    def model(x):
        with pyro.plate("patches", len(x)), poutine.mask(mask=torch.tensor([True, False, True])):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    def guide(x):
        with pyro.plate("patches", len(x)), poutine.mask(mask=torch.tensor([True, False, True])):
            pyro.sample("z", dist.Normal(0.5, 1.0))

    x = torch.rand(3)
    expected = seeded(0, TraceMeanField_ELBO().loss, model, guide, x)
    assert seeded(0, PatchELBO().loss, model, guide, x) == pytest.approx(expected, rel=1e-5)


def test_more_terms_of_the_likelihood_add_up():
    def model(x):
        with pyro.plate("patches", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)
            pyro.factor("penalty", -(z**2))

    guide, x = guide_of(dist.Normal(0.5, 1.0)), torch.rand(3)
    expected = seeded(0, TraceMeanField_ELBO().loss, model, guide, x)
    assert seeded(0, PatchELBO().loss, model, guide, x) == pytest.approx(expected, rel=1e-5)

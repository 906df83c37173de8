"""Priors that learn: densities, gradients, and all that a part of a model has to bear."""

import copy
import math
from functools import partial

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import Distribution

import pyroshift as ps
from pyroshift import VAE, Content, PatchELBO, PoseVAE, ShiftVAE, load, save
from pyroshift.errors import SpecificationError
from pyroshift.model.flows import FlowDistribution
from pyroshift.priors import ARD, Flow, Hierarchical, Mixture, PairedPrior, VampPrior
from pyroshift.testing import MODEL_CHECKS, Subject, check_site
from pyroshift.training.diagnostics import diagnose

MODULES = {
    "Mixture": partial(Mixture, 3),
    "Flow": Flow,
    "VampPrior": partial(VampPrior, 4),
}
PRIORS = {**MODULES, "ARD": ARD, "Hierarchical": Hierarchical}
each = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
guides = pytest.mark.parametrize("guide", ["normal", "anchor"])


def moved(module, seed=0):
    """The same module, away from where it starts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return module


def integral(distribution, reach=8.0, steps=400):
    """Of the density, and of the values under it, over a square by the midpoint rule."""
    step = 2 * reach / steps
    axis = -reach + step * (torch.arange(steps) + 0.5)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).flatten(0, 1)
    mass = distribution.log_prob(grid).exp().double() * step**2
    return mass.sum(), (mass.unsqueeze(-1) * grid).sum(0), (mass.unsqueeze(-1) * grid**2).sum(0)


def prior_of(make, guide="normal"):
    """The prior as a model has it, off where it starts."""
    model = ShiftVAE((8, 8), 2, guide=guide, priors={"z": make()})
    site = model.given_sites[1]
    moved(site)
    return model, site


# Densities


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_the_density_is_one_and_has_the_moments_that_are_told(make):
    prior = prior_of(make)[1].prior
    assert prior.event_shape == (2,)
    with torch.no_grad():
        total, mean, square = integral(prior)
        assert float(total) == pytest.approx(1, abs=2e-3)
        torch.testing.assert_close(prior.mean.double(), mean, atol=0.03, rtol=0)
        torch.testing.assert_close(
            prior.stddev.double(), (square - mean**2).sqrt(), atol=0.03, rtol=0
        )


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)
def test_draws_are_of_the_density(make):
    prior = prior_of(make)[1].prior
    with torch.no_grad():
        draws = prior.sample((4000,))
        # Five standard errors of a mean and of a standard deviation: about once in 10^6.
        error = 5 * float(prior.stddev.max()) / 4000**0.5
        torch.testing.assert_close(draws.mean(0), prior.mean, atol=error + 0.02, rtol=0)
        torch.testing.assert_close(draws.std(0), prior.stddev, atol=2 * error + 0.02, rtol=0)


def test_a_mixture_is_the_sum_of_its_normals():
    prior = moved(Mixture(2, 1))
    value = torch.tensor([0.4])
    weights, normals = prior.weights.detach(), prior.normals.base_dist
    normals = dist.Normal(normals.loc[:, 0], normals.scale[:, 0])
    expected = (weights * normals.log_prob(value).exp()).sum()
    torch.testing.assert_close(prior().log_prob(value).exp(), expected)
    torch.testing.assert_close(
        prior.probabilities(value), (weights * normals.log_prob(value).exp() / expected).detach()
    )


def test_relevance_is_what_the_posterior_leaves_of_the_prior():
    # Posteriors Normal(m, 0.5) where m is 1.5 wide in the first latent, and the same in the second:
    # the aggregate variance is 2.5, of which 0.25 is left. Nothing is told of the third.
    generator = torch.Generator().manual_seed(0)
    told = 1.5 * torch.randn(2000, 1, generator=generator)
    loc = torch.cat([0 * told, told, 0 * told], 1)
    site = ARD(3)
    for _ in range(200):
        site.frame.follow(loc, torch.full_like(loc, 0.5))
    found = site.relevance
    torch.testing.assert_close(found, torch.tensor([0.9, 0.0, 0.0]), atol=0.01, rtol=0)


def test_a_flow_begins_near_a_standard_normal():
    value = torch.randn(100, 3)
    expected = dist.Normal(torch.zeros(3), 1.0).to_event(1).log_prob(value)
    found = Flow(3)().log_prob(value).detach()
    assert float((found - expected).abs().mean()) < 0.2
    assert isinstance(Flow(3)(), FlowDistribution)
    assert moved(Flow(1))().rsample((5,)).shape == (5, 1)


@guides
def test_pseudo_inputs_posteriors_are_the_prior(guide):
    model, site = prior_of(partial(VampPrior, 3), guide)
    prior = site.given_prior
    head = model.guide_module.heads["z"] if guide == "normal" else model.guide_module.head
    posterior = site.family.distribution(head(model.encoder(prior.inputs)), site.reference)
    value = torch.tensor([0.3, -0.2])
    expected = torch.stack([posterior.log_prob(value)]).logsumexp(-1) - math.log(3)
    torch.testing.assert_close(site.prior.log_prob(value), expected.squeeze())


# What all parts of a model have to bear


@each
def test_the_sites_checks_hold(make):
    prior = make()
    check_site(prior if isinstance(prior, Content) else Content(2, prior))


@guides
@each
@pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.name)
def test_the_models_checks_hold(check, make, guide):
    def model(seed):
        return ShiftVAE((8, 8), 2, guide=guide, priors={"z": make()}, seed=seed)

    check(Subject(model))


@guides
@each
def test_every_parameter_gets_a_gradient_and_no_module_is_there_twice(make, guide):
    model, site = prior_of(make, guide)
    x = torch.rand(3, 8, 8)
    PatchELBO().differentiable_loss(model.sample_model, model.sample_guide, x).backward()
    parameters = dict(site.named_parameters())
    assert parameters or isinstance(site, ARD)  # its widths are moments
    for name, weight in parameters.items():
        assert weight.grad is not None, name
        assert bool((weight.grad != 0).any()), name
    paths = [name for name, _ in model.named_modules(remove_duplicate=False)]
    assert len(paths) == len(list(model.modules()))


@each
def test_saved_and_loaded_it_encodes_the_same(make, tmp_path):
    model, _ = prior_of(make, "anchor")
    patches = ps.Patches.from_array(torch.rand(4, 8, 8))
    save(model, tmp_path / "model.pt")
    content = torch.load(tmp_path / "model.pt", weights_only=True)
    assert content["format"].startswith("pyroshift")
    loaded = load(tmp_path / "model.pt")
    found, expected = (ps.encode(each, patches) for each in (loaded, model.eval()))
    assert found.drop_attrs().equals(expected.drop_attrs())
    value = torch.tensor([0.3, -0.2])
    torch.testing.assert_close(
        loaded.priors()["z"].log_prob(value), model.priors()["z"].log_prob(value)
    )


@guides
@each
def test_maps_manifold_and_diagnosis_go_by_it(make, guide):
    model, _ = prior_of(make, guide)
    model.eval()
    grid = ps.manifold(model, 3)
    assert bool(grid.notnull().all())
    prior = model.priors()["z"]
    width = prior.stddev.detach().flatten()[0]
    assert float(grid.z0[2] - grid.z0[0]) == pytest.approx(4 * float(width), rel=1e-4)
    x = torch.rand(4, 8, 8)
    assert all(isinstance(finding, str) for finding in diagnose(model, x))
    assert "collapsed" in ps.encode(model, ps.Patches.from_array(x)).coords


@each
def test_it_moves_with_the_model(make):
    model, site = prior_of(make)
    assert model.double().priors()["z"].sample().dtype == torch.double
    with pyro.validation_enabled(False):
        model.to("meta")
        assert all(weight.device.type == "meta" for weight in site.parameters())
        if make in (MODULES["Mixture"], Flow):  # the others need an encoder, or a global site
            assert site.prior.sample().device.type == "meta"


@each
def test_making_one_leaves_the_random_state_and_validation_alone(make, untouched):
    before = Distribution.__dict__["arg_constraints"], Distribution._validate_args
    with untouched():
        repr(make())
    assert (Distribution.__dict__["arg_constraints"], Distribution._validate_args) == before
    with pytest.raises(ValueError, match="constraint"):
        torch.distributions.Normal(0.0, torch.tensor(-1.0), validate_args=True)


@pytest.mark.parametrize("make", [partial(Mixture, 3), Flow], ids=["Mixture", "Flow"])
def test_seeds_make_a_difference(make):
    first, again, other = (torch.cat([p.flatten() for p in make(seed=seed).parameters()])
                           for seed in (0, 0, 1))  # fmt: skip
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "make",
    [
        partial(Mixture, 0), partial(Mixture, 2, 0), partial(Mixture, 2, spread=0.0),
        partial(ARD, 0), partial(Flow, 0), partial(Flow, 2, bins=1), partial(VampPrior, 0),
        partial(Hierarchical, 0), partial(Hierarchical, 2, dist.Normal(0.0, 1.0)),
        partial(Hierarchical, 2, dist.Uniform(-1.0, 1.0)),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(SpecificationError):
        make()


def test_a_wrong_number_of_latents_is_told():
    with pytest.raises(SpecificationError, match="event shape"):
        VAE((8, 8), 3, priors={"z": Mixture(2, 2)})


# What is made of the pair


def test_a_vamp_prior_is_one_models():
    prior = VampPrior(3)
    assert isinstance(prior, PairedPrior)
    VAE((8, 8), priors={"z": prior})
    with pytest.raises(SpecificationError, match="give each its own"):
        VAE((8, 8), priors={"z": prior})


def test_a_copys_pseudo_inputs_go_through_its_own_guide():
    model = VAE((8, 8), priors={"z": VampPrior(3)})
    clone = moved(copy.deepcopy(model))
    assert clone.sites[0].given_prior._bound[0][0] is clone
    value = torch.zeros(2)
    assert not torch.equal(
        clone.sites[0].prior.log_prob(value), model.sites[0].prior.log_prob(value)
    )


def test_pseudo_inputs_begin_by_the_models_seed():
    first, again, other = (
        VAE((8, 8), priors={"z": VampPrior(3)}, seed=seed).sites[0].given_prior.inputs
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_guide_without_such_a_posterior_is_told():
    class Fixed(ps.Guide):
        def setup(self, pair):
            self.width = torch.nn.Parameter(torch.ones(2))

        def forward(self, pair, x, kl_weight):
            with pair.latent_scale(kl_weight, "z"):
                normal = dist.Normal(torch.zeros(len(x), 2), self.width)
                pyro.sample("z", normal.to_event(1))

        def summary(self, pair, x, drawn=None):
            raise NotImplementedError

    model = PoseVAE((8, 8), [Content(2, VampPrior(3))], guide=Fixed())
    with pytest.raises(SpecificationError, match="posterior_of"):
        model.model(n=2)

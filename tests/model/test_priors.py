"""Priors that learn: trained with the rest, valid throughout, or refused before the work."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from pyroshift import RVAE, VAE, Content, Offset, PatchELBO, Patches, PoseVAE, ShiftVAE, Site, fit
from pyroshift.errors import LatentWarning, SpecificationError
from pyroshift.model.priors import LearnedPrior, Snapshot, learns


def parameter(*values):
    return nn.Parameter(torch.tensor(values[0] if len(values) == 1 else values))


def kl_of(model, x, name="z"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return PatchELBO().terms(model.sample_model, model.sample_guide, x).kl[name]


MADE = [
    lambda loc, width: dist.Normal(loc, width),
    lambda loc, width: dist.Normal(loc, width).to_event(1),
    lambda loc, width: dist.Laplace(loc, width).expand([4, 2]).to_event(2),
    lambda loc, width: dist.LogNormal(loc, width),
    lambda loc, width: dist.StudentT(3.0, loc, width),
    lambda loc, width: dist.MixtureSameFamily(
        dist.Categorical(torch.tensor([0.3, 0.7])), dist.Normal(loc, width)
    ),
    lambda loc, width: dist.TransformedDistribution(
        dist.Normal(0.0, width), [dist.transforms.AffineTransform(loc, 2.0)]
    ),
]


@pytest.mark.parametrize("make", MADE)
def test_a_learned_prior_is_the_given_one_and_follows_its_parameters(make):
    loc, width = parameter(0.1, 0.2), parameter(0.5)
    given = make(loc, width)
    assert learns(given)
    prior = LearnedPrior(given)
    value = given.sample()
    torch.testing.assert_close(prior().log_prob(value), make(loc, width).log_prob(value))
    first = {id(each) for each in prior.parameters()}
    assert id(loc) in first  # any real number may be learned as it is
    assert len(first) == 2
    with torch.no_grad():
        for each in prior.parameters():
            each.add_(0.3)
    moved = make(torch.tensor([0.4, 0.5]), torch.tensor(0.5 * math.exp(0.3)))
    torch.testing.assert_close(prior().log_prob(value), moved.log_prob(value))
    for _ in range(2):  # and its graph is there at every step
        prior().log_prob(value).sum().backward()
    assert all(bool((each.grad != 0).all()) for each in prior.parameters())


@pytest.mark.parametrize("width", [0.5, 2.0])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_the_divergence_is_from_the_prior_as_it_is_now(width, shape):
    # By hand: both Normals about zero, the posterior as the untrained guide has it.
    model = VAE((4, 4), priors={"z": dist.Normal(0.0, nn.Parameter(torch.ones(shape)))})
    for weight in model.guide_module.parameters():
        nn.init.zeros_(weight)
    x = torch.rand(3, 4, 4)
    torch.testing.assert_close(kl_of(model, x), torch.zeros(3))
    with torch.no_grad():
        model.sites[0].given_prior.free["scale"].fill_(math.log(width))
    expected = 2 * (math.log(width) + 0.5 / width**2 - 0.5)
    torch.testing.assert_close(kl_of(model, x), torch.full((3,), expected))


def test_a_width_that_is_learned_finds_the_latents_spread():
    # The guide's posterior is Normal(3, 1) for every patch, so the best prior has that mean and
    # width; nothing else moves.
    prior = dist.Normal(parameter(0.0, 0.0), parameter(0.5, 2.0))
    model = VAE((4, 4), priors={"z": prior})
    head = model.guide_module.heads["z"]
    with torch.no_grad():
        head.weight.zero_()
        centred = dist.Normal(3.0, 1.0).expand([2])
        head.bias[:2] = 3.0 / torch.tensor([0.5, 2.0])
        head.bias[2:] = torch.tensor([2.0, 0.5]).expm1().log() - math.log(math.e - 1)
    optimizer = torch.optim.Adam(model.sites[0].parameters(), lr=0.2)
    x = torch.rand(1, 4, 4)
    for _ in range(150):
        optimizer.zero_grad()
        kl_of(model, x).sum().backward()
        optimizer.step()
    found = model.sites[0].prior
    torch.testing.assert_close(found.mean, centred.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(found.stddev, centred.stddev, atol=0.02, rtol=0)


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_fit_trains_a_priors_parameters(guide):
    width = parameter(1.0)
    model = ShiftVAE((12,), priors={"z": dist.Normal(0.0, width)}, guide=guide)
    options = {"epochs": 3, "learning_rate": 0.05, "progress": False}
    with pytest.warns(LatentWarning):  # of noise there is nothing to learn
        fit(model, Patches.from_array(torch.rand(40, 12)), **options)
    assert float(model.given_sites[1].prior.stddev.detach()[0]) != pytest.approx(1.0, abs=0.01)
    assert not model.given_sites[1].reference.mean.requires_grad
    assert bool((model.given_sites[1].reference.stddev == 1).all())


class Humps(nn.Module):
    """A prior of the user's own: a mixture with weights and places that are learned."""

    def __init__(self):
        super().__init__()
        self.logits, self.loc = parameter(0.0, 0.5), parameter(-1.0, 1.0)

    def forward(self):
        return dist.MixtureSameFamily(
            dist.Categorical(logits=self.logits), dist.Normal(self.loc, self.loc.exp())
        )


@pytest.mark.parametrize("prior", [Humps, lambda: dist.Normal(parameter(0.1), 0.3)])
def test_priors_move_with_the_model(prior):
    model = RVAE(8, priors={"z": prior()}).double()
    assert model.sites[1].prior.sample().dtype == torch.double
    assert model.sites[1].reference.sample().dtype == torch.double
    with pyro.validation_enabled(False):  # nothing can be checked there
        assert model.to("meta").sites[1].prior.sample().device.type == "meta"


def test_a_module_may_be_a_prior():
    model = VAE((4, 4), priors={"z": Humps()})
    kl_of(model, torch.rand(3, 4, 4)).sum().backward()
    assert all(bool((each.grad != 0).all()) for each in model.sites[0].parameters())
    assert model.sites[0].event_shape == (2,)


@pytest.mark.parametrize(
    "make",
    [
        lambda: dist.Normal(0.0, parameter(0.0).exp()),
        lambda: dist.Normal(2 * parameter(0.0, 1.0), 1.0).to_event(1),
        lambda: dist.Beta(parameter(1.0), 2.0),
        lambda: dist.Normal(0.0, parameter(1.0, 2.0, 3.0)[:2]),
    ],
)
def test_computed_arguments_are_refused(make):
    with pytest.raises(SpecificationError, match=r"is computed from a parameter.*forward\(\)"):
        Content(2, make())


def test_ends_that_depend_on_each_other_are_refused():
    with pytest.raises(SpecificationError, match=r"high can't be learned.*module"):
        Content(2, dist.Uniform(-1.0, parameter(1.0)))


def test_a_module_that_gives_no_distribution_is_refused():
    class Zero(nn.Module):
        def forward(self):
            return torch.zeros(2)

    with pytest.raises(SpecificationError, match=r"prior of site 'z'.*tensor"):
        Content(2, Zero())


def test_an_anchor_guides_bins_do_not_learn():
    sites = [Offset(dist.Normal(0.0, parameter(0.3)), ndim=1), Content(1)]
    with pytest.raises(SpecificationError, match="fixed prior"):
        PoseVAE((12,), sites, guide="anchor")


def test_a_snapshot_stays():
    loc = parameter(0.3)
    kept = Snapshot(dist.Normal(loc, 1.0))
    with torch.no_grad():
        loc.fill_(9.0)
    assert float(kept().mean) == pytest.approx(0.3)


def test_repr_names_what_is_learned():
    text = repr(Site("strain", dist.Normal(0.0, parameter(0.5)), ()))
    assert "learned=['scale']" in text
    assert "Normal(" in text

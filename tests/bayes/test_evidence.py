"""Evidence against closed forms, and models compared by it."""

import linear
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from torch import nn

import pyroshift as ps
from pyroshift.bayes.evidence import summary
from pyroshift.errors import DataError, SpecificationError


@pytest.mark.parametrize(("narrow", "shifted"), [(1.0, 0.0), (0.9, 0.1), (1.2, 0.2)])
def test_agrees_with_the_exact_evidence(narrow, shifted):
    x = linear.data(20)
    found = ps.evidence(linear.model(narrow=narrow, shifted=shifted), x, draws=1000)
    np.testing.assert_allclose(found.log_evidence, linear.log_evidence(x, 2), atol=0.05)
    assert (found.khat < found.attrs["khat_limit"]).all()
    gap = float((linear.log_evidence(x, 2) - found.elbo).mean())
    # KL of Normals from each other, two latents.
    expected = 2 * (-np.log(narrow) + (narrow**2 + shifted**2 - 1) / 2)
    np.testing.assert_allclose(gap, expected, atol=0.02)


def test_the_stated_error_is_that_of_the_bound():
    x = linear.data(300)
    found = ps.evidence(linear.model(narrow=0.8, shifted=0.3), x, draws=500)
    scaled = (found.log_evidence - linear.log_evidence(x, 2)) / found.log_evidence_se
    assert 0.85 < float(scaled.std()) < 1.15  # of 300: its own error is 0.04
    assert abs(float(scaled.mean())) < 0.3


@pytest.mark.parametrize("narrow", [1.0, 0.7, 0.5])
def test_khat_tells_a_guide_that_is_too_narrow(narrow):
    # Weights of a Normal of width s for one of width 1 have a tail of shape 1 - s².
    found = ps.evidence(linear.model(narrow=narrow), linear.data(50), draws=1000)
    expected = 0.0 if narrow == 1 else 1 - narrow**2
    assert abs(float(found.khat.mean()) - expected) < 0.06
    beyond = float((found.khat > found.attrs["khat_limit"]).mean())
    assert beyond > 0.5 if narrow == 0.5 else beyond < 0.25


def test_bound_is_tighter_with_draws_and_over_the_elbo():
    x = linear.data(200)
    model = linear.model(narrow=0.6)
    few, many = (ps.evidence(model, x, draws=draws) for draws in (25, 400))
    exact = linear.log_evidence(x, 2).mean()
    means = [float(each.mean()) for each in (few.elbo, few.log_evidence, many.log_evidence)]
    assert means[0] < means[1] < means[2] < exact + 0.02
    for each in (few, many):
        assert (each.log_evidence >= each.elbo).all()
        assert ((each.ess >= 1 - 1e-3) & (each.ess <= each.attrs["draws"] + 1e-3)).all()


def test_summary_of_extreme_weights():
    random = np.random.default_rng(0)
    weights = random.normal(size=(100, 2)) - 20_000
    weights[:, 1] = -np.inf
    found = summary(weights)
    expected = -20_000 + np.log(np.exp(weights[:, 0] + 20_000).mean())
    np.testing.assert_allclose(found["log_evidence"], [expected, -np.inf])
    assert found["khat"][1] == np.inf


def test_agrees_with_encode_and_leaves_the_process_alone(untouched):
    patches = ps.extract_patches(np.random.default_rng(0).random((30, 40)), 10, 10)
    model = ps.RVAE(10, offsets=True, scales=True)
    model.train()
    with untouched():
        found = ps.evidence(model, patches, draws=100)
    assert model.training
    maps = ps.encode(model, patches)
    assert found.elbo.dims == maps.elbo.dims == ("y", "x")
    xr.testing.assert_equal(found.y, maps.y)
    np.testing.assert_allclose(found.elbo.mean(), maps.elbo.mean(), atol=0.2)
    assert found.log_evidence.units == "nat"
    xr.testing.assert_identical(found, ps.evidence(model, patches, draws=100))
    assert not found.equals(ps.evidence(model, patches, draws=100, seed=1))


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_classes_add_up_to_the_evidence_of_all(guide):
    """The evidence of window and class, summed over classes, is that of the window."""
    x = np.random.default_rng(0).random((6, 8, 8))
    patches = ps.Patches.from_array(x)
    model = ps.ShiftVAE(8, classes=3, guide=guide)
    free = ps.evidence(model, patches, draws=400)
    each = [
        ps.evidence(model, patches.assign(label=float(kind)), draws=400).log_evidence
        for kind in range(3)
    ]
    total = xr.apply_ufunc(lambda *parts: np.logaddexp.reduce(parts), *each)
    error = float(free.log_evidence_se.max())
    np.testing.assert_allclose(free.log_evidence, total, atol=0.05 + 5 * error)


def test_gaps_count_for_nothing():
    x = linear.data(5)
    kept = linear.data(5)
    kept[:, 4:] = np.nan
    model = linear.model(narrow=1.0)
    found = ps.evidence(model, ps.Patches.from_array(kept, min_valid=0.1), draws=4000)
    patterns = linear.patterns(2)[:, :4]
    covariance = patterns.T @ patterns + linear.NOISE**2 * np.eye(4)
    exact = torch.distributions.MultivariateNormal(
        torch.zeros(4, dtype=torch.double), torch.tensor(covariance)
    ).log_prob(torch.tensor(x[:, :4], dtype=torch.double))
    # The guide takes what is missing for zero, and is off: wider draws make up for it.
    error = np.maximum(found.log_evidence_se, 0.02)
    assert (np.abs(found.log_evidence - exact.numpy()) < 6 * error).all()


def test_hierarchical_priors_are_drawn_from_their_posterior():
    model = ps.VAE((10,), priors={"z": ps.priors.Hierarchical(2)})
    x = np.random.default_rng(0).random((4, 10)).astype(np.float32)
    found = ps.evidence(model, x, draws=50, batch_size=8)
    assert np.isfinite(found.log_evidence).all()
    with torch.no_grad():  # the guide starts at widths of 1, known to a tenth
        site = model.given_sites[0]
        draws = site.width_posterior.sample((2000,))
    assert draws.std() > 0.05
    assert float(found.log_evidence_se.max()) < 0.1


def test_says_what_is_wrong_before_it_starts():
    x, model = linear.data(4), linear.model()
    for draws in (0, 24, 30.0, True, "many"):
        with pytest.raises(DataError, match="draws must be a whole number of at least 25"):
            ps.evidence(model, x, draws=draws)
    with pytest.raises(DataError, match="batch_size must be"):
        ps.evidence(model, x, batch_size=0)
    with pytest.raises(DataError, match="windows of"):
        ps.evidence(model, np.zeros((3, 7), np.float32))
    with pytest.raises(SpecificationError, match="expected a model"):
        ps.evidence({"z": 1}, x)
    with pytest.raises(DataError, match="'draw'"):
        ps.evidence(model, ps.Patches.from_array(x[None], 1, dims=("patch", "draw", "t")))


def test_a_guide_that_draws_other_sites_is_told():
    class Other(ps.NormalGuide):
        def forward(self, pair, x, kl_weight):
            super().forward(pair, x, kl_weight)
            pyro.sample("more", dist.Normal(torch.zeros(len(x)), 1.0))

    with pytest.raises(SpecificationError, match="the guide draws"):
        ps.evidence(ps.VAE((8,), guide=Other()), np.zeros((3, 8), np.float32))


class Bump(nn.Module):
    """A bump at the motif's origin, whatever z is."""

    def forward(self, z, coordinates):
        return torch.exp(-(coordinates[..., 0] ** 2) / 0.02)


@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_evidence_by_the_anchor_guide_is_that_of_all_bins(noise):
    """Of a bump whose place alone matters, and can be tried; at any place between two bins."""
    model = ps.ShiftVAE((16,), 1, likelihood=ps.Gaussian(noise), decoder=Bump(), offset_scale=0.2)
    places, random = torch.linspace(-0.2, 0.2, 40), np.random.default_rng(0)
    bumps = model.decoder(None, model.grid.unsqueeze(0) - places.reshape(-1, 1, 1)).numpy()
    x = torch.tensor(bumps + noise * random.normal(size=bumps.shape), dtype=torch.float)
    found = ps.evidence(model, x.numpy(), draws=400)
    offsets = torch.linspace(-1, 1, 4001).double()
    shifted = model.decoder(None, model.grid.unsqueeze(0) - offsets.reshape(-1, 1, 1))
    likelihood = model.likelihood.log_prob(x.unsqueeze(1), shifted).sum(-1)
    bins, site = model.sites[0], model.sites[1]
    centres = site.centre(torch.arange(len(bins.log_mass))).reshape(-1)
    near = torch.distributions.Normal(centres, site.width).log_prob(offsets.unsqueeze(1))
    prior = (near + bins.log_mass).logsumexp(1)
    exact = (likelihood + prior + np.log(2 / 4000)).logsumexp(1).detach().numpy()
    np.testing.assert_allclose(found.log_evidence, exact, atol=0.15)
    np.testing.assert_allclose(found.log_evidence.mean(), exact.mean(), atol=0.02)

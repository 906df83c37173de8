"""Global sites, which all patches share: their KL divergence counts once for all patches."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Predictive, Trace_ELBO, TraceMeanField_ELBO
from torch import nn
from torch.distributions import kl_divergence

from pyroshift import VAE, Content, Gaussian, PatchELBO, Patches, encode, fit, load, manifold, save
from pyroshift.training.diagnostics import diagnose

SIGMA = 0.5


class Hierarchical(Content):
    """Latents whose prior has a width of its own prior."""

    def __init__(self, latent_dim=2):
        super().__init__(latent_dim)
        self.log_loc = nn.Parameter(torch.tensor(0.4))
        self.log_spread = nn.Parameter(torch.tensor(-1.0))

    @property
    def width_posterior(self):
        return dist.LogNormal(self.log_loc, self.log_spread.exp())

    def draw_global(self):
        return {"width": pyro.sample("width", dist.LogNormal(0.0, 1.0))}

    def guide_global(self):
        pyro.sample("width", self.width_posterior)

    def prior_given(self, values):
        width = values["width"].unsqueeze(-1)
        return dist.Normal(torch.zeros(self.latent_dim), width).to_event(1)


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.2))

    def forward(self, z, coordinates):
        return self.level + 0.1 * z.sum(-1, keepdim=True).expand(*z.shape[:-1], 4)


def hierarchical():
    return VAE(
        (4,), decoder=Constant(), likelihood=Gaussian(SIGMA), priors={"z": Hierarchical()}
    ).eval()


def drawn(model, x, seed=0):
    """The values of one draw of the guide, whose seed is that of `terms`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trace = pyro.poutine.trace(model.sample_guide).get_trace(x)
    return {name: trace.nodes[name]["value"] for name in ("width", "z")}


def seeded(function, *arguments, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return function(*arguments, **options)


@pytest.mark.parametrize("total", [None, 5, 1000])
def test_the_bound_per_patch_is_that_by_hand(total):
    model, x = hierarchical(), torch.rand(5, 4)
    pair = model.sample_model, model.sample_guide, x
    terms = seeded(PatchELBO().terms, *pair, total=total)
    values, (loc, spread) = drawn(model, x), (0.4, math.exp(-1.0))
    count = total or 5
    shared = -math.log(spread) + (spread**2 + loc**2) / 2 - 0.5
    posterior = model.guide_module.posterior(model, x)["z"]
    own = kl_divergence(posterior, dist.Normal(torch.zeros(2), values["width"]).to_event(1))
    mean = 0.2 + 0.1 * values["z"].sum(-1, keepdim=True)
    likelihood = dist.Normal(mean, SIGMA).log_prob(x).sum(-1)
    torch.testing.assert_close(terms.kl["width"], torch.full((5,), shared / count))
    torch.testing.assert_close(terms.kl["z"], own)
    torch.testing.assert_close(terms.log_likelihood, likelihood)
    torch.testing.assert_close(terms.elbo, likelihood - own - shared / count)
    assert terms.total == count
    assert terms.weights == {"width": 1.0, "z": 1.0}


@pytest.mark.parametrize("weight", [1.0, 0.3])
@pytest.mark.parametrize("total", [None, 1000])
def test_loss_and_gradient_are_pyros(weight, total):
    model, x = hierarchical(), torch.rand(5, 4)
    found = []
    for elbo in (PatchELBO(), TraceMeanField_ELBO()):
        model.zero_grad()
        loss = seeded(
            elbo.differentiable_loss, model.sample_model, model.sample_guide, x, weight,
            total=total,
        )  # fmt: skip
        loss.backward()
        found.append(
            (
                loss.detach(),
                [each.grad.clone() for each in model.parameters() if each.grad is not None],
            )
        )
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=0)
    for ours, pyros in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(ours, pyros, rtol=1e-4, atol=1e-4)


def test_the_mean_is_trace_elbos():
    # Means over 300 seeds of each, within 5 standard errors: about once in 10^6.
    model, x = hierarchical(), torch.rand(5, 4)

    def losses(elbo, first):
        with torch.no_grad():
            found = [
                seeded(
                    elbo.loss, model.sample_model, model.sample_guide, x, seed=first + n, total=5
                )
                for n in range(300)
            ]
        return torch.tensor(found, dtype=torch.double)

    ours, pyros = losses(PatchELBO(), 0), losses(Trace_ELBO(), 1000)
    error = 5 * math.hypot(float(ours.std()), float(pyros.std())) / 300**0.5
    assert float(ours.mean()) == pytest.approx(float(pyros.mean()), abs=error)
    # Counted once per patch, the global site would add four times its divergence.
    shared = float(kl_divergence(model.sites[0].width_posterior, dist.LogNormal(0.0, 1.0)).detach())
    assert error < 4 * shared


@pytest.mark.parametrize("elbo", [None, TraceMeanField_ELBO()])
def test_fit_finds_the_posterior_of_what_all_share(elbo):
    # Patches of nothing but noise: z keeps to its prior, whose width nothing tells of, so that the
    # global posterior goes to its prior, LogNormal(0, 1), whatever the batches.
    model = hierarchical()
    for weight in model.guide_module.parameters():
        nn.init.zeros_(weight)
    model.decoder.forward = lambda z, coordinates: model.decoder.level.expand(len(z), 4)
    model.sites[0].prior_given = lambda values: dist.Normal(torch.zeros(2), 1.0).to_event(1)
    options = {"batch_size": 20, "learning_rate": 0.1, "elbo": elbo, "progress": False}
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="collapsed"):
        history = fit(model, Patches.from_array(x), epochs=60, **options)
    assert list(history.site.values) == ["z", "width"]
    shared = kl_divergence(dist.LogNormal(0.4, math.exp(-1)), dist.LogNormal(0.0, 1.0))
    assert 0.5 * float(shared) < 40 * float(history.kl.sel(site="width")[0]) < float(shared)
    assert 40 * float(history.kl.sel(site="width")[-1]) < 0.1 * float(shared)
    np_kl = history.kl.sum("site") - history.log_likelihood
    torch.testing.assert_close(
        torch.tensor(history.loss.values), torch.tensor(np_kl.values), rtol=1e-5, atol=1e-5
    )
    assert float(history.kl_scale.sel(site="width")[0]) == 1


def test_what_comes_after_the_training_goes_by_what_was_found(tmp_path):
    model, x = hierarchical(), torch.rand(6, 4)
    widths = model.priors()["z"].stddev
    expected = model.sites[0].width_posterior.mean.expand(2).detach()
    torch.testing.assert_close(widths.reshape(-1), expected)
    maps = encode(model, Patches.from_array(x))
    single = encode(model, Patches.from_array(x[:1]))
    assert maps.z.shape == (6, 2)
    assert float(maps.elbo[0]) == pytest.approx(float(single.elbo[0]), abs=2)  # no part of 6 or 1
    grid = manifold(model, 3).z0.values
    assert grid[2] == pytest.approx(2 * float(widths.max()))
    assert diagnose(model, x) == []  # the posteriors, of width 1, tell something
    save(model, tmp_path / "model.pt")
    found = load(tmp_path / "model.pt", classes=[Hierarchical, Constant])
    torch.testing.assert_close(found.priors()["z"].stddev, widths)
    with torch.no_grad():
        model.sites[0].log_loc.fill_(0.0)
    assert "collapsed" in diagnose(model, x)[0]


def test_predictive_draws_what_all_share_once():
    model, x = hierarchical(), torch.rand(6, 4)
    found = Predictive(model.model, guide=model.guide, num_samples=7)(x, observe=False)
    assert found["width"].numel() == 7
    assert found["x"].shape == (7, 6, 4)
    loss = Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)
    assert math.isfinite(loss.loss(model.model, model.guide, x))


def test_a_plate_of_no_size_and_a_global_factor_count_as_in_pyro():
    def model(x):
        scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
        pyro.factor("once", -scale)
        with pyro.plate("data"):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x)), scale))
            pyro.sample("x", dist.Normal(z, 1.0), obs=x)

    def guide(x):
        pyro.sample("scale", dist.LogNormal(0.3, 0.5))
        with pyro.plate("data"):
            pyro.sample("z", dist.Normal(0.5 * x, 1.0))

    x = torch.rand(7)
    ours, pyros = (
        seeded(elbo.loss, model, guide, x) for elbo in (PatchELBO(), TraceMeanField_ELBO())
    )
    assert ours == pytest.approx(pyros, rel=1e-5)

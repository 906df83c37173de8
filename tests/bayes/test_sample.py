"""Chains against posteriors that are known, of every kind of site, and how they are labelled."""

import math

import linear
import numpy as np
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from arviz_stats.base import array_stats
from cases import CASES
from pyro import poutine
from torch import nn

import pyroshift as ps
from pyroshift.bayes import sample as module
from pyroshift.bayes.convergence import bulk_ess, r_hat
from pyroshift.bayes.joint import Joint, Reals
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.batch import gathered
from pyroshift.training.elbo import sample_sites

RANDOM = np.random.default_rng(0)
GROUPS = {"posterior", "observed_data", "log_likelihood", "sample_stats", "diagnostics"}


def quiet(*arguments, **options):
    return ps.sample(*arguments, progress=False, **options)


class Peak(nn.Module):
    """A peak of known shape, as high as z says; of images, a ridge on one side of the origin."""

    def forward(self, z, coordinates):
        axes = coordinates.dim() - 2
        height = 1 + 0.2 * z[:, :1].reshape(-1, *(1,) * axes)
        peak = (-coordinates.square().sum(-1) / 0.1).exp()
        return height * (peak if axes == 1 else torch.tanh(3 * coordinates[..., 1]))


def on_a_grid(log_density, *axes):
    """Means and standard deviations along each axis, by sums over all of a grid."""
    points = torch.cartesian_prod(*axes)
    shares = log_density(points).double().softmax(0)
    mean = shares @ points.double()
    return mean, (shares @ (points.double() - mean).square()).sqrt()


# What is drawn


@pytest.mark.parametrize(("kernel", "steps"), [("nuts", 120), ("hmc", 300)])
def test_draws_have_the_moments_of_the_exact_posterior(kernel, steps, untouched):
    x, model = linear.data(16, latents=3), linear.model(latents=3, narrow=0.6, shifted=1.0)
    mixed = np.array([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.5, 0.5, 0.7]]) @ linear.patterns(3)
    model.decoder.patterns.copy_(torch.tensor(mixed))
    with untouched():
        tree = quiet(model, x, draws=steps, warmup=80, kernel=kernel)
    covariance = np.linalg.inv(np.eye(3) + mixed @ mixed.T / linear.NOISE**2)
    mean, width = x @ mixed.T @ covariance / linear.NOISE**2, covariance.diagonal() ** 0.5
    z = tree["posterior"].z.values.reshape(-1, 16, 3)
    found = tree["diagnostics"]
    error = (z.mean(0) - mean) / width * np.sqrt(found.z_ess.values)
    assert np.sqrt(np.square(error).mean()) < 1.7  # of 48 numbers: beyond by chance once in 10^8
    # Of 16 posteriors with some 400 draws each: to 2%.
    own = np.mean([np.cov(each.T) for each in z.transpose(1, 0, 2)], 0)
    np.testing.assert_allclose(own / np.outer(width, width), covariance / np.outer(width, width),
                               atol=0.08)  # fmt: skip
    # Of halves of 60 draws each: to 0.01, and the largest of 48 to 0.05.
    assert float(found.z_r_hat.median()) < 1.02
    assert float(found.z_r_hat.max()) < 1.1
    assert float(found.z_ess.min()) > 100
    assert not tree["sample_stats"].diverging.any()
    assert 0.6 < float(tree["sample_stats"].acceptance_rate.mean()) < 1.0
    # The guide's, which is as wide as posteriors of orthogonal patterns would be, against draws.
    drawn = tree["posterior"].z
    maps = ps.encode(model, x)
    expected = (maps.z - drawn.mean(("chain", "draw"))) / drawn.std(("chain", "draw"))
    np.testing.assert_allclose(found.z_guide_error, expected, atol=1e-2)
    ratio = maps.z_std / drawn.std(("chain", "draw"))
    np.testing.assert_allclose(found.z_guide_width, ratio, rtol=1e-2)


def test_offsets_are_as_sums_over_all_and_importance_weights_have_them():
    """Under the prior as specified, although the guide has another, of bins."""
    model = ps.ShiftVAE(
        (24,), latent_dim=1, decoder=Peak(), likelihood=ps.Gaussian(0.3), guide="anchor",
        encoder=linear.Flat(),
        priors={"offset": dist.Normal(0.1, 0.15), "z": dist.Normal(0.0, 1.0)},
    ).eval()  # fmt: skip
    offset, z = torch.tensor([[-0.1], [0.15], [0.3]]), torch.tensor([[0.5], [-1.0], [0.0]])
    with torch.no_grad():
        expected = model.output({"offset": offset, "z": z})
        x = expected + 0.3 * torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    tree = quiet(model, x, draws=150, warmup=60)
    weighed = ps.posterior(model, x, draws=4000, predictive=False)
    unit = 12.0  # pixels in half a window
    for number, signal in enumerate(x):

        def log_density(points, signal=signal):
            values = {"offset": points[:, :1], "z": points[:, 1:]}
            data = dist.Normal(model.output(values), 0.3).log_prob(signal).sum(-1)
            priors = dist.Normal(0.1, 0.15), dist.Normal(0.0, 1.0)
            return data + sum(prior.log_prob(points[:, axis]) for axis, prior in enumerate(priors))

        grid = torch.linspace(-0.5, 0.7, 201), torch.linspace(-4.0, 4.0, 81)
        exact = on_a_grid(log_density, *grid)
        for axis, (name, factor) in enumerate({"offset": unit, "z": 1.0}.items()):
            mean, width = (float(each[axis]) * factor for each in exact)
            for draws in (tree, weighed):
                own = draws["posterior"][name].isel(patch=number)
                # Of 300 independent draws: to 0.06 and 0.04.
                assert abs(float(own.mean()) - mean) < 0.25 * width
                assert abs(float(own.std()) / width - 1) < 0.2
    assert float(tree["diagnostics"].offset_r_hat.max()) < 1.1


def test_an_angle_beyond_the_cut_stays_in_one_piece():
    sites = [ps.Angle(), ps.Content(1, dist.Normal(0.0, 1.0))]
    model = ps.PoseVAE((8, 8), sites, decoder=Peak(), likelihood=ps.Gaussian(1.0)).eval()
    angle, z = torch.tensor([math.pi - 0.03, 0.4]), torch.zeros(2, 1)
    with torch.no_grad():
        x = model.output({"angle": angle, "z": z})
    tree = quiet(model, x, draws=150, warmup=60)
    found, drawn = tree["diagnostics"], tree["posterior"].angle
    assert float(found.angle_r_hat.max()) < 1.1  # though chains begin anywhere
    assert float(np.abs(drawn).max()) <= math.pi + 1e-6
    first = drawn.isel(patch=0).values
    assert 0.2 < (first < 0).mean() < 0.8  # to either side of the cut
    for number in range(2):

        def log_density(points, x=x[number]):
            values = {"angle": points[:, 0], "z": points[:, 1:]}
            data = dist.Normal(model.output(values), 1.0).log_prob(x).sum((-2, -1))
            return data + dist.Normal(0.0, 1.0).log_prob(points[:, 1])

        around = angle[number] + torch.linspace(-math.pi, math.pi, 181)
        mean, width = on_a_grid(log_density, around, torch.linspace(-4.0, 4.0, 41))
        own = (drawn.isel(patch=number).values - float(mean[0]) + math.pi) % (2 * math.pi) - math.pi
        assert abs(own.mean()) < 0.25 * width[0]
        assert abs(own.std() / width[0] - 1) < 0.2


def test_classes_have_their_exact_probabilities_and_labels_are_heeded():
    x = ps.Patches.from_array(RANDOM.random((3, 12)).astype(np.float32))
    model = ps.VAE((12,), latent_dim=1, classes=3, likelihood=ps.Gaussian(0.3))
    each = [
        ps.evidence(model, x.assign(label=float(kind)), draws=500).log_evidence.values
        for kind in range(3)
    ]
    expected = np.exp(np.stack(each) - np.logaddexp.reduce(each))
    drawn = quiet(model, x, draws=200, warmup=40)["posterior"]["class"].values
    found = np.stack([(drawn == kind).mean((0, 1)) for kind in range(3)])
    np.testing.assert_allclose(found, expected, atol=0.08)  # of 800 draws: to 0.018
    known = quiet(model, x.assign(label=[0.0, np.nan, 2.0]), draws=20, warmup=30)
    drawn = known["posterior"]["class"].values
    assert (drawn[..., 0] == 0).all()
    assert (drawn[..., 2] == 2).all()
    assert len(np.unique(drawn[..., 1])) > 1


@pytest.mark.parametrize("case", ["grid, normal", "kinds", "gaps", "brightness", "hierarchical"])
def test_densities_are_those_of_the_pair(case):
    """Of a pair whose guide bins nothing, as its own trace has them, kind by kind."""
    patches, model = CASES["atoms, classes" if case == "kinds" else case]()
    if case in ("kinds", "gaps", "brightness"):
        model = {
            "kinds": lambda: ps.RVAE(6, offsets=True, classes=3, flips=True, guide="normal"),
            "gaps": lambda: ps.ShiftVAE(8, guide="normal"),
            "brightness": lambda: ps.ShiftVAE(8, brightness="site", guide="normal"),
        }[case]()
    index, shared = torch.tensor([1, 0, 1]), model.global_values()
    batch = gathered(model.with_needs(patches), index)
    conditioned = poutine.condition(model.eval().sample_model, data=shared)
    traced = sample_sites(poutine.trace(conditioned).get_trace(batch))
    data = traced.pop("x")
    latent = {name: site["value"] for name, site in traced.items() if name not in shared}
    kind = model.kind_of(latent) if model.discrete else torch.zeros(3, dtype=torch.long)
    names = {site.name for site in model.discrete}
    prior, likelihood = Joint(model, model.with_needs(patches), index).by_kind(
        {name: value for name, value in latent.items() if name not in names}
    )
    expected = sum(traced[name]["fn"].log_prob(latent[name]) for name in latent)
    for found, own in ((prior, expected), (likelihood, data["fn"].log_prob(data["value"]))):
        assert found.shape == (3, model.kinds)
        torch.testing.assert_close(found[torch.arange(3), kind].float(), own, atol=1e-4, rtol=1e-5)


def test_real_numbers_stand_for_the_values_of_every_support():
    priors = {"offset": dist.Uniform(-0.4, 0.6), "angle": dist.Uniform(0.0, 2 * math.pi)}
    model = ps.RVAE(8, latent_dim=1, offsets=True, scales=True, priors=priors, guide="normal")
    reals, vector = Reals(model), torch.linspace(-8.0, 8.0, 50).reshape(10, 5).requires_grad_()
    values, stretched = reals.values(vector)
    for site in reals.sites:
        assert bool(site.prior.support.check(values[site.name]).all()), site.name
    # What is stretched by is the determinant of the derivative.
    for row in range(10):
        jacobian = torch.autograd.functional.jacobian(
            lambda one: torch.cat([each.flatten() for each in reals.values(one[None])[0].values()]),
            vector[row].detach(),
        )  # fmt: skip
        torch.testing.assert_close(
            jacobian.det().abs().log(), stretched[row].detach(), atol=1e-3, rtol=1e-3
        )
    again = reals.values(reals.vector(values))[0]
    inside = (values["offset"] > -0.38).all(1) & (values["offset"] < 0.58).all(1)
    for name, value in values.items():
        torch.testing.assert_close(again[name][inside], value[inside], atol=1e-4, rtol=1e-4)
    beyond = {**values, "offset": torch.full((10, 2), 3.0)}
    assert bool(torch.isfinite(reals.vector(beyond)).all())


# Whether chains agree


def test_agreement_is_that_of_processes_that_are_known():
    random = torch.Generator().manual_seed(1)
    noise, draws = torch.randn(4, 4000, 3, generator=random), torch.zeros(4, 4000, 3)
    for step in range(1, 4000):
        draws[:, step] = 0.7 * draws[:, step - 1] + noise[:, step]
    worth = bulk_ess(draws[:, 100:])
    assert ((worth / (4 * 3900 * 0.3 / 1.7) - 1).abs() < 0.2).all()
    assert (r_hat(draws[:, 100:]) < 1.01).all()
    apart, wider = draws.clone(), draws.clone()
    apart[0] += 3
    wider[0] *= 4
    assert (r_hat(apart) > 1.1).all()
    assert (r_hat(wider) > 1.1).all()
    assert (r_hat(draws.exp() ** 5) < 1.01).all()  # only ranks count, so no tail is too heavy
    assert r_hat(torch.ones(4, 100, 2)).tolist() == [1.0, 1.0]
    assert r_hat(torch.arange(4.0).reshape(4, 1, 1).expand(4, 100, 1)).tolist() == [math.inf]
    assert bulk_ess(torch.ones(4, 100, 2)).tolist() == [400.0, 400.0]
    lone = torch.zeros(2, 5, 1)
    lone[0, 2] = 1  # which is in neither half
    assert bulk_ess(lone).tolist() == [10.0]


def test_agreement_is_that_of_arviz():
    draws = torch.randn(4, 200, 3, generator=torch.Generator().manual_seed(2)).cumsum(1)
    draws[..., 0].round_()
    for axis in range(3):
        one = draws[..., axis]
        expected = array_stats.rhat(one.numpy(), chain_axis=0, draw_axis=1)
        np.testing.assert_allclose(r_hat(one), expected, rtol=1e-3)
        expected = array_stats.ess(one.numpy(), chain_axis=0, draw_axis=1, method="bulk")
        np.testing.assert_allclose(bulk_ess(one), expected, rtol=0.1)


# How it is labelled


@pytest.mark.parametrize("case", CASES)
def test_groups_are_labelled_as_maps_are(case, untouched, monkeypatch):
    monkeypatch.setattr(module.markov, "_DEEPEST", 3)  # what is drawn is of no matter
    patches, model = CASES[case]()
    patches = patches.subset(torch.arange(0, len(patches), 3))
    model.train()
    with untouched():
        tree = quiet(model, patches, draws=5, warmup=30, chains=2)
    assert model.training
    assert all(each.grad is None for each in model.parameters())
    assert set(tree.children) == GROUPS
    maps, weighed = ps.encode(model, patches), ps.posterior(model, patches, 25, predictive=False)
    for name, expected in weighed["posterior"].data_vars.items():
        values = tree["posterior"][name]
        assert values.dims == expected.dims
        assert values.attrs == expected.attrs
        assert values.sizes["chain"] == 2
        assert values.sizes["draw"] == 5
        there = values.notnull().all(("chain", "draw"))
        np.testing.assert_array_equal(there, maps[name].notnull())
        for ending in ("r_hat", "ess", *(("guide_error", "guide_width") if name in maps else ())):
            if name in ("class", "flip") and ending.startswith("guide"):
                continue
            diagnosed = tree["diagnostics"][f"{name}_{ending}"]
            assert diagnosed.dims == maps[name].dims
            assert diagnosed.units == "1"
            np.testing.assert_array_equal(diagnosed.notnull(), maps[name].notnull())
        for own, coordinate in tree["posterior"].coords.items():
            if own not in ("chain", "draw"):
                assert coordinate.variable.identical(maps[own].variable), own
    for group in ("observed_data", "log_likelihood"):
        assert tree[group].patches.dims == weighed[group].patches.dims
    xr.testing.assert_identical(
        tree["observed_data"].to_dataset(), weighed["observed_data"].to_dataset()
    )
    for name in ("lp", "diverging", "acceptance_rate", "step_size"):
        assert tree["sample_stats"][name].dims == weighed["sample_stats"].lp.dims


def test_smooth_latents_and_uncertain_weights_are_no_hindrance(monkeypatch):
    monkeypatch.setattr(module.markov, "_DEEPEST", 3)
    patches = ps.extract_patches(RANDOM.random((16, 16)), 8, 4).subset(torch.arange(2))
    decoder = ps.BayesianDecoder(ps.SpatialDecoder((8, 8), latent_dim=2, hidden=(8,)))
    for model in (
        ps.ShiftVAE(8, priors={"z": ps.priors.Matern(2)}),
        ps.VAE(8, decoder=decoder),
    ):
        tree = quiet(model, patches, draws=4, warmup=30, chains=1)
        assert set(tree["posterior"].data_vars) == {site.name for site in model.given_sites}
        assert int(tree["posterior"].z.notnull().sum()) == 2 * 4 * 2  # patches, draws, latents


# What it does when asked, and what not


def test_repeats_itself_and_can_vary():
    x, model = linear.data(3), linear.model()
    options = {"draws": 10, "warmup": 30, "chains": 2}
    tree = quiet(model, x, **options)
    torch.rand(1)  # whatever the user's own random state
    xr.testing.assert_identical(tree, quiet(model, x, **options))
    assert not tree["posterior"].equals(quiet(model, x, seed=1, **options)["posterior"])


def test_keeps_what_is_done_when_interrupted(monkeypatch, capsys):
    x, model, run, calls = linear.data(5), linear.model(), module.markov.run, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(*arguments)

    monkeypatch.setattr(module.markov, "run", interrupted)
    monkeypatch.setattr(module, "_ROWS", 4)  # two patches of two chains each
    tree = quiet(model, x, draws=5, warmup=30, chains=2)
    there = tree["posterior"].z.notnull().all(("chain", "draw", "latent"))
    assert there.values.tolist() == [True, True, False, False, False]
    assert "before patch 3 of 5" in capsys.readouterr().out
    calls[:] = [()]
    with pytest.raises(KeyboardInterrupt):
        quiet(model, x, draws=5, warmup=30)


def test_says_what_is_wrong_before_it_starts(monkeypatch):
    x, model = linear.data(3), linear.model()
    monkeypatch.setattr(module, "Drawing", None)
    for options, message in (
        ({"draws": 3}, "draws must be a whole number of at least 4"),
        ({"warmup": 29}, "warmup must be a whole number of at least 30"),
        ({"chains": 0}, "chains must be"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"limit": 0}, "limit must be"),
        ({"limit": 2}, r"3 patches .* patches.subset"),
    ):
        with pytest.raises(DataError, match=message):
            ps.sample(model, x, **options)
    scattered = ps.extract_patches(np.zeros((400, 400)), 8, 1).subset(torch.arange(3))
    with pytest.raises(DataError, match="from_array"):
        ps.sample(ps.ShiftVAE(8), scattered, chains=8)
    with pytest.raises(SpecificationError, match="kernel must be one of"):
        ps.sample(model, x, kernel="gibbs")
    with pytest.raises(SpecificationError, match="expected a model"):
        ps.sample(x, model)

"""The anchor guide: its search against brute force, that its bound is one, and what it finds.

The models with decoders made by hand know their motif, so what the guide should find is known too.
"""

import copy
import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from glyphs import Blobs, Peak, Waves, bound_and_log_weights, handmade, patches_of, randomised
from pyro import poutine
from torch.distributions import kl_divergence

from pyroshift import (
    RVAE,
    VAE,
    AnchorGuide,
    Angle,
    CanvasDecoder,
    Content,
    FullyConnectedEncoder,
    Offset,
    PatchELBO,
    Patches,
    PoseVAE,
    Scale,
    ShiftVAE,
    decode,
    encode,
    fit,
    load,
    save,
    synthetic,
)
from pyroshift.errors import SpecificationError
from pyroshift.guides.memory import RENEWED
from pyroshift.model.likelihoods import Gaussian

CIRCLE = dist.Uniform(-math.pi, math.pi)


def small(kind, window, *arguments, **options):
    return kind(window, *arguments, encoder=FullyConnectedEncoder(window, (8,)), **options)


def seeded(seed, function, *arguments):
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        return function(*arguments)


def terms_of(model, x, *arguments):
    return PatchELBO().terms(model.sample_model, model.sample_guide, x, *arguments)


def bin_logits(model, x):
    """The guide's log posterior of each bin, `batch x bin`."""
    found = poutine.trace(model.sample_guide).get_trace(x).nodes["pose"]["fn"]
    assert isinstance(found, dist.Categorical)
    return found.logits


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def mean_and_error(values):
    values = values.double()
    return float(values.mean()), float(values.std()) / len(values) ** 0.5


# The search

# Others' natural parameters propose, and don't tell all of the density.
EXACT = ("gaussian", "bernoulli", "continuous_bernoulli", "poisson", "negative_binomial")
SEARCHED = {
    "signals": (ShiftVAE, (12,), {}),
    "images": (ShiftVAE, (6, 8), {"offset_scale": 0.2}),
    "odd images": (ShiftVAE, (7, 5), {"priors": {"offset": dist.Uniform(-0.6, 0.3)}}),
    "lattice": (ShiftVAE, (8, 8), {"period": 4}),
    "angles": (RVAE, (6, 6), {"priors": {"angle": CIRCLE}}),
    "everything": (
        RVAE,
        (5, 6),
        {"offsets": True, "scales": True, "offset_scale": 0.15, "angle_scale": 0.3},
    ),
}


@torch.no_grad()
def brute_force(model, x):
    """Log posterior of each bin: every motif decoded at every bin's centre, and scored."""
    pose = model.sites[0]
    every = torch.arange(math.prod(pose.shape))
    values = {
        site.name: pose.centre(site.name, every)
        if site.name in ("offset", "angle")
        else site.prior.mean.expand(len(every))
        for site in model.pose_sites
    }
    score = []
    content = next(site for site in model.contents if site.name == "z")
    for anchor in model.guide_module._anchors(model)[0]:
        inputs = anchor.inputs
        latents = content.frame.inward(inputs) if content.canonical else inputs
        each = [model.output(values | {"z": z.expand(len(every), -1)}) for z in latents]
        output = torch.stack(each).mean(0)
        distribution = model.likelihood.distribution(output)
        score.append([distribution.log_prob(patch).flatten(1).sum(1) for patch in x])
    score = torch.stack([torch.stack(each) for each in score])
    return (score.logsumexp(0) + pose.log_mass).log_softmax(1)


@pytest.mark.parametrize("anchors", [1, 3])
@pytest.mark.parametrize("likelihood", EXACT)
@pytest.mark.parametrize("case", SEARCHED)
def test_the_search_is_exact(case, likelihood, anchors):
    kind, window, options = SEARCHED[case]
    guide = AnchorGuide(anchors, reduction=1)
    model = small(kind, window, likelihood=likelihood, guide=guide, **options)
    x = torch.rand(4, *window)
    x = (9 * x).round() if likelihood in ("poisson", "negative_binomial") else x
    model.likelihood.prepare(0.0, 1.0, float(x.mean()), float(x.std()))
    model, x = randomised(model).double(), x.double()
    found, expected = bin_logits(model, x), brute_force(model, x)
    possible = torch.isfinite(expected)
    assert torch.equal(torch.isfinite(found), possible)
    torch.testing.assert_close(found[possible], expected[possible], rtol=1e-5, atol=1e-4)
    # And it says something: it is not the prior.
    assert float((found.exp() - model.sites[0].log_mass.exp()).abs().max()) > 0.01


@pytest.mark.parametrize("window", [(24, 24), (25, 31), (48,)], ids=str)
def test_the_search_at_half_the_resolution_finds_the_same(window):
    sites = [Offset(dist.Uniform(-0.4, 0.4), ndim=len(window)), Content(1)]
    model = handmade(window, sites, Peak(), guide=AnchorGuide(reduction=2))
    offset = 0.6 * torch.rand(50, len(window)) - 0.3
    x = patches_of(model, {"offset": offset, "z": torch.zeros(50, 1)})
    centre = model.sites[0].centre("offset", bin_logits(model, x).argmax(1))
    # The nearest bin, give or take its reduced pixels.
    assert float((centre - offset).abs().max()) < 1.5 * 2 / (max(window) / 2)


@pytest.mark.parametrize(("window", "pitch"), [((40, 23), 1), ((24, 24), 2), ((200,), 1)], ids=str)
def test_large_images_are_searched_at_half_the_resolution(window, pitch):
    assert ShiftVAE(window, guide="anchor").sites[0].pitch == pitch
    assert ShiftVAE(window, guide=AnchorGuide(reduction=3)).sites[0].pitch == 3


def test_the_first_anchor_is_the_priors_mean_and_others_are_drawn():
    prior = dist.Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.1, 3.0]))
    model = ShiftVAE((12,), guide=AnchorGuide(400), priors={"z": prior})
    anchors = model.guide_module.anchor_latents
    assert anchors.shape == (400, 2)
    torch.testing.assert_close(anchors[0], prior.mean)
    # 399 draws: the standard deviation is known to 3.5%; 5 of these.
    torch.testing.assert_close(anchors[1:].std(0), prior.stddev, rtol=0.18, atol=0)


def test_the_mean_motif_is_that_of_the_latents_of_late():
    model = small(RVAE, (6, 6), guide="anchor")
    guide = model.guide_module
    before, steps = guide.typical.clone(), 3
    assert torch.equal(before, model.decoder_input(guide.anchor_latents).expand_as(before))
    drawn = []
    for _ in range(steps):
        model.sample_guide(torch.rand(40, 6, 6))
        drawn.append(guide.typical[-RENEWED:])
        assert len(drawn[-1].unique(dim=0)) == RENEWED
    kept = steps * RENEWED
    expected = torch.cat((before[kept:], *drawn))
    torch.testing.assert_close(guide.typical, expected)
    model.eval().sample_guide(torch.rand(40, 6, 6))
    torch.testing.assert_close(guide.typical, expected)


@pytest.mark.parametrize("alone", [True, False])
def test_the_origin_follows_where_windows_show_one_motif_each(alone):
    # One peak in each window, or one in every eighth sample.
    x = torch.zeros(300, 32)
    for row, place in zip(x, torch.randint(18, 30, (300,)), strict=True):
        row[place if alone else place % 8 :: 32 if alone else 8] = 1.0
    model = small(ShiftVAE, (32,), 1, guide="anchor", priors={"offset": dist.Uniform(-0.9, 0.9)})
    fit(model, Patches.from_array(x), epochs=2, batch_size=30, progress=False)
    assert bool(model.origin.any()) is alone


def test_patches_are_placed_by_the_mean_motif_and_not_by_one():
    # A peak that is the further to the right the more z is off zero, by 0.04 z squared. Placed by
    # that of z = 0, all others would be to the right of it.
    class Bent(Peak):
        def forward(self, z, coordinates):
            return super().forward(0 * z, coordinates - 0.04 * z.reshape(-1, 1, 1).square())

    model = handmade((40,), [Offset(dist.Uniform(-0.6, 0.6), ndim=1), Content(1)], Bent())
    z = torch.randn(400, 1)
    typical = dist.Normal(0.0, 1.0).icdf((torch.arange(8) + 0.5) / 8)
    model.guide_module.typical = model.decoder_input(typical.unsqueeze(1))
    x = patches_of(model, {"offset": torch.zeros(400, 1), "z": z})
    found = model.sites[0].centre("offset", bin_logits(model, x).argmax(1))
    assert float(found.mean()) == pytest.approx(0, abs=0.02)


def test_the_best_anchor_explains_each_patch(untouched):
    # Motifs that differ much: with one anchor only, the search can only find those like it.
    class Either(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Peak(), Blobs((0.0,), (0.3,), width=0.05)

        def forward(self, z, coordinates):
            share = torch.sigmoid(8 * z)
            return share * self.first(z, coordinates) + (1 - share) * self.second(z, coordinates)

    sites = [Offset(dist.Uniform(-0.4, 0.4), ndim=1), Content(1)]
    with untouched():
        model = handmade((40,), sites, Either(), guide=AnchorGuide(8))
    anchors = model.guide_module.anchor_latents
    assert float(anchors.min()) < -0.5 < 0.5 < float(anchors.max())
    offset, z = 0.05 * torch.arange(-6.0, 7).reshape(-1, 1), torch.ones(13, 1)
    for sign in (1, -1):
        x = patches_of(model, {"offset": offset, "z": sign * z})
        found = model.sites[0].centre("offset", bin_logits(model, x).argmax(1))
        torch.testing.assert_close(found, offset, rtol=0, atol=1e-4)


# The bound


def tiny(name):
    """A model small enough to integrate over everything, and the grids to do it on."""
    z = torch.linspace(-6, 6, 121)
    if name == "offset":
        sites = [Offset(dist.Normal(0.0, 0.4), ndim=1), Content(1)]
        decoder = CanvasDecoder((8,), 1, margin=8, hidden=(8,))
        return (8,), sites, decoder, [torch.linspace(-2, 2, 1601)], z
    if name == "angle":
        sites = [Angle(dist.Normal(0.0, 0.8)), Content(1)]
        decoder = CanvasDecoder((5, 5), 1, margin=2, hidden=(8,))
        return (5, 5), sites, decoder, [torch.linspace(-3, 3, 1201)], z
    scale, scales = dist.LogNormal(0.0, 0.3), torch.linspace(-1.8, 1.8, 121).exp()
    if name == "offset and bounded scale":
        scale, scales = dist.AffineBeta(4.0, 4.0, 0.5, 1.0), torch.linspace(0.501, 1.499, 121)
    sites = [Offset(dist.Uniform(-0.5, 0.5), ndim=1), Scale(scale), Content(1)]
    decoder = CanvasDecoder((6,), 1, margin=8, hidden=(8,))
    return (6,), sites, decoder, [torch.linspace(-1.5, 1.5, 241), scales], torch.linspace(-5, 5, 61)


def trapezoid(grid):
    """Widths of the cells about a grid's points."""
    edges = torch.cat((grid[:1], (grid[1:] + grid[:-1]) / 2, grid[-1:]))
    return edges.diff()


@torch.no_grad()
def log_evidence(model, x, grids, z):
    """Of one patch, by summing over all poses and latents."""
    sites = model.pose_sites
    pose = torch.cartesian_prod(*grids).reshape(-1, len(grids))
    weight = torch.cartesian_prod(*map(trapezoid, grids)).reshape(-1, len(grids)).log().sum(1)
    bins, prior = model.sites[0], torch.zeros(len(pose), dtype=x.dtype)
    values = {}
    for site, value in zip(sites, pose.T, strict=True):
        values[site.name] = value.unsqueeze(1) if site.event_shape else value
        if site.name == "scale":
            prior = prior + site.prior.log_prob(value)
        else:
            every = torch.arange(math.prod(bins.shape))
            about = site.prior_given({"pose": every})
            density = about.log_prob(values[site.name].unsqueeze(1)) + bins.log_mass
            prior = prior + density.logsumexp(1)
    total = []
    for latent, width in zip(z, trapezoid(z), strict=True):
        output = model.output(values | {"z": latent.expand(len(pose), 1)})
        fit = model.likelihood.distribution(output).log_prob(x).flatten(1).sum(1)
        each = (fit + prior + weight).logsumexp(0)
        total.append(each + dist.Normal(0.0, 1.0).log_prob(latent) + width.log())
    return float(torch.stack(total).logsumexp(0))


@pytest.mark.parametrize("anchors", [1, 4])
@pytest.mark.parametrize(
    "name", ["offset", "angle", "offset and scale", "offset and bounded scale"]
)
def test_the_bound_is_below_the_evidence_and_its_weights_average_to_it(name, anchors):
    # Over 20,000 samples, within 5 standard errors: about once in 10^6 for a fresh seed.
    window, sites, decoder, grids, z = tiny(name)
    model = PoseVAE(
        window,
        sites,
        decoder=decoder,
        likelihood=Gaussian(0.7),
        encoder=FullyConnectedEncoder(window, (8,)),
        guide=AnchorGuide(anchors, turn=0.5),
    )
    model = randomised(model, 0.5).double()
    grids, z = [grid.double() for grid in grids], z.double()
    x = model.sample_model(n=1).detach()
    evidence = log_evidence(model, x, grids, z)
    bounds, log_weights = bound_and_log_weights(model, x[0], 20_000)
    bound, error = mean_and_error(bounds)
    assert bound < evidence + 5 * error
    assert bound > evidence - 5
    assert error < 0.1
    # No site is left out, and none counted twice: the same terms, and the evidence on average.
    mean, its_error = mean_and_error(log_weights)
    assert bound == pytest.approx(mean, abs=5 * math.hypot(error, its_error))
    ratio, ratio_error = mean_and_error((log_weights - evidence).exp())
    assert ratio == pytest.approx(1, abs=5 * ratio_error)
    assert ratio_error < 0.1


TWO_HUMPS = dist.Categorical(torch.ones(2)), dist.Normal(torch.tensor([-1.5, 1.5]), 0.5)
CONTENT_PRIORS = {
    "heavy tails": dist.StudentT(3.0),
    "no moments": dist.Cauchy(0.0, 1.0),
    "mixture": dist.MixtureSameFamily(*TWO_HUMPS),
    "correlated": dist.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.8], [0.8, 1.0]])),
}


@pytest.mark.parametrize("anchors", [1, 3])
@pytest.mark.parametrize("prior", CONTENT_PRIORS.values(), ids=CONTENT_PRIORS)
def test_other_priors_of_z_keep_the_bound_a_bound(prior, anchors):
    # Over 10,000 samples, within 5 standard errors: about once in 10^6 for a fresh seed.
    guide = AnchorGuide(anchors)
    model = randomised(
        small(ShiftVAE, (12,), 2, Gaussian(2.0), guide=guide, priors={"z": prior}), 0.3
    )
    torch.nn.init.constant_(model.guide_module.head.bias, 1.0)  # far from the prior
    x = model.sample_model(n=1).detach()
    bounds, log_weights = bound_and_log_weights(model, x[0])
    (bound, error), (mean, its_error) = mean_and_error(bounds), mean_and_error(log_weights)
    assert bound == pytest.approx(mean, abs=5 * math.hypot(error, its_error))
    assert float(terms_of(model, x.expand(100, -1)).kl["z"].detach().mean()) > 10 * error


def test_the_kl_of_the_bins_is_the_closed_form():
    x = torch.rand(5, 6, 8)
    model = randomised(small(RVAE, (6, 8), offsets=True, guide="anchor"))
    terms = seeded(1, terms_of, model, x)
    logits, log_mass = bin_logits(model, x), model.sites[0].log_mass
    by_hand = (logits.exp() * (logits - log_mass)).sum(1)
    torch.testing.assert_close(terms.kl["pose"], by_hand)
    prior = dist.Categorical(logits=log_mass.expand(5, -1))
    torch.testing.assert_close(
        terms.kl["pose"], kl_divergence(dist.Categorical(logits=logits), prior)
    )
    assert float(terms.kl["pose"].min()) > 0.1


def test_bins_that_are_impossible_cost_nothing():
    model = randomised(small(ShiftVAE, (8, 8), period=3, guide="anchor"))
    assert not bool(torch.isfinite(model.sites[0].log_mass).all())
    terms = terms_of(model, torch.rand(5, 8, 8))
    assert bool(torch.isfinite(terms.elbo).all())
    assert bool((terms.kl["pose"] >= 0).all())
    assert bool((terms.kl["pose"] <= math.log(9) + 1e-4).all())


def test_the_weight_of_the_bins_counts():
    x = torch.rand(5, 6, 8)
    model = randomised(small(ShiftVAE, (6, 8), guide="anchor"))
    weights = {"pose": 0.3, "offset": 0.2, "z": 2.0}
    terms = terms_of(model, x, weights)
    assert terms.weights == pytest.approx(weights)
    weighted = sum(weights[name] * value for name, value in terms.kl.items())
    torch.testing.assert_close(terms.objective, weighted - terms.log_likelihood)
    with pytest.raises(SpecificationError, match="no entry for site 'pose'"):
        terms_of(model, x, {"offset": 0.2, "z": 2.0})


def test_gradients_do_not_pass_through_the_search():
    model = randomised(small(ShiftVAE, (12,), guide="anchor")).train()
    trace = poutine.trace(model.sample_guide).get_trace(torch.rand(3, 12))
    assert not bin_logits(model, torch.rand(3, 12)).requires_grad
    assert not trace.nodes["offset"]["value"].requires_grad
    assert trace.nodes["z"]["value"].requires_grad


LEVELS = {"bernoulli": 0.3, "continuous_bernoulli": 1.0, "gaussian": 5.0, "poisson": 0.0}


@pytest.mark.parametrize("likelihood", LEVELS)
@pytest.mark.parametrize(
    ("kind", "window", "options"),
    [(ShiftVAE, (12,), {}), (RVAE, (8, 8), {"offsets": True, "scales": True})],
)
def test_flat_patches_have_finite_bounds(kind, window, options, likelihood):
    model = small(kind, window, likelihood=likelihood, guide="anchor", **options)
    patches = Patches.from_array(np.full((6, *window), LEVELS[likelihood], np.float32))
    history = fit(model, patches, epochs=3, batch_size=3, learning_rate=1e-2, progress=False)
    assert np.isfinite(history.loss).all()
    maps = encode(model, patches)
    for name, values in maps.data_vars.items():
        assert np.isfinite(values).all(), name
    # Nothing is known of the pose, and this is said.
    log_mass = model.sites[0].log_mass
    entropy = float(dist.Categorical(logits=log_mass).entropy())
    np.testing.assert_allclose(maps.pose_entropy, entropy, rtol=0.2)


def test_one_flat_patch_among_others():
    x = torch.rand(4, 12)
    x[2] = 0.5
    model = small(ShiftVAE, (12,), guide="anchor").eval()
    model.likelihood.prepare(0.0, 1.0, 0.5, 0.3)
    assert bool(torch.isfinite(terms_of(model, x).elbo).all())
    assert bool(torch.isfinite(terms_of(model, x[2:3]).elbo).all())


@pytest.mark.parametrize("sigma", [0.1, 0.01, 0.001])
def test_a_motif_that_tells_no_angle_has_finite_bounds(sigma):
    # As round as can be, and off its frame's origin, where turning it is moving it.
    sites = [Offset(), Angle(), Scale(), Content(1)]
    model = handmade((20, 20), sites, Blobs((0.6, -0.6)), likelihood=Gaussian(sigma))
    values = {"offset": 0.2 * torch.randn(30, 2), "angle": torch.randn(30),
              "scale": torch.ones(30), "z": torch.zeros(30, 1)}  # fmt: skip
    x = patches_of(model, values) + sigma * torch.randn(30, 20, 20)
    assert bool(torch.isfinite(terms_of(model, x).elbo).all())
    summary = model.guide_module.summary(model, x)
    assert all(bool(torch.isfinite(value).all()) for value in summary.values())
    assert bool((summary["angle_std"] > 0).all())


# What it finds


def glyphs_about(model, n=60, seed=0, reach=0.3):
    """Patches of a model over its poses, and these."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        values = {"z": torch.zeros(n, 1)}
        for site in model.pose_sites:
            uniform = 2 * torch.rand(n, *site.event_shape) - 1
            values[site.name] = {
                "offset": reach * uniform, "angle": math.pi * uniform, "scale": 1 + 0.1 * uniform,
            }[site.name]  # fmt: skip
        return patches_of(model, values), values


def turning_model(window=(20, 20), **options):
    sites = [Offset(dist.Uniform(-0.5, 0.5)), Angle(CIRCLE), Content(1)]
    return handmade(window, sites, Peak(), **options)


def wrapped(angle):
    return np.angle(np.exp(1j * np.asarray(angle)))


def test_poses_are_found_over_the_whole_window_and_the_whole_circle():
    model = turning_model()
    x, truth = glyphs_about(model, 200)
    maps = encode(model, Patches.from_array(x))
    np.testing.assert_allclose(maps.offset / 10, truth["offset"], atol=2e-3)
    assert np.abs(wrapped(maps.angle - truth["angle"].numpy())).max() < 5e-3
    # And they are there in the data, as `decode` shows.
    np.testing.assert_allclose(decode(model, maps), x, atol=0.1)


def test_peaks_are_found_over_the_whole_window():
    sites = [Offset(dist.Uniform(-0.95, 0.95), ndim=1), Content(1)]
    model = handmade((64,), sites, Peak())
    x, truth = glyphs_about(model, 300, reach=0.9)
    maps = encode(model, Patches.from_array(x))
    np.testing.assert_allclose(maps.offset / 32, truth["offset"], atol=2e-3)
    # The bins' posterior is sharp, and the best mode is the only one.
    assert float(maps.pose_entropy.max()) < 1
    assert float(maps.mode_probability[:, 0].min()) > 0.99


def test_scales_are_found():
    sites = [Offset(dist.Uniform(-0.4, 0.4)), Scale(dist.LogNormal(0.0, 0.1)), Content(1)]
    model = handmade((20, 20), sites, Peak())
    x, truth = glyphs_about(model, 60, reach=0.25)
    maps = encode(model, Patches.from_array(x))
    np.testing.assert_allclose(maps.scale, truth["scale"], atol=0.03)
    np.testing.assert_allclose(maps.offset / 10, truth["offset"], atol=5e-3)


def test_uncertainties_are_those_of_the_noise():
    # 600 errors over their stated width: its spread is known to 3%, the mean to 4%; 5 of these.
    # Errors are the truth's, so nothing here is the guide's own but the width.
    sigma, sites = 0.2, [Offset(dist.Uniform(-0.5, 0.5), ndim=1), Content(1)]
    model = handmade((64,), sites, Peak(), likelihood=Gaussian(sigma))
    with torch.no_grad():  # the encoder of z has seen nothing: let it say nothing
        model.guide_module.head.weight.zero_()
    _, truth = glyphs_about(model, 600)
    truth["z"] = torch.randn(600, 1)  # unknown to the guide, as its width of z says
    x = patches_of(model, truth)
    maps = encode(model, Patches.from_array(x + sigma * torch.randn_like(x)))
    score = (maps.offset[:, 0] / 32 - truth["offset"][:, 0].numpy()) / (maps.offset_std[:, 0] / 32)
    assert float(score.mean()) == pytest.approx(0, abs=0.2)
    assert float(score.std()) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("shift", [(3, 0), (0, -2), (-4, 3)], ids=str)
def test_a_patch_moved_by_whole_pixels_has_that_offset_and_the_same_content(shift):
    model = turning_model()
    x, _ = glyphs_about(model, 40, reach=0.15)
    moved = torch.roll(x, shift, (1, 2))
    here, there = (encode(model, Patches.from_array(patches)) for patches in (x, moved))
    np.testing.assert_allclose(there.offset - here.offset, np.tile(shift, (40, 1)), atol=0.01)
    np.testing.assert_allclose(wrapped(there.angle - here.angle), 0, atol=2e-3)
    for name in ("z", "z_std", "offset_std", "angle_std"):
        np.testing.assert_allclose(there[name], here[name], rtol=0.02, atol=2e-3, err_msg=name)


@pytest.mark.parametrize("shift", [5, -11])
def test_a_signal_moved_by_whole_samples_has_that_offset_and_the_same_content(shift):
    model = handmade((64,), [Offset(dist.Uniform(-0.9, 0.9), ndim=1), Content(1)], Peak())
    x, _ = glyphs_about(model, 40, reach=0.15)
    here, there = (
        encode(model, Patches.from_array(patches)) for patches in (x, torch.roll(x, shift, 1))
    )
    np.testing.assert_allclose(there.offset - here.offset, shift, atol=0.01)
    np.testing.assert_allclose(there.z, here.z, atol=2e-3)


@pytest.mark.parametrize("quarters", [1, 2, -1])
def test_a_patch_turned_has_that_angle_and_the_same_content(quarters):
    # Counter-clockwise as displayed: right (y, x) = (0, 1) goes up (-1, 0).
    model = turning_model()
    x, _ = glyphs_about(model, 40)
    turned = torch.rot90(x, quarters, (1, 2))
    here, there = (encode(model, Patches.from_array(patches)) for patches in (x, turned))
    turn = wrapped(there.angle - here.angle - quarters * math.pi / 2)
    np.testing.assert_allclose(turn, 0, atol=2e-3)
    moved = (here.offset[:, 0] + 1j * here.offset[:, 1]) * 1j**quarters
    np.testing.assert_allclose(there.offset, np.stack((moved.real, moved.imag), 1), atol=0.01)
    np.testing.assert_allclose(there.z, here.z, atol=2e-3)


def test_a_patch_turned_by_a_bin_has_that_angle_and_the_same_content():
    model = turning_model()
    turn = model.sites[0].turn
    _, values = glyphs_about(model, 40)
    x = [patches_of(model, values | {"angle": values["angle"] + k * turn}) for k in (0, 1, 5)]
    maps = [encode(model, Patches.from_array(patches)) for patches in x]
    for number, found in zip((1, 5), maps[1:], strict=True):
        turned = wrapped(found.angle - maps[0].angle - number * turn)
        np.testing.assert_allclose(turned, 0, atol=5e-3)
        np.testing.assert_allclose(found.z, maps[0].z, atol=5e-3)


def test_the_encoder_sees_no_pose():
    # Whatever the offset and the angle, to within interpolation, the encoder sees the same.
    class Watching(FullyConnectedEncoder):
        seen: list = []  # noqa: RUF012

        def forward(self, x):
            self.seen.append(x)
            return super().forward(x)

    model = turning_model(encoder=Watching((20, 20), (8,)))
    x, _ = glyphs_about(model, 40)
    Watching.seen.clear()
    encode(model, Patches.from_array(x))
    # Of those seen in the end, at the best candidate's refined pose: one and the same motif.
    last = Watching.seen[1]
    upright = patches_of(model, {"offset": torch.zeros(1, 2), "angle": torch.zeros(1),
                                 "z": torch.zeros(1, 1)})  # fmt: skip
    assert float((last - upright).abs().mean()) < 0.15 * float((x - upright).abs().mean())


def test_what_is_expected_is_decoded_once_however_many_candidates():
    class Counting(Peak):
        calls = 0

        def forward(self, z, coordinates):
            self.calls += len(z) == 1
            return super().forward(z, coordinates)

    calls = []
    for candidates in (1, 3):
        sites = [Offset(dist.Uniform(-0.5, 0.5), ndim=1), Content(1)]
        model = handmade((20,), sites, Counting(), guide=AnchorGuide(candidates=candidates))
        model.guide_module.summary(model, torch.rand(5, 20))
        calls.append(model.decoder.calls)
    assert calls[0] == calls[1]


# Several poses for one patch


def test_modes_are_in_order_and_the_first_is_the_pose():
    model = randomised(small(RVAE, (6, 8), offsets=True, scales=True, guide="anchor"))
    maps = encode(model, Patches.from_array(torch.rand(30, 6, 8)))
    assert maps.sizes["mode"] == 4
    probability = maps.mode_probability.values
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    assert (np.diff(probability, axis=1) <= 0).all()
    assert (probability >= 0).all()
    for name in ("offset", "angle", "scale"):
        np.testing.assert_array_equal(maps[f"mode_{name}"].values[:, 0], maps[name].values)
    assert (maps.pose_entropy > 0).all()
    assert float(maps.pose_entropy.max()) <= math.log(len(model.sites[0].log_mass)) + 1e-5


def test_no_mode_is_there_twice():
    # Candidates that end at the same pose, to the last digit even, count once.
    sites = [Offset(dist.Uniform(-0.9, 0.9), ndim=1), Content(1)]
    model = handmade((40,), sites, Peak())
    x, _ = glyphs_about(model, 60, reach=0.8)
    maps = encode(model, Patches.from_array(x + 0.05 * torch.randn_like(x)))
    offset, probability = maps.mode_offset.values[..., 0], maps.mode_probability.values
    apart = np.abs(offset[:, :, None] - offset[:, None]) + 10 * np.eye(offset.shape[1])
    both = np.minimum(probability[:, :, None], probability[:, None])
    assert apart[both > 1e-6].min() > 0.5


@pytest.mark.parametrize("candidates", [1, 2, 7])
def test_as_many_modes_as_candidates(candidates):
    model = small(ShiftVAE, (12,), guide=AnchorGuide(candidates=candidates))
    maps = encode(model, Patches.from_array(torch.rand(5, 12)))
    assert maps.mode_probability.shape == (5, candidates)
    assert maps.mode_offset.shape == (5, candidates, 1)
    assert not np.isnan(maps.mode_probability).any()


def test_more_candidates_than_bins():
    model = small(
        ShiftVAE, (12,), guide=AnchorGuide(candidates=9),
        priors={"offset": dist.Uniform(-0.2, 0.2)},
    )  # fmt: skip
    count = len(model.sites[0].log_mass)
    assert count == 3
    maps = encode(model, Patches.from_array(torch.rand(5, 12)))
    assert maps.sizes["mode"] == count
    np.testing.assert_allclose(maps.mode_probability.sum("mode"), 1, rtol=1e-5)


def two_blobs(**options):
    """A motif that looks the same after half a turn."""
    sites = [Offset(dist.Uniform(-0.4, 0.4)), Angle(CIRCLE, **options), Content(1)]
    return handmade((20, 20), sites, Blobs((0.0, 0.3), (0.0, -0.3)))


def test_a_motif_with_a_symmetry_has_as_many_modes():
    model = two_blobs()
    x, _ = glyphs_about(model, 30, reach=0.1)
    maps = encode(model, Patches.from_array(x + 0.05 * torch.randn_like(x)))
    np.testing.assert_allclose(maps.mode_probability[:, :2], 0.5, atol=0.1)
    apart = wrapped(maps.mode_angle[:, 0] - maps.mode_angle[:, 1])
    np.testing.assert_allclose(np.abs(apart), math.pi, atol=0.02)


def test_angles_of_a_symmetry_are_within_its_cell():
    model = two_blobs(symmetry=2)
    x, truth = glyphs_about(model, 60, reach=0.1)
    maps = encode(model, Patches.from_array(x))
    for name in ("angle", "mode_angle"):
        assert float(np.abs(maps[name]).max()) <= math.pi / 2 + 1e-6
    error = wrapped(2 * (maps.angle - truth["angle"].numpy())) / 2
    np.testing.assert_allclose(error, 0, atol=0.01)
    # One mode instead of two.
    inside = np.abs(maps.angle.values) < math.pi / 2 - 0.2
    assert float(maps.mode_probability.values[inside, 0].min()) > 0.9


@pytest.mark.parametrize("window", [(20,), (20, 20)], ids=str)
def test_offsets_of_a_lattice_are_within_its_cell(window):
    period = 6
    model = ShiftVAE(
        window, 1, Gaussian(0.05), decoder=Waves(2 * period / 20), period=period, guide="anchor"
    ).eval()
    model.likelihood.prepare(0.0, 1.0, 0.0, 1.0)
    x, truth = glyphs_about(model, 60, reach=0.9)
    maps = encode(model, Patches.from_array(x))
    for name in ("offset", "mode_offset"):
        assert float(np.abs(maps[name]).max()) <= period / 2 + 1e-4
    error = maps.offset - 10 * truth["offset"].numpy()
    error = error - period * np.round(error / period)
    np.testing.assert_allclose(error, 0, atol=0.02)


def test_other_guides_call_poses_by_the_shortest_too():
    model = small(ShiftVAE, (12,), period=3, guide="normal")
    with torch.no_grad():
        model.guide_module.heads["offset"].bias.copy_(torch.tensor([1.0, 0.0]))
    maps = encode(model, Patches.from_array(torch.rand(20, 12)))
    assert float(np.abs(maps.offset).max()) <= 1.5
    turned = small(RVAE, (6, 6), symmetry=4, guide="normal")
    with torch.no_grad():
        turned.guide_module.heads["angle"].bias.copy_(torch.tensor([2.0, 0.0]))
    assert float(np.abs(encode(turned, Patches.from_array(torch.rand(9, 6, 6))).angle).max()) <= (
        math.pi / 4 + 1e-6
    )


# The frame of the motif


def test_the_frame_moves_in_training_only():
    model = small(ShiftVAE, (12,), guide="anchor")
    x = torch.rand(8, 12)
    x[:, 9:] += 3.0  # off centre
    patches = Patches.from_array(x)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    model.eval()
    before = state(model)
    terms_of(model, x)
    model.guide_module.summary(model, x)
    encode(model, patches)
    model.train()
    model.guide_module.summary(model, x)
    maps = encode(model, patches)
    assert model.training
    decode(model, maps)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for _ in range(2):  # by what the step before has seen
        terms_of(model, x)
    moved = {name for name, value in model.state_dict().items()
             if not torch.equal(value, before[name])}  # fmt: skip
    assert {name for name in moved if ".frame." not in name} == {
        "origin", "guide_module.displacement", "guide_module.typical",
    }  # fmt: skip


def test_the_frame_of_turned_motifs_stays():
    # Turning a patch about its centre moves no motif that is there.
    model = small(RVAE, (6, 6), guide="anchor")
    terms_of(model, torch.rand(8, 6, 6))
    assert torch.equal(model.origin, torch.zeros(2))


@pytest.mark.parametrize(("window", "period"), [((20,), 4), ((12, 12), 6)], ids=str)
def test_the_frame_of_a_known_lattice_stays(window, period):
    # Its cell has as many bins to the left as to the right only if the period is odd.
    model = ShiftVAE(
        window, 1, Gaussian(0.05), decoder=Waves(2 * period / window[0]), period=period,
        guide="anchor",
    )  # fmt: skip
    model.likelihood.prepare(0.0, 1.0, 0.0, 1.0)
    x, _ = glyphs_about(model, 200, reach=0.9)
    for _ in range(5):
        terms_of(model, x)
    assert torch.equal(model.origin, torch.zeros(len(window)))


def test_training_centres_the_motifs():
    # The peaks are all right of the windows' middle; nothing but the frame says where.
    signals = synthetic.peaks(300, 32, span=8, offset_spread=1, noise=0.02)["signal"].values
    model = small(ShiftVAE, (32,), 1, guide="anchor", priors={"offset": dist.Uniform(-0.6, 0.6)})
    patches = Patches.from_array(np.roll(signals, 3, axis=1))
    fit(model, patches, epochs=12, batch_size=30, learning_rate=3e-3, progress=False)
    assert abs(float(encode(model, patches).offset.mean())) < 0.5
    # By moving the origin, not the motif, which began in the middle of the canvas and stays there.
    assert float(model.origin) * 15.5 == pytest.approx(-3, abs=1.5)


# Copies, files, checkpoints


def trainable(seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = FullyConnectedEncoder((16,), (16,))
    options = {"guide": AnchorGuide(anchors=2, candidates=3)} | options
    return ShiftVAE((16,), 1, encoder=encoder, seed=seed, **options)


def peaks():
    return Patches.from_array(synthetic.peaks(48, 16)["signal"])


def train(model, **options):
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 3e-3, "schedule": None}
    settings["progress"] = False
    return fit(model, peaks(), **settings | options)


def assert_same_state(one, other):
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize(
    ("kind", "window", "options"),
    [
        (ShiftVAE, (12,), {"period": 4}),
        (RVAE, (9, 8), {"offsets": True, "scales": True, "symmetry": 3}),
    ],
)
def test_save_and_load_give_the_same_maps(kind, window, options, tmp_path):
    guide = AnchorGuide(anchors=3, candidates=2, reduction=2, turn=0.4)
    model = randomised(kind(window, guide=guide, **options))
    patches = Patches.from_array(torch.rand(6, *window))
    model.likelihood.prepare(0.0, 1.0, 0.5, 0.3)
    maps = encode(model, patches)
    save(model, tmp_path / "model.pt")
    loaded = load(tmp_path / "model.pt")
    assert_same_state(loaded, model)
    assert repr(loaded) == repr(model)
    found = loaded.guide_module
    assert (found.anchors, found.candidates, found.reduction, found.turn) == (3, 2, 2, 0.4)
    xr.testing.assert_identical(encode(loaded, patches), maps)
    np.testing.assert_array_equal(decode(loaded, maps), decode(model, maps))


def test_a_copy_is_a_model_of_its_own():
    model = trainable()
    clone = copy.deepcopy(model)
    assert clone.sites[0] is not model.sites[0]
    assert clone.given_sites[0] is not model.given_sites[0]
    assert clone.sites[1].site is clone.given_sites[0]
    before, bins = state(model), model.sites[0].log_mass.clone()
    train(clone)
    clone.double()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.sites[0].log_mass, bins)
    terms_of(model, torch.rand(3, 16))
    terms_of(clone, torch.rand(3, 16).double())


def test_two_runs_are_the_same(untouched):
    with untouched():
        models = [trainable(), trainable()]
        histories = [train(model) for model in models]
    xr.testing.assert_identical(*histories)
    assert_same_state(*models)
    maps = [encode(model, peaks()) for model in models]
    xr.testing.assert_identical(*maps)
    other = trainable(seed=1)
    assert not torch.equal(other.guide_module.anchor_latents, models[0].guide_module.anchor_latents)


def test_the_history_has_the_bins():
    history = train(trainable(), kl={"pose": 0.5, "offset": 0.3})
    assert set(map(str, history["site"].values)) == {"pose", "offset", "z"}
    assert bool(np.isfinite(history["kl"]).all())
    np.testing.assert_allclose(history["kl_scale"].sel(site="pose"), 0.5)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(stop, tmp_path):
    whole, resumed = trainable(), trainable(seed=9)  # the checkpoint brings the anchors too
    expected = train(whole)
    train(trainable(), epochs=stop, checkpoint=tmp_path / "run.ckpt")
    found = train(resumed, checkpoint=tmp_path / "run.ckpt")
    xr.testing.assert_identical(found, expected)
    assert_same_state(resumed, whole)
    assert float(whole.origin.abs()) > 0
    xr.testing.assert_identical(encode(resumed, peaks()), encode(whole, peaks()))


def test_a_checkpoint_of_another_guide_is_refused(tmp_path):
    train(trainable(), epochs=1, checkpoint=tmp_path / "run.ckpt")
    for guide in ("normal", AnchorGuide(anchors=1, candidates=3)):
        with pytest.raises(Exception, match=r"run\.ckpt"):
            train(trainable(guide=guide), checkpoint=tmp_path / "run.ckpt")


def test_maps_of_turned_patches_come_back_from_a_file(tmp_path):
    model = randomised(small(RVAE, (8, 8), offsets=True, guide="anchor"))
    maps = encode(model, Patches.from_array(torch.rand(2, 3, 8, 8), 2, dims=("a", "b", "y", "x")))
    maps.to_netcdf(tmp_path / "maps.nc", engine="h5netcdf")
    found = xr.load_dataset(tmp_path / "maps.nc", engine="h5netcdf")
    xr.testing.assert_identical(found, maps)
    assert found.mode_offset.dims[-2:] == ("mode", "axis")
    assert found.mode_angle.attrs["units"] == "rad"
    assert found.mode_offset.attrs["units"] == maps.offset.attrs["units"]
    assert found.pose_entropy.attrs["units"] == "nat"
    assert found.mode_probability.attrs["units"] == "1"


# What can't work


def test_a_model_without_pose_is_told_what_to_do():
    with pytest.raises(SpecificationError, match=r"ShiftVAE or RVAE, or guide='normal'"):
        VAE((16, 16), guide="anchor")


@pytest.mark.parametrize(
    "options",
    [
        {"anchors": 0},
        {"anchors": -1},
        {"candidates": 0},
        {"reduction": 0},
        {"turn": 0},
        {"turn": 0.0},
        {"turn": -0.1},
        {"turn": 4.0},
        {"turn": math.nan},
    ],
    ids=str,
)
def test_numbers_that_make_no_sense_are_refused(options):
    with pytest.raises(SpecificationError, match=next(iter(options))):
        AnchorGuide(**options)


@pytest.mark.parametrize(("window", "reduction"), [((16, 16), 5), ((40, 12), 4), ((20,), 6)])
def test_reductions_that_leave_nothing_are_refused(window, reduction):
    with pytest.raises(SpecificationError, match=f"reduction={reduction}"):
        ShiftVAE(window, guide=AnchorGuide(reduction=reduction))
    ShiftVAE(window, guide=AnchorGuide(reduction=reduction - 1))


@pytest.mark.parametrize(
    "sites",
    [[Angle(), Offset()], [Scale(), Offset()], [Scale(), Angle()], [Angle(), Scale(), Offset()]],
    ids=lambda sites: " ".join(site.name for site in sites),
)
def test_sites_in_another_order_are_refused(sites):
    with pytest.raises(SpecificationError, match="offset to act first"):
        PoseVAE((16, 16), [*sites, Content(1)], guide="anchor")


@pytest.mark.parametrize(
    "sites",
    [[Offset(), Angle()], [Offset(), Scale(), Angle()], [Angle(), Scale()], [Content(1), Angle()]],
    ids=lambda sites: " ".join(site.name for site in sites),
)
def test_other_orders_are_taken(sites):
    content = [] if any(isinstance(site, Content) for site in sites) else [Content(1)]
    model = PoseVAE((8, 8), [*sites, *content], guide="anchor")
    assert bool(torch.isfinite(terms_of(model, torch.rand(3, 8, 8)).elbo).all())


class NamedContent(Content):
    """Latents of another name."""

    def __init__(self, name):
        super().__init__(1, name=name)


@pytest.mark.parametrize(
    "contents", [[Content(1), NamedContent("w")], [NamedContent("w")]], ids=["two", "renamed"]
)
def test_other_latents_than_one_z_are_refused(contents):
    with pytest.raises(SpecificationError, match=r"one Content site, named 'z'.*'w'"):
        PoseVAE((12,), [Offset(ndim=1), *contents], guide="anchor")


class CloserOffset(Offset):
    """An offset whose prior depends on what was drawn before it, as far as the guide knows."""

    def prior_given(self, values):
        return dist.Normal(torch.zeros(2), 0.01).to_event(1)


class DoubledAngle(Angle):
    """An angle that is drawn in a way of its own."""

    def draw(self, values):
        return 2 * super().draw(values)


@pytest.mark.parametrize("site", [CloserOffset(), DoubledAngle()], ids=["prior_given", "draw"])
def test_a_binned_site_that_is_drawn_in_a_way_of_its_own_is_refused(site):
    with pytest.raises(SpecificationError, match=f"{type(site).__name__}.* no effect"):
        PoseVAE((8, 8), [site, Content(1)], guide="anchor")
    PoseVAE((8, 8), [site, Content(1)])


class LearnedContent(Content):
    """Latents whose prior is learned."""

    def __init__(self):
        super().__init__(1)
        self.loc = torch.nn.Parameter(torch.tensor([0.3]))

    def prior_given(self, values):
        return dist.Normal(self.loc, 1.0).to_event(1)


def test_a_learned_prior_of_z_is_learned():
    model = PoseVAE((12,), [Offset(ndim=1), LearnedContent()], guide="anchor")
    terms_of(model, torch.rand(3, 12)).objective.sum().backward()
    assert float(model.given_sites[1].loc.grad.abs()) > 0


def test_other_priors_of_z():
    for prior in (dist.StudentT(4.0), dist.Laplace(0.0, 1.0), dist.Uniform(-2.0, 2.0)):
        model = small(ShiftVAE, (12,), guide=AnchorGuide(2), priors={"z": prior})
        x = torch.rand(6, 12)
        assert bool(torch.isfinite(terms_of(model, x).elbo).all())
        assert all(
            bool(torch.isfinite(value).all())
            for value in model.guide_module.summary(model, x).values()
        )


def test_the_users_store_is_left_alone(untouched):
    x, encoder = torch.rand(3, 12), FullyConnectedEncoder((12,), (8,))
    with untouched():
        model = ShiftVAE((12,), encoder=encoder, guide=AnchorGuide(3))
        encode(model, Patches.from_array(x))
    assert not [name for name in pyro.get_param_store().keys() if "ShiftVAE" in name]  # noqa: SIM118

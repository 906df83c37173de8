"""The brightness site: gain and background of each window, exact where they can be."""

import warnings

import numpy as np
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from pyro import poutine

from pyroshift import (
    RVAE,
    VAE,
    Brightness,
    Gaussian,
    Patches,
    ShiftVAE,
    correlation_ratio,
    decode,
    encode,
    explained_by_blur,
    fit,
)
from pyroshift.errors import LatentWarning, SpecificationError
from pyroshift.guides.refinement import refine
from pyroshift.guides.search import Anchor, search
from pyroshift.guides.vector import pack, specified, unpack
from pyroshift.model.brightness import brightness_of
from pyroshift.model.pose import pixel_grid
from pyroshift.training.elbo import sample_sites, terms_given

WINDOW = (8, 9)


def prepared(kind=ShiftVAE, *, likelihood=None, seed=0, **options):
    likelihood = Gaussian(sigma=0.4) if likelihood is None else likelihood
    model = kind(WINDOW, 2, likelihood, seed=seed, brightness="site", **options).eval()
    model.likelihood.prepare(-3.0, 8.0, 1.5, 2.0)
    with torch.no_grad():  # an untrained canvas is almost flat
        for parameter in model.decoder.parameters():
            parameter.mul_(3.0)
    return model


def evidence(model, x, decoded):
    """Log density of windows if gain and background are integrated out, `window x output`."""
    site, likelihood = brightness_of(model), model.likelihood
    flat = decoded.flatten(1).double()
    basis = torch.stack([flat, torch.ones_like(flat)], -1) * site.prior.stddev.double()
    spread = likelihood.spread.double()
    normal = dist.LowRankMultivariateNormal(
        likelihood.location.double() + spread * flat,
        spread * basis,
        likelihood.noise.double().square().expand_as(flat),
    )
    return normal.log_prob(x.flatten(1).double().unsqueeze(1))


def windows(count=6):
    return 1.5 + 2.0 * torch.randn(count, *WINDOW)


def test_the_posterior_is_that_on_a_grid():
    model, site = prepared(), Brightness(0.3, 0.7)
    decoded, noise = torch.randn(1, *WINDOW), 0.4 * torch.randn(1, *WINDOW)
    x = model.likelihood.location + model.likelihood.spread * (1.3 * decoded + 0.4) + noise
    found = site.regression(model.likelihood, x, decoded)
    axes = [centre + torch.linspace(-0.2, 0.2, 201) for centre in (1.3, 0.4)]
    grid = torch.cartesian_prod(*axes)
    seen = site.applied(decoded.expand(len(grid), *WINDOW), grid)
    log = model.likelihood.distribution(seen).log_prob(x).flatten(1).sum(1)
    weight = (log + site.prior.log_prob(grid)).double().softmax(0)
    mean = weight @ grid.double()
    covariance = (grid - mean).T @ (weight.unsqueeze(1) * (grid - mean))
    torch.testing.assert_close(found.mean[0].double(), mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        found.covariance_matrix[0].double(), covariance, rtol=0.01, atol=1e-7
    )


@pytest.mark.parametrize("likelihood", ["poisson", "bernoulli", "continuous_bernoulli"])
def test_for_other_likelihoods_it_is_about_the_mode(likelihood):
    model = VAE(WINDOW, likelihood=likelihood)
    site = Brightness(0.3, 0.5)
    decoded = torch.randn(3, *WINDOW)
    value = torch.tensor([[1.2, 0.3], [0.7, -0.4], [1.0, 0.0]])
    x = model.likelihood.mean(site.applied(decoded, value))
    mode = site.regression(model.likelihood, x, decoded).mean.requires_grad_()
    joint = model.likelihood.distribution(site.applied(decoded, mode)).log_prob(x).sum()
    (gradient,) = torch.autograd.grad(joint + site.prior.log_prob(mode).sum(), mode)
    precision = site.regression(model.likelihood, x, decoded).precision_matrix
    assert float((gradient.abs() / precision.diagonal(dim1=1, dim2=2).sqrt()).max()) < 0.02


@pytest.mark.parametrize("guide", ["normal", "anchor"])
@pytest.mark.parametrize("kind", [ShiftVAE, RVAE])
def test_the_bound_integrates_brightness_out(kind, guide):
    # The posterior is exact, so that one sample tells what all of them would.
    model, x = prepared(kind, guide=guide), windows()
    with torch.no_grad():
        trace = poutine.trace(model.sample_guide).get_trace(x)
        terms = terms_given(trace, model.sample_model, x)
        values = {name: site["value"] for name, site in sample_sites(trace).items()}
        expected = evidence(model, x, model.decoded(values)).diagonal()
    torch.testing.assert_close(
        terms.log_likelihood - terms.kl["brightness"], expected.float(), rtol=1e-4, atol=1e-3
    )


def test_the_search_integrates_brightness_out():
    model, x = prepared(guide="anchor"), windows()
    bins = model.sites[0]
    latents = model.guide_module.anchor_latents
    with torch.no_grad():
        found = search(model, bins, x, [[Anchor(model.decoder_input(latents), latents)]])
        count = len(bins.shifts)
        values = {"offset": bins.shifts, "z": latents.expand(count, -1)}
        expected = evidence(model, x, model.decoded(values)) + bins.log_mass
    torch.testing.assert_close(
        found.logits.double(), expected.log_softmax(-1), rtol=1e-4, atol=1e-3
    )


def test_the_pose_is_as_uncertain_as_brightness_leaves_it():
    # A canvas's own slopes are those of it blurred, not the output's to the last digit.
    model, x = prepared(guide="anchor", decoder="spatial"), windows(1)
    z, prior = torch.randn(1, 2), specified(model, 1)
    start = pack(model, {"offset": torch.tensor([[0.11, -0.07]])})
    found = refine(model, x, z, start, prior)
    site = brightness_of(model)

    def output(vector):
        decoded = model.decoded(unpack(model, vector[:2].unsqueeze(0)) | {"z": z})
        return site.applied(decoded, vector[2:].unsqueeze(0)).flatten()

    with torch.no_grad():
        decoded = model.decoded(unpack(model, start) | {"z": z})
        best = site.regression(model.likelihood, x, decoded).mean
    jacobian = torch.autograd.functional.jacobian(output, torch.cat([start, best], 1)[0])
    noise = model.likelihood.noise / model.likelihood.spread
    certainty = torch.cat([prior.width, site.prior.stddev]).square().reciprocal()
    precision = jacobian.T @ jacobian / noise.square() + torch.diag(certainty)
    expected = torch.linalg.inv(precision.double())[:2, :2]
    torch.testing.assert_close(found.covariance[0].double(), expected, rtol=0.02, atol=1e-6)


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_a_brighter_window_is_the_same_motif(guide):
    # With flat priors nothing but gain and background may tell one from the other.
    flat = Brightness(1e3, 1e3)
    model = prepared(guide=guide, likelihood=Gaussian(0.003), priors={"brightness": flat}).double()
    values = {"z": torch.randn(6, 2).double(), "offset": 0.3 * torch.randn(6, 2).double()}
    with torch.no_grad():
        x = model.likelihood.mean(model.decoded(values)) + 0.003 * torch.randn(6, *WINDOW)
        brighter = 1.7 * x + 4.0
        found = model.guide_module.summary(model, x)
        same = model.guide_module.summary(model, brighter)
    torch.testing.assert_close(same["z"], found["z"], rtol=0, atol=0.03)
    torch.testing.assert_close(same["offset"], found["offset"], rtol=0, atol=0.02)
    torch.testing.assert_close(
        same["brightness"][:, 0], 1.7 * found["brightness"][:, 0], rtol=0.02, atol=0
    )


@pytest.mark.parametrize("prior", [dist.Normal(0.0, 1.0), dist.LogNormal(0.0, 1.0)])
def test_other_priors_are_refused(prior):
    with pytest.raises(SpecificationError, match="only its widths"):
        VAE(WINDOW, brightness="site", priors={"brightness": prior})


def test_options_that_cannot_work_are_refused():
    with pytest.raises(SpecificationError, match='must be "site" or None'):
        ShiftVAE(WINDOW, brightness="affine")
    with pytest.raises(SpecificationError, match="no site for the priors"):
        ShiftVAE(WINDOW, priors={"brightness": Brightness()})
    for widths in ((0.0, 1.0), (1.0, -1.0)):
        with pytest.raises(SpecificationError, match="must be positive"):
            Brightness(*widths)


# Learning


def lit_motifs(shift, side=18, window=12):
    """Two spots, the second of which varies, in a light that varies from window to window."""
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*[np.linspace(0, 1, side)] * 2, indexing="ij")
    truth = {
        "structure": np.sin(7 * x + 1) * np.sin(5 * y),
        "gain": 1 + 0.4 * np.cos(6 * y),
        "background": 0.8 * np.cos(4 * x) * np.cos(3 * y),
    }
    structure, gain, background = (values[..., None, None] for values in truth.values())
    place = shift * rng.uniform(-1, 1, (side, side, 1, 1, 2))

    def spot(at, width):
        distance = (pixel_grid((window, window)).numpy() - place - at) / width
        return np.exp(-np.square(distance).sum(-1) / 2)

    motif = spot((0, 0), 0.25) + (0.5 + 0.4 * structure) * spot((0.1, 0.55), 0.2)
    noise = 0.05 * rng.standard_normal((side, side, window, window))
    values = gain * motif + background + noise
    labelled = xr.DataArray(values.astype("float32"), dims=("y", "x", "v", "u"))
    return Patches.from_array(labelled, 2, normalize="image"), truth


def trained(kind, patches, **options):
    model = kind(patches.window, 2, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)  # one z of two has nothing to tell
        fit(model, patches, epochs=20, batch_size=32, progress=False)
    return model, encode(model, patches)


def test_z_tells_structure_and_no_brightness():
    patches, truth = lit_motifs(0.0)
    model, maps = trained(VAE, patches, brightness="site")
    best = int(np.argmin(maps.z_std.mean(("y", "x")).values / maps.z.std(("y", "x")).values))
    known = {name: values.ravel() for name, values in truth.items()}
    told = correlation_ratio(maps.z.values[..., best].reshape(-1, 1), known).values[0]
    assert told[0] > 0.9
    assert told[1:].max() < 0.15  # what the truths have in common by chance
    assert explained_by_blur(maps, patches).max() < 0.15
    gain, background = np.moveaxis(maps.brightness.values, -1, 0)
    assert abs(np.corrcoef(gain.ravel(), truth["gain"].ravel())[0, 1]) > 0.9
    assert abs(np.corrcoef(background.ravel(), truth["background"].ravel())[0, 1]) > 0.9
    assert list(maps.component.values) == ["gain", "background"]
    # What is decoded is in the brightness that was found.
    x, noise = patches.to_xarray().values, float(model.likelihood.noise.detach())
    assert np.std(decode(model, maps).values - x) < 1.2 * noise
    without = maps.drop_vars(["brightness", "brightness_std"])
    assert np.std(decode(model, without).values - x) > 3 * noise


def test_without_the_site_z_tells_brightness():
    patches, _ = lit_motifs(0.0)
    _, maps = trained(VAE, patches)
    assert explained_by_blur(maps, patches).max() > 0.9

"""Fisher scoring of a pose, against scipy's maxima and finite differences; patches aligned."""

import math

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from glyphs import Blobs, Peak, handmade, patches_of
from scipy import ndimage, optimize

from pyroshift import Angle, Content, Offset, Scale
from pyroshift.guides.refinement import Laplace, align, refine
from pyroshift.guides.vector import Independent, pack, unpack
from pyroshift.model.likelihoods import (
    Bernoulli,
    ContinuousBernoulli,
    Gaussian,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflatedPoisson,
)

MODELS = {
    "signals": ((24,), lambda: [Offset(ndim=1), Content(1)]),
    "images": ((18, 18), lambda: [Offset(), Content(1)]),
    "angles": ((18, 18), lambda: [Angle(), Content(1)]),
    "everything": ((16, 20), lambda: [Offset(), Angle(), Scale(), Content(1)]),
}
LIKELIHOODS = {
    "gaussian": lambda: Gaussian(0.1),
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "poisson": Poisson,
    "student_t": lambda: StudentT(4.0, 0.1),
    "negative_binomial": lambda: NegativeBinomial(0.2),
    "zero_inflated_poisson": lambda: ZeroInflatedPoisson(0.1),
}
EVERY_MODEL = pytest.mark.parametrize("kind", MODELS)
EVERY_LIKELIHOOD = pytest.mark.parametrize("likelihood", LIKELIHOODS)


def make(kind, likelihood="gaussian"):
    """A pair of double precision whose origin isn't the window's centre."""
    window, sites = MODELS[kind]
    height = 1.0 if likelihood == "gaussian" else 3.0
    model = handmade(window, sites(), Peak(height), likelihood=LIKELIHOODS[likelihood]())
    model.origin.copy_(torch.tensor([0.06, -0.03])[: len(window)])
    return model.double()


def poses(model, n, width=1.0):
    """Poses near the middle, `n x element`; scales are positive."""
    spread = {"offset": 0.15, "angle": 0.3, "scale": 0.08}
    values = {
        site.name: (site.name == "scale")
        + width * spread[site.name] * torch.randn(n, *site.event_shape, dtype=torch.double)
        for site in model.pose_sites
    }
    return pack(model, values)


def prior_about(pose, width=0.5):
    return Independent(pose, width * torch.ones(pose.shape[1], dtype=pose.dtype))


def noisy(model, pose, z):
    return model.likelihood.distribution(model.output(unpack(model, pose) | {"z": z})).sample()


def log_posterior(model, x, z, prior, pose):
    output = model.output(unpack(model, pose) | {"z": z})
    fit = model.likelihood.distribution(output).log_prob(x).flatten(1).sum(1)
    return fit - ((pose - prior.mean) / prior.width).square().sum(1) / 2


def numerical_jacobian(model, pose, z, step=1e-5):
    """Derivative of the decoder's output by each element of the pose, `batch x element x pixel`."""
    columns = []
    for direction in step * torch.eye(pose.shape[1], dtype=pose.dtype):
        seen = [model.output(unpack(model, pose + s * direction) | {"z": z}) for s in (1, -1)]
        columns.append((seen[0] - seen[1]).flatten(1) / (2 * step))
    return torch.stack(columns, 1)


# Fisher scoring


@EVERY_MODEL
@EVERY_LIKELIHOOD
@torch.no_grad()
def test_the_precision_is_gauss_newtons_from_finite_differences(kind, likelihood):
    model, z = make(kind, likelihood), torch.tensor([[0.3], [-1.0], [0.8]], dtype=torch.double)
    pose = poses(model, 3)
    prior = prior_about(poses(model, 3), 0.7)
    found = refine(model, noisy(model, pose, z), z, pose, prior)
    jacobian = numerical_jacobian(model, pose, z)
    output = model.output(unpack(model, pose) | {"z": z})
    information = model.likelihood.information(output).flatten(1)
    expected = torch.einsum("bip,bp,bjp->bij", jacobian, information, jacobian)
    expected = expected + torch.eye(pose.shape[1], dtype=torch.double) / 0.7**2
    torch.testing.assert_close(found.precision, expected, rtol=1e-3, atol=1e-3)
    identity = torch.eye(pose.shape[1], dtype=torch.double).expand_as(expected)
    torch.testing.assert_close(found.covariance @ found.precision, identity)


@EVERY_MODEL
def test_pixels_that_were_not_taken_count_for_nothing(kind):
    model = make(kind)
    pose, z = poses(model, 5), torch.randn(5, 1, dtype=torch.double)
    x = noisy(model, pose, z)
    taken = torch.rand(x.shape) > 0.3
    prior = prior_about(pose)
    start = pose + 0.001 * torch.randn_like(pose)
    found = refine(model, x.masked_fill(~taken, torch.nan), z, start, prior)
    slopes = numerical_jacobian(model, start, z) * taken.flatten(1).unsqueeze(1)
    variance = model.likelihood.sigma**2
    precision = slopes @ slopes.mT / variance + torch.diag(1 / prior.width**2)
    torch.testing.assert_close(found.precision, precision, rtol=1e-3, atol=1e-3)
    output = model.output(unpack(model, start) | {"z": z})
    left = ((x - output) * taken).flatten(1).unsqueeze(-1)
    gradient = (slopes @ left).squeeze(-1) / variance + (prior.mean - start) / prior.width**2
    step = torch.linalg.solve(precision, gradient)
    torch.testing.assert_close(found.mean, start + step, rtol=1e-3, atol=1e-5)


@EVERY_MODEL
@EVERY_LIKELIHOOD
def test_steps_end_at_a_maximum(kind, likelihood):
    model, z = make(kind, likelihood), torch.tensor([[0.3], [-1.0], [0.8]], dtype=torch.double)
    truth = poses(model, 3)
    prior = prior_about(truth + 0.3 * (poses(model, 3) - truth), 0.2)
    with torch.no_grad():
        # Grey levels, or counts: coin tosses would tell so little that steps might go in circles.
        grey = "bernoulli" in likelihood
        seen = patches_of(model, unpack(model, truth) | {"z": z})
        x, pose = seen if grey else noisy(model, truth, z), truth
        for _ in range(100):
            pose = refine(model, x, z, pose, prior).mean
    # It is flat there, and falls to all sides.
    pose = pose.requires_grad_()
    (slope,) = torch.autograd.grad(log_posterior(model, x, z, prior, pose).sum(), pose)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-3)
    with torch.no_grad():
        here = log_posterior(model, x, z, prior, pose)
        for direction in 0.01 * torch.eye(pose.shape[1], dtype=pose.dtype):
            for sign in (1, -1):
                there = log_posterior(model, x, z, prior, pose + sign * direction)
                assert bool((there < here).all())


@EVERY_MODEL
@torch.no_grad()
def test_steps_end_where_scipys_do(kind):
    model, z = make(kind), torch.tensor([[0.3], [-1.0], [0.8]], dtype=torch.double)
    truth = poses(model, 3)
    prior = prior_about(truth + 0.3 * (poses(model, 3) - truth), 0.4)
    x, pose = noisy(model, truth, z), truth + 0.2 * (poses(model, 3, 0.3) - poses(model, 3, 0.3))

    def loss(vector):
        at = torch.from_numpy(vector).reshape(pose.shape)
        return -float(log_posterior(model, x, z, prior, at).sum())

    for _ in range(50):
        pose = refine(model, x, z, pose, prior).mean
    best = optimize.minimize(loss, truth.numpy().ravel(), method="BFGS")
    np.testing.assert_allclose(pose.numpy().ravel(), best.x, atol=2e-4)


@EVERY_MODEL
@torch.no_grad()
def test_the_maximum_stays(kind):
    model, z = make(kind), torch.zeros(2, 1, dtype=torch.double)
    pose = poses(model, 2)
    x = patches_of(model, unpack(model, pose) | {"z": z})
    found = refine(model, x, z, pose, prior_about(pose))
    torch.testing.assert_close(found.mean, pose)


@EVERY_MODEL
@torch.no_grad()
def test_no_step_is_longer_than_two_widths_or_the_limit(kind):
    model, z = make(kind), torch.zeros(2, 1, dtype=torch.double)
    pose = poses(model, 2)
    x = patches_of(model, unpack(model, pose + 0.1) | {"z": z})
    prior = prior_about(pose + 10, 0.01)
    found = refine(model, x, z, pose, prior)
    torch.testing.assert_close(found.mean, pose + 0.02)
    limit = torch.full((pose.shape[1],), 0.005, dtype=torch.double)
    found = refine(model, x, z, pose, prior, limit=limit)
    torch.testing.assert_close(found.mean, pose + 0.005)


@torch.no_grad()
def test_without_data_to_speak_of_the_prior_is_found():
    model = handmade((12,), [Offset(ndim=1), Content(1)], Peak(0.0))
    prior = Independent(torch.tensor([[0.1], [-0.3]]), torch.tensor([0.2]))
    found = refine(model, torch.randn(2, 12), torch.zeros(2, 1), torch.zeros(2, 1), prior)
    torch.testing.assert_close(found.mean, prior.mean)
    torch.testing.assert_close(found.covariance, torch.full((2, 1, 1), 0.04))


@EVERY_MODEL
@torch.no_grad()
def test_patches_are_refined_each_on_its_own(kind):
    model, z = make(kind), torch.randn(3, 1, dtype=torch.double)
    pose = poses(model, 3)
    x, prior = noisy(model, pose, z), prior_about(pose)
    together = refine(model, x, z, pose, prior)
    alone = refine(model, x[1:2], z[1:2], pose[1:2], prior_about(pose[1:2]))
    torch.testing.assert_close(alone.mean[0], together.mean[1])
    torch.testing.assert_close(alone.precision[0], together.precision[1])


def test_refining_leaves_no_gradients_behind():
    model, z = make("everything"), torch.zeros(2, 1, dtype=torch.double, requires_grad=True)
    pose = poses(model, 2)
    found = refine(model, noisy(model, pose, z).detach(), z, pose, prior_about(pose))
    assert z.grad is None
    assert model.decoder.height.grad is None
    assert not found.precision.requires_grad
    assert not found.mean.requires_grad


@EVERY_MODEL
def test_packing_and_unpacking(kind):
    model = make(kind)
    pose = poses(model, 4)
    values = unpack(model, pose)
    assert list(values) == [site.name for site in model.pose_sites]
    assert {name: tuple(value.shape[1:]) for name, value in values.items()} == {
        site.name: site.event_shape for site in model.pose_sites
    }
    torch.testing.assert_close(pack(model, values), pose)


def test_the_covariance_inverts_the_precision():
    precision = torch.tensor([[[4.0, 1.0], [1.0, 2.0]]])
    found = Laplace(torch.zeros(1, 2), precision).covariance
    torch.testing.assert_close(found, torch.linalg.inv(precision))


@torch.no_grad()
@pytest.mark.parametrize("sigma", [0.1, 0.01, 0.001])
def test_a_pose_of_which_only_part_can_be_told_has_a_covariance(sigma):
    # A round motif off its frame's origin: turning it is moving it. Nothing but the prior tells
    # these apart, while all else is known to a thousandth of a pixel.
    sites = [Offset(), Angle(), Scale(), Content(1)]
    decoder = Blobs((0.6, -0.6))
    model = handmade((20, 20), sites, decoder, likelihood=Gaussian(sigma))
    truth = torch.cat((0.2 * torch.randn(40, 2), torch.randn(40, 1), torch.zeros(40, 1)), 1)
    z = torch.zeros(40, 1)
    x = patches_of(model, unpack(model, truth) | {"z": z})
    prior = Independent(truth, torch.tensor([0.05, 0.05, 0.09, 0.1]))
    found = refine(model, x, z, truth, prior)
    deviation = found.covariance.diagonal(dim1=1, dim2=2).sqrt()
    assert bool((deviation > 0).all())
    assert bool((deviation <= 1.01 * prior.width).all())
    torch.linalg.cholesky(found.covariance)


# Alignment


def smooth_patches(window, n=3):
    noise = np.random.default_rng(0).normal(size=(n, *window))
    smooth = ndimage.gaussian_filter(noise, (0, *(4.0,) * len(window)))
    return torch.from_numpy(smooth / smooth.std())


def code(x):
    """One by which motifs of no kind are drawn."""
    return x.new_zeros(len(x), 1)


@EVERY_MODEL
@torch.no_grad()
def test_an_aligned_patch_seen_through_its_pose_is_the_patch(kind):
    model = make(kind)
    x, pose = smooth_patches(model.window), poses(model, 3, 0.7)
    unseen = 1e6
    aligned = align(model, x, pose, code(x), torch.full(model.window, unseen).double())
    # Read it as the decoder's canvas is read, about the origin of the motif's frame.
    grid = model.grid.expand(3, *model.grid.shape)
    seen = model.into_motif(grid, unpack(model, pose)) - model.origin
    canvas = aligned.numpy()
    pixels = (seen * max(model.window) / 2).numpy()
    centre = (np.array(model.window) - 1) / 2
    found = np.stack([
        ndimage.map_coordinates(canvas[i], np.moveaxis(pixels[i] + centre, -1, 0), order=1,
                                cval=unseen) for i in range(3)
    ])  # fmt: skip
    known = np.abs(found) < 10
    assert known.mean() > 0.4
    # Two linear interpolations of noise smooth over 4 pixels.
    error = (found - x.numpy())[known]
    moved = (canvas - x.numpy())[np.abs(canvas) < 10]
    assert np.median(np.abs(error)) < 0.03
    assert np.median(np.abs(moved)) > 3 * np.median(np.abs(error))


@EVERY_MODEL
@torch.no_grad()
def test_without_a_pose_a_patch_stays(kind):
    model = make(kind)
    nothing = {
        site.name: torch.full((3, *site.event_shape), float(site.name == "scale")).double()
        for site in model.pose_sites
    }
    x = smooth_patches(model.window)
    found = align(model, x, pack(model, nothing), code(x), torch.full(model.window, 7.0).double())
    torch.testing.assert_close(found, x, rtol=0, atol=1e-5)


@torch.no_grad()
def test_what_was_not_seen_is_what_is_expected():
    model = handmade((8,), [Offset(ndim=1), Content(1)], Peak())
    x, expected = torch.arange(8.0).unsqueeze(0), torch.full((8,), -5.0)
    # Of a motif 2 samples to the right, the 2 samples at the window's right end aren't seen.
    found = align(model, x, torch.tensor([[2 / 4]]), code(x), expected)
    torch.testing.assert_close(found, torch.tensor([[2.0, 3, 4, 5, 6, 7, -5, -5]]))
    found = align(model, x, torch.tensor([[-3 / 4]]), code(x), expected)
    torch.testing.assert_close(found, torch.tensor([[-5.0, -5, -5, 0, 1, 2, 3, 4]]))
    found = align(model, x, torch.tensor([[0.5 / 4]]), code(x), expected)
    torch.testing.assert_close(found[0, :7], torch.arange(7) + 0.5)


@torch.no_grad()
def test_a_quarter_turn_back():
    model = handmade((8, 8), [Angle(dist.Normal(0.0, 1.0)), Content(1)], Peak())
    x = torch.rand(1, 8, 8)
    turned, pose = torch.rot90(x, 1, (1, 2)), torch.tensor([[math.pi / 2]])
    found = align(model, turned, pose, code(x), torch.zeros(8, 8))
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_carrying_out_of_the_motif_undoes_carrying_into_it():
    model = make("everything")
    grid, values = model.grid.expand(3, *model.grid.shape), unpack(model, poses(model, 3))
    there = model.into_motif(grid, values) - model.origin
    torch.testing.assert_close(model.out_of_motif(there, values), grid)

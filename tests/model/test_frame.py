"""The canonical frame of latents: uncorrelated, sorted by what they tell, the empty ones empty."""

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import kl_divergence

from pyroshift import (
    VAE,
    Content,
    FullyConnectedEncoder,
    PatchELBO,
    PoseVAE,
    ShiftVAE,
    decode,
    encode,
    extract_patches,
    fit,
    load,
    save,
    synthetic,
)
from pyroshift.errors import SpecificationError
from pyroshift.model.families import TransformedNormalFamily
from pyroshift.model.frame import LatentFrame
from pyroshift.training.diagnostics import COLLAPSED_STD

TURN = torch.tensor([[0.8, -3.0], [0.6, 0.5]])  # no turn alone, but any linear map


def turned(frame, centre=(1.0, -2.0)):
    """A frame somewhere else."""
    frame.axes, frame.centre = TURN.clone(), torch.tensor(centre)
    return frame


def followed(mixing, scale, steps=200):
    """A frame that has learnt from locations, independent Normals mixed, and those locations."""
    generator = torch.Generator().manual_seed(0)
    frame = LatentFrame(len(mixing))
    mixing = torch.tensor(mixing)
    locations = torch.empty(0)
    for _ in range(steps):
        locations = torch.randn(400, len(mixing), generator=generator) @ mixing.mT + 5.0
        frame.follow(locations, torch.tensor(scale).expand_as(locations))
    return frame, frame.inward(locations)


def test_a_new_frame_is_the_decoders_own():
    frame, z = LatentFrame(3), torch.randn(5, 3)
    assert torch.equal(frame.outward(z), z)
    assert torch.equal(frame.inward(z), z)


def test_inward_undoes_outward():
    frame, z = turned(LatentFrame(2)), torch.randn(5, 2)
    torch.testing.assert_close(frame.inward(frame.outward(z)), z)


@pytest.mark.parametrize(
    "mixing",
    [((1.0, 0.0), (0.0, 1.0)), ((0.2, 3.0), (0.1, 3.0)), ((0.1, 0.0), (0.0, 9.0))],
    ids=["independent", "nearly one", "of other widths"],
)
def test_latents_have_unit_width_are_uncorrelated_and_sorted(mixing):
    scale = (0.1, 0.2)
    frame, z = followed(mixing, scale)
    spread = frame.posterior(torch.zeros(2), torch.tensor(scale)).covariance_matrix
    total = torch.cov(z.mT) + spread
    # The last twenty batches' moments, 8,000 samples, against those of one batch of 400.
    torch.testing.assert_close(total, torch.eye(2), rtol=0, atol=0.25)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), rtol=0, atol=0.25)
    # Errors are uncorrelated up to rounding, as their moments are the same in every batch.
    torch.testing.assert_close(spread, torch.diag(spread.diagonal()), rtol=0, atol=1e-3)
    assert spread[0, 0] < spread[1, 1]


def test_a_latent_that_tells_nothing_has_the_prior_for_its_posterior():
    frame, z = followed(((3.0, 0.0), (3.0, 0.0)), (0.1, 0.1))
    width = frame.posterior(torch.zeros(2), torch.tensor([0.1, 0.1])).stddev
    assert float(width[0]) < 0.1
    assert float(width[1]) == pytest.approx(1, abs=1e-2)
    assert float(z[:, 1].abs().max()) < 1e-3


def test_the_frame_does_not_flip_from_step_to_step():
    frame, _ = followed(((0.2, 3.0), (0.1, 3.0)), (0.1, 0.2))
    before = frame.axes
    for _ in range(20):
        locations = torch.randn(400, 2) @ torch.tensor([[0.2, 0.1], [3.0, 3.0]]) + 5.0
        frame.follow(locations, torch.tensor([0.1, 0.2]).expand(400, 2))
    assert bool(((before * frame.axes).sum(0) > 0).all())


def test_numbers_that_are_none_leave_the_frame_alone():
    frame = turned(LatentFrame(2))
    frame.follow(torch.full((4, 2), torch.nan), torch.ones(4, 2))
    assert torch.equal(frame.axes, TURN)


def test_settling_makes_given_latents_uncorrelated_and_keeps_what_they_decode_to():
    frame, z = followed(((0.2, 3.0), (0.1, 3.0)), (0.1, 0.2))
    z = z[:30] @ torch.tensor([[1.0, 0.7], [0.0, 1.0]])
    inputs = frame.outward(z)
    width = torch.tensor([0.1, 0.9])
    draws = frame.outward(
        width * torch.randn(100_000, 2, generator=torch.Generator().manual_seed(1))
    )
    settled, stddev = frame.settle(z, width.expand(30, 2))
    torch.testing.assert_close(settled, frame.inward(inputs))
    # To five standard errors.
    torch.testing.assert_close(stddev[0], frame.inward(draws).std(0), rtol=0.012, atol=0)
    assert abs(float(torch.corrcoef(settled.mT)[0, 1])) < 1e-3
    torch.testing.assert_close(frame.outward(settled), inputs)


def test_a_frame_that_no_guide_draws_in_is_not_settled():
    frame = LatentFrame(2)
    frame.settle(torch.randn(30, 2), torch.ones(30, 2))
    assert torch.equal(frame.axes, torch.eye(2))


# In a pair


def small(**options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = FullyConnectedEncoder((8, 8), (16,))
    priors = {"z": Content(2, canonical=True)}
    return ShiftVAE(8, encoder=encoder, priors=priors, **options)


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_the_bound_in_any_frame_is_that_of_its_prior_in_the_decoders(guide):
    model = small(guide=guide).eval()
    content = model.contents[0]
    raw = torch.randn(6, 4)
    own = content.posterior(raw)
    turned(content.frame)
    seen = content.posterior(raw)
    prior = dist.MultivariateNormal(content.frame.centre, TURN @ TURN.mT)
    expected = kl_divergence(
        dist.MultivariateNormal(own.loc, torch.diag_embed(own.scale**2)), prior
    )
    torch.testing.assert_close(kl_divergence(seen, content.prior), expected)
    # And what is drawn is decoded to the same, as noise and all go through the same map.
    with torch.random.fork_rng():
        torch.manual_seed(1)
        drawn = content.decoded(seen.rsample())
        torch.manual_seed(1)
        torch.testing.assert_close(drawn, own.rsample())


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_a_turn_of_the_frame_leaves_reconstructions_the_same(guide):
    patches = extract_patches(np.random.default_rng(0).random((24, 24)), window=8)
    model = small(guide=guide)
    fit(model, patches, epochs=3, batch_size=8, progress=False)
    frame = model.contents[0].frame
    before = decode(model, encode(model, patches))
    anchors = frame.outward(getattr(model.guide_module, "anchor_latents", torch.zeros(1, 2)))
    frame.axes = frame.axes @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    if guide == "anchor":
        model.guide_module.anchor_latents = frame.inward(anchors)
    after = decode(model, encode(model, patches))
    np.testing.assert_allclose(after, before, atol=1e-4)


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_the_frame_learns_in_training_and_only_there(guide):
    model, x = small(guide=guide), torch.rand(6, 8, 8)
    axes = model.contents[0].frame.axes
    model.guide_module.summary(model, x)
    model.eval().sample_guide(x)
    assert torch.equal(model.contents[0].frame.axes, axes)
    model.train().sample_guide(x)
    assert not torch.equal(model.contents[0].frame.axes, axes)


def test_several_particles_can_be_differentiated():
    model, x = small().train(), torch.rand(6, 8, 8)
    elbo = PatchELBO(num_particles=3)
    elbo.differentiable_loss(model.sample_model, model.sample_guide, x).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


class OwnPrior(Content):
    """Latents whose prior is worked out."""

    def prior_given(self, values):
        return dist.Normal(torch.zeros(2), 3.0).to_event(1)


@pytest.mark.parametrize(
    "content", [Content(2, dist.Normal(0.0, 1.0)), Content(2, canonical=False), OwnPrior(2)]
)
def test_a_prior_that_is_given_is_taken_as_it_is(content):
    model, z = PoseVAE(8, [content]), torch.randn(3, 2)
    model.sample_guide(torch.rand(6, 8, 8))
    assert torch.equal(content.decoded(z), z)
    assert not [name for name in model.state_dict() if "frame" in name]


def test_by_default_no_frame_is_learned_of_latents_that_may_tell_the_pose():
    framed = [VAE(8), VAE(8, guide="normal"), ShiftVAE(8), small(guide="normal")]
    assert all(hasattr(model.contents[0], "frame") for model in framed)
    model = ShiftVAE(8, guide="normal")
    assert not model.contents[0].canonical
    assert not hasattr(model.contents[0], "frame")


def test_a_posterior_that_is_no_normal_has_no_frame():
    with pytest.raises(SpecificationError, match="canonical=False"):
        Content(2, family=TransformedNormalFamily(), canonical=True)
    with pytest.raises(SpecificationError, match="canonical=False"):
        Content(2, dist.LogNormal(0.0, 1.0), canonical=True)


def test_the_frame_is_saved(tmp_path):
    model = VAE(8)
    turned(model.contents[0].frame)
    save(model, tmp_path / "model.pt")
    found = load(tmp_path / "model.pt").contents[0]
    assert found.canonical
    assert torch.equal(found.frame.axes, TURN)


# Real trainings


def lattice_patches(factors, seed):
    """Windows of a lattice with a slow change of its second sublattice, and one of brightness."""
    truth = synthetic.lattice_image(
        (115, 115), period=8.0, atom_width=1.6, noise=0.1, phases=2, wall_width=100.0, seed=seed
    )
    image = truth.image.values
    if factors == 2:
        image = image * np.linspace(0.6, 1.4, len(image))[:, None]
    return extract_patches(image, window=16, step=5, normalize="image")


def trained(factors, seed=0):
    patches = lattice_patches(factors, seed)
    model = ShiftVAE(16, guide="anchor", seed=seed)
    fit(model, patches, epochs=12, batch_size=20, seed=seed, progress=False)
    maps = encode(model, patches)
    return maps.z.values.reshape(-1, 2), maps.z_std.values.reshape(-1, 2).mean(0)


@pytest.mark.filterwarnings("ignore:.*collapsed:pyroshift.errors.LatentWarning")
def test_a_lattice_with_one_factor_leaves_one_latent_empty():
    z, width = trained(1)
    assert width[0] < 0.4
    assert width[1] > COLLAPSED_STD
    assert z[:, 1].std() < 0.4


def test_two_factors_make_two_uncorrelated_latents_in_order():
    z, width = trained(2)
    assert width[0] < width[1] < COLLAPSED_STD
    assert abs(np.corrcoef(z.T)[0, 1]) < 0.3
    assert float((np.abs(z) > 2.5).mean()) < 0.05

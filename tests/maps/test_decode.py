"""Back from maps to data: by what maps hold, whatever sites there are and however they lie."""

import numpy as np
import pyro.distributions as dist
import pytest
import torch
import xarray as xr

import pyroshift as ps

AXIS = np.linspace(-1, 1, 12)


class Stretch(ps.PoseSite):
    """How much longer than usual a motif is along x."""

    affine = True

    def __init__(self):
        super().__init__("stretch", dist.LogNormal(0.0, 0.3), ())

    def transform(self, coordinates, value):
        factors = torch.stack([torch.ones_like(value), value], -1)
        return coordinates / factors[..., None, None, :]

    def inverse(self, value):
        return 1 / value

    def reach(self, radius):
        return 1.5 * radius


@pytest.fixture
def stretching():
    """A model that draws a Gaussian, and how it is stretched is a site of the user's own."""
    model = ps.PoseVAE((12, 12), [Stretch(), ps.Content(1)], guide="normal")
    rng = np.random.default_rng(0)
    images = np.exp(-(AXIS[:, None] ** 2 + (AXIS / rng.lognormal(0, 0.3, (60, 1, 1))) ** 2) / 0.1)
    ps.fit(model, ps.Patches.from_array(images), epochs=2, progress=False)
    return model, images


def test_sites_of_the_users_own_are_as_the_maps_say(stretching):
    model, images = stretching
    maps = ps.encode(model, images)
    sites = {name: torch.from_numpy(maps[name].values) for name in ("stretch", "z")}
    with torch.no_grad():
        expected = model.likelihood.mean(model.output(sites)).numpy()
    np.testing.assert_allclose(ps.decode(model, maps), expected, rtol=1e-4, atol=1e-5)
    longer = ps.decode(model, maps.assign(stretch=2 * maps.stretch))
    assert float(abs(longer - expected).max()) > 1e-3


def test_without_maps_they_are_at_the_middle_of_their_prior(stretching):
    model, _ = stretching
    middle = torch.full((1,), float(Stretch().prior.mean))
    sites = {"stretch": middle, "z": torch.zeros(1, 1)}
    with torch.no_grad():
        expected = model.likelihood.mean(model.output(sites)).numpy()
    np.testing.assert_allclose(ps.decode(model, np.zeros((1, 1))), expected, rtol=1e-4, atol=1e-5)
    assert np.ptp(ps.manifold(model, 3).values, axis=(1, 2)).min() > 0


@pytest.mark.parametrize("frames", [3, 4])  # four windows are along x, too
def test_covariates_lie_along_their_own_dimension(frames):
    rng = np.random.default_rng(0)
    stack = xr.DataArray(rng.random((frames, 32, 32)), dims=("frame", "y", "x"))
    patches = ps.extract_patches(stack, window=8, step=8, normalize=None).assign("frame")
    model = ps.VAE(8, latent_dim=1, condition="frame")
    ps.fit(model, patches, epochs=2, progress=False)
    maps = ps.encode(model, patches)
    each = np.broadcast_to(np.arange(frames)[:, None, None], (frames, 4, 4))
    expected = ps.decode(model, maps, covariates={"frame": each})
    np.testing.assert_array_equal(ps.decode(model, maps), expected)
    assert float(expected.std("frame").max()) > 0


def test_poses_may_lie_in_another_order_than_latents():
    rng = np.random.default_rng(0)
    model = ps.ShiftVAE(8, 1, guide="normal")
    z = xr.DataArray(rng.normal(size=(3, 3, 1)), dims=("y", "x", "latent"))
    offset = xr.DataArray(rng.normal(size=(3, 3, 2)), dims=("y", "x", "axis"))
    expected = ps.decode(model, z.values, offset.values)
    np.testing.assert_array_equal(ps.decode(model, z, offset.transpose("x", "axis", "y")), expected)

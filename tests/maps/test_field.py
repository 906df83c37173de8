"""Fields between windows: as the exact Gaussian process has them, and bands that hold the truth."""

import math

import numpy as np
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from torch import nn

import pyroshift as ps
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.pace import PACE
from pyroshift.priors.matern import matern

PIXELS, NOISE, LENGTH, SHARE = 12, 1.0, 3.0, 0.8
PATTERN = np.cos(np.arange(PIXELS)) / np.sqrt(np.square(np.cos(np.arange(PIXELS))).sum())
SIDE = 10


class Flat(nn.Module):
    def forward(self, x):
        return x.flatten(1)


class Linear(nn.Module):
    def forward(self, z, coordinates):
        return z @ torch.tensor(PATTERN[np.newaxis], dtype=z.dtype)


def exact_model(apart=("frame",)):
    """A model whose guide says of each window exactly what its pixels do."""
    site = ps.priors.Matern(1, length=LENGTH, apart=apart)
    model = ps.PoseVAE(
        (PIXELS,), [site], likelihood=ps.Gaussian(NOISE), encoder=Flat(), decoder=Linear()
    )
    head = model.guide_module.heads["z"]
    with torch.no_grad():
        head.weight.zero_()
        head.weight[0] = torch.tensor(PATTERN / (1 + NOISE**2))
        head.bias[:] = torch.tensor([0.0, -math.log(NOISE)])
        site.free["share"].fill_(math.log(SHARE / (1 - SHARE)) / PACE)
    return model.eval()


def correlation(some, others):
    distance = np.linalg.norm(some[:, None] - others, axis=-1) / LENGTH
    return SHARE * matern(torch.from_numpy(distance), 1.5).numpy()


GRID = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), -1).reshape(-1, 2)
ROOT = np.linalg.cholesky(correlation(GRID, GRID) + 1e-9 * np.eye(SIDE**2))
MISSING = (GRID < SIDE // 2).all(1)  # a quarter


def made(seed):
    """A smooth field, and windows of it on three quarters of a grid."""
    random = np.random.default_rng(seed)
    smooth = ROOT @ random.normal(size=len(GRID))
    z = smooth + (1 - SHARE) ** 0.5 * random.normal(size=len(GRID))
    windows = z[:, np.newaxis] * PATTERN + NOISE * random.normal(size=(len(GRID), PIXELS))
    windows = windows.astype(np.float32).reshape(SIDE, SIDE, PIXELS)
    axes = {name: (name, np.arange(SIDE, dtype=float), {"units": "nm"}) for name in "yx"}
    patches = ps.Patches.from_array(windows, 1, ("y", "x", "t"), axes)
    return smooth, patches.subset(torch.from_numpy(~MISSING))


def exactly(patches, places):
    """Mean and covariance of the field at places, by the dense textbook formula."""
    seen = GRID[~MISSING]
    measured = patches.gather().numpy().reshape(len(seen), PIXELS) @ PATTERN
    noise = 1 - SHARE + NOISE**2
    both = correlation(seen, seen) + noise * np.eye(len(seen))
    gain = np.linalg.solve(both, correlation(seen, places)).T
    return gain @ measured, correlation(places, places) - gain @ correlation(seen, places)


def test_agrees_with_the_exact_process_at_all_places():
    _, patches = made(0)
    mean, covariance = exactly(patches, GRID)
    found = ps.smooth_field(exact_model(), patches, draws=20_000)
    assert found.field.dims == ("y", "x", "latent")
    np.testing.assert_allclose(found.field.values.ravel(), mean, atol=1e-4)
    np.testing.assert_allclose(
        found.field_std.values.ravel(), covariance.diagonal() ** 0.5, atol=1e-4
    )
    draws = found.draws.values.reshape(20_000, -1)
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.03)
    np.testing.assert_allclose(found.own_std, (1 - SHARE) ** 0.5, rtol=1e-5)
    reach = (found.upper - found.lower) / found.field_std
    np.testing.assert_allclose(reach, 2 * 1.6449, rtol=1e-3)


def test_agrees_with_the_exact_process_at_any_place():
    _, patches = made(1)
    places = np.random.default_rng(0).uniform(-2, 12, (30, 2))
    mean, covariance = exactly(patches, places)
    found = ps.smooth_field(exact_model(), patches, {"y": places[:, 0], "x": places[:, 1]})
    assert found.field.dims == ("place", "latent")
    np.testing.assert_allclose(found.field.values[:, 0], mean, atol=1e-4)
    np.testing.assert_allclose(
        found.field_std.values[:, 0], covariance.diagonal() ** 0.5, atol=1e-4
    )
    assert found.y.units == "nm"
    line = xr.DataArray(np.linspace(0, 9, 7), dims="along")
    profile = ps.smooth_field(exact_model(), patches, {"y": 2.5, "x": line})
    assert dict(profile.field.sizes) == {"along": 7, "latent": 1}
    sides = {"y": xr.DataArray([1.0, 2.0], dims="y"), "x": xr.DataArray([0.5, 1.5, 2.5], dims="x")}
    grid = ps.smooth_field(exact_model(), patches, sides)
    assert grid.field.dims == ("y", "x", "latent")
    np.testing.assert_allclose(
        grid.field.values.ravel(),
        exactly(patches, np.array([[y, x] for y in (1, 2) for x in (0.5, 1.5, 2.5)]))[0],
        atol=1e-4,
    )


def test_bands_hold_the_truth_as_often_as_they_say():
    """In the missing quarter, over 400 fields; and so does that of the quarter's mean."""
    model, held, means = exact_model(), [], []
    for seed in range(400):
        smooth, patches = made(seed)
        found = ps.smooth_field(model, patches, draws=200, seed=seed)
        inside = (found.lower.values.ravel() < smooth) & (smooth < found.upper.values.ravel())
        held.append(inside[MISSING].mean())
        draws = found.draws.values.reshape(200, -1)[:, MISSING].mean(1)
        low, high = np.quantile(draws, [0.05, 0.95])
        means.append(low < smooth[MISSING].mean() < high)
    error = np.std(held) / 20
    assert error < 0.01  # so that 3% are more than three errors
    assert 0.87 < np.mean(held) < 0.93
    assert 0.84 < np.mean(means) < 0.95  # 0.9 is known to 1.5%, less 1% for so few draws


def test_of_the_wrong_length_bands_are_not_right():
    """Or the test above could not fail: ten times as long, the quarter seems to be known."""
    model, held = exact_model(), []
    model.contents[0].spacing.fill_(10 * LENGTH)
    for seed in range(60):
        smooth, patches = made(seed)
        found = ps.smooth_field(model, patches, draws=1)
        inside = (found.lower.values.ravel() < smooth) & (smooth < found.upper.values.ravel())
        held.append(inside[MISSING].mean())
    assert np.mean(held) < 0.6


def test_frames_are_fields_of_their_own():
    windows = np.random.default_rng(0).normal(size=(2, 4, 4, PIXELS)).astype(np.float32)
    axes = {"y": np.arange(4.0), "x": np.arange(4.0)}
    for frames in ([0, 1], ["cold", "hot"]):
        stack = ps.Patches.from_array(
            windows, 1, ("frame", "y", "x", "t"), {**axes, "frame": frames}
        )
        both = ps.smooth_field(exact_model(), stack)
        for number, frame in enumerate(frames):
            one = ps.Patches.from_array(windows[number], 1, ("y", "x", "t"), axes)
            alone = ps.smooth_field(exact_model(), one)
            np.testing.assert_allclose(both.field[number], alone.field, atol=1e-5)
            there = ps.smooth_field(exact_model(), stack, {"frame": frame, "y": 1.0, "x": 2.0})
            np.testing.assert_allclose(there.field, alone.field.sel(y=1, x=2), atol=1e-5)
        with pytest.raises(DataError, match="nothing of 'frame'"):
            ps.smooth_field(exact_model(), stack, {"y": 1.0, "x": 2.0})
    with pytest.raises(DataError, match="no frame 'warm'"):
        ps.smooth_field(exact_model(), stack, {"frame": "warm", "y": 1.0, "x": 2.0})


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_of_untrained_models_where_windows_say_next_to_nothing(guide, untouched, tmp_path):
    """What windows say is as `encode` has it of each by itself; and the result goes into files."""
    cut = ps.extract_patches(np.random.default_rng(0).random((24, 28)), 8, 4)
    model = ps.ShiftVAE(8, 2, guide=guide, priors={"z": ps.priors.Matern(2, length=8.0)})
    model.train()
    with untouched():
        found = ps.smooth_field(model, cut.subset(torch.arange(12)), draws=3)
    assert model.training
    assert found.field.notnull().all()
    assert dict(found.draws.sizes) == {"draw": 3, "y": 5, "x": 6, "latent": 2}
    assert (found.field_std <= found.field_std.max()).all()
    found.to_netcdf(tmp_path / "field.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "field.nc", engine="h5netcdf"), found)
    # Where hardly anything of the variance is smooth, nor is the field.
    with torch.no_grad():
        model.contents[0].free["share"].fill_(-12 / PACE)
    assert float(np.abs(ps.smooth_field(model, cut, draws=1).field).max()) < 0.02


def test_says_what_is_wrong():
    model, (_, patches) = exact_model(), made(0)
    plain = ps.VAE((PIXELS,), 1, priors={"z": dist.Normal(0.0, 1.0)})
    with pytest.raises(SpecificationError, match=r"priors\.Matern"):
        ps.smooth_field(plain, patches)
    with pytest.raises(SpecificationError, match="expected a model"):
        ps.smooth_field("model.pt", patches)
    for options, message in (
        ({"draws": 0}, "draws must be"),
        ({"credible": 1.0}, "credible must be"),
        ({"batch_size": 2.5}, "batch_size must be"),
        ({"at": {"y": 1.0}}, "nothing of 'x'"),
        ({"at": {"y": 1.0, "x": 1.0, "time": 3.0}}, "time"),
        ({"at": {"y": [1.0, 2.0], "x": [1.0, 2.0, 3.0]}}, "different lengths"),
        ({"at": {"y": [1.0, np.nan], "x": [1.0, 2.0]}}, "NaN"),
        ({"at": {"y": "top", "x": 1.0}}, "must be numbers"),
        ({"at": {"y": np.zeros((2, 2)), "x": 1.0}}, "whose dimensions have names"),
        ({"at": {"y": [], "x": []}}, "1 to 5000 places, got 0"),
        ({"at": {"y": np.zeros(5001), "x": 1.0}}, "5001"),
    ):
        with pytest.raises(DataError, match=message):
            ps.smooth_field(model, patches, **options)
    with pytest.raises(DataError, match="the model is for windows"):
        ps.smooth_field(model, np.zeros((3, 7), np.float32))
    with pytest.raises(DataError, match=r"needs \['y', 'x'\]"):
        ps.smooth_field(model, np.zeros((3, PIXELS), np.float32))

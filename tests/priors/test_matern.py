"""Latents that change smoothly from window to window: closed forms, tiles, what is recovered."""

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gamma, kv
from torch.distributions import kl_divergence

from pyroshift import (
    VAE,
    Batch,
    PatchELBO,
    Patches,
    ShiftVAE,
    encode,
    evidence,
    fit,
    load,
    priors,
    save,
)
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.process import CorrelatedNormals, PseudoObservations
from pyroshift.priors.matern import matern
from pyroshift.testing import MODEL_CHECKS, Subject
from pyroshift.testing.subject import prepare
from pyroshift.training import batches
from pyroshift.training.batches import surrounded, tile_count, tiles


def covariance(latents, count, seed):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(latents, count, count, generator=generator).double()
    return root @ root.mT / count + 0.3 * torch.eye(count).double()


def factor(latents=2, count=5, seed=0):
    return torch.linalg.cholesky(covariance(latents, count, seed))


def joint(process):
    """The same as one Normal for each latent."""
    return dist.MultivariateNormal(process.loc, scale_tril=process.factor)


def test_windows_given_those_before_them_are_all_of_them_together():
    loc = torch.randn(2, 5).double()
    process = CorrelatedNormals(factor(), loc)
    value = process.rsample((7,))
    assert value.shape == (7, 5, 2)
    torch.testing.assert_close(
        process.log_prob(value).sum(-1), joint(process).log_prob(value.mT).sum(-1)
    )
    torch.testing.assert_close(process.variance.mT, joint(process).variance)
    drawn = process.rsample((20000,))
    torch.testing.assert_close(drawn.mean(0), process.mean, atol=0.05, rtol=0)
    found = torch.stack([torch.cov(each.mT) for each in drawn.unbind(-1)])
    torch.testing.assert_close(found, covariance(2, 5, 0), atol=0.08, rtol=0)


def test_divergences_are_exact():
    prior = CorrelatedNormals(factor())
    posterior = CorrelatedNormals(0.3 * factor(seed=1), torch.randn(2, 5).double())
    expected = kl_divergence(joint(posterior), joint(prior)).sum()
    torch.testing.assert_close(kl_divergence(posterior, prior).sum(), expected)
    mean, spread = torch.randn(5, 2).double(), torch.rand(5, 2).double() + 0.1
    apart = dist.Normal(mean, spread).to_event(1)
    together = dist.MultivariateNormal(mean.mT, scale_tril=torch.diag_embed(spread.mT))
    expected = kl_divergence(together, joint(prior)).sum()
    torch.testing.assert_close(kl_divergence(apart, prior).sum(), expected)


def test_the_posterior_is_that_of_the_process_given_measurements():
    raw = torch.randn(5, 4).double()
    family = PseudoObservations()
    found = family.given(raw, covariance(2, 5, 0))
    mean, precision = raw[:, :2].mT, (2 * raw[:, 2:]).exp().mT
    value = mean * (1 + precision) / precision
    both = covariance(2, 5, 0) + torch.diag_embed(1 / precision)
    gain = covariance(2, 5, 0) @ torch.linalg.inv(both)
    torch.testing.assert_close(found.loc, (gain @ value.unsqueeze(-1)).squeeze(-1))
    left = covariance(2, 5, 0) - gain @ covariance(2, 5, 0)
    torch.testing.assert_close(found.variance.mT, left.diagonal(dim1=-2, dim2=-1))
    # Where windows have nothing to do with each other, each is as by itself.
    alone = family.distribution(raw, dist.Normal(torch.zeros(2), 1.0).to_event(1))
    apart = family.given(raw, torch.eye(5).expand(2, 5, 5).double())
    torch.testing.assert_close(apart.mean, alone.mean)
    torch.testing.assert_close(apart.variance, alone.variance)


@pytest.mark.parametrize("smoothness", [0.5, 1.5, 2.5])
def test_correlations_are_materns(smoothness):
    distance = np.linspace(0.05, 4, 50)
    scaled = np.sqrt(2 * smoothness) * distance
    expected = (
        2 ** (1 - smoothness) / gamma(smoothness) * scaled**smoothness * kv(smoothness, scaled)
    )
    found = matern(torch.from_numpy(distance), smoothness).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert float(matern(torch.zeros(()), smoothness)) == 1.0


@given(count=st.integers(1, 300), size=st.integers(1, 80), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_tiles_hold_every_place_once(count, size, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = tiles(torch.randn(count, 2), size)
    assert len(found) == tile_count(count, size)
    assert sorted(torch.cat(found).tolist()) == list(range(count))
    sizes = [len(tile) for tile in found]
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_tiles_are_of_neighbours():
    grid = torch.cartesian_prod(torch.arange(32.0), torch.arange(32.0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        spread = torch.stack([grid[tile].std(0).norm() for tile in tiles(grid, 64)])
    assert float(spread.max()) < 0.5 * float(grid.std(0).norm())


def test_what_surrounds_a_tile_is_nearest_to_it():
    grid = torch.cartesian_prod(torch.arange(20.0), torch.arange(20.0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for tile in tiles(grid, 64):
            found = surrounded(grid, tile, 64)
            assert torch.equal(found[: len(tile)], tile)
            assert len(found) == len(set(found.tolist())) == len(tile) + 64
            distance = torch.cdist(grid, grid[tile]).amin(1)
            others = distance[distance > 0].sort().values[:64]
            assert torch.equal(distance[found[len(tile) :]], others)
    assert len(surrounded(grid, torch.arange(400), 64)) == 400


def test_maps_in_tiles_have_no_seams(monkeypatch):
    """Of an untrained model, whose latents measure noise: maps in tiles are as that of all."""
    windows = np.random.default_rng(0).random((24, 24, 8, 8)).astype(np.float32)
    coords = {"y": np.arange(24.0), "x": np.arange(24.0)}
    patches = Patches.from_array(windows, 2, ("y", "x", "down", "across"), coords)
    model = VAE(8, 1, priors={"z": priors.Matern(1, length=4.0)})
    whole = encode(model, patches, batch_size=576)
    parts = encode(model, patches, batch_size=72)
    monkeypatch.setattr(batches, "surrounded", lambda places, tile, most: tile)
    seams = encode(model, patches, batch_size=72)

    def error(maps):
        return float(np.abs(maps.z - whole.z).max() / whole.z.std())

    assert error(parts) < 0.3 < 1 < error(seams)
    np.testing.assert_allclose(parts.z_std, whole.z_std, rtol=0.02)


@pytest.mark.parametrize("frames", [range(12), [f"{time} s" for time in range(12)]])
def test_frames_have_tiles_of_their_own(frames):
    """Else a tile of a stack is a few places in all frames, which say nothing of each other."""
    windows = np.zeros((12, 10, 10, 8, 8), np.float32)
    coords = {"frame": list(frames), "y": np.arange(10.0), "x": np.arange(10.0)}
    patches = Patches.from_array(windows, 2, ("frame", "y", "x", "down", "across"), coords)
    model = VAE(8, 1, priors={"z": priors.Matern(1)})
    known = model.with_needs(patches)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        training = list(batches.Batches(model, known, torch.arange(1200), 50).of(3))
        encoding = [tile[:count] for tile, count in batches.in_order(model, known, 50)]
    for found in (training, encoding):
        assert sorted(torch.cat(list(found)).tolist()) == list(range(1200))
        seen = [len(torch.unique(known.known["frame"][tile])) for tile in found]
        assert max(seen) <= 2
        spread = [float(known.known["y"][tile].std()) for tile in found]
        assert np.mean(spread) > 1  # and not a place or two


def test_the_length_begins_by_neighbours_of_the_same_frame():
    """Atoms of a stack are nearly where they were, in the next frame."""
    random = np.random.default_rng(0)
    places = 3.0 * np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2)
    y, x = (np.tile(places, (4, 1)) + 0.01 * random.normal(size=(100, 2))).T
    site = priors.Matern(1)
    known = {"y": y, "x": x, "frame": np.repeat(np.arange(4), 25)}
    site.know({name: torch.tensor(each, dtype=torch.float) for name, each in known.items()})
    assert 13 < float(site.spacing) < 17


def by_normal(seed=0, **options):
    return VAE((5, 8), priors={"z": priors.Matern(2)}, seed=seed, **options)


def by_anchor(seed=0, **options):
    return ShiftVAE((6, 8), priors={"z": priors.Matern(2)}, seed=seed, **options)


# Those need to know where windows are, or what the lengths are good for.
PLACED = (
    "every parameter gets a gradient", "training resumes to the same result", "double precision",
)  # fmt: skip


@pytest.mark.parametrize(
    "check", [check for check in MODEL_CHECKS if check.name not in PLACED], ids=repr
)
@pytest.mark.parametrize("make", [by_normal, by_anchor])
def test_every_model_check(make, check):
    check(Subject(make))


@pytest.mark.parametrize("make", [by_normal, by_anchor])
def test_the_bound_counts_neighbours_together(make):
    model = make().eval()
    x = torch.rand(6, *model.window)
    prepare(model.likelihood, x)
    near = {"y": torch.zeros(6), "x": 0.1 * torch.arange(6.0)}
    far = {"y": torch.zeros(6), "x": 1e4 * torch.arange(6.0)}

    def kl(known):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            batch = Batch(x, known)
            return PatchELBO().terms(model.sample_model, model.sample_guide, batch).kl["z"]

    torch.testing.assert_close(kl(far), kl({}), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(kl(near), kl({}), atol=1e-3)
    # And windows of other frames have nothing to do with each other.
    apart = {**near, "frame": torch.arange(6.0)}
    torch.testing.assert_close(kl(apart), kl({}), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", [by_normal, by_anchor])
def test_lengths_and_shares_learn_from_places(make):
    model = make()
    x = torch.rand(6, *model.window)
    prepare(model.likelihood, x)
    batch = Batch(x, {"y": torch.zeros(6), "x": torch.arange(6.0)})
    PatchELBO().terms(model.sample_model, model.sample_guide, batch).loss.backward()
    for name, parameter in model.contents[0].named_parameters():
        assert bool((parameter.grad != 0).all()), name


def field(side, length, share, seed):
    """A smooth field and noise of each place's own, of unit variance together."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    distance = np.linalg.norm(grid[:, None] - grid, axis=-1) / length
    smooth = matern(torch.from_numpy(distance), 1.5).numpy()
    own = np.eye(side**2)
    return np.linalg.cholesky(share * smooth + (1 - share) * own) @ rng.standard_normal(side**2)


def test_the_length_and_what_neighbours_tell_are_found():
    side, length, noise = 24, 4.0, 0.3
    content = field(side, length, 0.9, 1)
    rng = np.random.default_rng(2)
    axis = np.arange(12) - 5.5
    offset = rng.uniform(-1.5, 1.5, (side**2, 2))
    y, x = axis[:, None] - offset[:, 0, None, None], axis - offset[:, 1, None, None]
    spot = np.exp(-((y - 2.5) ** 2 + (x - 2.5) ** 2) / 3)
    windows = np.exp(-(y**2 + x**2) / 4) + 0.3 * content[:, None, None] * spot
    windows = (windows + noise * rng.standard_normal(windows.shape)).astype(np.float32)
    steps = 0.5 * np.arange(side)  # nanometres
    patches = Patches.from_array(
        windows.reshape(side, side, 12, 12), 2, ("y", "x", "down", "across"),
        {"y": steps, "x": steps},
    )  # fmt: skip
    shares = {}
    for name, prior in (("independent", {}), ("smooth", {"z": priors.Matern(1)})):
        model = ShiftVAE(12, 1, priors=prior)
        fit(model, patches, epochs=40, batch_size=64, progress=False, kl=1.0)
        z = encode(model, patches).z.values.ravel()
        shares[name] = np.corrcoef(z, content)[0, 1] ** 2
    assert shares["independent"] > 0.5
    left = (1 - shares["smooth"]) / (1 - shares["independent"])
    assert left < 0.85  # of what windows by themselves leave of the variance
    found = float(model.contents[0].length_posterior.mean.detach()) / 0.5
    assert length / 2 < found < 2 * length


def test_a_smooth_model_is_saved_and_goes_on_from_a_checkpoint(tmp_path):
    windows = np.random.default_rng(0).random((6, 6, 8, 8)).astype(np.float32)
    coords = {"y": np.arange(6.0), "x": np.arange(6.0)}
    patches = Patches.from_array(windows, 2, ("y", "x", "down", "across"), coords)
    options = {"batch_size": 12, "progress": False, "schedule": None}
    first, second = (ShiftVAE(8, 1, priors={"z": priors.Matern(1)}) for _ in range(2))
    whole = fit(first, patches, epochs=3, **options)
    fit(second, patches, epochs=1, checkpoint=tmp_path / "run.pt", **options)
    parts = fit(second, patches, epochs=3, checkpoint=tmp_path / "run.pt", **options)
    np.testing.assert_array_equal(whole.loss.values, parts.loss.values)
    save(first, tmp_path / "model.pt")
    again = load(tmp_path / "model.pt")
    np.testing.assert_array_equal(encode(first, patches).z, encode(again, patches).z)
    assert float(again.contents[0].spacing) == 5.0


def test_evidence_is_of_each_window_by_itself():
    windows = np.random.default_rng(0).random((4, 4, 8, 8)).astype(np.float32)
    coords = {"y": np.arange(4.0), "x": np.arange(4.0)}
    patches = Patches.from_array(windows, 2, ("y", "x", "down", "across"), coords)
    model = VAE(8, 1, priors={"z": priors.Matern(1)})
    fit(model, patches, epochs=2, batch_size=8, progress=False)
    whole = evidence(model, patches, draws=30)
    known = evidence(model, patches.assign("y", "x"), draws=30)
    np.testing.assert_array_equal(whole.log_evidence, known.log_evidence)
    coords["y"] = coords["y"] / 9
    near = Patches.from_array(windows, 2, ("y", "x", "down", "across"), coords)
    np.testing.assert_array_equal(evidence(model, near, draws=30).elbo, whole.elbo)


def test_windows_of_unknown_places_are_refused():
    model = ShiftVAE(8, 1, priors={"z": priors.Matern(1)})
    patches = Patches.from_array(np.random.default_rng(0).random((9, 8, 8)))
    with pytest.raises(DataError, match=r"needs \['y', 'x'\] of every patch"):
        fit(model, patches, epochs=1, progress=False)


@pytest.mark.parametrize(
    ("options", "match"), [({"smoothness": 1}, "0.5, 1.5"), ({"length": 0.0}, "positive")]
)
def test_a_prior_that_makes_no_sense_is_refused(options, match):
    with pytest.raises(SpecificationError, match=match):
        priors.Matern(1, **options)

"""Draws of the posterior: exact where the guide is not, and labelled as the maps are."""

import arviz_stats
import linear
import numpy as np
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from cases import CASES, image

import pyroshift as ps
from pyroshift.bayes import posterior as module
from pyroshift.bayes.parts import parts_of
from pyroshift.errors import DataError, SpecificationError

RANDOM = np.random.default_rng(0)
GROUPS = {
    "posterior", "prior", "posterior_predictive", "prior_predictive", "observed_data",
    "log_likelihood", "sample_stats", "importance",
}  # fmt: skip


EVERY = pytest.mark.parametrize("case", CASES)


# What is drawn


@pytest.mark.parametrize("narrow", [1.0, 0.7, 1.5])
def test_a_wrong_guide_gives_the_exact_posterior(narrow):
    x = linear.data(40)
    tree = ps.posterior(
        linear.model(narrow=narrow, shifted=0.2), x, draws=1000, proposals=8000, predictive=False
    )
    z = tree["posterior"].z.isel(chain=0).values
    width = linear.posterior_widths(2)
    # Of 40 times 1,000 draws: to 0.4%, but for what tails of a narrow guide miss.
    np.testing.assert_allclose((z.std(0) / width).mean(0), 1.0, atol=0.03)
    error = (z.mean(0) - linear.posterior_means(x, 2)) / width
    assert np.abs(error.mean(0)).max() < 0.03
    assert error.std() < 0.1
    if narrow == 0.7:  # and not the guide's own
        assert (z.std(0) / width).min() > 0.8


def test_classes_have_their_exact_probabilities():
    """Of a model whose latents say nothing: the class alone matters, and can be tried."""
    patches = ps.Patches.from_array(RANDOM.random((5, 12)).astype(np.float32))
    model = ps.VAE((12,), latent_dim=1, classes=3, likelihood=ps.Gaussian(0.3))
    tree = ps.posterior(model, patches, draws=2000, predictive=False)
    each = [
        ps.evidence(model, patches.assign(label=float(kind)), draws=500).log_evidence.values
        for kind in range(3)
    ]
    expected = np.exp(np.stack(each) - np.logaddexp.reduce(each))
    drawn = tree["posterior"]["class"].isel(chain=0).values
    found = np.stack([(drawn == kind).mean(0) for kind in range(3)])
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_draws_and_their_densities_belong_together():
    x = linear.data(6)
    tree = ps.posterior(linear.model(narrow=0.9), x, draws=50)
    z = torch.tensor(tree["posterior"].z.values)
    patterns = torch.tensor(linear.patterns(2), dtype=torch.float)
    likelihood = dist.Normal(z @ patterns, linear.NOISE).log_prob(torch.tensor(x)).sum(-1)
    np.testing.assert_allclose(tree["log_likelihood"].patches, likelihood, rtol=1e-4)
    prior = dist.Normal(0.0, 1.0).log_prob(z).sum(-1)
    np.testing.assert_allclose(tree["sample_stats"].lp, likelihood + prior, rtol=1e-4)
    predicted = tree["posterior_predictive"].patches.values
    noise = predicted - (z @ patterns).numpy()
    assert abs(noise.std() / linear.NOISE - 1) < 0.05  # of 3,600 numbers: to 1.2%
    np.testing.assert_array_equal(tree["observed_data"].patches, x)
    before = tree["prior"].z.values
    assert abs(before.std() - 1) < 0.1
    exact = np.sqrt((np.square(linear.patterns(2)).sum() / linear.PIXELS) + linear.NOISE**2)
    assert abs(tree["prior_predictive"].patches.values.std() / exact - 1) < 0.05


def test_same_weights_as_those_of_evidence():
    x = linear.data(6)
    model = linear.model(narrow=0.8)
    tree = ps.posterior(model, x, draws=30, proposals=100, predictive=False)
    found = ps.evidence(model, x, draws=100)
    weights = tree["importance"].log_weight
    assert weights.dims == ("proposal", "patch")
    np.testing.assert_allclose(weights.mean("proposal"), found.elbo, rtol=1e-6)
    np.testing.assert_allclose(tree["importance"].khat, found.khat, atol=1e-3)
    assert tree["importance"].attrs["khat_limit"] == found.attrs["khat_limit"]


def test_arviz_takes_the_tree_as_it_is():
    x = linear.data(4)
    tree = ps.posterior(linear.model(narrow=0.8), x, draws=2000, proposals=8000)
    table = arviz_stats.summary(tree, round_to="none")
    assert list(table.index[:2]) == ["z[0, 0]", "z[0, 1]"]
    exact = linear.posterior_means(x, 2).ravel()
    np.testing.assert_allclose(table["mean"].astype(float), exact, atol=0.04)  # 3 errors


# How it is labelled


@EVERY
def test_groups_are_labelled_as_maps_and_patches_are(case, untouched):
    patches, model = CASES[case]()
    model.train()
    with untouched():
        tree = ps.posterior(model, patches, draws=26)
    assert model.training
    assert set(tree.children) == GROUPS
    maps, given = ps.encode(model, patches), patches.to_xarray()
    names = {site.name for site in model.given_sites}
    for group in ("posterior", "prior"):
        assert set(tree[group].data_vars) == names
        for name, values in tree[group].data_vars.items():
            assert values.dims == ("chain", "draw", *maps[name].dims)
            assert values.dtype == np.float32
            assert values.attrs == maps[name].attrs
            there = values.isel(chain=0, draw=0).notnull()
            np.testing.assert_array_equal(there, maps[name].notnull())
        for name, coordinate in tree[group].coords.items():
            if name not in ("chain", "draw"):
                assert coordinate.variable.identical(maps[name].variable), name
    xr.testing.assert_allclose(
        tree["observed_data"].patches.drop_attrs(), given.drop_attrs().rename("patches")
    )
    for group in ("posterior_predictive", "prior_predictive"):
        values = tree[group].patches
        assert values.dims == ("chain", "draw", *given.dims)
        left_out = given.isnull().all(set(given.dims) - set(patches.layout))
        assert (values.isnull() == left_out).all()  # and gaps are predicted
    for values in (tree["log_likelihood"].patches, tree["sample_stats"].lp):
        assert values.dims == ("chain", "draw", *patches.layout)
        assert values.units == "nat"
    assert tree["importance"].khat.dims == tuple(patches.layout)
    assert int(tree["importance"].ess.notnull().sum()) == len(patches)


@EVERY
def test_comes_back_from_files(case, tmp_path):
    patches, model = CASES[case]()
    tree = ps.posterior(model, patches, draws=25)
    tree.to_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "draws.nc", engine="h5netcdf") as back:
        xr.testing.assert_identical(back.load(), tree)
    tree.to_zarr(tmp_path / "draws.zarr", consolidated=False)
    with xr.open_datatree(tmp_path / "draws.zarr", engine="zarr", consolidated=False) as back:
        xr.testing.assert_identical(back.load(), tree)


def test_offsets_are_where_the_motif_is():
    patches = ps.extract_patches(image((24, 24), spacing=0.25), 12, 12)
    tree = ps.posterior(ps.ShiftVAE(12), patches, draws=200, predictive=False)
    offset, maps = tree["posterior"].offset, ps.encode(ps.ShiftVAE(12), patches)
    assert offset.units == maps.offset.units == "nm"
    width = 0.3 * 6 * 0.25  # the prior's, half-windows of 6 pixels of 0.25 nm
    assert 0.5 * width < float(tree["prior"].offset.std()) < 1.5 * width
    assert float(np.abs(offset).max()) < 12 * 0.25


# What it can leave out, and where it can go


@pytest.mark.parametrize("case", ["stack, anchor", "gaps", "channels"])
def test_parts_of_a_store_are_as_all_at_once(case, tmp_path, monkeypatch):
    patches, model = CASES[case]()
    monkeypatch.setattr(module, "_AT_ONCE", 25 * 4 * np.prod(model.shape))  # 4 patches a part
    tree = ps.posterior(model, patches, draws=25)
    path = tmp_path / "draws.zarr"
    stored = ps.posterior(model, patches, draws=25, path=path)
    assert stored["posterior"].offset.chunks is not None
    xr.testing.assert_identical(stored.load(), tree)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        ps.posterior(model, patches, draws=25, path=path)
    again = ps.posterior(model, patches, draws=26, path=path, overwrite=True, predictive=False)
    assert again["posterior"].sizes["draw"] == 26
    assert set(again.children) == GROUPS - {"posterior_predictive", "prior_predictive"}
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="choose another path"):
        ps.posterior(model, patches, path=tmp_path / "notes.txt", overwrite=True)


@pytest.mark.parametrize("most", [1, 2, 5, 7, 100])
@pytest.mark.parametrize("order", [1, -1])
def test_parts_hold_every_patch_once(most, order):
    patches = ps.extract_patches(np.zeros((3, 20, 24)), 8, 4)
    kept = torch.tensor([number for number in range(len(patches)) if number % 7])
    patches = patches.subset(kept[::order] if order == 1 else kept.flip(0))
    full = np.full(tuple(patches.layout.values()), np.nan, np.float32)
    values = np.arange(len(patches), dtype=np.float32)
    for part in parts_of(patches, most):
        assert 0 < len(part.index) <= most
        place = tuple(part.region.values())
        old, new = full[place], part.laid_out(values[part.index.numpy()], 0)
        full[place] = np.where(np.isnan(new), old, new)
    np.testing.assert_array_equal(full, patches.unflatten(values))


def test_repeats_itself_and_can_vary():
    patches, model = CASES["grid, normal"]()
    tree = ps.posterior(model, patches, draws=30)
    xr.testing.assert_identical(tree, ps.posterior(model, patches, draws=30))
    other = ps.posterior(model, patches, draws=30, seed=1)
    assert not tree["posterior"].equals(other["posterior"])
    few = ps.posterior(model, patches, draws=3, proposals=60)
    assert few["posterior"].sizes["draw"] == 3
    assert few["importance"].sizes["proposal"] == 60


def test_says_what_is_wrong_before_it_starts(monkeypatch):
    patches, model = CASES["grid, normal"]()
    monkeypatch.setattr(module, "Drawing", None)
    for options, message in (
        ({"draws": 0}, "draws must be a whole number of at least 1"),
        ({"draws": 24}, "draws must be a whole number of at least 25"),
        ({"draws": 24, "proposals": 20}, "proposals must be a whole number of at least 25"),
        ({"draws": 2.5}, "draws must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"draws": 10**7}, "predictive=False"),
    ):
        with pytest.raises(DataError, match=message):
            ps.posterior(model, patches, **options)
    with pytest.raises(DataError, match="windows of"):
        ps.posterior(ps.ShiftVAE(10), patches)
    with pytest.raises(SpecificationError, match="expected a model"):
        ps.posterior(patches, model)

"""Models compared by held-out evidence, and what overlapping windows are worth."""

import linear
import numpy as np
import pytest
import xarray as xr

import pyroshift as ps
from pyroshift.bayes.compare import _blocks
from pyroshift.errors import DataError


def test_the_true_model_is_best_by_what_it_is_better():
    x = linear.data(400)
    table = ps.compare({"one": linear.model(1), "true": linear.model(2)}, x, draws=200)
    exact = linear.log_evidence(x, 1) - linear.log_evidence(x, 2)
    assert table.model.values.tolist() == ["true", "one"]
    one = table.sel(model="one")
    np.testing.assert_allclose(one.difference, exact.mean(), atol=0.02)
    np.testing.assert_allclose(one.difference_se, exact.std(ddof=1) / 20, rtol=0.05)
    best = table.sel(model="true")
    assert (float(best.difference), float(best.difference_se)) == (0.0, 0.0)
    assert table.attrs["blocks"] == table.attrs["windows"] == 400
    assert table.pointwise.dims == ("model", "patch")


def test_share_beyond_the_limit():
    models = {"good": linear.model(), "bad": linear.model(narrow=0.4)}
    table = ps.compare(models, linear.data(50), draws=100)
    assert float(table.beyond.sel(model="good")) == 0
    assert float(table.beyond.sel(model="bad")) > 0.5
    assert abs(float(table.ess.sel(model="good")) - 100) < 0.1  # the guide is exact
    found = ps.evidence(models["bad"], linear.data(50), draws=100)
    assert float(table.ess.sel(model="bad")) == float(found.ess.median()) < 50


def test_probabilities_are_not_compared_with_densities():
    x = np.random.default_rng(0).poisson(3, (6, 8, 8)).astype(np.float32)
    counts, levels = ps.VAE(8, likelihood="poisson"), ps.VAE(8)
    with pytest.raises(DataError, match="can't be compared"):
        ps.compare({"counts": counts, "levels": levels}, x, draws=25)
    with pytest.raises(DataError, match="models by name"):
        ps.compare({}, x)
    with pytest.raises(DataError, match="models by name"):
        ps.compare([counts], x)
    two = ps.Patches.from_array(np.stack([x, x], 1), dims=("patch", "channel", "y", "x"))
    parts = [{"0": "poisson", "1": "gaussian"}, {"0": "gaussian", "1": "gaussian"}]
    models = {str(each): ps.VAE(8, likelihood=each, channels=2) for each in parts}
    with pytest.raises(DataError, match="can't be compared"):
        ps.compare(models, two, draws=25)


def test_tables_come_back_from_files(tmp_path):
    patches = ps.extract_patches(np.random.default_rng(0).random((60, 60)), 8, 4)
    table = ps.compare({"a": ps.VAE(8), "b": ps.ShiftVAE(8, guide="normal")}, patches, draws=25)
    table.to_netcdf(tmp_path / "table.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "table.nc", engine="h5netcdf"), table)
    table.to_zarr(tmp_path / "table.zarr", consolidated=False)
    with xr.open_zarr(tmp_path / "table.zarr", consolidated=False) as back:
        xr.testing.assert_identical(back.load(), table)


# Windows that overlap


@pytest.mark.parametrize("step", [2, 4, 8])
def test_standard_errors_count_overlapping_windows_once(step):
    """Means of windows of white noise over an image, by many images."""
    size, window, images = 96, 8, 300
    patches = ps.extract_patches(np.zeros((size, size)), window, step)
    means, errors, alone = [], [], []
    blocks = _blocks(patches)
    for image in np.random.default_rng(0).normal(size=(images, size, size)):
        sums = np.pad(image, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        low = np.arange(0, size - window + 1, step)
        rows = sums[low + window] - sums[low]
        values = (rows[:, low + window] - rows[:, low]).ravel()
        means.append(values.mean())
        errors.append(blocks.errors(values[np.newaxis])[0])
        alone.append(values.std() / np.sqrt(len(values)))
    true = np.std(means)
    # The true error is known to 4%; blocks are 36, and edges count less than they should.
    assert 0.85 < np.sqrt(np.mean(np.square(errors))) / true < 1.2
    if step == 2:
        assert np.mean(alone) / true < 0.4  # had each window counted by itself


def test_few_blocks_are_told():
    patches = ps.extract_patches(np.random.default_rng(0).random((16, 16)), 8, 4)
    model = ps.VAE(8)
    with pytest.warns(UserWarning, match="1 blocks of windows"):
        table = ps.compare({"a": model, "b": ps.ShiftVAE(8, guide="normal")}, patches, draws=25)
    assert np.isnan(table.difference_se).all()

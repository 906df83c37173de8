"""Calibration: what is right passes, what is wrong shows by as much as theory says."""

import math

import linear
import numpy as np
import pytest
import torch
import xarray as xr
from cases import CASES

import pyroshift as ps
from pyroshift.bayes.calibrate import LEVELS
from pyroshift.errors import DataError, SpecificationError

QUANTITIES = ["z0", "z1", "log_likelihood"]


def calibrate(model, *arguments, **options):
    return ps.calibrate(model, *arguments, **{"progress": False, "windows": 800, **options})


def test_an_exact_posterior_is_found_right():
    found = calibrate(linear.model())
    assert found["quantity"].values.tolist() == QUANTITIES
    assert float(found.p_value.min()) > 1e-3  # of six, nearly alike in pairs: once in 300 seeds
    expected = np.broadcast_to(LEVELS, (2, 3, len(LEVELS)))
    np.testing.assert_allclose(found.coverage, expected, atol=0.07)  # 4 errors at 50%
    assert float(found.khat.max()) < found.attrs["khat_limit"]


@pytest.mark.parametrize("narrow", [0.6, 1.5])
def test_a_guide_of_the_wrong_width_covers_as_theory_says_and_weights_mend_it(narrow):
    found = calibrate(linear.model(narrow=narrow), draws=400)
    guide, weighted = found.sel(posterior="guide"), found.sel(posterior="weighted")
    assert float(guide.p_value.max()) < 1e-3
    normal = xr.DataArray([0.674, 1.282, 1.645, 1.960], dims="level")
    expected = np.vectorize(math.erf)(narrow * normal / np.sqrt(2))
    for quantity in ("z0", "z1"):
        np.testing.assert_allclose(guide.coverage.sel(quantity=quantity), expected, atol=0.07)
        np.testing.assert_allclose(weighted.coverage.sel(quantity=quantity), LEVELS, atol=0.08)


def test_a_guide_that_is_off_shows_in_its_latents():
    found = calibrate(linear.model(shifted=0.5))
    assert float(found.p_value.sel(posterior="guide", quantity=["z0", "z1"]).max()) < 1e-3
    assert float(found.p_value.sel(posterior="weighted").min()) > 1e-3


def test_classes_of_exact_probability_pass():
    """Classes that noise nearly hides; the guide of latents that say nothing is the prior."""
    model = ps.VAE((12,), latent_dim=1, classes=3, likelihood=ps.Gaussian(2.0), guide="normal")
    with torch.no_grad():
        for parameter in model.guide_module.heads["z"].parameters():
            parameter.zero_()
    found = calibrate(model, draws=100)
    assert found["quantity"].values.tolist() == ["class", "z0", "log_likelihood"]
    assert float(found.p_value.sel(quantity="class").min()) > 1e-3


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_model_and_patches(case, untouched):
    patches, model = CASES[case]()
    model.train()
    with untouched():
        found = calibrate(model, patches, draws=26)
    assert model.training
    assert found["rank"].dims == ("posterior", "quantity", *patches.layout)
    assert found.attrs["windows"] == len(patches)
    known = found["rank"].notnull()
    assert int(known.isel(posterior=0, quantity=0).sum()) == len(patches)
    assert bool(((found["rank"] >= 0) & (found["rank"] <= 1)).where(known, True).all())
    assert int(found["p_value"].isnull().sum()) == 0
    again = calibrate(model, patches, draws=26)
    xr.testing.assert_identical(found, again)


def test_windows_are_made_with_the_gaps_and_covariates_of_the_patches():
    """Where 11 pixels in 12 are missing, posteriors are nearly the priors."""
    x = linear.data(800)
    x[:, 1:] = np.nan
    found = calibrate(linear.model(), ps.Patches.from_array(x, min_valid=0.05), draws=400)
    held = found.coverage.sel(quantity=["z0", "z1"], level=0.9)
    # The guide takes gaps for what is expected, and is as sure as ever; without gaps it is right.
    assert float(held.sel(posterior="guide").max()) < 0.8
    assert float((held.sel(posterior="weighted") - held.sel(posterior="guide")).min()) > 0.1


def test_tables_come_back_from_files(tmp_path):
    found = calibrate(linear.model(), windows=30, draws=25)
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "found.nc", engine="h5netcdf"), found)


def test_wrong_arguments():
    model = linear.model()
    with pytest.raises(SpecificationError, match="expected a model"):
        ps.calibrate("model")
    with pytest.raises(DataError, match="draws must be"):
        calibrate(model, draws=3)
    with pytest.raises(DataError, match="windows must be"):
        calibrate(model, windows=0)
    with pytest.raises(DataError, match="must know"):
        calibrate(ps.VAE(8, condition="dose"))
    with pytest.raises(DataError, match="model is for windows"):
        calibrate(model, np.zeros((5, 9), np.float32))


def test_plot_tells_widths_and_levels():
    found = calibrate(linear.model(narrow=0.6), windows=200)
    figure = ps.plot.rank(found)
    assert [ax.get_title() for ax in figure.axes] == QUANTITIES
    guide, weighted = figure.axes[0].lines[:2]
    x, y = guide.get_data()
    assert y[x == 0.1] > 0.02 > -0.02 > y[x == 0.9]  # too narrow: up, then down
    assert np.abs(weighted.get_ydata()).max() < np.abs(y).max()
    with pytest.raises(DataError, match="level"):
        ps.plot.rank(found, level=90)
    with pytest.raises(DataError, match="what calibrate gives"):
        ps.plot.rank(xr.Dataset())

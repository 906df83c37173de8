"""Predictive checks: right models pass, and each kind of misfit is seen where it is."""

import linear
import numpy as np
import pytest
import xarray as xr
from cases import CASES

import pyroshift as ps
from pyroshift.bayes.predictive import STATISTICS
from pyroshift.errors import DataError


def check(x, statistics=tuple(STATISTICS), draws=200):
    tree = ps.posterior(linear.model(), x, draws=draws)
    return ps.predictive_check(tree, statistics)


def test_data_of_the_model_are_like_its_predictions():
    found = check(linear.data(300))
    assert found["statistic"].values.tolist() == list(STATISTICS)
    # Uniform ones would have means to 0.017, and these are no more extreme.
    np.testing.assert_allclose(found.p_value.mean("patch"), 0.5, atol=0.07)
    extreme = ((found.p_value < 0.025) | (found.p_value > 0.975)).mean("patch")
    assert float(extreme.max()) < 0.09  # at most 5% of 300, and three errors
    np.testing.assert_allclose(found.density.sum() * np.diff(found.value)[0], 1, rtol=1e-9)
    inside = found.density_predicted
    between = (found.density >= inside.min("prediction")) & (
        found.density <= inside.max("prediction")
    )
    assert float(between.mean()) > 0.85


@pytest.mark.parametrize(
    ("misfit", "statistic", "above"),
    [
        (lambda x, random: x + 0.8 * random.normal(size=x.shape), "spread", False),
        (lambda x, random: x + 3 * (random.random(x.shape) < 0.1), "greatest", False),
        (lambda x, random: (x + np.roll(x, 1, 1)) / 2**0.5, "roughness", True),
        (lambda x, random: x + 0.4, "mean", False),
    ],
)
def test_misfits_are_seen_by_the_statistic_that_is_for_them(misfit, statistic, above):
    random = np.random.default_rng(0)
    found = check(misfit(linear.data(300), random).astype(np.float32))
    share = float(found.p_value.sel(statistic=statistic).mean())
    assert share > 0.7 if above else share < 0.3


def test_misfits_are_seen_where_they_are():
    x = linear.data(100)
    x[:20] += 0.8 * np.random.default_rng(0).normal(size=(20, 12))
    spread = check(x).p_value.sel(statistic="spread")
    assert float(spread[:20].mean()) < 0.1
    assert float(spread[20:].mean()) > 0.35


def test_a_function_of_ones_own():
    tree = ps.posterior(linear.model(), linear.data(20), draws=50)
    found = ps.predictive_check(tree, {"first": lambda windows: windows[:, 0]})
    first = tree["posterior_predictive"].patches[0, ..., 0]
    np.testing.assert_allclose(found.predicted[0], first.mean("draw"), rtol=1e-5)
    observed = tree["observed_data"].patches[:, 0]
    np.testing.assert_allclose(found.p_value[0], (first >= observed).mean("draw"))
    with pytest.raises(DataError, match="one number for each"):
        ps.predictive_check(tree, {"all": lambda windows: windows})


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_patches_and_pictures_of_them(case):
    patches, model = CASES[case]()
    found = ps.predictive_check(ps.posterior(model, patches, draws=26))
    channel = ("channel",) if patches.channels else ()
    assert found.p_value.dims == ("statistic", *patches.layout, *channel)
    assert found.density.dims == (*channel, "bin")
    known = int(found.observed.isel(statistic=0).notnull().sum())
    assert known == len(patches) * max(len(patches.channels), 1)
    assert int(found.p_value.notnull().sum()) == known * found.sizes["statistic"]
    figure = ps.plot.predictive_check(found)
    titles = [ax.get_title() for ax in figure.axes]
    assert titles.count("pixels' values") == max(len(patches.channels), 1)


def test_missing_pixels_are_left_out_of_predictions():
    x = linear.data(200)
    x[:, ::2] = np.nan
    found = check(x, {"known": lambda windows: np.isfinite(windows).sum(1)}, draws=30)
    assert set(found.predicted.values.ravel()) == {6.0}


def test_intervals_hold_as_many_whole_numbers():
    random = np.random.default_rng(0)
    for mean in (3, 300):
        counts = random.poisson(mean, (40, 12)).astype(np.float32)
        model = ps.VAE((12,), likelihood="poisson", guide="normal")
        found = ps.predictive_check(ps.posterior(model, counts, draws=26), "mean")
        step = float(found.value[1] - found.value[0])
        assert step == int(step) >= 1
        assert float(found.value[0]) % 1 == ((step - 1) / 2) % 1
        np.testing.assert_allclose(found.density.sum() * step, 1, rtol=1e-9)


def test_wrong_arguments():
    tree = ps.posterior(linear.model(), linear.data(5), draws=26)
    for wrong in ("kurtosis", ["mean", "kurtosis"], [], {}, {"mean": "mean"}):
        with pytest.raises(DataError, match="statistics must be names"):
            ps.predictive_check(tree, wrong)
    without = ps.posterior(linear.model(), linear.data(5), draws=26, predictive=False)
    for wrong in (without, xr.DataTree(), "tree"):
        with pytest.raises(DataError, match="draws with predicted windows"):
            ps.predictive_check(wrong)
    with pytest.raises(DataError, match="what predictive_check gives"):
        ps.plot.predictive_check(xr.Dataset())

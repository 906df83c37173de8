"""Pareto-smoothed importance sampling, against known tails and ArviZ's figures."""

import numpy as np
import pytest
from arviz_stats.base import array_stats

from pyroshift.bayes.pareto import effective, khat_limit, resampled, smoothed

UNIFORM = (np.arange(1000) + 0.5) / 1000


# What arviz_stats 0.8.0 gives: array_stats.psislw(-log_weights, r_eff=1.0).
@pytest.mark.parametrize(
    ("shape", "draws", "khat", "largest"),
    [
        (0.4, 1000, 0.4100201708504741, -4.37543061),
        (0.4, 100, 0.4346899782944462, -2.98366369),
        (0.9, 1000, 0.84321863173557, -1.99805793),
    ],
)
def test_agrees_with_arviz(shape, draws, khat, largest):
    uniform = (np.arange(draws) + 0.5) / draws
    weights, found = smoothed(-shape * np.log1p(-uniform)[:, np.newaxis])
    np.testing.assert_allclose(found, khat, rtol=1e-6)
    np.testing.assert_allclose(weights.max(), largest, rtol=1e-6)


def test_agrees_with_arviz_on_any_weights():
    random = np.random.default_rng(0)
    for draws in (30, 200, 225, 226, 1000):
        widths = np.linspace(0.2, 8, 30)
        given = widths * random.normal(size=(draws, 30))
        weights, khat = smoothed(given)
        for patch in range(30):
            expected = array_stats.psislw(-given[:, patch], r_eff=1.0)
            np.testing.assert_allclose(weights[:, patch], expected[0], atol=1e-9)
            np.testing.assert_allclose(khat[patch], expected[1], atol=1e-9)


@pytest.mark.parametrize("shape", [-0.3, 0.1, 0.5, 0.9])
def test_finds_the_shape_of_pareto_tails(shape):
    # 40 at a time: the mean over 40 windows is off by less than 0.05 in 999 of 1,000 seeds.
    uniform = np.random.default_rng(0).random((4000, 40))
    weights = 1 + np.expm1(-shape * np.log1p(-uniform)) / shape
    _, khat = smoothed(np.log(weights))
    tail = 189  # draws, shrunk by ten towards 0.5
    expected = (tail * shape + 10 * 0.5) / (tail + 10)
    assert abs(khat.mean() - expected) < 0.05


def test_many_patches_are_as_one_by_one(monkeypatch):
    given = np.random.default_rng(0).normal(size=(100, 7))
    together = smoothed(given)
    monkeypatch.setattr("pyroshift.bayes.pareto._AT_ONCE", 1)
    for one, other in zip(together, smoothed(given), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_weights_are_normalized_keep_their_order_and_the_input_stays():
    given = np.random.default_rng(0).normal(size=(200, 5)) * 4
    before = given.copy()
    weights, _ = smoothed(given)
    np.testing.assert_array_equal(given, before)
    np.testing.assert_allclose(np.exp(weights).sum(0), 1.0)
    order = np.argsort(given, 0)
    assert (np.diff(np.take_along_axis(weights, order, 0), axis=0) >= -1e-12).all()


def test_weights_that_are_alike_are_no_tail():
    rounding = 1e-4 * np.random.default_rng(0).integers(0, 3, size=(200, 2))
    weights, khat = smoothed(-500 + rounding)
    np.testing.assert_array_equal(khat, 0.0)
    np.testing.assert_allclose(effective(weights), 200, rtol=1e-6)


def test_one_draw_that_outweighs_all_is_told():
    given = np.random.default_rng(0).normal(size=(200, 1)) * 5000
    weights, khat = smoothed(given)
    assert khat == np.inf
    np.testing.assert_allclose(effective(weights), 1.0)


def test_impossible_draws_have_no_weight():
    given = np.random.default_rng(0).normal(size=(100, 3))
    given[::2, 0], given[:, 1], given[3, 2] = -np.inf, -np.inf, np.nan
    weights, khat = smoothed(given)
    assert (weights[::2, 0] == -np.inf).all()
    assert khat[1] == np.inf
    np.testing.assert_allclose(weights[:, 1], -np.log(100))
    assert weights[3, 2] == -np.inf
    np.testing.assert_allclose(np.exp(weights).sum(0), 1.0)


def test_too_few_draws_have_no_khat():
    assert np.isnan(smoothed(np.zeros((24, 2)))[1]).all()
    assert not np.isnan(smoothed(np.zeros((25, 2)))[1]).any()
    assert khat_limit(25) < khat_limit(200) < khat_limit(5000) == 0.7


@pytest.mark.parametrize("count", [1, 7, 500])
def test_resampling_takes_each_as_often_as_its_weight_says(count):
    random = np.random.default_rng(0)
    weights, _ = smoothed(random.normal(size=(60, 9)))
    chosen = resampled(weights, count, random)
    assert chosen.shape == (count, 9)
    for patch in range(9):
        times = np.bincount(chosen[:, patch], minlength=60)
        expected = count * np.exp(weights[:, patch])
        assert (np.abs(times - expected) < 1 + 1e-9).all()


def test_resampling_never_takes_what_is_impossible():
    weights = np.full((50, 4), -np.inf)
    weights[17] = 0.0
    assert (resampled(weights, 30, np.random.default_rng(0)) == 17).all()

"""Ranks, and what tells them from uniform ones."""

import numpy as np
import pytest

from pyroshift.bayes.ranks import Uniformity, ranks

RANDOM = np.random.default_rng(0)


def even(draws, patches=1):
    return np.full((draws, patches), -np.log(draws))


@pytest.mark.parametrize("draws", [9, 200])
def test_truths_like_the_draws_have_uniform_ranks(draws):
    every = RANDOM.normal(size=(draws + 1, 2000))
    found = ranks(every[:-1], every[-1], even(draws, 2000), RANDOM)
    assert Uniformity(2000).p_value(found) > 1e-3  # fails once in a thousand


def test_ties_as_those_of_classes_have_uniform_ranks():
    every = RANDOM.choice(3, p=[0.7, 0.2, 0.1], size=(51, 2000))
    found = ranks(every[:-1], every[-1], even(50, 2000), RANDOM)
    assert Uniformity(2000).p_value(found) > 1e-3


def test_weighted_draws_of_another_distribution_have_uniform_ranks():
    """Weights of a proposal twice as wide: as even as draws of the right one."""
    truth, wide = RANDOM.normal(size=2000), 2 * RANDOM.normal(size=(400, 2000))
    weights = np.square(wide) / 8 - np.square(wide) / 2
    weights -= np.logaddexp.reduce(weights)
    uniformity = Uniformity(2000)
    assert uniformity.p_value(ranks(wide, truth, weights, RANDOM)) > 1e-3
    assert uniformity.p_value(ranks(wide, truth, even(400, 2000), RANDOM)) < 1e-3


@pytest.mark.parametrize("count", [60, 1000])
def test_p_values_of_uniform_ranks_are_uniform(count):
    uniformity = Uniformity(count)
    found = np.array([uniformity.p_value(RANDOM.random(count)) for _ in range(1000)])
    for level in (0.01, 0.05, 0.2):  # each fails once in a thousand
        assert (found <= level).mean() < level + 3.3 * np.sqrt(level / 1000)
    assert found.mean() > 0.45  # and not all large: the tests are of whole numbers


@pytest.mark.parametrize(
    "uneven", [lambda u: u**1.2, lambda u: 0.5 + 0.85 * (u - 0.5), lambda u: u - 0.1 * (u < 0.1)]
)
def test_departures_of_the_middle_width_and_tails_are_seen(uneven):
    assert Uniformity(2000).p_value(uneven(RANDOM.random(2000))) < 0.01


def test_bands_hold_as_many_as_they_say():
    uniformity = Uniformity(500)
    low, high = uniformity.band(0.9)
    below = [np.searchsorted(np.sort(RANDOM.random(500)), uniformity.shares) for _ in range(1000)]
    held = np.mean([((each / 500 >= low) & (each / 500 <= high)).all() for each in below])
    assert 0.87 < held < 0.95  # of 1,000: to 0.01; numbers being whole, more rather than fewer

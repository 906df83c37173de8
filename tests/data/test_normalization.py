"""Grey levels in single precision, stretched or not, and pixels that take the range."""

import warnings

import numpy as np
import pytest
import torch

from pyroshift import RVAE, Patches, encode, extract_patches
from pyroshift.data.normalization import checked_normalize, limits, normalized
from pyroshift.errors import DataError

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(size=(40, 48))


# Far from zero


@pytest.mark.parametrize("normalize", ["patch", "image", (1, 99)])
@pytest.mark.parametrize(
    "values",
    [1e8 + 0.3 * NOISE, (3e9 + 50 * NOISE).astype(np.uint32), -5e7 + 0.1 * NOISE],
    ids=["detector", "counts", "negative"],
)
def test_what_single_precision_cannot_tell_is_centred_first(values, normalize):
    centred = values - np.float64(values.mean())
    found = extract_patches(values, 8, normalize=normalize).gather()
    expected = extract_patches(centred, 8, normalize=normalize).gather()
    assert found.dtype == torch.float32
    assert float(found.std()) > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_unstretched_values_that_cannot_be_told_are_refused():
    for values in (1e8 + 0.3 * NOISE, (3e9 + 50 * NOISE).astype(np.uint32)):
        with pytest.raises(DataError, match="take off a constant first"):
            extract_patches(values, 8, normalize=None)
        with pytest.raises(DataError, match="the array of patches differ by"):
            Patches.from_array(values)


@pytest.mark.parametrize("level", [0.1, 1e8, 3e30])
@pytest.mark.parametrize("normalize", ["patch", "image", (1, 99), None])
def test_constants_are_no_loss(level, normalize):
    found = normalized(np.full((20, 30), level), normalize, "it")
    np.testing.assert_array_equal(found, found[0, 0])


def test_unstretched_values_keep_their_units():
    values = 1000 + NOISE
    np.testing.assert_array_equal(normalized(values, None, "it"), values.astype(np.float32))


# Percentiles


def test_percentiles_become_0_and_1_and_the_rest_is_clipped():
    values = np.arange(1001.0).reshape(7, 143)
    found = normalized(values, (10, 90), "it")
    np.testing.assert_allclose(found, np.clip((values - 100) / 800, 0, 1), atol=1e-6)
    assert (found.min(), found.max()) == (0, 1)


@pytest.mark.parametrize("cuts", [[], [3, 500], [999]])
def test_percentiles_of_parts_are_those_of_the_whole(cuts, monkeypatch):
    monkeypatch.setattr("pyroshift.data.normalization._ENOUGH", 100)
    values = RANDOM.normal(size=1000)
    whole = limits([values], 1000, (2, 98))
    assert limits(np.split(values, cuts), 1000, (2, 98)) == whole
    np.testing.assert_allclose(whole, np.percentile(values[::11], (2, 98)))


def test_percentiles_of_missing_pixels():
    values = np.where(RANDOM.random((20, 20)) < 0.3, np.nan, NOISE[:20, :20])
    found = normalized(values, (5, 95), "it")
    low, high = np.nanpercentile(values, (5, 95))
    np.testing.assert_allclose(found, np.clip((values - low) / (high - low), 0, 1), atol=1e-5)


@pytest.mark.parametrize(
    "normalize", [(1,), (1, 2, 3), (9, 1), (-1, 50), (5, 101), "all", 3, ("a", 1)]
)
def test_other_ways_are_refused(normalize):
    with pytest.raises(DataError, match="two percentiles"):
        checked_normalize(normalize)


def test_percentiles_are_told_in_the_maps(tmp_path):
    maps = encode(RVAE(8), extract_patches(NOISE, 8, normalize=[0.1, 99.9]))
    assert maps.normalize == "(0.1, 99.9)"
    maps.to_netcdf(tmp_path / "maps.nc", engine="h5netcdf")


# Hot pixels


def hot(value=1e6):
    image = NOISE.copy()
    image[10, 20] = value
    return image


def test_a_pixel_that_takes_the_whole_range_is_told():
    with pytest.warns(UserWarning, match=r"\(10, 20\).*normalize=\(0.1, 99.9\)") as caught:
        extract_patches(hot(), 8, normalize="image")
    assert caught[0].filename == __file__


@pytest.mark.parametrize("normalize", ["patch", (0.1, 99.9), None])
def test_a_hot_pixel_that_takes_nothing_is_no_reason_to_warn(normalize):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        patches = extract_patches(hot(), 8, normalize=normalize)
    assert normalize is None or float(patches.gather().std()) > 0.1

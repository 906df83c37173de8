"""What switched between two scans: registered, and no more than what did."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter, map_coordinates

from pyroshift import switched
from pyroshift.errors import DataError

SHAPE = (100, 110)


def worlds(seed, share=1.5):
    """A map of domains that is larger than scans of it, and the same after some have switched."""
    rng = np.random.default_rng(seed)
    smooth = [gaussian_filter(rng.normal(size=(220, 220)), width) for width in (6, 10)]
    first, pulse = (each / each.std() for each in smooth)
    first = np.tanh(3 * first)
    return first, np.where(pulse > share, -first, first)


def scan(world, drift=(0.0, 0.0)):
    places = np.indices(SHAPE) + 55.0 - np.reshape(drift, (2, 1, 1))
    return map_coordinates(world, places, order=1)


@pytest.mark.parametrize("seed", range(4))
def test_drifts_and_what_switched_are_found(seed):
    rng = np.random.default_rng(100 + seed)
    first, second = worlds(seed)
    drift = rng.uniform(-15, 15, 2)
    before, after = scan(first), scan(second, drift)
    noisy = [each + 0.2 * rng.normal(size=SHAPE) for each in (before, after)]
    found = switched(*noisy)
    assert np.allclose(found.drift, drift, atol=0.1)
    truth = (scan(second) > 0) * 1.0 - (before > 0)
    known = found.switched.notnull().values
    assert 0.6 < known.mean() == pytest.approx(found.overlap)
    assert np.mean(truth[known] == found.switched.values[known]) > 0.98
    assert found.rose == pytest.approx((truth[known] == 1).mean(), abs=0.01)
    assert found.fell == pytest.approx((truth[known] == -1).mean(), abs=0.01)
    assert found.rose + found.fell > 0.02


def test_nothing_switched_in_the_same_area():
    first, _ = worlds(0)
    found = switched(scan(first), scan(first, (3.3, -7.6)))
    assert found.rose == found.fell == 0
    assert found.correlation > 0.99


def test_lengths_are_in_the_units_and_origins_of_the_scans():
    first, _ = worlds(1)
    unit = {"units": "nm"}

    def placed(values, y, x):
        coords = {"y": ("y", y - 0.5 * np.arange(100), unit),
                  "x": ("x", x + 0.5 * np.arange(110), unit)}  # fmt: skip
        return xr.DataArray(values, coords, ("y", "x"))

    before, after = placed(scan(first), 0, 0), placed(scan(first, (4, -6)), 10, 20)
    found = switched(before, after)
    assert np.allclose(found.drift, [10 - 2, 20 - 3], atol=0.05)
    assert found.drift.units == "nm"
    again = switched(before, after, drift=found.drift)
    xr.testing.assert_allclose(again, found)


def test_images_that_dont_switch_register_those_that_do():
    first, _ = worlds(2)
    height, _ = worlds(3)
    before, after = scan(first), -scan(first, (2.5, 4))
    with pytest.raises(DataError, match="don't switch, by="):
        switched(before, after)
    found = switched(before, after, by=(scan(height), 7 + 2 * scan(height, (2.5, 4))))
    assert np.allclose(found.drift, [2.5, 4], atol=0.05)
    assert found.rose + found.fell > 0.95


def test_gaps_and_thin_seams_count_for_nothing():
    first, _ = worlds(0)
    before = scan(first)
    before[30:50, 20:60] = np.nan
    found = switched(before, scan(first))
    assert (found.switched.isnull().values == np.isnan(before)).all()
    assert found.rose == found.fell == 0
    seam = switched(scan(first), scan(first, (0, 1)), drift=(0, 0))
    assert seam.rose + seam.fell < 0.01
    all_of_it = switched(scan(first), scan(first, (0, 1)), drift=(0, 0), thinnest=0)
    assert all_of_it.rose + all_of_it.fell > 0.02


def test_files_hold_all_of_it(tmp_path):
    first, second = worlds(0)
    found = switched(scan(first), scan(second))
    found.to_netcdf(tmp_path / "switched.nc", engine="h5netcdf")
    xr.testing.assert_allclose(xr.load_dataset(tmp_path / "switched.nc", engine="h5netcdf"), found)


ONE = scan(worlds(0)[0])
OTHER = scan(worlds(5)[0])


def larger(factor, units="px"):
    along = {"y": 100, "x": 110}
    coords = {k: (k, factor * np.arange(n), {"units": units}) for k, n in along.items()}
    return xr.DataArray(ONE, coords, ("y", "x"))


@pytest.mark.parametrize(
    ("before", "after", "options", "told"),
    [
        (ONE, larger(2.0), {}, "pixels differ: 1 x 1 and 2 x 2 px"),
        (ONE, larger(1.0, "nm"), {}, "first scan in px, the second in nm"),
        (ONE, ONE[:50], {}, "100 x 110 and 50 x 110 pixels"),
        (ONE, OTHER, {}, "can't be told that the scans are of the same area"),
        (ONE, ONE, {"drift": (300, 0)}, "no pixel in common"),
        (ONE, ONE, {"drift": 3}, "two lengths in px"),
        (ONE, ONE, {"drift": (1, np.nan)}, "two lengths in px"),
        (ONE, ONE, {"by": ONE}, "by must be two images"),
        (ONE, ONE, {"by": (ONE[:50], ONE[:50])}, "as many pixels"),
        (ONE, ONE, {"level": 7}, "no domains: level=7"),
        (ONE, ONE, {"level": "high"}, "must be a number"),
        (ONE, ONE, {"thinnest": -1}, "must be a length in px"),
        (0 * ONE, 0 * ONE, {}, "is 0 everywhere"),
        (np.random.default_rng(0).normal(size=SHAPE), ONE * np.nan, {}, "second scan is NaN"),
        (np.random.default_rng(0).normal(size=(2, 50, 50)), ONE, {}, "dimension"),
        (ONE[:0], ONE[:0], {}, "0 x 110 pixels"),
        (ONE[:1, :1], ONE[:1, :1], {}, "1 x 1 pixels"),
        (*np.random.default_rng(0).normal(size=(2, 90, 90)), {}, "one mode"),
    ],
)
def test_what_is_wrong_is_told(before, after, options, told):
    with pytest.raises(DataError, match=told):
        switched(before, after, **options)


@pytest.mark.parametrize(("scale", "base"), [(1, 0), (1e-9, 0), (1, 1e4), (1e-9, 1e-6)])
def test_the_drift_is_found_to_fractions_of_a_pixel_in_any_unit(scale, base):
    y, x = np.mgrid[:90, :100]

    def scan(y, x):
        wave = np.sin(x / 9 + np.cos(y / 14)) * np.cos(y / 11)
        return base + scale * np.tanh(3 * wave + 1.5 * np.sin(y / 17 + x / 23))

    found = switched(scan(y, x) - base, scan(y - 1.4, x + 2.4) - base).drift
    by = switched(
        scan(y, x) - base,
        scan(y - 1.4, x + 2.4) - base,
        by=(scan(y, x), scan(y - 1.4, x + 2.4)),
    ).drift
    np.testing.assert_allclose(found, [1.4, -2.4], atol=0.05)
    np.testing.assert_allclose(by, [1.4, -2.4], atol=0.05)

"""The share of a map's intensity in its central peak: properties, gaps, labels, errors."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import ShiftVAE, encode, extract_patches, smoothness
from pyroshift.errors import DataError

SIDES = st.integers(12, 70)
SEEDS = st.integers(0, 2**32 - 1)


def ramp(shape, direction=0.3):
    rows, columns = np.indices(shape) / np.reshape(shape, (2, 1, 1))
    return np.cos(direction) * rows + np.sin(direction) * columns


def beating(shape, period=4.0, direction=0.3, phase=0.0):
    rows, columns = np.indices(shape)
    along = np.cos(direction) * rows + np.sin(direction) * columns
    return np.sin(2 * np.pi * along / period + phase)


@settings(deadline=None)
@given(SIDES, SIDES, st.floats(0, 2 * np.pi))
def test_a_slow_ramp_is_smooth(height, width, direction):
    assert smoothness(ramp((height, width), direction)) >= 0.9


@settings(deadline=None)
@given(
    st.integers(16, 70), st.integers(16, 70), st.floats(2.5, 4.5), st.floats(0, 7), st.floats(0, 7)
)
def test_a_beating_pattern_is_not(height, width, period, direction, phase):
    assert smoothness(beating((height, width), period, direction, phase)) <= 0.05


@settings(deadline=None)
@given(SIDES, SIDES, st.floats(0, np.pi))
def test_falls_as_beating_is_mixed_in(height, width, direction):
    smooth, periodic = ramp((height, width), direction), beating((height, width), 3.0)
    shares = [smoothness((1 - part) * smooth + part * periodic) for part in np.linspace(0, 1, 11)]
    assert np.all(np.diff(shares) < 0)


@settings(deadline=None)
@given(SIDES, SIDES, SEEDS, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scale_sign_mean_and_transposition_change_nothing(height, width, seed, scale, constant):
    noise = np.random.default_rng(seed).normal(size=(height, width))
    map = ramp((height, width)) + noise
    share = smoothness(map)
    assert 0 < share < 1
    assert smoothness(scale * map) == pytest.approx(share, rel=1e-9)
    assert smoothness(-map) == pytest.approx(share, rel=1e-9)
    assert smoothness(scale * map + constant) == pytest.approx(share, rel=1e-5)
    assert smoothness(map.T) == pytest.approx(share, rel=1e-9)
    assert smoothness(map[::-1, ::-1]) == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize("shape", [(32, 32), (64, 64), (128, 128), (40, 160)])
def test_white_noise_is_a_hundredth_at_any_size(shape):
    # 40 maps; the mean's standard error is at most 0.001.
    rng = np.random.default_rng(0)
    shares = [smoothness(rng.normal(size=shape)) for _ in range(40)]
    assert np.mean(shares) == pytest.approx(np.pi / 16**2, abs=0.005)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_radius_is_the_same_along_both_axes_of_a_long_map(axis):
    wave = np.sin(2 * np.pi * np.indices((64, 256))[axis] / 10)
    assert smoothness(wave) < 0.01
    assert smoothness(wave, wavelength=8) > 0.99


def test_the_wavelength_decides():
    wave = beating((96, 96), period=10)
    assert smoothness(wave, wavelength=16) < 0.01 < 0.99 < smoothness(wave, wavelength=8)


# Gaps and constants


@settings(deadline=None)
@given(SEEDS, st.floats(0, 0.3))
def test_scattered_gaps_neither_break_a_ramp_nor_smooth_a_pattern(seed, share):
    gaps = np.random.default_rng(seed).random((40, 50)) < share
    assert smoothness(np.where(gaps, np.nan, ramp((40, 50)))) >= 0.95
    assert smoothness(np.where(gaps, np.nan, beating((40, 50)))) <= 0.05


@pytest.mark.parametrize("gap", [np.s_[:12], np.s_[10:20, 15:30], np.s_[:, -15:]])
def test_missing_regions(gap):
    smooth, periodic = ramp((40, 50)), beating((40, 50))
    smooth[gap] = periodic[gap] = np.nan
    assert smoothness(smooth) >= 0.9
    assert smoothness(periodic) <= 0.05


def test_a_wide_gap_does_not_make_noise_smooth():
    # 20 maps; the mean's standard error is 0.004.
    shares = []
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=(48, 48))
        noise[12:36, 12:36] = np.nan
        shares.append(smoothness(noise))
    assert np.mean(shares) < 0.08


def test_masked_arrays():
    rows = ramp((20, 20))
    gaps = np.zeros((20, 20), bool)
    gaps[5:8, 5:8] = True
    missing = np.where(gaps, np.nan, rows)
    assert smoothness(np.ma.masked_array(rows, gaps)) == smoothness(missing)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e7, np.nan])
def test_a_constant_map_is_neither(value):
    assert np.isnan(smoothness(np.full((12, 12), value, np.float32)))


def test_rounding_is_no_variation():
    map = np.full((12, 12), 0.1, np.float32)
    map[::2] = np.nextafter(np.float32(0.1), np.float32(1))
    assert np.isnan(smoothness(map))


def test_whole_numbers_and_truth_values_are_maps_too():
    checks = np.indices((16, 16)).sum(0) % 2
    assert smoothness(checks) == smoothness(checks.astype(bool)) == pytest.approx(0, abs=1e-9)


# Labels


def labelled(*dims):
    z = np.stack([ramp((30, 24)), beating((30, 24)), np.full((30, 24), 0.5)], -1)
    return xr.DataArray(z, dims=("y", "x", "latent"), coords={"latent": range(3)})


def test_one_share_per_latent():
    shares = smoothness(labelled())
    assert shares.dims == ("latent",)
    assert shares.name == "smoothness"
    np.testing.assert_array_equal(shares.latent, range(3))
    assert shares[0] == smoothness(ramp((30, 24)))
    assert shares[1] < 0.05
    assert np.isnan(shares[2])
    assert float(shares.max()) == shares[0]


def test_frames_are_kept():
    z = xr.concat([labelled(), labelled()[..., ::-1]], dim="frame", join="override")
    shares = smoothness(z)
    assert dict(shares.sizes) == {"frame": 2, "latent": 3}
    assert shares[0, 0] == shares[1, 2] > 0.9


def test_a_labelled_map_alone_is_a_float():
    assert isinstance(smoothness(labelled().isel(latent=0)), float)
    assert isinstance(smoothness(labelled().isel(latent=0).rename(y="rows", x="columns")), float)


def test_all_collapsed_has_no_greatest():
    assert np.isnan(smoothness(labelled().isel(latent=[2, 2])).max())


def test_collapsed_latents_are_named_and_have_no_smoothness():
    slow = xr.DataArray(ramp((20, 24))[..., None], dims=("y", "x", "latent"))
    # The first is as sure as can be, the second as wide as its prior, whatever that is.
    z, std = [slow * 2, 1e-2 * slow], [0.1, 5.0]
    dims = ("y", "x", "latent")
    maps = xr.Dataset(
        {
            "z": (dims, np.stack([each[..., 0] for each in z], -1)),
            "z_std": (dims, np.broadcast_to(std, (*slow.shape[:2], 2))),
        }
    )
    shares = smoothness(maps)
    assert shares[0] > 0.9
    assert np.isnan(shares[1])
    assert shares.collapsed.values.tolist() == [False, True]
    assert shares.max() > 0.9
    assert smoothness(maps["z"])[1] > 0.9  # the means alone don't tell


def test_a_latent_of_a_few_defects_has_not_collapsed():
    rng = np.random.default_rng(0)
    z, std = np.zeros((30, 30, 1)), np.full((30, 30, 1), 0.99)
    places = rng.choice(900, 45, replace=False)
    z.ravel()[places], std.ravel()[places] = 4.0, 0.2
    dims = ("y", "x", "latent")
    maps = xr.Dataset({"z": (dims, z), "z_std": (dims, std)})
    assert not smoothness(maps).collapsed.any()


def test_maps_from_encode():
    image = np.random.default_rng(0).random((72, 80))
    maps = encode(ShiftVAE(16), extract_patches(image, window=16))
    maps["z_std"] *= 1e-3  # a model without any training has collapsed
    shares = smoothness(maps)
    assert shares.dims == ("latent",)
    assert not shares.collapsed.any()
    alone = smoothness(maps["z"])  # whose coordinate is from before the widths were changed
    xr.testing.assert_identical(shares.drop_vars("collapsed"), alone.drop_vars("collapsed"))
    assert smoothness(maps["offset"]).dims == ("axis",)


# Errors


@pytest.mark.parametrize(
    ("map", "message"),
    [
        (np.zeros(50), "two axes"),
        (np.zeros((3, 20, 20)), "names its dimensions"),
        (np.zeros((0, 0)), "too small"),
        (np.zeros((7, 20)), "too small"),
        (np.full((12, 12), "a"), "numbers"),
        (np.full((12, 12), None), "Python objects"),
        (np.full((12, 12), 1j), "complex"),
        (np.full((12, 12), np.inf), "infinite"),
        (xr.DataArray(np.zeros((30, 2)), dims=("atom", "latent")), "positions"),
        (xr.Dataset({"offset": ("x", np.zeros(3))}), "no 'z'"),
    ],
)
def test_what_is_no_map(map, message):
    with pytest.raises(DataError, match=message):
        smoothness(map)


@pytest.mark.parametrize("wavelength", [2, 0, -1, np.nan, np.inf, "long", None, True])
def test_what_is_no_wavelength(wavelength):
    with pytest.raises(DataError, match="wavelength"):
        smoothness(ramp((12, 12)), wavelength=wavelength)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.float32])
def test_maps_of_two_values_are_none_that_is_constant(dtype):
    halves = np.indices((40, 40))[1] > 20
    values = (halves if dtype is bool else 200 + halves).astype(dtype)
    assert smoothness(values) == pytest.approx(smoothness(200.0 + halves))
    assert np.isnan(smoothness(np.full((40, 40), 7, np.uint8)))


def test_maps_may_be_read_from_disk_when_they_are_needed():
    array = pytest.importorskip("dask.array")
    values = np.random.default_rng(0).normal(size=(40, 40))
    lazy = xr.DataArray(array.from_array(values, chunks=20), dims=("y", "x"))
    assert smoothness(lazy) == smoothness(values)


def test_robust_intervals_of_wide_noise_leave_latents_their_score():
    """They may be wider than the latents vary; whether these tell anything the guide has said."""
    z = np.stack([ramp((12, 12)), ramp((12, 12)).T], -1)
    maps = xr.Dataset(
        {"z": (("y", "x", "latent"), z), "z_std": (("y", "x", "latent"), np.full(z.shape, 9.0))},
        {"collapsed": ("latent", [False, True])},
        {"intervals": "robust"},
    )
    assert smoothness(maps.z).notnull().all()
    assert smoothness(maps).isnull().values.tolist() == [False, True]
    assert smoothness(maps.drop_attrs(deep=False)).isnull().all()

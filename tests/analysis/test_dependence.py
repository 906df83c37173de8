"""What factors explain of latents: functions, independence, invariance, labels, errors."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import Patches, ShiftVAE, correlation_ratio, encode, extract_patches, synthetic
from pyroshift.errors import DataError

SEEDS = st.integers(0, 2**32 - 1)
FUNCTIONS = {
    "line": lambda t: 3 - t,
    "parabola": lambda t: (t - 0.4) ** 2,
    "sine": lambda t: np.sin(4 * np.pi * t),
    "step": lambda t: (t > 0.3).astype(float),
    "exponential": lambda t: np.exp(3 * t),
}


def ratio(latent, factor, **options):
    return float(correlation_ratio(latent, factor, **options).item())


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1000, 5000), st.sampled_from(sorted(FUNCTIONS)))
def test_a_function_of_the_factor_is_explained(seed, count, name):
    factor = np.random.default_rng(seed).uniform(size=count)
    # The rest is what a function varies within a bin: a step amid one of 31 costs 4%.
    assert ratio(FUNCTIONS[name](factor), factor) >= 0.95


def test_independence_counts_zero_on_average():
    # 400 tables; the mean's standard error is 0.0006.
    rng = np.random.default_rng(0)
    shares = [ratio(rng.normal(size=500), rng.uniform(size=500)) for _ in range(400)]
    assert abs(np.mean(shares)) < 0.003
    assert np.std(shares) < 0.02
    many = [ratio(rng.normal(size=500), rng.uniform(size=500), bins=250) for _ in range(400)]
    assert abs(np.mean(many)) < 0.012  # standard error 0.003


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_noise_takes_its_share(noise):
    # The standard error is at most 0.01.
    rng = np.random.default_rng(0)
    factor = rng.uniform(size=20_000)
    latent = np.sin(2 * np.pi * factor) * np.sqrt(2) + noise * rng.normal(size=20_000)
    assert ratio(latent, factor) == pytest.approx(1 / (1 + noise**2), abs=0.03)


def test_what_the_correlation_misses():
    factor = np.random.default_rng(0).uniform(-1, 1, 2000)
    assert np.corrcoef(factor**2, factor)[0, 1] ** 2 < 0.01
    assert ratio(factor**2, factor) > 0.98


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(-100, 100).filter(lambda scale: abs(scale) > 0.01), st.floats(-10, 10))
def test_monotone_maps_of_the_factor_and_linear_ones_of_the_latent_change_nothing(
    seed, scale, constant
):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=400)
    latent = factor**2 + rng.normal(size=400)
    share = ratio(latent, factor)
    for stretch in (np.exp, np.cbrt, lambda t: 5 * t - 3):
        assert ratio(latent, stretch(factor)) == pytest.approx(share, abs=1e-9)
    # Turned round, the groups' edges lie a sample elsewhere.
    assert ratio(latent, -factor) == pytest.approx(share, abs=0.05)
    assert ratio(scale * latent + constant, factor) == pytest.approx(share, abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_the_order_of_samples_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    factor, order = rng.integers(0, 30, 300), rng.permutation(300)
    latent = factor + rng.normal(size=300)
    assert ratio(latent[order], factor[order]) == pytest.approx(ratio(latent, factor), abs=1e-9)


def test_a_factor_of_few_values_has_a_group_for_each():
    factor = np.repeat([0, 1, 2], [400, 30, 5])
    latent = np.array([1.0, -2.0, 7.0])[factor]
    assert ratio(latent, factor) == pytest.approx(1)
    assert ratio(latent, factor == 1) < 1
    assert ratio(latent, np.full(435, 3.0)) == pytest.approx(0, abs=1e-9)


def test_angles_are_directions():
    rng = np.random.default_rng(0)
    truth = rng.uniform(-np.pi, np.pi, 2000)
    turned = (truth + 3 + np.pi) % (2 * np.pi) - np.pi
    angle = xr.DataArray(turned, dims="sample", name="angle", attrs={"units": "rad"})
    assert ratio(angle, truth) > 0.99
    assert ratio(np.sin(truth), turned) > 0.99
    assert abs(ratio(angle, rng.permutation(truth))) < 0.03


def test_missing_samples_are_left_out():
    rng = np.random.default_rng(0)
    factor = rng.uniform(size=500)
    latent = factor + 0.1 * rng.normal(size=500)
    expected = ratio(latent[:450], factor[:450])
    latent[450:480] = np.nan
    factor[480:] = np.nan
    assert ratio(latent, factor) == pytest.approx(expected, abs=1e-12)


def test_constant_latents_have_no_variance_to_explain():
    table = correlation_ratio(np.full((50, 2), 0.1, np.float32), np.arange(50))
    assert np.isnan(table).all()


# Labels


def test_signals_and_their_truth():
    truth = synthetic.sines(100)
    maps = encode(ShiftVAE((100,)), Patches.from_array(truth["signal"]))
    table = correlation_ratio(maps, truth)
    assert table.dims == ("latent", "factor")
    assert table["latent"].values.tolist() == ["z0", "z1", "offset_x"]
    assert table["factor"].values.tolist() == ["offset", "width", "amplitude", "noise"]
    xr.testing.assert_allclose(
        correlation_ratio(maps["z"], truth[["offset"]]), table[:2, :1], atol=1e-12
    )
    swapped = correlation_ratio(truth[["width"]], maps)
    assert swapped["latent"].values.tolist() == ["width"]
    assert swapped["factor"].values.tolist() == ["z0", "z1", "offset_x"]


def test_images_and_their_truth():
    truth = synthetic.lattice(40, window=16, period=8)
    maps = encode(ShiftVAE((16, 16)), Patches.from_array(truth["patch"]))
    table = correlation_ratio(maps, truth)
    assert table["latent"].values.tolist() == ["z0", "z1", "offset_y", "offset_x"]
    assert table["factor"].values.tolist() == ["offset_y", "offset_x", "angle", "phase"]


def test_maps_of_windows_on_a_grid():
    image = np.random.default_rng(0).random((60, 70))
    maps = encode(ShiftVAE(16), extract_patches(image, window=16))
    phase = (maps["x"] > 30).broadcast_like(maps["elbo"]).rename("phase")
    table = correlation_ratio(maps, phase)
    np.testing.assert_allclose(table, correlation_ratio(maps, phase.T))
    assert table["factor"].values.tolist() == ["phase"]


def test_names_of_arrays():
    rng = np.random.default_rng(0)
    table = correlation_ratio(rng.normal(size=(30, 2)), {"a": range(30), "b": np.zeros(30)})
    assert table["latent"].values.tolist() == ["z0", "z1"]
    assert table["factor"].values.tolist() == ["a", "b"]
    assert correlation_ratio(rng.normal(size=30), range(30))["factor"].values.tolist() == ["factor"]


# Errors


@pytest.mark.parametrize(
    ("latents", "factors", "message"),
    [
        (np.zeros(30), np.zeros(31), "for each sample"),
        (np.zeros((30, 2)), xr.DataArray(np.zeros((30, 4)), dims=("a", "b")), "for each sample"),
        (np.arange(19), np.arange(19), "too few"),
        (np.full(30, np.nan), np.arange(30), "too few"),
        (np.zeros((30, 2, 2)), np.arange(30), "shape"),
        (np.full(30, "a"), np.arange(30), "no numbers"),
        (np.arange(30), {}, "no numbers"),
    ],
)
def test_what_does_not_fit(latents, factors, message):
    with pytest.raises(DataError, match=message):
        correlation_ratio(latents, factors)


@pytest.mark.parametrize("bins", [0, 1, 16, 2.5, True, "many"])
def test_what_is_no_number_of_bins(bins):
    with pytest.raises(DataError, match="bins"):
        correlation_ratio(np.arange(30.0), np.arange(30), bins=bins)

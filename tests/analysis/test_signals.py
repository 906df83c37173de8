"""Sines fitted to signals: round trips, noise, what is no sine, labels, errors."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import VAE, fit_sine, manifold, synthetic
from pyroshift.errors import DataError

LENGTH = 100
X = np.linspace(-10, 10, LENGTH)
SPAN = 20.0
SEEDS = st.integers(0, 2**32 - 1)


def sine(offset, period, amplitude=1.0, mean=0.0, x=X):
    return mean + amplitude * np.sin(2 * np.pi * (x - offset) / period)


def labelled(values, x=X, **attrs):
    values = np.asarray(values)
    return xr.DataArray(values, {"x": x}, (*"abc"[: values.ndim - 1], "x"), attrs=attrs)


def modulo(difference, period):
    return difference - period * np.round(difference / period)


# Known sines


@settings(deadline=None)
@given(
    st.floats(-10, 10), st.floats(0.6, 70), st.floats(0.01, 100), st.floats(-100, 100),
    st.floats(-1e3, 1e3),
)  # fmt: skip
def test_round_trip(offset, period, amplitude, mean, start):
    x = X + start
    found = fit_sine(labelled(sine(offset + start, period, amplitude, mean * amplitude, x), x))
    # Single precision of the values, magnified where a fraction of a period is seen.
    few = 2e-4 * max(1.0, period / SPAN) ** 3 * (1 + abs(mean))
    assert found["period"] == pytest.approx(period, rel=few)
    assert modulo(found["offset"] - offset - start, period) == pytest.approx(0, abs=few * SPAN)
    assert found["amplitude"] == pytest.approx(amplitude, rel=few)
    assert found["mean"] == pytest.approx(mean * amplitude, abs=few * amplitude)
    assert found["r2"] == pytest.approx(1, abs=1e-4)


@settings(deadline=None, max_examples=20)
@given(SEEDS)
def test_truth_of_synthetic_sines(seed):
    truth = synthetic.sines(
        100, noise=0.0, seed=seed, offset_spread=6, widths=(1, 12), continuous_widths=True,
        amplitude=(1, 12),
    )  # fmt: skip
    found = fit_sine(truth["signal"])
    width = found["period"] / (2 * np.pi)
    np.testing.assert_allclose(width, truth["width"], rtol=1e-4)
    np.testing.assert_allclose(found["amplitude"], truth["amplitude"], rtol=1e-4)
    error = modulo(found["offset"] - truth["offset"], found["period"])
    np.testing.assert_allclose(error, 0, atol=1e-3)


def test_noise_costs_no_more_than_the_theory_says():
    # Cramér-Rao for a sine of several periods: the phase's variance is 2 noise² / points; for the
    # frequency see Rife and Boorstyn (1974). Over 2,000 signals the ratio's error is 2%.
    rng, noise, period = np.random.default_rng(0), 0.5, 4.0
    offset = rng.uniform(-2, 2, (2000, 1))
    found = fit_sine(labelled(sine(offset, period) + noise * rng.normal(size=(2000, LENGTH))))
    error = modulo(found["offset"].values - offset[:, 0], period)
    least = period / (2 * np.pi) * noise * np.sqrt(2 / LENGTH)
    assert 0.9 < error.std() / least < 1.1
    frequency = 1 / found["period"].values
    least = np.sqrt(24 * noise**2 / LENGTH) / (2 * np.pi * SPAN)
    assert 0.9 < frequency.std() / least < 1.1
    # What the noise leaves of the variance, of which the fit takes four degrees of freedom.
    assert float(found["r2"].mean()) == pytest.approx(0.5 / (0.5 + noise**2), abs=0.03)


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(0.01, 100), st.floats(-5, 5))
def test_scale_mean_and_origin_change_what_they_should(seed, scale, shift):
    rng = np.random.default_rng(seed)
    signal = sine(rng.uniform(-3, 3), rng.uniform(3, 12)) + 0.1 * rng.normal(size=LENGTH)
    first, scaled = fit_sine(labelled(signal)), fit_sine(labelled(scale * signal + scale))
    moved, stretched = fit_sine(labelled(signal, X + shift)), fit_sine(labelled(signal, 3 * X))
    for name in ("period", "r2"):
        assert scaled[name] == pytest.approx(float(first[name]), rel=1e-4)
    assert scaled["amplitude"] == pytest.approx(scale * float(first["amplitude"]), rel=1e-4)
    assert moved["period"] == pytest.approx(float(first["period"]), rel=1e-6)
    error = modulo(float(moved["offset"] - first["offset"]) - shift, float(first["period"]))
    assert error == pytest.approx(0, abs=1e-4)
    assert stretched["period"] == pytest.approx(3 * float(first["period"]), rel=1e-6)


def test_mirrored_and_reversed_signals():
    signal = sine(1.0, 5.0)
    mirrored = fit_sine(labelled(signal[::-1]))
    assert modulo(float(mirrored["offset"]) + 1.0 - 2.5, 5) == pytest.approx(0, abs=1e-4)
    reversed_order = fit_sine(labelled(signal[::-1], X[::-1]))
    assert reversed_order["offset"] == pytest.approx(1.0, abs=1e-4)


def test_uneven_positions():
    x = np.sort(np.random.default_rng(0).uniform(-10, 10, LENGTH))
    found = fit_sine(labelled(sine(1.0, 5.0, x=x), x))
    assert (found["offset"], found["period"]) == pytest.approx((1.0, 5.0), rel=1e-4)


# What is no sine


@pytest.mark.parametrize(
    ("signal", "highest"),
    [
        (np.random.default_rng(0).normal(size=LENGTH), 0.3),
        (np.exp(-(X**2) / 0.1), 0.3),
        (np.eye(LENGTH)[30], 0.1),
        (np.sin(X**2), 0.4),
    ],
    ids=["noise", "peak", "spike", "chirp"],
)
def test_what_is_no_sine_is_explained_little_and_not_by_nonsense(signal, highest):
    found = fit_sine(labelled(signal))
    assert 0 <= found["r2"] <= highest
    assert all(np.isfinite(value) for value in found.values())
    assert 0 <= found["amplitude"] <= np.ptp(signal)
    assert abs(found["offset"]) <= found["period"] / 2


@pytest.mark.parametrize("signal", [X, X**2, np.sign(X), np.exp(X / 5)])
def test_trends_do_not_run_away(signal):
    found = fit_sine(labelled(signal))
    assert found["period"] <= 4 * SPAN * (1 + 1e-9)
    assert found["amplitude"] < 5 * np.ptp(signal)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6])
def test_a_constant_has_no_period(value):
    found = fit_sine(np.full(LENGTH, value, np.float32))
    assert (found["amplitude"], found["mean"]) == (0.0, np.float32(value))
    assert all(np.isnan(found[name]) for name in ("offset", "period", "r2"))


def test_a_constant_among_others_takes_nothing_from_them():
    found = fit_sine(labelled([sine(1.0, 5.0), np.ones(LENGTH)]))
    assert found["period"][0] == pytest.approx(5.0, rel=1e-4)
    assert np.isnan(found["period"][1])


# Periods


def test_periods_narrow_the_search():
    signal = sine(0.0, 2.0) + 0.5 * sine(1.0, 8.0)
    assert fit_sine(labelled(signal))["period"] == pytest.approx(2.0, rel=0.01)
    narrowed = fit_sine(labelled(signal), periods=(4.0, 20.0))
    assert narrowed["period"] == pytest.approx(8.0, rel=0.01)
    assert narrowed["offset"] == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    "periods", [(5, 4), (4, 4), (0.1, 5), (1, 1000), (np.nan, 5), 5, (1, 2, 3), ("a", "b")]
)
def test_what_are_no_periods(periods):
    with pytest.raises(DataError, match="periods"):
        fit_sine(labelled(sine(0, 5)), periods=periods)


# Labels


def test_over_the_plane_of_the_latents():
    found = fit_sine(manifold(VAE((40,)), size=5))
    assert dict(found.sizes) == {"z0": 5, "z1": 5}
    assert set(found.data_vars) == {"offset", "period", "amplitude", "mean", "r2"}
    assert set(found.coords) == {"z0", "z1"}
    assert found["period"].attrs == {"long_name": "period of the sine", "units": "px"}


def test_units_and_dimension():
    signals = labelled([sine(0.5, 5.0), sine(1.0, 4.0)], units="nA").assign_coords(a=[3, 4])
    signals["x"].attrs["units"] = "nm"
    found = fit_sine(signals.transpose("x", "a"), dim="x")
    assert found["offset"].attrs["units"] == found["period"].attrs["units"] == "nm"
    assert found["amplitude"].attrs["units"] == found["mean"].attrs["units"] == "nA"
    np.testing.assert_array_equal(found["a"], [3, 4])
    np.testing.assert_allclose(found["period"], [5, 4], rtol=1e-4)


def test_without_a_coordinate_in_samples_from_the_centre():
    x = np.arange(50) - 24.5
    found = fit_sine(np.stack([sine(3.0, 12.0, x=x)] * 4))
    assert found["offset"].dims == ("patch",)
    np.testing.assert_allclose(found["offset"], 3.0, atol=1e-3)
    assert found["offset"].attrs["units"] == "px"


def test_in_parts_as_at_once(monkeypatch):
    signals = synthetic.sines(50)["signal"]
    whole = fit_sine(signals)
    monkeypatch.setattr("pyroshift.analysis.signals._CHUNK", 3000)
    xr.testing.assert_allclose(fit_sine(signals), whole, rtol=1e-6)


# Errors


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        (np.full((3, LENGTH), np.nan), "NaN"),
        (np.where(np.arange(LENGTH) == 3, np.nan, X), "NaN"),
        (np.full(LENGTH, np.inf), "infinite"),
        (np.zeros(7), "too short"),
        (np.zeros((0, LENGTH)), "empty"),
        (np.full(LENGTH, "a"), "numbers"),
        (np.full(LENGTH, 1j), "complex"),
        (np.float32(3), "shape"),
        (xr.DataArray(3.0), "single number"),
        (labelled(X, np.zeros(LENGTH)), "up or down"),
        (labelled(X, [str(value) for value in X]), "up or down"),
        (xr.Dataset({"signal": ("x", X)}), "one variable"),
    ],
)
def test_what_are_no_signals(signals, message):
    with pytest.raises(DataError, match=message):
        fit_sine(signals)


def test_an_unknown_dimension():
    with pytest.raises(DataError, match="dim='t'"):
        fit_sine(labelled(X), dim="t")

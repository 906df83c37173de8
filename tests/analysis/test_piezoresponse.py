"""Amplitude and phase as one map: offsets, wraps, units and what can't be told."""

import math

import numpy as np
import pytest
import xarray as xr

from pyroshift import piezoresponse, synthetic, walls
from pyroshift.errors import DataError


def channels(**options):
    truth = synthetic.domains((64, 72), **options)
    return truth, truth.image.sel(channel="phase"), truth.image.sel(channel="amplitude")


def half_turns_apart(one, other, half=180.0):
    return abs((one - other + half / 2) % half - half / 2)


@pytest.mark.parametrize("offset", [-170.0, -90.0, -40.0, 0.0, 88.0, 130.0, 179.0])
@pytest.mark.parametrize("with_amplitude", [False, True])
def test_the_offset_is_found_wherever_phases_wrap(offset, with_amplitude):
    truth, phase, amplitude = channels(offset=offset, share=0.3, seed=1)
    found = piezoresponse(phase, amplitude if with_amplitude else None, near=offset)
    # Seen: 0.23 degrees at most.
    assert abs(found.offset - offset) < 1
    far = np.abs(truth.response) > 0.9
    assert np.all((found > 0).values[far] == (truth.polarization > 0).values[far])
    assert -90 <= piezoresponse(phase, amplitude).offset <= 90


def test_amplitudes_that_fall_to_zero_hardly_count():
    """Half of the image is an area without response, in which phases are noise of a bias."""
    _, phase, amplitude = channels(offset=20.0, noise=0.02)
    rng = np.random.default_rng(0)
    spoilt = phase.copy()
    spoilt[:40] = 70 + 20 * rng.normal(size=(40, 72))
    amplitude = amplitude.copy()
    amplitude[:40] = 1.0
    assert half_turns_apart(piezoresponse(spoilt, amplitude).offset, 20) < 0.5
    assert half_turns_apart(piezoresponse(spoilt).offset, 20) > 20


def test_units_tell_the_period_and_so_does_the_span():
    _, phase, amplitude = channels()
    degrees = piezoresponse(phase, amplitude)
    assert (degrees.period, degrees.units) == (360, "pm")
    assert "channel" not in degrees.coords
    radians = np.deg2rad(phase).drop_vars(["channel", "channel_units"])
    for known in (radians, radians.assign_attrs(units="rad"), radians.assign_attrs(units="m")):
        found = piezoresponse(known, amplitude)
        assert found.period == pytest.approx(2 * math.pi)
        assert found.offset == pytest.approx(math.radians(degrees.offset))
        np.testing.assert_allclose(found, degrees, atol=1e-4)  # pm: phases in single precision
    np.testing.assert_allclose(piezoresponse(phase / 4, period=90), piezoresponse(phase))


def test_walls_are_those_of_the_truth():
    truth, phase, amplitude = channels(noise=0.1, seed=3)
    found = walls(piezoresponse(phase))
    response = truth.response.interp(y=found.y, x=found.x)
    # Seen: 0.03 to 0.04. A pixel off a straight wall, the response is 0.5.
    assert float(np.abs(response).median()) < 0.2
    weighted = walls(piezoresponse(phase, amplitude), level=0)
    assert weighted.total_length == pytest.approx(found.total_length, rel=0.1)


def test_missing_pixels_stay_missing():
    _, phase, amplitude = channels()
    phase[3, 4], amplitude[5, 6] = np.nan, np.nan
    found = piezoresponse(phase, amplitude)
    assert np.argwhere(np.isnan(found.values)).tolist() == [[3, 4], [5, 6]]
    assert found.attrs["aligned"] > 0.9


@pytest.mark.parametrize(
    ("phase", "options", "told"),
    [
        (np.full((8, 8), np.nan), {}, "no phase is a finite number"),
        (np.ones((8, 8)) * 1j, {}, "complex"),
        (np.array([["a"]]), {}, "real numbers"),
        (np.zeros((8, 8)), {"amplitude": np.zeros((8, 8))}, "0 everywhere"),
        (np.zeros((8, 8)), {"amplitude": np.zeros((8, 9))}, r"\(8, 9\)"),
        (np.zeros((8, 8)), {"period": 0}, "positive"),
        (np.zeros((8, 8)), {"period": True}, "positive"),
        (np.linspace(0, 360, 10_000).reshape(100, 100), {}, "two opposite domains"),
    ],
)
def test_what_is_no_phase_is_told(phase, options, told):
    with pytest.raises(DataError, match=told):
        piezoresponse(phase, **options)


def test_given_data_are_untouched():
    _, phase, amplitude = channels()
    before = phase.copy(deep=True), amplitude.copy(deep=True)
    piezoresponse(phase, amplitude)
    xr.testing.assert_identical(before[0], phase)
    xr.testing.assert_identical(before[1], amplitude)


def test_amplitudes_are_taken_by_their_names():
    rows = np.arange(40)[:, None] + np.zeros((1, 30))
    phase = xr.DataArray(np.where(rows > 20, 30.0, 210.0), dims=("y", "x"), attrs={"units": "deg"})
    amplitude = xr.DataArray(1 + rows, dims=("y", "x"))
    expected = piezoresponse(phase, amplitude)
    xr.testing.assert_identical(piezoresponse(phase, amplitude.transpose("x", "y")), expected)

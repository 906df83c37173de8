"""Cubes of spectra: simulated ones against physics, read when used, and on even axes."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr
from writers import write_nsid

from pyroshift import Patches, evenly_spaced, load_spectra
from pyroshift.data import synthetic
from pyroshift.errors import DataError

STILL = {"shape": (6, 7), "drift": 0.0, "jumps": 0}


def test_what_is_expected_adds_up_to_the_counts_asked_for():
    wide = synthetic.plasmons(**STILL, length=600, counts=500.0)
    np.testing.assert_allclose(wide.rate.sum("energy"), 500.0, rtol=0.01)


def test_the_zero_loss_peak_has_the_share_that_was_not_scattered():
    cube = synthetic.plasmons(**STILL, resonances=(2.5, 3.0), counts=1.0, length=200)
    unscattered = cube.rate.sel(energy=slice(-0.5, 0.4)).sum("energy")
    # Poisson's law of scattering; what is left there of the losses is little.
    np.testing.assert_allclose(unscattered, np.exp(-cube.thickness), rtol=0.02)


def test_energies_lost_in_the_mean_are_as_many_times_those_of_one_loss_as_it_is_thick():
    cube = synthetic.plasmons(**STILL, counts=1.0, length=1500, widths=(0.2, 0.2), particles=0)
    lost = (cube.rate * cube.energy).sum("energy") / cube.thickness
    np.testing.assert_allclose(lost, float(lost[0, 0]), rtol=0.01)


def test_materials_have_their_resonances():
    cube = synthetic.plasmons((20, 20), drift=0.0, jumps=0, thickness=(0.1, 0.1), widths=(0.1, 0.1))
    beyond = cube.rate.sel(energy=slice(0.8, None))
    highest = beyond.energy[beyond.argmax("energy")]
    expected = np.where(cube.region == 0, 1.4, 2.2)
    assert 0 < int(cube.region.sum()) < cube.region.size
    np.testing.assert_allclose(highest, expected, atol=0.05)


def test_spectra_are_where_the_drift_says():
    cube = synthetic.plasmons((8, 8), drift=0.4, thickness=(0.0, 0.0), counts=1.0)
    centre = (cube.rate * cube.energy).sum("energy") / cube.rate.sum("energy")
    np.testing.assert_allclose(centre, cube.drift, atol=2e-3)
    assert abs(float(cube.drift.mean())) < 1e-9
    steps = np.diff(cube.drift.values.ravel())
    assert (np.abs(steps) > 5 * 0.4 * 0.05).sum() <= 3  # the jumps


def test_counts_are_poissons():
    cube = synthetic.plasmons((20, 20))
    z = (cube.counts - cube.rate) / np.sqrt(cube.rate)
    z = z.values[cube.rate.values > 5]
    assert abs(z.mean()) < 0.05
    assert z.std() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (8,)},
        {"length": 2},
        {"counts": 0.0},
        {"resonances": (1.0, 2.0, 3.0)},
        {"thickness": (-1.0, 1.0)},
        {"start": 1.0},
        {"jumps": -1},
    ],
)
def test_impossible_cubes_are_refused(options):
    with pytest.raises(DataError, match=next(iter(options)).replace("shape", "shape|height")):
        synthetic.plasmons(**options)


# Read when used


def peak_memory(path):
    tracemalloc.start()
    cube = load_spectra(path)
    patches = Patches.from_array(cube[:4], window_ndim=1)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(patches) == 4 * cube.sizes["x"]
    return cube, used


@pytest.fixture(scope="module")
def large():
    return np.random.default_rng(0).random((100, 110, 400), dtype=np.float32)


def test_of_a_large_npy_only_what_is_used_is_read(large, tmp_path):
    np.save(tmp_path / "cube.npy", large)
    cube, used = peak_memory(tmp_path / "cube.npy")
    assert used < large.nbytes / 3
    np.testing.assert_array_equal(cube, large)


def test_of_a_large_hdf5_only_what_is_used_is_read(large, tmp_path):
    h5py = pytest.importorskip("h5py")
    scales = [("x", "SPATIAL", np.arange(100) * 0.5, "nm"),
              ("y", "SPATIAL", np.arange(110) * 0.5, "nm"),
              ("bias", "SPECTRAL", np.arange(400) * 0.01, "V")]  # fmt: skip
    write_nsid(h5py, tmp_path / "cube.h5", {"one": (large, "Current", "SPECTRAL_IMAGE", scales)})
    cube, used = peak_memory(tmp_path / "cube.h5")
    assert used < large.nbytes / 3
    assert cube.sizes == {"y": 110, "x": 100, "bias": 400}
    np.testing.assert_array_equal(cube, large.transpose(1, 0, 2))


def test_changes_to_what_was_read_leave_the_file(tmp_path):
    np.save(tmp_path / "cube.npy", np.ones((3, 4, 5)))
    cube = load_spectra(tmp_path / "cube.npy")
    cube[:] = 0
    assert (load_spectra(tmp_path / "cube.npy") == 1).all()


# On even axes


def on(values, intensities=None):
    cube = np.ones((2, len(values))) if intensities is None else intensities
    return xr.DataArray(cube, {"bias": ("bias", values, {"units": "V"})}, ("x", "bias"))


def test_even_axes_are_left_alone():
    cube = on(np.linspace(-1, 1, 9))
    assert evenly_spaced(cube) is cube


@pytest.mark.parametrize("turned", [False, True])
def test_uneven_axes_are_resampled(turned):
    bias = np.linspace(1, 3, 21) ** 2
    bias = bias[::-1] if turned else bias
    even = evenly_spaced(on(bias, np.stack([bias, 2 * bias + 1])))
    np.testing.assert_allclose(np.diff(even.bias), 0.4)
    np.testing.assert_allclose(even, np.stack([even.bias, 2 * even.bias + 1]))
    assert even.bias.attrs == {"units": "V"}
    assert Patches.from_array(even, window_ndim=1).units == ("V",)


def test_missing_channels_stay_missing_and_their_neighbours_do_not():
    bias = np.array([1.0, 2.0, 4.0, 5.0])
    even = evenly_spaced(on(bias, np.array([[1.0, 2.0, np.nan, 5.0]])))
    np.testing.assert_array_equal(np.isnan(even)[0], [False, True, True, False])


@pytest.mark.parametrize(
    ("bias", "told"), [([0.0, 1, 2, 1, 0], "one sweep"), ([0.0, 1, np.nan, 5, 9], "evenly")]
)
def test_axes_that_are_no_sweep_are_refused(bias, told):
    with pytest.raises(DataError, match=told):
        evenly_spaced(on(np.array(bias)))

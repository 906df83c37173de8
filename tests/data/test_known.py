"""Labels and covariates: every way to give them comes to one number per patch."""

import warnings

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import RVAE, Patches, encode, extract_patches
from pyroshift.errors import DataError

RANDOM = np.random.default_rng(0)
STACK = xr.DataArray(
    RANDOM.random((3, 16, 20)),
    {"frame": ("frame", [0.5, 1.0, 1.5], {"units": "s"}), "x": 0.2 * np.arange(20)},
    ("frame", "y", "x"),
)


@pytest.fixture
def patches():
    return extract_patches(STACK, 8)  # frame: 3, y: 3, x: 4


@pytest.fixture
def holed():
    """Patches of which the first one is missing."""
    image = STACK.copy()
    image[0, :8, :8] = np.nan
    with pytest.warns(UserWarning, match="left out"):
        return extract_patches(image, 8, 8)  # frame: 3, y: 2, x: 2


PER_PLACE = RANDOM.random((3, 3, 4)).astype(np.float32)
FORMS = {
    "array": PER_PLACE,
    "list": PER_PLACE.tolist(),
    "tensor": torch.from_numpy(PER_PLACE),
    "per patch": PER_PLACE.ravel(),
    "list per patch": PER_PLACE.ravel().tolist(),
    "labelled": xr.DataArray(PER_PLACE, dims=("frame", "y", "x")),
    "another order": xr.DataArray(PER_PLACE, dims=("frame", "y", "x")).transpose("x", "frame", "y"),
    "variable": xr.Variable(("frame", "y", "x"), PER_PLACE),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_one_number_per_patch(patches, form):
    assigned = patches.assign(dose=FORMS[form])
    assert assigned.known["dose"].dtype == torch.float32
    np.testing.assert_array_equal(assigned.known["dose"], PER_PLACE.ravel())
    mapped = assigned.to_xarray().dose
    np.testing.assert_allclose(mapped.transpose("frame", "y", "x"), PER_PLACE)
    assert not patches.known
    assert "dose" not in patches.coords


@settings(max_examples=60, deadline=None)
@given(dims=st.permutations(["frame", "y", "x"]), count=st.integers(0, 3))
def test_labelled_arrays_are_spread_by_name(dims, count):
    patches = extract_patches(STACK, 8)
    values = RANDOM.random([patches.layout[name] for name in dims[:count]])
    given_array = xr.DataArray(values, dims=dims[:count])
    assigned = patches.assign(dose=given_array)
    over = xr.DataArray(np.zeros(list(patches.layout.values())), dims=list(patches.layout))
    expected = (over + given_array).transpose("frame", "y", "x").values.ravel()
    np.testing.assert_allclose(assigned.known["dose"], expected, rtol=1e-6)
    assert assigned.coords["dose"].dims == tuple(dims[:count])


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.array(3), torch.tensor(3.0)])
def test_one_number_for_all(patches, value):
    assert patches.assign(dose=value).known["dose"].tolist() == [3.0] * 36


def test_one_text_for_all(patches):
    assigned = patches.assign(sample="PZT")
    assert assigned.known["sample"].tolist() == [0.0] * 36
    assert assigned.categories["sample"] == ("PZT",)


def test_values_go_to_the_patches_that_there_are(holed):
    per_patch = np.arange(11)
    per_place = np.arange(-1, 11).reshape(3, 2, 2)
    for values in (per_patch, per_place):
        assigned = holed.assign(number=values)
        assert assigned.known["number"].tolist() == list(range(11))
    mapped = holed.assign(number=per_patch).coords["number"]
    np.testing.assert_array_equal(mapped.values.ravel(), [np.nan, *range(11)])


def test_text_is_numbered_by_the_alphabet(patches):
    phase = np.full((3, 3, 4), "")
    phase = phase.astype(object)
    phase[0], phase[1], phase[2, 0] = "tetragonal", None, "cubic"
    phase[2, 1] = np.nan
    assigned = patches.assign(phase=phase)
    assert assigned.categories == {"phase": ("cubic", "tetragonal")}
    numbers = assigned.known["phase"].reshape(3, 3, 4).numpy()
    assert (numbers[0] == 1).all()
    assert (numbers[2, 0] == 0).all()
    assert np.isnan(numbers[1]).all()
    assert np.isnan(numbers[2, 1:]).all()
    assert set(assigned.coords["phase"].values.flat) == {"", "cubic", "tetragonal"}


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "", "a"],
        ["b", None, "a"],
        ["b", float("nan"), "a"],
        np.array(["b", "", "a"]),
        np.ma.array(["b", "q", "a"], mask=[0, 1, 0]),
        torch.tensor([1.0, torch.nan, 0.0]),
        np.ma.array([1, 7, 0], mask=[0, 1, 0]),
        [1, None, 0],
        [True, None, False],
    ],
    ids=str,
)
def test_what_is_unknown_is_nan(labels):
    patches = Patches.from_array(RANDOM.random((3, 9))).assign(label=labels)
    np.testing.assert_array_equal(patches.known["label"], [1, np.nan, 0])


def test_coordinates_that_there_are_can_be_named(patches):
    assigned = patches.assign("frame", "x")
    assert assigned.known["frame"].tolist() == [0.5] * 12 + [1.0] * 12 + [1.5] * 12
    np.testing.assert_allclose(assigned.known["x"][:4], patches.coords["x"].values, rtol=1e-6)
    assert assigned.coords["frame"] is patches.coords["frame"]
    with pytest.raises(DataError, match="no coordinate 'track', but"):
        patches.assign("track")


def test_coordinates_of_atoms_can_be_named():
    positions = xr.Dataset(
        coords={"y": ("atom", [8.0, 9.0]), "x": ("atom", [1.6, 1.8]), "track": ("atom", [4, 2])}
    )
    patches = extract_patches(STACK[0], 6, positions=positions)
    assert patches.assign("track").known["track"].tolist() == [4, 2]


def test_labelled_values_go_by_their_coordinates(patches):
    temperature = xr.DataArray([30.0, 10.0, 20.0], {"frame": [1.5, 0.5, 1.0]}, ("frame",))
    assigned = patches.assign(temperature=temperature)
    assert assigned.known["temperature"][::12].tolist() == [10, 20, 30]
    some = patches.assign(temperature=temperature[:2]).known["temperature"]
    np.testing.assert_array_equal(some[::12], [10, np.nan, 30])
    nearly = temperature.sortby("frame").assign_coords(frame=np.array([0.5, 1, 1.5]) + 1e-9)
    assert patches.assign(temperature=nearly).known["temperature"][::12].tolist() == [10, 20, 30]
    twice = temperature.assign_coords(frame=[1.0, 1.0, 1.0])
    with pytest.raises(DataError, match="can't be placed along 'frame'"):
        patches.assign(temperature=twice)
    with pytest.raises(DataError, match="isn't known of any patch"):
        patches.assign(temperature=temperature.assign_coords(frame=[7.0, 8.0, 9.0]))


def test_labels_of_all_positions_go_to_those_that_are_left():
    with pytest.warns(UserWarning, match="1 of 3 positions"):
        patches = extract_patches(STACK[0], 6, positions=[[0, 0], [8, 8], [9, 10]])
    labels = xr.DataArray(["edge", "a", "b"], {"atom": [0, 1, 2]}, ("atom",))
    assigned = patches.assign(label=labels)
    assert [assigned.categories["label"][int(n)] for n in assigned.known["label"]] == ["a", "b"]


def test_units_go_with_them(patches):
    temperature = xr.DataArray([1.0, 2.0, 3.0], dims=("frame",), attrs={"units": "K"})
    assert patches.assign(temperature=temperature).coords["temperature"].attrs == {"units": "K"}


def test_more_can_be_assigned_and_the_same_again(patches):
    assigned = patches.assign(label="a").assign(dose=2.0).assign(label=7)
    assert list(assigned.known) == ["label", "dose"]
    assert assigned.known["label"].tolist() == [7.0] * 36
    assert assigned.categories == {}
    assert repr(assigned).endswith("normalize='patch', known: label, dose>")


def test_they_move_with_the_patches(patches):
    moved = patches.assign(dose=1.0).to("meta")
    assert moved.known["dose"].device.type == "meta"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(35), "35.*36 patches"),
        (np.zeros((3, 3)), "shape"),
        (xr.DataArray(np.zeros(4), dims=("energy",)), "energy.*patches are over"),
        (xr.DataArray(np.zeros(5), dims=("frame",)), "patches are over"),
        (np.inf, "infinite"),
        (np.zeros((3, 3, 4), complex), "complex"),
        (np.zeros((3, 3, 4), "M8[s]"), "numbers"),
        (np.nan, "isn't known"),
        (None, "isn't known"),
        ("", "isn't known"),
        ([*["a"] * 18, *[1] * 18], "mixes"),
        ([{}] * 36, "numbers or text"),
        ({"a": 1}, "dict"),
        (1.7e9 + np.arange(36.0), "differ by"),
    ],
)
def test_what_does_not_fit_is_refused(patches, values, message):
    with pytest.raises(DataError, match=f"dose.*{message}|{message}.*dose"):
        patches.assign(dose=values)


@pytest.mark.parametrize(
    "name",
    [
        "y",
        "frame",
        "window_x",
        "channel",
        "channel_units",
        "z",
        "elbo",
        "class",
        "kind",
        "brightness",
    ],
)
def test_names_that_are_taken_are_refused(patches, name):
    with pytest.raises(DataError, match=name):
        patches.assign(**{name: 1.0})


def test_they_go_into_the_maps_and_into_files(holed, tmp_path):
    phase = np.repeat(["a", "", "b"], 4).reshape(3, 2, 2)
    assigned = holed.assign("frame", phase=phase, dose=np.arange(11), gain=2.0)
    maps = encode(RVAE(8), assigned)
    assert maps.phase.dims == ("frame", "y", "x")
    assert maps.dose.isnull().sum() == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maps.to_netcdf(tmp_path / "maps.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "maps.nc", engine="h5netcdf") as read:
        np.testing.assert_array_equal(read.phase, maps.phase)
        np.testing.assert_array_equal(read.dose, maps.dose)
        assert read.gain == 2.0

"""Windows at atoms: exactly there where asked, with what is known of each atom."""

import sys

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pyroshift import extract_patches
from pyroshift.data.atoms import check_atoms, labelled_atoms, pixel_positions
from pyroshift.data.interpolation import interpolated
from pyroshift.errors import DataError, MissingPixelsError


def smooth(shape, place=(0.0, 0.0)):
    """An image of waves of 8 pixels and more, moved by a vector."""
    y, x = np.indices(shape) - np.reshape(place, (2, 1, 1))
    return np.sin(2 * np.pi * y / 9 + 1) + np.cos(2 * np.pi * (x + 0.5 * y) / 11)


def in_nanometres(values, spacing=0.1, origin=5.0):
    axes = {
        name: (name, origin + spacing * np.arange(size), {"units": "nm"})
        for name, size in zip("yx", np.shape(values)[-2:], strict=True)
    }
    return xr.DataArray(values, dims=("frame", "y", "x")[-np.ndim(values) :], coords=axes)


def atoms_of(image, positions, **coords):
    atoms = labelled_atoms(image, np.asarray(positions, float), {})
    return atoms.assign_coords({name: ("atom", values) for name, values in coords.items()})


# Where


@settings(max_examples=50, deadline=None)
@given(
    spacing=st.floats(0.01, 10),
    origin=st.floats(-100, 100),
    places=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 30), st.floats(0, 40)), min_size=1),
)
def test_pixels_survive_the_image_s_unit(spacing, origin, places):
    image = in_nanometres(np.zeros((3, 31, 41)), spacing, origin)
    found = pixel_positions(atoms_of(image, places), image)
    np.testing.assert_allclose(found, places, atol=1e-6 * (1 + abs(origin) / spacing))


def test_atoms_are_cut_as_their_pixels_are():
    image = in_nanometres(np.random.default_rng(0).random((2, 40, 50)))
    places = [[0, 12.3, 20.8], [1, 30.1, 7.6]]
    by_atoms = extract_patches(image, 9, positions=atoms_of(image, places))
    by_pixels = extract_patches(image, 9, positions=places)
    xr.testing.assert_equal(by_atoms.to_xarray(), by_pixels.to_xarray())


def test_what_is_known_of_atoms_goes_with_them():
    image = in_nanometres(np.random.default_rng(0).random((2, 40, 50)))
    places = [[0, 1, 1], [0, 12.3, 20.8], [1, 30.1, 7.6], [1, 12, 20]]
    atoms = atoms_of(image, places, track=[3, 7, 8, 7], sublattice=[0, 1, 0, 1])
    with pytest.warns(UserWarning, match="1 of 4 positions are left out"):
        patches = extract_patches(image, 9, positions=atoms)
    cut = patches.to_xarray()
    assert cut.atom.values.tolist() == [1, 2, 3]
    assert cut.track.values.tolist() == [7, 8, 7]
    assert cut.frame.values.tolist() == [0, 1, 1]
    assert cut.sublattice.values.tolist() == [1, 0, 1]


def test_labels_of_chosen_atoms_stay():
    image = in_nanometres(np.random.default_rng(0).random((40, 50)))
    atoms = atoms_of(image, [[0, 12, 20], [0, 20, 20], [0, 20, 30]])
    cut = extract_patches(image, 9, positions=atoms.isel(atom=[2, 1])).to_xarray()
    assert cut.atom.values.tolist() == [2, 1]


def test_bound_of_the_image_is_that_of_whole_windows():
    image = np.random.default_rng(0).random((20, 30))
    corners = [[0, 2, 2], [0, 17, 27]]
    assert len(extract_patches(image, 5, positions=corners, interpolate=True)) == 2
    with pytest.raises(DataError, match="no window"):
        extract_patches(image, 5, positions=[[0, 1.99, 5], [0, 17.01, 5]], interpolate=True)


# Between pixels


def test_at_whole_pixels_nothing_is_interpolated():
    image = np.random.default_rng(0).random((30, 40))
    places = [[10, 12], [20, 30]]
    exact = extract_patches(image, 7, positions=places, interpolate=True, normalize=None)
    plain = extract_patches(image, 7, positions=places, normalize=None)
    np.testing.assert_allclose(exact.gather(), plain.gather(), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(5, 33), st.floats(5, 43)), min_size=1, max_size=5),
    st.sampled_from([5, 6, (8, 5)]),
)
def test_windows_are_cut_exactly_at_positions(places, window):
    image = smooth((40, 50))
    patches = extract_patches(image, window, positions=places, interpolate=True, normalize=None)
    centre = (np.array(patches.window) - 1) / 2
    expected = [smooth(patches.window, centre - place) for place in places]
    np.testing.assert_allclose(patches.gather(), expected, atol=0.03)
    cut = patches.to_xarray()
    np.testing.assert_allclose(np.column_stack([cut.y, cut.x]), places)


def test_splines_resolve_what_linear_interpolation_blurs():
    image = smooth((60, 70))
    rng = np.random.default_rng(0)
    places = rng.uniform(10, 45, (50, 2))
    cut = extract_patches(image, 9, positions=places, interpolate=True, normalize=None).gather()
    expected = np.array([smooth((9, 9), 4 - place) for place in places])
    offsets = (np.indices((9, 9)) - 4).reshape(2, -1)
    linear = [
        ndimage.map_coordinates(image, place[:, None] + offsets, order=1).reshape(9, 9)
        for place in places
    ]
    error = np.abs(cut.numpy() - expected).mean()
    assert 5 * error < np.abs(np.array(linear) - expected).mean()


def test_interpolation_stays_in_the_image_s_range():
    image = (np.random.default_rng(0).random((40, 50)) > 0.5).astype(float)
    places = np.random.default_rng(1).uniform(8, 30, (40, 2))
    for normalize in (None, "image", "patch"):
        windows = extract_patches(
            image, 9, positions=places, interpolate=True, normalize=normalize
        ).gather()
        assert windows.min() >= 0
        assert windows.max() <= 1


def test_grey_levels_are_those_of_the_whole_image():
    image = smooth((40, 50))
    image[0, 0] = 100.0
    places = [[20.4, 20.7]]
    with pytest.warns(UserWarning, match="far beyond all others"):
        cut = extract_patches(image, 9, positions=places, interpolate=True, normalize="image")
    assert cut.gather().max() < 0.1


def test_windows_that_touch_missing_pixels_are_left_out():
    image = smooth((40, 50))
    image[20, 20] = np.nan
    places = [[20.5, 20.5], [24.4, 20], [24.6, 28.2], [25.2, 20.3]]
    with pytest.warns(UserWarning, match="2 of 4 windows are left out"):
        patches = extract_patches(
            image, 9, positions=places, interpolate=True, normalize=None, min_valid=1.0
        )
    cut = patches.to_xarray()
    assert np.isnan(cut.values).all((1, 2)).tolist() == [True, True, False, False]
    expected = [smooth((9, 9), np.subtract(4, place)) for place in places[2:]]
    np.testing.assert_allclose(patches.gather(), expected, atol=0.1)


def test_a_frame_of_nothing_but_missing_pixels():
    stack = np.stack([smooth((30, 30)), np.full((30, 30), np.nan)])
    with pytest.warns(UserWarning, match="1 of 2 windows are left out"):
        extract_patches(stack, 9, positions=[[0, 15, 15], [1, 15, 15]], interpolate=True)
    with pytest.raises(MissingPixelsError):
        extract_patches(stack, 9, positions=[[1, 15, 15]], interpolate=True)


def test_frames_are_not_mixed_up():
    stack = np.stack([np.full((20, 20), float(frame)) for frame in range(3)])
    places = np.array([[2, 9.3, 9.1], [0, 9.5, 8.2], [1, 10.2, 9.9], [2, 8, 8]])
    windows, starts = interpolated(stack, places - [0, 3, 3], (7, 7))
    np.testing.assert_allclose(windows.mean((1, 2)), [2, 0, 1, 2])
    assert starts.tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]]


# What is refused


def test_atoms_in_another_unit_are_refused():
    image = in_nanometres(np.zeros((20, 20)))
    with pytest.raises(DataError, match="in nm, but the image's in px"):
        extract_patches(image.values, 5, positions=atoms_of(image, [[0, 9, 9]]))


def test_a_dataset_that_isn_t_of_atoms_is_refused():
    with pytest.raises(DataError, match="coordinates y and x"):
        extract_patches(np.zeros((20, 20)), 5, positions=xr.Dataset({"a": ("b", [1.0])}))


def test_no_atoms_are_refused():
    image = xr.DataArray(np.zeros((20, 20)))
    with pytest.raises(DataError, match="no atoms"):
        extract_patches(image, 5, positions=atoms_of(image, np.empty((0, 3))))


def test_atoms_nowhere_are_refused():
    image = xr.DataArray(np.zeros((20, 20)))
    with pytest.raises(DataError, match="finite"):
        check_atoms(atoms_of(image, [[0, np.nan, 3]]))


def test_coordinates_named_as_results_are_refused():
    image = np.random.default_rng(0).random((20, 20))
    atoms = atoms_of(xr.DataArray(image), [[0, 9, 9]], angle=[1.0])
    with pytest.raises(DataError, match="angle"):
        extract_patches(image, 5, positions=atoms)


def test_a_grid_isn_t_interpolated():
    with pytest.raises(DataError, match="grid"):
        extract_patches(np.zeros((20, 20)), 5, interpolate=True)


def test_without_scipy_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "scipy" else sys.modules[name]
    )
    with pytest.raises(ImportError, match=r"pip install pyroshift\[atoms\]"):
        extract_patches(np.ones((20, 20)), 5, positions=[[9, 9]], interpolate=True)


def test_positions_given_stay_as_they_are():
    positions = np.array([[0, 9.0, 8.0], [1, 10.0, 11.0]])
    before = positions.copy()
    extract_patches(np.zeros((2, 20, 20)), 5, positions=positions)
    np.testing.assert_array_equal(positions, before)

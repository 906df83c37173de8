"""What every array goes through before any work starts."""

from pathlib import Path

import dask.array
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyroshift.data.checks import (
    LARGEST,
    as_image,
    as_labelled,
    check_values,
    pixel_size,
    plain,
    plain_attributes,
    window_shape,
)
from pyroshift.errors import DataError


def labelled(values, units=None):
    attrs = {} if units is None else {"units": units}
    return xr.DataArray(np.zeros(len(values)), coords={"x": ("x", values, attrs)}, dims="x")


# Values


@settings(max_examples=50, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int32, np.uint8, np.bool_]),
        hnp.array_shapes(max_dims=3),
    ).filter(lambda values: np.isfinite(values).all() and (np.abs(values * 1.0) < LARGEST).all())
)
def test_real_numbers_become_single_precision(values):
    found = check_values(values, "it")
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    assert found.flags.writeable
    np.testing.assert_array_equal(found, values.astype(np.float32))


def test_values_that_are_ready_are_not_copied():
    values = np.ones((3, 4), np.float32)
    assert check_values(values, "it") is values


def test_read_only_values_are_copied_and_stay_read_only():
    values = np.ones((3, 4), np.float32)
    values.setflags(write=False)
    found = check_values(values, "it")
    assert not np.shares_memory(found, values)
    assert not values.flags.writeable


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1, "a"], object), "it is an array of Python objects"),
        (np.array([1j]), "it is complex"),
        (np.array(["a"]), "it must be made of numbers"),
        (np.zeros((2, 0)), r"it is empty: its shape is \(2, 0\)"),
        (np.array([1, np.inf, -np.inf]), "it holds 2 values that are infinite"),
        (np.array([1, np.nan]), "it holds 1 NaN"),
    ],
)
def test_other_values_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        check_values(values, "it")


def test_missing_values_pass_where_they_may():
    assert np.isnan(check_values(np.array([1, np.nan]), "it", missing=True)).sum() == 1
    with pytest.raises(DataError, match="infinite"):
        check_values(np.array([np.inf, np.nan]), "it", missing=True)


def test_overflow_of_single_precision_is_refused_without_a_warning():
    with pytest.raises(DataError, match="1 values that are infinite"):
        check_values(np.array([1e300]), "it")


@given(st.floats(1.001 * LARGEST, float(np.finfo(np.float32).max)), st.sampled_from([-1, 1]))
def test_numbers_whose_differences_overflow_are_refused(size, sign):
    with pytest.raises(DataError, match="1 values that are infinite or beyond 1e"):
        check_values(np.array([1.0, sign * size]), "it")


# Labels


def test_a_labelled_array_stays_as_it_is():
    array = xr.DataArray(np.zeros((2, 3)), dims=("a", "b"), attrs={"units": "V"})
    assert as_labelled(array, 1, None, None) is array


def test_other_names_replace_those_of_a_labelled_array():
    array = xr.DataArray(np.zeros((2, 3)), dims=("a", "b"))
    assert as_labelled(array, 1, ("c", "d"), None).dims == ("c", "d")
    named = as_labelled(array, 1, None, {"a": [5, 6]})
    assert named.dims == ("a", "b")
    np.testing.assert_array_equal(named["a"], [5, 6])


@pytest.mark.parametrize(
    ("shape", "window_ndim", "dims"),
    [
        ((4, 5), 1, ("patch", "x")),
        ((4, 5), 2, ("y", "x")),
        ((3, 4, 5), 2, ("patch", "y", "x")),
        ((3, 4, 5), None, ("patch", "y", "x")),
        ((2, 3, 4, 5), 2, ("dim_0", "dim_1", "y", "x")),
        ((2, 3, 4, 5), 1, ("dim_0", "dim_1", "dim_2", "x")),
    ],
)
def test_default_names(shape, window_ndim, dims):
    assert as_labelled(torch.zeros(shape), window_ndim, None, None).dims == dims


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="dims names"):
        as_labelled(np.zeros((2, 3)), 1, ("a",), None)
    with pytest.raises(DataError, match="coordinates don't fit"):
        as_labelled(np.zeros((2, 3)), 1, ("a", "b"), {"a": [1, 2, 3]})
    with pytest.raises(DataError, match=r"one of \['u', 'v'\]"):
        as_labelled(xr.Dataset({"u": 1, "v": 2}), 2, None, None)


def test_labels_of_text_have_no_fixed_length():
    array = xr.DataArray(np.zeros(2), coords={"probe": ["a", "bc"]}, dims="probe")
    assert plain(array["probe"]).dtype == object
    assert list(plain(array["probe"]).values) == ["a", "bc"]
    assert array["probe"].dtype.kind == "U"


def test_attributes_are_text_and_numbers():
    attrs = {"a": "nm", "b": np.float32(0.5), "c": np.int64(3), 4: 1.5, "g": np.str_("V")}
    refused = {"d": True, "e": None, "f": {}, "j": [1], "h": 1j, "i": np.bool_(True)}
    found = plain_attributes({**attrs, **refused})
    assert found == {"a": "nm", "b": 0.5, "c": 3, "4": 1.5, "g": "V"}
    assert {type(value) for value in found.values()} == {str, float, int}


# Windows


@pytest.mark.parametrize(
    ("window", "ndim", "shape"),
    [(8, 2, (8, 8)), (8, 1, (8,)), ((3, 5), 2, (3, 5)), ([7], 1, (7,)), (np.int16(4), 2, (4, 4))],
)
def test_window_shapes(window, ndim, shape):
    found = window_shape(window, ndim)
    assert found == shape
    assert all(type(size) is int for size in found)


@pytest.mark.parametrize("window", [1, 0, -2, (4,), (4, 4, 4), (4.0, 4), "ab", True])
def test_bad_window_shapes(window):
    with pytest.raises(DataError, match="at least 2 whole pixels"):
        window_shape(window, 2)


# Pixel sizes


@settings(max_examples=50, deadline=None)
@given(
    origin=st.floats(-1e3, 1e3),
    spacing=st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3),
    count=st.integers(2, 50),
)
def test_pixel_size_is_the_spacing(origin, spacing, count):
    found, unit = pixel_size(labelled(origin + spacing * np.arange(count), "nm"), "x")
    assert found == pytest.approx(spacing, rel=1e-6)
    assert unit == "nm"


def test_pixel_size_without_a_coordinate_or_a_unit():
    assert pixel_size(xr.DataArray(np.zeros(4), dims="x"), "x") == (1.0, "px")
    assert pixel_size(labelled([3.0], "nm"), "x") == (1.0, "px")
    assert pixel_size(labelled([3, 5]), "x") == (2.0, "px")


def test_pixel_size_bears_rounding():
    values = np.linspace(0, 1, 1000, dtype=np.float32)
    assert pixel_size(labelled(values), "x")[0] == pytest.approx(1 / 999)


@pytest.mark.parametrize("origin", [1e4, -2e5])
def test_pixel_size_far_from_zero_is_even_to_the_rounding_of_its_type(origin):
    values = (origin + 0.1 * np.arange(500)).astype(np.float32)
    assert pixel_size(labelled(values), "x")[0] == pytest.approx(0.1, rel=1e-3)
    with pytest.raises(DataError, match="isn't evenly spaced"):
        pixel_size(labelled(values.astype(float)), "x")


def test_steps_below_the_rounding_of_their_type_are_refused():
    values = (1e7 + 0.01 * np.arange(200)).astype(np.float32)
    with pytest.raises(DataError, match="isn't evenly spaced"):
        pixel_size(labelled(values), "x")


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 1.0, 3.0],
        [2.0, 2.0, 2.0],
        [0.0, 1.0, 0.0],
        [0.0, np.nan, 2.0],
        [0.0, 1e-10, 5e-10],
    ],
    ids=["uneven", "constant", "turning", "missing", "uneven, in metres"],
)
def test_uneven_coordinates_are_refused(values):
    with pytest.raises(DataError, match="isn't evenly spaced"):
        pixel_size(labelled(values, "m"), "x")


def test_coordinates_that_are_not_numbers_are_refused():
    with pytest.raises(DataError, match="must be numbers"):
        pixel_size(labelled(["a", "b"]), "x")


# Images


def named(*dims):
    return xr.DataArray(np.zeros(range(4, 4 + len(dims))), dims=dims)


@pytest.mark.parametrize(
    ("dims", "ordered"),
    [
        (("y", "x"), ("y", "x")),
        (("x", "y"), ("y", "x")),
        (("Column", "Row"), ("Row", "Column")),
        (("y", "x", "time"), ("time", "y", "x")),
        (("x", "energy", "y"), ("energy", "y", "x")),
        (("slow", "fast", "frame"), ("frame", "slow", "fast")),
        (("a", "b", "c"), ("a", "b", "c")),
        (("dim_0", "dim_1", "dim_2"), ("frame", "y", "x")),
    ],
)
def test_images_are_ordered_by_the_names_of_their_axes(dims, ordered):
    image = named(*dims)
    found = as_image(image)
    assert found.dims == ordered
    sizes = dict(zip(dims, image.shape, strict=True))
    if set(ordered) == set(dims):
        assert dict(found.sizes) == sizes


@pytest.mark.parametrize(
    "dims", [("y", "energy"), ("time", "x"), ("frame", "t"), ("time", "y", "b"), ("x", "col", "y")]
)
def test_axes_that_are_unclear_are_refused(dims):
    with pytest.raises(DataError, match="isn't clear which are rows and columns"):
        as_image(named(*dims))


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4, 5)])
def test_an_image_has_two_dimensions_or_three(shape):
    with pytest.raises(DataError, match="pick one channel"):
        as_image(np.zeros(shape))


def test_lazy_images_stay_so():
    lazy = xr.DataArray(dask.array.zeros((4, 5), chunks=2), dims=("x", "y"))
    assert isinstance(as_image(lazy).data, dask.array.Array)


class Holder:
    data = np.zeros((8, 8))


@pytest.mark.parametrize("array", [Holder(), Holder, None, {"data": 1}, {1, 2}, iter([1])])
def test_what_is_no_array_is_named(array):
    kind = type(array).__qualname__
    with pytest.raises(DataError, match=rf"the image is an object of the type .*{kind}, not an"):
        as_image(array)


@pytest.mark.parametrize("path", ["scan.tif", Path("scan.tif")])
def test_a_path_is_to_be_read_first(path):
    with pytest.raises(DataError, match="load_image"):
        as_image(path)


def test_ragged_lists_are_refused():
    with pytest.raises(DataError, match="can't be made an array"):
        as_image([[1, 2], [3]])

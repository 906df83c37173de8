"""HyperSpy's signals and sidpy's datasets, by stand-ins, and by the real ones where installed."""

import warnings
from types import SimpleNamespace

import dask.array
import numpy as np
import pytest
import xarray as xr

from pyroshift import Patches, extract_patches
from pyroshift.data.checks import as_image
from pyroshift.data.foreign import from_library

RANDOM = np.random.default_rng(0)
UNDEFINED = object()  # as traits has it


class Signal:
    """What is asked of a HyperSpy signal."""

    def __init__(self, data, signal_ndim, names, scales, offsets, units):
        self.data = data
        axes = [
            SimpleNamespace(
                name=name, axis=offset + scale * np.arange(size), units=unit, index_in_array=number
            )
            for number, (name, scale, offset, unit, size) in enumerate(
                zip(names, scales, offsets, units, data.shape, strict=True)
            )
        ]
        lead = data.ndim - signal_ndim
        # HyperSpy tells axes in the opposite order of the array's.
        self.axes_manager = SimpleNamespace(
            navigation_axes=tuple(axes[:lead][::-1]), signal_axes=tuple(axes[lead:][::-1])
        )
        known = {"General.title": "movie", "Signal.quantity": "Height (nm)"}
        self.metadata = SimpleNamespace(get_item=lambda name, default: known.get(name, default))


class Dataset(dask.array.Array):
    """What is asked of a sidpy dataset, which is a Dask array with axes."""

    __module__ = "sidpy.sid.dataset"

    def __new__(cls, values, axes):
        data = dask.array.from_array(values)
        made = super().__new__(cls, data.dask, data.name, data.chunks, data.dtype)
        made._axes = dict(enumerate(axes))
        made.title, made.units, made.quantity = "scan", "nm", "height"
        return made


class Dimension(np.ndarray):
    """One of sidpy's axes: numbers with a name and a unit."""

    def __new__(cls, values, name, units):
        made = np.asarray(values).view(cls)
        made.name, made.units = name, units
        return made


def standin_hyperspy(data, signal_ndim, names, scales, offsets, units):
    return Signal(
        data,
        signal_ndim,
        [name or UNDEFINED for name in names],
        scales,
        offsets,
        [unit or UNDEFINED for unit in units],
    )


def real_hyperspy(data, signal_ndim, names, scales, offsets, units):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signals = pytest.importorskip("hyperspy.api").signals
    kind = signals.Signal1D if signal_ndim == 1 else signals.Signal2D
    keys = ("name", "scale", "offset", "units")
    columns = zip(names, scales, offsets, units, strict=True)
    axes = [
        {"size": size, **{key: value for key, value in zip(keys, row, strict=True) if value != ""}}
        for size, row in zip(data.shape, columns, strict=True)
    ]
    signal = kind(data, axes=axes)
    signal.metadata.set_item("General.title", "movie")
    signal.metadata.set_item("Signal.quantity", "Height (nm)")
    return signal


def standin_sidpy(values, axes):
    return Dataset(values, [Dimension(*axis) for axis in axes])


def real_sidpy(values, axes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sidpy = pytest.importorskip("sidpy")
    dataset = sidpy.Dataset.from_array(values, title="scan", units="nm", quantity="height")
    for number, (along, name, units) in enumerate(axes):
        dataset.set_dimension(number, sidpy.Dimension(along, name=name, units=units))
    return dataset


HYPERSPY = pytest.mark.parametrize("signal", [standin_hyperspy, real_hyperspy])
SIDPY = pytest.mark.parametrize("dataset", [standin_sidpy, real_sidpy])


@HYPERSPY
def test_a_movie_of_hyperspy(signal):
    values = RANDOM.random((3, 20, 24))
    movie = signal(values, 2, ("time", "y", "x"), (0.5, 0.2, 0.1), (0, 5, 0), ("s", "nm", "nm"))
    patches = extract_patches(movie, 8, 4, normalize=None)
    expected = extract_patches(values, 8, 4, normalize=None)
    np.testing.assert_array_equal(patches.gather(), expected.gather())
    assert patches.pixel_size == pytest.approx((0.2, 0.1))
    assert patches.units == ("nm", "nm")
    np.testing.assert_allclose(patches.coords["frame"], [0, 0.5, 1])
    np.testing.assert_allclose(patches.coords["y"][:2], [5.7, 6.5])
    assert patches.attrs == {"title": "movie", "units": "nm"}


@HYPERSPY
def test_axes_of_hyperspy_without_a_name_go_by_their_place(signal):
    movie = signal(RANDOM.random((3, 6, 7)), 2, ("",) * 3, (1, 1, 1), (0, 0, 0), ("",) * 3)
    assert as_image(movie).dims == ("frame", "y", "x")
    assert extract_patches(movie, 4).units == ("px", "px")


@HYPERSPY
def test_a_spectrum_image_of_hyperspy(signal):
    values = RANDOM.random((4, 5, 30))
    names, units = ("y", "x", "Energy loss"), ("nm", "nm", "eV")
    cube = signal(values, 1, names, (0.2, 0.2, 0.5), (0, 0, 100), units)
    patches = Patches.from_array(cube)
    assert dict(patches.layout) == {"y": 4, "x": 5}
    assert patches.window_dims == ("Energy loss",)
    assert (patches.pixel_size, patches.units) == ((0.5,), ("eV",))
    np.testing.assert_array_equal(patches.gather(), values.reshape(-1, 30).astype(np.float32))


@SIDPY
def test_an_image_of_sidpy_which_has_x_first(dataset):
    values = RANDOM.random((20, 24))
    axes = [(3 + 0.1 * np.arange(20), "x", "nm"), (0.2 * np.arange(24), "y", "nm")]
    image = as_image(dataset(values, axes))
    assert image.dims == ("y", "x")
    assert type(image.data) is dask.array.Array
    np.testing.assert_array_equal(image, values.T)
    patches = extract_patches(dataset(values, axes), 8, 4)
    assert patches.pixel_size == pytest.approx((0.2, 0.1))
    assert patches.attrs == {"title": "scan", "units": "nm", "long_name": "height"}


@SIDPY
def test_a_spectrum_image_of_sidpy(dataset):
    names, units = ("x", "y", "bias"), ("nm", "nm", "V")
    axes = zip(map(np.arange, (4, 5, 30)), names, units, strict=True)
    patches = Patches.from_array(dataset(RANDOM.random((4, 5, 30)), list(axes)), window_ndim=1)
    assert dict(patches.layout) == {"x": 4, "y": 5}
    assert patches.window_dims == ("bias",)


def test_axes_of_one_name_are_told_apart():
    movie = standin_hyperspy(np.zeros((6, 7)), 2, ("x", "x"), (1, 1), (0, 0), ("nm", "nm"))
    assert from_library(movie).dims == ("dim_0", "dim_1")


@pytest.mark.parametrize("array", [np.zeros(3), xr.DataArray(np.zeros(3)), [1, 2], None])
def test_all_else_stays_as_it_is(array):
    assert from_library(array) is array

"""Several channels: each is gathered, stretched and summed up as if it were alone."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import (
    Patches,
    ShiftVAE,
    encode,
    extract_patches,
    find_atoms,
    fit,
    segment,
    suggest_window,
    synthetic,
)
from pyroshift.data.patches import as_patches
from pyroshift.errors import DataError

RANDOM = np.random.default_rng(0)
NORMALIZATIONS = ["patch", "image", (5, 95), None]


def image_of(shape, names=("height", "phase"), units=("nm", "deg"), frames=None):
    """An image, or a stack, of channels of very different ranges."""
    scale = 10.0 ** np.arange(0, 3 * len(names), 3)[:, None, None]
    lead = () if frames is None else (frames,)
    values = scale * RANDOM.normal(2, 1, (*lead, len(names), *shape))
    return xr.DataArray(
        values,
        {
            "channel": list(names),
            "channel_units": ("channel", list(units)),
            "y": ("y", 0.5 * np.arange(shape[0]), {"units": "um"}),
            "x": ("x", 0.25 * np.arange(shape[1]), {"units": "um"}),
        },
        ("frame", "channel", "y", "x")[-values.ndim :],
    )


def assert_each_alone(patches, alone):
    """The channels of the patches are the patches of each channel."""
    together, index = patches.gather(), torch.tensor([len(patches) - 1, 0])
    torch.testing.assert_close(
        patches.gather(index), together[index], rtol=0, atol=0, equal_nan=True
    )
    statistics = patches.statistics()
    for number, single in enumerate(alone):
        assert not single.channels
        torch.testing.assert_close(
            together[:, number], single.gather(), rtol=0, atol=0, equal_nan=True
        )
        assert {name: each[number] for name, each in statistics.items()} == single.statistics()


@settings(max_examples=40, deadline=None)
@given(
    frames=st.sampled_from([None, 1, 3]),
    window=st.tuples(st.integers(2, 6), st.integers(2, 6)),
    step=st.integers(1, 4),
    normalize=st.sampled_from(NORMALIZATIONS),
    missing=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_windows_of_channels_are_those_of_each(frames, window, step, normalize, missing, order):
    image = image_of((8, 9), ("a", "b", "c"), ("V", "nm", ""), frames)
    if missing:
        image[..., 3, 4] = np.nan
    dims = list(image.dims)
    order.shuffle(dims)
    if not missing:
        cut = lambda image: extract_patches(image, window, step, normalize)  # noqa: E731
    else:
        cut = lambda image: extract_patches(image, window, step, normalize, min_valid=0.01)  # noqa: E731
    patches = cut(image.transpose(*dims))
    assert_each_alone(patches, [cut(image.isel(channel=c, drop=True)) for c in range(3)])
    assert patches.channels == ("a", "b", "c")
    assert patches.channel_units == ("V", "nm", "")
    assert patches.source.shape == (frames or 1, 3, 8, 9)
    assert patches.units == ("um", "um")
    np.testing.assert_allclose(patches.pixel_size, (0.5, 0.25))
    labelled = patches.to_xarray()
    assert labelled.dims == (*patches.layout, "channel", "window_y", "window_x")
    assert labelled.channel_units.sel(channel="b").item() == ("nm" if normalize is None else "1")
    np.testing.assert_array_equal(
        labelled.values.reshape(-1, 3, *window)[patches.positions], patches.gather()
    )


@settings(max_examples=40, deadline=None)
@given(
    lead=st.lists(st.integers(1, 4), min_size=1, max_size=2),
    window=st.lists(st.integers(2, 5), min_size=1, max_size=2),
    normalize=st.sampled_from(NORMALIZATIONS),
    place=st.integers(0, 3),
)
def test_from_array_takes_channels_anywhere(lead, window, normalize, place):
    dims = [*(f"lead{axis}" for axis in range(len(lead))), *("y", "x")[-len(window) :]]
    data = xr.DataArray(RANDOM.random((2, *lead, *window)), dims=("channel", *dims))
    data = data.assign_coords(channel=["a", "b"])
    place = min(place, len(dims))
    moved = data.transpose(*dims[:place], "channel", *dims[place:])
    cut = lambda array: Patches.from_array(array, len(window), normalize=normalize)  # noqa: E731
    patches = cut(moved)
    assert patches.channels == ("a", "b")
    assert patches.channel_units == ("", "")
    assert patches.window == tuple(window)
    assert list(patches.layout) == dims[: len(lead)]
    assert_each_alone(patches, [cut(data.isel(channel=number, drop=True)) for number in range(2)])


def test_names_of_dimensions_and_of_channels_can_be_given():
    windows = RANDOM.random((30, 2, 8, 8))
    patches = Patches.from_array(windows, 2, dims=("patch", "channel", "y", "x"))
    assert patches.channels == ("0", "1")
    assert len(patches) == 30
    coords = {"detector": ["HAADF", "BF"]}
    dims = ("patch", "detector", "y", "x")
    patches = Patches.from_array(windows, 2, dims, coords, channel_dim="detector")
    assert patches.channels == ("HAADF", "BF")
    patches = Patches.from_array(windows, 2, ("patch", "channel", "y", "x"), channel_dim=None)
    assert dict(patches.layout) == {"patch": 30, "channel": 2}
    assert patches.channels == ()


def test_a_cube_of_spectra_with_channels():
    cube = xr.DataArray(RANDOM.random((4, 5, 2, 30)), dims=("y", "x", "channel", "energy"))
    patches = Patches.from_array(cube, window_ndim=1)
    assert dict(patches.layout) == {"y": 4, "x": 5}
    assert patches.gather().shape == (20, 2, 30)
    np.testing.assert_array_equal(patches.to_xarray(), cube.astype(np.float32))


def test_arrays_of_windows_with_channels_are_patches():
    windows = xr.DataArray(RANDOM.random((6, 2, 4, 5)), dims=("patch", "channel", "y", "x"))
    assert as_patches(windows, (4, 5)).gather().shape == (6, 2, 4, 5)
    with pytest.raises(DataError, match="whole image"):
        as_patches(windows[0], (4, 5))


@pytest.mark.parametrize("interpolate", [False, True])
def test_windows_around_positions(interpolate):
    pytest.importorskip("scipy")
    image = image_of((20, 24), frames=2)
    options = {"positions": [[0, 8.2, 9.4], [1, 10, 12.5]], "interpolate": interpolate}
    patches = extract_patches(image, 6, **options)
    assert_each_alone(
        patches, [extract_patches(each, 6, **options) for each in image.transpose("channel", ...)]
    )


def test_without_channels_all_is_as_it_was():
    patches = extract_patches(RANDOM.random((12, 12)), 4)
    assert patches.channels == patches.channel_units == ()
    assert patches.gather().shape == (25, 4, 4)
    assert all(isinstance(value, float) for value in patches.statistics().values())
    assert "channel" not in patches.to_xarray().dims


def test_one_channel_is_a_channel_still():
    patches = extract_patches(image_of((8, 8), ["only"], ["V"]), 4)
    assert patches.gather().shape == (9, 1, 4, 4)
    assert all(len(value) == 1 for value in patches.statistics().values())


def test_statistics_are_numbers_per_channel():
    image = image_of((16, 16))
    found = extract_patches(image, 4, 4, normalize=None).statistics()
    for number, channel in enumerate(image.values.astype(np.float32)):
        assert found["minimum"][number] == channel.min()
        assert found["maximum"][number] == channel.max()
        assert found["mean"][number] == pytest.approx(channel.mean(), rel=1e-5)
        assert found["stddev"][number] == pytest.approx(channel.std(), rel=1e-5)


def test_a_hot_pixel_is_told_with_its_channel():
    image = image_of((32, 32))
    image[1, 5, 6] = 1e9
    with pytest.warns(UserWarning, match=r"^in channel 'phase', 1 pixel .* \(5, 6\)") as told:
        extract_patches(image, 8, normalize="image")
    assert len(told) == 1
    assert told[0].filename == __file__


def test_what_can_not_be_told_apart_is_told_with_its_channel():
    image = image_of((8, 8))
    image[1] = 1e9 + RANDOM.random((8, 8))
    with pytest.raises(DataError, match="channel 'phase' of the image differ"):
        extract_patches(image, 4, normalize=None)
    windows = extract_patches(image, 4).gather()
    assert float(windows[:, 1].amax()) == 1.0


def test_two_channels_of_one_name_are_refused():
    with pytest.raises(DataError, match="name of its own"):
        extract_patches(image_of((8, 8), ["a", "a"]), 4)


def test_what_takes_one_channel_says_so():
    for take in (find_atoms, segment):
        with pytest.raises(DataError, match=r"takes one.*image\.sel\(channel='height'\)"):
            take(image_of((40, 40), frames=2))
    with pytest.raises(DataError, match='DataArray with a dimension "channel"'):
        extract_patches(RANDOM.random((2, 3, 8, 8)), 4)


def test_the_lattice_is_that_of_any_channel():
    """One shows the lattice, and the other one noise, a million times as strong."""
    lattice = synthetic.lattice_image((128, 160), kind="hexagonal", period=13, noise=0.5)["image"]
    image = xr.concat([lattice, 1e6 * RANDOM.normal(size=lattice.shape) + 0 * lattice], "channel")
    found = extract_patches(image, 32, normalize=None).lattice_vectors()
    assert np.linalg.norm(found, axis=1) == pytest.approx([13, 13], rel=0.02)
    np.testing.assert_allclose(suggest_window(image).vectors, found, rtol=1e-3)


def test_repr_and_device():
    patches = extract_patches(image_of((8, 8)), 4).to("cpu")
    assert patches.channels == ("height", "phase")
    assert repr(patches) == "<Patches (y: 3, x: 3), 2 channels, window 4 x 4, normalize='patch'>"


def test_labelled_windows_survive_netcdf(tmp_path):
    windows = extract_patches(image_of((8, 8)), 4, normalize=None).to_xarray()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        windows.to_netcdf(tmp_path / "windows.nc", engine="h5netcdf")
    with xr.open_dataarray(tmp_path / "windows.nc", engine="h5netcdf") as read:
        assert list(read.channel.values) == ["height", "phase"]
        assert list(read.channel_units.values) == ["nm", "deg"]


@pytest.mark.parametrize("normalize", NORMALIZATIONS)
def test_stretched_values_have_no_unit(normalize):
    expected = "nm" if normalize is None else "1"
    image = image_of((8, 8))
    assert extract_patches(image, 4, normalize=normalize).to_xarray().channel_units[0] == expected
    alone = image[0].drop_vars("channel_units").assign_attrs(units="nm", source="scan")
    windows = extract_patches(alone, 4, normalize=normalize).to_xarray()
    assert windows.attrs == {"units": expected, "source": "scan"}


def test_channels_in_another_order_are_refused():
    image = image_of((8, 8))
    model = ShiftVAE(4, likelihood={"phase": "gaussian", "height": "gaussian"}, guide="normal")
    for use in (partial(fit, epochs=1, progress=False), encode):
        with pytest.raises(DataError, match=r"sel\(channel=\['phase', 'height'\]\)"):
            use(model, extract_patches(image, 4))
        use(model, extract_patches(image.sel(channel=["phase", "height"]), 4))
        use(model, extract_patches(image.assign_coords(channel=["p", "h"]), 4))  # another's names

"""Windows and signals: what is gathered, where it lies, and what is refused."""

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyroshift import Patches, extract_patches
from pyroshift.data.patches import as_patches
from pyroshift.errors import DataError

RANDOM = np.random.default_rng(0)


def image_of(shape, spacing=(1.0, 1.0), origin=(0.0, 0.0), units=("nm", "nm"), values=None):
    """A labelled image; its values are random unless given."""
    axes = {
        name: (name, origin[axis] + spacing[axis] * np.arange(shape[axis - 2]), {"units": unit})
        for axis, (name, unit) in enumerate(zip(("y", "x"), units, strict=True))
    }
    values = RANDOM.random(shape) if values is None else values
    return xr.DataArray(values, dims=("frame", "y", "x")[-len(shape) :], coords=axes)


def sliced(image, window, step):
    """All whole windows, by plain slicing."""
    frames = image.reshape(-1, *image.shape[-2:])
    return np.array(
        [
            frame[y : y + window[0], x : x + window[1]]
            for frame in frames
            for y in range(0, frame.shape[0] - window[0] + 1, step[0])
            for x in range(0, frame.shape[1] - window[1] + 1, step[1])
        ]
    )


# Windows on a grid


@st.composite
def cuttings(draw):
    """An image or a stack, a window that fits, and a step."""
    shape = draw(st.tuples(st.integers(2, 14), st.integers(2, 14)))
    window = tuple(draw(st.integers(2, size)) for size in shape)
    step = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    frames = draw(st.one_of(st.none(), st.integers(1, 3)))
    full = shape if frames is None else (frames, *shape)
    return np.arange(np.prod(full), dtype=np.float32).reshape(full), window, step


@settings(max_examples=100, deadline=None)
@given(cuttings())
def test_gather_equals_slicing(cutting):
    image, window, step = cutting
    patches = extract_patches(image, window, step, normalize=None)
    expected = sliced(image, window, step)
    assert len(patches) == len(expected)
    np.testing.assert_array_equal(patches.gather().numpy(), expected)
    labelled = patches.to_xarray()
    layout = tuple(patches.layout.values())
    assert labelled.dims == (("frame",) if image.ndim == 3 else ()) + (
        "y",
        "x",
        "window_y",
        "window_x",
    )
    np.testing.assert_array_equal(labelled.values, expected.reshape(*layout, *window))


def test_gather_takes_any_index():
    patches = extract_patches(RANDOM.random((9, 9)), 4, 1, normalize=None)
    index = torch.tensor([7, 0, 7, len(patches) - 1])
    torch.testing.assert_close(patches.gather(index), patches.gather()[index], rtol=0, atol=0)


def test_one_integer_is_a_square_and_the_default_step_half_of_it():
    image = RANDOM.random((20, 30))
    default, explicit = extract_patches(image, 8), extract_patches(image, (8, 8), step=(4, 4))
    assert default.window == (8, 8)
    xr.testing.assert_identical(default.to_xarray(), explicit.to_xarray())
    assert dict(extract_patches(image, (4, 10)).layout) == {"y": 9, "x": 5}


@settings(max_examples=50, deadline=None)
@given(
    window=st.tuples(st.integers(2, 6), st.integers(2, 6)),
    step=st.integers(1, 5),
    spacing=st.tuples(*[st.sampled_from([1.0, 0.25, -0.5, 3.0, -2.0])] * 2),
    origin=st.tuples(*[st.sampled_from([0.0, 17.5, -40.0])] * 2),
)
def test_coordinates_are_those_of_the_centres(window, step, spacing, origin):
    image = image_of((9, 11), spacing, origin, units=("nm", "um"))
    patches = extract_patches(image, window, step)
    for axis, name in enumerate("yx"):
        starts = np.arange(0, image.sizes[name] - window[axis] + 1, step)
        centres = [float(image[name][s : s + window[axis]].mean()) for s in starts]
        np.testing.assert_allclose(patches.coords[name].values, centres, rtol=0, atol=1e-9)
        assert patches.coords[name].attrs["units"] == ("nm", "um")[axis]
        assert patches.coords[name].attrs["long_name"]
    assert patches.units == ("nm", "um")
    np.testing.assert_allclose(np.abs(patches.pixel_size), np.abs(spacing))


def test_without_coordinates_lengths_are_in_pixels():
    patches = extract_patches(RANDOM.random((8, 8)), 4, 2)
    assert patches.units == ("px", "px")
    assert patches.pixel_size == (1.0, 1.0)
    np.testing.assert_array_equal(patches.coords["y"].values, [1.5, 3.5, 5.5])


@pytest.mark.parametrize(("rows", "columns"), [("row", "column"), ("slow", "fast")])
def test_dimensions_of_other_names_keep_them(rows, columns):
    image = image_of((8, 8), spacing=(0.5, 0.5)).rename(y=rows, x=columns)
    patches = extract_patches(image, 4, 2)
    assert dict(patches.layout) == {rows: 3, columns: 3}
    assert patches.window_dims == (rows, columns)
    np.testing.assert_allclose(patches.coords[columns].values, [0.75, 1.75, 2.75])


@pytest.mark.parametrize(
    "dims", [("x", "y"), ("y", "x", "time"), ("time", "x", "y"), ("x", "frame", "y"), ("X", "Y")]
)
def test_axes_are_taken_by_their_names(dims):
    sizes = {"time": 2, "frame": 2, "y": 12, "x": 10}
    ordered = [name for name in ("time", "frame", "y", "x", "Y", "X") if name in dims]
    image = xr.DataArray(
        RANDOM.random([sizes[name.lower()] for name in ordered]),
        {ordered[-1]: ("xX"["X" in dims], 0.5 * np.arange(10), {"units": "nm"})},
        ordered,
    )
    patches = extract_patches(image.transpose(*dims), (4, 6), 3, normalize=None)
    expected = extract_patches(image, (4, 6), 3, normalize=None)
    np.testing.assert_array_equal(patches.gather(), expected.gather())
    assert dict(patches.layout) == dict(expected.layout)
    assert patches.units == ("px", "nm")


def test_frames_keep_their_labels():
    stack = image_of((3, 8, 8)).assign_coords(frame=("frame", [0.5, 1.0, 1.5], {"units": "s"}))
    patches = extract_patches(stack, 4)
    np.testing.assert_array_equal(patches.coords["frame"].values, [0.5, 1.0, 1.5])


def test_frames_keep_their_units():
    stack = image_of((3, 8, 8)).assign_coords(frame=("frame", [0.5, 1.0, 1.5], {"units": "s"}))
    assert extract_patches(stack, 4).coords["frame"].attrs["units"] == "s"


def test_holds_the_source_once_and_no_copy_of_the_windows():
    image = RANDOM.random((128, 128)).astype(np.float32)
    patches = extract_patches(image, 32, step=1)
    assert patches.source.data_ptr() == image.__array_interface__["data"][0]
    assert patches.source.untyped_storage().nbytes() == image.nbytes
    held = sum(t.untyped_storage().nbytes() for t in (patches.source, patches.starts))
    assert patches.starts.untyped_storage().nbytes() == 12 * len(patches)
    assert held < 0.01 * len(patches) * 32 * 32 * image.itemsize
    assert patches.to("cpu").source.data_ptr() == patches.source.data_ptr()


def test_source_array_is_left_alone():
    image = RANDOM.random((12, 12)).astype(np.float32)
    image[3, 4] = np.nan
    before = image.copy()
    for normalize in ("patch", "image", None):
        extract_patches(image, 4, normalize=normalize).gather()
    np.testing.assert_array_equal(image, before)


# Normalisation

FINITE = st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float32, (5, 6), elements=FINITE))
def test_each_window_is_stretched_to_the_unit_interval(image):
    raw = sliced(image, (3, 4), (1, 1)).astype(float)
    found = extract_patches(image, (3, 4), 1, normalize="patch").gather().numpy()
    low = raw.min((1, 2), keepdims=True)
    height = raw.max((1, 2), keepdims=True) - low
    expected = np.divide(raw - low, height, out=np.zeros_like(raw), where=height > 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.min() >= 0
    assert found.max() <= 1


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, (2, 5, 6), elements=FINITE))
def test_the_whole_stack_is_stretched_alike(stack):
    wide = stack.astype(float)
    height = np.ptp(wide)
    expected = (wide - wide.min()) / height if height else np.zeros_like(wide)
    patches = extract_patches(stack, (3, 4), 1, normalize="image")
    np.testing.assert_allclose(
        patches.gather(), sliced(expected, (3, 4), (1, 1)), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("normalize", ["patch", "image"])
@pytest.mark.parametrize("level", [0.0, 7.0, -1e30])
def test_constant_data_become_zero(normalize, level):
    for patches in (
        extract_patches(np.full((8, 8), level), 4, normalize=normalize),
        Patches.from_array(np.full((3, 8), level), normalize=normalize),
    ):
        assert bool((patches.gather() == 0).all())


def test_ranges_that_would_overflow_are_refused():
    with pytest.raises(DataError, match="single precision"):
        Patches.from_array(torch.tensor([[-3e38, 3e38, 0.0]]), normalize="patch")


def test_statistics():
    image = RANDOM.normal(3, 2, (16, 16)).astype(np.float32)
    found = extract_patches(image, 4, 4, normalize=None).statistics()
    assert found["minimum"] == image.min()
    assert found["maximum"] == image.max()
    assert found["mean"] == pytest.approx(image.mean(), rel=1e-5)
    assert found["stddev"] == pytest.approx(image.std(), rel=1e-5)
    stretched = extract_patches(image, 4, 4).statistics()
    assert (stretched["minimum"], stretched["maximum"]) == (0.0, 1.0)


def test_statistics_of_more_patches_than_single_precision_counts():
    count = 2**24 + 4
    patches = Patches(
        source=torch.rand(1, 4, 4),
        starts=torch.zeros(1, 3, dtype=torch.long).expand(count, 3),
        window=(4, 4),
        normalize=None,
        layout={"patch": count},
        coords={},
        positions=np.arange(0),
        window_dims=("y", "x"),
        pixel_size=(1.0, 1.0),
        units=("px", "px"),
    )
    assert np.isfinite(patches.statistics()["mean"])


# Missing pixels


@pytest.mark.parametrize("normalize", ["patch", "image", None])
def test_windows_with_missing_pixels_are_left_out_and_counted(normalize):
    image = RANDOM.random((12, 15)).astype(np.float32)
    image[5, 6] = image[0, 14] = np.nan
    windows = sliced(image, (4, 4), (2, 2))
    hit = np.isnan(windows).any((1, 2))
    with pytest.warns(UserWarning, match=rf"^{hit.sum()} of {len(windows)} windows.*2 of 180"):
        patches = extract_patches(image, 4, 2, normalize=normalize, min_valid=1.0)
    assert patches.complete
    assert len(patches) == (~hit).sum()
    assert bool(torch.isfinite(patches.gather()).all())
    assert all(map(np.isfinite, patches.statistics().values()))
    gaps = patches.to_xarray().isnull()
    np.testing.assert_array_equal(gaps.all(("window_y", "window_x")).values.ravel(), hit)
    np.testing.assert_array_equal(gaps.any(("window_y", "window_x")).values.ravel(), hit)
    if normalize is None:
        np.testing.assert_array_equal(patches.gather(), windows[~hit])


def test_warning_of_missing_pixels_points_at_the_caller():
    image = RANDOM.random((12, 12))
    image[5, 6] = np.nan
    with pytest.warns(UserWarning, match="missing pixels") as caught:
        extract_patches(image, 4, min_valid=1.0)
    assert caught[0].filename == __file__


def test_missing_pixels_outside_all_windows_are_no_reason_to_warn():
    image = RANDOM.random((10, 10))
    image[9, 9] = np.nan
    assert len(extract_patches(image, 4, 4)) == 4


@pytest.mark.parametrize("normalize", ["patch", "image", None])
def test_only_missing_pixels_is_an_error(normalize):
    with pytest.raises(DataError, match="every window holds missing pixels"):
        extract_patches(np.full((8, 8), np.nan), 4, normalize=normalize)


def test_masked_pixels_are_not_taken_for_data():
    image = RANDOM.random((12, 12))
    image[5, 6] = 1e6
    masked = np.ma.masked_greater(image, 10)
    with pytest.warns(UserWarning, match=r"1 of 144 are NaN"):
        patches = extract_patches(masked, 4, normalize=None, min_valid=1.0)
    assert float(patches.gather().max()) < 10
    windows = extract_patches(masked, 4, 4, normalize=None).gather().numpy()
    np.testing.assert_array_equal(
        windows, sliced(masked.filled(np.nan), (4, 4), (4, 4)).astype("f4")
    )
    signals = Patches.from_array(masked).gather().numpy()
    np.testing.assert_array_equal(signals, masked.filled(np.nan).astype("f4"))


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.ones((8, 8), complex), "complex"), (np.zeros((8, 8), "M8[s]"), "numbers")],
)
def test_masks_do_not_make_numbers_of_other_values(values, message):
    with pytest.raises(DataError, match=message):
        extract_patches(np.ma.array(values), 4)


# Windows around positions


def ramps(shape, spacing=(1.0, 1.0), origin=(0.0, 0.0)):
    """Two images whose values are their own y and x coordinates."""
    flat = image_of(shape, spacing, origin, values=np.zeros(shape))
    return [flat + flat[name] for name in ("y", "x")]


def test_windows_around_positions():
    image = RANDOM.random((20, 24)).astype(np.float32)
    positions = np.array([[5, 7], [10, 3], [17, 20], [5, 7]])
    patches = extract_patches(image, (5, 7), normalize=None, positions=positions)
    expected = [image[y - 2 : y + 3, x - 3 : x + 4] for y, x in positions]
    np.testing.assert_array_equal(patches.gather(), expected)
    assert dict(patches.layout) == {"atom": 4}


def test_positions_at_the_edge_are_left_out_and_counted():
    positions = [[1, 8], [8, 8], [8, 23], [2, 2]]
    with pytest.warns(UserWarning, match=r"^2 of 4 positions are left out") as caught:
        patches = extract_patches(RANDOM.random((20, 24)), 5, positions=positions)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(patches.coords["atom"].values, [1, 3])
    np.testing.assert_array_equal(patches.coords["y"].values, [8, 2])
    np.testing.assert_array_equal(patches.coords["x"].values, [8, 2])


def test_positions_in_frames():
    stack = RANDOM.random((3, 12, 12)).astype(np.float32)
    patches = extract_patches(stack, 5, normalize=None, positions=[[2, 4, 5], [0, 6, 7], [1, 4, 5]])
    expected = [stack[2, 2:7, 3:8], stack[0, 4:9, 5:10], stack[1, 2:7, 3:8]]
    np.testing.assert_array_equal(patches.gather(), expected)
    np.testing.assert_array_equal(patches.coords["frame"].values, [2, 0, 1])


def test_positions_with_missing_pixels_stay_in_the_layout():
    image = RANDOM.random((12, 12))
    image[3, 3] = np.nan
    with pytest.warns(UserWarning, match="1 of 2 windows"):
        patches = extract_patches(image, 3, positions=[[3, 3], [8, 8]], min_valid=1.0)
    assert len(patches) == 1
    np.testing.assert_array_equal(
        patches.to_xarray().isnull().any(("window_y", "window_x")), [1, 0]
    )


@pytest.mark.parametrize(
    ("window", "positions"),
    [
        (5, [[5, 7], [10, 3]]),
        (5, [[5.4, 7.3], [10.1, 3.6]]),
        (4, [[5, 7], [10, 3]]),
    ],
    ids=["whole", "fractional", "even window"],
)
def test_coordinates_of_positions_are_those_of_the_windows(window, positions):
    """The offset counts from the window's centre, so y + offset is where the motif is."""
    for name, ramp in zip("yx", ramps((20, 24), (0.5, 0.25), (3.0, -7.0)), strict=True):
        patches = extract_patches(ramp, window, normalize=None, positions=positions)
        centres = patches.gather().mean((1, 2))
        np.testing.assert_allclose(patches.coords[name].values, centres, atol=1e-5)
        assert patches.coords[name].attrs["units"] == "nm"


def test_even_windows_follow_their_positions():
    patches = extract_patches(
        RANDOM.random((20, 24)), 4, positions=[[8, 10], [8, 11], [8, 12], [8, 13]]
    )
    np.testing.assert_array_equal(np.diff(patches.starts[:, 2]), [1, 1, 1])


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ([[-50, 4]], "no window"),
        ([[4, 400], [0, 0]], "no window"),
        ([[9, 6, 6]], "no window"),
        ([[1e300, 4], [-5e9, 4]], "no window"),
        ([1, 2], "position x 2"),
        ([[1, 2, 3, 4]], "position x 2"),
        ([], "there are no positions"),
        (np.zeros((0, 2)), "there are no positions"),
        ([[np.nan, 3]], "finite"),
        ([[6, np.inf]], "finite"),
    ],
)
def test_positions_that_make_no_sense(positions, message):
    with pytest.raises(DataError, match=message):
        extract_patches(RANDOM.random((12, 12)), 5, positions=positions)


def test_frames_must_be_whole_numbers():
    with pytest.raises(DataError, match="frame"):
        extract_patches(RANDOM.random((2, 12, 12)), 5, positions=[[-0.5, 6, 6], [0.9, 6, 6]])


def test_positions_in_a_stack_must_say_which_frame():
    with pytest.raises(DataError, match="frame, y, x"):
        extract_patches(RANDOM.random((2, 12, 12)), 5, positions=[[6, 6]])


# Windows and signals that are already cut


@pytest.mark.parametrize(
    ("shape", "window_ndim", "window", "dims"),
    [
        ((6, 9), None, (9,), ("patch", "x")),
        ((6, 4, 5), None, (4, 5), ("patch", "y", "x")),
        ((6, 4, 5), 1, (5,), ("dim_0", "dim_1", "x")),
        ((2, 3, 4, 5), 1, (5,), ("dim_0", "dim_1", "dim_2", "x")),
    ],
)
def test_from_array_layouts(shape, window_ndim, window, dims):
    values = RANDOM.random(shape).astype(np.float32)
    patches = Patches.from_array(values, window_ndim)
    assert patches.window == window
    assert len(patches) == np.prod(shape) / np.prod(window)
    np.testing.assert_array_equal(patches.gather(), values.reshape(-1, *window))
    labelled = patches.to_xarray()
    assert labelled.dims == dims
    np.testing.assert_array_equal(labelled, values)


def test_windows_with_channels_ask_for_names():
    windows = RANDOM.random((30, 2, 16, 16))
    with pytest.raises(DataError, match=r"dims=\('dim_0', 'dim_1', 'y', 'x'\).*\"channel\""):
        Patches.from_array(windows, window_ndim=2)
    patches = Patches.from_array(windows, 2, dims=("sample", "temperature", "y", "x"))
    assert dict(patches.layout) == {"sample": 30, "temperature": 2}


@pytest.mark.parametrize("dims", [("patch", "x", "y"), ("x", "y", "patch"), ("y", "patch", "x")])
def test_windows_have_the_axes_y_and_x(dims):
    windows = xr.DataArray(RANDOM.random((6, 4, 5)), dims=("patch", "y", "x"))
    patches = Patches.from_array(windows.transpose(*dims), window_ndim=2)
    np.testing.assert_array_equal(patches.gather(), windows.astype(np.float32))


def test_what_may_be_signals_or_windows_asks():
    cube = xr.DataArray(RANDOM.random((4, 5, 30)), dims=("y", "x", "energy"))
    with pytest.raises(DataError, match="window_ndim=1 or window_ndim=2"):
        Patches.from_array(cube)
    with pytest.raises(DataError, match="put their own axis last"):
        Patches.from_array(cube.transpose("energy", "y", "x"), window_ndim=1)


@pytest.mark.parametrize("make", [np.asarray, torch.tensor, xr.DataArray, list])
def test_arrays_of_windows_are_patches(make):
    windows = RANDOM.random((6, 4, 5))
    patches = as_patches(make(windows), (4, 5))
    np.testing.assert_array_equal(patches.gather(), windows.astype(np.float32))
    assert as_patches(patches, (4, 5)) is patches


def test_an_image_is_no_array_of_windows():
    with pytest.raises(DataError, match="extract_patches"):
        as_patches(RANDOM.random((40, 40)), (4, 5))


@settings(max_examples=40, deadline=None)
@given(
    lead=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    window=st.lists(st.integers(2, 5), min_size=1, max_size=2),
)
def test_from_array_is_undone_by_to_xarray(lead, window):
    dims = tuple(f"lead{axis}" for axis in range(len(lead)))
    pixels = tuple(f"pixel{axis}" for axis in range(len(window)))
    data = xr.DataArray(
        np.arange(np.prod(lead + window), dtype=np.float32).reshape(lead + window),
        dims=dims + pixels,
        coords={name: (name, np.arange(size) * 0.5) for name, size in zip(dims, lead, strict=True)},
        attrs={"units": "V"},
    )
    patches = Patches.from_array(data, window_ndim=len(window))
    xr.testing.assert_identical(patches.to_xarray().rename(None), data)


def test_hyperspectral_cube_brings_its_dimensions_and_coordinates():
    cube = xr.DataArray(
        RANDOM.random((3, 4, 20)),
        dims=("y", "x", "energy"),
        coords={
            "y": ("y", [0.0, 0.5, 1.0], {"units": "nm"}),
            "x": ("x", [0.0, 0.5, 1.0, 1.5], {"units": "nm"}),
            "energy": ("energy", 100 + 0.25 * np.arange(20), {"units": "eV"}),
            "thickness": (("y", "x"), RANDOM.random((3, 4))),
        },
    )
    patches = Patches.from_array(cube, window_ndim=1)
    assert dict(patches.layout) == {"y": 3, "x": 4}
    assert patches.window == (20,)
    assert patches.window_dims == ("energy",)
    assert patches.pixel_size == (0.25,)
    assert patches.units == ("eV",)
    assert set(patches.coords) == {"y", "x", "thickness"}
    for name in patches.coords:
        xr.testing.assert_identical(patches.coords[name], cube[name].variable)


def test_from_array_takes_names_and_coordinates():
    patches = Patches.from_array(
        RANDOM.random((3, 8)), dims=("probe", "time"), coords={"probe": ["a", "b", "c"]}
    )
    assert dict(patches.layout) == {"probe": 3}
    assert list(patches.coords["probe"].values) == ["a", "b", "c"]


def test_from_array_normalises():
    values = np.array([[0.0, 1.0, 2.0], [0.0, 4.0, 8.0]])
    halves = [[0, 0.5, 1]] * 2
    np.testing.assert_allclose(Patches.from_array(values, normalize="patch").gather(), halves)
    alike = Patches.from_array(values, normalize="image").gather()
    np.testing.assert_allclose(alike, values / 8)
    np.testing.assert_allclose(Patches.from_array(values).gather(), values)


@pytest.mark.parametrize("window_ndim", [None, 0, 3, 4])
def test_four_dimensions_need_a_window_ndim(window_ndim):
    with pytest.raises(DataError, match="window_ndim"):
        Patches.from_array(RANDOM.random((2, 3, 8, 8)), window_ndim)


# Kinds of arrays

WHOLE = RANDOM.integers(0, 100, (24, 36))


def read_only(values):
    values.setflags(write=False)
    return values


KINDS = {
    **{
        name: lambda values, name=name: values.astype(name)
        for name in ("uint8", "int16", "int64", "uint64", "float16", "float64", ">f4", "<i4")
    },
    "read-only": lambda values: read_only(values.astype(np.float32)),
    "every second": lambda values: np.repeat(values, 2, axis=1).astype(np.float32)[:, ::2],
    "fortran": lambda values: np.asfortranarray(values.astype(np.float32)),
    "reversed": lambda values: values.astype(np.float32)[::-1].copy()[::-1],
    "tensor": lambda values: torch.from_numpy(values.astype(np.float32)),
    "integer tensor": torch.from_numpy,
    "tensor with gradient": lambda values: torch.tensor(values * 1.0).requires_grad_(),
    "list": lambda values: values.tolist(),
    "DataArray": lambda values: xr.DataArray(values, dims=("y", "x")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_array_gives_the_same_patches(kind):
    given_array = KINDS[kind](WHOLE.copy())
    expected = WHOLE.astype(np.float32)
    patches = extract_patches(given_array, 6, 5, normalize=None)
    assert patches.gather().dtype == torch.float32
    np.testing.assert_array_equal(patches.gather(), sliced(expected, (6, 6), (5, 5)))
    signals = Patches.from_array(given_array)
    np.testing.assert_array_equal(signals.gather(), expected)


def test_booleans_are_zero_and_one():
    patches = Patches.from_array(WHOLE > 50)
    np.testing.assert_array_equal(patches.gather(), (WHOLE > 50).astype(np.float32))


# What is refused

BAD_VALUES = {
    "complex": (np.ones((8, 8), complex), "complex"),
    "objects": (np.ones((8, 8), object), "objects"),
    "strings": (np.full((8, 8), "a"), "numbers"),
    "dates": (np.zeros((8, 8), "M8[s]"), "numbers"),
    "empty": (np.zeros((0, 8)), "empty"),
    "infinite": (np.full((8, 8), np.inf), "infinite"),
    "one dimension": (np.zeros(8), "shape"),
    "no dimension": (np.float64(3.0), "shape"),
    "four dimensions": (np.zeros((2, 2, 8, 8)), "shape"),
    "dataset": (xr.Dataset({"height": (("y", "x"), np.zeros((8, 8)))}), "height"),
}


@pytest.mark.parametrize("name", BAD_VALUES)
@pytest.mark.parametrize("cut", [lambda array: extract_patches(array, 4), Patches.from_array])
def test_bad_values_are_refused(name, cut):
    array, message = BAD_VALUES[name]
    with pytest.raises(DataError, match=message):
        cut(array)


@pytest.mark.parametrize(
    "window",
    [1, 0, -3, (8,), (4, 4, 4), "8", (4, 1), (4, 4.5), True, 8.0, None],
)
def test_bad_windows_are_refused(window):
    with pytest.raises(DataError, match="window"):
        extract_patches(RANDOM.random((20, 20)), window)


def test_window_larger_than_the_image_is_refused():
    for window in (21, (21, 4), (4, 25)):
        with pytest.raises(DataError, match="larger than the image"):
            extract_patches(RANDOM.random((20, 24)), window)
    assert len(extract_patches(RANDOM.random((20, 24)), (20, 24))) == 1


@pytest.mark.parametrize("step", [0, -1, (2, 0), (2,), (2, 2, 2), "2", (1.5, 1), 1.5])
def test_bad_steps_are_refused(step):
    with pytest.raises(DataError, match="step"):
        extract_patches(RANDOM.random((20, 20)), 8, step)


@pytest.mark.parametrize("normalize", ["max", "Patch", True, 1])
def test_unknown_normalisation_is_refused(normalize):
    for cut in (
        lambda: extract_patches(RANDOM.random((8, 8)), 4, normalize=normalize),
        lambda: Patches.from_array(RANDOM.random((8, 8)), normalize=normalize),
    ):
        with pytest.raises(DataError, match="normalize must be one of"):
            cut()


def test_uneven_coordinates_are_refused():
    image = image_of((8, 8)).assign_coords(x=[0, 1, 2, 3, 4, 5, 6, 9.0])
    with pytest.raises(DataError, match="isn't evenly spaced"):
        extract_patches(image, 4)
    with pytest.raises(DataError, match="isn't evenly spaced"):
        Patches.from_array(image)


def test_repr_says_what_there_is():
    text = repr(extract_patches(RANDOM.random((2, 8, 8)), (4, 6), 2, normalize=None))
    assert text == "<Patches (frame: 2, y: 3, x: 2), window 4 x 6, normalize=None>"

"""Readers: what is written comes back, with units, and every bad file says what is wrong."""

import sys
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import tifffile
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from writers import KNOWN, assert_same, survives_netcdf

from pyroshift.data import examples
from pyroshift.data.readers import level, load_image, load_spectra
from pyroshift.errors import DataError, ReaderError

without_deadline = settings(deadline=None)  # a busy disk takes its time


def real_arrays(dtypes, dims):
    shapes = hnp.array_shapes(min_dims=min(dims), max_dims=max(dims), min_side=1, max_side=9)
    return st.sampled_from(dtypes).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readers")


# --- NPY, TIFF, PNG: round trips -----------------------------------------------------------------


@without_deadline
@given(array=real_arrays(["u1", "i2", "<i4", ">i4", "i8", "f4", ">f8", "f8"], dims=(2, 3)))
def test_npy_round_trip(folder, array):
    np.save(folder / "array.npy", array)
    image = load_image(folder / "array.npy")
    assert image.dims == (("y", "x") if array.ndim == 2 else ("frame", "y", "x"))
    assert image.dtype.itemsize == array.dtype.itemsize
    assert image.values.flags.writeable
    assert_same(image, array)


@without_deadline
@given(array=real_arrays(["u1", "u2", "i2", "f4", "f8"], dims=(2, 2)))
def test_tiff_round_trip(folder, array):
    tifffile.imwrite(folder / "array.tif", array, photometric="minisblack")
    assert_same(load_image(folder / "array.tif"), array)


@without_deadline
@given(array=real_arrays(["u1", "u2", "f4"], dims=(3, 3)))
def test_tiff_stack_round_trip(folder, array):
    with tifffile.TiffWriter(folder / "stack.tif") as writer:
        for page in array:
            writer.write(page, photometric="minisblack", metadata=None, contiguous=False)
    image = load_image(folder / "stack.tif")
    assert image.dims == (("frame", "y", "x") if len(array) > 1 else ("y", "x"))
    assert_same(image, array if len(array) > 1 else array[0])


@without_deadline
@given(array=real_arrays(["u1", "u2"], dims=(2, 2)))
def test_png_round_trip(folder, array):
    Image.fromarray(array).save(folder / "array.png")
    assert_same(load_image(folder / "array.png"), array)


@without_deadline
@given(array=real_arrays(["f4", "u2"], dims=(3, 3)))
def test_npy_cube_round_trip(folder, array):
    np.save(folder / "cube.npy", array)
    cube = load_spectra(folder / "cube.npy")
    assert cube.dims == ("y", "x", "spectrum")
    assert_same(cube, array)


@pytest.mark.parametrize(
    ("dtype", "expected"), [("f2", np.float32), ("?", np.uint8), ("g", np.float64)]
)
def test_unusual_types_become_plain_ones(tmp_path, dtype, expected):
    np.save(tmp_path / "array.npy", KNOWN.astype(dtype))
    image = load_image(tmp_path / "array.npy")
    assert image.dtype == expected
    np.testing.assert_array_equal(image, KNOWN.astype(dtype).astype(expected))


def test_labels_survive_netcdf(tmp_path):
    np.save(tmp_path / "array.npy", KNOWN)
    image = load_image(str(tmp_path / "array.npy"))
    assert image.attrs == {"source": "array.npy", "format": "NPY", "channel": "array"}
    assert image.y.attrs == {"units": "px", "long_name": "y"}
    np.testing.assert_array_equal(image.x, np.arange(5))
    pytest.importorskip("h5py")
    survives_netcdf(image, tmp_path)


@pytest.mark.parametrize("extension", ["png", "bmp", "tif"])
def test_colours_become_luminance(tmp_path, extension):
    colours = np.zeros((4, 5, 3), dtype=np.uint8)
    colours[0, 0] = 200, 0, 0
    colours[1, 1] = 77, 77, 77
    path = tmp_path / f"colours.{extension}"
    Image.fromarray(colours).save(path)
    image = load_image(path)
    assert image.shape == (4, 5)
    assert float(image[0, 0]) == pytest.approx(200 * 0.299)
    assert float(image[1, 1]) == 77


def test_palette_is_looked_up(tmp_path):
    grey = (KNOWN * 10).astype(np.uint8)
    for extension in ("png", "tif"):
        Image.fromarray(grey).convert("P").save(tmp_path / f"palette.{extension}")
    np.testing.assert_allclose(load_image(tmp_path / "palette.png"), grey, atol=1e-4)
    scaled = load_image(tmp_path / "palette.tif").values
    np.testing.assert_allclose(scaled / scaled.max(), grey / grey.max(), atol=0.01)


# --- Bad files -----------------------------------------------------------------------------------


def test_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.tif.*seen from"):
        load_image(tmp_path / "nothing.tif")


def test_folder(tmp_path):
    with pytest.raises(ReaderError, match="folder"):
        load_image(tmp_path)


def test_unknown_extension_lists_the_known_ones(tmp_path):
    (tmp_path / "image.xyz").write_bytes(b"1")
    with pytest.raises(ReaderError, match=r"'\.xyz' is not known.*\.dm3.*\.tif"):
        load_image(tmp_path / "image.xyz")


EXTENSIONS = [".bmp", ".dm3", ".dm4", ".emd", ".emi", ".gwy", ".h5", ".hf5", ".hspy", ".ibw"]
EXTENSIONS += [".jpg", ".npy", ".png", ".ser", ".sxm", ".tif", ".tiff", ".SER", ".PNG"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_empty_file(tmp_path, extension):
    path = tmp_path / f"image{extension}"
    path.touch()
    with pytest.raises(ReaderError, match="0 bytes"):
        load_image(path)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("content", [b"\0", b"hello, world\n" * 50, bytes(range(256)) * 20])
def test_foreign_content(tmp_path, extension, content):
    path = tmp_path / f"image{extension}"
    path.write_bytes(content)
    with pytest.raises(ReaderError, match=r"damaged, cut short or not|pip install"):
        load_image(path)


@pytest.mark.parametrize("extension", ["npy", "png", "bmp", "tif", "jpg"])
@pytest.mark.parametrize("part", [0.01, 0.3, 0.9])
def test_truncated_file(tmp_path, extension, part):
    array = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = tmp_path / f"image.{extension}"
    if extension == "npy":
        np.save(path, array)
    elif extension == "tif":
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: max(1, int(len(content) * part))])
    with pytest.raises(ReaderError, match=r"damaged, cut short") as caught:
        load_image(path)
    assert caught.value.__cause__ is not None


class Bomb:
    """Notes when it is unpickled."""

    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_object_array_is_refused_and_never_unpickled(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([[Bomb(), Bomb()]], dtype=object), allow_pickle=True)
    with pytest.raises(ReaderError, match="Python objects"):
        load_image(tmp_path / "objects.npy")
    assert not Bomb.exploded


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (KNOWN + 1j, "complex.*numpy.abs"),
        (np.zeros(7), r"dim_0 7.*1 dimension.*Patches\.from_array"),
        (np.zeros((2, 3, 4, 5)), r"4 dimension.*Patches\.from_array"),
        (np.zeros((0, 5)), "without a single value"),
        (np.array([["a", "b"]]), "not plain numbers"),
        (np.zeros((2, 2), dtype=[("r", "u1"), ("g", "u1")]), "not plain numbers"),
    ],
)
def test_arrays_that_are_no_image(tmp_path, array, message):
    np.save(tmp_path / "array.npy", array)
    with pytest.raises(ReaderError, match=message):
        load_image(tmp_path / "array.npy")


def test_spectra_need_three_axes(tmp_path):
    np.save(tmp_path / "array.npy", KNOWN)
    with pytest.raises(ReaderError, match="no cube of spectra"):
        load_spectra(tmp_path / "array.npy")


@pytest.mark.parametrize("channel", ["phase", 1, -1, True, 0.5])
def test_unknown_channel_lists_what_there_is(tmp_path, channel):
    np.save(tmp_path / "array.npy", KNOWN)
    with pytest.raises(ReaderError, match=r"no channel .*It has 0: 'array' \(y 4, x 5\)"):
        load_image(tmp_path / "array.npy", channel=channel)


@pytest.mark.parametrize(
    ("extension", "package"),
    [
        ("ibw", "igor2"),
        ("sxm", "nanonispy2.read"),
        ("h5", "h5py"),
        ("dm3", "rsciio.digitalmicrograph"),
    ],
)
def test_missing_reader_names_the_extra(tmp_path, monkeypatch, extension, package):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / f"image.{extension}").write_bytes(b"1")
    with pytest.raises(ReaderError, match=r"pip install pyroshift\[io\]"):
        load_image(tmp_path / f"image.{extension}")


def test_warnings_of_readers_do_not_leak(tmp_path, monkeypatch):
    def warn_and_fail(*_, **__):
        warnings.warn("deprecated", UserWarning, stacklevel=1)
        raise KeyError("tag")

    monkeypatch.setattr(tifffile, "TiffFile", warn_and_fail)
    (tmp_path / "image.tif").write_bytes(b"1")
    with pytest.raises(ReaderError, match="KeyError"):
        load_image(tmp_path / "image.tif")


# --- Levelling and the silicon images ------------------------------------------------------------


@pytest.mark.parametrize("order", [0, 1, 2])
def test_level_takes_off_its_own_order(order):
    y, x = np.mgrid[:20, :30] / 10.0
    surface = sum((i + j + 1) * y**i * x**j for i in range(3) for j in range(3) if i + j <= order)
    image = xr.DataArray(surface + 0.0 * y, dims=("y", "x"), attrs={"units": "m"})
    flat = level(image, order)
    np.testing.assert_allclose(flat, 0, atol=1e-9)
    assert flat.attrs == image.attrs


def test_level_works_frame_by_frame_around_missing_lines():
    y, x = np.mgrid[:20, :30]
    frames = np.stack([x + y, 5.0 - 2 * x]).astype(np.float32)
    frames[0, 15:] = np.nan
    flat = level(xr.DataArray(frames, dims=("frame", "y", "x")), rows="median")
    assert flat.dtype == np.float32
    assert np.isnan(flat[0, 15:]).all()
    np.testing.assert_allclose(flat[0, :15], 0, atol=1e-4)
    np.testing.assert_allclose(flat[1], 0, atol=1e-4)


@pytest.mark.parametrize("ndim", [2, 3])
def test_level_takes_an_array_as_it_is(ndim):
    y, x = np.mgrid[:20, :30]
    flat = level(np.broadcast_to(3.0 * y - x, (2, 20, 30)[3 - ndim :]))
    assert flat.dims == ("frame", "y", "x")[3 - ndim :]
    np.testing.assert_allclose(flat, 0, atol=1e-9)


def test_level_aligns_scan_lines():
    lines = np.random.default_rng(0).normal(size=(16, 1)) + np.zeros((16, 12))
    np.testing.assert_allclose(
        level(xr.DataArray(lines, dims=("y", "x")), rows="median"), 0, atol=1e-9
    )


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (xr.DataArray(KNOWN, dims=("y", "x")), {"order": -1}, "order"),
        (xr.DataArray(KNOWN, dims=("y", "x")), {"order": 1.5}, "order"),
        (xr.DataArray(KNOWN, dims=("y", "x")), {"rows": "mean"}, "rows"),
        (np.zeros(4), {}, "two dimensions"),
        (xr.DataArray(KNOWN * np.nan, dims=("y", "x")), {}, "finite"),
    ],
)
def test_level_says_what_it_needs(image, options, message):
    with pytest.raises(DataError, match=message):
        level(image, **options)


@pytest.mark.parametrize(
    ("read", "size"), [(examples.silicon_step, 512), (examples.silicon_defects, 256)]
)
def test_silicon(tmp_path, read, size):
    if find_spec("spiepy") is None:
        pytest.skip("SPIEPy is not installed: its STM images are not tested")
    image = read()
    assert image.sizes == {"y": size, "x": size}
    assert image.dtype == np.float64
    assert image.values.flags.writeable
    assert image.x.units == "px"
    # Rows and columns in the right order: along both, neighbours hardly differ.
    flat = level(image).values
    for axis in (0, 1):
        assert np.abs(np.diff(flat, axis=axis)).mean() < 0.2 * flat.std()
    assert 1e-11 < flat.std() < 1e-9
    assert "spiepy" not in sys.modules


def test_silicon_without_its_package(monkeypatch):
    monkeypatch.setattr(examples, "find_spec", lambda _: None)
    with pytest.raises(ReaderError, match=r"pip install pyroshift\[demo\]"):
        examples.silicon_step()


def test_silicon_damaged(monkeypatch, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "image_with_defects.dat").write_bytes(b"\0\1\0\0\0\1\0\0cut")
    monkeypatch.setattr(examples, "_spiepy_folder", lambda: tmp_path)
    with pytest.raises(ReaderError, match="damaged"):
        examples.silicon_defects()

"""Readers: what is written comes back, with units, and every bad file says what is wrong."""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from pyroshift.data import examples
from pyroshift.data.readers import level, load_image, load_spectra
from pyroshift.errors import DataError, ReaderError

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
KNOWN = np.arange(20.0).reshape(4, 5)
without_deadline = settings(deadline=None)  # a busy disk takes its time


def real_arrays(dtypes, dims):
    shapes = hnp.array_shapes(min_dims=min(dims), max_dims=max(dims), min_side=1, max_side=9)
    return st.sampled_from(dtypes).flatmap(lambda dtype: hnp.arrays(dtype, shapes))


def assert_same(image, array):
    assert image.dtype.kind == array.dtype.kind
    assert image.dtype.isnative
    np.testing.assert_array_equal(image.values, array)


def survives_netcdf(image, folder):
    path = folder / "image.nc"
    image.to_netcdf(path, engine="h5netcdf")
    with xr.open_dataarray(path, engine="h5netcdf") as again:
        xr.testing.assert_identical(again.load(), image)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readers")


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is not tested")


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


# --- TIFF: pixel size and pages ------------------------------------------------------------------


def test_tiff_pixel_size_of_imagej(tmp_path):
    tifffile.imwrite(
        tmp_path / "imagej.tif",
        KNOWN.astype(np.float32),
        imagej=True,
        resolution=(50, 25),
        metadata={"unit": "nm"},
    )
    image = load_image(tmp_path / "imagej.tif")
    assert (image.x.units, image.y.units) == ("nm", "nm")
    np.testing.assert_allclose(image.x, np.arange(5) / 50)
    np.testing.assert_allclose(image.y, np.arange(4) / 25)


def test_tiff_pixel_size_of_ome(tmp_path):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "image.ome.tif", KNOWN, ome=True, metadata=metadata)
    image = load_image(tmp_path / "image.ome.tif")
    assert image.x.units == "\u00b5m"
    assert float(image.x[1]) == 0.25
    assert float(image.y[1]) == 0.5


@pytest.mark.parametrize(
    ("unit", "per_unit", "step", "units"),
    [("CENTIMETER", 1e6, 10.0, "nm"), ("CENTIMETER", 28.35, 1.0, "px"), ("INCH", 72.0, 1.0, "px")],
)
def test_tiff_resolution_is_trusted_only_in_centimetres(tmp_path, unit, per_unit, step, units):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, KNOWN, resolution=(per_unit, per_unit), resolutionunit=unit)
    image = load_image(path)
    assert image.x.units == units
    assert float(image.x[1]) == pytest.approx(step)


def test_tiff_pages_of_different_shape_must_be_chosen(tmp_path):
    with tifffile.TiffWriter(tmp_path / "pages.tif") as writer:
        writer.write(np.zeros((8, 9)))
        writer.write(np.ones((4, 5)))
    with pytest.raises(ReaderError, match=r"different shape.*channel=number.*y 4, x 5"):
        load_image(tmp_path / "pages.tif")
    assert load_image(tmp_path / "pages.tif", channel=1).shape == (4, 5)


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
        ("gwy", "gwyfile"),
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


def assert_damage_is_told(path):
    """Cuts the file at several places: what is missing must never be read as an image."""
    content = path.read_bytes()
    for part in (0.2, 0.6, 0.9):
        damaged = path.with_name(f"damaged{path.suffix}")
        damaged.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(ReaderError):
            load_image(damaged)


# --- Scanning probe formats ----------------------------------------------------------------------


def test_gwyddion(tmp_path):
    gwyfile = pytest.importorskip("gwyfile")
    content = gwyfile.objects.GwyContainer()
    for number, title in enumerate(["Height", "Phase"]):
        content[f"/{number}/data/title"] = title
        content[f"/{number}/data"] = gwyfile.objects.GwyDataField(
            KNOWN + number, xreal=5e-9, yreal=8e-9, si_unit_xy="m", si_unit_z="m"
        )
    path = tmp_path / "scan.gwy"
    content.tofile(str(path))
    image = load_image(path)
    assert_same(image, KNOWN)
    assert (image.attrs["channel"], image.attrs["units"], image.x.units) == ("Height", "m", "m")
    np.testing.assert_allclose(image.x, np.arange(5) * 1e-9)
    np.testing.assert_allclose(image.y, np.arange(4) * 2e-9)
    assert image.values.flags.writeable
    for channel in ("Phase", 1, "1"):
        assert_same(load_image(path, channel=channel), KNOWN + 1)
    with pytest.raises(ReaderError, match=r"0: 'Height'.*1: 'Phase'"):
        load_image(path, channel="Amplitude")
    assert_damage_is_told(path)


def write_nanonis(path, signals, direction):
    header = f"""
        :NANONIS_VERSION:\n2
        :SCANIT_TYPE:\nFLOAT            MSBFIRST
        :ACQ_TIME:\n10.0
        :SCAN_PIXELS:\n5       4
        :SCAN_TIME:\n1.0E+0             1.0E+0
        :SCAN_RANGE:\n5.0E-9           8.0E-9
        :SCAN_OFFSET:\n0.0E+0         0.0E+0
        :SCAN_ANGLE:\n0.0E+0
        :SCAN_DIR:\n{direction}
        :BIAS:\n1.0E-1
        :DATA_INFO:
        \tChannel\tName\tUnit\tDirection\tCalibration\tOffset
        """.replace("        ", "")
    rows = [
        f"\t{n}\t{name}\t{unit}\tboth\t1\t0\n"
        for n, (name, unit) in enumerate([("Z", "m"), ("I", "A")])
    ]
    text = header.lstrip("\n") + "".join(rows) + "\n:SCANIT_END:\n\n\n"
    path.write_bytes(text.encode() + b"\x1a\x04" + signals.astype(">f4").tobytes())


@pytest.mark.parametrize("direction", ["down", "up"])
def test_nanonis(tmp_path, direction):
    pytest.importorskip("nanonispy2")
    signals = np.random.default_rng(0).normal(size=(2, 2, 4, 5)).astype(np.float32)
    path = tmp_path / "scan.sxm"
    write_nanonis(path, signals, direction)
    rows = slice(None, None, 1 if direction == "down" else -1)
    image = load_image(path)
    assert_same(image, signals[0, 0, rows])
    assert (image.attrs["channel"], image.attrs["units"], image.x.units) == ("Z", "m", "m")
    np.testing.assert_allclose(image.x, np.arange(5) * 1e-9)
    np.testing.assert_allclose(image.y, np.arange(4) * 2e-9)
    assert_same(load_image(path, channel="I backward"), signals[1, 1, rows, ::-1])
    assert_damage_is_told(path)


def write_igor(path, values, step):
    """An Igor binary wave of version 5: checksum, header and values, x fastest."""
    binary = np.zeros(1, [("version", "<i2"), ("checksum", "<i2"), ("sizes", "<i4", 15)])
    binary["version"] = 5
    binary["sizes"][0, 0] = 320 + values.nbytes
    header = np.zeros(
        1,
        [
            ("start", "<u4", 3),
            ("points", "<i4"),
            ("type", "<i2"),
            ("lock", "<i2"),
            ("pad", "S6"),
            ("version", "<i2"),
            ("name", "S32"),
            ("pad2", "<i4"),
            ("folder", "<u4"),
            ("sizes", "<i4", 4),
            ("steps", "<f8", 4),
            ("starts", "<f8", 4),
            ("units", "S4"),
            ("dimension_units", "S4", 4),
            ("rest", "V152"),
        ],
    )
    header["points"], header["type"], header["version"] = values.size, 2, 1
    header["name"] = b"Height"
    header["sizes"][0, :2] = values.shape
    header["steps"][0, :2] = step
    header["dimension_units"][0, :2] = b"m"
    assert header.itemsize == 320
    path.write_bytes(binary.tobytes() + header.tobytes() + values.tobytes(order="F"))


def test_igor(tmp_path):
    pytest.importorskip("igor2")
    values = np.arange(20, dtype="<f4").reshape(5, 4)
    path = tmp_path / "wave.ibw"
    write_igor(path, values, 2e-9)
    image = load_image(path)
    assert_same(image, values.T[::-1])
    assert (image.attrs["channel"], image.x.units) == ("Height", "m")
    np.testing.assert_allclose(image.x, np.arange(5) * 2e-9)
    assert_damage_is_told(path)


# --- HDF5 ----------------------------------------------------------------------------------------


def write_nsid(h5py, path, datasets):
    """`datasets`: name -> (values, quantity, data_type, [(label, kind, scale, units)])."""
    with h5py.File(path, "w") as file:
        for name, (values, quantity, data_type, dimensions) in datasets.items():
            group = file.create_group(f"Measurement_000/{name}/{name}")
            main = group.create_dataset(name, data=values)
            main.attrs.update(quantity=quantity, data_type=data_type, units="a.u.")
            for number, (label, kind, scale, units) in enumerate(dimensions):
                axis = group.create_dataset(label, data=scale)
                axis.attrs.update(dimension_type=kind, units=units, quantity=label)
                axis.make_scale(label)
                main.dims[number].label = label
                main.dims[number].attach_scale(axis)


def test_nsid_dims_by_label_not_by_order(tmp_path, h5py):
    y = ("y", "SPATIAL", np.arange(4) * 0.5, "nm")
    x = ("x", "SPATIAL", np.arange(5) * 0.25, "nm")
    volts = ("Bias", "SPECTRAL", np.linspace(-1, 1, 3), "V")
    time = ("time", "TEMPORAL", np.arange(2), "s")
    cube, stack = np.random.default_rng(0).normal(size=(5, 4, 3)), np.zeros((4, 5, 2))
    path = tmp_path / "scan.h5"
    write_nsid(
        h5py,
        path,
        {
            "Channel_0": (cube, "Current", "SPECTRAL_IMAGE", [x, y, volts]),
            "Channel_1": (KNOWN.T, "Height", "IMAGE", [x, y]),
            "Channel_2": (stack, "Drift", "IMAGE_STACK", [y, x, time]),
            "Channel_3": (KNOWN + 1j, "Wave", "IMAGE", [y, x]),
        },
    )
    image = load_image(path)
    assert_same(image, KNOWN)
    assert (image.attrs["channel"], image.x.units) == ("Height", "nm")
    np.testing.assert_allclose(image.y, np.arange(4) * 0.5)
    assert load_image(path, channel="Drift").sizes == {"frame": 2, "y": 4, "x": 5}
    spectra = load_spectra(path)
    assert spectra.dims == ("y", "x", "Bias")
    assert spectra["Bias"].attrs == {"units": "V", "long_name": "Bias"}
    np.testing.assert_array_equal(spectra, cube.transpose(1, 0, 2))
    survives_netcdf(spectra, tmp_path)
    with pytest.raises(ReaderError, match=r"spectrum at every pixel.*load_spectra"):
        load_image(path, channel="Current")
    with pytest.raises(ReaderError, match="complex"):
        load_image(path, channel="Wave")
    with pytest.raises(ReaderError, match="0: 'Current'"):
        load_image(path, channel="Phase")
    assert_damage_is_told(path)


@pytest.mark.parametrize("spectra", [1, 6])
def test_usid(tmp_path, h5py, spectra):
    rows, columns = np.divmod(np.arange(20), 5)
    values = np.random.default_rng(0).normal(size=(20, spectra))
    path = tmp_path / "scan.hf5"
    with h5py.File(path, "w") as file:
        tables = {
            "Position_Indices": np.stack([columns, rows], axis=1),
            "Position_Values": np.stack([columns * 0.25, rows * 0.5], axis=1),
            "Spectroscopic_Indices": np.arange(spectra)[None],
            "Spectroscopic_Values": np.linspace(0, 1, spectra)[None],
        }
        main = file.create_dataset("Measurement_000/Channel_000/Raw_Data", data=values)
        main.attrs.update(quantity="Deflection", units="V")
        for name, table in tables.items():
            table = file.create_dataset(f"Measurement_000/Channel_000/{name}", data=table)
            position = name.startswith("Position")
            table.attrs["labels"] = ["X", "Y"] if position else ["Bias"]
            table.attrs["units"] = ["um", "um"] if position else ["V"]
            main.attrs[name] = table.ref
    read = load_image if spectra == 1 else load_spectra
    array = read(path)
    np.testing.assert_array_equal(array.values.ravel(), values.ravel())
    assert array.shape[:2] == (4, 5)
    assert (array.attrs["channel"], array.x.units) == ("Deflection", "\u00b5m")
    np.testing.assert_allclose(array.x, np.arange(5) * 0.25)
    np.testing.assert_allclose(array.y, np.arange(4) * 0.5)
    if spectra > 1:
        assert array.spectrum.attrs == {"units": "V", "long_name": "Bias"}


def test_plain_hdf5(tmp_path, h5py):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["group/curve"] = np.zeros(9)
        file["group/image"] = KNOWN
        file["other"] = KNOWN + 1
    assert_same(load_image(tmp_path / "plain.h5"), KNOWN)
    assert_same(load_image(tmp_path / "plain.h5", channel="other"), KNOWN + 1)


def test_hdf5_without_images(tmp_path, h5py):
    with h5py.File(tmp_path / "curves.h5", "w") as file:
        file["curve"] = np.zeros(9)
    with pytest.raises(ReaderError, match="holds no image"):
        load_image(tmp_path / "curves.h5")


# --- HyperSpy and electron microscopes -----------------------------------------------------------


def signal(values, navigation, units="nm"):
    names = ("t", "y", "x")[-values.ndim :]
    axes = [
        {"_type": "UniformDataAxis", "name": name, "size": size, "scale": 0.1, "offset": 0.0}
        | {"units": units, "navigate": number < navigation, "is_binned": False}
        for number, (name, size) in enumerate(zip(names, values.shape, strict=True))
    ]
    empty = ("original_metadata", "learning_results", "models", "tmp_parameters")
    return {
        "data": values,
        "axes": axes,
        "metadata": {"General": {"title": "signal"}, "Signal": {"signal_type": ""}},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "hyperspy", "package_version": "2.0"},
    } | {key: {} for key in empty}


@pytest.mark.parametrize(
    ("navigation", "dims"), [(0, ("y", "x")), (1, ("frame", "y", "x")), (2, ("y", "x", "spectrum"))]
)
def test_hspy(tmp_path, h5py, navigation, dims):
    writer = pytest.importorskip("rsciio.hspy")
    values = np.random.default_rng(0).normal(size=(3, 4, 5)[-len(dims) :])
    path = tmp_path / "signal.hspy"
    writer.file_writer(str(path), signal(values, navigation))
    array = load_image(path) if "spectrum" not in dims else load_spectra(path)
    assert array.dims == dims
    assert_same(array, values)
    assert array.x.units == "nm"
    assert float(array.x[1]) == pytest.approx(0.1)
    assert_damage_is_told(path)


def test_emd(tmp_path, h5py):
    writer = pytest.importorskip("rsciio.emd")
    path = tmp_path / "signal.emd"
    writer.file_writer(str(path), signal(KNOWN, 0))
    image = load_image(path)
    assert_same(image, KNOWN)
    assert image.x.units == "nm"
    assert_damage_is_told(path)


def write_zspy(path, **options):
    zarr = pytest.importorskip("zarr", minversion="3", reason="zarr 3 is not installed")
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    group = root.create_group("Experiments/lattice")
    array = group.create_array("data", shape=KNOWN.shape, dtype=KNOWN.dtype, **options)
    for number, name in enumerate("yx"):
        axis = group.create_group(f"axis-{number}")
        axis.attrs.update(name=name, size=KNOWN.shape[number], scale=0.1, units="nm")
        axis.attrs.update(navigate=False)
    array[...] = KNOWN


def test_zspy(tmp_path):
    write_zspy(tmp_path / "signal.zspy")
    image = load_image(tmp_path / "signal.zspy")
    assert_same(image, KNOWN)
    assert (image.attrs["channel"], image.x.units) == ("lattice", "nm")


def test_zspy_that_would_be_unpickled_is_refused(tmp_path):
    from numcodecs import Pickle

    write_zspy(tmp_path / "signal.zspy", filters=[Pickle()])
    with pytest.raises(ReaderError, match="pickled Python objects"):
        load_image(tmp_path / "signal.zspy")


def test_zipped_zspy_is_to_be_unpacked(tmp_path):
    pytest.importorskip("zarr")
    (tmp_path / "signal.zspy").write_bytes(b"PK")
    with pytest.raises(ReaderError, match="unpack"):
        load_image(tmp_path / "signal.zspy")


# --- Measured files ------------------------------------------------------------------------------

MEASURED = {
    "stm_graphite.tif": ((1423, 1423), 1.0, "px"),
    "stem_nsmo_cryo.tif": ((898, 963), 1.0, "px"),
    "stem_graphene_boundary.npy": ((512, 512), 1.0, "px"),
    "stem_srtio3.hf5": ((470, 453), 0.014559, "nm"),
    "stem_srtio3_ncem.ser": ((1024, 1024), 0.010013, "nm"),
    "stem_mos2_se.dm3": ((1024, 1024), 0.012695, "nm"),
    "stem_abf_stack.hspy": ((5, 512, 512), 0.0092024, "nm"),
    "pfm_pzt_1.h5": ((256, 256), 7.8431e-9, "m"),
    "pfm_pzt_2.h5": ((256, 256), 7.8431e-9, "m"),
    "pfm_pto.ibw": ((256, 256), 7.8431e-9, "m"),
}
READERS = {
    ".hf5": "h5py",
    ".h5": "h5py",
    ".hspy": "h5py",
    ".ser": "rsciio",
    ".dm3": "rsciio",
    ".ibw": "igor2",
}


def measured(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no measured data: {path} is not there")
    if package := READERS.get(path.suffix):
        pytest.importorskip(package, reason=f"{package} is not installed: {name} is not tested")
    return path


@pytest.mark.parametrize("name", MEASURED)
def test_measured_image(name):
    shape, step, units = MEASURED[name]
    image = load_image(measured(name))
    assert image.shape == shape
    assert image.dims == ("frame", "y", "x")[-len(shape) :]
    assert np.isfinite(image.values).all()
    assert image.values.std() > 0
    for axis in (image.y, image.x):
        assert axis.units == units
        assert float(axis[1] - axis[0]) == pytest.approx(step, rel=1e-4)


@pytest.mark.parametrize("name", ["stem_srtio3_ncem.ser", "stem_mos2_se.dm3", "pfm_pto.ibw"])
def test_measured_image_cut_short(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(measured(name).read_bytes())
    assert_damage_is_told(path)


def test_measured_channels():
    path = measured("pfm_pto.ibw")
    amplitude = load_image(path, channel="AmplitudeRetrace")
    np.testing.assert_array_equal(amplitude, load_image(path, channel=1))
    assert not np.array_equal(amplitude, load_image(path))
    phase = load_image(measured("pfm_pzt_1.h5"), channel="PhaseRetrace")
    # That channel's file gives degrees as the unit of its lengths, which is not believed.
    assert phase.x.units == "px"


def test_measured_spectra(tmp_path):
    cube = load_spectra(measured("bfo_iv.hf5"))
    assert cube.sizes == {"y": 50, "x": 50, "sqrt_E": 53}
    survives_netcdf(cube, tmp_path)
    with pytest.raises(ReaderError, match=r"load_spectra.*Patches\.from_array"):
        load_image(measured("bfo_iv.hf5"))
    assert load_spectra(measured("bepfm_spectra.npy")).shape == (32, 32, 102)


def test_measured_object_array_is_refused():
    with pytest.raises(ReaderError, match="Python objects"):
        load_image(measured("stem_graphene_boundary_atoms.npy"))


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
        (xr.DataArray(KNOWN, dims=("x", "y")), {}, "level takes"),
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

"""Files of scanning probes, and HDF5 in its layouts."""

import numpy as np
import pytest
from writers import (
    KNOWN,
    assert_damage_is_told,
    assert_same,
    survives_netcdf,
    write_gwyddion,
    write_igor,
    write_nanonis,
    write_nsid,
    write_usid,
)

from pyroshift import extract_patches
from pyroshift.data.readers import level, load_image, load_spectra
from pyroshift.errors import ReaderError


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is not tested")


# --- Scanning probe formats ----------------------------------------------------------------------


def nanonis(folder, count, *settings):
    """Path of a scan of so many signals, and the signals."""
    pytest.importorskip("nanonispy2")
    path = folder / "scan.sxm"
    signals = np.random.default_rng(0).normal(size=(*count, 4, 5)).astype(np.float32)
    write_nanonis(path, signals, *settings)
    return path, signals


def test_gwyddion(tmp_path):
    path = tmp_path / "scan.gwy"
    write_gwyddion(path, {"Height": KNOWN, "Phase": KNOWN + 1})
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


@pytest.mark.parametrize("direction", ["down", "up"])
def test_nanonis(tmp_path, direction):
    path, signals = nanonis(tmp_path, (2, 2), direction)
    rows = slice(None, None, 1 if direction == "down" else -1)
    image = load_image(path)
    assert_same(image, signals[0, 0, rows])
    assert (image.attrs["channel"], image.attrs["units"], image.x.units) == ("Z", "m", "m")
    np.testing.assert_allclose(image.x, np.arange(5) * 1e-9)
    np.testing.assert_allclose(image.y, np.arange(4) * 2e-9)
    assert_same(load_image(path, channel="I backward"), signals[1, 1, rows, ::-1])
    assert_damage_is_told(path)


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
    values = np.random.default_rng(0).normal(size=(20, spectra))
    path = tmp_path / "scan.hf5"
    write_usid(h5py, path, values)
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


def test_nsid_times_of_frames(tmp_path, h5py):
    dimensions = [
        ("time", "TEMPORAL", np.array([0.0, 0.5, 2.0]), "s"),
        ("y", "SPATIAL", np.arange(4) * 0.5, "nm"),
        ("x", "SPATIAL", np.arange(5) * 0.5, "nm"),
    ]
    stack = np.zeros((3, 4, 5))
    write_nsid(h5py, tmp_path / "s.h5", {"C": (stack, "Height", "IMAGE_STACK", dimensions)})
    image = load_image(tmp_path / "s.h5")
    np.testing.assert_array_equal(image.frame, [0, 0.5, 2])
    assert image.frame.units == "s"


@pytest.mark.parametrize("directions", [("both", "forward"), ("forward", "both")])
def test_nanonis_in_one_direction(tmp_path, directions):
    path, signals = nanonis(tmp_path, (3,), "down", directions)
    current = signals[2 if directions[0] == "both" else 1]
    assert_same(load_image(path, channel="Z"), signals[0])
    assert_same(load_image(path, channel="I"), current)
    alone = "I" if directions[0] == "both" else "Z"
    with pytest.raises(ReaderError, match=f"no channel '{alone} backward'"):
        load_image(path, channel=f"{alone} backward")
    assert_damage_is_told(path)


def test_nanonis_backward_alone(tmp_path):
    path, signals = nanonis(tmp_path, (2,), "down", ("backward", "forward"))
    assert_same(load_image(path, channel="Z backward"), signals[0, :, ::-1])
    assert_same(load_image(path, channel="I"), signals[1])


# --- Several channels ----------------------------------------------------------------------------


def assert_channels(path, *wanted):
    """Several channels at once are each of them, one above the other."""
    image = load_image(path, list(wanted))
    alone = [load_image(path, channel) for channel in wanted]
    assert image.dims == (*alone[0].dims[:-2], "channel", "y", "x")
    assert list(image.channel.values) == [each.attrs["channel"] for each in alone]
    assert list(image.channel_units.values) == [each.attrs.get("units", "") for each in alone]
    assert image.attrs["channel"] == ", ".join(image.channel.values)
    for number, each in enumerate(alone):
        np.testing.assert_array_equal(image.isel(channel=number), each)
        for name in ("y", "x"):
            assert image[name].identical(each[name])
    patches = extract_patches(image, 2, normalize=None)
    assert patches.channels == tuple(image.channel.values)
    return image


def test_channels_of_gwyddion(tmp_path):
    path = tmp_path / "scan.gwy"
    write_gwyddion(path, {"Height": KNOWN, "Phase": KNOWN + 1, "Small": KNOWN[:2]})
    image = assert_channels(path, "Phase", "Height")
    assert image.attrs["units"] == "m"
    assert_channels(path, 1, "0")
    survives_netcdf(image, tmp_path)
    with pytest.raises(ReaderError, match=r"'Small' has .*\(2, 5\), but 'Height'"):
        load_image(path, ["Height", "Small"])
    with pytest.raises(ReaderError, match="no channel 'Amplitude'"):
        load_image(path, ["Height", "Amplitude"])


@pytest.mark.parametrize("channel", [[], ["Height", "Height"], ["Height", 0]], ids=str)
def test_channels_are_named_once_each(tmp_path, channel):
    path = tmp_path / "scan.gwy"
    write_gwyddion(path, {"Height": KNOWN, "Phase": KNOWN + 1})
    with pytest.raises(ReaderError, match="each once"):
        load_image(path, channel)


def test_one_channel_in_a_list_is_a_dimension(tmp_path):
    path = tmp_path / "scan.gwy"
    write_gwyddion(path, {"Height": KNOWN, "Phase": KNOWN + 1})
    assert load_image(path, ["Phase"]).sizes == {"channel": 1, "y": 4, "x": 5}


@pytest.mark.parametrize("direction", ["down", "up"])
def test_channels_of_nanonis(tmp_path, direction):
    path = nanonis(tmp_path, (2, 2), direction)[0]
    image = assert_channels(path, "Z", "I backward")
    assert list(image.channel_units.values) == ["m", "A"]
    assert "units" not in image.attrs
    assert level(image).dims == image.dims
    np.testing.assert_allclose(level(image)[1], level(load_image(path, "I backward")))


def test_channels_of_igor(tmp_path):
    pytest.importorskip("igor2")
    values = np.arange(60, dtype="<f4").reshape(3, 5, 4).transpose(2, 1, 0)
    path = tmp_path / "wave.ibw"
    write_igor(path, np.asfortranarray(values), 2e-9)
    assert_channels(path, 2, 0)


def test_channels_of_hdf5(tmp_path, h5py):
    y, x = (("y", "SPATIAL", np.arange(4) * 0.5, "nm"), ("x", "SPATIAL", np.arange(5) * 0.2, "nm"))
    coarse = ("x", "SPATIAL", np.arange(5) * 0.4, "nm")
    volts = ("x", "SPATIAL", np.arange(5) * 0.4, "V")
    path = tmp_path / "scan.h5"
    write_nsid(
        h5py,
        path,
        {
            "Channel_0": (KNOWN, "Amplitude", "IMAGE", [y, x]),
            "Channel_1": (KNOWN + 1, "Phase", "IMAGE", [y, x]),
            "Channel_2": (KNOWN, "Coarse", "IMAGE", [y, coarse]),
            "Channel_3": (KNOWN, "Odd", "IMAGE", [y, volts]),
        },
    )
    assert_channels(path, "Phase", "Amplitude")
    with pytest.raises(ReaderError, match=r"'Coarse' goes along x by 0\.4 nm, but 'Phase' by 0\.2"):
        load_image(path, ["Phase", "Coarse"])
    # A size that isn't believed is that of the other channels, which needs no warning.
    for several in (["Odd", "Phase"], ["Phase", "Odd"]):
        assert load_image(path, several).x.identical(load_image(path, "Phase").x)

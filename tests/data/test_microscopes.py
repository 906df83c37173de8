"""Files of HyperSpy and of electron microscopes."""

import numpy as np
import pytest
from microscopes import write_dm, write_emi, write_ser, write_velox
from writers import KNOWN, assert_damage_is_told, assert_same, signal, write_zspy

from pyroshift.data.readers import load_image, load_spectra
from pyroshift.errors import ReaderError


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py", reason="h5py is not installed: HDF5 is not tested")


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


@pytest.mark.parametrize(("count", "dims"), [(1, ("y", "x")), (3, ("frame", "y", "x"))])
def test_velox(tmp_path, h5py, count, dims):
    pytest.importorskip("rsciio")
    frames = np.random.default_rng(0).integers(0, 99, (count, 4, 5)).astype(np.uint16)
    path = tmp_path / "scan.emd"
    write_velox(h5py, path, frames, 12e-12)
    image = load_image(path)
    assert image.dims == dims
    assert_same(image, frames if count > 1 else frames[0])
    assert (image.y.units, image.x.units) == ("pm", "pm")
    np.testing.assert_allclose(image.x, 12.0 * np.arange(5))
    if count > 1:
        np.testing.assert_allclose(image.frame, 0.5 * np.arange(3))
        assert image.frame.units == "s"
    with pytest.raises(ReaderError):
        load_spectra(path)
    assert_damage_is_told(path)


def test_velox_with_spectra(tmp_path, h5py):
    pytest.importorskip("rsciio")
    pytest.importorskip("sparse", reason="sparse is not installed: Velox's spectra are not tested")
    spectra = np.random.default_rng(0).integers(0, 3, (4, 5, 16))
    path = tmp_path / "scan.emd"
    write_velox(h5py, path, KNOWN[None].astype(np.uint16), 12e-12, spectra)
    assert_same(load_image(path), KNOWN.astype(np.uint16))
    cube = load_spectra(path)
    assert cube.dims == ("y", "x", "energy")
    np.testing.assert_array_equal(cube, spectra)
    np.testing.assert_allclose(cube.energy, -0.01 + 0.005 * np.arange(16), atol=1e-12)
    assert (cube.energy.units, cube.x.units) == ("keV", "pm")


def test_velox_spectra_beyond_their_channels_are_refused(tmp_path, h5py):
    """The compiled code that reads them would write beyond the cube's end."""
    pytest.importorskip("sparse", reason="sparse is not installed: Velox's spectra are not tested")
    path = tmp_path / "scan.emd"
    write_velox(h5py, path, KNOWN[None].astype(np.uint16), 12e-12, np.ones((4, 5, 16), int))
    with h5py.File(path, "r+") as file:
        file["Data/SpectrumStream/0b/Data"][3] = 40000
    with pytest.raises(ReaderError, match=r"channel 40000 of 16"):
        load_spectra(path)


def test_velox_without_the_package_for_spectra_names_the_extra(tmp_path, h5py, monkeypatch):
    pytest.importorskip("rsciio")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    path = tmp_path / "scan.emd"
    write_velox(h5py, path, KNOWN[None].astype(np.uint16), 12e-12, np.ones((4, 5, 16), int))
    with pytest.raises(ReaderError, match=r"'sparse'.*pip install pyroshift\[io\]"):
        load_image(path)


@pytest.mark.parametrize(
    ("delta", "step", "units"), [(2e-11, 0.02, "nm"), (4.5e7, 0.045, "1/nm"), (9e15, 1, "px")]
)
def test_ser(tmp_path, delta, step, units):
    """A pattern's pixel is in cycles per metre, which the file doesn't say."""
    pytest.importorskip("rsciio")
    frames = np.random.default_rng(0).normal(size=(3, 4, 4)).astype(np.float32)
    path = tmp_path / "series.ser"
    write_ser(path, frames, delta)
    if units == "px":
        with pytest.warns(UserWarning, match="which can't be"):
            image = load_image(path)
    else:
        image = load_image(path)
    assert_same(image, frames)
    assert (image.y.units, image.x.units) == (units, units)
    np.testing.assert_allclose(image.x, step * np.arange(4))
    assert_damage_is_told(path)


@pytest.mark.parametrize(
    ("mode", "delta", "step", "units"),
    [("TEM SA Zoom Diffraction", 4.5e7, 0.045, "1/nm"), ("TEM HM", 2e-11, 0.02, "nm")],
)
def test_emi(tmp_path, mode, delta, step, units):
    pytest.importorskip("rsciio")
    frames = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
    write_emi(tmp_path / "series.emi", frames, delta, mode)
    image = load_image(tmp_path / "series.emi")
    assert_same(image, frames)
    assert image.x.units == units
    np.testing.assert_allclose(image.x, step * np.arange(4))


@pytest.mark.parametrize("version", [3, 4])
def test_dm_image(tmp_path, version):
    pytest.importorskip("rsciio")
    path = tmp_path / f"lattice.dm{version}"
    write_dm(path, KNOWN, [(0.5, "nm"), (250.0, "pm")], version=version)
    image = load_image(path)
    assert_same(image, KNOWN.astype("f4"))
    np.testing.assert_allclose(image.y, 500 * np.arange(4), rtol=1e-6)
    assert (image.y.units, float(image.x[1])) == ("pm", 250.0)
    assert_damage_is_told(path)


@pytest.mark.parametrize("metadata", [{"Format": "Spectrum image", "Signal": "EELS"}, {}])
def test_dm_spectrum_image(tmp_path, metadata):
    """Energies are the slowest axis in the file, by their unit if it doesn't say more."""
    pytest.importorskip("rsciio")
    spectra = np.random.default_rng(0).normal(size=(6, 4, 5)).astype(np.float32)
    path = tmp_path / "spectra.dm4"
    write_dm(path, spectra, [(0.25, "eV"), (0.5, "nm"), (0.5, "nm")], metadata)
    cube = load_spectra(path)
    assert cube.dims == ("y", "x", "energy")
    assert_same(cube, np.moveaxis(spectra, 0, -1))
    np.testing.assert_allclose(cube.energy, 0.25 * np.arange(6))
    assert (cube.energy.units, cube.y.units) == ("eV", "nm")
    with pytest.raises(ReaderError, match="load_spectra"):
        load_image(path)


def test_dm_spectrum_image_without_a_unit(tmp_path):
    pytest.importorskip("rsciio")
    spectra = np.random.default_rng(0).normal(size=(6, 4, 5)).astype(np.float32)
    path = tmp_path / "spectra.dm3"
    axes = [(0.25, ""), (0.5, "nm"), (0.5, "nm")]
    write_dm(path, spectra, axes, {"Format": "Spectrum image"}, version=3)
    assert_same(load_spectra(path), np.moveaxis(spectra, 0, -1))
    write_dm(path, spectra, axes, version=3)
    assert_same(load_image(path), spectra)

"""Measured files, which stay outside the project: what they hold is what is known of them."""

from pathlib import Path

import numpy as np
import pytest
from writers import assert_damage_is_told, survives_netcdf

from pyroshift import extract_patches
from pyroshift.data.readers import load_image, load_spectra
from pyroshift.errors import ReaderError

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
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
    # That channel's file gives degrees as the unit of its lengths, which is not believed.
    with pytest.warns(UserWarning, match="'deg', which is no unit of length"):
        phase = load_image(measured("pfm_pzt_1.h5"), channel="PhaseRetrace")
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


def test_measured_amplitude_and_phase(tmp_path):
    """Whose file gives no length for the phase: it is that of the amplitude, of the same scan."""
    names = ["AmplitudeRetrace", "PhaseRetrace"]
    image = load_image(measured("pfm_pzt_1.h5"), names)
    assert image.sizes == {"channel": 2, "y": 256, "x": 256}
    assert list(image.channel_units.values) == ["m", "deg"]
    assert image.x.units == "m"
    survives_netcdf(image, tmp_path)
    patches = extract_patches(image, 16, 8)
    assert patches.channels == tuple(names)
    assert patches.gather().shape == (31 * 31, 2, 16, 16)
    found = extract_patches(image, 16, 8, normalize=None).statistics()
    assert found["minimum"] == tuple(image.min(("y", "x")).values)
    assert found["maximum"] == tuple(image.max(("y", "x")).values)


def test_measured_layers_of_a_wave():
    path = measured("pfm_pto.ibw")
    image = load_image(path, range(5))
    assert image.sizes == {"channel": 5, "y": 256, "x": 256}
    np.testing.assert_array_equal(
        image.sel(channel="AmplitudeRetrace"), load_image(path, "AmplitudeRetrace")
    )

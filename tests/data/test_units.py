"""Units: every spelling that instruments use is known, and what isn't is told."""

import numpy as np
import pytest
from microscopes import write_berkeley, write_dm

from pyroshift.data.readers import load_image
from pyroshift.data.readers.channels import Axis, frame_axis, same_units, spatial_axis
from pyroshift.data.readers.units import believable, length_unit, says_nothing, time_unit

SPELLINGS = {
    "nm": ["nm", "n_m", "[n_m]", "[nm]", "nanometers", "Nanometer", "nanometre", "(nm)", "nm/px"],
    "\u00b5m": [
        "um",
        "\u00b5m",
        "\u03bcm",
        "\\u00B5m",
        "micron",
        "Microns",
        "micrometers",
        "[u_m]",
    ],
    "\u00c5": ["A", "\u00c5", "\u212b", "Angstrom", "angstroms", "\u00c5ngstr\u00f6m", "$\\AA$"],
    "pm": ["pm", "p_m", "picometers", b"pm\0"],
    "m": ["m", "[m]", "meters", "metre"],
    "1/nm": ["1/nm", "1 / nm", "nm^-1", "nm^{-1}", "nm-1", "[n_m^-1]", "nm\u207b\u00b9", "nm**-1"],
    "1/\u00c5": ["$A^{-1}$", "A^-1", "1/A", "1 / \u00c5", "\u00c5^{-1}", "$\\mathrm{\\AA}^{-1}$"],
    "1/m": ["1/meters", "1/m"],
    None: ["V", "deg", "", "px", "counts", "s", "ms", "1/", "1/s", "-1", "nms", None, "a.u."],
}


@pytest.mark.parametrize(
    ("spelling", "unit"), [(each, unit) for unit, spelt in SPELLINGS.items() for each in spelt]
)
def test_lengths(spelling, unit):
    assert length_unit(spelling) == unit


@pytest.mark.parametrize(
    ("spelling", "unit"),
    [
        ("s", "s"),
        ("sec", "s"),
        ("Seconds", "s"),
        ("ms", "ms"),
        ("\u00b5s", "us"),
        ("min", "min"),
        ("hours", "h"),
        ("nm", None),
        ("", None),
        (None, None),
        ("m", None),
    ],
)
def test_times(spelling, unit):
    assert time_unit(spelling) == unit


@pytest.mark.parametrize("unit", ["", None, "px", "pixels", "Pixel", "<undefined>", "inch", "[]"])
def test_no_unit_is_no_unknown_one(unit):
    assert says_nothing(unit)
    assert spatial_axis(3, 1.0, unit).remark == ""


@pytest.mark.parametrize(
    ("step", "unit", "believed"),
    [
        (0.01, "nm", True),
        (1e-9, "m", True),
        (1e17, "nm", False),
        (0.0, "nm", False),
        (np.nan, "nm", False),
        (0.02, "1/nm", True),
        (4e16, "1/nm", False),
        (np.inf, "m", False),
    ],
)
def test_pixels_that_can_be(step, unit, believed):
    assert believable(step, unit) == believed
    axis = spatial_axis(3, step, unit)
    assert axis.units == (unit if believed else "px")
    assert bool(axis.remark) != believed


def test_each_axis_has_its_own_unit():
    y, x = same_units(Axis(np.arange(3.0), "nm"), Axis(np.arange(4.0), "\u00b5m"))
    np.testing.assert_allclose(y.values, [0, 1e-3, 2e-3])
    assert y.units == x.units == "\u00b5m"
    y, x = same_units(Axis(np.arange(3.0), "1/nm"), Axis(np.arange(4.0), "1/\u00c5"))
    np.testing.assert_allclose(y.values, [0, 0.1, 0.2])
    y, x = same_units(Axis(np.arange(3.0), "nm"), Axis(np.arange(4.0), "1/nm"))
    assert (y.units, x.units) == ("px", "px")
    assert "in nm along y but in 1/nm along x" in y.remark


def test_times_of_frames_rise():
    np.testing.assert_array_equal(frame_axis(np.array([0.0, 0.5]), "sec").values, [0, 0.5])
    for times, unit in (([0.0, 0.0], "s"), ([0.0, np.nan], "s"), ([0.0, 0.5], "nm")):
        axis = frame_axis(np.array(times), unit)
        assert axis.units == "frame"
        np.testing.assert_array_equal(axis.values, [0, 1])


@pytest.mark.parametrize("spelling", ["n_m", "[n_m]", "nanometers"])
def test_berkeley(tmp_path, spelling):
    h5py = pytest.importorskip("h5py")
    pytest.importorskip("rsciio")
    values = np.arange(20.0).reshape(4, 5)
    axes = [("y", 0.5, spelling), ("x", 0.25, spelling)]
    write_berkeley(h5py, tmp_path / "lattice.emd", values, axes)
    image = load_image(tmp_path / "lattice.emd")
    np.testing.assert_array_equal(image, values)  # as its axes are named, whatever their order
    np.testing.assert_allclose(image.y, 0.5 * np.arange(4))
    np.testing.assert_allclose(image.x, 0.25 * np.arange(5))
    assert image.x.units == image.y.units == "nm"


def test_unknown_unit_is_told(tmp_path):
    pytest.importorskip("rsciio")
    path = tmp_path / "lattice.dm4"
    write_dm(path, np.zeros((4, 5)), [(0.5, "furlong"), (0.5, "furlong")])
    with pytest.warns(UserWarning, match=r"lattice\.dm4.*'furlong'.*assign_coords"):
        image = load_image(path)
    assert image.x.units == "px"

"""TIFF: pixel sizes, channels, frames and pages, by whatever wrote them."""

import numpy as np
import pytest
import tifffile
from writers import KNOWN

from pyroshift.data.readers import load_image, load_spectra
from pyroshift.errors import ReaderError

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


@pytest.mark.parametrize(("yunit", "y_step"), [("nm", 0.04), ("\\u00B5m", 40.0), ("mm", 4e4)])
def test_imagej_unit_along_y(tmp_path, yunit, y_step):
    path = tmp_path / "imagej.tif"
    metadata = {"unit": "nm", "yunit": yunit}
    tifffile.imwrite(path, KNOWN.astype("f4"), imagej=True, resolution=(50, 25), metadata=metadata)
    image = load_image(path)
    assert (image.x.units, image.y.units) == ("nm", "nm")
    np.testing.assert_allclose(image.x, np.arange(5) / 50)
    np.testing.assert_allclose(image.y, np.arange(4) * y_step)


def test_ome_unit_along_y(tmp_path):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "nm"}
    metadata |= {"PhysicalSizeY": 5.0, "PhysicalSizeYUnit": "\u212b"}
    tifffile.imwrite(tmp_path / "image.ome.tif", KNOWN, ome=True, metadata=metadata)
    image = load_image(tmp_path / "image.ome.tif")
    assert (image.x.units, image.y.units) == ("nm", "nm")
    np.testing.assert_allclose(image.x, np.arange(5) * 0.25)
    np.testing.assert_allclose(image.y, np.arange(4) * 0.5)


def test_unknown_unit_of_imagej_is_told(tmp_path):
    path = tmp_path / "imagej.tif"
    options = {"imagej": True, "resolution": (50, 50), "metadata": {"unit": "furlong"}}
    tifffile.imwrite(path, KNOWN.astype("f4"), **options)
    with pytest.warns(UserWarning, match="'furlong', which is no unit of length"):
        assert load_image(path).x.units == "px"


# --- Channels and frames -------------------------------------------------------------------------

STACK = np.arange(5 * 2 * 4 * 3, dtype=np.uint8).reshape(5, 2, 4, 3)


def test_hyperstack_of_imagej(tmp_path):
    path = tmp_path / "stack.tif"
    metadata = {"axes": "TCYX", "finterval": 0.5, "unit": "nm"}
    tifffile.imwrite(path, STACK, imagej=True, metadata=metadata, resolution=(10, 10))
    for channel in (0, 1, "channel 1"):
        image = load_image(path, channel=channel)
        assert image.dims == ("frame", "y", "x")
        np.testing.assert_array_equal(image, STACK[:, int(channel != 0)])
        np.testing.assert_allclose(image.frame, 0.5 * np.arange(5))
        assert (image.frame.units, image.x.units) == ("s", "nm")
    np.testing.assert_array_equal(load_image(path), STACK[:, 0])
    assert load_image(path).attrs["channel"] == "channel 0"
    with pytest.raises(ReaderError, match=r"0: 'channel 0' \(frame 5, y 4, x 3\); 1: 'channel 1'"):
        load_image(path, channel="channel 2")
    with pytest.raises(ReaderError, match="no cube of spectra"):
        load_spectra(path)


def test_channels_of_imagej_by_their_labels(tmp_path):
    path = tmp_path / "channels.tif"
    metadata = {"axes": "CYX", "Labels": ["HAADF", "BF"]}
    tifffile.imwrite(path, STACK[0], imagej=True, metadata=metadata)
    np.testing.assert_array_equal(load_image(path, channel="BF"), STACK[0, 1])
    assert load_image(path).dims == ("y", "x")


@pytest.mark.parametrize("axes", ["CYX", "TCYX", "CTYX"])
def test_channels_of_ome_by_name(tmp_path, axes):
    path = tmp_path / "channels.ome.tif"
    values = {"CYX": STACK[0], "TCYX": STACK, "CTYX": STACK.swapaxes(0, 1)}[axes]
    metadata = {"axes": axes, "Channel": {"Name": ["HAADF", "BF"]}}
    metadata |= {"TimeIncrement": 20.0, "TimeIncrementUnit": "ms"}
    tifffile.imwrite(path, values, ome=True, photometric="minisblack", metadata=metadata)
    image = load_image(path, channel="BF")
    np.testing.assert_array_equal(image, STACK[0, 1] if axes == "CYX" else STACK[:, 1])
    if axes != "CYX":
        np.testing.assert_allclose(image.frame, 20.0 * np.arange(5))
        assert image.frame.units == "ms"


def test_samples_that_are_no_colour_are_channels(tmp_path):
    path = tmp_path / "samples.tif"
    samples = np.moveaxis(STACK[0], 0, -1)
    tifffile.imwrite(path, samples, photometric="minisblack", planarconfig="contig")
    np.testing.assert_array_equal(load_image(path, channel=1), STACK[0, 1])


def test_frames_without_times_count(tmp_path):
    path = tmp_path / "frames.tif"
    tifffile.imwrite(path, STACK[:, 0], imagej=True, metadata={"axes": "TYX"})
    image = load_image(path)
    np.testing.assert_array_equal(image.frame, np.arange(5))
    assert image.frame.units == "frame"


def test_frames_and_depths_are_refused(tmp_path):
    path = tmp_path / "volume.tif"
    tifffile.imwrite(path, STACK, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(ReaderError, match=r"4 dimension.*frame, y, x"):
        load_image(path)


# --- Pixel sizes in the tags of microscopes ------------------------------------------------------


def assert_steps(path, y, x, units):
    image = load_image(path)
    assert (image.y.units, image.x.units) == (units, units)
    np.testing.assert_allclose(image.y, np.arange(4) * y, rtol=1e-6)
    np.testing.assert_allclose(image.x, np.arange(5) * x, rtol=1e-6)


def write_tagged(path, *tags, **options):
    """A TIFF with further tags: (code, type, value); types 2 text, 12 double."""
    extra = [(code, kind, 0 if kind == 2 else 1, value, True) for code, kind, value in tags]
    tifffile.imwrite(path, KNOWN.astype("f4"), extratags=extra, metadata=None, **options)


@pytest.mark.parametrize(
    "text",
    [
        "[Scan]\r\nPixelWidth=2e-9\r\nPixelHeight=3e-9\r\n",
        "[IRBeam]\r\nHFW=1e-8\r\nVFW=1.2e-8\r\n[Image]\r\nResolutionX=5\r\nResolutionY=4\r\n",
    ],
)
def test_fei(tmp_path, text):
    write_tagged(tmp_path / "fei.tif", (34682, 2, text))
    assert_steps(tmp_path / "fei.tif", 3e-9, 2e-9, "m")


def test_zeiss(tmp_path):
    text = "\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 2.5 nm\r\n"
    write_tagged(tmp_path / "zeiss.tif", (34118, 2, text))
    assert_steps(tmp_path / "zeiss.tif", 2.5, 2.5, "nm")


def test_digital_micrograph(tmp_path):
    tags = (65003, 2, "nm"), (65004, 2, "nm"), (65009, 12, 0.25), (65010, 12, 0.5)
    write_tagged(tmp_path / "dm.tif", *tags)
    assert_steps(tmp_path / "dm.tif", 0.5, 0.25, "nm")


def test_digital_micrograph_as_rosettasciio_writes_it(tmp_path):
    writer = pytest.importorskip("rsciio.tiff")
    axes = [
        {"name": name, "size": size, "scale": scale, "offset": 0.0, "units": "nm"}
        | {"navigate": False}
        for name, size, scale in (("y", 4, 0.5), ("x", 5, 0.25))
    ]
    described = {"data": KNOWN.astype("f4"), "axes": axes, "metadata": {}}
    writer.file_writer(str(tmp_path / "dm.tif"), described)
    assert_steps(tmp_path / "dm.tif", 0.5, 0.25, "nm")


JEOL = """<TemReporter><Eos><EosMode>eosTEM</EosMode></Eos><ImageFormingSystem>\
<ModeString>{mode}</ModeString><SelectorValue>{value}</SelectorValue>\
<SelectorUnitString>{unit}</SelectorUnitString></ImageFormingSystem>\
<ElectronGun><AccelerationVoltage>200000</AccelerationVoltage></ElectronGun></TemReporter>"""


def test_jeol(tmp_path):
    options = {"resolution": (500, 500), "resolutionunit": "CENTIMETER"}  # 20 um on the camera
    description = JEOL.format(mode="MAG", value=100000, unit="")
    tags = {"description": description, "datetime": "2020:01:01 00:00:00", **options}
    write_tagged(tmp_path / "jeol.tif", (271, 2, "JEOL Ltd."), **tags)
    assert_steps(tmp_path / "jeol.tif", 2e-10, 2e-10, "m")
    tags["description"] = JEOL.format(mode="DIFF", value=80, unit="cm")
    write_tagged(tmp_path / "pattern.tif", (271, 2, "JEOL Ltd."), **tags)
    step = 2e-5 / 0.8 / 2.507934e-12  # the wavelength of electrons of 200 kV, in metres
    assert_steps(tmp_path / "pattern.tif", step, step, "1/m")


def test_broken_tags_leave_the_image(tmp_path):
    write_tagged(tmp_path / "fei.tif", (34682, 2, "[Scan]\r\nPixelWidth=2e-9\r\n"))
    assert_steps(tmp_path / "fei.tif", 1, 1, "px")


def test_several_channels_of_a_stack(tmp_path):
    path = tmp_path / "channels.tif"
    stack = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(3, 2, 4, 5)
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TCYX", "Labels": ["a", "b"] * 3})
    image = load_image(path, [1, 0])
    assert image.dims == ("frame", "channel", "y", "x")
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, stack[:, ::-1])

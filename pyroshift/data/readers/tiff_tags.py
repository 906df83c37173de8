"""The pixel size, the channels' names and the times of frames that a TIFF's metadata hold."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import tifffile

from pyroshift.data.readers.channels import Axis, frame_axis
from pyroshift.data.readers.units import MICROMETRE, text

CENTIMETRE = 3  # the tag's code; 2, the inch, is what image editors write by default
LARGEST_PIXEL = 1e4  # nm; a centimetre tag with larger pixels is a print resolution
LIGHT, ELECTRON_REST = 1.239841984e-6, 510998.95  # h c in eV m, m c^2 in eV


# One file's series share one description.
parsed = lru_cache(maxsize=1)(partial(tifffile.xml2dict, sep=""))


@dataclass(frozen=True)
class Calibration:
    """What a TIFF says: pixel size and unit (y, x), interval and unit of frames, channel names."""

    steps: tuple[float, float] = (1.0, 1.0)
    units: tuple[object, object] = (None, None)
    interval: float = 0.0
    interval_unit: object = "s"
    names: list[str] = field(default_factory=list)

    def frames(self, size: int) -> Axis:
        """The axis of this many frames."""
        return frame_axis(np.arange(size) * self.interval, self.interval_unit)


def per_unit(page: tifffile.TiffPage) -> tuple[float, float]:
    """Units to a pixel (y, x) from the resolution tags, 0 where there is none."""

    def inverted(name: str) -> float:
        tag = page.tags.get(name)
        pixels, units = tag.value if tag is not None else (0, 0)
        return units / pixels if pixels else 0.0

    return inverted("YResolution"), inverted("XResolution")


def ome(file: tifffile.TiffFile, number: int) -> Calibration:
    """OME-XML, of the image with this number."""
    images: Any = parsed(file.ome_metadata)["OME"]["Image"]
    images = images if isinstance(images, list) else [images]
    pixels = images[min(number, len(images) - 1)]["Pixels"]
    channels = pixels.get("Channel", [])
    channels = channels if isinstance(channels, list) else [channels]
    y, x = (pixels.get(f"PhysicalSize{axis}", 0.0) for axis in "YX")
    y_unit, x_unit = (pixels.get(f"PhysicalSize{axis}Unit", MICROMETRE) for axis in "YX")
    return Calibration(
        (y, x),
        (y_unit if y else None, x_unit if x else None),
        float(pixels.get("TimeIncrement", 0.0)),
        pixels.get("TimeIncrementUnit", "s"),
        [text(channel.get("Name")) for channel in channels],
    )


def imagej(file: tifffile.TiffFile, number: int) -> Calibration:
    """ImageJ's description, beside the resolution tags."""
    said = file.imagej_metadata or {}
    steps = per_unit(file.pages.first)
    unit = said.get("unit") if min(steps) > 0 else None
    rate = said.get("fps", 0)
    interval = float(said.get("finterval", 1 / rate if rate else 0.0))
    labels = [text(label) for label in said.get("Labels") or []]
    return Calibration(
        steps, (said.get("yunit", unit), unit), interval, said.get("tunit", "s"), labels
    )


def fei(file: tifffile.TiffFile, number: int) -> Calibration:
    """FEI and Thermo Fisher microscopes: the scan's pixel, or the field of an ion beam's view."""
    said: Any = file.fei_metadata
    if "PixelWidth" in said.get("Scan", {}):
        return Calibration((said["Scan"]["PixelHeight"], said["Scan"]["PixelWidth"]), ("m", "m"))
    beam, image = said["IRBeam"], said["Image"]
    steps = beam["VFW"] / image["ResolutionY"], beam["HFW"] / image["ResolutionX"]
    return Calibration(steps, ("m", "m"))


def zeiss(file: tifffile.TiffFile, number: int) -> Calibration:
    """Zeiss microscopes: the size of a pixel, or of one of the 1024 across the display."""
    said: Any = file.sem_metadata
    for name in ("ap_image_pixel_size", "ap_pixel_size"):
        if name in said:
            _, size, unit = said[name]
            return Calibration((size, size), (unit, unit))
    size = said[""][3] * 1024 / file.pages.first.imagewidth
    return Calibration((size, size), ("m", "m"))


def tvips(file: tifffile.TiffFile, number: int) -> Calibration:
    """TVIPS cameras, in nanometres."""
    said: Any = file.tvips_metadata
    return Calibration((said["PixelSizeY"], said["PixelSizeX"]), ("nm", "nm"))


def olympus(file: tifffile.TiffFile, number: int) -> Calibration:
    """Olympus (SIS) cameras, in metres."""
    said: Any = file.sis_metadata
    return Calibration((said["pixelsizey"], said["pixelsizex"]), ("m", "m"))


def jeol(file: tifffile.TiffFile, number: int) -> Calibration:
    """JEOL's TemReporter: the detector's pixel, by the magnification or the camera length."""
    page = file.pages.first
    said = parsed(page.description.strip("\0\1\r\n\t "))["TemReporter"]
    imaging = said["ImageFormingSystem"]
    metres = 0.01 if page.tags.valueof("ResolutionUnit") == CENTIMETRE else 0.0254
    y, x = (step * metres for step in per_unit(page))
    value = float(imaging["SelectorValue"])
    if said["Eos"]["EosMode"] != "eosTEM" or imaging["ModeString"] not in ("MAG", "DIFF"):
        return Calibration()
    if imaging["ModeString"] == "MAG":
        return Calibration((y / value, x / value), ("m", "m"))
    energy = float(said["ElectronGun"]["AccelerationVoltage"])
    wavelength = LIGHT / (energy * (energy + 2 * ELECTRON_REST)) ** 0.5
    length = value * {"mm": 1e-3, "cm": 1e-2, "m": 1.0}[imaging["SelectorUnitString"]] * wavelength
    return Calibration((y / length, x / length), ("1/m", "1/m"))


def digital_micrograph(file: tifffile.TiffFile, number: int) -> Calibration:
    """The private tags of DigitalMicrograph: unit and size along x, then along y."""
    value = file.pages.first.tags.valueof
    x, y = (value(tag) for tag in (65009, 65010))
    return Calibration((float(y), float(x)), (value(65004), value(65003)))


def resolution(file: tifffile.TiffFile, number: int) -> Calibration:
    """The tags of any TIFF, where they are in centimetres and those of a microscope."""
    page = file.pages.first
    y, x = (step * 1e7 for step in per_unit(page))
    believed = page.tags.valueof("ResolutionUnit") == CENTIMETRE and min(y, x) > 0
    if believed and max(y, x) < LARGEST_PIXEL:
        return Calibration((y, x), ("nm", "nm"))
    return Calibration()


def is_jeol(file: tifffile.TiffFile) -> bool:
    """Whether a JEOL microscope's report is in the description."""
    return "<TemReporter" in file.pages.first.description


def is_digital_micrograph(file: tifffile.TiffFile) -> bool:
    """Whether DigitalMicrograph's tags of the unit and of the pixel size are there."""
    return all(isinstance(file.pages.first.tags.valueof(tag), str) for tag in (65003, 65004))


# The first that a file bears is taken.
KINDS: list[tuple[Callable[[Any], bool], Callable[[Any, int], Calibration]]] = [
    (lambda file: file.is_ome, ome),
    (lambda file: file.is_fei, fei),
    (lambda file: file.is_sem, zeiss),
    (lambda file: file.is_tvips, tvips),
    (lambda file: file.is_sis, olympus),
    (is_jeol, jeol),
    (is_digital_micrograph, digital_micrograph),
    (lambda file: file.is_imagej, imagej),
]


def calibration(file: tifffile.TiffFile, number: int) -> Calibration:
    """What a file says of its series with this number; nothing where that can't be read."""
    reader = next((read for is_kind, read in KINDS if is_kind(file)), resolution)
    try:
        found = reader(file, number)
        found = replace(found, steps=(float(found.steps[0]), float(found.steps[1])))
    except Exception:  # of whatever kind: a foreign tag must not deny the image
        found = Calibration()
    if any(found.units):
        return found
    plain = resolution(file, number)
    return replace(found, steps=plain.steps, units=plain.units)

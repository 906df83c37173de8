"""TIFF, with the pixel size of ImageJ, OME and centimetre resolution tags."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import tifffile

from pyroshift.data.readers.channels import MICROMETRE, Channel, grey, image_channel
from pyroshift.errors import ReaderError

CENTIMETRE = 3  # the tag's code; 2, the inch, is what image editors write by default
LARGEST_PIXEL = 1e4  # nm; a centimetre tag with larger pixels is a print resolution
RGB, PALETTE, YCBCR = 2, 3, 6


def resolution(page: tifffile.TiffPage, name: str) -> float:
    """Pixels per unit from a resolution tag, 0 where there is none."""
    tag = page.tags.get(name)
    numerator, denominator = tag.value if tag is not None else (0, 1)
    return numerator / denominator if denominator else 0.0


def ome_pixel_size(description: str) -> tuple[tuple[float, float], str] | None:
    """The pixel size (y, x) and its unit in OME-XML."""
    found = [re.search(rf'PhysicalSize{axis}="([^"]+)"', description) for axis in "YX"]
    if found[0] is None or found[1] is None:
        return None
    unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', description)
    steps = float(found[0][1]), float(found[1][1])
    return steps, unit[1] if unit else MICROMETRE


def pixel_size(file: tifffile.TiffFile) -> tuple[tuple[float, float], str | None]:
    """The pixel size (y, x) and its unit; None as unit where the file has no meaningful one."""
    page = file.pages.first
    size = ome_pixel_size(file.ome_metadata) if file.ome_metadata else None
    if size is not None:
        return size
    per_unit = resolution(page, "YResolution"), resolution(page, "XResolution")
    if min(per_unit) <= 0:
        return (1.0, 1.0), None
    steps = 1 / per_unit[0], 1 / per_unit[1]
    if file.imagej_metadata and file.imagej_metadata.get("unit"):
        return steps, str(file.imagej_metadata["unit"])
    tag = page.tags.get("ResolutionUnit")
    nanometres = steps[0] * 1e7, steps[1] * 1e7
    if tag is not None and tag.value == CENTIMETRE and max(nanometres) < LARGEST_PIXEL:
        return nanometres, "nm"
    return (1.0, 1.0), None


def grey_shape(series: tifffile.TiffPageSeries) -> tuple[int, ...]:
    """The shape of a series of pages without its samples axis."""
    sizes = zip(series.axes, series.shape, strict=True)
    return tuple(size for axis, size in sizes if axis != "S")


def grey_values(series: tifffile.TiffPageSeries) -> np.ndarray:
    """The values of a series of pages, colours turned to luminance."""
    values = series.asarray()
    page = series.keyframe
    if page.photometric == PALETTE and page.colormap is not None:
        return grey(np.moveaxis(page.colormap[:, values], 0, -1))
    if "S" not in series.axes:
        return values
    if page.photometric not in (RGB, YCBCR):
        raise ReaderError(
            f"Its pages have {page.samplesperpixel} values per pixel that are not declared as RGB: "
            "save the one you want as a grey image."
        )
    return grey(np.moveaxis(values, series.axes.index("S"), -1))


def read_series(path: Path, numbers: list[int]) -> np.ndarray:
    """The values of one series of pages, or of several alike as one stack."""
    with tifffile.TiffFile(path) as file:
        parts = [grey_values(file.series[number]) for number in numbers]
    return parts[0] if len(parts) == 1 else np.stack(parts)


def tiff_channels(path: Path) -> list[Channel]:
    """One channel per series of pages that are alike; pages alike throughout are one stack."""
    with tifffile.TiffFile(path) as file:
        shapes = [grey_shape(series) for series in file.series]
        kinds = {
            (shape, str(series.dtype)) for shape, series in zip(shapes, file.series, strict=True)
        }
        steps, unit = pixel_size(file)
    if len(shapes) > 1 and len(kinds) == 1:
        stacked = partial(read_series, path, list(range(len(shapes))))
        return [image_channel("pages", (len(shapes), *shapes[0]), stacked, steps, unit)]
    return [
        image_channel(f"pages {number}", shape, partial(read_series, path, [number]), steps, unit)
        for number, shape in enumerate(shapes)
    ]

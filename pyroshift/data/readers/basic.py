"""NumPy's own format and everyday image files."""

from functools import partial
from pathlib import Path

import numpy as np

from pyroshift.data.readers.channels import (
    Channel,
    Format,
    grey,
    image_channel,
    index_axis,
)
from pyroshift.data.readers.guards import check_claim
from pyroshift.errors import ReaderError


def npy_header(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of a .npy file, refused if its values are Python objects."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.hasobject:
        raise ReaderError(
            f"{path.name} holds Python objects, not numbers. Reading them could run any code that "
            "the file contains, so it is not done: if you trust the file, take the array of "
            "numbers out of it with numpy.load(..., allow_pickle=True) and save that."
        )
    check_claim(path, (shape, dtype))
    return shape, dtype


def npy_values(path: Path) -> np.ndarray:
    """The array of a .npy file."""
    with path.open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def npy_mapped(path: Path) -> np.ndarray:
    """The array of a .npy file, read when it is used; changes stay in the memory."""
    if 0 in npy_header(path)[0]:
        return npy_values(path)
    return np.load(path, mmap_mode="c", allow_pickle=False)


def npy_channels(path: Path) -> list[Channel]:
    """The one image (y, x) or stack (frame, y, x) of a .npy file."""
    shape, _ = npy_header(path)
    return [image_channel("array", shape, partial(npy_values, path))]


def npy_spectra(path: Path) -> list[Channel]:
    """The one cube of a .npy file: its last axis is the spectral one."""
    shape, _ = npy_header(path)
    if len(shape) != 3:
        return npy_channels(path)
    axes = (index_axis(shape[0]), index_axis(shape[1]), index_axis(shape[2], "sample"))
    return [Channel("array", ("y", "x", "spectrum"), axes, partial(npy_mapped, path))]


def picture_values(path: Path) -> np.ndarray:
    """The grey levels of an everyday image file."""
    from PIL import Image

    with Image.open(path) as picture:
        coded = picture.mode in ("P", "PA", "CMYK", "YCbCr", "HSV", "LAB")
        values = np.asarray(picture.convert("RGB") if coded else picture)
    return values if values.ndim == 2 else grey(values)


def picture_channels(path: Path) -> list[Channel]:
    """The image of a PNG, JPEG or BMP file; their dots per inch are no pixel size."""
    from PIL import Image

    with Image.open(path) as picture:
        width, height = picture.size
    check_claim(path, ((height, width, 3), np.dtype(np.uint8)))
    return [image_channel("grey", (height, width), partial(picture_values, path))]


_JPEG = Format("JPEG", picture_channels)
NPY = Format("NPY", npy_channels)
FORMATS = {
    ".bmp": Format("BMP", picture_channels),
    ".jpeg": _JPEG,
    ".jpg": _JPEG,
    ".npy": NPY,
    ".png": Format("PNG", picture_channels),
}
SPECTRAL_FORMATS = {".npy": Format("NPY", npy_spectra)}

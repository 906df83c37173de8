"""Files to labelled arrays: which reader, which channel, and every failure told in plain words."""

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
from xarray import DataArray

from pyroshift.data.channels import channel_coords
from pyroshift.data.checks import CHANNEL
from pyroshift.data.readers.channels import Channel, Format, on_one_grid, same_units
from pyroshift.data.readers.guards import bounded
from pyroshift.errors import PyroshiftError, ReaderError

# Whatever modules there are beside this one, so that a new one is all that a new format takes.
_HERE = Path(__file__)
_READERS = [
    import_module(f"{__package__}.{found.name}")
    for found in iter_modules([str(_HERE.parent)])
    if found.name != _HERE.stem
]
FORMATS: dict[str, Format] = {}
_OTHERWISE: dict[str, Format] = {}
for _reader in _READERS:
    FORMATS |= getattr(_reader, "FORMATS", {})
    _OTHERWISE |= getattr(_reader, "SPECTRAL_FORMATS", {})
SPECTRAL_FORMATS = FORMATS | _OTHERWISE


def load_image(
    path: str | os.PathLike[str], channel: str | int | Sequence[str | int] | None = None
) -> DataArray:
    """The image or stack of images in a file, with its pixel size where the file has one.

    Reads TIFF, PNG, JPEG, BMP and NPY; with the extra `io` also DigitalMicrograph (.dm3, .dm4),
    EMD, TIA (.ser, .emi), HyperSpy (.hspy; .zspy needs the extra `big` too), HDF5 of the NSID and
    USID layouts (.h5, .hf5, .hdf5), Igor (.ibw), Gwyddion (.gwy) and Nanonis (.sxm). Nothing in a
    file is ever executed: pickled objects are refused.

    Colours become luminance, 0.299 R + 0.587 G + 0.114 B. A three-dimensional .npy is a stack
    (frame, y, x); `load_spectra` reads it as a cube of spectra instead.

    Args:
        path: The file (for .zspy the folder).
        channel: Which of several images, by name or by number from 0; those of a TIFF are its
            channels, or its pages where these differ. Several of one grid, such as
            ["Amplitude", "Phase"], for an image of channels. Default: the first image, except that
            of a TIFF's pages of different shape or type one must be chosen.

    Returns:
        Array of dims (y, x) or (frame, y, x), row 0 first, integers and floats as in the file.
        Of several channels, the dimension `channel` comes before y and x, with their names as its
        coordinate, and the units of their values as the coordinate `channel_units`.
        Coordinates `y` and `x` measure from the first pixel's centre in the file's unit of length
        (attribute `units`, for diffraction "1/nm" and the like), or count pixels ("px") where the
        file has no believable pixel size; a warning tells of a size that was not believed or in
        a unit that is not known. `frame` has the times of frames in the file's unit of time where
        the file has any, else it counts.
        Attributes: `source` (file name), `format`, `channel`, and `units` of the values if known.

    Raises:
        FileNotFoundError: There is no such file.
        ReaderError: The file is empty, damaged, of an unknown or another format, holds no real
            image, has no such channel, or its reader is not installed; several channels are not of
            one grid.

    Example:
        >>> import tempfile, pathlib, numpy as np
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name) / "lattice.npy"
        >>> np.save(path, np.ones((48, 64), dtype=np.float32))
        >>> image = load_image(path)
        >>> image.dims, image.shape, image.x.units
        (('y', 'x'), (48, 64), 'px')
        >>> folder.cleanup()
    """
    file, kind = find_format(path, FORMATS)
    several = isinstance(channel, Iterable) and not isinstance(channel, str)
    wanted: Any = channel if several else [channel]
    with reading(file, kind):
        known = kind.channels(file)
        chosen = [choose(known, each, file, kind, is_image) for each in wanted]
        check_images(chosen, file)
        chosen = on_one_grid(chosen, file)
        images = [labelled(each, each.read(), file, kind, "image") for each in chosen]
    tell(images[0][1], file)
    return stacked([image for image, _ in images]) if several else images[0][0]


def load_spectra(path: str | os.PathLike[str], channel: str | int | None = None) -> DataArray:
    """The cube of spectra in a file: one spectrum for every pixel of a grid.

    Reads .npy arrays of three axes, the last of them spectral, and spectrum images of NSID, USID,
    HyperSpy, DigitalMicrograph, TIA and EMD files, by an axis of energies or wavelengths wherever
    it stands. Cubes in one piece in .npy, NSID and USID files are only read where they are used.

    Args:
        path: The file (for .zspy the folder).
        channel: Which of several cubes, by name or by number from 0. Default: the first.

    Returns:
        Array of dims (y, x, spectral), the last named as in the file, "energy" if its unit is one
        of energy, or else "spectrum"; coordinates and attributes as `load_image` gives them, the
        spectral ones in the file's own unit.

    Raises:
        FileNotFoundError: There is no such file.
        ReaderError: As for `load_image`, or the file holds no cube of spectra.

    Example:
        >>> import tempfile, pathlib, numpy as np
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name) / "curves.npy"
        >>> np.save(path, np.zeros((8, 9, 100)))
        >>> dict(load_spectra(path).sizes)
        {'y': 8, 'x': 9, 'spectrum': 100}
        >>> folder.cleanup()
    """
    file, kind = find_format(path, SPECTRAL_FORMATS)
    with reading(file, kind):
        chosen = choose(kind.channels(file), channel, file, kind, is_cube)
        if not is_cube(chosen):
            raise ReaderError(
                f"{file.name}: {described(chosen)} is no cube of spectra (y, x, spectral). Use "
                "load_image for images; cut other arrays with Patches.from_array."
            )
        cube, remarks = labelled(chosen, chosen.read(), file, kind, "spectra")
    tell(remarks, file)
    return cube


def channel_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of the images in a file, in its order.

    Raises:
        FileNotFoundError: There is no such file.
        ReaderError: It can't be read, or its reader isn't installed.
    """
    file, kind = find_format(path, FORMATS)
    with reading(file, kind):
        return [channel.name for channel in kind.channels(file) if is_image(channel)]


def find_format(path: str | os.PathLike[str], formats: Mapping[str, Format]) -> tuple[Path, Format]:
    """The path, known to be there and not empty, and its format by the extension."""
    file = Path(path).expanduser()
    if not file.exists():
        raise FileNotFoundError(f"There is no file {str(path)!r} (seen from {Path.cwd()}).")
    kind = formats.get(file.suffix.lower())
    if file.is_dir() and file.suffix.lower() != ".zspy":
        raise ReaderError(f"{str(path)!r} is a folder: give the path of one file in it.")
    if kind is None:
        raise ReaderError(
            f"{file.name}: the extension {file.suffix!r} is not known. Known are "
            f"{', '.join(sorted(formats))}; convert the file, or pass an array instead."
        )
    if file.is_file() and file.stat().st_size == 0:
        raise ReaderError(f"{file.name} is empty (0 bytes): copy it again from its source.")
    return file, kind


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the readers' warnings, and their log records, which may quote megabytes."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@contextmanager
def reading(file: Path, kind: Format) -> Iterator[None]:
    """Turns whatever a third-party reader throws into a ReaderError that says what to do."""
    with quiet():
        try:
            with bounded(file):
                yield
        except PyroshiftError:
            raise
        except ImportError as error:
            raise ReaderError(
                f"Reading {file.name} ({kind.name}) needs a package that is not installed "
                f"({error}): pip install pyroshift[{kind.extra}]"
            ) from error
        except MemoryError as error:
            raise ReaderError(
                f"{file.name} needs more memory than there is, or is damaged and claims to: read "
                "it on a larger machine, or copy it again from its source."
            ) from error
        except Exception as error:
            if "imagecodecs" in str(error):
                raise ReaderError(
                    f"{file.name} is compressed in a way that needs one more package: "
                    "pip install imagecodecs"
                ) from error
            raise ReaderError(
                f"{file.name} can't be read as {kind.name}: the file is damaged, cut short or not "
                f"what its extension says ({type(error).__name__}: {str(error)[:200]}). "
                "Copy it again from its source, or export it anew."
            ) from error


def choose(
    channels: list[Channel],
    wanted: str | int | None,
    file: Path,
    kind: Format,
    suits: Callable[[Channel], bool],
) -> Channel:
    """The wanted channel; by default the first one that suits, or else the first."""
    if not channels:
        raise ReaderError(
            f"{file.name} holds no image or spectra that this {kind.name} reader knows."
        )
    listing = "; ".join(f"{number}: {described(item)}" for number, item in enumerate(channels))
    if wanted is None:
        if not all(item.unasked for item in channels):
            raise ReaderError(
                f"{file.name} has pages of different shape or type, which make no stack: choose "
                f"with channel=number among {listing}."
            )
        return next(filter(suits, channels), channels[0])
    names = [item.name for item in channels]
    numbers = [str(number) for number in range(len(channels))]
    for labels in (names, numbers):
        if str(wanted) in labels:
            return channels[labels.index(str(wanted))]
    raise ReaderError(f"{file.name} has no channel {wanted!r}. It has {listing}.")


def described(channel: Channel) -> str:
    """A channel in words: its name, dims and sizes."""
    sizes = ", ".join(
        f"{dim} {size}" for dim, size in zip(channel.dims, channel.shape, strict=True)
    )
    return f"{channel.name!r} ({sizes})"


def is_image(channel: Channel) -> bool:
    """Whether a channel is one image or a stack of images."""
    return channel.dims in (("y", "x"), ("frame", "y", "x"))


def is_cube(channel: Channel) -> bool:
    """Whether a channel has a spectrum at every pixel."""
    return len(channel.dims) == 3 and channel.dims[:2] == ("y", "x")


def check_images(channels: list[Channel], file: Path) -> None:
    """Raises what to do with no channels, with the same one twice, or with one that is no image."""
    names = [channel.name for channel in channels]
    if not channels or len(set(names)) < len(names):
        raise ReaderError(f"{file.name}: channel must name one or more, each once; got {names}.")
    for channel in channels:
        check_image(channel, file)


def check_image(channel: Channel, file: Path) -> None:
    """Raises what to do with a channel that is no image."""
    if is_cube(channel):
        raise ReaderError(
            f"{file.name}: {described(channel)} holds a spectrum at every pixel, not an image. "
            "Read it with load_spectra and pass that to Patches.from_array."
        )
    if not is_image(channel):
        raise ReaderError(
            f"{file.name}: {described(channel)} has {len(channel.dims)} dimension(s), but an image "
            "has 2 (y, x) and a stack 3 (frame, y, x). Save the part that you want as such an "
            "array, or pass windows and signals already cut to Patches.from_array."
        )


def labelled(
    channel: Channel, values: np.ndarray, file: Path, kind: Format, name: str
) -> tuple[DataArray, list[str]]:
    """The channel as a DataArray of plain numbers, and what is to be said of its pixel size."""
    if values.shape != channel.shape:
        raise ReaderError(
            f"{file.name} declares {channel.shape} values but holds {values.shape}: it is damaged."
        )
    axes = dict(zip(channel.dims, channel.axes, strict=True))
    axes["y"], axes["x"] = same_units(axes["y"], axes["x"])
    coordinates = {
        dim: (dim, axis.values, {"units": axis.units, "long_name": axis.label or dim})
        for dim, axis in axes.items()
    }
    attributes = {"source": file.name, "format": kind.name, "channel": channel.name}
    attributes |= {"units": channel.units} if channel.units else {}
    remarks = list(dict.fromkeys(axis.remark for axis in axes.values() if axis.remark))
    numbers = plain_numbers(values, file)
    return DataArray(numbers, coordinates, channel.dims, name, attributes), remarks


def stacked(images: list[DataArray]) -> DataArray:
    """Images of one grid along the dimension "channel", right before y and x."""
    first, names = images[0], [image.attrs["channel"] for image in images]
    units = [image.attrs.get("units", "") for image in images]
    values = np.stack([image.values for image in images], axis=-3)
    coordinates: dict[Any, Any] = {**first.coords, **channel_coords(names, units)}
    attributes = {**first.attrs, "channel": ", ".join(names)}
    if len(set(units)) > 1:
        attributes.pop("units", None)
    return DataArray(
        values, coordinates, (*first.dims[:-2], CHANNEL, "y", "x"), first.name, attributes
    )


def tell(remarks: list[str], file: Path) -> None:
    """Warns of a pixel size that a file gives and that was not taken."""
    if remarks:
        warnings.warn(
            f"{file.name} gives its pixel size {' and '.join(remarks)}: y and x count pixels. If "
            'you know the size, set it by image.assign_coords(x=("x", values, {"units": "nm"})), '
            "and y likewise.",
            stacklevel=3,
        )


def plain_numbers(values: np.ndarray, file: Path) -> np.ndarray:
    """Real numbers in the machine's byte order, of a type that torch and netCDF take."""
    if values.size == 0:
        raise ReaderError(f"{file.name} holds an array without a single value: {values.shape}.")
    if values.dtype.kind == "c":
        raise ReaderError(
            f"{file.name} holds complex numbers, but an image is real: take numpy.abs, .real or "
            ".imag of the array and pass that."
        )
    if values.dtype.kind not in "biuf":
        raise ReaderError(
            f"{file.name} holds values of type {values.dtype}, not plain numbers: save one field "
            "of them as an array of floats."
        )
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    # Writable, since torch warns of read-only buffers; of what is mapped a copy would read it all.
    mapped = isinstance(values, np.memmap)
    return np.require(values, values.dtype.newbyteorder("="), ["W"] if mapped else ["C", "W"])

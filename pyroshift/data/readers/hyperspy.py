"""HyperSpy's own files, and the electron microscopes' through rosettasciio."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from pyroshift.data.readers.channels import (
    Axis,
    Channel,
    Format,
    frame_axis,
    image_dims,
    index_axis,
    spatial_axis,
    unique_names,
)
from pyroshift.data.readers.guards import check_claim, check_heaps
from pyroshift.data.readers.units import ENERGIES, METRES, believable, text
from pyroshift.errors import ReaderError

NEXT_PIXEL = 65535  # in Velox's streams of events


def labelled_signal(
    name: str,
    shape: tuple[int, ...],
    axes: Sequence[Mapping[str, Any]],
    read: Callable[[], np.ndarray],
) -> Channel:
    """Our channel from HyperSpy's signal, whose axes may come in another order than ours."""
    order = our_order(axes)
    sizes, known = [shape[number] for number in order], [axes[number] for number in order]
    dims = signal_dims(known)
    labelled = tuple(
        labelled_axis(dim, size, axis) for dim, size, axis in zip(dims, sizes, known, strict=True)
    )
    return Channel(name, dims, labelled, partial(reordered, read, order))


def reordered(read: Callable[[], np.ndarray], order: tuple[int, ...]) -> np.ndarray:
    """Values with their dimensions in this order."""
    return read().transpose(order)


def is_energy(axis: Mapping[str, Any]) -> bool:
    """Whether an axis is one of energies or wavelengths, by its unit or its name."""
    name = text(axis.get("name")).lower()
    return text(axis.get("units")) in ENERGIES or name.startswith(("energy", "wavelength"))


def our_order(axes: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """The axes with energies last, as DigitalMicrograph has not, and x after y where so named."""
    energies = [number for number, axis in enumerate(axes) if is_energy(axis)]
    rest = [number for number in range(len(axes)) if number not in energies]
    if [text(axes[number].get("name")).lower() for number in rest[-2:]] == ["x", "y"]:
        rest[-2:] = rest[:-3:-1]
    return tuple(rest + energies)


def signal_dims(axes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Our dims for HyperSpy's axes: one signal axis is a spectrum, two are an image."""
    energies = bool(axes) and is_energy(axes[-1])
    signals = sum(not axis.get("navigate", False) for axis in axes)
    if energies or signals == 1:
        spectrum = "energy" if energies else "spectrum"
        spectra = {1: (spectrum,), 2: ("y", spectrum), 3: ("y", "x", spectrum)}
        return spectra.get(len(axes), image_dims(len(axes)))
    return image_dims(len(axes))


def labelled_axis(dim: str, size: int, axis: Mapping[str, Any]) -> Axis:
    """One of our axes from one of HyperSpy's; space starts at the first pixel, spectra don't."""
    scale, units = float(axis.get("scale", 0.0)), axis.get("units")
    if dim in ("y", "x"):
        return spatial_axis(size, scale, units)
    values = float(axis.get("offset", 0.0)) + np.arange(size) * scale
    if dim in ("spectrum", "energy") and "scale" in axis:
        return Axis(values, text(units) or "sample", text(axis.get("name")))
    return frame_axis(values, units) if dim == "frame" else index_axis(size, "sample")


def rosettasciio_channels(
    path: Path,
    module: str,
    axes_of: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]] = itemgetter("axes"),
    **options: Any,
) -> list[Channel]:
    """The signals that one of rosettasciio's readers finds in a file."""
    reader = import_module(f"rsciio.{module}")
    signals = reader.file_reader(str(path), lazy=False, **options)
    check_claim(path, *((signal["data"].shape, signal["data"].dtype) for signal in signals))
    titles = [text(signal["metadata"].get("General", {}).get("title")) for signal in signals]
    names = unique_names(titles if len(titles) > 1 else ["signal"])
    return [
        labelled_signal(
            name, signal["data"].shape, axes_of(signal), partial(np.asarray, signal["data"])
        )
        for name, signal in zip(names, signals, strict=True)
    ]


def dm_axes(signal: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """DigitalMicrograph's axes; the first is of energies where it says that it is spectra."""
    axes = list(signal["axes"])
    tags = signal["original_metadata"]["ImageList"]["TagGroup0"].get("ImageTags", {})
    declared = tags.get("Meta Data", {}).get("Format") == "Spectrum image"
    if declared and len(axes) == 3 and not any(map(is_energy, axes)):
        axes[0] = {**axes[0], "name": "energy"}
    return axes


def tia_axes(signal: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """TIA's axes, those of diffraction patterns in cycles per length.

    Its files have a pixel in metres or in cycles per metre without saying which: what would be
    more metres than a microscope sees are cycles.
    """
    return [
        {**axis, "units": "1/nm", "scale": axis["scale"] * METRES["nm"] ** 2}
        if text(axis["units"]) == "nm" and not believable(axis["scale"], "nm")
        else axis
        for axis in signal["axes"]
    ]


def emd_channels(path: Path, select_type: str) -> list[Channel]:
    """The signals of a Berkeley file, or of a Velox one those of the kind asked for."""
    check_heaps(path)
    if select_type == "spectrum_image":
        check_streams(path)
    options: dict[str, Any] = {
        "select_type": select_type,
        "load_SI_image_stack": select_type == "images",
    }
    return rosettasciio_channels(path, "emd", **options)


def check_streams(path: Path) -> None:
    """Raises a ReaderError where compiled code would write beyond the end of Velox's spectra."""
    import h5py

    with h5py.File(path, "r") as file:
        for stream in file.get("Data/SpectrumStream", {}).values():
            channels = int(json.loads(stream["AcquisitionSettings"][0])["bincount"])
            check_claim(path, (stream["Data"].shape, stream["Data"].dtype))
            events = stream["Data"][()]
            highest = events[events != NEXT_PIXEL].max(initial=0)
            if highest >= channels:
                raise ReaderError(
                    f"{path.name} is damaged: it has counts in channel {highest} of {channels}."
                )


def experiments(root: Any, path: Path, values: Callable[[Path, str], np.ndarray]) -> list[Channel]:
    """The signals of HyperSpy's layout, the same in HDF5 and zarr: Experiments/title/data."""
    channels = []
    for title in root["Experiments"]:
        group = root["Experiments"][title]
        data = group["data"]
        check_claim(path, (data.shape, data.dtype))
        axes = [
            dict(group[f"axis-{number}"].attrs) if f"axis-{number}" in group else {}
            for number in range(len(data.shape))
        ]
        read = partial(values, path, f"Experiments/{title}/data")
        channels.append(labelled_signal(title, tuple(data.shape), axes, read))
    return channels


def unpickles(description: object) -> bool:
    """Whether the JSON that describes a zarr array names the codec that runs code."""
    if isinstance(description, dict):
        named = "pickle" in (description.get("id"), description.get("name"))
        return named or any(unpickles(value) for value in description.values())
    return isinstance(description, list) and any(unpickles(value) for value in description)


def zarr_values(path: Path, name: str) -> np.ndarray:
    """The values of one array in a folder of zarr's."""
    import zarr

    return np.asarray(zarr.open_array(str(path), path=name, mode="r")[...])


def zspy_channels(path: Path) -> list[Channel]:
    """The signals in a .zspy folder; zarr is asked only once no array would be unpickled."""
    import zarr

    if path.is_file():
        raise ReaderError(f"{path.name} is a zip archive: unpack it to a folder and pass that.")
    for name in (".zarray", ".zmetadata", "zarr.json"):
        for file in path.rglob(name):
            if unpickles(json.loads(file.read_text())):
                raise ReaderError(
                    f"{path.name} holds pickled Python objects, which could run any code when "
                    "they are read: save the image again as numbers."
                )
    return experiments(zarr.open_group(str(path), mode="r"), path, zarr_values)


_DM = Format(
    "DigitalMicrograph",
    partial(rosettasciio_channels, module="digitalmicrograph", axes_of=dm_axes),
)
_TIA = Format("TIA", partial(rosettasciio_channels, module="tia", axes_of=tia_axes))
FORMATS = {
    ".dm3": _DM,
    ".dm4": _DM,
    ".emd": Format("EMD", partial(emd_channels, select_type="images")),
    ".emi": _TIA,
    ".ser": _TIA,
    ".zspy": Format("ZSPY", zspy_channels, extra="io,big"),
}
SPECTRAL_FORMATS = {".emd": Format("EMD", partial(emd_channels, select_type="spectrum_image"))}

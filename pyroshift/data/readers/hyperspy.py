"""HyperSpy's own files, and the electron microscopes' through rosettasciio."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pyroshift.data.readers.channels import (
    Axis,
    Channel,
    image_dims,
    index_axis,
    spatial_axis,
    text,
    unique_names,
)
from pyroshift.errors import ReaderError


def labelled_axes(
    shape: tuple[int, ...], axes: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, ...], tuple[Axis, ...]]:
    """Our dims and axes from HyperSpy's: one signal axis is a spectrum, two are an image."""
    signals = sum(not axis.get("navigate", False) for axis in axes)
    spectra = {2: ("y", "spectrum"), 3: ("y", "x", "spectrum")} if signals == 1 else {}
    dims = spectra.get(len(shape), image_dims(len(shape)))
    return dims, tuple(
        labelled_axis(dim, size, axis) for dim, size, axis in zip(dims, shape, axes, strict=True)
    )


def labelled_axis(dim: str, size: int, axis: Mapping[str, Any]) -> Axis:
    """One of our axes from one of HyperSpy's; space starts at the first pixel, spectra don't."""
    if dim in ("y", "x"):
        return spatial_axis(size, float(axis.get("scale", 0.0)), axis.get("units"))
    if dim == "spectrum" and "scale" in axis:
        values = float(axis.get("offset", 0.0)) + np.arange(size) * float(axis["scale"])
        return Axis(values, text(axis.get("units")) or "sample", text(axis.get("name")))
    return index_axis(size, "frame" if dim == "frame" else "sample")


def rosettasciio_channels(path: Path, module: str, **options: Any) -> list[Channel]:
    """The signals that one of rosettasciio's readers finds in a file."""
    reader = import_module(f"rsciio.{module}")
    signals = reader.file_reader(str(path), lazy=False, **options)
    titles = [text(signal["metadata"].get("General", {}).get("title")) for signal in signals]
    names = unique_names(titles if len(titles) > 1 else ["signal"])
    return [
        Channel(
            name,
            *labelled_axes(signal["data"].shape, signal["axes"]),
            read=partial(np.asarray, signal["data"]),
        )
        for name, signal in zip(names, signals, strict=True)
    ]


def experiments(root: Any, open_again: Callable[[str], np.ndarray]) -> list[Channel]:
    """The signals of HyperSpy's layout, the same in HDF5 and zarr: Experiments/title/data."""
    channels = []
    for title in root["Experiments"]:
        group = root["Experiments"][title]
        data = group["data"]
        axes = [
            dict(group[f"axis-{number}"].attrs) if f"axis-{number}" in group else {}
            for number in range(len(data.shape))
        ]
        dims, labelled = labelled_axes(tuple(data.shape), axes)
        read = partial(open_again, f"Experiments/{title}/data")
        channels.append(Channel(title, dims, labelled, read))
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
    return experiments(zarr.open_group(str(path), mode="r"), partial(zarr_values, path))

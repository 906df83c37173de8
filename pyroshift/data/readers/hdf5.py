"""HDF5: HyperSpy's layout, NSID and USID of the pycroscopy family, and plain datasets."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyroshift.data.readers.channels import (
    Axis,
    Channel,
    Format,
    frame_axis,
    image_channel,
    image_dims,
    index_axis,
    spatial_axis,
    unique_names,
)
from pyroshift.data.readers.guards import check_claim, check_heaps
from pyroshift.data.readers.hyperspy import experiments
from pyroshift.data.readers.units import text

if TYPE_CHECKING:
    import h5py

SPATIAL = ("SPATIAL", "RECIPROCAL")


def dataset_values(path: Path, name: str) -> np.ndarray:
    """The values of one dataset."""
    import h5py

    with h5py.File(path, "r") as file:
        return file[name][()]


def mapped(path: Path, item: "h5py.Dataset") -> np.ndarray | None:
    """A dataset's values where they lie in the file, read when used; changes stay in memory.

    None where they aren't in one piece there, as of chunks or of another file.
    """
    start = item.id.get_offset()
    if start is None or not item.size:
        return None
    return np.memmap(path, item.dtype, "c", start, item.shape)


def mapped_values(path: Path, name: str) -> np.ndarray:
    """The values of one dataset, read when they are used, if they are in one piece in the file."""
    import h5py

    with h5py.File(path, "r") as file:
        values = mapped(path, file[name])
        return file[name][()] if values is None else values


def hdf5_channels(path: Path) -> list[Channel]:
    """The main datasets of an HDF5 file, told by its layout; any 2D or 3D one if it has none."""
    import h5py

    found: list[h5py.Dataset] = []

    def collect(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biufc" and item.ndim > 1:
            check_claim(path, (item.shape, item.dtype))
            found.append(item)

    check_heaps(path)
    with h5py.File(path, "r") as file:
        file.visititems(collect)
        if "Experiments" in file:
            return experiments(file, path, dataset_values)
        names = dataset_names(found)
        usid = [usid_channel(path, name, item) for name, item in names if is_usid(item)]
        nsid = [nsid_channel(path, name, item) for name, item in names if is_nsid(item)]
        return usid + nsid or [
            image_channel(name, item.shape, partial(dataset_values, path, item.name))
            for name, item in names
        ]


def is_nsid(item: "h5py.Dataset") -> bool:
    """Whether a dataset is a main one of the NSID layout."""
    return "data_type" in item.attrs or "DIMENSION_LABELS" in item.attrs


def is_usid(item: "h5py.Dataset") -> bool:
    """Whether a dataset is a main one of the USID layout: positions by spectroscopic values."""
    return "Position_Indices" in item.attrs and "Spectroscopic_Indices" in item.attrs


def dataset_names(items: list["h5py.Dataset"]) -> list[tuple[str, "h5py.Dataset"]]:
    """Each dataset with the shortest name that tells it from the others of its kind."""
    main = [item for item in items if is_usid(item) or is_nsid(item)] or items
    quantities = [text(item.attrs.get("quantity")) for item in main]
    leaves = [item.name.rsplit("/", 1)[-1] for item in main]
    paths = [item.name.lstrip("/") for item in main]
    return list(zip(unique_names(quantities, leaves, paths), main, strict=True))


def nsid_axis(item: "h5py.Dataset", number: int) -> tuple[str, str, Axis]:
    """The label, the kind and the axis of one dimension of an NSID dataset."""
    dimension, size = item.dims[number], item.shape[number]
    # Not dimension.label: libhdf5 crashes where damage has left a label without its text.
    labels = np.atleast_1d(item.attrs.get("DIMENSION_LABELS", []))
    label = text(labels[number]) if number < len(labels) else ""
    scale: Any = dimension[0] if len(dimension) else item.parent.get(label) if label else None
    if scale is None or scale.shape != (size,):
        return label, "", index_axis(size)
    values = np.asarray(scale[()], dtype=float)
    units = text(scale.attrs.get("units"))
    kind = text(scale.attrs.get("dimension_type")).upper()
    return label, kind, Axis(values, units, text(scale.attrs.get("quantity")) or label)


def nsid_channel(path: Path, name: str, item: "h5py.Dataset") -> Channel:
    """The channel of an NSID dataset, whose dimensions come in any order, with scales beside it."""
    labels, kinds, axes = zip(
        *(nsid_axis(item, number) for number in range(item.ndim)), strict=True
    )
    spatial = [number for number, kind in enumerate(kinds) if kind in SPATIAL]
    if len(spatial) != 2:
        spatial = [number for number in range(item.ndim) if labels[number].lower() in ("x", "y")]
    if len(spatial) != 2:
        spatial = list(range(item.ndim))[-2:]
    if labels[spatial[0]].lower() == "x" or labels[spatial[1]].lower() == "y":
        spatial.reverse()
    y, x = (spatial_axis(item.shape[n], axes[n].step, axes[n].units) for n in spatial)
    others = [number for number in range(item.ndim) if number not in spatial]
    read = partial(transposed, path, item.name, tuple(others + spatial))
    units = text(item.attrs.get("units"))
    if len(others) != 1:
        other_axes = [index_axis(item.shape[number]) for number in others]
        return Channel(name, image_dims(item.ndim), (*other_axes, y, x), read, units)
    other = others[0]
    stack = text(item.attrs.get("data_type")) == "IMAGE_STACK"
    if stack or kinds[other] in ("TEMPORAL", "FRAME", *SPATIAL):
        frames = frame_axis(axes[other].values, axes[other].units)
        return Channel(name, ("frame", "y", "x"), (frames, y, x), read, units)
    read = partial(transposed, path, item.name, (*spatial, other), mapped_values)
    return Channel(name, ("y", "x", spectral_dim(labels[other])), (y, x, axes[other]), read, units)


def transposed(
    path: Path,
    name: str,
    order: tuple[int, ...],
    values: Callable[[Path, str], np.ndarray] = dataset_values,
) -> np.ndarray:
    """The values of a dataset, its dimensions in this order."""
    return values(path, name).transpose(order)


def spectral_dim(label: str) -> str:
    """A dimension name that netCDF takes from a label, which may be LaTeX."""
    name = re.sub(r"\W+", "_", label).strip("_")
    return name if name and name not in ("x", "y", "frame") else "spectrum"


def usid_channel(path: Path, name: str, item: "h5py.Dataset") -> Channel:
    """The channel of a USID dataset, which flattens the positions, and the spectra, to one axis."""
    file = item.file
    indices, positions = (file[item.attrs[f"Position_{kind}"]] for kind in ("Indices", "Values"))
    columns = np.asarray(indices[()])
    sizes = [len(np.unique(column)) for column in columns.T]
    # The dimension that changes most often from one position to the next is the fastest.
    changes = [int(np.count_nonzero(np.diff(column))) for column in columns.T]
    order = [int(number) for number in np.argsort(changes, kind="stable")]
    units = [text(unit) for unit in np.atleast_1d(indices.attrs.get("units", [""] * len(sizes)))]
    values = np.asarray(positions[()], dtype=float)
    axes = [spatial_axis(sizes[n], mean_step(values[:, n]), units[n]) for n in order]
    shape = tuple(sizes[number] for number in order)
    dims, spectra = image_dims(len(shape)), item.shape[1]
    if spectra > 1:
        shape, axes = (*shape, spectra), [*axes, usid_spectral_axis(file, item)]
        dims = ("y", "x", "spectrum") if len(shape) == 3 else image_dims(len(shape))
    cube = dims[-1:] == ("spectrum",)
    read = partial(reshaped, path, item.name, shape, mapped_values if cube else dataset_values)
    return Channel(name, dims, tuple(axes), read, text(item.attrs.get("units")))


def usid_spectral_axis(file: "h5py.File", item: "h5py.Dataset") -> Axis:
    """The spectral axis: its values if it has one dimension, else a count."""
    spectroscopic = file[item.attrs["Spectroscopic_Values"]]
    if spectroscopic.shape[0] != 1:
        return index_axis(item.shape[1], "sample")
    labels, units = (
        text(np.atleast_1d(spectroscopic.attrs.get(key, ""))[0]) for key in ("labels", "units")
    )
    return Axis(np.asarray(spectroscopic[0], dtype=float), units or "sample", labels)


def mean_step(values: np.ndarray) -> float:
    """Mean distance between the distinct values of a flattened axis."""
    return Axis(np.unique(values)).step


def reshaped(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    values: Callable[[Path, str], np.ndarray] = dataset_values,
) -> np.ndarray:
    """The values of a dataset in another shape."""
    return values(path, name).reshape(shape)


_HDF5 = Format("HDF5", hdf5_channels)
FORMATS = dict.fromkeys((".h5", ".hdf5", ".hf5", ".hspy"), _HDF5)

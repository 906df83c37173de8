"""Scans with a diffraction pattern at every position, four axes, read when they are needed.

What is read here are `Channel`s whose values are a memory map or an array of Dask's.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyroshift.data.readers.basic import npy_header, npy_mapped
from pyroshift.data.readers.channels import Axis, Channel, Format, index_axis, unique_names
from pyroshift.data.readers.guards import check_claim, check_heaps
from pyroshift.data.readers.hdf5 import dataset_names, is_nsid, mapped, nsid_axis
from pyroshift.data.readers.hyperspy import dm_axes, zspy_channels
from pyroshift.data.readers.units import angle_unit, length_unit, says_nothing, text

if TYPE_CHECKING:
    import h5py

SCAN, DETECTOR = ("y", "x"), ("ky", "kx")
DIMS = (*SCAN, *DETECTOR)


def scan_channel(
    name: str, shape: tuple[int, ...], axes: Sequence[Mapping[str, Any]], read: Any, units: str = ""
) -> Channel:
    """The channel of a scan whose axes are told as HyperSpy does, the scan's before the detector's.

    Args:
        name: of the channel.
        shape: of its values.
        axes: name, scale, offset, units and whether to navigate, of each.
        read: gives the values.
        units: of the values.
    """
    if len(shape) != len(DIMS) or len(axes) != len(DIMS):
        dims = tuple(f"dim_{number}" for number in range(len(shape)))
        return Channel(name, dims, tuple(map(index_axis, shape)), read, units)
    order = _order(axes)
    known = [measured(shape[number], axes[number]) for number in order]
    return Channel(name, DIMS, tuple(known), partial(_transposed, read, order), units)


def measured(size: int, axis: Mapping[str, Any]) -> Axis:
    """One of our axes, of lengths, inverse lengths or angles; pixels where it is of none."""
    unit = length_unit(axis.get("units")) or angle_unit(axis.get("units"))
    scale = float(axis.get("scale", 0.0))
    if unit is None or not (np.isfinite(scale) and scale):
        silent = says_nothing(axis.get("units"))
        told = f"in {text(axis.get('units'))!r}, which is no unit of length or angle"
        return index_axis(size, remark="" if silent or unit else told)
    return Axis(float(axis.get("offset", 0.0)) + scale * np.arange(size), unit)


def _order(axes: Sequence[Mapping[str, Any]]) -> list[int]:
    """The scan's axes first where two are said to navigate, and x after y where so named."""
    navigate = [number for number, axis in enumerate(axes) if axis.get("navigate", False)]
    scan = navigate if len(navigate) == 2 else [0, 1]
    pairs = [scan, [number for number in range(4) if number not in scan]]
    for pair in pairs:
        names = [text(axes[number].get("name")).lower()[-1:] for number in pair]
        if names == ["x", "y"]:
            pair.reverse()
    return pairs[0] + pairs[1]


def _transposed(read: Any, order: Sequence[int]) -> Any:
    return read().transpose(order)


def npy_scan(path: Path) -> list[Channel]:
    """The one scan of a .npy file."""
    shape, _ = npy_header(path)
    return [scan_channel("array", shape, [{}] * len(shape), partial(npy_mapped, path))]


def hdf5_scans(path: Path) -> list[Channel]:
    """The arrays of four axes in an HDF5 file of HyperSpy's or the NSID layout, or plain ones."""
    import h5py

    found: list[h5py.Dataset] = []

    def collect(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biufc" and item.ndim == 4:
            check_claim(path, (item.shape, item.dtype))
            found.append(item)

    check_heaps(path)
    with h5py.File(path, "r") as file:
        file.visititems(collect)
        return [
            scan_channel(name, item.shape, _hdf5_axes(item), partial(_hdf5_values, path, item.name),
                         text(item.attrs.get("units")))
            for name, item in dataset_names(found)
        ]  # fmt: skip


def _hdf5_axes(item: "h5py.Dataset") -> list[Mapping[str, Any]]:
    """What is told of a dataset's axes."""
    groups = [f"axis-{number}" for number in range(item.ndim)]
    if all(name in item.parent for name in groups):
        return [dict(item.parent[name].attrs) for name in groups]
    if not is_nsid(item):
        return [{}] * item.ndim
    known = [nsid_axis(item, number) for number in range(item.ndim)]
    signal = ("RECIPROCAL", "SPECTRAL")
    return [
        {"name": label, "scale": axis.step, "offset": axis.values[0], "units": axis.units,
         "navigate": bool(kind) and kind not in signal}
        for label, kind, axis in known
    ]  # fmt: skip


def _hdf5_values(path: Path, name: str) -> Any:
    """A dataset's values: where they lie in the file, or through Dask."""
    import h5py

    with h5py.File(path, "r") as file:
        values = mapped(path, file[name])
    if values is not None:
        return values
    import dask.array

    # Its file stays open for as long as the array is there.
    return dask.array.from_array(h5py.File(path, "r")[name])


def zspy_scans(path: Path) -> list[Channel]:
    """The arrays of four axes in a .zspy folder."""
    import dask.array
    import zarr

    zspy_channels(path)  # refuses what would be unpickled
    signals: Any = zarr.open_group(str(path), mode="r")["Experiments"]
    channels = []
    for title in signals:
        group: Any = signals[title]
        array = group["data"]
        names = [f"axis-{number}" for number in range(array.ndim)]
        axes = [dict(group[name].attrs) if name in group else {} for name in names]
        read = partial(dask.array.from_array, array, name=False)
        channels.append(scan_channel(title, tuple(array.shape), axes, read))
    return channels


def rosettasciio_scans(path: Path, module: str, axes_of: Any = None) -> list[Channel]:
    """The signals that one of rosettasciio's readers finds in a file, through Dask."""
    reader = import_module(f"rsciio.{module}")
    signals = reader.file_reader(str(path), lazy=True)
    check_claim(path, *((signal["data"].shape, signal["data"].dtype) for signal in signals))
    titles = [text(signal["metadata"].get("General", {}).get("title")) for signal in signals]
    names = unique_names(titles if len(titles) > 1 else ["signal"])
    return [
        scan_channel(
            name,
            signal["data"].shape,
            axes_of(signal) if axes_of else signal["axes"],
            partial(_itself, signal["data"]),
        )
        for name, signal in zip(names, signals, strict=True)
    ]


def _itself(values: Any) -> Any:
    return values


def _by_rosettasciio(name: str, module: str, axes_of: Any = None) -> Format:
    read = partial(rosettasciio_scans, module=module, axes_of=axes_of)
    return Format(name, read, extra="io,big")


_DM = _by_rosettasciio("DigitalMicrograph", "digitalmicrograph", dm_axes)
_HDF5 = Format("HDF5", hdf5_scans, extra="big")
PATTERN_FORMATS = {
    ".npy": Format("NPY", npy_scan),
    **dict.fromkeys((".h5", ".hdf5", ".hf5", ".hspy"), _HDF5),
    ".zspy": Format("ZSPY", zspy_scans, extra="io,big"),
    ".dm3": _DM,
    ".dm4": _DM,
    ".emd": _by_rosettasciio("EMD", "emd"),
    ".mib": _by_rosettasciio("Merlin", "quantumdetector"),
    ".blo": _by_rosettasciio("NanoMEGAS", "blockfile"),
    ".tvips": _by_rosettasciio("TVIPS", "tvips"),
    ".mrc": _by_rosettasciio("MRC", "mrc"),
}

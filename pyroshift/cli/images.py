"""Images that are only read as far as needed, where their files allow it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from xarray import DataArray

from pyroshift.data.checks import CHANNEL
from pyroshift.data.readers.basic import NPY
from pyroshift.data.readers.channels import image_dims
from pyroshift.data.readers.load import find_format, load_image, reading
from pyroshift.errors import ReaderError


def open_image(path: str, channel: str | Sequence[str] | None = None) -> DataArray:
    """An image or a stack of images: a .npy or .zarr file read when needed, others all at once.

    Args:
        path: a Zarr array, or a Zarr group with `channel`; or any file that `load_image` reads.
        channel: which of several images, by name or, but for a Zarr group, by number; several for
            an image of channels.

    Returns:
        Values over (y, x) or (frame, y, x), with "channel" before y of several, as `load_image`
        gives them.

    Raises:
        FileNotFoundError: if there is no such file.
        ReaderError: if it can't be read, holds no such image, or its reader isn't installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "lattice.npy"
        ...     np.save(path, np.ones((48, 64)))
        ...     open_image(str(path)).sizes
        Frozen({'y': 48, 'x': 64})
    """
    file = Path(path).expanduser()
    if file.suffix.lower() == ".zarr" and file.exists():
        if channel is None or isinstance(channel, str):
            return _open_zarr(file, channel)
        return _side_by_side({name: _open_zarr(file, name) for name in channel}, file)
    if file.suffix.lower() != ".npy" or channel is not None:
        return load_image(path, channel)
    file, kind = find_format(path, {".npy": NPY})
    with reading(file, kind):
        values = np.load(file, mmap_mode="r", allow_pickle=False)
    attributes = {"source": file.name, "format": kind.name, "channel": "array"}
    return DataArray(values, dims=image_dims(values.ndim), attrs=attributes)


def _side_by_side(images: Mapping[str, DataArray], file: Path) -> DataArray:
    """Images of one shape as channels, not read yet."""
    shapes = {name: image.shape for name, image in images.items()}
    if len(set(shapes.values())) > 1:
        raise ReaderError(f"{file}: the channels are of different shapes, {shapes}")
    coords = {CHANNEL: np.array(list(images), dtype=object)}
    stack = xr.concat(
        list(images.values()), CHANNEL, join="override", combine_attrs="drop_conflicts"
    )
    return stack.assign_coords(coords).transpose(..., CHANNEL, "y", "x")


def _open_zarr(file: Path, channel: str | None) -> DataArray:
    """An array of a Zarr store, through Dask."""
    try:
        import dask.array
        import zarr

        array = zarr.open_array(file, path=channel or "", mode="r")
    except ImportError as error:
        raise ReaderError(
            f"reading {file} needs {error.name}: pip install pyroshift[big]"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise ReaderError(
            f"{file} holds no Zarr array {channel or 'at its top'}: name one inside by --channel"
        ) from error
    attributes = {"source": file.name, "format": "Zarr", "channel": channel or "array"}
    values = dask.array.from_array(array, name=False)
    return DataArray(values, dims=image_dims(values.ndim), attrs=attributes)

"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xarray import Dataset


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` once all is written; an old file stays until then.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with written(Path(folder) / "new" / "note.txt") as path:
        ...         _ = path.write_text("whole")
        ...     (Path(folder) / "new" / "note.txt").read_text()
        'whole'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(
        f"{path.stem}.part{path.suffix}"
    )  # the ending says which format to write
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_dataset(path: Path, dataset: "Dataset") -> None:
    """Write a Dataset as netCDF.

    By way of memory: where a file can't grow, for want of space, HDF5 takes the whole process down.

    Args:
        path: the file to write.
        dataset: what to write.

    Raises:
        OSError: if there is no space; an old file is then as it was.

    Example:
        >>> import tempfile
        >>> from xarray import Dataset, load_dataset
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_dataset(Path(folder) / "maps.nc", Dataset({"elbo": ("patch", [1.0, 2.0])}))
        ...     load_dataset(Path(folder) / "maps.nc").elbo.values
        array([1., 2.])
    """
    content = dataset.to_netcdf(engine="h5netcdf")
    with written(path) as partial:
        partial.write_bytes(content)

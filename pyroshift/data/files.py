"""Files that are written whole or not at all."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from xarray import Dataset

_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` once all is written; an old file stays until then.

    Raises:
        OSError: if it can't be written.

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
        with naming(path, "an older file is as it was"):
            yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, then: str) -> Iterator[None]:
    """What was to be written, and how that stands, in errors of a full disk, which name no file.

    Args:
        path: what is written.
        then: how things are after an error, in words.

    Raises:
        OSError: as it came, with that.

    Example:
        >>> with naming(Path("maps.nc"), "nothing is lost"):
        ...     raise OSError(28, "No space left on device")
        Traceback (most recent call last):
            ...
        OSError: [Errno 28] No space left on device: maps.nc can't be written; nothing is lost
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        text = f"{os.strerror(error.errno)}: {path} can't be written; {then}"
        raise OSError(error.errno, text) from error


def write_figures(folder: Path, figures: Mapping[str, "Figure"]) -> None:
    """Write pictures into a folder, by the names of their files.

    Args:
        folder: where to.
        figures: the pictures, by names whose endings say the format.

    Raises:
        OSError: if one can't be written; an older one is then as it was.

    Example:
        >>> import tempfile
        >>> from matplotlib.figure import Figure
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_figures(Path(folder), {"empty.png": Figure()})
        ...     [each.name for each in Path(folder).iterdir()]
        ['empty.png']
    """
    for name, figure in figures.items():
        with written(folder / name) as path:
            figure.savefig(path)


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

"""Positions of windows from a file."""

import csv
from pathlib import Path

import numpy as np
import xarray as xr

from pyroshift.data.atoms import check_atoms
from pyroshift.errors import ReaderError


def read_positions(path: Path) -> np.ndarray | xr.Dataset:
    r"""Positions in pixels, y, x, or frame, y, x; or labelled atoms.

    Args:
        path: a .npy file, or text with one position per line, its columns separated by commas. A
            line of names may come first, and then tells which columns are y, x and frame. Or a
            netCDF file of atoms.

    Returns:
        `position x 2` or `position x 3`; or the Dataset of atoms.

    Raises:
        FileNotFoundError: if there is no such file.
        ReaderError: if it holds something else.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "atoms.csv"
        ...     _ = path.write_text("x,y\n10,20\n11,21\n")
        ...     read_positions(path).tolist()
        [[20.0, 10.0], [21.0, 11.0]]
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of positions {path}")
    if path.suffix.lower() == ".nc":
        return _read_atoms(path)
    try:
        if path.suffix.lower() == ".npy":
            positions = np.load(path, allow_pickle=False).astype(float)
        else:
            positions = _read_csv(path)
    except (ValueError, UnicodeDecodeError, csv.Error) as error:
        raise ReaderError(
            f"{path} can't be read as positions: expected a .npy file, or lines such as 12.5,48.0 "
            f"with y and x in pixels ({error})"
        ) from error
    if positions.ndim != 2 or positions.shape[1] not in (2, 3) or not len(positions):
        raise ReaderError(
            f"{path} holds an array of shape {positions.shape}: expected one row per position, "
            "with the columns y, x or frame, y, x"
        )
    return positions


def _read_atoms(path: Path) -> xr.Dataset:
    """A Dataset of atoms, from `pyroshift atoms` or from `encode`."""
    try:
        atoms = xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        raise ReaderError(f"{path} can't be read as netCDF ({error})") from error
    check_atoms(atoms)
    return atoms


def _read_csv(path: Path) -> np.ndarray:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    names = [cell.strip().lower() for cell in rows[0]] if rows else []
    if not any(name.isidentifier() for name in names):
        return np.array([[float(cell) for cell in row] for row in rows])
    if not {"y", "x"} <= set(names):
        raise ValueError(f"its first line names the columns {names}, but not y and x")
    columns = [names.index(name) for name in ("frame", "y", "x") if name in names]
    return np.array([[float(row[column]) for column in columns] for row in rows[1:]])

"""Real images that come with a package on the registry: STM of Si(111) from SPIEPy.

The package names no units. Its heights are taken as metres, in which the atoms and the step measure
tenths of a nanometre, as they must.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from xarray import DataArray

from pyroshift.errors import ReaderError


def silicon_step() -> DataArray:
    """STM image of Si(111)-7x7 with atoms resolved on two terraces and the step between them.

    The raw image is tilted by more than the step is high: see `pyroshift.data.readers.level`.

    Returns:
        Heights in metres, 512 x 512 (y, x), float64; `y` and `x` count pixels, as the package
        gives no pixel size.

    Raises:
        ReaderError: SPIEPy is not installed, or its file is damaged.

    Example:
        >>> silicon_step().shape  # doctest: +SKIP
        (512, 512)
    """
    return _silicon("image_with_step_edge_and_atoms.dat", "Si(111)-7x7 with a step edge")


def silicon_defects() -> DataArray:
    """STM image of Si(111)-7x7 with missing atoms and a bright contamination.

    The raw image is tilted: see `pyroshift.data.readers.level`.

    Returns:
        Heights in metres, 256 x 256 (y, x), float64; `y` and `x` count pixels, as the package
        gives no pixel size.

    Raises:
        ReaderError: SPIEPy is not installed, or its file is damaged.

    Example:
        >>> silicon_defects().shape  # doctest: +SKIP
        (256, 256)
    """
    return _silicon("image_with_defects.dat", "Si(111)-7x7 with defects")


def _silicon(name: str, title: str) -> DataArray:
    """One of SPIEPy's images: two uint32 for rows and columns, then float64 row by row."""
    path = _spiepy_folder() / "demo" / name
    try:
        content = path.read_bytes()
        rows, columns = (int(size) for size in np.frombuffer(content[:8], "<u4"))
        heights = np.frombuffer(content[8:], "<f8").astype(np.float64).reshape(rows, columns)
    except (OSError, ValueError) as error:
        raise ReaderError(
            f"SPIEPy's file {name} is missing or damaged: pip install --force-reinstall SPIEPy"
        ) from error
    coordinates = {
        dim: (dim, np.arange(size), {"units": "px", "long_name": dim})
        for dim, size in (("y", rows), ("x", columns))
    }
    attributes = {"source": f"SPIEPy {name}", "units": "m", "long_name": "height", "title": title}
    return DataArray(heights, coordinates, ("y", "x"), "height", attributes)


def _spiepy_folder() -> Path:
    """Where SPIEPy is installed, found without importing it since its import warns."""
    found = find_spec("spiepy")
    if found is None or not found.submodule_search_locations:
        raise ReaderError("The silicon images come with SPIEPy: pip install pyroshift[demo]")
    return Path(next(iter(found.submodule_search_locations)))

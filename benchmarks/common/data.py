"""The measurements that benchmarks read from `shared/data`, beside the repository."""

from pathlib import Path

import numpy as np
import xarray as xr

from benchmarks.common.metrics import Array
from pyroshift import load_image

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
GRAPHENE, GRAPHENE_ATOMS = "stem_graphene_boundary.npy", "stem_graphene_boundary_atoms.npy"
# Micrographs of atoms, and whether these are dark.
MICROGRAPHS = {
    GRAPHENE: False,
    "stem_srtio3.hf5": False,
    "stem_srtio3_ncem.ser": False,
    "stem_mos2_se.dm3": False,
    "stem_nsmo_cryo.tif": False,
    "stem_abf_stack.hspy": True,
}


def measurement(name: str) -> Path:
    """Where a file is; the script ends if it isn't there."""
    path = DATA / name
    if not path.is_file():
        raise SystemExit(f"there is no {path}: this task needs that file")
    return path


def is_there(name: str) -> bool:
    """Whether a file is there; said if not, for tasks that go on without it."""
    path = DATA / name
    if not path.is_file():
        print(f"SKIPPED: there is no {path}", flush=True)
    return path.is_file()


def in_pixels(name: str) -> xr.DataArray:
    """An image without units of its own, so that all lengths are in pixels."""
    image = load_image(measurement(name))
    return xr.DataArray(image.values, dims=image.dims, name="image")


def graphene_atoms() -> Array:
    """Positions (atom x axis), y and x, that a network found in the image of graphene.

    So they are no truth. The file is a pickle, of y, x and class per frame: don't read one that you
    don't trust.
    """
    table = np.load(measurement(GRAPHENE_ATOMS), allow_pickle=True).item()[0]
    return np.asarray(table[:, :2], float)

"""Atoms of measured images: of graphene beside given positions, of others to be looked at."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import matplotlib
import numpy as np
import xarray as xr

from benchmarks.atoms.metrics import agreement
from benchmarks.common import data
from benchmarks.common.metrics import Array
from benchmarks.common.table import Row
from pyroshift import find_atoms

matplotlib.use("Agg")

NEARBY = 3.0  # pixels
IMAGES = {**data.MICROGRAPHS, "stm_graphite.tif": False}  # and whether their atoms are dark


def graphene() -> Iterator[Row]:
    """Atoms at default options beside those that are given."""
    if not data.is_there(data.GRAPHENE) or not data.is_there(data.GRAPHENE_ATOMS):
        return
    known = data.graphene_atoms()
    image = data.in_pixels(data.GRAPHENE)
    start = perf_counter()
    atoms = find_atoms(image, progress=False)
    row = Row("graphene", "default options", 0, perf_counter() - start)
    found = np.column_stack([atoms.y.values, atoms.x.values])
    both = agreement(found, known, image.shape, NEARBY, border=0.0)
    row.add("given", len(known))
    row.add("found", len(found))
    row.add("matched within 3 px", both.recall, lowest=0.9)
    row.add("found without partner", len(found) - len(both.found))
    row.add("median distance px", both.median_distance)
    yield row


def images(out: Path) -> Iterator[Row]:
    """Counts in all images at default options, and pictures with the atoms on them."""
    for name, dark in IMAGES.items():
        if not data.is_there(name):
            continue
        image = data.in_pixels(name)
        start = perf_counter()
        atoms = find_atoms(image, dark=dark, progress=False)
        row = Row("images", name, 0, perf_counter() - start)
        frames = len(image) if image.ndim == 3 else 1
        row.add("atoms a frame", atoms.sizes["atom"] / frames)
        row.add("separation px", atoms.separation)
        row.add("width px", float(atoms.width.median()))
        row.add("y_std px", float(atoms.y_std.median()))
        row.add("x_std px", float(atoms.x_std.median()))
        first = atoms.isel(atom=atoms.frame.values == 0)
        values = image.values[0] if image.ndim == 3 else image.values
        _draw(values, first, out / f"{Path(name).stem}.png")
        yield row


def _draw(values: Array, atoms: xr.Dataset, path: Path) -> None:
    """Atoms on the image, whole and on a part."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(20, 10), layout="constrained")
    for panel, size in zip(panels, (8, 50), strict=True):
        low, high = np.quantile(values, [0.01, 0.99])
        panel.imshow(values, cmap="gray", vmin=low, vmax=high)
        panel.scatter(atoms.x, atoms.y, s=size, facecolors="none", edgecolors="tab:red")
    side = min(220, *values.shape)
    panels[1].set(xlim=(0, side), ylim=(side, 0))
    figure.savefig(path, dpi=60)
    plt.close(figure)

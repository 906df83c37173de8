"""Strains of two real measurements by offsets and by phases, beside each other."""

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

import pyroshift as ps
from benchmarks.common.data import is_there, measurement
from benchmarks.common.training import collapse_expected, train
from benchmarks.strain.methods import PARTS, parts, phase_analysis
from pyroshift.plot.colours import symmetric_limits
from pyroshift.plot.drawing import draw_map, panel_size
from pyroshift.plot.style import add_axes, new_figure, styled

# Pixels that are averaged along each axis, and from window to window after that.
CASES = {"stem_nsmo_cryo.tif": (1, 16), "stem_srtio3_ncem.ser": (2, 12)}


def draw_all(out: Path) -> None:
    """Both measurements."""
    for name, (binning, step) in CASES.items():
        if is_there(name):
            draw(out, name, binning, step)


def draw(out: Path, name: str, binning: int, step: int) -> None:
    """One measurement: its pictures, and figures as text."""
    image = ps.load_image(measurement(name))
    if binning > 1:
        image = (
            image.coarsen(y=binning, x=binning, boundary="trim").mean().assign_attrs(image.attrs)
        )
        for axis in "yx":
            image[axis].attrs.setdefault("units", "px")
    lattice = ps.suggest_window(image)
    patches = ps.extract_patches(image, lattice.window, step=step, normalize="image")
    model = ps.ShiftVAE(patches.window, latent_dim=2, period="auto")
    with collapse_expected():
        maps, _, seconds = train(model, patches, 0, {"epochs": 10})
    displaced = ps.displacement(maps, lattice)
    found = ps.strain(displaced)
    pixel = np.array(maps.offset.attrs["pixel_size"])
    places = np.stack(np.meshgrid(displaced.y, displaced.x, indexing="ij"), -1).reshape(-1, 2)
    start = [float(image[axis][0]) if axis in image.coords else 0.0 for axis in "yx"]
    gradient = phase_analysis(
        image.values,
        displaced.lattice_vectors.values / pixel,
        found.resolution_with_window / abs(pixel[0]),
        (places - start) / pixel,
    )
    # Gradients in pixels are those in the image's unit, but for axes that run backwards.
    gradient = gradient * np.sign(pixel)[:, None] * np.sign(pixel)
    grid = {name: found[name].variable for name in "yx"}
    phases = xr.Dataset(
        {part: (("y", "x"), values.reshape(found.exx.shape)) for part, values in
         parts(gradient).items()}, grid,
    )  # fmt: skip
    print(f"{name}: {lattice}, {len(patches)} windows, {seconds:.0f} s")
    print(
        f"  resolution {found.resolution_with_window:.3g} {found.resolution_units}, "
        f"excess {np.round(found.excess, 2).tolist()}, "
        f"dislocations {ps.dislocations(displaced).sizes['dislocation']}"
    )
    for part in PARTS:
        both = found[part].values.ravel(), phases[part].values.ravel()
        known = np.isfinite(both).all(0)
        off = np.sqrt(np.mean((both[0] - both[1])[known] ** 2))
        print(
            f"  {part}: spread {100 * np.nanstd(both[0]):.3g} and {100 * np.nanstd(both[1]):.3g}%, "
            f"apart {100 * off:.2g}%, "
            f"correlated {np.corrcoef(both[0][known], both[1][known])[0, 1]:.3f}, "
            f"std {100 * float(found[f'{part}_std'].mean()):.2g}%"
        )
    stem = out / Path(name).stem
    beside(found, phases).savefig(f"{stem}_strain.png", dpi=110)
    ps.plot.displacement(displaced, image).savefig(f"{stem}_displacement.png", dpi=110)


@styled
def beside(offsets: xr.Dataset, phases: xr.Dataset) -> Figure:
    """Strains and rotation by offsets above those by phases, in the same colours."""
    width, height = panel_size(offsets["exx"])
    figure = new_figure(len(PARTS) * width, 2 * height, compressed=True)
    grid = figure.add_gridspec(2, len(PARTS))
    for column, part in enumerate(PARTS):
        limits = symmetric_limits(100 * offsets[part].values)
        for row, (method, each) in enumerate({"offsets": offsets, "phases": phases}.items()):
            ax = add_axes(figure, grid[row, column])
            shown = (100 * each[part]).assign_attrs(long_name=part, units="%")
            draw_map(ax, part, shown, limits=limits, scale_bar=not (row or column))
            ax.set_title(f"{part}, {method}")
    return figure

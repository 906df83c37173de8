"""Displacements and distortions of two real measurements, as text and pictures."""

from pathlib import Path

import numpy as np
import xarray as xr

import pyroshift as ps
from benchmarks.common.data import is_there, measurement
from benchmarks.common.metrics import Array


def strontium_titanate(out: Path) -> None:
    """HAADF-STEM of SrTiO3: strontium columns bright, titanium columns faint."""
    if is_there("stem_srtio3.hf5"):
        image = ps.load_image(measurement("stem_srtio3.hf5"))
        _draw(out / "srtio3", image, ps.suggest_window(image).vectors)


def perovskite_stack(out: Path) -> None:
    """Five frames of ABF-STEM of a perovskite, whose atoms are dark."""
    if is_there("stem_abf_stack.hspy"):
        image = ps.load_image(measurement("stem_abf_stack.hspy"))
        _draw(out / "abf", image, None, dark=True)


def _draw(stem: Path, image: xr.DataArray, vectors: Array | None, dark: bool = False) -> None:
    """Displacements, their modes and the distortion as pictures; what was found as text."""
    atoms = ps.find_atoms(image, dark=dark, progress=False)
    displaced = ps.fit_lattice(atoms, vectors)
    distortion = ps.fit_distortion(displaced)
    again = ps.fit_lattice(distortion.correct(displaced), vectors)
    print(f"{stem.name}: {len(atoms.atom)} atoms, {distortion}")
    for name, each in {"seen": displaced, "corrected": again}.items():
        print(f"  {name}: rms displacement {float((each.displacement**2).mean() ** 0.5):.4g}")
    lengths = np.linalg.norm(displaced.lattice_vectors.values, axis=-1)
    print(f"  lattice vectors {lengths.round(4).tolist()}, sites {int(displaced.site.max()) + 1}")
    figures = {
        "displacement": ps.plot.displacement(displaced, image).figure,
        "corrected": ps.plot.displacement(again, image).figure,
        "distortion": ps.plot.distortion(distortion.on(image)),
    }
    if image.ndim == 3:
        figures["modes"] = ps.plot.displacement_modes(ps.displacement_modes(displaced, modes=3))
    for name, figure in figures.items():
        figure.savefig(f"{stem}_{name}.png", dpi=110)

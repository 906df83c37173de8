"""Strain by the methods that the field knows: phases of two Fourier components, and atoms."""

import warnings

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

import pyroshift as ps
from benchmarks.common.metrics import Array
from pyroshift.analysis.unwrapping import nearest_cell

FWHM = 2 * np.sqrt(2 * np.log(2))
PARTS = ("exx", "eyy", "exy", "rotation")


def parts(gradient: Array) -> dict[str, Array]:
    """Strains and rotation of gradients, ... x component x axis, both (y, x)."""
    return {
        "exx": gradient[..., 1, 1],
        "eyy": gradient[..., 0, 0],
        "exy": (gradient[..., 0, 1] + gradient[..., 1, 0]) / 2,
        "rotation": (gradient[..., 0, 1] - gradient[..., 1, 0]) / 2,
    }


def phase_analysis(image: Array, vectors: Array, resolution: float, places: Array) -> Array:
    """Geometric phase analysis: the gradient of the displacement, place x component x axis.

    The image times a wave with each reciprocal vector, under a Gaussian; the phase that is left is
    -2 pi g u, and its gradient needs no unwrapping.

    Args:
        image: height x width.
        vectors: vector x axis, pixels.
        resolution: full width at half maximum of the Gaussian, pixels.
        places: place x axis, pixels, whole numbers or not.

    Source:
        Hÿtch, Snoeck and Kilaas, Ultramicroscopy 74, 131 (1998).
    """
    rows, columns = np.indices(image.shape)
    slopes = []
    for wave in np.linalg.inv(vectors).T:
        turned = (image - image.mean()) * np.exp(-2j * np.pi * (wave[0] * rows + wave[1] * columns))
        width = resolution / FWHM
        kept = gaussian_filter(turned.real, width) + 1j * gaussian_filter(turned.imag, width)
        slopes.append([(np.conj(kept) * d).imag / np.abs(kept) ** 2 for d in np.gradient(kept)])
    # g x axis: of -2 pi g u, for both g.
    slope = np.moveaxis(np.array(slopes), (0, 1), (-2, -1)) / (-2 * np.pi)
    row, column = np.round(places).astype(int).T
    return vectors.T @ slope[row, column]


def at_atoms(
    image: xr.DataArray, vectors: Array, resolution: float, places: Array, prior: bool
) -> Array:
    """`fit_lattice` at the atoms found, and a plane through their displacements around each place.

    Args:
        image: without coordinates, in pixels.
        vectors: vector x axis, pixels, known exactly.
        resolution: full width at half maximum of the Gaussian, pixels.
        places: place x axis, pixels.
        prior: whether atoms are held together by what the lattice around lets one expect of each,
            which is a smoothing of its own.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not on the lattice")
        found = ps.find_atoms(image, progress=False, prior=prior)
        found = ps.fit_lattice(found, vectors, fixed=True)
    known = np.isfinite(found.displacement.values).all(1)
    moves = found.displacement.values[known]
    atoms = np.column_stack([found.y, found.x])[known]
    width, tree = resolution / FWHM, KDTree(atoms)
    gradient = np.full((len(places), 2, 2), np.nan)
    for number, place in enumerate(places):
        near = tree.query_ball_point(place, 3 * width)
        if len(near) < 6:
            continue
        away = atoms[near] - place
        root = np.exp(-0.25 * (away**2).sum(1) / width**2)[:, None]
        # In the cell of the nearest atom: what is beyond a cut counts as if there were none.
        middle = moves[tree.query(place)[1]]
        rest = nearest_cell(moves[near] - middle, vectors)
        design = np.column_stack([np.ones(len(near)), away])
        gradient[number] = np.linalg.lstsq(root * design, root * rest)[0][1:].T
    return gradient

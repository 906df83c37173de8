"""How well z finds the vacancies of a sulphide that were marked by eye in pictures of the image."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from benchmarks.common.metrics import Array, area_under_curve
from pyroshift import PoseVAE, encode, extract_patches, find_atoms

VACANCIES = Path(__file__).with_name("mos2_vacancies.csv")
FAR = 30.0  # pixels from every vacancy: windows that show none near their centre


def found(model: PoseVAE, image: xr.DataArray, alive: Array) -> Mapping[str, float]:
    """Areas under the curve: windows centred on vacancies against windows centred on atoms.

    Of `best z` the score is the distance of the z that does it best from its median; of `all z` the
    Mahalanobis distance of all; of the others the bound, and the darkness of the whole window.
    """
    vacancies = np.loadtxt(VACANCIES, delimiter=",", skiprows=1, usecols=(0, 1))
    atoms = positions(find_atoms(image))
    atoms = atoms[cKDTree(vacancies).query(atoms)[0] > FAR]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*positions are left out")
        patches = extract_patches(
            image, model.window, positions=np.concatenate([vacancies, atoms]), normalize="image"
        )
    maps = encode(model, patches)
    vacant = maps.atom.values < len(vacancies)
    away = maps.z.values[:, alive]
    away = away - np.median(away[~vacant], 0)
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(away[~vacant].T)))
    dark = -patches.gather().numpy().mean((1, 2))
    single = [area_under_curve(np.abs(column), vacant) for column in away.T]
    return {
        "vacancies, best z": max(single, default=0.5),
        "all z": area_under_curve(np.einsum("ni,ij,nj->n", away, inverse, away), vacant),
        "bound alone": area_under_curve(-maps.elbo.values, vacant),
        "local mean alone": area_under_curve(dark, vacant),
    }


def positions(atoms: xr.Dataset) -> Array:
    """Positions of atoms, atom x axis, pixels."""
    return np.stack([atoms.y.values, atoms.x.values], 1)

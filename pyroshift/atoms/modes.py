"""`displacement_modes`: what patterns the displacements of a stack's frames are made of."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pyroshift.data.atoms import ATOM, FRAME, check_atoms
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

Array = NDArray[Any]

FEWEST_SITES = 2
REFILLS = 30  # rounds in which missing displacements are filled in by the modes themselves


def displacement_modes(
    displaced: xr.Dataset, modes: int = 3, *, by: str = "lattice", seen: float = 0.8
) -> xr.Dataset:
    """Principal components of the displacements over the frames of a stack.

    A mode is a pattern of displacements that comes and goes: scan distortion that differs from
    frame to frame, a drift within frames, vibration, a transition. Modes are those of the change;
    what is alike in all frames is the mean. Displacements that are missing in some frames are
    filled in by the mean and then, until that settles, by the modes themselves.

    Args:
        displaced: from `fit_lattice`, of a stack of frames.
        modes: how many; at most one less than there are frames.
        by: "lattice": the same site of the lattice is the same atom in all frames; "track": the
            same track is, as `link_atoms` finds them.
        seen: sites count that have an atom in this share of the frames at least.

    Returns:
        `pattern` (mode x site x axis), with a root mean square length of 1 over the sites; `score`
        (mode x frame), in the atoms' unit: the root mean square displacement by the mode, with its
        sign; `explained` (mode), share of the variance; `mean` (site x axis), displacement in all
        frames; and the coordinates `y`, `x` (site), ideal positions, and `frame`.

    Raises:
        DataError: if the atoms have no displacements, there are too few frames or sites, or `by` is
            none of these.

    Example:
        >>> from pyroshift import fit_lattice
        >>> rng = np.random.default_rng(0)
        >>> rows, columns = np.indices((8, 8)).reshape(2, -1) * 10.0
        >>> y = np.concatenate([rows + frame * np.sin(columns / 20) for frame in range(4)])
        >>> x = np.tile(columns, 4) + rng.normal(0, 0.02, y.size)
        >>> frame = np.repeat(np.arange(4), 64)
        >>> atoms = xr.Dataset(
        ...     coords={"y": ("atom", y), "x": ("atom", x), "frame": ("atom", frame)}
        ... )
        >>> found = displacement_modes(fit_lattice(atoms), modes=2)
        >>> bool(found.explained[0] > 0.95), dict(found.pattern.sizes)
        (True, {'mode': 2, 'site': 64, 'axis': 2})
    """
    check_installed("sklearn", extra="atoms")
    known = _known(displaced)
    frames, frame = np.unique(known[FRAME].values, return_inverse=True)
    if not 1 <= modes < len(frames):
        raise DataError(
            f"{len(frames)} frames vary in at most {len(frames) - 1} modes, so there can't be "
            f"modes={modes}: take more frames or fewer modes"
        )
    site = _sites(known, by)
    keys = np.arange(site.max() + 1)
    table = np.full((len(frames), len(keys), 2), np.nan)
    table[frame, site] = known["displacement"].values
    kept = np.isfinite(table[..., 0]).mean(0) >= seen
    if kept.sum() < FEWEST_SITES:
        raise DataError(
            f"{kept.sum()} sites have an atom in {seen:.0%} of the frames, which leaves nothing to "
            "compare: lower `seen`, or match atoms with by='track'"
        )
    ideal = np.stack([_mean_per(site, known["ideal"].values[:, axis]) for axis in (0, 1)], 1)
    pattern, score, explained, mean = _components(table[:, kept].reshape(len(frames), -1), modes)
    return _labelled(known, frames, ideal[kept], pattern, score, explained, mean)


def _known(displaced: xr.Dataset) -> xr.Dataset:
    """The atoms that have a displacement."""
    check_atoms(displaced)
    if not isinstance(displaced, xr.Dataset) or "displacement" not in displaced:
        raise DataError("the atoms have no displacements: pass what fit_lattice returns")
    if FRAME not in displaced.coords:
        raise DataError("the atoms have no coordinate `frame`: modes are those of a stack")
    known = displaced.isel({ATOM: np.isfinite(displaced["displacement"].values).all(1)})
    if not known.sizes[ATOM]:
        raise DataError("no atom has a displacement")
    return known


def _sites(known: xr.Dataset, by: str) -> Array:
    """A number for each atom that is the same in all frames."""
    if by == "lattice":
        key = np.column_stack([known["site"].values, known["lattice_index"].values])
    elif by == "track":
        if "track" not in known.coords:
            raise DataError("the atoms have no coordinate `track`: link_atoms gives them one")
        # Atoms of no track are each a site that is seen once.
        track = known["track"].values
        key = np.column_stack([track, np.where(track < 0, np.arange(len(track)), 0)])
    else:
        raise DataError(f"by={by!r} can't be used: give 'lattice' or 'track'")
    return np.unique(key, axis=0, return_inverse=True)[1].ravel()


def _mean_per(site: Array, values: Array) -> Array:
    return np.bincount(site, values) / np.maximum(np.bincount(site), 1)


def _components(table: Array, modes: int) -> tuple[Array, Array, Array, Array]:
    """Patterns, scores, shares of the variance, and the mean, of a table with missing values."""
    from sklearn.decomposition import PCA

    missing = ~np.isfinite(table)
    filled = np.where(missing, np.nanmean(table, axis=0), table)
    for _ in range(REFILLS if missing.any() else 1):
        analysis = PCA(modes, svd_solver="full")
        score = analysis.fit_transform(filled)
        filled = np.where(missing, analysis.inverse_transform(score), table)
    scale = np.sqrt(table.shape[1] / 2)  # from a length of 1 to one of 1 per site
    pattern = analysis.components_ * scale
    return pattern, score.T / scale, analysis.explained_variance_ratio_, analysis.mean_


def _labelled(
    known: xr.Dataset,
    frames: Array,
    ideal: Array,
    pattern: Array,
    score: Array,
    explained: Array,
    mean: Array,
) -> xr.Dataset:
    unit = str(known["displacement"].attrs.get("units", "px"))
    values = {
        "pattern": (("mode", "site", "axis"), pattern.reshape(len(pattern), -1, 2), "1"),
        "score": (("mode", FRAME), score, unit),
        "explained": (("mode",), explained, "1"),
        "mean": (("site", "axis"), mean.reshape(-1, 2), unit),
    }
    names = {
        "pattern": "displacement by the mode, in units of the score",
        "score": "root mean square displacement by the mode",
        "explained": "share of the variance",
        "mean": "mean displacement over the frames",
    }
    variables = {
        name: xr.Variable(dims, array, {"long_name": names[name], "units": units})
        for name, (dims, array, units) in values.items()
    }
    coords = {
        "mode": np.arange(len(pattern)),
        FRAME: xr.Variable(FRAME, frames, known[FRAME].attrs),
        "axis": known["axis"],
    }
    for axis, letter in enumerate("yx"):
        coords[letter] = xr.Variable("site", ideal[:, axis], known[letter].attrs)
    return xr.Dataset(variables, coords, {"title": "Modes of displacement"})

"""Single atoms through latent space, and averages over all of them, against time."""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.atoms import ATOM, FRAME
from pyroshift.errors import DataError
from pyroshift.extras import check_installed
from pyroshift.model.sites import ANGLE, CONTENT
from pyroshift.pathways.tracks import (
    CLASS,
    CLASS_INDEX,
    MISSING,
    TRACK,
    Array,
    class_names,
    flattened,
    tracks,
)


def trajectories(maps: xr.Dataset, *, unwrap: bool = True, symmetry: int = 1) -> xr.Dataset:
    """What each atom does over time: everything that is known of it, by track and frame.

    Args:
        maps: from `encode` or `classify`, of atoms with the coordinates `frame` and `track`, or of
            windows on a grid over `frame`, `y` and `x`.
        unwrap: whether `angle` goes on beyond pi, so that a slow turn has no jumps; it is unknown
            by how many full turns an atom has gone on in a gap, and the fewest are taken. Where an
            atom changes its class, angles may jump: which way up a class is held is a convention.
        symmetry: of the motif, which looks the same after a full turn divided by it.

    Returns:
        The variables of the maps, and the atoms' `y` and `x`, over `track` and `frame` instead of
        the patches' dimensions. At gaps NaN, and -1 for whole numbers.

    Raises:
        DataError: if the maps are not linked, or the symmetry is no whole number.

    Example:
        >>> coords = {"frame": ("atom", [0, 0, 1]), "track": ("atom", [0, 1, 1])}
        >>> trajectories(xr.Dataset({"angle": ("atom", [0.1, 3.1, -3.1])}, coords)).angle.values
        array([[0.1       ,        nan],
               [3.1       , 3.18318531]])
    """
    _check_symmetry(symmetry)
    flat = flattened(maps)
    found = tracks(flat)
    variables: dict[str, Any] = {}
    for name, variable in flat.reset_coords(
        [name for name in ("y", "x") if name in flat.coords and flat[name].dims == (ATOM,)]
    ).data_vars.items():
        if ATOM not in variable.dims or variable.dtype.kind not in "biuf":
            continue
        variable = variable.transpose(ATOM, ...)
        whole = variable.dtype.kind in "iu"
        values = variable.values if whole else variable.values.astype(float)
        values = found.spread(values, MISSING if whole else math.nan)
        if name == ANGLE and unwrap:
            values = _unwrapped(values, 2 * math.pi / symmetry)
        variables[str(name)] = ((TRACK, FRAME, *variable.dims[1:]), values, variable.attrs)
    kept = {name: item for name, item in flat.coords.items() if ATOM not in item.dims}
    own = {
        TRACK: (TRACK, found.labels, {"long_name": "index of the track"}),
        FRAME: (FRAME, found.frames, {"long_name": "index of the frame"}),
    }
    return xr.Dataset(variables, kept | own, flat.attrs)


def ensemble_average(
    maps: xr.Dataset,
    variables: Sequence[str] = (CONTENT,),
    *,
    symmetry: int = 1,
    credible: float = 0.95,
) -> xr.Dataset:
    """Averages over all atoms of each frame, against time.

    Args:
        maps: from `encode` or `classify`, of atoms with the coordinate `frame`, or of windows on a
            grid over `frame`, `y` and `x`.
        variables: what to average: "z", "elbo", "scale" ...
        symmetry: of the motif, which looks the same after a full turn divided by it.
        credible: probability that an interval of a share holds the truth.

    Returns:
        Over `frame`: `count`, the number of atoms; the mean of each variable, and its standard
        error under `..._error`. If the maps have angles, `angle`, their mean direction, and
        `angle_order`, the length of the mean of their unit vectors: 1 if all atoms point the same
        way, 0 if none is preferred; modulo the symmetry. If they are classified,
        `share` (`frame`, `class`) with `share_lower` and `share_upper`, by Jeffreys' prior.

    Raises:
        DataError: if there are no such variables, or no frames.
        ImportError: if scipy isn't installed.

    Example:
        >>> maps = xr.Dataset(
        ...     {"z": (("atom", "latent"), [[1.0], [3.0], [5.0]])},
        ...     {"frame": ("atom", [0, 0, 1])},
        ... )
        >>> found = ensemble_average(maps)
        >>> found.z.values[:, 0], found.z_error.values[:, 0], found["count"].values
        (array([2., 5.]), array([ 1., nan]), array([2, 1]))
    """
    check_installed("scipy", extra="atoms")
    _check_symmetry(symmetry)
    if not 0 < credible < 1:
        raise DataError(f"credible={credible!r} can't be used: give a number between 0 and 1")
    flat = flattened(maps)
    names = (variables,) if isinstance(variables, str) else tuple(variables)
    if missing := [name for name in names if name not in flat or ATOM not in flat[name].dims]:
        raise DataError(f"there are no variables {missing}: choose some of {list(flat.data_vars)}")
    frames, group = np.unique(flat[FRAME].values, return_inverse=True)
    found: dict[str, Any] = {"count": (FRAME, np.bincount(group), {"long_name": "number of atoms"})}
    for name in names:
        array = flat[name].transpose(ATOM, ...)
        mean, error = _mean_and_error(array.values.astype(float), group)
        dims, attrs = (FRAME, *array.dims[1:]), array.attrs
        long_name = str(attrs.get("long_name", name))
        found[name] = (dims, mean, {**attrs, "long_name": f"mean {long_name}"})
        found[f"{name}_error"] = (
            dims, error, {**attrs, "long_name": f"standard error of the mean {long_name}"}
        )  # fmt: skip
    if ANGLE in flat:
        found |= _direction(flat[ANGLE].values, group, symmetry)
    coords = {name: item for name, item in flat.coords.items() if ATOM not in item.dims}
    if CLASS_INDEX in flat:
        coords[CLASS] = class_names(flat)
        found |= _shares(flat[CLASS_INDEX].values, group, len(coords[CLASS]), credible)
    coords[FRAME] = (FRAME, frames, {"long_name": "index of the frame"})
    return xr.Dataset(found, coords, flat.attrs)


def _unwrapped(angle: Array, period: float) -> Array:
    """Angles (`track x frame`) without jumps, gaps left as they are."""
    result = angle.copy()
    for row in result:
        known = np.isfinite(row)
        row[known] = np.unwrap(row[known], period=period)
    return result


def _mean_and_error(values: Array, group: Array) -> tuple[Array, Array]:
    """Mean of each group (`atom x ...`), and its standard error; NaN of fewer than two."""
    groups = group.max() + 1
    known = np.isfinite(values)
    count = np.zeros((groups, *values.shape[1:]))
    total, squares = np.zeros_like(count), np.zeros_like(count)
    np.add.at(count, group, known)
    np.add.at(total, group, np.where(known, values, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        np.add.at(squares, group, np.where(known, (values - mean[group]) ** 2, 0.0))
        error = np.sqrt(squares / (count - 1) / count)
    return mean, np.where(count > 1, error, np.nan)


def _direction(angle: Array, group: Array, symmetry: int) -> dict[str, Any]:
    """Mean direction and order of the angles of each group."""
    known = np.isfinite(angle)
    vector = np.zeros(group.max() + 1, complex)
    np.add.at(vector, group[known], np.exp(1j * symmetry * angle[known]))
    count = np.bincount(group[known], minlength=len(vector))
    with np.errstate(divide="ignore", invalid="ignore"):
        order = np.abs(vector) / count
    mean = np.where(count > 0, np.angle(vector) / symmetry, np.nan)
    return {
        ANGLE: (FRAME, mean, {"long_name": "mean direction", "units": "rad"}),
        "angle_order": (FRAME, order, {"long_name": "order of the angles", "units": "1"}),
    }


def _shares(index: Array, group: Array, classes: int, credible: float) -> dict[str, Any]:
    """Share of each class in each group, with its interval."""
    from scipy.stats import beta

    known = index != MISSING
    pairs = group[known] * classes + index[known].astype(np.int64)
    count = np.bincount(pairs, minlength=(group.max() + 1) * classes).reshape(-1, classes)
    total = count.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = count / total
    posterior, tail = beta(count + 0.5, total - count + 0.5), (1 - credible) / 2
    dims = (FRAME, CLASS)
    return {
        "share": (dims, share, {"long_name": "share of each class", "units": "1"}),
        "share_lower": (
            dims, posterior.ppf(tail),
            {"long_name": "lower end of the credible interval of the share", "units": "1"},
        ),
        "share_upper": (
            dims, posterior.ppf(1 - tail),
            {"long_name": "upper end of the credible interval of the share", "units": "1"},
        ),
    }  # fmt: skip


def _check_symmetry(symmetry: Any) -> None:
    if not (isinstance(symmetry, Integral) and int(symmetry) >= 1):
        raise DataError(f"symmetry={symmetry!r} can't be used: give a whole number of at least 1")

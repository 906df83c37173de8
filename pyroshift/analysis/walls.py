"""`walls`: where domains end, which way their walls go, and how these bend."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.curves import LocalFits, errors, fitted, resampled
from pyroshift.analysis.grids import FWHM, check_credible, checked_resolution, with_interval
from pyroshift.analysis.levels import Array, Field, field_of, level_between, smoothed
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

POINT = "point"
SMOOTHED = 0.25  # of the resolution, over which the field is smoothed before
_DEFAULT, _FINEST = 8.0, 4.0  # pixels across the resolution
Levels = float | Sequence[float] | None


def walls(
    field: Any,
    resolution: float | None = None,
    *,
    level: Levels = None,
    credible: float = 0.9,
) -> xr.Dataset:
    """Domain walls of a map: where they are, their angles and curvatures, with intervals.

    A wall is where the map crosses the level between two domains. The map is smoothed by planes of
    a quarter of the resolution, contours are drawn at the level, and around each of their points,
    about a pixel apart, an arc is fitted, points weighted by a Gaussian of their distance along the
    wall, which gives angle and curvature.

    Angles are counter-clockwise as displayed with row 0 on top, as those of the latent `angle`, 0
    along x, modulo a half turn: from -pi/2 to pi/2. Maps of angles are compared by
    `maps.angle.sel(y=found.y, x=found.x, method="nearest")`. Curvature is positive where the domain
    of the higher level is on the inner side of the bend.

    How sure that is, points tell by how they scatter about the arcs, along walls as correlated as
    residuals say. Roughness of a wall finer than the resolution is scatter, too. What intervals
    hold are angles and curvatures as the Gaussian averages them along the wall, as often as they
    say; those at one point less often, where a wall's bend changes within the resolution, and so
    they do by the ends of walls, which are seen from one side. Blur moves a bent wall inwards, of
    which intervals know nothing.

    Args:
        field: over y and x: what has two levels, such as `maps.z.isel(latent=0)`,
            `maps.class_index == 1`, or the cosine of a phase. NaN is what wasn't measured: walls
            end there.
        resolution: full width at half maximum of the Gaussian along walls, in the map's unit; by
            default 8 pixels. Domains of less than that around are left out, as noise makes such.
        level: where one domain ends and the next begins; by default halfway between the two modes
            of the map's values. Several, where there are more than two domains.
        credible: probability that an interval holds the truth.

    Returns:
        Over "point", wall by wall, the longest first, in the order along each: coordinates `y` and
        `x`, `wall` (its number), `closed` (whether its last point is next to its first) and `level`
        (the one that it is at); `angle` in radians, `curvature` in one over the unit, both with
        `_std`, `_lower` and `_upper`, of which those of angles aren't taken modulo anything;
        `position_std`, across the wall; and `length`, each point's share of the wall. Attributes
        `total_length`, `resolution`, `scatter` (of the points, mean) and `unit`.

    Raises:
        DataError: if the map has no two levels or no wall, isn't over y and x, is too small, or the
            resolution is too fine.

    Source:
        Lorensen and Cline, "Marching cubes", Computer Graphics 21, 163 (1987), in two dimensions,
        for contours; the rest are least squares.

    Example:
        >>> y, x = np.mgrid[:60, :60]
        >>> found = walls(np.tanh(x + y - 59.2))
        >>> found.sizes["point"] > 50, float(found.angle.mean().round(6))
        (True, 0.785398)
        >>> round(found.total_length / (2**0.5 * 59), 2)
        1.0
    """
    check_installed("scipy", "skimage", extra="atoms")
    check_credible(credible)
    given = field_of(field)
    pixel = np.abs(given.spacing)
    size, unit = float(pixel.max()), given.unit
    width = _DEFAULT * size
    if resolution is not None:
        apart = f"pixels of {size:.4g} {unit}"
        width = checked_resolution(resolution, _FINEST * size, unit, apart)
    values = smoothed(given.values, SMOOTHED * width / FWHM / pixel)
    levels = _levels(level, values)
    step = float(pixel.min())
    curves = [
        (fitted(points, closed, width / FWHM), each)
        for each in levels
        for points, closed in _contours(values, each, pixel, step, width)
    ]
    if not curves:
        told = " or ".join(f"{each:.4g}" for each in levels)
        raise DataError(
            f"no wall: no contour of the field at {told} is longer than the resolution of "
            f"{width:.4g} {given.unit}"
        )
    curves.sort(key=lambda curve: -_shares(curve[0]).sum())
    scatter, correlation = errors([curve for curve, _ in curves], step, width / FWHM)
    parts = [
        _points(curve, wall, each, curve.deviation(scatter[wall], correlation))
        for wall, (curve, each) in enumerate(curves)
    ]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    about = {"resolution": width, "scatter": float(np.mean(scatter))}
    return _labelled(given, columns, credible, about)


def _levels(level: Levels, values: Array) -> list[float]:
    """The levels given, or the one between two modes.

    Raises:
        DataError: if these are no numbers, or the field doesn't cross them.
    """
    if level is None:
        return [level_between(values)]
    try:
        given = np.unique(np.asarray(level, float))
    except (TypeError, ValueError):
        given = np.array([np.nan])
    if not given.size or not np.isfinite(given).all():
        raise DataError(f"the level must be a number, or several; got {level!r}")
    low, high = np.nanmin(values), np.nanmax(values)
    for each in given:
        if not low < each < high:
            raise DataError(
                f"no wall: level={each:.4g} isn't between the field's least and greatest value, "
                f"{low:.4g} and {high:.4g}"
            )
    return given.tolist()


def _contours(values: Array, level: float, pixel: Array, step: float, width: float) -> Any:
    """Contours that are long enough: points (x, y) as displayed, in units from the first pixel.

    The higher level is on one side of all of them.
    """
    from skimage.measure import find_contours

    known = np.isfinite(values)
    filled = np.where(known, values, level)
    for rows in find_contours(filled, level, mask=known):
        closed = np.array_equal(rows[0], rows[-1])
        points = resampled(rows[:, ::-1] * pixel[::-1], step)
        length = np.hypot(*np.diff(points, axis=0).T).sum()
        if length >= width * (math.pi if closed else 1.0) and len(points) >= 5:
            yield points, closed


def _shares(curve: LocalFits) -> Array:
    """Each point's share of the length of a wall."""
    places = curve.places
    steps = np.hypot(*np.diff(places, axis=0, append=places[:1]).T)
    if not curve.closed:
        steps[-1] = 0.0
    return (steps + np.roll(steps, 1)) / 2


def _points(curve: LocalFits, wall: int, level: float, deviation: Array) -> dict[str, Array]:
    """All that is told of one wall's points, by name."""
    count = len(curve.places)
    across, along = curve.tangent.T[::-1]
    # Rows run down.
    angle = math.pi / 2 - np.remainder(math.pi / 2 + np.arctan2(across, along), math.pi)
    return {
        "column": curve.places[:, 0],
        "row": curve.places[:, 1],
        "wall": np.full(count, wall),
        "closed": np.full(count, curve.closed),
        "level": np.full(count, level),
        "angle": angle,
        "angle_std": deviation[:, 1],
        "curvature": curve.curvature,
        "curvature_std": deviation[:, 2],
        "position_std": deviation[:, 0],
        "length": _shares(curve),
    }


def _labelled(
    field: Field, columns: dict[str, Array], credible: float, about: dict[str, Any]
) -> xr.Dataset:
    """Points of walls, with names and units."""
    unit, places = field.unit, {}
    for axis, (name, key) in enumerate((("y", "row"), ("x", "column"))):
        signed = field.along[axis][0] + np.sign(field.spacing[axis]) * columns[key]
        places[name] = (POINT, signed, dict(field.coords[name].attrs) | {"units": unit})
    found: dict[str, Any] = {}
    for name, long_name, units in (
        ("angle", "angle of the wall, counter-clockwise", "rad"),
        ("curvature", "curvature of the wall", f"1/{unit}"),
    ):
        attrs = {"long_name": long_name, "units": units}
        values, spread = columns[name], columns[f"{name}_std"]
        found |= with_interval(name, (POINT,), values, spread, credible, attrs)
    for name, long_name in (
        ("position_std", "standard deviation of the position across the wall"),
        ("length", "share of the length of the wall"),
    ):
        found[name] = (POINT, columns[name], {"long_name": long_name, "units": unit})
    kept = {name: (POINT, columns[name]) for name in ("wall", "closed", "level")}
    return xr.Dataset(
        found,
        {**places, **kept},
        {
            "title": "domain walls",
            "credible": credible,
            "total_length": float(columns["length"].sum()),
            "unit": unit,
            **about,
        },
    )

"""`switched`: which domains changed between two scans of the same area."""

from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.grids import FWHM, check_units
from pyroshift.analysis.levels import Array, Field, field_of, level_between, smoothed
from pyroshift.analysis.registration import registered, seen_at
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

_SMOOTHED = 2.0  # pixels at half maximum, as the walls' by default
_THINNEST = 3.0  # pixels


def switched(
    before: Any,
    after: Any,
    *,
    by: tuple[Any, Any] | None = None,
    drift: tuple[float, float] | None = None,
    level: float | None = None,
    thinnest: float | None = None,
) -> xr.Dataset:
    """What switched from one domain to the other between two scans of the same area.

    The second scan is registered to the first over the part that both show, by correlation, then to
    a fraction of a pixel by least squares, in which what switched hardly counts. Both are smoothed
    a little, and one level parts them into domains. Walls that lie a bit off leave thin seams: what
    switched counts only where it is somewhere as wide as `thinnest`.

    A common drift is all that is taken off: scans that are stretched or turned against each other,
    or whose contrast is reversed, have to be put right before. Where the tip or its contact
    changed, contrast does, too, which no map of one scan tells from switching: a stripe along the
    scan lines is more likely that.

    Args:
        before: over y and x: an image or a map of two levels, such as the cosine of a phase. NaN is
            what wasn't measured.
        after: of the same shape and pixel size.
        by: two images of the same scans to register instead, such as heights, which don't switch.
        drift: along y and x, in the unit, if it is known.
        level: where one domain ends and the other begins; by default halfway between the two modes
            of both scans' values.
        thinnest: width of the thinnest domain that counts, in the unit; by default 3 pixels.

    Returns:
        Over `before`'s y and x: `switched`, 1 where it rose above the level, -1 where it fell
        below, 0 where neither, NaN where one of the scans has nothing; `before` and `after`, 1
        where above the level, else 0. Over "axis": `drift`, by how far after is moved: what was
        seen at a place is seen there plus the drift. Attributes: `rose` and `fell`, shares of the
        area that both scans show; `overlap`, its share of the first scan; `correlation` there, of
        what was registered; `level`; `thinnest`.

    Raises:
        DataError: if these are no two such scans, have no two levels, or don't show the same area.

    Source:
        Lucas and Kanade, "An iterative image registration technique with an application to stereo
        vision", IJCAI 7, 674 (1981), for the fraction of a pixel.

    Example:
        >>> y, x = np.mgrid[:80, :90]
        >>> spots = [(20, 20, 9), (50, 30, 12), (30, 65, 10)]
        >>> def scan(spots, y, x):
        ...     inside = [np.hypot(y - row, x - column) < radius for row, column, radius in spots]
        ...     return np.where(np.any(inside, 0), 1.0, -1.0)
        >>> found = switched(scan(spots, y, x), scan([*spots, (60, 70, 8)], y - 2, x + 3))
        >>> found.drift.round().values.tolist(), found.rose > 0.02, found.fell
        ([2.0, -3.0], True, 0.0)
    """
    check_installed("scipy", "skimage", extra="atoms")
    first, second = _alike(field_of(before, "first scan"), field_of(after, "second scan"))
    width = _checked_thinnest(thinnest, first)
    deviation = np.full(2, _SMOOTHED / FWHM)
    whole = [smoothed(each.values, deviation).ravel() for each in (first, second)]
    found = _level(level, np.concatenate(whole))
    pixels, correlation = _shift(first, second, by, drift)
    moved = seen_at(second.values, pixels)
    both = np.isfinite(first.values) & np.isfinite(moved)
    origins = np.array([b[0] - a[0] for a, b in zip(first.along, second.along, strict=True)])
    total = pixels * first.spacing + origins
    if not both.any():
        raise DataError(
            f"the scans have no pixel in common at a drift of {_pair(total)} {first.unit}"
        )
    values = [smoothed(np.where(both, each, np.nan), deviation) for each in (first.values, moved)]
    states = [np.where(both, each > found, np.nan) for each in values]
    change = _wide(states[1] - states[0], width / np.abs(first.spacing))
    about = {
        "rose": float((change == 1).sum() / both.sum()),
        "fell": float((change == -1).sum() / both.sum()),
        "overlap": float(both.mean()),
        "correlation": correlation,
        "level": found,
        "thinnest": width,
        "unit": first.unit,
    }
    maps = {"switched": change, "before": states[0], "after": states[1]}
    return _labelled(first, maps, total, about)


def _alike(first: Field, second: Field) -> tuple[Field, Field]:
    """Both fields.

    Raises:
        DataError: if their pixels aren't of one size, or not as many.
    """
    if first.unit != second.unit:
        check_units({"the first scan": first.unit, "the second": second.unit})
    if not np.allclose(first.spacing, second.spacing, rtol=1e-3, atol=0):
        raise DataError(
            f"the scans' pixels differ: {_pair(first.spacing)} and {_pair(second.spacing)} "
            f"{first.unit}: bring one to the other's, as by after.interp"
        )
    if first.values.shape != second.values.shape:
        raise DataError(
            f"the scans have {' x '.join(map(str, first.values.shape))} and "
            f"{' x '.join(map(str, second.values.shape))} pixels: cut out as many of both"
        )
    return first, second


def _pair(values: Array) -> str:
    return " x ".join(f"{value:.4g}" for value in values)


def _checked_thinnest(thinnest: Any, field: Field) -> float:
    """The width in the unit.

    Raises:
        DataError: if it is no length.
    """
    if thinnest is None:
        return _THINNEST * float(np.abs(field.spacing).max())
    number = isinstance(thinnest, int | float | np.number) and not isinstance(thinnest, bool)
    if not (number and 0 <= thinnest < np.inf):
        raise DataError(f"thinnest must be a length in {field.unit}, got {thinnest!r}")
    return float(thinnest)


def _level(level: Any, values: Array) -> float:
    """The level given, or the one between the two modes.

    Raises:
        DataError: if it is none of these values', or they have one mode.
    """
    if level is None:
        return level_between(values, "pair of scans")
    low, high = np.nanmin(values), np.nanmax(values)
    if isinstance(level, bool) or not isinstance(level, int | float | np.number):
        raise DataError(f"the level must be a number, got {level!r}")
    if not low < level < high:
        raise DataError(
            f"no domains: level={level:.4g} isn't between the scans' least and greatest value, "
            f"{low:.4g} and {high:.4g}"
        )
    return float(level)


def _shift(first: Field, second: Field, by: Any, drift: Any) -> tuple[Array, float]:
    """How far the second is moved, in pixels, and how alike they are then.

    Raises:
        DataError: if what is given is no drift, or no two images of these scans.
    """
    if drift is not None:
        try:
            given = np.array([float(each) for each in drift])
        except (TypeError, ValueError):
            given = np.empty(0)
        if given.shape != (2,) or not np.isfinite(given).all() or by is not None:
            raise DataError(
                f"the drift must be two lengths in {first.unit}, along y and x, without `by`; got "
                f"{drift!r}"
            )
        origin = [b[0] - a[0] for a, b in zip(first.along, second.along, strict=True)]
        return (given - origin) / first.spacing, float("nan")
    pair = (first, second)
    if by is not None:
        if not isinstance(by, tuple | list) or len(by) != 2:
            raise DataError("by must be two images, one of each scan")
        pair = _alike(field_of(by[0], "first image of by"), field_of(by[1], "second image of by"))
        if pair[0].values.shape != first.values.shape:
            raise DataError("the images of by must have as many pixels as the scans")
    return registered(pair[0].values, pair[1].values)


def _wide(change: Array, sides: Array) -> Array:
    """What changed, without what is nowhere as wide as an ellipse of these diameters, in pixels."""
    from scipy.ndimage import binary_erosion, binary_propagation

    radii = np.maximum(sides / 2, 0.5)
    reach = [int(np.floor(each)) for each in radii]
    rows, columns = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    ellipse = (rows / radii[0]) ** 2 + (columns / radii[1]) ** 2 <= 1.0 + 1e-9
    kept = np.where(np.isnan(change), np.nan, 0.0)
    for sign in (-1.0, 1.0):
        own = change == sign
        # At borders, a domain may go on beyond.
        core = binary_erosion(own, ellipse, border_value=1)
        kept[binary_propagation(core, mask=own)] = sign
    return kept


def _labelled(
    field: Field, maps: dict[str, Array], drift: Array, about: dict[str, Any]
) -> xr.Dataset:
    """Maps and the drift, with names and units."""
    names = {
        "switched": "switched to the higher level (1) or to the lower (-1)",
        "before": "whether the first scan is above the level",
        "after": "whether the second scan is above the level",
    }
    found: dict[str, Any] = {
        name: (("y", "x"), values, {"long_name": names[name], "units": "1"})
        for name, values in maps.items()
    }
    told = {"long_name": "drift of the second scan", "units": field.unit}
    found["drift"] = ("axis", drift, told)
    coords = {**field.coords, "axis": np.array(["y", "x"], dtype=object)}
    return xr.Dataset(found, coords, {"title": "what switched between two scans", **about})

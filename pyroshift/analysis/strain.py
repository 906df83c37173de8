"""`strain`: how the lattice is stretched, sheared and turned, from its displacement."""

import math
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.grids import FWHM, check_credible, checked_resolution, with_interval
from pyroshift.analysis.lattice import shortest
from pyroshift.analysis.planes import Grid, Slopes, slopes
from pyroshift.analysis.unwrapping import Array, neighbour_steps
from pyroshift.errors import DataError
from pyroshift.extras import check_installed

COARSEST = 2.0  # windows across the resolution, of which at least so many a slope takes
_NAMES = {
    "exx": ("strain along x", "1"),
    "eyy": ("strain along y", "1"),
    "exy": ("shear strain", "1"),
    "rotation": ("rotation of the lattice, x towards y", "rad"),
}
_SMALL = 1e-6  # change of a gradient, by which derivatives are taken


def strain(
    displaced: xr.Dataset,
    resolution: float | None = None,
    *,
    finite: bool = False,
    credible: float = 0.9,
) -> xr.Dataset:
    """Strain and rotation of the lattice around each window, with their uncertainty.

    Around each window a plane is fitted to the displacement, windows weighted by a Gaussian of
    their distance, each of them in the cell nearest to that plane, so that cuts from dislocation to
    dislocation leave no trace. With du_x/dx and so on for its slopes,

        exx = du_x/dx, eyy = du_y/dy, exy = (du_x/dy + du_y/dx) / 2,
        rotation = (du_y/dx - du_x/dy) / 2.

    A positive rotation turns x towards y. In images, whose y runs down, that is clockwise as
    displayed, and so the opposite of the latent `angle`; where y runs up, it is counter-clockwise.
    A positive exy makes the right angle between x and y smaller.

    Intervals follow from those of the displacement. Windows that overlap share pixels, and with
    them their noise: errors of two windows are correlated by the share of the pixels that both hold
    (for white noise, that is what they are). Where windows scatter more about the field around them
    than they say, as they do where scan lines or atoms are off their places each by itself,
    intervals are as much wider (`excess`, an attribute, of the displacement along y and x).

    Args:
        displaced: from `displacement`.
        resolution: full width at half maximum of the Gaussian, in the image's unit; by default a
            window's longer side, or two and a half steps between windows if that is more. Windows
            are means over themselves besides: a sharp edge is seen as wide as the attribute
            `resolution_with_window` says.
        finite: whether strains and rotations are large. By default they are infinitesimal, as
            above. Else the lattice is taken to be stretched by 1 + exx and so on, symmetric, and
            then turned by `rotation`, exactly; it is then the reference that strains are counted
            in, and the polar decomposition of the inverse of 1 - du/dx, as displacements are those
            of where the lattice is seen.
        credible: probability that an interval holds the truth.

    Returns:
        Over the displacement's y and x: `exx`, `eyy`, `exy` and `rotation` (radians), and with
        `_std`, `_lower` and `_upper` how sure they are. NaN where windows are missing, or there are
        too few around to tell a slope.

    Raises:
        DataError: if that is no displacement from `displacement`, or the resolution is finer than
            the windows.

    Source:
        Hÿtch, Snoeck and Kilaas (1998), equations 39 and 40, for the strains of a phase's gradient.

    Example:
        >>> from pyroshift import displacement
        >>> y, x = np.meshgrid(np.arange(20.0), np.arange(30.0), indexing="ij")
        >>> offset = (np.stack([0.01 * x, 0.02 * x], -1) - np.stack([y, x], -1) + 3) % 6 - 3
        >>> maps = xr.Dataset({"offset": (("y", "x", "axis"), offset)}, {"y": y[:, 0], "x": x[0]})
        >>> maps["offset_std"] = 0.01 + 0 * maps.offset
        >>> found = strain(displacement(maps, [[6, 0], [0, 6]], fixed=True), resolution=6)
        >>> [round(float(found[name].mean()), 9) for name in ("exx", "eyy", "exy", "rotation")]
        [0.02, 0.0, 0.005, 0.005]
    """
    check_installed("scipy", extra="atoms")
    check_credible(credible)
    values, deviation, lattice = _checked(displaced)
    window = np.array(displaced.attrs.get("window_length", (0.0, 0.0)), float)
    spacing = _spacing(displaced)
    unit = str(displaced["displacement"].attrs.get("units", "px"))
    width = _checked_resolution(resolution, window, spacing, unit)
    cell = shortest(lattice)
    steps = neighbour_steps(values, cell)
    found = slopes(values, deviation, steps, Grid(spacing, window, width / FWHM, cell))
    excess = np.maximum(1.0, found.excess)
    parts, errors = _parts(found, excess, finite)
    variables: dict[str, xr.Variable] = {}
    for number, (name, (long_name, units)) in enumerate(_NAMES.items()):
        spread = errors[..., number]
        attrs = {"long_name": long_name, "units": units}
        variables |= with_interval(name, ("y", "x"), parts[..., number], spread, credible, attrs)
    both = math.hypot(width, FWHM * float(np.sqrt((window**2).mean() / 12)))
    about = {
        "title": "strain and rotation of the lattice",
        "credible": credible,
        "finite": int(finite),
        "resolution": width,
        "resolution_with_window": both,
        "resolution_units": unit,
        "excess": excess.tolist(),
        **{name: value for name, value in displaced.attrs.items() if name.startswith("source_")},
    }
    return xr.Dataset(variables, {name: displaced[name].variable for name in "yx"}, about)


def _checked(displaced: Any) -> tuple[Array, Array, Array]:
    """Displacement, its deviation and the lattice.

    Raises:
        DataError: if they aren't there.
    """
    needed = {"displacement", "displacement_std", "lattice_vectors"}
    if not isinstance(displaced, xr.Dataset) or not needed <= set(displaced.data_vars):
        raise DataError("expected a displacement on a grid, from displacement(maps, vectors)")
    plane = ("y", "x", "axis")
    if set(displaced["displacement"].dims) != set(plane):
        raise DataError(
            f"the displacement has the dimensions {displaced['displacement'].dims}, but strain "
            "takes one on a grid over y and x, as from displacement(maps, vectors)"
        )
    if min(displaced.sizes["y"], displaced.sizes["x"]) < 2:
        raise DataError(
            f"the displacement has {displaced.sizes['y']} x {displaced.sizes['x']} windows, from "
            "which no strain can be told"
        )
    values, deviation = (
        displaced[name].transpose(*plane).values.astype(float)
        for name in ("displacement", "displacement_std")
    )
    known = np.isfinite(values).all(-1) & np.isfinite(deviation).all(-1)
    if not known.any():
        raise DataError("the displacement is NaN everywhere")
    values = np.where(known[..., None], values, np.nan)
    return values, deviation, displaced["lattice_vectors"].values.astype(float)


def _spacing(displaced: xr.Dataset) -> Array:
    """From one window to the next along y and x, with its sign."""
    along = [displaced[name].values.astype(float) for name in "yx"]
    return np.array([(each[-1] - each[0]) / (len(each) - 1) for each in along])


def _checked_resolution(resolution: Any, window: Array, spacing: Array, unit: str) -> float:
    """The resolution in the image's unit.

    Raises:
        DataError: if it is no length, or windows are too far apart for it.
    """
    step = float(np.abs(spacing).max())
    if resolution is None:
        return max(float(window.max()), 2.5 * step)
    apart = f"windows that are {step:.4g} {unit} apart"
    remedy = ", or cut windows with a smaller step"
    return checked_resolution(resolution, COARSEST * step, unit, apart, remedy)


def _parts(found: Slopes, excess: Array, finite: bool) -> tuple[Array, Array]:
    """Strains and rotation, and their deviations: height x width x part each."""
    gradient = found.gradient
    covariance = found.covariance * (excess**2)[:, None, None]
    measures = _finite if finite else _infinitesimal
    variance = np.zeros((*gradient.shape[:2], len(_NAMES)))
    for component in range(2):
        moves = []
        for axis in range(2):
            change = np.zeros((2, 2))
            change[component, axis] = _SMALL
            moves.append((measures(gradient + change) - measures(gradient - change)) / 2 / _SMALL)
        jacobian = np.stack(moves, -1)  # ... x part x axis
        told = covariance[..., component, :, :]
        variance += np.einsum("...pa,...ab,...pb->...p", jacobian, told, jacobian)
    return measures(gradient), np.sqrt(np.maximum(variance, 0.0))


def _infinitesimal(gradient: Array) -> Array:
    """The symmetric and the antisymmetric part of gradients, ... x component x axis."""
    (yy, yx), (xy, xx) = (
        (gradient[..., component, 0], gradient[..., component, 1]) for component in range(2)
    )
    return np.stack([xx, yy, (xy + yx) / 2, (yx - xy) / 2], -1)


def _finite(gradient: Array) -> Array:
    """The stretch and the turn that come after each other, from gradients of what is seen where."""
    (yy, yx), (xy, xx) = (
        (gradient[..., component, 0], gradient[..., component, 1]) for component in range(2)
    )
    # What is at X is seen at X + u: dX/dx = 1 - du/dx, of which this is the inverse.
    size = (1 - yy) * (1 - xx) - yx * xy
    fyy, fyx, fxy, fxx = (1 - xx) / size, yx / size, xy / size, (1 - yy) / size
    angle = np.arctan2(fyx - fxy, fyy + fxx)
    cos, sin = np.cos(angle), np.sin(angle)
    # The turn takes x to cos x + sin y, and y to cos y - sin x; its inverse leaves the stretch.
    stretch_xx = cos * fxx + sin * fyx
    stretch_yy = cos * fyy - sin * fxy
    shear = (cos * fyx - sin * fxx + cos * fxy + sin * fyy) / 2
    return np.stack([stretch_xx - 1, stretch_yy - 1, shear, angle], -1)

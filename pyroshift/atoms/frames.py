"""The frames that atoms are looked for in, made alike."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from pyroshift._version import __version__
from pyroshift.analysis.spectrum import Array
from pyroshift.atoms import candidates
from pyroshift.atoms.refine import Fits
from pyroshift.atoms.sublattices import SUBLATTICE, by_amplitude
from pyroshift.data.atoms import ATOM, labelled_atoms
from pyroshift.data.checks import as_image, check_size, check_values, pixel_size, plain_attributes
from pyroshift.data.outliers import mended
from pyroshift.errors import DataError

SMALLEST_SIDE = 16  # pixels
SMALLEST_SEPARATION = 3.0  # pixels
LEAST_KNOWN = 0.5  # share of the pixels
MOST_TOLD = 5  # frames
ROUNDING = 8  # times the precision of the largest grey level
QUANTIZED = 0.6  # steps of the grey levels, that they are off what they were rounded from
FEW = 1000  # values


@dataclass(frozen=True)
class Frame:
    """One frame, in which atoms are bright."""

    values: Array  # without missing pixels and slow background, of standard deviation 1
    background: Array  # what was slow, in grey levels
    unit: float  # the standard deviation, in grey levels
    known: Array
    filtered: candidates.Filtered


def checked(
    image: Any, separation: float | None, threshold: float | None, sublattices: int
) -> tuple[Array, xr.DataArray]:
    """Frames (frame x height x width), and the image with its labels."""
    data = as_image(image)
    check_values(data.values, "the image", missing=True)
    check_size(data.shape, SMALLEST_SIDE, "find atoms in")
    height, width = data.shape[-2:]
    if separation is not None and not SMALLEST_SEPARATION <= separation <= min(height, width) / 2:
        raise DataError(
            f"separation={separation!r} can't be used: give the distance between neighbouring "
            f"atoms in pixels, from {SMALLEST_SEPARATION:g} to half of the image, "
            f"{min(height, width) / 2:g}"
        )
    if threshold is not None and not 0 < threshold < 1:
        raise DataError(
            f"threshold={threshold!r} can't be used: give a share of the strong atoms' height "
            "(with a segmenter, a probability) between 0 and 1"
        )
    if not isinstance(sublattices, int | np.integer) or sublattices < 1:
        raise DataError(f"sublattices={sublattices!r} can't be used: give a number from 1")
    frames = mended(data.values, stacklevel=3).astype(float).reshape(-1, height, width)
    return _without_blank(frames), data


def _without_blank(frames: Array) -> Array:
    """The frames, of which those that can show no atoms are missing as a whole, with a warning.

    Raises:
        DataError: if none can.
    """
    causes = {number: why for number, frame in enumerate(frames) if (why := _blank(frame))}
    told = "; ".join(f"frame {number} {why}" for number, why in list(causes.items())[:MOST_TOLD])
    if len(causes) == len(frames):
        raise DataError(f"no atoms can be found: {told}")
    if causes:
        warnings.warn(
            f"{len(causes)} of {len(frames)} frames are left without atoms: {told}", stacklevel=4
        )
        frames[list(causes)] = np.nan
    return frames


def _blank(frame: Array) -> str:
    """Why a frame can show no atoms; empty if it can."""
    known = np.isfinite(frame)
    if known.mean() < LEAST_KNOWN:
        return "has more than half of its pixels missing (NaN)"
    values = frame[known]
    low, high = values.min(), values.max()
    if low == high:
        return f"is {low:.4g} everywhere"
    single = np.array_equal(values, values.astype(np.float32))
    rounding = ROUNDING * np.finfo(np.float32 if single else float).eps * max(abs(low), abs(high))
    left = np.abs(frame - _quadratic(frame, known))[known].max()
    # Some of the values tell it at once of all images but those that are blank.
    for some in (values[:: len(values) // FEW + 1], values):
        if left > max(QUANTIZED * _step(some), rounding):
            return ""
    return "is a smooth surface with nothing on it"


def _step(values: Array) -> float:
    """The least distance of grey levels, which may be rounded to it; 0 if there are but two."""
    levels = np.unique(values)
    return float(np.diff(levels).min()) if len(levels) > 2 else 0.0


def prepared(values: Array) -> Frame:
    """A frame, in units of its standard deviation, and what it shows above its noise."""
    known = np.isfinite(values)
    if not known.any():
        nothing = np.zeros(values.shape)
        filtered = candidates.Filtered(nothing, np.nan, nothing, nothing)
        return Frame(nothing, nothing, 1.0, known, filtered)
    background = _quadratic(values, known)
    unit = float(np.std((values - background)[known]))
    scaled = (values - background) / unit
    filtered = candidates.without_noise(scaled, known)
    return Frame(_filled(scaled, known), background, unit, known, filtered)


def _quadratic(values: Array, known: Array) -> Array:
    """The quadratic surface through a frame."""
    y, x = (np.linspace(-1, 1, size) for size in values.shape)
    terms = np.stack([np.outer(y**i, x**j) for i in range(3) for j in range(3 - i)], -1)
    return terms @ np.linalg.lstsq(terms[known], values[known])[0]


def _filled(values: Array, known: Array) -> Array:
    """Missing pixels filled by the mean of those around."""
    from scipy.ndimage import gaussian_filter

    if known.all():
        return values
    total = gaussian_filter(np.where(known, values, 0.0), 3)
    weight = gaussian_filter(known.astype(float), 3)
    return np.where(known, values, total / np.maximum(weight, 1e-3))


def labelled(
    data: xr.DataArray,
    frames: Sequence[Frame],
    fits: Sequence[Fits],
    dark: bool,
    sublattices: int,
    separation: float,
) -> xr.Dataset:
    """The atoms as a Dataset, in the image's units and grey levels."""
    grey = str(data.attrs.get("units", "1"))
    columns = []
    for number, (frame, fit) in enumerate(zip(frames, fits, strict=True)):
        scale, sign = frame.unit, -1 if dark else 1
        last = np.array(frame.known.shape) - 1
        pixels = tuple(np.clip(np.rint(fit.position), 0, last).astype(int).T)
        columns.append(
            np.column_stack(
                [
                    np.full(len(fit), number),
                    fit.position,
                    fit.amplitude * scale,
                    fit.width,
                    sign * (fit.background * scale + frame.background[pixels]),
                    fit.position_std,
                ]
            )
        )
    table = np.concatenate(columns)
    sublattice = by_amplitude(table[:, 3], table[:, 1:3], table[:, 0], sublattices)
    lengths = [pixel_size(data, name) for name in data.dims[-2:]]
    (height, unit), (across, unit_x) = lengths
    width = abs(height * across) ** 0.5 if unit == unit_x else 1.0
    variables = {
        "amplitude": _variable(table[:, 3], "depth" if dark else "height", grey),
        "width": _variable(table[:, 4] * width, "standard deviation of the atom's Gaussian", unit),
        "background": _variable(table[:, 5], "grey level around the atom", grey),
        "y_std": _variable(table[:, 6] * abs(height), "standard deviation of y", unit),
        "x_std": _variable(table[:, 7] * abs(across), "standard deviation of x", unit_x),
    }
    atoms = labelled_atoms(data, table[:, :3], variables)
    attrs = {"long_name": "sublattice, the brightest first"}
    atoms = atoms.assign_coords({SUBLATTICE: xr.Variable(ATOM, sublattice, attrs)})
    source = {f"source_{name}": value for name, value in plain_attributes(data.attrs).items()}
    atoms.attrs = {
        "title": "atoms",
        "pyroshift_version": __version__,
        "separation": separation,
        "dark": int(dark),
        **source,
    }
    return atoms


def _variable(values: Array, name: str, units: str) -> xr.Variable:
    return xr.Variable(ATOM, values, {"long_name": name, "units": units})

"""How much of a latent map is the lattice's beating with the grid of windows."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.smoothness import latent_map, map_dims, map_power, scored
from pyroshift.analysis.spectrum import Array, frequencies
from pyroshift.data.checks import check_values
from pyroshift.errors import DataError
from pyroshift.model.sites import OFFSET

SMALLEST_SIDE = 24  # patches; on less, the beats of a lattice take up much of the spectrum
ORDERS = [(1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (0, 2)]  # whose waves a latent may catch
REACH = 2.0  # samples of the spectrum around a beat's frequency that belong to it under a taper
AROUND = 4.5  # samples around it, beyond those, from which the rest at that place is told
SLOWEST = 4.0  # waves across the map; what beats more slowly looks like a physical change


def lattice_leak(
    map: Any, vectors: Any, step: int | Sequence[int] | None = None
) -> float | xr.DataArray:
    """Share of a map's variance that beats with the lattice: 0 if nothing does, 1 if all.

    A latent that has caught where the lattice is in a window, which is the pose's to tell, repeats
    with the lattice, and so beats with the grid on which windows are cut. How fast is known from
    the lattice vectors and the step. So unlike `smoothness` this charges neither for sharp defects
    nor for walls or noise: only for power at these frequencies above what is around them.

    Args:
        map: y x x, at least 24 x 24 patches; or a DataArray with dims "y" and "x" beside others, as
            `encode(...)["z"]`; or the whole Dataset from `encode`, for its z.
        vectors: vector x axis, two that span the lattice, (y, x) in the image's pixels, such as
            `suggest_window(image).vectors`.
        step: pixels between windows, or a pair along y and x; None where the map tells it: by
            coordinates in pixels, or as a Dataset from `encode` with offsets.

    Returns:
        A number from 0 to 1 for a map alone; else one for each latent, in a DataArray over all
        dimensions but y and x. NaN where a map doesn't vary or, as for `smoothness`, the latent has
        collapsed.

    Raises:
        DataError: if that is no map or no lattice, the step isn't known, or the lattice beats so
            slowly with it that no map could tell.

    Example:
        >>> rows, columns = np.indices((40, 40))
        >>> vectors = [[12.0, 0.0], [0.0, 12.0]]
        >>> beating, wall = np.cos(2 * np.pi * 15 * rows / 12), np.tanh((rows - 20) / 2)
        >>> [round(lattice_leak(each, vectors, step=15), 2) for each in (beating, wall)]
        [1.0, 0.0]
    """
    data = latent_map(map)
    plane = map_dims(data)
    shape = tuple(data.sizes[name] for name in plane)
    if min(shape) < SMALLEST_SIDE:
        raise DataError(
            f"a map of {shape[0]} x {shape[1]} patches is too small to tell the lattice from the "
            f"rest: it takes {SMALLEST_SIDE} x {SMALLEST_SIDE}; cut the patches with a smaller "
            "step, or take a larger image"
        )
    check_values(data.values, "the map", missing=True)
    steps = np.array(_steps(map, data, plane) if step is None else _checked_step(step))
    beats = _beats(_checked_vectors(vectors), steps, shape)
    about = "share of the variance that beats with the lattice"
    return scored(map, data, plane, _share, about, "lattice_leak", beats=beats)


def _share(values: Array, beats: Array) -> float:
    """The share for one map, y x x, by the frequencies (beat x axis) in cycles per patch."""
    power = map_power(values)
    if power is None:
        return np.nan
    distance = _distances(values.shape, beats)
    nearest, beating = distance.argmin(0), distance.min(0) < REACH
    excess = 0.0
    for number, away in enumerate(distance):
        here, around = beating & (nearest == number), ~beating & (away < AROUND)
        # Power of what has no order is exponentially distributed, hence the median's factor.
        level = np.median(power[around]) / np.log(2) if around.any() else 0.0
        excess += power[here].sum() - level * here.sum()
    return float(np.clip(excess / power.sum(), 0, 1))


def _distances(shape: tuple[int, ...], beats: Array) -> Array:
    """Of every sample of a spectrum from each frequency or its opposite, in samples."""
    grid = np.stack(np.broadcast_arrays(*frequencies((shape[0], shape[1]))), -1)
    both = np.stack([grid - beats[:, None, None], grid + beats[:, None, None]])
    return np.linalg.norm((both - np.round(both)) * shape, axis=-1).min(0)


def _beats(vectors: Array, steps: Array, shape: tuple[int, ...]) -> Array:
    """Frequencies with which a lattice beats, in cycles per patch: beat x axis.

    Raises:
        DataError: if they are all so slow that no map could tell.
    """
    frequency = np.array(ORDERS) @ np.linalg.inv(vectors).T * steps
    frequency -= np.round(frequency)
    told = np.linalg.norm(frequency * shape, axis=1) > SLOWEST
    if not told.any():
        y, x = (f"{each:g}" for each in steps)
        raise DataError(
            f"windows {y} x {x} pixels apart move on by nearly whole unit cells, so that the "
            "lattice beats as slowly as anything physical: cut them with another step"
        )
    return frequency[told]


def _steps(map: Any, data: xr.DataArray, plane: Sequence[Hashable]) -> list[float]:
    """Pixels between the windows along y and x, by the map's coordinates.

    Raises:
        DataError: if these don't tell.
    """
    offset = map.get(OFFSET) if isinstance(map, xr.Dataset) else None
    size = np.broadcast_to(getattr(offset, "attrs", {}).get("pixel_size", np.nan), 2)
    steps = []
    for name, pixel in zip(plane, size, strict=True):
        known = name in data.coords and data.sizes[name] > 1
        pixel = 1.0 if known and data[name].attrs.get("units") == "px" else pixel
        if not known or not np.isfinite(pixel):
            raise DataError(
                f"the map doesn't tell how many pixels its patches are apart along {name}: give "
                "step=..., in pixels, as extract_patches had it"
            )
        steps.append(abs(float(np.diff(data[name].values).mean() / pixel)))
    return steps


def _checked_step(step: Any) -> tuple[float, float]:
    try:
        y, x = (float(each) for each in np.broadcast_to(step, 2))
    except (TypeError, ValueError):
        y = x = np.nan
    if not (0 < y < np.inf and 0 < x < np.inf):
        raise DataError(f"step={step!r} can't be used: give a number of pixels, or a pair (y, x)")
    return y, x


def _checked_vectors(vectors: Any) -> Array:
    try:
        cell = np.asarray(vectors, float)
    except (TypeError, ValueError):
        cell = np.empty(0)
    if cell.shape != (2, 2) or not np.isfinite(cell).all() or np.linalg.det(cell) == 0:
        raise DataError(
            f"vectors={vectors!r} span no lattice: give two that aren't parallel, (y, x) in "
            "pixels, such as suggest_window(image).vectors"
        )
    return cell

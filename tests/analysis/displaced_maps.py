"""Maps of offsets as `encode` gives them, of a lattice whose displacement is known."""

import numpy as np
import xarray as xr

from pyroshift.analysis.unwrapping import nearest_cell

SQUARE = 10 * np.eye(2)
HEXAGONAL = 10 * np.array([[0.0, 1.0], [np.sqrt(3) / 2, 0.5]])


def places(shape, step=4.0, pixel=(1.0, 1.0)):
    """Centres of windows, height x width x axis."""
    along = [size * step * np.arange(count) for count, size in zip(shape, pixel, strict=True)]
    return np.stack(np.meshgrid(*along, indexing="ij"), -1)


def maps_of(field, vectors=SQUARE, *, step=4.0, pixel=(1.0, 1.0), std=0.1, units="px", window=20):
    """Maps of windows that show a lattice displaced by a field, height x width x axis.

    Everything is in units but vectors, window and step, which are in pixels.
    """
    centres = places(field.shape[:2], step, pixel)
    start = np.array([1.3, -2.1]) * pixel
    offset = nearest_cell(start + field - centres, np.array(vectors) * pixel)
    lengths = {"units": units}
    return xr.Dataset(
        {
            "offset": (("y", "x", "axis"), offset, {**lengths, "pixel_size": list(pixel)}),
            "offset_std": (("y", "x", "axis"), np.full(offset.shape, std), lengths),
        },
        {
            "y": ("y", centres[:, 0, 0], lengths),
            "x": ("x", centres[0, :, 1], lengths),
            "axis": ["y", "x"],
        },
        {"window": [window, window]},
    )


def affine(gradient, centres):
    """A displacement with the same gradient, component x axis, everywhere."""
    return centres @ np.transpose(gradient)


def dislocation_pair(centres, cores, length):
    """Grows by a length along x around one core, and by as much less around the other."""
    angles = [np.arctan2(*np.moveaxis(centres - core, -1, 0)) for core in cores]
    along = length * (angles[0] - angles[1]) / (2 * np.pi)
    return np.stack([np.zeros_like(along), along], -1)


def overlapping_errors(shape, step, window, std, rng):
    """Errors that come from white noise of the pixels, which overlapping windows share."""
    height, width = (step * (count - 1) + window for count in shape)
    noise = rng.normal(size=(2, height, width))
    total = np.pad(noise.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    top, left = (step * np.arange(count) for count in shape)
    below, right = top + window, left + window
    sums = (
        total[:, below[:, None], right]
        - total[:, top[:, None], right]
        - total[:, below[:, None], left]
        + total[:, top[:, None], left]
    )
    return np.moveaxis(sums, 0, -1) * std / window

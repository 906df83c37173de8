"""Images with labelled atoms, as training data for the segmenting network."""

from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.nn import functional

from pyroshift.atoms.candidates import nearest_distance
from pyroshift.data.atoms import pixel_positions
from pyroshift.data.checks import as_image, check_values
from pyroshift.errors import DataError
from pyroshift.extras import check_installed
from pyroshift.segmentation.scaling import SPACING, discs, prepared


class Labelled:
    """Random pieces of labelled images, turned by quarters and mirrored.

    Args:
        images: height x width, or frame x height x width.
        atoms: all atoms in them: a Dataset, or positions in pixels, `atom x 2` or `atom x 3`.
        dark: whether the atoms are darker than what is around them.

    Raises:
        DataError: if the images or the atoms can't be used, or no frame has two atoms.

    Example:
        >>> from pyroshift import synthetic
        >>> seen = synthetic.micrograph((60, 80), period=8)
        >>> pieces = Labelled(seen["image"], seen["atoms"].values)
        >>> image, target = pieces.draw(np.random.default_rng(0), 32)
        >>> image.shape, float(target.max())
        (torch.Size([32, 32]), 1.0)
    """

    def __init__(self, images: Any, atoms: Any, *, dark: bool = False) -> None:
        check_installed("scipy", extra="atoms")
        data = as_image(images)
        values = check_values(data.values, "the image", missing=True)
        frames = values.reshape(-1, *values.shape[-2:])
        positions = _positions(atoms, data)
        separation = _separation(positions)
        self.pairs = []
        for number in np.unique(positions[:, 0]).astype(int):  # a frame without atoms has no labels
            if not 0 <= number < len(frames):
                raise DataError(f"there are atoms in frame {number}, but {len(frames)} frames")
            frame = -frames[number] if dark else frames[number]
            image = prepared(frame, separation, SPACING)
            here = positions[positions[:, 0] == number, 1:]
            zoom = np.array(image.shape) / frame.shape
            self.pairs.append((image, discs((here + 0.5) * zoom - 0.5, image.shape)))

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """A piece of one of the images, and the discs around its atoms."""
        pair = torch.stack(self.pairs[rng.integers(len(self.pairs))])
        height, width = (max(0, size - extent) for extent in pair.shape[1:])
        pair = functional.pad(pair, (0, width, 0, height))
        top, left = (rng.integers(extent - size + 1) for extent in pair.shape[1:])
        pair = torch.rot90(
            pair[:, top : top + size, left : left + size], int(rng.integers(4)), (1, 2)
        )
        image, target = pair.flip(1) if rng.uniform() < 0.5 else pair
        return image, target


def _positions(atoms: Any, image: xr.DataArray) -> np.ndarray:
    """Positions of atoms in pixels, `atom x 3`."""
    if isinstance(atoms, xr.Dataset) or (isinstance(atoms, xr.DataArray) and "y" in atoms.coords):
        return pixel_positions(atoms, image)
    positions = np.asarray(atoms, dtype=float)
    if positions.ndim != 2 or positions.shape[1] not in (2, 3) or not len(positions):
        raise DataError(
            "atoms must be a Dataset as find_atoms gives it, or positions in pixels, `atom x 2` "
            f"(y, x) or `atom x 3` (frame, y, x); these have shape {positions.shape}"
        )
    if positions.shape[1] == 2 and image.ndim > 2:
        raise DataError(
            f"positions in {image.shape[0]} frames must say which: `atom x 3` (frame, y, x)"
        )
    if not np.isfinite(positions).all():
        raise DataError("positions of atoms must be finite numbers")
    return positions if positions.shape[1] == 3 else np.insert(positions, 0, 0, axis=1)


def _separation(positions: np.ndarray) -> float:
    """Median distance of atoms (atom x 3) from their nearest neighbours, mean over the frames."""
    frames = [positions[positions[:, 0] == number, 1:] for number in np.unique(positions[:, 0])]
    separation = float(np.mean([nearest_distance(frame) for frame in frames]))
    if not 1 <= separation < np.inf:
        raise DataError(
            f"neighbouring atoms are {separation:g} pixels apart: give all atoms, in pixels"
        )
    return separation

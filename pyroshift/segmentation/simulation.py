"""What the segmenting network is trained on: simulated micrographs, or labelled images."""

import math
from typing import Protocol

import numpy as np
import xarray as xr
from torch import Tensor

from pyroshift.data.synthetic import micrograph
from pyroshift.segmentation.scaling import SPACING, discs, prepared

NARROWEST, WIDEST = 5.2, 13.6  # pixels between neighbours: SPACING, and the mistakes made in it
# Spacing of neighbours in periods, with 1, 2, ... sublattices.
_SPACINGS = {
    "square": (1.0, math.sqrt(1 / 2), 1 / 2),
    "hexagonal": (1.0, math.sqrt(1 / 3)),
    "honeycomb": (math.sqrt(1 / 3),),
}


class Source(Protocol):
    """Where training images come from."""

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """An image and its target, both `size x size`."""


class Simulated:
    """Micrographs of lattices of all kinds, freshly drawn.

    Example:
        >>> image, target = Simulated().draw(np.random.default_rng(0), 64)
        >>> image.shape, target.shape
        (torch.Size([64, 64]), torch.Size([64, 64]))
    """

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        """A simulated image, and the discs around its atoms."""
        seen = random_micrograph(rng, size)
        image = prepared(seen["image"].values, SPACING, SPACING)
        return image, discs(seen["atoms"].values, (size, size))


def random_micrograph(rng: np.random.Generator, size: int) -> xr.Dataset:
    """A simulated micrograph with settings drawn at random.

    Neighbours are 5.2 to 13.6 pixels apart, atoms' standard deviation is 0.13 to 0.32 of that; one
    to three sublattices of any brightness from 0.25, at any rotation; a second grain in three
    images of ten, an edge in two, up to 15% of vacancies in five; one in twenty-five is empty. To
    these come drift, jitter, uneven light, backgrounds, counting, and white or correlated noise.
    Its amount is drawn by what it leaves of an atom: the signal-to-noise ratio after a matched
    filter is 2 to 40, where that of a pixel at the peak, in white noise, is 0.56 / width as large.

    Args:
        rng: of the random numbers.
        size: height and width in pixels.

    Returns:
        What `micrograph` gives.

    Example:
        >>> random_micrograph(np.random.default_rng(0), 96)["image"].shape
        (96, 96)
    """

    def some(share: float, low: float, high: float) -> float:
        return rng.uniform(low, high) if rng.uniform() < share else 0.0

    kind = rng.choice(list(_SPACINGS), p=(0.45, 0.3, 0.25))
    sublattices = 1 if rng.uniform() < 0.4 else int(rng.integers(1, len(_SPACINGS[kind]) + 1))
    spacing = math.exp(rng.uniform(math.log(NARROWEST), math.log(WIDEST)))
    width = max(0.7, spacing * rng.uniform(0.13, 0.32))
    correlation = some(0.4, 0.3, 1.5)
    filtered = math.exp(rng.uniform(math.log(2), math.log(40)))
    white = math.sqrt(math.pi) * width / filtered  # standard deviation, if it isn't correlated
    return micrograph(
        (size, size),
        kind,
        spacing / _SPACINGS[kind][sublattices - 1],
        width,
        brightness=[1.0, *rng.uniform(0.25, 1.0, sublattices - 1)],
        rotation=rng.uniform(-math.pi, math.pi),
        misorientation=some(0.3, 0.1, 0.6),
        coverage=1 - some(0.2, 0.0, 0.8) if rng.uniform() > 0.04 else 0.0,
        vacancies=some(0.5, 0.0, 0.15),
        displacement=spacing * rng.uniform(0, 0.05),
        drift=rng.uniform(0, 0.03) * size,
        jitter=some(0.4, 0.0, 0.06) * spacing,
        illumination=rng.uniform(0, 0.6),
        background=some(0.5, 0.0, 1.0),
        dose=None if rng.uniform() < 0.7 else math.exp(rng.uniform(math.log(2), math.log(100))),
        noise=white / math.sqrt(1 + 4 * math.pi * correlation**2),
        correlation=correlation,
        seed=int(rng.integers(2**31)),
    )

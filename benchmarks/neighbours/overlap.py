"""Windows that overlap, of a lattice whose order parameter is known: how sure may one be?"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from pyro import poutine

from benchmarks.common.metrics import Array
from pyroshift import Patches, ShiftVAE, extract_patches
from pyroshift.model.batch import gathered
from pyroshift.priors.matern import matern
from pyroshift.training.elbo import sample_sites

WINDOW, STEP, EXTENT = 24, 8, 240  # pixels
PERIOD, LENGTH = 9.7, 60.0  # of the lattice, and over which its order stays alike, pixels
AREA = 4  # windows along each side of an area whose mean is asked for
REACH = 1.6449  # standard deviations to either side that hold 90% of a Normal
DRAWS = 100


@dataclass(frozen=True)
class Scene:
    """An image, and what is true of each of its windows.

    Args:
        image: `height x width`.
        order: mean order parameter of the cells in each window, `row x column`.
        phase: where the lattice lies in each window, `row x column x 2`, pixels modulo the period.
    """

    image: Array
    order: Array
    phase: Array

    def patches(self, overlap: str | None) -> Patches:
        """Its windows."""
        return extract_patches(self.image, WINDOW, STEP, normalize="image", overlap=overlap)


def scene(noise: float, seed: int) -> Scene:
    """A square lattice of two kinds of spots, one as bright as a smooth field says, in noise."""
    rng = np.random.default_rng(seed)
    along = PERIOD * (np.arange(EXTENT / PERIOD + 2) - 1)
    cells = np.stack(np.meshgrid(along, along, indexing="ij"), -1).reshape(-1, 2)
    distance = np.linalg.norm(cells[:, None] - cells, axis=-1) / LENGTH
    correlation = matern(torch.from_numpy(distance), 1.5).numpy() + 1e-9 * np.eye(len(cells))
    order = np.linalg.cholesky(correlation) @ rng.standard_normal(len(cells))
    pixels = np.arange(EXTENT)
    image = np.zeros((EXTENT, EXTENT))
    for (y, x), own in zip(cells, order, strict=True):
        for shift, height in ((0.0, 1.0), (PERIOD / 2, 0.5 + 0.2 * own)):
            down, across = (np.exp(-((pixels - at - shift) ** 2) / 6) for at in (y, x))
            image += height * np.outer(down, across)
    starts = np.arange(0, EXTENT - WINDOW + 1, STEP)
    inside = (cells[:, None, :] + PERIOD / 2 - starts[:, None] >= 0) & (
        cells[:, None, :] + PERIOD / 2 - starts[:, None] < WINDOW
    )
    held = inside[:, :, None, 0] & inside[:, None, :, 1]
    mean = (held * order[:, None, None]).sum(0) / held.sum(0)
    centres = starts + (WINDOW - 1) / 2
    phase = np.stack(np.meshgrid(-centres, -centres, indexing="ij"), -1)
    return Scene(image + noise * rng.standard_normal(image.shape), mean, phase)


def coverage(seen: Scene, maps: xr.Dataset, model: ShiftVAE, patches: Patches) -> dict[str, float]:
    """Errors, widths, and how many intervals of 90% hold the truth: of z, of offsets, of areas."""
    z, width = maps.z.values[..., 0], maps.z_std.values[..., 0]
    slope, start = np.polyfit(z.ravel(), seen.order.ravel(), 1)
    error = start + slope * z - seen.order
    off = modulo(maps.offset.values - seen.phase)
    of_areas = areas(error)
    draws = abs(slope) * drawn(model, patches).reshape(-1, *z.shape)
    width_of_areas = np.stack([areas(one) for one in draws]).std(0)
    return {
        "error of z": float(error.std()),
        "width of z": float(abs(slope) * width.mean()),
        "coverage of z": covered(error, abs(slope) * width),
        "coverage of areas": covered(of_areas, width_of_areas),
        "error of offsets": float(off.std()),
        "width of offsets": float(maps.offset_std.mean()),
        "coverage of offsets": covered(off, maps.offset_std.values),
    }


def covered(error: Array, width: Array) -> float:
    """Share of intervals that hold the truth."""
    return float((np.abs(error) < REACH * width).mean())


@torch.no_grad()
def drawn(model: ShiftVAE, patches: Patches) -> Array:
    """Latents of all windows together, drawn from their posterior, `draw x patch`."""
    known = model.with_needs(patches)
    batch = gathered(known, torch.arange(len(known)))
    torch.manual_seed(0)
    draws = []
    for _ in range(DRAWS):
        trace = poutine.trace(model.sample_guide).get_trace(batch)
        draws.append(sample_sites(trace)["z"]["value"][:, 0].numpy())
    return np.stack(draws)


def modulo(difference: Array) -> Array:
    """Differences of phases, nearest to 0, less their mean, pixels."""
    turn = np.exp(2j * np.pi * difference / PERIOD)
    turn = turn / turn.mean((0, 1))
    return np.asarray(PERIOD * np.angle(turn) / (2 * np.pi))


def areas(values: Array) -> Array:
    """Means over areas side by side."""
    rows, columns = (size // AREA * AREA for size in values.shape)
    cut = values[:rows, :columns].reshape(rows // AREA, AREA, columns // AREA, AREA)
    return np.asarray(cut.mean((1, 3)))

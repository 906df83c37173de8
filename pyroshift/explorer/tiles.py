"""A grid of decoded motifs over all latents, between which a page interpolates."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from pyroshift.maps.decode import content_prior, decode
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import robust_limits

_MOST_TILES = 2048
_MOST_PIXELS = 3_000_000
_FINEST = (11, 11, 5)  # tiles along the first, the second, and every other latent
_REACH = 2.0  # standard deviations of the prior that are shown in any case


@dataclass(frozen=True)
class Tiles:
    """Decoded motifs.

    Args:
        latents: which latents vary, by their index; the others are at `centre`.
        axes: the values of each of these.
        centre: of every latent.
        values: `kind x ... x channel x window`, one axis for each latent that varies.
    """

    latents: list[int]
    axes: list[np.ndarray]
    centre: np.ndarray
    values: np.ndarray


def tiles_of(model: PoseVAE, z: np.ndarray) -> Tiles:
    """Motifs over a grid as fine as a page has room for, pose apart.

    Args:
        model: a trained model.
        z: `place x latent`, NaN where there is none; what the grid has to cover.
    """
    mean, width = content_prior(model)
    sizes = _sizes(len(mean), _MOST_TILES // max(model.classes, 1), int(np.prod(model.shape)))
    spread = np.nanstd(z, axis=0) / width if np.isfinite(z).any() else width
    latents = sorted(np.argsort(-spread, kind="stable")[: len(sizes)].tolist())
    axes = [
        _range(z[:, n], mean[n], width[n], size) for n, size in zip(latents, sizes, strict=True)
    ]
    grid = np.tile(mean.astype(np.float32), (*sizes, 1))
    for number, values in zip(latents, np.meshgrid(*axes, indexing="ij"), strict=True):
        grid[..., number] = values
    kinds = range(model.classes) if model.classes else [None]
    channels = (1,) * (not model.channels)
    drawn = np.stack([decode(model, grid, kind=kind).values for kind in kinds])
    shape = (len(drawn), *sizes, *channels, *model.shape)
    return Tiles(latents, axes, mean, drawn.reshape(shape))


def _sizes(latents: int, most: int, pixels: int) -> list[int]:
    """How many tiles along each latent; fewer latents than there are, where these are many.

    Example:
        >>> _sizes(2, 2048, 1024), _sizes(4, 2048, 1024), len(_sizes(20, 2048, 1024))
        ([11, 11], [9, 9, 5, 5], 6)
    """
    room = max(min(most, _MOST_PIXELS // pixels), 2)
    sizes: list[int] = []
    while len(sizes) < latents and np.prod([*sizes, 3]) <= max(room, 9):
        sizes.append(3)
    grown = True
    while grown:
        grown = False
        for axis in range(len(sizes)):
            finer = [*sizes[:axis], sizes[axis] + 2, *sizes[axis + 1 :]]
            if finer[axis] <= _FINEST[min(axis, 2)] and np.prod(finer) <= room:
                sizes, grown = finer, True
    return sizes


def _range(values: np.ndarray, mean: float, width: float, size: int) -> np.ndarray:
    """Evenly spaced values that cover the prior's bulk, and all but a few of what was found."""
    low, high = mean - _REACH * width, mean + _REACH * width
    if np.isfinite(values).any():
        found = robust_limits(values)
        low, high = min(low, found[0]), max(high, found[1])
    return np.linspace(low, high, size).astype(np.float32)


def latents_of(model: PoseVAE, maps: xr.Dataset, dims: tuple[str, ...]) -> np.ndarray:
    """Latents of every place, `place x latent`, those of all Content sites side by side."""
    parts = [maps[site.name].transpose(*dims, ...).values for site in model.contents]
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts], 1)

"""Which patches an epoch shows, batch by batch: in random order, or neighbours together."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pyroshift.model.batch import known_of
from pyroshift.model.pair import PoseVAE

_FAR = 1e3  # extents of an image, by which others are apart from it
_LABELLED_FIRST = 2  # epochs of patches whose kind is known, before those of all


class Batches:
    """The batches of each epoch, by torch's random state.

    Args:
        model: whose sites may say that batches are to be of neighbours, or have labels.
        patches: the data.
        training: indices of the patches to train on.
        size: largest number of patches in a batch.
    """

    def __init__(self, model: PoseVAE, patches: Any, training: Tensor, size: int) -> None:
        self.training, self.size = training, size
        known = {name: values.cpu() for name, values in known_of(patches, training).items()}
        told = [~known[site.label].isnan() for site in model.discrete if site.label in known]
        self.labelled = training[torch.stack(told).any(0)] if told else training[:0]
        self.places = _places(model, known)

    def __len__(self) -> int:
        """How many there are in each epoch."""
        if self.places is None:
            return math.ceil(len(self.training) / self.size)
        return tile_count(len(self.training), self.size)

    def of(self, epoch: int) -> Sequence[Tensor]:
        """Indices of the patches of each batch.

        The first epochs show those whose kind is known alone, where that is so of some: what each
        class looks like, they can't say any more once all others have agreed on something else.

        Args:
            epoch: number of the epoch, from 0.
        """
        count = len(self.training)
        if epoch < _LABELLED_FIRST and 0 < len(self.labelled) < count:
            again = torch.randint(len(self.labelled), (count,))
            return self.labelled[again].split(self.size)
        if self.places is not None:
            return [self.training[tile] for tile in tiles(self.places, self.size)]
        return self.training[torch.randperm(count)].split(self.size)


def in_order(model: PoseVAE, patches: Any, size: int) -> Iterator[tuple[Tensor, int]]:
    """Batches of all patches: one after the other, or where sites ask for it neighbours together.

    Neighbours come with those around them, so that maps have no seams where two batches meet.

    Args:
        model: whose sites may ask for it.
        patches: the data.
        size: largest number of patches in a batch, without those around them, which are as many.

    Yields:
        Indices of patches, and how many of these, from the first, the batch is for.
    """
    every = torch.arange(len(patches))
    places = _places(model, known_of(patches, every))
    if places is None:
        yield from ((index, len(index)) for index in every.split(size))
        return
    for tile in tiles(places, size):
        yield surrounded(places, tile, size), len(tile)


def surrounded(places: Tensor, tile: Tensor, most: int) -> Tensor:
    """A tile, and after it the places nearest to it.

    Args:
        places: `place x axis`.
        tile: numbers of some places.
        most: how many are added, if there are as many.

    Example:
        >>> surrounded(torch.arange(8.0).unsqueeze(1), torch.tensor([3, 4]), 2)
        tensor([3, 4, 2, 5])
    """
    own = places[tile]
    low, high = own.amin(0), own.amax(0)
    outside = torch.maximum(low - places, places - high).amax(-1)
    outside[tile] = torch.inf  # not those of the tile once more
    # Of those about the tile's box, which is turned, as many as may be nearest.
    about = outside.argsort(stable=True)[: 4 * most + len(tile)]
    about = about[outside[about] < torch.inf]
    nearest = torch.cdist(places[about], own).amin(1)
    return torch.cat([tile, about[nearest.argsort(stable=True)[:most]]])


def _places(model: PoseVAE, known: Mapping[str, Tensor]) -> Tensor | None:
    """Where windows are, `window x axis`, if sites ask for batches of neighbours.

    Those that have nothing to do with each other, as of different frames, are far apart along an
    axis more.
    """
    site = next((site for site in model.given_sites if site.tiled_by), None)
    if site is None:
        return None
    places = torch.stack([known[name].cpu() for name in site.tiled_by], -1)
    groups = [known[name].cpu() for name in site.tiled_apart if name in known]
    if not groups:
        return places
    _, group = torch.unique(torch.stack(groups, -1), dim=0, return_inverse=True)
    if not bool(group.any()):
        return places
    far = _FAR * (places.amax(0) - places.amin(0)).norm().clamp(min=1.0)
    return torch.cat([places.double(), far.double() * group.double().unsqueeze(-1)], -1)


def tile_count(count: int, size: int) -> int:
    """How many tiles there are of so many places, of at most so many each.

    Example:
        >>> tile_count(100, 64), tile_count(10, 64)
        (2, 1)
    """
    return 2 ** max(math.ceil(math.log2(count / size)), 0)


def tiles(places: Tensor, size: int) -> list[Tensor]:
    """Places cut into tiles of neighbours, of nearly equal number, in random order.

    Cut in two again and again, across the longer side, in axes that are turned at random, so that
    other neighbours are apart each time. Torch's random state sets which.

    Args:
        places: `place x axis`.
        size: largest number of places in a tile.

    Returns:
        Numbers of the places in each tile.

    Example:
        >>> grid = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0))
        >>> [len(tile) for tile in tiles(grid, 16)]
        [16, 16, 16, 16]
    """
    turn = torch.linalg.qr(torch.randn(places.shape[-1], places.shape[-1], dtype=places.dtype)).Q
    turned = places.cpu() @ turn
    found = [torch.randperm(len(places))]
    for _ in range(int(math.log2(tile_count(len(places), size)))):
        found = [half for tile in found for half in _halves(turned, tile)]
    return [found[number] for number in torch.randperm(len(found))]


def _halves(places: Tensor, tile: Tensor) -> tuple[Tensor, Tensor]:
    """A tile cut in two of as many places, across its longer side."""
    own = places[tile]
    longer = (own.amax(0) - own.amin(0)).argmax()
    order = own[:, longer].argsort()
    middle = len(tile) // 2
    return tile[order[:middle]], tile[order[middle:]]

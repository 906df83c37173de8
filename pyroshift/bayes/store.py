"""Draws in a Zarr store, part by part, so that memory needn't hold them and a stop costs a part."""

import itertools
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from pyroshift.bayes.parts import Part
from pyroshift.bayes.tree import Groups, InMemory, Labels
from pyroshift.data.blocks import digest
from pyroshift.data.files import naming
from pyroshift.data.patches import Patches
from pyroshift.extras import check_installed
from pyroshift.maps.unfinished import UnfinishedStore
from pyroshift.model.batch import power_of
from pyroshift.model.pair import PoseVAE

_GATHERED = 4096  # windows at a time


class InStore(InMemory):
    """A tree that is written part by part to a Zarr store, going on with one that was begun.

    Args:
        labels: of the values.
        attrs: of the group that tells how far to trust the draws.
        path: of the store.
        overwrite: whether one that is there may be replaced.

    Raises:
        FileExistsError: if there is something that may not be replaced.
        ImportError: if the extra `big` isn't installed.
    """

    def __init__(
        self, labels: Labels, attrs: dict[str, Any], path: str | Path, overwrite: bool
    ) -> None:
        super().__init__(labels, attrs)
        check_installed("dask", "zarr", extra="big", what="posterior with a path")
        self.path, self.done = Path(path), 0
        self._store = UnfinishedStore(self.path, "draws")
        self._begun = self._store.state(overwrite)
        self._settings: dict[str, Any] = {}

    def begin(self, settings: Mapping[str, Any]) -> int:
        """Go on with what was begun by the same settings, or begin.

        Args:
            settings: that draws depend on.

        Returns:
            How many parts are done.

        Raises:
            FileExistsError: if it was begun by others.
        """
        self._settings = dict(settings)
        if self._begun is not None:
            self._store.check_same(settings, self._begun["settings"])
            self.done = self._begun["done"]
        return self.done

    def add(self, groups: Groups, part: Part) -> None:
        """Write a part where it belongs, and that it is done."""
        datasets = self.labels.datasets(groups, part)
        again = "make space, and call it again to go on with the parts that are left"
        with _without_notice(), naming(self.path, again):
            if not self.done:
                self._create(datasets, groups)
            for group, dataset in datasets.items():
                dataset.to_zarr(self.path, group=group, region=part.region, consolidated=False)
            self.done += 1
            self._note()

    def finish(self) -> xr.DataTree:
        """The tree, opened and not read yet."""
        import zarr

        with _without_notice():
            zarr.consolidate_metadata(self.path)
            self._store.finish()  # last: what bears no mark is whole
            return xr.open_datatree(self.path, engine="zarr", chunks={})

    def unfinished(self) -> xr.DataTree:
        """The tree as far as it is, opened and not read yet."""
        return xr.open_datatree(self.path, engine="zarr", chunks={}, consolidated=False)

    def _create(self, datasets: Mapping[str, xr.Dataset], groups: Groups) -> None:
        """Write coordinates and attributes of all groups, and no values yet."""
        xr.Dataset(attrs=self.labels.attrs).to_zarr(self.path, mode="w", consolidated=False)
        self._note()  # first: what is left by a crash is begun anew
        for group, dataset in datasets.items():
            whole = self.empty(group, dataset, groups[group])
            whole.to_zarr(self.path, group=group, compute=False, consolidated=False)

    def _note(self) -> None:
        """Write down how far it is."""
        self._store.note({"done": self.done, "settings": self._settings})

    def filled(self, shape: list[int], part: xr.Variable) -> Any:
        """NaN everywhere, which takes no memory."""
        import dask.array

        return dask.array.full(shape, float("nan"), dtype="float32", chunks=part.shape)


def identity(model: PoseVAE, labels: Labels, patches: Patches) -> dict[str, Any]:
    """What tells a model and patches from others, short enough to be kept with draws of them.

    Args:
        model: whose draws.
        labels: of these.
        patches: of which.
    """
    every = torch.arange(len(patches)).split(_GATHERED)
    windows = (patches.gather(index).cpu().numpy() for index in every)
    known = (values.cpu().numpy() for values in patches.known.values())
    coords = (variable.values.astype(str) for variable in patches.coords.values())
    about = [*map(int, patches.layout.values()), *patches.known, power_of(patches)]
    return {
        "model": labels.attrs["configuration"],
        "weights": digest(value.cpu().numpy() for value in model.state_dict().values()),
        "patches": [*about, digest(itertools.chain(windows, known, coords, [patches.positions]))],
    }


@contextmanager
def _without_notice() -> Iterator[None]:
    """Zarr warns that others may not know consolidated metadata; without, xarray when opening."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata is")
        yield

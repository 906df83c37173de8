"""Maps of images that no memory holds: `encode_image` goes block by block into a Zarr store.

A block is some rows of windows over the whole width. Its part of the image is read, cut, encoded
and written before the next, so that the memory needed is that of one block.
"""

import contextlib
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from pyroshift.data.atoms import FRAME
from pyroshift.data.blocks import Blocks, Region, digest, plan_blocks
from pyroshift.data.files import naming
from pyroshift.errors import MissingPixelsError
from pyroshift.extras import check_installed
from pyroshift.maps.encode import encode
from pyroshift.maps.labels import COLLAPSED, collapsed_latents
from pyroshift.maps.unfinished import UnfinishedStore
from pyroshift.model.pair import PoseVAE
from pyroshift.model.sites import CONTENT


def encode_image(
    model: PoseVAE,
    image: Any,
    path: str | Path,
    *,
    step: int | Sequence[int] | None = None,
    normalize: str | Sequence[float] | None = "patch",
    min_valid: float = 0.5,
    overlap: str | None = None,
    rows: int | None = None,
    batch_size: int = 512,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> xr.Dataset:
    """Maps of an image of any size, as `encode` gives them, written block by block to a Zarr store.

    Ctrl-C stops it and keeps the blocks that are written; called again with the same arguments, it
    goes on where it was. Needs the extra `big`.

    Args:
        model: a trained model, whose window is taken.
        image: `height x width` or `frame x height x width`: a DataArray, also one of Dask arrays,
            any array that reads only what is asked for, such as a memory map or a Zarr array, or
            what else `extract_patches` takes, channels included.
        path: the store to write, a folder such as `maps.zarr`.
        step: pixels between windows along y and x; by default half of the window.
        normalize: as for `extract_patches`; with "image" or percentiles, all of it is read once
            more, for its range.
        min_valid: as for `extract_patches`.
        overlap: likewise.
        rows: rows of windows in a block, which is also how the store is chunked; by default so
            many that a block has about 250,000 windows.
        batch_size: patches per batch.
        seed: seed of the posterior samples that `elbo` is estimated from.
        overwrite: whether a store that exists may be replaced.
        progress: whether to show a progress bar.

    Returns:
        The maps, opened lazily from the store. Where it was interrupted, they are NaN.

    Raises:
        DataError: if the image doesn't fit the model, or its windows make no sense.
        FileExistsError: if the path holds anything but an unfinished run of the same settings.
        ImportError: if the extra isn't installed.
        OSError: if there is no space; what is written stays, and the same call goes on with it.

    Example:
        >>> import tempfile
        >>> from pyroshift import ShiftVAE
        >>> image = np.random.default_rng(0).random((64, 80))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "maps.zarr"
        ...     maps = encode_image(ShiftVAE(16), image, path, progress=False)
        ...     dict(maps.elbo.sizes)
        {'y': 7, 'x': 9}
    """
    check_installed("dask", "zarr", extra="big", what="encode_image")
    store = _Store(Path(path), "maps")
    state = store.state(overwrite)
    plan = plan_blocks(model.window, image, step, normalize, rows, min_valid, overlap)
    # The first window of the first block is encoded before anything is written: it tells what maps
    # there will be, and that the image suits the model.
    regions = list(plan.regions())
    first = plan.pixels(regions[0])
    template = _template(plan, encode(model, plan.sample(first), batch_size, seed=seed))
    settings = {**plan.settings(first), "batch_size": int(batch_size), "seed": int(seed)}
    settings["model"] = template.attrs["configuration"]
    settings["weights"] = digest(value.cpu().numpy() for value in model.state_dict().values())
    if state is None:
        state = {"done": 0, "missing": 0, "settings": settings}
        with naming(store.path, "what was begun is removed"):
            store.create(template, state)
    else:
        store.check_same(settings, state["settings"])
    with (
        warnings.catch_warnings(),
        naming(store.path, "make space, and call it again to go on with the blocks that are left"),
        tqdm(total=len(regions), initial=state["done"], unit="block", disable=not progress) as bar,
    ):
        warnings.filterwarnings("ignore", "the model was trained on pixels")  # told above
        try:
            for region in regions[state["done"] :]:
                state["missing"] += plan.count(region)
                with contextlib.suppress(MissingPixelsError):  # there, the store is NaN already
                    patches = plan.patches(plan.pixels(region))
                    store.add(encode(model, patches, batch_size, seed=seed + state["done"]), region)
                    state["missing"] -= len(patches)
                state["done"] += 1
                store.note(state)
                bar.update()
            store.add_collapsed(model)
            store.finish()
        except KeyboardInterrupt:
            if progress:
                bar.write(
                    f"interrupted after {state['done']} of {len(regions)} blocks: call it again "
                    f"with the same arguments to go on with {path}"
                )
            return store.open()
    if state["missing"]:
        warnings.warn(
            f"{state['missing']} windows hold missing pixels: the maps are NaN there", stacklevel=2
        )
    return store.open()


def _template(plan: Blocks, maps: xr.Dataset) -> xr.Dataset:
    """The maps to be, alike those of a block, all NaN, which take no memory."""
    import dask.array

    chunks = {FRAME: 1, plan.axes[0]: plan.rows}
    variables = {}
    for name, variable in maps.data_vars.items():
        shape = [plan.layout.get(str(dim), size) for dim, size in variable.sizes.items()]
        sizes = [chunks.get(str(dim), -1) for dim in variable.dims]
        empty = dask.array.full(shape, np.nan, dtype=variable.dtype, chunks=sizes)
        variables[name] = xr.Variable(variable.dims, empty, variable.attrs)
    kept = {name: value for name, value in maps.coords.items() if name not in plan.coords}
    if COLLAPSED in kept:
        kept[COLLAPSED] = xr.zeros_like(kept[COLLAPSED])  # known at the end
    return xr.Dataset(variables, {**kept, **plan.coords}, attrs=maps.attrs)


class _Store(UnfinishedStore):
    """A Zarr store of maps that fills up block by block."""

    def create(self, template: xr.Dataset, state: dict[str, Any]) -> None:
        """Write coordinates and attributes, and no values yet."""
        try:
            with warnings.catch_warnings():
                # Zarr warns that others may not know this; without it, xarray warns when opening.
                warnings.filterwarnings("ignore", "Consolidated metadata is")
                template.to_zarr(self.path, mode="w", compute=False, consolidated=True)
            self.note(state)  # last: what bears the mark is whole
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def add(self, maps: xr.Dataset, region: Region) -> None:
        """Write a block; its coordinates are there already."""
        bare = maps.drop_vars(list(maps.coords))
        bare.to_zarr(self.path, region=region, consolidated=False)

    def add_collapsed(self, model: PoseVAE) -> None:
        """Write down which latents say nothing of all that there is."""
        maps = self.open()
        if COLLAPSED not in maps.coords:
            return
        spread = maps[f"{CONTENT}_std"]
        mean = spread.mean([name for name in spread.dims if name != "latent"], dtype=float)
        coordinate = collapsed_latents(model, mean.values)
        xr.Dataset(coords={COLLAPSED: coordinate}).to_zarr(self.path, mode="r+", consolidated=False)

    def open(self) -> xr.Dataset:
        """The maps, not read yet."""
        return xr.open_zarr(self.path, consolidated=False)

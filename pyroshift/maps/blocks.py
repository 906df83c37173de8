"""Maps of images that no memory holds: `encode_image` goes block by block into a Zarr store.

A block is some rows of windows over the whole width. Its part of the image is read, cut, encoded
and written before the next, so that the memory needed is that of one block; or by the workers of a
cluster, several at a time.
"""

import json
import shutil
import socket
import uuid
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from pyroshift.data.atoms import FRAME
from pyroshift.data.blocks import Blocks, Region, digest, plan_blocks
from pyroshift.data.files import naming
from pyroshift.errors import ClusterError, MissingPixelsError
from pyroshift.extras import check_installed
from pyroshift.maps.encode import encode
from pyroshift.maps.labels import COLLAPSED
from pyroshift.maps.unfinished import UNFINISHED, UnfinishedStore, left, tick
from pyroshift.model.pair import PoseVAE

_Told = tuple[int, list[int]]  # of a block: windows that miss pixels, and where latents collapsed


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
    robust: bool = False,
    client: Any = None,
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
            many that a block has a 32nd of all windows, though not fewer than 8,000 nor more than
            250,000.
        batch_size: patches per batch.
        seed: seed of the posterior samples that `elbo` is estimated from.
        overwrite: whether a store that exists may be replaced.
        progress: whether to show a progress bar.
        robust: as for `encode`, each block by the noise that it shows.
        client: a `distributed.Client`, or the address of a scheduler, whose workers are to do it.
            They write the store, so its path must be the same folder on all machines; they are
            asked at the start, and again at each block, whether they see it. An image of Dask
            arrays they read themselves; of other arrays this process reads the blocks, and sends
            them. Maps are the same to the last bit as those of this process, where workers have
            the same kind of processor. A worker works at one block at a time, whichever threads
            it has. Blocks of workers that die are done by others.

    Returns:
        The maps, opened lazily from the store. Where it was interrupted, they are NaN.

    Raises:
        ClusterError: if no scheduler answers, if its workers have no pyroshift or another version,
            don't see the store, or die again and again.
        DataError: if the image doesn't fit the model, or its windows make no sense.
        FileExistsError: if the path holds anything but an unfinished run of the same settings.
        SpecificationError: if intervals are to be robust, but a prior is of neighbours together.
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
    needed = ("dask", "zarr") if client is None else ("dask", "distributed", "zarr")
    check_installed(*needed, extra="big", what="encode_image")
    store = _Store(Path(path), "maps")
    state = store.state(overwrite)
    plan = plan_blocks(model.window, image, step, normalize, rows, min_valid, overlap)
    # The first window of the first block is encoded before anything is written: it tells what maps
    # there will be, and that the image suits the model.
    regions = list(plan.regions())
    first = plan.pixels(plan.read(regions[0]))
    sample = encode(model, plan.sample(first), batch_size, seed=seed, robust=robust)
    template = _template(plan, sample)
    settings = {**plan.settings(first), "batch_size": int(batch_size), "seed": int(seed)}
    settings["robust"] = robust
    settings["model"] = template.attrs["configuration"]
    settings["weights"] = digest(value.cpu().numpy() for value in model.state_dict().values())
    if state is None:
        mark = uuid.uuid4().hex
        state = {"done": 0, "beyond": [], "missing": 0, "mark": mark, "settings": settings}
        with naming(store.path, "what was begun is removed"):
            store.create(template, state)
    else:
        store.check_same(settings, state["settings"])
    remaining = left(state, len(regions))
    work = _Work(plan, store.path.absolute(), state.get("mark"), int(batch_size), int(seed), robust)
    done = work.here(model, remaining) if client is None else work.there(model, remaining, client)
    with (
        naming(store.path, "make space, and call it again to go on with the blocks that are left"),
        tqdm(
            total=len(regions),
            initial=len(regions) - len(remaining),
            unit="block",
            disable=not progress,
        ) as bar,
        closing(done),
    ):
        try:
            for number, (missing, collapsed) in done:
                state["missing"] += missing
                if collapsed:
                    before = state.get("collapsed", [0] * len(collapsed))
                    state["collapsed"] = list(map(sum, zip(before, collapsed, strict=True)))
                tick(state, number)
                store.note(state)
                bar.update()
            store.add_collapsed(state)
            store.finish()
        except KeyboardInterrupt:
            if progress:
                bar.write(
                    f"interrupted after {bar.n} of {len(regions)} blocks: call it again "
                    f"with the same arguments to go on with {path}"
                )
            return store.open()
    if state["missing"]:
        warnings.warn(
            f"{state['missing']} windows hold missing pixels: the maps are NaN there", stacklevel=2
        )
    return store.open()


@dataclass(frozen=True)
class _Work:
    """Blocks of an image, to be encoded and written, here or there."""

    plan: Blocks
    path: Path
    mark: str | None
    batch_size: int
    seed: int
    robust: bool

    def here(
        self, model: PoseVAE, numbers: Sequence[int]
    ) -> Generator[tuple[int, _Told], None, None]:
        """Numbers of blocks as they are done, and what is told of them."""
        regions = list(self.plan.regions())
        for number in numbers:
            region = regions[number]
            yield number, self.block(model, number, region, self.plan.read(region))

    def there(
        self, model: PoseVAE, numbers: Sequence[int], client: Any
    ) -> Generator[tuple[int, _Told], None, None]:
        """The same by the workers of a cluster."""
        from pyroshift.maps.cluster import workers

        regions = list(self.plan.regions())
        sent = replace(self, plan=self.plan.without_image())
        with workers(client, model) as at_work:
            at_work.everywhere(_check_mark, self.path, self.mark)

            def calls() -> Iterator[tuple[int, tuple[Any, ...]]]:
                for number in numbers:
                    region = regions[number]
                    lazy = self.plan.lazy(region)
                    values = self.plan.read(region) if lazy is None else at_work.read(lazy)
                    yield number, (sent, number, region, values)

            yield from at_work.completed(_block_there, calls())

    def block(self, model: PoseVAE, number: int, region: Region, values: np.ndarray) -> _Told:
        """Encode and write a block.

        Args:
            model: the model.
            number: of the block.
            region: of the maps, which it is.
            values: its part of the image.

        Returns:
            How many windows miss pixels there, and of how many windows each latent has collapsed.
        """
        missing, collapsed = self.plan.count(region), list[int]()
        with suppress(MissingPixelsError), warnings.catch_warnings():  # there, it is NaN already
            warnings.filterwarnings("ignore", "the model was trained on")  # told before
            patches = self.plan.patches(self.plan.pixels(values))
            seed = self.seed + number
            maps = encode(model, patches, self.batch_size, seed=seed, robust=self.robust)
            _check_mark(self.path, self.mark)
            _Store(self.path, "maps").add(maps, region)
            missing -= len(patches)
            if COLLAPSED in maps.coords:
                collapsed = [len(patches) * int(gone) for gone in maps[COLLAPSED].values]
        return missing, collapsed


def _block_there(key: str, work: _Work, number: int, region: Region, values: np.ndarray) -> _Told:
    """On a worker: a block by the model that it holds."""
    from pyroshift.maps.cluster import held

    _check_mark(work.path, work.mark)
    with held(key) as model:
        return work.block(model, number, region, values)


def _check_mark(path: Path, mark: str | None) -> None:
    """Raise a ClusterError unless a store that was begun elsewhere is seen here.

    One that was replaced since, or another one at the same path of another machine, has no such
    mark.
    """
    try:
        seen = json.loads(_Store(path, "maps").attributes("r")[UNFINISHED]).get("mark")
    except (OSError, KeyError, ValueError):
        seen = False
    if seen != mark:
        raise ClusterError(
            f"{path} as {socket.gethostname()} sees it isn't the store that is to be written: give "
            "a path that is the same folder on all machines"
        )


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
        import zarr

        # Not by xarray, which writes attributes again, and so what others have noted there since.
        for name, variable in maps.data_vars.items():
            where = tuple(region.get(str(dim), slice(None)) for dim in variable.dims)
            zarr.open_array(self.path / str(name), mode="r+")[where] = variable.values

    def add_collapsed(self, state: Mapping[str, Any]) -> None:
        """Write down which latents say nothing of most windows."""
        import zarr

        if counts := state.get("collapsed"):
            windows = self.open()["elbo"].size - state["missing"]
            gone = [count > windows / 2 for count in counts]
            zarr.open_array(self.path / COLLAPSED, mode="r+")[:] = gone

    def open(self) -> xr.Dataset:
        """The maps, not read yet."""
        return xr.open_zarr(self.path, consolidated=False)

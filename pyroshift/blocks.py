"""Maps of images that no memory holds: `encode_image` goes block by block into a Zarr store.

A block is some rows of windows over the whole width. Its part of the image is read, cut, encoded
and written before the next, so that the memory needed is that of one block.
"""

import hashlib
import importlib.util
import itertools
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

from pyroshift.data.checks import as_labelled, check_window_fits
from pyroshift.data.patches import Patches, extract_patches
from pyroshift.data.windows import on_grid
from pyroshift.errors import DataError, MissingPixelsError
from pyroshift.models.pair import PoseVAE
from pyroshift.results import encode

# Of an unfinished store: how many blocks it has, and what they were encoded with.
DONE, SETTINGS = "blocks_done", "blocks_settings"
_PATCHES = 2**18  # of a block, about

Step = int | Sequence[int] | None
Region = dict[str, slice]


def encode_image(
    model: PoseVAE,
    image: Any,
    path: str | Path,
    *,
    step: int | Sequence[int] | None = None,
    normalize: str | None = "patch",
    rows: int | None = None,
    batch_size: int = 1024,
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
            or any array that reads only what is asked for, such as a memory map or a Zarr array.
        path: the store to write, a folder such as `maps.zarr`.
        step: pixels between windows along y and x; by default half of the window.
        normalize: "patch", "image" or None, as for `extract_patches`.
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
    _check_installed()
    path, plan = Path(path), _plan(model.window, image, step, normalize, rows)
    template = _template(model, plan)
    settings = {"rows": plan.rows, "step": step, "normalize": normalize, "batch_size": batch_size}
    settings |= {"layout": plan.layout, "seed": seed, "weights": _digest(model)}
    written = _Store(path, json.dumps(settings, default=str))
    done = written.blocks_done(overwrite)
    if done is None:
        written.create(template, plan)
        done = 0
    regions = list(plan.regions())
    missing = 0
    with tqdm(total=len(regions), initial=done, unit="block", disable=not progress) as bar:
        try:
            for number, region in enumerate(regions[done:], start=done):
                patches = plan.patches(region)
                missing += plan.count(region) - (0 if patches is None else len(patches))
                if patches is not None:
                    written.add(encode(model, patches, batch_size, seed=seed + number), region)
                written.note(number + 1)
                bar.update()
            written.finish()
        except KeyboardInterrupt:
            bar.write(f"interrupted: call it again with the same arguments to go on with {path}")
    if missing:
        warnings.warn(
            f"{missing} windows hold missing pixels: the maps are NaN there", stacklevel=2
        )
    return xr.open_zarr(path, consolidated=False)


@dataclass(frozen=True)
class _Plan:
    """What is cut out of an image, and in which blocks."""

    data: xr.DataArray
    window: tuple[int, ...]
    step: Step
    normalize: str | None
    rows: int
    layout: Mapping[str, int]
    coords: Mapping[str, xr.Variable]
    limits: tuple[float, float] | None

    def regions(self) -> Iterator[Region]:
        """The blocks, as slices of the maps."""
        starts = range(0, self.layout["y"], self.rows)
        rows = [slice(start, min(start + self.rows, self.layout["y"])) for start in starts]
        if "frame" not in self.layout:
            yield from ({"y": each} for each in rows)
            return
        for frame, each in itertools.product(range(self.layout["frame"]), rows):
            yield {"frame": slice(frame, frame + 1), "y": each}

    def count(self, region: Region) -> int:
        """How many windows a block has, those with missing pixels too."""
        return (region["y"].stop - region["y"].start) * self.layout["x"]

    def patches(self, region: Region) -> Patches | None:
        """The windows of a block; None if all have missing pixels."""
        down = self.step[0] if isinstance(self.step, Sequence) else self.step
        down = self.window[0] // 2 if down is None else down
        first, last = region["y"].start * down, (region["y"].stop - 1) * down
        pixels = {self.data.dims[-2]: slice(first, last + self.window[0])}
        if "frame" in region:
            pixels[self.data.dims[0]] = region["frame"]
        slab, normalize = self.data.isel(pixels).load(), self.normalize
        if self.limits is not None:
            low, high = self.limits
            slab = (slab.astype(np.float32) - low) / (high - low if high > low else 1.0)
            slab, normalize = slab.assign_attrs(self.data.attrs), None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*windows are left out")  # told once, at the end
            try:
                patches = extract_patches(slab, self.window, self.step, normalize)
            except MissingPixelsError:
                return None
        return replace(patches, normalize=self.normalize)


def _plan(
    window: tuple[int, ...], image: Any, step: Step, normalize: str | None, rows: int | None
) -> _Plan:
    """What to do, checked as far as can be without reading the image."""
    data = _lazy(image)
    extract_patches(np.zeros(window), window, step, normalize)  # do the options make sense?
    if data.ndim not in (2, 3):
        raise DataError(f"an image must be (y, x) or (frame, y, x), but has shape {data.shape}")
    check_window_fits(window, data.shape)
    # Coordinates of the whole grid, from one column and one row of it: to place all windows would
    # take memory in proportion to their number.
    column = on_grid(data[..., : window[1]], window, step)
    row = on_grid(data[..., : window[0], :], window, step)
    layout = {**column.layout, "x": row.layout["x"]}
    if rows is None:
        rows = max(window[0], _PATCHES // layout["x"])
    if not (isinstance(rows, int) and rows >= 1):
        raise DataError(f"rows must be a whole number of at least 1, got {rows!r}")
    limits = (float(data.min()), float(data.max())) if normalize == "image" else None
    coords = {**column.coords, "x": row.coords["x"]}
    return _Plan(data, window, step, normalize, min(rows, layout["y"]), layout, coords, limits)


def _lazy(image: Any) -> xr.DataArray:
    """An image with a coordinate along each axis, so that its parts know where they are."""
    in_memory = np.ndarray | torch.Tensor | xr.DataArray | xr.Dataset
    if hasattr(image, "shape") and not isinstance(image, in_memory):
        import dask.array

        image = image if isinstance(image, dask.array.Array) else dask.array.from_array(image)
        image = xr.DataArray(image, dims=("frame", "y", "x")[-image.ndim :])
    data = as_labelled(image, 2, None, None, name="image")
    places = {dim: np.arange(data.sizes[dim]) for dim in data.dims[-2:] if dim not in data.coords}
    return data.assign_coords(places)


def _template(model: PoseVAE, plan: _Plan) -> xr.Dataset:
    """The maps to be, all NaN, which take no memory; told by encoding one made-up window."""
    import dask.array

    corner = plan.data[..., : plan.window[0], : plan.window[1]]
    corner = corner[:1] if corner.ndim == 3 else corner
    made_up = corner.copy(data=np.linspace(0, 1, corner.size).reshape(corner.shape))
    maps = encode(model, replace(extract_patches(made_up, plan.window), normalize=plan.normalize))
    chunks = {"frame": 1, "y": plan.rows}
    variables = {}
    for name, variable in maps.data_vars.items():
        shape = [plan.layout.get(str(dim), size) for dim, size in variable.sizes.items()]
        sizes = [chunks.get(str(dim), -1) for dim in variable.dims]
        empty = dask.array.full(shape, np.nan, dtype=variable.dtype, chunks=sizes)
        variables[name] = xr.Variable(variable.dims, empty, variable.attrs)
    kept = {name: value for name, value in maps.coords.items() if name not in plan.coords}
    return xr.Dataset(variables, {**kept, **plan.coords}, attrs=maps.attrs)


class _Store:
    """A Zarr store that fills up block by block, and knows how far it is."""

    def __init__(self, path: Path, settings: str) -> None:
        self.path, self.settings = path, settings

    def blocks_done(self, overwrite: bool) -> int | None:
        """How many blocks are there already; None if the store is to be made.

        Raises:
            FileExistsError: if there is something that may not be replaced.
        """
        import zarr

        if not self.path.exists():
            return None
        try:
            attributes = zarr.open_group(self.path, mode="r").attrs.asdict()
        except (OSError, ValueError) as error:
            raise FileExistsError(
                f"{self.path} exists and is no Zarr store: choose another path"
            ) from error
        if overwrite:
            return None
        if attributes.get(SETTINGS) == self.settings:
            return int(attributes[DONE])
        state = "an unfinished store of other settings" if DONE in attributes else "a store"
        raise FileExistsError(
            f"{self.path} is {state}: choose another path, or pass overwrite=True"
        )

    def create(self, template: xr.Dataset, plan: _Plan) -> None:
        """Write coordinates and attributes, and no values yet."""
        marked = template.assign_attrs({DONE: 0, SETTINGS: self.settings})
        marked.to_zarr(self.path, mode="w", compute=False, consolidated=False)

    def add(self, maps: xr.Dataset, region: Region) -> None:
        """Write a block; its coordinates are there already."""
        bare = maps.drop_vars(list(maps.coords)).drop_attrs()
        bare.to_zarr(self.path, region=region, consolidated=False)

    def note(self, done: int) -> None:
        """Write down how many blocks are done."""
        import zarr

        zarr.open_group(self.path, mode="r+").attrs[DONE] = done

    def finish(self) -> None:
        """Take off the marks of an unfinished store."""
        import zarr

        attributes = zarr.open_group(self.path, mode="r+").attrs
        del attributes[DONE], attributes[SETTINGS]


def _digest(model: PoseVAE) -> str:
    """A number that changes with the model's weights."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()


def _check_installed() -> None:
    if missing := [name for name in ("dask", "zarr") if importlib.util.find_spec(name) is None]:
        raise ImportError(f"encode_image needs {missing}: pip install 'pyroshift[big]'")

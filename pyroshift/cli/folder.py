"""The folder of results: nothing in it is replaced unasked, and no file is left half written."""

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from xarray import DataArray, Dataset

from pyroshift import plot
from pyroshift.analysis.blur import FEWEST_WINDOWS, explained_by_blur
from pyroshift.cli.atoms import write_table
from pyroshift.cli.domains import DOMAINS_RESULTS
from pyroshift.cli.patterns import PATTERN_RESULTS
from pyroshift.cli.spectra import SPECTRA_RESULTS
from pyroshift.cli.strain import STRAIN_RESULTS
from pyroshift.data.files import write_dataset, write_figures, written
from pyroshift.data.patches import Patches
from pyroshift.errors import DataError, SpecificationError
from pyroshift.explorer import explore
from pyroshift.maps import storage
from pyroshift.maps.decode import decode
from pyroshift.maps.encode import encode
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.sources import as_list
from pyroshift.report import EXPLORER, Run, write_report
from pyroshift.search.study import JOURNAL

CHECKPOINT = "checkpoint.pt"
RESULTS = (
    "model.pt",
    "history.nc",
    "maps.nc",
    "maps.png",
    "manifold.png",
    "reconstructions.png",
    "training.png",
    EXPLORER,
    "report.html",
)
# Beside those of `fit`.
MEASURED_RESULTS = (*STRAIN_RESULTS, *DOMAINS_RESULTS, *PATTERN_RESULTS, *SPECTRA_RESULTS)
ATOMS_RESULTS = ("atoms.nc", "atoms.csv", "atoms.png", "tracks.png")
EVIDENCE_RESULTS = ("evidence.csv", "evidence.nc", "evidence.png")
_SEARCH_RESULTS = ("search.nc", "search.png", "model.pt")
_NETCDF = (".nc", ".nc4", ".h5", ".hdf5", ".netcdf")
Measured = Callable[[Path, Dataset], Mapping[str, Any]]


def check_file(path: Path, overwrite: bool) -> None:
    """Raise an error, before the work starts, if maps may not be written to a file."""
    if path.is_dir():
        raise FileExistsError(f"{path} is a folder: give the path of a file")
    if path.suffix.lower() not in _NETCDF:
        raise SpecificationError(
            f"maps are written as netCDF or Zarr, not as {path.name!r}: give --out a name that "
            "ends in .nc or .zarr"
        )
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: choose another --out, or pass --overwrite")


def check_folder(folder: Path, overwrite: bool, resume: bool) -> None:
    """Raise an error, before the work starts, if results may not be written into a folder.

    Args:
        folder: it need not exist.
        overwrite: whether results in it may be replaced.
        resume: whether to go on with the run that is in it.

    Raises:
        FileExistsError: if there are results already.
        FileNotFoundError: if there is no run to go on with.
    """
    _check_no_file(folder)
    if overwrite and resume:
        raise SpecificationError("--overwrite replaces the run that --resume would go on with")
    found = [name for name in (*RESULTS, *MEASURED_RESULTS, CHECKPOINT) if (folder / name).exists()]
    if resume and CHECKPOINT not in found:
        raise FileNotFoundError(
            f"there is no {folder / CHECKPOINT} to go on from: leave out --resume to start afresh"
        )
    if found and not (overwrite or resume):
        raise FileExistsError(
            f"{folder} holds results already ({', '.join(found)}): choose another --out, or pass "
            "--overwrite to replace them, or --resume to go on with that run"
        )


def check_free(folder: Path, what: str, names: Sequence[str], overwrite: bool) -> None:
    """Raise a FileExistsError, before the work starts, if results may not be written there.

    Args:
        folder: it need not exist.
        what: they are of.
        names: of their files.
        overwrite: whether such as are there may be replaced.
    """
    _check_no_file(folder)
    found = [name for name in names if (folder / name).exists()]
    if found and not overwrite:
        raise FileExistsError(
            f"{folder} holds {what} already ({', '.join(found)}): choose another --out, or pass "
            "--overwrite to replace them"
        )


def _check_no_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose another --out")


def open_folder(folder: Path, resume: bool) -> Path:
    """Make the folder, and return the path of its run's checkpoint, an old one removed."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    if not resume:
        checkpoint.unlink(missing_ok=True)
    return checkpoint


def check_search(folder: Path, overwrite: bool, resume: bool) -> None:
    """Raise an error, before the work starts, if a search may not be kept in a folder.

    Args:
        folder: it need not exist.
        overwrite: whether a search in it may be replaced.
        resume: whether to go on with the search that is in it.

    Raises:
        FileExistsError: if there is a search already.
        FileNotFoundError: if there is none to go on with.
    """
    _check_no_file(folder)
    if overwrite and resume:
        raise SpecificationError("--overwrite replaces the search that --resume would go on with")
    if resume and not (folder / JOURNAL).exists():
        raise FileNotFoundError(
            f"there is no {folder / JOURNAL} to go on from: leave out --resume to start afresh"
        )
    found = [name for name in (JOURNAL, *_SEARCH_RESULTS) if (folder / name).exists()]
    if found and not (overwrite or resume):
        raise FileExistsError(
            f"{folder} holds a search already ({', '.join(found)}): choose another --out, or pass "
            "--overwrite to replace it, or --resume to go on with it"
        )


def write_search(folder: Path, found: Dataset) -> None:
    """Write all that a search found, its picture and its best model."""
    write_dataset(folder / "search.nc", found)
    with written(folder / "model.pt") as path:
        shutil.copyfile(folder / found.attrs["best_model"], path)
    best = {
        name: found.attrs[f"best_{name}"]
        for name in map(str, found.score.dims)
        if name not in ("initial", "final")
    }
    with written(folder / "search.png") as path:
        plot.search(found.sel(best)).savefig(path)


def write_evidence(folder: Path, found: Dataset, table: Dataset, image: DataArray) -> None:
    """Write how probable models hold windows, as netCDF and as a table, and draw it.

    Args:
        folder: where to.
        found: from `compare`, or of a single model from `evidence`.
        table: what is told of each model.
        image: whose windows these are.
    """
    for name in EVIDENCE_RESULTS:
        (folder / name).unlink(missing_ok=True)
    write_dataset(folder / "evidence.nc", found)
    with written(folder / "evidence.csv") as path:
        table.to_dataframe().to_csv(path)
    seen = image.isel(channel=0) if "channel" in image.dims else image
    figure = plot.compare(found) if "model" in found.dims else plot.khat(found, image=seen)
    write_figures(folder, {"evidence.png": figure})


def write_atoms(folder: Path, atoms: Dataset, image: DataArray) -> None:
    """Write the atoms as netCDF and as a table, and draw them.

    Args:
        folder: where to.
        atoms: from `find_atoms` or `link_atoms`.
        image: what they were found in.
    """
    for name in ATOMS_RESULTS:
        (folder / name).unlink(missing_ok=True)
    write_dataset(folder / "atoms.nc", atoms)
    with written(folder / "atoms.csv") as path:
        write_table(path, atoms, image)
    figures: dict[str, Any] = {"atoms.png": plot.atoms(atoms, image)}
    if "track" in atoms.coords:
        figures["tracks.png"] = plot.tracks(atoms, image)
    write_figures(folder, figures)


def write_results(
    folder: Path,
    model: PoseVAE,
    patches: Patches,
    image: DataArray,
    history: Dataset,
    run: Run,
    measured: Measured | None = None,
    robust: bool = True,
) -> None:
    """Write everything that a run leaves, the dearest first.

    Args:
        folder: where to.
        model: trained.
        patches: what it was trained on.
        image: what they were cut from.
        history: from `fit`.
        run: what was asked for, for the report.
        measured: what writes into the folder what else is measured by maps, if anything, and gives
            what `write_report` takes of it.
        robust: as for `encode`.
    """
    for name in (*RESULTS, *MEASURED_RESULTS):
        (folder / name).unlink(missing_ok=True)
    storage.save(model, folder / "model.pt")
    maps = encode(model, patches, robust=robust)
    for name, dataset in (("maps.nc", maps), ("history.nc", history)):
        write_dataset(folder / name, dataset)
    figures: dict[str, Any] = {
        "maps.png": plot.maps(maps, image),
        "manifold.png": plot.manifold(model, maps=maps),
        "reconstructions.png": plot.reconstructions(*_examples(model, patches, maps)),
        "training.png": plot.history(history),
    }
    write_figures(folder, figures)
    _write_explorer(folder / EXPLORER, model, maps, image, patches)
    gaps = not patches.complete or bool(maps["elbo"].isnull().any())
    told = {} if measured is None else measured(folder, maps)
    write_report(folder, maps, history, run, _blur(maps, patches), gaps, **told)


def _write_explorer(
    path: Path, model: PoseVAE, maps: Dataset, image: DataArray, patches: Patches
) -> None:
    """Write the page of the explorer; where there is too much to show in one, a note says so."""
    try:
        explore(model, maps, image, patches).save(path)
    except DataError as error:
        warnings.warn(f"there is no {path.name}: {error}", stacklevel=2)


def _blur(maps: Dataset, patches: Patches) -> DataArray | None:
    """What a blur explains of each latent; None where there are too few windows to tell."""
    known = np.isfinite(maps["elbo"].values).sum()
    return explained_by_blur(maps, patches) if known >= FEWEST_WINDOWS else None


def _examples(
    model: PoseVAE, patches: Patches, maps: Dataset, count: int = 8
) -> tuple[DataArray, DataArray]:
    """Some windows, from the best to the worst explained, and what the model makes of them.

    By the bound for each pixel that is there, as a window that misses some has fewer to explain.
    """
    order = np.argsort(-maps["elbo"].values.ravel()[patches.positions] / _pixels(patches))
    index = order[np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]
    places = np.unravel_index(patches.positions[index], tuple(patches.layout.values()))
    chosen = {name: ("patch", place) for name, place in zip(patches.layout, places, strict=True)}
    return as_list(patches, index).to_xarray(), decode(model, maps.isel(chosen))


def _pixels(patches: Patches) -> np.ndarray:
    """How many pixels of each window are there."""
    if patches.complete:
        return np.ones(len(patches))
    parts = torch.arange(len(patches)).split(4096)
    there = [(~patches.gather(index).flatten(1).isnan()).sum(1) for index in parts]
    return torch.cat(there).cpu().numpy()

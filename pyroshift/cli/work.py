"""What the commands do. Heavy packages are imported when needed, so that `--help` is quick."""

import math
import shlex
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroshift.cli.atoms import check_unused, found_atoms
from pyroshift.cli.channels import as_asked, channels_of, check_one, for_model, levelled
from pyroshift.cli.choices import (
    builder,
    checked_device,
    kl_weight,
    normalization,
    normalize_as_trained,
    rank,
    schedule,
    varied,
)
from pyroshift.cli.domains import domains_writer, load_piezoresponse
from pyroshift.cli.intervals import are_robust
from pyroshift.cli.options import build_parser, meaning
from pyroshift.cli.spectra import mean_intensity, prepared, write_spectra
from pyroshift.cli.strain import strain_writer
from pyroshift.cli.telling import say, shows_progress
from pyroshift.cli.typed import AUTO
from pyroshift.errors import SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray

    from pyroshift.cli.folder import Measured
    from pyroshift.data.patches import Patches
    from pyroshift.model.pair import PoseVAE

# The demo is `pyroshift fit` with these options. The cell of the 7x7 reconstruction measures 44
# pixels, so a window shows one cell, and a wide offset prior lets it lock on the cell's corner
# hole. The step and the contamination are far from all else, and so are their z, which is noted.
DEMO = shlex.split("--model shift --level 1 --window 40 --step 5 --offset-scale 0.6 --epochs 20")


def fit(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift fit`."""
    _train(arguments, lambda: _load(arguments), notes)


def strain(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift strain`: `fit`, and what its offsets say of the lattice."""
    _train(arguments, lambda: _load(arguments), notes, strain_writer)


def domains(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift domains`: `fit` on amplitude and phase, where walls are, and what switched."""
    _train(arguments, lambda: load_piezoresponse(arguments), notes, domains_writer)


def spectra(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift spectra`: a model of the spectra of a cube, and what it says of them."""
    from pyroshift.data.readers import load_spectra

    check_one(arguments, "spectra are of")
    check_asked(arguments)
    wanted = arguments.channel[0] if arguments.channel else None
    cube, patches = prepared(load_spectra(arguments.image, wanted), arguments)
    picture = mean_intensity(cube)
    model = builder(arguments, picture)(arguments.window, seed=arguments.seed)
    measured = partial(write_spectra, model=model, cube=cube, arguments=arguments)
    train_and_write(arguments, model, patches, picture, notes, measured)


def demo(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift demo`: `fit` on an image that comes with a package."""
    from pyroshift.data.examples import silicon_step

    options = ["fit", "Si(111)-7x7 with a step edge (SPIEPy)", *DEMO, "--out", str(arguments.out)]
    chosen = build_parser().parse_args(options)
    chosen.overwrite, chosen.quiet = arguments.overwrite, arguments.quiet
    chosen.command_line = f"{arguments.command_line}    # pyroshift fit IMAGE {shlex.join(DEMO)}"
    _train(chosen, silicon_step, notes)


def search(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift search`: many trainings, and the best of them."""
    from pyroshift.cli.folder import check_search, write_search
    from pyroshift.search.search_kl import WEIGHTS, search_kl

    check_search(arguments.out, arguments.overwrite, arguments.resume)
    image = levelled(_load(arguments), arguments)
    found = search_kl(
        image,
        None if arguments.window is None else _window(image, arguments),
        arguments.step,
        model=builder(arguments, image),
        min_valid=arguments.min_valid,
        overlap=arguments.overlap,
        initial=arguments.initial or WEIGHTS,
        final=arguments.final or WEIGHTS,
        vary=varied(arguments.vary),
        trainings=arguments.trainings,
        epochs=arguments.epochs,
        annealing_epochs=arguments.kl_epochs,
        validation_fraction=arguments.validation_fraction,
        normalize=normalization(arguments),
        folder=arguments.out,
        overwrite=arguments.overwrite,
        workers=arguments.workers,
        seed=arguments.seed,
        progress=shows_progress(arguments),
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        schedule=schedule(arguments),
        device=checked_device(arguments.device),
    )
    write_search(arguments.out, found)
    names = [str(name) for name in found.score.dims]
    best = ", ".join(f"{name} {found.attrs[f'best_{name}']}" for name in names)
    say(arguments, f"best of {int(found.score.count())} trainings: {best}")
    say(arguments, f"results are in {arguments.out}: open {arguments.out / 'search.png'}")


def encode(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift encode`: maps of an image by a saved model."""
    from pyroshift.cli.folder import check_file
    from pyroshift.cli.images import open_image
    from pyroshift.data.files import write_dataset
    from pyroshift.maps import storage
    from pyroshift.maps.encode import encode

    by_block = arguments.out.suffix.lower() == ".zarr"
    if by_block:
        _check_blocks(arguments)
    else:
        check_file(arguments.out, arguments.overwrite)
    model = storage.load(arguments.model, device=checked_device(arguments.device) or "cpu")
    image = levelled(open_image(arguments.image, as_asked(arguments, model)), arguments)
    image = for_model(image, model, arguments)
    normalize_as_trained(arguments, model)
    if by_block:
        _encode_blocks(model, image, arguments)
        return
    patches = cut_patches(image, model.window, arguments)
    robust = are_robust(model, arguments)
    maps = encode(model, patches, robust=robust, client=arguments.scheduler)
    write_dataset(arguments.out, maps)
    say(arguments, f"maps of {patches!r} are in {arguments.out}")


def atoms(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift atoms`: where the atoms of an image are."""
    from pyroshift.cli.folder import ATOMS_RESULTS, check_free, write_atoms

    check_one(arguments, "atoms are found in")
    check_free(arguments.out, "atoms", ATOMS_RESULTS, arguments.overwrite)
    image = levelled(_load(arguments), arguments)
    found = found_atoms(image, arguments, shows_progress(arguments))
    write_atoms(arguments.out, found, image)
    say(arguments, f"{found.sizes['atom']} atoms are in {arguments.out}: look at atoms.png")


def _check_blocks(arguments: Namespace) -> None:
    """Raise a SpecificationError for what can't be done block by block."""
    check_unused(arguments)
    if arguments.positions is not None or arguments.at_atoms:
        raise SpecificationError(
            f"{arguments.out} is written block by block, which takes windows on a grid: with "
            "--positions or --at-atoms, write a file such as --out maps.nc"
        )
    if arguments.out.resolve() == Path(arguments.image).expanduser().resolve():
        raise SpecificationError(f"{arguments.out} is the image itself: choose another --out")


def _encode_blocks(model: "PoseVAE", image: "DataArray", arguments: Namespace) -> None:
    """Maps into a Zarr store, going on with one that isn't finished."""
    from pyroshift.maps.blocks import encode_image
    from pyroshift.maps.unfinished import UNFINISHED

    maps = encode_image(
        model,
        image,
        arguments.out,
        step=arguments.step,
        normalize=normalization(arguments),
        min_valid=arguments.min_valid,
        overlap=arguments.overlap,
        overwrite=arguments.overwrite,
        progress=shows_progress(arguments),
        robust=are_robust(model, arguments),
        client=arguments.scheduler,
    )
    if UNFINISHED in maps.attrs:
        say(arguments, f"{arguments.out} is unfinished: the same command goes on with it")
        raise KeyboardInterrupt
    sizes, dims = " x ".join(map(str, maps.elbo.shape)), ", ".join(map(str, maps.elbo.dims))
    say(arguments, f"maps of {sizes} windows ({dims}) are in {arguments.out}")


def _train(
    arguments: Namespace,
    load: Callable[[], "DataArray"],
    notes: list[str],
    measured: "Callable[[DataArray, Namespace], Measured] | None" = None,
) -> None:
    """From the image to the folder of results, with what else is measured, if anything.

    What that can't be measured from is told by `measured`, before the training.
    """
    from pyroshift.data.splitting import split_patches

    check_asked(arguments)
    image = levelled(load(), arguments)
    more = None if measured is None else measured(image, arguments)
    arguments.window = _window(image, arguments)
    build = builder(arguments, image)
    patches = cut_patches(image, arguments.window, arguments)
    shown = patches
    if arguments.held_out is not None:
        shown, _ = split_patches(patches, arguments.held_out)
    model = build(arguments.window, seed=arguments.seed)
    train_and_write(arguments, model, patches, image, notes, more, shown)


def check_asked(arguments: Namespace) -> None:
    """Raise what there is against the KL weight, the device and the folder, before the work."""
    from pyroshift.cli.folder import check_folder

    kl_weight(arguments)
    checked_device(arguments.device)
    if rank():  # the first process of several tells and writes all
        arguments.quiet = True
        return
    check_folder(arguments.out, arguments.overwrite, arguments.resume)


def train_and_write(
    arguments: Namespace,
    model: "PoseVAE",
    patches: "Patches",
    image: "DataArray",
    notes: list[str],
    measured: "Measured | None" = None,
    shown: "Patches | None" = None,
) -> None:
    """Train a model as asked for, and write the folder of results.

    Args:
        arguments: as they were typed.
        model: untrained.
        patches: what is mapped.
        image: what they were cut from.
        notes: what the report is to tell besides.
        measured: what writes what else is measured, as for `write_results`.
        shown: what it is trained on; by default all patches.
    """
    from pyroshift.cli.folder import open_folder, write_results
    from pyroshift.report import Run, Setting
    from pyroshift.training import fit as training

    shown = patches if shown is None else shown
    say(arguments, f"training {type(model).__name__} on {shown!r}")
    history = training.fit(
        model,
        shown,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        kl=kl_weight(arguments),
        seed=arguments.seed,
        device=checked_device(arguments.device),
        validation_fraction=arguments.validation_fraction,
        progress=shows_progress(arguments),
        schedule=schedule(arguments),
        checkpoint=open_folder(arguments.out, arguments.resume or bool(rank())),
        strategy=None if rank() is None else "ddp",
    )
    if rank():
        return
    if history.attrs["stopped"] == "interrupted":
        done = history.sizes["epoch"]
        warnings.warn(
            f"interrupted after {done} of {arguments.epochs} epochs: the maps are those of a model "
            f"that is not trained to the end{'; --resume goes on from there' if done else ''}",
            stacklevel=1,
        )
    settings = [
        Setting(option.option_strings[0], getattr(arguments, option.dest), meaning(option))
        for option in arguments.settings
    ]
    run = Run(Path(arguments.image).name, arguments.command_line, settings, notes)
    write_results(
        arguments.out, model, patches, image, history, run, measured, are_robust(model, arguments)
    )
    say(arguments, f"results are in {arguments.out}: open {arguments.out / 'report.html'}")


def _load(arguments: Namespace) -> "DataArray":
    from pyroshift.data.readers import load_image

    return load_image(arguments.image, as_asked(arguments))


def _window(image: "DataArray", arguments: Namespace) -> Sequence[int]:
    """The window asked for, or that for the image's lattice."""
    from pyroshift.analysis.lattice import suggest_window

    if arguments.window != AUTO:
        return arguments.window
    found = suggest_window(image)
    short, long = sorted(math.hypot(*vector) for vector in found.vectors)
    periods = f"a period of {found.period:.3g}"
    if long > 1.05 * short:
        periods = f"periods of {short:.3g} and {long:.3g}"
    say(arguments, f"window {found.window}, for a lattice with {periods} px")
    return found.window, found.window


def cut_patches(image: "DataArray", window: Sequence[int], arguments: Namespace) -> "Patches":
    """The windows asked for, on a grid or at positions."""
    from pyroshift.data.patches import extract_patches

    check_unused(arguments)
    on_grid = arguments.positions is None and not arguments.at_atoms
    if not on_grid and arguments.step is not None:
        raise SpecificationError("--step is for windows on a grid: leave it out at positions")
    if on_grid and arguments.interpolate:
        raise SpecificationError("--interpolate is for windows with --at-atoms or --positions")
    positions = _positions(image, arguments)
    normalize = normalization(arguments)
    return extract_patches(
        image, window, arguments.step, normalize, positions, arguments.interpolate,
        arguments.min_valid, arguments.overlap,
    )  # fmt: skip


def _positions(image: "DataArray", arguments: Namespace) -> Any:
    """Where windows are cut, from a file or at the atoms that are found; None for a grid."""
    from pyroshift.cli.positions import read_positions

    if not arguments.at_atoms:
        return None if arguments.positions is None else read_positions(arguments.positions)
    if arguments.positions is not None:
        raise SpecificationError("windows are cut either at --positions or --at-atoms, not both")
    seen = image.isel(channel=0) if channels_of(image) else image
    found = found_atoms(seen, arguments, shows_progress(arguments))
    say(arguments, f"{found.sizes['atom']} atoms found")
    return found

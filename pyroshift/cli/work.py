"""What the commands do. Heavy packages are imported when needed, so that `--help` is quick."""

import shlex
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyroshift.cli.groups import AUTO, size
from pyroshift.cli.options import build_parser, meaning
from pyroshift.errors import SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray

    from pyroshift.data.patches import Patches
    from pyroshift.inference.annealing import KLAnnealing
    from pyroshift.models.pair import PoseVAE

# The demo is `pyroshift fit` with these options. The cell of the 7x7 reconstruction measures 44
# pixels, so a window shows one cell, and a wide offset prior lets it lock on the cell's corner
# hole. The step and the contamination are far from all else, and so are their z, which is noted.
DEMO = shlex.split(
    "--model shift --guide anchor --level 1 --window 40 --step 5 --offset-scale 0.6 --epochs 20"
)


def fit(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift fit`."""
    _train(arguments, lambda: _load(arguments), notes)


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
    from pyroshift.analysis.search import WEIGHTS, search_kl
    from pyroshift.cli.folder import check_search, write_search

    check_search(arguments.out, arguments.overwrite, arguments.resume)
    image = _levelled(_load(arguments), arguments)
    found = search_kl(
        image,
        None if arguments.window is None else _window(image, arguments),
        arguments.step,
        model=_builder(arguments),
        initial=arguments.initial or WEIGHTS,
        final=arguments.final or WEIGHTS,
        vary=_varied(arguments.vary),
        trainings=arguments.trainings,
        epochs=arguments.epochs,
        annealing_epochs=arguments.kl_epochs,
        validation_fraction=arguments.validation_fraction,
        normalize=_normalize(arguments),
        folder=arguments.out,
        overwrite=arguments.overwrite,
        workers=arguments.workers,
        seed=arguments.seed,
        progress=_shows_progress(arguments),
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        schedule=_schedule(arguments),
        device=_device(arguments.device),
    )
    write_search(arguments.out, found)
    names = [str(name) for name in found.score.dims]
    best = ", ".join(f"{name} {found.attrs[f'best_{name}']}" for name in names)
    _say(arguments, f"best of {int(found.score.count())} trainings: {best}")
    _say(arguments, f"results are in {arguments.out}: open {arguments.out / 'search.png'}")


def _varied(given: Sequence[Sequence[str]]) -> dict[str, list[Any]]:
    """What is searched over besides the KL weights: numbers where they are such, else words."""
    varied = {}
    for name, *values in given:
        if not values:
            raise SpecificationError(f"--vary {name} names no values: give some after it")
        varied[name.replace("-", "_")] = [_value(value) for value in values]
    return varied


def _value(text: str) -> Any:
    for kind in (int, float, size):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def encode(arguments: Namespace, notes: list[str]) -> None:
    """`pyroshift encode`: maps of an image by a saved model."""
    from pyroshift import results, storage
    from pyroshift.cli.folder import check_file
    from pyroshift.cli.images import open_image
    from pyroshift.files import written

    by_block = arguments.out.suffix.lower() == ".zarr"
    if by_block:
        _check_blocks(arguments)
    else:
        check_file(arguments.out, arguments.overwrite)
    model = storage.load(arguments.model, device=_device(arguments.device) or "cpu")
    image = _levelled(open_image(arguments.image, arguments.channel), arguments)
    if by_block:
        _encode_blocks(model, image, arguments)
        return
    patches = _patches(image, model.window, arguments)
    maps = results.encode(model, patches)
    with written(arguments.out) as path:
        maps.to_netcdf(path, engine="h5netcdf")
    _say(arguments, f"maps of {patches!r} are in {arguments.out}")


def _check_blocks(arguments: Namespace) -> None:
    """Raise a SpecificationError for what can't be done block by block."""
    if arguments.positions is not None:
        raise SpecificationError(
            f"{arguments.out} is written block by block, which takes windows on a grid: with "
            "--positions, write a file such as --out maps.nc"
        )
    if arguments.out.resolve() == Path(arguments.image).expanduser().resolve():
        raise SpecificationError(f"{arguments.out} is the image itself: choose another --out")


def _encode_blocks(model: "PoseVAE", image: "DataArray", arguments: Namespace) -> None:
    """Maps into a Zarr store, going on with one that isn't finished."""
    from pyroshift.blocks import UNFINISHED, encode_image

    maps = encode_image(
        model,
        image,
        arguments.out,
        step=arguments.step,
        normalize=_normalize(arguments),
        overwrite=arguments.overwrite,
        progress=_shows_progress(arguments),
    )
    if UNFINISHED in maps.attrs:
        _say(arguments, f"{arguments.out} is unfinished: the same command goes on with it")
        raise KeyboardInterrupt
    sizes, dims = " x ".join(map(str, maps.elbo.shape)), ", ".join(map(str, maps.elbo.dims))
    _say(arguments, f"maps of {sizes} windows ({dims}) are in {arguments.out}")


def _train(arguments: Namespace, load: Callable[[], "DataArray"], notes: list[str]) -> None:
    """From the image to the folder of results."""
    from pyroshift.cli.folder import check_folder, open_folder, write_results
    from pyroshift.inference import fit as training
    from pyroshift.report import Run, Setting

    kl, device = _kl(arguments), _device(arguments.device)
    check_folder(arguments.out, arguments.overwrite, arguments.resume)
    image = _levelled(load(), arguments)
    arguments.window = _window(image, arguments)
    patches = _patches(image, arguments.window, arguments)
    model = _builder(arguments)(arguments.window, seed=arguments.seed)
    _say(arguments, f"training {type(model).__name__} on {patches!r}")
    history = training.fit(
        model,
        patches,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        kl=kl,
        seed=arguments.seed,
        device=device,
        validation_fraction=arguments.validation_fraction,
        progress=_shows_progress(arguments),
        schedule=_schedule(arguments),
        checkpoint=open_folder(arguments.out, arguments.resume),
    )
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
    write_results(arguments.out, model, patches, image, history, run)
    _say(arguments, f"results are in {arguments.out}: open {arguments.out / 'report.html'}")


def _load(arguments: Namespace) -> "DataArray":
    from pyroshift.data.readers import load_image

    return load_image(arguments.image, arguments.channel)


def _levelled(image: "DataArray", arguments: Namespace) -> "DataArray":
    from pyroshift.data.readers import level

    return image if arguments.level is None else level(image, arguments.level)


def _window(image: "DataArray", arguments: Namespace) -> Sequence[int]:
    """The window asked for, or that for the image's lattice."""
    from pyroshift.analysis.lattice import suggest_window

    if arguments.window != AUTO:
        return arguments.window
    found = suggest_window(image)
    _say(arguments, f"window {found.window}, for a lattice with a period of {found.period:.3g} px")
    return found.window, found.window


def _patches(image: "DataArray", window: Sequence[int], arguments: Namespace) -> "Patches":
    """The windows asked for, on a grid or at positions."""
    from pyroshift.cli.positions import read_positions
    from pyroshift.data.patches import extract_patches

    if arguments.positions is not None and arguments.step is not None:
        raise SpecificationError("--step is for windows on a grid: leave it out with --positions")
    positions = None if arguments.positions is None else read_positions(arguments.positions)
    return extract_patches(image, window, arguments.step, _normalize(arguments), positions)


def _normalize(arguments: Namespace) -> str | None:
    return None if arguments.normalize == "none" else arguments.normalize


def _builder(arguments: Namespace) -> "Callable[..., PoseVAE]":
    """What makes the model asked for, from the window and a seed."""
    from pyroshift.models.vae import RVAE, VAE, ShiftVAE

    return partial(
        {"vae": VAE, "shift": ShiftVAE, "rvae": RVAE}[arguments.model],
        latent_dim=arguments.latent_dim,
        likelihood=arguments.likelihood,
        encoder=arguments.encoder,
        decoder=arguments.decoder,
        guide=arguments.guide,
        **_pose(arguments),
    )


def _pose(arguments: Namespace) -> dict[str, Any]:
    """The options of the pose; one that the model has no use for is a mistake to be told."""
    given = {
        "offsets": arguments.offsets or None,
        "offset_scale": arguments.offset_scale,
        "angle_scale": arguments.angle_scale,
        "period": arguments.period,
        "symmetry": arguments.symmetry,
    }
    pose = {name: value for name, value in given.items() if value is not None}
    usable: dict[str, set[str]] = {
        "vae": set(),
        "shift": {"offset_scale", "period"},
        "rvae": {"angle_scale", "symmetry", "offsets"}
        | ({"offset_scale"} if arguments.offsets else set()),
    }
    for name in pose:
        if name not in usable[arguments.model]:
            without = " without --offsets" if arguments.model == "rvae" else ""
            raise SpecificationError(
                f"--{name.replace('_', '-')} has no use with --model {arguments.model}{without}"
            )
    return pose


def _kl(arguments: Namespace) -> "float | KLAnnealing":
    """A constant KL weight, or one that moves."""
    from pyroshift.inference.annealing import KLAnnealing

    moving = (arguments.kl_initial, arguments.kl_final, arguments.kl_epochs)
    if moving == (None, None, None):
        return 1.0 if arguments.kl is None else arguments.kl
    if arguments.kl is not None or arguments.kl_initial is None:
        raise SpecificationError(
            "a KL weight is either constant (--kl), or goes from --kl-initial to --kl-final within "
            "--kl-epochs, of which --kl-initial must be given"
        )
    return KLAnnealing(
        arguments.kl_initial,
        1.0 if arguments.kl_final is None else arguments.kl_final,
        arguments.epochs // 2 if arguments.kl_epochs is None else arguments.kl_epochs,
    )


def _device(name: str | None) -> str | None:
    """A device that is there, or None for the default."""
    import torch

    if name is not None:
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise SpecificationError(f"device {name!r} can't be used here: {reason}") from error
    return name


def _schedule(arguments: Namespace) -> str | None:
    return None if arguments.schedule == "constant" else arguments.schedule


def _shows_progress(arguments: Namespace) -> bool:
    return not arguments.quiet and sys.stderr.isatty()


def _say(arguments: Namespace, text: str) -> None:
    if not arguments.quiet:
        print(text, flush=True)

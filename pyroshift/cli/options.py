"""What can be typed after `pyroshift`, and what each option means."""

from argparse import Action, ArgumentParser, RawDescriptionHelpFormatter, _ArgumentGroup
from pathlib import Path

from pyroshift._version import __version__
from pyroshift.cli import texts
from pyroshift.cli.atoms import finding_options
from pyroshift.cli.choices import settled
from pyroshift.cli.domains import DOMAINS, domains_options
from pyroshift.cli.groups import (
    at_positions,
    kl_options,
    model_options,
    preparation,
    reading,
    search_options,
    training_options,
)
from pyroshift.cli.intervals import interval_options
from pyroshift.cli.patterns import PATTERNS, pattern_options
from pyroshift.cli.spectra import spectra_options
from pyroshift.cli.strain import strain_options
from pyroshift.cli.typed import AUTO, size, window


def build_parser() -> ArgumentParser:
    """The parser of the whole command.

    What it parses bears, under `settings`, the options of `fit` that belong into a report.
    """
    parser = ArgumentParser(
        "pyroshift",
        description=texts.DESCRIPTION,
        epilog=texts.EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyroshift {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary, description, epilog, add_options in (
        (
            "fit",
            "train on an image, map it, and report",
            texts.FIT_DESCRIPTION,
            texts.FIT_EPILOG,
            _fit,
        ),
        (
            "search",
            "find KL weights by many trainings",
            texts.SEARCH_DESCRIPTION,
            texts.SEARCH_EPILOG,
            _search,
        ),
        (
            "encode",
            "map an image by a saved model",
            texts.ENCODE_DESCRIPTION,
            texts.ENCODE_EPILOG,
            _encode,
        ),
        (
            "evidence",
            "tell how probable saved models hold an image, and which is best",
            texts.EVIDENCE_DESCRIPTION,
            texts.EVIDENCE_EPILOG,
            _evidence,
        ),
        (
            "atoms",
            "find the atoms of an image",
            texts.ATOMS_DESCRIPTION,
            texts.ATOMS_EPILOG,
            _atoms,
        ),
        (
            "strain",
            "map how a lattice is strained",
            texts.STRAIN_DESCRIPTION,
            texts.STRAIN_EPILOG,
            _strain,
        ),
        (
            "domains",
            "find ferroelectric domains and their walls",
            texts.DOMAINS_DESCRIPTION,
            texts.DOMAINS_EPILOG,
            _domains,
        ),
        (
            "patterns",
            "map how the beam is deflected in 4D-STEM",
            texts.PATTERNS_DESCRIPTION,
            texts.PATTERNS_EPILOG,
            _patterns,
        ),
        (
            "spectra",
            "map what spectra show, one at every pixel, apart from their drift",
            texts.SPECTRA_DESCRIPTION,
            texts.SPECTRA_EPILOG,
            _spectra,
        ),
        ("demo", "`fit` on a real STM image", texts.DEMO_DESCRIPTION, None, _demo),
    ):
        command = commands.add_parser(
            name,
            help=summary,
            description=description,
            epilog=epilog,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        add_options(command)
    return parser


def meaning(option: Action) -> str:
    """What an option means, as `--help` tells it."""
    return (option.help or "") % vars(option)


def _fit(parser: ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="image file, such as .tif, .dm4, .sxm, .npy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    data = parser.add_argument_group("the image and its windows")
    model = parser.add_argument_group("the model")
    training = parser.add_argument_group("the training")
    options = [
        data.add_argument(
            "--window",
            type=window,
            required=True,
            metavar="PX",
            help="height and width of the windows in pixels, such as 40 or 40x56; take two to "
            "three unit cells, or one particle with some surroundings; auto for two and a half "
            "unit cells of the lattice that is found in the image",
        ),
        *preparation(data),
        *at_positions(data),
        *finding_options(parser.add_argument_group("the atoms, with --at-atoms")),
        *model_options(model),
        *training_options(training),
        *kl_options(training),
        _held_out(
            training,
            "share of the image, in blocks, whose windows aren't trained on, nor others that share "
            "a pixel with these, for `pyroshift evidence`; maps are of all windows (default: none)",
        ),
    ]
    _resume(training)
    _common(parser)
    parser.set_defaults(settings=options)


def _search(parser: ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="image file, such as .tif, .dm4, .sxm, .npy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    data = parser.add_argument_group("the image and its windows")
    data.add_argument(
        "--window",
        type=window,
        metavar="PX",
        help="height and width of the windows in pixels, such as 40 or 40x56, or auto; two to "
        "three unit cells; leave it out with --vary window",
    )
    preparation(data)
    search_options(parser.add_argument_group("the search"))
    model_options(parser.add_argument_group("the model"))
    training_options(parser.add_argument_group("each training"))
    # A search trains often, and tells by the held-out bound.
    parser.set_defaults(epochs=20, validation_fraction=0.1)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the search in DIR, with the same options; --trainings may be more",
    )
    _common(parser)


def _encode(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="model.pt from `pyroshift fit`")
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="image file, such as .tif, .dm4, .sxm, .npy; or .zarr, an array, or a group with its "
        "array's name by --channel",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="what to write: a netCDF file such as maps.nc, or a Zarr store such as maps.zarr, for "
        "images of any size (needs pyroshift[big])",
    )
    data = parser.add_argument_group("the image and its windows")
    preparation(data, trained=True)
    at_positions(data)
    finding_options(parser.add_argument_group("the atoms, with --at-atoms"))
    interval_options(data)
    parser.add_argument("--device", help="where to compute: cpu, cuda, mps ... (default: cpu)")
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster, such as tcp://host:8786, whose workers are to do it; with --out "
        "maps.zarr they write the maps, so that it must be the same folder on all machines (needs "
        "pyroshift[big])",
    )
    _common(parser)


def _evidence(parser: ArgumentParser) -> None:
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="model.pt from `pyroshift fit`"
    )
    parser.add_argument("image", metavar="IMAGE", help="image file, such as .tif, .dm4, .sxm, .npy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    data = parser.add_argument_group("the image and its windows")
    preparation(data, trained=True)
    at_positions(data)
    _held_out(
        data,
        "share of the image that models were trained without, by `fit --held-out`: the windows "
        "there alone are taken (default: all windows)",
    )
    finding_options(parser.add_argument_group("the atoms, with --at-atoms"))
    parser.add_argument(
        "--draws",
        type=int,
        default=200,
        metavar="N",
        help="of each model's guide for each window: the more, the closer (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the draws (default: %(default)s)"
    )
    parser.add_argument("--device", help="where to compute: cpu, cuda, mps ... (default: cpu)")
    _common(parser)


def _atoms(parser: ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="image file, such as .tif, .dm4, .sxm, .npy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    reading(parser.add_argument_group("the image"))
    finding_options(parser.add_argument_group("the atoms"))
    _common(parser)


def _strain(parser: ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="image file, such as .tif, .dm4, .sxm, .npy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    lattice = parser.add_argument_group("the lattice and its strain")
    data = parser.add_argument_group("the image and its windows")
    training = parser.add_argument_group("the model and its training")
    options = [
        *strain_options(lattice),
        data.add_argument(
            "--window",
            type=window,
            default=AUTO,
            metavar="PX",
            help="height and width of the windows in pixels, such as 40 or 40x56; strain is "
            "blurred by about as much (default: two and a half unit cells)",
        ),
        *preparation(data),
        _latent_dim(training, "what cells look like besides"),
        *training_options(training),
    ]
    _resume(training)
    _common(parser)
    parser.set_defaults(settings=options, **settled(normalize="image", epochs=20))


def _domains(parser: ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help="image file, such as .ibw, .h5, .sxm, .gwy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    walls = parser.add_argument_group("the domains and their walls")
    data = parser.add_argument_group("the image and its windows")
    training = parser.add_argument_group("the model and its training")
    options = [
        *domains_options(walls),
        data.add_argument(
            "--window",
            type=size,
            default=(16, 16),
            metavar="PX",
            help="height and width of the windows in pixels, such as 16 or 16x24 (default: 16)",
        ),
        *preparation(data),
        _latent_dim(training, "what domains look like, turned to one angle"),
        *training_options(training),
    ]
    _resume(training)
    _common(parser)
    parser.set_defaults(settings=options, **DOMAINS)


def _patterns(parser: ArgumentParser) -> None:
    parser.add_argument("image", metavar="FILE", help="patterns, such as .hspy, .mib, .dm4, .npy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    data, training = map(parser.add_argument_group, ("the patterns", "the model and its training"))
    options = pattern_options(data, training) + training_options(training) + kl_options(training)
    _resume(training)
    _common(parser)
    parser.set_defaults(settings=options, **PATTERNS)


def _spectra(parser: ArgumentParser) -> None:
    spectra_options(parser)
    _resume(parser.add_argument_group("an interrupted run"))
    _common(parser)


def _demo(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo"),
        metavar="DIR",
        help="folder of results (default: %(default)s)",
    )
    _common(parser)


def _latent_dim(group: _ArgumentGroup, meaning: str) -> Action:
    """How many latents a measurement of one kind takes."""
    text = f"how many latents z describe {meaning} (default: %(default)s)"
    return group.add_argument("--latent-dim", type=int, default=2, metavar="N", help=text)


def _resume(training: _ArgumentGroup) -> None:
    interval_options(training)
    training.add_argument(
        "--resume",
        action="store_true",
        help="go on with the interrupted run whose checkpoint is in DIR, and replace its results; "
        "give the same options, but with --schedule constant --epochs may be more",
    )


def _common(parser: ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument("--quiet", action="store_true", help="tell nothing but notes and errors")


def _held_out(group: _ArgumentGroup, meaning: str) -> Action:
    """How much of the image is kept from the training."""
    return group.add_argument("--held-out", type=float, metavar="SHARE", help=meaning)

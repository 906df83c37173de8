"""What can be typed after `pyroshift`, and what each option means."""

from argparse import Action, ArgumentParser, RawDescriptionHelpFormatter, _ArgumentGroup
from pathlib import Path

from pyroshift._version import __version__
from pyroshift.cli.atoms import finding_options
from pyroshift.cli.groups import (
    at_positions,
    kl_options,
    model_options,
    preparation,
    reading,
    search_options,
    training_options,
)
from pyroshift.cli.strain import SETTLED, strain_options
from pyroshift.cli.typed import AUTO, window

_DESCRIPTION = """\
Find what varies in a microscope image. It is cut into windows, and each is described by what its
motif looks like (the latents z), apart from where it sits (offset) and how it is turned (angle)."""
_EPILOG = """\
start here:
  pyroshift demo          the whole way on a real STM image, in minutes
  pyroshift fit --help    what every option means, with examples
"""
_FIT_DESCRIPTION = """\
Cut an image into windows, train a model on them, and map what it finds. The folder DIR gets
maps.nc (the maps, for xarray), maps.png, manifold.png, reconstructions.png, training.png,
history.nc, model.pt, and report.html, which explains them. Ctrl-C during the training ends it
early: what has been learnt is kept and mapped."""
_FIT_EPILOG = """\
which model:
  shift   lattices: windows differ by where the lattice sits in them
  rvae    grains or particles that are turned against each other; with --offsets where the windows
          aren't centred on them
  vae     the baseline, without pose: shifts and turns end up in z

examples:
  pyroshift fit graphite.tif --window auto --out quick_look
  pyroshift fit graphite.tif --window 40 --step 12 --out graphite
  pyroshift fit graphite.tif --window 40 --step 12 --out graphite --resume
  pyroshift fit manganite.tif --window auto --normalize image --out manganite
  pyroshift fit graphene.npy --model rvae --window 32 --at-atoms --interpolate --symmetry 3 \\
      --out grains
  pyroshift fit graphene.npy --model rvae --window 32 --positions atoms/atoms.nc --out grains
  pyroshift fit particles.tif --model rvae --offsets --window 48 --out particles
  pyroshift fit scan.sxm --channel Z --level 1 --window 48 --latent-dim 3 --out scan
  pyroshift fit pfm.ibw --channel Amplitude --channel Phase --likelihood Phase=von_mises \\
      --normalize none --window 32 --out pfm
  pyroshift fit particles.tif --model rvae --offsets --classes 3 --window 48 --out kinds
"""
_ENCODE_DESCRIPTION = """\
Map an image with a model that is trained: the same image on a finer grid, or another one taken
alike. Prepare it as for `fit`, by the same --channel, --level and --normalize; the window is the
model's, and so are several channels, unless others are named. With --out maps.zarr the maps are
written block by block, so that the image may be larger than the memory: a .npy file or a Zarr array
is then read block by block too, unless --level needs all of it. Ctrl-C keeps the blocks that are
done, and the same command goes on with the others."""
_ENCODE_EPILOG = """\
examples:
  pyroshift encode graphite/model.pt graphite.tif --step 5 --out graphite_fine.nc
  pyroshift encode graphite/model.pt mosaic.npy --step 2 --out mosaic.zarr
"""
_EVIDENCE_DESCRIPTION = """\
Tell how probable saved models hold the windows of an image, their latents integrated out: the log
evidence, by importance weights of the guide's draws. Of several models the best comes first, and
differences are paired by window. Prepare the image as for `fit`. Models are only compared fairly by
windows that none of them was trained on: another image, or --held-out with the same share, image
and windows as in `fit --held-out`. The folder DIR gets evidence.csv (the table), evidence.nc (for
xarray, with the evidence of each window) and evidence.png: of one model where its guide can be
trusted, of several how they compare."""
_EVIDENCE_EPILOG = """\
examples:
  pyroshift fit graphite.tif --window 40 --held-out 0.2 --out two
  pyroshift fit graphite.tif --window 40 --held-out 0.2 --latent-dim 3 --out three
  pyroshift evidence two/model.pt three/model.pt graphite.tif --held-out 0.2 --out compared
  pyroshift evidence two/model.pt another.tif --out trusted
"""
_SEARCH_DESCRIPTION = """\
Train on an image once for each of many KL weights, initial and final, and more if asked for, and
find those for which the map of a latent is smoothest, as physical order parameters are. The folder
DIR gets search.nc (all scores and maps, for xarray), search.png, model.pt (the best model, for
`pyroshift encode`), and every single training. Ctrl-C keeps the trainings that are done. Needs
pyroshift[search]."""
_SEARCH_EPILOG = """\
examples:
  pyroshift search graphite.tif --window 40 --step 12 --out search
  pyroshift search graphite.tif --window 40 --step 12 --out search --resume
  pyroshift search graphite.tif --window 40 --trainings 9 --workers 4 --out search
  pyroshift search graphite.tif --vary window 28 40 --initial 0.1 1 --final 1 --out search
"""
_ATOMS_DESCRIPTION = """\
Find the atoms of an image, or of every frame of a stack, to a fraction of a pixel. The folder DIR
gets atoms.nc (positions with their uncertainties, for xarray, and for `fit --positions`), atoms.csv
(the same as a table, in pixels), and atoms.png, which is worth a look. Needs pyroshift[atoms]."""
_ATOMS_EPILOG = """\
examples:
  pyroshift atoms graphene.npy --out atoms
  pyroshift atoms perovskite.dm4 --sublattices 2 --out atoms
  pyroshift atoms movie.hspy --dark --track --out atoms
  pyroshift fit movie.hspy --model rvae --window 32 --positions atoms/atoms.nc --out result
"""
_STRAIN_DESCRIPTION = """\
Map how the lattice in an image is displaced, stretched, sheared and turned, with intervals, and
where its dislocations are. As for `fit`, a shift-VAE is trained on windows of the image; its
offsets tell where the lattice is. The folder DIR gets displacement.nc and strain.nc (for xarray),
their pictures, dislocations.csv, and all that `fit` leaves, with a report. Needs
pyroshift[atoms]."""
_STRAIN_EPILOG = """\
examples:
  pyroshift strain manganite.tif --out strain
  pyroshift strain film.dm4 --region 0 5 0 20 --resolution 2 --out strain
  pyroshift strain gold.npy --vectors 20.1 0 0 20.1 --fixed --finite --out strain
"""
_DEMO_DESCRIPTION = """\
Run `pyroshift fit` on a scanning tunnelling microscope's image of Si(111)-7x7 with a step edge. The
image comes with the package SPIEPy: pip install pyroshift[demo]."""


def build_parser() -> ArgumentParser:
    """The parser of the whole command.

    What it parses bears, under `settings`, the options of `fit` that belong into a report.
    """
    parser = ArgumentParser(
        "pyroshift",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyroshift {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary, description, epilog, add_options in (
        ("fit", "train on an image, map it, and report", _FIT_DESCRIPTION, _FIT_EPILOG, _fit),
        (
            "search",
            "find KL weights by many trainings",
            _SEARCH_DESCRIPTION,
            _SEARCH_EPILOG,
            _search,
        ),
        ("encode", "map an image by a saved model", _ENCODE_DESCRIPTION, _ENCODE_EPILOG, _encode),
        (
            "evidence",
            "tell how probable saved models hold an image, and which is best",
            _EVIDENCE_DESCRIPTION,
            _EVIDENCE_EPILOG,
            _evidence,
        ),
        ("atoms", "find the atoms of an image", _ATOMS_DESCRIPTION, _ATOMS_EPILOG, _atoms),
        ("strain", "map how a lattice is strained", _STRAIN_DESCRIPTION, _STRAIN_EPILOG, _strain),
        ("demo", "`fit` on a real STM image", _DEMO_DESCRIPTION, None, _demo),
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
    preparation(data)
    at_positions(data)
    finding_options(parser.add_argument_group("the atoms, with --at-atoms"))
    parser.add_argument("--device", help="where to compute: cpu, cuda, mps ... (default: cpu)")
    _common(parser)


def _evidence(parser: ArgumentParser) -> None:
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="model.pt from `pyroshift fit`"
    )
    parser.add_argument("image", metavar="IMAGE", help="image file, such as .tif, .dm4, .sxm, .npy")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    data = parser.add_argument_group("the image and its windows")
    preparation(data)
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
        training.add_argument(
            "--latent-dim",
            type=int,
            default=2,
            metavar="N",
            help="how many latents z describe what cells look like besides (default: %(default)s)",
        ),
        *training_options(training),
    ]
    _resume(training)
    _common(parser)
    parser.set_defaults(settings=options, normalize="image", epochs=20, **SETTLED)


def _demo(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo"),
        metavar="DIR",
        help="folder of results (default: %(default)s)",
    )
    _common(parser)


def _resume(training: _ArgumentGroup) -> None:
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

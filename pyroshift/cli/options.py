"""What can be typed after `pyroshift`, and what each option means."""

from argparse import Action, ArgumentParser, RawDescriptionHelpFormatter, _ArgumentGroup
from pathlib import Path

from pyroshift._version import __version__

# The names that the package knows, written out so that --help needn't import torch.
LIKELIHOODS = ("gaussian", "bernoulli", "continuous_bernoulli", "poisson")
ENCODERS = ("fully_connected", "convolutional")
DECODERS = ("canvas", "spatial")

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
  pyroshift fit graphite.tif --model shift --window 40 --step 12 --out graphite
  pyroshift fit graphite.tif --model shift --window 40 --step 12 --out graphite --resume
  pyroshift fit graphene.npy --model rvae --offsets --window 32 --positions atoms.csv --out grains
  pyroshift fit scan.sxm --channel Z --level 1 --window 48 --latent-dim 3 --out scan
"""
_ENCODE_DESCRIPTION = """\
Map an image with a model that is trained: the same image on a finer grid, or another one taken
alike. Prepare it as for `fit`, by the same --channel, --level and --normalize; the window is the
model's."""
_ENCODE_EPILOG = """\
example:
  pyroshift encode graphite/model.pt graphite.tif --step 5 --out graphite_fine.nc
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
        ("encode", "map an image by a saved model", _ENCODE_DESCRIPTION, _ENCODE_EPILOG, _encode),
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
            type=_size,
            required=True,
            metavar="PX",
            help="height and width of the windows in pixels, such as 40 or 40x56; take two to "
            "three unit cells, or one particle with some surroundings",
        ),
        *_preparation(data),
        *_model(model),
        *_training(training),
    ]
    training.add_argument(
        "--resume",
        action="store_true",
        help="go on with the interrupted run whose checkpoint is in DIR, and replace its results; "
        "give the same options, but with --schedule constant --epochs may be more",
    )
    _common(parser)
    parser.set_defaults(settings=options)


def _encode(parser: ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL", help="model.pt from `pyroshift fit`")
    parser.add_argument("image", metavar="IMAGE", help="image file, such as .tif, .dm4, .sxm, .npy")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="netCDF file to write, such as maps.nc",
    )
    _preparation(parser.add_argument_group("the image and its windows"))
    parser.add_argument("--device", help="where to compute: cpu, cuda, mps ... (default: cpu)")
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


def _common(parser: ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument("--quiet", action="store_true", help="tell nothing but notes and errors")


def _preparation(group: _ArgumentGroup) -> list[Action]:
    """How an image becomes windows, but for their size."""
    return [
        group.add_argument(
            "--step",
            type=_size,
            metavar="PX",
            help="pixels from one window to the next, the resolution of the maps; a step that "
            "divides no lattice period makes the offsets beat (default: half of the window)",
        ),
        group.add_argument(
            "--positions",
            type=Path,
            metavar="FILE",
            help="windows around these places instead of on a grid: .npy, or .csv with the columns "
            "y, x in pixels, for a stack of images frame, y, x",
        ),
        group.add_argument(
            "--channel", help="which image of a file that has several, by name or number"
        ),
        group.add_argument(
            "--level",
            type=int,
            metavar="ORDER",
            help="take off the tilt of a scanned surface first: 1 for a plane, 2 for a paraboloid",
        ),
        group.add_argument(
            "--normalize",
            choices=("patch", "image", "none"),
            default="patch",
            help="grey levels to [0, 1]: of each window, which drops differences in brightness "
            "between windows; of the whole image, which keeps them; or as they are "
            "(default: %(default)s)",
        ),
    ]


def _model(group: _ArgumentGroup) -> list[Action]:
    return [
        group.add_argument(
            "--model",
            choices=("shift", "rvae", "vae"),
            default="shift",
            help="which pose is kept apart from what the motif looks like: with shift where it "
            "sits, with rvae how it is turned, with vae none (default: %(default)s)",
        ),
        group.add_argument(
            "--offsets", action="store_true", help="with rvae: the motif may be shifted as well"
        ),
        group.add_argument(
            "--latent-dim",
            type=int,
            default=2,
            metavar="N",
            help="how many latents z describe what the motif looks like; those that the data don't "
            "need collapse (default: %(default)s)",
        ),
        group.add_argument(
            "--offset-scale",
            type=float,
            metavar="WIDTH",
            help="how far motifs sit from the windows' centres, as the standard deviation of the "
            "prior in half-windows; too narrow a prior fails silently (default: 0.3)",
        ),
        group.add_argument(
            "--angle-scale",
            type=float,
            metavar="WIDTH",
            help="with rvae: how far motifs are turned, as the standard deviation of the prior in "
            "radians (default: 1.0)",
        ),
        group.add_argument(
            "--likelihood",
            choices=LIKELIHOODS,
            default="gaussian",
            help="the noise of a pixel: gaussian learns its level; bernoulli, as in the papers, is "
            "for grey levels in [0, 1]; poisson is for counts, with --normalize none "
            "(default: %(default)s)",
        ),
        group.add_argument(
            "--encoder",
            choices=ENCODERS,
            default="fully_connected",
            help="network from a window to its latents; convolutional is slower and sees textures "
            "(default: %(default)s)",
        ),
        group.add_argument(
            "--decoder",
            choices=DECODERS,
            default="canvas",
            help="network from latents to the motif: canvas draws it once and resamples it; "
            "spatial, as in the papers, computes it at every pixel, many times slower "
            "(default: %(default)s)",
        ),
    ]


def _training(group: _ArgumentGroup) -> list[Action]:
    return [
        group.add_argument(
            "--epochs",
            type=int,
            default=100,
            metavar="N",
            help="how many times to go through all windows; see in training.png whether the loss "
            "has settled (default: %(default)s)",
        ),
        group.add_argument(
            "--batch-size",
            type=int,
            default=128,
            metavar="N",
            help="windows per step of the optimiser (default: %(default)s)",
        ),
        group.add_argument(
            "--learning-rate",
            type=float,
            default=2e-3,
            metavar="RATE",
            help="step size of the optimiser; take a tenth of it if the loss jumps "
            "(default: %(default)s)",
        ),
        group.add_argument(
            "--schedule",
            choices=("cosine", "constant"),
            default="cosine",
            help="whether the learning rate goes down to 0 over the epochs, which settles the "
            "result, or stays (default: %(default)s)",
        ),
        group.add_argument(
            "--kl",
            type=float,
            metavar="WEIGHT",
            help="what latents cost: above 1 fewer and smoother ones are used, below 1 more "
            "details are told apart (default: 1)",
        ),
        group.add_argument(
            "--kl-initial",
            type=float,
            metavar="WEIGHT",
            help="instead of --kl: the weight in the first epoch, when latents should be cheap",
        ),
        group.add_argument(
            "--kl-final",
            type=float,
            metavar="WEIGHT",
            help="with --kl-initial: the weight that it goes to (default: 1)",
        ),
        group.add_argument(
            "--kl-epochs",
            type=int,
            metavar="N",
            help="with --kl-initial: after how many epochs (default: half of --epochs)",
        ),
        group.add_argument(
            "--validation-fraction",
            type=float,
            default=0.0,
            metavar="SHARE",
            help="share of the windows held out, whose loss tells whether the model learns them by "
            "heart; windows that overlap hide that (default: %(default)s)",
        ),
        group.add_argument(
            "--seed",
            type=int,
            default=0,
            metavar="N",
            help="of all randomness: the same seed gives the same result (default: %(default)s)",
        ),
        group.add_argument("--device", help="where to compute: cpu, cuda, mps ... (default: cpu)"),
    ]


def _size(text: str) -> tuple[int, int]:
    """`40` or `40x56` as height and width."""
    sizes = tuple(int(part) for part in text.lower().split("x"))
    if len(sizes) not in (1, 2):
        raise ValueError
    return sizes[0], sizes[-1]


_size.__name__ = "size (such as 40 or 40x56)"  # argparse names it so in its error message

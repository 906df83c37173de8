"""The options that commands share: the windows, the model, the training."""

from argparse import Action, _ArgumentGroup
from collections.abc import Sequence
from pathlib import Path

from pyroshift import names
from pyroshift.cli.typed import (
    NO_NORMALIZATION,
    ByChannel,
    likelihood,
    normalization,
    number_or_auto,
    size,
)

MODELS = {"shift": "ShiftVAE", "rvae": "RVAE", "vae": "VAE"}
CONSTANT = "constant"  # what can be typed for None


def preparation(group: _ArgumentGroup, trained: bool = False) -> list[Action]:
    """How an image becomes windows, but for their size; a trained model knows part of it."""
    default = "as in the model's training" if trained else "%(default)s"
    return [
        group.add_argument(
            "--step",
            type=size,
            metavar="PX",
            help="pixels from one window to the next, the resolution of the maps; a step that "
            "divides no lattice period makes the offsets beat (default: half of the window)",
        ),
        *reading(group),
        group.add_argument(
            "--normalize",
            type=normalization,
            default=None if trained else names.NORMALIZATIONS[0],
            metavar="|".join((*names.NORMALIZATIONS, NO_NORMALIZATION, "LOW-HIGH")),
            help="grey levels to [0, 1]: of each window, which drops differences in brightness "
            "between windows, for STM; of the whole image, which keeps them, for STEM; or as "
            "they are (none); two percentiles such as 0.1-99.9 for the whole image but for what is "
            f"beyond, such as hot pixels; each channel by itself (default: {default})",
        ),
        group.add_argument(
            "--min-valid",
            type=float,
            default=0.5,
            metavar="SHARE",
            help="least share of a window's pixels that are there (not NaN), in every channel; "
            "windows with fewer are left out, and pixels that are missing count for nothing "
            "(default: %(default)s)",
        ),
        group.add_argument(
            "--overlap",
            choices=names.OVERLAPS,
            help="once: a pixel that several windows hold counts once, by a power likelihood; "
            "uncertainties, bounds and what latents cost are then of the image as it was measured "
            "(default: it counts in every window)",
        ),
    ]


def reading(group: _ArgumentGroup) -> list[Action]:
    """Which image, and what is taken off it."""
    return [
        group.add_argument(
            "--channel",
            action="append",
            metavar="NAME",
            help="which image of a file that has several, by name or number; repeated, such as "
            "--channel Amplitude --channel Phase, for windows of several channels",
        ),
        group.add_argument(
            "--level",
            action=ByChannel,
            kind=int,
            metavar="ORDER|CHANNEL=ORDER",
            help="take off the tilt of a scanned surface first: 1 for a plane, 2 for a paraboloid; "
            "of all channels, or of those that are named, such as --level Height=1",
        ),
    ]


def at_positions(group: _ArgumentGroup) -> list[Action]:
    """Windows elsewhere than on a grid."""
    return [
        group.add_argument(
            "--positions",
            type=Path,
            metavar="FILE",
            help="windows around these places instead of on a grid: .nc from `pyroshift atoms`; "
            ".npy, or .csv with the columns y, x in pixels, for a stack of images frame, y, x",
        ),
        group.add_argument(
            "--at-atoms",
            action="store_true",
            help="windows around the atoms, which are found first, as by `pyroshift atoms`; of "
            "several channels, in the first",
        ),
        group.add_argument(
            "--interpolate",
            action="store_true",
            help="cut windows exactly at the atoms or positions, instead of at the nearest pixels",
        ),
    ]


def model_options(group: _ArgumentGroup) -> list[Action]:
    """What the model is."""
    return [
        _choice(
            group,
            "--model",
            list(MODELS),
            "which pose is kept apart from what the motif looks like: with shift where it "
            "sits, with rvae how it is turned, with vae none",
        ),
        group.add_argument(
            "--offsets", action="store_true", help="with rvae: the motif may be shifted as well"
        ),
        group.add_argument(
            "--flips",
            action="store_true",
            help="with shift and rvae: the motif may be mirrored too, as that of particles or "
            "surfaces which lie either way up",
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
            "radians, or inf for any angle alike (default: inf)",
        ),
        group.add_argument(
            "--guide",
            choices=names.GUIDES,
            help="how poses are found: anchor by searching all of them, for wide offsets, any "
            "angle, and smooth maps of z at --kl 1; normal by a network, as in the papers, two to "
            "five times as quick per epoch (default: anchor, but normal with vae)",
        ),
        group.add_argument(
            "--period",
            type=number_or_auto(float),
            metavar="PX",
            help="with shift: the lattice's period in pixels along both axes, if offsets are only "
            "meant modulo it; auto for that of the lattice that is found in the image",
        ),
        group.add_argument(
            "--symmetry",
            type=number_or_auto(int),
            metavar="N",
            help="with rvae: the motif looks the same after the N-th part of a full turn; auto "
            "for what is found by the training",
        ),
        group.add_argument(
            "--brightness",
            choices=names.BRIGHTNESS,
            help="site describes gain and background of each window apart, so that z is left to "
            "tell structure; for --normalize image or none, where z shows little but brightness",
        ),
        group.add_argument(
            "--classes",
            type=int,
            metavar="N",
            help="how many kinds of motif there may be, if windows don't all show the same; maps "
            "tell which of them each shows, and z what it looks like among its kind (default: one)",
        ),
        group.add_argument(
            "--likelihood",
            action=ByChannel,
            kind=likelihood,
            default=names.LIKELIHOODS[0],
            metavar="NAME|CHANNEL=NAME",
            help="the noise of a pixel: gaussian learns its level, student_t that of outliers too, "
            "and heteroscedastic one for every pixel; bernoulli, as in the papers, and "
            "continuous_bernoulli are for grey levels in [0, 1]; poisson, negative_binomial (more "
            "scatter) and zero_inflated_poisson (lost counts) are for counts, and von_mises for "
            "phases in degrees, with --normalize none; repeated, such as --likelihood "
            "Phase=von_mises, for single channels (default: %(default)s)",
        ),
        _choice(
            group,
            "--encoder",
            names.ENCODERS,
            "network from a window to its latents; convolutional is slower and sees textures",
        ),
        _choice(
            group,
            "--decoder",
            names.DECODERS,
            "network from latents to the motif: canvas draws it once and resamples it; "
            "spatial, as in the papers, computes it at every pixel, many times slower",
        ),
    ]


def training_options(group: _ArgumentGroup) -> list[Action]:
    """How it is trained."""
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
        _choice(
            group,
            "--schedule",
            (*names.SCHEDULES, CONSTANT),
            "whether the learning rate goes down to 0 over the epochs, which settles the "
            "result, or stays",
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


def kl_options(group: _ArgumentGroup) -> list[Action]:
    """What latents cost, in one training."""
    return [
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
    ]


def search_options(group: _ArgumentGroup) -> list[Action]:
    """What a search varies, and how."""
    weights = "by default six from 0.1 to 10"
    return [
        group.add_argument(
            "--initial",
            type=float,
            nargs="+",
            metavar="WEIGHT",
            help=f"KL weights of the first epoch, such as 0.1 1 10 ({weights})",
        ),
        group.add_argument(
            "--final",
            type=float,
            nargs="+",
            metavar="WEIGHT",
            help=f"KL weights that they go to ({weights})",
        ),
        group.add_argument(
            "--kl-epochs",
            type=int,
            metavar="N",
            help="after how many epochs (default: half of --epochs)",
        ),
        group.add_argument(
            "--vary",
            nargs="+",
            action="append",
            default=[],
            metavar=("NAME", "VALUE"),
            help="search over another setting too, by its name, such as `--vary window 28 40`, "
            "`--vary latent-dim 2 3`, `--vary decoder canvas spatial` or `--vary offset-scale 0.2 "
            "0.4`; may be repeated, and every combination is a point of the grid",
        ),
        group.add_argument(
            "--trainings",
            type=int,
            metavar="N",
            help="train at so many points only, chosen one by one by Bayesian optimisation; a "
            "quarter of the grid mostly comes near its best (default: the whole grid)",
        ),
        group.add_argument(
            "--workers",
            type=int,
            metavar="N",
            help="trainings side by side, which share the cores (default: one per core)",
        ),
    ]


def _choice(group: _ArgumentGroup, name: str, choices: Sequence[str], meaning: str) -> Action:
    """An option with a few values, the first of which is the default."""
    text = f"{meaning} (default: %(default)s)"
    return group.add_argument(name, choices=choices, default=choices[0], help=text)

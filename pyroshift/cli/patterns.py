"""What can be asked of diffraction patterns at the command line."""

from argparse import Action, _ArgumentGroup
from pathlib import Path

from pyroshift import names
from pyroshift.cli.choices import COUNTS, settled
from pyroshift.cli.typed import NO_NORMALIZATION

PATTERN_RESULTS = ("deflection.png", "patterns.png")
LIKELIHOODS = (*COUNTS, "gaussian", "student_t")
PATTERNS = settled(
    "likelihood", "offset_scale", "brightness", "kl", "kl_initial", "kl_final", "kl_epochs",
    normalize=NO_NORMALIZATION, level=None, period=None, epochs=30, batch_size=64,
)  # fmt: skip


def pattern_options(data: _ArgumentGroup, model: _ArgumentGroup) -> list[Action]:
    """Which patterns, and what the model is."""
    return [
        data.add_argument(
            "--channel", metavar="NAME", help="which of several scans in a file, by name or number"
        ),
        data.add_argument(
            "--region",
            nargs=3,
            action="append",
            metavar=("AXIS", "FROM", "TO"),
            help="a part of one axis, y and x of the scan, ky and kx of the detector, in its unit; "
            "repeated for several (default: all)",
        ),
        data.add_argument(
            "--binning",
            type=int,
            default=1,
            metavar="N",
            help="detector pixels along each side whose counts are added up; 32 to 64 along a side "
            "are plenty (default: %(default)s)",
        ),
        data.add_argument(
            "--mask",
            type=Path,
            metavar="FILE",
            help=".npy of the detector's shape, not 0 for pixels that don't count, as behind a "
            "beam stop",
        ),
        data.add_argument(
            "--scan-step",
            nargs=2,
            metavar=("SIZE", "UNIT"),
            help="distance of positions, such as 0.5 nm (default: the file's)",
        ),
        data.add_argument(
            "--detector-step",
            nargs=2,
            metavar=("SIZE", "UNIT"),
            help="distance of the detector's pixels, such as 0.8 mrad (default: the file's)",
        ),
        model.add_argument(
            "--likelihood",
            choices=LIKELIHOODS,
            default=COUNTS[0],
            help="the noise of a pixel: the first three are for counts of electrons, as they were "
            "counted; the others for a detector's grey levels (default: %(default)s)",
        ),
        model.add_argument(
            "--latent-dim",
            type=int,
            default=1,
            metavar="N",
            help="how many latents z describe what changes within the patterns; several explain "
            "more of it, but may take over a part of the deflection (default: %(default)s)",
        ),
        model.add_argument(
            "--offset-scale",
            type=float,
            default=0.1,
            metavar="WIDTH",
            help="how far patterns are deflected, as the standard deviation of the prior in half "
            "of the detector; too narrow a prior fails silently (default: %(default)s)",
        ),
        model.add_argument(
            "--brightness",
            choices=names.BRIGHTNESS,
            help="site describes gain and background of each pattern apart, where the beam's "
            "current or the thickness varies",
        ),
    ]

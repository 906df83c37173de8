"""What can be asked of diffraction patterns at the command line."""

from argparse import Action, _ArgumentGroup
from pathlib import Path
from typing import Any

from pyroshift import names
from pyroshift.cli.groups import MODELS
from pyroshift.cli.typed import NO_NORMALIZATION

_DESCRIPTION = """\
Map how the beam is deflected over a scan with a diffraction pattern at every position (4D-STEM),
with its uncertainty, apart from what changes within the patterns. A shift-VAE is trained on them:
its offsets are the deflection, its latents z the rest. The folder DIR gets deflection.png and all
that `fit` leaves, with a report."""
_EPILOG = """\
examples:
  pyroshift patterns scan.hspy --out deflection
  pyroshift patterns scan.mib --binning 4 --mask beam_stop.npy --latent-dim 3 --out deflection
  pyroshift patterns scan.npy --scan-step 0.5 nm --detector-step 0.8 mrad --out deflection
"""
PATTERNS = ("patterns", "map how the beam is deflected in 4D-STEM", _DESCRIPTION, _EPILOG)
COUNTS = ("poisson", "negative_binomial", "zero_inflated_poisson")
LIKELIHOODS = (*COUNTS, "gaussian", "student_t")
# What `fit` may be asked for, and patterns have no choice in.
PATTERNS_SETTLED: dict[str, Any] = {
    "model": next(iter(MODELS)), "normalize": NO_NORMALIZATION, "level": None, "period": None,
    "offsets": False, "angle_scale": None, "symmetry": None, "flips": False, "classes": None,
    "guide": None, "encoder": names.ENCODERS[0], "decoder": names.DECODERS[0],
}  # fmt: skip


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

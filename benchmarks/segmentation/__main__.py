"""Does the segmenter find atoms: on simulated micrographs, and on real images it has never seen?

    OMP_NUM_THREADS=1 python -m benchmarks.segmentation [--out segmentation] [--no-denoise]

The real images are read from `../shared/data`, which isn't part of the project. The given positions
of the graphene's atoms are a pickle: don't run this on one that you don't trust.
"""

from pathlib import Path

import pyroshift as ps
from benchmarks.common import command
from benchmarks.common.data import MICROGRAPHS, is_there
from benchmarks.segmentation.images import real, simulated


def main() -> None:
    """Print the tables, and draw the probabilities of real images."""
    parser = command.parser("segmentation", __doc__, seeds=[1000, 1001, 1002])
    parser.add_argument("--segmenter", type=Path, help="another one than the package's")
    parser.add_argument("--out", type=Path, help="folder for the pictures of real images")
    parser.add_argument("--no-denoise", dest="denoise", action="store_false")
    options = command.asked(parser)
    segmenter = ps.load_segmenter(options.segmenter)
    simulated(segmenter, options.seeds, options.denoise)
    for name, dark in MICROGRAPHS.items():
        if is_there(name):
            real(segmenter, name, dark, options.denoise, options.out)


if __name__ == "__main__":
    main()

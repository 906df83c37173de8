"""The same images given to atomap, in a process and an environment of its own.

python -m venv atomap && atomap/bin/pip install atomap==0.4.2
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.common.metrics import Array

SCRIPT = Path(__file__).with_name("atomap_worker.py")
# Of the true distance between neighbours. Its guide has it slightly smaller than that, but with
# 0.75 it found fewer: it looks in squares, and leaves out as much at the border.
SEPARATION = 0.5


def by_atomap(python: Path, images: Sequence[Array], distances: Sequence[float]) -> list[Array]:
    """Positions (atom x axis) in each image by atomap, which is told the true distances.

    Args:
        python: the interpreter that has atomap.
        images: each height x width.
        distances: of nearest neighbours in each, pixels.
    """
    with TemporaryDirectory() as folder:
        stems = [Path(folder) / f"{number:04}" for number in range(len(images))]
        for stem, image, distance in zip(stems, images, distances, strict=True):
            values = {"image": image.astype(float), "separation": SEPARATION * distance}
            np.savez(stem.with_suffix(".npz"), **values)
        subprocess.run([str(python), str(SCRIPT), folder], check=True, capture_output=True)
        return [np.load(stem.with_suffix(".npy")) for stem in stems]

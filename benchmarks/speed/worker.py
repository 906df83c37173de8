"""One training and one encoding in a process of its own, so that its memory is its own.

    python -m benchmarks.speed.worker '{"side": 512, "window": 32, "step": 4}'

prints one line of JSON. The sizes and what is measured are told at `main`.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pyroshift
from benchmarks.common.timing import seconds
from pyroshift.errors import LatentWarning


def main(job: dict[str, Any]) -> dict[str, float]:
    """Train on the windows of an image of noise, then map it.

    Args:
        job: `side` of the square image, `window` and `step` in pixels; optionally `batch_size`,
            `epochs`, `threads`, `decoder`, `guide` (normal) and `encode_only`.

    Returns:
        Patches, patches per second in training and encoding, and GB of memory: what the imports
        take, and what was held at most above that in training, and in all.
    """
    warnings.simplefilter("ignore", LatentWarning)  # noise has no motif
    torch.set_num_threads(job.get("threads", 1))
    footprint = peak_memory()
    rng = np.random.default_rng(0)
    image = rng.random((job["side"], job["side"]), dtype=np.float32)
    patches = pyroshift.extract_patches(image, job["window"], job["step"])
    decoder, guide = job.get("decoder", "canvas"), job.get("guide", "normal")
    model = pyroshift.ShiftVAE(job["window"], decoder=decoder, guide=guide)
    found = {"patches": float(len(patches)), "import_gb": footprint}
    epochs = job.get("epochs", 1)
    if not job.get("encode_only", False):
        batch_size = job.get("batch_size", 256)
        taken = seconds(
            lambda: pyroshift.fit(
                model, patches, epochs=epochs, batch_size=batch_size, progress=False
            )
        )
        found |= {
            "trained_per_s": epochs * len(patches) / taken,
            "training_gb": peak_memory() - footprint,
        }
    taken = seconds(lambda: pyroshift.encode(model, patches))
    return found | {"encoded_per_s": len(patches) / taken, "peak_gb": peak_memory() - footprint}


def peak_memory() -> float:
    """The most memory that this process has held so far, GB; Linux only."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))

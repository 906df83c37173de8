"""How much memory do a hundred thousand patterns take, from a file to maps?

    python -m benchmarks.diffraction.memory

writes patterns of 64 x 64 to a temporary .npy, and prints the most memory in gigabytes that
loading, a short training on some and the maps of some others take: what the system can't reclaim
(RssAnon), and with the file's pages that it keeps meanwhile (VmRSS). On Linux.
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

COUNT, SIDE, ROWS = 100_000, 64, 100
KINDS = ("RssAnon", "VmRSS")
TRAINED, MAPPED = 256, 1024  # patterns


def write(path: Path) -> None:
    """Disks of about a thousand electrons."""
    shape = (COUNT // ROWS, ROWS, SIDE, SIDE)
    stored = np.lib.format.open_memmap(path, "w+", dtype=np.uint16, shape=shape)
    rng, middle = np.random.default_rng(0), (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE] - middle
    for row in stored:
        row[:] = rng.poisson((np.hypot(y, x) < 18) + 0.05, row.shape)
    stored.flush()


def used() -> dict[str, float]:
    """Memory that this process has now, gigabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {kind: int(found[kind].split()[0]) / 1e6 for kind in KINDS}


def watch(peak: dict[str, float]) -> None:
    """Keep the most that there was."""
    while True:
        for kind, now in used().items():
            peak[kind] = max(peak[kind], now)
        time.sleep(0.02)


def measure(path: str) -> None:
    """Go the whole way, and tell after each step the most that was used."""
    peak = dict.fromkeys(KINDS, 0.0)
    threading.Thread(target=watch, args=(peak,), daemon=True).start()

    def tell(step: str) -> None:
        print(step, {kind: round(value, 2) for kind, value in peak.items()}, flush=True)

    import torch

    import pyroshift as ps

    model = ps.ShiftVAE((SIDE, SIDE), latent_dim=2, likelihood="poisson", offset_scale=0.1)
    tell("imports")
    patches = ps.Patches.from_array(ps.load_patterns(path), window_ndim=2)
    tell("patches")
    some = patches.subset(torch.arange(0, len(patches), len(patches) // TRAINED))
    ps.fit(model, some, epochs=1, batch_size=64, progress=False)
    tell("fit")
    ps.encode(model, patches.subset(torch.arange(0, len(patches), len(patches) // MAPPED)))
    tell("encode")


def main() -> None:
    """Write in this process, measure in another."""
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "patterns.npy"
        write(path)
        subprocess.run(
            [sys.executable, "-m", "benchmarks.diffraction.memory", str(path)], check=True
        )


if __name__ == "__main__":
    main()

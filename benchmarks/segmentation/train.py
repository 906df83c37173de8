"""Make the segmenter that comes with the package, on simulated micrographs alone.

    OMP_NUM_THREADS=1 python -m benchmarks.segmentation.train

The weights are kept in half precision, which halves the file.
"""

import time
from pathlib import Path

import torch

import pyroshift as ps
from benchmarks.common import command

SHIPPED = Path(ps.__file__).parent / "segmentation" / "segmenter.pt"


def main() -> None:
    """Train, and write the state."""
    parser = command.parser("segmentation.train", __doc__, seeds=())
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.process_time()
    segmenter = ps.train_segmenter(steps=options.steps, seed=options.seed)
    seconds = time.process_time() - start
    segmenter.network.half()
    segmenter.save(options.out, overwrite=True)
    loss = segmenter.history.loss.rolling(step=100, min_periods=1).mean()
    for step in range(0, loss.sizes["step"], 100):
        print(f"step {step + 1:5}: loss {float(loss[min(step + 99, len(loss) - 1)]):.4f}")
    print(f"{options.out}: {options.out.stat().st_size} bytes, {seconds:.0f} s of one core")


if __name__ == "__main__":
    main()

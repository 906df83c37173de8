"""What training and mapping take by each guide, of one checkout or of several side by side.

    OMP_NUM_THREADS=1 python -m benchmarks.speed.guides
    OMP_NUM_THREADS=1 python -m benchmarks.speed.guides . /tmp/before

Checkouts that are named are compared, such as one by `git worktree add /tmp/before REVISION`. Each
run is a process of its own, taken in turns; told are medians of the processor's milliseconds a
window, and how many times those of the last checkout they are.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from statistics import median
from time import process_time

ROUNDS = 3
WINDOWS = 512
EPOCHS = 8
# Model, guide, and side of the windows, pixels.
CASES = (
    ("ShiftVAE", "anchor", 20),
    ("ShiftVAE", "anchor", 40),
    ("ShiftVAE", "normal", 40),
    ("RVAE", "anchor", 40),
)


def measured(model: str, guide: str, side: int) -> list[float]:
    """Milliseconds a window of an epoch's training, and of mapping, in this process."""
    import pyroshift.errors
    from pyroshift import synthetic

    warnings.simplefilter("ignore", pyroshift.errors.LatentWarning)  # so few epochs learn little
    turn = 3.0 if model == "RVAE" else 0.0
    motifs = synthetic.motifs(
        n=WINDOWS, window=side, max_offset=side / 8, max_angle=turn, noise=0.1
    )
    patches = pyroshift.Patches.from_array(motifs.patch.values)
    made = getattr(pyroshift, model)(side, guide=guide, seed=0)
    # What comes before and after the epochs is measured by a training of one, and taken off; the
    # first of all warms up.
    taken = []
    for epochs in (1, 1, 1 + EPOCHS):
        start = process_time()
        pyroshift.fit(made, patches, epochs=epochs, progress=False)
        taken.append(process_time() - start)
    start = process_time()
    pyroshift.encode(made, patches)
    each = (taken[2] - taken[1]) / EPOCHS, process_time() - start
    return [1000 * seconds / WINDOWS for seconds in each]


def run(checkout: Path, case: tuple[str, str, int]) -> list[float]:
    """The same in a process of its own, with the package of a checkout."""
    found = subprocess.run(
        [sys.executable, "-P", __file__, json.dumps(case)],
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(found.stdout.splitlines()[-1])


def main() -> None:
    """Measure every case in every checkout, and print a table."""
    from benchmarks.common import command

    checkouts = command.checkouts(command.parser("speed.guides", __doc__, seeds=()))
    print("| model, guide, window | checkout | training, ms | times | mapping, ms | times |")
    print("| --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        runs: dict[Path, list[list[float]]] = {checkout: [] for checkout in checkouts}
        for _ in range(ROUNDS):
            for checkout in checkouts:
                runs[checkout].append(run(checkout, case))
        last = [median(values) for values in zip(*runs[checkouts[-1]], strict=True)]
        for checkout in checkouts:
            own = [median(values) for values in zip(*runs[checkout], strict=True)]
            cells = [f"{ms:.2f} | {ms / other:.2f}" for ms, other in zip(own, last, strict=True)]
            print(f"| {', '.join(map(str, case))} | {checkout.name} | {' | '.join(cells)} |")
            sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("["):
        print(json.dumps(measured(*json.loads(sys.argv[1]))))
    else:
        main()

"""Is the lattice found that an image shows, with all of its sublattices, and none in noise?

    python -m benchmarks.lattices --seeds 0 1 2 3

prints one row for each set of images: how many there are, how many have the right cell, a cell that
is a part of it (two sublattices taken for one), another one, and none. What the sets are stands in
sets.py.
"""

from collections import Counter

import numpy as np

from benchmarks.common import command
from benchmarks.common.metrics import Array
from benchmarks.lattices.sets import SETS
from pyroshift import suggest_window
from pyroshift.errors import DataError


def judged(image: Array, vectors: Array | None) -> str:
    """What `suggest_window` makes of an image."""
    try:
        found = suggest_window(image).vectors
    except DataError:
        return "none"
    if vectors is None:
        return "other"
    index = np.asarray(found) @ np.linalg.inv(vectors)
    whole = np.abs(index - np.round(index)).max() < 0.1
    if whole and round(abs(np.linalg.det(index))) == 1:
        return "right"
    parts = vectors @ np.linalg.inv(found)
    return "part" if np.abs(parts - np.round(parts)).max() < 0.2 else "other"


def main() -> None:
    """Print a row for each set."""
    parser = command.parser("lattices", __doc__, seeds=[0, 1, 2, 3])
    parser.add_argument("--sets", nargs="+", choices=sorted(SETS), default=list(SETS))
    options = command.asked(parser)
    print(f"{'set':16} images  right   part  other   none")
    for name in options.sets:
        counts = Counter(judged(*case) for seed in options.seeds for case in SETS[name](seed))
        shares = "".join(f"{counts[answer]:7}" for answer in ("right", "part", "other", "none"))
        print(f"{name:16} {sum(counts.values()):6}{shares}", flush=True)


if __name__ == "__main__":
    main()

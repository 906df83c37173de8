"""Latents in a frame of their own, against a standard Normal prior in the decoder's.

    OMP_NUM_THREADS=1 python -m benchmarks.latents --seeds 0 1 2
    OMP_NUM_THREADS=1 python -m benchmarks.latents --images demo --cases canonical --crop 300

One row per image, case and seed: the held-out bound and the KL divergence of z, nats per window;
the largest |correlation| of two z; mean width of each posterior, in units of the prior; the share
of z beyond 2.5 widths; the smoothness of each z's map. Images are read, never written.
"""

from time import process_time
from typing import Any

import numpy as np

from benchmarks.common import command
from benchmarks.common.table import print_records
from benchmarks.common.training import COMMON, collapse_expected
from benchmarks.latents.cases import CASES, IMAGES
from pyroshift import ShiftVAE, encode, fit, smoothness

SETTINGS = {"epochs": 15, "batch_size": 128, "validation_fraction": 0.1}


def measure(name: str, case: str, seed: int, crop: int) -> dict[str, Any]:
    """One training, and what came of it."""
    patches, options = IMAGES[name](crop), dict(SETTINGS)
    model_options = {}
    if name == "demo":
        options["epochs"], model_options["offset_scale"] = 20, 0.6
    content = CASES[case]()
    model = ShiftVAE(
        patches.window, guide="anchor", seed=seed, priors={"z": content}, **model_options
    )
    started = process_time()
    with collapse_expected():
        history = fit(model, patches, seed=seed, **COMMON, **options)
    seconds = process_time() - started
    maps = encode(model, patches)
    z, width = (maps[key].values.reshape(-1, model.latent_dim) for key in ("z", "z_std"))
    between = np.abs(np.corrcoef(z.T)[np.triu_indices(model.latent_dim, 1)]).max()
    return {
        "image": name, "case": case, "seed": seed, "windows": len(patches),
        "held out": -float(history.validation_loss[-1]),
        "KL of z": float(history.kl.sel(site="z")[-1]),
        "correlation": float(between),
        "width": width.mean(0).round(2).tolist(),
        "beyond": float((np.abs(z) > 2.5).mean(0).max()),
        "smoothness": smoothness(maps.z).values.round(2).tolist(),
        "seconds": seconds,
    }  # fmt: skip


def main() -> None:
    """Print a row of a table for each training."""
    parser = command.parser("latents", __doc__, seeds=[0])
    parser.add_argument("--images", nargs="+", choices=IMAGES, default=list(IMAGES))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--crop", type=int, default=100_000, help="pixels along each axis")
    chosen = command.asked(parser)
    records = (
        measure(name, case, seed, chosen.crop)
        for name in chosen.images
        for case in chosen.cases
        for seed in chosen.seeds
    )
    print_records(records, digits=4)


if __name__ == "__main__":
    main()

"""Latents in a frame of their own, against a standard Normal prior in the decoder's.

    OMP_NUM_THREADS=1 python benchmarks/latent_frame.py --seeds 0 1 2
    OMP_NUM_THREADS=1 python benchmarks/latent_frame.py --images demo --cases canonical --crop 300

One row per image, case and seed: the held-out bound and the KL divergence of z, nats per window;
the largest |correlation| of two z; mean width of each posterior, in units of the prior; the share
of z beyond 2.5 widths; the smoothness of each z's map. Images are read, never written.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from time import process_time
from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
import xarray as xr
from recovery_real import DATA
from recovery_synthetic import COMMON
from torch import Tensor

from pyroshift import (
    Content,
    Patches,
    ShiftVAE,
    encode,
    extract_patches,
    fit,
    load_image,
    smoothness,
    suggest_window,
    synthetic,
)
from pyroshift.data.examples import silicon_step
from pyroshift.data.readers import level
from pyroshift.errors import LatentWarning
from pyroshift.frame import LatentFrame

FILES = {
    "strontium titanate": ("stem_srtio3.hf5", 13),
    "manganite": ("stem_nsmo_cryo.tif", 13),
    "molybdenum disulphide": ("stem_mos2_se.dm3", 15),
}
SETTINGS = {"epochs": 15, "batch_size": 128, "validation_fraction": 0.1}


class Widths(LatentFrame):
    """A width and a mean per latent, and no turn: automatic relevance determination."""

    def follow(self, loc: Tensor, scale: Tensor) -> None:
        """Take the moments over, and leave out what is between latents."""
        super().follow(loc, scale)
        self.axes = (self.located + self.spread).diagonal().sqrt().diag()

    def settle(self, z: Tensor, width: Tensor) -> None:
        """Stay."""


class AfterTraining(LatentFrame):
    """No frame while training goes on, and one turn and scaling at its end."""

    def follow(self, loc: Tensor, scale: Tensor) -> None:
        """Note that there is something to settle."""
        self.located = torch.ones_like(self.located)


def canonical(latent_dim: int = 2) -> Content:
    """The default."""
    return Content(latent_dim)


def literal(latent_dim: int = 2) -> Content:
    """A prior that is taken as it is."""
    return Content(latent_dim, dist.Normal(0.0, 1.0))


def with_frame(frame: type[LatentFrame]) -> Callable[[], Content]:
    """Latents in another kind of frame."""

    def content(latent_dim: int = 2) -> Content:
        site = Content(latent_dim)
        site.frame = frame(latent_dim)
        return site

    return content


CASES: dict[str, Callable[[], Content]] = {
    "literal": literal,
    "after training": with_frame(AfterTraining),
    "widths": with_frame(Widths),
    "canonical": canonical,
}


def lattice_patches(crop: int) -> Patches:
    """A lattice that one factor changes: the brightness of its second sublattice."""
    truth = synthetic.lattice_image((256, 256), noise=0.1, phases=2, wall_width=120.0)
    return extract_patches(truth.image.values[:crop, :crop], 28, 5, normalize="image")


def other_lattice_patches(crop: int) -> Patches:
    """Hexagonal and distorted, with a slow change of brightness beside that of the phase."""
    truth = synthetic.lattice_image(
        (256, 256), "hexagonal", 13.0, distortion=1.5, noise=0.15, phases=2, wall_width=60.0, seed=7
    )
    image = truth.image.values * np.linspace(0.7, 1.3, 256)[:, None]
    return extract_patches(image[:crop, :crop], 30, 5, normalize="image")


def graphite_patches(crop: int) -> Patches:
    """Graphite, with windows as for the paper's figure."""
    return extract_patches(_image("stm_graphite.tif", crop), 40, 12, normalize="patch")


def demo_patches(crop: int) -> Patches:
    """Silicon, with the windows of `pyroshift demo`."""
    return extract_patches(level(silicon_step(), 1)[:crop, :crop], 40, 5)


def microscope_patches(name: str, crop: int) -> Patches:
    """One of the STEM images, with the suggested window."""
    file, step = FILES[name]
    image = _image(file, crop)
    return extract_patches(image, suggest_window(image).window, step, normalize="image")


def _image(file: str, crop: int) -> xr.DataArray:
    """Without units, so that lengths are in pixels."""
    values = load_image(DATA / file).values.astype(np.float32)[:crop, :crop]
    return xr.DataArray(values, dims=("y", "x"), name="image")


IMAGES: dict[str, Callable[[int], Patches]] = {
    "lattice of one factor": lattice_patches,
    **{name: lambda crop, name=name: microscope_patches(name, crop) for name in FILES},  # type: ignore[misc]
    "demo": demo_patches,
    # Held out: looked at when all was decided.
    "graphite": graphite_patches,
    "other lattice": other_lattice_patches,
}


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row of a table for each training."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", nargs="+", choices=IMAGES, default=list(IMAGES))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--crop", type=int, default=100_000, help="pixels along each axis")
    chosen = parser.parse_args(arguments)
    header = False
    for name in chosen.images:
        for case in chosen.cases:
            for seed in chosen.seeds:
                row = measure(name, case, seed, chosen.crop)
                if not header:
                    print(*row, sep=" | ")
                    header = True
                print(
                    *(f"{v:.4g}" if isinstance(v, float) else v for v in row.values()),
                    sep=" | ",
                    flush=True,
                )


if __name__ == "__main__":
    main()

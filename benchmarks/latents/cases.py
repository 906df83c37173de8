"""Images to train on, and the priors of z that are compared on them."""

from collections.abc import Callable

import numpy as np
import pyro.distributions as dist
import torch
import xarray as xr
from torch import Tensor

from benchmarks.common.data import in_pixels
from pyroshift import Content, Patches, extract_patches, suggest_window, synthetic
from pyroshift.data.examples import silicon_step
from pyroshift.data.readers import level
from pyroshift.model.frame import LatentFrame

FILES = {
    "strontium titanate": ("stem_srtio3.hf5", 13),
    "manganite": ("stem_nsmo_cryo.tif", 13),
    "molybdenum disulphide": ("stem_mos2_se.dm3", 15),
}


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
    return in_pixels(file).astype(np.float32)[:crop, :crop]


IMAGES: dict[str, Callable[[int], Patches]] = {
    "lattice of one factor": lattice_patches,
    **{name: lambda crop, name=name: microscope_patches(name, crop) for name in FILES},  # type: ignore[misc]
    "demo": demo_patches,
    # Held out: looked at when all was decided.
    "graphite": graphite_patches,
    "other lattice": other_lattice_patches,
}

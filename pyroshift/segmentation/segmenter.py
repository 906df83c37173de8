"""The segmenter: how likely each pixel of an image is part of an atom."""

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

from pyroshift.data.checks import as_image, check_values
from pyroshift.errors import DataError, ModelFileError
from pyroshift.segmentation.denoising import denoised, typical_separation
from pyroshift.segmentation.network import UNet
from pyroshift.segmentation.scaling import (
    SPACING,
    logits,
    prepared,
    resized_back,
)
from pyroshift.training.checkpoint import read_torch, write_torch

FORMAT = "pyroshift segmenter 1"
TILE = 768  # pixels, which takes some 200 MB


class Segmenter:
    """A network that tells atoms from all else, and the scale that it knows them at.

    `train_segmenter` makes one; `load_segmenter` reads one that was saved, or the one that comes
    with the package.

    Args:
        network: from images to logits.
        spacing: pixels between neighbouring atoms that images are brought to.
        history: what was measured in the training, which isn't saved.

    Example:
        >>> from pyroshift import synthetic
        >>> image = synthetic.micrograph((64, 80), period=12, noise=0.3)["image"]
        >>> load_segmenter().probability(image.values, separation=12).shape
        (64, 80)
    """

    def __init__(
        self, network: UNet, *, spacing: float = SPACING, history: xr.Dataset | None = None
    ) -> None:
        self.network, self.spacing, self.history = network.eval(), spacing, history

    def __repr__(self) -> str:
        weights = sum(parameter.numel() for parameter in self.network.parameters())
        return f"<Segmenter: {weights:,} weights, neighbours {self.spacing:g} px apart>"

    def probability(
        self,
        frame: np.ndarray,
        *,
        separation: float | None = None,
        denoise: bool = True,
        tile: int = TILE,
    ) -> np.ndarray:
        """How likely each pixel of a frame is part of a bright atom.

        Args:
            frame: height x width; NaN where a pixel is missing.
            separation: distance of neighbouring atoms in pixels, within some 25%; None:
                measured, which needs a lattice and the extra `atoms`.
            denoise: whether noise that is stronger than the lattice is taken down first, which
                needs the extra `atoms`. Missing atoms may then be taken for faint ones.
            tile: images larger than this, at the network's scale, are taken in tiles; pixels.

        Returns:
            `height x width`, from 0 to 1.

        Raises:
            DataError: if the frame is no image of numbers; or shows no lattice, and no separation
                is given.
        """
        values = check_values(np.asarray(frame), "the frame", missing=True)
        if values.ndim != 2:
            raise DataError(f"a frame must be height x width, but has shape {values.shape}")
        if separation is None:
            separation = typical_separation(values)
        if not 1 <= separation <= max(values.shape):
            raise DataError(
                f"separation={separation!r} can't be used: give the distance between neighbouring "
                f"atoms in pixels, from 1 to the image's {max(values.shape)}"
            )
        if denoise:
            values = denoised(values)
        found = logits(self.network, prepared(values, separation, self.spacing), tile)
        # Logits, unlike probabilities, can't overshoot when they are interpolated smoothly.
        return torch.sigmoid(resized_back(found, values.shape)).numpy()

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Save the network and its scale.

        Args:
            path: the file to write.
            overwrite: whether an existing file may be replaced.

        Raises:
            FileExistsError: if the file exists and may not be replaced.
        """
        path = Path(path)
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists: choose another path, or pass overwrite=True")
        settings = {
            "widths": self.network.widths,
            "dilations": self.network.dilations,
            "spacing": self.spacing,
        }
        weights = self.network.state_dict()
        write_torch(path, {"format": FORMAT, "settings": json.dumps(settings), "weights": weights})


def load_segmenter(path: str | Path | None = None) -> Segmenter:
    """Load a segmenter. Nothing in the file is run.

    Args:
        path: a file that `Segmenter.save` wrote; None: the one that comes with the package, trained
            on simulated micrographs of square, hexagonal and honeycomb lattices.

    Returns:
        The segmenter.

    Raises:
        FileNotFoundError: if there is no such file.
        ModelFileError: if it is damaged, or something else.

    Example:
        >>> load_segmenter()
        <Segmenter: 93,577 weights, neighbours 6.6 px apart>
    """
    if path is None:
        with as_file(files("pyroshift.segmentation") / "segmenter.pt") as shipped:
            return load_segmenter(shipped)
    content = read_torch(Path(path), "segmenter", FORMAT)
    try:
        settings = json.loads(content["settings"])
        with torch.random.fork_rng(devices=[]):  # the network draws weights before it gets its own
            network = UNet(settings["widths"], settings["dilations"])
        network.load_state_dict(content["weights"])
        return Segmenter(network, spacing=float(settings["spacing"]))
    except Exception as error:
        raise ModelFileError(
            f"{path} holds no valid segmenter: it is damaged or was altered "
            f"({type(error).__name__}: {error})"
        ) from error


def segment(
    image: Any,
    segmenter: Segmenter | None = None,
    *,
    separation: float | None = None,
    dark: bool = False,
    denoise: bool = True,
    tile: int = TILE,
    progress: bool = True,
) -> xr.DataArray:
    """How likely each pixel of an image is part of an atom, by a fully convolutional network.

    A pixel is part of an atom within a quarter of the separation from its centre. The image
    is brought to the scale that the network knows, freed from uneven light, and the result brought
    back.

    Args:
        image: height x width, or frame x height x width. Missing pixels are NaN; pixels must be
            square.
        segmenter: trained by `train_segmenter`; None: the one that comes with the package.
        separation: distance of neighbouring atoms in pixels, within some 25%; None: measured, which
            needs a lattice and the extra `atoms`.
        dark: whether the atoms are darker than what is around them.
        denoise: whether noise that is stronger than what the lattice repeats is taken down first,
            by a Wiener filter, which needs the extra `atoms`. Without a lattice, or with less
            noise, nothing changes. A missing atom in strong noise may be taken for a faint one.
        tile: larger images are taken in overlapping tiles of so many pixels, at the network's
            scale, so that memory doesn't grow with the image's size; the result stays the same.
        progress: whether to show a progress bar over the frames of a stack.

    Returns:
        ``probability``, over the image's dimensions and with its coordinates.

    Raises:
        DataError: if that is no image of numbers; or it shows no lattice, and no separation is
            given.
        ImportError: if the extra `atoms` is needed, and isn't installed.

    Source:
        Ziatdinov, Dyck, Maksov and others, "Deep learning of atomically resolved scanning
        transmission electron microscopy images" (2017).

    Example:
        >>> from pyroshift import synthetic
        >>> seen = synthetic.micrograph((128, 128), "hexagonal", 12, noise=0.3)
        >>> probability = segment(seen["image"])
        >>> at_atoms = probability.sel(
        ...     y=seen.atoms[:, 0], x=seen.atoms[:, 1], method="nearest"
        ... )
        >>> bool(at_atoms.mean() > 3 * probability.mean())
        True
    """
    data = as_image(image)
    values = check_values(data.values, "the image", missing=True)
    segmenter = segmenter or load_segmenter()
    if separation is None:
        separation = typical_separation(-values if dark else values)
    result = np.empty_like(values)
    stack = values.reshape(-1, *values.shape[-2:])
    bar = tqdm(stack, unit="frame", disable=not progress or len(stack) == 1)
    for frame, found in zip(bar, result.reshape(stack.shape), strict=True):
        found[:] = segmenter.probability(
            -frame if dark else frame, separation=separation, denoise=denoise, tile=tile
        )
    attrs = {"long_name": "probability of an atom", "units": "1", "separation": float(separation)}
    return xr.DataArray(result, data.coords, data.dims, name="probability", attrs=attrs)

"""Shapes of tensors by name, for annotations: checked while the tests run, and free otherwise.

Dimensions of one name are alike within a call; a star stands for as many as there are. Where
jaxtyping isn't installed, all of them are plain tensors.
"""

from typing import TYPE_CHECKING

from torch import Tensor

SHAPES = {
    "PerPatch": "batch",
    "Windows": "batch *window",
    "Latents": "batch latent",
    "Vectors": "batch element",  # the pose as one vector
    "Widths": "element",
    "Matrices": "batch element element",
    "PerBin": "batch bin",
    "Inputs": "*batch latent",  # of a decoder, which may get several batches at once
    "Coordinates": "*point axis",
    "AtPoints": "*point",
    "Offsets": "*batch axis",
    "Pixelwise": "*pixel",
}

if TYPE_CHECKING:
    PerPatch = Tensor
    Windows = Tensor
    Latents = Tensor
    Vectors = Tensor
    Widths = Tensor
    Matrices = Tensor
    PerBin = Tensor
    Inputs = Tensor
    Coordinates = Tensor
    AtPoints = Tensor
    Offsets = Tensor
    Pixelwise = Tensor
else:
    try:
        from jaxtyping import Shaped
    except ImportError:
        globals().update(dict.fromkeys(SHAPES, Tensor))
    else:
        globals().update({name: Shaped[Tensor, shape] for name, shape in SHAPES.items()})

"""A decoder whose weights are uncertain: latent sites that all patches share."""

import math
from collections.abc import Mapping
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.func import functional_call

from pyroshift.errors import SpecificationError
from pyroshift.model.pace import PACE
from pyroshift.model.shapes import Coordinates, Inputs

_NARROW = 0.02  # how wide the posterior is at the start, in widths of the prior


class BayesianDecoder(nn.Module):
    """Any decoder, of whose weights a posterior is learned instead of the best values alone.

    Generative story:

        decoder.weight ~ Normal(0, width / sqrt(inputs))   every weight, once for all patches
        decoder.bias ~ Normal(0, width)

    Posteriors are independent Normals about the decoder's own parameters: guides, which look for
    poses, and `decode` take these middles, while the bound and `Predictive` draw. Each site's KL
    has a row of its own in the training's history, and counts once for all patches: where these
    are few, weights that tell little return to the prior. So take a small decoder for few data,
    such as a `SpatialDecoder`: a canvas has tens of thousands of weights.

    Blundell and others, "Weight uncertainty in neural networks", ICML 2015.

    Args:
        decoder: the decoder.
        width: of the prior, in units of the decoder's output, which are standardized data for a
            Gaussian likelihood.

    Raises:
        SpecificationError: if the width isn't positive, or the decoder has no parameters.

    Example:
        >>> from pyroshift import SpatialDecoder, VAE
        >>> decoder = BayesianDecoder(SpatialDecoder((8, 8), latent_dim=2, hidden=(16,)))
        >>> model = VAE((8, 8), decoder=decoder)
        >>> trace = pyro.poutine.trace(model.model).get_trace(n=3)
        >>> trace.nodes["decoder.from_latents.weight"]["value"].shape
        torch.Size([16, 2])
    """

    def __init__(self, decoder: nn.Module, width: float = 1.0) -> None:
        super().__init__()
        if not width > 0:
            raise SpecificationError(f"width must be positive, got {width}")
        self.decoder, self.width = decoder, width
        self._names = [name for name, _ in decoder.named_parameters()]
        if not self._names:
            raise SpecificationError(
                f"{type(decoder).__name__} has no parameters that could be uncertain"
            )
        self.spread = nn.ParameterList(
            torch.full_like(parameter, math.log(_NARROW * self._width_of(parameter)) / PACE)
            for parameter in decoder.parameters()
        )

    def draw_global(self) -> Mapping[str, Tensor]:
        """Sample all weights from their prior, as Pyro sites outside the patches' plate."""
        values = {}
        for name, parameter in self.decoder.named_parameters():
            width = torch.full_like(parameter, self._width_of(parameter))
            prior = dist.Normal(torch.zeros_like(parameter), width).to_event(parameter.dim())
            values[_site(name)] = pyro.sample(_site(name), prior)
        return values

    def guide_global(self) -> None:
        """Sample all weights from their posterior."""
        for (name, middle), spread in zip(
            self.decoder.named_parameters(), self.spread, strict=True
        ):
            posterior = dist.Normal(middle, (PACE * spread).exp()).to_event(middle.dim())
            pyro.sample(_site(name), posterior)

    def forward(self, z: Inputs, coordinates: Coordinates) -> Tensor:
        """What the decoder gives by the middle of its weights' posterior."""
        return self.decoder(z, coordinates)

    def given(self, values: Mapping[str, Tensor], z: Inputs, coordinates: Coordinates) -> Tensor:
        """What the decoder gives by drawn weights, where there are any.

        Args:
            values: of sites by name.
            z: `batch x latent`.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
        """
        weights = {name: values[_site(name)] for name in self._names if _site(name) in values}
        return functional_call(self.decoder, weights, (z, coordinates))

    def __getattr__(self, name: str) -> Any:
        """What else the decoder can do, such as telling slopes, it does by the middle weights."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("decoder"), name)

    def _width_of(self, parameter: Tensor) -> float:
        """Width of the prior of a matrix, whose outputs are to be as wide, or of a bias."""
        inputs = parameter[0].numel() if parameter.dim() > 1 else 1
        return self.width / math.sqrt(inputs)


def _site(name: str) -> str:
    """Name of the site of a parameter."""
    return f"decoder.{name}"

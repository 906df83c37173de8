"""A mixture of Normals, for latents that come in several kinds."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.model.pace import PACE


class Mixture(nn.Module):
    """A mixture of Normals whose weights, locations and widths are learned.

    Under a standard Normal, kinds of motifs are drawn together until they touch; this leaves each
    its own place, and tells by `probabilities` which a patch belongs to.

    Dilokthanakul et al., "Deep unsupervised clustering with Gaussian mixture variational
    autoencoders" (2016).

    Args:
        components: number of Normals.
        latent_dim: number of latents.
        spread: standard deviation of their locations at the start, and of the whole.
        seed: of the locations at the start; the process's random state stays as it is.

    Raises:
        SpecificationError: if a number makes no sense.

    Example:
        >>> from pyroshift import VAE
        >>> model = VAE((16, 16), priors={"z": Mixture(3)})
        >>> model.sites[0].prior.component_distribution.batch_shape
        torch.Size([3])
    """

    def __init__(
        self, components: int, latent_dim: int = 2, spread: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        if min(components, latent_dim) < 1 or not spread > 0:
            raise SpecificationError(
                "a mixture needs at least one component, one latent and a positive spread; got "
                f"{components}, {latent_dim} and {spread}"
            )
        self.components, self.latent_dim = components, latent_dim
        self.spread, self.seed = spread, seed
        generator = torch.Generator().manual_seed(seed)
        loc = torch.randn(components, latent_dim, generator=generator)
        width = spread * components ** (-1 / latent_dim)  # so that together they fill the whole
        start = {
            "logits": torch.zeros(components),
            "loc": spread * loc,
            "log_scale": torch.full_like(loc, width).log(),
        }
        self.free = nn.ParameterDict({name: value / PACE for name, value in start.items()})

    @property
    def weights(self) -> Tensor:
        """The share of each component, `component`."""
        return (PACE * self.free["logits"]).softmax(-1)

    @property
    def normals(self) -> Distribution:
        """The components, a batch of Normals."""
        scale = (PACE * self.free["log_scale"]).exp()
        return dist.Normal(PACE * self.free["loc"], scale).to_event(1)

    def forward(self) -> Distribution:
        """The mixture by the present parameters."""
        weights = dist.Categorical(logits=PACE * self.free["logits"])
        return dist.MixtureSameFamily(weights, self.normals)

    @torch.no_grad()
    def probabilities(self, z: Tensor) -> Tensor:
        """How probably latents are of each component, `... x component`.

        Args:
            z: latents, `... x latent`.

        Example:
            >>> Mixture(3, seed=1).probabilities(torch.zeros(5, 2)).sum(-1)
            tensor([1., 1., 1., 1., 1.])
        """
        values = z.to(self.free["loc"]).unsqueeze(-2)
        return (self.weights.log() + self.normals.log_prob(values)).softmax(-1)

    def extra_repr(self) -> str:
        """How many there are of what."""
        return f"components={self.components}, latent_dim={self.latent_dim}"

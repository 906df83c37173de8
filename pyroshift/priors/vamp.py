"""The guide's own posterior, at windows that are learned, as the prior."""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.model.guide import Pair
from pyroshift.model.pair import PoseVAE
from pyroshift.model.priors import PairedPrior
from pyroshift.model.sites import Site

# Of pseudo-inputs at the start, in spreads of the data. Begun as patches of the data, the prior is
# the aggregate posterior whatever that is: nothing holds latents together while they find their
# places, and they fold (benchmarks/priors).
_SPREAD = 0.1


class VampPrior(PairedPrior):
    """A mixture of the guide's posteriors at pseudo-inputs, which are learned.

    The best prior is the aggregate posterior; this is what it would be if there were only so many
    patches, and finds those that stand for all. They are as the encoder sees patches:
    standardized, and from the anchor guide aligned. `inputs` has them, `component x window`.

    Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018.

    Args:
        components: number of pseudo-inputs, which begin as faint noise.
        latent_dim: number of latents.

    Raises:
        SpecificationError: if a number makes no sense, or the prior is given to a second model.

    Example:
        >>> from pyroshift import VAE
        >>> prior = VampPrior(5)
        >>> model = VAE((16, 16), priors={"z": prior})
        >>> prior.inputs.shape, prior().sample().shape
        (torch.Size([5, 16, 16]), torch.Size([2]))
    """

    zeros: Tensor

    def __init__(self, components: int = 20, latent_dim: int = 2) -> None:
        super().__init__()
        if min(components, latent_dim) < 1:
            raise SpecificationError(
                "a VampPrior needs at least one pseudo-input and one latent; got "
                f"{components} and {latent_dim}"
            )
        self.components, self.latent_dim = components, latent_dim
        self.register_parameter("inputs", None)
        self.register_buffer("zeros", torch.zeros(latent_dim), persistent=False)
        self._bound: list[tuple[PoseVAE, Site]] = []  # in a list: no submodules, the pair has them

    def start(self) -> Distribution:
        """What guides begin at: a standard Normal."""
        return dist.Normal(self.zeros, 1.0).to_event(1)

    def bind(self, pair: Pair, site: Site) -> None:
        """Take the pair's guide, and make pseudo-inputs for its windows."""
        if self._bound:
            raise SpecificationError(
                "this VampPrior is made of another model's posteriors: give each its own"
            )
        self._bound.append((pair, site))  # type: ignore[arg-type]
        noise = _SPREAD * torch.randn(self.components, *pair.seen_shape)
        self.inputs = nn.Parameter(noise.to(self.zeros))

    def forward(self) -> Distribution:
        """The mixture by the present guide; before there is one, a standard Normal."""
        if not self._bound:
            return self.start()
        (pair, site), *_ = self._bound
        posterior = pair.guide_module.posterior_of(pair, site, self.inputs)
        weights = torch.zeros(self.components).to(self.inputs)
        return dist.MixtureSameFamily(dist.Categorical(logits=weights), posterior)

    def extra_repr(self) -> str:
        """How many there are of what."""
        return f"components={self.components}, latent_dim={self.latent_dim}"

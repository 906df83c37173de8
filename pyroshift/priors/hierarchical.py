"""Widths of the latents' prior as latents of their own, with a prior and a posterior."""

from collections.abc import Callable, Mapping

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.model.distributions import map_tensors, with_event_shape
from pyroshift.model.families import GuideFamily, elementwise
from pyroshift.model.pace import PACE
from pyroshift.model.sites import CONTENT, Content

_NARROW = 0.1  # how wide the posterior is at the start, of the logarithm of a width


class Hierarchical(Content):
    """Latents whose prior's widths are uncertain: sites of their own, which all patches share.

    Generative story:

        z_width ~ hyperprior                          one for each latent, once for all patches
        z ~ Normal(0, z_width)                        for each patch

    The posterior of the widths is LogNormal, and is learned; how sure one can be of them grows
    with the number of patches. It is a site, as `priors={"z": Hierarchical(2)}` takes one as well.

    Args:
        latent_dim: number of latents.
        hyperprior: Pyro distribution of a width, over positive numbers; default LogNormal(0, 1).
        family: guide family; by default independent Normals.
        name: name of the site; that of the widths is the same with "_width".

    Raises:
        SpecificationError: if `latent_dim` is less than 1, or a width might be negative.

    Example:
        >>> from pyroshift import VAE
        >>> site = Hierarchical(2, dist.HalfCauchy(1.0))
        >>> model = VAE((16, 16), priors={"z": site})
        >>> trace = pyro.poutine.trace(model.model).get_trace(n=3)
        >>> trace.nodes["z_width"]["value"].shape
        torch.Size([2])
    """

    def __init__(
        self,
        latent_dim: int = 2,
        hyperprior: Distribution | None = None,
        family: GuideFamily | None = None,
        name: str = CONTENT,
    ) -> None:
        hyperprior = dist.LogNormal(0.0, 1.0) if hyperprior is None else hyperprior
        super().__init__(latent_dim, dist.Normal(0.0, 1.0), family, name=name)
        self.hyperprior = hyperprior
        self.widths = f"{name}_width"
        spread = with_event_shape(hyperprior, (latent_dim,), self.widths)
        support = elementwise(spread.support)
        if not getattr(support, "lower_bound", -1.0) >= 0:
            raise SpecificationError(
                f"the hyper-prior of {self.widths!r} must be over positive numbers, as LogNormal, "
                f"HalfCauchy or Gamma are; got {hyperprior}"
            )
        start = {
            "loc": torch.zeros(latent_dim),
            "log_scale": torch.full((latent_dim,), _NARROW).log(),
        }
        self.free = nn.ParameterDict({name: value / PACE for name, value in start.items()})

    @property
    def width_posterior(self) -> Distribution:
        """What is known of the widths, `latent`."""
        scale = (PACE * self.free["log_scale"]).exp()
        return dist.LogNormal(PACE * self.free["loc"], scale).to_event(1)

    def draw_global(self) -> Mapping[str, Tensor]:
        """Sample the widths from their hyper-prior."""
        hyperprior = with_event_shape(self.hyperprior, (self.latent_dim,), self.widths)
        return {self.widths: pyro.sample(self.widths, hyperprior)}  # type: ignore[arg-type]

    def guide_global(self) -> None:
        """Sample the widths from their posterior."""
        pyro.sample(self.widths, self.width_posterior)  # type: ignore[arg-type]

    def prior_given(self, values: Mapping[str, Tensor]) -> Distribution:
        """Independent Normals of the widths."""
        width = values[self.widths]
        return dist.Normal(torch.zeros_like(width), width).to_event(1)

    def _apply(self, fn: Callable, recurse: bool = True) -> "Hierarchical":
        super()._apply(fn, recurse)
        self.hyperprior = map_tensors(self.hyperprior, fn)
        return self

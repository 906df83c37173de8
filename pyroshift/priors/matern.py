"""Latents that change smoothly from window to window: a Gaussian process over their places."""

import math
from collections.abc import Mapping, Sequence

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.transforms import SigmoidTransform

from pyroshift.errors import SpecificationError
from pyroshift.model.pace import PACE
from pyroshift.model.process import CorrelatedNormals, PseudoObservations
from pyroshift.model.sites import CONTENT, Content

_STEPS = 5.0  # from window to window, that make the length at the start
_SHOWN = 1000  # windows of which the nearest others are looked for
_NARROW = 0.1  # how wide posteriors are at the start, of logarithms
_LEAST = 1e-4  # share of the variance that differs from window to window, or roots are singular
_ROUNDING = 1e-6  # of the field's variance, lest places that are close be singular
_SMOOTHNESS = (0.5, 1.5, 2.5)


class Matern(Content):
    """Latents of which each is a smooth map over the image, and something of each window's own.

    Generative story:

        z_length ~ LogNormal(log(length), 1)          of each latent, once for all windows
        z_share ~ LogitNormal(0, 1.5)                 of its variance that is smooth
        z ~ GaussianProcess(share Matern(distance / length) + (1 - share) [same window])

    So order parameters, which vary smoothly, are told from what differs from window to window, as
    defects and noise do; length and share are results, the length in the image's unit. Windows are
    trained on in tiles of neighbours, within which the KL is exact; across tiles they count as
    independent. Where several frames are seen, each is a map of its own, with tiles of its own.
    `evidence`, `compare` and `posterior`, which weigh draws window by window, take each by itself.
    Where windows overlap, the noise that neighbours have in common looks smooth as well: cut them
    with `overlap="once"`.

    Rasmussen and Williams, "Gaussian processes for machine learning" (2006), section 4.2.

    Args:
        latent_dim: number of latents.
        smoothness: 0.5, 1.5 or 2.5: the larger, the smoother.
        length: over which latents stay alike, in the coordinates' unit, where the prior of each has
            its median; by default five steps from window to window.
        along: names of the windows' coordinates that say where they are.
        apart: names of coordinates, if there are such, of which windows with different ones have
            nothing to do with each other.
        name: name of the site.

    Raises:
        SpecificationError: if a number makes no sense.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> model = ShiftVAE(16, priors={"z": Matern(2, length=3.0)})
        >>> model.contents[0].length_posterior.base_dist.base_dist.loc.exp()
        tensor([3., 3.], grad_fn=<ExpBackward0>)
    """

    spacing: Tensor

    def __init__(
        self,
        latent_dim: int = 2,
        smoothness: float = 1.5,
        length: float | None = None,
        along: Sequence[str] = ("y", "x"),
        apart: Sequence[str] = ("frame",),
        name: str = CONTENT,
    ) -> None:
        super().__init__(latent_dim, dist.Normal(0.0, 1.0), PseudoObservations(), name=name)
        if smoothness not in _SMOOTHNESS:
            raise SpecificationError(f"smoothness must be one of {_SMOOTHNESS}, got {smoothness}")
        if length is not None and not length > 0:
            raise SpecificationError(f"length must be positive, got {length}")
        self.smoothness, self.length = smoothness, length
        self.along, self.apart = tuple(along), tuple(apart)
        self.needs = self.tiled_by = self.along
        self.wants = self.tiled_apart = self.apart
        self.lengths, self.shares = f"{name}_length", f"{name}_share"
        self.register_buffer("spacing", torch.tensor(length or 1.0))
        narrow = torch.full((latent_dim,), math.log(_NARROW) / PACE)
        self.free = nn.ParameterDict(
            {
                "length": torch.zeros(latent_dim),
                "length_spread": narrow.clone(),
                "share": torch.zeros(latent_dim),
                "share_spread": narrow.clone(),
            }
        )

    def know(self, known: Mapping[str, Tensor]) -> None:
        """Take the length to begin with from how far windows are from the nearest others."""
        if self.length is None:
            places = self._places(known)
            step = math.ceil(len(places) / _SHOWN)
            distance = torch.cdist(places[::step].double(), places.double())
            distance[distance == 0] = math.inf  # the same place
            for group in (known[name] for name in self.apart if name in known):
                distance[group[::step].unsqueeze(1) != group.unsqueeze(0)] = math.inf
            nearest = distance.amin(1)
            nearest = nearest[torch.isfinite(nearest)]
            if len(nearest):
                self.spacing.fill_(_STEPS * float(nearest.median()))

    @property
    def length_posterior(self) -> Distribution:
        """What is known of the lengths, `latent`, in the coordinates' unit."""
        loc = self.spacing.log() + PACE * self.free["length"]
        return dist.LogNormal(loc, (PACE * self.free["length_spread"]).exp()).to_event(1)

    @property
    def share_posterior(self) -> Distribution:
        """What is known of the shares of the variance that are smooth, `latent`."""
        spread = (PACE * self.free["share_spread"]).exp()
        return _logit_normal(PACE * self.free["share"], spread)

    def draw_global(self) -> Mapping[str, Tensor]:
        """Sample lengths and shares from their priors."""
        one = torch.ones_like(self.free["length"])
        length = dist.LogNormal(self.spacing.log() * one, one).to_event(1)
        share = _logit_normal(0 * one, 1.5 * one)
        return {
            self.lengths: pyro.sample(self.lengths, length),
            self.shares: pyro.sample(self.shares, share),  # type: ignore[arg-type]
        }

    def guide_global(self) -> None:
        """Sample lengths and shares from their posteriors."""
        pyro.sample(self.lengths, self.length_posterior)  # type: ignore[arg-type]
        pyro.sample(self.shares, self.share_posterior)  # type: ignore[arg-type]

    def prior_given(self, values: Mapping[str, Tensor]) -> Distribution:
        """The process at the windows' places; where these aren't known, of each by itself."""
        if any(name not in values for name in self.along):
            return self.prior
        covariance = self._covariance(values, values[self.lengths], values[self.shares])
        return CorrelatedNormals(torch.linalg.cholesky(covariance))

    def posterior_given(
        self, raw: Tensor, known: Mapping[str, Tensor], learn: bool = False
    ) -> Distribution:
        """The process given what each window says, as if its latents had been measured.

        Its lengths and shares are the middles of what is known of them.
        """
        if any(name not in known for name in self.along):
            return self.posterior(raw, learn)
        covariance = self._covariance(known, *self._middle())
        return self.family.given(raw, covariance)  # type: ignore[attr-defined]

    def field_given(
        self,
        mean: Tensor,
        spread: Tensor,
        windows: Mapping[str, Tensor],
        places: Mapping[str, Tensor],
    ) -> CorrelatedNormals:
        """The smooth part of latents at any places, given what windows say by themselves.

        Its lengths and shares are the middles of what is known of them. Double precision.

        Args:
            mean: of each window by itself, `window x latent`.
            spread: its standard deviation, 1 where the window says nothing.
            windows: where these are, by name, `window`.
            places: where the field is asked for, by name, `place`.

        Returns:
            The field, `place x latent`, over all places together.

        Source:
            Rasmussen and Williams, equations 2.25 and 2.26.
        """
        length, share = (each.detach().double() for each in self._middle())
        share = share.clamp(max=1 - _LEAST)[:, None, None]
        among, across, asked = (
            share * self._alike(*each, length)
            for each in ((windows, windows), (places, windows), (places, places))
        )
        # As if latents had been measured: the precision of that, and its product with the value,
        # by what the standard Normal prior adds to both. So a window may say nothing, too.
        told = spread.double().mT.square().reciprocal() - 1
        value = (1 + told) * mean.double().mT
        less = 1 + told * (1 - share.squeeze(-1))  # about the field a window has its own
        precision, value = (told / less).clamp(min=0.0), value / less
        root = precision.sqrt().unsqueeze(-1)
        identity = torch.eye(len(mean), dtype=root.dtype, device=root.device)
        inner = torch.linalg.cholesky(identity + root * among * root.mT)
        inward = root * torch.cholesky_solve(root * (among @ value.unsqueeze(-1)), inner)
        loc = (across @ (value.unsqueeze(-1) - inward)).squeeze(-1)
        explained = torch.linalg.solve_triangular(inner, root * across.mT, upper=False)
        left = asked - explained.mT @ explained
        rounding = _ROUNDING * torch.eye(left.shape[-1], dtype=left.dtype, device=left.device)
        return CorrelatedNormals(torch.linalg.cholesky(left + rounding), loc)

    @torch.no_grad()
    def own_spread(self) -> Tensor:
        """How far windows' latents scatter about the smooth part, `latent`."""
        return (1 - self._middle()[1]).sqrt()

    def _middle(self) -> tuple[Tensor, Tensor]:
        """The middles of what is known of lengths and shares, `latent` each."""
        length = self.spacing * (PACE * self.free["length"]).exp()
        return length, (PACE * self.free["share"]).sigmoid()

    def _covariance(self, known: Mapping[str, Tensor], length: Tensor, share: Tensor) -> Tensor:
        """Of the process at known places, for a length and a share of each latent."""
        alike = self._alike(known, known, length)
        own = torch.eye(alike.shape[-1], dtype=alike.dtype, device=alike.device)
        share = share.clamp(max=1 - _LEAST)[:, None, None]
        return share * alike + (1 - share) * own

    def _alike(
        self, some: Mapping[str, Tensor], others: Mapping[str, Tensor], length: Tensor
    ) -> Tensor:
        """Correlations of the smooth part at some places with that at others."""
        here, there = (self._places(each).to(length) for each in (some, others))
        distance = torch.cdist(here, there, compute_mode="donot_use_mm_for_euclid_dist")
        alike = matern(distance / length[:, None, None], self.smoothness)
        for name in (name for name in self.apart if name in some):
            alike = alike * (some[name].unsqueeze(1) == others[name].unsqueeze(0))
        return alike

    def _places(self, values: Mapping[str, Tensor]) -> Tensor:
        """Where the windows are, `batch x axis`."""
        return torch.stack([values[name] for name in self.along], -1).to(self.spacing.device)


def _logit_normal(loc: Tensor, scale: Tensor) -> Distribution:
    """Shares between 0 and 1, whose log odds are Normal."""
    return dist.TransformedDistribution(dist.Normal(loc, scale), SigmoidTransform()).to_event(1)


def matern(distance: Tensor, smoothness: float) -> Tensor:
    """Correlation at a distance, in lengths; 1 at none.

    Args:
        distance: of any shape.
        smoothness: 0.5, 1.5 or 2.5.

    Example:
        >>> matern(torch.tensor([0.0, 1.0]), 0.5)
        tensor([1.0000, 0.3679])
    """
    scaled = math.sqrt(2 * smoothness) * distance
    decay = torch.exp(-scaled)
    if smoothness == 0.5:
        return decay
    square = scaled.square() / 3 if smoothness == 2.5 else 0.0
    return (1 + scaled + square) * decay

"""The joint density of windows and latents, over real numbers, kind by kind of motif."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Transform, constraints
from torch.distributions.transforms import identity_transform

from pyroshift.bayes.draws import log_density
from pyroshift.guides.bins import whole_circle
from pyroshift.guides.kinds import kind_weights
from pyroshift.model.batch import Batch, as_batch, gathered
from pyroshift.model.classes import Discrete
from pyroshift.model.distributions import ProjectedNormalAngle
from pyroshift.model.families import elementwise, onto_support
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import patches_plate
from pyroshift.model.pose import wrap_angle
from pyroshift.model.sites import Angle, Offset, Site
from pyroshift.training.elbo import sample_sites

_INSIDE = 0.01  # share of a bounded support from its ends within which no chain begins
# No point of a cell is further from its middle, in its longest vector: of a square one 0.71.
_FARTHEST = 0.72


class Reals:
    """The continuous sites of a model, as specified, as one vector of real numbers for each window.

    A bounded or positive site is in it by the transform that carries real numbers onto its support.
    An angle over the whole circle and an offset over a whole cell have no ends: their numbers may
    go round and round, and stand for the value within one round, so that a posterior which the cut
    happens to go through stays in one piece.

    Args:
        model: the model.

    Example:
        >>> from pyroshift import RVAE
        >>> reals = Reals(RVAE((8, 8), latent_dim=1, angle_scale=math.inf, scales=True))
        >>> values, stretched = reals.values(torch.tensor([[7.0, 0.0, 0.0]]))
        >>> {name: round(float(value), 2) for name, value in values.items()}
        {'angle': 0.72, 'scale': 1.0, 'z': 0.0}
    """

    def __init__(self, model: PoseVAE) -> None:
        self.sites = [site for site in model.given_sites if not isinstance(site, Discrete)]
        self._round = {site.name for site in self.sites if wraps(site)}
        self._transforms: dict[str, Transform] = {
            site.name: identity_transform if site.name in self._round else onto_support(site.prior)
            for site in self.sites
        }
        self._shapes = {
            site.name: tuple(self._transforms[site.name].inverse_shape(site.event_shape))
            for site in self.sites
        }

    def vector(self, values: Mapping[str, Tensor]) -> Tensor:
        """Values of the sites as one vector, `... x element`; such as are outside, moved inside.

        Args:
            values: by site name, `... x event shape`.
        """
        parts = []
        for site in self.sites:
            value = values[site.name]
            batch = value.shape[: value.dim() - len(site.event_shape)]
            if site.name not in self._round:
                value = self._transforms[site.name].inv(_inside(site, value))
            parts.append(value.reshape(*batch, -1))
        return torch.cat(parts, -1)

    def values(self, vector: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Values of the sites by name, and the logarithm of how much the transforms stretch.

        Args:
            vector: `row x element`.

        Returns:
            The values, `row x event shape`, and for each row the log density of the vector less
            that of the values.
        """
        values, stretched = dict[str, Tensor](), vector.new_zeros(len(vector))
        sizes = [math.prod(shape) for shape in self._shapes.values()]
        for site, part in zip(self.sites, vector.split(sizes, -1), strict=True):
            transform = self._transforms[site.name]
            real = part.reshape(len(part), *self._shapes[site.name])
            values[site.name] = value = transform(real)
            if site.name in self._round:
                values[site.name] = _within_one_round(site, value)
            elif transform is not identity_transform:
                volume = transform.log_abs_det_jacobian(real, value)
                stretched = stretched + volume.reshape(len(part), -1).sum(-1)
        return values, stretched


@dataclass(frozen=True)
class Joint:
    """The joint density of some windows and their latents, under the priors as specified.

    What all patches share, as the widths of a hierarchical prior or the weights of a
    `BayesianDecoder`, is at the middle of its posterior, which was learned from other patches too.

    Args:
        model: the model, in evaluation mode.
        patches: on its device.
        index: which of the patches, one for each row; some may be there several times.
    """

    model: PoseVAE
    patches: Any
    index: Tensor

    def by_kind(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Log density of the latents, and of the data given them, each `row x kind`.

        Args:
            values: of all continuous sites by name, `row x event shape`.
        """
        kinds = self.model.kinds
        latent = {name: value.repeat_interleave(kinds, 0) for name, value in values.items()}
        latent |= self._of_kinds
        with poutine.block(), poutine.trace() as tracer:
            poutine.condition(self._sample, data=latent)()
        sites = sample_sites(tracer.trace)
        densities = {name: log_density(site).reshape(-1, kinds) for name, site in sites.items()}
        nothing = torch.zeros_like(self._ruled_out, dtype=torch.double)
        prior = sum((densities.pop(name) for name in latent), nothing)
        return prior.masked_fill(self._ruled_out, -math.inf), sum(densities.values(), nothing)

    def _sample(self) -> None:
        """The generative model of sites as specified, where the pair has those that guides bin."""
        with patches_plate(len(self._repeated), None):
            self.model.sample_patches(self.model.given_sites, dict(self._known), self._repeated)

    @cached_property
    def _repeated(self) -> Batch:
        """Each window as often as there are kinds."""
        index = self.index.repeat_interleave(self.model.kinds)
        return as_batch(gathered(self.patches, index))

    @cached_property
    def _known(self) -> dict[str, Tensor]:
        """What is known beside the latents: what all patches share, covariates, places."""
        known = self._repeated.known
        told = self.model.covariates(known, len(self._repeated)) | self.model.needed(known)
        return self.model.global_values() | told

    @cached_property
    def _of_kinds(self) -> dict[str, Tensor]:
        """Values of the discrete sites of each window, in every kind."""
        every = torch.arange(self.model.kinds, device=self.model.device)
        return self.model.of_kind(every.repeat(len(self.index)))

    @cached_property
    def _ruled_out(self) -> Tensor:
        """Kinds that windows are known not to be of, by labels, `row x kind`."""
        weights = kind_weights(self.model, as_batch(gathered(self.patches, self.index)))
        return weights.isneginf()


def wraps(site: Site) -> bool:
    """Whether values go round: over the whole circle, or over all of a lattice's cell alike.

    Args:
        site: as specified.

    Example:
        >>> wraps(Angle()), wraps(Angle(dist.Normal(0.0, 1.0))), wraps(Offset(period=0.5))
        (True, False, True)
    """
    if isinstance(site, Angle):
        return whole_circle(site) or isinstance(site.prior, ProjectedNormalAngle)
    if not isinstance(site, Offset) or site.vectors is None:
        return False
    support = elementwise(site.prior.support)
    if not (isinstance(support, constraints.interval) and _is_uniform(site)):
        return False
    low, high = map(torch.as_tensor, (support.lower_bound, support.upper_bound))
    reach = torch.minimum(-low, high)
    return bool((reach > _FARTHEST * site.vectors.to(reach).norm(dim=-1).max()).all())


def _is_uniform(site: Site) -> bool:
    base: Any = site.prior
    while isinstance(base, dist.Independent):
        base = base.base_dist
    return isinstance(base, dist.Uniform)


def _within_one_round(site: Site, value: Tensor) -> Tensor:
    """Values that wrap, within their prior's support."""
    if isinstance(site, Offset):
        return site.reduce(value)
    support: Any = site.prior.support
    middle = (support.lower_bound + support.upper_bound) / 2
    return middle + wrap_angle(value - middle)


def _inside(site: Site, value: Tensor) -> Tensor:
    """Values within a bounded support; guides that draw them about bins may be beyond its ends."""
    support: Any = elementwise(site.prior.support)
    if not isinstance(support, constraints.interval):
        return value
    low, high = (
        torch.as_tensor(end).to(value) for end in (support.lower_bound, support.upper_bound)
    )
    edge = _INSIDE * (high - low)
    return torch.minimum(torch.maximum(value, low + edge), high - edge)

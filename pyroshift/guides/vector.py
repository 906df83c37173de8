"""The pose as one vector of real numbers: all of its sites' elements, one after the other.

Sites that are searched, offset and angle, are in it as they are. Of others a Normal knows nothing
of where their support ends, so they are carried onto all real numbers: a positive site is there
by its logarithm.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Transform
from torch.distributions.transforms import identity_transform

from pyroshift.guides.bins import Binned
from pyroshift.model.distributions import moments
from pyroshift.model.families import ProjectedNormalFamily, onto_support, real_moments
from pyroshift.model.guide import Pair
from pyroshift.model.shapes import PerPatch, Vectors, Widths
from pyroshift.model.sites import PoseSite


@dataclass(frozen=True)
class Independent:
    """Independent Normals over the elements of the pose: what was known before the patch.

    Args:
        mean: `batch x element`.
        width: standard deviations, `element`, or `batch x element`.
    """

    mean: Vectors
    width: Tensor


def transform_of(site: PoseSite) -> Transform:
    """The transform from the vector's elements to a site's values, element by element."""
    return identity_transform if _endless(site) else onto_support(site.prior)


def _endless(site: PoseSite) -> bool:
    """Whether a site's values can be gone through as they are: in bins, or all of a circle."""
    return isinstance(site, Binned) or isinstance(site.family, ProjectedNormalFamily)


def size_of(site: PoseSite) -> int:
    """How many of the vector's elements are a site's."""
    return math.prod(site.event_shape)


def pack(pair: Pair, values: Mapping[str, Tensor]) -> Vectors:
    """The values of all pose sites as one vector, `batch x element`."""
    parts = [transform_of(site).inv(values[site.name]) for site in pair.pose_sites]
    return torch.cat([part.reshape(len(part), -1) for part in parts], -1)


def unpack(pair: Pair, vector: Vectors) -> dict[str, Tensor]:
    """The values of the pose sites by name, from one vector `batch x element`."""
    return {site.name: transform_of(site)(part) for site, part in _parts(pair, vector)}


def unpack_widths(pair: Pair, vector: Vectors, widths: Vectors) -> dict[str, Tensor]:
    """Standard deviations of the pose sites by name, to first order.

    Args:
        pair: the pair.
        vector: where, `batch x element`.
        widths: standard deviations of the vector, `batch x element`.
    """
    found = {}
    for (site, at), (_, width) in zip(_parts(pair, vector), _parts(pair, widths), strict=True):
        transform = transform_of(site)
        found[site.name] = width * transform.log_abs_det_jacobian(at, transform(at)).exp()
    return found


def neutral(pair: Pair, count: int) -> dict[str, Tensor]:
    """Poses that do nothing: no offset, no angle, and the middle of the prior of other sites."""
    values, priors = {}, pair.priors()
    for site in pair.pose_sites:
        value = pair.grid.new_zeros(site.event_shape)
        if not isinstance(site, Binned):
            value = transform_of(site)(real_moments(priors[site.name])[0].to(value))
        values[site.name] = value.expand(count, *site.event_shape)
    return values


def within(pair: Pair, pose: PerPatch) -> Independent:
    """The prior of the vector in bins.

    Args:
        pair: the pair.
        pose: numbers of bins, `batch`.
    """
    means, priors = [], pair.priors()
    for site in pair.pose_sites:
        if isinstance(site, Binned):
            centre = site.centre(pose)
        else:
            centre = real_moments(priors[site.name])[0].to(pair.grid)
        means.append(centre.expand(len(pose), *site.event_shape).reshape(len(pose), -1))
    return Independent(torch.cat(means, -1), widths_within(pair))


def widths_within(pair: Pair) -> Widths:
    """Widths of the prior of the vector in any bin, `element`."""
    widths, priors = [], pair.priors()
    for site in pair.pose_sites:
        width = real_moments(priors[site.name])[1].to(pair.grid)
        if isinstance(site, Binned):
            width = pair.grid.new_full(site.event_shape, site.width)
        widths.append(width.reshape(-1))
    return torch.cat(widths)


def specified(pair: Pair, count: int) -> Independent:
    """The prior of the vector by the sites' own; a wide one, where one searched has no width."""
    means, widths, priors = [], [], pair.priors()
    for site in pair.pose_sites:
        measure = moments if _endless(site) else real_moments
        mean, width = measure(priors[site.name])
        means.append(mean.to(pair.grid).reshape(-1).nan_to_num(0.0))
        width = width.to(pair.grid).reshape(-1)
        widths.append(torch.where(torch.isfinite(width) & (width > 0), width, 10.0))
    return Independent(torch.cat(means).expand(count, -1), torch.cat(widths))


def _parts(pair: Pair, vector: Vectors) -> list[tuple[PoseSite, Tensor]]:
    """Each pose site with its part of a vector, `batch x event shape`."""
    sites = pair.pose_sites
    parts = vector.split([size_of(site) for site in sites], -1)
    return [
        (site, part.reshape(len(part), *site.event_shape))
        for site, part in zip(sites, parts, strict=True)
    ]

"""The pose of a motif whose appearance is known: aligned, and refined by Fisher scoring.

A step is Newton's, with the Fisher information for the curvature. At the optimum it is the Laplace
approximation of the pose's posterior: no network, nothing to train, and as sure as the noise lets
it be.
"""

import math
from dataclasses import dataclass, replace
from functools import partial, reduce

import torch
from torch import Tensor

from pyroshift.guides.vector import Independent, neutral, size_of, unpack
from pyroshift.model.batch import Batch, as_batch
from pyroshift.model.brightness import at_its_best, shared_information
from pyroshift.model.decoders import look_at
from pyroshift.model.guide import Pair
from pyroshift.model.pose import half_window
from pyroshift.model.shapes import Latents, Matrices, PerPatch, Vectors, Windows

_REACH = 4  # standard deviations to either side by which a posterior is followed
_LOCAL = 1 / 16  # of the window: a wider posterior reaches to other modes, which aren't this one
_NARROWEST = 0.25  # of Laplace's variance: what is narrower, such steps don't tell
_SMOOTH = 0.25  # pixels; nearer than this, linear interpolation is bent by nothing but its kinks
_STEP = 0.01  # half-windows, or radians, or what the pose's vector has for others
_NEAR = 0.1  # of a latent's width: farther, what a turn of the latents' frame does would tell


@dataclass(frozen=True)
class Laplace:
    """A Normal over all elements of the pose together.

    Args:
        mean: `batch x element`.
        precision: `batch x element x element`, in double precision: what is known of one element
            may outweigh what is known of another by more than floats have digits.
    """

    mean: Vectors
    precision: Matrices

    @property
    def covariance(self) -> Matrices:
        """`batch x element x element`."""
        return torch.linalg.inv(self.precision).to(self.mean)


def align(pair: Pair, x: Windows, pose: Vectors, code: Tensor, unseen: Tensor) -> Windows:
    """Patches brought back to where, and to how turned, the decoder draws their kind of motif.

    Args:
        pair: the pair.
        x: what encoders see of the data, `batch x seen_shape`; not a number where it wasn't taken.
        pose: `batch x element`.
        code: one that tells the motif's kind, `batch x code`.
        unseen: what stands beyond the patches' ends and where pixels weren't taken, a window for
            all or for each. Where the motif was in the patch could be read off their edges, unless
            they end in what is expected there.
    """
    values = unpack(pair, pose)

    def carried(points: Tensor) -> Tensor:
        return pair.out_of_motif(pair.out_of_drawing(points, code), values)

    coordinates = pair.over_window([len(x)], carried)
    stack = None if x.dim() == 1 + len(pair.window) else x.shape[1]

    def turned(values: Tensor) -> Tensor:
        there = look_at(values, coordinates, pair.window, beyond="zeros", maps=stack)
        return there if stack is None else there.movedim(-1, 1)

    taken = ~torch.isnan(x)
    seen = turned(taken.to(x))
    return turned(torch.where(taken, x, 0.0)) + (1 - seen) * unseen


@torch.no_grad()
def beyond(pair: Pair, codes: Tensor) -> Windows:
    """What is seen of motifs whose pose does nothing, which is expected where a patch says nothing.

    Args:
        pair: the pair.
        codes: of the motifs, `batch x code`.
    """
    points = pair.into_motif(pair.grid.unsqueeze(0), neutral(pair, 1)) - pair.origin
    drawn = pair.out_of_drawing(points.expand(len(codes), *points.shape[1:]), codes)
    return pair.seen(pair.likelihood.mean(pair.decode(codes, drawn + pair.origin)))


def refine(
    pair: Pair,
    x: Windows | Batch,
    z: Latents,
    start: Vectors,
    prior: Independent,
    limit: Tensor | None = None,
) -> Laplace:
    """One step of Fisher scoring from a pose, at given latents.

    Args:
        pair: the pair.
        x: data, `batch x height x width` or `batch x length`.
        z: latents, and what else the decoder is told, `batch x code`.
        start: pose to start from, `batch x element`.
        prior: the pose's prior.
        limit: largest change of each element; by default two widths of its prior.
    """
    batch = as_batch(x)
    decoded, jacobian, _ = _by_pose(pair, z, start)
    limit = 2 * prior.width if limit is None else limit
    return _scored(pair, batch, decoded, jacobian, start, prior, limit)


def refine_with_latents(
    pair: Pair,
    batch: Batch,
    code: Tensor,
    start: Vectors,
    prior: Independent,
    latents: Independent,
    steps: Latents,
    limit: Tensor,
) -> Laplace:
    """One step of Fisher scoring of the pose and the latents together.

    Args:
        pair: the pair.
        batch: data, and by how much they count.
        code: latents to start from, and what else the decoder is told, `batch x code`.
        start: pose to start from, `batch x element`.
        prior: the pose's prior.
        latents: the latents' prior.
        steps: by which the latents' derivatives are taken, `batch x latent`.
        limit: largest change of each element of the pose; of latents it is two of their widths.

    Returns:
        A Normal over the pose's elements, and after them the latents.
    """
    decoded, by_pose, coordinates = _by_pose(pair, code, start)
    count = steps.shape[-1]
    wide = torch.nn.functional.pad(_NEAR * steps, (0, code.shape[-1] - count))
    each = torch.diag_embed(wide)[:, :count].unbind(1)
    change = pair.changes([(code + step, code - step) for step in each], coordinates).flatten(2)
    by_latent = change / (2 * _NEAR * steps).unsqueeze(-1)
    jacobian = torch.cat((by_pose, by_latent.double()), 1)
    width = latents.width.expand_as(steps)
    widths = torch.cat((prior.width.expand_as(start), width), -1)
    both = Independent(torch.cat((prior.mean, latents.mean), -1), widths)
    at = torch.cat((start, code[:, :count]), -1)
    limits = torch.cat((limit.expand_as(start), 2 * width), -1)
    return _scored(pair, batch, decoded, jacobian, at, both, limits)


def _by_pose(pair: Pair, code: Tensor, pose: Vectors) -> tuple[Tensor, Tensor, Tensor]:
    """What is decoded, its derivative by the pose, `batch x element x pixel`, and coordinates."""
    coordinates, columns = _coordinates(pair, pose)
    decoded, slope = pair.output_and_slope(code, coordinates)
    if pair.likelihood.maps is not None:
        columns = [column.unsqueeze(-2) for column in columns]
    jacobian = torch.stack([_dot(slope, column).flatten(1) for column in columns], 1)
    return decoded, jacobian.double(), coordinates


def _dot(first: Tensor, second: Tensor) -> Tensor:
    """Scalar products along the last axis, which is so short that a sum along it is slow."""
    axes = zip(first.unbind(-1), second.unbind(-1), strict=True)
    return reduce(torch.add, (one * other for one, other in axes))


def _scored(
    pair: Pair,
    batch: Batch,
    decoded: Tensor,
    jacobian: Tensor,
    start: Vectors,
    prior: Independent,
    limit: Tensor,
) -> Laplace:
    """A step of Fisher scoring.

    Args:
        pair: the pair.
        batch: data, and by how much they count.
        decoded: the decoder's output, before brightness.
        jacobian: its derivative by each element, `batch x element x pixel`, double precision.
        start: where it was taken, `batch x element`.
        prior: of the elements.
        limit: largest change of each element.
    """
    output, gain = at_its_best(pair, batch, decoded)
    if not isinstance(gain, float):
        jacobian = gain.flatten(1).unsqueeze(1) * jacobian
    information = pair.likelihood.of_known(pair.likelihood.information(output), batch.x)
    information = batch.power * information.flatten(1).unsqueeze(1)
    certainty = prior.width.square().reciprocal()
    precision = (jacobian * information) @ jacobian.mT + torch.diag_embed(certainty)
    precision = precision - shared_information(pair, decoded, jacobian, information)
    score = pair.likelihood.score(batch.x, output).flatten(1).unsqueeze(-1).double()
    gradient = (jacobian @ (batch.power * score)).squeeze(-1) + certainty * (prior.mean - start)
    change = torch.linalg.solve(precision, gradient).to(start)
    return Laplace(start + change.clamp(-limit, limit), precision)


def quadrature(
    pair: Pair, batch: Batch, z: Latents, laplace: Laplace, prior: Independent
) -> tuple[Vectors, Vectors]:
    """Mean and variance of the pose about a mode, at given latents, `batch x element` each.

    Along each axis of a root of the Normal's covariance, where its elements are independent, the
    posterior is evaluated at whole standard deviations. For a Normal the sum over these is exact to
    eight digits; other shapes it follows as far as it reaches. An axis along which the motif
    moves by less than a fraction of a pixel is left as it is: there a likelihood is as good as
    Normal, but for the kinks of interpolation. So is one that reaches to other modes.

    Args:
        pair: the pair.
        batch: data, and by how much they count.
        z: latents, and what else the decoder is told, `batch x code`.
        laplace: the Normal about the mode.
        prior: the pose's prior.
    """
    # Of the precision, which is never singular, however differently elements are known.
    lower = torch.linalg.cholesky(laplace.precision)
    identity = torch.eye(lower.shape[-1], dtype=lower.dtype, device=lower.device)
    factor = torch.linalg.solve_triangular(lower, identity, upper=False).mT.to(laplace.mean)
    mean, variance = laplace.mean, factor.square().sum(-1)
    steps = torch.arange(-_REACH, _REACH + 1).to(factor)
    for axis in factor.unbind(-1):
        moved = _moved(pair, mean, axis)
        rows = (moved > _SMOOTH) & (moved < _LOCAL * max(pair.window))
        if not bool(rows.any()):
            continue
        at, along, known = laplace.mean[rows], axis[rows], replace(prior, mean=prior.mean[rows])
        own = replace(batch, x=batch.x[rows])
        density = [log_density(pair, own, z[rows], at + s * along, known) for s in steps]
        weight = torch.stack(density, -1).softmax(-1)
        first = (weight @ steps).unsqueeze(-1)
        second = (weight @ steps.square()).unsqueeze(-1) - first.square()
        second = second.clamp(min=_NARROWEST)
        mean = mean.index_put((rows,), first * along, accumulate=True)
        variance = variance.index_put((rows,), (second - 1) * along.square(), accumulate=True)
    return mean, variance


def _moved(pair: Pair, pose: Vectors, step: Vectors) -> PerPatch:
    """By how many pixels of the window a step of the pose moves the motif, in the mean, `batch`."""

    def change(points: Tensor) -> Tensor:
        ends = (pair.into_motif(points, unpack(pair, vector)) for vector in (pose + step, pose))
        return next(ends) - next(ends)

    square = pair.over_window([len(pose)], change).square().flatten(1).sum(1)
    return half_window(pair.window) * (square / math.prod(pair.window)).sqrt()


def log_density(
    pair: Pair, batch: Batch, z: Latents, pose: Vectors, prior: Independent
) -> PerPatch:
    """Log likelihood and log prior of a pose, up to a constant, `batch`."""
    values = unpack(pair, pose)
    pixels = pair.over_window([len(pose)], lambda points: pair.into_motif(points, values))
    output, _ = at_its_best(pair, batch, pair.decode(z, pixels))
    likelihood = batch.power * pair.likelihood.log_prob(batch.x, output).flatten(1).sum(1)
    return likelihood - ((pose - prior.mean) / prior.width).square().sum(-1) / 2


def _coordinates(pair: Pair, pose: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Coordinates in the motif's frame, and their derivative by each element of the pose."""

    def carried(points: Tensor, pose: Tensor) -> Tensor:
        return pair.into_motif(points, unpack(pair, pose))

    def changed(points: Tensor, step: Tensor) -> Tensor:
        # Central differences: exact for offsets, good to 1e-5 for angles.
        return (carried(points, pose + step) - carried(points, pose - step)) / (2 * _STEP)

    batch = [len(pose)]
    steps = _STEP * torch.eye(pose.shape[-1], dtype=pose.dtype, device=pose.device)
    # A shift, whatever else there is that is affine, changes all of them alike: one tells.
    alike = [site.shifts and pair.affine for site in pair.pose_sites for _ in range(size_of(site))]
    point = pair.grid[(slice(1),) * len(pair.window)]
    one = point.expand(*batch, *point.shape)
    columns = [
        changed(one, step) if same else pair.over_window(batch, partial(changed, step=step))
        for step, same in zip(steps, alike, strict=True)
    ]
    return pair.over_window(batch, partial(carried, pose=pose)), columns

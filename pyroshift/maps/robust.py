"""Intervals that allow for noise of another size, or of neighbouring pixels together.

Likelihoods take pixels to be independent. Measured ones seldom are: amplifiers, scans, detectors
and filters spread noise over neighbours, so that as many pixels tell less than they seem to, and
posteriors are too narrow. What a trained model leaves unexplained tells how the noise really is,
and the sandwich of Huber and White what comes of that.
"""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyroshift.errors import SpecificationError
from pyroshift.model.batch import Batch, as_batch, gathered, planes
from pyroshift.model.distributions import moments
from pyroshift.model.pair import PoseVAE
from pyroshift.model.pose import half_window
from pyroshift.model.sites import BRIGHTNESS, Content, Site

_WINDOWS = 2000  # of which the noise is learned, at most
_AT_ONCE = 128  # windows
_STEP = 0.1  # to each side, of latents and of brightness, by which slopes are taken
_KEPT = 0.2  # of a draw's usual power: where less is left of it, frequencies about count for more
_NEAR = 1 / 16  # of two windows: how far noise reaches that frequencies about tell of
_LEAST = 0.05  # of what independent noise would do: no spectrum is known better


class _Slopes(NamedTuple):
    """What windows would change by, in the likelihood's own standard deviations of each pixel.

    Args:
        slopes: by each element of the sites, `batch x element x plane x pixels`.
        certainty: of each element by its prior, 1 / variance, `batch x element`.
    """

    slopes: Tensor
    certainty: Tensor

    def precision(self, power: float) -> Tensor:
        """The posterior's, if noise is as the likelihood has it, `batch x element x element`."""
        flat = self.slopes.flatten(2)
        return power * flat @ flat.mT + torch.diag_embed(self.certainty)

    def unfitted(self, off: Tensor, power: float) -> Tensor:
        """What is left of deviations, `batch x plane x pixels`, after the elements follow them."""
        flat, rest = self.slopes.flatten(2), off.flatten(1).unsqueeze(-1)
        fitted = flat.mT @ _inverse(self.precision(power)) @ (power * flat @ rest)
        return (rest - fitted).reshape(off.shape)


def of_neighbours(model: PoseVAE) -> list[str]:
    """Names of the sites whose prior is of neighbours together.

    Args:
        model: whose sites these are.
    """
    return [site.name for site in model.contents if site.tiled_by]


def check_robust(model: PoseVAE) -> None:
    """Raise a SpecificationError where windows have no posterior of their own to be widened."""
    if tiled := of_neighbours(model):
        raise SpecificationError(
            f"robust=True is of windows by themselves, but the prior of {tiled} is of neighbours "
            "together: leave it out"
        )


@torch.no_grad()
def widen(model: PoseVAE, patches: object, values: dict[str, np.ndarray]) -> None:
    """Give standard deviations their robust size, in place.

    Each is multiplied by what the sandwich estimate is times the one by the likelihood alone, both
    to second order about the mode. Windows share one noise, the same everywhere in a window.

    Args:
        model: a trained model, in evaluation.
        patches: the windows, on the model's device.
        values: what was found of each, by name, among them `..._std`.

    Source:
        White, "Maximum likelihood estimation of misspecified models", Econometrica 50, 1 (1982);
        Müller, "Risk of Bayesian inference in misspecified models, and the sandwich covariance
        matrix", Econometrica 81, 1805 (2013).
    """
    count = len(values[model.given_sites[0].name])
    sites = [site for site in model.given_sites if f"{site.name}_std" in values]
    some = torch.randperm(count)[:_WINDOWS].sort().values
    noise = spectrum(model, patches, values, sites, some)
    for index in torch.arange(count).split(_AT_ONCE):
        batch, given = _found(model, patches, values, index)
        slopes = _slopes(model, batch, given, sites, model.output(given))
        ratio = _ratio(slopes, noise, batch.power).cpu().numpy()
        begin = 0
        for site in sites:
            spread, rows = values[f"{site.name}_std"], index.numpy()  # one Tensor is a mere number
            size = math.prod(site.event_shape)
            own = ratio[:, begin : begin + size].reshape(spread[rows].shape)
            spread[rows], begin = spread[rows] * own, begin + size


def spectrum(
    model: PoseVAE,
    patches: object,
    values: Mapping[str, np.ndarray],
    sites: list[Site],
    some: Tensor,
) -> Tensor:
    """Spectrum of the noise: by what factor its power is larger than the likelihood has it.

    Of what windows are off by, a part was fitted away, most of it where they tell most. So it is
    compared with draws of the model itself, from which as much is taken away.

    Args:
        model: a trained model, in evaluation.
        patches: the windows.
        values: what was found of each, by name.
        sites: that were fitted to them.
        some: numbers of the windows that are looked at.

    Returns:
        `plane x frequencies`, of windows twice as long along each axis.
    """
    axes = len(model.window)
    shape = [2 * size for size in model.window]
    powers = []
    for index in some.split(_AT_ONCE):
        batch, given = _found(model, patches, values, index)
        output = model.output(given)
        slopes = _slopes(model, batch, given, sites, output)
        draw = model.likelihood.distribution(output).sample()
        draw = torch.where(torch.isnan(batch.x), torch.nan, draw)
        off = planes(_off(model, batch.x, output), axes)
        left = slopes.unfitted(planes(_off(model, draw, output), axes), batch.power)
        powers.append((_power(off, shape), _power(left, shape)))
    # Pairs of pixels far apart are few, and not made up for: a spectrum is nowhere negative then.
    seen, made = (torch.stack(each).sum(0) for each in zip(*powers, strict=True))
    # Where a lattice's offsets took next to all there was, what is left tells nothing: there the
    # noise is as it is at frequencies about.
    usual = _KEPT * made.mean(tuple(range(1, 1 + axes)), keepdim=True).clamp(min=1e-6)
    about = _smoothed(seen).clamp(min=0) / torch.maximum(_smoothed(made), usual)
    return (seen + usual * about) / (made + usual)


def _power(values: Tensor, shape: list[int]) -> Tensor:
    """Sum of the power of windows, in larger ones of a shape, `plane x frequencies`."""
    axes = tuple(range(2, values.dim()))
    return torch.fft.fftn(values, shape, dim=axes).abs().square().sum(0)


def _smoothed(power: Tensor) -> Tensor:
    """A spectrum of which only how pixels near each other go together is kept."""
    axes, sizes = tuple(range(1, power.dim())), power.shape[1:]
    lags = [torch.arange(size, device=power.device) for size in sizes]
    apart = [
        torch.minimum(lag, size - lag) / (_NEAR * size)
        for lag, size in zip(lags, sizes, strict=True)
    ]
    square = sum(torch.meshgrid(*(each.square() for each in apart), indexing="ij"))
    near = torch.exp(-torch.as_tensor(square) / 2)
    return torch.fft.fftn(near * torch.fft.ifftn(power, dim=axes), dim=axes).real


def _ratio(slopes: _Slopes, noise: Tensor, power: float) -> Tensor:
    """Robust standard deviations over those by the likelihood, `batch x element`."""
    axes = tuple(range(3, slopes.slopes.dim()))
    seen = torch.fft.fftn(slopes.slopes, noise.shape[1:], dim=axes).flatten(2)
    weighted = seen * noise.flatten() / math.prod(noise.shape[1:])
    scatter = power**2 * (weighted @ seen.mH).real
    inverse = _inverse(slopes.precision(power))
    by_noise, by_prior = (
        (inverse @ each @ inverse).diagonal(dim1=1, dim2=2)
        for each in (scatter, torch.diag_embed(slopes.certainty))
    )
    plain = inverse.diagonal(dim1=1, dim2=2)
    return ((by_prior + torch.maximum(by_noise, _LEAST * (plain - by_prior))) / plain).sqrt()


def _slopes(
    model: PoseVAE, batch: Batch, given: Mapping[str, Tensor], sites: list[Site], output: Tensor
) -> _Slopes:
    """By how much a change of each element of the sites would change windows."""
    axes, likelihood = len(model.window), model.likelihood
    information = likelihood.information(output).clamp(min=0)
    scale = likelihood.of_known(information, batch.x).sqrt()
    slopes, certainty = [], []
    for site in sites:
        width = moments(site.prior_given(given))[1].to(scale)
        known = torch.where(torch.isfinite(width) & (width > 0), width, torch.inf).pow(-2)
        certainty.append(known.expand(len(batch), *site.event_shape).reshape(len(batch), -1))
        for step in _steps(model, site):
            ends = [
                model.output({**given, site.name: given[site.name] + s * step}) for s in (1, -1)
            ]
            slopes.append(planes(scale * (ends[0] - ends[1]) / (2 * step.abs().max()), axes))
    return _Slopes(torch.stack(slopes, 1), torch.cat(certainty, 1))


def _steps(model: PoseVAE, site: Site) -> Iterator[Tensor]:
    """A step of each element of a site: half a pixel of a pose, at the window's edge."""
    apart = isinstance(site, Content) or site.name == BRIGHTNESS
    step = _STEP if apart else 0.5 / half_window(model.window)
    size = math.prod(site.event_shape)
    yield from (step * torch.eye(size, device=model.device)).reshape(size, *site.event_shape)


def _off(model: PoseVAE, x: Tensor, output: Tensor) -> Tensor:
    """How far off data are, in standard deviations of their score; 0 where there are none."""
    likelihood = model.likelihood
    root = likelihood.information(output).clamp(min=1e-12).sqrt()
    return likelihood.of_known(likelihood.score(x, output) / root, x)


def _found(
    model: PoseVAE, patches: object, values: Mapping[str, np.ndarray], index: Tensor
) -> tuple[Batch, dict[str, Tensor]]:
    """Some windows, and what was found of them with all else that decoders are told."""
    batch = as_batch(gathered(patches, index))
    names = [site.name for site in model.sites if site.name in values]
    found = {name: torch.from_numpy(values[name][index.numpy()]).to(model.device) for name in names}
    told = model.covariates(batch.known, len(batch)) | model.global_values()
    return batch, told | found


def _inverse(precision: Tensor) -> Tensor:
    """Of precisions, in which an element of which nothing is known has none."""
    ridge = 1e-9 * precision.diagonal(dim1=1, dim2=2).amax(1).clamp(min=1e-9)
    identity = torch.eye(precision.shape[-1]).to(precision)
    return torch.linalg.inv(precision + ridge[:, None, None] * identity)

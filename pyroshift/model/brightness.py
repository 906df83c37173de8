"""Brightness: the gain and the background of each window, so that z is free for structure.

In images whose windows aren't stretched one by one, most of what varies is often how bright a
window is: thickness, dirt, illumination. A site of its own takes that, and z what is left.

Given the motif as decoded, seen through its pose, the window is linear in gain and background, so
that their posterior is a linear regression: exact for the Gaussian likelihood, and Laplace's
approximation for others. It takes no network, and nothing to train.
"""

from collections.abc import Callable, Mapping, Sequence

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from pyroshift.errors import SpecificationError
from pyroshift.model.batch import Batch, as_batch
from pyroshift.model.guide import Pair
from pyroshift.model.likelihoods import Gaussian, Likelihood
from pyroshift.model.sites import BRIGHTNESS, Site

GAIN, BACKGROUND = "gain", "background"
_FLAT = 1e-6  # contrast below which a standardized window counts as constant


class Brightness(Site):
    """Gain and background of a window: what is seen is `gain * motif + background`.

    They act on the decoder's output: for the Gaussian likelihood grey levels from the data's mean,
    in units of the data's spread; for others logits or logarithms of rates. The gain's prior mean
    is 1 and the background's 0, since the decoder could take up any other.

    The gain's prior is narrow not because gains are alike (a window's pixels easily outvote it),
    but to keep the decoder's scale: where nothing else does, the weights grow with every step of
    the optimiser, whose steps are then too small for z to learn anything.

    Args:
        gain_scale: the gain's prior standard deviation.
        background_scale: the background's, in units of the decoder's output.

    Raises:
        SpecificationError: if a width isn't positive.

    Example:
        >>> Brightness(gain_scale=0.2).prior.stddev
        tensor([0.2000, 1.0000])
    """

    def __init__(self, gain_scale: float = 0.1, background_scale: float = 1.0) -> None:
        if not (gain_scale > 0 and background_scale > 0):
            raise SpecificationError(
                f"the widths of gain and background must be positive, got {gain_scale} and "
                f"{background_scale}"
            )
        widths = torch.tensor([float(gain_scale), float(background_scale)])
        super().__init__(BRIGHTNESS, dist.Normal(torch.tensor([1.0, 0.0]), widths), (2,))
        self.gain_scale, self.background_scale = gain_scale, background_scale

    @property
    def certainty(self) -> Tensor:
        """The prior's precision, `2 x 2`, double precision."""
        return torch.diag(self.prior.variance.double().reciprocal())

    @staticmethod
    def applied(decoded: Tensor, value: Tensor) -> Tensor:
        """What is seen of a decoded motif.

        Args:
            decoded: the decoder's output, `batch x height x width` or `batch x length`.
            value: gain and background, `batch x 2`.
        """
        pixels = (1,) * (decoded.dim() - value.dim() + 1)
        gain, background = (part.reshape(*part.shape, *pixels) for part in value.unbind(-1))
        return gain * decoded + background

    def regression(
        self, likelihood: Likelihood, x: Tensor | Batch, decoded: Tensor
    ) -> dist.MultivariateNormal:
        """Gain and background given the motif: Fisher scoring, which for the Gaussian is exact.

        Args:
            likelihood: the pair's.
            x: data, `batch x height x width` or `batch x length`.
            decoded: the decoder's output, of the same shape.
        """
        batch = as_batch(x)
        prior = self.prior.mean.double()
        mean = prior.expand(*decoded.shape[: 1 - batch.x.dim()], 2)
        for _ in range(1 if isinstance(likelihood, Gaussian) else 4):
            seen = self.applied(decoded, mean.to(decoded))
            precision, gradient = _normal_equations(likelihood, batch.x, decoded, seen)
            precision = batch.power * precision + self.certainty
            gradient = batch.power * gradient + (prior - mean) @ self.certainty
            mean = mean + torch.linalg.solve(precision, gradient)
        factor = torch.linalg.cholesky(torch.linalg.inv(precision))
        return dist.MultivariateNormal(mean.to(decoded), scale_tril=factor.to(decoded))


def brightness_of(pair: Pair) -> Brightness | None:
    """The pair's brightness site, if it has one."""
    return next((site for site in pair.sites if isinstance(site, Brightness)), None)


def check_brightness(likelihood: Likelihood, sites: Sequence[Site]) -> None:
    """Raise a SpecificationError where brightness has a site, but not one number per pixel."""
    if likelihood.maps is not None and any(isinstance(site, Brightness) for site in sites):
        raise SpecificationError(
            "brightness='site' is a gain and a background of one number per pixel, but the "
            f"likelihood takes {likelihood.maps} (channels, or a {type(likelihood).__name__}): "
            "leave it out"
        )


def brightened(decoded: Tensor, values: Mapping[str, Tensor]) -> Tensor:
    """A decoded motif in the brightness that the values tell; as it is, where they tell none."""
    value = values.get(BRIGHTNESS)
    return decoded if value is None else Brightness.applied(decoded, value)


def without_brightness(sites: Sequence[Site], x: Tensor) -> Tensor:
    """Windows as the encoder sees them: if brightness has a site, without their mean and spread.

    What the encoder hasn't seen, z can't tell.

    Args:
        sites: the pair's.
        x: standardized data, `batch x height x width` or `batch x length`; not a number where a
            pixel wasn't taken, and so it stays.
    """
    if not any(isinstance(site, Brightness) for site in sites):
        return x
    axes = tuple(range(1, x.dim()))
    centred = x - x.nanmean(axes, keepdim=True)
    return centred / centred.square().nanmean(axes, keepdim=True).sqrt().clamp(min=_FLAT)


def posterior_given(
    pair: Pair, x: Tensor | Batch, values: Mapping[str, Tensor]
) -> dict[str, dist.MultivariateNormal]:
    """The posterior of brightness by its site's name, given all other sites; empty without one.

    Args:
        pair: the pair.
        x: data, `batch x height x width` or `batch x length`.
        values: of the other sites, by name.
    """
    site = brightness_of(pair)
    if site is None:
        return {}
    return {site.name: site.regression(pair.likelihood, x, pair.decoded(values))}


def draw_brightness(
    pair: Pair,
    x: Tensor | Batch,
    values: Mapping[str, Tensor],
    kl_weight: float | Mapping[str, float],
) -> None:
    """Draw brightness from its posterior given all that was drawn before, if it has a site.

    The gradient goes through the posterior: where it is exact, the bound is the same whatever is
    drawn, and so is its gradient.
    """
    for name, posterior in posterior_given(pair, x, values).items():
        with pair.latent_scale(kl_weight, name):
            pyro.sample(name, posterior)


def at_its_best(pair: Pair, x: Tensor | Batch, decoded: Tensor) -> tuple[Tensor, Tensor | float]:
    """A decoded motif in the brightness that explains the data best, and its gain.

    Args:
        pair: the pair.
        x: data, `batch x height x width` or `batch x length`.
        decoded: the decoder's output, of the same shape.

    Returns:
        The output, and the gain, to multiply coordinates' slopes by; without a brightness site
        the motif as it is, and 1.
    """
    site = brightness_of(pair)
    if site is None:
        return decoded, 1.0
    value = site.regression(pair.likelihood, x, decoded).mean
    gain = value[:, 0].reshape(-1, *(1,) * as_batch(x).x.dim())
    return site.applied(decoded, value), gain


def shared_information(
    pair: Pair, decoded: Tensor, jacobian: Tensor, information: Tensor
) -> Tensor | float:
    """What of the information about the pose may as well be about brightness: 0 without a site.

    Args:
        pair: the pair.
        decoded: the decoder's output, `batch x height x width` or `batch x length`.
        jacobian: derivative of each pixel by the pose, `batch x element x pixel`.
        information: Fisher information of each pixel, `batch x 1 x pixel`.

    Returns:
        `batch x element x element`, to be taken off the pose's precision.
    """
    site = brightness_of(pair)
    if site is None:
        return 0.0
    basis = _basis(decoded.flatten(1))
    cross = (jacobian * information) @ basis.mT
    inner = (basis * information) @ basis.mT + site.certainty
    return cross @ torch.linalg.solve(inner, cross.mT)


def marginal_gain(
    pair: Pair,
    products: Tensor,
    total: Tensor,
    outputs: Tensor,
    share: float,
    over_pixels: Callable[[Tensor], Tensor],
) -> Tensor:
    """What every window's score in every bin gains where brightness is integrated out, in nats.

    Exact for the Gaussian likelihood; for others, to second order about the prior's mean.

    Args:
        pair: the pair, with a brightness site.
        products: natural parameters times the data's statistic, summed, `batch x bin`.
        total: the statistic alone, summed, `batch`.
        outputs: the decoder's output in each bin, `bin x pixel`.
        share: pixels that each summand stands for, and counts as.
        over_pixels: sum of values `bin x pixel` over the pixels that there are, `bin`, or where
            patches have gaps, `batch x bin`.
    """
    site = brightness_of(pair)
    assert site is not None
    likelihood = pair.likelihood
    (start, end), _ = likelihood.natural(outputs.new_tensor([0.0, 1.0]))
    slope = end - start  # natural parameters are affine in the output
    expected = slope * likelihood.statistic(likelihood.mean(outputs))
    weights = likelihood.information(outputs)
    of_gain = products - start * total.unsqueeze(1) - over_pixels(outputs * expected)
    of_background = slope * total.unsqueeze(1) - over_pixels(expected)
    certain_gain, certain_background = site.certainty.diagonal().to(outputs) / share
    gains = over_pixels(weights * outputs.square()) + certain_gain
    mixed = over_pixels(weights * outputs)
    backgrounds = over_pixels(weights) + certain_background
    determinant = gains * backgrounds - mixed.square()
    quadratic = backgrounds * of_gain.square() + gains * of_background.square()
    quadratic = quadratic - 2 * mixed * of_gain * of_background
    return (share * quadratic / determinant - determinant.log()) / 2


def _normal_equations(
    likelihood: Likelihood, x: Tensor, decoded: Tensor, seen: Tensor
) -> tuple[Tensor, Tensor]:
    """Fisher information about gain and background, and the gradient, double precision.

    Args:
        likelihood: the pair's.
        x: data.
        decoded: the decoder's output.
        seen: the same in the brightness about which to expand.

    Returns:
        `batch x 2 x 2` and `batch x 2`.
    """
    first = 1 - x.dim()  # of the pixels' axes
    basis = _basis(decoded.flatten(first))
    information = likelihood.of_known(likelihood.information(seen), x)
    information = information.flatten(first).unsqueeze(-2)
    score = likelihood.score(x, seen).flatten(first).unsqueeze(-1).double()
    return (basis * information) @ basis.mT, (basis @ score).squeeze(-1)


def _basis(decoded: Tensor) -> Tensor:
    """What gain and background multiply, `... x 2 x pixel`, double precision."""
    return torch.stack([decoded, torch.ones_like(decoded)], -2).double()

"""VAE, ShiftVAE and RVAE: three lists of sites."""

import math
from collections.abc import Callable, Mapping, Sequence

import pyro.distributions as dist
import torch
from torch import nn
from torch.distributions import Distribution

from pyroshift import names
from pyroshift.errors import SpecificationError
from pyroshift.model.brightness import Brightness
from pyroshift.model.classes import CLASS, FLIP, Class, Flip
from pyroshift.model.guide import Guide
from pyroshift.model.likelihoods import Likelihood
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import as_window
from pyroshift.model.pose import half_window
from pyroshift.model.sites import (
    ANGLE,
    BRIGHTNESS,
    CONTENT,
    OFFSET,
    SCALE,
    Angle,
    Content,
    Offset,
    Scale,
    Site,
)

Priors = Mapping[str, Distribution | nn.Module]
Likelihoods = str | Likelihood | Mapping[str, str | Likelihood]


def _sites(
    pose: Mapping[str, Callable[..., Site]],
    latent_dim: int,
    classes: int | None,
    brightness: str | None,
    priors: Priors | None,
) -> list[Site]:
    """The pose's sites and those of all models, each with its default prior or the user's."""
    content = {CONTENT: lambda prior: Content(latent_dim, prior)}
    kinds = {} if classes is None else {CLASS: lambda prior: Class(CLASS, classes, prior)}
    defaults: dict[str, Callable[..., Site]] = {
        **kinds, **pose, **content, **_brightness(brightness),
    }  # fmt: skip
    priors = priors or {}
    if unknown := set(priors) - set(defaults):
        raise SpecificationError(
            f"no site for the priors {sorted(unknown)}: this model's sites are {list(defaults)}"
        )
    sites = []
    for name, default in defaults.items():
        given = priors.get(name)
        sites.append(given if isinstance(given, Site) else default(given))
    return sites


def _brightness(brightness: str | None) -> dict[str, Callable[..., Site]]:
    """The brightness site by its name, if there is to be one."""
    if brightness not in (*names.BRIGHTNESS, None):
        raise SpecificationError(f'brightness must be "site" or None, got {brightness!r}')

    def site(prior: Distribution | None) -> Site:
        if prior is not None:
            raise SpecificationError(
                "the prior of brightness is Normal, and only its widths can be chosen: pass "
                "priors={'brightness': Brightness(gain_scale=..., background_scale=...)}"
            )
        return Brightness()

    return {} if brightness is None else {BRIGHTNESS: site}


def _normal(name: str, width: float) -> Distribution:
    if not width > 0:
        raise SpecificationError(f"{name} must be positive, got {width}")
    return dist.Normal(0.0, width)


class VAE(PoseVAE):
    """A variational autoencoder: the baseline without pose.

    Generative story, for each patch:

        class ~ Categorical(weights)                  of which kind it is, if `classes`
        z ~ Normal(0, 1)                              what it looks like
        x ~ likelihood(decoder(z, class, covariates))

    Kingma and Welling, "Auto-encoding variational Bayes", ICLR 2014.

    Args:
        window: height and width of the windows in pixels, or (length,) for signals.
        latent_dim: number of latents z.
        likelihood: "gaussian" (learned sigma), "student_t" for outliers, "heteroscedastic" for
            noise that differs from pixel to pixel; "bernoulli", "continuous_bernoulli" for grey
            levels in [0, 1]; "poisson", "negative_binomial" for more scatter,
            "zero_inflated_poisson" for lost counts; "von_mises" for phases in degrees; or a
            `Likelihood`, such as `StudentT(degrees=3.0)`; for windows with channels one for all,
            or one for each by its name.
        encoder: "fully_connected", "convolutional", or a module that returns `batch x features`.
        decoder: "canvas", "spatial", or a module called with (z, coordinates).
        guide: "normal" is the papers', from a network; "anchor", the default where there is a
            pose, searches for it over all of the window and of the circle; or a `Guide`.
        brightness: "site" for gain and background of each window as a site of their own, so that
            z is free for structure; None for windows equally bright, or stretched one by one.
        priors: other priors by site name, each a Pyro distribution, a module that makes one, or
            a `Site`. Parameters in them learn with the rest.
        classes: how many kinds of motif there may be, each of which the decoder draws apart; None
            for one. Known ones are told by `Patches.assign(label=...)`, others inferred.
        channels: names of the windows' channels, or their number; None for windows without.
        condition: names of covariates that windows come with, by `Patches.assign`, such as a dose;
            what they explain, z needn't.
        seed: seed of the initial weights.

    Raises:
        SpecificationError: if something is unknown or doesn't fit.

    Example:
        >>> VAE((16, 16), latent_dim=3).latent_dim
        3
    """

    def __init__(
        self,
        window: int | Sequence[int],
        latent_dim: int = 2,
        likelihood: Likelihoods = "gaussian",
        encoder: str | nn.Module = "fully_connected",
        decoder: str | nn.Module = "canvas",
        guide: str | Guide = "normal",
        *,
        brightness: str | None = None,
        priors: Priors | None = None,
        classes: int | None = None,
        channels: int | Sequence[str] | None = None,
        condition: str | Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        sites = _sites({}, latent_dim, classes, brightness, priors)
        super().__init__(
            window, sites, likelihood=likelihood, encoder=encoder, decoder=decoder,
            guide=guide, channels=channels, condition=condition, seed=seed,
        )  # fmt: skip


class ShiftVAE(PoseVAE):
    """The shift-VAE: where the motif sits in each window, apart from what it looks like.

    Generative story, for each patch:

        offset ~ Normal(0, offset_scale)              where, (y, x), in half-windows
        flip ~ Categorical(1/2, 1/2)                  whether it is mirrored, if `flips`
        z ~ Normal(0, 1)                              what it looks like
        x ~ likelihood(decoder(z) seen from the offset)

    Ziatdinov, Wong and Kalinin, "Finding simplicity: unsupervised discovery of features, patterns,
    and order parameters via shift-invariant variational autoencoders" (2023).

    Args:
        offset_scale: the offset prior's standard deviation in half-windows, the paper's k.
        period: of the lattice in the data, if offsets are only meant modulo it: one number, or one
            lattice vector (y, x) per axis; pixels. The offset's prior is then uniform. "auto"
            takes what `suggest_window` finds in the image when the training begins.
        flips: whether the motif may also be mirrored.
        others: window, latent_dim, likelihood, encoder, decoder, guide, brightness, priors,
            classes, channels, condition and seed are as of `VAE`.

    Raises:
        SpecificationError: if something is unknown or doesn't fit.

    Example:
        >>> model = ShiftVAE((100,), priors={"offset": dist.Laplace(0.0, 0.3)})
        >>> [site.name for site in model.sites]
        ['pose', 'offset', 'z']
    """

    def __init__(
        self,
        window: int | Sequence[int],
        latent_dim: int = 2,
        likelihood: Likelihoods = "gaussian",
        encoder: str | nn.Module = "fully_connected",
        decoder: str | nn.Module = "canvas",
        guide: str | Guide = "anchor",
        *,
        offset_scale: float = 0.3,
        period: float | Sequence[Sequence[float]] | str | None = None,
        flips: bool = False,
        brightness: str | None = None,
        priors: Priors | None = None,
        classes: int | None = None,
        channels: int | Sequence[str] | None = None,
        condition: str | Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        shape, offset_prior = as_window(window), _normal("offset_scale", offset_scale)
        if period is not None and not isinstance(period, str):
            period = (torch.as_tensor(period, dtype=torch.float) / half_window(shape)).tolist()
        default = offset_prior if period is None else None
        pose: dict[str, Callable[..., Site]] = {
            OFFSET: lambda prior: Offset(prior or default, len(shape), period=period)
        }
        if flips:
            pose[FLIP] = Flip
        sites = _sites(pose, latent_dim, classes, brightness, priors)
        super().__init__(
            window, sites, likelihood=likelihood, encoder=encoder, decoder=decoder,
            guide=guide, channels=channels, condition=condition, seed=seed,
        )  # fmt: skip


class RVAE(PoseVAE):
    """The rotationally invariant VAE: how the motif is turned, apart from what it looks like.

    Generative story, for each patch:

        offset ~ Normal(0, offset_scale)              where, if `offsets`
        angle ~ Uniform(-pi, pi)                      how it is turned, radians
        scale ~ LogNormal(0, scale_scale)             how large it is, if `scales`
        flip ~ Categorical(1/2, 1/2)                  whether it is mirrored, if `flips`
        z ~ Normal(0, 1)                              what it looks like
        x ~ likelihood(decoder(z) seen through the pose)

    Kalinin, Dyck, Jesse and Ziatdinov, "Exploring order parameters and dynamic processes in
    disordered systems via variational autoencoders", Science Advances 7, eabd5084 (2021).

    Args:
        angle_scale: the angle prior's standard deviation, radians, where turns are known to be
            small; by default infinite, for a uniform prior over the whole circle.
        symmetry: of the motif, which looks the same after a full turn divided by it; "auto" to
            have the training find it in the end.
        offsets: whether the motif may also be shifted.
        offset_scale: the offset prior's standard deviation in half-windows, if `offsets`.
        scales: whether the motif may also be magnified.
        scale_scale: the standard deviation of the logarithm of the scale, if `scales`.
        flips: whether the motif may also be mirrored.
        others: window, latent_dim, likelihood, encoder, decoder, guide, brightness, priors,
            classes, channels, condition and seed are as of `VAE`; windows are images.

    Raises:
        SpecificationError: if something is unknown or doesn't fit.

    Example:
        >>> model = RVAE((16, 16), offsets=True, priors={"angle": dist.VonMises(0.0, 4.0)})
        >>> [site.name for site in model.sites]
        ['pose', 'offset', 'angle', 'z']
    """

    def __init__(
        self,
        window: int | Sequence[int],
        latent_dim: int = 2,
        likelihood: Likelihoods = "gaussian",
        encoder: str | nn.Module = "fully_connected",
        decoder: str | nn.Module = "canvas",
        guide: str | Guide = "anchor",
        *,
        angle_scale: float = math.inf,
        symmetry: int | str = 1,
        offsets: bool = False,
        offset_scale: float = 0.3,
        scales: bool = False,
        scale_scale: float = 0.1,
        flips: bool = False,
        brightness: str | None = None,
        priors: Priors | None = None,
        classes: int | None = None,
        channels: int | Sequence[str] | None = None,
        condition: str | Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        offset_prior = _normal("offset_scale", offset_scale)
        angle_prior: Distribution = dist.Uniform(-math.pi, math.pi)
        if angle_scale != math.inf:
            angle_prior = _normal("angle_scale", angle_scale)
        _normal("scale_scale", scale_scale)
        pose: dict[str, Callable[..., Site]] = {}
        if offsets:
            pose[OFFSET] = lambda prior: Offset(prior or offset_prior, 2)
        pose[ANGLE] = lambda prior: Angle(prior or angle_prior, symmetry=symmetry)
        if scales:
            pose[SCALE] = lambda prior: Scale(prior or dist.LogNormal(0.0, scale_scale))
        if flips:
            pose[FLIP] = Flip
        sites = _sites(pose, latent_dim, classes, brightness, priors)
        super().__init__(
            window, sites, likelihood=likelihood, encoder=encoder, decoder=decoder,
            guide=guide, channels=channels, condition=condition, seed=seed,
        )  # fmt: skip

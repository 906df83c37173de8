"""What is worth a warning after training: latents that collapsed, or that outgrew their prior."""

import warnings
from collections.abc import Mapping

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.errors import LatentWarning
from pyroshift.model.batch import Batch
from pyroshift.model.classes import Discrete
from pyroshift.model.distributions import moments
from pyroshift.model.likelihoods import Gaussian
from pyroshift.model.pair import PoseVAE
from pyroshift.model.sites import Angle, Content, Offset, Scale, Site

# A standard Normal has 1.2% of its mass beyond 2.5 widths.
PILE_UP_WIDTHS = 2.5
PILE_UP_SHARE = 0.05
COLLAPSED_STD = 0.9
# The models' options that widen a prior, to twice its width or without end.
_WIDER = (
    (Offset, "offset_scale={:.2g}"),
    (Angle, "angle_scale=inf"),
    (Scale, "scale_scale={:.2g}"),
)


def diagnose(
    pair: PoseVAE, x: Tensor | Batch, found: Mapping[str, Tensor] | None = None
) -> list[str]:
    """What looks wrong with the latents of some data, in words.

    Args:
        pair: a trained pair.
        x: data, and what else is known of them.
        found: by the guide's `summary` of them, if that is at hand.

    Returns:
        One sentence per finding: latents whose posterior is as wide as the prior (collapsed), and
        sites whose locations lie beyond 2.5 prior widths too often (the prior is too narrow, or
        the likelihood too sure of itself).
    """
    with torch.no_grad():
        found = pair.guide_module.summary(pair, x) if found is None else found
        values = {**pair.global_values(), **found}
        priors = {site.name: site.prior_given(values) for site in pair.given_sites}
    findings = []
    for site in pair.given_sites:
        if isinstance(site, Discrete):
            continue  # of whose values nothing is far out, nor empty
        prior = priors[site.name]
        mean, width = (moment.to(pair.device) for moment in moments(prior))
        if not bool(torch.isfinite(width).all()):
            continue
        location, spread = found[site.name], found[f"{site.name}_std"]
        empty = torch.atleast_1d(collapsed(prior, spread))
        if bool(empty.any()):
            which = [int(index) for index in empty.nonzero()]
            gaussian = isinstance(pair.likelihood, Gaussian)
            findings.append(_collapsed(site, which, bool(empty.all()), gaussian))
        if isinstance(site, Content) and site.canonical:
            continue  # as wide as the latents themselves: what is far out is rare, not saturated
        beyond = ((location - mean).abs() > PILE_UP_WIDTHS * width).float().mean(0)
        share = float(torch.atleast_1d(beyond).max())
        if share > PILE_UP_SHARE and not isinstance(prior, dist.VonMises):
            findings.append(_piled_up(site, share, float(width.max())))
    return findings


def collapsed(prior: Distribution, spread: Tensor) -> Tensor:
    """Which elements of a site say nothing of the data: their posterior is as wide as the prior.

    Args:
        prior: the site's.
        spread: the posterior's standard deviations, `batch x event shape`.

    Example:
        >>> collapsed(dist.Normal(torch.zeros(2), 1.0), torch.tensor([[0.97, 0.2]]))
        tensor([ True, False])
    """
    _, width = moments(prior)
    return (spread / width.to(spread.device)).mean(0) > COLLAPSED_STD


def _collapsed(site: Site, which: list[int], whole: bool, gaussian: bool) -> str:
    name = repr(site.name) if whole else f"{site.name!r} {which}"
    return (
        f"{name} collapsed onto the prior (posterior as wide as the prior): the data hold no more "
        "factors of variation that this likelihood deems worth a latent. Harmless if expected; "
        f"else try {'' if gaussian else 'a Gaussian likelihood, '}a smaller KL weight (kl=0.3, "
        "--kl 0.3), or a smaller one at first (kl=KLAnnealing(0.1, 1, epochs=20), --kl-initial 0.1)"
    )


def _piled_up(site: Site, share: float, width: float) -> str:
    own = f"priors={{{site.name!r}: ...}}"
    if isinstance(site, Content):
        remedy = (
            "they are saturated, as the likelihood outweighs their prior; raise their KL weight "
            f"such as by kl=3, give the model more latents by latent_dim, or a wider prior by {own}"
        )
    else:
        options = [option.format(2 * width) for kind, option in _WIDER if isinstance(site, kind)]
        remedy = (
            "the prior is too narrow for these data; widen it, as by "
            f"{' or, if you gave it, '.join([*options, own])}"
        )
    return (
        f"{share:.0%} of the values of {site.name!r} lie beyond {PILE_UP_WIDTHS} prior widths "
        f"(width {width:.3g}): {remedy}"
    )


def warn_about_latents(
    pair: PoseVAE, x: Tensor | Batch, found: Mapping[str, Tensor] | None = None
) -> None:
    """Issue each finding of `diagnose` as a `LatentWarning`."""
    for finding in diagnose(pair, x, found):
        warnings.warn(finding, LatentWarning, stacklevel=3)

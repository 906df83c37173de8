"""What every latent site must satisfy."""

import copy
import tempfile
from pathlib import Path

import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.maps.storage import load, save
from pyroshift.model.distributions import divergence, moments
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import global_values
from pyroshift.model.pose import half_window, pixel_grid
from pyroshift.model.sites import CONTENT, Content, PoseSite, Site
from pyroshift.testing.report import Check, Report, require, require_close, require_mean, run

_SAMPLES = 20_000


def check_site(site: Site, *, classes: tuple[type, ...] = ()) -> Report:
    """Everything that a latent site of one's own must satisfy.

    Args:
        site: the site; it stays as it is.
        classes: classes of your own that it is made of, beside its own class.

    Returns:
        What was checked.

    Raises:
        CheckError: if anything doesn't hold, with all that does not.

    Example:
        >>> from pyroshift import Scale
        >>> print(check_site(Scale()).subject)
        Scale 'scale'
    """
    return run(f"{type(site).__name__} {site.name!r}", SITE_CHECKS, site, classes)


def _drawn(site: Site, count: int = 4) -> Tensor:
    with pyro.plate("patches", count):
        return site.draw(global_values([site]))


def _prior(site: Site) -> Distribution:
    """The prior, at the middle of what all patches share."""
    return site.prior_given(global_values([site]))


def _raw(site: Site, count: int, spread: float = 1.0) -> Tensor:
    return spread * torch.randn(count, site.family.size(site.event_shape))


def _draws_have_the_event_shape(site: Site, classes: tuple[type, ...]) -> None:
    value = _drawn(site)
    expected = (4, *site.event_shape)
    require(tuple(value.shape) == expected, f"draw gives {tuple(value.shape)}, not {expected}")
    require(bool(torch.isfinite(value).all()), "draw gives values that are infinite or no numbers")


def _posterior_has_the_event_shape(site: Site, classes: tuple[type, ...]) -> None:
    posterior = site.posterior(_raw(site, 4))
    for what, shape in (("batch", (4,)), ("event", site.event_shape)):
        found = tuple(getattr(posterior, f"{what}_shape"))
        require(found == tuple(shape), f"the posterior's {what} shape is {found}, not {shape}")
    for value in site.family.summary(posterior):
        expected = (4, *site.event_shape)
        require(tuple(value.shape) == expected, f"summary gives {tuple(value.shape)}")
    require(
        bool((site.family.summary(posterior)[1] > 0).all()), "summary gives widths that are not > 0"
    )


def _posterior_starts_at_the_prior(site: Site, classes: tuple[type, ...]) -> None:
    location, width = site.family.summary(site.posterior(0 * _raw(site, 1)))
    mean, spread = (moment.reshape(1, *site.event_shape) for moment in moments(site.reference))
    known = torch.isfinite(mean) & torch.isfinite(spread) & (spread > 0)
    if site.circular or not bool(known.all()):
        return  # all round the circle nothing has a middle
    require(
        bool(((location - mean).abs() < 0.3 * spread).all()),
        f"raw outputs of zero give {location.flatten().tolist()}, the prior's mean is "
        f"{mean.flatten().tolist()}",
    )
    ratio = width / spread
    require(
        bool(((ratio > 0.7) & (ratio < 1.4)).all()),
        f"raw outputs of zero give a width of {ratio.flatten().tolist()} times the prior's",
    )


def _posterior_stays_within_the_support(site: Site, classes: tuple[type, ...]) -> None:
    prior = _prior(site)
    value = site.posterior(_raw(site, 200, 3.0)).rsample()
    support = prior.support
    require(
        support is None or bool(support.check(value).all()),
        f"the posterior has values outside of the prior's support, {support}",
    )


def _gradients_reach_the_raw_outputs(site: Site, classes: tuple[type, ...]) -> None:
    raw = _raw(site, 4).requires_grad_()
    posterior = site.posterior(raw)
    require(posterior.has_rsample, f"{posterior} can't be reparametrised")
    value = posterior.rsample()
    weights = torch.randn_like(value)
    total = divergence(posterior, _prior(site), value).sum() + (weights * value).sum()
    (gradient,) = torch.autograd.grad(total, raw)
    require(bool(torch.isfinite(gradient).all()), "a gradient is infinite or no number")
    require(bool((gradient.abs().sum(0) > 0).all()), "some raw outputs have no effect")


def _divergence_is_its_samples_mean(site: Site, classes: tuple[type, ...]) -> None:
    prior = _prior(site)
    raw = _raw(site, 1, 0.5)
    posterior = site.posterior(raw.expand(_SAMPLES, -1))
    value = posterior.rsample()
    ratios = (posterior.log_prob(value) - prior.log_prob(value)).detach()
    require(bool(torch.isfinite(ratios).all()), "a density is infinite or no number")
    if (known := divergence(posterior, prior, value).detach()).std() < 1e-4:
        require_mean(ratios, known[0], "KL divergence from the prior")
    else:
        require(float(ratios.mean()) > -5 * float(ratios.std()) / _SAMPLES**0.5, "KL below 0")


def _moves_to_double_precision(site: Site, classes: tuple[type, ...]) -> None:
    twin = copy.deepcopy(site).double()
    posterior = twin.posterior(_raw(twin, 4).double())
    for what, value in (
        ("the prior", _prior(twin).sample()), ("the posterior", posterior.rsample()),
    ):  # fmt: skip
        require(value.dtype == torch.double, f"after .double(), {what} gives {value.dtype}")


def _is_saved_and_loaded(site: Site, classes: tuple[type, ...]) -> None:
    window = (8,) if site.event_shape == (1,) and isinstance(site, PoseSite) else (8, 8)
    own = isinstance(site, Content) and site.name == CONTENT
    sites = [copy.deepcopy(site), *([] if own else [Content(1)])]
    pair = PoseVAE(window, sites)
    with tempfile.TemporaryDirectory() as folder:
        save(pair, Path(folder) / "model.pt")
        loaded = load(Path(folder) / "model.pt", classes=(type(site), *classes))
    again = loaded.given_sites[0]
    require(repr(again) == repr(site), f"{site!r} comes back as {again!r}")
    x = torch.rand(3, *window)
    found = [model.guide_module.summary(model, x)[site.name] for model in (pair.eval(), loaded)]
    require_close(found[1], found[0], "the posterior of the model as loaded")


def _repr_is_readable(site: Site, classes: tuple[type, ...]) -> None:
    text = repr(site)
    require(type(site).__name__ in text, f"repr doesn't name the class: {text}")
    require(" object at 0x" not in text, f"repr tells an address: {text}")


# Of sites that act on coordinates


def _coordinates(site: Site, count: int) -> Tensor:
    window = (9,) if site.event_shape == (1,) else (7, 9)
    grid = pixel_grid(window)
    return grid.expand(count, *grid.shape)


def _transform_keeps_shape_and_gradient(site: Site, classes: tuple[type, ...]) -> None:
    if not isinstance(site, PoseSite):
        return
    value = _drawn(site).detach().requires_grad_()
    coordinates = _coordinates(site, 4)
    moved = site.transform(coordinates, value)
    require(moved.shape == coordinates.shape, f"transform gives {tuple(moved.shape)}")
    (gradient,) = torch.autograd.grad(moved.square().sum(), value)
    require(bool(torch.isfinite(gradient).all()), "transform has no finite gradient")
    require(bool((gradient != 0).any()), "transform does not depend on the value")


def _inverse_undoes_the_transform(site: Site, classes: tuple[type, ...]) -> None:
    if isinstance(site, PoseSite):
        value, coordinates = _drawn(site), _coordinates(site, 4)
        back = site.transform(site.transform(coordinates, value), site.inverse(value))
        require_close(back, coordinates, "transform by value and by its inverse")


def _affine_is_affine(site: Site, classes: tuple[type, ...]) -> None:
    if isinstance(site, PoseSite) and site.affine:
        value, points = _drawn(site), _coordinates(site, 4)
        other = points.flip(1) + 0.3
        middle = site.transform((points + other) / 2, value)
        ends = (site.transform(points, value) + site.transform(other, value)) / 2
        require_close(middle, ends, "`affine` is True, but a midpoint is not carried to one")
        if site.shifts:
            change = site.transform(points, value) - points
            message = "`shifts` is True, but not all coordinates are moved by as much"
            require_close(change, change[:, :1].expand_as(change), message)


def _reduced_values_stay(site: Site, classes: tuple[type, ...]) -> None:
    if isinstance(site, PoseSite):
        once = site.reduce(_drawn(site, 50))
        require_close(site.reduce(once), once, "reduce, once more")
        require(bool(site.is_reduced(once).all()), "is_reduced denies what reduce gave")


def _reach_is_told(site: Site, classes: tuple[type, ...]) -> None:
    if not isinstance(site, PoseSite):
        return
    coordinates = _coordinates(site, 400)
    corner = float(coordinates.norm(dim=-1).max())
    far = site.transform(coordinates, _drawn(site, 400)).norm(dim=-1).flatten(1).max(1).values
    limit = site.reach(corner)
    require(limit > 0, f"reach must be positive, got {limit}")
    share = float((far > limit + 2 / half_window((7, 9))).float().mean())
    require(share < 0.1, f"{share:.0%} of the prior's poses look further than reach tells")


SITE_CHECKS = (
    Check("draws have the event shape", _draws_have_the_event_shape),
    Check("the posterior has the event shape", _posterior_has_the_event_shape),
    Check("the posterior starts at the prior", _posterior_starts_at_the_prior),
    Check("the posterior stays within the prior's support", _posterior_stays_within_the_support),
    Check("gradients reach all raw outputs", _gradients_reach_the_raw_outputs),
    Check("the KL divergence is the mean of its samples", _divergence_is_its_samples_mean),
    Check("double precision", _moves_to_double_precision),
    Check("saved and loaded it is the same", _is_saved_and_loaded),
    Check("repr is readable", _repr_is_readable),
    Check("transform keeps the shape and has a gradient", _transform_keeps_shape_and_gradient),
    Check("the inverse undoes the transform", _inverse_undoes_the_transform),
    Check("affine is affine", _affine_is_affine),
    Check("reduced values stay as they are", _reduced_values_stay),
    Check("reach tells how far windows look", _reach_is_told),
)

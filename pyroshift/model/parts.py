"""What a pair is put together from: its window, sites and components, checked, and its plate."""

import math
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn

from pyroshift.errors import SpecificationError
from pyroshift.model.classes import Discrete
from pyroshift.model.families import is_discrete, middle_of
from pyroshift.model.pose import half_window
from pyroshift.model.priors import PairedPrior
from pyroshift.model.sites import Angle, Content, PoseSite, Site

Component = TypeVar("Component")


def patches_plate(count: int, total: int | None) -> pyro.plate:
    """The plate of some patches, or of a batch of all that there are."""
    if total is None:
        return pyro.plate("patches", count)
    return pyro.plate("patches", total, subsample=torch.arange(count))


def as_window(window: int | Sequence[int]) -> tuple[int, ...]:
    """A window as a tuple of sizes; one integer means a square.

    Raises:
        SpecificationError: unless there are one or two sizes of at least 2 pixels.

    Example:
        >>> as_window(32), as_window([100])
        ((32, 32), (100,))
    """
    sizes = (window, window) if isinstance(window, int) else tuple(int(size) for size in window)
    if len(sizes) not in (1, 2) or min(sizes) < 2:
        raise SpecificationError(
            f"window must be one size or (height, width), each at least 2 pixels; got {window!r}. "
            "For signals give a tuple of one length, such as (100,)"
        )
    return sizes


def check_sites(sites: Sequence[Site], window: tuple[int, ...]) -> None:
    """Raise a SpecificationError if a model can't be made of some sites."""
    names = [site.name for site in sites]
    if len(set(names)) != len(names):
        raise SpecificationError(f"every site needs its own name, got {names}")
    if not any(isinstance(site, Content) for site in sites):
        raise SpecificationError(f"a model needs a Content site (z), got only {names}")
    if len(window) == 1 and any(isinstance(site, Angle) for site in sites):
        raise SpecificationError(f"signals of window {window} can't be turned: use ShiftVAE or VAE")
    for site in sites:
        if is_discrete(site.reference) and not isinstance(site, Discrete):
            raise SpecificationError(
                f"site {site.name!r} is discrete ({site.reference}), and such latents have no "
                "gradient that guides could be trained by: take a Class site for kinds of motif, "
                "or a continuous prior, such as a RelaxedOneHotCategorical with a family of your "
                "own"
            )
        if site.name == "offset" and site.event_shape != (len(window),):
            raise SpecificationError(
                f"the offset site has {site.event_shape[0]} axes, but the window {window} has "
                f"{len(window)}: build it as Offset(..., ndim={len(window)})"
            )


def margin(sites: Sequence[Site], window: tuple[int, ...]) -> int:
    """Pixels that poses look beyond the window, on each side."""
    unit = half_window(window)
    turns = any(isinstance(site, Angle) for site in sites)
    radius = math.hypot(*window) / 2 / unit if turns else 1.0
    for site in sites:
        if isinstance(site, PoseSite):
            radius = site.reach(radius)
    return math.ceil(radius * unit - (min(window) / 2 if turns else unit))


def component(
    kind: str,
    value: Any,
    known: Mapping[str, type[Component] | str],
    *arguments: Any,
    **options: Any,
) -> Component:
    """An object as it is, or one made by its name, of a class or of where that is."""
    if not isinstance(value, str):
        if not isinstance(value, nn.Module):
            raise SpecificationError(
                f"{kind} must be one of {sorted(known)} or a torch module, got {value!r}"
            )
        return value  # type: ignore[return-value]
    if value not in known:
        raise SpecificationError(f"unknown {kind} {value!r}: choose one of {sorted(known)}")
    made = known[value]
    made = pkgutil.resolve_name(made) if isinstance(made, str) else made
    return made(*arguments, **options)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode, and afterwards each of its parts in the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def latent_scale(kl_weight: float | Mapping[str, float], name: str) -> AbstractContextManager[Any]:
    """The scale of one latent site, for the model and for the guide alike.

    Both sides must be scaled, by the same number; that is why both call this.

    Args:
        kl_weight: one weight for all sites, or one per site name.
        name: the site's name.

    Raises:
        SpecificationError: if the weight is missing or isn't positive.
    """
    try:
        weight = kl_weight[name] if isinstance(kl_weight, Mapping) else kl_weight
    except KeyError:
        raise SpecificationError(
            f"kl_weight has no entry for site {name!r}, only for {sorted(kl_weight)}"  # type: ignore[arg-type]
        ) from None
    if not weight > 0:
        raise SpecificationError(
            f"the KL weight of site {name!r} must be positive, got {weight}: anneal from a "
            "small number such as 0.01"
        )
    return nullcontext() if weight == 1 else poutine.scale(scale=weight)


def seed_all(seed: int) -> None:
    """Seed the random numbers of the processor, and of accelerators where there are any.

    Where there are none, `torch.manual_seed` notes a stack of calls for each kind of them, which
    takes longer than many a step does.

    Args:
        seed: the seed.

    Example:
        >>> with torch.random.fork_rng():
        ...     seed_all(1)
        ...     first = torch.rand(())
        ...     seed_all(1)
        ...     first.equal(torch.rand(()))
        True
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(int(seed))


def paired_priors(sites: Sequence[Site]) -> list[tuple[PairedPrior, Site]]:
    """The priors that are made of their pair, each with its site."""
    return [(site.given_prior, site) for site in sites if isinstance(site.given_prior, PairedPrior)]


def global_values(sites: Sequence[Site]) -> dict[str, Tensor]:
    """The values of what all patches share, by name: the middle of each global posterior.

    Args:
        sites: as specified.
    """
    drawing = [site for site in sites if type(site).guide_global is not Site.guide_global]
    if not drawing:
        return {}
    with (
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
        poutine.block(),
        poutine.trace() as tracer,
    ):
        for site in drawing:
            site.guide_global()
    return {
        name: middle_of(node["fn"])  # type: ignore[arg-type]
        for name, node in tracer.trace.nodes.items()
        if node["type"] == "sample"
    }

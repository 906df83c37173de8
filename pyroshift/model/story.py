"""How a model shows itself in a notebook: its generative story, and what it is made of."""

import numpy as np
from torch import nn
from torch.distributions import Distribution

from pyroshift.model.distributions import moments
from pyroshift.model.generator import Generator
from pyroshift.shown import block, preformatted, table


def as_html(model: Generator, guide: nn.Module, encoder: nn.Module) -> str:
    """The generative story, a table of sites and one of parts, with numbers of weights.

    Args:
        model: the generative half.
        guide: how posteriors are found.
        encoder: the network that a guide may have.
    """
    priors = model.priors()
    size = " x ".join(map(str, model.window))
    of = f" of {len(model.channels)} channels" if model.channels else ""
    sites = [
        (
            site.name,
            type(site).__name__,
            " x ".join(map(str, site.event_shape)) or "1",
            in_words(priors[site.name]),
        )
        for site in model.given_sites
    ]
    parts = {"likelihood": model.likelihood, "decoder": model.decoder,
             "encoder": encoder, "guide": guide}  # fmt: skip
    made_of = [(name, type(part).__name__, f"{_weights(part):,}") for name, part in parts.items()]
    total = f"{_weights(model):,}"
    return block(
        f"{type(model).__name__}, windows of {size} pixels{of}",
        preformatted(story(model)),
        table(["site", "kind", "numbers", "prior"], sites),
        table(["part", "kind", "weights"], [*made_of, ("in all", "", total)]),
    )


def story(model: Generator) -> str:
    """How a window comes to be, in lines.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> print(story(ShiftVAE(16)))
        for each window:
            offset ~ Normal
            z ~ Normal
            coordinates = pixel grid, moved by offset
            x ~ Gaussian(decoder(z; coordinates))
    """
    priors = model.priors()
    lines = [f"{site.name} ~ {_kind(priors[site.name])}" for site in model.given_sites]
    poses = [site.name for site in model.pose_sites]
    contents = [site.name for site in model.contents]
    if poses:
        lines.append(f"coordinates = pixel grid, moved by {', then '.join(poses)}")
    given = [*contents, *(["class"] if model.classes else []), *model.condition]
    place = "; coordinates" if poses else ""
    lines.append(f"x ~ {type(model.likelihood).__name__}(decoder({', '.join(given)}{place}))")
    return "\n    ".join(["for each window:", *lines])


def in_words(prior: Distribution) -> str:
    """A prior's kind, and its mean and width where it has them.

    Example:
        >>> import pyro.distributions as dist
        >>> in_words(dist.Normal(0.0, 0.5))
        'Normal, mean 0, width 0.5'
    """
    told = [_kind(prior)]
    for name, values in zip(("mean", "width"), moments(prior), strict=True):
        numbers = np.unique(values.cpu().numpy())
        if numbers.size and np.isfinite(numbers).all():
            ends = [f"{number:.3g}" for number in (numbers[0], numbers[-1])]
            told.append(f"{name} {' to '.join(dict.fromkeys(ends))}")
    return ", ".join(told)


def _kind(prior: Distribution) -> str:
    """The name of a distribution, of that inside where it is only wrapped."""
    inside = getattr(prior, "base_dist", None)
    wrapped = type(prior).__name__ in ("Independent", "MaskedDistribution", "ExpandedDistribution")
    return _kind(inside) if wrapped and inside is not None else type(prior).__name__


def _weights(part: object) -> int:
    """How many numbers of it are learned."""
    if not isinstance(part, nn.Module):
        return 0
    return sum(weight.numel() for weight in part.parameters() if weight.requires_grad)

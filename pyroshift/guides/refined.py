"""What a network says of a patch, put right by the patch itself.

A network that was trained on many patches is off by what it can't tell of this one, and doesn't
know how far. Fisher scoring of pose and latents together begins where it points, and ends at their
most probable values, as sure as the likelihood makes them: semi-amortised inference (Kim and
others, ICML 2018), by steps that need no learning rate.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.guides.candidates import pose_moments
from pyroshift.guides.latents import axes, scored
from pyroshift.guides.normal import NormalGuide
from pyroshift.guides.refinement import log_density
from pyroshift.guides.vector import Independent, pack, specified, unpack
from pyroshift.model.batch import Batch, as_batch
from pyroshift.model.families import LocatedFamily, NormalFamily
from pyroshift.model.guide import Pair
from pyroshift.model.shapes import PerPatch
from pyroshift.model.sites import CONTENT
from pyroshift.model.structured_families import FullNormal

_STEPS = 4  # by two, some patches that it wasn't trained on are still on their way
_REACH = 0.25  # of the prior's width: farther from where a network points, a step may find others


class RefinedGuide(NormalGuide):
    """The papers' guide while it learns; then each patch puts right what the network says of it.

    It trains as fast as `NormalGuide`. In all that follows, maps as well as bounds and draws, the
    network's posterior is where Fisher scoring of pose and latents begins, which ends at Laplace's
    approximation. Where the network finds the pose, that is several times nearer to the truth, the
    more so on patches that it wasn't trained on, with intervals that hold it. Mapping takes some
    ten to twenty times as long as by the network alone, half as long as by `AnchorGuide`, which
    finds poses where no network does.

    Raises:
        SpecificationError: (from the model) if the model has no pose, kinds of motif, several
            sites of latents, or posteriors that a location and a width don't tell.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> model = ShiftVAE((16, 16), guide="refined").eval()
        >>> type(model.guide_module.posterior(model, torch.rand(3, 16, 16))["z"]).__name__
        'FullNormal'
    """

    def setup(self, pair: Pair) -> None:
        """One linear head per site, where what they say can be refined."""
        _check_refinable(pair)
        super().setup(pair)

    def posterior(
        self, pair: Pair, x: Tensor | Batch, learn: bool = False
    ) -> dict[str, Distribution]:
        """The posterior of each site by name: the network's in training, else refined.

        Args:
            pair: the pair.
            x: data, and what else is known of them.
            learn: whether what sites learn from their posteriors may follow these.
        """
        found = super().posterior(pair, x, learn)
        return found if self.training else _refined(pair, as_batch(x), found)


def _check_refinable(pair: Pair) -> None:
    """Raise a SpecificationError where scoring can't begin at what a network says."""
    content = pair.contents[0] if len(pair.contents) == 1 else None
    if not pair.pose_sites or content is None:
        fault = "has no pose, or not one site of latents"
    elif pair.discrete:
        fault = f"tells kinds apart, by {[site.name for site in pair.discrete]}"
    elif content.tiled_by or not isinstance(content.family, NormalFamily):
        fault = "has latents of neighbours together, or whose posterior isn't Normal"
    elif odd := [s.name for s in pair.pose_sites if not isinstance(s.family, LocatedFamily)]:
        fault = f"has posteriors of {odd} that a location and a width don't tell"
    else:
        return
    raise SpecificationError(
        f"guide='refined' can't be the guide of this model, which {fault}: take guide='anchor', or "
        "'normal'"
    )


@torch.no_grad()
def _refined(
    pair: Pair, batch: Batch, posterior: Mapping[str, Distribution]
) -> dict[str, Distribution]:
    """Posteriors by name, from where a network says that sites are.

    A patch that is explained no better by it stays as the network has it.

    Args:
        pair: the pair.
        batch: data, and by how much they count.
        posterior: by the network, of each site by name.
    """
    network = {
        site.name: site.family.summary(posterior[site.name])
        for site in pair.sites
        if site.name in posterior
    }
    found = pair.covariates(batch.known, len(batch)) | pair.global_values()
    found |= {name: location for name, (location, _) in network.items()}
    prior = specified(pair, len(batch))
    start, reach = pack(pair, found), _REACH * prior.width
    content, pose = scored(pair, batch, posterior[CONTENT], found, start, prior, reach, _STEPS)
    z, spread = pair.contents[0].family.summary(content)
    at = {**found, **unpack(pair, pose), CONTENT: z}
    better = _worth(pair, batch, at, prior) >= _worth(pair, batch, found, prior)
    steps = axes(content, spread)
    moments = pose_moments(pair, batch, {**at, f"{CONTENT}_std": spread}, steps, prior)
    result = dict[str, Distribution]()
    for site in pair.pose_sites:
        own = moments[site.name], moments[f"{site.name}_std"]
        location, stddev = map(_choice(better), own, network[site.name])
        assert isinstance(site.family, LocatedFamily)
        result[site.name] = site.family.located(location, stddev, site.prior)
    before, stddev = network[CONTENT]
    factor = _choice(better)(steps.mT, torch.diag_embed(stddev))
    result[CONTENT] = FullNormal(_choice(better)(z, before), scale_tril=factor)
    return result


def _choice(which: PerPatch) -> Callable[[Tensor, Tensor], Tensor]:
    """What takes the first of two tensors for some patches, and the second for the others."""
    return lambda one, other: torch.where(which.reshape(-1, *[1] * (one.dim() - 1)), one, other)


def _worth(pair: Pair, batch: Batch, values: Mapping[str, Tensor], prior: Independent) -> PerPatch:
    """Log density of patches, pose and latents together, up to a constant; of no numbers, none."""
    own = pair.contents[0].prior_given(values).log_prob(values[CONTENT])
    total = own + log_density(pair, batch, pair.code(values), pack(pair, values), prior)
    return total.nan_to_num(-torch.inf, -torch.inf, -torch.inf)

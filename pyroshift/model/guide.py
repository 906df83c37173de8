"""What a guide is to a pair, and what a pair is to its guide: all that either sees of the other.

A guide is exchangeable: nothing else depends on how it finds the posterior of the sites. Pass an
object of your own as a model's `guide` argument.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.model.likelihood import Likelihood
from pyroshift.model.shapes import Windows
from pyroshift.model.sites import PoseSite, Site


@runtime_checkable
class Pair(Protocol):
    """What a guide sees of its pair; see `PoseVAE` for what each gives."""

    window: tuple[int, ...]
    grid: Tensor
    origin: Tensor
    given_sites: list[Site]
    sites: list[Site]
    likelihood: Likelihood
    encoder: nn.Module
    decoder: nn.Module

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""

    @property
    def pose_sites(self) -> list[PoseSite]:
        """The sites that act on coordinates, in the order in which they do."""

    def priors(self) -> dict[str, Distribution]:
        """The prior of each site as specified, by name."""

    def global_values(self) -> dict[str, Tensor]:
        """What all patches share, by name."""

    def latent_scale(
        self, kl_weight: float | Mapping[str, float], name: str
    ) -> AbstractContextManager[Any]:
        """The scale of one latent site, for the model and for the guide alike."""

    def over_window(self, batch: Sequence[int], carry: Callable[[Tensor], Tensor]) -> Tensor:
        """What a map made of the pose sites' transforms makes of all of the window's pixels."""

    def into_motif(self, coordinates: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Carry coordinates of the window into the motif's frame."""

    def out_of_motif(self, coordinates: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Carry coordinates about the motif's origin into the window."""

    def decoder_input(self, z: Tensor) -> Tensor:
        """Latents of all Content sites as the decoder takes them."""

    def decode(self, z: Tensor, coordinates: Tensor) -> Tensor:
        """The decoder's output at coordinates of the motif's frame."""

    def decoded(self, values: Mapping[str, Tensor]) -> Tensor:
        """The motif seen through its pose, before brightness."""

    def output(self, values: Mapping[str, Tensor]) -> Tensor:
        """The decoder's output, given a value of every site."""


class Guide(nn.Module, ABC):
    """How the posterior over a pair's sites is found.

    The pair is handed to every call rather than kept, so that no module holds another twice.
    """

    @abstractmethod
    def setup(self, pair: Pair) -> None:
        """Build what the guide needs for this pair; called once, by the pair's constructor."""

    def respecify(self, pair: Pair) -> None:
        """Take up that the period or the symmetry of a pair's sites was found.

        Args:
            pair: the pair.
        """

    def start(self, pair: Pair, x: Windows) -> None:
        """Prepare an untrained pair for some of its data; called once, before the first step.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`.
        """

    @abstractmethod
    def forward(self, pair: Pair, x: Windows, kl_weight: float | Mapping[str, float]) -> None:
        """Draw every site as a Pyro sample statement, inside the patches' plate.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`.
            kl_weight: weight of the sites' KL terms, as the pair's `latent_scale` takes it.
        """

    def posterior_of(self, pair: Pair, site: Site, seen: Windows) -> Distribution:
        """The posterior of a site, given windows as the encoder sees them.

        Priors that are made of posteriors, such as `VampPrior`, ask for it.

        Args:
            pair: the pair.
            site: one whose posterior the encoder's features set.
            seen: windows, standardized, and aligned if the guide aligns them.

        Raises:
            SpecificationError: if the guide has no such posterior.
        """
        raise SpecificationError(
            f"{type(self).__name__} gives no posterior of {site.name!r} by what its encoder sees: "
            "write its posterior_of(pair, site, seen), or take another prior"
        )

    @abstractmethod
    def summary(
        self, pair: Pair, x: Windows, drawn: Mapping[str, Distribution] | None = None
    ) -> dict[str, Tensor]:
        """Location and standard deviation of every site, the latter under the name `..._std`.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`.
            drawn: by name, what `forward` has drawn the sites of these data from, if it has: what
                that tells needn't be worked out again.

        Returns:
            Tensors `batch x event shape` by name.
        """

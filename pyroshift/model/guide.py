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
from pyroshift.model.batch import Batch
from pyroshift.model.classes import Discrete
from pyroshift.model.likelihood import Likelihood
from pyroshift.model.sites import Content, PoseSite, Site


@runtime_checkable
class Pair(Protocol):
    """What a guide sees of its pair; see `PoseVAE` for what each gives."""

    window: tuple[int, ...]
    condition: tuple[str, ...]
    grid: Tensor
    origin: Tensor
    class_origin: Tensor
    class_turn: Tensor
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

    @property
    def affine(self) -> bool:
        """Whether poses, whatever their values, carry coordinates by an affine map."""

    @property
    def contents(self) -> list[Content]:
        """The sites that the decoder gets, one after the other."""

    @property
    def discrete(self) -> list[Discrete]:
        """The sites that say of which kind a motif is: its class, and whether it is mirrored."""

    @property
    def kinds(self) -> int:
        """How many kinds of motif there are; 1 if nothing tells them apart."""

    def of_kind(self, kind: Tensor) -> dict[str, Tensor]:
        """The value of each discrete site by name, of kinds numbered from 0."""

    def kind_of(self, values: Mapping[str, Tensor]) -> Tensor:
        """The number of the kind of given values of the discrete sites, by name."""

    @property
    def classes(self) -> int:
        """How many classes of motif there are; 0 without a class site."""

    @property
    def told(self) -> int:
        """How many numbers the decoder is told beside the latents."""

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of what an encoder sees of a window."""

    def seen(self, x: Tensor) -> Tensor:
        """Windows as encoders see them, but for gaps."""

    def standardized(self, x: Tensor) -> Tensor:
        """Data of mean 0 and spread 1, and of each pixel what the likelihood sees it as."""

    def covariates(self, known: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        """The covariates' values among those of sites."""

    def needed(self, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What sites need of that which is known of each window, by name."""

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

    def code(self, values: Mapping[str, Tensor]) -> Tensor:
        """All that the decoder is told: latents, covariates, and the class as one of many."""

    def telling(self, values: Mapping[str, Tensor], z: Tensor) -> Tensor:
        """What the decoder is told beside the latents."""

    def decoder_input(self, code: Tensor) -> Tensor:
        """A code as the decoder takes it, its latents in the decoder's own frame."""

    def decode(self, code: Tensor, coordinates: Tensor) -> Tensor:
        """The decoder's output at coordinates of the motif's frame."""

    def output_and_slope(self, code: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """The decoder's output, and its derivative by the coordinates of the same pixel."""

    def changes(self, pairs: Sequence[tuple[Tensor, Tensor]], coordinates: Tensor) -> Tensor:
        """The decoder's output for some codes less that for others of the same kind."""

    def into_drawing(self, coordinates: Tensor, code: Tensor) -> Tensor:
        """Carry coordinates of the motif's frame into that in which the decoder draws its kind."""

    def out_of_drawing(self, points: Tensor, code: Tensor) -> Tensor:
        """Carry coordinates about a kind's origin, as it is drawn, into those about the motif's."""

    def decoded(self, values: Mapping[str, Tensor]) -> Tensor:
        """The motif seen through its pose, before brightness."""

    def output(self, values: Mapping[str, Tensor]) -> Tensor:
        """The decoder's output, given a value of every site."""


class Guide(nn.Module, ABC):
    """How the posterior over a pair's sites is found.

    The pair is handed to every call rather than kept, so that no module holds another twice. A
    guide that reads z off windows brought into the motif's frame, where they tell nothing of the
    pose, says so by `aligns = True`.
    """

    aligns = False

    @abstractmethod
    def setup(self, pair: Pair) -> None:
        """Build what the guide needs for this pair; called once, by the pair's constructor."""

    def respecify(self, pair: Pair) -> None:
        """Take up that the period or the symmetry of a pair's sites was found.

        Args:
            pair: the pair.
        """

    def start(self, pair: Pair, x: Tensor | Batch) -> None:
        """Prepare an untrained pair for some of its data; called once, before the first step.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`, with channels after the batch's
                axis; a `Batch` where more is known of them, as of labels (`as_batch` makes it one).
        """

    def revise(self, pair: Pair, x: Tensor | Batch) -> None:
        """Move classes that training leaves where they are; called between some epochs.

        Args:
            pair: the pair, in training.
            x: some of its data, as `start` takes them.
        """

    def settle(self, pair: Pair) -> None:
        """Bring what is a matter of convention into one form; called after each training.

        Args:
            pair: the pair, trained.
        """

    @abstractmethod
    def forward(
        self, pair: Pair, x: Tensor | Batch, kl_weight: float | Mapping[str, float]
    ) -> None:
        """Draw every site as a Pyro sample statement, inside the patches' plate.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`, with channels after the batch's
                axis; a `Batch` where more is known of them, as of labels (`as_batch` makes it one).
            kl_weight: weight of the sites' KL terms, as the pair's `latent_scale` takes it.
        """

    def posterior_of(self, pair: Pair, site: Site, seen: Tensor) -> Distribution:
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
        self, pair: Pair, x: Tensor | Batch, drawn: Mapping[str, Distribution] | None = None
    ) -> dict[str, Tensor]:
        """Location and standard deviation of every site, the latter under the name `..._std`.

        Args:
            pair: the pair.
            x: data, `batch x height x width` or `batch x length`, with channels after the batch's
                axis; a `Batch` where more is known of them, as of labels (`as_batch` makes it one).
            drawn: by name, what `forward` has drawn the sites of these data from, if it has: what
                that tells needn't be worked out again.

        Returns:
            Tensors `batch x event shape` by name.
        """

"""The base of latent sample sites: a name, a prior, a guide family."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyro
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.model.distributions import map_tensors, moments, with_event_shape
from pyroshift.model.families import GuideFamily, family_for
from pyroshift.model.priors import LearnedPrior, Snapshot, learns, started

Prior = Distribution | nn.Module
"""A distribution, or a module whose call gives one: its parameters learn with the rest."""


class Site(nn.Module):
    """One named latent variable of a patch.

    Args:
        name: name of the Pyro sample site.
        prior: Pyro distribution of one value; or a module whose call gives one, at every step anew.
            What is an `nn.Parameter` in either of them is trained and saved with the model.
        event_shape: shape of one value; the prior is expanded to it.
        family: guide family of the posterior; by default the one that fits the prior's support.
        circular: whether values are angles.

    Raises:
        SpecificationError: if the prior can't have that event shape, or can't be learned.

    Example:
        >>> import pyro.distributions as dist
        >>> import torch
        >>> width = nn.Parameter(torch.tensor(0.5))
        >>> site = Site("strain", dist.Normal(0.0, width), ())
        >>> [name for name, _ in site.named_parameters()]
        ['given_prior.free.scale']
    """

    given_prior: Prior
    # What of that which is known of each window, such as its place, `prior_given` gets with the
    # values: names that must be known, and names that count if they are.
    needs: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()
    # Names of coordinates: training is then on tiles of windows that are neighbours by them, and of
    # which others, if they are known, are alike.
    tiled_by: tuple[str, ...] = ()
    tiled_apart: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        prior: Prior,
        event_shape: Sequence[int],
        family: GuideFamily | None = None,
        circular: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.circular = name, circular
        if isinstance(prior, Distribution) and learns(prior):
            prior = LearnedPrior(prior)
        made = started(prior) if isinstance(prior, nn.Module) else prior
        made = with_event_shape(made, tuple(event_shape), name)  # files have lists
        self.given_prior = prior if isinstance(prior, nn.Module) else made
        self._start = Snapshot(made) if isinstance(prior, nn.Module) else None
        self.family = family if family is not None else family_for(made, circular)

    @property
    def prior(self) -> Distribution:
        """The prior as it is now, but for what `prior_given` makes of it."""
        if isinstance(self.given_prior, Distribution):
            return self.given_prior
        return with_event_shape(self.given_prior(), self.event_shape, self.name)

    @property
    def reference(self) -> Distribution:
        """The prior as it was when the site was made, which sets the units of guides."""
        return self.prior if self._start is None else self._start()

    @property
    def asks(self) -> tuple[str, ...]:
        """All that counts of that which is known of each window, by name."""
        return (*self.needs, *self.wants)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one value."""
        return tuple(self.reference.event_shape)

    def prior_given(self, values: Mapping[str, Tensor]) -> Distribution:
        """The prior, given the values of the sites drawn before this one, by name.

        Global sites, of `draw_global`, are drawn first. Guides start at the `prior` that the site
        was made with, so give it one like what this computes.
        """
        return self.prior

    def draw_global(self) -> Mapping[str, Tensor]:
        """Sample what all patches share, such as a hyper-prior, outside the patches' plate.

        Override it by Pyro sample statements, and `guide_global` by their posteriors; the values
        are then among those that `prior_given` gets.

        Returns:
            The values by the names of their Pyro sites: none, unless overridden.
        """
        return {}

    def guide_global(self) -> None:
        """Sample the posterior of each site of `draw_global`, by the same names."""

    def know(self, known: Mapping[str, Tensor]) -> None:
        """Take from what is known of the windows what the prior starts with; called once.

        Args:
            known: of all windows to train on, by name, `window`.
        """

    def draw(self, values: Mapping[str, Tensor]) -> Tensor:
        """Sample one value per patch from the prior, as a Pyro site inside the patches' plate."""
        return pyro.sample(self.name, self.prior_given(values))  # type: ignore[arg-type]

    def posterior(self, raw: Tensor, learn: bool = False) -> Distribution:
        """The guide's distribution of the values.

        Args:
            raw: `batch x size`, as the site's family takes them.
            learn: whether what a site learns from its posteriors may follow these.
        """
        return self.family.distribution(raw, self.reference)

    def posterior_given(
        self, raw: Tensor, known: Mapping[str, Tensor], learn: bool = False
    ) -> Distribution:
        """The guide's distribution of the values, where more is known of their windows.

        Args:
            raw: `batch x size`, as the site's family takes them.
            known: what the site needs and wants of it, by name, `batch`.
            learn: whether what a site learns from its posteriors may follow these.
        """
        return self.posterior(raw, learn)

    def reduce(self, value: Tensor) -> Tensor:
        """The value by which to call one of several that are alike: itself, unless overridden."""
        return value

    def _apply(self, fn: Callable, recurse: bool = True) -> "Site":
        super()._apply(fn, recurse)
        if isinstance(self.given_prior, Distribution):
            self.given_prior = map_tensors(self.given_prior, fn)
        return self

    def extra_repr(self) -> str:
        """The prior and the guide family."""
        fixed = isinstance(self.given_prior, Distribution)
        return f"{f'prior={self.given_prior}, ' if fixed else ''}family={self.family}"


class PoseSite(Site):
    """A site that acts on coordinates: where, or how turned, the motif is.

    A subclass whose `transform` is affine in the coordinates may say so by `affine = True`, which
    saves most of its arithmetic; and one that moves all coordinates by as much, whatever they are,
    by `shifts = True`.
    """

    affine = False
    shifts = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for known in ("affine", "shifts"):
            if "transform" in vars(cls) and known not in vars(cls):
                setattr(cls, known, False)  # a parent's transform says nothing of this one

    @abstractmethod
    def transform(self, coordinates: Tensor, value: Tensor) -> Tensor:
        """Carry coordinates into the motif's frame.

        Args:
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
            value: the site's value, `batch x event shape`.
        """

    def inverse(self, value: Tensor) -> Tensor:
        """The value whose transform undoes that of `value`: its negative, unless overridden."""
        return -value

    def is_reduced(self, value: Tensor) -> Tensor:
        """Whether values are those that their poses are called by, `batch`."""
        same = (self.reduce(value) - value).abs() < 1e-4
        return same.flatten(1).all(1) if self.event_shape else same

    @abstractmethod
    def reach(self, radius: float) -> float:
        """How far from the motif's origin a window of the given radius can look, half-windows."""

    def _width(self) -> float:
        """The prior's standard deviation, the largest of its elements; 1 if it has none."""
        try:
            prior = self.prior_given({})
        except KeyError:  # it depends on other sites
            prior = self.reference
        width = float(moments(prior)[1].detach().max())
        return width if 0 < width < float("inf") else 1.0

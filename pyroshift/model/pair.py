"""The model/guide pair: a list of sites, an encoder, a decoder and a likelihood."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn

from pyroshift import names
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.batch import Batch, as_batch
from pyroshift.model.brightness import check_brightness
from pyroshift.model.channels import ByChannel, by_channel
from pyroshift.model.decoders import DECODERS
from pyroshift.model.encoders import ENCODERS
from pyroshift.model.generator import Generator
from pyroshift.model.guide import Guide
from pyroshift.model.likelihoods import LIKELIHOODS, Likelihood
from pyroshift.model.parts import (
    as_window,
    check_sites,
    component,
    latent_scale,
    margin,
    paired_priors,
    patches_plate,
    seed_all,
)
from pyroshift.model.pose import pixel_grid
from pyroshift.model.sites import Site
from pyroshift.model.story import as_html

# By where they are: guides know what a pair is, and a pair none of them until it is asked for one.
GUIDES = names.by_name(
    names.GUIDES,
    "pyroshift.guides.normal:NormalGuide",
    "pyroshift.guides.anchor:AnchorGuide",
    "pyroshift.guides.refined:RefinedGuide",
)

# Pyro's parameter store knows modules by name, and a second model of the same name would be given
# the first one's weights. Weak keys, so that a copied model gets a name of its own.
_names: "WeakKeyDictionary[nn.Module, str]" = WeakKeyDictionary()
_serial = itertools.count()


class PoseVAE(Generator):
    """A variational autoencoder over a list of latent sites, as a Pyro model/guide pair.

    Generative story, for each patch:

        every site ~ its prior                 (class, offset, angle, scale, z: what is listed)
        coordinates = pixel grid, carried through each pose site in turn
        x ~ likelihood(decoder(z, class and covariates; coordinates))

    `model` and `guide` are ordinary Pyro callables: they work with `SVI`, `Predictive`,
    `poutine.trace`, `render_model` and MCMC. Posterior predictive data are those of
    `Predictive(pair.model, guide=pair.guide, num_samples=100)(x, observe=False)["x"]`; how many
    patches there are, of which `x` is a batch, is told by `total`. With `guide="normal"` any guide
    of Pyro's own does as well, on all of the data at once and with nothing amortised:
    `SVI(pair.model, AutoNormal(pair.model), ...).step(x)`.

    Args:
        window: height and width of the windows in pixels, or the one length of signals; a single
            integer means a square window.
        sites: the latent sites, pose sites in the order in which they act.
        likelihood: a name ("gaussian", "bernoulli", "continuous_bernoulli", "poisson") or a module;
            for windows with channels one for all of them, or one for each by its name.
        encoder: a name ("fully_connected", "convolutional") or a module that returns
            `batch x features`.
        decoder: a name ("canvas", "spatial") or a module called with (z, coordinates).
        guide: a name ("normal", "anchor") or a `Guide`.
        channels: names of the windows' channels, or their number; None for windows without a
            channel axis, unless likelihoods are given by channel.
        condition: names of covariates, of which the decoder and the guide are told the values that
            `Patches.assign` gave: dose, temperature, frame.
        seed: seed of the initial weights; the process's random state stays as it is.

    Raises:
        SpecificationError: if a name is unknown or the parts don't fit.

    Example:
        >>> from pyroshift.model.sites import Content, Offset
        >>> pair = PoseVAE((16, 16), [Offset(), Content(latent_dim=1)])
        >>> [site.name for site in pair.sites]
        ['offset', 'z']
    """

    trained_on: dict[str, list[Any]] | None = None  # `Patches.pixels`, as it was
    kept: tuple[str, ...] = ()  # names of attributes of plain values that files keep as well

    def __init__(
        self,
        window: int | Sequence[int],
        sites: Sequence[Site],
        *,
        likelihood: str | Likelihood | Mapping[str, str | Likelihood] = "gaussian",
        encoder: str | nn.Module = "fully_connected",
        decoder: str | nn.Module = "canvas",
        guide: str | Guide = "normal",
        channels: int | Sequence[str] | None = None,
        condition: str | Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.window = as_window(window)
        check_sites(sites, self.window)
        self.condition = (condition,) if isinstance(condition, str) else tuple(condition)
        self.given_sites = list(sites)  # as specified; a guide may bin those in `sites`
        self.sites = self.given_sites
        self.register_buffer("grid", pixel_grid(self.window), persistent=False)
        # Where in the decoder's frame the motif's own origin lies: a convention, which a guide may
        # set so that motifs are centred.
        self.register_buffer("origin", torch.zeros(len(self.window)))
        # Kept in files of models that have them: other files are as they always were.
        kinds, covariates = self.classes, len(self.condition)
        axes = len(self.window)
        for name, start, kept in (
            ("class_origin", torch.zeros(kinds, axes), kinds),
            ("class_turn", torch.zeros(kinds), kinds),
            ("covariate_location", torch.zeros(covariates), covariates),
            ("covariate_spread", torch.ones(covariates), covariates),
        ):
            self.register_buffer(name, start, persistent=kept > 0)
        with torch.random.fork_rng(devices=[]):
            seed_all(seed)
            self.likelihood = by_channel(
                likelihood,
                channels,
                lambda one: component("likelihood", one, LIKELIHOODS),
                self.window,
            )
            named = self.likelihood.channels if isinstance(self.likelihood, ByChannel) else ()
            self.channels = tuple(named)
            seen = self.likelihood.statistics
            self.encoder = component(
                "encoder", encoder, ENCODERS, self.window, window_channels=seen
            )
            options = {}
            if decoder == "canvas":
                options = {"margin": margin(sites, self.window), "classes": self.classes}
            self.decoder = component(
                "decoder",
                decoder,
                DECODERS,
                self.window,
                self.latent_dim + self.told,
                maps=self.likelihood.maps,
                **options,
            )
            check_brightness(self.likelihood, sites)
            self.guide_module: Guide = component("guide", guide, GUIDES)
            if not isinstance(self.guide_module, Guide):
                raise SpecificationError(
                    f"guide must be one of {sorted(GUIDES)} or a pyroshift.Guide, got {guide!r}"
                )
            if self.pose_sites and not self.guide_module.aligns:
                for site in self.contents:
                    site.keep_frame()
            self.guide_module.setup(self)
            for prior, site in paired_priors(self.given_sites):
                prior.bind(self, site)

    def model(
        self,
        x: Tensor | Batch | None = None,
        *,
        kl_weight: float | Mapping[str, float] = 1.0,
        n: int = 1,
        total: int | None = None,
        observe: bool = True,
    ) -> Tensor:
        """The generative model, as a Pyro callable.

        Posterior predictive samples are what it gives with `observe=False`, after the guide has
        seen the data: Pyro hands both the same arguments.

        Args:
            x: data, `batch x height x width` or `batch x length`, with channels after the batch's
                axis; or a `Batch` of them and of what else is known. None to sample them.
            kl_weight: weight of the latent sites, one for all or one per site name. Give the
                guide the same.
            n: number of patches to sample where `x` is None.
            total: number of patches that there are, of which `x` is a batch: their plate's size.
            observe: whether `x` is observed; if not, as many patches are sampled.

        Returns:
            The data, observed or sampled.

        Example:
            >>> from pyro.infer import Predictive
            >>> from pyroshift import ShiftVAE
            >>> pair, x = ShiftVAE((16, 16)), torch.rand(5, 16, 16)
            >>> predictive = Predictive(pair.model, guide=pair.guide, num_samples=3)
            >>> predictive(x, observe=False)["x"].shape
            torch.Size([3, 5, 16, 16])
        """
        self._register()
        return self.sample_model(x, kl_weight, n, total, observe)

    def guide(
        self,
        x: Tensor | Batch | None = None,
        *,
        kl_weight: float | Mapping[str, float] = 1.0,
        n: int = 1,
        total: int | None = None,
        observe: bool = True,
    ) -> None:
        """The variational posterior of the latent sites given `x`, as a Pyro callable.

        Args:
            x: data, as the model takes them.
            kl_weight: weight of the latent sites, as given to the model.
            n: ignored; the model's signature.
            total: number of patches that there are, as given to the model.
            observe: ignored; the model's signature.

        Raises:
            DataError: if there are no data.
        """
        if x is None:
            raise DataError("the guide is a posterior given data: call it with the patches")
        self._register()
        self.sample_guide(x, kl_weight, total)

    def sample_model(
        self,
        x: Tensor | Batch | None = None,
        kl_weight: float | Mapping[str, float] = 1.0,
        n: int = 1,
        total: int | None = None,
        observe: bool = True,
    ) -> Tensor:
        """As `model`, but without entering the weights into Pyro's global parameter store."""
        values: dict[str, Tensor] = {}
        batch = None if x is None else as_batch(x)
        count = n if batch is None else self._count(batch.x)
        for part in self.shared:
            values.update(part.draw_global())
        if batch is not None:
            values.update(self.covariates(batch.known, count) | self.needed(batch.known))
        with patches_plate(count, total):
            return self.sample_patches(self.sites, values, batch if observe else None, kl_weight)

    def sample_patches(
        self,
        sites: Sequence[Site],
        values: dict[str, Tensor],
        observed: Batch | None,
        kl_weight: float | Mapping[str, float] = 1.0,
    ) -> Tensor:
        """The model's sites of patches and their data, inside the plate.

        Args:
            sites: those that are drawn, each given those before it.
            values: what is known before, by name; those of the sites are added.
            observed: data; None to draw them.
            kl_weight: weight of the sites' KL terms.
        """
        for site in sites:
            with self.latent_scale(kl_weight, site.name):
                values[site.name] = site.draw(values)
        output, axes = self.output(values), len(self.shape)
        if observed is None:
            return self.likelihood(output, event_dim=axes)
        with poutine.scale(scale=observed.power):
            return self.likelihood(output, observed.x, event_dim=axes)

    def sample_guide(
        self,
        x: Tensor | Batch,
        kl_weight: float | Mapping[str, float] = 1.0,
        total: int | None = None,
    ) -> None:
        """As `guide`, but without entering the weights into Pyro's global parameter store."""
        for part in self.shared:
            part.guide_global()
        with patches_plate(self._count(as_batch(x).x), total):
            self.guide_module(self, x, kl_weight)

    latent_scale = staticmethod(latent_scale)

    def _repr_html_(self) -> str:
        return as_html(self, self.guide_module, self.encoder)

    def _count(self, x: Tensor) -> int:
        if x.shape[1:] != self.shape:
            channels = f" with the channels {list(self.channels)}" if self.channels else ""
            raise DataError(
                f"the model is for windows of {self.window}{channels}, but the data have shape "
                f"{tuple(x.shape)}: expected batch x {' x '.join(map(str, self.shape))}"
            )
        return x.shape[0]

    def _register(self) -> None:
        if self not in _names:
            _names[self] = f"{type(self).__name__}_{next(_serial)}"
        pyro.module(_names[self], self)

"""The model/guide pair: a list of sites, an encoder, a decoder and a likelihood."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import pyro
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift import names
from pyroshift.errors import DataError, SpecificationError
from pyroshift.model import parts
from pyroshift.model.brightness import brightened
from pyroshift.model.decoders import DECODERS
from pyroshift.model.encoders import ENCODERS
from pyroshift.model.families import middle_of
from pyroshift.model.guide import Guide
from pyroshift.model.likelihoods import LIKELIHOODS, Likelihood
from pyroshift.model.parts import (
    as_window,
    check_sites,
    component,
    latent_scale,
    margin,
    patches_plate,
)
from pyroshift.model.pose import affine_grid, pixel_grid
from pyroshift.model.sites import Content, PoseSite, Site

# By where they are: guides know what a pair is, and a pair none of them until it is asked for one.
GUIDES = names.by_name(
    names.GUIDES, "pyroshift.guides.normal:NormalGuide", "pyroshift.guides.anchor:AnchorGuide"
)

# Pyro's parameter store knows modules by name, and a second model of the same name would be given
# the first one's weights. Weak keys, so that a copied model gets a name of its own.
_names: "WeakKeyDictionary[nn.Module, str]" = WeakKeyDictionary()
_serial = itertools.count()


class PoseVAE(nn.Module):
    """A variational autoencoder over a list of latent sites, as a Pyro model/guide pair.

    Generative story, for each patch:

        every site ~ its prior                        (offset, angle, scale, z: what is listed)
        coordinates = pixel grid, carried through each pose site in turn
        x ~ likelihood(decoder(z, coordinates))

    `model` and `guide` are ordinary Pyro callables: they work with `SVI`, `Predictive`,
    `poutine.trace`, `render_model` and MCMC. Posterior predictive data are those of
    `Predictive(pair.model, guide=pair.guide, num_samples=100)(x, observe=False)["x"]`; how many
    patches there are, of which `x` is a batch, is told by `total`.

    Args:
        window: height and width of the windows in pixels, or the one length of signals; a single
            integer means a square window.
        sites: the latent sites, pose sites in the order in which they act.
        likelihood: a name ("gaussian", "bernoulli", "continuous_bernoulli", "poisson") or a module.
        encoder: a name ("fully_connected", "convolutional") or a module that returns
            `batch x features`.
        decoder: a name ("canvas", "spatial") or a module called with (z, coordinates).
        guide: a name ("normal", "anchor") or a `Guide`.
        seed: seed of the initial weights; the process's random state stays as it is.

    Raises:
        SpecificationError: if a name is unknown or the parts don't fit.

    Example:
        >>> from pyroshift.model.sites import Content, Offset
        >>> pair = PoseVAE((16, 16), [Offset(), Content(latent_dim=1)])
        >>> [site.name for site in pair.sites]
        ['offset', 'z']
    """

    grid: Tensor
    origin: Tensor
    trained_on: dict[str, list[Any]] | None = None  # `Patches.pixels`, as it was

    def __init__(
        self,
        window: int | Sequence[int],
        sites: Sequence[Site],
        *,
        likelihood: str | Likelihood = "gaussian",
        encoder: str | nn.Module = "fully_connected",
        decoder: str | nn.Module = "canvas",
        guide: str | Guide = "normal",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.window = as_window(window)
        check_sites(sites, self.window)
        self.given_sites = list(sites)  # as specified; a guide may bin those in `sites`
        self.sites = self.given_sites
        self.register_buffer("grid", pixel_grid(self.window), persistent=False)
        # Where in the decoder's frame the motif's own origin lies: a convention, which a guide may
        # set so that motifs are centred.
        self.register_buffer("origin", torch.zeros(len(self.window)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.likelihood = component("likelihood", likelihood, LIKELIHOODS)
            self.encoder = component("encoder", encoder, ENCODERS, self.window)
            options = {"margin": margin(sites, self.window)} if decoder == "canvas" else {}
            self.decoder = component(
                "decoder", decoder, DECODERS, self.window, self.latent_dim, **options
            )
            self.guide_module: Guide = component("guide", guide, GUIDES)
            if not isinstance(self.guide_module, Guide):
                raise SpecificationError(
                    f"guide must be one of {sorted(GUIDES)} or a pyroshift.Guide, got {guide!r}"
                )
            self.guide_module.setup(self)
            for prior, site in parts.paired_priors(self.given_sites):
                prior.bind(self, site)

    @property
    def sites(self) -> list[Site]:
        """The latent sites, pose sites in the order in which they act."""
        return list(self.site_modules)  # type: ignore[arg-type]

    @sites.setter
    def sites(self, sites: Sequence[Site]) -> None:
        self.site_modules = nn.ModuleList(sites)

    @property
    def latent_dim(self) -> int:
        """Number of conventional latents z."""
        return sum(site.event_shape[0] for site in self.contents)

    @property
    def contents(self) -> list[Content]:
        """The sites that the decoder gets, one after the other: `z`, in most models alone."""
        return [site for site in self.sites if isinstance(site, Content)]

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.grid.device

    def model(
        self,
        x: Tensor | None = None,
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
            x: data, `batch x height x width` or `batch x length`; None to sample them.
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
        x: Tensor | None = None,
        *,
        kl_weight: float | Mapping[str, float] = 1.0,
        n: int = 1,
        total: int | None = None,
        observe: bool = True,
    ) -> None:
        """The variational posterior of the latent sites given `x`, as a Pyro callable.

        Args:
            x: data, `batch x height x width` or `batch x length`.
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
        x: Tensor | None = None,
        kl_weight: float | Mapping[str, float] = 1.0,
        n: int = 1,
        total: int | None = None,
        observe: bool = True,
    ) -> Tensor:
        """As `model`, but without entering the weights into Pyro's global parameter store."""
        values: dict[str, Tensor] = {}
        for site in self.given_sites:
            values.update(site.draw_global())
        with patches_plate(n if x is None else self._count(x), total):
            for site in self.sites:
                with self.latent_scale(kl_weight, site.name):
                    values[site.name] = site.draw(values)
            observed = x if observe else None
            return self.likelihood(self.output(values), observed, event_dim=len(self.window))

    @torch.no_grad()
    def priors(self) -> dict[str, Distribution]:
        """The prior of each site as specified, by name, as it is now.

        Where a prior depends on sites drawn before, it is the one at the middle of theirs, and its
        batch has one element.
        """
        values = self.global_values()
        priors: dict[str, Distribution] = {}
        depending = any(type(site).prior_given is not Site.prior_given for site in self.given_sites)
        for site in self.given_sites:
            priors[site.name] = site.prior_given(values)
            if depending:
                middle = middle_of(priors[site.name]).to(self.grid)
                values[site.name] = middle.reshape(1, *site.event_shape)
        return priors

    @torch.no_grad()
    def global_values(self) -> dict[str, Tensor]:
        """What all patches share, by name: the middle of each global posterior."""
        return parts.global_values(self.given_sites)

    def sample_guide(
        self,
        x: Tensor,
        kl_weight: float | Mapping[str, float] = 1.0,
        total: int | None = None,
    ) -> None:
        """As `guide`, but without entering the weights into Pyro's global parameter store."""
        for site in self.given_sites:
            site.guide_global()
        with patches_plate(self._count(x), total):
            self.guide_module(self, x, kl_weight)

    def output(self, values: Mapping[str, Tensor]) -> Tensor:
        """The decoder's output, given a value of every site.

        Args:
            values: by site name, `batch x event shape`.

        Returns:
            `batch x height x width` or `batch x length`, the likelihood's parameter.
        """
        return brightened(self.decoded(values), values)

    def decoded(self, values: Mapping[str, Tensor]) -> Tensor:
        """The motif seen through its pose, before brightness if that has a site.

        Args:
            values: of all other sites by name, `batch x event shape`.
        """
        z = torch.cat([values[site.name] for site in self.contents], -1)
        pixels = self.over_window(z.shape[:-1], lambda points: self.into_motif(points, values))
        return self.decode(z, pixels)

    def decode(self, z: Tensor, coordinates: Tensor) -> Tensor:
        """The decoder's output at coordinates of the motif's frame.

        Args:
            z: latents of all Content sites, `batch x latent`.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
        """
        return self.decoder(self.decoder_input(z), coordinates)

    def decoder_input(self, z: Tensor) -> Tensor:
        """Latents of all Content sites as the decoder takes them, `batch x latent`."""
        parts = z.split([site.latent_dim for site in self.contents], -1)
        inputs = [site.decoded(part) for site, part in zip(self.contents, parts, strict=True)]
        return torch.cat(inputs, -1)

    @property
    def pose_sites(self) -> list[PoseSite]:
        """The sites that act on coordinates, in the order in which they do."""
        return [site for site in self.sites if isinstance(site, PoseSite)]

    def over_window(self, batch: Sequence[int], carry: Callable[[Tensor], Tensor]) -> Tensor:
        """What a map made of the pose sites' transforms makes of all of the window's pixels.

        Args:
            batch: the batch's shape.
            carry: the map, of coordinates `batch x height x width x 2` or `batch x length x 1`.
        """

        def carried(points: Tensor) -> Tensor:
            return carry(points.expand(*batch, *points.shape))

        affine = len(self.window) == 2 and all(site.affine for site in self.pose_sites)
        return affine_grid(carried, self.grid) if affine else carried(self.grid)

    def into_motif(self, coordinates: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Carry coordinates of the window into the motif's frame.

        Args:
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
            values: of the pose sites, by name.
        """
        for site in self.pose_sites:
            coordinates = site.transform(coordinates, values[site.name])
        return coordinates + self.origin

    def out_of_motif(self, coordinates: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Carry coordinates about the motif's origin into the window.

        Args:
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
            values: of the pose sites, by name.
        """
        for site in reversed(self.pose_sites):
            coordinates = site.transform(coordinates, site.inverse(values[site.name]))
        return coordinates

    latent_scale = staticmethod(latent_scale)

    def _count(self, x: Tensor) -> int:
        if x.shape[1:] != self.window:
            raise DataError(
                f"the model is for windows of {self.window}, but the data have shape "
                f"{tuple(x.shape)}: expected batch x {' x '.join(map(str, self.window))}"
            )
        return x.shape[0]

    def _register(self) -> None:
        if self not in _names:
            _names[self] = f"{type(self).__name__}_{next(_serial)}"
        pyro.module(_names[self], self)

"""The generative half of a pair: sites, poses, a decoder and a likelihood, and what they make.

Everything here says what a window looks like, given its latents; how these are found, guides know.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.errors import DataError
from pyroshift.model import parts
from pyroshift.model.bayesian import BayesianDecoder
from pyroshift.model.brightness import brightened, without_brightness
from pyroshift.model.classes import CLASS, FLIP, one_hot
from pyroshift.model.families import middle_of
from pyroshift.model.likelihood import Likelihood
from pyroshift.model.sited import Sited
from pyroshift.model.sites import Site

COVARIATES = "covariates"  # the name under which their values go along with those of sites


class Generator(Sited):
    """What makes windows of latents; `PoseVAE` builds it, and adds an encoder and a guide."""

    channels: tuple[str, ...]
    condition: tuple[str, ...]
    given_sites: list[Site]
    likelihood: Likelihood
    decoder: nn.Module
    covariate_location: Tensor
    covariate_spread: Tensor

    @property
    def shared(self) -> list[Site | BayesianDecoder]:
        """What may have sites that all patches share, outside their plate."""
        uncertain = [self.decoder] if isinstance(self.decoder, BayesianDecoder) else []
        return [*self.given_sites, *uncertain]

    @property
    def told(self) -> int:
        """How many numbers the decoder is told beside the latents: a class's, and covariates."""
        return self.classes + len(self.condition)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a window's data: its channels first, if it has any."""
        return (len(self.channels), *self.window) if self.channels else self.window

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of what an encoder sees of a window."""
        statistics = self.likelihood.statistics
        return self.window if statistics is None else (statistics, *self.window)

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
        code = self.code(values)
        pixels = self.over_window(code.shape[:-1], lambda points: self.into_motif(points, values))
        return self.decode(code, pixels, values)

    def code(self, values: Mapping[str, Tensor]) -> Tensor:
        """All that a motif is drawn by: latents, covariates, its class as one of many, its flip.

        Args:
            values: of sites by name, and of covariates, which are standardized and 0 by default.

        Returns:
            `batch x code`: the latents, the covariates, a number for each class, and where there
            are flips 1 for a mirrored motif.
        """
        z = torch.cat([values[site.name] for site in self.contents], -1)
        told = [self.telling(values, z)] if self.told else []
        flip = [values[FLIP].to(z).expand(z.shape[:-1]).unsqueeze(-1)] if self.flips else []
        return torch.cat([z, *told, *flip], -1) if told or flip else z

    def telling(self, values: Mapping[str, Tensor], z: Tensor) -> Tensor:
        """What the decoder is told beside the latents, `batch x told`.

        Args:
            values: of the class and of covariates, if there are any.
            z: latents, of whose batch this is to be.
        """
        told = [values.get(COVARIATES, z.new_zeros(len(self.condition)))]
        if self.classes:
            told.append(one_hot(values[CLASS], self.classes).to(z))
        return torch.cat([each.expand(*z.shape[:-1], -1) for each in told], -1)

    def decode(
        self, code: Tensor, coordinates: Tensor, values: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """The decoder's output at coordinates of the motif's frame.

        Args:
            code: all that the motif is drawn by, `batch x code`.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.
            values: by name, among which are weights that were drawn, if the decoder's are uncertain
                and not to be the middle ones.
        """
        inputs, drawing = self.decoder_input(code), self.into_drawing(coordinates, code)
        if values is not None and isinstance(self.decoder, BayesianDecoder):
            return self.decoder.given(values, inputs, drawing)
        return self.decoder(inputs, drawing)

    def decoder_input(self, code: Tensor) -> Tensor:
        """A code as the decoder takes it: its latents in the decoder's own frame, and no flip."""
        sizes = [site.latent_dim for site in self.contents]
        *latents, told = code.split([*sizes, code.shape[-1] - sum(sizes)], -1)
        inputs = [site.decoded(part) for site, part in zip(self.contents, latents, strict=True)]
        return torch.cat([*inputs, told[..., : self.told]], -1)

    def output_and_slope(self, code: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """The decoder's output, and its derivative by the coordinates of the same pixel.

        Args:
            code: `batch x code`.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.

        Returns:
            The output, and its slope by each coordinate along a last axis.
        """
        inputs, drawing = self.decoder_input(code), self.into_drawing(coordinates, code)
        both = getattr(self.decoder, "output_and_slope", self._slope_by_autograd)
        output, slope = both(inputs, drawing)
        if self.kinds > 1:  # from the drawing's axes back into the motif's
            points = slope.flatten(1, -2).unflatten(1, (-1, *(1,) * (len(self.window) - 1)))
            slope = self.out_of_drawing(points, code).reshape(slope.shape)
        return output, slope

    def changes(self, pairs: Sequence[tuple[Tensor, Tensor]], coordinates: Tensor) -> Tensor:
        """The decoder's output for some codes less that for others of the same kind.

        Args:
            pairs: of codes, `batch x code` each.
            coordinates: `batch x height x width x 2` or `batch x length x 1`, half-windows.

        Returns:
            `batch x pair x shape`.
        """
        drawing = self.into_drawing(coordinates, pairs[0][0])
        inputs = [tuple(map(self.decoder_input, each)) for each in pairs]
        if (changes := getattr(self.decoder, "changes", None)) is not None:
            return changes(inputs, drawing)
        decoded = [[self.decoder(one, drawing) for one in each] for each in inputs]
        return torch.stack([one - other for one, other in decoded], 1)

    def _slope_by_autograd(self, inputs: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """What `output_and_slope` gives, of any decoder."""
        with torch.enable_grad():
            coordinates = coordinates.detach().requires_grad_()
            seen = self.decoder(inputs.detach(), coordinates)
            # One backward pass gives all pixels, since one depends on its own coordinates alone.
            maps = [seen] if self.likelihood.maps is None else seen.unbind(-1)
            slopes = [
                torch.autograd.grad(each.sum(), coordinates, retain_graph=True)[0] for each in maps
            ]
        slope = slopes[0] if self.likelihood.maps is None else torch.stack(slopes, -2)
        return seen.detach(), slope

    def seen(self, x: Tensor) -> Tensor:
        """Windows as encoders see them, but for gaps: standardized, in any brightness alike.

        Args:
            x: data, `batch x shape`.

        Returns:
            `batch x seen_shape`, not a number where a pixel wasn't taken.
        """
        return without_brightness(self.sites, self.standardized(x))

    def standardized(self, x: Tensor) -> Tensor:
        """Data of mean 0 and spread 1, and of each pixel what the likelihood sees it as.

        Args:
            x: data, `batch x shape`.

        Returns:
            `batch x seen_shape`, not a number where a pixel wasn't taken.
        """
        values = self.likelihood.standardize(x)
        if self.likelihood.statistics is None:
            return values
        return values.movedim(-1, values.dim() - 1 - len(self.window))

    def covariates(self, known: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        """The covariates' values for `code`: standardized, under one name; empty if there are none.

        Args:
            known: what is known of each window, by name, `batch`.
            count: number of windows.

        Raises:
            DataError: if a covariate isn't known of every window.
        """
        if not self.condition:
            return {}
        if missing := [name for name in self.condition if name not in known]:
            raise DataError(
                f"the model is conditioned on {list(self.condition)}, but {missing} isn't known of "
                "these patches: give it by patches.assign(...)"
            )
        values = torch.stack([known[name].expand(count) for name in self.condition], -1)
        if bool(torch.isnan(values).any()):
            raise DataError(f"the covariates {list(self.condition)} must be known of every patch")
        return {
            COVARIATES: (values.to(self.grid) - self.covariate_location) / self.covariate_spread
        }

    def with_needs(self, patches: Any) -> Any:
        """Patches of which all is known that priors need, as far as their coordinates tell it.

        Args:
            patches: `Patches`, or anything else that gathers batches.

        Raises:
            DataError: if something that must be known isn't.
        """
        known, coords = getattr(patches, "known", {}), getattr(patches, "coords", {})
        for site in self.given_sites:
            if missing := [name for name in site.needs if name not in {*known, *coords}]:
                raise DataError(
                    f"the prior of {site.name!r} needs {missing} of every patch, but the patches "
                    f"have {[*known, *coords] or 'nothing of the kind'}: give it by coords=..., "
                    "or by patches.assign(...)"
                )
        names = [name for site in self.given_sites for name in site.asks]
        left = [name for name in names if name in coords and name not in known]
        return patches.assign(*left) if left else patches

    def needed(self, known: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What priors need of that which is known of each window, by name.

        Args:
            known: what is known of each window, by name, `batch`.
        """
        names = [name for site in self.given_sites for name in site.asks]
        return {name: known[name].to(self.grid) for name in names if name in known}

    @torch.no_grad()
    def know(self, known: Mapping[str, Tensor]) -> None:
        """Take from what is known of windows the units of covariates, and what priors start with.

        Args:
            known: of all windows that an untrained model is shown, by name, `window`.
        """
        self._know_covariates(known)
        for site in self.given_sites:
            site.know(known)

    def _know_covariates(self, known: Mapping[str, Tensor]) -> None:
        """Take the unit of each covariate from its values."""
        for number, name in enumerate(self.condition):
            values = known[name].double()
            spread = float(values.std(correction=0))
            self.covariate_location[number] = float(values.mean())
            self.covariate_spread[number] = spread if spread > 0 else 1.0

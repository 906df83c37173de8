"""The base of likelihoods: small modules whose call makes the observed sample site.

A decoder returns one unconstrained number per pixel, or as many as the likelihood asks for, near 0
before it is trained; the likelihood turns them into a distribution of the data, in their unit.
`prepare` checks the data's range once and sets the data's location and spread, by which encoders
see data of any units alike, and most untrained models predict the data's mean.
"""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyroshift.errors import SpecificationError
from pyroshift.model.batch import has_gaps
from pyroshift.model.distributions import Rescaled
from pyroshift.model.shapes import Pixelwise
from pyroshift.model.sites import DATA


class Likelihood(nn.Module):
    """Distribution of the data given the decoder's output, pixels independent.

    A subclass gives `standardized`, in which the data have mean 0 and spread 1 whatever their unit:
    decoders' outputs start near 0. It is carried to the data's unit, which bounds are in. Where
    that makes no sense, as for counts, it gives `distribution` in the data's own unit instead, by
    the data's `location` and `spread`; and `check` where not all real numbers are possible data.

    A likelihood that needs several numbers of the decoder says how many in `maps`; they come along
    the last axis of its output, in standard units the location first. One that has to see data as
    several numbers, as phases by cosine and sine, says how many in `statistics`; these come along
    the last axis of what `standardize`, `statistic` and `natural` give. Pixels that weren't taken
    are not a number in the data, and count for nothing.

    Example:
        >>> class StudentT(Likelihood):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.log_width = nn.Parameter(torch.tensor(-1.0))
        ...
        ...     def standardized(self, output):
        ...         return dist.StudentT(4.0, output, self.log_width.exp())
        >>> likelihood = StudentT()
        >>> likelihood.prepare(minimum=1800.0, maximum=2300.0, mean=2000.0, stddev=50.0)
        >>> likelihood.mean(torch.tensor([0.0, 1.0]))
        tensor([2000., 2050.])
    """

    location: Tensor
    spread: Tensor
    prepared: Tensor
    maps: int | None = None  # one number per pixel, without an axis of its own
    statistics: int | None = None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))
        self.register_buffer("prepared", torch.tensor(False))

    def forward(
        self, output: Tensor, x: Tensor | None = None, event_dim: int | None = None
    ) -> Tensor:
        """Make the observed site `x`.

        Args:
            output: decoder's output, `batch x height x width` (or `batch x length`); with a last
                axis, if the likelihood has `maps`.
            x: data, or None to sample them; not a number where a pixel wasn't taken.
            event_dim: number of axes of a window; by default all but the first.
        """
        event_dim = output.dim() - 1 - (self.maps is not None) if event_dim is None else event_dim
        pixels = self.distribution(output)
        if x is not None and has_gaps(x):
            pixels, x = pixels.mask(~torch.isnan(x)), self.filled(x)  # type: ignore[attr-defined]
        return pyro.sample(DATA, dist.Independent(pixels, event_dim), obs=x)

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        """Log density of each pixel, of the data's shape: 0 where it wasn't taken.

        Args:
            x: data.
            output: decoder's output.
        """
        pixels = self.distribution(output)
        if not has_gaps(x):
            return pixels.log_prob(x)
        return torch.where(torch.isnan(x), 0.0, pixels.log_prob(self.filled(x)))

    def filled(self, x: Pixelwise) -> Pixelwise:
        """Data with possible values where pixels weren't taken, for what then disregards them."""
        gaps, possible = torch.isnan(x), self.location
        if not self._by_standard_units:
            observed = torch.where(gaps, torch.inf, x).min()  # is possible
            # Without any, the floor of a mean, which is a count.
            possible = torch.where(observed.isfinite(), observed, self.location.floor())
        return torch.where(gaps, possible, x)

    def of_known(self, values: Tensor, x: Tensor) -> Tensor:
        """Values where pixels were taken, and 0 where not.

        Args:
            values: of the output's shape.
            x: data.
        """
        return values * self.over_maps(~torch.isnan(x)) if has_gaps(x) else values

    def over_maps(self, values: Tensor) -> Tensor:
        """Values of pixels, of the data's shape, such that they multiply decoders' outputs."""
        return values if self.maps is None else values.unsqueeze(-1)

    def over_statistics(self, values: Tensor) -> Tensor:
        """Values of pixels, of the data's shape, such that they multiply statistics."""
        return values if self.statistics is None else values.unsqueeze(-1)

    def over_channels(self, values: Tensor) -> Tensor:
        """Values of pixels, of the data's shape, such that they multiply log normalizers."""
        return values

    def start(self, mean: Tensor) -> Tensor:
        """The output by which a decoder may start from a mean window.

        Args:
            mean: standardized, `height x width` or `length`; with a last axis of `statistics`.

        Returns:
            The same, with a last axis if the likelihood has `maps`: those that say nothing of
            what is expected are 0.
        """
        if self.maps is None or self.maps == self.statistics:
            return mean
        return torch.stack([mean, *[torch.zeros_like(mean)] * (self.maps - 1)], -1)

    def standardized(self, output: Tensor) -> Distribution:
        """Distribution of each pixel of the standardized data, of the output's shape.

        Args:
            output: decoder's output, any shape: what is expected, in most likelihoods; of several
                `maps`, along its last axis, the first is.
        """
        raise SpecificationError(
            f"{type(self).__name__} has no distribution: give it a method `standardized(output)` "
            "for data of mean 0 and spread 1, or `distribution(output)` in the data's own unit"
        )

    def distribution(self, output: Tensor) -> Distribution:
        """Distribution of each pixel in the data's unit, of the output's shape.

        That of `standardized`, unless overridden. Several `maps` have no axis in it.
        """
        base = self.standardized(output)
        if base.support is not None and base.support.is_discrete:
            raise SpecificationError(
                f"{type(self).__name__}: standardized data can't be {type(base).__name__}, which "
                "is discrete: give it a method `distribution(output)` in the data's own unit"
            )
        return Rescaled(base, self.location, self.spread)

    @property
    def _by_standard_units(self) -> bool:
        """Whether a subclass has left the data's unit to this class."""
        return type(self).distribution is Likelihood.distribution

    def mean(self, output: Tensor) -> Tensor:
        """Expected data, of the output's shape, without the axis of several `maps`."""
        return self.distribution(output).mean

    def standardize(self, x: Tensor) -> Tensor:
        """Data with mean about 0 and spread about 1, as encoders like them.

        Of the data's shape, with a last axis if the likelihood has `statistics`.
        """
        return (x - self.location) / self.spread

    def natural(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """What compares every patch with every output by one matrix product.

        The log likelihood of exponential families is `statistic(x) * parameter - normalizer`, up
        to a term of the data alone. For other likelihoods in standard units this is a Normal as
        wide as they are, which proposes poses, while the bound stays theirs: of their variance, for
        one of their information would take the outliers of heavy tails for evidence.

        Args:
            output: decoder's output, any shape.

        Returns:
            The natural parameter and the log normalizer of each pixel, of the data's shape; the
            parameter with a last axis, to be summed over, if the likelihood has `statistics`.
        """
        if self._by_standard_units:
            location, variance = output, self._variance(output)
            if self.maps is not None:
                # One width for all: else it would be the data's square, too, that tells poses.
                location, variance = output[..., 0], variance.mean()
            precision = variance.clamp(max=1.0).reciprocal()  # noise is no wider than the data
            return location * precision, location.square() * precision / 2
        raise SpecificationError(
            f"{type(self).__name__} has no `natural` parameters, which the anchor guide compares "
            "patches with poses by: give it that method, or take guide='normal'"
        )

    def statistic(self, x: Tensor) -> Tensor:
        """What of the data the natural parameter multiplies: an affine function of them.

        If the likelihood has `statistics`, these functions of them, along a last axis.
        """
        return self.standardize(x) if self._by_standard_units else x

    def information(self, output: Pixelwise) -> Pixelwise:
        """Fisher information of a pixel about the decoder's output, of the output's shape.

        In standard units, that of a Normal as wide about the output: no more than there is. Else
        the variance of the data, where the output is the natural parameter up to a constant. Of
        several `maps`, about each of them.
        """
        if not self._by_standard_units:
            if self.maps is not None:
                raise SpecificationError(
                    f"{type(self).__name__} has several maps, but no `information` about "
                    "each: give it that method, or a distribution in standard units"
                )
            return self.distribution(output).variance
        if self.maps is not None:
            return self._information_of_a_normal(output)
        return self._variance(output).expand_as(output).reciprocal()

    def _variance(self, output: Tensor) -> Tensor:
        """Variance of a pixel of the standardized data."""
        variance = self.standardized(output).variance
        # Tails may be so heavy that there is no variance; the data have one, which is 1.
        known = torch.isfinite(variance) & (variance > 0)
        return torch.where(known, variance, 1.0)

    def _information_of_a_normal(self, output: Pixelwise) -> Pixelwise:
        """Fisher information about several `maps`: the location, and what changes the width."""
        further = torch.is_grad_enabled() and output.requires_grad
        with torch.enable_grad():
            output = output if further else output.detach().requires_grad_()
            # Plus nothing, for a gradient of zero where no number changes the width.
            variance = self._variance(output) + 0 * output.sum(-1)
            (change,) = torch.autograd.grad(variance.log().sum(), output, create_graph=further)
        located = torch.eye(output.shape[-1])[0].to(output)
        information = change.square() / 2 + located / variance.unsqueeze(-1)
        return information if further else information.detach()

    def score(self, x: Tensor, output: Pixelwise) -> Pixelwise:
        """Derivative of the log likelihood by the decoder's output, of the output's shape.

        It can itself be differentiated, where the output can.

        Args:
            x: data.
            output: decoder's output.
        """
        further = torch.is_grad_enabled() and output.requires_grad
        with torch.enable_grad():
            output = output if further else output.detach().requires_grad_()
            log_likelihood = self.log_prob(x, output).sum()
            (score,) = torch.autograd.grad(log_likelihood, output, create_graph=further)
        return score

    def check(self, minimum: float, maximum: float) -> None:
        """Raise a DataError if data of this range can't come from this likelihood."""

    def doubt(self, x: Tensor) -> str | None:
        """What speaks against these data coming from this likelihood, in words; None if nothing.

        Args:
            x: some of the data, any shape; not a number where a pixel wasn't taken.
        """
        return None

    def prepare(self, minimum: float, maximum: float, mean: float, stddev: float) -> None:
        """Check the data's range, and the first time set their location and spread.

        Later data are measured by the first, since the weights were trained on that scale.

        Args:
            minimum: smallest value of the data.
            maximum: largest value.
            mean: their mean.
            stddev: their standard deviation.

        Raises:
            DataError: if the range can't come from this likelihood.
        """
        self.check(minimum, maximum)
        if not self.prepared:
            self.location.fill_(mean)
            self.spread.fill_(stddev if stddev > 0 else 1.0)
            self.prepared.fill_(True)

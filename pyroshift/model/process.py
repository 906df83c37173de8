"""Gaussian processes over the windows of a batch, as distributions inside their plate."""

import math
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl

from pyroshift.model.families import NormalFamily

_FAINT = 0.0  # logarithm of an observation's precision, where networks give zero


class CorrelatedNormals(TorchDistribution):
    """Normals that are correlated over a batch of windows.

    A plate holds what is independent, and these aren't: of each window it gives the distribution
    given those before it in the batch. So log probabilities and KL divergences are of each window,
    and add up to those of all together, exactly.

    Args:
        factor: lower triangular root of the covariance, `latent x batch x batch`.
        loc: mean, `latent x batch`; zero by default.

    Example:
        >>> factor = torch.linalg.cholesky(torch.tensor([[[1.0, 0.9], [0.9, 1.0]]]))
        >>> both = CorrelatedNormals(factor)
        >>> both.batch_shape, both.event_shape
        (torch.Size([2]), torch.Size([1]))
        >>> both.log_prob(torch.ones(2, 1)) - both.log_prob(torch.tensor([[1.0], [-1.0]]))
        tensor([0.0000, 9.4737])
    """

    arg_constraints: ClassVar = {
        "factor": constraints.lower_cholesky,
        "loc": constraints.real_vector,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, factor: Tensor, loc: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        self.factor = factor
        self.loc = factor.new_zeros(factor.shape[:-1]) if loc is None else loc
        latents, count = self.loc.shape
        super().__init__(torch.Size([count]), torch.Size([latents]), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "CorrelatedNormals":
        """The same: a batch of other windows has other correlations."""
        if tuple(batch_shape) != tuple(self.batch_shape):
            raise NotImplementedError(
                f"correlations of {self.batch_shape[0]} windows can't be those of {batch_shape}"
            )
        return self

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Values of all windows together, `sample x batch x latent`."""
        white = torch.randn(*sample_shape, *self.loc.shape, 1).to(self.loc)
        return (self.loc + (self.factor @ white).squeeze(-1)).mT

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of each window's value, given those of the windows before it."""
        white = _solve(self.factor, (value.mT - self.loc).unsqueeze(-1)).squeeze(-1)
        each = -white.square() / 2 - _log_widths(self.factor) - math.log(2 * math.pi) / 2
        return each.sum(-2)

    @property
    def mean(self) -> Tensor:
        """`batch x latent`."""
        return self.loc.mT

    @property
    def variance(self) -> Tensor:
        """Of each window's value, whatever the others are, `batch x latent`."""
        return self.factor.square().sum(-1).mT


@register_kl(CorrelatedNormals, CorrelatedNormals)
def _kl_of_processes(posterior: CorrelatedNormals, prior: CorrelatedNormals) -> Tensor:
    """Exact, in parts that are each window's own."""
    white = _solve(prior.factor, (posterior.loc - prior.loc).unsqueeze(-1)).squeeze(-1)
    trace = _solve(prior.factor, posterior.factor).square().sum(-1)
    log_ratio = _log_widths(prior.factor) - _log_widths(posterior.factor)
    return ((trace + white.square() - 1) / 2 + log_ratio).sum(0)


@register_kl(dist.Independent, CorrelatedNormals)
def _kl_from_independent(posterior: Any, prior: CorrelatedNormals) -> Tensor:
    """Exact: from Normals, one for each window and latent."""
    if not isinstance(posterior.base_dist, torch.distributions.Normal):
        raise NotImplementedError
    factor = torch.diag_embed(posterior.stddev.mT)
    return _kl_of_processes(CorrelatedNormals(factor, posterior.mean.mT), prior)


def _solve(factor: Tensor, values: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(factor, values, upper=False)


def _log_widths(factor: Tensor) -> Tensor:
    """Logarithm of the width of each window's value, given those before it, `latent x batch`."""
    return factor.diagonal(dim1=-2, dim2=-1).log()


class PseudoObservations(NormalFamily):
    """What a window says of its latents, as if these had been measured with some error.

    Of a window by itself, the posterior is a Normal; neighbours are combined by `given`. So what is
    known of a window's latents is what its own pixels say, and what its neighbours' do.

    Pearce, "The Gaussian process prior VAE for interpretable latent dynamics from pixels", AABI
    2019.

    Example:
        >>> prior = dist.Normal(torch.zeros(1), 1.0).to_event(1)
        >>> alone = PseudoObservations().distribution(torch.tensor([[2.0, 0.0]]), prior)
        >>> alone.mean, alone.variance
        (tensor([[2.]]), tensor([[0.5000]]))
    """

    def distribution(self, raw: Tensor, prior: Distribution) -> Distribution:
        """The posterior of each window by itself, where the prior is a standard Normal."""
        mean, precision = self._read(raw)
        return dist.Normal(mean, (1 + precision).rsqrt()).to_event(1)

    def _read(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of each window by itself, and the precision of its observation, `batch x latent`."""
        mean, precision = raw.chunk(2, dim=-1)
        return mean, (2 * precision + _FAINT).exp()

    def given(self, raw: Tensor, covariance: Tensor) -> Distribution:
        """The posterior of all windows together.

        Args:
            raw: `batch x size`, network outputs.
            covariance: of the process, `latent x batch x batch`.
        """
        mean, precision = (each.mT.double() for each in self._read(raw))
        covariance = covariance.double()
        root = precision.sqrt().unsqueeze(-1)
        identity = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
        inner = torch.linalg.cholesky(identity + root * covariance * root.mT)
        explained = _solve(inner, root * covariance)  # of the covariance, latent x batch x batch
        left = covariance - explained.mT @ explained
        # What is observed, times its precision, is the mean alone, times its own: prior and data's.
        loc = (left @ ((1 + precision) * mean).unsqueeze(-1)).squeeze(-1)
        return CorrelatedNormals(torch.linalg.cholesky(left).to(raw), loc.to(raw))

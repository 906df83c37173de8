"""The canonical frame of latents: uncorrelated, of unit width, the most telling first."""

import torch
from torch import Tensor, nn

from pyroshift.model.linear_normal import LinearNormal
from pyroshift.model.whole import whole_batch

_MEMORY = 0.95  # per step: moments are those of the last twenty batches or so


class LatentFrame(nn.Module):
    """The latents' own frame within the decoder's.

    Nothing says in which directions of the decoder's input things vary, nor how far. So the frame
    is taken from the data: the prior is a standard Normal in it, and it follows the aggregate
    posterior's mean and covariance, which is to say that the prior in the decoder's own frame is
    the Normal that fits best. Of the turns that this leaves, it takes the one in which the
    posterior's locations and, on average, its errors are uncorrelated. Latents then go by the share
    of their variance that the data tell, and one that the data tell nothing of has the prior for
    its posterior.

    Args:
        latent_dim: number of latents.

    Example:
        >>> frame = LatentFrame(2)
        >>> along = torch.randn(1000, 1, generator=torch.Generator().manual_seed(0))
        >>> for _ in range(100):  # two latents that are one
        ...     frame.follow(torch.cat([along, along], -1), torch.full((1000, 2), 0.1))
        >>> told, empty = frame.inward(torch.cat([along, along], -1)).var(0)
        >>> round(float(told), 2), round(float(empty), 2)
        (1.0, 0.0)
    """

    centre: Tensor
    axes: Tensor
    located: Tensor
    spread: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.register_buffer("centre", torch.zeros(latent_dim))
        self.register_buffer("axes", torch.eye(latent_dim))  # one in each column
        self.register_buffer("located", torch.zeros(latent_dim, latent_dim))
        self.register_buffer("spread", torch.eye(latent_dim))

    def outward(self, z: Tensor) -> Tensor:
        """The decoder's input for latents, `... x latent`."""
        return z @ self.axes.mT + self.centre

    def inward(self, values: Tensor) -> Tensor:
        """The latents for which values, `... x latent`, are the decoder's input."""
        return (values - self.centre) @ torch.linalg.inv(self.axes).mT

    def posterior(self, loc: Tensor, scale: Tensor) -> LinearNormal:
        """Independent Normals of the decoder's input, as a distribution of the latents.

        Args:
            loc: `... x latent`.
            scale: `... x latent`.
        """
        return LinearNormal(self.inward(loc), torch.linalg.inv(self.axes), scale)

    @torch.no_grad()
    def follow(self, loc: Tensor, scale: Tensor) -> None:
        """Learn from the posterior of a batch, given in the decoder's frame.

        Args:
            loc: `batch x latent`.
            scale: `batch x latent`.
        """
        loc, scale = whole_batch(loc.flatten(0, -2)), whole_batch(scale.flatten(0, -2))
        if not bool(torch.isfinite(loc).all() & torch.isfinite(scale).all()):
            return  # the loss is no number either, and the training says so
        centre = loc.mean(0)
        step = centre - self.centre
        deviation = loc - centre
        located = deviation.mT @ deviation / len(loc) + _MEMORY * torch.outer(step, step)
        spread = torch.diag_embed(scale.square().mean(0))
        # New tensors, as the gradient of a step may still need the old ones.
        self.centre = self.centre.lerp(centre, 1 - _MEMORY)
        self.located = self.located.lerp(located, 1 - _MEMORY)
        self.spread = self.spread.lerp(spread, 1 - _MEMORY)
        self.axes = self._aligned(canonical_axes(self.located, self.spread))

    @torch.no_grad()
    def settle(self, z: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """Make the frame that of given latents, where it was that of the last steps' batches.

        Args:
            z: locations in the frame as it is, `batch x latent`.
            width: their standard deviations, `batch x latent`.

        Returns:
            Locations and standard deviations in the frame as it is then.
        """
        if len(z) <= self.latent_dim or not bool(self.located.any()):
            return z, width  # too few to tell, or a guide that doesn't draw in this frame
        located = torch.cov(z.mT).reshape(self.latent_dim, self.latent_dim)
        spread = torch.diag(width.square().mean(0))
        values, before = self.outward(z), self.axes
        axes = before @ canonical_axes(located, spread)
        self.centre = values.mean(0)
        self.located = before @ located @ before.mT
        self.spread = before @ spread @ before.mT
        self.axes = self._aligned(axes)
        change = torch.linalg.inv(self.axes) @ before
        return self.inward(values), (width.square() @ change.square().mT).sqrt()

    def _aligned(self, axes: Tensor) -> Tensor:
        """Axes that go the way that they went before, lest latents flip between steps."""
        same_way = (axes * self.axes).sum(0) >= 0
        return torch.where(same_way, axes, -axes)


def canonical_axes(located: Tensor, spread: Tensor) -> Tensor:
    """Axes in which two covariances are diagonal and their sum is one, as columns.

    Args:
        located: covariance of the posteriors' locations, `latent x latent`.
        spread: mean covariance of their errors; the axis of the smallest share of it comes first.

    Example:
        >>> canonical_axes(torch.diag(torch.tensor([0.0, 3.0])), torch.eye(2)).abs()
        tensor([[0., 1.],
                [2., 0.]])
    """
    error = spread.double()
    factor = torch.linalg.cholesky(located.double() + error)
    half = torch.linalg.solve_triangular(factor, error, upper=False)
    share = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    return (factor @ torch.linalg.eigh(share).eigenvectors).to(located)

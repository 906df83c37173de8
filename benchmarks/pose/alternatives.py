"""Two other ways to infer a pose, tried beside the anchor guide and not taken.

    python -m benchmarks.pose.alternatives

`enumerated`: an amortised Categorical over angle bins, summed out (as Pyro's TraceEnum_ELBO does),
with Normals for offset and for the angle within its bin, on motifs over the full circle.
`summed`: the offset summed out of the likelihood over all whole shifts, z from the patch as it is,
on peaks over the whole window. Both in plain PyTorch, with the networks of the package.
"""

import math
from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn.functional import softplus

from benchmarks.common import command
from benchmarks.common.metrics import circular_correlation, explained_offset, predictability
from benchmarks.pose.tasks import noisy
from pyroshift import CanvasDecoder, FullyConnectedEncoder, synthetic
from pyroshift.model.pose import half_window, pixel_grid, unrotate, unshift

BATCH, RATE, LATENTS = 128, 2e-3, 2


class Enumerated(nn.Module):
    """Angle bins by a network, summed out."""

    def __init__(self, window: tuple[int, ...], bins: int = 24, offset_scale: float = 0.3) -> None:
        super().__init__()
        self.grid, self.bins, self.offset_scale = pixel_grid(window), bins, offset_scale
        self.encoder = FullyConnectedEncoder(window)
        self.decoder = CanvasDecoder(window, LATENTS, margin=14)
        self.head = nn.Linear(256, bins + 2 * (1 + 2 + LATENTS))
        nn.init.normal_(self.head.weight, std=0.1 / 16)
        self.log_noise = nn.Parameter(torch.zeros(()))

    def posterior(self, x: Tensor) -> tuple[Categorical, Normal, Normal, Normal]:
        """Of the bin, the angle within it in bins' widths, the offset and z."""
        raw = self.head(self.encoder(x))
        logits, means, widths = raw.split([self.bins, 3 + LATENTS, 3 + LATENTS], -1)
        units = torch.tensor([0.5, *[self.offset_scale] * 2, *[1.0] * LATENTS])
        means, widths = means * units, softplus(widths + 0.54) * units
        parts = zip(
            means.split([1, 2, LATENTS], -1), widths.split([1, 2, LATENTS], -1), strict=True
        )
        residual, offset, z = (Normal(mean, width) for mean, width in parts)
        return Categorical(logits=logits), residual, offset, z

    def loss(self, x: Tensor) -> Tensor:
        """Negative ELBO of each patch."""
        which, residual, offset, z = self.posterior(x)
        shift, turn, latents = offset.rsample(), residual.rsample(), z.rsample()
        canvas_latents = latents.repeat_interleave(self.bins, 0)
        angles = (torch.arange(self.bins) + turn) * 2 * math.pi / self.bins
        grid = unshift(self.grid.expand(len(x), *self.grid.shape), shift)
        grid = unrotate(grid.repeat_interleave(self.bins, 0), angles.flatten())
        seen = self.decoder(canvas_latents, grid).reshape(len(x), self.bins, -1)
        noise = (10 * self.log_noise).exp() + 0.01
        score = Normal(seen, noise).log_prob(x.flatten(1).unsqueeze(1)).sum(-1)
        bins = (which.probs * (score - which.logits - math.log(self.bins))).sum(-1)
        cost = kl_divergence(offset, Normal(0.0, self.offset_scale)).sum(-1)
        cost = cost + kl_divergence(residual, Normal(0.0, 0.5)).sum(-1)
        return cost + kl_divergence(z, Normal(0.0, 1.0)).sum(-1) - bins


class Summed(nn.Module):
    """Whole shifts summed out of the likelihood."""

    def __init__(self, window: tuple[int, ...], reach: int) -> None:
        super().__init__()
        self.reach, self.length = reach, window[0]
        self.encoder = FullyConnectedEncoder(window)
        self.decoder = CanvasDecoder(window, LATENTS, margin=reach)
        self.head = nn.Linear(256, 2 * LATENTS)
        nn.init.normal_(self.head.weight, std=0.1 / 16)
        self.log_noise = nn.Parameter(torch.zeros(()))

    def posterior(self, x: Tensor) -> Normal:
        """Of z."""
        mean, width = self.head(self.encoder(x)).chunk(2, -1)
        return Normal(mean, softplus(width + 0.54))

    def scores(self, x: Tensor, z: Tensor) -> Tensor:
        """Log likelihood at each shift, from the most negative."""
        seen = self.decoder.canvas(z).unfold(1, self.length, 1).flip(1)
        noise = (10 * self.log_noise).exp() + 0.01
        return Normal(seen, noise).log_prob(x.unsqueeze(1)).sum(-1)

    def loss(self, x: Tensor) -> Tensor:
        """Negative ELBO of each patch."""
        z = self.posterior(x)
        scores = self.scores(x, z.rsample())
        evidence = scores.logsumexp(1) - math.log(scores.shape[1])
        return kl_divergence(z, Normal(0.0, 1.0)).sum(-1) - evidence


def train(model: nn.Module, loss: Callable[[Tensor], Tensor], data: Tensor, epochs: int) -> float:
    """Train, and return the last epoch's loss."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2
        total = 0.0
        for index in torch.randperm(len(data)).split(BATCH):
            optimizer.zero_grad()
            losses = loss(data[index])
            losses.mean().backward()
            optimizer.step()
            total += float(losses.detach().sum())
    return total / len(data)


def standardized(values: np.ndarray) -> Tensor:
    """Data of mean 0 and width 1."""
    return torch.from_numpy(((values - values.mean()) / values.std()).astype(np.float32))


def enumerated(seed: int, epochs: int) -> None:
    """Motifs over the full circle."""
    truth = synthetic.motifs(n=3000, max_angle=math.pi, seed=seed)
    data, angle = standardized(truth.patch.values), truth.angle.values
    torch.manual_seed(seed)
    start, model = perf_counter(), Enumerated((28, 28))
    loss = train(model, model.loss, data, epochs)
    with torch.no_grad():
        which, residual, offset, z = model.posterior(data)
        best = which.probs.argmax(-1)
        found = (best + residual.mean[:, 0]).numpy() * 2 * math.pi / model.bins
    moved = offset.mean.numpy() * half_window((28, 28))
    print(
        f"enumerated seed {seed} {perf_counter() - start:.0f} s | loss {loss:.1f} | "
        f"angle {circular_correlation(found, angle):.3f} | "
        f"offset R2 {explained_offset(moved, truth.offset.values, angle):.3f} | "
        f"cos angle from z R2 {predictability(z.mean.numpy(), np.cos(angle)):.3f}",
        flush=True,
    )


def summed(seed: int, epochs: int) -> None:
    """Peaks over nine tenths of the window."""
    truth = synthetic.peaks(n=5000, offset_spread=9.0, noise=0.0, seed=seed)
    data = standardized(noisy(truth.signal.values, 0.1, seed))
    torch.manual_seed(seed)
    start, model = perf_counter(), Summed((100,), reach=47)
    loss = train(model, model.loss, data, epochs)
    with torch.no_grad():
        z = model.posterior(data).mean
        found = torch.cat([
            model.scores(*part).argmax(1)
            for part in zip(data.split(500), z.split(500), strict=True)
        ]).numpy()  # fmt: skip
    position = truth.offset.values * 99 / 20
    error = found - position - np.median(found - position)
    print(
        f"summed seed {seed} {perf_counter() - start:.0f} s | loss {loss:.1f} | "
        f"offset R2 {1 - error.var() / position.var():.3f} | rms, samples {error.std():.2f} | "
        f"offset from z R2 {predictability(z.numpy(), position):.3f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = command.parser("pose.alternatives", __doc__)
    parser.add_argument("--epochs", type=int, default=20)
    options = command.asked(parser)
    for number in options.seeds:
        enumerated(number, options.epochs)
        summed(number, options.epochs)

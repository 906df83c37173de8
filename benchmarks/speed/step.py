"""One training step beside the same mathematics by hand, and beside the machine's limits.

By hand means plain PyTorch: no Pyro, no sites, no checks, no records. The loss is the same to the
last digits, which is checked before anything is timed, and so are the clipped gradients and the
fused Adam. Ours is timed through `fit`, with all that it does besides. Seconds are the
processor's, on one thread.
"""

import copy
import math
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, linear, softplus
from torch.nn.utils import clip_grad_norm_

from benchmarks.common.timing import Record, in_turns, seconds
from pyroshift import Patches, PoseVAE, ShiftVAE, extract_patches, fit
from pyroshift.training.elbo import PatchELBO

STEPS = 40  # of an epoch


def measure(window: int = 32, batch_size: int = 256, rounds: int = 9) -> list[Record]:
    """Milliseconds per step: ours, by hand, and the least that the machine could take.

    Args:
        window: side of the windows, pixels.
        batch_size: patches per step.
        rounds: how often both are timed, in turns; the medians count.
    """
    patches = _patches(window, batch_size * STEPS)
    model = ShiftVAE(window, guide="normal")
    model.likelihood.prepare(**patches.statistics())
    by_hand = ByHand(copy.deepcopy(model))
    _check_same(model, by_hand, patches.gather(torch.arange(batch_size)))
    taken = in_turns(
        {
            "pyroshift": lambda: _epoch_by_fit(model, patches, batch_size),
            "by hand": lambda: _epoch_by_hand(by_hand, patches, batch_size),
        },
        rounds,
    )
    rows: list[Record] = [
        {"step": name, "ms": 1e3 * np.median(each)} for name, each in taken.items()
    ]
    ratio = np.median(np.divide(taken["pyroshift"], taken["by hand"]))
    rows[0] |= {"ratio": ratio, "target": "<= 1.25"}
    return [
        {"window": window, "batch_size": batch_size} | row
        for row in rows + _limits(model, batch_size)
    ]


class ByHand(nn.Module):
    """The shift-VAE with canvas decoder and Gaussian likelihood, written out for one case."""

    def __init__(self, model: PoseVAE) -> None:
        super().__init__()
        guide: Any = model.guide_module
        likelihood: Any = model.likelihood
        self.encoder, self.decoder = model.encoder, model.decoder.layers
        self.offset, self.z = guide.heads["offset"], guide.heads["z"]
        self.log_noise = likelihood.log_noise
        self.location, self.spread = float(likelihood.location), float(likelihood.spread)
        self.offset_scale = 0.3
        side, canvas = model.window[0], model.decoder.canvas_shape[0]
        self.raw = canvas + 2
        # Pixels of the window on the canvas, as grid_sample counts: (x, y), its ends at -1 and 1.
        axis = (torch.arange(side) - (side - 1) / 2) / ((canvas - 1) / 2)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.grid, self.unit = torch.stack((x, y), -1), side / (canvas - 1)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)

    def forward(self, x: Tensor) -> Tensor:
        """Negative bound of each patch, `batch`."""
        data = (x - self.location) / self.spread
        features = self.encoder(data)
        offset, offset_kl = _normal(self.offset(features))
        z, z_kl = _normal(self.z(features))
        shift = (self.unit * self.offset_scale * offset).flip(-1)
        seen = grid_sample(
            self._canvas(z),
            self.grid - shift[:, None, None],
            align_corners=True,
            padding_mode="border",
        ).squeeze(1)
        noise = (10 * self.log_noise).exp() + 0.01
        error = (data - seen).square().sum((1, 2)) / (2 * noise.square())
        constant = x[0].numel() * ((self.spread * noise).log() + math.log(2 * math.pi) / 2)
        return error + constant + offset_kl + z_kl

    def _canvas(self, z: Tensor) -> Tensor:
        *hidden, pixels = self.decoder
        for layer in hidden:
            z = layer(z)
        weight, bias = (
            pixels.weight.reshape(self.raw, self.raw, -1),
            pixels.bias.reshape(self.raw, -1),
        )
        for _ in range(2):
            weight, bias = weight[1:] + weight[:-1], bias[1:] + bias[:-1]
            weight, bias = weight[:, 1:] + weight[:, :-1], bias[:, 1:] + bias[:, :-1]
        canvas = linear(z, weight.flatten(0, 1) / 16, bias.flatten() / 16)
        return canvas.reshape(-1, 1, self.raw - 2, self.raw - 2)

    def step(self, x: Tensor) -> float:
        """One step of the optimiser; returns the loss per patch."""
        self.optimizer.zero_grad()
        loss = self(x).mean()
        loss.backward()
        clip_grad_norm_(self.parameters(), 100.0)
        self.optimizer.step()
        return loss.item()


def _normal(raw: Tensor) -> tuple[Tensor, Tensor]:
    """A draw in units of the prior's width, and its divergence from the prior per patch."""
    mean, width = raw.chunk(2, -1)
    width = softplus(width + math.log(math.e - 1)).clamp(min=1e-4)
    divergence = 0.5 * (mean.square() + width.square() - 1) - width.log()
    return mean + width * torch.randn_like(mean), divergence.sum(-1)


def _check_same(model: PoseVAE, by_hand: ByHand, x: Tensor) -> None:
    """Raise an AssertionError unless both compute the same loss."""
    torch.manual_seed(0)
    ours = PatchELBO().terms(model.sample_model, model.sample_guide, x).objective
    torch.manual_seed(0)
    torch.testing.assert_close(by_hand(x), ours)


def _patches(window: int, count: int) -> Patches:
    """About so many windows of noise."""
    side = math.ceil(math.sqrt(count)) * 4 + window
    return extract_patches(np.random.default_rng(0).random((side, side)), window, step=4)


def _epoch_by_fit(model: PoseVAE, patches: Patches, batch_size: int) -> float:
    """Seconds of the second epoch of a training."""
    times: list[float] = []
    fit(
        model,
        patches,
        epochs=2,
        batch_size=batch_size,
        progress=False,
        callbacks=[lambda *_: times.append(process_time())],
    )
    return (times[1] - times[0]) / math.ceil(len(patches) / batch_size)


def _epoch_by_hand(by_hand: ByHand, patches: Patches, batch_size: int) -> float:
    """Seconds per step of an epoch over the same windows."""
    batches = torch.randperm(len(patches)).split(batch_size)
    taken = seconds(
        lambda: [by_hand.step(patches.gather(index)) for index in batches], process_time
    )
    return taken / len(batches)


def _limits(model: PoseVAE, batch_size: int) -> list[Record]:
    """The least time for the step's matrix products, and for the memory that it must move."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    weights = sum(layer.weight.numel() for layer in layers)
    first = model.encoder.layers[1].weight.numel()  # type: ignore[union-attr, index]
    # Forward, and the gradients of weights and of inputs, but for those of the data.
    operations = 2 * batch_size * (3 * weights - first)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    pixels, canvas = math.prod(model.window), math.prod(model.decoder.canvas_shape)  # type: ignore
    # Windows read and copied; where each pixel looks, its value and their gradients written and
    # read; the canvas and its gradient written and read; of each parameter the gradient written,
    # and read by the optimiser with both moments and itself, of which three are written.
    moved = 4 * (batch_size * (pixels * (2 + 3 * 4) + canvas * 4) + parameters * 8)
    return [
        {"step": "matrix products alone", "ms": 1e3 * operations / _matrix_speed()},
        {"step": "memory alone", "ms": 1e3 * moved / _memory_speed()},
    ]


def _matrix_speed(size: int = 1024) -> float:
    """Operations per second of a matrix product."""
    matrix = torch.rand(size, size)
    return 2 * size**3 / min(seconds(lambda: matrix @ matrix, process_time) for _ in range(20))


def _memory_speed(size: int = 2**25) -> float:
    """Bytes read and written per second by a copy that no cache holds."""
    source, target = torch.rand(size), torch.empty(size)
    return 8 * size / min(seconds(lambda: target.copy_(source), process_time) for _ in range(10))

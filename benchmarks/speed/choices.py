"""The choices behind the speed, each beside what it replaced or what was not taken.

Processor's milliseconds on one thread, medians of both sides taken in turns. Each pair computes the
same, which is checked first, but for half precision.
"""

from collections.abc import Callable, Iterator
from time import process_time

import numpy as np
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, linear

from benchmarks.common.timing import Record, in_turns, seconds
from pyroshift import CanvasDecoder, PatchELBO, ShiftVAE
from pyroshift.data.windows import gather
from pyroshift.model.distributions import HomoscedasticNormal
from pyroshift.model.pose import affine_grid, pixel_grid, unrotate, unshift

WINDOW, BATCH = 32, 256
Side = Callable[[], Tensor]


def measure(rounds: int = 15, side: int = 256) -> list[Record]:
    """All pairs, one row each.

    Args:
        rounds: how often each side is timed.
        side: of the image whose windows are all encoded, pixels.
    """
    torch.manual_seed(0)
    choices = (_canvas, _coordinates, _density, _optimizer, _precision, _compiled)
    rows = [_row(name, pair, rounds) for make in choices for name, *pair in make()]
    return rows + [_row(name, pair, 3) for name, *pair in _first_layer(side)]


def _row(name: str, pair: list[Side], rounds: int) -> Record:
    """Milliseconds of what is taken, of what is not, and their ratio."""
    taken, other = pair
    times = in_turns(
        {
            "taken_ms": lambda: 1e3 * seconds(taken, process_time),
            "other_ms": lambda: 1e3 * seconds(other, process_time),
        },
        rounds,
    )
    ratio = np.median(np.divide(times["other_ms"], times["taken_ms"]))
    return {"choice": name, **{key: np.median(each) for key, each in times.items()}, "ratio": ratio}


def _canvas() -> Iterator[tuple[str, Side, Side]]:
    """Weights smoothed once, or every canvas."""
    decoder = CanvasDecoder((WINDOW, WINDOW), 2, margin=13)
    z = torch.randn(BATCH, 2)

    def pooled() -> Tensor:
        raw = decoder.layers(z).reshape(BATCH, 1, *(size + 2 for size in decoder.canvas_shape))
        return avg_pool2d(avg_pool2d(raw, 2, stride=1), 2, stride=1).squeeze(1)

    torch.testing.assert_close(decoder.canvas(z), pooled(), rtol=1e-4, atol=1e-6)
    yield "weights smoothed, not canvases", _trained(lambda: decoder.canvas(z)), _trained(pooled)


def _coordinates() -> Iterator[tuple[str, Side, Side]]:
    """A row and a column carried through the pose, or all pixels."""
    grid = pixel_grid((WINDOW, WINDOW))
    offset, angle = (
        torch.randn(BATCH, 2, requires_grad=True),
        torch.randn(BATCH, requires_grad=True),
    )

    def carried(points: Tensor) -> Tensor:
        return unrotate(unshift(points.expand(BATCH, *points.shape), offset), angle)

    torch.testing.assert_close(affine_grid(carried, grid), carried(grid))
    few, all_pixels = _trained(lambda: affine_grid(carried, grid)), _trained(lambda: carried(grid))
    yield "a row and a column through the pose, not all pixels", few, all_pixels


def _density() -> Iterator[tuple[str, Side, Side]]:
    """The Gaussian likelihood's density with one width, or with one per pixel."""
    x = torch.randn(BATCH, WINDOW, WINDOW)
    loc = torch.randn(BATCH, WINDOW, WINDOW, requires_grad=True)
    width = torch.tensor(0.3, requires_grad=True)
    taken, usual = HomoscedasticNormal(loc, width), dist.Normal(loc, width)
    torch.testing.assert_close(taken.log_prob(x), usual.log_prob(x))
    yield (
        "one width for all pixels",
        *(
            _trained(lambda kind=kind: kind(loc, width, validate_args=False).log_prob(x))  # type: ignore[misc]
            for kind in (HomoscedasticNormal, dist.Normal)
        ),
    )


def _optimizer() -> Iterator[tuple[str, Side, Side]]:
    """Adam over all parameters at once, or one after the other."""
    sides = []
    for fused in (True, False):
        model = ShiftVAE(WINDOW, guide="normal")
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        sides.append(torch.optim.Adam(model.parameters(), fused=fused).step)
    yield "fused Adam", *sides  # type: ignore[misc]


def _precision() -> Iterator[tuple[str, Side, Side]]:
    """A step in half precision where it was asked for, or in single precision."""
    step = _step(ShiftVAE(WINDOW, guide="normal"))

    def half() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            loss = step()
        loss.backward()
        return loss

    yield "step in bfloat16 (on demand)", half, _trained(step)


def _compiled() -> Iterator[tuple[str, Side, Side]]:
    """A step of networks as they are, or compiled, which takes about a minute first."""
    plain, compiled = ShiftVAE(WINDOW, guide="normal"), ShiftVAE(WINDOW, guide="normal")
    compiled.encoder.compile()
    compiled.decoder.compile()
    yield "networks not compiled", _trained(_step(plain)), _trained(_step(compiled))


def _first_layer(side: int) -> Iterator[tuple[str, Side, Side]]:
    """The encoder's first layer over all windows of an image: gathered, or as a convolution."""
    image, count = torch.rand(1, side, side), side - WINDOW + 1
    weight = torch.randn(256, WINDOW * WINDOW) / WINDOW
    kernels = weight.reshape(256, 1, WINDOW, WINDOW)
    starts = torch.cartesian_prod(torch.arange(1), *[torch.arange(count)] * 2)

    def gathered() -> Tensor:
        windows = (gather(image, part, (WINDOW, WINDOW)) for part in starts.split(1024))
        return torch.cat([linear(part.flatten(1), weight) for part in windows])

    def convolution() -> Tensor:
        return conv2d(image.unsqueeze(0), kernels).flatten(2).squeeze(0).T

    def transformed() -> Tensor:
        spectrum = torch.fft.rfft2(image).conj()
        found = [
            torch.fft.irfft2(
                (spectrum * torch.fft.rfft2(kernel, s=(side, side))).conj(), s=(side, side)
            )
            for kernel in kernels
        ]
        return torch.cat(found)[:, :count, :count].flatten(1).T

    torch.testing.assert_close(gathered(), convolution(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(gathered(), transformed(), rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        yield "first layer of gathered windows, not a convolution", gathered, convolution
        yield "first layer of gathered windows, not Fourier transforms", gathered, transformed


def _step(model: ShiftVAE) -> Side:
    """The loss of a batch of noise."""
    x = torch.rand(BATCH, WINDOW, WINDOW)
    return lambda: PatchELBO().terms(model.sample_model, model.sample_guide, x).objective.mean()


def _trained(work: Side) -> Side:
    """Forward and backward."""

    def both() -> Tensor:
        result = work()
        result.backward(torch.ones_like(result))
        return result

    return both

"""Chains of Pyro's NUTS and HMC, of many posteriors in step."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pyro.infer import HMC, MCMC, NUTS
from torch import Tensor

KERNELS = ("nuts", "hmc")
SHORTEST = 30  # warm-up that the kernels can still be adapted in
_NEAR = 0.3  # standard deviations to either side over which curvature is measured
# Ways double so often at most: six times as far as a standard Normal needs. An angle that nothing
# tells goes round and round, and would never be told to turn back.
_DEEPEST = 6
# Standard deviations along the frame's axes are taken as 1/100 to 5 times what was expected.
_FLATTEST, _STEEPEST = 0.2**2, 100.0**2

Density = Callable[[Tensor], Tensor]
"""Log density of vectors `row x element`: of each row, `row`."""
Told = Callable[[bool, float, float], None]
"""Is told at each step whether it is one of the warm-up, the step size and the acceptance."""


@dataclass(frozen=True)
class Chains:
    """Draws of several chains that ran in step.

    Args:
        vectors: `draw x row x element`.
        diverging: whether the way to a draw left the energy's surface, of all rows `draw`.
        acceptance: mean probability of acceptance.
        step_size: to which the kernel was adapted.
    """

    vectors: Tensor
    diverging: Tensor
    acceptance: float
    step_size: float


# The rows, which are chains of posteriors that have nothing to do with each other, are one vector
# for the kernel. So they share a step size and the ways' lengths, which in a space of so many
# dimensions are shorter and longer; but a pass through the networks costs as much for one row as
# for fifty, and the time is all theirs. Measured on glyphs of 28 x 28 with four latents: effective
# draws per second and patch of 16 rows 8 times those of one row after the other. Each row has a
# frame of its own, in which its posterior is about a standard Normal, so that none waits for the
# narrowest; and rows are few enough that one which is hard costs no more than its group.
def run(
    log_density: Density,
    start: Tensor,
    width: Tensor,
    kernel: str,
    draws: int,
    warmup: int,
    told: Told,
) -> Chains:
    """Run all rows, each from its start.

    A third of the warm-up leads to where the posteriors are, and there the frames are set anew.

    Args:
        log_density: of each row.
        start: `row x element`, double precision.
        width: about how wide the posteriors are, `row x element`.
        kernel: "nuts" or "hmc".
        draws: of each row, after the warm-up.
        warmup: steps in which the kernel is adapted.
        told: is told of each step.
    """
    frame = _frame(log_density, start, torch.diag_embed(width))
    ahead = warmup // 3
    first = _run(log_density, start, frame, kernel, 1, ahead - 1, told)
    start = first.vectors[-1]
    frame = _frame(log_density, start, frame)
    return _run(log_density, start, frame, kernel, draws, warmup - ahead, told)


def _run(
    log_density: Density,
    start: Tensor,
    frame: Tensor,
    kernel: str,
    draws: int,
    warmup: int,
    told: Told,
) -> Chains:
    """Run all rows in their frames."""

    def vectors(free: Tensor) -> Tensor:
        return start + (frame @ free.reshape(*free.shape[:-1], *start.shape, 1)).squeeze(-1)

    def energy(position: dict[str, Tensor]) -> Tensor:
        return -log_density(vectors(position["free"])).sum()

    last: dict[str, Any] = {}

    def hook(made: HMC, _: Any, stage: str, number: int) -> None:
        acceptance = float(made.logging()["acc. prob"])
        told(stage.startswith("Warmup"), made.step_size, acceptance)
        if not stage.startswith("Warmup") and number == draws - 1:
            last.update(made.diagnostics(), step_size=made.step_size, acceptance=acceptance)

    # A quarter of the period of a standard Normal: whence a draw depends least on the one before.
    made = HMC(potential_fn=energy, trajectory_length=math.pi / 2)
    if kernel == "nuts":
        made = NUTS(potential_fn=energy, max_tree_depth=_DEEPEST)
    begin = {"free": torch.zeros(start.numel(), dtype=start.dtype, device=start.device)}
    # One chain for Pyro, which would run several in processes, each with a copy of the model.
    chains = MCMC(
        made, draws, warmup, initial_params=begin, hook_fn=hook, disable_progbar=True
    )  # fmt: skip
    with torch.enable_grad():
        chains.run()
    diverging = torch.zeros(draws, dtype=torch.bool)
    diverging[last["divergences"]] = True
    found = vectors(chains.get_samples()["free"].detach())
    return Chains(found, diverging, last["acceptance"], last["step_size"])


def _frame(log_density: Density, at: Tensor, frame: Tensor) -> Tensor:
    """Axes along which each row's density falls off as that of a standard Normal, by its curvature.

    Args:
        log_density: of each row.
        at: where, `row x element`.
        frame: about these axes, `row x element x axis`.

    Returns:
        `row x element x axis`.
    """
    columns = []
    for step in (_NEAR * frame).unbind(-1):
        # Of differences: decoders that read a canvas off have no second derivative.
        slopes = [_slope(log_density, at + sign * step) for sign in (1, -1)]
        columns.append((slopes[1] - slopes[0]) / (2 * _NEAR))
    curvature = (frame.mT @ torch.stack(columns, -1)).nan_to_num(0.0, 0.0, 0.0)
    values, axes = torch.linalg.eigh((curvature + curvature.mT) / 2)
    widths = values.abs().clamp(_FLATTEST, _STEEPEST).rsqrt()
    return frame @ axes * widths.unsqueeze(-2)


def _slope(log_density: Density, at: Tensor) -> Tensor:
    with torch.enable_grad():
        at = at.detach().requires_grad_()
        return torch.autograd.grad(log_density(at).sum(), at)[0]

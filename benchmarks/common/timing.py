"""Clocks, read in turns, and what the machine is."""

import platform
from collections.abc import Callable
from importlib.metadata import version
from time import perf_counter
from typing import Any

import numpy as np
import torch

Record = dict[str, Any]  # one line of a table of times

PACKAGES = ("pyroshift", "torch", "pyro-ppl", "numpy")


def in_turns(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each side measures, taken in turns, so that a busy machine is busy for both.

    Args:
        sides: by name, what measures once and returns a number, such as seconds.
        rounds: how often, after one round to warm up.
    """
    found: dict[str, list[float]] = {name: [] for name in sides}
    for round_number in range(-1, rounds):
        for name, measure in sides.items():
            value = measure()
            if round_number >= 0:
                found[name].append(value)
    return found


def seconds(work: Callable[[], object], clock: Callable[[], float] = perf_counter) -> float:
    """How long something takes.

    Args:
        work: what to do.
        clock: `process_time` to count the processor's seconds, of all threads, and not the time
            that other processes had.
    """
    start = clock()
    work()
    return clock() - start


def fitted_exponent(sizes: list[float], values: list[float]) -> float:
    """The power of the size with which values grow, fitted to their logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def machine() -> str:
    """Versions, threads and processor, in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return (
        f"{versions}; Python {platform.python_version()}; {torch.get_num_threads()} thread(s); "
        f"{device}"
    )

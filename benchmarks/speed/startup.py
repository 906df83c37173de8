"""How long the package takes to say hello, and in how much memory.

    python -m benchmarks.speed.startup

With paths of checkouts as arguments (by default the one that this file is in) it compares them, as
of a revision before and after: `git worktree add /tmp/before REVISION`. Each start is a process of
its own, taken in turns; told are the processor's seconds and the peak memory, as medians, and as
multiples of what Python itself takes, since they depend on the machine.
"""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks.common import command

ROUNDS = 5
PYTHON, TORCH = "python -c pass", "python -c 'import torch'"
BESIDE = {PYTHON: ["-c", "pass"], TORCH: ["-c", "import torch"]}
STARTS = {
    "import pyroshift": ["-c", "import pyroshift"],
    "pyroshift --version": ["-m", "pyroshift", "--version"],
    "pyroshift --help": ["-m", "pyroshift", "--help"],
    "pyroshift fit --help": ["-m", "pyroshift", "fit", "--help"],
}


def start(arguments: list[str], checkout: Path) -> tuple[float, float]:
    """Processor's seconds and peak memory in MB of one run of Python."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, cwd=checkout, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments} failed in {checkout}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Measure every start in every checkout, and print a table."""
    checkouts = command.checkouts(command.parser("speed.startup", __doc__, seeds=()))
    sides = [(name, command.HERE) for name in BESIDE]
    sides += [(name, checkout) for checkout in checkouts for name in STARTS]
    found: dict[tuple[str, Path], list[tuple[float, float]]] = {side: [] for side in sides}
    # The peak memory of a process counts from its parent's: import nothing large in this one.
    for name, checkout in sides * ROUNDS:
        found[name, checkout].append(start((BESIDE | STARTS)[name], checkout))
    python = median(seconds for seconds, _ in found[PYTHON, command.HERE])
    print("| start | checkout | seconds | times Python's own | memory (MB) |")
    print("| --- | --- | --- | --- | --- |")
    for (name, checkout), runs in found.items():
        seconds, memory = (median(values) for values in zip(*runs, strict=True))
        label = "" if name in BESIDE else checkout.name
        print(f"| {name} | {label} | {seconds:.2f} | {seconds / python:.1f} | {memory:.0f} |")


if __name__ == "__main__":
    main()

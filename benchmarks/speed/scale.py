"""Time and memory against the number of patches, the window, the batch and the threads.

Every measurement is a process of its own, one after the other, so that none finds the memory or
the caches of another.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pyroshift
from benchmarks.common.timing import Record, fitted_exponent

WORKER = "benchmarks.speed.worker"
# Where a worker finds the benchmarks, and the package that this process measures.
PLACES = [Path(__file__).parents[2], Path(pyroshift.__file__).parents[1]]
STEP = 4


def patches(small: bool, threads: int) -> list[Record]:
    """From a thousand patches to a million, of windows of 32 pixels.

    The rate of each run is held against one of 10,000 patches made just before and just after, and
    as long, so that a busy machine is busy for both.
    """
    sides = (156, 428, 1292, 4096) if not small else (156, 428)
    rows = []
    for side in sides:
        job = {"side": side, "threads": threads, "epochs": _epochs(side)}
        small_job = {"side": 428, "threads": threads, "epochs": 10}
        before, found, after = (_run(each) for each in (small_job, job, small_job))
        for rate in ("trained_per_s", "encoded_per_s"):
            found[f"{rate}/10k"] = found[rate] / np.mean([before[rate], after[rate]])
        rows.append(found)
    return rows + _exponents(rows)


def windows(small: bool, threads: int) -> list[Record]:
    """Windows of 16 to 128 pixels, some 10,000 patches of each."""
    sizes = (16, 32, 64, 128) if not small else (16, 32)
    jobs = [{"side": 400 + size, "window": size, "threads": threads} for size in sizes]
    return [{"window": job["window"], **_run(job)} for job in jobs]


def batches(small: bool, threads: int) -> list[Record]:
    """Batches of 64 to 4096 patches."""
    sizes = (64, 256, 1024, 4096) if not small else (64, 256)
    jobs = [{"side": 828, "batch_size": size, "threads": threads} for size in sizes]
    return [{"batch_size": job["batch_size"], **_run(job)} for job in jobs]


def cores(small: bool, rounds: int = 3) -> list[Record]:
    """1, 2 and 4 threads, as far as there are cores, in turns."""
    counts = [count for count in (1, 2, 4) if count <= (os.cpu_count() or 1)]
    side = 428 if small else 828
    found: dict[int, list[Record]] = {count: [] for count in counts}
    for _ in range(rounds):
        for count in counts:
            found[count].append(_run({"side": side, "threads": count, "epochs": 2}))
    rows = []
    for count, runs in found.items():
        row = {"threads": count}
        for rate in ("trained_per_s", "encoded_per_s"):
            ratios = [run[rate] / alone[rate] for run, alone in zip(runs, found[1], strict=True)]
            row |= {rate: np.median([run[rate] for run in runs]), f"{rate}/1": np.median(ratios)}
        rows.append(row)
    return rows


def dense(small: bool, threads: int) -> list[Record]:
    """All windows of 32 pixels of an image of 1024, one at every pixel."""
    side = 128 if small else 1024
    found = _run({"side": side, "step": 1, "threads": threads, "encode_only": True})
    seconds = found["patches"] / found["encoded_per_s"]
    target = "" if small else "< 60"
    return [{"threads": threads, "seconds": seconds, "target": target, **found}]


def _epochs(side: int) -> int:
    """So many that a run goes through some 100,000 patches."""
    count = ((side - 32) // STEP + 1) ** 2
    return max(1, round(100_000 / count))


def _run(job: dict[str, Any]) -> Record:
    """What a process measures."""
    command = [sys.executable, "-m", WORKER, json.dumps({"window": 32, "step": STEP, **job})]
    threads = str(job["threads"])
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(map(str, PLACES)),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def _exponents(rows: Sequence[Record]) -> list[Record]:
    """By which powers of the number of patches time and memory grow, from 10,000 on."""
    many = [row for row in rows if row["patches"] >= 9_000]
    if len(many) < 2:
        return []
    counts = [row["patches"] for row in many]
    training = [row["patches"] / row["trained_per_s"] for row in many]
    encoding = [row["patches"] / row["encoded_per_s"] for row in many]
    memory = [row["peak_gb"] for row in many]
    return [
        {
            "patches": "fitted exponent",
            "trained_per_s": fitted_exponent(counts, training),
            "encoded_per_s": fitted_exponent(counts, encoding),
            "peak_gb": fitted_exponent(counts, memory),
        }
    ]

"""Trainings one by one in this process, or side by side in processes of their own."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

import torch

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def executor(workers: int) -> Iterator[Executor]:
    """Where to submit trainings; left early, those under way are stopped.

    Args:
        workers: number of processes, which share the cores; 1 for this process.

    Example:
        >>> with executor(1) as pool:
        ...     pool.submit(sum, [1, 2]).result()
        3
    """
    if workers == 1:
        yield _InProcess()
        return
    # Processes that start afresh, unlike forked ones, whose threads may hold locks for ever; and
    # unlike the standard library's they take functions defined in a notebook.
    from loky import ProcessPoolExecutor

    threads = max(1, available_cores() // workers)
    pool = ProcessPoolExecutor(
        workers,
        initializer=_start,
        initargs=(threads,),
        env=dict.fromkeys(_THREADS, str(threads)),
    )
    try:
        yield pool
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise
    pool.shutdown()


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _InProcess(Executor):
    """Runs what is submitted at once, here."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _start(threads: int) -> None:
    """In a new process: Ctrl-C is for the one that waits for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)

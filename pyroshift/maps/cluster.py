"""Work on a Dask cluster: a model that every worker gets once, and tasks that use it.

A model travels as the bytes that `save` writes, and each worker builds it once. What one worker
left undone, since it died, another one does; the scheduler sees to that.
"""

import ctypes
import importlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

import torch
from distributed import Client, Future, KilledWorker, as_completed
from distributed.comm.core import CommClosedError
from distributed.deploy.cluster import Cluster
from distributed.diagnostics.plugin import WorkerPlugin

from pyroshift._version import __version__
from pyroshift.errors import ClusterError, SpecificationError
from pyroshift.maps.storage import classes_of, from_bytes, to_bytes
from pyroshift.model.pair import PoseVAE

_TIMEOUT = "10s"  # of the scheduler's answer
_RETRIES = 2  # of a task that failed
_ASKED, _PAUSE = 5, 0.5  # times that workers are asked while some die, and seconds between
_AHEAD = 2  # tasks for each thread of the workers: one is done, and one waits
_WANTED = {"pyroshift": __version__, "torch": str(torch.__version__).split("+")[0]}
_HELD: dict[str, PoseVAE] = {}  # on a worker: the models that it was sent
_ALONE = threading.Lock()  # torch's random state and Pyro's handlers are the process's
# What Dask sets for its workers has them give back each array's memory at once. Arrays of a batch
# are made and dropped all the time, and mapping would take 2.3 times as long.
_TRIM = "MALLOC_TRIM_THRESHOLD_"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT, _WHOLE = 64 * 2**20, 32 * 2**20  # bytes: the most that glibc would come to by itself
_GLIBCS_WHOLE = 128 * 2**10  # where it starts


@contextmanager
def workers(client: Any, model: PoseVAE) -> Iterator["Workers"]:
    """The workers of a cluster, each of which holds a model for so long.

    Args:
        client: of `dask.distributed`, a cluster of it, or the address of a scheduler.
        model: what they hold, on the same kind of device.

    Raises:
        ClusterError: if no scheduler answers, or workers have no pyroshift or another version.
        SpecificationError: if the client is none, or the model can't be written down.
    """
    with _connected(client) as connected:
        _check_versions(connected)
        written, key = to_bytes(model), uuid.uuid4().hex
        classes = [cls for cls in classes_of(model) if cls.__module__.split(".")[0] != "pyroshift"]
        plugin = _Model(key, written, classes, model.device.type)
        _again(connected.register_plugin, plugin)
        try:
            yield Workers(connected, key)
        finally:
            if connected.status == "running":
                with suppress(OSError):  # those that die now forget it too
                    connected.unregister_worker_plugin(_name(key))


@contextmanager
def held(key: str) -> Iterator[PoseVAE]:
    """On a worker: the model that was sent, for one task at a time.

    Args:
        key: of the model.

    Raises:
        ClusterError: if this worker has none.
    """
    with _ALONE:
        if key not in _HELD:
            raise ClusterError(
                f"this worker, which has pyroshift {__version__}, could not load the model: its "
                "log says why"
            )
        yield _HELD[key]


class Workers:
    """Workers that hold a model.

    Args:
        client: of `dask.distributed`.
        key: of the model.
    """

    def __init__(self, client: Client, key: str) -> None:
        self.client, self.key = client, key

    def everywhere(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What a function gives on every worker that there is now, by the workers' addresses."""
        return _again(self.client.run, function, *arguments)

    def completed(
        self, task: Callable[..., Any], calls: Iterable[tuple[Any, tuple[Any, ...]]]
    ) -> Iterator[tuple[Any, Any]]:
        """What tasks give, in the order in which they are done; left early, the rest is dropped.

        Args:
            task: called on a worker with the model's key and the arguments of a call.
            calls: for each task a label and its arguments, asked for when there is room for it.

        Yields:
            The label, and what the task gave.

        Raises:
            ClusterError: if workers die again and again, or the scheduler does.
        """
        pending: dict[Future, Any] = {}
        done = as_completed(loop=self.client.loop)
        calls = iter(calls)
        try:
            while True:
                for label, arguments in islice(calls, self._room(len(pending))):
                    future = self.client.submit(
                        task, self.key, *arguments, pure=False, retries=_RETRIES
                    )
                    pending[future] = label
                    done.add(future)
                if not pending:
                    return
                future = next(done)
                result = _result(future)
                yield pending.pop(future), result
        finally:
            if pending and self.client.status == "running":
                self.client.cancel(list(pending))

    def read(self, array: Any) -> Any:
        """An array of Dask, to be read by the workers: a future of its values."""
        return self.client.compute(array, retries=_RETRIES)

    def _room(self, pending: int) -> int:
        """For how many more tasks there is room."""
        threads = sum(self.client.nthreads().values())
        return max(_AHEAD * max(threads, 1) - pending, 0)


class _Model(WorkerPlugin):
    """Has a worker hold a model, and those that join later too."""

    def __init__(self, key: str, written: bytes, classes: list[type], device: str) -> None:
        self.key, self.name = key, _name(key)
        self.written, self.classes, self.device = written, classes, device

    def setup(self, worker: Any) -> None:
        keep_freed_memory(True)
        _HELD[self.key] = from_bytes(self.written, classes=self.classes, device=self.device)

    def teardown(self, worker: Any) -> None:
        _HELD.pop(self.key, None)
        if not _HELD:
            keep_freed_memory(False)


def keep_freed_memory(kept: bool) -> None:
    """Have a worker of Dask keep some memory of arrays that are dropped, for those that follow.

    Args:
        kept: whether it does, or what Dask has set holds again.
    """
    if _TRIM not in os.environ:
        return
    with suppress(AttributeError, OSError, TypeError, ValueError):  # no glibc, or no number
        limit = ctypes.CDLL(None).mallopt
        limit(_M_MMAP_THRESHOLD, _WHOLE if kept else _GLIBCS_WHOLE)
        limit(_M_TRIM_THRESHOLD, _KEPT if kept else int(os.environ[_TRIM]))


def _again(call: Callable[..., Any], *arguments: Any) -> Any:
    """Ask all workers, once more where one dies meanwhile."""
    for _ in range(_ASKED):
        with suppress(CommClosedError):
            return call(*arguments)
        time.sleep(_PAUSE)
    return call(*arguments)


def _name(key: str) -> str:
    return f"pyroshift-{key}"


@contextmanager
def _connected(client: Any) -> Iterator[Client]:
    """A client; one that is made here is closed again."""
    if isinstance(client, Client):
        if client.asynchronous:
            raise SpecificationError("the client is asynchronous: give one that isn't")
        if client.status != "running":
            raise ClusterError(f"the client is {client.status}: make it anew")
        yield client
        return
    if not isinstance(client, str | Cluster):
        raise SpecificationError(
            "client must be a distributed.Client, or the address of a scheduler such as "
            f"tcp://host:8786; got {client!r}"
        )
    try:
        made = Client(client, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:  # the last of a protocol without a package
        raise ClusterError(
            f"no Dask scheduler answers at {client}: is it running there, and is the address that "
            f"which it tells at its start, such as tcp://host:8786? ({error})"
        ) from error
    with made:
        yield made


def _check_versions(client: Client) -> None:
    """Raise a ClusterError unless the workers have what this process has."""

    # Within a function, so that it travels as code: a worker without this package can't import it.
    def versions(names: list[str]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for name in names:
            try:
                found[name] = str(importlib.import_module(name).__version__).split("+")[0]
            except ImportError:
                found[name] = None
        return found

    for address, found in _again(client.run, versions, list(_WANTED)).items():
        for name, version in _WANTED.items():
            if found[name] is None:
                raise ClusterError(
                    f"the worker at {address} has no {name}: install {name} {version} there, or "
                    "start workers from the environment of this process"
                )
            if found[name] != version:
                raise ClusterError(
                    f"the worker at {address} has {name} {found[name]}, and this process "
                    f"{version}: install the same"
                )


def _result(future: Future) -> Any:
    """What a task gave."""
    try:
        return future.result()
    except KilledWorker as error:
        raise ClusterError(
            f"workers died again and again at the same task ({error}): give them more memory, or "
            "take smaller blocks (rows=...)"
        ) from error
    except CancelledError as error:
        raise ClusterError(
            "the scheduler is gone, or dropped the tasks: start it again, and call it with the "
            "same arguments"
        ) from error

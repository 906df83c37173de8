"""Several processes that train one model: each takes a share of every batch.

A batch's windows are shared out, gradients are summed over all processes, and every process makes
the same step. What is drawn for a window doesn't depend on how many processes there are: each draws
for the whole batch, and takes its share.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as torch_distributed
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pyroshift.errors import DataError, SpecificationError
from pyroshift.model.batch import Batch
from pyroshift.model.pair import PoseVAE
from pyroshift.model.whole import gathering
from pyroshift.training.history import EpochRecord
from pyroshift.training.run import Callback, Measured, Run
from pyroshift.training.totals import Totals

STRATEGIES = ("ddp",)
_PLATE = "patches"
_PATIENCE = timedelta(minutes=10)  # with a process that doesn't answer
_OF_VALUES = (torch.normal, torch.multinomial, torch.bernoulli, torch.poisson, torch.randn_like)
_OF_SHAPES = (torch.randn, torch.rand)
_IN_PLACE = (Tensor.normal_, Tensor.uniform_, Tensor.exponential_, Tensor.bernoulli_)


class Processes:
    """The processes that `torchrun` started, of which this is one."""

    def __init__(self) -> None:
        self.rank, self.size = torch_distributed.get_rank(), torch_distributed.get_world_size()

    def summed(self, values: Tensor) -> Tensor:
        """The sum of what all processes have."""
        torch_distributed.all_reduce(values)
        return values

    def agreed(self, value: float) -> bool:
        """Whether all processes have the same number."""
        both = torch.tensor([value, -value], dtype=torch.double)
        torch_distributed.all_reduce(both, torch_distributed.ReduceOp.MAX)
        return bool(both[0] == -both[1])

    def told(self, value: bool) -> bool:
        """What the first process has."""
        return bool(self.summed(torch.tensor(float(value and self.rank == 0))))

    def one_path(self, path: Path | None) -> Path | None:
        """A checkpoint's path, if all processes see the same there.

        Raises:
            SpecificationError: if some see a file, and others don't.
        """
        self.wait()  # until the first one has made way, where it does
        if not self.agreed(path is not None and path.exists()):
            raise SpecificationError(
                f"some processes see the checkpoint {path}, and others don't: give a path that is "
                "the same file on all machines"
            )
        return path

    def wait(self) -> None:
        """Wait until all are here."""
        torch_distributed.barrier()

    def share(self, count: int) -> slice:
        """Which of so many windows are this process's."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def whole(self, values: Tensor, count: int) -> Tensor:
        """Values of all windows of a batch of so many, of those that each process has."""
        result = values.new_zeros(count, *values.shape[1:])
        result[self.share(count)] = values
        if values.dtype == torch.bool:
            return self.summed(result.byte()).bool()
        return self.summed(result)


@contextmanager
def processes(strategy: str | None, model: PoseVAE) -> Iterator[Processes | None]:
    """The processes that train a model; None if it is this one alone.

    Raises:
        SpecificationError: if there is no such strategy, no `torchrun`, or the model's sites are
            drawn for a batch as a whole.
    """
    if strategy is None:
        yield None
        return
    if strategy not in STRATEGIES:
        raise SpecificationError(f"unknown strategy {strategy!r}: choose one of {STRATEGIES}")
    if tiled := [site.name for site in model.given_sites if site.tiled_by]:
        raise SpecificationError(
            f"site {tiled[0]!r} has a prior of neighbours, whose batches can't be shared out: "
            "train in one process, without strategy"
        )
    made = not torch_distributed.is_initialized()
    if made:
        if "RANK" not in os.environ:
            raise SpecificationError(
                f"strategy={strategy!r} is for several processes: start them by torchrun, such as "
                "torchrun --nproc-per-node 2 script.py"
            )
        backend = "nccl" if model.device.type == "cuda" else "gloo"
        torch_distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Processes()
    finally:
        if made:
            torch_distributed.destroy_process_group()


def own_device(device: torch.device | str | None, strategy: str | None) -> Any:
    """Where this process trains: of several GPUs, that of its number on this machine."""
    if strategy is not None and str(device) == "cuda":
        return f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    return device


def first_decides(group: Processes, callbacks: list[Callback]) -> list[Callback]:
    """Callbacks that are called in the first process alone, and stop all."""

    def called(model: PoseVAE, record: EpochRecord) -> bool:
        mine = group.rank == 0
        return group.told(mine and any([callback(model, record) for callback in callbacks]))

    return [called] if callbacks or group.size > 1 else []


class SharedRun(Run):
    """A run of which this process does a share."""

    def __init__(self, group: Processes, model: PoseVAE, patches: Any, *given: Any) -> None:
        self.group, self.count = group, 0
        self.totals = lambda: SharedTotals(group)
        if not group.agreed(len(patches)):
            raise DataError("processes have different numbers of patches: give all the same data")
        for value in model.state_dict().values():
            torch_distributed.broadcast(value, 0)
        super().__init__(model, patches, *given)
        if self.elbo is not None:
            raise SpecificationError(
                f"with strategy, {type(self.elbo).__name__} can't be trained: leave out elbo"
            )
        if not all(group.agreed(value) for value in self.statistics.values()):
            raise DataError("processes have different patches: give all the same data")

    @contextmanager
    def _shared(self, index: Tensor) -> Iterator[Tensor]:
        """Of the patches of a batch this process's, and what it needs to draw for them."""
        count, size = len(index), self.group.size
        if count < size:  # fewer than processes: all do the same
            self.count = count * size
            yield index
            return
        own, self.count = self.group.share(count), count
        with gathering(lambda values: self.group.whole(values, count)), _Share(own, count):
            yield index[own]

    def _step(self, index: Tensor, weights: dict[str, float]) -> Measured | None:
        with self._shared(index) as own:
            return super()._step(own, weights)

    def _gradients(self, x: Tensor | Batch, weights: dict[str, float]) -> Measured | None:
        with self._autocast():
            terms = self._terms(x, weights)
        loss = terms.objective.sum() / self.count
        if not math.isfinite(self.group.summed(loss.detach().clone()).item()):
            return None
        loss.backward()
        self._sum_gradients()
        return terms, None

    def _sum_gradients(self) -> None:
        """Leave the sums of all processes' gradients in the parameters."""
        parameters = [each for each in self.model.parameters() if each.requires_grad]
        given = [each.grad is not None for each in parameters]
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        told = parts[0].new_tensor(given)
        flat = self.group.summed(torch.cat([told, *(each.flatten() for each in parts)]))
        some, *sums = flat.split([len(parts), *(each.numel() for each in parts)])
        for each, total, by in zip(parameters, sums, some.tolist(), strict=True):
            if by:  # at least one process has a gradient
                each.grad = total.view_as(each)

    @torch.no_grad()
    def _validate(self, weights: dict[str, float]) -> float:
        if not len(self.validation):
            return math.nan
        totals = self.totals()
        for index in self.validation.split(self.options.batch_size):
            with self._shared(index) as own:
                totals.add(self._terms(self._gathered(own), weights), None)
        return totals.means()["loss"]


class SharedTotals(Totals):
    """Sums over the patches of all processes."""

    def __init__(self, group: Processes) -> None:
        super().__init__()
        self.group = group

    def means(self) -> dict[str, Any]:
        """Means per patch, of those of all processes."""
        sums = [float(self.count), float(self.log_likelihood), *map(float, self.kl.values())]
        count, log_likelihood, *kl = self.group.summed(torch.tensor(sums, dtype=torch.double))
        whole = Totals()
        whole.count, whole.log_likelihood = int(count), log_likelihood
        whole.kl = dict(zip(self.kl, kl, strict=True))
        return whole.means()


class _Share(Messenger):
    """Draws of each window what one process would: for the whole batch, of which it takes a share.

    Args:
        own: of the batch, what is this process's.
        count: windows in the batch.
    """

    def __init__(self, own: slice, count: int) -> None:
        super().__init__()
        self.draw = _WholeDraw(own, count)

    def _pyro_sample(self, msg: Any) -> None:
        local = any(frame.name == _PLATE for frame in msg["cond_indep_stack"])
        if local and not (msg["done"] or msg["is_observed"]):
            with self.draw:
                msg["value"] = msg["fn"](*msg["args"], **msg["kwargs"])
            msg["done"] = True


class _WholeDraw(TorchFunctionMode):
    """Torch's random functions, for a whole batch along the first axis instead of a share of it."""

    def __init__(self, own: slice, count: int) -> None:
        super().__init__()
        self.own, self.count = own, count

    def __torch_function__(
        self, func: Callable, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _OF_VALUES:
            return func(*map(self._padded, args), **kwargs)[self.own]
        if func in _OF_SHAPES:
            shape = tuple(args[0]) if isinstance(args[0], list | tuple) else args
            return func((self.count, *shape[1:]), **kwargs)[self.own]
        if func in _IN_PLACE:
            whole = func(args[0].new_empty(self.count, *args[0].shape[1:]), *args[1:], **kwargs)
            return args[0].copy_(whole[self.own])
        return func(*args, **kwargs)

    def _padded(self, value: Any) -> Any:
        """Values of a share as those of a batch, ones elsewhere."""
        if not isinstance(value, Tensor) or not value.ndim:
            return value
        whole = value.new_ones(self.count, *value.shape[1:])
        whole[self.own] = value
        return whole

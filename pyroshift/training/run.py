"""One training run: the loop, its numbers, and how it goes on from a checkpoint."""

import copy
import inspect
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn, Protocol, runtime_checkable

import pyro
import torch
from pyro.infer import ELBO
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from pyroshift.errors import DataError, ModelFileError, TrainingError
from pyroshift.model.batch import Batch, gathered, known_of
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import seed_all
from pyroshift.training.annealing import Schedule, settled_after, weights_at
from pyroshift.training.batches import Batches
from pyroshift.training.checkpoint import read_checkpoint, write_checkpoint
from pyroshift.training.elbo import EvidenceTerms, PatchELBO
from pyroshift.training.history import EpochRecord, History
from pyroshift.training.options import Options
from pyroshift.training.settings import check_schedules, settings_of
from pyroshift.training.totals import Totals

# An untrained model is shown so many patches before the first step, of large ones only so many
# values: to look at them takes some twenty times their memory.
_FIRST, _FIRST_VALUES = 4096, 2**23
_REVISED = 512  # patches by which a guide judges what it has found so far


@runtime_checkable
class Gatherable(Protocol):
    """Training data: anything with a length that gathers batches, such as `Patches`."""

    def __len__(self) -> int:
        """Number of patches."""

    def gather(self, index: Tensor) -> Tensor:
        """Some of the patches, `batch x height x width` or `batch x length`."""

    def to(self, device: torch.device) -> "Gatherable":
        """The same data on another device."""

    def statistics(self) -> dict[str, float]:
        """Their `minimum`, `maximum`, `mean` and `stddev`."""


Measured = tuple[EvidenceTerms, float | None]
"""The terms of the bound, and per patch the loss of another bound, where that is trained."""

Callback = Callable[[PoseVAE, EpochRecord], bool | None]
"""Called after each epoch with the model and what was measured; True stops the training."""


class Run:
    """One training run: the model, its data, its optimiser, and what was measured so far."""

    totals: Callable[[], Totals] = Totals

    def __init__(
        self,
        model: PoseVAE,
        patches: Gatherable,
        options: Options,
        annealing: dict[str, Schedule],
        optimizer: type[torch.optim.Optimizer],
        elbo: ELBO | None,
    ) -> None:
        self.model, self.patches, self.options = model, patches, options
        self.annealing, self.elbo = annealing, elbo
        self.training, self.validation = self._split()
        self.batches = Batches(model, patches, self.training, options.batch_size)
        self.settled = settled_after(annealing, options.epochs)
        tried = self._try_out()
        self.statistics = patches.statistics()
        untrained = not model.likelihood.prepared
        model.likelihood.prepare(**self.statistics)
        if untrained:
            model.trained_on = getattr(patches, "pixels", None)
            model.know(known_of(patches, self.training))
            count = min(_FIRST, _FIRST_VALUES // math.prod(model.shape))
            model.guide_module.start(model, self._gathered(self.training[: max(count, 1)]))
        # One pass over all parameters, where an optimiser has that.
        fused: Any = {"fused": True} if "fused" in inspect.signature(optimizer).parameters else {}
        self.optimizer = optimizer(model.parameters(), lr=options.learning_rate, **fused)  # type: ignore[call-arg]
        names = [site.name for site in model.sites]
        shared = [name for name in tried.kl if name not in names]
        bound = "negative ELBO" if elbo is None else f"loss of {type(elbo).__name__}"
        self.history = History([*names, *shared], bound)
        self.best: dict[str, Tensor] | None = None
        self.good = copy.deepcopy(model.state_dict())

    def _try_out(self) -> EvidenceTerms:
        """Evaluate two patches under Pyro's validation, before the long work starts."""
        self.model.eval()
        with torch.no_grad():
            return self._terms(self._gathered(self.training[:2]), 1.0)

    def train(self, progress: bool, callbacks: list[Callback], checkpoint: Path | None) -> str:
        """Train to the end; returns why it ended."""
        records, options = self.history.records, self.options
        batches = len(self.batches)
        stopped = "completed"
        # Checking every distribution at every step costs time, and the dry run has done it once.
        with (
            pyro.validation_enabled(False),
            tqdm(
                total=options.epochs * batches,
                initial=len(records) * batches,
                unit="batch",
                disable=not progress,
            ) as bar,
        ):
            try:
                while stopped == "completed" and len(records) < options.epochs:
                    if self._patience_is_over():
                        stopped = "patience"
                        break
                    records.append(self._epoch(len(records), bar))
                    self._keep_best()
                    if checkpoint is not None:
                        write_checkpoint(checkpoint, self._settings, records, self._state())
                    if any([callback(self.model, records[-1]) for callback in callbacks]):
                        stopped = "callback"
            except KeyboardInterrupt:
                if progress:
                    bar.write(
                        f"interrupted after {len(records)} epochs: the model is kept as it is"
                    )
                return "interrupted"
        if self.best is not None:
            self.model.load_state_dict(self.best)
        return stopped

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ModelFileError: if it is damaged, or from a different run.
        """
        self.history.records, state = read_checkpoint(checkpoint, self._settings)
        check_schedules(checkpoint, self.history.records, self.annealing, self.options)
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.best = state["best"]
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError(
                f"the checkpoint {checkpoint} does not fit the model: {error}"
            ) from error

    def _split(self) -> tuple[Tensor, Tensor]:
        """Indices of the patches to train on, and of those held out."""
        count, fraction = len(self.patches), self.options.validation_fraction
        held_out = round(fraction * count)
        if fraction > 0 and not 0 < held_out < count:
            raise DataError(
                f"validation_fraction={fraction} of {count} patches leaves {held_out} to validate "
                f"and {count - held_out} to train: both need at least one"
            )
        generator = torch.Generator().manual_seed(self.options.seed)
        order = torch.randperm(count, generator=generator)
        return order[held_out:], order[:held_out]

    def _epoch(self, epoch: int, bar: tqdm) -> EpochRecord:
        """One pass over the training patches, then one over those held out."""
        # All randomness of an epoch follows from the seed and the epoch's number, so that a run
        # goes on from a checkpoint exactly.
        seed_all(self.options.seed * 1_000_003 + epoch)
        weights = weights_at(self.annealing, epoch)
        rate = self.options.rate(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._revise(epoch)
        before = copy.deepcopy(self.model.state_dict())
        bar.set_description(f"epoch {epoch + 1}/{self.options.epochs}")
        self.model.train()
        totals = self.totals()
        for number, index in enumerate(self.batches.of(epoch), start=1):
            terms = self._step(index, weights)
            if terms is None:
                self._give_up(epoch, f"batch {number}", weights)
            self.good = before  # weights are known to be good once a loss came of them
            totals.add(*terms)
            bar.update()
            if number % 10 == 0:
                bar.set_postfix_str(totals.describe(), refresh=False)
        self.model.eval()
        record = EpochRecord(
            **totals.means(),
            kl_scale=dict.fromkeys(self.history.sites, 1.0) | weights,
            validation_loss=self._validate(weights),
            learning_rate=rate,
            epoch=epoch + 1,
        )
        if len(self.validation) and not math.isfinite(record.validation_loss):
            self._give_up(epoch, "the validation", weights)
        bar.set_postfix_str(totals.describe())
        return record

    def _revise(self, epoch: int) -> None:
        """Let the guide move classes, before the 2nd, 3rd, 5th, 9th ... epoch."""
        if self.model.classes and epoch > 0 and epoch & (epoch - 1) == 0:
            self.model.eval()
            some = self._gathered(self.training[:_REVISED])
            self.model.guide_module.revise(self.model, some)

    def _step(self, index: Tensor, weights: dict[str, float]) -> Measured | None:
        """One step of the optimiser; None, and no step, if the loss is no longer a number."""
        x = self._gathered(index)
        self.optimizer.zero_grad()
        measured = self._gradients(x, weights)
        if measured is None:
            return None
        limit = self.options.clip_norm or math.inf
        norm = clip_grad_norm_(self.model.parameters(), limit)
        if not math.isfinite(norm.item()):
            return None
        self.optimizer.step()
        return measured

    def _gradients(self, x: Tensor | Batch, weights: dict[str, float]) -> Measured | None:
        """Leave the gradients of the loss per patch in the parameters."""
        with torch.set_grad_enabled(self.elbo is None), self._autocast():
            terms = self._terms(x, weights)
        loss = terms.objective.mean()
        if not math.isfinite(loss.item()):
            return None  # before the gradient: positions that are no numbers crash torch there
        if self.elbo is None:
            loss.backward()
            return terms, None
        trained = self._other(self.elbo.loss_and_grads, x, weights)  # type: ignore[attr-defined]
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad /= len(self.training)
        if any(weight != 1 for weight in weights.values()):
            trained = self._other(self.elbo.loss, x, 1.0)  # type: ignore[attr-defined]
        return (terms, trained) if math.isfinite(trained) else None

    def _other(
        self, evaluate: Callable, x: Tensor | Batch, weights: dict[str, float] | float
    ) -> float:
        """What a bound of Pyro's own is per patch."""
        # It looks for parameters in the store, so it gets one of its own.
        with pyro.get_param_store().scope(), self._autocast():
            total = len(self.training)
            model, guide = self.model.model, self.model.guide
            return float(evaluate(model, guide, x, kl_weight=weights, total=total)) / total

    def _gathered(self, index: Tensor) -> Tensor | Batch:
        """Some of the patches, and what is known of them."""
        return gathered(self.patches, index)

    def _autocast(self) -> torch.autocast:
        """Half precision for the networks' products, where it was asked for."""
        half = self.options.precision == "bfloat16"
        return torch.autocast(self.model.device.type, torch.bfloat16, enabled=half)

    def _terms(self, x: Tensor | Batch, weights: dict[str, float] | float) -> EvidenceTerms:
        return PatchELBO().terms(
            self.model.sample_model,
            self.model.sample_guide,
            x,
            weights,
            total=len(self.training),
        )

    @torch.no_grad()
    def _validate(self, weights: dict[str, float]) -> float:
        """Negative ELBO of the patches held out; NaN where there are none."""
        if not len(self.validation):
            return math.nan
        totals = Totals()
        for index in self.validation.split(self.options.batch_size):
            x = self._gathered(index)
            other = None if self.elbo is None else self._other(self.elbo.loss, x, 1.0)  # type: ignore[attr-defined]
            totals.add(self._terms(x, weights), other)
        return totals.means()["loss"]

    def _keep_best(self) -> None:
        """Keep a copy of the weights if they are the best so far, where that will matter."""
        if self.options.patience is not None and self._epochs_since_best() == 0:
            self.best = copy.deepcopy(self.model.state_dict())

    def _epochs_since_best(self) -> int:
        """Epochs since the lowest validation loss; 0 while the KL weights are still moving."""
        losses = [record.validation_loss for record in self.history.records[self.settled :]]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def _patience_is_over(self) -> bool:
        patience = self.options.patience
        return patience is not None and self._epochs_since_best() >= patience

    @cached_property
    def _settings(self) -> dict[str, Any]:
        given = (self.model, self.patches, self.statistics, self.options)
        return settings_of(*given, self.annealing, self.elbo, self.optimizer)

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
        }

    def _give_up(self, epoch: int, where: str, weights: dict[str, float]) -> NoReturn:
        """Put the last good weights back, and say what may have gone wrong."""
        self.model.load_state_dict(self.good)
        raise TrainingError(
            f"the loss is no longer a finite number in epoch {epoch + 1}, {where}; the model has "
            "the last weights from which a whole epoch could start. Likely causes: a learning rate "
            f"that is too high (it is {self.options.rate(epoch):.3g}: try a tenth of it), KL "
            f"weights that are too large ({weights}), outliers in the data (check their range, or "
            "clip them), or a prior whose support the guide's samples can leave"
        )

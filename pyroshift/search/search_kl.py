"""`search_kl`: the KL weights, and more, that make latent maps physical."""

import dataclasses
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from pyroshift.data.blocks import digest
from pyroshift.errors import SpecificationError, TrainingError
from pyroshift.extras import check_installed
from pyroshift.maps import storage
from pyroshift.model.pair import PoseVAE
from pyroshift.model.vae import ShiftVAE
from pyroshift.search.records import Records, assembled
from pyroshift.search.space import WINDOW, Space, build_space
from pyroshift.search.study import Study
from pyroshift.search.training import Score, Trainer, build_trainer, physical_smoothness
from pyroshift.search.workers import available_cores, executor

if TYPE_CHECKING:
    from optuna.trial import Trial

WEIGHTS = tuple(float(f"{weight:.2g}") for weight in np.geomspace(0.1, 10.0, 6))


def search_kl(
    image: Any,
    window: int | Sequence[int] | None = None,
    step: int | Sequence[int] | None = None,
    *,
    model: Callable[..., PoseVAE] = ShiftVAE,
    initial: Sequence[float] = WEIGHTS,
    final: Sequence[float] = WEIGHTS,
    vary: Mapping[str, Sequence[Any]] | None = None,
    trainings: int | None = None,
    epochs: int = 20,
    annealing_epochs: int | None = None,
    validation_fraction: float = 0.1,
    normalize: str | Sequence[float] | None = "patch",
    min_valid: float = 0.5,
    overlap: str | None = None,
    score: Score = physical_smoothness,
    folder: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    seed: int = 0,
    progress: bool = True,
    **fitting: Any,
) -> xr.Dataset:
    """Latent maps over initial and final KL weights, and which of them are physical.

    An order parameter changes slowly from one unit cell to the next. So of many trainings, alike
    but for the KL weights, the best is the one whose latent map is smoothest. All points of the
    grid are trained, or only so many, each where a Gaussian process expects the best score from
    those before (Bayesian optimisation, by Optuna).

    With a folder, every finished training is kept there, and the same call goes on after Ctrl-C
    or a crash, with more `trainings` too. Ctrl-C returns what there is, with a warning. Needs the
    extra `search`.

    Args:
        image: `height x width` or `frame x height x width`, with channels too, as for
            `extract_patches`.
        window: height and width of the windows in pixels; None if `vary` has them.
        step: pixels between windows; by default half of the (smallest) window.
        model: gives a model when called with the window, what is varied, and `seed`: a class, or
            `functools.partial(ShiftVAE, latent_dim=3)`.
        initial: KL weights of the first epoch, of all sites; by default six from 0.1 to 10.
        final: KL weights after annealing.
        vary: other settings to search, by name, each with its values, numbers or words: what
            `model` takes, as in `{"decoder": ["canvas", "spatial"], "offset_scale": [0.2, 0.4]}`,
            and `window`. Windows of all sizes get the same centres, so that maps can be compared.
        trainings: how many at most, chosen by Bayesian optimisation; by default the whole grid.
        epochs: of each training.
        annealing_epochs: in how many the weight goes from `initial` to `final`; by default half.
        validation_fraction: share of the windows held out for `bound`. They overlap with others.
        normalize: as for `extract_patches`.
        min_valid: likewise.
        overlap: likewise; the bound is then per pixel that counts.
        score: what to maximise, from the Dataset of `encode` to a number; by default the smoothness
            of the smoothest latent that isn't collapsed, as in the paper.
        folder: for the journal, the maps and the models.
        overwrite: whether to replace a search that is in the folder, instead of going on with it.
        workers: processes, which share the cores; by default as many as cores. The maps at a
            point don't depend on it but for rounding; which points are chosen does.
        seed: of weights, training and choice.
        progress: whether to show a progress bar.
        fitting: what else `fit` takes, such as `batch_size`.

    Returns:
        Over `initial`, `final` and what is varied: `score`; `smoothness` per `latent`; `bound`, the
        held-out ELBO at weight 1, nats per pixel; `seconds`, the processor's; `training`, the
        number in the folder; and all maps of `encode` but standard deviations. NaN where nothing
        was trained, or where the loss didn't stay finite. Attributes: `best_initial`, `best_final`
        and so on, for `found.sel(...)`, and `best_model`, a file for `load`.

    Raises:
        DataError: if windows don't fit the image, or give maps of less than 8 x 8.
        SpecificationError: if some setting can't work, or the folder holds another search.
        FileExistsError: if the folder holds results but no journal.
        TrainingError: if no training's loss stays finite.
        ImportError: if the extra isn't installed.
        KeyboardInterrupt: if Ctrl-C comes before any training is done.

    Source:
        Figure 8 of Ziatdinov, Wong and Kalinin, "Finding simplicity" (2023), which leaves Bayesian
        optimisation to the future.

    Example:
        >>> from pyroshift import synthetic
        >>> image = synthetic.lattice_image((64, 64)).image
        >>> options = {"epochs": 1, "workers": 1, "progress": False}
        >>> found = search_kl(image, 16, 6, initial=[0.1, 1], final=[1, 10], **options)
        >>> dict(found.score.sizes), found.z.dims
        ({'initial': 2, 'final': 2}, ('initial', 'final', 'y', 'x', 'latent'))
    """
    check_installed("optuna", "loky", extra="search", what="search_kl")
    _check_counts(trainings=trainings, epochs=epochs, workers=workers)
    space = build_space(initial, final, vary)
    trainer = build_trainer(
        image, window, step, space.axes.get(WINDOW), normalize=normalize, min_valid=min_valid,
        overlap=overlap, model=model, score=score,
        annealing_epochs=epochs // 2 if annealing_epochs is None else annealing_epochs, seed=seed,
        fitting={"epochs": epochs, "validation_fraction": validation_fraction, **fitting},
    )  # fmt: skip
    trainer.check(space)
    identity = {} if folder is None else _identity(trainer, space)
    records = Records(None if folder is None else Path(folder), overwrite)
    study = Study(space, records.folder, seed, identity)
    search = _Search(study, trainer, records, min(trainings or len(space), len(space)))
    try:
        search.run(min(workers or available_cores(), search.trainings), progress)
    except KeyboardInterrupt:
        if not (done := len(study.settled())):
            raise
        goes_on = "" if folder is None else "; the same call goes on from there"
        warnings.warn(
            f"the search was interrupted after {done} of {search.trainings} trainings{goes_on}",
            stacklevel=2,
        )
    return assembled(space, records.read_all(study.settled()), records.folder)


@dataclasses.dataclass
class _Search:
    """Trainings until there are enough."""

    study: Study
    trainer: Trainer
    records: Records
    trainings: int

    def run(self, workers: int, progress: bool) -> None:
        """Train at one point after another, in so many processes."""
        settled = len(self.study.settled())
        bar = tqdm(
            total=self.trainings, initial=min(settled, self.trainings), disable=not progress,
            desc="search", unit="training",
        )  # fmt: skip
        under_way: dict[Future[xr.Dataset], Trial] = {}
        with bar, executor(workers) as pool:
            while True:
                while len(under_way) < workers and (trial := self._next(len(under_way))):
                    settings, path = self._settings(trial), self.records.model(trial.number)
                    under_way[pool.submit(self.trainer, settings, path)] = trial
                if not under_way:
                    return
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    bar.set_postfix_str(self._finish(under_way.pop(future), future))
                    bar.update()

    def _next(self, under_way: int) -> "Trial | None":
        if len(self.study.settled()) + under_way >= self.trainings:
            return None
        return self.study.next(expected=self.trainings < len(self.study.space))

    def _settings(self, trial: "Trial") -> dict[str, Any]:
        return self.study.space.settings(self.study.point(trial))

    def _finish(self, trial: "Trial", future: Future[xr.Dataset]) -> str:
        """Keep what a training found, and tell it in short."""
        try:
            found = future.result()
        except TrainingError as error:
            message = f"the training at {self._settings(trial)} failed: {error}"
            warnings.warn(message, stacklevel=5)
            self.study.finish(trial, math.nan)
            return "failed"
        self.records.write(trial.number, found)
        self.study.finish(trial, float(found.score))
        return f"score {float(found.score):.3f}, bound {float(found.bound):.3f}"


def _identity(trainer: Trainer, space: Space) -> dict[str, str]:
    """What must be the same for a search to be gone on with."""
    model = trainer.build(space.settings(next(iter(space))))
    return {
        "image": digest([trainer.image.values]),
        "weights and settings": json.dumps(space.labels()),
        "window": str(trainer.window),
        "step": str(trainer.step),
        "normalize": str(trainer.normalize),
        "min_valid": str(trainer.min_valid),
        **({} if trainer.overlap is None else {"overlap": trainer.overlap}),
        "model": storage.content(model)["specification"],
        "score": getattr(trainer.score, "__qualname__", repr(trainer.score)),
        "annealing epochs": str(trainer.annealing_epochs),
        "options of fit": json.dumps(dict(trainer.fitting), default=repr, sort_keys=True),
        "seed": str(trainer.seed),
    }


def _check_counts(**counts: Any) -> None:
    for name, count in counts.items():
        whole = isinstance(count, Integral) and not isinstance(count, bool)
        if count is not None and not (whole and count >= 1):
            raise SpecificationError(f"{name} must be a whole number of at least 1, got {count!r}")

"""Which point of a search to train at next, and which are done: a study of Optuna's."""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyroshift.errors import SpecificationError
from pyroshift.search.space import Point, Space

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

JOURNAL = "search.journal"
STARTUP = 4  # points before the Gaussian process has anything to go by
_IDENTITY, _SETTLED = "search", "settled"


class Study:
    """The trials of a search, kept in a journal that a killed one goes on from.

    Point by point in order; or first at a few points of a Latin hypercube, and then where a
    Gaussian process expects most of the score. Weights and other numbers are neighbours in the
    order in which they are listed; words are alike far apart.

    Args:
        space: what is searched.
        folder: of the journal; None to keep it in memory.
        seed: of the random numbers.
        identity: what must be the same to go on with a journal, by name.

    Raises:
        SpecificationError: if the folder holds another search.
    """

    def __init__(
        self, space: Space, folder: Path | None, seed: int, identity: Mapping[str, str]
    ) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

        self.space, self.seed = space, seed
        storage = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            path = str(folder / JOURNAL)
            # A lock that a killed process has left is taken over after so many seconds.
            backend = JournalFileBackend(path, JournalFileSymlinkLock(path, grace_period=3))
            storage = optuna.storages.JournalStorage(backend)
        with _quiet():
            self.study: OptunaStudy = optuna.create_study(
                study_name="search", direction="maximize", storage=storage, load_if_exists=True
            )
        self._check_identity(dict(identity), folder)
        for trial in self._trials("RUNNING"):  # of a search that was killed
            self._fail(trial)
        while self._trials("WAITING"):  # one killed earlier yet, which must begin to be ended
            self._fail(self.study.ask())

    def settled(self) -> dict[Point, int]:
        """The points that are done, with the number of the trial of each."""
        trials = [
            trial
            for trial in self._trials("COMPLETE", "FAIL")
            if trial.user_attrs.get(_SETTLED, False)
        ]
        return {self.point(trial): trial.number for trial in trials}

    def point(self, trial: "FrozenTrial | Trial") -> Point:
        """Where a trial is."""
        return tuple(trial.params[name] for name in self.space.axes)

    def next(self, expected: bool) -> "Trial | None":
        """The next trial, which isn't settled nor under way; None if all are.

        Args:
            expected: whether to take it where the Gaussian process expects most, not in order.
        """
        taken = {*self.settled(), *map(self.point, self._trials("RUNNING"))}
        left = [point for point in self.space if point not in taken]
        if not left:
            return None
        if not expected:
            return self._ask_at(left[0])
        if first := [point for point in self._spread() if point not in taken]:
            return self._ask_at(first[0])
        trial = self._ask()
        wanted = self.point(trial)
        if wanted not in taken:
            return trial
        # The process may ask for a point once more, where a training would find nothing new.
        self._fail(trial)
        distance = np.abs(np.array(left) - wanted).sum(1)
        return self._ask_at(left[int(distance.argmin())])

    def finish(self, trial: "Trial", score: float) -> None:
        """Note a trial's score; one that is no number keeps its point from being tried again."""
        trial.set_user_attr(_SETTLED, True)
        if math.isfinite(score):
            self.study.tell(trial, score)
        else:
            self._fail(trial)

    def _spread(self) -> list[Point]:
        """The first points: along each axis, values from end to end in any order."""
        rng = np.random.default_rng(self.seed)
        levels = [
            np.linspace(0, size - 1, STARTUP).round().astype(int) for size in self.space.shape
        ]
        return list(zip(*(rng.permutation(level).tolist() for level in levels), strict=True))

    def _ask_at(self, point: Point) -> "Trial":
        parameters = dict(zip(self.space.axes, point, strict=True))
        self.study.enqueue_trial(parameters)
        return self._ask()

    def _ask(self) -> "Trial":
        """A trial where the sampler has it, or that was enqueued."""
        from optuna.samplers import GPSampler

        # A seed for each trial, so that a search that goes on draws as one that never stopped.
        seed = self.seed + len(self.study.get_trials(deepcopy=False))
        with _quiet():
            self.study.sampler = GPSampler(seed=seed, n_startup_trials=STARTUP)
            return self.study.ask(
                {name: _distribution(values) for name, values in self.space.axes.items()}
            )

    def _fail(self, trial: "Trial | FrozenTrial") -> None:
        """End a trial without a score; unless it is settled, its point may be tried again."""
        from optuna.trial import TrialState

        # One that was killed while it ended may be settled by now.
        self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _trials(self, *states: str) -> "list[FrozenTrial]":
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=[TrialState[name] for name in states])

    def _check_identity(self, identity: dict[str, str], folder: Path | None) -> None:
        known = self.study.user_attrs.get(_IDENTITY)
        if known is None:
            self.study.set_user_attr(_IDENTITY, identity)
            return
        if changed := [name for name in identity if identity[name] != known.get(name)]:
            raise SpecificationError(
                f"{folder} holds a search that differs in {', '.join(changed)}: go on with it as "
                "it was, or choose another folder"
            )


def _distribution(values: tuple[Any, ...]) -> "BaseDistribution":
    """Where along an axis, by index: numbers in their order, words without any."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if any(isinstance(value, str | bool) for value in values):
        return CategoricalDistribution(list(range(len(values))))
    return IntDistribution(0, len(values) - 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without its log of studies, trials and locks: the progress bar tells enough.

    Before version 5 it also warns that its Gaussian process is experimental, and of a lock that is
    taken over from a killed process, which is logged since.
    """
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", "The existing lock file", UserWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)

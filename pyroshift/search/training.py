"""One training of a search: from the image and a point's settings to maps and their scores."""

import copy
import inspect
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.smoothness import smoothness
from pyroshift.data.checks import as_image
from pyroshift.data.patches import Patches, extract_patches
from pyroshift.errors import DataError, LatentWarning, SpecificationError, TrainingWarning
from pyroshift.maps import storage
from pyroshift.maps.encode import check_fit, encode
from pyroshift.model.batch import power_of
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import as_window
from pyroshift.model.sites import CONTENT
from pyroshift.search.space import FINAL, INITIAL, WINDOW, Space
from pyroshift.training.annealing import KLAnnealing, warn_if_unfinished
from pyroshift.training.fit import fit

ACTIVE = 0.01  # variance of a latent's posterior means; the prior's is 1 (Burda and others, 2016)

_WEIGHTS = (INITIAL, FINAL)
Score = Callable[[xr.Dataset], float]
"""From the Dataset of `encode` to a number, the greater the better."""


def physical_smoothness(maps: xr.Dataset) -> float:
    """The paper's score of a model: the smoothness of its smoothest latent map.

    Latents that are collapsed, whose posterior means vary by less than 0.01 (the prior's variance
    is 1), don't count: what little varies in them may be as smooth as it likes.

    Args:
        maps: from `encode`, on a grid.

    Returns:
        From 0 to 1; 0 where all latents are collapsed.

    Source:
        Figure 8 of Ziatdinov, Wong and Kalinin, "Finding simplicity" (2023). Active latents: Burda,
        Grosse and Salakhutdinov, "Importance weighted autoencoders" (2016).

    Example:
        >>> slow, fast = np.indices((60, 60)) / 8.0
        >>> z = np.stack([np.sin(slow), np.sin(9 * fast)], -1)
        >>> round(physical_smoothness(xr.Dataset({"z": (("y", "x", "latent"), z)})), 2)
        1.0
    """
    z = maps[CONTENT]
    active = z.var([name for name in z.dims if name != "latent"]) > ACTIVE
    shares = _per_latent(maps).where(active)
    return 0.0 if bool(shares.isnull().all()) else float(shares.max())


@dataclass(frozen=True)
class Trainer:
    """All that the trainings of a search have in common.

    Args:
        image: `height x width`, or a stack of them, with channels or without.
        window: of all trainings, unless it is varied.
        step: pixels between windows.
        normalize: as for `extract_patches`.
        min_valid: likewise.
        overlap: likewise.
        model: called with the window, the settings that are varied, and `seed`; gives the model.
        score: of the maps.
        annealing_epochs: in how many the KL weight goes from `initial` to `final`.
        fitting: what else `fit` takes.
        seed: of the weights and of the training.
        largest: the largest window's sides; the centres of all windows are those of its.
    """

    image: xr.DataArray
    window: tuple[int, ...] | None
    step: int | Sequence[int]
    normalize: str | Sequence[float] | None
    min_valid: float
    overlap: str | None
    model: Callable[..., PoseVAE]
    score: Score
    annealing_epochs: int
    fitting: Mapping[str, Any]
    seed: int
    largest: tuple[int, ...]

    def build(self, settings: Mapping[str, Any]) -> PoseVAE:
        """The model at some settings, before training.

        Raises:
            SpecificationError: if there is none.
        """
        chosen = {
            name: value for name, value in settings.items() if name not in (*_WEIGHTS, WINDOW)
        }
        # Parts bound to the model, such as an encoder, must not go from one training to the next.
        model = copy.deepcopy(self.model)
        try:
            return model(self._window(settings), seed=self.seed, **chosen)
        except TypeError as error:
            raise SpecificationError(f"no model can be built with {chosen}: {error}") from error

    def check(self, space: Space) -> None:
        """Raise an error, before the work starts, if some setting can't work."""
        widest = KLAnnealing(
            min(space.axes[INITIAL]), max(space.axes[FINAL]), self.annealing_epochs
        )
        warn_if_unfinished({"all sites": widest}, self.fitting["epochs"])
        # What models and windows depend on; the weights are checked.
        axes = {name: values for name, values in space.axes.items() if name not in _WEIGHTS}
        built = Space(axes)
        for settings in map(built.settings, built.along_axes()):
            patches = self._cut(settings)
            check_fit(self.build(settings), patches)
            smoothness(xr.DataArray(np.zeros(tuple(patches.layout.values())), dims=patches.layout))

    def __call__(self, settings: Mapping[str, Any], model_path: Path | None) -> xr.Dataset:
        """Train, map and score.

        Args:
            settings: by name: KL weights, and what else is varied.
            model_path: where to save the model, if anywhere.

        Returns:
            The maps from `encode` without standard deviations; `smoothness` of each latent;
            `score`; `bound`, the held-out ELBO in nats per pixel; `seconds`, the processor's.

        Raises:
            TrainingError: if the loss is no longer a number.
            KeyboardInterrupt: if the training was stopped by it.
        """
        started = time.process_time()
        model = self.build(settings)
        kl = KLAnnealing(settings[INITIAL], settings[FINAL], self.annealing_epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LatentWarning)  # that some collapse is why one searches
            warnings.simplefilter("ignore", TrainingWarning)  # which `check` has told
            warnings.filterwarnings("ignore", ".* windows are left out")  # which `check` has told
            patches = self._cut(settings)
            history = fit(model, patches, kl=kl, seed=self.seed, progress=False, **self.fitting)
        if history.attrs["stopped"] == "interrupted":
            raise KeyboardInterrupt
        maps = encode(model, patches)
        if model_path is not None:
            storage.save(model, model_path)
        pixels = math.prod(model.shape)
        scores = {
            "smoothness": _per_latent(maps),
            "score": float(self.score(maps)),
            "bound": -float(history.validation_loss[-1]) / (power_of(patches) * pixels),
            "seconds": time.process_time() - started,
        }
        means = maps.drop_vars([name for name in maps.data_vars if str(name).endswith("_std")])
        return means.assign(scores)

    def _window(self, settings: Mapping[str, Any]) -> tuple[int, ...]:
        return self.window or as_window(settings[WINDOW])

    def _cut(self, settings: Mapping[str, Any]) -> Patches:
        """The windows, from an image cropped so that they have the largest ones' centres."""
        window, cropped = self._window(settings), self.image
        for dim, side, largest in zip(self.image.dims[-2:], window, self.largest, strict=True):
            before = (largest - side) // 2
            length = self.image.sizes[dim] - (largest - side)
            cropped = cropped.isel({dim: slice(before, before + length)})
        return extract_patches(
            cropped, window, self.step, self.normalize, min_valid=self.min_valid,
            overlap=self.overlap,
        )  # fmt: skip


def build_trainer(
    image: Any,
    window: int | Sequence[int] | None,
    step: int | Sequence[int] | None,
    windows: Sequence[Any] | None,
    fitting: Mapping[str, Any],
    **common: Any,
) -> Trainer:
    """What a search's trainings have in common, from what `search_kl` was given.

    Args:
        image: as `extract_patches` takes it.
        window: of all trainings; None if windows are varied.
        step: by default half of the smallest window.
        windows: to vary.
        fitting: options of `fit`.
        common: what else a `Trainer` has.

    Raises:
        DataError: if the image is none.
        SpecificationError: if not just one of `window` and `windows` is given, or `fit` has no
            such option.
    """
    if (window is None) == (windows is None):
        raise SpecificationError(
            "give one window for all trainings, or some to vary: search_kl(image, 40) or "
            'search_kl(image, vary={"window": [28, 40]})'
        )
    if unknown := set(fitting) - (set(inspect.signature(fit).parameters) - _OURS):
        raise SpecificationError(f"{sorted(unknown)} can't be passed on: `fit` has no such option")
    sizes: Sequence[Any] = [window] if windows is None else windows
    sides = [as_window(size) for size in sizes]
    if any(len(side) != 2 for side in sides):
        raise DataError(f"windows of images have a height and a width, got {sides}")
    labelled = as_image(image, channels=True)
    return Trainer(
        image=labelled,
        window=None if window is None else as_window(window),
        step=min(min(side) for side in sides) // 2 if step is None else step,
        largest=tuple(max(lengths) for lengths in zip(*sides, strict=True)),
        fitting=fitting,
        **common,
    )


_OURS = {"model", "patches", "kl", "seed", "progress", "checkpoint"}  # options of `fit`


def _per_latent(maps: xr.Dataset) -> xr.DataArray:
    """Smoothness of each latent; of a stack, the mean over its frames."""
    shares = xr.DataArray(smoothness(maps[CONTENT]))
    return shares.mean([name for name in shares.dims if name != "latent"], keep_attrs=True)

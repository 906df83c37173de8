"""`fit`: training by stochastic variational inference."""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyro
import torch
import xarray as xr
from pyro.infer import ELBO
from torch import Tensor
from tqdm import tqdm

from pyroshift.data.channels import check_order
from pyroshift.errors import DataError, SpecificationError
from pyroshift.guides.settling import settle_period, settle_symmetry
from pyroshift.model.batch import Batch, as_batch, gathered, power_of
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import seed_all
from pyroshift.model.sites import AUTO, Angle, Offset
from pyroshift.training.annealing import Annealing, schedules, warn_if_unfinished
from pyroshift.training.diagnostics import warn_about_latents
from pyroshift.training.elbo import PatchELBO
from pyroshift.training.options import Options
from pyroshift.training.processes import SharedRun, first_decides, own_device, processes
from pyroshift.training.run import Callback, Gatherable, Run

_WORSE = 0.01  # nats a pixel that settling the latents' frame may cost
_SHOWN = 512  # patches by which a trained model is judged, and its latents' frame settled


def fit(
    model: PoseVAE,
    patches: Gatherable,
    *,
    epochs: int,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    kl: Annealing | Mapping[str, Annealing] = 1.0,
    seed: int = 0,
    device: torch.device | str | None = None,
    validation_fraction: float = 0.0,
    progress: bool = True,
    callbacks: Iterable[Callback] = (),
    checkpoint: str | Path | None = None,
    patience: int | None = None,
    clip_norm: float | None = 100.0,
    schedule: str | Callable[[int], float] | None = "cosine",
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
    elbo: ELBO | None = None,
    precision: str = "float32",
    strategy: str | None = None,
    live: bool = False,
) -> xr.Dataset:
    """Train a model on patches, in place, by stochastic variational inference.

    Ctrl-C stops the training and keeps the model as it is. The same seed, settings and machine
    give the same result; the process's random state and Pyro's parameter store stay as they are.

    Args:
        model: the model, trained further from the weights that it has.
        patches: the data: `Patches`, from `extract_patches` or `Patches.from_array`.
        epochs: how many times to go through the data.
        batch_size: patches per step. Fewer patches than this make one batch.
        learning_rate: the optimiser's step size.
        kl: weight of the KL terms: a number, a `KLAnnealing`, a function from the epoch (the first
            is 0) to a number, or one of these per site name.
        seed: seed of the split, the shuffling and the sampling.
        device: where to train, such as "cuda"; by default where the model is.
        validation_fraction: share of the patches held out to measure `validation_loss`.
        progress: whether to show a progress bar.
        callbacks: called after each epoch with the model and its `EpochRecord`; one that returns
            True stops the training. See `pyroshift.callbacks`.
        checkpoint: file to write after each epoch. If it exists, the run goes on from there, to
            the same result as if it had never stopped.
        patience: stop once the validation loss has not improved for so many epochs after the KL
            annealing, and keep the best weights. Needs `validation_fraction`.
        clip_norm: largest norm of the gradient per patch; None for no clipping.
        schedule: "cosine" to bring the learning rate down to zero over the epochs, a function from
            the epoch (the first is 0) to a factor, or None to keep it.
        optimizer: a torch optimiser class.
        elbo: a Pyro ELBO; by default `PatchELBO`, for guides that can be reparametrised.
        precision: "bfloat16" to let the networks multiply in half precision, which is faster on
            hardware that has it; weights, posteriors and the bound stay in single precision, and
            so does `encode`.
        strategy: "ddp" to train in several processes, on one machine or many, that `torchrun`
            started: each is given the same model and patches, and does a share of every batch; the
            result is that of one process to rounding. `batch_size` is that of all together. The
            first process alone shows progress, calls back and writes the checkpoint, which all must
            see. With "cuda" as device, each takes the GPU of its number on its machine. By default
            this process trains alone.
        live: in a notebook, draw loss, KL terms and manifold anew as the training goes on, as
            `callbacks.Live` does.

    Returns:
        What was measured, over `epoch`: `loss` (negative ELBO, or of the bound given as `elbo`),
        `log_likelihood`, `kl` and `kl_scale` per `site` (a global site's KL divergence by its
        part per patch), `validation_loss`, `learning_rate`. Nats are of what windows count: cut
        with `overlap="once"`, of their tempered data, with the power in the attribute `power`.

    Raises:
        DataError: if the patches are none, or don't fit the model's window or likelihood.
        SpecificationError: if an option can't work.
        ModelFileError: if the checkpoint is damaged, or from a different run.
        TrainingError: if the loss is no longer a number; the model then has the weights from
            before that epoch.

    Example:
        >>> from pyroshift import ShiftVAE, extract_patches
        >>> image = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
        >>> patches = extract_patches(image, window=8)
        >>> history = fit(ShiftVAE(8), patches, epochs=2, batch_size=16, progress=False)
        >>> dict(history.sizes)
        {'epoch': 2, 'site': 3}
    """
    if not isinstance(patches, Gatherable):
        raise DataError(
            f"fit trains on Patches, got {type(patches).__name__}: make them by "
            "Patches.from_array(windows), where they are cut already, or by "
            "extract_patches(image, window)"
        )
    check_order(getattr(patches, "channels", ()), model.channels)
    options = Options(
        epochs, batch_size, learning_rate, seed, validation_fraction, patience, clip_norm,
        schedule, precision,
    )  # fmt: skip
    annealing = schedules(kl, [site.name for site in model.sites])
    warn_if_unfinished(annealing, options.epochs)
    called = [*callbacks, *_live(live)]
    path = None if checkpoint is None else Path(checkpoint)
    if device is not None:
        model.to(own_device(device, strategy))
    with (
        processes(strategy, model) as group,
        torch.random.fork_rng(devices=range(torch.cuda.device_count())),
    ):
        first = group is None or group.rank == 0
        progress = progress and first
        _find_period(model, patches, progress)
        patches = model.with_needs(patches).to(model.device)
        given = (model, patches, options, annealing, optimizer, elbo)
        run = Run(*given) if group is None else SharedRun(group, *given)
        if doubt := model.likelihood.doubt(patches.gather(run.training[:1024])):
            warnings.warn(doubt, stacklevel=2)
        if group is not None:
            path = group.one_path(path)
        if path is not None and path.exists():
            run.resume(path)
        if group is not None:
            group.wait()  # until all have read what the first will write
        asked = called if group is None else first_decides(group, called)
        try:
            stopped = run.train(progress, asked, path if first else None)
        finally:
            model.eval()
    some = gathered(patches, run.training[:_SHOWN])
    model.guide_module.settle(model)
    found = _settled(model, some)
    if _find_symmetry(model, some, found, progress):
        found = model.guide_module.summary(model, some)
    warn_about_latents(model, some, found)
    for callback in called if first else []:
        if hasattr(callback, "finish"):
            callback.finish(model)
    attrs = {"stopped": stopped, "seed": seed, "batch_size": batch_size}
    power = power_of(patches)
    return run.history.to_xarray(attrs if power == 1 else {**attrs, "power": power})


def _live(wanted: bool) -> list[Callback]:
    """What draws in a notebook, if it is wanted."""
    if not wanted:
        return []
    from pyroshift.callbacks import Live  # from above, as it takes what draws

    return [Live()]


@torch.no_grad()
def _settled(model: PoseVAE, x: Tensor | Batch) -> dict[str, Tensor]:
    """Bring latents into the frame of the posteriors as `encode` finds them, if it is no worse.

    The frame's centre is also the motif by which an anchor guide finds poses, so that moving it
    may lose some.

    Returns:
        Posteriors of all sites in the frame in which latents are then.
    """
    found = model.guide_module.summary(model, x)
    framed = [site for site in model.contents if site.canonical]
    if not framed:
        return found
    before = [deepcopy(site.frame.state_dict()) for site in framed]
    bound, settled = _bound(model, x), dict(found)
    for site in framed:
        names = site.name, f"{site.name}_std"
        values = site.frame.settle(*(found[name] for name in names))
        settled |= dict(zip(names, values, strict=True))
    power = as_batch(x).power
    if _bound(model, x) >= bound - _WORSE * power * math.prod(model.window):
        return settled
    for site, state in zip(framed, before, strict=True):
        site.frame.load_state_dict(state)
    return found


def _bound(model: PoseVAE, x: Tensor | Batch) -> float:
    """Mean evidence lower bound of some patches, by the same draws whenever it is asked for."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices), pyro.validation_enabled(False):
        seed_all(0)
        return float(PatchELBO().terms(model.sample_model, model.sample_guide, x).elbo.mean())


def _find_period(model: PoseVAE, patches: Any, progress: bool) -> None:
    """Read the lattice off the image that patches are from, where offsets wait for it."""
    if any(isinstance(site, Offset) and site.period == AUTO for site in model.given_sites):
        if not hasattr(patches, "lattice_vectors"):
            raise SpecificationError(
                f"period={AUTO!r} needs patches of an image, got {type(patches).__name__}: give "
                "the period, or none"
            )
        vectors = patches.lattice_vectors()
        settle_period(model, torch.as_tensor(vectors, dtype=torch.float))
        rounded = [[round(float(number), 2) for number in vector] for vector in vectors]
        if progress:
            tqdm.write(f"period: the lattice vectors (y, x) are {rounded} pixels")


def _find_symmetry(
    model: PoseVAE, x: Tensor | Batch, found: Mapping[str, Tensor], progress: bool
) -> bool:
    """Ask the trained motif for its symmetry, where angles wait for it; whether they did."""
    waiting = [
        site for site in model.given_sites if isinstance(site, Angle) and site.symmetry == AUTO
    ]
    if waiting:
        settle_symmetry(model, x, found)
        if progress:
            tqdm.write(f"symmetry: the motif looks the same after 1/{waiting[0].fold} turn")
    return bool(waiting)

"""What the options typed mean to the library: a model, a KL weight, a device."""

import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroshift import names
from pyroshift.cli.channels import channels_of, likelihood_of
from pyroshift.cli.groups import CONSTANT, MODELS
from pyroshift.cli.typed import AUTO, NO_NORMALIZATION, size
from pyroshift.errors import DataError, SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray

    from pyroshift.model.pair import PoseVAE
    from pyroshift.training.annealing import KLAnnealing

COUNTS = ("poisson", "negative_binomial", "zero_inflated_poisson")  # likelihoods of these
# What `fit` may be asked for, and commands that measure one thing mostly have no choice in.
_SETTLED: dict[str, Any] = {
    "model": next(iter(MODELS)), "period": AUTO, "offsets": False, "offset_scale": None,
    "angle_scale": None, "symmetry": None, "flips": False, "classes": None, "brightness": None,
    "guide": None, "encoder": names.ENCODERS[0], "decoder": names.DECODERS[0],
    "positions": None, "at_atoms": False, "interpolate": False, "dark": False, "separation": None,
    "threshold": None, "segment": False, "track": False, "sublattices": 1,
    "kl": None, "kl_initial": None, "kl_final": None, "kl_epochs": None,
    "likelihood": names.LIKELIHOODS[0], "held_out": None,
}  # fmt: skip


def settled(*chosen: str, **others: Any) -> dict[str, Any]:
    """What a command that measures one thing has no choice in, by the names of `fit`'s options.

    Args:
        chosen: options that it leaves to choose.
        others: what it settles in another way, or besides.

    Example:
        >>> settled("kl", model="rvae")["model"], "kl" in settled("kl")
        ('rvae', False)
    """
    return {name: value for name, value in _SETTLED.items() if name not in chosen} | others


def check_counts(likelihood: str, lowest: float, what: str) -> None:
    """Raise a DataError if a likelihood is of counts, and the data go below 0.

    Args:
        likelihood: its name.
        lowest: of the data.
        what: they are, such as "spectra".
    """
    if likelihood in COUNTS and lowest < 0:
        raise DataError(
            f"--likelihood {likelihood} is for counts, but the {what} go down to {lowest:.6g}: "
            "subtract the detector's offset, or take --likelihood gaussian"
        )


def builder(arguments: Namespace, image: "DataArray") -> "Callable[..., PoseVAE]":
    """What makes the model asked for, from the window and a seed.

    Args:
        arguments: as they were typed.
        image: whose windows the model is for.
    """
    from pyroshift.model import vae

    channels = channels_of(image)
    if channels and arguments.brightness is not None:
        raise SpecificationError(
            "--brightness is a gain and a background of one channel: leave it out with several"
        )
    guide = {} if arguments.guide is None else {"guide": arguments.guide}  # else the model's own
    return partial(
        getattr(vae, MODELS[arguments.model]),
        latent_dim=arguments.latent_dim,
        likelihood=likelihood_of(image, arguments),
        channels=channels or None,
        classes=arguments.classes,
        encoder=arguments.encoder,
        decoder=arguments.decoder,
        brightness=arguments.brightness,
        **guide,
        **_pose(arguments),
    )


def _pose(arguments: Namespace) -> dict[str, Any]:
    """The options of the pose; one that the model has no use for is a mistake to be told."""
    given = {
        "offsets": arguments.offsets or None,
        "offset_scale": arguments.offset_scale,
        "angle_scale": arguments.angle_scale,
        "period": arguments.period,
        "symmetry": arguments.symmetry,
        "flips": arguments.flips or None,
    }
    pose = {name: value for name, value in given.items() if value is not None}
    usable: dict[str, set[str]] = {
        "vae": set(),
        "shift": {"offset_scale", "period", "flips"},
        "rvae": {"angle_scale", "symmetry", "offsets", "flips"}
        | ({"offset_scale"} if arguments.offsets else set()),
    }
    for name in pose:
        if name not in usable[arguments.model]:
            without = " without --offsets" if arguments.model == "rvae" else ""
            raise SpecificationError(
                f"--{name.replace('_', '-')} has no use with --model {arguments.model}{without}"
            )
    return pose


def kl_weight(arguments: Namespace) -> "float | KLAnnealing":
    """A constant KL weight, or one that moves."""
    from pyroshift.training.annealing import KLAnnealing

    moving = (arguments.kl_initial, arguments.kl_final, arguments.kl_epochs)
    if moving == (None, None, None):
        return 1.0 if arguments.kl is None else arguments.kl
    if arguments.kl is not None or arguments.kl_initial is None:
        raise SpecificationError(
            "a KL weight is either constant (--kl), or goes from --kl-initial to --kl-final within "
            "--kl-epochs, of which --kl-initial must be given"
        )
    return KLAnnealing(
        arguments.kl_initial,
        1.0 if arguments.kl_final is None else arguments.kl_final,
        arguments.epochs // 2 if arguments.kl_epochs is None else arguments.kl_epochs,
    )


def varied(given: Sequence[Sequence[str]]) -> dict[str, list[Any]]:
    """What is searched over besides the KL weights: numbers where they are such, else words."""
    varied = {}
    for name, *values in given:
        if not values:
            raise SpecificationError(f"--vary {name} names no values: give some after it")
        varied[name.replace("-", "_")] = [_value(value) for value in values]
    return varied


def _value(text: str) -> Any:
    for kind in (int, float, size):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def normalization(arguments: Namespace) -> str | tuple[float, float] | None:
    """How grey levels are stretched, as `extract_patches` calls it."""
    return None if arguments.normalize == NO_NORMALIZATION else arguments.normalize


def normalize_as_trained(arguments: Namespace, model: "PoseVAE") -> None:
    """Grey levels are stretched as in a model's training, unless it is told otherwise."""
    if arguments.normalize is not None:
        return
    known = (model.trained_on or {}).get("normalize", names.NORMALIZATIONS[0])
    arguments.normalize = tuple(known) if isinstance(known, list) else known or NO_NORMALIZATION


def schedule(arguments: Namespace) -> str | None:
    """How the learning rate goes, as `fit` calls it."""
    return None if arguments.schedule == CONSTANT else arguments.schedule


def checked_device(name: str | None) -> str | None:
    """A device that is there, or None for the default."""
    import torch

    if name is not None:
        try:
            torch.empty(1, device=name)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise SpecificationError(f"device {name!r} can't be used here: {reason}") from error
    return name


def rank() -> int | None:
    """The number of this process among those that `torchrun` started; None if it is alone."""
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    return int(os.environ["RANK"]) if several and "RANK" in os.environ else None

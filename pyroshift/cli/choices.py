"""What the options typed mean to the library: a model, a KL weight, a device."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroshift.cli.channels import channels_of, likelihood_of
from pyroshift.cli.groups import CONSTANT, MODELS
from pyroshift.cli.typed import NO_NORMALIZATION, size
from pyroshift.errors import SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray

    from pyroshift.model.pair import PoseVAE
    from pyroshift.training.annealing import KLAnnealing


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

"""Channels at the command line: which are read, and what was said of each by its name."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyroshift.cli.typed import ALL, NO_NORMALIZATION, for_each
from pyroshift.errors import SpecificationError

if TYPE_CHECKING:
    from xarray import DataArray

    from pyroshift.model.pair import PoseVAE

PHASES = "von_mises"


def as_asked(arguments: Namespace, model: "PoseVAE | None" = None) -> str | list[str] | None:
    """The channel, or the channels, as `load_image` takes them; by default those of a model."""
    given = arguments.channel
    if model is not None and model.channels:
        return given or list(model.channels)
    return given[0] if given and len(given) == 1 else given


def check_one(arguments: Namespace, what: str) -> None:
    """Raise a SpecificationError if several channels are given to what takes one."""
    if len(arguments.channel or ()) > 1:
        raise SpecificationError(
            f"{what} one channel, but --channel was given {len(arguments.channel)} times "
            f"({', '.join(arguments.channel)}): give it once"
        )


def channels_of(image: "DataArray") -> tuple[str, ...]:
    """Names of an image's channels; none where it has no axis of channels."""
    return tuple(map(str, image["channel"].values)) if "channel" in image.dims else ()


def likelihood_of(image: "DataArray", arguments: Namespace) -> str | dict[str, str]:
    """The likelihood asked for, or one for each channel.

    Raises:
        SpecificationError: if it names a channel that there isn't, or phases aren't left as they
            are.
    """
    each = _by_channel("likelihood", image, arguments)
    phases = [channel for channel, name in each.items() if name == PHASES]
    if phases and arguments.normalize != NO_NORMALIZATION:
        raise SpecificationError(
            f"--likelihood {PHASES} is for phases in degrees, which --normalize "
            f"{_as_typed(arguments.normalize)} would stretch: pass --normalize {NO_NORMALIZATION}"
        )
    levelled = _by_channel("level", image, arguments)
    if wrong := [channel for channel in phases if levelled[channel] is not None]:
        others = [channel for channel in each if channel not in phases]
        remedy = f"name what to level, such as --level {others[0]}=1" if others else "leave it out"
        named = f" of {wrong[0]!r}" if channels_of(image) else ""
        raise SpecificationError(f"--level would take a surface off the phases{named}: {remedy}")
    return each if channels_of(image) else next(iter(each.values()))


def levelled(image: "DataArray", arguments: Namespace) -> "DataArray":
    """The image with tilts taken off, of all channels or of those that are named."""
    import xarray as xr

    from pyroshift.data.readers import level

    orders = _by_channel("level", image, arguments)
    if all(order is None for order in orders.values()):
        return image
    if len(set(orders.values())) == 1:
        return level(image, next(iter(orders.values())))
    parts = [
        part if order is None else level(part, order)
        for order, part in zip(
            orders.values(),
            (image.isel(channel=[number]) for number in range(len(orders))),
            strict=True,
        )
    ]
    joined = xr.concat(parts, "channel", join="override", combine_attrs="override")
    return joined.transpose(*image.dims)


def for_model(image: "DataArray", model: "PoseVAE", arguments: Namespace) -> "DataArray":
    """The image with its channels in the model's order.

    Raises:
        SpecificationError: if it has more or fewer than the model.
    """
    channels = channels_of(image)
    if len(channels) != len(model.channels):
        wanted = " ".join(f"--channel {name}" for name in model.channels)
        remedy = f"give {wanted}" if wanted else "give --channel once"
        raise SpecificationError(
            f"{arguments.model} is for {_in_words(model.channels)}, but there are "
            f"{_in_words(channels)}: {remedy}"
        )
    in_order = channels and set(channels) == set(model.channels)
    return image.sel(channel=list(model.channels)) if in_order else image


def _by_channel(option: str, image: "DataArray", arguments: Namespace) -> dict[str, Any]:
    """What an option says of each channel, by the channels' names, or as they were asked for."""
    given, typed = getattr(arguments, option), arguments.channel or ()
    names = channels_of(image) or (str(image.attrs.get("channel", ALL)),)
    if isinstance(given, Mapping):
        called = dict(zip(typed, names, strict=False)) | {name: name for name in names}
        unknown = [name for name in given if name != ALL and name not in called]
        if unknown:
            raise SpecificationError(
                f"--{option}: there is no channel {unknown[0]!r} among {list(names)}: choose one "
                "of these, or add it by --channel"
            )
        given = {called.get(name, name): value for name, value in given.items()}
    return for_each(given, names)


def _in_words(channels: Sequence[str]) -> str:
    return f"the channels {', '.join(channels)}" if channels else "windows of one channel"


def _as_typed(normalize: Any) -> str:
    return normalize if isinstance(normalize, str) else "-".join(f"{end:g}" for end in normalize)

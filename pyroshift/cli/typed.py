"""What is typed, as values; argparse names what it expects by the functions' names."""

from argparse import Action, ArgumentError, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyroshift import names

NO_NORMALIZATION = "none"  # what can be typed for None
AUTO = "auto"  # what suits the image
ALL = ""  # in place of a channel's name


def number_or_auto(kind: type[int] | type[float]) -> Callable[[str], int | float | str]:
    """What reads a number of a kind, or `auto`.

    Example:
        >>> number_or_auto(int)("3"), number_or_auto(int)("auto")
        (3, 'auto')
    """

    def number(text: str) -> int | float | str:
        return AUTO if text == AUTO else kind(text)

    number.__name__ = f"{kind.__name__} (or {AUTO})"  # argparse says that it isn't one
    return number


def size(text: str) -> tuple[int, int]:
    """`40` or `40x56` as height and width."""
    sizes = tuple(int(part) for part in text.lower().split("x"))
    if len(sizes) not in (1, 2):
        raise ValueError
    return sizes[0], sizes[-1]


def window(text: str) -> tuple[int, int] | str:
    """`40` or `40x56` as height and width, or `auto`."""
    return AUTO if text.lower() == AUTO else size(text)


def normalization(text: str) -> str | tuple[float, float]:
    """A way to stretch grey levels, or `0.1-99.9` as two percentiles.

    Example:
        >>> normalization("image"), normalization("0.1-99.9")
        ('image', (0.1, 99.9))
    """
    if text in (*names.NORMALIZATIONS, NO_NORMALIZATION):
        return text
    low, high = map(float, text.split("-"))
    if not 0 <= low < high <= 100:
        raise ValueError
    return low, high


def likelihood(text: str) -> str:
    """The name of a likelihood."""
    if text not in names.LIKELIHOODS:
        raise ArgumentTypeError(
            f"there is no likelihood {text!r}: choose from {', '.join(names.LIKELIHOODS)}"
        )
    return text


class ByChannel(Action):
    """Keeps a value for all channels, or such as are typed as CHANNEL=VALUE, by the channels.

    Args:
        kind: reads the value.
        others: as of every option.

    Example:
        >>> parser = ArgumentParser()
        >>> _ = parser.add_argument("--level", action=ByChannel, kind=int)
        >>> parser.parse_args(["--level", "1"]).level
        1
        >>> parser.parse_args(["--level", "1", "--level", "Height=2"]).level
        {'': 1, 'Height': 2}
    """

    def __init__(
        self, option_strings: Sequence[str], dest: str, kind: Callable[[str], Any], **others: Any
    ) -> None:
        super().__init__(option_strings, dest, **others)
        self.kind = kind

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add what was typed to what is there."""
        channel, _, text = str(values).rpartition("=")
        try:
            value = self.kind(text.strip())
        except ArgumentTypeError as error:
            raise ArgumentError(self, str(error)) from error
        except ValueError as error:
            wanted = f"{self.kind.__name__}, or CHANNEL={self.kind.__name__}"
            raise ArgumentError(self, f"invalid {wanted} value: {values!r}") from error
        given = getattr(namespace, self.dest)
        known = dict(given) if isinstance(given, Mapping) else {}
        if given is not None and not known:
            known = {ALL: given}
        known[channel.strip()] = value
        setattr(namespace, self.dest, value if list(known) == [ALL] else known)


def for_each(given: Any, channels: Sequence[str]) -> dict[str, Any]:
    """What was given for all channels, or by their names, as one value for each.

    Example:
        >>> for_each({"": "gaussian", "phase": "von_mises"}, ["height", "phase"])
        {'height': 'gaussian', 'phase': 'von_mises'}
    """
    by_name = given if isinstance(given, Mapping) else {ALL: given}
    return {channel: by_name.get(channel, by_name.get(ALL)) for channel in channels}


size.__name__ = "size (such as 40 or 40x56)"
window.__name__ = "size (such as 40 or 40x56, or auto)"
normalization.__name__ = "way to stretch (patch, image, none, or percentiles such as 0.1-99.9)"

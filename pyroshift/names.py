"""What can be chosen by name; apart from what is named, so that a command line needn't load it."""

from collections.abc import Sequence
from typing import TypeVar

Named = TypeVar("Named")

# The first of each is the default, unless a model has one of its own.
LIKELIHOODS = (
    "gaussian", "bernoulli", "continuous_bernoulli", "poisson", "student_t", "heteroscedastic",
    "negative_binomial", "zero_inflated_poisson", "von_mises",
)  # fmt: skip
ENCODERS = ("fully_connected", "convolutional")
DECODERS = ("canvas", "spatial")
GUIDES = ("normal", "anchor", "refined")
BRIGHTNESS = ("site",)
NORMALIZATIONS = ("patch", "image")
SCHEDULES = ("cosine",)
OVERLAPS = ("once",)


def by_name(names: Sequence[str], *named: Named) -> dict[str, Named]:
    """What each name stands for.

    Args:
        names: as listed here.
        named: as many, in their order.

    Raises:
        ValueError: if there are more of one than of the other.

    Example:
        >>> by_name(DECODERS, "drawn once", "computed at every pixel")["canvas"]
        'drawn once'
    """
    return dict(zip(names, named, strict=True))

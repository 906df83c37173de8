"""How large pixels are, so that a model is told when it looks at others than it was trained on."""

import warnings
from typing import Any

from pyroshift.data.readers.units import comparable, length_unit, metres

_ALIKE = 0.05  # relative difference; calibrations are no better


def pixels_of(patches: Any) -> dict[str, list[Any]] | None:
    """Size and unit of a pixel along each axis, as JSON holds them; None where nothing is known.

    Args:
        patches: `Patches`, or anything else that gathers batches.

    Example:
        >>> from pyroshift import extract_patches
        >>> import numpy as np
        >>> pixels_of(extract_patches(np.zeros((8, 8)), 4))
        {'size': [1.0, 1.0], 'units': ['px', 'px']}
    """
    if not hasattr(patches, "pixel_size"):
        return None
    sizes = [abs(float(size)) for size in patches.pixel_size]
    return {"size": sizes, "units": list(map(str, patches.units))}


def checked_pixels(value: Any) -> dict[str, list[Any]] | None:
    """What `pixels_of` gave, as read from a file.

    Raises:
        ValueError: if it is something else.
    """
    if value is None:
        return None
    sizes, units = value["size"], value["units"]
    if not all(isinstance(size, float) and size > 0 for size in sizes) or not all(
        isinstance(unit, str) for unit in units
    ):
        raise ValueError(f"{value!r} are no sizes of pixels")
    return {"size": list(sizes), "units": list(units)}


def warn_about_pixels(known: dict[str, list[Any]] | None, patches: Any, stacklevel: int) -> None:
    """Warn where pixels are of another size than those that a model was trained on.

    Args:
        known: size and unit of the latter, if they are known.
        patches: what the model is to look at.
        stacklevel: how many calls up the warning points.
    """
    found = pixels_of(patches)
    if known is None or found is None:
        return
    for size, unit, other, its_unit in zip(
        known["size"], known["units"], found["size"], found["units"], strict=False
    ):
        factor = _factor(its_unit, unit)
        if factor is not None and abs(other * factor / size - 1) > _ALIKE:
            warnings.warn(
                f"the model was trained on pixels of {size:.4g} {unit}, but these are of "
                f"{other:.4g} {its_unit}, in which motifs have another size: resample the image, "
                "or train a model on it",
                stacklevel=stacklevel + 1,
            )
            return


def _factor(unit: str, other: str) -> float | None:
    """One unit in terms of another; None where they can't be compared, or are pixels."""
    if unit == other:
        return None if unit == "px" else 1.0
    one, two = length_unit(unit), length_unit(other)
    if one is None or two is None or not comparable(one, two):
        return None
    return metres(one) / metres(two)

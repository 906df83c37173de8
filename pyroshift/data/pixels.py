"""What pixels are, so that a model is told when it looks at others than it was trained on."""

import warnings
from collections.abc import Sequence
from typing import Any

from pyroshift.data.normalization import checked_normalize
from pyroshift.data.readers.units import comparable, length_unit, metres

Pixels = dict[str, Any]
"""Under `size` and `units`, those of a pixel along each axis, as JSON holds them; under `power`, if
there is one, by how much of its pixels each window counts; under `normalize`, how grey levels were
stretched, where it is known."""

Normalize = str | Sequence[float] | None
UNKNOWN = "unknown"

_ALIKE = 0.05  # relative difference; calibrations are no better


def described(
    sizes: Sequence[float],
    units: Sequence[str],
    power: float | None,
    normalize: Normalize = UNKNOWN,
) -> Pixels:
    """What a model keeps of the pixels that it is trained on.

    Args:
        sizes: step from pixel to pixel along each axis, in `units`.
        units: of each axis.
        power: by how much of its pixels each window counts; None where nothing was said of it.
        normalize: how grey levels were stretched, as `extract_patches` takes it.

    Example:
        >>> described([-0.1], ["nm"], None, "image")
        {'size': [0.1], 'units': ['nm'], 'normalize': 'image'}
    """
    told: Pixels = {} if power is None else {"power": power}
    if normalize != UNKNOWN:
        stretched = normalize is None or isinstance(normalize, str)
        told["normalize"] = normalize if stretched else list(map(float, normalize or ()))
    return {"size": [abs(float(size)) for size in sizes], "units": list(units), **told}


def checked_pixels(value: Any) -> Pixels | None:
    """What was written to a file of the pixels that a model knows, if anything.

    Example:
        >>> checked_pixels({"size": [0.1], "units": ["nm"]})
        {'size': [0.1], 'units': ['nm']}

    Raises:
        ValueError: if it is something else.
    """
    if value is None:
        return None
    sizes, units, power = value["size"], value["units"], value.get("power")
    if not all(isinstance(size, float) and size > 0 for size in sizes) or not all(
        isinstance(unit, str) for unit in units
    ):
        raise ValueError(f"{value!r} are no sizes of pixels")
    if not (power is None or (isinstance(power, float) and 0 < power <= 1)):
        raise ValueError(f"{power!r} is no share of a window's pixels")
    normalize = value.get("normalize", UNKNOWN)
    if normalize != UNKNOWN:
        checked_normalize(normalize)
    return described(sizes, units, power, normalize)


def warn_about_pixels(known: Pixels | None, found: Pixels | None, stacklevel: int) -> None:
    """Warn where pixels are of another size than those that a model was trained on, or count more.

    And where their grey levels were stretched in another way.

    Args:
        known: what is known of the latter, if anything.
        found: of those that it is to look at.
        stacklevel: how many calls up the warning points.
    """
    if known is None or found is None:
        return
    if "power" in known and "power" not in found:
        warnings.warn(
            "the model was trained on pixels that count once, but these count in every window that "
            'holds them: cut the windows with overlap="once" too, or bounds and posteriors are of '
            "more data than it knows of",
            stacklevel=stacklevel + 1,
        )
    stretched, otherwise = (each.get("normalize") for each in (known, found))
    if stretched and otherwise and stretched != otherwise:
        warnings.warn(
            f"the model was trained on grey levels stretched by normalize={stretched!r}, but these "
            f"are by {otherwise!r}, which look otherwise: cut the windows with the former",
            stacklevel=stacklevel + 1,
        )
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

"""What every reader hands on: the channels of a file, labelled, and read only when asked for."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pyroshift.errors import ReaderError

MICROMETRE = "\u00b5m"
ANGSTROM = "\u00c5"

METRES = {
    "m": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    MICROMETRE: 1e-6,
    "nm": 1e-9,
    ANGSTROM: 1e-10,
    "pm": 1e-12,
}
SPELLINGS = {
    "um": MICROMETRE,
    "\u03bcm": MICROMETRE,  # Greek mu, to which NFKC also turns the micro sign
    "\\u00B5m": MICROMETRE,  # spelt out, as ImageJ writes it
    "micron": MICROMETRE,
    "microns": MICROMETRE,
    "micrometer": MICROMETRE,
    "micrometre": MICROMETRE,
    "A": ANGSTROM,
    "angstrom": ANGSTROM,
    "Angstrom": ANGSTROM,
    "nanometer": "nm",
    "nanometre": "nm",
    "meter": "m",
    "metre": "m",
}
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as pillow's grey conversion


@dataclass(frozen=True)
class Axis:
    """The coordinate of one dimension: its values, their units and what they are."""

    values: np.ndarray
    units: str = "px"
    label: str = ""

    @property
    def step(self) -> float:
        """Mean distance between neighbours, 1 where there is only one value."""
        size = len(self.values)
        return float(self.values[-1] - self.values[0]) / (size - 1) if size > 1 else 1.0


@dataclass(frozen=True)
class Channel:
    """One image, stack or cube of a file; `read` gives its values with these dims."""

    name: str
    dims: tuple[str, ...]
    axes: tuple[Axis, ...]
    read: Callable[[], np.ndarray]
    units: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values along each of `dims`."""
        return tuple(len(axis.values) for axis in self.axes)


def text(value: object) -> str:
    """A str from what file formats use for one: bytes, arrays of characters, None."""
    if isinstance(value, np.ndarray):
        return "".join(text(item) for item in value.ravel())
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip("\0 ")
    return "" if value is None else str(value).strip()


def length_unit(name: object) -> str | None:
    """One spelling for each unit of length or of inverse length; None for anything else."""
    unit = unicodedata.normalize("NFKC", text(name))
    inverse = re.fullmatch(r"1/(.+)|(.+?)\^?-1", unit)
    if inverse:
        length = length_unit(inverse[1] or inverse[2])
        return length and f"1/{length}"
    unit = SPELLINGS.get(unit, unit)
    return unit if unit in METRES else None


def index_axis(size: int, units: str = "px", label: str = "") -> Axis:
    """An axis that counts: 0 to size - 1."""
    return Axis(np.arange(size), units, label)


def spatial_axis(size: int, step: float, units: object) -> Axis:
    """An axis from the first pixel's centre in steps of a pixel; pixels if that is no length."""
    unit = length_unit(units)
    if unit is None or not np.isfinite(step) or step == 0:
        return index_axis(size)
    return Axis(np.arange(size) * abs(float(step)), unit)


def same_units(y: Axis, x: Axis) -> tuple[Axis, Axis]:
    """Both axes in the unit of x, or both in pixels where that can't be done."""
    if y.units == x.units:
        return y, x
    if y.units in METRES and x.units in METRES:
        factor = METRES[y.units] / METRES[x.units]
        return Axis(y.values * factor, x.units, y.label), x
    return index_axis(len(y.values)), index_axis(len(x.values))


def image_dims(ndim: int) -> tuple[str, ...]:
    """The dims of an image or a stack; neutral names where it is neither."""
    known = {2: ("y", "x"), 3: ("frame", "y", "x")}
    return known.get(ndim, tuple(f"dim_{number}" for number in range(ndim)))


def image_axes(shape: tuple[int, ...], steps: tuple[float, float], units: object) -> list[Axis]:
    """The axes of an image or stack whose pixel measures `steps` (y, x)."""
    if len(shape) < 2:
        return [index_axis(size) for size in shape]
    leading = [index_axis(size, "frame") for size in shape[:-2]]
    return [
        *leading,
        spatial_axis(shape[-2], steps[0], units),
        spatial_axis(shape[-1], steps[1], units),
    ]


def image_channel(
    name: str,
    shape: tuple[int, ...],
    read: Callable[[], np.ndarray],
    steps: tuple[float, float] = (1.0, 1.0),
    units: object = None,
    value_units: str = "",
) -> Channel:
    """The channel of an image or stack of this shape; in pixels where units are None."""
    axes = tuple(image_axes(shape, steps, units))
    return Channel(name, image_dims(len(shape)), axes, read, value_units)


def unique_names(*candidates: list[str]) -> list[str]:
    """The first list of names in which none is empty and no two are alike; else numbers."""
    for names in candidates:
        if all(names) and len(set(names)) == len(names):
            return names
    return [f"{number}: {name}" for number, name in enumerate(candidates[0])]


def grey(values: np.ndarray) -> np.ndarray:
    """Luminance 0.299 R + 0.587 G + 0.114 B of a `... x samples` array; opacity is dropped."""
    samples = values.shape[-1]
    if samples in (1, 2):
        return values[..., 0]
    if samples in (3, 4):
        return (values[..., :3] @ LUMINANCE).astype(np.float32)
    raise ReaderError(
        f"Each pixel has {samples} values, which is neither grey (1) nor RGB (3): "
        "save the one you want as a grey image."
    )

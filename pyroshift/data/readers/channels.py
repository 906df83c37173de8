"""What every reader hands on: the channels of a file, labelled, and read only when asked for."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pyroshift.data.readers.units import (
    believable,
    comparable,
    length_unit,
    metres,
    says_nothing,
    text,
    time_unit,
)
from pyroshift.errors import ReaderError

LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, as pillow's grey conversion


@dataclass(frozen=True)
class Axis:
    """The coordinate of one dimension: its values, their units and what they are.

    `remark` is what the file says of the pixel size where that is not taken, to be told.
    """

    values: np.ndarray
    units: str = "px"
    label: str = ""
    remark: str = ""

    @property
    def counts(self) -> bool:
        """Whether it only counts pixels or frames."""
        return self.units in ("px", "frame")

    def same_as(self, other: "Axis") -> bool:
        """Whether it is another one but for rounding."""
        return self.units == other.units and np.allclose(
            self.values, other.values, rtol=1e-5, atol=1e-5 * abs(self.step)
        )

    @property
    def step(self) -> float:
        """Mean distance between neighbours, 1 where there is only one value."""
        size = len(self.values)
        return float(self.values[-1] - self.values[0]) / (size - 1) if size > 1 else 1.0


@dataclass(frozen=True)
class Channel:
    """One image, stack or cube of a file; `read` gives its values with these dims.

    Where not `unasked`, it is one of several so unlike that the user must name one of them.
    """

    name: str
    dims: tuple[str, ...]
    axes: tuple[Axis, ...]
    read: Callable[[], np.ndarray]
    units: str = ""
    unasked: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values along each of `dims`."""
        return tuple(len(axis.values) for axis in self.axes)


@dataclass(frozen=True)
class Format:
    """A file format: its name, its reader, and the extra that installs what the reader needs.

    Every module in this folder lists what it reads as `FORMATS`, by a file's ending, and in
    `SPECTRAL_FORMATS` what it reads otherwise where spectra are wanted.
    """

    name: str
    channels: Callable[[Path], list[Channel]]
    extra: str = "io"


def index_axis(size: int, units: str = "px", label: str = "", remark: str = "") -> Axis:
    """An axis that counts: 0 to size - 1."""
    return Axis(np.arange(size), units, label, remark)


def spatial_axis(size: int, step: float, units: object) -> Axis:
    """An axis from the first pixel's centre in steps of a pixel; pixels if that is no length."""
    unit = length_unit(units)
    if unit is None:
        remark = "" if says_nothing(units) else f"in {text(units)!r}, which is no unit of length"
        return index_axis(size, remark=remark)
    if not believable(step, unit):
        return index_axis(size, remark=f"as {abs(step):.3g} {unit}, which can't be")
    return Axis(np.arange(size) * abs(float(step)), unit)


def frame_axis(times: np.ndarray, units: object) -> Axis:
    """The times of frames, if they rise and their unit is one of time; else a count."""
    unit, times = time_unit(units), np.asarray(times, dtype=float)
    if unit is None or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        return index_axis(len(times), "frame")
    return Axis(times, unit, "time")


def same_units(y: Axis, x: Axis) -> tuple[Axis, Axis]:
    """Both axes in the unit of x, or both in pixels where that can't be done."""
    if y.units == x.units:
        return y, x
    if comparable(y.units, x.units):
        factor = metres(y.units) / metres(x.units)
        return replace(y, values=y.values * factor, units=x.units), x
    remark = y.remark or x.remark or f"in {y.units} along y but in {x.units} along x"
    return tuple(index_axis(len(axis.values), remark=remark) for axis in (y, x))  # type: ignore[return-value]


def on_one_grid(channels: list[Channel], file: Path) -> list[Channel]:
    """Channels of one grid, all with the axes of the first that has them in units.

    Raises:
        ReaderError: if their pixels aren't the same.
    """
    first, axes = channels[0], list(channels[0].axes)
    for channel in channels[1:]:
        if (channel.dims, channel.shape) != (first.dims, first.shape):
            raise ReaderError(
                f"{file.name}: {channel.name!r} has {channel.dims} of {channel.shape}, but "
                f"{first.name!r} {first.dims} of {first.shape}: read them one by one."
            )
        for number, (known, axis) in enumerate(zip(axes, channel.axes, strict=True)):
            if known.counts:
                axes[number] = known if axis.counts else axis
            elif not axis.counts and not axis.same_as(known):
                raise ReaderError(
                    f"{file.name}: {channel.name!r} goes along {channel.dims[number]} by "
                    f"{axis.step:.4g} {axis.units}, but {first.name!r} by {known.step:.4g} "
                    f"{known.units}: read them one by one."
                )
    return [replace(channel, axes=tuple(axes)) for channel in channels]


def image_dims(ndim: int) -> tuple[str, ...]:
    """The dims of an image or a stack; neutral names where it is neither."""
    known = {2: ("y", "x"), 3: ("frame", "y", "x")}
    return known.get(ndim, tuple(f"dim_{number}" for number in range(ndim)))


def image_axes(
    shape: tuple[int, ...], steps: tuple[float, float], units: object | tuple[object, object]
) -> list[Axis]:
    """The axes of an image or stack whose pixel measures `steps` (y, x) in one unit or in two."""
    if len(shape) < 2:
        return [index_axis(size) for size in shape]
    each = units if isinstance(units, tuple) else (units, units)
    leading = [index_axis(size, "frame") for size in shape[:-2]]
    return leading + [
        spatial_axis(size, step, unit)
        for size, step, unit in zip(shape[-2:], steps, each, strict=True)
    ]


def image_channel(
    name: str,
    shape: tuple[int, ...],
    read: Callable[[], np.ndarray],
    steps: tuple[float, float] = (1.0, 1.0),
    units: object | tuple[object, object] = None,
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

"""TIFF: pages as images, stacks and channels, with the pixel size that the metadata hold."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import tifffile

from pyroshift.data.readers.channels import Channel, Format, grey, image_channel, unique_names
from pyroshift.data.readers.guards import check_claim
from pyroshift.data.readers.tiff_tags import Calibration, calibration

RGB, PALETTE, YCBCR = 2, 3, 6
MOST_CHANNELS = 1000  # what has more is no choice of images but a stack of them


def is_colour(series: tifffile.TiffPageSeries) -> bool:
    """Whether the samples of each pixel are one colour."""
    return series.keyframe.photometric in (RGB, YCBCR)


def channel_axis(series: tifffile.TiffPageSeries) -> str:
    """The letter of the axis of channels: C, or samples that are no colour; "" if there is none."""
    known = dict(zip(series.axes, series.shape, strict=True))
    letters = "C" if is_colour(series) else "CS"
    return next((letter for letter in letters if 0 < known.get(letter, 0) <= MOST_CHANNELS), "")


def order(series: tifffile.TiffPageSeries) -> str:
    """The axes as `series_values` gives them: channels, others, y and x; without colour samples."""
    first = channel_axis(series)
    last = "".join(axis for axis in "YX" if axis in series.axes)
    left_out = {*first, *last, *("S" if is_colour(series) else "")}
    return first + "".join(axis for axis in series.axes if axis not in left_out) + last


def sizes(series: tifffile.TiffPageSeries) -> tuple[int, ...]:
    """The sizes of the axes in `order`."""
    known = dict(zip(series.axes, series.shape, strict=True))
    return tuple(known[axis] for axis in order(series))


def series_values(series: tifffile.TiffPageSeries) -> np.ndarray:
    """The values of a series of pages, its axes in `order`, colours turned to luminance."""
    values, axes, page = series.asarray(), series.axes, series.keyframe
    if page.photometric == PALETTE and page.colormap is not None:
        values = grey(np.moveaxis(page.colormap[:, values], 0, -1))
    elif "S" in axes and is_colour(series):
        values = grey(np.moveaxis(values, axes.index("S"), -1))
        axes = axes.replace("S", "")
    return values.transpose([axes.index(axis) for axis in order(series)])


def read_series(path: Path, numbers: list[int], channel: int | None) -> np.ndarray:
    """One channel, or the only one, of a series of pages, or of several alike as one stack."""
    with tifffile.TiffFile(path) as file:
        parts = [series_values(file.series[number]) for number in numbers]
    chosen = parts if channel is None else [part[channel] for part in parts]
    return chosen[0] if len(chosen) == 1 else np.stack(chosen)


def channels_of(
    path: Path, series: tifffile.TiffPageSeries, said: Calibration, numbers: list[int]
) -> list[Channel]:
    """The channels of a series of pages, or of several alike as one stack."""
    axes, shape = order(series), sizes(series)
    names = [f"pages {numbers[0]}" if len(numbers) == 1 else "pages"]
    chosen: list[int | None] = [None]
    if channel_axis(series):
        names, chosen = channel_names(said, shape[0]), list(range(shape[0]))
        axes, shape = axes[1:], shape[1:]
    if len(numbers) > 1:
        axes, shape = f"I{axes}", (len(numbers), *shape)
    return [
        with_times(image_channel(name, shape, read, said.steps, said.units), axes, said)
        for name, read in zip(
            names, (partial(read_series, path, numbers, each) for each in chosen), strict=True
        )
    ]


def with_times(channel: Channel, axes: str, said: Calibration) -> Channel:
    """A channel with the times of its frames, if its first axis is one of times."""
    if axes[:1] != "T" or channel.dims[0] != "frame":
        return channel
    return replace(channel, axes=(said.frames(channel.shape[0]), *channel.axes[1:]))


def channel_names(said: Calibration, count: int) -> list[str]:
    """The names of so many channels: the file's, where there is one for each."""
    numbered = [f"channel {number}" for number in range(count)]
    return unique_names(said.names, numbered) if len(said.names) == count else numbered


def tiff_channels(path: Path) -> list[Channel]:
    """The channels of each series of pages; series alike throughout are one stack."""
    with tifffile.TiffFile(path) as file:
        known = list(file.series)
        said = [calibration(file, number) for number in range(len(known))]
    check_claim(path, *((series.shape, series.dtype) for series in known))
    kinds = {(order(series), sizes(series), str(series.dtype)) for series in known}
    if len(kinds) == 1:
        return channels_of(path, known[0], said[0], list(range(len(known))))
    parts = [
        channels_of(path, series, said[number], [number]) for number, series in enumerate(known)
    ]
    return [
        replace(channel, name=name, unasked=False)
        for number, part in enumerate(parts)
        for channel, name in zip(part, names_among(part, number), strict=True)
    ]


def names_among(part: list[Channel], number: int) -> list[str]:
    """The names of one series' channels among those of others."""
    if len(part) == 1:
        return [f"pages {number}"]
    return [f"pages {number}: {channel.name}" for channel in part]


_TIFF = Format("TIFF", tiff_channels)
FORMATS = {".tif": _TIFF, ".tiff": _TIFF}

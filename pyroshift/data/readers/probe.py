"""Scanning probe formats: Igor binary waves and Nanonis.

Row 0 is the upper edge of the image as the instrument shows it: Igor waves and upward Nanonis
scans are stored from the lower edge, and backward Nanonis lines from the right.
"""

from functools import partial
from pathlib import Path

import numpy as np

from pyroshift.data.readers.channels import Channel, Format, image_channel, unique_names
from pyroshift.data.readers.units import text
from pyroshift.errors import ReaderError

# How a Nanonis header says that a signal was recorded there and back.
DIRECTIONS = {"both": ["forward", "backward"]}


def igor_channels(path: Path) -> list[Channel]:
    """The layers of an Igor binary wave, whose first dimension is x and second y, upwards."""
    from igor2 import binarywave

    wave = binarywave.load(str(path))["wave"]
    header, values = wave["wave_header"], wave["wData"]
    if values.ndim not in (2, 3):
        raise ReaderError(
            f"{path.name} is a wave of {values.ndim} dimension(s): an image has 2, with channels 3."
        )
    layers = np.atleast_3d(values)
    labels = [text(label) for label in wave.get("labels", [[]] * 4)[2][1:]]
    labels = (labels + [""] * layers.shape[2])[: layers.shape[2]]
    numbered = [f"layer {number}" for number in range(len(labels))]
    names = unique_names(labels, [text(header["bname"])] if len(labels) == 1 else numbered)
    x_step, y_step = header["sfA"][:2] if "sfA" in header else (header["hsA"], 1.0)
    unit = header["dimUnits"][0] if "dimUnits" in header else header["xUnits"]
    return [
        image_channel(
            name, layer.shape, partial(np.asarray, layer), (float(y_step), float(x_step)), unit
        )
        for name, layer in zip(names, np.moveaxis(layers[:, ::-1], (2, 1), (0, 1)), strict=True)
    ]


def nanonis_channels(path: Path) -> list[Channel]:
    """The signals of a Nanonis scan: each forward one by its name, then with " backward"."""
    from nanonispy2.read import Scan

    class OneWayScan(Scan):
        """A scan whose signals may have been recorded in one direction only."""

        def _load_data(self) -> dict[str, dict[str, np.ndarray]]:
            values = np.fromfile(self.fname, self.data_format, offset=self.byte_offset)
            columns, rows = self.header["scan_pixels"]
            images = iter(values.reshape(-1, rows, columns))
            table = self.header["data_info"]
            signals = {
                name: {each: next(images) for each in DIRECTIONS.get(direction, [direction])}
                for name, direction in zip(table["Name"], table["Direction"], strict=True)
            }
            if next(images, None) is not None:
                raise ReaderError(f"{path.name} holds more images than its header names.")
            return signals

    if path.suffix != ".sxm":
        raise ReaderError(f"{path.name}: name it with .sxm in small letters to have it read.")
    scan = OneWayScan(str(path))
    table = scan.header["data_info"]
    units = dict(zip(table["Name"], table["Unit"], strict=True))
    x_step, y_step = scan.header["scan_range"] / scan.header["scan_pixels"]
    rows = slice(None, None, -1 if scan.header["scan_dir"] == "up" else 1)
    turned = {"forward": ("", slice(None)), "backward": (" backward", slice(None, None, -1))}
    channels = []
    for name, signal in scan.signals.items():
        for direction, recorded in signal.items():
            suffix, columns = turned[direction]
            values = recorded[rows, columns]
            read = partial(np.asarray, values)
            steps = float(y_step), float(x_step)
            channels.append(
                image_channel(name + suffix, values.shape, read, steps, "m", units[name])
            )
    return channels


FORMATS = {
    ".ibw": Format("Igor binary wave", igor_channels),
    ".sxm": Format("Nanonis scan", nanonis_channels),
}

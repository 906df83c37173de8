"""Gwyddion's files: objects of named parts.

Read here, and strictly, since gwyfile comes to no end with a file that was cut short.
"""

import re
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pyroshift.data.readers.channels import Channel, Format, image_channel, unique_names

MAGIC = b"GWYP"
NUMBERS = {"b": "<?", "c": "<b", "i": "<i", "q": "<q", "d": "<d"}
ARRAYS = {"C": "<i1", "I": "<i4", "Q": "<i8", "D": "<f8"}


def text_at(content: bytes, start: int, stop: int) -> tuple[str, int]:
    """The text that begins here, and where the next part does."""
    end = content.index(b"\0", start, stop)
    return content[start:end].decode("utf-8"), end + 1


def count_at(content: bytes, start: int) -> tuple[int, int]:
    """The unsigned number that begins here, and where the next part does."""
    return struct.unpack_from("<I", content, start)[0], start + 4


def object_at(content: bytes, start: int, stop: int) -> tuple[dict[str, Any], int]:
    """The parts of the object that begins here, by their names, and where the next one does."""
    _, start = text_at(content, start, stop)
    size, start = count_at(content, start)
    if start + size > stop:
        raise ValueError(f"an object of {size} bytes in a place of {stop - start}")
    stop, parts = start + size, {}
    while start < stop:
        name, start = text_at(content, start, stop)
        kind = content[start : start + 1].decode("ascii")
        parts[name], start = value_at(content, kind, start + 1, stop)
    if start > stop:
        raise ValueError("a part that reaches beyond its object")
    return parts, stop


def value_at(content: bytes, kind: str, start: int, stop: int) -> tuple[Any, int]:
    """The value of this kind that begins here, and where the next part does."""
    single = {"s": text_at, "o": object_at}
    if kind in NUMBERS:
        number = struct.Struct(NUMBERS[kind])
        return number.unpack_from(content, start)[0], start + number.size
    if kind in single:
        return single[kind](content, start, stop)
    count, start = count_at(content, start)
    if kind in ARRAYS:
        values = np.ndarray((count,), ARRAYS[kind], content, start)  # also of no values
        return values, start + values.nbytes
    items = []
    for _ in range(count):
        item, start = single[kind.lower()](content, start, stop)
        items.append(item)
    return items, start


def gwyddion_channels(path: Path) -> list[Channel]:
    """The data fields of a Gwyddion file, in the order of their numbers."""
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise ValueError("it doesn't begin as Gwyddion's files do")
    parts, _ = object_at(content, len(MAGIC), len(content))
    keys = (re.fullmatch(r"/(\d+)/data", key) for key in parts)
    numbers = sorted(int(key[1]) for key in keys if key)
    titles = [parts.get(f"/{number}/data/title", "") for number in numbers]
    names = unique_names(titles, [f"field {number}" for number in numbers])
    return [
        field_channel(name, parts[f"/{number}/data"])
        for number, name in zip(numbers, names, strict=True)
    ]


def field_channel(name: str, field: dict[str, Any]) -> Channel:
    """The channel of one data field."""
    rows, columns = field["yres"], field["xres"]
    values = field["data"].reshape(rows, columns)
    units = [field.get(f"si_unit_{axes}", {}).get("unitstr", "") for axes in ("xy", "z")]
    steps = field.get("yreal", 0.0) / rows, field.get("xreal", 0.0) / columns
    return image_channel(name, values.shape, partial(np.asarray, values), steps, *units)


FORMATS = {".gwy": Format("Gwyddion", gwyddion_channels)}

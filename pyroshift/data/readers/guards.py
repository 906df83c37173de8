"""What is looked at before a file is read, so that a damaged one takes neither memory nor time."""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np

from pyroshift.errors import ReaderError

try:
    import resource
except ImportError:  # Windows knows no such limits
    resource = None  # type: ignore[assignment]

# What a small file may claim, bytes, and how many times its size a larger one: no common
# compression packs more than about a thousand equal bytes into one.
SMALL, DENSEST = 2**27, 1100
COORDINATE = 8  # bytes, along each axis even of an array without a value
COPIES = 4  # of the values, that readers need at a time
HEAP = b"GCOL\1\0\0\0"  # in HDF5: what a collection of texts begins with
OBJECT = struct.Struct("<H6xQ")  # the head of a text: its index and its size
SEARCHED = 2**30  # bytes, from the beginning of a file


def size_of(path: Path) -> int:
    """The bytes of a file, or of all in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def largest_claim(path: Path) -> int:
    """How many bytes of values a file of this size can hold."""
    return max(SMALL, DENSEST * size_of(path))


def check_claim(path: Path, *claims: tuple[tuple[int, ...], np.dtype]) -> None:
    """Raises a ReaderError if arrays of these shapes and types can't be in so small a file."""
    claimed = 0
    for shape, dtype in claims:
        sizes = [int(size) for size in shape]
        claimed += prod(sizes) * dtype.itemsize + sum(sizes) * COORDINATE
    if claimed > largest_claim(path):
        raise ReaderError(
            f"{path.name} is damaged: its header claims {claimed / 1e9:.3g} GB of values, but the "
            f"file has {size_of(path) / 1e6:.3g} MB. Copy it again from its source."
        )


@contextmanager
def bounded(path: Path) -> Iterator[None]:
    """Has the system refuse memory beyond what a file of this size can need, where it can.

    Libraries allocate what a damaged header claims, in places that nobody can look at before:
    libhdf5, for one, gigabytes for a text of one letter. Linux alone counts all that is allocated.
    """
    status = Path("/proc/self/status")
    if resource is None or not status.exists():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if before[0] != resource.RLIM_INFINITY:  # another thread's, or the user's own
        yield
        return
    used = next(line for line in status.read_text().splitlines() if line.startswith("VmData"))
    limit = 1024 * int(used.split()[1]) + COPIES * largest_claim(path)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def check_heaps(path: Path) -> None:
    """Raises a ReaderError where libhdf5 would go round in its texts for ever.

    It walks through a collection of texts from one to the next by their sizes, on the spot where
    damage has left a free one without a size.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(HEAP, 0, SEARCHED)
        while start >= 0:
            if endless(content, start):
                raise ReaderError(f"{path.name} is damaged in its texts: copy it again.")
            start = content.find(HEAP, start + 1, SEARCHED)


def endless(content: mmap.mmap, start: int) -> bool:
    """Whether a walk through HDF5's collection of texts that starts here comes to no end."""
    place = start + len(HEAP)
    end = start + int.from_bytes(content[place : place + 8], "little")
    place += 8
    while place + OBJECT.size <= min(end, len(content)):
        index, size = OBJECT.unpack_from(content, place)
        if index == 0:  # the free rest, its own head included
            return size == 0
        place += OBJECT.size + (size + 7) // 8 * 8
    return False

"""Arrays of a page: as few bytes each as they need, one after the other, deflated."""

import base64
import zlib
from typing import Any

import numpy as np

_ALIGNED = 8  # bytes: where arrays may start, for views of any type on them


class Pack:
    """Arrays put one after the other, and a table of where each is.

    Example:
        >>> pack = Pack()
        >>> pack.add("x", np.zeros((3, 2), np.float32))
        >>> pack.table["x"]
        {'type': 'float32', 'shape': [3, 2], 'start': 0}
    """

    def __init__(self) -> None:
        self.table: dict[str, dict[str, Any]] = {}
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, name: str, values: np.ndarray) -> None:
        """Put an array in, as it is."""
        content = np.ascontiguousarray(values).tobytes()
        content += bytes(-len(content) % _ALIGNED)
        self.table[name] = {
            "type": values.dtype.name,
            "shape": list(values.shape),
            "start": self._size,
        }
        self._parts.append(content)
        self._size += len(content)

    def add_coded(
        self, name: str, values: np.ndarray, kind: type = np.uint8, smooth: bool = False
    ) -> None:
        """Put an array in as whole numbers, each entry along the first axis by its own range.

        Args:
            name: of the array; its ranges are put in under `name` with ".low" and ".step".
            values: `n x ...`, NaN where missing.
            kind: the whole numbers' type.
            smooth: whether each row is kept as what its pixels differ by from those before, modulo
                the type's range, which packs better where pixels are like their neighbours.
        """
        codes, low, step = coded(values, kind)
        if smooth:
            codes[..., 1:] -= codes[..., :-1].copy()
        for ending, part in (("", codes), (".low", low), (".step", step)):
            self.add(f"{name}{ending}", part)

    def deflated(self) -> bytes:
        """All of it, as the browser's DecompressionStream("deflate") takes it."""
        return zlib.compress(b"".join(self._parts), 6)


def coded(values: np.ndarray, kind: type) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values as whole numbers, `low + step * code`; the highest code is for what is missing.

    Args:
        values: `n x ...`; each of the n by its own range.
        kind: an unsigned type.

    Returns:
        The codes, and the lows and steps, `n` each, float32.

    Example:
        >>> codes, low, step = coded(np.array([[1.0, 2.0, np.nan]]), np.uint8)
        >>> codes, float(low[0] + 254 * step[0])
        (array([[  0, 254, 255]], dtype=uint8), 2.0)
    """
    missing_code = np.iinfo(kind).max
    flat = np.asarray(values, np.float32).reshape(len(values), int(np.prod(np.shape(values)[1:])))
    known = np.isfinite(flat)
    low = np.where(known, flat, np.inf).min(1, initial=np.inf)
    high = np.where(known, flat, -np.inf).max(1, initial=-np.inf)
    low, high = (np.where(np.isfinite(end), end, 0.0).astype(np.float32) for end in (low, high))
    step = ((high - low) / (missing_code - 1)).astype(np.float32)
    scaled = np.where(known, flat - low[:, None], 0.0) / np.where(step > 0, step, 1.0)[:, None]
    codes: np.ndarray = np.clip(np.rint(scaled), 0, missing_code - 1).astype(kind)
    codes[~known] = missing_code
    return codes.reshape(np.shape(values)), low, step


def as_text(content: bytes) -> str:
    """Bytes in the letters of base64, which a page can hold."""
    return base64.b64encode(content).decode("ascii")

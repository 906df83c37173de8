"""One spelling for each unit of length, inverse length and time that instruments write."""

import re
import unicodedata

import numpy as np

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
PREFIXES = {"": "m", "centi": "cm", "milli": "mm", "micro": MICROMETRE, "nano": "nm", "pico": "pm"}
LENGTHS = {
    **{unit: unit for unit in METRES},
    **{f"{long}met{end}": unit for long, unit in PREFIXES.items() for end in ("er", "re")},
    "um": MICROMETRE,
    "\u03bcm": MICROMETRE,  # Greek mu, to which NFKC also turns the micro sign
    "\\mum": MICROMETRE,
    "\\u00b5m": MICROMETRE,  # spelt out, as ImageJ writes it
    "micron": MICROMETRE,
    "A": ANGSTROM,
    "\\AA": ANGSTROM,
    "ang": ANGSTROM,
    "angstrom": ANGSTROM,
    "\u00e5ngstr\u00f6m": ANGSTROM,
    "angstr\u00f6m": ANGSTROM,
}
SECONDS = ("s", "ms", "us", "ns", "min", "h")
TIMES = {
    **{unit: unit for unit in SECONDS},
    "sec": "s",
    "second": "s",
    "msec": "ms",
    "millisecond": "ms",
    "\u03bcs": "us",
    "usec": "us",
    "microsecond": "us",
    "nanosecond": "ns",
    "minute": "min",
    "hour": "h",
    "hr": "h",
}
ENERGIES = ("meV", "eV", "keV")
ANGLES = {"rad": "rad", "radian": "rad", "mrad": "mrad", "milliradian": "mrad", "deg": "deg",
          "degree": "deg", "\u00b0": "deg"}  # fmt: skip
# What stands for no unit; an inch is a resolution for print, as image editors write it.
NONE = ("", "px", "pixel", "none", "<undefined>", "undefined", "unknown", "inch", "in", "dpi")
# The finest and the coarsest pixel that is believed, in metres, and in cycles per metre.
BELIEVED = {False: (1e-14, 1e-1), True: (1e2, 1e14)}


def text(value: object) -> str:
    """A str from what file formats use for one: bytes, arrays of characters, None."""
    if isinstance(value, np.ndarray):
        return "".join(text(item) for item in value.ravel())
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip("\0 ")
    return "" if value is None else str(value).strip("\0 \t\r\n")


def bare(name: object) -> str:
    """A unit without the marks that say nothing: spaces, brackets and those of LaTeX."""
    unit = unicodedata.normalize("NFKC", text(name)).replace("\u2212", "-")
    unit = re.sub(r"\\(mathrm|mathring|text|rm|,)|[\s_$^*(){}\[\]\"]", "", unit)
    return re.sub(r"(?<=.)/(px|pixel)$", "", unit)


def known(unit: str, spellings: dict[str, str]) -> str | None:
    """The unit that is spelt so; a word, unlike a symbol, also in the plural or with capitals."""
    words = (unit.lower(), unit.lower().removesuffix("s")) if len(unit) > 3 else ()
    return next((spellings[word] for word in (unit, *words) if word in spellings), None)


def length_unit(name: object) -> str | None:
    """One spelling for each unit of length or of inverse length; None for anything else.

    Example:
        >>> length_unit("n_m"), length_unit("1 / nm"), length_unit("$A^{-1}$"), length_unit("V")
        ('nm', '1/nm', '1/\u00c5', None)
    """
    unit = bare(name)
    inverse = re.fullmatch(r"1/(.+)|(.+?)-1", unit)
    if inverse is None:
        return known(unit, LENGTHS)
    length = known(inverse[1] or inverse[2], LENGTHS)
    return length and f"1/{length}"


def time_unit(name: object) -> str | None:
    """One spelling for each unit of time; None for anything else.

    Example:
        >>> time_unit("sec"), time_unit("minutes"), time_unit("nm")
        ('s', 'min', None)
    """
    return known(bare(name), TIMES)


def angle_unit(name: object) -> str | None:
    """One spelling for each unit of angle, as of scattering; None for anything else.

    Example:
        >>> angle_unit("mrad"), angle_unit("radians"), angle_unit("nm")
        ('mrad', 'rad', None)
    """
    return known(bare(name), ANGLES)


def says_nothing(name: object) -> bool:
    """Whether what stands for a unit says that there is none, or pixels."""
    unit = bare(name).lower()
    return unit in NONE or unit.removesuffix("s") in NONE


def metres(unit: str) -> float:
    """A unit of length in metres; of inverse length, in cycles per metre."""
    return 1 / METRES[unit[2:]] if unit.startswith("1/") else METRES[unit]


def comparable(one: str, other: str) -> bool:
    """Whether two units as `length_unit` gives them are both of length or both of its inverse."""
    lengths = [unit.removeprefix("1/") in METRES for unit in (one, other)]
    return all(lengths) and one.startswith("1/") == other.startswith("1/")


def believable(step: float, unit: str) -> bool:
    """Whether a pixel can be so large: microscopes have neither 1e17 nm nor 1e-20 m to a pixel."""
    finest, coarsest = BELIEVED[unit.startswith("1/")]
    return bool(finest <= abs(step) * metres(unit) <= coarsest)

"""What things are called on axes and colour bars, and in which unit."""

import textwrap
from typing import Any

from matplotlib.axis import Axis
from matplotlib.ticker import EngFormatter

from pyroshift.maps.labels import PROBABILITIES
from pyroshift.plot.fields import is_deviation, title

_PREFIXED = ("m", "V", "A", "s", "Hz", "N", "F")  # shown with a prefix, which ticks must bear


def units_of(array: Any) -> str:
    """The unit of an array; empty where it has none or is a pure number."""
    units = str(array.attrs.get("units", ""))
    return "" if units == "1" else units


def with_unit(value: float, units: str) -> str:
    """A number to read, with a prefix for metres and their like.

    Example:
        >>> with_unit(5e-9, "m"), with_unit(20.0, "px")
        ('5 nm', '20 px')
    """
    return EngFormatter(units)(value) if units in _PREFIXED else f"{value:g} {units}"


def name_with_unit(name: str, units: str) -> str:
    """A label for an axis; without the unit where the ticks bear it.

    Example:
        >>> name_with_unit("height", "nm"), name_with_unit("height", "m"), name_with_unit("", "nm")
        ('height (nm)', 'height', 'nm')
    """
    if not units or units in _PREFIXED:
        return name
    return f"{name} ({units})" if name else units


def show_units(axis: Axis, units: str) -> None:
    """Have the ticks bear the unit, with a prefix, where it takes one."""
    if units in _PREFIXED:
        axis.set_major_formatter(EngFormatter(units))


def describe(array: Any, name: str, length: int = 32) -> str:
    r"""What a map holds and its unit, in lines short enough for the side of a panel.

    Example:
        >>> import xarray as xr
        >>> offset = xr.DataArray(0, attrs={"long_name": "position of the motif in the window"})
        >>> describe(offset, "offset_y")
        'position of the\nmotif in the window'
    """
    known = str(array.attrs.get("long_name", title(name)))
    # Of what it is the deviation, or the probability, the title says.
    if is_deviation(name):
        known = "posterior standard deviation"
    elif name.startswith(f"{PROBABILITIES}_"):
        known = "probability"
    text = name_with_unit(known, units_of(array))
    lines = len(_lines(text, length))
    # As narrow as so many lines allow, which makes them about equally long.
    widths = range(1, length + 1)
    return "\n".join(next(found for width in widths if len(found := _lines(text, width)) <= lines))


def _lines(text: str, length: int) -> list[str]:
    return textwrap.wrap(text, length, break_long_words=False)

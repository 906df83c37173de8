"""Images as pictures: frames and channels apart, and the shades that suit their values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.colors import Colormap

from pyroshift.data.channels import CHANNEL_UNITS
from pyroshift.data.checks import CHANNEL, as_labelled
from pyroshift.errors import DataError
from pyroshift.maps.labels import PERIOD
from pyroshift.plot.colours import GREY, PHASES, Limits, circle_limits, robust_limits


def as_image(array: Any, frame: int) -> xr.DataArray:
    """One frame of an image or stack, labelled; of several channels, the first.

    Raises:
        DataError: if this is no image, or there is no such frame.
    """
    return as_images(array, frame)[0]


def as_images(array: Any, frame: int) -> list[xr.DataArray]:
    """One frame of an image or stack, labelled, each of its channels apart.

    Raises:
        DataError: if this is no image, or there is no such frame.

    Example:
        >>> both = xr.DataArray(np.zeros((2, 3, 4)), {"channel": ["height", "phase"]},
        ...                     ("channel", "y", "x"))
        >>> [(name_of(picture), picture.dims) for picture in as_images(both, 0)]
        [('height', ('y', 'x')), ('phase', ('y', 'x'))]
    """
    data = as_labelled(array, 2, None, None, name="image")
    return [_one_frame(channel, frame) for channel in by_channel(data)]


def by_channel(data: xr.DataArray) -> list[xr.DataArray]:
    """Each channel apart, with its unit; the data themselves where there are no channels."""
    if CHANNEL not in data.dims:
        return [data]
    numbers = range(data.sizes[CHANNEL])
    named = data if CHANNEL in data.coords else data.assign_coords({CHANNEL: numbers})
    channels = [named.isel({CHANNEL: number}) for number in numbers]
    if CHANNEL_UNITS not in data.coords:
        return channels
    return [each.assign_attrs(units=str(each.coords[CHANNEL_UNITS].item())) for each in channels]


def name_of(picture: xr.DataArray) -> str:
    """The channel's name; empty for a picture that is no channel.

    Example:
        >>> name_of(xr.DataArray(0.0)), name_of(xr.DataArray(0.0, {"channel": "height"}))
        ('', 'height')
    """
    return str(picture.coords[CHANNEL].item()) if CHANNEL in picture.coords else ""


def period_of(picture: xr.DataArray) -> float | None:
    """After which values are the same, if they are phases, as `decode` tells."""
    if PERIOD not in picture.coords:
        return None
    period = float(picture.coords[PERIOD])
    return period if np.isfinite(period) else None


@dataclass(frozen=True)
class Shades:
    """The colours that values of one channel are shown in, by all pictures that share them.

    Args:
        colours: greys, or those of a circle.
        limits: the values at their ends.
        period: after which values are the same, if they are phases.
    """

    colours: Colormap
    limits: Limits
    period: float | None = None

    @classmethod
    def of(cls, values: Any, period: float | None) -> "Shades":
        """Those that suit some values, NaN left out.

        Example:
            >>> Shades.of([-90.0, 0.0, 350.0], 360.0).limits, Shades.of([1.0, 9.0], None).limits
            ((-90.0, 270.0), (1.0, 9.0))
        """
        if period is None:
            return cls(GREY, robust_limits(values))
        return cls(PHASES, circle_limits(values, period), period)

    def shown(self, values: Any) -> np.ndarray:
        """Values within the limits, if they are phases."""
        array = np.asarray(values, dtype=float)
        low = self.limits[0]
        return array if self.period is None else low + (array - low) % self.period

    def difference(self, first: Any, second: Any) -> np.ndarray:
        """By how much values differ; phases by half a period at most.

        Example:
            >>> Shades.of([0.0, 350.0], 360.0).difference([350.0], [10.0])
            array([-20.])
        """
        apart = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)
        if self.period is None:
            return apart
        half = self.period / 2
        return (apart + half) % self.period - half


def _one_frame(data: xr.DataArray, frame: int) -> xr.DataArray:
    if data.ndim not in (2, 3) or not data.size:
        raise DataError(
            f"an image has two dimensions, or three for a stack; this one has shape {data.shape}"
        )
    if data.ndim == 2:
        return data
    if not -len(data) <= frame < len(data):
        raise DataError(f"there is no frame {frame} in a stack of {len(data)}")
    return data[frame]

"""Windows of images, and signals, gathered when they are needed.

`Patches` holds the source once, and where each window starts in it; a batch is gathered from that.
So a million overlapping windows cost the memory of one image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pyroshift.data.checks import check_index, check_name, lengths, plain, window_shape
from pyroshift.data.layouts import cut_already
from pyroshift.data.normalization import Normalize, checked_normalize, normalized, stretch
from pyroshift.data.pixels import Pixels
from pyroshift.data.windows import gather
from pyroshift.errors import DataError


@dataclass(frozen=True)
class Patches:
    """Windows of an image or a stack, or signals, with the coordinates of each.

    Made by `extract_patches` and `Patches.from_array`.

    Args:
        source: `frame x height x width` or `signal x length`, float32, on any device.
        starts: `patch x (1 + axes)`, int32: frame, and first pixel along each axis, of each window.
        window: height and width of the windows, or the one length of signals, in pixels.
        normalize: "patch" to stretch each window to [0, 1]; anything else is in `source` already.
        layout: for each dimension of the patches, its name and size.
        coords: coordinates of the patches over these dimensions, as xarray variables.
        positions: `patch`, where each window belongs in the flattened layout; windows with
            missing pixels have no place among the patches.
        window_dims: names of the window's axes.
        pixel_size: step from pixel to pixel along each axis of the window, in `units`; negative
            where the axis's coordinate falls.
        units: unit of length along each axis of the window.
        attrs: attributes of the source.
    """

    source: Tensor
    starts: Tensor
    window: tuple[int, ...]
    normalize: Normalize
    layout: Mapping[str, int]
    coords: Mapping[str, xr.Variable]
    positions: np.ndarray
    window_dims: tuple[str, ...]
    pixel_size: tuple[float, ...]
    units: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_array(
        cls,
        array: Any,
        window_ndim: int | None = None,
        dims: Sequence[str] | None = None,
        coords: Mapping[str, Any] | None = None,
        normalize: str | Sequence[float] | None = None,
    ) -> "Patches":
        """Patches from windows or signals that are already cut, hyperspectral cubes included.

        Args:
            array: numbers, the window's axes last: `n x length` for signals, `n x height x width`
                for windows, or with more leading dimensions. A DataArray, a HyperSpy signal or a
                sidpy dataset brings its own dimensions and coordinates; windows of it have its
                axes y and x, wherever they stand.
            window_ndim: number of axes of a window, 1 or 2. Needed where there are more leading
                dimensions than one: `height x width x energies` has 1; a HyperSpy signal says it.
            dims: names of the dimensions, by default "patch" (or "dim_0" ...) and the window's
                "y", "x". Needed for windows with more leading dimensions than one, each of which
                is one of the maps': channels are not.
            coords: coordinates by dimension.
            normalize: "patch" to stretch each window to [0, 1], "image" to stretch all alike, or
                two percentiles, as for `extract_patches`.

        Returns:
            The patches, in the layout of the leading dimensions.

        Raises:
            DataError: if the array can't be understood that way, or isn't made of finite numbers.

        Example:
            >>> cube = np.random.default_rng(0).random((4, 5, 60))
            >>> patches = Patches.from_array(cube, window_ndim=1, dims=("y", "x", "energy"))
            >>> len(patches), patches.window, dict(patches.layout)
            (20, (60,), {'y': 4, 'x': 5})
        """
        normalize = checked_normalize(normalize)
        data, window_ndim = cut_already(array, window_ndim, dims, coords)
        lead, window_dims = data.dims[:-window_ndim], data.dims[-window_ndim:]
        window = window_shape(data.shape[-window_ndim:], window_ndim)
        coordinates = {
            name: coordinate
            for name, coordinate in data.coords.items()
            if set(coordinate.dims) <= set(lead)
        }
        for name in (*lead, *coordinates):
            check_name(name)
            check_index(data, name)
        values = normalized(data.values, normalize, "the array of patches").reshape(-1, *window)
        source = torch.from_numpy(values)
        starts = torch.zeros(len(source), 1 + window_ndim, dtype=torch.int32)
        starts[:, 0] = torch.arange(len(source))
        return cls(
            source=source,
            starts=starts,
            window=window,
            normalize=normalize,
            layout={str(name): data.sizes[name] for name in lead},
            coords={str(name): plain(coordinate) for name, coordinate in coordinates.items()},
            positions=np.arange(len(source)),
            window_dims=tuple(map(str, window_dims)),
            **lengths(data, window_dims),
            attrs=dict(data.attrs),
        )

    def __len__(self) -> int:
        """Number of patches, without those that have missing pixels."""
        return len(self.starts)

    def __repr__(self) -> str:
        layout = ", ".join(f"{name}: {size}" for name, size in self.layout.items())
        window = " x ".join(map(str, self.window))
        return f"<Patches ({layout}), window {window}, normalize={self.normalize!r}>"

    def gather(self, index: Tensor | None = None) -> Tensor:
        """Some of the windows, normalised.

        Args:
            index: which patches, integers; all by default.

        Returns:
            `batch x height x width` or `batch x length`, float32, on the source's device.
        """
        starts = self.starts if index is None else self.starts[index]
        windows = gather(self.source, starts, self.window)
        return stretch(windows) if self.normalize == "patch" else windows

    def statistics(self, sample: int = 4096) -> dict[str, float]:
        """Range of all the data, and mean and standard deviation of a sample.

        Args:
            sample: largest number of windows, evenly spread, that the latter two are taken from.
        """
        if self.normalize == "patch":
            minimum, maximum = 0.0, 1.0
        else:
            finite = self.source[~torch.isnan(self.source)]
            minimum, maximum = float(finite.min()), float(finite.max())
        index = torch.linspace(0, len(self) - 1, min(sample, len(self)), dtype=torch.double).long()
        values = self.gather(index).double()
        return {
            "minimum": minimum,
            "maximum": maximum,
            "mean": float(values.mean()),
            "stddev": float(values.std(correction=0)),
        }

    def to(self, device: torch.device | str) -> "Patches":
        """The same patches with the source on another device."""
        return replace(self, source=self.source.to(device), starts=self.starts.to(device))

    def lattice_vectors(self) -> np.ndarray:
        """The lattice of the image that these are windows of, as `suggest_window` finds it.

        Returns:
            One lattice vector (y, x) in each row, pixels.

        Raises:
            DataError: if there is no image, as of windows given one by one, or no lattice in it.
        """
        from pyroshift.analysis.lattice import suggest_window  # which itself reads images

        if len(self.window) != 2 or tuple(self.source.shape[1:]) == self.window:
            raise DataError(
                "a lattice's period is read off an image, but these are single windows or "
                "signals: give the period as a number, or as vectors"
            )
        return np.asarray(suggest_window(self.source.cpu().numpy()).vectors)

    def unflatten(self, values: np.ndarray) -> np.ndarray:
        """Values per patch laid out over the patches' dimensions, NaN where there is no patch.

        Args:
            values: `patch x ...`.
        """
        full = np.full((int(np.prod(list(self.layout.values()))), *values.shape[1:]), np.nan)
        full[self.positions] = values
        return full.reshape(*self.layout.values(), *values.shape[1:]).astype(values.dtype)

    def to_xarray(self) -> xr.DataArray:
        """All windows as one labelled array; this copies them, so mind the memory.

        Returns:
            Over the patches' dimensions and the window's, the latter named `window_y`, `window_x`
            where the patches have dimensions of these names.
        """
        return xr.DataArray(
            self.unflatten(self.gather().cpu().numpy()),
            dims=(*self.layout, *self.pixel_dims),
            coords=dict(self.coords),
            attrs=dict(self.attrs),
            name="patches",
        )

    @property
    def pixels(self) -> Pixels:
        """Size and unit of a pixel along each axis of the window, as a model keeps them."""
        return {"size": [abs(float(size)) for size in self.pixel_size], "units": list(self.units)}

    @property
    def pixel_dims(self) -> tuple[str, ...]:
        """Names of the window's axes that don't clash with those of the patches."""
        taken = set(self.layout) | set(self.coords)
        return tuple(f"window_{name}" if name in taken else name for name in self.window_dims)

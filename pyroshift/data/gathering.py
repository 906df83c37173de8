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

from pyroshift.data.channels import channel_coords, channel_labels, normalized_each, value_units
from pyroshift.data.checks import CHANNEL, check_index, check_name, lengths, plain, window_shape
from pyroshift.data.known import as_numbers, check_free, over_layout
from pyroshift.data.layouts import cut_already
from pyroshift.data.memory import lowest_and_highest, on_device
from pyroshift.data.normalization import Normalize, checked_normalize, stretch
from pyroshift.data.pixels import Pixels, described
from pyroshift.data.thumbnails import Shown
from pyroshift.data.windows import check_share, gather, with_enough_pixels
from pyroshift.errors import DataError


@dataclass(frozen=True)
class Patches(Shown):
    """Windows of an image or a stack, or signals, with the coordinates of each.

    Made by `extract_patches` and `Patches.from_array`.

    Args:
        source: `frame x height x width` or `signal x length`, with channels `frame x channel x
            height x width` or `signal x channel x length`, on any device; float32, NaN where
            pixels are missing, or counts of one or two bytes; it may be a memory map.
        starts: `patch x (1 + axes)`, int32: frame, and first pixel along each axis, of each window.
        window: height and width of the windows, or the one length of signals, in pixels.
        normalize: "patch" to stretch each window to [0, 1]; anything else is in `source` already.
        layout: for each dimension of the patches, its name and size.
        coords: coordinates of the patches over these dimensions, as xarray variables.
        positions: `patch`, where each window belongs in the flattened layout; windows that miss
            too many pixels have no place among the patches.
        window_dims: names of the window's axes.
        pixel_size: step from pixel to pixel along each axis of the window, in `units`; negative
            where the axis's coordinate falls.
        units: unit of length along each axis of the window.
        attrs: attributes of the source.
        channels: names of the channels; none where the source has no axis of channels.
        channel_units: unit of the values of each channel.
        complete: whether no window misses any pixel.
        known: labels and covariates, `patch` each, float32, NaN where unknown: see `assign`.
        categories: what the numbers of labels that were text stand for.
        power: by what share of its pixels each window counts, by `overlap="once"`; None for all.
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
    channels: tuple[str, ...] = ()
    channel_units: tuple[str, ...] = ()
    complete: bool = True
    known: Mapping[str, Tensor] = field(default_factory=dict)
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    power: float | None = None

    @classmethod
    def from_array(
        cls,
        array: Any,
        window_ndim: int | None = None,
        dims: Sequence[str] | None = None,
        coords: Mapping[str, Any] | None = None,
        normalize: str | Sequence[float] | None = None,
        channel_dim: str | None = CHANNEL,
        min_valid: float = 0.5,
    ) -> "Patches":
        """Patches from windows or signals that are already cut, hyperspectral cubes included.

        Args:
            array: numbers, the window's axes last: `n x length` for signals, `n x height x width`
                for windows, or with more leading dimensions. NaN, or masked, where pixels are
                missing. A DataArray, a HyperSpy signal or a sidpy dataset brings its own dimensions
                and coordinates; windows of it have its axes y and x, wherever they stand.
            window_ndim: number of axes of a window, 1 or 2. Needed where there are more leading
                dimensions than one: `height x width x energies` has 1; a HyperSpy signal says it.
            dims: names of the dimensions, by default "patch" (or "dim_0" ...) and the window's
                "y", "x". Needed for windows with more leading dimensions than one, each of which
                is one of the maps', but for that of channels.
            coords: coordinates by dimension.
            normalize: "patch" to stretch each window to [0, 1], "image" to stretch all alike, or
                two percentiles, as for `extract_patches`; each channel by itself.
            channel_dim: name of the dimension of channels, wherever it stands, if there is one;
                its coordinate names them, and a coordinate `channel_units` along it has their
                units. None where a dimension of that name is one of the maps'.
            min_valid: least share of a window's pixels that are there, in every channel. Other
                windows are left out, with a warning that counts them.

        Returns:
            The patches, in the layout of the leading dimensions.

        Raises:
            DataError: if the array can't be understood that way, isn't made of numbers, or has
                infinite ones.

        Example:
            >>> cube = np.random.default_rng(0).random((4, 5, 60))
            >>> patches = Patches.from_array(cube, window_ndim=1, dims=("y", "x", "energy"))
            >>> len(patches), patches.window, dict(patches.layout)
            (20, (60,), {'y': 4, 'x': 5})
            >>> windows = np.random.default_rng(0).random((30, 2, 16, 16))
            >>> Patches.from_array(windows, 2, dims=("particle", "channel", "y", "x"))
            <Patches (particle: 30), 2 channels, window 16 x 16, normalize=None>
        """
        normalize = checked_normalize(normalize)
        check_share(min_valid)
        data, window_ndim = cut_already(array, window_ndim, dims, coords, channel_dim)
        channels, channel_units = channel_labels(data, channel_dim)
        window_dims = data.dims[-window_ndim:]
        lead = tuple(name for name in data.dims[:-window_ndim] if name != channel_dim)
        window = window_shape(data.shape[-window_ndim:], window_ndim)
        coordinates = {
            name: coordinate
            for name, coordinate in data.coords.items()
            if set(coordinate.dims) <= set(lead)
        }
        for name in (*lead, *coordinates):
            check_name(name)
            check_index(data, name)
        shape = -1, *data.shape[len(lead) :]
        values = normalized_each(
            data.values.reshape(shape), normalize, "the array of patches", channels, compact=True
        )
        source = torch.from_numpy(values)
        starts = torch.zeros(len(source), 1 + window_ndim, dtype=torch.int32)
        starts[:, 0] = torch.arange(len(source))
        kept, complete = with_enough_pixels(source, starts, window, min_valid)
        patches = cls(
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
            channels=channels,
            channel_units=channel_units,
            complete=complete,
        )
        return patches if kept is None else patches.subset(kept)

    def __len__(self) -> int:
        """Number of patches, without those that miss too many pixels."""
        return len(self.starts)

    def __repr__(self) -> str:
        layout = ", ".join(f"{name}: {size}" for name, size in self.layout.items())
        window = " x ".join(map(str, self.window))
        channels = f"{len(self.channels)} channels, " if self.channels else ""
        known = f", known: {', '.join(self.known)}" if self.known else ""
        power = "" if self.power is None else f", power {self.power:.3g}"
        normalize = f"normalize={self.normalize!r}{power}"
        return f"<Patches ({layout}), {channels}window {window}, {normalize}{known}>"

    def gather(self, index: Tensor | None = None) -> Tensor:
        """Some of the windows, normalised.

        Args:
            index: which patches, integers; all by default.

        Returns:
            `batch x height x width` or `batch x length`, with channels `batch x channel x height x
            width` or `batch x channel x length`, float32, on the source's device; NaN where pixels
            are missing, of which there are none where `complete`.
        """
        starts = self.starts if index is None else self.starts[index]
        windows = gather(self.source, starts, self.window).float()
        if self.normalize != "patch":
            return windows
        return stretch(windows, len(self.window), self.complete)

    def statistics(self, sample: int = 4096) -> dict[str, Any]:
        """Range of all the data, and mean and standard deviation of a sample; no missing pixels.

        Args:
            sample: largest number of windows, evenly spread, that the latter two are taken from.

        Returns:
            Under `minimum`, `maximum`, `mean` and `stddev` a number each; with channels, a tuple of
            one number per channel.
        """
        index = torch.linspace(0, len(self) - 1, min(sample, len(self)), dtype=torch.double).long()
        sampled = self.gather(index)
        if not self.channels:
            return self._statistics(self.source, sampled)
        pairs = zip(self.source.unbind(1), sampled.unbind(1), strict=True)
        each = [self._statistics(source, windows) for source, windows in pairs]
        return {name: tuple(one[name] for one in each) for name in each[0]}

    def _statistics(self, source: Tensor, sampled: Tensor) -> dict[str, float]:
        """The statistics of one channel."""
        if self.normalize == "patch":
            minimum, maximum = 0.0, 1.0
        else:
            minimum, maximum = lowest_and_highest(source)
        values = (sampled if self.complete else sampled[~torch.isnan(sampled)]).double()
        return {
            "minimum": minimum,
            "maximum": maximum,
            "mean": float(values.mean()),
            "stddev": float(values.std(correction=0)),
        }

    def subset(self, index: Tensor) -> "Patches":
        """Some of the patches, in the same layout: where the others were, maps will be NaN.

        Args:
            index: which patches: integers, or one boolean for each.
        """
        return replace(
            self,
            starts=self.starts[index],
            positions=self.positions[index.cpu().numpy()],
            known={name: values[index] for name, values in self.known.items()},
        )

    def to(self, device: torch.device | str) -> "Patches":
        """The same patches with the source, and what is known of them, on another device."""
        return replace(
            self,
            source=on_device(self.source, device),
            starts=self.starts.to(device),
            known={name: values.to(device) for name, values in self.known.items()},
        )

    def assign(self, *names: str, **values: Any) -> "Patches":
        """The same patches with labels, covariates and the like, which go into the maps too.

        Args:
            names: coordinates that the patches have already, such as "frame" or "track".
            values: by name, a number or a text for all patches; or one for each place of the
                layout, or for each patch; or a DataArray over some of the layout's dimensions,
                such as a temperature along "frame", which goes by its coordinates where it has
                any. Text stands for classes, numbered in the order of the alphabet. What is NaN,
                masked, None or "" isn't known.

        Returns:
            Patches with a number for each in `known`, and with a coordinate for each of `values`.

        Raises:
            DataError: if values don't fit the layout, aren't real numbers or text, or are all
                unknown; or a name is another dimension's or coordinate's.

        Example:
            >>> patches = Patches.from_array(np.random.default_rng(0).random((4, 60)))
            >>> patches.assign(phase=["cubic", "", "tetragonal", "cubic"], dose=0.5)
            <Patches (patch: 4), window 60, normalize=None, known: phase, dose>
            >>> _.known["phase"], _.categories["phase"]
            (tensor([0., nan, 1., 0.]), ('cubic', 'tetragonal'))
        """
        taken = set(self.coords).difference(self.known)
        taken.update(self.layout, self.window_dims, self.pixel_dims)
        coords = dict(self.coords)
        for name in names:
            if name not in coords:
                raise DataError(f"the patches have no coordinate {name!r}, but {list(coords)}")
        for name, value in values.items():
            check_free(name, taken)
            coords[name] = over_layout(value, name, self.layout, self.coords, self.positions)
        known, categories = dict(self.known), dict(self.categories)
        for name in (*names, *values):
            numbers, categories[name] = as_numbers(coords[name], name)
            flat = numbers.set_dims(self.layout).values.reshape(-1)[self.positions]
            known[name] = torch.from_numpy(flat).to(self.source.device)
        categories = {name: texts for name, texts in categories.items() if texts}
        return replace(self, coords=coords, known=known, categories=categories)

    def lattice_vectors(self) -> np.ndarray:
        """The lattice of the image that these are windows of, as `suggest_window` finds it.

        Of all channels alike; missing pixels count as the mean.

        Returns:
            One lattice vector (y, x) in each row, pixels.

        Raises:
            DataError: if there is no image, as of windows given one by one, or no lattice in it.
        """
        from pyroshift.analysis.lattice import suggest_window  # which itself reads images

        if len(self.window) != 2 or tuple(self.source.shape[-2:]) == self.window:
            raise DataError(
                "a lattice's period is read off an image, but these are single windows or "
                "signals: give the period as a number, or as vectors"
            )
        dims = ("frame", CHANNEL, "y", "x") if self.channels else ("frame", "y", "x")
        image = xr.DataArray(self.source.cpu().numpy(), dims=dims)
        return np.asarray(suggest_window(image).vectors)

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
            Over the patches' dimensions, then "channel" if there are channels, and the window's,
            named `window_y`, `window_x` where the patches have dimensions of these names. Values
            that were stretched have the unit "1".
        """
        channel = (CHANNEL,) if self.channels else ()
        units = value_units(self.channel_units, self.normalize)
        return xr.DataArray(
            self.unflatten(self.gather().cpu().numpy()),
            dims=(*self.layout, *channel, *self.pixel_dims),
            coords={**self.coords, **channel_coords(self.channels, units)},
            attrs=value_units(dict(self.attrs), self.normalize),
            name="patches",
        )

    @property
    def pixels(self) -> Pixels:
        """What a model keeps of the pixels that it is trained on."""
        return described(self.pixel_size, self.units, self.power, self.normalize)

    @property
    def pixel_dims(self) -> tuple[str, ...]:
        """Names of the window's axes that don't clash with those of the patches."""
        taken = set(self.layout) | set(self.coords)
        return tuple(f"window_{name}" if name in taken else name for name in self.window_dims)

"""What a page holds: a header that says what there is, and arrays, packed."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from pyroshift.data.channels import value_units
from pyroshift.data.gathering import Patches
from pyroshift.explorer import labels, pictures
from pyroshift.explorer.packing import Pack
from pyroshift.explorer.places import Places
from pyroshift.explorer.tiles import latents_of, tiles_of
from pyroshift.explorer.windows import from_image
from pyroshift.maps.decode import decode
from pyroshift.maps.labels import phase_periods
from pyroshift.model.pair import PoseVAE
from pyroshift.plot.colours import robust_limits, symmetric_limits

_MOST_SOURCE = 4_000_000  # pixels of an image from which a page cuts windows itself
_FINE_SOURCE = 1_500_000  # up to which they are kept in two bytes
_AT_ONCE = 2048  # windows reconstructed at a time
_SAMPLE = 256  # windows by which limits are chosen


@dataclass(frozen=True)
class Content:
    """All that an explorer shows.

    Args:
        model: trained.
        maps: by it.
        places: of the maps.
        patches: the windows; their `positions` number the places.
        image: that is shown, as (frame, channel, y, x), or None.
        own_image: whether it is the one that the windows share pixels with, in the same values.
        origin: coordinate at the start of signals, where it is known.
        share: of the windows whose pictures are kept, evenly spread.
        left_out: what isn't shown, in words.
    """

    model: PoseVAE
    maps: xr.Dataset
    places: Places
    patches: Patches
    image: xr.DataArray | None
    own_image: bool
    origin: float | None = None
    share: float = 1.0
    left_out: tuple[str, ...] = field(default=())

    def packed(self) -> tuple[dict[str, Any], bytes]:
        """The header, as JSON takes it, and the arrays, deflated."""
        pack = Pack()
        header = {
            "title": f"{type(self.model).__name__} explorer",
            **labels.described(self.model, self.maps, self.places, pack),
            **self._windows(pack),
            "picture": pictures.picture(self.image, self.own_image and self._cuts, pack),
            "tiles": self._tiles(pack),
            "leftOut": list(self.left_out),
        }
        return header | {"arrays": pack.table}, pack.deflated()

    def reduced(self, share: float) -> "Content":
        """With pictures of fewer windows, and a note that says so."""
        kept, count = len(self.kept(share)), len(self.patches)
        what = "reconstructions" if self._cuts else "windows and reconstructions"
        note = f"{what} of {count - kept} of {count} windows, for the size of the page"
        return replace(self, share=share, left_out=(note,))

    def kept(self, share: float) -> np.ndarray:
        """Indices of the patches whose pictures are kept, evenly spread."""
        count = len(self.patches)
        return np.unique(np.linspace(0, count - 1, int(share * count)).astype(int))

    @property
    def _cuts(self) -> bool:
        """Whether the page cuts windows from their image itself."""
        return from_image(self.patches) and self.patches.source.numel() <= _MOST_SOURCE

    def made(self, index: np.ndarray) -> np.ndarray:
        """Reconstructions of some patches, `n x channel x window`."""
        sizes = self.places.template.shape
        parts = []
        for part in np.array_split(index, max(1, -(-len(index) // _AT_ONCE))):
            at = np.unravel_index(self.patches.positions[part], sizes)
            chosen = {
                dim: ("place", along) for dim, along in zip(self.places.dims, at, strict=True)
            }
            parts.append(decode(self.model, self.maps.isel(chosen)).values)
        made = np.concatenate(parts) if len(index) else np.zeros((0, *self.model.shape))
        return made.reshape(-1, max(len(self.model.channels), 1), *self.model.window)

    def seen(self, index: np.ndarray) -> np.ndarray:
        """Windows as the model sees them, `n x channel x window`, NaN where pixels are missing."""
        windows = self.patches.gather(torch.as_tensor(index)).cpu().numpy()
        return windows.reshape(-1, max(len(self.model.channels), 1), *self.model.window)

    def _windows(self, pack: Pack) -> dict[str, Any]:
        """Windows and reconstructions, and how to show them."""
        patches, count = self.patches, len(self.places)
        kept = self.kept(self.share)
        slots, starts = np.full(count, -1, np.int32), np.full((count, 3), -1, np.int32)
        slots[patches.positions[kept]] = np.arange(len(kept))
        pack.add("slot", slots)
        made, channels = self.made(kept), max(len(self.model.channels), 1)
        pack.add_coded("made", made.reshape(-1, *self.model.window), smooth=True)
        if self._cuts:
            starts[patches.positions] = patches.starts.cpu().numpy()
            pack.add("start", starts)
            source = patches.source.cpu().numpy()
            kind = np.uint16 if source.size <= _FINE_SOURCE else np.uint8
            pack.add_coded("source", source.reshape(-1, *source.shape[-2:]), kind)
        else:
            seen = self.seen(kept).reshape(-1, *self.model.window)
            pack.add_coded("window", seen, smooth=True)
        # Limits are those of windows from everywhere, whichever are kept.
        sample = self.kept(min(1.0, _SAMPLE / len(patches)))
        seen, drawn = self.seen(sample), self.made(sample)
        periods = phase_periods(self.model)
        names = self.model.channels or ("",)
        of_values = patches.channel_units or (str(patches.attrs.get("units", "")),)
        units = [value_units({"units": one}, patches.normalize)["units"] for one in of_values]
        return {
            "windows": {
                "shape": list(self.model.window),
                "cut": self._cuts,
                "stretched": patches.normalize == "patch",
                "channels": list(names),
                "units": [str(one).removeprefix("1") for one in units],
                "periods": [periods.get(name) for name in names],
                "limits": [
                    robust_limits(np.stack([seen[:, n], drawn[:, n]])) for n in range(channels)
                ],
                "residual": [
                    symmetric_limits(pictures.apart(seen[:, n], drawn[:, n], periods.get(name)))[1]
                    for n, name in enumerate(names)
                ],
                "origin": self.origin,
                "axes": list(patches.window_dims),
                "steps": list(patches.pixel_size),
                "stepUnits": list(patches.units),
            }
        }

    def _tiles(self, pack: Pack) -> dict[str, Any]:
        """The grid of motifs, and z of every place."""
        z = latents_of(self.model, self.maps, self.places.dims)
        tiles = tiles_of(self.model, z)
        pack.add("z", z.astype(np.float32))
        pack.add_coded("tile", tiles.values.reshape(-1, *self.model.window), smooth=True)
        at = -1 - len(self.model.window)  # the axis of channels
        kinds = labels.kinds(self.maps) if self.model.classes else ()
        return {
            "latents": tiles.latents,
            "axes": [axis.tolist() for axis in tiles.axes],
            "centre": tiles.centre.tolist(),
            "kinds": list(kinds),
            "limits": [robust_limits(channel) for channel in np.moveaxis(tiles.values, at, 0)],
        }

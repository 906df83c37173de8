"""Windows of images and stacks, on a grid or around positions; and any data as windows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pyroshift.data.checks import as_image, as_labelled, check_window_fits, lengths, window_shape
from pyroshift.data.gathering import Patches
from pyroshift.data.interpolation import interpolated
from pyroshift.data.normalization import checked_normalize, normalized, warn_about_outliers
from pyroshift.data.windows import around, on_grid, without_missing
from pyroshift.errors import DataError

__all__ = ["Patches", "as_patches", "extract_patches"]


def extract_patches(
    image: Any,
    window: int | Sequence[int],
    step: int | Sequence[int] | None = None,
    normalize: str | Sequence[float] | None = "patch",
    positions: Any = None,
    interpolate: bool = False,
) -> Patches:
    """Windows of an image on a grid, or around given positions; whole windows only.

    Args:
        image: `height x width` or `frame x height x width`, a DataArray as `load_image` gives it,
            any array, a HyperSpy signal or a sidpy dataset. Axes named y and x, or frame and time,
            may come in any order. Windows that hold missing pixels (NaN) are left out, with a
            warning.
        window: height and width of the windows in pixels; one integer for a square. Two to three
            unit cells work best.
        step: pixels between windows along y and x; by default half of the window.
        normalize: "patch" to stretch each window to [0, 1], "image" to stretch the whole image,
            two percentiles such as (0.1, 99.9) to do so and clip what is beyond, for images with
            hot pixels, or None. With "patch" relative intensity between windows is lost, and with
            it the illumination.
        positions: centres of the windows: `position x 2` (y, x), or `position x 3` (frame, y, x),
            in pixels; or atoms as `find_atoms` and `link_atoms` give them, whose coordinates, such
            as `track`, go with them. Windows that would leave the image are left out, with a
            warning that counts them. The patches' dimension is then "atom", whose labels tell
            which positions are left.
        interpolate: whether windows at positions are cut exactly there, by cubic splines, which
            needs the extra `atoms` and memory for all windows; by default positions are rounded to
            whole pixels, and the offset latents, or z, hold what is left.

    Returns:
        The patches, with the coordinates of their centres in the image's units.

    Raises:
        DataError: if the window does not fit the image, the step or the positions make no sense,
            or the image isn't made of real numbers.
        ImportError: if `interpolate` needs an extra that isn't installed.

    Example:
        >>> image = np.random.default_rng(0).random((64, 100))
        >>> patches = extract_patches(image, window=16, step=8)
        >>> patches
        <Patches (y: 7, x: 11), window 16 x 16, normalize='patch'>
        >>> patches.gather(torch.tensor([0, 1])).shape
        torch.Size([2, 16, 16])
    """
    normalize = checked_normalize(normalize)
    data = as_image(image)
    size = window_shape(window, 2)
    values = data.values if data.ndim == 3 else data.values[np.newaxis]
    frames = normalized(values, normalize, "the image", missing=True)
    check_window_fits(size, data.shape)
    warn_about_outliers(values, normalize)
    if positions is None:
        if interpolate:
            raise DataError("interpolate=True is for windows at positions: a grid needs none")
        placed = on_grid(data, size, step)
    else:
        placed = around(data, size, positions, whole_pixels=not interpolate)
    starts = placed.starts
    if interpolate:
        frames, starts = interpolated(frames, starts, size)
    patches = Patches(
        source=torch.from_numpy(frames),
        starts=torch.from_numpy(starts),
        window=size,
        normalize=normalize,
        layout=placed.layout,
        coords=placed.coords,
        positions=np.arange(len(starts)),
        window_dims=placed.axes,
        **lengths(data, data.dims[-2:]),
        attrs=dict(data.attrs),
    )
    whole = without_missing(patches.source, patches.starts, size)
    chosen = slice(None) if whole is None else whole
    return replace(patches, starts=patches.starts[chosen], positions=patches.positions[chosen])


def as_patches(source: Any, window: Sequence[int] | None = None) -> Any:
    """Patches as they are, and an array of windows or signals as patches.

    Args:
        source: `Patches`, or what else gathers batches; or what `Patches.from_array` takes.
        window: sizes of the windows that are expected, which tell windows from signals.

    Raises:
        DataError: if it is something else, or a whole image.

    Example:
        >>> len(as_patches(torch.rand(30, 16, 16)))
        30
    """
    if hasattr(source, "gather") and hasattr(source, "statistics"):
        return source
    window_ndim = None if window is None else len(window)
    labelled = as_labelled(source, window_ndim, None, None, "data")
    if labelled.ndim == window_ndim:
        raise DataError(
            f"the data have shape {labelled.shape}, which is one window or a whole image: pass "
            "several windows, or cut an image by extract_patches(image, window) first"
        )
    return Patches.from_array(source, window_ndim)

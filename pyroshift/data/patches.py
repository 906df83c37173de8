"""Windows of images and stacks, on a grid or around positions; and any data as windows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from pyroshift.data.channels import channel_labels, normalized_each
from pyroshift.data.checks import (
    CHANNEL,
    as_image,
    as_labelled,
    check_window_fits,
    lengths,
    window_shape,
)
from pyroshift.data.gathering import Patches
from pyroshift.data.interpolation import interpolated
from pyroshift.data.neighbours import check_overlap, covered_share
from pyroshift.data.normalization import checked_normalize, warn_about_outliers
from pyroshift.data.windows import around, check_share, on_grid, with_enough_pixels
from pyroshift.errors import DataError

__all__ = ["Patches", "as_patches", "extract_patches"]


def extract_patches(
    image: Any,
    window: int | Sequence[int],
    step: int | Sequence[int] | None = None,
    normalize: str | Sequence[float] | None = "patch",
    positions: Any = None,
    interpolate: bool = False,
    min_valid: float = 0.5,
    overlap: str | None = None,
) -> Patches:
    """Windows of an image on a grid, or around given positions; whole windows only.

    Args:
        image: `height x width` or `frame x height x width`, a DataArray as `load_image` gives it,
            any array, a HyperSpy signal or a sidpy dataset. Axes named y and x, or frame and time,
            may come in any order. A DataArray may also have a dimension "channel", as that of
            `load_image` with several channels. NaN, or masked, where pixels are missing.
        window: height and width of the windows in pixels; one integer for a square. Two to three
            unit cells work best.
        step: pixels between windows along y and x; by default half of the window.
        normalize: "patch" to stretch each window to [0, 1], "image" to stretch the whole image,
            two percentiles such as (0.1, 99.9) to do so and clip what is beyond, for images with
            hot pixels, or None; each channel by itself. With "patch" relative intensity between
            windows is lost, and with it the illumination.
        positions: centres of the windows: `position x 2` (y, x), or `position x 3` (frame, y, x),
            in pixels; or atoms as `find_atoms` and `link_atoms` give them, whose coordinates, such
            as `track`, go with them. Windows that would leave the image are left out, with a
            warning that counts them. The patches' dimension is then "atom", whose labels tell
            which positions are left.
        interpolate: whether windows at positions are cut exactly there, by cubic splines, which
            needs the extra `atoms` and memory for all windows; by default positions are rounded to
            whole pixels, and the offset latents, or z, hold what is left.
        min_valid: least share of a window's pixels that are there, in every channel. Other windows
            are left out, with a warning that counts them, and maps will be NaN there; those that
            are kept hold NaN where pixels are missing.
        overlap: "once" for each pixel to count once, however many windows hold it: see below. By
            default it counts in each of them.

    Windows closer than they are wide hold the same pixels again, and a model that takes them for
    independent is too sure of what they say together: of a map that neighbours share in
    (`priors.Matern`), of how smooth it is, of the model's own weights, of which latents are worth
    their KL divergence. With `overlap="once"` the log likelihood of every window is multiplied by
    one and the same number, the pixels covered over the pixels held, which on a large grid is the
    product of step over window along both axes: a power likelihood. Bounds and evidences are then
    of these tempered data. What a single window says of itself, as its offset, needs no power, for
    it holds each of its pixels once, and is less sure with it than it could be: what neighbours
    know of these pixels only a prior of neighbours brings back, without which faint latents may
    collapse. Windows keep the number, in `power`, in any part of them.

    Returns:
        The patches, with the coordinates of their centres in the image's units.

    Raises:
        DataError: if the window does not fit the image, the step or the positions make no sense,
            or the image isn't made of real numbers.
        ImportError: if `interpolate` needs an extra that isn't installed.

    Source:
        Bissiri, Holmes and Walker, "A general framework for updating belief distributions", J. R.
        Stat. Soc. B 78, 1103 (2016); Holmes and Walker, "Assigning a value to a power likelihood in
        a general Bayesian model", Biometrika 104, 497 (2017).

    Example:
        >>> image = np.random.default_rng(0).random((64, 100))
        >>> patches = extract_patches(image, window=16, step=8)
        >>> patches
        <Patches (y: 7, x: 11), window 16 x 16, normalize='patch'>
        >>> patches.gather(torch.tensor([0, 1])).shape
        torch.Size([2, 16, 16])
    """
    normalize = checked_normalize(normalize)
    check_share(min_valid)
    check_overlap(overlap)
    data = as_image(image, channels=True)
    channels, channel_units = channel_labels(data, CHANNEL)
    size = window_shape(window, 2)
    plane = data.isel({CHANNEL: 0}, drop=True) if channels else data
    values = data.values if plane.ndim == 3 else data.values[np.newaxis]
    frames = normalized_each(values, normalize, "the image", channels)
    check_window_fits(size, data.shape)
    warn_about_outliers(values, normalize, channels)
    if positions is None:
        if interpolate:
            raise DataError("interpolate=True is for windows at positions: a grid needs none")
        placed = on_grid(plane, size, step)
    else:
        placed = around(plane, size, positions, whole_pixels=not interpolate)
    power = None if overlap is None else float(covered_share(placed.starts, size))
    starts = placed.starts
    if interpolate:
        frames, starts = interpolated(frames, starts, size)
    source, first = torch.from_numpy(frames), torch.from_numpy(starts)
    kept, complete = with_enough_pixels(source, first, size, min_valid)
    patches = Patches(
        source=source,
        starts=first,
        window=size,
        normalize=normalize,
        layout=placed.layout,
        coords=placed.coords,
        positions=np.arange(len(starts)),
        window_dims=placed.axes,
        **lengths(data, data.dims[-2:]),
        attrs=dict(data.attrs),
        channels=channels,
        channel_units=channel_units,
        complete=complete,
        power=power,
    )
    return patches if kept is None else patches.subset(kept)


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
    if labelled.ndim - (CHANNEL in labelled.dims) == window_ndim:
        raise DataError(
            f"the data have shape {labelled.shape}, which is one window or a whole image: pass "
            "several windows, or cut an image by extract_patches(image, window) first"
        )
    return Patches.from_array(source, window_ndim)

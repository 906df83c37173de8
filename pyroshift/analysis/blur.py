"""How much of z a plain blur of the image explains."""

from typing import Any

import numpy as np
import torch
import xarray as xr

from pyroshift.analysis.spectrum import Array
from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.model.sites import CONTENT

FEWEST_WINDOWS = 20


def explained_by_blur(maps: Any, patches: Patches, contrast: bool = False) -> xr.DataArray:
    """Share of each latent's variance that the mean grey level of the window explains.

    A latent that a blurred image explains tells what is seen without any model: thickness, dirt,
    illumination. Where it is large, let `brightness="site"` take these, or cut the patches with
    `normalize="patch"`. What it leaves is not all structure either, and structure may darken a
    window: a share of 0.1 is no reason to worry.

    It is R² of a linear regression, for the mean alone the square of the correlation. Of several
    channels, all means explain together. Missing pixels don't count.

    Args:
        maps: from `encode`, or its z.
        patches: the windows that the maps were made of; or windows at the same positions, cut with
            `normalize=None`, where those were stretched one by one.
        contrast: whether the spread of the window's grey levels may explain as well.

    Returns:
        From 0 to 1, over `latent`; NaN for one that is constant. Windows without values (NaN) are
        left out.

    Raises:
        DataError: if maps and patches aren't of the same windows, or there are fewer than 20.

    Example:
        >>> from pyroshift import ShiftVAE, encode, extract_patches
        >>> image = np.random.default_rng(0).random((64, 80))
        >>> patches = extract_patches(image, window=16, normalize="image")
        >>> explained_by_blur(encode(ShiftVAE(16), patches), patches).dims
        ('latent',)
    """
    z = maps[CONTENT] if isinstance(maps, xr.Dataset) else maps
    layout = {name: size for name, size in z.sizes.items() if name != "latent"}
    if layout != dict(patches.layout):
        raise DataError(
            f"the maps run over {layout}, but the patches over {dict(patches.layout)}: pass the "
            "patches that were encoded"
        )
    grey = patches.unflatten(_grey_levels(patches, contrast))
    grey = grey.reshape(-1, grey.shape[-1])
    latents = z.transpose(*patches.layout, "latent").values.reshape(len(grey), -1).astype(float)
    known = np.isfinite(grey).all(1) & np.isfinite(latents).all(1)
    if known.sum() < FEWEST_WINDOWS:
        raise DataError(
            f"{int(known.sum())} windows are too few to say what explains a latent: it takes "
            f"{FEWEST_WINDOWS}"
        )
    return xr.DataArray(
        _explained(latents[known], grey[known]),
        {"latent": z["latent"]} if "latent" in z.coords else None,
        ("latent",),
        "explained_by_blur",
        {"long_name": "share of the variance that a blur explains", "units": "1"},
    )


def _grey_levels(patches: Patches, contrast: bool, batch_size: int = 4096) -> Array:
    """Mean, and if asked for standard deviation, of each window's channels: `patch x number`."""
    parts = []
    for index in torch.arange(len(patches)).split(batch_size):
        windows = patches.gather(index).double()
        channels = windows.reshape(len(index), max(len(patches.channels), 1), -1)
        mean = channels.nanmean(-1, keepdim=True)
        spread = (channels - mean).square().nanmean(-1).sqrt()
        parts.append(torch.cat([mean.squeeze(-1), *[spread] * contrast], -1))
    return torch.cat(parts).cpu().numpy()


def _explained(latents: Array, causes: Array) -> Array:
    """R² of each column, given some columns."""
    deviation = latents - latents.mean(0)
    basis = causes - causes.mean(0)
    spread = basis.std(0)
    basis = basis / np.where(spread > 0, spread, 1.0)  # channels may differ by orders of magnitude
    fitted = basis @ np.linalg.lstsq(basis, deviation)[0]
    total = (deviation**2).sum(0)
    rounding = (8 * np.finfo(np.float32).eps * np.abs(latents).max(0)) ** 2 * len(latents)
    share = (fitted**2).sum(0) / np.where(total > rounding, total, 1.0)
    return np.where(total > rounding, share, np.nan)

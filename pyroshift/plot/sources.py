"""What is drawn, whether given itself or as the model that makes it of some patches."""

import dataclasses
from typing import Any

import numpy as np
import torch
import xarray as xr

from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.maps.decode import decode, manifold
from pyroshift.maps.encode import encode
from pyroshift.model.pair import PoseVAE


def as_maps(source: Any, patches: Patches | None) -> xr.Dataset:
    """Maps as they are, or those that a model makes of patches.

    Args:
        source: a Dataset from `encode`, or a model.
        patches: what a model is to encode.

    Raises:
        DataError: if it is neither, or patches are missing or have no use.

    Example:
        >>> from pyroshift import VAE
        >>> patches = Patches.from_array(np.zeros((3, 8, 8)))
        >>> as_maps(VAE(8), patches).sizes["patch"]
        3
    """
    if isinstance(source, PoseVAE):
        if patches is None:
            raise DataError(
                "a model alone has no maps: pass patches=..., or what encode(model, patches) "
                "returns in place of the model"
            )
        return encode(source, patches)
    if not isinstance(source, xr.Dataset):
        raise DataError(
            f"expected a Dataset from encode, or a model and patches=...; got "
            f"{type(source).__name__}"
        )
    if patches is not None:
        raise DataError("patches= is what a model encodes: leave it out where maps are given")
    return source


def as_manifold(source: Any) -> Any:
    """What `manifold` returned, or returns for a model."""
    return manifold(source) if isinstance(source, PoseVAE) else source


def as_reconstructed(data: Any, decoded: Any, n: int, seed: int) -> tuple[Any, Any]:
    """Data and their reconstructions as they are, or those of some patches by a model.

    Args:
        data: from `patches.to_xarray()`, or a model.
        decoded: from `decode`, or what the model is to reconstruct.
        n: how many patches a model reconstructs.
        seed: of the draw of these.
    """
    if not isinstance(data, PoseVAE):
        return data, decoded
    if not isinstance(decoded, Patches):
        raise DataError(
            f"after a model, patches are expected that it reconstructs; got "
            f"{type(decoded).__name__}"
        )
    count = len(decoded)
    kept = np.sort(np.random.default_rng(seed).choice(count, min(n, count), replace=False))
    few = as_list(decoded, kept)
    return few.to_xarray(), decode(data, encode(data, few))


def as_list(patches: Patches, index: np.ndarray) -> Patches:
    """Some patches in a row, wherever they were.

    Args:
        patches: of any layout.
        index: which of them, integers.

    Example:
        >>> as_list(Patches.from_array(np.zeros((3, 8, 8))), np.array([2, 0])).layout
        {'patch': 2}
    """
    return dataclasses.replace(
        patches.subset(torch.from_numpy(index)),
        layout={"patch": len(index)},
        coords={},
        positions=np.arange(len(index)),
    )

"""Grey levels stretched to [0, 1]: of all values alike, or of each window."""

import numpy as np
import torch
from torch import Tensor

from pyroshift import names
from pyroshift.errors import DataError

NORMALIZATIONS = (*names.NORMALIZATIONS, None)


def check_normalize(normalize: str | None) -> None:
    """Raise a DataError if there is no such way.

    Example:
        >>> check_normalize("patch")
    """
    if normalize not in NORMALIZATIONS:
        raise DataError(f"normalize must be one of {NORMALIZATIONS}, got {normalize!r}")


def normalized(values: np.ndarray, normalize: str | None) -> np.ndarray:
    """All values stretched alike to [0, 1] where asked by "image"; missing ones stay NaN.

    Example:
        >>> normalized(np.array([2.0, 4.0, np.nan]), "image")
        array([ 0.,  1., nan])
    """
    if normalize != "image":
        return values
    return between(values, np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None))


def between(values: np.ndarray, low: np.floating, high: np.floating) -> np.ndarray:
    """Values stretched so that a lowest and a highest one become 0 and 1.

    Example:
        >>> between(np.array([2.0, 4.0]), np.float64(2), np.float64(6))
        array([0. , 0.5])
    """
    return (values - low) / (high - low if high > low else np.float32(1))


def stretch(windows: Tensor) -> Tensor:
    """Each window stretched to [0, 1]; a constant one becomes 0.

    Example:
        >>> stretch(torch.tensor([[2.0, 4.0, 3.0], [7.0, 7.0, 7.0]]))
        tensor([[0.0000, 1.0000, 0.5000],
                [0.0000, 0.0000, 0.0000]])
    """
    axes = tuple(range(1, windows.dim()))
    low, high = windows.amin(axes, keepdim=True), windows.amax(axes, keepdim=True)
    height = high - low
    return (windows - low) / torch.where(height > 0, height, torch.ones_like(height))

"""What large sources ask for: their range, and a device, without a copy where that can be."""

import numpy as np
import torch
from torch import Tensor


def lowest_and_highest(source: Tensor) -> tuple[float, float]:
    """Lowest and highest value, of those that aren't missing, without a copy where that can be.

    Example:
        >>> lowest_and_highest(torch.tensor([2.0, torch.nan, -1.0]))
        (-1.0, 2.0)
    """
    if source.device.type == "cpu":
        values = source.numpy()
        return float(np.fmin.reduce(values, None)), float(np.fmax.reduce(values, None))
    known = source[~torch.isnan(source)]
    return float(known.min()), float(known.max())


def on_device(source: Tensor, device: torch.device | str) -> Tensor:
    """Values on a device; counts of two bytes as float32 there, as few can gather these.

    Example:
        >>> on_device(torch.zeros(3, dtype=torch.uint16), "cpu").dtype
        torch.uint16
    """
    if source.device.type == torch.device(device).type == "cpu":
        return source
    return source.to(device).float()

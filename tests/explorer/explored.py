"""A small image, a model that was trained a little, and its maps."""

import warnings
from functools import cache

import numpy as np
import xarray as xr

import pyroshift as ps

WINDOW, STEP = 12, 6


@cache
def image():
    """Bright spots of two sizes on a noisy ground, in nanometres."""
    y, x = np.mgrid[:60, :84]
    spots = np.cos(2 * np.pi * y / 12) + np.cos(2 * np.pi * x / 12)
    values = spots * np.where(x < 40, 1.0, 0.4) + np.random.default_rng(0).normal(0, 0.1, y.shape)
    coords = {
        name: (name, 0.5 * np.arange(size), {"units": "nm"})
        for name, size in (("y", 60), ("x", 84))
    }
    return xr.DataArray(values, coords, ("y", "x"), attrs={"long_name": "height", "units": "nm"})


@cache
def trained():
    """A model, its patches and its maps."""
    patches = ps.extract_patches(image(), WINDOW, step=STEP)
    model = ps.ShiftVAE(WINDOW, guide="normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ps.fit(model, patches, epochs=3, progress=False)
        return model, patches, ps.encode(model, patches)

"""Models of every kind, and patches that they are for."""

import numpy as np
import pytest
import xarray as xr

import pyroshift as ps

RANDOM = np.random.default_rng(0)
NM = {"units": "nm", "long_name": "position"}


def image(shape, spacing=0.5):
    axes = {name: (name, spacing * np.arange(shape[-2:]["yx".index(name)]), NM) for name in "yx"}
    return xr.DataArray(RANDOM.random(shape), dims=("frame", "y", "x")[-len(shape) :], coords=axes)


def channels():
    names = ("channel", ["height", "phase"])
    array = xr.DataArray(RANDOM.random((2, 20, 24)), {"channel": names}, dims=("channel", "y", "x"))
    patches = ps.extract_patches(array, 8, 4, normalize=None)
    likelihood = {"height": "gaussian", "phase": "von_mises"}
    return patches, ps.ShiftVAE(8, likelihood=likelihood, guide="normal")


def with_gaps():
    array = image((20, 24))
    array[:9, :7] = np.nan
    with pytest.warns(UserWarning, match="windows are left out"):
        patches = ps.extract_patches(array, 8, 4)
    return patches, ps.ShiftVAE(8)


def small(window, model=ps.ShiftVAE, **options):
    return model(window, encoder=ps.FullyConnectedEncoder(window, (8,)), **options)


CASES = {
    "grid, normal": lambda: (
        ps.extract_patches(image((16, 20)), 8, 4), small((8, 8), guide="normal"),
    ),
    "stack, anchor": lambda: (
        ps.extract_patches(image((2, 12, 12)), 6),
        small((6, 6), ps.RVAE, offsets=True, scales=True, guide="anchor"),
    ),
    "atoms, classes": lambda: (
        ps.extract_patches(image((2, 12, 12)), 6, positions=[[0, 4, 4], [1, 6, 7], [1, 7, 5]]),
        small((6, 6), ps.RVAE, offsets=True, classes=3, flips=True),
    ),
    "signals, classes": lambda: (
        ps.Patches.from_array(RANDOM.random((7, 12))), small((12,), guide="normal", classes=2),
    ),
    "brightness": lambda: (
        ps.extract_patches(image((16, 16)), 8, 4, normalize="image"),
        small((8, 8), brightness="site"),
    ),
    "channels": channels,
    "gaps": with_gaps,
    "covariates": lambda: (
        ps.extract_patches(image((16, 16)), 8, 4).assign(bias=2.5, dose=RANDOM.random((3, 3))),
        small((8, 8), guide="normal", condition=["bias", "dose"]),
    ),
    "hierarchical": lambda: (
        ps.Patches.from_array(RANDOM.random((5, 12))),
        ps.VAE((12,), priors={"z": ps.priors.Hierarchical(2)}),
    ),
    "periodic": lambda: (
        ps.extract_patches(image((16, 16)), 8, 4), small((8, 8), period=0.5, guide="normal"),
    ),
}  # fmt: skip

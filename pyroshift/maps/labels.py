"""What `encode` finds, under the names and in the units of the user's data."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch.distributions import Distribution

from pyroshift._version import __version__
from pyroshift.data.checks import plain_attributes
from pyroshift.data.patches import Patches
from pyroshift.model.batch import power_of
from pyroshift.model.brightness import BACKGROUND, GAIN
from pyroshift.model.classes import CLASS, FLIP
from pyroshift.model.distributions import moments
from pyroshift.model.pair import PoseVAE
from pyroshift.model.pose import half_window
from pyroshift.model.sites import ANGLE, BRIGHTNESS, CONTENT, OFFSET, SCALE
from pyroshift.training.diagnostics import collapsed

KIND = "kind"  # the dimension of classes, as a variable's name can't be that of its own dimension
PROBABILITIES = f"{CLASS}_probability"
_LONG_NAMES = {
    CONTENT: "conventional latent",
    OFFSET: "position of the motif in the window",
    ANGLE: "rotation of the motif, counter-clockwise",
    SCALE: "magnification of the motif",
    BRIGHTNESS: "gain and background of the window",
    CLASS: "most probable class of the motif",
    PROBABILITIES: "probability of each class of the motif",
    FLIP: "whether the motif is mirrored",
    f"{FLIP}_probability": "probability that the motif is mirrored",
    "elbo": "evidence lower bound per patch",
    "probability": "probability of each mode of the pose's posterior",
    "pose_entropy": "entropy of the pose's posterior over bins",
}
_UNITS = {ANGLE: "rad", "elbo": "nat", "pose_entropy": "nat"}
COLLAPSED = "collapsed"
PERIOD = "phase_period"  # after which expected data are the same, where these are phases
MODE = "mode_"  # what names of values at each mode of a posterior begin with


def labelled(
    model: PoseVAE, patches: Patches, values: dict[str, np.ndarray], spread: np.ndarray | None
) -> xr.Dataset:
    """Values per patch as a Dataset over the patches' dimensions, in the user's units.

    Args:
        model: that found them.
        patches: that they are of.
        values: by name, `patch x ...`.
        spread: of the latents by the guide, the mean of its standard deviations, `latent`.
    """
    variables = {}
    for name, value in values.items():
        trailing, factor, attrs = labels_of(name, patches, value.ndim - 1)
        data = patches.unflatten((value * factor).astype(np.float32))
        variables[name] = xr.Variable((*patches.layout, *trailing), data, attrs)
    coords = coordinates(model, patches, values)
    if spread is not None:
        coords[COLLAPSED] = collapsed_latents(model, spread)
    return xr.Dataset(variables, coords, attrs=attributes(model, patches))


def labels_of(
    name: str, patches: Patches, axes: int
) -> tuple[tuple[str, ...], np.ndarray | float, dict[str, Any]]:
    """What to call a site's values, and in which unit to give them.

    Args:
        name: of the site, or of what else is found of each patch.
        patches: whose units they are to have.
        axes: how many axes the value of a patch has.

    Returns:
        Names of these axes, the factor that brings values to the unit, and attributes.
    """
    site = name.removesuffix("_std").removeprefix(MODE)
    long_name, units = _LONG_NAMES.get(site, site), _UNITS.get(site, "1")
    trailing: tuple[str, ...] = ("mode",) if name.startswith(MODE) else ()
    attrs: dict[str, Any] = {}
    factor: np.ndarray | float = 1.0
    if site == OFFSET:
        # Coordinate plus offset is where the motif is, whichever way the coordinate runs.
        pixels = half_window(patches.window) * np.array(patches.pixel_size)
        factor = np.abs(pixels) if name.endswith("_std") else pixels
        units = _per_axis(patches.units)
        trailing = (*trailing, "axis")
        attrs["pixel_size"] = _flat(patches.pixel_size)
    elif site == CONTENT:
        trailing = ("latent",)
    elif site == BRIGHTNESS:
        trailing = ("component",)
    elif site == PROBABILITIES:
        trailing = (KIND,)
    if name.endswith("_std"):
        long_name = f"posterior standard deviation of the {long_name}"
    elif name.startswith(MODE) and site != "probability":
        long_name = f"{long_name}, of each mode of its posterior"
    # Of a site of the user's own nobody knows what its elements are.
    unnamed = range(axes - len(trailing))
    trailing = (*trailing, *(f"{site}_element{axis or ''}" for axis in unnamed))
    return trailing, factor, {"long_name": long_name, "units": units, **attrs}


def coordinates(
    model: PoseVAE, patches: Patches, values: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Coordinates of the patches, and of the elements of what is found of each.

    Args:
        model: whose sites they are.
        patches: the patches.
        values: by name, `... x event shape`.
    """
    # What windows are known to be, such as mirrored, their map of it holds too.
    coords: dict[str, Any] = {
        name: coordinate for name, coordinate in patches.coords.items() if name not in values
    }
    if OFFSET in values:
        coords["axis"] = np.array(patches.window_dims, dtype=object)  # Zarr has no fixed lengths
    if BRIGHTNESS in values:
        coords["component"] = np.array([GAIN, BACKGROUND], dtype=object)
    if PROBABILITIES in values:
        coords[KIND] = _kinds(model, patches)
    if CONTENT in values:
        coords["latent"] = np.arange(values[CONTENT].shape[-1])
    return coords


def _kinds(model: PoseVAE, patches: Patches) -> np.ndarray:
    """The classes' names, where labels had such, or their numbers."""
    site = model.class_site
    assert site is not None
    names = getattr(patches, "categories", {}).get(site.label, ())
    numbered = np.arange(site.count)
    return np.array(names, dtype=object) if len(names) == site.count else numbered


def collapsed_latents(model: PoseVAE, spread: np.ndarray) -> xr.Variable:
    """Which of the latents z say nothing of the data, along "latent".

    Args:
        model: whose latents they are.
        spread: `latent`, the posterior's standard deviation, its mean over the patches.
    """
    found = collapsed(model.priors()[CONTENT], torch.as_tensor(spread)[None]).cpu().numpy()
    attrs = {"long_name": "whether the latent's posterior is as wide as its prior"}
    return xr.Variable("latent", np.atleast_1d(found), attrs)


def _per_axis(units: Sequence[str]) -> str:
    """The unit of all axes, or where they differ that of each: "nm, eV"."""
    return units[0] if len(set(units)) == 1 else ", ".join(units)


def _flat(numbers: Sequence[float]) -> list[float] | float:
    """Numbers as an attribute that comes back from a file as it went in: one alone is no list."""
    return list(numbers) if len(numbers) > 1 else numbers[0]


def phase_periods(model: PoseVAE) -> dict[str, float]:
    """After which values are the same, by the names of the channels that are phases.

    Of windows without channels, the name is empty.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> both = {"amplitude": "gaussian", "phase": "von_mises"}
        >>> phase_periods(ShiftVAE(16, likelihood=both)), phase_periods(ShiftVAE(16))
        ({'phase': 360.0}, {})
    """
    parts = getattr(model.likelihood, "likelihoods", [model.likelihood])
    named = zip(model.channels or ("",), parts, strict=True)
    return {name: part.period for name, part in named if hasattr(part, "period")}


def attributes(model: PoseVAE, patches: Patches) -> dict[str, Any]:
    """Where the maps come from: strings, numbers and flat lists, which every file format takes."""
    optional = {
        "channels": list(model.channels),
        "condition": list(model.condition),
        "phase_periods": phase_periods(model),
    }
    configuration = {
        "model": type(model).__name__,
        **{name: value for name, value in optional.items() if value},
        "sites": {name: _in_words(prior) for name, prior in model.priors().items()},
        "likelihood": repr(model.likelihood),
        "decoder": type(model.decoder).__name__,
        "encoder": type(model.encoder).__name__,
        "guide": type(model.guide_module).__name__,
    }
    source = {f"source_{name}": value for name, value in plain_attributes(patches.attrs).items()}
    return {
        "title": f"{type(model).__name__} latent maps",
        "pyroshift_version": __version__,
        "configuration": json.dumps(configuration),
        "window": _flat(model.window),
        "normalize": str(patches.normalize),
        **({} if power_of(patches) == 1 else {"power": power_of(patches)}),
        **source,
    }


def _in_words(prior: Distribution) -> str:
    """A prior, with its mean and width."""
    values = [np.unique(value.cpu().numpy()) for value in moments(prior)]
    mean, width = (", ".join(f"{number:.4g}" for number in numbers) for numbers in values)
    return f"{prior}, mean {mean}, width {width}"


def components(name: str, array: xr.DataArray) -> dict[str, xr.DataArray]:
    """A variable's parts by name, one for each latent, axis, component or kind; else the variable.

    Example:
        >>> array = xr.DataArray(np.zeros((3, 2)), {"axis": ["y", "x"]}, ("patch", "axis"))
        >>> list(components("offset_std", array))
        ['offset_y_std', 'offset_x_std']
    """
    dim = next((dim for dim in ("latent", "axis", "component", KIND) if dim in array.dims), None)
    if dim is None:
        return {name: array}
    base, joint = name.removesuffix("_std"), "" if dim == "latent" else "_"
    ending = name[len(base) :]
    return {
        f"{base}{joint}{part}{ending}": array.isel({dim: index}, drop=True)
        for index, part in enumerate(array[dim].values)
    }

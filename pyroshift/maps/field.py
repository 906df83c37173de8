"""Smooth latents as fields: what neighbours say of any place, where windows are missing too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import torch
import xarray as xr
from torch import Tensor

from pyroshift.data.checks import checked_count
from pyroshift.data.patches import Patches, as_patches
from pyroshift.errors import DataError, SpecificationError
from pyroshift.maps.encode import check_fit, each_alone, summarized
from pyroshift.maps.labels import attributes
from pyroshift.model.batch import gathered
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import evaluating, seed_all
from pyroshift.priors.matern import Matern

LARGEST = 5000  # windows, and places: their covariance has 200 MB
PLACE = "place"
_LABELS = {
    "field": "smooth part of the latent",
    "field_std": "standard deviation of the smooth part",
    "lower": "lower end of the band",
    "upper": "upper end of the band",
    "draws": "joint draws of the smooth part",
    "own_std": "standard deviation of a window's latent about the smooth part",
}


@torch.no_grad()
def smooth_field(
    model: PoseVAE,
    patches: Any,
    at: Mapping[str, Any] | None = None,
    draws: int = 100,
    *,
    credible: float = 0.9,
    batch_size: int = 512,
    seed: int = 0,
) -> xr.Dataset:
    """The smooth part of latents at any places, with a window or without, and how sure it is.

    Of a model whose latents have the prior `priors.Matern`. What each window says of its latents by
    itself is taken for a measurement, whose error is the window's own; the Gaussian process between
    them gives the rest: gaps are filled in, and how far off that may be is told. Lengths and shares
    are the middles of what the training knows of them, the latents as `encode` has them.

    Draws are of all places together, so that whatever is computed of each, as the mean over an area
    or where the field crosses zero, is as uncertain as the draws say. Errors of neighbouring places
    are alike: the band holds the truth at nine in ten places on average, but not in every image.

    Args:
        model: a trained model.
        patches: `Patches`, all that the field is to be known by, at most 5,000.
        at: coordinates of places by the names that the prior has, such as "y" and "x", in the
            image's unit: numbers, lists of these, or DataArrays, whose dimensions the result then
            has; of a stack, the "frame" as well. By default every place of the patches' layout,
            those that have no window too. At most 5,000.
        draws: how many are made.
        credible: probability of the band.
        batch_size: windows that go through the networks at a time.
        seed: of the draws.

    Returns:
        A Dataset over the places' dimensions and `latent`: `field`, its mean; `field_std`; `lower`
        and `upper`, the band at each place; `draws`, over `draw` as well; and over
        `latent` alone `own_std`, by which a window scatters about the field. A window that were
        there has a latent of the variance of both.

    Raises:
        DataError: if the patches don't fit the model or are too many, places aren't known, or a
            number makes no sense.
        SpecificationError: if no latent of the model has this prior.

    Source:
        Rasmussen and Williams, "Gaussian processes for machine learning" (2006), equations 2.23
        and 2.24.

    Example:
        >>> from pyroshift import ShiftVAE, extract_patches, priors
        >>> cut = extract_patches(np.random.default_rng(0).random((40, 40)), window=8, step=4)
        >>> some = cut.subset(torch.arange(50))
        >>> model = ShiftVAE(8, priors={"z": priors.Matern(2, length=12.0)})
        >>> found = smooth_field(model, some)
        >>> len(some), found.field.dims, int(found.field.notnull().all("latent").sum())
        (50, ('y', 'x', 'latent'), 81)
        >>> smooth_field(model, some, {"y": 10.0, "x": [2.5, 3.5]}).draws.dims
        ('draw', 'place', 'latent')
    """
    site = _site(model)
    draws, batch_size = checked_count("draws", draws), checked_count("batch_size", batch_size)
    if not 0 < credible < 1:
        raise DataError(f"credible must be between 0 and 1, such as 0.9; got {credible!r}")
    patches = as_patches(patches, model.window)
    check_fit(model, patches)
    known = model.with_needs(patches)
    places = _places(site, known, at)
    _check_size("windows", len(known), "patches.subset(...)")
    _check_size("places", len(next(iter(places.values.values()))), "fewer")
    on_device = known.to(model.device)
    with evaluating(model), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        seed_all(seed)
        alone = _each_by_itself(model, on_device, site.name, batch_size)
        windows = {name: on_device.known[name] for name in places.values}
        asked = {name: torch.from_numpy(each) for name, each in places.values.items()}
        asked = {name: each.to(windows[name]) for name, each in asked.items()}
        process = site.field_given(*alone, windows, asked)
        mean, spread = process.mean, process.variance.sqrt()
        reach = torch.special.ndtri(torch.tensor((1 + credible) / 2, dtype=torch.double))
        found = {
            "field": mean,
            "field_std": spread,
            "lower": mean - reach * spread,
            "upper": mean + reach * spread,
            "draws": process.rsample((draws,)),
        }
    by_place = {
        name: places.laid_out(name, value.cpu().numpy().astype(np.float32))
        for name, value in found.items()
    }
    own = xr.Variable("latent", site.own_spread().cpu().numpy(), _about("own_std"))
    attrs = {**attributes(model, patches), "credible": credible, "title": "smooth part of latents"}
    return xr.Dataset({**by_place, "own_std": own}, places.coords, attrs)


@dataclass(frozen=True)
class _Places:
    """Where a field is asked for.

    Args:
        sizes: of the dimensions of the places.
        values: their coordinates by name, as numbers, flat.
        coords: those of the result.
    """

    sizes: Mapping[str, int]
    values: Mapping[str, np.ndarray]
    coords: Mapping[str, xr.Variable]

    def laid_out(self, name: str, values: np.ndarray) -> xr.Variable:
        """Values, `... x place x latent`, over the places' dimensions."""
        leading = ("draw",) * (values.ndim - 2)
        shape = (*values.shape[:-2], *self.sizes.values(), values.shape[-1])
        return xr.Variable((*leading, *self.sizes, "latent"), values.reshape(shape), _about(name))


def _about(name: str) -> dict[str, str]:
    return {"long_name": _LABELS[name], "units": "1"}


def _site(model: Any) -> Matern:
    """The latents that are a field.

    Raises:
        SpecificationError: if there are none.
    """
    if not isinstance(model, PoseVAE):
        raise SpecificationError(
            f"expected a model, such as ShiftVAE or what load returns; got {type(model).__name__}"
        )
    for site in model.given_sites:
        if isinstance(site, Matern):
            return site
    raise SpecificationError(
        "the latents of this model have no smooth part: train it with "
        'priors={"z": priors.Matern(latent_dim)}'
    )


def _places(site: Matern, patches: Patches, at: Mapping[str, Any] | None) -> _Places:
    """Places that are asked for, or all of the layout."""
    names = [name for name in site.asks if name in patches.known]
    if at is None:
        sizes = dict(patches.layout)
        each = {name: patches.coords[name] for name in names}
        coords = dict(patches.coords)
    else:
        given = _as_arrays(names, site.along, patches, at)
        sizes = {str(dim): size for dim, size in next(iter(given.values())).sizes.items()}
        each = {name: array.variable for name, array in given.items()}
        coords = {
            name: xr.Variable(values.dims, values.values, dict(patches.coords[name].attrs))
            for name, values in each.items()
        }
    flat = {
        name: _as_numbers(name, values.set_dims(sizes).transpose(*sizes), patches).reshape(-1)
        for name, values in each.items()
    }
    return _Places(sizes, flat, coords)


def _as_arrays(
    names: Sequence[str], along: Sequence[str], patches: Patches, at: Mapping[str, Any]
) -> dict[str, xr.DataArray]:
    """Coordinates as they are given, over the same dimensions."""
    if unknown := [str(name) for name in at if name not in names]:
        raise DataError(f"places are given by {names}, but at has {unknown}")
    arrays = {}
    for name in names:
        if name in at:
            values = at[name]
        elif name not in along and len(patches.known[name].unique()) == 1:
            every = patches.coords[name].set_dims(patches.layout).values
            values = every.reshape(-1)[patches.positions[0]]
        else:
            raise DataError(f"at says nothing of {name!r}: give it for each place")
        if isinstance(values, xr.Variable):
            values = xr.DataArray(values)
        if not isinstance(values, xr.DataArray):
            values = np.asarray(values)
            if values.ndim > 1:
                raise DataError(
                    f"at[{name!r}] has shape {values.shape}: give a list, or a DataArray, whose "
                    "dimensions have names"
                )
            values = xr.DataArray(values, dims=(PLACE,) * values.ndim)
        arrays[name] = values.reset_coords(drop=True).drop_vars(list(values.coords))
    sizes = {len(array) for array in arrays.values() if array.dims == (PLACE,)}
    if len(sizes) > 1:
        raise DataError(f"at has lists of different lengths, {sorted(sizes)}")
    return dict(zip(arrays, xr.broadcast(*arrays.values()), strict=True))


def _as_numbers(name: str, variable: xr.Variable, patches: Patches) -> np.ndarray:
    """Coordinates as the prior knows them: numbers, in the place of text too."""
    values = variable.values
    if name in patches.categories:
        texts = patches.categories[name]
        if unknown := sorted({str(text) for text in values.flat} - set(texts)):
            raise DataError(f"the patches have no {name} {unknown[0]!r}, but {list(texts)}")
        values = np.array([texts.index(str(text)) for text in values.flat]).reshape(values.shape)
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be numbers, got {values.dtype}") from error
    if not np.isfinite(numbers).all():
        raise DataError(f"{name} must be known of every place, but is NaN or infinite at some")
    return np.asarray(numbers)


def _each_by_itself(
    model: PoseVAE, patches: Patches, name: str, batch_size: int
) -> tuple[Tensor, Tensor]:
    """Latents of windows and their standard deviations, as if none knew of the others."""
    unplaced, parts = each_alone(model, patches), list[tuple[Tensor, Tensor]]()
    with pyro.validation_enabled(False):
        for index in torch.arange(len(patches), device=model.device).split(batch_size):
            _, found = summarized(model, gathered(unplaced, index))
            parts.append((found[name], found[f"{name}_std"]))
    mean, spread = (torch.cat(each) for each in zip(*parts, strict=True))
    return mean, spread


def _check_size(what: str, count: int, remedy: str) -> None:
    """Raise a DataError if there are none, or more than their covariance has memory for."""
    if not 1 <= count <= LARGEST:
        raise DataError(f"a field is of 1 to {LARGEST} {what}, got {count}: take {remedy}")

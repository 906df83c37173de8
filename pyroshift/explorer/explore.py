"""`explore`: what fits together is checked, and put together."""

import json
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.data.checks import as_image
from pyroshift.data.patches import Patches
from pyroshift.errors import DataError
from pyroshift.explorer.content import Content
from pyroshift.explorer.explorer import Explorer
from pyroshift.explorer.pictures import as_shown
from pyroshift.explorer.places import Places, places_of
from pyroshift.explorer.windows import from_image, image_of, windows_of
from pyroshift.model.pair import PoseVAE


def explore(model: PoseVAE, maps: xr.Dataset, image: Any = None, patches: Any = None) -> Explorer:
    """An explorer of the image, the maps, and what the model sees at each place.

    As the last line of a notebook's cell it shows itself; `save` writes it as one web page that
    needs neither a server nor a network. Hovering over a place shows its window, reconstruction
    and residual, its latents with their standard deviations, and the modes of its pose; places
    can be selected on the image and among the latents; dragging in the plane of z draws the
    motif that belongs there. With the extra `explore`, Jupyter asks the model itself for motifs
    and tells `selected` what was selected; pages, and Jupyter without it, interpolate between
    motifs that were decoded before.

    Args:
        model: a trained model.
        maps: by it, from `encode`: over a grid, atoms, a stack, the scan of spectra or patterns.
        image: what the windows were cut from, as `extract_patches` was given it; it is shown, and
            windows are cut from it again unless `patches` are given. Of spectra and patterns any
            image over the same coordinates.
        patches: what `encode` was given: needed for spectra, patterns, and windows that were
            given one by one. A DataArray of spectra brings the coordinate of their axis.

    Returns:
        The explorer.

    Raises:
        DataError: if the maps are those of another model, there is neither an image nor patches,
            or they don't fit the maps.

    Example:
        >>> import numpy as np
        >>> import pyroshift as ps
        >>> image = np.random.default_rng(0).random((32, 40))
        >>> model = ps.ShiftVAE(16)
        >>> maps = ps.encode(model, ps.extract_patches(image, window=16))
        >>> ps.explore(model, maps, image)
        <Explorer of 12 places over (y, x), none selected>
    """
    _check_model(model, maps)
    places = places_of(maps)
    windows = windows_of(model, maps, places, image, patches)
    own = from_image(windows)
    if image is not None:
        given = as_shown(as_image(image, channels=True))
        _check_shown(given, places)
        own = own and _same_values(given, windows)
        shown: xr.DataArray | None = given
    elif own:
        shown = as_shown(image_of(windows, places))
    else:
        shown = _means(windows, places)
    return Explorer(Content(model, maps, places, windows, shown, own, _origin(patches)))


def _origin(patches: Any) -> float | None:
    """The coordinate at which signals start, where it is known."""
    if not isinstance(patches, xr.DataArray) or patches.dims[-1] not in patches.coords:
        return None
    return float(patches[patches.dims[-1]].values[0])


def _check_model(model: Any, maps: Any) -> None:
    """Raise a DataError unless the maps are of such a model."""
    if not isinstance(model, PoseVAE):
        raise DataError(f"expected a model first, got {type(model).__name__}")
    if not isinstance(maps, xr.Dataset):
        raise DataError(
            f"expected maps, a Dataset from encode(model, patches), got {type(maps).__name__}"
        )
    told = json.loads(maps.attrs.get("configuration", "{}"))
    own = list(model.priors())
    theirs = list(told.get("sites", own))
    if theirs != own:
        raise DataError(
            f"the maps are those of another model: it has the sites {theirs}, this one {own}"
        )
    window = tuple(int(size) for size in _listed(maps.attrs.get("window", model.window)))
    if window != tuple(model.window):
        raise DataError(
            f"the maps are those of another model: of windows of {window}, not {model.window}"
        )
    for site in model.contents:
        if site.name not in maps:
            raise DataError(f"the maps have no {site.name!r}: pass all that encode returned")
        count = maps[site.name].shape[-1]
        if count != site.latent_dim:
            raise DataError(
                f"the maps are those of another model: {site.name} has {count} latents, not "
                f"{site.latent_dim}"
            )


def _listed(numbers: Any) -> Any:
    return numbers if hasattr(numbers, "__iter__") else [numbers]


def _same_values(image: xr.DataArray, windows: Patches) -> bool:
    """Whether an image has the pixels that windows are cut from, as it has unless normalised."""
    source = windows.source.cpu().numpy()
    return image.size == source.size and np.array_equal(
        image.values.astype(np.float32).ravel(), source.astype(np.float32).ravel(), equal_nan=True
    )


def _check_shown(image: xr.DataArray, places: Places) -> None:
    """Raise a DataError for an image that maps can't be shown beside."""
    if image.shape[0] not in (1, len(places.frames)) and places.kind != "points":
        raise DataError(
            f"the maps are of {len(places.frames)} frames, but the image has {image.shape[0]}"
        )


def _means(windows: Patches, places: Places) -> xr.DataArray | None:
    """The mean of each window, where maps are over a grid: an image of a kind."""
    if places.kind == "points":
        return None
    count = len(windows.window) + bool(windows.channels)
    values = windows.unflatten(windows.gather().cpu().numpy().mean(tuple(range(1, 1 + count))))
    if places.kind == "list":
        return None
    dims = places.dims
    template = places.template
    coords = {dim: template[dim].variable for dim in dims[-2:] if dim in template.coords}
    flat = values.reshape(-1, *values.shape[-2:])
    return as_shown(
        xr.DataArray(
            flat, coords, ("frame", *dims[-2:]), attrs={"long_name": "mean of each window"}
        )
    )

"""From latents and poses back to data: `decode`, and `manifold` over a grid of latents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from pyroshift.data.checks import CHANNEL
from pyroshift.errors import DataError
from pyroshift.maps.labels import COLLAPSED, KIND, PERIOD, phase_periods
from pyroshift.model.classes import CLASS, FLIP
from pyroshift.model.distributions import moments
from pyroshift.model.families import middle_of
from pyroshift.model.pair import PoseVAE
from pyroshift.model.parts import evaluating
from pyroshift.model.pose import half_window
from pyroshift.model.sites import ANGLE, BRIGHTNESS, OFFSET, SCALE


@torch.no_grad()
def decode(
    model: PoseVAE,
    z: Any,
    offset: Any = None,
    angle: Any = None,
    scale: Any = None,
    brightness: Any = None,
    kind: Any = None,
    covariates: Mapping[str, Any] | None = None,
    flip: Any = None,
) -> xr.DataArray:
    """What the model expects to see for given latents and pose.

    `decode(model, encode(model, patches))` reconstructs the patches.

    Args:
        model: a trained model.
        z: `... x latent`, of all Content sites one after the other; or a whole Dataset from
            `encode`, whose pose, brightness and sites of your own are then used as well.
        offset: `... x axis`, (y, x) from the window's centre, in pixels, or as a DataArray from
            `encode` in its own unit; zero by default.
        angle: `...`, radians; zero by default.
        scale: `...`, magnification; one by default.
        brightness: `... x component`, gain and background; 1 and 0 by default.
        kind: `...`, number of the class; the most frequent one by default.
        covariates: by name, `...` each; their means in the training by default.
        flip: `...`, 1 for mirrored motifs, else 0, the default.

    Returns:
        The expected data, over the dimensions of `z`, `channel` if there are any, and the window's
        `window_y`, `window_x` (or `window_x` alone for signals). Where they are phases, the
        coordinate `phase_period` tells after which values they are the same.

    Raises:
        DataError: if the shapes don't fit each other or the model, or a pose is given that the
            model doesn't have.

    Example:
        >>> from pyroshift import ShiftVAE
        >>> decode(ShiftVAE((16, 20)), np.zeros((5, 2)), offset=np.ones((5, 2))).shape
        (5, 16, 20)
    """
    given = {
        OFFSET: offset, ANGLE: angle, SCALE: scale, BRIGHTNESS: brightness, CLASS: kind, FLIP: flip,
    }  # fmt: skip
    if isinstance(z, xr.Dataset):
        maps = z
        z = _latents_of(model, maps)
        for name in (*given, *(site.name for site in model.given_sites)):
            # An axis called as the class is that of those which `classify` found.
            found = maps.data_vars if name == CLASS and model.class_site is None else maps
            if given.get(name) is None:
                given[name] = found.get(name)
        covariates = covariates or {name: maps[name] for name in model.condition if name in maps}
    dims, coords = _leading(z)
    latents = np.asarray(z, dtype=np.float32)
    if latents.ndim < 1 or latents.shape[-1] != model.latent_dim:
        raise DataError(
            f"z must end in the model's {model.latent_dim} latents, got shape {latents.shape}"
        )
    shape = latents.shape[:-1]
    unit = half_window(model.window)
    if (offset := given[OFFSET]) is not None:
        offset = offset if isinstance(offset, xr.DataArray) else np.asarray(offset)
        pixel_size = getattr(offset, "attrs", {}).get("pixel_size", 1.0)
        given[OFFSET] = offset / np.asarray(pixel_size) / unit
    neutral: dict[str, Any] = {
        OFFSET: 0.0, ANGLE: 0.0, SCALE: 1.0, BRIGHTNESS: (1.0, 0.0), FLIP: 0.0,
    }  # fmt: skip
    if (kinds := model.class_site) is not None:
        neutral[CLASS] = int(kinds.log_weights.argmax())
    names = [site.name for site in model.given_sites]
    if extra := [name for name, value in given.items() if value is not None and name not in names]:
        raise DataError(f"{extra} given, but this model's sites are {names}")
    sizes = [site.latent_dim for site in model.contents]
    parts = torch.from_numpy(latents.reshape(-1, model.latent_dim)).split(sizes, -1)
    values = dict(zip((site.name for site in model.contents), parts, strict=True))
    for site in model.given_sites:
        if site.name not in values:
            value = _over(dims, shape, given.get(site.name))
            if value is None:
                middle = neutral.get(site.name)
                value = middle_of(site.prior).cpu() if middle is None else middle
            values[site.name] = _expanded(site.name, value, shape, site.event_shape)
    known = {name: _over(dims, shape, value) for name, value in (covariates or {}).items()}
    values |= _covariates(model, known, shape)
    with evaluating(model):
        seen = torch.cat(list(_decoded(model, values)))
    window_dims: tuple[str, ...] = ("window_y", "window_x")[-len(model.window) :]
    periods = phase_periods(model)
    if model.channels:
        window_dims = (CHANNEL, *window_dims)
        coords = {**coords, CHANNEL: np.array(model.channels, dtype=object)}
    if periods:
        each = [periods.get(name, np.nan) for name in model.channels or ("",)]
        coords = {**coords, PERIOD: (CHANNEL, each) if model.channels else each[0]}
    return xr.DataArray(
        seen.reshape(*shape, *model.shape).numpy(),
        dims=(*dims, *window_dims),
        coords=coords,
        name="decoded",
        attrs={"long_name": "expected data"},
    )


def _covariates(
    model: PoseVAE, given: Mapping[str, Any], shape: tuple[int, ...]
) -> dict[str, Tensor]:
    """Covariates for every latent vector, as the model takes them; those not given at their means.

    Raises:
        DataError: if the model isn't conditioned on one.
    """
    if extra := sorted(set(given) - set(model.condition)):
        raise DataError(
            f"the model isn't conditioned on {extra}, but on {list(model.condition) or 'nothing'}"
        )
    means = dict(zip(model.condition, model.covariate_location.cpu(), strict=True))
    known = {
        name: _expanded(name, given.get(name, mean), shape, ()) for name, mean in means.items()
    }
    on_device = {name: value.to(model.device) for name, value in known.items()}
    values = model.covariates(on_device, int(np.prod(shape)))
    return {name: value.cpu() for name, value in values.items()}


def _decoded(model: PoseVAE, values: dict[str, Tensor], batch_size: int = 4096) -> Iterator[Tensor]:
    """Expected data batch by batch, on the CPU."""
    count = len(next(iter(values.values())))
    for index in torch.arange(count).split(int(batch_size)):
        batch = {name: value[index].to(model.device) for name, value in values.items()}
        gaps = [value.isnan().unsqueeze(-1).flatten(1).any(1) for value in batch.values()]
        missing = torch.stack(gaps).any(0)
        known = {name: value.nan_to_num() for name, value in batch.items()}
        seen = model.likelihood.mean(model.output(known))
        seen[missing] = torch.nan
        yield seen.cpu()


def _latents_of(model: PoseVAE, maps: xr.Dataset) -> xr.DataArray:
    """The latents of all Content sites in maps, one after the other."""
    parts = [maps[site.name] for site in model.contents]
    if len(parts) == 1:
        return parts[0]
    last = str(parts[0].dims[-1])
    named = [part.rename({part.dims[-1]: last}).drop_vars(last, errors="ignore") for part in parts]
    bare = [latents.drop_vars(COLLAPSED, errors="ignore") for latents in named]
    return xr.concat(bare, last)


def _leading(z: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Names and coordinates of the dimensions before the latents."""
    if not isinstance(z, xr.DataArray):
        return tuple(f"dim_{axis}" for axis in range(np.ndim(z) - 1)), {}
    dims = tuple(map(str, z.dims[:-1]))
    kept = {
        str(name): coordinate
        for name, coordinate in z.coords.items()
        if set(coordinate.dims) <= set(dims)
    }
    return dims, kept


def _over(dims: Sequence[str], shape: Sequence[int], value: Any) -> Any:
    """A DataArray over the latents' dimensions, which come first, whichever of them it has."""
    if not isinstance(value, xr.DataArray) or not set(value.dims) & set(dims):
        return value
    others = [name for name in value.dims if name not in dims]
    missing = {name: size for name, size in zip(dims, shape, strict=True) if name not in value.dims}
    return value.variable.set_dims({**missing, **value.sizes}).transpose(*dims, *others)


def _expanded(
    name: str, value: Any, shape: tuple[int, ...], event_shape: tuple[int, ...]
) -> Tensor:
    """A pose for every latent vector, `n x event shape`."""
    array = np.asarray(value, dtype=np.float32)
    try:
        full = np.broadcast_to(array, shape + event_shape)
    except ValueError:
        raise DataError(
            f"{name} of shape {array.shape} doesn't fit z: expected {shape + event_shape}"
        ) from None
    return torch.from_numpy(full.reshape(-1, *event_shape).copy())


def manifold(
    model: PoseVAE,
    size: int = 10,
    *,
    latents: tuple[int, int] = (0, 1),
    limit: float = 2.0,
) -> xr.DataArray:
    """What the model expects to see over a grid of latents, without pose; of each class apart.

    Args:
        model: a trained model.
        size: points along each latent.
        latents: which two latents to vary; the others stay at their prior's mean. A model with
            one latent varies it.
        limit: the grid goes this many standard deviations of the prior to each side of its mean.

    Returns:
        Over `kind` if there are classes, `z0`, `z1` (the latents varied, by their index), `channel`
        if there are any, and the window's `window_y`, `window_x`.

    Raises:
        DataError: if `size` is less than 2, or the model has no such latents.

    Example:
        >>> from pyroshift import VAE
        >>> manifold(VAE((16, 16)), size=5).dims
        ('z0', 'z1', 'window_y', 'window_x')
    """
    if size < 2:
        raise DataError(f"size must be at least 2, got {size}")
    varied = latents if model.latent_dim > 1 else (0,)
    if not all(0 <= index < model.latent_dim for index in varied) or len(set(varied)) < len(varied):
        raise DataError(f"latents must be two different ones of {model.latent_dim}, got {latents}")
    mean, width = content_prior(model)
    steps = np.linspace(-limit, limit, size)
    axes = [(mean[index] + width[index] * steps).astype(np.float32) for index in varied]
    grid = np.tile(mean.astype(np.float32), (size,) * len(varied) + (1,))
    for values, index in zip(np.meshgrid(*axes, indexing="ij"), varied, strict=True):
        grid[..., index] = values
    names = [f"z{index}" for index in varied]
    coords = dict(zip(names, axes, strict=True))
    z = xr.DataArray(grid, dims=(*names, "latent"), coords=coords)
    if not model.classes:
        return decode(model, z).rename("manifold")
    every = [decode(model, z, kind=kind) for kind in range(model.classes)]
    return xr.concat(every, xr.Variable(KIND, np.arange(model.classes))).rename("manifold")


def content_prior(model: PoseVAE) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each latent's prior; 0 and 1 where they don't exist."""
    priors = model.priors()
    found = [moments(priors[site.name]) for site in model.contents]
    mean, width = (
        torch.cat([moment.cpu().double().reshape(-1) for moment in each]).numpy()
        for each in zip(*found, strict=True)
    )
    return np.nan_to_num(mean, posinf=0.0), np.where(np.isfinite(width), width, 1.0)

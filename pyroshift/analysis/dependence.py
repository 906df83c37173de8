"""How much of each latent each factor of variation explains."""

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.analysis.spectrum import Array
from pyroshift.errors import DataError
from pyroshift.maps.labels import components
from pyroshift.model.sites import ANGLE, CONTENT, OFFSET, SCALE

FEWEST_SAMPLES = 20


def correlation_ratio(latents: Any, factors: Any, bins: int | None = None) -> xr.DataArray:
    """Share of each latent's variance that each factor explains, by whatever function.

    1 if the latent is a function of the factor, however bent, many-to-one or periodic; 0 if its
    mean is the same whatever the factor. Where latents follow one factor each, every row has one
    large number; where factors mix, several in between. Swap the arguments for the share of a
    factor that a latent tells.

    It is the squared correlation ratio, eta²: the variance between groups of samples with nearly
    the same factor, as a share of all. Groups hold equally many samples, so that the share stays
    the same if the factor is measured on another, increasing scale; a factor with few values has
    one group for each. For the number of groups it is corrected (Kelley's epsilon²), so that
    chance agreement counts zero on average, now and then a little less. A latent that the factor
    sweeps through many cycles needs bins narrower than those.

    Args:
        latents: a Dataset from `encode`, for its z, offset, angle and scale; or a DataArray such as
            its "z"; or an array, sample x latent. Angles count as directions, so that -pi and pi
            are one.
        factors: the truth, such as from `synthetic.sines`: a Dataset, of which every variable with
            one number (or one per axis) for each sample counts; or a DataArray; or a mapping from
            names to arrays.
        bins: number of groups; by default the root of the number of samples.

    Returns:
        `latent` x `factor`, by name: "z0", "z1", "offset_y" ... NaN for a latent that is constant.
        Samples that are missing (NaN) in either are left out.

    Raises:
        DataError: if latents and factors aren't of the same samples, there are fewer than 20, or
            there can't be so many bins.

    Source:
        Pearson, "On the general theory of skew correlation and non-linear regression" (1905);
        Kelley, "An unbiased correlation ratio measure", PNAS 21, 554 (1935).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> phase, width = rng.uniform(0, 10, 2000), rng.uniform(1, 2, 2000)
        >>> latents = np.stack([np.sin(phase), np.exp(width)], 1)
        >>> correlation_ratio(latents, {"phase": phase, "width": width}).round(1).values + 0.0
        array([[1., 0.],
               [0., 1.]])
    """
    rows, columns = _columns(latents, "z"), _columns(factors, "factor")
    like = next(iter(rows.values()))
    found = {name: _directed(row, like) for name, row in rows.items() if _matches(row, like)}
    given = {
        name: _flat(column, like) for name, column in columns.items() if _matches(column, like)
    }
    if not given:
        sizes = {name: dict(column.sizes) for name, column in columns.items()}
        raise DataError(
            f"no factor has one number for each sample of the latents, {dict(like.sizes)}: the "
            f"factors are {sizes}"
        )
    _check_bins(bins, like.size)
    shares = [
        [_share(latent, factor, bins) for factor in given.values()] for latent in found.values()
    ]
    return xr.DataArray(
        shares,
        {"latent": list(found), "factor": list(given)},
        ("latent", "factor"),
        "correlation_ratio",
        {"long_name": "share of the variance explained", "units": "1"},
    )


def _share(latent: Array, factor: Array, bins: int | None) -> float:
    """Kelley's epsilon² of one latent, real or complex, given one factor."""
    known = np.isfinite(latent) & np.isfinite(factor)
    latent, count = latent[known], int(known.sum())
    if count < FEWEST_SAMPLES:
        raise DataError(
            f"{count} samples are too few to say what explains a latent: it takes {FEWEST_SAMPLES}"
        )
    deviation = latent - latent.mean()
    if np.abs(deviation).max() <= 8 * np.finfo(np.float32).eps * np.abs(latent).max():
        return math.nan
    group = _groups(factor[known], min(bins or round(math.sqrt(count)), count // 2))
    sizes = np.bincount(group)
    means = [np.bincount(group, part) / sizes for part in (deviation.real, deviation.imag)]
    within = np.sum(np.abs(deviation - (means[0] + 1j * means[1])[group]) ** 2)
    total = np.sum(np.abs(deviation) ** 2)
    return float(1 - within / (count - len(sizes)) * (count - 1) / total)


def _groups(factor: Array, bins: int) -> Array:
    """The group of each sample, numbered from 0: like values together, equally many in each."""
    values, group = np.unique(factor, return_inverse=True)
    if len(values) > bins:
        edges = np.sort(factor)[np.arange(1, bins) * len(factor) // bins]
        group = np.unique(np.searchsorted(edges, factor, "right"), return_inverse=True)[1]
    return group


def _columns(data: Any, name: str) -> dict[str, xr.DataArray]:
    """Every variable, or each of its components, by name."""
    if isinstance(data, xr.Dataset):
        poses = [name for name in (CONTENT, OFFSET, ANGLE, SCALE) if name in data]
        variables = {str(key): data[key] for key in (poses if CONTENT in data else data.data_vars)}
    elif isinstance(data, Mapping):
        variables = {str(key): _labelled(value) for key, value in data.items()}
    else:
        variables = {str(getattr(data, "name", None) or name): _labelled(data)}
    columns: dict[str, xr.DataArray] = {}
    for key, variable in variables.items():
        if variable.dtype.kind in "biuf":
            columns |= components(key, variable)
    if not columns:
        raise DataError(f"there are no numbers in {list(variables)}: pass latents and factors")
    return columns


def _labelled(values: Any) -> xr.DataArray:
    """An array over samples, and if it has two axes over latents."""
    if isinstance(values, xr.DataArray):
        return values
    array = np.asarray(values)
    if not 1 <= array.ndim <= 2:
        raise DataError(
            f"expected one number for each sample, or sample x latent, got shape {array.shape}; a "
            "DataArray may have other dimensions"
        )
    return xr.DataArray(array, dims=("sample", "latent")[: array.ndim])


def _matches(variable: xr.DataArray, like: xr.DataArray) -> bool:
    """Whether a variable has one number for each sample."""
    return dict(variable.sizes) == dict(like.sizes) or variable.shape == like.shape


def _flat(variable: xr.DataArray, like: xr.DataArray) -> Array:
    """One number for each sample, in the same order."""
    if set(variable.dims) == set(like.dims):
        variable = variable.transpose(*like.dims)
    return variable.values.ravel().astype(float)


def _directed(variable: xr.DataArray, like: xr.DataArray) -> Array:
    """One number for each sample; of angles the unit vectors, which have no cut at pi."""
    values = _flat(variable, like)
    return np.exp(1j * values) if variable.attrs.get("units") == "rad" else values


def _check_bins(bins: int | None, count: int) -> None:
    whole = isinstance(bins, Integral) and not isinstance(bins, bool)
    if bins is not None and not (whole and 2 <= bins <= count / 2):
        raise DataError(
            f"bins={bins!r} can't be used: give a whole number from 2 to {count // 2}, half the "
            "number of samples"
        )

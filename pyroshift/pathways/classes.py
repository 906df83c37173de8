"""Classes of patches by what they look like."""

import warnings
from collections.abc import Sequence
from itertools import combinations
from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.errors import DataError
from pyroshift.extras import check_installed
from pyroshift.maps.labels import KIND
from pyroshift.model.sites import CONTENT
from pyroshift.pathways.tracks import (
    CLASS,
    CLASS_INDEX,
    CLASS_PROBABILITY,
    CLASS_WEIGHT,
    MISSING,
    Array,
    default_names,
)

CRITERIA = ("icl", "bic")
COMPONENTS = "components"
_PARTS = ("latent", "axis")  # dimensions of a variable's parts, beside those of the patches
_MOST = 20_000  # patches that mixtures are fitted to; more make them slower, not better


def classify(
    maps: xr.Dataset,
    classes: int | None = None,
    *,
    variables: Sequence[str] = (CONTENT,),
    names: Sequence[str] | None = None,
    criterion: str = "icl",
    max_classes: int = 8,
    merge: bool = False,
    seed: int = 0,
) -> xr.Dataset:
    """Classes of patches that look alike, by a Gaussian mixture on the latents.

    The number of classes, where it isn't given, is that of least ICL: the BIC plus twice the
    entropy of the assignments. The BIC alone counts the Gaussians that a density takes, of which
    a single skewed cluster takes several; the ICL counts clusters that are apart, and takes those
    that overlap by much for one: say how many there are then.

    Clusters that are bent, or wide at one end, are no Gaussians. With `merge` the density is
    described by as many of these as the BIC takes, and those that overlap the most are put together
    until there are as many classes as wanted.

    Where the model has classes of its own, these are taken, in its order, since z means another
    thing in each.

    Args:
        maps: from `encode`, of windows on a grid or of atoms, of one frame or many.
        classes: number of classes; by default that of least `criterion`.
        variables: what to tell classes by: "z", "elbo", "scale" ... Of an angle, its direction.
        names: of the classes, largest first, which say how many there are.
        criterion: "icl" or "bic".
        max_classes: the most that are tried, or of which classes are put together.
        merge: whether each class may be several Gaussians; for a known number of classes.
        seed: of the mixture's initial values.

    Returns:
        The maps with `class_index` over the patches' dimensions, -1 where a patch is missing;
        `class_probability` (..., `class`); and `class_weight` (`class`), the mixture's weights.
        `class` holds the names; rename by `assign_coords({"class": [...]})`. Class 0 is the
        largest. Where the number was to be found, also `bic` and `icl` over `components`.

    Raises:
        DataError: if there is no such variable, there are too few patches for so many classes, or
            the model has another number of them; or classes are to be merged to nobody knows how
            many.
        ImportError: if scikit-learn isn't installed.

    Source:
        Biernacki, Celeux and Govaert, "Assessing a mixture model for clustering with the integrated
        completed likelihood", IEEE PAMI 22, 719 (2000). For `merge`: Baudry, Raftery, Celeux, Lo
        and Gottardo, "Combining mixture components for clustering", JCGS 19, 332 (2010).

    Example:
        >>> z = np.random.default_rng(0).normal([[-3.0]] * 40 + [[3.0]] * 60, 0.5)
        >>> found = classify(xr.Dataset({"z": (("atom", "latent"), z)}), names=["bright", "dark"])
        >>> found.class_index.values[[0, -1]], found["class"].values.tolist()
        (array([1, 0]), ['bright', 'dark'])
    """
    wanted = classes if names is None else len(names)
    _check(wanted, max_classes, criterion)
    if names is not None and classes not in (None, len(names)):
        raise DataError(f"{len(names)} names were given for {classes} classes")
    if _has_own(maps) and list(variables) == [CONTENT]:
        return _of_the_model(maps, wanted, names)
    if merge and wanted is None:
        raise DataError("say how many classes there are, as by classes=2, to merge Gaussians into")
    check_installed("sklearn", "scipy", extra="atoms")
    features, dims, shape = _features(maps, variables)
    known = np.all(np.isfinite(features), axis=1)
    most = max(max_classes, wanted or 1)
    tried = _mixtures(features[known], None if merge else wanted, most, seed)
    scores = {name: [score[name] for _, score in tried.values()] for name in CRITERIA}
    best = list(tried)[int(np.argmin(scores["bic" if merge else criterion]))]
    if merge and wanted not in tried:
        raise DataError(f"there are {len(tried)} different patches, too few for {wanted} classes")
    mixture = tried[max(best, wanted or 1) if merge else best][0]
    shares, weights = mixture.predict_proba(features[known]), mixture.weights_
    groups = _groups(shares, wanted if merge and wanted else shares.shape[1])
    middle = (weights * mixture.means_[:, 0]) @ groups / (weights @ groups)
    weights, best = weights @ groups, groups.shape[1]
    probability = np.full((len(known), best), np.nan)
    probability[known] = shares @ groups
    index = np.full(len(known), MISSING)
    index[known] = probability[known].argmax(1)
    # Largest first; of classes as large, that of the lesser first latent.
    order = np.lexsort((middle, -np.bincount(index[known], minlength=best)))
    index[known] = np.argsort(order)[index[known]]
    found: dict[str, Any] = {
        CLASS_INDEX: (dims, index.reshape(shape), {"long_name": "class"}),
        CLASS_PROBABILITY: (
            (*dims, CLASS), probability[:, order].reshape(*shape, best),
            {"long_name": "probability of each class", "units": "1"},
        ),
        CLASS_WEIGHT: (
            CLASS, weights[order], {"long_name": "weight in the mixture", "units": "1"}
        ),
    }  # fmt: skip
    named = default_names(best) if names is None else np.array(names, dtype=object)
    coords: dict[str, Any] = {CLASS: named}
    if wanted is None:
        coords[COMPONENTS] = list(tried)
        for name, values in scores.items():
            found[name] = (COMPONENTS, values, {"long_name": name.upper(), "units": "1"})
    return _without_classes(maps).assign(found).assign_coords(coords)


def _has_own(maps: Any) -> bool:
    """Whether maps are of a model with classes."""
    return isinstance(maps, xr.Dataset) and CLASS in maps.data_vars and KIND in maps.dims


def _of_the_model(maps: xr.Dataset, wanted: int | None, names: Sequence[str] | None) -> xr.Dataset:
    """The maps with the classes that their model found, as if they were a mixture's."""
    count = maps.sizes[KIND]
    if wanted not in (None, count):
        raise DataError(
            f"the model has {count} classes, not {wanted}: leave `classes` out, or tell classes by "
            'other variables than "z", which means another thing in each of the model\'s'
        )
    own = [str(kind) for kind in maps[KIND].values] if KIND in maps.coords else []
    named = own if own and not own[0].isdigit() else list(default_names(count))
    probability = maps[CLASS_PROBABILITY].rename({KIND: CLASS}).drop_vars(CLASS, errors="ignore")
    index = maps[CLASS].fillna(MISSING).astype(int).assign_attrs(long_name="class")
    weight = probability.mean([dim for dim in probability.dims if dim != CLASS])
    weight.attrs = {"long_name": "share of the patches", "units": "1"}
    found = {CLASS_INDEX: index, CLASS_PROBABILITY: probability, CLASS_WEIGHT: weight}
    coords = {CLASS: np.array(named if names is None else names, dtype=object)}
    return _without_classes(maps).assign(found).assign_coords(coords)


def _check(wanted: Any, max_classes: Any, criterion: Any) -> None:
    for name, value in {"classes": wanted, "max_classes": max_classes}.items():
        whole = isinstance(value, Integral) and int(value) >= 1
        if not whole and not (name == "classes" and value is None):
            raise DataError(f"{name}={value!r} can't be used: give a whole number of at least 1")
    if criterion not in CRITERIA:
        raise DataError(f"criterion={criterion!r} can't be used: choose one of {CRITERIA}")


def _features(
    maps: xr.Dataset, variables: Sequence[str]
) -> tuple[Array, tuple[str, ...], tuple[int, ...]]:
    """`patch x feature`, and names and sizes of the patches' dimensions."""
    names = (variables,) if isinstance(variables, str) else tuple(variables)
    if not isinstance(maps, xr.Dataset) or not names or not set(names) <= set(maps.data_vars):
        has = list(maps.data_vars) if isinstance(maps, xr.Dataset) else type(maps).__name__
        raise DataError(f"there are no variables {list(names)}: choose some of {has}")
    first = maps[names[0]]
    dims = tuple(str(dim) for dim in first.dims if dim not in _PARTS)
    for name in names:
        if set(maps[name].dims) - set(_PARTS) != set(dims):
            raise DataError(f"{name} is over {maps[name].dims}, but {names[0]} over {first.dims}")
    columns = [_scaled(maps[name].transpose(*dims, ...)) for name in names]
    shape = tuple(maps.sizes[dim] for dim in dims)
    return np.concatenate(columns, 1), dims, shape


def _scaled(array: xr.DataArray) -> Array:
    """One variable, `patch x feature`, centred, and divided by its largest standard deviation.

    By one for all latents, so that a collapsed one, which hardly varies, hardly counts.
    """
    inner = [size for dim, size in array.sizes.items() if dim in _PARTS]
    values = array.values.astype(float).reshape(-1, int(np.prod(inner)))
    if array.attrs.get("units") == "rad":
        values = np.concatenate([np.cos(values), np.sin(values)], 1)
    known = values[np.isfinite(values).all(1)]
    if not len(known):
        return values
    return (values - known.mean(0)) / (known.std(0).max() or 1.0)


def _mixtures(
    data: Array, wanted: int | None, most: int, seed: int
) -> dict[int, tuple[Any, dict[str, float]]]:
    """Mixtures by their number of components, each with its scores."""
    sample = data[np.random.default_rng(seed).permutation(len(data))[:_MOST]]
    different = len(np.unique(sample, axis=0))
    if different < max(wanted or 0, 2):
        raise DataError(
            f"there are {different} different patches, too few for {wanted or 'any'} classes: NaN "
            "doesn't count"
        )
    counts = range(1, min(most, different) + 1) if wanted is None else (int(wanted),)
    mixtures = {count: _mixture(sample, count, seed) for count in counts}
    return {count: (mixture, _scores(mixture, sample)) for count, mixture in mixtures.items()}


def _mixture(data: Array, count: int, seed: int) -> Any:
    """A Gaussian mixture of so many components, the best of a few starts."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    with warnings.catch_warnings():
        # More components than there are clusters take for ever, and lose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(count, n_init=4, max_iter=300, random_state=seed).fit(data)


def _groups(shares: Array, classes: int) -> Array:
    """Which components make each class, `component x class` of 0 and 1.

    Those are put together, two by two, without which the assignments lose most of their entropy.

    Args:
        shares: `patch x component`, how probable each component is.
        classes: how many are to be left.
    """
    from scipy.special import xlogy

    groups = np.eye(shares.shape[1])
    while groups.shape[1] > classes:
        sure = shares @ groups
        single = xlogy(sure, sure).sum(0)
        gain = {
            (first, second): xlogy(both, both).sum() - single[first] - single[second]
            for first, second in combinations(range(len(single)), 2)
            for both in [sure[:, first] + sure[:, second]]
        }
        first, second = max(gain, key=gain.__getitem__)
        groups[:, first] += groups[:, second]
        groups = np.delete(groups, second, 1)
    return groups


def _scores(mixture: Any, data: Array) -> dict[str, float]:
    """How a mixture is judged; the less the better."""
    from scipy.special import xlogy

    bic, probability = float(mixture.bic(data)), mixture.predict_proba(data)
    return {"icl": bic - 2 * float(xlogy(probability, probability).sum()), "bic": bic}


def _without_classes(maps: xr.Dataset) -> xr.Dataset:
    """The maps less what was found by an earlier call, or by the model."""
    dropped = maps.drop_dims((CLASS, COMPONENTS, KIND), errors="ignore")
    return dropped.drop_vars((CLASS_INDEX, CLASS), errors="ignore")

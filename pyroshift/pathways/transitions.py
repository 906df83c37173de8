"""How often atoms go from one class to another, and how sure that is."""

from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr

from pyroshift.errors import DataError
from pyroshift.extras import check_installed
from pyroshift.pathways.hidden import draw_hidden
from pyroshift.pathways.tracks import (
    CLASS,
    CLASS_INDEX,
    CLASS_PROBABILITY,
    CLASS_WEIGHT,
    MISSING,
    NEXT_CLASS,
    Array,
    Tracks,
    class_names,
    flattened,
    tracks,
)

_LONG_NAMES = {
    "count": "number of transitions",
    "probability": "probability of the transition, posterior mean",
    "std": "posterior standard deviation of the probability",
    "lower": "lower end of the credible interval of the probability",
    "upper": "upper end of the credible interval of the probability",
    "concentration": "concentration of the Dirichlet posterior of each row",
    "stationary": "share of each class in the long run",
    "dwell_time": "mean stay in the class, frames",
    "dwell_time_lower": "lower end of the credible interval of the mean stay, frames",
    "dwell_time_upper": "upper end of the credible interval of the mean stay, frames",
    "confusion": "probability to be taken for each class, posterior mean",
}


def transition_matrix(
    classified: xr.Dataset,
    *,
    lag: int = 1,
    prior: float = 0.5,
    credible: float = 0.95,
    hidden: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Probabilities that a patch of one class is of another in the next frame, and how sure.

    Each row of the matrix has a Dirichlet prior, and given the counted transitions a Dirichlet
    posterior, of which the intervals are the exact marginals. Only pairs of frames that are `lag`
    apart count: what happened in a gap isn't known.

    A patch put in a wrong class looks like two switches, so a share e of errors adds some 2e to
    the rates. Where that matters, `hidden=True` takes the classes for uncertain: a hidden Markov
    model, whose matrix, and how often each class is taken for another, are drawn from their
    posterior by Gibbs sampling. It uses `class_probability`, and bridges gaps.

    Args:
        classified: from `classify`, of atoms with the coordinates `frame` and `track`, or of
            windows on a grid over `frame`, `y` and `x`.
        lag: frames between which transitions are counted. Only each `lag`-th frame is used, since
            intervals that overlap would count the same switch more than once.
        prior: pseudo-count of each transition; 0.5 is Jeffreys' prior for two classes.
        credible: probability that an interval holds the truth.
        hidden: whether classes may be wrong.
        draws: from the posterior, if `hidden`.
        seed: of these.

    Returns:
        Over `class` and `next_class`: `count`; `probability`, the posterior mean; its `std`,
        `lower` and `upper`; and `concentration`, so that
        `pyro.distributions.Dirichlet(torch.tensor(found.concentration.values))` is the posterior.
        Over `class`: `stationary`, and `dwell_time`, with `_lower` and `_upper`. If `hidden`,
        `count` is the posterior mean, `concentration` that of Dirichlets with the same mean and
        total variance, and `confusion` (`class` x `seen_class`) is added.

    Raises:
        DataError: if the maps are not classified, not linked, or without two frames of one track.
        ImportError: if scipy isn't installed.

    Source:
        Scott, "Bayesian methods for hidden Markov models", J. Am. Stat. Assoc. 97, 337 (2002).

    Example:
        >>> coords = {"frame": ("atom", np.arange(6)), "track": ("atom", np.zeros(6, int))}
        >>> atoms = xr.Dataset({"class_index": ("atom", [0, 0, 1, 1, 1, 0])}, coords)
        >>> found = transition_matrix(atoms)
        >>> found["count"].values
        array([[1, 1],
               [1, 2]])
        >>> found.probability.values
        array([[0.5  , 0.5  ],
               [0.375, 0.625]])
    """
    check_installed("scipy", extra="atoms")
    _check(lag, prior, credible, draws)
    names = class_names(classified)
    maps = flattened(classified)
    every = _every(tracks(maps), int(lag))
    if hidden:
        found = _hidden(maps, every, len(names), prior, credible, int(draws), seed)
    else:
        found = _counted(maps, every, len(names), prior, credible)
    found |= _derived(found["probability"], found["lower"], found["upper"], int(lag))
    dims = {
        name: (CLASS, "seen_class" if name == "confusion" else NEXT_CLASS)[: values.ndim]
        for name, values in found.items()
    }
    attrs = {"lag": int(lag), "prior": float(prior), "credible": float(credible)}
    return xr.Dataset(
        {
            name: (dims[name], values, {"long_name": _LONG_NAMES[name], "units": "1"})
            for name, values in found.items()
        },
        {dim: names for pair in dims.values() for dim in pair},
        {**attrs, "hidden": int(hidden)},
    )


def _every(found: Tracks, lag: int) -> Tracks:
    """Each `lag`-th frame of the tracks."""
    return Tracks(found.labels, found.frames[::lag], found.atoms[:, ::lag])


def _counted(
    maps: xr.Dataset, every: Tracks, classes: int, prior: float, credible: float
) -> dict[str, Array]:
    """Transitions between classes as they are, and their Dirichlet posterior."""
    from scipy.stats import beta

    index = every.spread(maps[CLASS_INDEX].values.astype(np.int64), MISSING)
    pairs = np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()])
    pairs = pairs[:, (pairs != MISSING).all(0)]
    if not pairs.size:
        raise DataError("no track has a class in two frames that are `lag` apart")
    if pairs.max() >= classes:
        raise DataError(f"class_index goes up to {pairs.max()}, but there are {classes} classes")
    count = np.bincount(pairs[0] * classes + pairs[1], minlength=classes**2)
    count = count.reshape(classes, classes)
    concentration = prior + count
    total = concentration.sum(1, keepdims=True)
    probability = concentration / total
    marginal = beta(concentration, np.maximum(total - concentration, np.finfo(float).tiny))
    tail = (1 - credible) / 2
    return {
        "count": count,
        "probability": probability,
        "std": np.sqrt(probability * (1 - probability) / (total + 1)),
        "lower": marginal.ppf(tail),
        "upper": marginal.ppf(1 - tail),
        "concentration": concentration,
    }


def _hidden(
    maps: xr.Dataset, every: Tracks, classes: int, prior: float, credible: float,
    draws: int, seed: int,
) -> dict[str, Array]:  # fmt: skip
    """Transitions behind uncertain classes."""
    if CLASS_PROBABILITY not in maps:
        raise DataError("hidden=True needs class_probability, which classify gives")
    probability = maps[CLASS_PROBABILITY].transpose(..., CLASS).values
    # The mixture's weights are no evidence: divided out, its posterior is a likelihood.
    weight = maps[CLASS_WEIGHT].values if CLASS_WEIGHT in maps else np.full(classes, 1 / classes)
    evidence = every.spread(probability / weight, np.nan)
    known = np.isfinite(evidence).all(-1)
    if evidence.shape[1] < 2 or not (known.sum(1) > 1).any():
        raise DataError("no track has a class in two frames")
    drawn = draw_hidden(evidence, prior, draws, seed)
    mean, variance = drawn.transition.mean(0), drawn.transition.var(0)
    spread = variance.sum(1, keepdims=True)
    # Without any spread, of one class or one draw, what was counted tells how sure it is.
    counted = np.sum(prior + drawn.count.mean(0), axis=1, keepdims=True)
    matched = (mean * (1 - mean)).sum(1, keepdims=True) / np.where(spread > 0, spread, 1.0) - 1
    total = np.where(spread > 0, matched, counted)
    tail = (1 - credible) / 2
    lower, upper = np.quantile(drawn.transition, (tail, 1 - tail), axis=0)
    return {
        "count": drawn.count.mean(0),
        "probability": mean,
        "std": np.sqrt(variance),
        "lower": lower,
        "upper": upper,
        "concentration": mean * total,
        "confusion": drawn.confusion.mean(0),
    }


def _derived(probability: Array, lower: Array, upper: Array, lag: int) -> dict[str, Array]:
    """The long run, and how long a class is kept."""
    classes = len(probability)
    balance = np.vstack([probability.T - np.eye(classes), np.ones(classes)])
    stationary = np.linalg.lstsq(balance, np.append(np.zeros(classes), 1.0))[0]
    with np.errstate(divide="ignore"):
        stay, least, most = (lag / (1 - np.diag(part)) for part in (probability, lower, upper))
    return {
        "stationary": stationary,
        "dwell_time": stay,
        "dwell_time_lower": least,
        "dwell_time_upper": most,
    }


def _check(lag: Any, prior: Any, credible: Any, draws: Any) -> None:
    for name, value in {"lag": lag, "draws": draws}.items():
        if not (isinstance(value, Integral) and int(value) >= 1):
            raise DataError(f"{name}={value!r} can't be used: give a whole number of at least 1")
    if not 0 < prior < np.inf:
        raise DataError(f"prior={prior!r} can't be used: give a number greater than 0")
    if not 0 < credible < 1:
        raise DataError(f"credible={credible!r} can't be used: give a number between 0 and 1")

"""Drift and materials, by a shift-VAE and by what the field does."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA
from sklearn.linear_model import LogisticRegression

import pyroshift as ps

Array = NDArray[Any]

AROUND = (-0.7, 0.7)  # eV, where the zero-loss peak is looked for in the typical spectrum
COMPONENTS = 3


def trained(data: xr.Dataset, seed: int, labels: Array | None = None) -> ps.ShiftVAE:
    """A shift-VAE of a cube's counts; one with classes, if some spectra's labels are told."""
    patches = ps.Patches.from_array(data["counts"], window_ndim=1)
    classes = None
    if labels is not None:
        patches, classes = patches.assign(label=labels), 2
    model = ps.ShiftVAE(patches.window, likelihood="poisson", classes=classes, seed=seed)
    options = {"epochs": 60, "batch_size": 64, "learning_rate": 8e-3}
    ps.fit(model, patches, seed=seed, progress=False, **options)
    return model


def found(model: ps.ShiftVAE, data: xr.Dataset) -> dict[str, Array]:
    """Drift by offset and by peak, eV, what is said of its error, and classes."""
    maps = ps.encode(model, ps.Patches.from_array(data["counts"], window_ndim=1))
    peak = ps.peak_position(model, maps, data["counts"], AROUND)
    return {
        "offset": maps["offset"].values[..., 0],
        "peak": peak["peak"].values,
        "said": peak["peak_std"].values,
        "class": ps.classify(maps, classes=2, merge="kind" not in maps.dims)["class_index"].values,
    }


def maxima(counts: Array) -> Array:
    """The channel with the most counts."""
    return counts.argmax(-1).astype(float)


def correlated(counts: Array, rounds: int = 3, finer: int = 20) -> Array:
    """Shifts by cross-correlation with the mean of the aligned, to a fraction of a channel.

    Of the part around the zero-loss peak, after alignment by maxima, finer by `finer` and a
    parabola through the highest three.
    """
    shape, length = counts.shape[:-1], counts.shape[-1]
    flat = counts.reshape(-1, length)
    shift = maxima(flat)
    reach = np.arange(-8, 9)
    for _ in range(rounds):
        middle = np.rint(shift).astype(int)
        cut = np.take_along_axis(flat, np.clip(middle[:, None] + reach, 0, length - 1), 1)
        rest = shift - middle
        fine = np.arange(-8, 8 + 1 / finer, 1 / finer)
        aligned = np.stack(
            [np.interp(reach, reach - r, row) for r, row in zip(rest, cut, strict=True)]
        )
        model = np.interp(fine, reach, aligned.mean(0))
        lags = np.arange(-2, 2 + 1 / finer, 1 / finer)
        shifted = np.stack([np.interp(reach - lag, fine, model) for lag in lags])
        shifted -= shifted.mean(1, keepdims=True)
        score = cut @ (shifted / np.linalg.norm(shifted, axis=1, keepdims=True)).T
        best = np.clip(score.argmax(1), 1, len(lags) - 2)
        left, top, right = (
            np.take_along_axis(score, best[:, None] + n, 1)[:, 0] for n in (-1, 0, 1)
        )
        aside = 0.5 * (left - right) / np.minimum(left - 2 * top + right, -1e-12)
        shift = middle + lags[best] + np.clip(aside, -1, 1) / finer
    return shift.reshape(shape)


def aligned(counts: Array, shift: Array) -> Array:
    """Spectra (spectrum x channel) shifted to the median, linearly; ends repeat."""
    flat, channels = counts.reshape(-1, counts.shape[-1]), np.arange(counts.shape[-1])
    moves = (shift - np.median(shift)).ravel()
    return np.stack(
        [np.interp(channels + m, channels, row) for m, row in zip(moves, flat, strict=True)]
    )


class Factors:
    """Scores of spectra by PCA or NMF, their Poisson noise made even (Keenan and Kotula 2004)."""

    def __init__(self, kind: str, spectra: Array, seed: int) -> None:
        self.weight = 1 / np.sqrt(np.maximum(spectra.mean(0), 1e-2 * spectra.mean()))
        options = {"n_components": COMPONENTS, "random_state": seed}
        self.kind = NMF(max_iter=1000, **options) if kind == "NMF" else PCA(**options)
        self.kind.fit(self._scaled(spectra))

    def _scaled(self, spectra: Array) -> Array:
        # By the spectrum's own number of electrons too, so that thickness and dose matter less.
        return spectra * self.weight / np.sqrt(np.maximum(spectra.sum(1, keepdims=True), 1))

    def scores(self, spectra: Array) -> Array:
        """`spectrum x component`."""
        return self.kind.transform(self._scaled(spectra))


def clustered(kind: str, counts: Array, shift: Array, seed: int) -> Array:
    """Two clusters of spectra by k-means on their scores, after alignment."""
    spectra = aligned(counts, shift)
    scores = Factors(kind, spectra, seed).scores(spectra)
    return KMeans(2, n_init=10, random_state=seed).fit_predict(scores).reshape(shift.shape)


def transferred(first: Array, labels: Array, second: Array, seed: int) -> Array:
    """Classes of a second cube by logistic regression on the first's scores, where labelled."""
    one, two = (aligned(each, correlated(each)) for each in (first, second))
    factors = Factors("PCA", one, seed)
    known = np.isfinite(labels.ravel())
    judge = LogisticRegression(max_iter=1000).fit(factors.scores(one)[known], labels.ravel()[known])
    return judge.predict(factors.scores(two)).reshape(second.shape[:-1])


def error(shift: Array, drift: Array, step: float) -> float:
    """Root mean square error of a drift, channels, but for a constant."""
    apart = (shift - drift) / step
    return float(np.sqrt(np.mean((apart - np.median(apart)) ** 2)))


def agreement(classes: Array, regions: Array) -> float:
    """Share of spectra in the right region, the two classes named as suits best."""
    right = float((classes == regions).mean())
    return max(right, 1 - right)

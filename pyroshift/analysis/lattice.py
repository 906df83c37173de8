"""The lattice in an image, and from it the window to cut."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from pyroshift.analysis.peaks import FAINTEST, Peaks, find_peaks, noise_power
from pyroshift.analysis.spectrum import Array, mean_power
from pyroshift.errors import DataError

CELLS = 2.5  # unit cells per window
FEWEST_PERIODS = 7  # across the image; with fewer, a part of the lattice may pass for the whole
TOLERANCE = 0.12  # of a reciprocal lattice vector, that a peak may be off its place
LEAST_SINE = 0.3  # of the angle between two directions that count as different
LEAST_EXPLAINED = 0.5  # share of the peaks that must belong to one lattice
# Sublattices that are nearly alike, such as a perovskite's cations, double or treble the cell, and
# show in few and faint peaks, but at known places. Larger cells are a modulation's.
MULTIPLES = [
    [[2, 0], [0, 1]], [[1, 0], [0, 2]], [[1, 1], [0, 2]],
    [[3, 0], [0, 1]], [[1, 0], [0, 3]], [[1, 1], [0, 3]], [[1, 2], [0, 3]],
]  # fmt: skip
FAINT = 5.0  # times the noise; a peak of noise may reach it, but not several in their places
FEWEST_FAINT = 2
BETWEEN = 0.1  # of a reciprocal vector, off the places of the smaller cell's peaks
COMPLETE = 0.95  # share of the clear peaks, that must belong to the larger cell
STRAY = 1.5  # samples of the spectrum that a peak of a bent lattice may be off its place,
BENT = 0.02  # or so much of its frequency
HIGHEST = 8.0  # times the strongest peak's frequency, of harmonics that may be seen
# A superlattice that peaks span only by their differences. There are thousands of such lattices, so
# that it takes many peaks, nearly all of them, and exactly in their places, not to be chance.
SUBTRACTED = 12  # peaks, the strongest, of which differences are taken
FEWEST_PEAKS = 8
LEAST_OF_DIFFERENCES = 0.9  # share of the peaks
OFF_PLACE = 0.5  # samples of the spectrum
FLATTEST = 1e3  # ratio of its vectors' lengths, beyond which all peaks are on one line
_BY_EYE = "count its pixels per unit cell by eye, and take two to three of them as the window"


@dataclass(frozen=True, eq=False, repr=False)
class WindowSuggestion:
    """The window that `suggest_window` suggests, and the lattice that it suits.

    Args:
        window: height and width in pixels, even: 2.5 unit cells.
        period: mean length of the two shortest lattice vectors in pixels: the lattice constant of
            square and hexagonal lattices, not the spacing of their planes.
        vectors: vector x axis, the two shortest lattice vectors, (y, x) in pixels.
        significance: power of a spectral peak over that of the noise around it, the lesser of the
            lattice's strongest peaks in two directions. At least 12 where these show the lattice by
            themselves; at least 5 where it takes a third peak that is a sum of two.
        explained: share of all spectral peaks that belong to this lattice, by the logarithm of
            their power; less than 1 with several grains, a superlattice, or interference.
    """

    window: int
    period: float
    vectors: Array
    significance: float
    explained: float

    def __repr__(self) -> str:
        first, second = (f"({y:.2f}, {x:.2f})" for y, x in self.vectors)
        return (
            f"<WindowSuggestion: window {self.window} for a period of {self.period:.2f} px, "
            f"vectors (y, x) {first} and {second}, {self.significance:.3g} times the noise, "
            f"{self.explained:.0%} of the peaks>"
        )


def suggest_window(image: Any) -> WindowSuggestion:
    """The size of window that suits an image's lattice: 2.5 unit cells.

    The lattice is read off the power spectrum: peaks that stand out from the noise around them,
    streaks of uneven scan lines included, and of all lattices that two of them span the one with
    the smallest unit cell that most peaks belong to. So an uneven background, noise, jumps between
    scan lines and scattered missing pixels do no harm. Sublattices that are nearly alike, such as
    a perovskite's cations, which double or treble the cell, show in faint peaks at known places:
    two of these suffice for the larger cell, if it then explains 95% of the peaks. Of other
    superlattices, such as modulations, the basic lattice is taken where their peaks are faint, and
    the superlattice where they are strong (some hundredths of the strongest's power and more); of
    several grains that with the strongest peaks. Where not half of the peaks belong to a lattice
    that two of them span, but nearly all, and at least 8, are exactly on one that their differences
    span, it is that, as for Si(111)-7x7. In few periods or much noise, as of graphene in a small
    image, three faint peaks suffice of which one is the sum of two others.

    Two and a half cells lie amid the two to three that the paper found best; and with the usual
    step of half a window, the lattice then beats with the sampling grid at some four patches,
    which `smoothness` tells from a physical change.

    Args:
        image: height x width, or frame x height x width, whose spectra are averaged, and so are
            those of channels, which count alike; at least 32 pixels and 7 periods wide and high.
            Missing pixels are NaN. Pixels must be square. Hot pixels are left out, with a warning.

    Returns:
        The window, the lattice that it is for, and how clear that is.

    Raises:
        DataError: if there is no lattice, which leaves no window to suggest; or if that is no
            image of real numbers.

    Source:
        Ziatdinov, Wong and Kalinin, "Finding simplicity" (2023), for the two to three unit cells.

    Example:
        >>> from pyroshift import synthetic
        >>> image = synthetic.lattice_image((128, 160), kind="hexagonal", period=13, noise=0.5)
        >>> suggestion = suggest_window(image["image"])
        >>> suggestion.window, round(suggestion.period, 1)
        (32, 13.0)
    """
    power = mean_power(image)
    peaks, spanning, explained = _common_lattice(power)
    vectors = shortest(np.linalg.inv(_refined(spanning, peaks)).T)
    period = float(np.linalg.norm(vectors, axis=1).mean())
    if FEWEST_PERIODS * period > min(power.shape):
        raise DataError(
            f"the image seems to show a lattice with a period of {period:.3g} pixels, but it takes "
            f"{FEWEST_PERIODS} of them across to be sure, and the image is {power.shape[0]} x "
            f"{power.shape[1]}: take a larger one; or, {_BY_EYE}"
        )
    return WindowSuggestion(
        window=2 * round(CELLS * period / 2),
        period=period,
        vectors=vectors,
        significance=_significance(spanning, peaks),
        explained=explained,
    )


def _common_lattice(power: Array) -> tuple[Peaks, Array, float]:
    """Peaks of a spectrum, two vectors that span their reciprocal lattice, and the share on it.

    Raises:
        DataError: if there is none.
    """
    noise = noise_power(power)
    clear, faint = find_peaks(power, noise), find_peaks(power, noise, FAINT)
    pairs = _pairs(clear.position)
    if not len(pairs):
        return faint, *_weak_lattice(faint, clear)
    found, explained = _best(pairs, clear)
    finer, share = _superlattice(clear)
    if share >= LEAST_OF_DIFFERENCES and _merit(finer, share) > _merit(found, explained):
        return clear, finer, share
    if explained < LEAST_EXPLAINED:
        raise DataError(_MANY)
    return clear, *_with_sublattices(found, explained, clear, faint)


_MANY = (
    "the image shows no lattice: its spectrum has peaks, but not half of them belong to any one "
    f"lattice; if there is one, {_BY_EYE}"
)


def _weak_lattice(faint: Peaks, clear: Peaks) -> tuple[Array, float]:
    """The lattice of peaks each of which might be noise, but not three of which one is a sum.

    Raises:
        DataError: if there is none.
    """
    pairs = _adding_up(faint)
    if len(pairs):
        found, explained = _best(pairs, faint)
        if explained >= LEAST_EXPLAINED:
            return found, explained
    if len(clear):
        raise DataError(
            f"the image shows no lattice: it is periodic in one direction only; if not, {_BY_EYE}"
        )
    raise DataError(f"the image shows no lattice: nothing in it is periodic; if one is, {_BY_EYE}")


def _adding_up(peaks: Peaks) -> Array:
    """Every two peaks whose sum or difference is a third one: pair x 2 x axis."""
    pairs = _pairs(peaks.position)
    either = np.concatenate([peaks.position, -peaks.position])
    both = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], 1)
    off = np.linalg.norm((both[:, :, None] - either) / peaks.bin, axis=-1)
    return pairs[(off < STRAY).any((1, 2))]


def _with_sublattices(
    found: Array, explained: float, clear: Peaks, faint: Peaks
) -> tuple[Array, float]:
    """The reciprocal lattice of the cell that takes sublattices nearly alike for what they are.

    Args:
        found: vector x axis, spans the reciprocal lattice to begin with.
        explained: share of the clear peaks that belong to it.
        clear: peaks.
        faint: these, and fainter ones.
    """
    basic = _refined(found, clear)
    weight = _weights(clear) * ~_folded(basic, clear)
    best = found, explained
    for multiple in MULTIPLES:
        finer = np.linalg.inv(multiple).T @ basic
        index = _nearest(finer, faint.position) @ np.linalg.inv(basic)
        more = _in_place(finer, faint.position, faint.bin) & ~_folded(basic, faint)
        more &= np.abs(index - np.round(index)).max(1) > BETWEEN
        share = float(weight @ _in_place(finer, clear.position, clear.bin) / weight.sum())
        if more.sum() >= FEWEST_FAINT and share >= max(COMPLETE, best[1]):
            best = finer, share
    return best


def _in_place(reciprocal: Array, position: Array, bin: Array) -> Array:
    """Whether peaks are on a lattice, but for how a distortion moves them."""
    off = np.linalg.norm(position - _nearest(reciprocal, position), axis=1)
    return off < np.maximum(STRAY * bin.max(), BENT * np.linalg.norm(position, axis=1))


def _folded(reciprocal: Array, peaks: Peaks) -> Array:
    """Whether peaks may be a lattice's harmonics, folded back as pixels are too coarse for them."""
    highest = HIGHEST * np.linalg.norm(peaks.position[0])
    folded = np.zeros(len(peaks), bool)
    for step in set(product((-1, 0, 1), repeat=2)) - {(0, 0)}:
        position = peaks.position + step
        near = np.linalg.norm(position, axis=1) < highest
        folded |= near & _in_place(reciprocal, position, peaks.bin)
    return folded & ~_in_place(reciprocal, peaks.position, peaks.bin)


def _nearest(reciprocal: Array, position: Array) -> Array:
    """The points of a lattice that are nearest to some others: point x axis."""
    return np.round(position @ np.linalg.inv(reciprocal)) @ reciprocal


def _superlattice(peaks: Peaks) -> tuple[Array, float]:
    """The lattice that differences of peaks span, and the share of peaks exactly on it.

    The reciprocal vectors of a large cell may themselves be too faint to be seen, as in Si(111)-7x7
    whose strong peaks are those near the third, but they are between the peaks that are seen.
    """
    first, second = _two_of(min(len(peaks), SUBTRACTED))
    position = peaks.position
    between = np.concatenate(
        [position[first] - position[second], position[first] + position[second]]
    )
    between = between[np.linalg.norm(between / peaks.bin, axis=1) > FEWEST_PERIODS]
    pairs = _pairs(between)
    if len(peaks) < FEWEST_PEAKS or not len(pairs):
        return np.eye(2), 0.0
    lattice = _refined(_best(pairs, peaks)[0], peaks)
    if np.linalg.cond(lattice) > FLATTEST:
        return lattice, 0.0
    index = np.round(position @ np.linalg.inv(lattice))
    exact = (np.abs(index @ lattice - position) < OFF_PLACE * peaks.bin).all(1)
    weight = _weights(peaks)
    return lattice, float(weight[exact].sum() / weight.sum())


def _two_of(count: int) -> tuple[Array, Array]:
    """Numbers of every two of some things."""
    return np.triu_indices(count, 1)


def _pairs(vectors: Array) -> Array:
    """Every two of some vectors that differ in direction: pair x 2 x axis."""
    pairs = vectors[np.stack(_two_of(len(vectors)), 1)]
    return pairs[_sine(pairs[:, 0], pairs[:, 1]) > LEAST_SINE]


def _best(pairs: Array, peaks: Peaks) -> tuple[Array, float]:
    """The pair of vectors whose lattice has the most merit, and the share of peaks on it."""
    weight = _weights(peaks)
    explained = _belonging(peaks.position, pairs) @ weight / weight.sum()
    best = np.argmax(_merit(pairs, explained))
    return pairs[best], float(explained[best])


def _merit(reciprocal: Array, explained: Any) -> Any:
    """What is preferred.

    Finer reciprocal lattices, of larger cells, explain more, in the end anything. One of a cell
    twice the size must explain a quarter more to be preferred.
    """
    return explained * np.abs(np.linalg.det(reciprocal)) ** (1 / 3)


def _weights(peaks: Peaks) -> Array:
    """How much each peak counts.

    The logarithm lets the fainter peaks, that tell a cell from the half of it, have their say.
    """
    return np.log(peaks.power / (FAINTEST * peaks.power.max()))


def _belonging(position: Array, reciprocal: Array) -> Array:
    """Whether peaks (peak x axis) are on lattices (... x vector x axis): ... x peak."""
    index = position @ np.linalg.inv(reciprocal)
    return np.abs(index - np.round(index)).max(-1) < TOLERANCE


def _refined(reciprocal: Array, peaks: Peaks) -> Array:
    """The lattice fitted to all of its peaks."""
    reciprocal = shortest(reciprocal)  # by longer vectors, folded harmonics may seem to belong
    belonging = _belonging(peaks.position, reciprocal)
    position = peaks.position[belonging]
    index = np.round(position @ np.linalg.inv(reciprocal))
    root = np.sqrt(_weights(peaks)[belonging])[:, None]
    return np.linalg.lstsq(root * index, root * position)[0]


def shortest(vectors: Array) -> Array:
    """The two shortest vectors of a lattice, the shorter first, by Lagrange's reduction."""
    short, long = sorted(vectors, key=np.linalg.norm)
    while True:
        long = long - np.round(long @ short / (short @ short)) * short
        if long @ long >= short @ short:
            return np.stack([short, long])
        short, long = long, short


def _significance(reciprocal: Array, peaks: Peaks) -> float:
    """Of the lattice's strongest peaks in two directions, that which stands out less."""
    belonging = _belonging(peaks.position, reciprocal)
    position, significance = peaks.position[belonging], peaks.significance[belonging]
    aside = _sine(position[0], position) > LEAST_SINE
    return float(min(significance[0], significance[aside].max()))


def _sine(first: Array, second: Array) -> Array:
    """Of the angle between vectors, without its sign."""
    across = np.abs(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0])
    return across / (np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1))

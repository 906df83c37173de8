"""Images with a lattice that is known, and noise that has none.

`nearly alike` and `weak` are `synthetic.micrograph`'s; `drawn otherwise` shares no code with these;
`noise` has no lattice, so that all of it should be none.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from benchmarks.common.metrics import Array
from pyroshift import synthetic

Case = tuple[Array, Array | None]  # an image, and its lattice vectors if it has a lattice
HEXAGONAL = np.array([[0, 1], [np.sqrt(3) / 2, 1 / 2]])


def nearly_alike(seed: int) -> Iterator[Case]:
    """Perovskites of two cations, of which the second has a brightness of 0.7 to 0.95, or 1."""
    rng = np.random.default_rng(seed)
    brightnesses, noises, distortions = (0.7, 0.8, 0.9, 0.95, 1.0), (0.0, 0.1, 0.3), (0.0, 1.0, 3.0)
    for second, noise, drift in product(brightnesses, noises, distortions):
        period = rng.uniform(14, 26)
        truth = synthetic.micrograph(
            (384, 352), "square", period, 0.17 * period, brightness=(1.0, second),
            rotation=rng.uniform(0, np.pi), drift=drift, jitter=0.1 * drift, noise=noise,
            displacement=0.02 * period * (drift > 0), seed=int(rng.integers(2**31)),
        )  # fmt: skip
        vectors = truth["lattice_vectors"].values
        # Alike, they are the sites of a lattice half as large.
        alike = np.array([[0.5, 0.5], [0.5, -0.5]]) @ vectors
        yield truth["image"].values, alike if second == 1 else vectors


def weak(seed: int) -> Iterator[Case]:
    """Graphene in few periods, more and more noise, and dirt."""
    rng = np.random.default_rng(seed)
    for periods, noise, dirt in product((8, 10, 12), (0.3, 0.6, 1.0), (0.0, 1.0)):
        side = 256
        truth = synthetic.micrograph(
            (side, side), "honeycomb", side / periods, 0.15 * side / periods,
            rotation=rng.uniform(0, np.pi), background=dirt, noise=noise, correlation=1.0,
            seed=int(rng.integers(2**31)),
        )  # fmt: skip
        yield truth["image"].values, truth["lattice_vectors"].values


def drawn_otherwise(seed: int) -> Iterator[Case]:
    """Sublattices nearly alike that double or treble a cell, strained, counted or in noise."""
    rng = np.random.default_rng(1000 + seed)
    square, oblique = np.eye(2), np.array([[1, 0], [0.3, 1.2]])
    bases = {  # vectors, and sites in fractions of the cell, of which the first one differs
        "rows": (np.diag([2.0, 1.0]), [(0, 0), (0.5, 0)]),
        "chequers": (np.array([[1.0, 1], [1, -1]]), [(0, 0), (0.5, 0.5)]),
        "oblique chequers": (np.array([[1.0, 1], [1, -1]]) @ oblique, [(0, 0), (0.5, 0.5)]),
        "one in three": (
            np.array([[1, 1], [-1, 2]]) @ HEXAGONAL,
            [(0, 0), (1 / 3, 1 / 3), (2 / 3, 2 / 3)],
        ),
        "one": (square, [(0, 0)]),
    }
    for (name, (cell, sites)), other, dose in product(bases.items(), (0.7, 0.85, 0.95), (0, 30)):
        vectors = _turned(rng.uniform(9, 15) * cell, rng.uniform(0, np.pi))
        brightness = np.ones(len(sites))
        brightness[0] = 1.0 if name == "one" else other
        image = _drawn(vectors, np.array(sites), brightness, rng)
        if dose:
            image = rng.poisson(dose * (0.2 + image)).astype(float)
        yield image, vectors


def _turned(vectors: Array, angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return vectors @ np.array([[cos, -sin], [sin, cos]])


def _drawn(vectors: Array, sites: Array, brightness: Array, rng: np.random.Generator) -> Array:
    """Peaked atoms with tails, on a lattice that bends slowly."""
    shape = 400, 320
    place = np.indices(shape).astype(float)
    for _ in range(3):  # strain of up to 1%
        wave = rng.normal(size=2) / np.array(shape)
        phase = 2 * np.pi * (np.tensordot(wave, np.indices(shape), 1) + rng.random())
        place += rng.normal(size=(2, 1, 1)) * 0.5 * np.sin(phase)
    cells = np.tensordot(np.linalg.inv(vectors).T, place, 1)
    nearest = min(np.linalg.norm(vectors, axis=1).min(), 14) * 0.2
    image = np.zeros(shape)
    for site, height in zip(sites, brightness, strict=True):
        off = cells - site[:, None, None]
        off -= np.round(off)
        # The nearest of the site's images around.
        squared = np.full(shape, np.inf)
        for step in product((-1, 0, 1), repeat=2):
            moved = np.tensordot(vectors.T, off + np.array(step)[:, None, None], 1)
            squared = np.minimum(squared, (moved**2).sum(0))
        image += height / (1 + squared / nearest**2) ** 3
    return image


def noise(seed: int) -> Iterator[Case]:
    """Noise of several kinds and sizes, without a lattice."""
    rng = np.random.default_rng(seed)
    for side in (64, 128, 256, 512):
        shape = (side, side + 16)
        pink = _pink(rng, shape)
        rows = rng.normal(size=(side, 1))
        for image in (
            rng.normal(size=shape),
            pink,
            (pink > 0).astype(float),
            rng.poisson(5 + np.indices(shape)[1] / side),
            rng.normal(size=shape) + 3 * rows,
            rng.normal(size=shape) + rows.cumsum(0),
            _blurred(rng, shape),
            _pink(rng, shape, 3),
        ):
            yield np.asarray(image, float), None


def _pink(rng: np.random.Generator, shape: tuple[int, int], power: float = 1) -> Array:
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    filtered = np.fft.fft2(rng.normal(size=shape)) / (frequency + 1 / 80) ** power
    return np.fft.ifft2(filtered).real


def _blurred(rng: np.random.Generator, shape: tuple[int, int], ring: float = 0.1) -> Array:
    """Speckle: frequencies within a broad ring, as of an amorphous film."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    passed = 0.1 + np.exp(-0.5 * ((frequency - ring) / 0.04) ** 2)
    return np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * passed).real


SETS: dict[str, Callable[[int], Iterator[Case]]] = {
    "nearly alike": nearly_alike,
    "drawn otherwise": drawn_otherwise,
    "weak": weak,
    "noise": noise,
}

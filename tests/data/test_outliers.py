"""Outliers told from what is sharp, bright or sparse by itself."""

import numpy as np
import pytest

from pyroshift import synthetic
from pyroshift.data.outliers import described, hot_pixels, without_outliers


def sparse_atoms(width, noise=0.02, count=40, seed=0):
    """Atoms anywhere in an image that is dark elsewhere."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((160, 160))
    image = noise * rng.normal(size=rows.shape)
    for y, x in rng.uniform(3, 157, (count, 2)):
        image += np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * width**2))
    return image


def steps_and_adatoms(rng):
    rows, columns = np.indices((200, 200))
    image = 0.05 * rng.normal(size=rows.shape) + 5.0 * (columns + 0.2 * rows > 120)
    for y, x in rng.uniform(5, 195, (6, 2)):
        image += 60 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 4)
    return image


ORDINARY = {
    "normal": lambda rng: rng.normal(size=(300, 300)),
    "exponential": lambda rng: rng.exponential(size=(300, 300)),
    "no counts but few": lambda rng: rng.poisson(3e-4, (300, 300)),
    "rare counts": lambda rng: rng.poisson(0.006, (300, 300)),
    "few counts": lambda rng: rng.poisson(0.1, (300, 300)),
    "counts": lambda rng: rng.poisson(20, (300, 300)).astype(np.uint8),
    "many counts": lambda rng: rng.poisson(3e9, (300, 300)).astype(np.uint32),
    "atoms one pixel wide": lambda rng: sparse_atoms(1.0, seed=rng.integers(1000)),
    "atoms 0.6 pixels wide": lambda rng: sparse_atoms(0.6, seed=rng.integers(1000)),
    "one atom": lambda rng: sparse_atoms(0.7, 1e-3, 1, seed=rng.integers(1000)),
    "steps and adatoms": steps_and_adatoms,
    "a bright line": lambda rng: rng.normal(size=(99, 99)) + 1e3 * (np.arange(99) == 40),
    "constant": lambda rng: np.full((20, 20), 3),
    "missing": lambda rng: np.full((20, 20), np.nan),
    "lattice": lambda rng: (
        synthetic.lattice_image((96, 96), seed=rng.integers(1000))["image"].values
    ),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_what_is_ordinary(kind):
    for seed in range(20):
        assert not hot_pixels(ORDINARY[kind](np.random.default_rng(seed))).any()


@pytest.mark.parametrize(
    "kind", ["normal", "counts", "many counts", "atoms one pixel wide", "lattice"]
)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("missing", [False, True])
def test_outliers_are_found_and_mended(kind, sign, missing):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        clean = ORDINARY[kind](rng).astype(float)
        if missing:
            clean[2:][rng.random(clean[2:].shape) < 0.1] = np.nan
        places = [(0, 0), (40, 50), (41, 51), (70, 95), (94, 3)]
        image = clean.copy()
        for number, place in enumerate(places):
            image[place] = np.nanmean(clean) + sign * (20 + 300 * number) * np.nanstd(clean) * 3
        found = hot_pixels(image)
        assert sorted(map(tuple, np.argwhere(found).tolist())) == places
        mended = without_outliers(image, found)
        low, high = np.nanmin(clean), np.nanmax(clean)
        assert all(low <= mended[place] <= high for place in places)
        assert not hot_pixels(mended).any()
        np.testing.assert_array_equal(mended[~found], clean[~found])


def test_integers_and_stacks():
    stack = np.random.default_rng(0).poisson(50, (3, 40, 30)).astype(np.uint16)
    stack[1, 20, 7], stack[2, 5, 5] = 60_000, 30_000
    found = hot_pixels(stack)
    assert np.argwhere(found).tolist() == [[1, 20, 7], [2, 5, 5]]
    said = described(stack, found)
    assert said.startswith(
        "2 pixels lie far beyond all others, the furthest at (frame, y, x) = (1,"
    )
    assert "6e+04" in said

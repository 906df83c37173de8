"""The share of a map that beats with the lattice: of known maps, and of trained ones."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import VAE, ShiftVAE, encode, extract_patches, fit, lattice_leak, synthetic
from pyroshift.errors import DataError

HEXAGONAL = 13.0 * np.array([[0, 1], [np.sqrt(3) / 2, 1 / 2]])
STEP = 16


def phases(shape, vectors=HEXAGONAL, step=STEP):
    """Where in its cell the lattice is, patch by patch: vector x y x x, in cells."""
    return np.tensordot(np.linalg.inv(vectors).T, np.indices(shape) * step, 1)


def caught(shape, rng):
    """A map that repeats with the lattice, in all of its first waves."""
    first, second = phases(shape)
    waves = (first, second, first + second, 2 * first)
    weight, start = rng.uniform(0.3, 1, 4), rng.uniform(0, 7, 4)
    terms = zip(weight, waves, start, strict=True)
    return sum(height * np.cos(2 * np.pi * wave + phase) for height, wave, phase in terms)


def sharp(shape, rng):
    """Defects one patch wide."""
    map = np.zeros(shape)
    map.ravel()[rng.choice(map.size, 15, replace=False)] = rng.normal(3, 1, 15)
    return map


def wall(shape, rng):
    """A step, straight across or slanting."""
    rows, columns = np.indices(shape)
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, 7)])
    middle = rng.uniform(0.35, 0.65, 2) * shape
    return np.sign(np.cos(angle) * (rows - middle[0]) + np.sin(angle) * (columns - middle[1]) + 0.1)


def ramp(shape, rng):
    rows, columns = np.indices(shape)
    return rows * rng.normal() + columns * rng.normal() + 0.02 * rng.normal(size=shape)


def disc(shape, rng):
    rows, columns = np.indices(shape)
    return np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) < rng.uniform(4, 10)


PHYSICAL = {
    "defects": sharp,
    "wall": wall,
    "ramp": ramp,
    "disc": disc,
    "noise": lambda shape, rng: rng.normal(size=shape),
}


@pytest.mark.parametrize("shape", [(24, 24), (40, 30), (64, 64), (120, 80)])
def test_a_map_that_beats_is_a_leak(shape):
    for seed in range(10):
        map = caught(shape, np.random.default_rng(seed))
        assert lattice_leak(map, HEXAGONAL, STEP) > 0.95


@pytest.mark.parametrize("kind", PHYSICAL)
@pytest.mark.parametrize("shape", [(24, 24), (40, 30), (64, 64), (120, 80)])
def test_what_is_physical_is_none(kind, shape):
    leaks = [
        lattice_leak(PHYSICAL[kind](shape, np.random.default_rng(seed)), HEXAGONAL, STEP)
        for seed in range(20)
    ]
    assert np.mean(leaks) < 0.04
    assert max(leaks) < 0.15


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["defects", "wall", "noise"])
def test_it_is_the_share_of_the_variance(kind, share):
    rng = np.random.default_rng(0)
    shape = (60, 50)
    beats, physical = caught(shape, rng), PHYSICAL[kind](shape, rng)
    map = np.sqrt(share) * beats / beats.std() + np.sqrt(1 - share) * physical / physical.std()
    assert lattice_leak(map, HEXAGONAL, STEP) == pytest.approx(share, abs=0.12)


def test_scale_sign_mean_and_missing_patches_matter_little():
    rng = np.random.default_rng(0)
    map = caught((50, 50), rng) + sharp((50, 50), rng)
    leak = lattice_leak(map, HEXAGONAL, STEP)
    assert lattice_leak(-3 * map + 7, HEXAGONAL, STEP) == pytest.approx(leak, rel=1e-6)
    assert lattice_leak(map.T, HEXAGONAL[:, ::-1], STEP) == pytest.approx(leak, rel=1e-6)
    map[rng.random(map.shape) < 0.02] = np.nan
    assert lattice_leak(map, HEXAGONAL, STEP) == pytest.approx(leak, abs=0.1)


def test_the_coordinates_tell_the_step():
    map = caught((40, 30), np.random.default_rng(0))
    coords = {
        "y": ("y", 10.0 + STEP * np.arange(40), {"units": "px"}),
        "x": ("x", STEP * np.arange(30.0), {"units": "px"}),
    }
    labelled = xr.DataArray(map, coords, ("y", "x"))
    assert lattice_leak(labelled, HEXAGONAL) > 0.95
    downwards = labelled.assign_coords(y=("y", -STEP * np.arange(40.0), {"units": "px"}))
    assert lattice_leak(downwards, HEXAGONAL) > 0.95
    with pytest.raises(DataError, match=r"step=\.\.\."):
        lattice_leak(labelled.drop_vars(["y", "x"]), HEXAGONAL)
    nanometres = labelled.assign_coords(y=("y", 0.3 * np.arange(40), {"units": "nm"}))
    with pytest.raises(DataError, match="along y"):
        lattice_leak(nanometres, HEXAGONAL)


def test_constant_and_collapsed_latents_have_none():
    rng = np.random.default_rng(0)
    noise = 1e-2 * rng.normal(size=(30, 30))
    z = np.stack([caught((30, 30), rng), noise, np.zeros((30, 30))], -1)
    std = np.stack([np.full((30, 30), width) for width in (0.1, 0.99, 1.0)], -1)
    dims = ("y", "x", "latent")
    maps = xr.Dataset({"z": (dims, z), "z_std": (dims, std)})
    leak = lattice_leak(maps, HEXAGONAL, STEP)
    assert leak[0] > 0.95
    assert np.isnan(leak[1:]).all()
    assert leak.collapsed.values.tolist() == [False, True, True]


def test_latents_leak_less_with_a_site_for_shifts():
    vectors = HEXAGONAL * 8 / 13
    image = synthetic.lattice_image((160, 160), "hexagonal", 8, 1.5, noise=0.1)
    image = image.image.assign_coords(
        y=("y", 0.1 * np.arange(160), {"units": "nm"}),
        x=("x", 0.1 * np.arange(160), {"units": "nm"}),
    )
    patches = extract_patches(image, 16, step=6)
    plain, shift = VAE(16, seed=0), ShiftVAE(16, seed=0, period=vectors.tolist())
    fit(plain, patches, epochs=15, batch_size=50, progress=False)
    fit(shift, patches, epochs=12, batch_size=50, progress=False)
    # Seen on three seeds: 0.55 to 0.92; with a site for shifts 0 to 0.07, and 0.77 of offsets,
    # which are a sawtooth. With offsets in nanometres the maps tell the step.
    leak = lattice_leak(encode(plain, patches), vectors, step=6).max()
    assert leak > 0.4
    maps = encode(shift, patches)
    assert lattice_leak(maps, vectors).fillna(0).max() < 0.4 * leak
    assert lattice_leak(maps["offset"], vectors, step=6).max() > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((23, 30)), HEXAGONAL, STEP), "too small"),
        ((np.zeros((30, 30)), [[1, 2], [2, 4]], STEP), "span no lattice"),
        ((np.zeros((30, 30)), "vectors", STEP), "span no lattice"),
        ((np.zeros((30, 30)), HEXAGONAL, 0), "step=0"),
        ((np.zeros((30, 30)), HEXAGONAL, "a"), "step='a'"),
        ((np.zeros((30, 30)), 8 * np.eye(2), 16), "another step"),
        ((np.zeros(30), HEXAGONAL, STEP), "two axes"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        lattice_leak(*arguments)

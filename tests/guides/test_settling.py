"""What of poses is found rather than told: period and symmetry."""

import math

import numpy as np
import pytest

from pyroshift import RVAE, Patches, ShiftVAE, encode, extract_patches, fit, load, save, synthetic
from pyroshift.errors import DataError, SpecificationError


def bars(count, fold, seed=0, window=20):
    """Stars of as many arms, turned anyhow, in noise; with one arm longer if there is one arm."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-math.pi, math.pi, count)
    grid = (np.arange(window) - (window - 1) / 2) / (window / 2)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    radius, direction = np.hypot(y, x), np.arctan2(-y, x)
    arms = np.cos(fold * (direction - angle[:, None, None]) / 2) ** 8
    patch = arms * np.exp(-(((radius - 0.45) / 0.25) ** 2))
    return (patch + 0.1 * rng.standard_normal(patch.shape)).astype(np.float32)


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_the_symmetry_of_the_motif_is_found(fold, tmp_path):
    patches = Patches.from_array(bars(200, fold))
    model = RVAE(20, 1, symmetry="auto")
    fit(model, patches, epochs=10, batch_size=50, progress=False)
    (site,) = [site for site in model.given_sites if site.name == "angle"]
    assert site.fold == fold
    maps = encode(model, patches)
    assert float(abs(maps.angle).max()) <= math.pi / fold + 1e-5
    save(model, tmp_path / "model.pt")
    again = encode(load(tmp_path / "model.pt"), patches)
    np.testing.assert_array_equal(again.angle, maps.angle)


def test_the_period_is_found_in_the_image():
    image = synthetic.lattice_image((128, 128), period=12.0, noise=0.2)["image"]
    patches = extract_patches(image, 28, 9)
    model = ShiftVAE(28, 1, period="auto")
    fit(model, patches, epochs=1, progress=False)
    maps = encode(model, patches)
    assert float(np.hypot(*np.moveaxis(maps.offset.values, -1, 0)).max()) < 0.75 * 12.0
    (site,) = [site for site in model.given_sites if site.name == "offset"]
    lengths = np.linalg.norm(np.array(site.period) * 14, axis=1)
    np.testing.assert_allclose(lengths, 12.0, rtol=0.03)


def test_the_user_is_told_what_was_found(capsys):
    image = synthetic.lattice_image((96, 96), period=10.0, noise=0.1)["image"]
    fit(ShiftVAE(24, 1, period="auto"), extract_patches(image, 24, 12), epochs=1)
    said = capsys.readouterr()
    assert "lattice vectors" in said.out + said.err


def test_windows_without_an_image_have_no_lattice():
    with pytest.raises(DataError, match="give the period"):
        fit(ShiftVAE(20, 1, period="auto"), Patches.from_array(bars(10, 2)), epochs=1)


@pytest.mark.parametrize("options", [{"period": "no"}, {"period": -3.0}])
def test_other_words_are_refused(options):
    with pytest.raises(SpecificationError, match="period"):
        ShiftVAE(20, **options)
    with pytest.raises(SpecificationError, match="symmetry"):
        RVAE(20, symmetry="no")

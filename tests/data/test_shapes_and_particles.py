"""Synthetic shapes and particles: poses as those of other motifs, sizes, fringes."""

import math

import numpy as np
import pytest
from scipy import ndimage

from pyroshift import synthetic

STILL = {"max_angle": 0, "max_offset": 0, "noise": 0}


def moved(picture, truth, sample):
    """A picture at rest, turned and shifted as a sample is."""
    turned = ndimage.rotate(
        picture, math.degrees(truth["angle"][sample]), reshape=False, order=3, mode="nearest"
    )
    return ndimage.shift(turned, truth["offset"].values[sample], order=3, mode="nearest")


def one_of_each(data):
    """A picture of each shape by name."""
    names = data["shape"].flag_meanings.split()
    return {name: data["patch"].values[data["shape"] == k][0] for k, name in enumerate(names)}


def test_shapes_are_what_their_names_say():
    pictures = one_of_each(synthetic.shapes(40, scale=(1, 1), **STILL))
    assert list(pictures) == ["square", "ellipse", "heart"]
    for picture in pictures.values():
        np.testing.assert_allclose(picture, picture[:, ::-1], atol=1e-5)
        assert ndimage.label(picture > 0.5)[1] == 1
        assert ndimage.label(picture < 0.5)[1] == 1  # no holes
        assert picture.max() == pytest.approx(1, abs=1e-4)
        assert picture.min() == pytest.approx(0, abs=1e-4)
    for name, expected in (("square", [1, 2]), ("ellipse", [2]), ("heart", [])):
        turned = {quarters: np.rot90(pictures[name], quarters) for quarters in (1, 2)}
        same = [q for q, other in turned.items() if np.allclose(other, pictures[name], atol=1e-3)]
        assert same == expected
    radius = 0.2 * 48
    assert pictures["square"].sum() == pytest.approx((1.6 * radius) ** 2, rel=0.03)
    assert pictures["ellipse"].sum() == pytest.approx(math.pi * radius**2 / 2, rel=0.02)
    heart = (pictures["heart"] > 0.5).sum(1)
    assert heart.argmax() < np.flatnonzero(heart).mean()  # its lobes are above


def test_shapes_are_turned_and_shifted_as_motifs_are():
    pictures = one_of_each(synthetic.shapes(40, scale=(1, 1), **STILL))
    data = synthetic.shapes(30, scale=(1, 1), max_offset=6, noise=0)
    for sample, (kind, patch) in enumerate(zip(data["shape"].values, data["patch"], strict=True)):
        expected = moved(list(pictures.values())[kind], data, sample)
        assert np.abs(expected - patch.values).mean() < 0.01


def test_areas_grow_with_the_square_of_the_scale():
    data = synthetic.shapes(300, noise=0)
    for kind in range(3):
        own = data.isel(sample=data["shape"].values == kind)
        ratio = own["patch"].sum(("y", "x")) / own["scale"] ** 2
        np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.05)
    assert 0.5 <= data["scale"].min() < 0.52
    assert 0.98 < data["scale"].max() <= 1


@pytest.mark.parametrize("window", [48, 49])
def test_particles_are_turned_and_shifted_as_motifs_are(window):
    options = {"window": window, "opening": (1.0, 1.0), "noise": 0}
    picture = synthetic.particles(1, **{**STILL, **options})["patch"].values[0]
    data = synthetic.particles(20, **options)
    for sample, patch in enumerate(data["patch"].values):
        # In units of its own: the unit of grey levels is that of all patches together.
        own, expected = patch - np.median(patch), moved(picture, data, sample)
        expected = expected - np.median(expected)
        assert np.corrcoef(own.ravel(), expected.ravel())[0, 1] > 0.995


def test_legs_open_by_as_much_as_is_said():
    """The long leg is turned by half of the angle, the short one the other way."""
    data = synthetic.particles(
        2, window=96, opening=(0.5, 1.5), max_angle=0, max_offset=0, pixel_size=2.0, noise=0,
        seed=3,
    )  # fmt: skip
    rows, columns = np.indices((96, 96)) - 47.5
    beyond = (np.hypot(rows, columns) > 22) & (rows > 5)  # of the long leg alone
    weight = data["patch"].values * beyond
    weight[weight < 0.5 * weight.max()] = 0
    y, x = ((weight * axis).sum((1, 2)) / weight.sum((1, 2)) for axis in (rows, columns))
    np.testing.assert_allclose(np.abs(np.arctan2(x, y)), data["opening"] / 2, atol=0.06)


def test_noise_is_in_units_of_the_signal():
    clean, noisy = (synthetic.particles(200, noise=noise) for noise in (0, 2))
    assert float(clean["patch"].std()) == pytest.approx(1, rel=1e-3)
    np.testing.assert_allclose((noisy - clean)["patch"].std(), 2, rtol=0.01)


def test_what_the_microscope_does_not_transfer_is_not_there():
    """The first zero of the contrast transfer is a dark ring in the spectrum."""
    defocus, wavelength = 3e4, 0.0197  # angstrom
    data = synthetic.particles(50, window=128, pixel_size=3.0, defocus=3.0, noise=0)
    power = (np.abs(np.fft.fft2(data["patch"].values)) ** 2).mean(0)
    frequency = np.fft.fftfreq(128, 3.0)
    radius = np.hypot(frequency[:, None], frequency)
    rings = np.linspace(0.01, 0.06, 26)
    which = np.digitize(radius, rings)
    mean = np.array([power[which == ring].mean() for ring in range(1, len(rings))])
    middle = (rings[1:] + rings[:-1]) / 2
    falling = mean * np.exp((2 * math.pi * middle * 7.0) ** 2)  # less what Gaussians do
    first = 1 / math.sqrt(wavelength * defocus)
    near = np.abs(middle - first) < 0.012
    assert abs(middle[near][falling[near].argmin()] - first) < 0.003

"""A short training on patterns of few electrons, against the centre of mass; and the picture."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import Patches, ShiftVAE, encode, fit, load_patterns, plot, synthetic
from pyroshift.errors import DataError


def error(found, truth):
    off = np.asarray(found - truth)
    return np.sqrt(np.square(off - off.mean((0, 1))).mean())


@pytest.fixture(scope="module")
def scan():
    return synthetic.diffraction((16, 16), (24, 24), 8.0, dose=100, deflection=2.0, seed=3)


@pytest.fixture(scope="module")
def maps(scan):
    patches = Patches.from_array(load_patterns(scan.pattern), window_ndim=2)
    model = ShiftVAE((24, 24), latent_dim=2, likelihood="poisson", offset_scale=0.1)
    fit(model, patches, epochs=6, batch_size=64, progress=False)
    return encode(model, patches)


def test_few_electrons_tell_more_than_their_centre_of_mass(scan, maps):
    total = scan.pattern.sum(("ky", "kx"))
    centre = [(scan.pattern * scan[name]).sum(("ky", "kx")) / total for name in ("ky", "kx")]
    by_mass = error(np.stack(centre, -1), scan.deflection.values)
    by_model = error(maps.offset.values, scan.deflection.values)
    assert by_model < 0.75 * by_mass
    along = np.corrcoef(maps.offset.values.ravel(), scan.deflection.values.ravel())[0, 1]
    assert along > 0.8


def test_intervals_are_honest_at_few_electrons(scan, maps):
    off = maps.offset.values - scan.deflection.values
    inside = np.abs(off - off.mean((0, 1))) <= 1.645 * maps.offset_std.values
    assert 0.8 < inside.mean() < 0.97


def test_picture_says_which_way(maps):
    figure = plot.deflection(maps, std=True)
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == [
        "deflection", "size", "size, std"
    ]  # fmt: skip


def test_colours_go_by_direction_as_displayed():
    moves = np.zeros((2, 2, 2))
    moves[0, 0], moves[0, 1], moves[1, 0] = (0, 1), (-1, 0), (np.nan, 0)
    figure = plot.deflection(
        xr.Dataset({"offset": (("y", "x", "axis"), moves)}), mean=True, largest=1.0
    )
    colours = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(colours[0, 0], (1, 0, 0))  # to the right: red
    np.testing.assert_allclose(colours[0, 1], (0.5, 1, 0), atol=0.01)  # up: a quarter turn on
    np.testing.assert_allclose(colours[1, 1], 0)  # not at all: black
    assert np.ptp(colours[1, 0]) == 0  # unknown: grey


@pytest.mark.parametrize("found", [xr.Dataset(), xr.Dataset({"offset": ("x", [1.0])}), 3])
def test_what_has_no_deflections_is_told(found):
    with pytest.raises(DataError):
        plot.deflection(found)

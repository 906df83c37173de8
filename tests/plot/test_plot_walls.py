"""Walls, roses of their angles, and what switched: what is shown where."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import plot, walls
from pyroshift.errors import DataError

Y, X = np.mgrid[:60, :70].astype(float)


def heights(found, bins):
    return np.array([bar.get_height() for bar in plot.rose(found, bins=bins).axes[0].patches])


@pytest.mark.parametrize("angle", [0.0, 0.5, -0.9, np.pi / 2])
def test_a_rose_shows_where_walls_point_to(angle):
    found = walls(-(X - 35) * np.sin(angle) - (Y - 30) * np.cos(angle), level=0)
    shares = heights(found, 12)
    number = round(angle / (np.pi / 6)) % 6
    assert np.allclose(shares[[number, number + 6]], 100)
    assert shares.sum() == pytest.approx(200)


def test_a_rose_weighs_by_length():
    found = walls(np.tanh(20 - np.hypot(Y - 30, X - 35)))
    assert np.allclose(heights(found, 8), 25, atol=2)
    found["length"] = found.length.where(abs(found.angle) < 0.3, 0)
    assert heights(found, 8)[0] == pytest.approx(100)


@pytest.mark.parametrize("bins", [0, 7, 2.0, True, "many"])
def test_a_rose_takes_an_even_number_of_bins(bins):
    with pytest.raises(DataError, match="even number"):
        plot.rose(walls(np.tanh(X - 35)), bins=bins)


def test_walls_are_lines_where_they_are_and_closed_ones_close():
    field = np.tanh(20 - np.hypot(Y - 30, X - 35))
    found = walls(field)
    ax = plot.walls(found, field).axes[0]
    halo, shown = ax.collections
    segments = np.array(shown.get_segments())
    assert len(segments) == found.sizes["point"]
    assert np.allclose(np.hypot(*(segments - [35, 30]).T), 20, atol=0.1)
    assert np.allclose(segments[:-1, 1], segments[1:, 0])
    assert np.allclose(segments[-1, 1], segments[0, 0])
    low, high = shown.get_clim()
    assert -low == high == np.pi / 2
    assert len(halo.get_segments()) == len(segments)
    with pytest.raises(DataError, match="nm"):
        plot.walls(found, xr.DataArray(field, {"y": ("y", Y[:, 0], {"units": "nm"})}, ("y", "x")))


def test_what_switched_is_in_colours_and_the_rest_in_grey():
    change = xr.DataArray([[0.0, 0.0, 1.0, -1.0, np.nan]] * 2, dims=("y", "x"))
    before = xr.DataArray([[0.0, 1.0, 0.0, 1.0, np.nan]] * 2, dims=("y", "x"))
    shown = plot.switched(xr.Dataset({"switched": change, "before": before})).axes[0].images[0]
    kinds = np.ma.filled(np.ma.masked_invalid(shown.get_array()), -1)
    assert kinds[0].tolist() == [0, 1, 3, 2, -1]

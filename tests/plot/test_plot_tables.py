"""Tables in colours: labels, order of rows, numbers, ticks, limits, errors."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from pyroshift import VAE, correlation_ratio, fit_sine, manifold, plot
from pyroshift.errors import DataError

mpl.use("agg")


def table(values, **coords):
    values = np.asarray(values, float)
    names = list(coords) or ["row", "column"]
    return xr.DataArray(values, coords, names, "share")


def texts(labels):
    return [label.get_text() for label in labels]


def written(ax):
    return {(text.get_position()): text.get_text() for text in ax.texts}


def test_names_read_downwards_and_numbers_grow_upwards():
    named = plot.heat_map(table(np.eye(2), latent=["z0", "offset_x"], factor=["a", "b"])).axes[0]
    assert texts(named.get_yticklabels()) == ["$z_{0}$", "offset x"]
    assert texts(named.get_xticklabels()) == ["a", "b"]
    assert named.yaxis_inverted()
    numbered = plot.heat_map(table(np.eye(2), spread=[0.5, 6], noise=[0, 1])).axes[0]
    assert texts(numbered.get_yticklabels()) == ["0.5", "6"]
    assert (numbered.get_xlabel(), numbered.get_ylabel()) == ("noise", "spread")
    assert not numbered.yaxis_inverted()


def test_numbers_are_written_where_there_is_room():
    values = np.array([[0.0, 0.25], [1.0, np.nan]])
    assert written(plot.heat_map(table(values)).axes[0]) == {
        (0, 0): "0.00",
        (1, 0): "0.25",
        (0, 1): "1.00",
    }
    assert not plot.heat_map(table(np.ones((9, 8)))).axes[0].texts


def test_numbers_can_be_read_on_their_colours():
    ax = plot.heat_map(table([[0.0, 1.0]]), limits=(0, 1)).axes[0]
    assert [text.get_color() for text in ax.texts] == ["white", "black"]


@pytest.mark.parametrize("order", [1, -1])
def test_ticks_of_many_numbers_are_round_and_in_place(order):
    z = np.linspace(-2, 2, 21)[::order]
    ax = plot.heat_map(table(np.zeros((21, 21)), z1=z, z0=z)).axes[0]
    assert texts(ax.get_xticklabels()) == ["-2", "-1", "0", "1", "2"]
    np.testing.assert_allclose(ax.get_xticks(), np.array([0, 5, 10, 15, 20])[::order])
    assert ax.get_xlabel() == "$z_{0}$"


def test_limits_and_missing_fields():
    picture = plot.heat_map(table([[0.2, np.nan]]), limits=(0, 1)).axes[0].images[0]
    assert picture.get_clim() == (0, 1)
    assert picture.get_array().mask.tolist() == [[False, True]]


def test_what_factors_explain():
    rng = np.random.default_rng(0)
    shares = correlation_ratio(rng.random((50, 2)), {"width": rng.random(50)})
    ax = plot.heat_map(shares, limits=(0, 1)).axes[0]
    assert ax.get_title() == "correlation ratio"
    bar = ax.figure.axes[1]
    assert bar.get_ylabel().replace("\n", " ") == "share of the variance explained"


def test_the_plane_of_the_latents():
    sines = fit_sine(manifold(VAE((40,)), size=5))
    figure = plot.heat_maps(sines, ["offset", "period", "amplitude"])
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles == ["offset", "period", "amplitude"]
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high
    assert len([ax for ax in plot.heat_maps(sines).axes if ax.images]) == 5


def test_many_tables_go_on_in_the_next_row():
    tables = xr.Dataset({str(index): table(np.zeros((9, 9))) for index in range(5)})
    panels = [ax for ax in plot.heat_maps(tables).axes if ax.images]
    places = [ax.get_subplotspec().rowspan.start for ax in panels]
    assert places == [0, 0, 0, 1, 1]


def test_given_axes_and_limits_are_shared():
    first = plot.heat_map(table(np.eye(2))).axes[0]
    assert plot.heat_map(table(np.eye(2)), first).axes[0] is first
    both = xr.Dataset({"a": table(np.eye(2)), "b": 5 * table(np.eye(2))})
    pictures = [image for ax in plot.heat_maps(both, limits=(0, 5)).axes for image in ax.images]
    assert [picture.get_clim() for picture in pictures] == [(0, 5), (0, 5)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.eye(2), "expected a DataArray"),
        (table(np.eye(2))[0], "two dimensions"),
        (xr.DataArray(np.full((2, 2), "a")), "of numbers"),
        (table(np.zeros((0, 2))), "empty"),
    ],
)
def test_what_is_no_table(wrong, message):
    with pytest.raises(DataError, match=message):
        plot.heat_map(wrong)


def test_unknown_variables():
    with pytest.raises(DataError, match="no \\['b'\\]"):
        plot.heat_maps(xr.Dataset({"a": table(np.eye(2))}), ["b"])

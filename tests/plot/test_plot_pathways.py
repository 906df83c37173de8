"""Figures of classes and of what happens over time: what they show, and what they refuse."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from pyroshift import ensemble_average, plot, trajectories, transition_matrix
from pyroshift.errors import DataError

mpl.use("agg")


def classified(units="px"):
    rng = np.random.default_rng(0)
    frame, track = np.indices((10, 6)).reshape(2, -1)
    index = (track + frame // 4) % 2
    return xr.Dataset(
        {
            "z": (("atom", "latent"), rng.normal(size=(60, 2)) + index[:, None]),
            "angle": ("atom", rng.uniform(-3, 3, 60), {"units": "rad"}),
            "class_index": ("atom", index),
        },
        {
            "frame": ("atom", frame),
            "track": ("atom", track + 10),
            "y": ("atom", 5.0 + 8 * (track // 3), {"units": units}),
            "x": ("atom", 5.0 + 8 * (track % 3), {"units": units}),
            "class": np.array(["A", "B"], dtype=object),
        },
    )


def rows(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def titles(figure):
    return [ax.get_title() for ax in figure.axes if ax.get_title()]


@pytest.mark.parametrize(("frame", "expected"), [(0, (3, 3)), (5, (3, 3))])
def test_atoms_of_one_frame_in_the_colours_of_their_classes(frame, expected):
    maps = classified()
    ax = plot.classes(maps, np.zeros((10, 18, 26)), frame=frame).axes[0]
    assert rows(ax) == [f"A ({expected[0]})", f"B ({expected[1]})"]
    here = maps.isel(atom=maps.frame.values == frame)
    for index, points in enumerate(ax.collections):
        these = here.class_index.values == index
        np.testing.assert_allclose(points.get_offsets()[:, 0], here.x.values[these])
        np.testing.assert_allclose(points.get_offsets()[:, 1], here.y.values[these])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_classes_of_windows_on_a_grid():
    index = np.array([[0, 1, 1], [-1, 1, 0]])
    ax = plot.classes(xr.Dataset({"class_index": (("y", "x"), index)})).axes[0]
    assert rows(ax) == ["class 0 (2)", "class 1 (3)"]
    shown = ax.images[0].get_array()
    assert shown[1, 0, 3] == 0  # missing: nothing to be seen
    assert (shown[0, 0] == shown[1, 2]).all()
    assert (shown[0, 1] != shown[0, 0]).any()


def test_without_an_image_and_in_given_axes():
    first = plot.classes(classified()).axes[0]
    assert first.get_ylim()[0] > first.get_ylim()[1]
    assert plot.classes(classified(), ax=first).axes[0] is first


def test_classes_that_have_no_place():
    with pytest.raises(DataError, match="in nm, but the image in px"):
        plot.classes(classified("nm"), np.zeros((10, 18, 26)))
    with pytest.raises(DataError, match="no place"):
        plot.classes(xr.Dataset({"class_index": ("sample", [0, 1])}))
    with pytest.raises(DataError, match="classify"):
        plot.classes(classified().drop_vars("class_index"))
    with pytest.raises(DataError, match="frame"):
        plot.classes(classified(), frame=10)


def test_mean_pictures_side_by_side():
    means = xr.DataArray(
        np.random.default_rng(0).random((2, 5, 5)),
        {"class": ["A", "B"], "count": ("class", [3, 4])},
        ("class", "window_y", "window_x"),
    )
    figure = plot.class_patches(means)
    assert titles(figure) == ["A\n3 windows", "B\n4 windows"]
    assert len({ax.images[0].get_clim() for ax in figure.axes}) == 1
    assert len(plot.class_patches(means[:, 0]).axes[0].lines) == 1
    with pytest.raises(DataError, match="class_patches"):
        plot.class_patches(means[0])


def test_transitions_with_their_intervals():
    matrix = transition_matrix(classified())
    ax = plot.transitions(matrix).axes[0]
    written = {text.get_position(): text.get_text() for text in ax.texts}
    low, high = float(matrix.lower[0, 1]), float(matrix.upper[0, 1])
    expected = f"{float(matrix.probability[0, 1]):.3f}\n{low:.3f} to {high:.3f}"
    assert written[1, 0] == expected  # from the row's class to the column's
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("class in the next frame", "class")
    later = plot.transitions(transition_matrix(classified(), lag=3)).axes[0]
    assert later.get_xlabel() == "class 3 frames later"
    with pytest.raises(DataError, match="transition_matrix"):
        plot.transitions(matrix.probability)


def test_paths_of_the_tracks_asked_for():
    found = trajectories(classified())
    figure = plot.trajectories(found, [12, 10])
    assert titles(figure) == ["track 12", "track 10"]
    path = figure.axes[0].collections[-1].get_offsets()
    np.testing.assert_allclose(path, found.z.sel(track=12))
    assert figure.axes[0].get_ylabel() == "$z_{1}$"


def test_the_longest_paths_unless_told_and_gaps_left_out():
    maps = classified()
    maps["z"][maps.track.values == 13] *= 10
    found = trajectories(maps.isel(atom=slice(3, None)))
    figure = plot.trajectories(found, y="angle")
    assert "track 13" in titles(figure)
    assert len(titles(figure)) == 3
    assert figure.axes[0].get_ylabel() == "angle (rad)"
    first = plot.trajectories(found, [10]).axes[0].collections[-1]
    assert len(first.get_offsets()) == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "z7"}, "no variables"),
        ({"tracks": [3]}, "no tracks"),
        ({"tracks": []}, "no tracks"),
    ],
)
def test_paths_that_are_not_there(options, message):
    with pytest.raises(DataError, match=message):
        plot.trajectories(trajectories(classified()), **options)


def test_paths_of_something_else():
    with pytest.raises(DataError, match="trajectories"):
        plot.trajectories(classified())


def test_averages_against_time():
    found = ensemble_average(classified())
    figure = plot.ensemble(found)
    assert titles(figure) == ["z", "share", "angle order"]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), found.z[:, 1])
    assert rows(figure.axes[1]) == ["A", "B"]
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), found.share[:, 0])
    band = figure.axes[1].collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(float(found.share_lower[:, 0].min()))
    with pytest.raises(DataError, match="ensemble_average"):
        plot.ensemble(classified())

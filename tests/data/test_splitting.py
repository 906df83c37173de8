"""Windows that overlap, and windows held out that share no pixel with the others."""

import numpy as np
import pytest
import xarray as xr

import pyroshift as ps
from pyroshift.data.neighbours import any_overlap, window_places
from pyroshift.errors import DataError

RANDOM = np.random.default_rng(0)


def pixels_of(patches, shape):
    """How many of the patches hold each pixel, `frame x height x width`."""
    count = np.zeros(shape, int)
    for frame, y, x in patches.starts.tolist():
        count[frame, y : y + patches.window[0], x : x + patches.window[1]] += 1
    return count


@pytest.mark.parametrize(("step", "overlapping"), [(4, True), (8, False), (9, False), (2, True)])
def test_overlap_on_a_grid(step, overlapping):
    patches = ps.extract_patches(np.zeros((2, 60, 50)), 8, step)
    assert any_overlap(window_places(patches), patches.window) == overlapping


@pytest.mark.parametrize(("apart", "overlapping"), [(7, True), (8, False)])
def test_overlap_of_atoms(apart, overlapping):
    frames = np.zeros((2, 60, 50))
    positions = [[0, 20, 20], [1, 20, 20], [0, 20, 20 + apart], [0, 40, 41]]
    patches = ps.extract_patches(frames, 8, positions=positions)
    assert any_overlap(window_places(patches), patches.window) == overlapping


def test_signals_have_no_place():
    assert window_places(ps.Patches.from_array(np.zeros((4, 20)))) is None


def test_pixels_have_a_size_and_axes_may_fall():
    image = ps.extract_patches(np.zeros((40, 30)), 8, 4)
    places = window_places(image)
    assert places[:, 1:].max(0).tolist() == [35.5, 23.5]  # of 9 x 6 windows
    axes = {"y": -0.25 * np.arange(40), "x": 5 + 0.5 * np.arange(30)}
    falling = xr.DataArray(np.zeros((40, 30)), axes, ("y", "x"))
    moved = window_places(ps.extract_patches(falling, 8, 4))
    np.testing.assert_allclose(np.ptp(moved, axis=0), np.ptp(places, axis=0))


# Held out


@pytest.mark.parametrize("step", [2, 5, 8])
@pytest.mark.parametrize("seed", [0, 1])
def test_parts_share_no_pixel(step, seed):
    shape = (2, 90, 110)
    patches = ps.extract_patches(np.zeros(shape), 8, step)
    training, held_out = ps.split_patches(patches, 0.3, seed=seed)
    both = (pixels_of(training, shape) > 0) & (pixels_of(held_out, shape) > 0)
    assert not both.any()
    assert len(training) > len(held_out) > 0.05 * len(patches)
    assert training.layout == held_out.layout == patches.layout
    frames = [pixels_of(held_out, shape)[frame] for frame in (0, 1)]
    np.testing.assert_array_equal(*frames)


def test_atoms_are_held_out_by_place():
    positions = np.column_stack([RANDOM.uniform(10, 190, 300), RANDOM.uniform(10, 190, 300)])
    patches = ps.extract_patches(np.zeros((200, 200)), 12, positions=positions)
    training, held_out = ps.split_patches(patches)
    both = (pixels_of(training, (1, 200, 200)) > 0) & (pixels_of(held_out, (1, 200, 200)) > 0)
    assert not both.any()


def test_signals_are_held_out_one_by_one():
    patches = ps.Patches.from_array(RANDOM.random((50, 20)))
    training, held_out = ps.split_patches(patches, 0.1)
    assert (len(training), len(held_out)) == (45, 5)
    assert not set(training.positions) & set(held_out.positions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"held_out": 0}, "held_out must be a share"),
        ({"held_out": 1.0}, "held_out must be a share"),
        ({"block": 4}, "block must be a whole number"),
        ({"block": 64}, "leave 0 windows to train on"),
    ],
)
def test_says_why_there_is_no_split(options, message):
    patches = ps.extract_patches(np.zeros((40, 40)), 8)
    with pytest.raises(DataError, match=message):
        ps.split_patches(patches, **options)
    with pytest.raises(DataError, match="expected Patches"):
        ps.split_patches(np.zeros((4, 8, 8)))

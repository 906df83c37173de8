"""Movies of atoms that switch: the truth is what is drawn, and the rates are those asked for."""

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import map_coordinates

from pyroshift import extract_patches
from pyroshift.data import synthetic
from pyroshift.data.synthetic._common import rotate
from pyroshift.errors import DataError

THREE = ((0.8, 0.1, 0.1), (0.2, 0.7, 0.1), (0.0, 0.3, 0.7))


def small(seed=0, **options):
    return synthetic.switching(**{"frames": 4, "sites": (2, 3), "seed": seed, **options})


def at(movie, positions):
    """Grey levels at positions (atom x 2) of the atoms' frames."""
    found = np.empty(len(positions))
    for frame, picture in enumerate(movie.image.values):
        these = movie.frame.values == frame
        found[these] = map_coordinates(picture, positions[these].T, order=3)
    return found


def positions_of(movie):
    return np.stack([movie.y.values, movie.x.values], 1)


def neighbour(movie, direction, distance=6.5):
    """Where, for each atom, a neighbour in a direction of the motif would be."""
    return positions_of(movie) + rotate(np.array([0.0, distance]), movie.angle.values + direction)


def test_same_seed_same_movie_and_another_seed_another():
    xr.testing.assert_identical(small(3), small(3))
    assert not np.allclose(small(3).angle, small(4).angle)


def test_atoms_shine_where_they_are_said_to_be():
    movie = small(noise=0.0)
    np.testing.assert_allclose(at(movie, positions_of(movie)), 1.0, atol=0.05)
    for step in ((2.5, 0.0), (0.0, 2.5), (-2.5, 0.0)):
        assert (at(movie, positions_of(movie) + step) < 0.8).all()


def test_neighbours_are_where_state_and_angle_say():
    movie = small(noise=0.0, frames=12, turn=1.0)
    third = at(movie, neighbour(movie, 3.5)) > 0.5
    np.testing.assert_array_equal(third, movie.state.values == 1)
    np.testing.assert_allclose(at(movie, neighbour(movie, 0.0)), 0.9, atol=0.06)
    np.testing.assert_allclose(at(movie, neighbour(movie, 1.6)), 0.6, atol=0.06)


@pytest.mark.parametrize("state", range(4))
def test_no_motif_looks_the_same_at_two_angles(state):
    stays = np.eye(4)
    motif = synthetic.switching(
        1, (1, 1), transition=stays, initial=stays[state], noise=0, jitter=0, seed=1
    )
    around = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    ring = np.concatenate([at(motif, neighbour(motif, direction)) for direction in around])
    differences = [np.abs(ring - np.roll(ring, shift)).max() for shift in range(3, 70)]
    assert min(differences) > 0.1


def test_switches_have_the_rates_asked_for():
    movie = synthetic.switching(150, (4, 4), transition=THREE, noise=0)
    state = movie.state.values.reshape(150, 16)
    count = np.zeros((3, 3))
    np.add.at(count, (state[:-1], state[1:]), 1)
    share = count / count.sum(1, keepdims=True)
    error = np.sqrt(np.array(THREE) * (1 - np.array(THREE)) / count.sum(1, keepdims=True))
    # Six numbers are free; beyond four standard errors is one in some 2,600 seeds.
    assert (np.abs(share - THREE) <= 4 * error).all()
    np.testing.assert_array_equal(movie.transition, THREE)


def test_first_states_are_as_asked_for():
    assert (small(initial=(0, 1)).state.values[:6] == 1).all()


def test_angles_take_steps_and_positions_drift():
    movie = small(frames=200, turn=0.2, jitter=0.5, drift=(0.3, -0.2), noise=0)
    angle = movie.angle.values.reshape(200, 6)
    steps = np.angle(np.exp(1j * np.diff(angle, axis=0)))
    assert np.std(steps) == pytest.approx(0.2, rel=0.1)
    assert np.abs(angle).max() <= np.pi
    moved = np.diff(positions_of(movie).reshape(200, 6, 2), axis=0)
    np.testing.assert_allclose(moved.mean((0, 1)), (0.3, -0.2), atol=0.02)
    assert moved.std() == pytest.approx(0.5 * np.sqrt(2), rel=0.15)


@pytest.mark.parametrize("drift", [(0.0, 0.0), (0.7, -0.4), (-0.7, 0.4)])
def test_windows_as_large_as_the_spacing_hold_every_atom(drift):
    movie = small(frames=20, drift=drift, jitter=0.5)
    atoms = np.stack([movie.frame, movie.y, movie.x], 1)
    assert len(extract_patches(movie.image, 32, positions=atoms)) == len(atoms)


def test_tracks_tell_atoms_apart():
    movie = small()
    assert movie.track.values.tolist() == [0, 1, 2, 3, 4, 5] * 4
    assert movie.frame.values.tolist() == np.repeat(range(4), 6).tolist()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, "frames"),
        ({"sites": (0, 3)}, "rows"),
        ({"spacing": 10}, "spacing"),
        ({"turn": -1}, "turn"),
        ({"noise": np.nan}, "noise"),
        ({"drift": (np.inf, 0)}, "drift_y"),
        ({"transition": ((0.5, 0.6), (0.5, 0.5))}, "sum to 1"),
        ({"transition": ((1.5, -0.5), (0.5, 0.5))}, "sum to 1"),
        ({"transition": (0.5, 0.5)}, "state x next state"),
        ({"transition": np.eye(5)}, "2 to 4 states"),
        ({"initial": (0.5, 0.3, 0.2)}, "give 2"),
    ],
)
def test_what_cant_be_drawn(wrong, message):
    with pytest.raises(DataError, match=message):
        small(**wrong)

"""Atoms linked between frames: who is who, through drift, gaps and motion."""

import logging

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import link_atoms
from pyroshift.data.atoms import labelled_atoms
from pyroshift.errors import DataError

SPACING = 12.0


def sites(rng, count=10, jitter=0.8):
    """A square lattice whose atoms are a little off their sites, a sixth of them missing."""
    grid = SPACING * np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1).reshape(-1, 2)
    return (grid + rng.normal(0, jitter, grid.shape))[rng.random(len(grid)) > 1 / 6] + 30


def movie(rng, places, drift, seen=1.0, motion=0.3):
    """Positions (frame, y, x) in random order, and which place each is of."""
    rows, truth = [], []
    for frame, shift in enumerate(drift):
        order = rng.permutation(len(places))
        order = order[rng.random(len(order)) < seen]
        at = places[order] + shift + rng.normal(0, motion, (len(order), 2))
        rows.append(np.column_stack([np.full(len(order), frame), at]))
        truth.append(order)
    return np.concatenate(rows), np.concatenate(truth)


def atoms_of(positions, spacing=1.0, unit="px"):
    axes = {name: (name, spacing * np.arange(300), {"units": unit}) for name in "yx"}
    frames = int(positions[:, 0].max()) + 1
    image = xr.DataArray(
        np.zeros((frames, 300, 300), np.int8), dims=("frame", "y", "x"), coords=axes
    )
    return labelled_atoms(image, positions, {})


def purity(track, truth):
    """Share of atoms in tracks whose track is of one atom, and the only one of that atom."""
    linked = track >= 0
    pairs, counts = np.unique(np.stack([track, truth])[:, linked], axis=1, return_counts=True)
    best_of_track = {t: counts[pairs[0] == t].max() for t in np.unique(pairs[0])}
    best_of_atom = {a: counts[pairs[1] == a].max() for a in np.unique(pairs[1])}
    whole = [
        count
        for track, atom, count in zip(*pairs, counts, strict=True)
        if count == best_of_track[track] == best_of_atom[atom]
    ]
    return sum(whole) / linked.sum()


@pytest.mark.parametrize("seed", range(5))
def test_tracks_and_drift_are_those_of_the_atoms(seed):
    rng = np.random.default_rng(seed)
    # Up to more than half of the distance between atoms from frame to frame.
    drift = np.cumsum(rng.uniform(-7, 7, (12, 2)), axis=0)
    positions, truth = movie(rng, sites(rng), drift, seen=0.95)
    linked = link_atoms(atoms_of(positions))
    assert purity(linked.track.values, truth) > 0.99
    assert (linked.track >= 0).mean() > 0.99
    assert linked.track.values.max() + 1 == pytest.approx(len(np.unique(truth)), abs=3)
    expected = (drift - drift[0])[positions[:, 0].astype(int)]
    np.testing.assert_allclose(linked.drift, expected, atol=0.35)


def test_positions_stay_where_the_atoms_are():
    rng = np.random.default_rng(0)
    atoms = atoms_of(movie(rng, sites(rng), [[0, 0], [3, 2]])[0])
    linked = link_atoms(atoms)
    xr.testing.assert_identical(linked.drop_vars(["track", "drift", "axis"]), atoms)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_the_unit_of_length_doesn_t_matter(spacing, seed):
    rng = np.random.default_rng(seed)
    positions, _ = movie(rng, sites(rng, 5), [[0, 0], [2, -3], [4, -1]])
    in_pixels, in_unit = link_atoms(atoms_of(positions)), link_atoms(atoms_of(positions, spacing))
    np.testing.assert_array_equal(in_pixels.track, in_unit.track)
    np.testing.assert_allclose(in_unit.drift, spacing * in_pixels.drift, atol=1e-6 * spacing)


def test_gaps_are_bridged_up_to_the_memory():
    positions = np.array([[0, 50, 50], [0, 80, 80], [1, 50, 50], [2, 50, 50], [3, 50, 50]])
    positions = np.vstack([positions, [[3, 80, 80]]])
    assert link_atoms(atoms_of(positions), memory=2).track.values.tolist() == [0, 1, 0, 0, 0, 1]
    forgotten = link_atoms(atoms_of(positions), memory=1).track.values.tolist()
    assert forgotten == [0, -1, 0, 0, 0, -1]
    kept = link_atoms(atoms_of(positions), memory=1, shortest=1).track.values
    assert kept.tolist() == [0, 1, 0, 0, 0, 2]


def test_empty_frames_are_gaps():
    positions = np.array([[0, 50, 50], [0, 80, 80], [2, 51, 51], [2, 81, 81]])
    linked = link_atoms(atoms_of(positions))
    assert linked.track.values.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(linked.drift.values[2:], 1)


def test_without_drift_positions_are_linked_as_they_are():
    rng = np.random.default_rng(0)
    positions, truth = movie(rng, sites(rng), [[0, 0], [2, 2], [4, 4]])
    linked = link_atoms(atoms_of(positions), 4.5, drift=False)
    assert (linked.drift == 0).all()
    assert purity(linked.track.values, truth) > 0.99


def test_wandering_particles():
    rng = np.random.default_rng(0)
    places = rng.uniform(50, 250, (8, 2))
    while np.min(np.linalg.norm(places[:, None] - places, axis=-1) + 1e3 * np.eye(8)) < 30:
        places = rng.uniform(50, 250, (8, 2))
    rows, truth = [], []
    for frame in range(30):
        places = places + rng.normal(0, 1.0, places.shape)
        rows.append(np.column_stack([np.full(8, frame), places]))
        truth.append(np.arange(8))
    linked = link_atoms(atoms_of(np.concatenate(rows)), 10)
    assert purity(linked.track.values, np.concatenate(truth)) == 1


def test_a_single_particle():
    linked = link_atoms(atoms_of(np.array([[0, 50, 50], [1, 53, 55], [2, 52, 51]])))
    assert linked.track.values.tolist() == [0, 0, 0]


def test_tracks_go_to_a_file_and_back(tmp_path):
    rng = np.random.default_rng(0)
    linked = link_atoms(atoms_of(movie(rng, sites(rng), [[0, 0], [3, 2]])[0]))
    linked.to_netcdf(tmp_path / "atoms.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "atoms.nc"), linked)


def test_the_user_s_logging_is_left_alone(caplog):
    trackpy = pytest.importorskip("trackpy")
    level = trackpy.logger.level
    link_atoms(atoms_of(np.array([[0, 50, 50], [1, 53, 55]])))
    assert trackpy.logger.level == level
    assert not [record for record in caplog.records if record.levelno >= logging.INFO]


# What is refused


def test_one_frame_is_refused():
    with pytest.raises(DataError, match="nothing to link"):
        link_atoms(atoms_of(np.array([[0, 50, 50], [0, 53, 55]])))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"search_range": 0}, "search_range"),
        ({"search_range": np.nan}, "search_range"),
        ({"search_range": "wide"}, "search_range"),
        ({"memory": -1}, "memory"),
        ({"memory": 1.5}, "memory"),
        ({"shortest": 0}, "shortest"),
    ],
)
def test_options_out_of_their_range_are_refused(options, match):
    with pytest.raises(DataError, match=match):
        link_atoms(atoms_of(np.array([[0, 50, 50], [1, 53, 55]])), **options)


def test_a_search_range_in_which_nobody_can_be_told_apart_is_refused():
    rng = np.random.default_rng(0)
    positions = np.vstack(
        [
            np.column_stack([np.full(300, frame), rng.uniform(100, 120, (300, 2))])
            for frame in (0, 1)
        ]
    )
    with pytest.raises(DataError, match="choose a smaller one"):
        link_atoms(atoms_of(positions), 15.0)


def test_units_that_differ_are_refused():
    atoms = atoms_of(np.array([[0, 50, 50], [1, 53, 55]]))
    atoms.y.attrs["units"] = "nm"
    with pytest.raises(DataError, match="same unit"):
        link_atoms(atoms)


@pytest.mark.parametrize(("scale", "unit"), [(0.1, "nm"), (1e-10, "m")])
def test_who_is_who_does_not_depend_on_the_unit(scale, unit):
    places = np.array([[20, 20], [20, 40], [60, 60], [20.2, 20.1], [60.1, 60.2], [100, 100]])
    coords = {
        name: ("atom", scale * values, {"units": unit})
        for name, values in zip("yx", places.T, strict=True)
    }
    atoms = xr.Dataset(coords={"frame": ("atom", [0, 0, 0, 1, 1, 1]), **coords})
    assert link_atoms(atoms).track.values.tolist() == [0, -1, 1, 0, 1, -1]

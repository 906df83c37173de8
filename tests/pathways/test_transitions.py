"""Transitions: counted as by hand, intervals that hold the truth, errors and gaps dealt with."""

import numpy as np
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from chains import RATES, chains, classified
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import transition_matrix
from pyroshift.errors import DataError
from pyroshift.pathways.hidden import draw_states


def by_hand(atoms, lag=1):
    """Transitions counted one by one."""
    classes = int(atoms.class_index.max()) + 1
    count = np.zeros((classes, classes), int)
    where = {
        (int(track), int(frame)): int(index)
        for track, frame, index in zip(
            atoms.track, atoms.frame, atoms.class_index.values, strict=True
        )
        if track >= 0
    }
    first = min(frame for _, frame in where)
    for (track, frame), index in where.items():
        later = where.get((track, frame + lag), -1)
        if (frame - first) % lag == 0 and index >= 0 and later >= 0:
            count[index, later] += 1
    return count


def a_movie(seed=0, **options):
    rng = np.random.default_rng(seed)
    return classified(chains(rng, 12, 20), rng, **options)


@given(seed=st.integers(0, 999), lag=st.integers(1, 4), missing=st.sampled_from([0.0, 0.3]))
@settings(max_examples=25, deadline=None)
def test_counts_are_those_by_hand_whatever_the_order(seed, lag, missing):
    rng = np.random.default_rng(seed)
    atoms = a_movie(seed, missing=missing)
    atoms["class_index"][:3] = -1
    atoms["track"][5:8] = -1
    atoms = atoms.isel(atom=rng.permutation(atoms.sizes["atom"]))
    found = transition_matrix(atoms, lag=lag)
    np.testing.assert_array_equal(found["count"], by_hand(atoms, lag))


def test_gaps_are_not_bridged():
    coords = {"frame": ("atom", [0, 2, 3]), "track": ("atom", [7, 7, 7])}
    atoms = xr.Dataset({"class_index": ("atom", [0, 1, 1])}, coords)
    assert transition_matrix(atoms)["count"].values.tolist() == [[0, 0], [0, 1]]
    assert transition_matrix(atoms, lag=2)["count"].values.tolist() == [[0, 1], [0, 0]]


def test_the_posterior_is_the_dirichlet_that_pyro_makes_of_it():
    found = transition_matrix(a_movie())
    posterior = dist.Dirichlet(torch.tensor(found.concentration.values))
    np.testing.assert_allclose(found.probability, posterior.mean)
    np.testing.assert_allclose(found["std"], posterior.variance.sqrt())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = posterior.sample((20_000,)).numpy()
    inside = ((found.lower.values <= drawn) & (drawn <= found.upper.values)).mean(0)
    np.testing.assert_allclose(inside, 0.95, atol=0.01)


def test_long_run_and_stay():
    found = transition_matrix(a_movie())
    stationary = found.stationary.values
    np.testing.assert_allclose(stationary @ found.probability.values, stationary)
    assert float(found.stationary.sum()) == pytest.approx(1.0)
    np.testing.assert_allclose(found.dwell_time, 1 / (1 - np.diag(found.probability)))
    assert (found.dwell_time_lower < found.dwell_time).all()
    assert (found.dwell_time < found.dwell_time_upper).all()
    twice = transition_matrix(a_movie(), lag=2)
    np.testing.assert_allclose(twice.dwell_time, 2 / (1 - np.diag(twice.probability)))


def coverage(count, options, **data):
    """Share of intervals that hold the truth, over movies; and the mean rates of switching."""
    rng = np.random.default_rng(0)
    inside, rates = [], []
    for _ in range(count):
        found = transition_matrix(classified(chains(rng), rng, **data), **options)
        holds = (found.lower.values <= RATES) & (found.upper.values >= RATES)
        inside.append([holds[0, 1], holds[1, 0]])  # the other two say the same again
        rates.append(found.probability.values[[0, 1], [1, 0]])
    return np.mean(inside), np.mean(rates, 0)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_intervals_hold_the_truth_as_often_as_they_say(missing):
    # 300 intervals: the standard error is 0.013.
    share, rates = coverage(150, {}, missing=missing)
    assert 0.91 < share < 0.99
    np.testing.assert_allclose(rates, (0.05, 0.1), rtol=0.1)


def test_errors_of_classes_look_like_switches_unless_they_are_told_from_them():
    biased, rates = coverage(30, {}, errors=0.03)
    assert biased < 0.3
    assert (rates > (0.08, 0.14)).all()
    # 12 intervals: fewer than 9 hold the truth in one of 450 fresh seeds.
    share, rates = coverage(6, {"hidden": True, "draws": 200}, errors=0.03)
    assert share >= 0.75
    np.testing.assert_allclose(rates, (0.05, 0.1), rtol=0.3)


def test_how_often_classes_are_wrong_is_found():
    rng = np.random.default_rng(0)
    found = transition_matrix(classified(chains(rng), rng, errors=0.05), hidden=True, draws=300)
    np.testing.assert_allclose(found.confusion.sum("seen_class"), 1.0)
    np.testing.assert_allclose(np.diag(found.confusion), 0.95, atol=0.03)
    assert found.attrs["hidden"] == 1


def test_the_same_seed_gives_the_same_draws():
    options = {"hidden": True, "draws": 20}
    one, same = (transition_matrix(a_movie(), **options, seed=3) for _ in range(2))
    xr.testing.assert_identical(one, same)
    assert not one.equals(transition_matrix(a_movie(), **options, seed=4))


@pytest.mark.parametrize("hidden", [False, True])
def test_one_class_stays_for_sure(hidden):
    coords = {"frame": ("atom", np.arange(9)), "track": ("atom", np.zeros(9, int)), "class": ["a"]}
    atoms = xr.Dataset({"class_index": ("atom", np.zeros(9, int))}, coords)
    atoms["class_probability"] = ("atom", "class"), np.ones((9, 1))
    found = transition_matrix(atoms, hidden=hidden, prior=0.5)
    for name in ("probability", "lower", "upper", "stationary"):
        assert found[name].values.ravel().tolist() == [1.0]
    assert found["std"].item() == 0
    assert found["concentration"].item() == 8.5
    assert found["dwell_time"].item() == np.inf


def test_a_single_draw_is_no_certainty():
    found = transition_matrix(a_movie(), hidden=True, draws=1, prior=0.5)
    expected = found["count"].sum("next_class") + 0.5 * found.sizes["class"]
    np.testing.assert_allclose(found["concentration"].sum("next_class"), expected)


def test_hidden_bridges_gaps_and_ignores_how_tracks_are_padded():
    """Late and short tracks say what they say, whatever frames the others have."""
    atoms = a_movie(missing=0.3)
    late = atoms.assign_coords(frame=atoms.frame + 15 * (atoms.track % 3))
    options = {"hidden": True, "draws": 500}
    one, other = (transition_matrix(movie, **options) for movie in (atoms, late))
    np.testing.assert_allclose(one.probability, other.probability, atol=0.03)
    # Whatever is sampled lies between the first and the last frame of a track.
    steps = (atoms.frame.groupby(atoms.track).max() - atoms.frame.groupby(atoms.track).min()).sum()
    assert float(one["count"].sum()) == pytest.approx(float(steps))
    assert float(other["count"].sum()) == pytest.approx(float(steps))


def test_states_are_drawn_from_their_posterior():
    """Against the posterior by enumeration of all paths."""
    rng = np.random.default_rng(0)
    emission, transition = rng.dirichlet(np.ones(2), 4), rng.dirichlet(np.ones(2), 2)
    start = np.array([0.3, 0.7])
    paths = np.indices((2,) * 4).reshape(4, -1).T
    weight = start[paths[:, 0]] * np.prod(
        [emission[frame, paths[:, frame]] for frame in range(4)], 0
    )
    weight *= np.prod([transition[paths[:, t], paths[:, t + 1]] for t in range(3)], 0)
    drawn = draw_states(np.tile(emission, (40_000, 1, 1)), transition, start, rng)
    share = np.bincount(drawn @ (8, 4, 2, 1), minlength=16) / len(drawn)
    np.testing.assert_allclose(share, weight / weight.sum(), atol=0.012)


def test_windows_on_a_grid_are_tracks_of_their_own():
    state = chains(np.random.default_rng(0), 12, 20)
    grid = xr.Dataset({"class_index": (("frame", "y", "x"), state.reshape(20, 3, 4))})
    found = transition_matrix(grid)
    np.testing.assert_array_equal(found["count"], by_hand(classified(state)))


def test_one_class_stays_what_it_is():
    found = transition_matrix(classified(np.zeros((5, 3), int)))
    np.testing.assert_allclose(found.probability, [[1.0]])


def test_what_is_found_goes_through_a_file(tmp_path):
    found = transition_matrix(a_movie())
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "found.nc", engine="h5netcdf") as loaded:
        np.testing.assert_array_equal(loaded.probability, found.probability)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lag": 0}, "lag=0"),
        ({"lag": 1.5}, "lag=1.5"),
        ({"lag": 30}, "lag"),
        ({"prior": 0}, "prior=0"),
        ({"credible": 1}, "credible=1"),
        ({"draws": 0}, "draws=0"),
        ({"hidden": True, "lag": 30}, "two frames"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(DataError, match=message):
        transition_matrix(a_movie(), **options)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda atoms: atoms.drop_vars("track"), {}, "link_atoms"),
        (lambda atoms: atoms.drop_vars("frame"), {}, "frame"),
        (lambda atoms: atoms.drop_vars("class_index"), {}, "classify"),
        (lambda atoms: atoms.assign_coords(track=0 * atoms.track - 1), {}, "no atom is in a track"),
        (lambda atoms: atoms.assign_coords(track=0 * atoms.track), {}, "two atoms in one frame"),
        (lambda atoms: atoms[["class_index"]], {"hidden": True}, "class_probability"),
        (lambda atoms: atoms.rename(atom="patch"), {}, "over `atom`"),
        (lambda atoms: atoms.assign(class_index=0 * atoms.class_index - 1), {}, "two frames"),
        (lambda atoms: atoms.class_index.values, {}, "classify"),
    ],
)
def test_maps_without_transitions(change, options, message):
    with pytest.raises(DataError, match=message):
        transition_matrix(change(a_movie()), **options)


@pytest.mark.parametrize("along", ["windows", "atoms"])
def test_what_happens_in_a_gap_between_frames_is_not_known(along):
    states = np.zeros((4, 3, 3), int)
    states[2:] = 1
    numbers = np.array([0, 1, 10, 11])
    if along == "windows":
        maps = xr.Dataset({"class_index": (("frame", "y", "x"), states)}, {"frame": numbers})
    else:
        coords = {
            "frame": ("atom", np.repeat(numbers, 9)),
            "track": ("atom", np.tile(np.arange(9), 4)),
        }
        maps = xr.Dataset({"class_index": ("atom", states.ravel())}, coords)
    assert transition_matrix(maps)["count"].values.tolist() == [[9, 0], [0, 9]]

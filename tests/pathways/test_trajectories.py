"""Trajectories hold what the maps do, gaps and all; averages are those by hand."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import ensemble_average, trajectories
from pyroshift.errors import DataError


def maps(seed=0, missing=0.2, tracks=5, frames=8):
    rng = np.random.default_rng(seed)
    frame, track = np.indices((frames, tracks)).reshape(2, -1)
    kept = rng.permutation(np.flatnonzero(rng.random(frame.size) >= missing))
    count = len(kept)
    return xr.Dataset(
        {
            "z": (("atom", "latent"), rng.normal(size=(count, 2)), {"long_name": "latent"}),
            "angle": ("atom", rng.uniform(-np.pi, np.pi, count), {"units": "rad"}),
            "class_index": ("atom", rng.integers(0, 2, count)),
            "elbo": ("atom", rng.normal(size=count).astype(np.float32)),
        },
        {
            "atom": np.arange(count),
            "frame": ("atom", frame[kept] + 3),
            "track": ("atom", track[kept] * 10),
            "y": ("atom", rng.random(count), {"units": "nm"}),
            "x": ("atom", rng.random(count), {"units": "nm"}),
            "latent": [0, 1],
        },
    )


@pytest.mark.parametrize("seed", range(3))
def test_every_atom_is_in_its_place_and_gaps_are_missing(seed):
    atoms = maps(seed)
    found = trajectories(atoms, unwrap=False)
    assert found.z.dims == ("track", "frame", "latent")
    for index in range(atoms.sizes["atom"]):
        atom = atoms.isel(atom=index)
        here = found.sel(track=int(atom.track), frame=int(atom.frame))
        for name in ("z", "angle", "class_index", "elbo", "y", "x"):
            np.testing.assert_allclose(here[name], atom[name])
    gaps = np.isnan(found.elbo.values)
    assert gaps.sum() == found.elbo.size - atoms.sizes["atom"]
    assert (found.class_index.values[gaps] == -1).all()
    assert found.y.attrs["units"] == "nm"
    assert found.class_index.dtype.kind == "i"


def test_atoms_in_no_track_are_left_out():
    atoms = maps(missing=0)
    loose = atoms.assign_coords(track=atoms.track.where(atoms.track != 20, -1))
    assert trajectories(loose).track.values.tolist() == [0, 10, 30, 40]


@pytest.mark.parametrize("symmetry", [1, 3])
def test_slow_turns_are_unwrapped(symmetry):
    turned = np.cumsum(np.full(40, 0.3)) - 2.0
    period = 2 * np.pi / symmetry
    wrapped = (turned + period / 2) % period - period / 2
    kept = np.delete(np.arange(40), [7, 20])
    atoms = xr.Dataset(
        {"angle": ("atom", wrapped[kept])},
        {"frame": ("atom", kept), "track": ("atom", 0 * kept)},
    )
    found = trajectories(atoms, symmetry=symmetry).angle.values[0]
    np.testing.assert_allclose(np.diff(found[kept]), np.diff(turned[kept]))
    assert np.isnan(found[[7, 20]]).all()
    unwrapped = trajectories(atoms, unwrap=False, symmetry=symmetry)
    np.testing.assert_allclose(unwrapped.angle.values[0, kept], wrapped[kept])


def test_windows_on_a_grid():
    z = np.random.default_rng(0).random((4, 2, 3, 1))
    coords = {"y": [1.0, 2.0], "x": [3.0, 4.0, 5.0], "latent": [0]}
    found = trajectories(xr.Dataset({"z": (("frame", "y", "x", "latent"), z)}, coords))
    np.testing.assert_array_equal(found.z, z.reshape(4, 6, 1).swapaxes(0, 1))
    np.testing.assert_array_equal(found.x[:, 0], [3, 4, 5] * 2)


def test_trajectories_go_through_a_file(tmp_path):
    found = trajectories(maps())
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "found.nc", engine="h5netcdf") as loaded:
        xr.testing.assert_identical(found, loaded.load())


# Averages


def test_means_and_errors_by_hand():
    atoms = maps()
    atoms["elbo"][4] = np.nan
    found = ensemble_average(atoms, ["z", "elbo"])
    for frame in found.frame.values:
        there = atoms.isel(atom=atoms.frame.values == frame)
        here = found.sel(frame=frame)
        assert int(here["count"]) == there.sizes["atom"]
        for name in ("z", "elbo"):
            known = there[name].count("atom")
            error = there[name].std("atom", ddof=1) / np.sqrt(known)
            np.testing.assert_allclose(here[name], there[name].mean("atom"), rtol=1e-5)
            np.testing.assert_allclose(here[f"{name}_error"], error, rtol=1e-4)
        vector = np.exp(1j * there.angle.values).mean()
        assert float(here.angle) == pytest.approx(np.angle(vector))
        assert float(here.angle_order) == pytest.approx(abs(vector))
        shares = [(there.class_index.values == index).mean() for index in range(2)]
        np.testing.assert_allclose(here.share, shares)
    assert (found.share_lower < found.share).all()
    assert (found.share < found.share_upper).all()


def test_angles_modulo_their_symmetry():
    angle = 0.2 + np.array([0.0, 2.0, 4.0, 2.0]) * np.pi / 3
    atoms = xr.Dataset(
        {"angle": ("atom", angle), "z": (("atom", "latent"), np.zeros((4, 1)))},
        {"frame": ("atom", np.zeros(4, int))},
    )
    found = ensemble_average(atoms, symmetry=3)
    assert float(found.angle_order[0]) == pytest.approx(1.0)
    assert float(found.angle[0]) == pytest.approx(0.2)
    assert float(ensemble_average(atoms).angle_order[0]) < 0.5


def test_intervals_of_shares_hold_the_truth():
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(400), 36)
    atoms = xr.Dataset(
        {
            "class_index": ("atom", (rng.random(frame.size) < 0.3).astype(int)),
            "z": (("atom", "latent"), np.zeros((frame.size, 1))),
        },
        {"frame": ("atom", frame)},
    )
    found = ensemble_average(atoms)
    inside = (found.share_lower[:, 1] <= 0.3) & (found.share_upper[:, 1] >= 0.3)
    assert 0.91 < float(inside.mean()) < 0.99


def test_a_frame_of_one_atom_has_a_mean_without_error():
    atoms = maps(missing=0).isel(atom=slice(1))
    found = ensemble_average(atoms)
    np.testing.assert_array_equal(found.z[0], atoms.z[0])
    assert np.isnan(found.z_error).all()


@pytest.mark.parametrize("function", [trajectories, ensemble_average])
@pytest.mark.parametrize("symmetry", [0, 1.5])
def test_symmetries_that_are_none(function, symmetry):
    with pytest.raises(DataError, match="symmetry"):
        function(maps(), symmetry=symmetry)


def test_what_cant_be_followed_or_averaged():
    with pytest.raises(DataError, match="link_atoms"):
        trajectories(maps().drop_vars("track"))
    with pytest.raises(DataError, match="expected a Dataset"):
        trajectories(np.zeros(3))
    with pytest.raises(DataError, match=r"no variables \['width'\]"):
        ensemble_average(maps(), ["width"])
    with pytest.raises(DataError, match="frame"):
        ensemble_average(maps().drop_vars("frame"))
    with pytest.raises(DataError, match="credible"):
        ensemble_average(maps(), credible=95)

"""Scan distortion: fields that are known, their uncertainty, corrected positions, errors."""

import numpy as np
import pyro
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import fit_distortion, fit_lattice, synthetic
from pyroshift.atoms.smooth import fit_smooth
from pyroshift.data.atoms import labelled_atoms
from pyroshift.errors import DataError

SIDE = 160


def as_atoms(positions, frame=0, unit="px", pixel=1.0):
    attrs = {"units": unit, "pixel_size": pixel}
    return xr.Dataset(
        coords={
            "frame": ("atom", np.broadcast_to(frame, len(positions)).copy()),
            "y": ("atom", pixel * positions[:, 0], attrs),
            "x": ("atom", pixel * positions[:, 1], attrs),
        }
    )


def crystal(period=10.0):
    return np.indices((SIDE // 10, SIDE // 10)).reshape(2, -1).T * period


def move(positions):
    """A distortion as a function of where things are seen."""
    y, x = positions.T
    return np.stack([1.5 * np.sin(x / 16) + 0.5 * np.cos(y / 30), np.sin(y / 9)], 1)


def seen(noise=0.05, seed=0):
    """Positions as a distorted scan shows them, and where they are."""
    ideal = crystal()
    return distorted(ideal + np.random.default_rng(seed).normal(0, noise, ideal.shape)), ideal


def distorted(ideal):
    """Where a scan shows what is there: p = ideal + move(p)."""
    positions = ideal
    for _ in range(30):
        positions = ideal + move(positions)
    return positions


@pytest.fixture(scope="module")
def displaced():
    return fit_lattice(as_atoms(seen()[0]), 10 * np.eye(2), fixed=True)


@pytest.fixture(scope="module")
def distortion(displaced):
    return fit_distortion(displaced)


# The smooth function


def test_a_smooth_function_and_how_sure_it_is():
    covered, errors = [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        positions, places = rng.uniform(0, 100, (200, 2)), rng.uniform(5, 95, (400, 2))
        waves, phases = rng.normal(0, 1, (5, 2)) / [10, 40], rng.uniform(0, 6, 5)
        truth, values = (np.sin(where @ waves.T + phases).sum(1) for where in (places, positions))
        function = fit_smooth(positions, values + rng.normal(0, 0.1, 200))
        mean, std = function.at(places)
        covered.append((np.abs(mean - truth) < 1.96 * std).mean())
        errors.append((mean - truth).std())
        assert function.noise == pytest.approx(0.1, rel=0.25)
        assert function.length_scale[0, 0] < function.length_scale[0, 1]
    assert 0.85 < np.mean(covered) < 1.0
    assert np.mean(errors) < 0.07


def test_far_away_nothing_is_known():
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 100, (200, 2))
    function = fit_smooth(positions, 3 + np.sin(positions[:, 0] / 10) + rng.normal(0, 0.1, 200))
    mean, std = function.at(np.array([[50.0, 50.0], [1e6, 50.0]]))
    assert std[0] < 0.1
    assert std[1] == pytest.approx(np.hypot(*function.amplitude), rel=0.01)
    assert mean[1] == pytest.approx(3, abs=0.3)


def test_what_is_quicker_than_the_points_allow_is_noise_and_does_not_overshoot():
    """Jumps from line to line, each the same for the atoms of that line."""
    rng = np.random.default_rng(0)
    positions = np.stack([rng.integers(0, 400, 600), rng.uniform(0, 400, 600)], 1)
    values = rng.normal(0, 1, 400)[positions[:, 0].astype(int)]
    function = fit_smooth(positions, values)
    y = np.linspace(0, 400, 801)
    assert np.abs(function.on_grid(y, np.array([100.0, 300.0]))[0]).max() < np.abs(values).max()
    assert function.length_scale.min() > 7
    assert len(function.process.Xu) <= 600


def test_a_grid_is_interpolated_without_a_trace():
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 100, (200, 2))
    function = fit_smooth(positions, np.sin(positions[:, 0] / 10) + rng.normal(0, 0.05, 200))
    y, x = np.linspace(0, 100, 301), np.linspace(100, 0, 150)
    mean, std = function.on_grid(y, x)
    places = np.stack(np.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)
    exact_mean, exact_std = (part.reshape(301, 150) for part in function.at(places))
    np.testing.assert_allclose(mean, exact_mean, atol=0.002)
    np.testing.assert_allclose(std, exact_std, atol=0.003)


def test_the_users_state_is_left_alone(displaced, untouched):
    pyro.param("kernel.lengthscale", torch.tensor(7.0))
    with untouched():
        fit_distortion(displaced).correct(displaced)
    assert pyro.param("kernel.lengthscale") == 7


# Fields


def test_the_field_is_found(distortion):
    grid = np.arange(5.0, SIDE - 15)
    field = distortion.field(grid, grid)
    assert field.distortion.dims == ("axis", "y", "x")
    places = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    off = field.distortion.values.reshape(2, -1) - move(places).T
    off -= off.mean(1, keepdims=True)  # where the lattice is can't be known
    assert np.sqrt((off**2).mean()) < 0.04
    covered = (np.abs(off) < 1.96 * field.distortion_std.values.reshape(2, -1)).mean()
    assert covered > 0.8
    np.testing.assert_allclose(distortion.parameters.noise, 0.05, rtol=0.2)


def test_positions_are_corrected(distortion, displaced):
    positions, ideal = seen()
    corrected = distortion.correct(displaced)
    new = np.stack([corrected.y, corrected.x], 1)
    before, after = (each - ideal - (each - ideal).mean(0) for each in (positions, new))
    assert after.std() < before.std() / 10
    np.testing.assert_array_equal(corrected.y_observed, displaced.y)
    np.testing.assert_array_equal(corrected.x_observed, displaced.x)
    assert corrected.y.attrs == displaced.y.attrs
    xr.testing.assert_identical(
        corrected.displacement.drop_vars([*corrected.displacement.coords]),
        displaced.displacement.drop_vars([*displaced.displacement.coords]),
    )


def test_any_atoms_of_the_scan_can_be_corrected(distortion):
    """Impurities between the sites, of which the lattice knew nothing."""
    ideal = crystal()[:-20] + np.array([5.0, 4.0])
    ideal = ideal[(ideal < SIDE - 20).all(1)]
    corrected = distortion.correct(as_atoms(distorted(ideal)))
    off = np.stack([corrected.y, corrected.x], 1) - ideal
    assert (off - off.mean(0)).std() < 0.06


def test_synthetic_lattice_images_have_the_field_as_truth():
    truth = synthetic.lattice_image((160, 160), period=10, distortion=2, seed=1)
    rng = np.random.default_rng(0)
    positions = truth.atoms.values + rng.normal(0, 0.1, truth.atoms.shape)
    found = fit_distortion(fit_lattice(as_atoms(positions), truth.lattice_vectors, fixed=True))
    field = found.on(truth["image"]).transpose("y", "x", "axis", ...)
    move = truth.displacement.transpose("y", "x", "axis").values
    rows, columns = np.indices((160, 160))
    at = xr.DataArray(np.stack([rows, columns], -1) + move, dims=("row", "column", "axis"))
    inside = ((at > 0) & (at < 159)).all("axis").values
    seen_there = field.distortion.interp(y=at[..., 0], x=at[..., 1])
    off = (seen_there.transpose("row", "column", "axis").values - move)[inside]
    assert np.sqrt(((off - off.mean(0)) ** 2).mean()) < 0.1


def test_the_affine_part_is_the_distortions_only_where_vectors_are_fixed():
    ideal = crystal()
    rng = np.random.default_rng(0)
    atoms = as_atoms(1.02 * ideal + rng.normal(0, 0.02, ideal.shape))
    fields = [
        fit_distortion(fit_lattice(atoms, 10 * np.eye(2), fixed=fixed)).field(ideal[::16, 0], [70])
        for fixed in (True, False)
    ]
    along = [field.distortion.sel(axis="y").values[:, 0] for field in fields]
    slopes = [np.polyfit(fields[0].y, values, 1)[0] for values in along]
    # 2% of the ideal position, as a share of the observed.
    assert slopes[0] == pytest.approx(0.02 / 1.02, abs=0.001)
    assert slopes[1] == pytest.approx(0, abs=0.0005)


@settings(max_examples=2, deadline=None)
@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 50))
def test_the_unit_does_not_matter(factor, seed):
    positions = seen(seed=seed)[0][:144]
    atoms = [as_atoms(positions), as_atoms(positions, unit="nm", pixel=factor)]
    first, second = (fit_distortion(fit_lattice(each, 10 * np.eye(2))) for each in atoms)
    grid = np.linspace(10, 100, 7)
    fields = first.field(grid, grid), second.field(factor * grid, factor * grid)
    np.testing.assert_allclose(fields[1].distortion / factor, fields[0].distortion, atol=0.01)
    assert fields[1].distortion.units == "nm"


# Stacks


def test_each_frame_has_its_field_or_all_have_one():
    ideal = crystal()[:128]
    positions, other = distorted(ideal), ideal + 0.5 * move(ideal)[:, ::-1]
    atoms = as_atoms(np.concatenate([positions, other]), np.repeat([0, 3], len(ideal)))
    displaced = fit_lattice(atoms, 10 * np.eye(2))
    each = fit_distortion(displaced)
    assert each.parameters.field_frame.values.tolist() == [0, 3]
    image = np.zeros((75, 150))
    apart = [each.on(image, frame).distortion for frame in (0, 3)]
    assert abs(apart[0] - apart[1]).max() > 1
    corrected = each.correct(displaced)
    assert fit_lattice(corrected).displacement.std() < 0.1
    together = fit_distortion(displaced, common=True)
    xr.testing.assert_identical(
        together.on(image, 0).distortion, together.on(np.stack([image] * 4), 3).distortion
    )
    with pytest.raises(DataError, match=r"frame 1 has no field: there are \[0, 3\]"):
        each.on(image, 1)
    with pytest.raises(DataError, match="frame 1 has no field"):
        each.correct(as_atoms(positions, 1))


# Labels, units and errors


def test_labels_and_files(distortion, tmp_path):
    assert "one field" in repr(distortion)
    assert "px along y" in repr(distortion)
    for each in (distortion.parameters, distortion.on(np.zeros((20, 30)))):
        each.to_netcdf(tmp_path / "field.nc", engine="h5netcdf")
        xr.testing.assert_identical(xr.load_dataset(tmp_path / "field.nc", engine="h5netcdf"), each)


def test_a_perfect_lattice_has_no_distortion():
    field = fit_distortion(fit_lattice(as_atoms(crystal()))).on(np.zeros((100, 100)))
    np.testing.assert_allclose(field.distortion, 0, atol=1e-6)


def test_one_row_of_pixels(distortion):
    assert distortion.field([5.0], [7.0]).distortion.shape == (2, 1, 1)
    assert distortion.on(np.zeros((1, 40))).distortion.shape == (2, 1, 40)


def test_errors(distortion, displaced):
    positions, _ = seen()
    with pytest.raises(DataError, match="pass what fit_lattice returns"):
        fit_distortion(as_atoms(positions))
    with pytest.raises(DataError, match="must be a Dataset"):
        fit_distortion(positions)
    with pytest.raises(DataError, match="frame 0 has 11 atoms"):
        fit_distortion(displaced.isel(atom=slice(11)))
    with pytest.raises(DataError, match="no atom has a displacement"):
        fit_distortion(displaced.assign(displacement=displaced.displacement * np.nan))
    with pytest.raises(DataError, match="corrected before"):
        distortion.correct(distortion.correct(displaced))
    with pytest.raises(DataError, match="in nm, but the displacements in px"):
        distortion.correct(as_atoms(positions, unit="nm"))
    with pytest.raises(DataError, match="must be finite"):
        distortion.correct(as_atoms(np.where(positions > 100, np.nan, positions)))
    image = xr.DataArray(np.zeros((9, 9)), {"y": ("y", np.arange(9), {"units": "nm"})}, ("y", "x"))
    with pytest.raises(DataError, match="image's y is in nm"):
        distortion.on(image)
    with pytest.raises(DataError, match="shape"):
        distortion.on(np.zeros(9))
    with pytest.raises(DataError, match="two dimensions"):
        distortion.on(xr.DataArray(np.zeros((2, 3, 4, 5))))
    with pytest.raises(DataError, match="rows and columns"):
        distortion.field(np.zeros((2, 2)), [1.0])
    with pytest.raises(DataError, match="rows and columns"):
        distortion.field([], [1.0])


def test_atoms_whose_positions_are_unsure_do_not_count():
    truth = synthetic.lattice_image((120, 120), distortion=1.0, seed=3)
    found = np.insert(truth.atoms.values, 0, 0, axis=1)
    cut = np.arange(len(found)) % 20 == 0
    atoms = labelled_atoms(truth["image"], found + [[0, 3.0, 0]] * cut[:, None], {})
    atoms = atoms.assign({name: ("atom", np.where(cut, 1.0, 0.1)) for name in ("y_std", "x_std")})
    displaced = fit_lattice(atoms)
    clean = fit_distortion(displaced.isel(atom=~cut)).on(truth["image"])
    xr.testing.assert_allclose(fit_distortion(displaced).on(truth["image"]), clean)
    misled = fit_distortion(displaced.drop_vars(["y_std", "x_std"])).on(truth["image"])
    assert not np.allclose(misled.distortion, clean.distortion, atol=0.1)

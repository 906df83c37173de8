"""Lattices fitted to atoms whose cells, sites and displacements are known."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import fit_lattice, suggest_window, synthetic
from pyroshift.data.atoms import labelled_atoms
from pyroshift.errors import DataError

SQUARE = np.array([[12.0, 0.0], [0.0, 12.0]])
OBLIQUE = np.array([[11.0, 2.0], [-1.0, 8.0]])
HEXAGONAL = 12 * np.array([[np.sqrt(3) / 2, 0.5], [0.0, 1.0]])
CELLS = {
    "square": (SQUARE, [[0, 0]]),
    "oblique": (OBLIQUE, [[0, 0]]),
    "honeycomb": (HEXAGONAL, [[0, 0], [1 / 3, 1 / 3]]),
    "four atoms": (2 * SQUARE, [[0, 0], [0.5, 0.42], [0.4, 0.1], [0.2, 0.7]]),
}


def crystal(vectors, basis=((0, 0),), count=16):
    """Positions (atom x axis), cells and sites."""
    cells = np.indices((count, count)).reshape(2, -1).T
    index = np.concatenate([cells] * len(basis))
    site = np.repeat(np.arange(len(basis)), len(cells))
    return (index + np.asarray(basis)[site]) @ vectors, index, site


def as_atoms(positions, **coords):
    attrs = {"units": "px", "pixel_size": 1.0}
    return xr.Dataset(
        coords={
            "y": ("atom", positions[:, 0], attrs),
            "x": ("atom", positions[:, 1], attrs),
            **{name: ("atom", values) for name, values in coords.items()},
        }
    )


def same_partition(first, second):
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


def off_affine(values, positions):
    """What of some values isn't an affine function of the position."""
    design = np.column_stack([np.ones(len(positions)), positions])
    return values - design @ np.linalg.lstsq(design, values)[0]


# Indices and sites


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("told", [False, True])
def test_a_perfect_crystal_has_no_displacements(name, told):
    positions, index, site = crystal(*CELLS[name])
    found = fit_lattice(as_atoms(positions), CELLS[name][0] * 1.02 if told else None)
    np.testing.assert_allclose(found.displacement, 0, atol=1e-8)
    np.testing.assert_allclose(found.ideal, positions, atol=1e-8)
    assert same_partition(site, found.site.values)
    # The cells found differ from the true ones by another choice of vectors and origin.
    for each in np.unique(site):
        cells, truth = found.lattice_index.values[site == each], index[site == each]
        change = np.linalg.lstsq(truth - truth[0], cells - cells[0])[0]
        np.testing.assert_allclose(change, np.round(change), atol=1e-9)
        assert abs(np.linalg.det(change)) == pytest.approx(1)


@pytest.mark.parametrize("name", CELLS)
def test_distortions_longer_than_a_period_do_not_slip(name):
    vectors, basis = CELLS[name]
    positions, _, _ = crystal(vectors, basis, count=30)
    size = np.ptp(positions)
    move = 0.045 * size * np.sin(2 * positions[:, ::-1] / size + 1)
    # Far more than what rounding to the lattice could take.
    assert np.abs(off_affine(move, positions)).max() > 1.0
    rng = np.random.default_rng(0)
    seen = positions + move + rng.normal(0, 0.1, positions.shape)
    found = fit_lattice(as_atoms(seen))
    assert (found.site >= 0).all()
    np.testing.assert_allclose(
        off_affine(found.displacement.values - move, positions).std(), 0.1, atol=0.02
    )


def test_a_distortion_of_three_periods():
    positions, _, _ = crystal(SQUARE, count=70)
    move = 36 * np.sin(positions[:, ::-1] / 250)
    found = fit_lattice(as_atoms(positions + move))
    np.testing.assert_allclose(
        off_affine(found.displacement.values - move, positions), 0, atol=1e-6
    )
    # By rounding the positions to the best lattice, many atoms have another cell.
    fractional = (positions + move - found.origin.values[0]) @ np.linalg.inv(
        found.lattice_vectors.values[0]
    )
    assert (np.round(fractional) != found.lattice_index.values).any(1).mean() > 0.2


def test_missing_and_spurious_atoms():
    positions, index, _ = crystal(SQUARE, count=24)
    rng = np.random.default_rng(1)
    kept = rng.random(len(positions)) > 0.25
    # In the middle between atoms, where no site is.
    spurious = positions[rng.permutation(len(positions))[:40]] + [6.0, 5.0]
    seen = np.concatenate([positions[kept] + rng.normal(0, 0.1, (kept.sum(), 2)), spurious])
    with pytest.warns(UserWarning, match=r"of \d+ atoms are not on the lattice") as caught:
        found = fit_lattice(as_atoms(seen))
    known = found.site.values >= 0
    assert str(np.count_nonzero(~known)) in str(caught[0].message)
    assert not known[kept.sum() :].any()
    assert known[: kept.sum()].mean() > 0.97
    np.testing.assert_array_equal(np.isfinite(found.ideal).all("axis"), known)
    np.testing.assert_array_equal(np.isfinite(found.displacement).all("axis"), known)
    here = known[: kept.sum()]
    assert np.abs(found.displacement.values[: kept.sum()][here]).max() < 0.6
    shift = found.lattice_index.values[: kept.sum()][here] - index[kept][here]
    assert (shift == shift[0]).all()


def test_of_two_atoms_on_a_site_the_better_one_stays():
    positions, _, _ = crystal(SQUARE)
    seen = np.concatenate([positions, positions[[100]] + np.array([1.5, 0])])
    with pytest.warns(UserWarning, match="1 of 257"):
        found = fit_lattice(as_atoms(seen))
    assert found.site[-1] == -1
    assert found.site[100] == 0


def test_other_grains_are_left_out():
    positions, _, _ = crystal(HEXAGONAL, CELLS["honeycomb"][1], count=30)
    angle = np.radians(25)
    turned = positions @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    turned = turned - turned.mean(0) + positions.mean(0)
    middle = positions.mean(0)[1]
    inside = positions[:, 1] < middle + 30
    outside = turned[:, 1] > middle + 36
    with pytest.warns(UserWarning, match="not on the lattice"):
        found = fit_lattice(as_atoms(np.concatenate([positions[inside], turned[outside]])))
    known = found.site.values >= 0
    assert known[: inside.sum()].mean() > 0.97
    assert known[inside.sum() :].mean() < 0.03
    np.testing.assert_allclose(found.displacement.values[known], 0, atol=0.2)


def test_sublattices_tell_the_sites_apart():
    positions, _, site = crystal(SQUARE, [[0, 0], [0.5, 0.5]])
    alike = fit_lattice(as_atoms(positions))
    assert alike.site.max() == 0
    area = abs(np.linalg.det(alike.lattice_vectors.values[0]))
    assert area == pytest.approx(72)
    apart = fit_lattice(as_atoms(positions, sublattice=site))
    assert apart.site.values.tolist() == site.tolist()
    np.testing.assert_allclose(np.abs(apart.lattice_vectors[0]), SQUARE, atol=1e-9)


def test_only_a_given_basis_shows_what_all_sites_do():
    rng = np.random.default_rng(0)
    positions, _, site = crystal(SQUARE, [[0, 0], [0.5, 0.5]])
    polar = positions + np.where(site[:, None] == 1, [0.8, 0.0], 0.0)
    polar += rng.normal(0, 0.01, polar.shape)
    atoms = as_atoms(polar, sublattice=site)
    centred = fit_lattice(atoms, SQUARE, basis=[[0, 0], [0.5, 0.5]])
    mean = [centred.displacement.values[site == each].mean(0) for each in (0, 1)]
    np.testing.assert_allclose(mean[1] - mean[0], [0.8, 0.0], atol=0.01)
    np.testing.assert_allclose(fit_lattice(atoms, SQUARE).displacement, 0, atol=0.06)


def test_a_given_basis_is_found_whichever_site_comes_first():
    positions, _, site = crystal(HEXAGONAL, CELLS["honeycomb"][1])
    kept = np.arange(len(positions)) != 3  # so that the second site has more atoms
    atoms = as_atoms(positions[kept])
    found = fit_lattice(atoms, HEXAGONAL, basis=CELLS["honeycomb"][1])
    assert found.site.values.tolist() == site[kept].tolist()
    np.testing.assert_allclose(found.displacement, 0, atol=1e-8)


# What is free and what is fixed


def test_the_affine_part_goes_to_free_vectors_and_stays_with_fixed_ones():
    positions, _, _ = crystal(SQUARE)
    change = np.array([[1.02, 0.01], [-0.015, 0.99]])
    atoms = as_atoms(positions @ change)
    free = fit_lattice(atoms, SQUARE)
    np.testing.assert_allclose(free.displacement, 0, atol=1e-8)
    np.testing.assert_allclose(free.lattice_vectors[0], SQUARE @ change)
    fixed = fit_lattice(atoms, SQUARE, fixed=True)
    np.testing.assert_allclose(fixed.lattice_vectors[0], SQUARE)
    move = fixed.displacement.values - positions @ (change - np.eye(2))
    np.testing.assert_allclose(move - move[0], 0, atol=1e-8)


def test_a_few_atoms_far_off_do_not_bend_the_lattice():
    positions, _, _ = crystal(SQUARE)
    rng = np.random.default_rng(0)
    seen = positions + rng.normal(0, 0.02, positions.shape)
    seen[:12] += [2.5, 0.0]
    found = fit_lattice(as_atoms(seen))
    np.testing.assert_allclose(np.abs(found.lattice_vectors[0]), SQUARE, atol=0.003)
    np.testing.assert_allclose(found.displacement[:12].mean("atom"), [2.5, 0], atol=0.05)


@settings(max_examples=25, deadline=None)
@given(
    turn=st.floats(-np.pi, np.pi),
    factor=st.floats(1e-3, 1e3),
    shift=st.tuples(st.floats(-10, 10), st.floats(-10, 10)),
    seed=st.integers(0, 100),
)
def test_displacements_turn_scale_and_shift_with_the_atoms(turn, factor, shift, seed):
    positions, _, _ = crystal(HEXAGONAL, CELLS["honeycomb"][1], count=9)
    seen = positions + np.random.default_rng(seed).normal(0, 0.2, positions.shape)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    before = fit_lattice(as_atoms(seen))
    after = fit_lattice(as_atoms(factor * (seen @ rotation + shift)))
    expected = factor * before.displacement.values @ rotation
    np.testing.assert_allclose(after.displacement, expected, atol=1e-6 * factor)


# Stacks


def stack(drift, tracks=False):
    """Frames of a crystal that drifts, with atoms missing; the true atom of each one found."""
    positions, _, _ = crystal(HEXAGONAL, CELLS["honeycomb"][1], count=12)
    rng = np.random.default_rng(0)
    parts, number, frame = [], [], []
    for which, move in enumerate(drift):
        kept = np.flatnonzero(rng.random(len(positions)) > 0.1)
        parts.append(positions[kept] + move + rng.normal(0, 0.1, (len(kept), 2)))
        number += kept.tolist()
        frame += [which] * len(kept)
    coords = {"frame": frame} | ({"track": number} if tracks else {})
    return as_atoms(np.concatenate(parts), **coords), np.array(number)


@pytest.mark.parametrize(
    ("drift", "tracks"),
    [([[0, 0], [2, 1], [4, 2.5]], False), ([[0, 0], [9, 5], [-14, 30]], True)],
)
def test_cells_are_counted_alike_in_all_frames(drift, tracks):
    atoms, number = stack(np.array(drift, float), tracks)
    found = fit_lattice(atoms)
    assert (found.site >= 0).mean() > 0.99
    known = found.site.values >= 0
    key = [tuple(row) for row in np.column_stack([found.site, found.lattice_index])[known]]
    assert same_partition(number[known], key)
    assert found.lattice_frame.values.tolist() == [0, 1, 2]
    moved = found.origin.values - found.origin.values[0]
    np.testing.assert_allclose(moved, drift, atol=0.15)
    assert np.nanstd(found.displacement) == pytest.approx(0.1, abs=0.01)


def test_each_frame_has_its_own_lattice():
    positions, _, _ = crystal(SQUARE)
    atoms = as_atoms(np.concatenate([positions, 1.03 * positions]), frame=np.repeat([2, 5], 256))
    found = fit_lattice(atoms)
    assert found.lattice_frame.values.tolist() == [2, 5]
    lengths = np.linalg.norm(found.lattice_vectors, axis=2)
    np.testing.assert_allclose(lengths, [[12, 12], [12.36, 12.36]])
    np.testing.assert_allclose(found.displacement, 0, atol=1e-8)


# Units, labels and files


def test_vectors_of_suggest_window_are_in_pixels():
    truth = synthetic.lattice_image((160, 160), period=16)
    vectors = suggest_window(truth["image"]).vectors
    positions = 0.05 * truth.atoms.values
    attrs = {"units": "nm", "pixel_size": 0.05}
    atoms = xr.Dataset(
        coords={name: ("atom", positions[:, axis], attrs) for axis, name in enumerate("yx")}
    )
    found = fit_lattice(atoms, vectors)
    lengths = np.linalg.norm(found.lattice_vectors, axis=2)
    np.testing.assert_allclose(lengths, 0.8, rtol=1e-3)
    assert found.displacement.units == found.ideal.units == found.lattice_vectors.units == "nm"
    again = fit_lattice(atoms, found.lattice_vectors[0], fixed=True)
    np.testing.assert_allclose(again.displacement, found.displacement, atol=1e-6)


def test_what_the_atoms_had_stays_and_files_keep_all(tmp_path):
    positions, _, _ = crystal(SQUARE)
    atoms = as_atoms(positions, frame=np.zeros(256, int)).assign(amplitude=("atom", np.ones(256)))
    found = fit_lattice(atoms)
    xr.testing.assert_identical(found[list(atoms.data_vars)].drop_vars(["site"]), atoms)
    for variable in found.data_vars.values():
        assert variable.dtype.kind in "if"
    found.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    back = xr.load_dataset(tmp_path / "found.nc", engine="h5netcdf")
    xr.testing.assert_identical(back, found)
    found.to_zarr(tmp_path / "found.zarr", consolidated=False)
    back = xr.open_zarr(tmp_path / "found.zarr", consolidated=False).load()
    xr.testing.assert_identical(back, found)


# Errors

PERFECT = crystal(SQUARE)[0]


@pytest.mark.parametrize(
    ("positions", "options", "message"),
    [
        (PERFECT[:8], {}, "at least 9 atoms, got 8"),
        (PERFECT[:0], {}, "no atoms"),
        (np.where(np.arange(512).reshape(-1, 2) == 3, np.nan, PERFECT), {}, "must be finite"),
        (np.random.default_rng(0).uniform(0, 100, (300, 2)), {}, "no lattice"),
        (PERFECT[:16], {}, "no lattice"),
        (PERFECT, {"fixed": True}, "needs the lattice's vectors"),
        (PERFECT, {"vectors": [[12, 0]]}, "two vectors"),
        (PERFECT, {"vectors": [[12, 0], [24, 0.1]]}, "on one line"),
        (PERFECT, {"vectors": "square"}, "no numbers"),
        (PERFECT, {"vectors": [[np.nan, 0], [0, 12]]}, "finite"),
        (PERFECT, {"basis": [0, 0]}, "list of sites"),
        (PERFECT, {"basis": [[0, 0, 0]]}, "list of sites"),
    ],
)
def test_errors(positions, options, message):
    with pytest.raises(DataError, match=message):
        fit_lattice(as_atoms(positions), **options)


def test_errors_of_units():
    atoms = as_atoms(PERFECT)
    atoms.x.attrs["units"] = "nm"
    with pytest.raises(DataError, match=r"y is in px and x in nm"):
        fit_lattice(atoms)
    atoms.y.attrs["units"] = "nm"
    with pytest.raises(DataError, match=r"vectors are in px, the atoms in nm"):
        fit_lattice(atoms, xr.DataArray(SQUARE, attrs={"units": "px"}))
    for name in "yx":
        del atoms[name].attrs["pixel_size"]
    with pytest.raises(DataError, match="need the pixel size"):
        fit_lattice(atoms, SQUARE)
    with pytest.raises(DataError, match="must be a Dataset"):
        fit_lattice(PERFECT)


def test_wrong_vectors():
    with pytest.raises(DataError, match=r"\[4.3, 17.1\] leads from hardly any atom"):
        fit_lattice(as_atoms(PERFECT), [[12.0, 0.0], [4.3, 17.1]])


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1)])
def test_vectors_in_pixels_go_with_the_pixels_along_axes_that_descend(signs):
    turn = np.deg2rad(2)
    vectors = 12 * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    places = np.indices((12, 12)).reshape(2, -1).T @ vectors + [30, 5]
    axes = {
        name: (name, sign * 0.1 * np.arange(180), {"units": "nm"})
        for name, sign in zip("yx", signs, strict=True)
    }
    image = xr.DataArray(np.zeros((180, 180)), coords=axes, dims=("y", "x"))
    atoms = labelled_atoms(image, np.pad(places, ((0, 0), (1, 0))), {})
    found = fit_lattice(atoms, vectors, fixed=True)
    np.testing.assert_allclose(found.displacement, 0, atol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 1e-12])
def test_atoms_in_the_wrong_place_do_not_pull_the_lattice_in_any_unit(scale):
    places = np.indices((9, 9)).reshape(2, -1).T * 12.0 + 10
    moved = places + 0.02 * np.random.default_rng(0).normal(size=places.shape)
    moved[::7] += [1.5, 0.8]
    coords = {
        name: ("atom", scale * values, {"units": "m"})
        for name, values in zip("yx", moved.T, strict=True)
    }
    off = fit_lattice(xr.Dataset(coords=coords)).displacement.values / scale
    assert np.hypot(*np.delete(off, np.s_[::7], 0).T).mean() < 0.03

"""Displacements from offsets: whatever the cell, exact where known, dislocations, bad input."""

import numpy as np
import pytest
import xarray as xr
from displaced_maps import HEXAGONAL, SQUARE, affine, dislocation_pair, maps_of, places
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import dislocations, displacement, suggest_window, synthetic
from pyroshift.errors import DataError

SHAPE = (24, 30)
GRADIENT = np.array([[0.01, -0.02], [0.03, 0.02]])


def up_to_a_constant(found, field):
    return np.nanmax(np.abs(np.ptp(found.displacement.values - field, axis=(0, 1))))


def waves(centres, height=4.0):
    """Further than a cell, but never fast."""
    y, x = np.moveaxis(centres, -1, 0)
    return height * np.stack([2 * np.sin(x / 40), np.cos(y / 30) + np.sin((x + y) / 60)], -1)


@pytest.mark.parametrize("vectors", [SQUARE, HEXAGONAL, SQUARE @ [[0.9, 0.1], [-0.1, 0.9]]])
def test_fields_of_more_than_a_cell_are_unwrapped(vectors):
    field = waves(places(SHAPE))
    assert np.ptp(field) > 12
    found = displacement(maps_of(field, vectors), vectors, fixed=True)
    assert up_to_a_constant(found, field) < 1e-9
    assert np.allclose(found.displacement.mean(("y", "x")), 0)
    assert not found.residue.any()
    assert np.allclose(found.lattice_vectors, vectors)


@pytest.mark.parametrize("pixel", [(0.2, 0.2), (-0.2, 0.2), (0.2, -0.3)])
def test_units_and_axes_that_run_backwards(pixel):
    field = waves(places(SHAPE, pixel=pixel), 0.5)
    maps = maps_of(field, pixel=pixel, units="nm")
    found = displacement(maps, SQUARE, fixed=True)
    assert up_to_a_constant(found, field) < 1e-9
    assert found.displacement.attrs["units"] == found.lattice_vectors.attrs["units"] == "nm"
    labelled = xr.DataArray(SQUARE * pixel, dims=("vector", "axis"), attrs={"units": "nm"})
    assert found.identical(displacement(maps, labelled, fixed=True))


@settings(max_examples=40, deadline=None)
@given(
    gradient=st.lists(st.floats(-0.05, 0.05), min_size=4, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    hexagonal=st.booleans(),
    up=st.booleans(),
)
def test_it_does_not_matter_in_which_cell_motifs_are_found(gradient, seed, hexagonal, up):
    vectors = HEXAGONAL if hexagonal else SQUARE
    pixel = (-1.0, 1.0) if up else (1.0, 1.0)
    field = affine(np.reshape(gradient, (2, 2)), places((12, 14), pixel=pixel))
    maps = maps_of(field, vectors, pixel=pixel)
    cells = np.random.default_rng(seed).integers(-3, 4, maps.offset.shape)
    found = displacement(maps, vectors, fixed=True)
    moved = maps.assign(offset=maps.offset + cells @ (vectors * pixel))
    moved.offset.attrs = maps.offset.attrs
    again = displacement(moved, vectors, fixed=True)
    assert up_to_a_constant(found, field) < 1e-8
    xr.testing.assert_allclose(again, found)


def test_the_mean_lattice_is_the_reference_unless_the_vectors_are_known():
    field = affine(GRADIENT, places(SHAPE))
    found = displacement(maps_of(field), SQUARE)
    assert float(abs(found.displacement).max()) < 1e-9
    # What is a vector of the reference apart is seen so much further apart.
    seen = SQUARE @ np.linalg.inv(np.eye(2) - GRADIENT).T
    assert np.allclose(found.lattice_vectors, seen)
    first = displacement(maps_of(field), SQUARE, fixed=True)
    assert np.allclose(first.displacement, field - field.mean((0, 1)))


def test_a_region_may_be_the_reference():
    """A film that is longer than its substrate by three per cent, along x and from x = 60 on."""
    centres = places(SHAPE)
    beyond = np.maximum(centres[..., 1] - 60, 0)
    field = affine(GRADIENT, centres)
    field[..., 1] += 0.03 * beyond
    found = displacement(maps_of(field), SQUARE, region={"x": (0, 56)})
    inside = found.displacement.sel(x=slice(0, 56))
    assert float(abs(inside).max()) < 1e-9
    grown = found.displacement.sel(axis="x").diff("x").sel(x=slice(65, None)) / 4
    # Of what is there already, 1 - 0.02, another 0.03.
    assert np.allclose(grown, 0.03 / 0.98, atol=1e-3)


def test_intervals_are_those_of_the_offsets():
    maps = maps_of(np.zeros((*SHAPE, 2)), std=0.2)
    found = displacement(maps, SQUARE, credible=0.95)
    assert np.allclose(found.displacement_std, 0.2)
    assert np.allclose(found.displacement_upper - found.displacement, 1.96 * 0.2, rtol=1e-3)
    assert np.allclose(found.displacement - found.displacement_lower, 1.96 * 0.2, rtol=1e-3)
    once = displacement(maps.assign_attrs(power=0.25), SQUARE)
    assert np.allclose(once.displacement_std, 0.1)


def test_missing_windows_stay_missing_and_do_no_harm():
    field = waves(places(SHAPE))
    maps = maps_of(field)
    gone = np.random.default_rng(0).random(SHAPE) < 0.15
    gone[:, 12] = True  # the map falls into two parts
    maps["offset"] = maps.offset.where(~gone[..., None])
    found = displacement(maps, SQUARE, fixed=True)
    assert (found.displacement.isnull().all("axis") == gone).all()
    apart = found.displacement.values - field
    assert np.nanmax(apart, (0, 1)) - np.nanmin(apart, (0, 1)) == pytest.approx(0, abs=1e-9)
    assert not found.residue.fillna(0).any()


@pytest.mark.parametrize("up", [False, True])
def test_a_dislocation_pair_has_opposite_residues_where_it_is(up):
    pixel = (-1.0, 1.0) if up else (1.0, 1.0)
    centres = places((30, 30), pixel=pixel)
    cores = np.array([[38.0, 58.0], [82.0, 58.0]]) * pixel
    field = dislocation_pair(centres, cores, 10.0)
    found = displacement(maps_of(field, pixel=pixel), SQUARE, fixed=True)
    assert np.count_nonzero(found.residue) == 2
    listed = dislocations(found).sortby("y", ascending=not up)
    assert np.allclose(np.column_stack([listed.y, listed.x]), cores)
    assert np.allclose(listed.burgers, [[0, 10], [0, -10]])
    # Without the cut, whose place means nothing, the field is that which was put in.
    off = (found.displacement.values - field) / 10
    off = off - off[0, 0]
    assert np.abs(off - np.round(off)).max() < 1e-9


def test_residues_near_each_other_are_one_dislocation():
    centres = places((30, 30))
    near = dislocation_pair(centres, np.array([[38.0, 58.0], [46.0, 58.0]]), 10.0)
    found = displacement(maps_of(near), SQUARE, fixed=True)
    assert np.count_nonzero(found.residue) == 2
    assert dislocations(found).sizes["dislocation"] == 0
    assert dislocations(found, separation=5).sizes["dislocation"] == 2
    with pytest.raises(DataError, match="separation"):
        dislocations(found, separation=-1)
    with pytest.raises(DataError, match="displacement"):
        dislocations(found.drop_vars("residue"))


def test_noise_has_no_dislocations():
    rng = np.random.default_rng(0)
    field = rng.normal(0, 1.0, (40, 40, 2))  # a tenth of a cell
    found = displacement(maps_of(field), SQUARE)
    assert dislocations(found).sizes["dislocation"] == 0


def test_files_hold_all_of_it(tmp_path):
    centres = places((30, 30))
    field = dislocation_pair(centres, np.array([[38.0, 58.0], [82.0, 58.0]]), 10.0)
    found = displacement(maps_of(field), SQUARE)
    for name, each in {"field": found, "cores": dislocations(found)}.items():
        each.to_netcdf(tmp_path / f"{name}.nc")
        read = xr.load_dataset(tmp_path / f"{name}.nc")
        xr.testing.assert_allclose(read, each)
        for variable in each.variables:
            assert read[variable].attrs == each[variable].attrs
    assert all({"units", "long_name"} <= set(each.attrs) for each in found.data_vars.values())
    read = xr.load_dataset(tmp_path / "field.nc")
    assert dislocations(read).sizes["dislocation"] == 2


def test_a_suggestion_will_do_for_vectors():
    image = synthetic.lattice_image((128, 128), period=10)["image"]
    suggestion = suggest_window(image)
    maps = maps_of(np.zeros((*SHAPE, 2)), suggestion.vectors)
    found = displacement(maps, suggestion, fixed=True)
    assert np.allclose(found.lattice_vectors, suggestion.vectors)


MAPS = maps_of(np.zeros((12, 14, 2)))


def in_units(**units):
    maps = MAPS.copy(deep=True)
    for name, unit in units.items():
        maps[name].attrs["units"] = unit
    return maps


def without_pixel_size():
    maps = in_units(offset="nm", y="nm", x="nm")
    del maps.offset.attrs["pixel_size"]
    return maps


@pytest.mark.parametrize(
    ("maps", "vectors", "options", "told"),
    [
        (MAPS.offset, SQUARE, {}, "a Dataset; got DataArray"),
        (MAPS.drop_vars("offset"), SQUARE, {}, "no offset"),
        (MAPS.drop_vars("offset_std"), SQUARE, {}, "no offset"),
        (MAPS.isel(y=0), SQUARE, {}, "over y, x and axis"),
        (MAPS.isel(y=[0]), SQUARE, {}, "1 x 14 windows"),
        (MAPS.isel(y=[]), SQUARE, {}, "0 x 14 windows"),
        (MAPS.expand_dims("frame"), SQUARE, {}, r"maps.isel\(frame=0\)"),
        (MAPS.stack(atom=("y", "x")), SQUARE, {}, "fit_lattice"),
        (MAPS.drop_vars("x"), SQUARE, {}, "no coordinate x"),
        (MAPS.isel(x=[0, 1, 5, 6]), SQUARE, {}, "evenly spaced"),
        (in_units(offset="nm, eV", y="nm", x="eV"), SQUARE, {}, "one unit of length"),
        (in_units(y="nm"), SQUARE, {}, "y in nm"),
        (MAPS * np.nan, SQUARE, {}, "all are NaN"),
        (MAPS, None, {}, "give its vectors"),
        (MAPS, [[1, 0], [2, 0]], {}, "span no lattice"),
        (MAPS, [[np.nan, 0], [0, 1]], {}, "span no lattice"),
        (MAPS, "square", {}, "span no lattice"),
        (MAPS, 10, {}, "span no lattice"),
        (MAPS, xr.DataArray(SQUARE, attrs={"units": "nm"}), {}, "in nm, the maps in px"),
        (without_pixel_size(), SQUARE, {}, "need the pixel size"),
        (MAPS, 1.5 * SQUARE, {}, "aren't the lattice's vectors"),
        (MAPS, SQUARE, {"region": {"z": (0, 1)}}, "no part of the image"),
        (MAPS, SQUARE, {"region": {"x": 3}}, "two numbers"),
        (MAPS, SQUARE, {"region": {"x": (300, 400)}}, "no window of the maps"),
        (MAPS, SQUARE, {"region": {"x": (0, 9)}}, "fixed=True"),
        (MAPS, SQUARE, {"credible": 90}, "between 0 and 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(maps, vectors, options, told):
    with xr.set_options(keep_attrs=True), pytest.raises(DataError, match=told):
        displacement(maps, vectors, **options)


def test_windows_without_a_lattice_are_told():
    maps = MAPS.copy(deep=True)
    maps["offset"].values[:] = np.random.default_rng(0).uniform(-5, 5, maps.offset.shape)
    with pytest.raises(DataError, match="no lattice"):
        displacement(maps, SQUARE)

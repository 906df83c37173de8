"""Strain from displacements: exact where it is even, without cuts, and as sure as it says."""

import numpy as np
import pytest
import xarray as xr
from displaced_maps import (
    HEXAGONAL,
    SQUARE,
    affine,
    dislocation_pair,
    maps_of,
    overlapping_errors,
    places,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import ShiftVAE, displacement, encode, extract_patches, fit, strain, synthetic
from pyroshift.errors import DataError

SHAPE = (24, 30)
PARTS = ("exx", "eyy", "exy", "rotation")


def strained(gradient, pixel=(1.0, 1.0), vectors=SQUARE, shape=SHAPE, **options):
    field = affine(gradient, places(shape, pixel=pixel))
    return strain(
        displacement(maps_of(field, vectors, pixel=pixel), vectors, fixed=True), **options
    )


@settings(max_examples=25, deadline=None)
@given(
    gradient=st.lists(st.floats(-0.05, 0.05), min_size=4, max_size=4),
    resolution=st.floats(9, 60),
    hexagonal=st.booleans(),
    up=st.booleans(),
)
def test_an_even_strain_is_recovered_exactly(gradient, resolution, hexagonal, up):
    (yy, yx), (xy, xx) = np.reshape(gradient, (2, 2))
    pixel = (-1.0, 1.0) if up else (1.0, 1.0)
    vectors = HEXAGONAL if hexagonal else SQUARE
    found = strained([[yy, yx], [xy, xx]], pixel, vectors, (10, 12), resolution=resolution)
    for name, true in zip(PARTS, (xx, yy, (xy + yx) / 2, (yx - xy) / 2), strict=True):
        assert np.allclose(found[name], true, atol=1e-9), name


@pytest.mark.parametrize("angle", [0.0, 0.3, -0.2])
def test_finite_strains_are_those_of_the_lattice_before_it_is_turned(angle):
    stretch = np.array([[1.02, 0.03], [0.03, 0.95]])  # of y and x
    # x is turned towards y.
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    gradient = np.eye(2) - np.linalg.inv(turn @ stretch)
    found = strained(gradient, finite=True)
    for name, true in zip(PARTS, (-0.05, 0.02, 0.03, angle), strict=True):
        assert np.allclose(found[name], true, atol=1e-9), name


def test_finite_and_infinitesimal_agree_where_strains_are_small():
    gradient = 1e-4 * np.array([[1.0, 2.0], [-3.0, 4.0]])
    first, second = (strained(gradient, finite=finite) for finite in (False, True))
    for name in PARTS:
        assert np.allclose(first[name], second[name], atol=1e-6)
        assert np.allclose(first[f"{name}_std"], second[f"{name}_std"], rtol=1e-2)


def test_x_turned_towards_y_is_positive():
    found = strained([[0.0, 0.01], [-0.01, 0.0]])
    assert np.allclose(found.rotation, 0.01)
    assert found.rotation.attrs["units"] == "rad"
    assert np.allclose(found.exy, 0)


def test_cuts_between_dislocations_leave_no_trace():
    centres = places((30, 30))
    cores = np.array([[38.0, 58.0], [82.0, 58.0]])
    field = dislocation_pair(centres, cores, 10.0)
    found = displacement(maps_of(field), SQUARE, fixed=True)
    jumps = np.abs(np.diff(found.displacement.sel(axis="x"), axis=1)).max()
    assert jumps > 5  # there is a cut
    seen = strain(found, resolution=10)
    y, x = np.moveaxis(centres - cores[0], -1, 0), np.moveaxis(centres - cores[1], -1, 0)
    slope = 10 / (2 * np.pi) * (-y[0] / (y**2).sum(0) + x[0] / (x**2).sum(0))
    away = np.minimum(np.hypot(*y), np.hypot(*x)) > 25
    assert away.sum() > 300
    assert np.abs(seen.exx.values - slope)[away].max() < 0.1 * np.abs(slope[away]).max()


@pytest.mark.parametrize(("step", "window"), [(4, 20), (10, 20), (20, 20)])
def test_intervals_hold_the_truth_as_often_as_they_say(step, window):
    """Of white noise of the pixels; with the windows apart, without a common pixel, too."""
    shape, held = (30, 34), {name: [] for name in PARTS}
    gradient = np.array([[0.01, -0.005], [0.004, 0.008]])
    truth = (0.008, 0.01, -0.0005, -0.0045)
    field = affine(gradient, places(shape, step))
    for seed in range(12):
        errors = overlapping_errors(shape, step, window, 0.1, np.random.default_rng(seed))
        maps = maps_of(field + errors, step=step, window=window)
        found = strain(displacement(maps, SQUARE, fixed=True), 2.5 * step)
        for name, true in zip(PARTS, truth, strict=True):
            held[name].append((found[f"{name}_lower"] < true) & (true < found[f"{name}_upper"]))
    for name, each in held.items():
        assert 0.87 < np.mean(each) < 0.93, name


def test_scatter_beyond_what_windows_say_makes_intervals_wider():
    rng = np.random.default_rng(0)
    field = rng.normal(0, 0.3, (30, 30, 2))
    field[..., 0] /= 3
    maps = maps_of(field, step=20, std=0.1)
    found = strain(displacement(maps, SQUARE), 60)
    assert np.allclose(found.excess, [1, 3], rtol=0.15)
    assert 0.87 < float(((found.exx_lower < 0) & (found.exx_upper > 0)).mean()) < 0.95
    assert float(found.exx_std.mean() / found.eyy_std.mean()) == pytest.approx(3, rel=0.2)


def test_missing_windows_stay_missing_and_do_no_harm():
    field = affine([[0.01, 0.02], [0.0, 0.03]], places(SHAPE))
    maps = maps_of(field)
    gone = np.random.default_rng(0).random(SHAPE) < 0.3
    maps["offset"] = maps.offset.where(~gone[..., None])
    found = strain(displacement(maps, SQUARE, fixed=True))
    assert (found.exx.isnull() == gone).all()
    assert np.allclose(found.exx.values[~gone], 0.03, atol=1e-9)


def test_a_coarser_resolution_is_surer():
    found = [strained(np.zeros((2, 2)), resolution=size) for size in (10, 20, 40)]
    errors = [float(each.exx_std.mean()) for each in found]
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]
    assert found[0].resolution == 10
    assert found[0].resolution_units == "px"
    assert found[0].resolution_with_window > 10


def test_files_hold_all_of_it(tmp_path):
    found = strained([[0.01, 0.0], [0.0, 0.0]])
    found.to_netcdf(tmp_path / "strain.nc")
    read = xr.load_dataset(tmp_path / "strain.nc")
    xr.testing.assert_allclose(read, found)
    assert all({"units", "long_name"} <= set(each.attrs) for each in read.data_vars.values())


def test_strains_of_a_distorted_lattice_are_found():
    """From the image on, all at small settings."""
    truth = synthetic.lattice_image((160, 160), period=10, distortion=2.0, noise=0.1, seed=1)
    patches = extract_patches(truth["image"], 24, step=6, normalize="image")
    model = ShiftVAE(24, latent_dim=1, period=[[10, 0], [0, 10]])
    fit(model, patches, epochs=15, progress=False)
    found = displacement(encode(model, patches), [[10, 0], [0, 10]], fixed=True)
    there = truth.displacement.interp(y=found.y, x=found.x).transpose("y", "x", "axis")
    off = found.displacement - there
    assert float((off - off.mean(("y", "x"))).std()) < 0.15
    seen = strain(found, 30)
    shear = there.differentiate("x").sel(axis="y")
    assert float(xr.corr(seen.exy - seen.rotation, there.differentiate("y").sel(axis="x"))) > 0.95
    assert float(xr.corr(seen.exy + seen.rotation, shear)) > 0.95
    assert float(abs(seen.exx).mean()) < 0.01


FOUND = displacement(maps_of(np.zeros((12, 14, 2))), SQUARE)


@pytest.mark.parametrize(
    ("displaced", "options", "told"),
    [
        (FOUND.displacement, {}, "from displacement"),
        (FOUND.drop_vars("displacement_std"), {}, "from displacement"),
        (FOUND.isel(y=0), {}, "over y and x"),
        (FOUND.isel(y=[]), {}, "0 x 14 windows"),
        (FOUND.isel(y=[0]), {}, "1 x 14 windows"),
        (FOUND.assign(displacement=FOUND.displacement * np.nan), {}, "NaN everywhere"),
        (FOUND, {"resolution": 5}, "too fine"),
        (FOUND, {"resolution": np.nan}, "too fine"),
        (FOUND, {"resolution": "20 nm"}, "a length in px"),
        (FOUND, {"credible": 1.0}, "between 0 and 1"),
    ],
)
def test_what_is_wrong_is_told(displaced, options, told):
    with pytest.raises(DataError, match=told):
        strain(displaced, **options)

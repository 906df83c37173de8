"""Domain walls: where simulated ones are, their angles and bends, and as sure as they say."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import KDTree

from pyroshift import walls
from pyroshift.errors import DataError

Y, X = np.mgrid[:120, :120].astype(float)


def across(angle):
    """Distance from a straight wall through (59.1, 60.3)."""
    return -(X - 60.3) * np.sin(angle) - (Y - 59.1) * np.cos(angle)


def circle(radius, y=60.0, x=60.0):
    """Distance inwards from a circle."""
    return radius - np.hypot(Y - y, X - x)


def off(found, truth):
    """Angles less true ones, modulo a half turn."""
    return (found.angle - truth + np.pi / 2) % np.pi - np.pi / 2


def held(found, name, error):
    return np.abs(error) < 1.6449 * found[f"{name}_std"]


@settings(max_examples=20, deadline=None)
@given(st.floats(-1.57, 1.57), st.floats(6, 30))
def test_a_straight_wall_is_exact(angle, resolution):
    found = walls(across(angle), resolution, level=0)
    assert float(abs(off(found, angle)).max()) < 1e-6
    assert float(abs(found.curvature).max()) < 1e-6
    assert (np.unique(found.wall) == [0]).all()
    ends = [(found.y[end] + 1j * found.x[end]).item() for end in (0, -1)]
    assert found.total_length == pytest.approx(abs(ends[1] - ends[0]), rel=1e-6)
    assert found.length.sum() == pytest.approx(found.total_length)


def test_levels_are_found():
    for low, high in ((-1.0, 1.0), (0.0, 0.2), (1e6, 3e6)):
        field = low + (high - low) * (1 + np.tanh(across(0.3))) / 2
        field += 0.05 * (high - low) * np.random.default_rng(0).normal(size=X.shape)
        found = walls(field)
        assert found.level.values[0] == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
        assert float(abs(off(found, 0.3)).mean()) < 0.02


def test_several_levels_are_walls_each():
    field = np.digitize(X + 0.3 * Y, [50, 100]) + 0.0
    found = walls(field, level=[0.5, 1.5])
    assert sorted(found.level.groupby("wall").first()) == [0.5, 1.5]
    # Steps from pixel to pixel, which the intervals know of.
    error = off(found, np.arctan(1 / 0.3))
    assert float(abs(error).mean()) < 0.1
    assert float(held(found, "angle", error).mean()) > 0.85


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("radius", [10, 20, 45])
def test_a_circle_is_as_long_and_as_bent_as_circles_are(radius, sign):
    """Bent about what is higher, wherever y runs."""
    field = xr.DataArray(sign * np.tanh(circle(radius)), dims=("y", "x"))
    along = {"units": "nm"}
    for way in (0.5, -0.5):
        placed = field.assign_coords(y=("y", way * np.arange(120), along),
                                     x=("x", 0.5 * np.arange(120) + 7, along))  # fmt: skip
        found = walls(placed, level=0)
        assert found.total_length == pytest.approx(np.pi * radius, rel=0.01)
        assert np.allclose(found.curvature * radius / 2, sign, atol=0.05)
        assert found.closed.all()
        assert found.curvature.units == "1/nm"
        assert np.allclose(np.hypot(found.y - 60 * way, found.x - 37), radius / 2, atol=0.05)
        # Displayed with row 0 on top, the tangent at the upper right goes down to the right.
        right = (found.x > 37) & (np.sign(way) * (found.y - 60 * way) < 0)
        assert (found.angle[right] <= 0.1).all()


def straight(rng):
    angle = rng.uniform(-1.5, 1.5)
    return np.tanh(across(angle) / 2), lambda found: (angle, 0.0)


def round_(rng):
    y, x = rng.uniform(58, 62, 2)
    return np.tanh(circle(30, y, x) / 2), lambda found: (
        np.arctan2(-(found.x - x), -(found.y - y)), 1 / 30
    )  # fmt: skip


@pytest.mark.parametrize("make", [straight, round_])
@pytest.mark.parametrize(("noise", "resolution"), [(0.1, 8), (0.3, 8), (0.3, 12)])
def test_intervals_hold_the_truth_as_often_as_they_say(make, noise, resolution):
    angles, bends = [], []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        field, truth = make(rng)
        found = walls(field + noise * rng.normal(size=X.shape), resolution, level=0)
        found = found.isel(point=found.wall.values == 0)
        angle, bend = truth(found)
        angles.append(held(found, "angle", off(found, angle)))
        bends.append(held(found, "curvature", found.curvature - bend))
    assert 0.87 < np.concatenate(angles).mean() < 0.93
    assert 0.86 < np.concatenate(bends).mean() < 0.96


def averaged(found, x, y, resolution):
    """Angle and curvature of a closed curve, averaged along it, at the places nearest to points."""
    along = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    even = np.linspace(0, along[-1], 6000, endpoint=False)
    x, y = np.interp(even, along, x), np.interp(even, along, y)
    # As the last point is the first, so that slopes are those of a circle of points.
    ahead, behind = ([np.roll(each, way) for each in (x, y)] for way in (-1, 1))
    heading = np.unwrap(np.arctan2(ahead[1] - behind[1], ahead[0] - behind[0]))
    turn = np.sign(heading[-1] - heading[0]) * 2 * np.pi * np.arange(6000) / 6000
    width = resolution / 2.3548 / even[1]
    smooth = gaussian_filter1d(heading - turn, width, mode="wrap") + turn
    bend = (np.roll(smooth, -1) - np.roll(smooth, 1) + np.pi) % (2 * np.pi) - np.pi
    nearest = KDTree(np.c_[x, y]).query(np.c_[found.x, found.y])[1]
    return -smooth[nearest], (bend / (2 * even[1]))[nearest]


@pytest.mark.parametrize("correlated", [0, 1])
@pytest.mark.parametrize("resolution", [8, 12])
def test_intervals_hold_what_the_resolution_averages(resolution, correlated):
    """On ellipses, with noise of neighbouring pixels that is alike, or isn't."""
    angles, bends = [], []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        a, b = rng.uniform(40, 50), rng.uniform(28, 36)
        u, v = (X - 60) / a, (Y - 60) / b
        q = np.hypot(u, v)
        away = (1 - q) * q / np.maximum(np.hypot(u / a, v / b), 1e-9)
        noise = rng.normal(size=X.shape)
        if correlated:
            noise = gaussian_filter(noise, correlated)
        field = np.tanh(away / 2) + 0.2 * noise / noise.std()
        found = walls(field, resolution, level=0)
        found = found.isel(point=found.wall.values == 0)
        t = np.linspace(0, 2 * np.pi, 20001)
        angle, bend = averaged(found, 60 + a * np.cos(t), 60 + b * np.sin(t), resolution)
        angles.append(held(found, "angle", off(found, angle)))
        bends.append(held(found, "curvature", found.curvature - bend))
    assert 0.87 < np.concatenate(angles).mean() < 0.93
    assert 0.87 < np.concatenate(bends).mean() < 0.95


def test_noise_adds_no_length_and_no_walls():
    rng = np.random.default_rng(1)
    found = walls(np.tanh(circle(30)) + 0.3 * rng.normal(size=X.shape))
    assert found.wall.max() == 0
    assert found.total_length == pytest.approx(60 * np.pi, rel=0.02)


def test_walls_end_at_what_wasnt_measured():
    field = np.tanh(across(0.0))
    field[:, 40:80] = np.nan
    found = walls(field, level=0)
    assert found.wall.max() == 1
    assert ((found.x < 39.5) | (found.x > 79.5)).all()
    assert np.allclose(found.angle, 0, atol=1e-6)


def test_longest_walls_come_first():
    found = walls(np.maximum(np.tanh(circle(12, 25, 25)), np.tanh(circle(20, 80, 80))))
    lengths = found.length.groupby(found.wall).sum()
    assert np.allclose(lengths, 2 * np.pi * np.array([20, 12]), rtol=0.01)


def test_files_hold_all_of_it(tmp_path):
    found = walls(np.tanh(circle(20)))
    found.to_netcdf(tmp_path / "walls.nc", engine="h5netcdf")
    read = xr.load_dataset(tmp_path / "walls.nc", engine="h5netcdf")
    xr.testing.assert_allclose(read, found)
    assert read.closed.dtype == bool
    assert all({"units", "long_name"} <= set(each.attrs) for each in read.data_vars.values())


TWO = np.tanh(across(0.2))
HALF = np.where(np.arange(120) < 60, 1.0, np.nan)[:, None] * np.ones(120)


@pytest.mark.parametrize(
    ("field", "options", "told"),
    [
        (TWO * np.nan, {}, "NaN everywhere"),
        (0 * TWO, {}, "no wall: the field is 0 everywhere"),
        (HALF, {}, "no wall: the field is 1 everywhere"),
        (np.random.default_rng(0).normal(size=(90, 90)), {}, "no wall: .* one mode"),
        (np.random.default_rng(0).exponential(size=(90, 90)), {}, "no wall: .* one mode"),
        (X + Y, {}, "no wall: .* one mode"),
        (np.zeros((0, 5)), {}, "0 x 5 pixels"),
        (np.zeros((1, 1)), {}, "1 x 1 pixels"),
        (np.zeros(7), {}, "y and x|dimension"),
        (np.zeros((2, 9, 9)), {}, "dimension"),
        (TWO * 1j, {}, "complex"),
        (xr.DataArray(TWO, dims=("y", "x")).to_dataset(name="z"), {}, "one variable"),
        (xr.DataArray(TWO, {"y": np.arange(120) ** 2}, ("y", "x")), {}, "evenly spaced"),
        (xr.DataArray(TWO, {"y": ("y", Y[:, 0], {"units": "nm"})}, ("y", "x")), {}, "y in nm"),
        (TWO, {"level": 3}, "level=3 isn't between"),
        (TWO, {"level": "high"}, "must be a number"),
        (TWO, {"level": np.nan}, "must be a number"),
        (TWO, {"level": []}, "must be a number"),
        (TWO, {"resolution": 3}, "too fine"),
        (TWO, {"resolution": np.nan}, "too fine"),
        (TWO, {"resolution": "5 nm"}, "a length in px"),
        (TWO, {"resolution": 300}, "longer than the resolution"),
        (TWO, {"credible": 90}, "between 0 and 1"),
    ],
)
def test_what_is_wrong_is_told(field, options, told):
    with pytest.raises(DataError, match=told):
        walls(field, **options)


@pytest.mark.parametrize("dims", [("dim_0", "dim_1"), ("row", "col")])
def test_rows_and_columns_may_be_called_otherwise(dims):
    values = np.tanh(np.add(*np.mgrid[:60, :60]) - 59.2)
    xr.testing.assert_identical(walls(xr.DataArray(values, dims=dims)), walls(values))

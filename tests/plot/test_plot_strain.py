"""Strains and displacements on a grid: what is shown, in which units, and dislocations."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import dislocations, displacement, plot, strain
from pyroshift.errors import DataError

UNIT = {"units": "nm"}


def pair():
    """A dislocation above another, windows 0.4 nm apart on a lattice of 1 nm."""
    along = 0.4 * np.arange(24)
    y, x = np.meshgrid(along, along, indexing="ij")
    around = [np.arctan2(y - core, x - 4.6) for core in (2.2, 7.0)]
    moved = np.stack([0 * x, (around[0] - around[1]) / (2 * np.pi)], -1)
    offset = (moved - np.stack([y, x], -1) + 0.5) % 1 - 0.5
    named = {"offset": (("y", "x", "axis"), offset, {**UNIT, "pixel_size": [0.1, 0.1]})}
    named["offset_std"] = (("y", "x", "axis"), np.full(offset.shape, 0.01), UNIT)
    coords = {"y": ("y", along, UNIT), "x": ("x", along, UNIT), "axis": ["y", "x"]}
    return xr.Dataset(named, coords, {"window": [10, 10]})


@pytest.fixture(scope="module")
def displaced():
    return displacement(pair(), 10 * np.eye(2), fixed=True)


@pytest.fixture(scope="module")
def image():
    along = ("y", "x")
    coords = {name: (name, 0.1 * np.arange(100) - 0.3, UNIT) for name in along}
    return xr.DataArray(np.zeros((100, 100)), coords, along)


def titled(figure):
    return {ax.get_title(): ax for ax in figure.axes if ax.get_title()}


def test_strains_are_in_per_cent_and_share_their_colours(displaced, image):
    found = strain(displaced)
    shown = titled(plot.strain(found, image))
    assert list(shown) == [
        "image", r"$\varepsilon_{xx}$", r"$\varepsilon_{yy}$", r"$\varepsilon_{xy}$", "rotation",
    ]  # fmt: skip
    pictures = [ax.images[0] for ax in shown.values()][1:]
    assert np.allclose(pictures[0].get_array(), 100 * found.exx)
    assert np.allclose(pictures[3].get_array(), np.rad2deg(found.rotation))
    limits = [picture.get_clim() for picture in pictures]
    assert limits[0] == limits[1] == limits[2] != limits[3]
    assert all(low == -high for low, high in limits)
    assert {picture.get_cmap().name for picture in pictures} == {"RdBu_r"}
    chosen = titled(plot.strain(found, limits=(-1, 2)))["rotation"].figure.axes
    assert chosen[0].images[0].get_clim() == (-1, 2)
    assert len(titled(plot.strain(found, std=True))) == 8


def test_a_displacement_on_a_grid_is_maps(displaced, image):
    shown = titled(plot.displacement(displaced, image, std=True))
    assert list(shown) == [
        "image", "displacement y", "displacement x", "displacement y, std", "displacement x, std",
    ]  # fmt: skip
    assert len(titled(plot.displacement(displaced))) == 2
    with pytest.raises(DataError, match="no displacement_std"):
        plot.displacement(displaced.drop_vars("displacement_std"), std=True)
    with pytest.raises(DataError, match="leave out ax"):
        plot.displacement(displaced, ax=shown["image"])
    with pytest.raises(DataError, match="but the image"):
        plot.displacement(displaced, image.drop_vars(["y", "x"]))


def test_dislocations_are_marked_with_their_extra_half_planes_inside(displaced, image):
    """The lattice between the two is pressed together, as it has one more plane."""
    found = strain(displaced)
    assert float(found.exx.sel(y=4.6, x=4.6, method="nearest")) < -0.05
    for marks in (displaced, dislocations(displaced)):
        ax = titled(plot.strain(found, image, marks))["rotation"]
        lines = [np.array(line.get_data()) for line in ax.lines if line.get_color() == "black"]
        assert len(lines) == 4  # of two symbols
        upper, lower = (
            np.mean([line[1].max() + line[1].min() for line in lines[part]]) / 2
            for part in (slice(0, 2), slice(2, 4))
        )
        assert 2.2 < upper < 4.6 < lower < 7.0
    assert not titled(plot.strain(found, image))["rotation"].lines
    with pytest.raises(DataError, match="displacement"):
        plot.strain(found, image, xr.Dataset())
    with pytest.raises(DataError, match="have no exx_std"):
        plot.strain(found.drop_vars("exx_std"), std=True)

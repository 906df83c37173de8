"""Figures of displacements, their modes and distortions, by what they hold."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.quiver import Quiver

from pyroshift import displacement_modes, fit_distortion, fit_lattice, plot
from pyroshift.errors import DataError

mpl.use("agg")

PIXEL = 0.05


@pytest.fixture(scope="module")
def displaced():
    rows, columns = np.indices((10, 10)).reshape(2, -1) * 10.0
    attrs = {"units": "nm", "pixel_size": PIXEL}
    y = np.concatenate([rows + frame * np.sin(columns / 15) for frame in range(3)])
    rng = np.random.default_rng(0)
    x = np.tile(columns, 3) + rng.normal(0, 0.02, 300)
    return fit_lattice(
        xr.Dataset(
            coords={
                "frame": ("atom", np.repeat([0, 1, 2], 100)),
                "y": ("atom", PIXEL * y, attrs),
                "x": ("atom", PIXEL * x, attrs),
            }
        )
    )


@pytest.fixture(scope="module")
def image():
    coords = {name: (name, PIXEL * np.arange(100), {"units": "nm"}) for name in "yx"}
    return xr.DataArray(np.random.default_rng(0).random((100, 100)), coords, ("y", "x"))


def arrows(ax):
    (found,) = [each for each in ax.collections if isinstance(each, Quiver)]
    return found


def test_arrows_are_displacements_at_ideal_positions(displaced, image):
    ax = plot.displacement(displaced, image, frame=2, scale=10).axes[0]
    here = displaced.isel(atom=displaced.frame.values == 2)
    found = arrows(ax)
    np.testing.assert_allclose(found.get_offsets(), here.ideal.values[:, ::-1])
    np.testing.assert_allclose(found.U, here.displacement.sel(axis="x"))
    np.testing.assert_allclose(found.V, here.displacement.sel(axis="y"))
    assert found.scale == pytest.approx(0.1)
    assert ax.get_xlim() == pytest.approx((-PIXEL / 2, 100 * PIXEL - PIXEL / 2))
    assert ax.yaxis_inverted()
    keys = [each.text.get_text() for each in ax.artists if hasattr(each, "labelpos")]
    assert keys == ["0.05 nm"]


def test_arrows_are_about_as_long_as_atoms_are_apart(displaced):
    found = arrows(plot.displacement(displaced, frame=2).axes[0])
    lengths = np.hypot(found.U, found.V) / found.scale
    assert 0.3 < np.quantile(lengths, 0.9) / (10 * PIXEL) < 1.5


def test_atoms_off_the_lattice_have_no_arrow(displaced):
    here = displaced.isel(atom=displaced.frame.values == 1)
    moves = here.displacement.where(here.atom if "atom" in here.coords else True)
    moves = moves.copy(data=np.where(np.arange(100)[:, None] < 7, np.nan, moves))
    assert arrows(plot.displacement(here.assign(displacement=moves)).axes[0]).N == 93


def test_both_components_and_their_deviations(displaced, image):
    field = fit_distortion(displaced, common=True).on(image)
    figure = plot.distortion(field)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == [
        "distortion y", "distortion x", "distortion y, std", "distortion x, std",
    ]  # fmt: skip
    limits = [ax.images[0].get_clim() for ax in panels]
    assert limits[0] == limits[1]
    assert limits[0][0] == -limits[0][1]
    assert limits[2] == limits[3]
    np.testing.assert_allclose(panels[1].images[0].get_array(), field.distortion[1])
    bars = [ax.get_ylabel() for ax in figure.axes if ax not in panels]
    assert len(bars) == 4
    assert all("(nm)" in text for text in bars)
    chosen = plot.distortion(field, limits=(-1, 2)).axes[0].images[0].get_clim()
    assert chosen == (-1, 2)


def test_modes_have_arrows_and_scores(displaced):
    modes = displacement_modes(displaced, modes=2)
    figure = plot.displacement_modes(modes)
    assert [ax.get_title().split(":")[0] for ax in figure.axes] == [
        "mode 0", "score", "mode 1", "score",
    ]  # fmt: skip
    np.testing.assert_allclose(arrows(figure.axes[0]).V, modes.pattern[0].sel(axis="y"))
    line = figure.axes[1].lines[-1]
    np.testing.assert_allclose(line.get_xydata(), np.stack([modes.frame, modes.score[0]], 1))
    assert figure.axes[1].get_ylabel() == "nm"


def test_errors(displaced, image):
    with pytest.raises(DataError, match="what fit_lattice returns"):
        plot.displacement(displaced.drop_vars("displacement"))
    with pytest.raises(DataError, match="no atom has a displacement"):
        plot.displacement(displaced.assign(displacement=displaced.displacement * np.nan))
    with pytest.raises(DataError, match="no patch is in frame 7"):
        plot.displacement(displaced, frame=7)
    with pytest.raises(DataError, match=r"Distortion\.on"):
        plot.distortion(displaced)
    with pytest.raises(DataError, match="expected the modes"):
        plot.displacement_modes(displaced)

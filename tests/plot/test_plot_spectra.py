"""Mean spectra in their bands, and maps of abundance: what is drawn, and its units."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import plot
from pyroshift.errors import DataError

ENERGY = np.linspace(-1, 3, 21)


@pytest.fixture
def means():
    both = ("class", "energy")
    mean = np.stack([np.exp(-(ENERGY**2)), 2 * np.exp(-(ENERGY**2))])
    attrs = {"units": "counts", "long_name": "electrons"}
    variables = {"mean": (both, mean, attrs), "std": (both, 0 * mean + 0.1, attrs),
                 "mean_std": (both, 0 * mean + 0.01, attrs)}  # fmt: skip
    coords = {"energy": ("energy", ENERGY, {"units": "eV", "long_name": "energy loss"}),
              "class": ["gold", "support"], "count": ("class", [5, 7])}  # fmt: skip
    return xr.Dataset(variables, coords)


def test_lines_bands_and_units(means):
    ax = plot.mean_spectra(means).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("energy loss (eV)", "electrons (counts)")
    np.testing.assert_allclose(ax.lines[1].get_ydata(), means["mean"][1])
    edges = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edges.max() == pytest.approx(1.1)
    named = [text.get_text() for text in ax.get_legend().texts]
    assert named == ["gold (5)", "support (7)"]
    narrow = plot.mean_spectra(means, band="mean_std").axes[0]
    assert narrow.collections[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(1.02)


def test_logarithms_end_at_what_is_positive(means):
    means["mean"][:, 0] = 0.0
    means["mean"][:, 1] = np.nan
    figure = plot.mean_spectra(means, log=True)
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_ylim()[0] > 0
    figure.draw_without_rendering()


def test_no_such_band(means):
    with pytest.raises(DataError, match="'var'"):
        plot.mean_spectra(means, band="var")


@pytest.mark.parametrize("kind", ["class", "kind"])
def test_abundances_of_a_mixture_and_of_a_model(kind):
    sure = np.stack([np.full((3, 4), 0.25), np.full((3, 4), 0.75)], -1)
    coords = {kind: ["a", "b"], "y": ("y", 2.0 * np.arange(3), {"units": "nm"}),
              "x": ("x", 2.0 * np.arange(4), {"units": "nm"})}  # fmt: skip
    maps = xr.Dataset({"class_probability": (("y", "x", kind), sure)}, coords)
    figure = plot.abundances(maps)
    shown = {ax.get_title(): ax for ax in figure.axes if ax.get_title()}
    assert list(shown) == ["a", "b"]
    picture = shown["b"].images[0]
    assert picture.get_clim() == (0.0, 1.0)
    np.testing.assert_allclose(picture.get_array(), 0.75)

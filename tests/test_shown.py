"""How models and patches show themselves in notebooks."""

import base64
import io
import re

import numpy as np
import pytest
import xarray as xr
from markup import Markup
from PIL import Image

import pyroshift as ps
from pyroshift.shown import graph, table


class Text(Markup):
    """With what stands alone in forms and in graphs, closed or not."""

    void = Markup.void | {"input", "polyline", "path", "use"}


def test_a_model_tells_its_story_and_its_weights():
    model = ps.RVAE(12, latent_dim=1, offsets=True, classes=3, condition="dose", guide="normal")
    text = Text(model._repr_html_()).text
    weights = sum(each.numel() for each in model.parameters())
    assert f"in all {weights:,}" in text
    assert "class ~ Categorical" in text
    assert "coordinates = pixel grid, moved by offset, then angle" in text
    assert "x ~ Gaussian(decoder(z, class, dose; coordinates))" in text
    assert "guide NormalGuide" in text
    assert "offset Offset 2 Normal, mean 0" in text


@pytest.mark.parametrize(
    "model",
    [
        lambda: ps.VAE(8, channels=["a", "b"]),
        lambda: ps.ShiftVAE((20,), likelihood="poisson", brightness="site"),
        lambda: ps.VAE(8, priors={"z": ps.priors.Mixture(3)}),
        lambda: ps.VAE(8, decoder=ps.BayesianDecoder(ps.SpatialDecoder((8, 8), 2))),
    ],
    ids=["channels", "signals", "mixture", "bayesian"],
)
def test_any_model_shows_itself(model):
    made = model()
    text = Text(made._repr_html_()).text
    assert all(f"{site.name} ~ " in text for site in made.given_sites)


def test_patches_show_windows_and_where_they_are():
    nm = {"units": "nm"}
    axes = [("y", 0.5 * np.arange(20), nm), ("x", 2 + 0.5 * np.arange(30), nm)]
    image = xr.DataArray(np.random.default_rng(0).random((20, 30)), axes)
    patches = ps.extract_patches(image, 10, step=5)
    html = patches._repr_html_()
    text = Text(html).text
    assert "15 windows of 10 x 10 pixels" in text
    assert "y 3 2.25 7.25 nm" in text
    assert "y of a window steps of 0.5 nm" in text
    drawn = re.findall(r"base64,([^\"]*)", html)
    assert len(drawn) == 8
    first = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn[0]))))
    np.testing.assert_allclose(first / 255, patches.to_xarray().values[0, 0], atol=1 / 255)


def test_signals_and_gaps_are_drawn():
    signals = np.random.default_rng(0).random((3, 2, 12))
    signals[0, 0, 4:6] = np.nan
    named = xr.DataArray(signals, {"channel": ["<up>", "down"]}, ("patch", "channel", "x"))
    html = ps.Patches.from_array(named, window_ndim=1)._repr_html_()
    assert html.count("<svg") == 3
    assert html.count("<polyline") == 4  # one is in two pieces
    assert "the channel <up> of 2" in Text(html).text


def test_graphs_of_nothing_and_of_one_value():
    assert "<polyline" not in graph([[np.nan, np.nan]], "nothing")
    assert 'aria-label="&lt;b&gt;"' in graph([[1.0]], "<b>")
    assert "<b>" not in table(["<b>"], [["<b>"]])

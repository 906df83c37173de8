"""Leaving out, by ArviZ from the tree, against refits without what is left out."""

import warnings

import arviz_stats
import linear
import numpy as np
import pytest
from cases import CASES
from scipy import stats

import pyroshift as ps

DRAWS = 4000


def refits(x):
    """Log density of each pixel by the posterior of its window's others, in closed form."""
    patterns, found = linear.patterns(2), np.empty(x.shape)
    for pixel in range(linear.PIXELS):
        others = np.arange(linear.PIXELS) != pixel
        seen = patterns[:, others]
        precision = np.eye(2) + seen @ seen.T / linear.NOISE**2
        mean = np.linalg.solve(precision, seen @ x[:, others].T / linear.NOISE**2).T
        pattern = patterns[:, pixel]
        variance = linear.NOISE**2 + pattern @ np.linalg.solve(precision, pattern)
        found[:, pixel] = stats.norm(mean @ pattern, variance**0.5).logpdf(x[:, pixel])
    return found


def left_out(tree):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        return arviz_stats.loo(tree, pointwise=True), told


def test_pixels_left_out_are_as_by_refits():
    x = linear.data(30)
    tree = ps.posterior(
        linear.model(), x, DRAWS, predictive=False, pixelwise=True, progress=False
    )  # fmt: skip
    found, _ = left_out(tree)
    exact = refits(x)
    error = found.elpd_i.values - exact
    # Over 8 seeds and 2,000 draws the sum's error is 0.16, and that of a pixel 0.013.
    assert abs(float(found.elpd) - exact.sum()) < 0.6
    assert np.sqrt(np.square(error).mean()) < 0.03
    assert float((found.pareto_k > 0.7).mean()) < 0.02
    np.testing.assert_allclose(found.se, np.sqrt(exact.size) * exact.std(), rtol=0.03)


def test_a_wrong_guide_leaves_out_as_well():
    """Too narrow by a fifth, so that its weights decide; draws that come twice cost a little."""
    x = linear.data(30)
    model = linear.model(narrow=0.8, shifted=0.2)
    tree = ps.posterior(
        model, x, 2000, proposals=20_000, predictive=False, pixelwise=True, progress=False
    )  # fmt: skip
    found, _ = left_out(tree)
    assert abs(float(found.elpd) - refits(x).sum()) < 1.5  # of 360 pixels


def test_of_windows_left_out_arviz_warns_and_evidence_is_right():
    """The reason for pixels: by the posterior of its own latents a window isn't left out."""
    x = linear.data(30)
    tree = ps.posterior(linear.model(), x, DRAWS, predictive=False, progress=False)
    found, told = left_out(tree)
    exact = linear.log_evidence(x, 2)
    assert any("shape parameter of Pareto" in str(each.message) for each in told)
    assert float((found.pareto_k > 0.7).mean()) > 0.5
    assert float(found.elpd) - exact.sum() > 5
    evidence = ps.evidence(linear.model(narrow=0.9), x, draws=1000, progress=False)
    assert abs(float(evidence.log_evidence.sum()) - exact.sum()) < 0.5


@pytest.mark.parametrize("case", ["channels", "gaps", "hierarchical", "stack, anchor"])
def test_pixels_are_labelled_as_windows_are(case):
    patches, model = CASES[case]()
    whole = ps.posterior(model, patches, 25, progress=False)
    tree = ps.posterior(model, patches, 25, pixelwise=True, progress=False)
    pixels, windows = tree["log_likelihood"].patches, tree["observed_data"].patches
    assert pixels.dims == ("chain", "draw", *windows.dims)
    for name, coordinate in windows.coords.items():
        assert coordinate.variable.identical(pixels[name].variable), name
    np.testing.assert_array_equal(pixels.isel(chain=0, draw=0).isnull(), windows.isnull())
    over = [dim for dim in windows.dims if dim not in patches.layout]
    total = pixels.sum(over).where(whole["log_likelihood"].patches.notnull())
    np.testing.assert_allclose(total, whole["log_likelihood"].patches, rtol=1e-4, atol=1e-3)
    assert ps.predictive_check(tree).equals(ps.predictive_check(whole))


def test_predictions_have_the_weights_that_were_learned():
    """Of a decoder whose weights are uncertain, from their posterior and not their prior."""
    random = np.random.default_rng(0)
    heights = random.uniform(0.5, 2, (300, 1))
    x = heights * np.sin(np.linspace(0, 6, 16)) + 0.1 * random.normal(size=(300, 16))
    model = ps.VAE((16,), 1, decoder=ps.BayesianDecoder(ps.SpatialDecoder((16,), 1)))
    patches = ps.Patches.from_array(x.astype(np.float32))
    ps.fit(model, patches, epochs=40, batch_size=32, progress=False)
    few = ps.Patches.from_array(x[:20].astype(np.float32))
    tree = ps.posterior(model, few, 50, progress=False)
    error = tree["posterior_predictive"].patches.mean(("chain", "draw")).values - x[:20]
    assert error.std() < 0.4 * x.std()  # by the prior's weights: 0.95

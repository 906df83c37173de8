"""What it brings to say what the noise is like: whole trainings on peaks in noise that is known."""

import warnings

import numpy as np
import pytest
import torch
from scipy import stats

from pyroshift import FullyConnectedEncoder, Patches, ShiftVAE, encode, fit, synthetic
from pyroshift.errors import LatentWarning

LENGTH, SPAN = 24, 11.5  # one unit of x per point
PEAKS = synthetic.peaks(
    n=400, length=LENGTH, span=SPAN, offset_spread=3, widths=(1.8, 1.8), asymmetry=0.4, noise=0
)
EVERY_GUIDE = pytest.mark.parametrize("guide", ["normal", "anchor"])


def trained(likelihood, guide, x):
    """A model and its maps of the data that it was trained on."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = FullyConnectedEncoder((LENGTH,), (64,))
    model = ShiftVAE((LENGTH,), latent_dim=1, likelihood=likelihood, guide=guide, encoder=encoder)
    patches = Patches.from_array(np.asarray(x, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)  # nothing varies but the place
        fit(model, patches, epochs=25, batch_size=25, learning_rate=5e-3, progress=False)
    return model, encode(model, patches)


def offset_error(maps):
    error = maps.offset.values[:, 0] - PEAKS.offset.values
    return error - np.median(error)


@EVERY_GUIDE
def test_student_t_gains_what_the_outliers_cost(guide):
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.standard_normal(PEAKS.signal.shape)
    noise = noise + rng.standard_normal(noise.shape) * (rng.random(noise.shape) < 0.05)
    gaussian, robust = (
        trained(name, guide, PEAKS.signal.values + noise)[1] for name in ("gaussian", "student_t")
    )
    degrees, _, width = stats.t.fit(noise.ravel(), floc=0)
    # If the peaks themselves were known; of that gain, in nats per pixel, most must be there.
    possible = stats.t.logpdf(noise, degrees, 0, width) - stats.norm.logpdf(noise, 0, noise.std())
    gain = float((robust.elbo - gaussian.elbo).mean()) / LENGTH
    assert 0.7 * possible.mean() < gain < 1.1 * possible.mean()


def test_counts_that_scatter_more_are_not_taken_for_surer_than_they_are():
    rng = np.random.default_rng(0)
    rate = 2 + 15 * PEAKS.signal.values
    counts = rng.poisson(rate * rng.gamma(2.0, 0.5, rate.shape))
    shares = {}
    for name in ("poisson", "negative_binomial"):
        model, maps = trained(name, "anchor", counts)
        within = np.abs(offset_error(maps)) < 1.645 * maps.offset_std.values[:, 0]
        shares[name] = float(within.mean())
    assert float(model.likelihood.concentration.detach()) == pytest.approx(2.0, rel=0.15)
    # 90% intervals; a share of 400 is known to 1.5%.
    assert shares["negative_binomial"] == pytest.approx(0.9, abs=0.09)
    assert shares["poisson"] < 0.6

"""Windows whose pixels count once: posteriors and evidences of tempered data, in closed form."""

from dataclasses import replace

import linear
import numpy as np
import pytest
import torch

import pyroshift as ps
from pyroshift.bayes.joint import Joint

POWER = 0.2


def tempered(count, power=POWER):
    """Signals from the linear model that count by a power."""
    x = linear.data(count)
    return x, replace(ps.Patches.from_array(x), power=power)


@pytest.mark.parametrize(("narrow", "shifted"), [(1.0, 0.0), (0.9, 0.1)])
def test_evidence_is_that_of_tempered_data(narrow, shifted):
    x, patches = tempered(20)
    model = linear.model(narrow=narrow, shifted=shifted, power=POWER)
    found = ps.evidence(model, patches, draws=1000)
    exact = linear.log_evidence(x, 2, POWER)
    np.testing.assert_allclose(found.log_evidence, exact, atol=0.05)
    assert (found.khat < found.attrs["khat_limit"]).all()
    assert found.attrs["power"] == POWER
    if narrow == 1:  # each draw of the exact posterior says the same
        np.testing.assert_allclose(found.elbo, exact, atol=1e-4)
        maps = ps.encode(model, patches)  # of one draw each, and the KL divergence exactly
        np.testing.assert_allclose(maps.elbo.mean(), exact.mean(), atol=0.4)


def test_draws_are_of_the_tempered_posterior():
    # From a guide for data that count in full, too narrow by far, but for few draws.
    x, patches = tempered(40, power=0.6)
    found = ps.posterior(linear.model(), patches, draws=2000, predictive=False)
    z = found["posterior"].z
    widths = linear.posterior_widths(2, 0.6)
    error = (z.mean(("chain", "draw")) - linear.posterior_means(x, 2, 0.6)) / widths
    assert abs(float(error.mean())) < 0.1  # of 80 means of 2000 draws
    np.testing.assert_allclose(z.std(("chain", "draw")).mean("patch"), widths, rtol=0.05)
    assert (widths > 1.1 * linear.posterior_widths(2)).all()


def test_chains_are_of_the_tempered_posterior():
    x, patches = tempered(4)
    found = ps.sample(linear.model(), patches, draws=300, warmup=90, progress=False)
    z = found["posterior"].z
    widths = linear.posterior_widths(2, POWER)
    error = (z.mean(("chain", "draw")) - linear.posterior_means(x, 2, POWER)) / widths
    assert abs(error).max() < 0.2  # of some 1,000 independent draws each
    np.testing.assert_allclose(z.std(("chain", "draw")).mean("patch"), widths, rtol=0.1)


def test_windows_that_the_model_makes_count_in_full():
    _, patches = tempered(400)
    found = ps.calibrate(linear.model(), patches, progress=False)
    assert float(found.p_value.min()) > 1e-3  # once in 300 seeds


def test_likelihoods_of_draws_are_tempered_and_predictions_are_not():
    _, patches = tempered(10)
    groups = [
        ps.posterior(linear.model(power=POWER), each, draws=50, seed=1)
        for each in (patches, replace(patches, power=None))
    ]
    weights = [each["importance"].log_weight for each in groups]
    assert float(weights[0].std("proposal").max()) < 1e-3 < float(weights[1].std("proposal").min())
    predicted = groups[0]["posterior_predictive"].patches
    noise = predicted - predicted.mean(("chain", "draw"))
    widths = float(noise.std())
    expected = linear.NOISE**2 + float(
        np.square(linear.posterior_widths(2, POWER)[:, None] * linear.patterns(2)).sum(0).mean()
    )
    np.testing.assert_allclose(widths, np.sqrt(expected), rtol=0.05)  # of 6000 numbers


def test_models_are_compared_on_tempered_data():
    _, patches = tempered(60)
    models = {"two": linear.model(power=POWER), "one": linear.model(1, power=POWER)}
    table = ps.compare(models, patches, draws=500)
    x = linear.data(60)
    for name, latents in (("two", 2), ("one", 1)):
        exact = linear.log_evidence(x, latents, POWER).mean()
        np.testing.assert_allclose(table.log_evidence.sel(model=name), exact, atol=0.02)


def test_chains_follow_tempered_data():
    _, patches = tempered(5)
    values = {"z": torch.zeros(5, 2)}
    (prior, part), (same, full) = (
        Joint(linear.model(), each, torch.arange(5)).by_kind(values)
        for each in (patches, replace(patches, power=None))
    )
    torch.testing.assert_close(part, POWER * full)
    torch.testing.assert_close(prior, same)


def test_without_a_power_nothing_is_said_of_it():
    x = linear.data(5)
    for power in (None, 1.0):
        patches = replace(ps.Patches.from_array(x), power=power)
        assert "power" not in ps.encode(linear.model(), patches).attrs

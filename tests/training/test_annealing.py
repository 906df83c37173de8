"""KL annealing: its schedules, and which scalings of model and guide are right."""

import itertools
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO

from pyroshift import RVAE, KLAnnealing, PatchELBO, ShiftVAE
from pyroshift.errors import SpecificationError
from pyroshift.training.annealing import schedules, settled_after, weights_at

# Schedules


def test_linear():
    annealing = KLAnnealing(0.1, 0.9, 4)
    expected = [0.1, 0.3, 0.5, 0.7, 0.9, 0.9, 0.9]
    assert [annealing(epoch) for epoch in range(7)] == pytest.approx(expected)


def test_linear_downwards():
    annealing = KLAnnealing(10.0, 1.0, 3)
    assert [annealing(epoch) for epoch in range(5)] == pytest.approx([10, 7, 4, 1, 1])


def test_cosine():
    annealing = KLAnnealing(0.2, 1.0, 4, shape="cosine")
    half = 0.4 * (1 - math.cos(math.pi / 4))
    expected = [0.2, 0.2 + half, 0.6, 1.0 - half, 1.0, 1.0]
    assert [annealing(epoch) for epoch in range(6)] == pytest.approx(expected)


def test_no_epochs_is_the_final_weight_throughout():
    annealing = KLAnnealing(0.1, 0.7, epochs=0)
    assert [annealing(epoch) for epoch in range(3)] == [0.7, 0.7, 0.7]
    assert [KLAnnealing()(epoch) for epoch in range(3)] == [1, 1, 1]


@given(
    initial=st.floats(1e-3, 10),
    final=st.floats(1e-3, 10),
    epochs=st.integers(0, 50),
    shape=st.sampled_from(["linear", "cosine"]),
)
def test_weights_go_steadily_from_initial_to_final(initial, final, epochs, shape):
    annealing = KLAnnealing(initial, final, epochs, shape)
    weights = [annealing(epoch) for epoch in range(epochs + 3)]
    assert weights[0] == pytest.approx(initial if epochs else final)
    assert weights[epochs:] == pytest.approx([final] * 3)
    sign = 1 if final >= initial else -1
    assert all(sign * (b - a) >= -1e-12 for a, b in itertools.pairwise(weights))
    assert min(weights) > 0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"initial": 0.0}, "initial KL weight .* small number"),
        ({"final": 0.0}, "final KL weight"),
        ({"initial": -1.0}, "initial KL weight"),
        ({"final": math.inf}, "final KL weight"),
        ({"initial": math.nan}, "initial KL weight"),
        ({"epochs": -1}, "epochs must not be negative"),
        ({"shape": "step"}, "unknown shape 'step'"),
    ],
    ids=str,
)
def test_schedules_that_cannot_work_are_refused(options, match):
    with pytest.raises(SpecificationError, match=match):
        KLAnnealing(**options)


def test_one_schedule_per_site():
    ramp = KLAnnealing(0.1, 1.0, 9)
    assert schedules(ramp, ["offset", "z"]) == {"offset": ramp, "z": ramp}
    assert schedules(0.5, ["offset", "z"])["z"](3) == 0.5
    apart = schedules({"offset": ramp}, ["offset", "z"])
    assert apart["offset"] is ramp
    assert [apart["z"](epoch) for epoch in (0, 9)] == [1, 1]
    assert list(schedules({"z": 2.0, "offset": ramp}, ["offset", "z"])) == ["offset", "z"]


def test_a_schedule_may_be_any_function_of_the_epoch():
    weights = schedules(lambda epoch: 0.5 + epoch, ["offset", "z"])
    assert weights_at(weights, 3) == {"offset": 3.5, "z": 3.5}


@pytest.mark.parametrize("weight", [0.0, -1, math.nan, math.inf, None, "1"])
def test_a_function_that_gives_no_weight_is_refused_by_its_epoch(weight):
    given = schedules({"z": lambda epoch: weight if epoch == 4 else 1.0}, ["z"])
    with pytest.raises(SpecificationError, match=r"'z' must be a positive number.* epoch 4"):
        settled_after(given, 10)


@pytest.mark.parametrize("weight", ["1", None, [1.0]])
def test_what_is_no_weight_is_refused(weight):
    with pytest.raises(SpecificationError, match="a number, a KLAnnealing or a function"):
        schedules({"z": weight}, ["z"])


@pytest.mark.parametrize(
    ("kl", "epoch"),
    [
        (1.0, 0),
        (KLAnnealing(0.1, 1.0, 4), 4),
        ({"offset": KLAnnealing(0.1, 1.0, 4), "z": KLAnnealing(2.0, 1.0, 6)}, 6),
        (KLAnnealing(0.1, 1.0, 40), 9),
        (lambda epoch: 0.1 if epoch < 5 else 1.0, 5),
        (lambda epoch: 1.0 + epoch % 2, 9),
    ],
)
def test_when_weights_have_settled(kl, epoch):
    assert settled_after(schedules(kl, ["offset", "z"]), 10) == epoch


def test_schedules_of_unknown_sites_are_refused():
    with pytest.raises(SpecificationError, match=r"kl names \['angle'\].*\['offset', 'z'\]"):
        schedules({"angle": 1.0}, ["offset", "z"])
    with pytest.raises(SpecificationError, match="must be positive"):
        schedules({"z": 0.0}, ["z"])


# The table of right and wrong scalings: one Normal latent, one observation, all in closed form.

X, LOC, SCALE, WEIGHT = 1.7, 0.8, 0.4, 0.3
_NORMAL = math.log(2 * math.pi) / 2
LOG_LIKELIHOOD = -_NORMAL - ((X - LOC) ** 2 + SCALE**2) / 2
LOG_PRIOR = -_NORMAL - (LOC**2 + SCALE**2) / 2
LOG_GUIDE = -_NORMAL - math.log(SCALE) - 0.5
KL = LOG_GUIDE - LOG_PRIOR
RIGHT = WEIGHT * KL - LOG_LIKELIHOOD
# One after the other: scaled on both sides, in the model only, in the guide only.
SIDES = [(WEIGHT, WEIGHT), (WEIGHT, 1.0), (1.0, WEIGHT)]
SIDE_NAMES = ["both", "model only", "guide only"]


def tiny_pair(model_weight, guide_weight, n=2000):
    """Many copies of the same patch, so that their mean is an expectation."""

    def model():
        with pyro.plate("patches", n):
            with poutine.scale(scale=model_weight):
                z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("x", dist.Normal(z, 1.0), obs=torch.full((n,), X))

    def guide():
        with pyro.plate("patches", n), poutine.scale(scale=guide_weight):
            pyro.sample("z", dist.Normal(torch.full((n,), LOC), SCALE))

    return model, guide


def expected_loss(elbo, weights, n=2000, repeats=25):
    """Mean loss per patch, and its standard error."""
    losses = torch.tensor([elbo.loss(*tiny_pair(*weights, n)) / n for _ in range(repeats)])
    return float(losses.mean()), float(losses.std()) / repeats**0.5


def test_closed_forms_are_themselves_right():
    posterior, prior = dist.Normal(LOC, SCALE), dist.Normal(0.0, 1.0)
    expected = float(torch.distributions.kl_divergence(posterior, prior))
    assert math.isclose(KL, expected, rel_tol=1e-6)


@pytest.mark.parametrize("elbo", [Trace_ELBO, TraceMeanField_ELBO, PatchELBO])
def test_scaling_both_sides_is_right(elbo):
    # 5 standard errors from 25 repeats: fails once in some 10^4 for a fresh seed.
    value, error = expected_loss(elbo(), (WEIGHT, WEIGHT))
    assert value == pytest.approx(RIGHT, abs=5 * error)
    assert error < 0.01


@pytest.mark.parametrize(
    ("weights", "wrong"),
    [
        ((WEIGHT, 1.0), LOG_GUIDE - WEIGHT * LOG_PRIOR - LOG_LIKELIHOOD),
        ((1.0, WEIGHT), WEIGHT * LOG_GUIDE - LOG_PRIOR - LOG_LIKELIHOOD),
    ],
    ids=SIDE_NAMES[1:],
)
def test_trace_elbo_is_silently_wrong_where_one_side_is_scaled(weights, wrong):
    value, error = expected_loss(Trace_ELBO(), weights)
    assert value == pytest.approx(wrong, abs=5 * error)
    assert abs(value - RIGHT) > 0.2


def test_trace_mean_field_reads_the_guides_scale_alone():
    model_only, error = expected_loss(TraceMeanField_ELBO(), (WEIGHT, 1.0))
    assert model_only == pytest.approx(KL - LOG_LIKELIHOOD, abs=5 * error)
    assert abs(model_only - RIGHT) > 0.2
    guide_only, error = expected_loss(TraceMeanField_ELBO(), (1.0, WEIGHT))
    assert guide_only == pytest.approx(RIGHT, abs=5 * error)


@pytest.mark.parametrize("weights", SIDES[1:], ids=SIDE_NAMES[1:])
def test_ours_refuses_what_is_scaled_on_one_side(weights):
    with pytest.raises(SpecificationError, match="scale both by the same number"):
        PatchELBO().loss(*tiny_pair(*weights))


def test_pyro_refuses_a_scale_of_zero():
    with pytest.raises(ValueError, match="scale"):
        Trace_ELBO().loss(*tiny_pair(0.0, 0.0))


# The pair's own context manager


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("side", ["model", "guide", "sample_model", "sample_guide"])
def test_weights_that_are_not_positive_are_refused_by_both_sides(weight, side):
    model, x = ShiftVAE((6, 8), guide="normal"), torch.rand(3, 6, 8)
    with pytest.raises(SpecificationError, match=r"'offset' must be positive.*such as 0.01"):
        getattr(model, side)(x, kl_weight=weight)


def test_a_site_without_a_weight_is_refused():
    model, x = ShiftVAE((6, 8), guide="normal"), torch.rand(3, 6, 8)
    with pytest.raises(SpecificationError, match="no entry for site 'z'"):
        PatchELBO().terms(model.sample_model, model.sample_guide, x, {"offset": 0.5})


@pytest.mark.parametrize("elbo", [Trace_ELBO, TraceMeanField_ELBO, PatchELBO])
def test_pairs_scale_each_site_by_its_own_weight_on_both_sides(elbo):
    weights = {"offset": 0.25, "angle": 2.0, "z": 0.5}
    model, x = RVAE((6, 8), offsets=True, guide="normal", angle_scale=1.0), torch.rand(3, 6, 8)
    guide_trace = poutine.trace(model.guide).get_trace(x, kl_weight=weights)
    model_trace = poutine.trace(model.model).get_trace(x, kl_weight=weights)
    for name, weight in weights.items():
        assert guide_trace.nodes[name]["scale"] == model_trace.nodes[name]["scale"] == weight
    assert model_trace.nodes["x"]["scale"] == 1
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        loss = elbo().loss(model.model, model.guide, x, kl_weight=weights)
        torch.manual_seed(0)
        trace = poutine.trace(model.sample_guide).get_trace(x)
        joint = poutine.trace(poutine.replay(model.sample_model, trace)).get_trace(x)
    expected = -joint.nodes["x"]["fn"].log_prob(x).sum()
    for name, weight in weights.items():
        posterior, value = trace.nodes[name]["fn"], trace.nodes[name]["value"]
        prior = joint.nodes[name]["fn"]
        if elbo is Trace_ELBO:
            divergence = posterior.log_prob(value) - prior.log_prob(value)
        else:
            divergence = torch.distributions.kl_divergence(posterior, prior)
        expected = expected + weight * divergence.sum()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)

"""Training: what it measures, what it leaves alone, and how it ends."""

import copy
import math
import random
import subprocess
import sys
import warnings

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from torch.distributions import Distribution

from pyroshift import (
    RVAE,
    VAE,
    Angle,
    FullyConnectedEncoder,
    KLAnnealing,
    Likelihood,
    Patches,
    ShiftVAE,
    extract_patches,
    fit,
    synthetic,
)
from pyroshift.errors import (
    DataError,
    LatentWarning,
    SpecificationError,
    TrainingError,
    TrainingWarning,
)
from pyroshift.model.families import GuideFamily
from pyroshift.training.run import Run

LENGTH = 16


def peaks(n=48, length=LENGTH, **options):
    return Patches.from_array(synthetic.peaks(n, length, **options)["signal"].values)


def noise(n=48):
    return Patches.from_array(np.random.default_rng(0).normal(size=(n, LENGTH)))


def small(model=ShiftVAE, window=(LENGTH,), hidden=(16,), **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = FullyConnectedEncoder(window, hidden)
    # The papers' guide and prior of z, which are quick and whose weights nothing moves but a step.
    papers = {"guide": "normal", "priors": {"z": dist.Normal(0.0, 1.0)}}
    return model(window, latent_dim=1, **{"encoder": encoder, "seed": 1, **papers, **options})


def train(model, patches, **options):
    defaults = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-3, "schedule": None}
    return fit(model, patches, **{**defaults, "progress": False, **options})


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def parameters(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Spy:
    """Patches that note which of them are gathered, and may spoil a batch."""

    def __init__(self, patches, model=None, spoil_at=None, value=math.inf):
        self.patches, self.model, self.spoil_at, self.value = patches, model, spoil_at, value
        self.gathered, self.steps = [], 0
        if model is not None:
            model.eval()  # so that the dry run before the first step doesn't count as one

    def __len__(self):
        return len(self.patches)

    def to(self, device):
        return self

    def statistics(self):
        return self.patches.statistics()

    def gather(self, index):
        learning = self.model is not None and self.model.training
        self.steps += learning
        self.gathered.append((learning, index.tolist()))
        batch = self.patches.gather(index)
        return batch * self.value if learning and self.steps == self.spoil_at else batch


# What is measured


def test_history_is_labelled():
    history = train(small(), peaks(), epochs=3, seed=5)
    assert dict(history.sizes) == {"epoch": 3, "site": 2}
    np.testing.assert_array_equal(history.epoch, [1, 2, 3])
    assert list(history.site.values) == ["offset", "z"]
    assert set(history.data_vars) == {
        "loss", "log_likelihood", "kl", "kl_scale", "validation_loss", "learning_rate",
    }  # fmt: skip
    assert history.loss.attrs["units"] == "nat"
    assert history.attrs == {"stopped": "completed", "seed": 5, "batch_size": 16}
    assert np.isnan(history.validation_loss).all()
    assert (history.learning_rate == 1e-3).all()
    assert (history.kl_scale == 1).all()


@pytest.mark.parametrize("kl", [1.0, 0.1, {"offset": 3.0, "z": KLAnnealing(0.2, 2.0, 3)}])
def test_loss_is_the_bound_without_weights(kl):
    history = train(small(), peaks(), epochs=3, kl=kl)
    expected = history.kl.sum("site") - history.log_likelihood
    np.testing.assert_allclose(history.loss, expected, rtol=1e-9)


def test_loss_falls():
    history = train(small(), peaks(), epochs=15, learning_rate=1e-2)
    assert history.loss[-1] < history.loss[0] - 10


def test_loss_is_the_mean_over_patches_whatever_the_batches():
    """At a learning rate of nothing, uneven batches must not weigh more than others."""
    settings = {"learning_rate": 1e-30, "epochs": 30, "kl": 1e-9}
    means = [float(train(small(), peaks(), batch_size=b, **settings).loss.mean()) for b in (48, 47)]
    spread = float(train(small(), peaks(), batch_size=48, **settings).loss.std()) / math.sqrt(30)
    # Two independent means of 30 epochs differ by five standard errors once in 400 000 times.
    assert abs(means[0] - means[1]) < 5 * math.sqrt(2) * spread


def test_kl_annealing_is_recorded_per_site():
    annealing = KLAnnealing(0.1, 1.0, 3)
    history = train(small(), peaks(), epochs=5, kl={"offset": annealing, "z": 0.5})
    np.testing.assert_allclose(history.kl_scale.sel(site="offset"), [0.1, 0.4, 0.7, 1.0, 1.0])
    np.testing.assert_allclose(history.kl_scale.sel(site="z"), 0.5)


def test_kl_weights_act_on_their_own_site():
    settings = {"epochs": 20, "learning_rate": 1e-2}
    free = train(small(), peaks(), kl=0.01, **settings).kl[-1]
    tied = train(small(), peaks(), kl={"offset": 0.01, "z": 1000.0}, **settings).kl[-1]
    assert tied.sel(site="z") < 0.01 < free.sel(site="z")
    assert tied.sel(site="offset") > 0.3


# Reproducible, and without traces


def test_same_seed_same_result():
    one, other = small(), small()
    histories = [train(model, peaks(), seed=3, validation_fraction=0.2) for model in (one, other)]
    assert same(weights(one), weights(other))
    xr.testing.assert_identical(*histories)


def test_other_seed_other_result():
    one, other = small(), small()
    train(one, peaks(), seed=3)
    train(other, peaks(), seed=4)
    assert not same(weights(one), weights(other))


def test_the_users_random_state_does_not_matter():
    one, other = small(), small()
    train(one, peaks())
    torch.rand(7)
    train(other, peaks())
    assert same(weights(one), weights(other))


def test_global_state_is_untouched():
    store = {name: value.clone() for name, value in pyro.get_param_store().items()}
    torch_state, random_state = torch.get_rng_state(), random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002
    validates = Distribution._validate_args, pyro.infer.util._VALIDATION_ENABLED
    train(small(), peaks(), validation_fraction=0.2)
    assert same(store, dict(pyro.get_param_store().items()))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert random.getstate() == random_state
    assert str(np.random.get_state()) == str(numpy_state)  # noqa: NPY002
    assert (Distribution._validate_args, pyro.infer.util._VALIDATION_ENABLED) == validates


def test_global_state_is_untouched_after_an_error():
    model = small(VAE)
    torch_state, validates = torch.get_rng_state(), Distribution._validate_args
    with pytest.raises(TrainingError):
        train(model, Spy(peaks(), model, spoil_at=2))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert Distribution._validate_args == validates


def test_a_trained_model_is_in_evaluation_mode():
    model = small().train()
    train(model, peaks())
    assert not any(module.training for module in model.modules())


# Data sets and splits


@pytest.mark.parametrize("count", [1, 5])
def test_fewer_patches_than_a_batch_train(count):
    model = small()
    before = weights(model)
    history = train(model, peaks(count), batch_size=128)
    assert np.isfinite(history.loss).all()
    assert (history.loss != 0).all()
    assert not same(weights(model), before)


def test_every_patch_is_seen_once_per_epoch():
    model = small()
    spy = Spy(peaks(40), model)
    train(model, spy, epochs=2)
    batches = [index for learning, index in spy.gathered if learning]
    assert [len(index) for index in batches] == [16, 16, 8] * 2
    epochs = [[k for batch in part for k in batch] for part in (batches[:3], batches[3:])]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(40))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("count", [5, 40])
def test_training_begins_with_the_patches_whose_class_is_known(count):
    labels = np.full(40, np.nan)
    labels[:count] = np.arange(count) % 2
    patches = peaks(40).assign(label=labels)
    model = small(classes=2)
    spy = Spy(patches, model)
    spy.known = patches.known
    train(model, spy, epochs=3)
    batches = [index for learning, index in spy.gathered if learning]
    assert [len(index) for index in batches] == [16, 16, 8] * 3
    first, second, third = (
        [k for batch in batches[3 * epoch : 3 * epoch + 3] for k in batch] for epoch in range(3)
    )
    if count == 5:
        assert set(first) == set(second) == set(range(5))
    else:
        assert sorted(first) == sorted(second) == list(range(40))
    assert sorted(third) == list(range(40))


def test_validation_patches_are_never_trained_on():
    model = small()
    spy = Spy(peaks(40), model)
    during = []
    train(
        model, spy, validation_fraction=0.25, epochs=3,
        callbacks=[lambda *_: during.extend(spy.gathered) or spy.gathered.clear()],
    )  # fmt: skip
    first = next(k for k, (learning, _) in enumerate(during) if learning)  # after the dry run
    seen = [{k for learns, index in during[first:] if learns == want for k in index}
            for want in (True, False)]  # fmt: skip
    assert [len(part) for part in seen] == [30, 10]
    assert not seen[0] & seen[1]


def test_validating_does_not_move_the_weights(monkeypatch):
    watched, blind = small(), small()
    history = train(watched, peaks(), validation_fraction=0.25, epochs=3)
    assert np.isfinite(history.validation_loss).all()
    monkeypatch.setattr(Run, "_validate", lambda self, weights: 7.0)
    assert (train(blind, peaks(), validation_fraction=0.25, epochs=3).validation_loss == 7).all()
    assert same(weights(watched), weights(blind))


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_split_needs_patches_on_both_sides(fraction):
    with pytest.raises(DataError, match="at least one"):
        train(small(), peaks(), validation_fraction=fraction)


# More than one training in a process


def test_a_second_model_trains_as_well_as_the_first():
    first, second = small(), small()
    initial = train(first, peaks(), epochs=5, learning_rate=1e-2)
    alone = train(second, peaks(), epochs=5, learning_rate=1e-2)
    xr.testing.assert_identical(initial, alone)
    again = train(first, peaks(), epochs=5, learning_rate=1e-2)
    assert again.loss[-1] < initial.loss[-1]
    assert not same(weights(first), weights(second))


def test_a_second_fit_goes_on_at_its_own_learning_rate():
    model = small()
    first = train(model, peaks(), epochs=5, learning_rate=1e-2)
    before = weights(model)
    idle = train(model, peaks(), learning_rate=1e-30)
    assert same(weights(model), before)
    assert (idle.learning_rate == 1e-30).all()
    assert idle.loss[0] < first.loss[0]
    train(model, peaks(), learning_rate=1e-2)
    assert not same(weights(model), before)


def test_a_second_fit_keeps_the_scale_of_the_first_data():
    model = small()
    train(model, peaks())
    location = model.likelihood.location.clone()
    train(model, Patches.from_array(peaks().gather() + 5))
    assert torch.equal(model.likelihood.location, location)


# Options


def test_early_stopping_keeps_the_best_weights():
    model, kept = small(), []
    history = train(
        model, noise(), epochs=50, patience=2, validation_fraction=0.25, learning_rate=3e-2,
        callbacks=[lambda model, record: kept.append(weights(model))],
    )  # fmt: skip
    best = int(history.validation_loss.values.argmin())
    assert history.attrs["stopped"] == "patience"
    assert best == len(kept) - 3
    assert same(weights(model), kept[best])


def test_early_stopping_waits_for_the_annealing():
    model, kept = small(), []
    history = train(
        model, noise(), epochs=50, patience=2, validation_fraction=0.25, learning_rate=3e-2,
        kl={"z": KLAnnealing(0.01, 1.0, 12)},
        callbacks=[lambda model, record: kept.append(weights(model))],
    )  # fmt: skip
    best = 12 + int(history.validation_loss.values[12:].argmin())
    assert history.sizes["epoch"] == best + 3
    assert history.validation_loss[:12].min() < history.validation_loss[best]
    assert same(weights(model), kept[best])


def test_early_stopping_waits_for_a_function_of_the_epoch_to_settle():
    weight = [0.01] * 6 + [0.1] * 6 + [1.0] * 38
    history = train(
        small(), noise(), epochs=50, patience=2, validation_fraction=0.25, learning_rate=3e-2,
        kl={"z": lambda epoch: weight[epoch]},
    )  # fmt: skip
    stopped = history.sizes["epoch"]
    assert stopped < 50
    assert stopped == 12 + int(history.validation_loss.values[12:].argmin()) + 3
    assert history.kl_scale.sel(site="z").values.tolist() == weight[:stopped]


def test_best_weights_are_kept_when_epochs_run_out():
    model, kept = small(), []
    history = train(
        model, noise(), epochs=8, patience=7, validation_fraction=0.25, learning_rate=3e-2,
        callbacks=[lambda model, record: kept.append(weights(model))],
    )  # fmt: skip
    best = int(history.validation_loss.values.argmin())
    assert best < 7
    assert same(weights(model), kept[best])


def displacement(before, model):
    moved = [(value - before[name]).norm() for name, value in model.named_parameters()]
    return float(torch.stack(moved).norm().detach())


def test_gradients_are_clipped():
    distances = []
    for clip_norm in (1e-3, None):
        model = small()
        before = weights(model)
        train(
            model, peaks(), epochs=1, batch_size=48, clip_norm=clip_norm, learning_rate=0.01,
            optimizer=torch.optim.SGD,
        )  # fmt: skip
        distances.append(displacement(before, model))
    assert distances[0] == pytest.approx(0.01 * 1e-3, rel=1e-2)
    assert distances[1] > 10 * distances[0]


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.Rprop])
def test_any_optimizer_of_torch_trains(optimizer):
    """With one pass over all parameters where it has that, and without where it hasn't."""
    model = small()
    before = parameters(model)
    history = train(model, peaks(), epochs=1, optimizer=optimizer)
    assert math.isfinite(history.loss[0])
    after = parameters(model)
    assert not any(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("decoder", ["canvas", "spatial"])
@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_half_precision_trains_every_weight_and_keeps_the_posteriors_single(guide, decoder):
    model = small(guide=guide, decoder=decoder)
    before = parameters(model)
    history = train(model, peaks(), epochs=3, precision="bfloat16", validation_fraction=0.25)
    assert np.isfinite(history.loss).all()
    assert not any(torch.equal(before[name], value) for name, value in parameters(model).items())
    assert all(value.dtype == torch.float for value in parameters(model).values())
    assert not torch.is_autocast_enabled("cpu")
    single = small(guide=guide, decoder=decoder)
    exact = train(single, peaks(), epochs=3, validation_fraction=0.25)
    np.testing.assert_allclose(history.loss, exact.loss, rtol=0.02, atol=0.2)


def test_half_precision_reaches_the_networks_but_not_the_heads():
    model, seen = small(), {}

    def note(name):
        def hook(module, given, output):
            seen[name, module.training] = output.dtype

        return hook

    names = ("encoder.layers.1", "decoder.layers.0", "guide_module.heads.offset")
    for name in names:
        model.get_submodule(name).register_forward_hook(note(name))
    train(model, peaks(), epochs=1, precision="bfloat16", validation_fraction=0.25)
    training = [seen[name, True] for name in names]
    assert training == [torch.bfloat16, torch.bfloat16, torch.float]
    assert all(seen[name, False] == torch.float for name in names)


def test_cosine_schedule():
    history = train(small(), peaks(), epochs=4, learning_rate=0.1, schedule="cosine")
    expected = [0.1 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    np.testing.assert_allclose(history.learning_rate, expected)


def test_a_schedule_of_ones_own_is_followed():
    once, stopped = small(), small()
    train(once, peaks(), epochs=1)
    history = train(stopped, peaks(), epochs=3, schedule=lambda epoch: float(epoch == 0))
    np.testing.assert_allclose(history.learning_rate, [1e-3, 0, 0])
    assert same(weights(once), weights(stopped))


@pytest.mark.parametrize(
    "option",
    [
        {"epochs": 0},
        {"epochs": 2.0},
        {"epochs": "2"},
        {"batch_size": 0},
        {"batch_size": 16.0},
        {"learning_rate": 0},
        {"learning_rate": -1e-3},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"validation_fraction": 1.0},
        {"validation_fraction": -0.1},
        {"patience": 3},
        {"patience": 0, "validation_fraction": 0.2},
        {"clip_norm": 0},
        {"clip_norm": -1.0},
        {"schedule": "linear"},
        {"precision": "float16"},
        {"schedule": 0.9},
        {"kl": 0.0},
        {"kl": -1.0},
        {"kl": {"angle": 0.5}},
    ],
    ids=str,
)
def test_bad_options_are_refused(option):
    model = small()
    before = weights(model)
    with pytest.raises(SpecificationError, match=next(iter(option)).replace("kl", "KL|kl")):
        train(model, peaks(), **option)
    assert same(weights(model), before)


def test_whole_numbers_of_numpy_are_whole_numbers():
    train(small(), peaks(), epochs=np.int64(1), batch_size=np.int32(16))


# Callbacks and interruptions


def test_callbacks_get_the_model_and_the_record():
    model, seen = small(), []
    history = train(
        model, peaks(), epochs=3, validation_fraction=0.25,
        callbacks=[lambda *arguments: seen.append(copy.deepcopy(arguments[1])) or arguments[0]],
    )  # fmt: skip
    assert [record.loss for record in seen] == history.loss[: len(seen)].values.tolist()
    assert seen[0].kl.keys() == {"offset", "z"}
    assert seen[0].validation_loss == history.validation_loss[0]


def test_a_callback_stops_the_training():
    calls = []
    history = train(
        small(), peaks(), epochs=9,
        callbacks=[lambda *_: history_is(calls, 2), lambda *_: calls.append("second") or False],
    )  # fmt: skip
    assert history.sizes["epoch"] == 2
    assert history.attrs["stopped"] == "callback"
    assert calls == ["first", "second"] * 2


def history_is(calls, epochs):
    calls.append("first")
    return calls.count("first") == epochs


def interrupt_at(monkeypatch, number, error=KeyboardInterrupt):
    """Raise at the given step of the optimiser."""
    step, count = Run._step, iter(range(1, 10**6))

    def interrupted(self, *arguments):
        if next(count) == number:
            raise error
        return step(self, *arguments)

    monkeypatch.setattr(Run, "_step", interrupted)


@pytest.mark.parametrize(("number", "epochs"), [(1, 0), (2, 0), (4, 1), (8, 2)])
def test_ctrl_c_keeps_the_model_and_the_finished_epochs(monkeypatch, number, epochs):
    model, whole = small(), small()
    before = parameters(model)
    complete = train(whole, peaks(), epochs=4)
    interrupt_at(monkeypatch, number)
    history = train(model, peaks(), epochs=4)
    assert history.attrs["stopped"] == "interrupted"
    xr.testing.assert_equal(history, complete.isel(epoch=slice(epochs)))
    assert same(parameters(model), before) == (number == 1)
    assert not model.training


def test_ctrl_c_during_a_callback_keeps_the_finished_epochs():
    def interrupt(model, record):
        raise KeyboardInterrupt

    try:
        history = train(small(), peaks(), epochs=4, callbacks=[interrupt])
    except KeyboardInterrupt:
        pytest.fail("the interruption went through, and with it the history")
    assert history.sizes["epoch"] == 1
    assert history.attrs["stopped"] == "interrupted"


# Losses that are no numbers


@pytest.mark.parametrize("value", [math.inf, 1e30])
@pytest.mark.parametrize(("number", "where"), [(2, (1, 2)), (5, (2, 2)), (6, (2, 3))])
def test_a_loss_that_is_no_number_stops_the_training(value, number, where):
    model = small(VAE)
    kept = [parameters(model)]
    patches = Spy(peaks(), model, number, value)
    where = rf"no longer a finite number in epoch {where[0]}, batch {where[1]};"
    with pytest.raises(TrainingError, match=where) as caught:
        train(model, patches, callbacks=[lambda model, record: kept.append(parameters(model))])
    assert "a learning rate that is too high (it is 0.001" in str(caught.value)
    assert same(parameters(model), kept[-1])
    assert len(kept) == (number + 2) // 3


DIES = """
import torch, numpy as np
from pyroshift import Patches, ShiftVAE, fit
from pyroshift.errors import TrainingError

model = ShiftVAE((16,), latent_dim=1, guide="normal")
patches = Patches.from_array(np.random.default_rng(0).normal(size=(48, 16)))

def spoil(model, record):
    with torch.no_grad():
        model.guide_module.heads["offset"].bias[0] = float("nan")

try:
    fit(model, patches, epochs=3, batch_size=16, progress=False, callbacks=[spoil])
except TrainingError as error:
    print(error)
"""


def test_a_position_that_is_no_number_stops_the_training_but_not_the_process():
    done = subprocess.run([sys.executable, "-c", DIES], capture_output=True, text=True, check=True)
    assert "no longer a finite number in epoch 2, batch 1;" in done.stdout


@pytest.mark.parametrize(
    "batch_size",
    [
        16,
        48,
    ],
    ids=["fails within an epoch", "fails in the first batch of an epoch"],
)
def test_the_last_good_weights_are_good(batch_size):
    model = small(VAE)
    with pytest.raises(TrainingError):
        train(model, peaks(), epochs=5, batch_size=batch_size, learning_rate=1e25)
    with pyro.validation_enabled(False), torch.no_grad():
        found = model.guide_module.summary(model, peaks().gather())
    assert all(bool(torch.isfinite(value).all()) for value in found.values())


# What is checked before any step


def no_steps(monkeypatch):
    interrupt_at(monkeypatch, 1, AssertionError("a step was taken"))


def test_a_window_that_does_not_fit_is_refused_before_training(monkeypatch):
    no_steps(monkeypatch)
    with pytest.raises(DataError, match=r"windows of \(20,\).*\(\d+, 16\)"):
        train(small(window=(20,)), peaks())


def test_a_refused_window_leaves_the_model_as_it_was():
    model = small(window=(20,))
    before = weights(model)
    with pytest.raises(DataError):
        train(model, Patches.from_array(100 * peaks().gather()))
    assert same(weights(model), before)


@pytest.mark.parametrize(
    ("likelihood", "values", "message"),
    [
        ("bernoulli", np.arange(256), "normalize"),
        ("continuous_bernoulli", np.linspace(-0.1, 1, 256), "normalize"),
        ("poisson", np.arange(-1, 255), "counts"),
    ],
)
def test_data_out_of_range_are_refused_before_training(monkeypatch, likelihood, values, message):
    no_steps(monkeypatch)
    model = small(likelihood=likelihood)
    before = weights(model)
    with pytest.raises(DataError, match=message):
        train(model, Patches.from_array(np.reshape(values, (-1, LENGTH))))
    assert same(weights(model), before)


@pytest.mark.parametrize("make", [torch.as_tensor, np.asarray, xr.DataArray, list])
def test_what_is_no_patches_is_refused(make):
    windows = make(np.zeros((5, LENGTH), np.float32))
    with pytest.raises(DataError, match=r"Patches\.from_array"):
        train(small(), windows)


def test_annealing_that_outlasts_the_training_is_told_before_it():
    told = r"'z' ends at 0\.17 and not at 1.*takes 50 epochs.*at most 5 annealing epochs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)
        with pytest.warns(TrainingWarning, match=told):
            train(small(), noise(), epochs=5, kl={"z": KLAnnealing(0.1, 1.0, 50)})


def test_annealing_that_just_fits_is_not_told_of():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatentWarning)
        train(small(), noise(), epochs=3, kl=KLAnnealing(0.1, 1.0, 3))
        train(small(), noise(), epochs=1, kl=KLAnnealing(1.0, 1.0, 50))


# Other bounds


@pytest.mark.parametrize("elbo", [pyro.infer.Trace_ELBO, pyro.infer.TraceMeanField_ELBO])
def test_elbos_of_pyro(elbo):
    model = small()
    history = train(model, peaks(), epochs=15, learning_rate=1e-2, elbo=elbo(num_particles=2))
    assert history.loss[-1] < history.loss[0] - 10


class Shifted(pyro.infer.TraceMeanField_ELBO):
    """A bound that is 1,000 nats per patch looser."""

    def loss(self, *arguments, total, **options):
        return super().loss(*arguments, total=total, **options) + 1000 * total

    def loss_and_grads(self, *arguments, total, **options):
        return super().loss_and_grads(*arguments, total=total, **options) + 1000 * total


@pytest.mark.parametrize("kl", [1.0, KLAnnealing(0.1, 1.0, 2)])
def test_the_loss_is_of_the_bound_that_is_trained(kl):
    history = train(small(), peaks(), kl=kl, elbo=Shifted(), validation_fraction=0.25)
    ours = history.kl.sum("site") - history.log_likelihood
    # The two bounds are measured at samples of their own.
    assert bool((abs(history.loss - ours - 1000) < 20).all())
    assert bool((abs(history.validation_loss - ours - 1000) < 50).all())
    assert history.loss.attrs["long_name"] == "loss of Shifted of the training patches"
    assert train(small(), peaks()).loss.attrs["long_name"].startswith("negative ELBO")


class VonMisesFamily(GuideFamily):
    """A family that can't be reparametrised."""

    def size(self, event_shape):
        return 1

    def distribution(self, raw, prior):
        return dist.VonMises(raw[..., 0], torch.tensor(4.0))

    def summary(self, distribution):
        return distribution.mean, distribution.variance.sqrt()


def von_mises_model():
    site = Angle(dist.VonMises(0.0, 4.0), family=VonMisesFamily())
    return small(RVAE, window=(8, 8), priors={"angle": site})


def test_a_guide_without_gradients_is_told_which_bound_to_take():
    patches = extract_patches(np.random.default_rng(0).random((16, 16)), 8, 2)
    with pytest.raises(SpecificationError, match="TraceGraph_ELBO"):
        train(von_mises_model(), patches)


def test_a_guide_without_gradients_trains_with_another_bound():
    patches = extract_patches(np.random.default_rng(0).random((16, 16)), 8, 2)
    history = train(von_mises_model(), patches, elbo=pyro.infer.TraceGraph_ELBO())
    assert np.isfinite(history.loss).all()


# What the user sees


def test_progress_bar_shows_loss_and_kl(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LINES", "50")
    history = train(small(), peaks(), epochs=3, progress=True)
    shown = capsys.readouterr().err
    assert "epoch 3/3" in shown
    assert "9/9" in shown
    last = history.isel(epoch=-1)
    offset, z = last.kl.values
    assert f"loss {float(last.loss):.2f}, KL offset {offset:.2f}, z {z:.2f}" in shown


def test_without_progress_nothing_is_shown(capsys):
    train(small(), peaks())
    assert capsys.readouterr() == ("", "")


def test_collapsed_latents_are_warned_of():
    with pytest.warns(LatentWarning, match="'z' collapsed") as caught:
        train(small(VAE), peaks(), epochs=10, kl=1000.0)
    assert caught[0].filename.endswith("test_fit.py")


def test_offsets_beyond_a_narrow_prior_are_warned_of():
    """Offsets are uniform within ± 0.3 half-windows, the prior is 0.01 wide."""
    model = small(hidden=(64,), offset_scale=0.01)
    with pytest.warns(LatentWarning, match="'offset' lie beyond 2.5 prior widths"):
        train(model, peaks(200, noise=0.01), epochs=40, learning_rate=1e-2, kl={"offset": 0.01})


def test_a_healthy_model_is_not_warned_of():
    model = small(hidden=(64,))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LatentWarning)
        train(model, peaks(200, noise=0.05), epochs=40, learning_rate=1e-2)


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_heights_in_metres_train_as_in_any_unit(guide):
    data = peaks().gather()
    losses = []
    for unit in (1.0, 1e-12):
        model = small(guide=guide)
        losses.append(train(model, Patches.from_array(data * unit), epochs=3).loss.values)
    # The bound differs by the density's unit alone: nats per sample of a signal.
    np.testing.assert_allclose(losses[1] - losses[0], LENGTH * np.log(1e-12), rtol=1e-3)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.random.default_rng(0).random((20, LENGTH)), r"in \[0, 1\].*normalize=None"),
        (np.random.default_rng(0).random((20, LENGTH)) * 50, "aren't whole numbers"),
    ],
)
def test_data_that_are_no_counts_are_told(values, said):
    with pytest.warns(UserWarning, match=said) as caught:
        fit(small(likelihood="poisson"), Patches.from_array(values), epochs=1, progress=False)
    assert [each.filename for each in caught if "Poisson" in str(each.message)] == [__file__]


@pytest.mark.parametrize("rate", [0.05, 30])
def test_counts_are_counts_however_few(rate):
    values = np.random.default_rng(0).poisson(rate, (20, LENGTH))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", LatentWarning)
        fit(small(likelihood="poisson"), Patches.from_array(values), epochs=1, progress=False)


def test_a_training_that_fails_leaves_a_model_that_no_draw_changes():
    model = VAE((LENGTH,), 1)
    with pytest.raises(TrainingError):
        fit(model, noise(20), epochs=2, progress=False, learning_rate=1e30, clip_norm=None)
    assert not any(part.training for part in model.modules())


class LogNormal(Likelihood):
    """Of data above zero, in their own unit."""

    def distribution(self, output):
        return dist.LogNormal(output, 0.3)


@pytest.mark.parametrize("where", [(0, 0), (30, 5)])
def test_gaps_in_data_of_any_support_count_for_nothing(where):
    values = np.random.default_rng(0).lognormal(-1, 0.3, (40, LENGTH))
    values[where] = np.nan
    patches = Patches.from_array(values.astype(np.float32))
    history = fit(VAE((LENGTH,), 1, likelihood=LogNormal()), patches, epochs=2, progress=False)
    assert np.isfinite(history.loss).all()

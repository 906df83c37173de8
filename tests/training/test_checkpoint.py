"""Checkpoints: a run that was stopped ends as if it had not been."""

import math
import pickle
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
import xarray as xr

from pyroshift import (
    FullyConnectedEncoder,
    KLAnnealing,
    Patches,
    ShiftVAE,
    encode,
    fit,
    save,
    synthetic,
)
from pyroshift.errors import ModelFileError
from pyroshift.training import checkpoint as module
from pyroshift.training.history import EpochRecord
from pyroshift.training.run import Run

LENGTH = 16
DEFAULTS = {
    "epochs": 5,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "schedule": None,
    "progress": False,
}


def patches(n=48, shift=0.0):
    return Patches.from_array(synthetic.peaks(n, LENGTH)["signal"].values + np.float32(shift))


def small(hidden=16, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = FullyConnectedEncoder((LENGTH,), (hidden,))
    return ShiftVAE((LENGTH,), latent_dim=1, encoder=encoder, **{"guide": "normal", **options})


def train(model, data=None, **options):
    data = patches() if data is None else data
    return fit(model, data, **{**DEFAULTS, **options})


class KilledError(BaseException):
    """What no handler expects, as a process that dies."""


def stop_at(monkeypatch, number, error):
    """Raise at the given step of the optimiser."""
    step, count = Run._step, iter(range(1, 10**6))

    def stopped(self, *arguments):
        if next(count) == number:
            raise error
        return step(self, *arguments)

    monkeypatch.setattr(Run, "_step", stopped)


def assert_same_weights(one, other):
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


# Going on

RUNS = {
    "plain": {},
    "validation": {"validation_fraction": 0.25},
    "patience": {
        "validation_fraction": 0.25, "patience": 3, "epochs": 9, "learning_rate": 1e-2,
    },
    "annealing": {"kl": {"offset": KLAnnealing(0.1, 1.0, 4, shape="cosine"), "z": 0.5}},
    "annealing by a function": {"kl": lambda epoch: 0.1 + 0.2 * epoch},
    "cosine": {"schedule": "cosine", "learning_rate": 1e-2},
    "function": {"schedule": lambda epoch: 0.5**epoch},
    "momentum": {"optimizer": torch.optim.RMSprop, "clip_norm": None},
    "other bound": {"elbo": pyro.infer.Trace_ELBO()},
    "all": {
        "validation_fraction": 0.25, "patience": 2, "kl": KLAnnealing(0.1, 1.0, 2),
        "schedule": "cosine", "seed": 7, "epochs": 8, "learning_rate": 3e-2,
    },
}  # fmt: skip


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize(
    ("error", "steps"), [(KeyboardInterrupt, 3), (KilledError, 5), (KilledError, 7)]
)
def test_a_stopped_run_ends_as_if_it_had_not_been(tmp_path, monkeypatch, settings, error, steps):
    path = tmp_path / "new folder" / "run.ckpt"
    whole, resumed = small(), small(seed=9)  # the checkpoint brings the weights
    expected = train(whole, **settings)
    with monkeypatch.context() as patch:
        stop_at(patch, steps, error)
        try:
            history = train(small(), checkpoint=path, **settings)
        except KilledError:
            assert error is KilledError
        else:
            assert history.attrs["stopped"] == "interrupted"
    assert path.exists() == (steps > 3)
    if steps <= 3:  # nothing was finished, so the run starts afresh
        resumed = small()
    found = train(resumed, checkpoint=str(path), **settings)
    xr.testing.assert_identical(found, expected)
    assert_same_weights(resumed, whole)
    xr.testing.assert_identical(encode(resumed, patches()), encode(whole, patches()))
    assert sorted(path.parent.iterdir()) == [path]


def test_the_best_weights_outlive_a_stop(tmp_path, monkeypatch):
    """Stopped after the best epoch, so that its weights are in the checkpoint alone."""
    data = Patches.from_array(np.random.default_rng(0).normal(size=(48, LENGTH)))
    settings = {
        "data": data, "validation_fraction": 0.25, "patience": 3, "epochs": 50,
        "learning_rate": 3e-2,
    }  # fmt: skip
    whole, resumed = small(), small(seed=9)
    expected = train(whole, **settings)
    best, epochs = int(expected.validation_loss.values.argmin()), expected.sizes["epoch"]
    assert best == epochs - 4
    with monkeypatch.context() as patch:
        stop_at(patch, 3 * (epochs - 1) + 2, KeyboardInterrupt)  # three batches per epoch
        train(small(), checkpoint=tmp_path / "run.ckpt", **settings)
    found = train(resumed, checkpoint=tmp_path / "run.ckpt", **settings)
    xr.testing.assert_identical(found, expected)
    assert_same_weights(resumed, whole)


def test_a_checkpoint_does_not_change_the_run(tmp_path):
    with_one, without = small(), small()
    histories = [train(with_one, checkpoint=tmp_path / "run.ckpt"), train(without)]
    xr.testing.assert_identical(*histories)
    assert_same_weights(with_one, without)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": "cosine"},
        {"validation_fraction": 0.25, "patience": 2, "epochs": 40, "learning_rate": 3e-2},
    ],
    ids=["plain", "cosine", "patience"],
)
def test_a_finished_run_returns_at_once(tmp_path, monkeypatch, settings):
    path = tmp_path / "run.ckpt"
    model, again = small(), small(seed=9)
    history = train(model, checkpoint=path, **settings)
    written = path.read_bytes()
    stop_at(monkeypatch, 1, AssertionError("a step was taken"))
    xr.testing.assert_identical(train(again, checkpoint=path, **settings), history)
    assert_same_weights(model, again)
    assert path.read_bytes() == written


def test_epochs_may_be_added(tmp_path):
    longer, whole = small(), small()
    train(small(), checkpoint=tmp_path / "run.ckpt", epochs=2)
    history = train(longer, checkpoint=tmp_path / "run.ckpt", epochs=5)
    xr.testing.assert_identical(history, train(whole, epochs=5))
    assert_same_weights(longer, whole)


# Other runs

OTHER = {
    "batch_size": {"batch_size": 8},
    "learning_rate": {"learning_rate": 1e-2},
    "seed": {"seed": 1},
    "validation_fraction": {"validation_fraction": 0.5},
    "patience": {"patience": 9},
    "clip_norm": {"clip_norm": 1.0},
    "schedule": {"schedule": "cosine"},
    "kl": {"kl": 0.5},
    "optimizer": {"optimizer": torch.optim.SGD},
    "patches": {"data": patches(40)},
    "weights": {"model": small(hidden=8)},
}
UNNOTICED = {
    "prior": {"model": small(priors={"z": dist.Normal(0.0, 3.0)})},
    "likelihood": {"model": small(likelihood="continuous_bernoulli")},
    "data": {"data": patches(shift=5.0)},
    "bound": {"elbo": pyro.infer.Trace_ELBO()},
}


def resume_as_another(tmp_path, other, data=None, likelihood="gaussian"):
    path = tmp_path / "run.ckpt"
    settings = {"validation_fraction": 0.25, "epochs": 2}
    train(small(likelihood=likelihood), data=data, checkpoint=path, **settings)
    written = path.read_bytes()
    options = {"model": small(), "data": data, **settings, "epochs": 3, **other}
    with pytest.raises(ModelFileError, match="is from a different run") as caught:
        train(**options, checkpoint=path)
    assert path.read_bytes() == written
    return str(caught.value)


@pytest.mark.parametrize("name", OTHER)
def test_another_run_is_refused(tmp_path, name):
    message = resume_as_another(tmp_path, OTHER[name])
    assert f"{name} was " in message
    assert "give another path, or delete it" in message


@pytest.mark.parametrize("name", UNNOTICED)
def test_a_run_that_differs_in_other_ways_is_refused(tmp_path, name):
    kind = "bernoulli" if name == "likelihood" else "gaussian"  # with weights of the same shapes
    data = Patches.from_array(patches().gather(), normalize="patch")
    resume_as_another(tmp_path, UNNOTICED[name], data, kind)


def test_a_cosine_schedule_is_over_so_many_epochs(tmp_path):
    settings = {"schedule": "cosine", "checkpoint": tmp_path / "run.ckpt"}
    train(small(), epochs=2, **settings)
    with pytest.raises(ModelFileError, match="epochs was 2, is 3"):
        train(small(), epochs=3, **settings)


# Damaged and foreign files


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "run.ckpt"
    train(small(), checkpoint=path, epochs=2)
    return path


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_truncated_checkpoints_are_refused(written, share):
    content = written.read_bytes()
    written.write_bytes(content[: int(share * len(content))])
    model = small()
    before = {name: value.clone() for name, value in model.named_parameters()}
    with pytest.raises(ModelFileError, match="can't be read as a checkpoint: it is damaged"):
        train(model, checkpoint=written)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_altered_bytes_are_noticed(written, share):
    content = bytearray(written.read_bytes())
    content[int(share * len(content))] ^= 0x01
    written.write_bytes(content)
    with pytest.raises(ModelFileError):
        train(small(), checkpoint=written)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def foreign(path, kind):
    if kind == "text":
        path.write_text("epoch,loss\n1,2\n")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb(str(path) + ".ran")))
    elif kind == "torch pickle":
        torch.save({"format": module.FORMAT, "state": Bomb(str(path) + ".ran")}, path)
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "weights":
        torch.save(small().state_dict(), path)
    else:
        save(small(), path)


@pytest.mark.parametrize("kind", ["text", "pickle", "torch pickle", "tensor", "weights", "model"])
def test_foreign_files_are_refused_and_not_run(tmp_path, kind):
    path = tmp_path / "run.ckpt"
    foreign(path, kind)
    with pytest.raises(ModelFileError, match=r"run\.ckpt"):
        train(small(), checkpoint=path)
    assert list(tmp_path.iterdir()) == [path]


def part(name, value):
    def alter(content):
        content[name] = value

    return alter


MISSING = {
    "settings": lambda content: content.pop("settings"),
    "settings that are no JSON": part("settings", "{"),
    "records": lambda content: content.pop("records"),
    "records of another kind": part("records", "[{}]"),
    "state": lambda content: content.pop("state"),
    "optimiser": lambda content: content["state"].pop("optimizer"),
    "weights": lambda content: content["state"]["model"].popitem(),
}


@pytest.mark.parametrize("name", MISSING)
def test_checkpoints_with_parts_missing_are_refused(written, name):
    content = torch.load(written, weights_only=True)
    MISSING[name](content)
    torch.save(content, written)
    with pytest.raises(ModelFileError, match=r"run\.ckpt"):
        train(small(), checkpoint=written)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises((OSError, ModelFileError), match="checkpoint"):
        train(small(), checkpoint=tmp_path)


# The files themselves


def test_content_comes_back(tmp_path):
    path = tmp_path / "some" / "file.pt"
    content = {"format": "a format", "tensor": torch.arange(3.0), "nested": {"list": [1, "a"]}}
    module.write_torch(path, content)
    found = module.read_torch(path, "thing", "a format")
    assert torch.equal(found.pop("tensor"), content.pop("tensor"))
    assert found == content


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "file.pt"
    module.write_torch(path, {"format": "a", "value": 1})

    def breaks_off(target, content):
        with target.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_bytes", breaks_off)
    with pytest.raises(OSError, match="no space"):
        module.write_torch(path, {"format": "a", "value": 2})
    assert module.read_torch(path, "thing", "a")["value"] == 1


def test_files_that_are_absent_or_something_else_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no thing"):
        module.read_torch(tmp_path / "absent.pt", "thing", "a")
    module.write_torch(tmp_path / "file.pt", {"format": "b"})
    with pytest.raises(ModelFileError, match="is no thing: expected 'a', found 'b'"):
        module.read_torch(tmp_path / "file.pt", "thing", "a")


def test_records_come_back(tmp_path):
    records = [EpochRecord(1.5, -1.0, {"z": 0.5}, {"z": 0.1}, math.inf, 1e-3, 1)]
    settings = {"seed": 0, "kl": {"z": [1, 2.5]}, "schedule": None}
    path = tmp_path / "run.ckpt"
    module.write_checkpoint(path, settings, records, {"best": None, "model": {}})
    found, state = module.read_checkpoint(path, settings)
    assert found == records
    assert state == {"best": None, "model": {}}


def test_all_that_differs_is_named(tmp_path):
    path = tmp_path / "run.ckpt"
    module.write_checkpoint(path, {"seed": 0, "gone": 1, "same": 2}, [], {})
    with pytest.raises(ModelFileError) as caught:
        module.read_checkpoint(path, {"seed": 1, "new": 3, "same": 2})
    for words in ("gone was 1, is None", "new was None, is 3", "seed was 0, is 1"):
        assert words in str(caught.value)
    assert "same" not in str(caught.value).split("(")[1]


def test_a_prior_without_known_moments_trains_with_a_checkpoint(tmp_path):
    twice = dist.TransformedDistribution(
        dist.Normal(torch.zeros(1), 1.0), [dist.transforms.AffineTransform(0.0, 2.0)]
    )
    settings = {"checkpoint": tmp_path / "run.ckpt", "epochs": 2}
    history = train(small(priors={"z": twice}), **settings)
    xr.testing.assert_identical(train(small(priors={"z": twice}), **settings), history)


@pytest.mark.parametrize("given", [{"dose": np.arange(48.0)[::-1]}, {"dose": np.full(48, 2.0)}])
def test_other_covariates_are_another_run(tmp_path, given):
    settings = {"checkpoint": tmp_path / "run.ckpt", "progress": False, "schedule": None}
    first = patches().assign(dose=np.arange(48.0))
    fit(small(condition="dose"), first, epochs=2, **settings)
    with pytest.raises(ModelFileError, match="different run"):
        fit(small(condition="dose"), patches().assign(**given), epochs=3, **settings)
    fit(small(condition="dose"), first, epochs=3, **settings)


@pytest.mark.parametrize(
    ("name", "first", "second", "told"),
    [
        ("kl", lambda epoch: 0.1, lambda epoch: 5.0, "KL weight of 'offset' of epoch 1 was 0.1"),
        ("schedule", lambda epoch: 1.0, lambda epoch: 0.5, "learning rate of epoch 1 was 0.001"),
    ],
)
def test_functions_are_told_by_what_they_give(tmp_path, name, first, second, told):
    settings = {**DEFAULTS, "checkpoint": tmp_path / "run.ckpt"}
    fit(small(), patches(), **settings | {"epochs": 2, name: first})
    with pytest.raises(ModelFileError, match=told):
        fit(small(), patches(), **settings | {"epochs": 3, name: second})
    fit(small(), patches(), **settings | {"epochs": 3, name: first})


def test_numbers_of_numpys_are_written(tmp_path):
    settings = {
        "learning_rate": np.float32(1e-3),
        "seed": np.int64(3),
        "patience": np.int64(2),
        "validation_fraction": np.float32(0.25),
        "clip_norm": np.float32(1.0),
        "schedule": lambda epoch: np.float32(0.5),
    }
    fit(small(), patches(), epochs=1, progress=False, checkpoint=tmp_path / "run.ckpt", **settings)
    history = fit(small(), patches(), epochs=1, progress=False, **settings)
    assert history.seed == 3

"""What is written for TensorBoard, as its own reader sees it."""

import numpy as np
import pytest

import pyroshift as ps
from pyroshift.callbacks import TensorBoard
from pyroshift.errors import SpecificationError

event_accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard isn't installed"
)


def patches():
    return ps.Patches.from_array(np.random.default_rng(0).random((12, 8, 8)))


def read(folder):
    """Scalars by name and epoch, and the epochs of pictures."""
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    tags = events.Tags()
    scalars = {
        name: {event.step: event.value for event in events.Scalars(name)}
        for name in tags["scalars"]
    }
    return scalars, {name: [event.step for event in events.Images(name)] for name in tags["images"]}


def test_all_that_was_measured_is_there(tmp_path):
    board = TensorBoard(tmp_path / "run", every=2)
    options = {"epochs": 3, "validation_fraction": 0.25, "progress": False}
    history = ps.fit(ps.ShiftVAE(8), patches(), callbacks=[board], **options)
    scalars, images = read(tmp_path / "run")
    kl = {f"{name}/{site}" for name in ("kl", "kl_scale") for site in history.site.values}
    alone = {"loss", "log_likelihood", "validation_loss", "learning_rate"}
    assert set(scalars) == alone | kl
    for name, values in scalars.items():
        name, _, site = name.partition("/")
        expected = history[name].sel(site=site) if site else history[name]
        assert list(values) == [1, 2, 3]
        np.testing.assert_allclose(list(values.values()), expected, rtol=1e-6)
    assert images == {"manifold": [2, 3]}


def test_nothing_is_written_of_what_was_not_measured(tmp_path):
    ps.fit(ps.VAE(8), patches(), epochs=1, callbacks=[TensorBoard(tmp_path)], progress=False)
    assert "validation_loss" not in read(tmp_path)[0]


def test_a_run_that_goes_on_goes_on_in_its_folder(tmp_path):
    def interrupt(model, record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    options = {"epochs": 4, "checkpoint": tmp_path / "run.ckpt", "progress": False}
    ps.fit(ps.VAE(8), patches(), callbacks=[TensorBoard(tmp_path / "a"), interrupt], **options)
    history = ps.fit(ps.VAE(8), patches(), callbacks=[TensorBoard(tmp_path / "a")], **options)
    loss = read(tmp_path / "a")[0]["loss"]
    assert list(loss) == [1, 2, 3, 4]
    np.testing.assert_allclose(list(loss.values()), history.loss, rtol=1e-6)


def test_one_board_serves_one_training_after_the_other(tmp_path):
    board = TensorBoard(tmp_path)
    for epochs in (2, 1):
        ps.fit(ps.VAE(8), patches(), epochs=epochs, callbacks=[board], progress=False)
    assert list(read(tmp_path)[0]["loss"]) == [1]  # as TensorBoard has it: the later hides it


def test_options_that_cannot_work_are_told(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SpecificationError, match="is a file"):
        TensorBoard(tmp_path / "file")
    for options in ({"every": 0}, {"size": 1}):
        with pytest.raises(SpecificationError, match="every must be at least 1"):
            TensorBoard(tmp_path, **options)


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pyroshift\[tensorboard\]"):
        TensorBoard(tmp_path)

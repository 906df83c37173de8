"""Two processes train as one does."""

import os
import subprocess
import sys

import numpy as np
import pytest
import shared
import torch
import xarray as xr

import pyroshift as ps
from pyroshift.errors import SpecificationError

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes wrote."""
    path = tmp_path_factory.mktemp("processes")
    done = subprocess.run(
        [*TORCHRUN, shared.__file__, str(path)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["normal", "anchor", "classes", "shared"])
def test_as_one(folder, tmp_path, name):
    """Weights, what guides keep of batches, and what was measured, to 1e-5; stopped in between."""
    model = dict(shared.models())[name]
    history = shared.trained(name, model, tmp_path, None)
    for rank in range(2):
        other = ps.load(folder / f"{name}{rank}.pt")
        for key, value in model.state_dict().items():
            found = other.state_dict()[key]
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5, err_msg=key)
        measured = xr.load_dataset(folder / f"{name}{rank}.nc")
        assert measured.attrs["stopped"] == history.attrs["stopped"] == "completed"
        xr.testing.assert_allclose(measured, history, rtol=1e-5, atol=1e-5)


def test_processes_are_the_same_to_the_last_bit(folder):
    for name in dict(shared.models()):
        first, second = (ps.load(folder / f"{name}{rank}.pt").state_dict() for rank in range(2))
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_what_cant_be_shared_is_told(folder):
    for rank in range(2):
        data, tiles = (folder / f"told{rank}.txt").read_text().splitlines()
        assert "different numbers of patches" in data
        assert "prior of neighbours" in tiles


@pytest.mark.filterwarnings("ignore")
def test_the_command(folder, tmp_path):
    """The first process alone writes results, which are those of one."""
    assert shared.command(tmp_path) == 0
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {path.name for path in (folder / "by_command" / "results").iterdir()}
    histories = [
        xr.load_dataset(path / "results" / "history.nc")
        for path in (tmp_path, folder / "by_command")
    ]
    xr.testing.assert_allclose(*histories, rtol=1e-5, atol=1e-5)


def test_without_torchrun(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SpecificationError, match="start them by torchrun"):
        ps.fit(ps.VAE(8), shared.patches(), epochs=1, strategy="ddp", progress=False)


def test_unknown_strategy():
    with pytest.raises(SpecificationError, match="unknown strategy 'horovod'"):
        ps.fit(ps.VAE(8), shared.patches(), epochs=1, strategy="horovod", progress=False)

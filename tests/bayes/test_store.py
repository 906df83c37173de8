"""Draws that were stopped on their way into a store go on to the same result, bit for bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pyroshift as ps
from pyroshift.bayes import posterior as module
from pyroshift.bayes.store import InStore
from pyroshift.maps.unfinished import UNFINISHED

PARTS, DRAWS = 6, 25


def made():
    patches = ps.extract_patches(np.random.default_rng(0).random((16, 20)), 8, 4)
    return patches, ps.ShiftVAE(8, guide="normal")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "draws.zarr"


@pytest.fixture
def case(monkeypatch):
    """Patches on 3 by 4 places, and a model, whose draws are made in parts of two patches."""
    patches, model = made()
    monkeypatch.setattr(module, "_AT_ONCE", 2 * DRAWS * 64)
    assert len(list(module.parts_of(patches, 2))) == PARTS
    return patches, model


def drawn(case, path=None, **options):
    patches, model = case
    return ps.posterior(
        model, patches, **{"draws": DRAWS, "path": path, "progress": False, **options}
    )


@pytest.fixture
def stop_after(monkeypatch):
    """A function that makes draws stop with an error after so many parts; it lists the parts."""
    predicted = module.Drawing.predicted

    def stop(number, error=KeyboardInterrupt):
        done = []

        def counted(self, values):
            if len(done) == number:
                raise error
            done.append(self.index.tolist())
            return predicted(self, values)

        monkeypatch.setattr(module.Drawing, "predicted", counted)
        return done

    return stop


@pytest.mark.parametrize("done", range(1, PARTS))
def test_an_interrupted_run_keeps_its_parts_and_goes_on(case, path, stop_after, done):
    whole = drawn(case)
    stop_after(done)
    partly = drawn(case, path)
    assert UNFINISHED in partly.attrs
    there = partly["sample_stats"].lp.notnull().isel(chain=0, draw=0)
    assert int(there.sum()) == 2 * done
    lp = whole["sample_stats"].lp
    np.testing.assert_array_equal(partly["sample_stats"].lp, lp.where(there))
    again = stop_after(None)
    xr.testing.assert_identical(drawn(case, path).load(), whole)
    assert len(again) == PARTS - done


def test_an_interrupted_run_in_memory_has_nothing_to_keep(case, path, stop_after):
    stop_after(2)
    with pytest.raises(KeyboardInterrupt):
        drawn(case)
    stop_after(0)
    with pytest.raises(KeyboardInterrupt):
        drawn(case, path)
    assert not path.exists()


@pytest.mark.parametrize("where", ["add", "_create", "_note", "finish"])
def test_at_any_point_of_the_writing(case, path, monkeypatch, where):
    whole, method, calls = drawn(case), getattr(InStore, where), []

    def stopped(self, *arguments):
        calls.append(where)
        if len(calls) == (3 if where in ("add", "_note") else 1):
            raise OSError(28, "no space left on device")
        return method(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(InStore, where, stopped)
        with pytest.raises(OSError, match=r"(?i)no space left"):
            drawn(case, path)
    xr.testing.assert_identical(drawn(case, path).load(), whole)


def test_stopped_while_the_store_is_made(case, path, monkeypatch):
    """Some of the groups are there, and none of their values."""
    whole, empty, calls = drawn(case), InStore.empty, []

    def stopped(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise MemoryError
        return empty(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(InStore, "empty", stopped)
        with pytest.raises(MemoryError):
            drawn(case, path)
    assert path.exists()
    xr.testing.assert_identical(drawn(case, path).load(), whole)


CODE = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from test_store import made
import pyroshift as ps
from pyroshift.bayes import posterior as module
from pyroshift.bayes.store import InStore
module._AT_ONCE = 2 * 25 * 64
add, calls = InStore.add, []
def killed(self, groups, part):
    add(self, groups, part)
    calls.append(part)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
InStore.add = killed
patches, model = made()
ps.posterior(model, patches, draws=25, path=sys.argv[1], progress=False)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there are no such signals")
def test_a_killed_process_is_gone_on_with_by_another(case, path, stop_after):
    whole = drawn(case)
    arguments = [sys.executable, "-c", CODE, str(path), str(Path(__file__).parent)]
    ended = subprocess.run(arguments, env=dict(os.environ), check=False)
    assert ended.returncode == -signal.SIGKILL
    again = stop_after(None)
    xr.testing.assert_identical(drawn(case, path).load(), whole)
    assert len(again) == PARTS - 3


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"draws": 26}, "draws"),
        ({"proposals": 30}, "proposals"),
        ({"predictive": False}, "predictive"),
        ({"seed": 1}, "seed"),
        ({"batch_size": 100}, "batch_size"),
    ],
)
def test_another_run_is_refused_unless_it_overwrites(case, path, stop_after, options, told):
    stop_after(2)
    drawn(case, path)
    stop_after(None)
    with pytest.raises(FileExistsError, match=f"another .*{told}"):
        drawn(case, path, **options)
    tree = drawn(case, path, overwrite=True, **options)
    assert UNFINISHED not in tree.attrs
    assert tree["sample_stats"].lp.notnull().all()


def test_other_windows_and_other_weights_are_refused(case, path, stop_after):
    patches, model = case
    stop_after(2)
    drawn(case, path)
    stop_after(None)
    with pytest.raises(FileExistsError, match="another patches"):
        drawn((ps.extract_patches(np.random.default_rng(9).random((16, 20)), 8, 4), model), path)
    with pytest.raises(FileExistsError, match="another patches"):
        drawn((patches.assign(dose=2.0), model), path)
    with pytest.raises(FileExistsError, match="another weights"):
        drawn((patches, ps.ShiftVAE(8, guide="normal", seed=1)), path)


def test_what_is_no_store_is_never_touched(case, path):
    path.mkdir()
    (path / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="no Zarr store of draws"):
            drawn(case, path, overwrite=overwrite)
    assert (path / "thesis.tex").read_text() == "mine"


def test_the_interruption_is_told_with_the_progress(case, path, stop_after, capsys):
    stop_after(2)
    drawn(case, path, progress=True)
    assert f"interrupted after 2 of {PARTS} parts" in capsys.readouterr().out
    stop_after(None)
    drawn(case, path, progress=True)
    shown = capsys.readouterr().err
    assert "100%" in shown
    assert " 0%" not in shown

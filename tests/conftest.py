"""What all tests share: one thread, no screen, and a guard on the process's global state.

Every test starts from the same torch random state, so that statistical tests give the same result
in every run; the failure rates that they state are those of a fresh seed. Tests that want numbers
of their own take a `torch.Generator`, or `torch.random.fork_rng`, as the library does.
"""

import os
from contextlib import contextmanager

import matplotlib
import pyro
import pytest
import torch
from matplotlib.figure import Figure

if os.environ.get("PYROSHIFT_CHECK_SHAPES"):  # see test_shapes.py; before the package is imported
    from checked import check_shapes

    check_shapes()

from pyroshift.model.families import GuideFamily

matplotlib.use("Agg")
torch.set_num_threads(1)

USERS_SEED = 20231
USERS_PARAM = "a parameter of the user's own"


def pytest_make_parametrize_id(config, val, argname):
    """Distributions, modules and guide families by their class's name."""
    named = isinstance(val, torch.distributions.Distribution | torch.nn.Module | GuideFamily)
    return type(val).__name__ if named else None


@pytest.fixture(autouse=True)
def global_state_guard():
    """No call may reseed the process, or drop or move what the user keeps in Pyro's store."""
    pyro.clear_param_store()
    kept = pyro.param(USERS_PARAM, torch.tensor([1.25])).detach().clone()
    torch.default_generator.manual_seed(USERS_SEED)  # quicker than torch.manual_seed
    yield
    reseeded = torch.initial_seed() != USERS_SEED
    store = pyro.get_param_store()
    dropped = USERS_PARAM not in store or not torch.equal(store[USERS_PARAM], kept)
    pyro.clear_param_store()
    assert not reseeded, "the process was reseeded: seed inside torch.random.fork_rng()"
    assert not dropped, "what the user had in Pyro's parameter store was dropped or moved"


@pytest.fixture
def untouched():
    """A context in which torch's random state and Pyro's parameter store must not change."""

    @contextmanager
    def guard():
        state, names = torch.get_rng_state(), set(pyro.get_param_store().keys())
        yield
        assert torch.equal(torch.get_rng_state(), state), "the global random state moved"
        assert set(pyro.get_param_store().keys()) == names, "the parameter store changed"

    return guard


@pytest.fixture
def largest_file():
    """A context in which no file may become larger, in bytes, as where there is no space left."""
    resource = pytest.importorskip("resource", reason="Windows has no limit of a file's size")

    @contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


class Blank:
    """In place of `pyroshift.plot`: every figure is empty."""

    def __getattr__(self, name):
        return lambda *given, **options: Figure(figsize=(1, 1))


@pytest.fixture(autouse=True)
def blank_pictures(request):
    """Commands write blank pictures, since to draw them takes most of a short run.

    What pictures show is tested in tests/plot, and with each command by a test marked `pictures`.
    """
    if request.path.parent.name == "cli" and not request.node.get_closest_marker("pictures"):
        patch = request.getfixturevalue("monkeypatch")
        patch.setattr("pyroshift.plot", Blank())
        patch.setattr("pyroshift.cli.folder.plot", Blank())

"""What tests of several commands share."""

import pytest
from matplotlib.figure import Figure

from pyroshift.cli import folder


class Blank:
    """In place of `pyroshift.plot`: every figure is empty."""

    def __getattr__(self, name):
        return lambda *given, **options: Figure(figsize=(1, 1))


@pytest.fixture
def blank_figures(monkeypatch):
    """Results come with empty figures."""
    monkeypatch.setattr(folder, "plot", Blank())

"""Commands write blank pictures, since to draw them takes most of a short run.

What pictures show is tested in tests/plot, and with each command by a test marked `pictures`.
"""

import pytest
from matplotlib.figure import Figure

from pyroshift.cli import folder


class Blank:
    """In place of `pyroshift.plot`: every figure is empty."""

    def __getattr__(self, name):
        return lambda *given, **options: Figure(figsize=(1, 1))


@pytest.fixture(autouse=True)
def _blank_pictures(request, monkeypatch):
    if not request.node.get_closest_marker("pictures"):
        monkeypatch.setattr("pyroshift.plot", Blank())
        monkeypatch.setattr(folder, "plot", Blank())

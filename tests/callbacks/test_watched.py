"""Pictures that are drawn in a notebook as a model trains."""

import base64
import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import pyroshift as ps
from pyroshift.callbacks import Live, live
from pyroshift.errors import SpecificationError


class Page:
    """What stands below a notebook's cell: each time it was drawn."""

    def __init__(self):
        self.drawn = []

    def update(self, page):
        self.drawn.append(page.data)


@pytest.fixture
def pages(monkeypatch):
    """A notebook, as far as `Live` sees it, and the places in which it draws there."""
    made = []

    def display(page, display_id):
        made.append(Page())
        made[-1].update(page)
        return made[-1]

    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.setattr("IPython.display.display", display)
    return made


@pytest.fixture
def quick(monkeypatch):
    """Pictures that aren't rendered."""
    monkeypatch.setattr(live, "_picture", lambda name, figure: name)


def patches():
    return ps.Patches.from_array(np.random.default_rng(0).random((12, 8, 8)))


def pictures(html):
    """Grey levels of each picture on a page."""
    return {
        name: np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("L"))
        for name, png in re.findall(r'<img alt="(\w+)".*?base64,([^"]+)"', html)
    }


def test_history_and_manifold_are_drawn_anew_in_one_place(pages):
    callback = Live(size=2, share=1.0)
    ps.fit(ps.VAE(8, latent_dim=1), patches(), epochs=2, callbacks=[callback], progress=False)
    (page,) = pages
    first, second, _ = map(pictures, page.drawn)  # after each epoch, and at the end
    assert set(first) == {"history", "manifold"}
    assert min(picture.std() for picture in first.values()) > 10
    assert np.any(first["manifold"] != second["manifold"])


def test_each_training_has_a_place_of_its_own(pages, quick):
    callback = Live(share=1.0)
    for epochs in (3, 1):
        ps.fit(ps.VAE(8), patches(), epochs=epochs, callbacks=[callback], progress=False)
    assert [len(page.drawn) for page in pages] == [4, 2]


def test_one_after_an_error_has_its_own_place_too(pages, quick):
    def fail(model, record):
        raise OSError("no space")

    callback = Live(share=1.0)
    with pytest.raises(OSError, match="no space"):
        ps.fit(ps.VAE(8), patches(), epochs=3, callbacks=[callback, fail], progress=False)
    ps.fit(ps.VAE(8), patches(), epochs=1, callbacks=[callback], progress=False)
    assert [len(page.drawn) for page in pages] == [1, 2]


def test_drawing_takes_no_more_than_its_share(pages, quick, monkeypatch):
    clock = iter(np.arange(0, 1e6, 1.0))  # a second from each look to the next
    monkeypatch.setattr(live, "monotonic", lambda: next(clock))
    callback = Live(share=0.1)
    ps.fit(ps.VAE(8), patches(), epochs=40, callbacks=[callback], progress=False)
    assert 3 <= len(pages[0].drawn) <= 7


def test_it_is_an_option_of_fit_and_changes_nothing_of_it(pages, quick):
    models = [ps.ShiftVAE(8), ps.ShiftVAE(8)]
    options = {"epochs": 2, "progress": False}
    watched, alone = (
        ps.fit(model, patches(), live=shown, **options)
        for model, shown in zip(models, (True, False), strict=True)
    )
    assert watched.identical(alone)
    assert len(pages) == 1


def test_ctrl_c_leaves_the_last_pictures(pages, quick):
    def interrupt(model, record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    callbacks = [Live(share=1.0), interrupt]
    history = ps.fit(ps.VAE(8), patches(), epochs=5, callbacks=callbacks, progress=False)
    assert history.stopped == "interrupted"
    assert len(pages[0].drawn) == 3


@pytest.mark.parametrize("installed", [True, False])
def test_elsewhere_than_in_a_notebook_it_says_so_before_the_work(installed, monkeypatch):
    if not installed:
        monkeypatch.setitem(sys.modules, "IPython", None)
    epochs = []
    with pytest.raises(SpecificationError, match="need a notebook"):
        ps.fit(ps.VAE(8), patches(), epochs=1, live=True, callbacks=[lambda *_: epochs.append(1)])
    assert epochs == []


@pytest.mark.parametrize(
    ("options", "says"), [({"size": 1}, "size must be"), ({"share": 0.0}, "share must be")]
)
def test_options_that_cannot_work_are_told(options, says, pages):
    with pytest.raises(SpecificationError, match=says):
        Live(**options)

"""The code of the how-to pages runs, from top to bottom of each, on small data."""

import warnings

import matplotlib.pyplot as plt
import pytest
import torch
from pages import SITE, blocks, named
from small_data import in_place

import pyroshift as ps

PAGES = [*(SITE / "howto").glob("*.md"), SITE / "read.md", SITE / "start.md"]
RUN = [path for path in sorted(PAGES) if blocks(path.read_text(), "python")]
# Short trainings of few windows leave latents as they were, and annealing unfinished.
EXPECTED = (ps.errors.LatentWarning, ps.errors.TrainingWarning)
TOLD = (".*positions are left out", "the standard errors are of", "the posterior of")


@pytest.mark.parametrize("path", RUN, ids=named)
def test_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    with in_place(monkeypatch), warnings.catch_warnings(), torch.random.fork_rng():
        for category in EXPECTED:
            warnings.simplefilter("ignore", category)
        for message in TOLD:
            warnings.filterwarnings("ignore", message)
        for code in blocks(path.read_text(), "python"):
            exec(compile(code, named(path), "exec"), names)
    plt.close("all")

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

import pyroshift
from pyroshift.report import Run, Setting, write_report

PNG = b"\x89PNG not really"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags match, and collects the text, the headings and the pictures."""

    def __init__(self, html):
        super().__init__()
        self.open, self.words, self.headings, self.sources = [], [], [], []
        self.feed(html)
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        self.words.append(data)


@pytest.fixture(scope="module")
def trained():
    patches = pyroshift.extract_patches(np.random.default_rng(0).random((32, 40)), 16)
    model = pyroshift.RVAE(16, offsets=True, guide="normal")
    history = pyroshift.fit(model, patches, epochs=2, progress=False)
    return pyroshift.encode(model, patches).drop_vars("collapsed", errors="ignore"), history


RUN = Run(
    source="<lattice> & co.tif",
    command="pyroshift fit '<lattice> & co.tif'",
    settings=[
        Setting("--window", (16, 16), "size of the windows"),
        Setting("--step", None, "from one to the next"),
        Setting("--offsets", True, "shifts as well"),
    ],
    notes=["z <collapsed>"],
)


def test_shows_what_there_is(tmp_path, trained):
    for name in ("maps.png", "manifold.png", "reconstructions.png", "training.png"):
        (tmp_path / name).write_bytes(PNG)
    path = write_report(tmp_path, *trained, RUN)
    page = Page(path.read_text(encoding="utf-8"))
    assert path == tmp_path / "report.html"
    assert len(page.sources) == 4
    assert {"Notes", "Maps", "The training", "Settings"} <= set(page.headings)
    assert "RVAE: <lattice> & co.tif" in page.text
    assert "pyroshift fit '<lattice> & co.tif'" in page.text
    assert "z <collapsed>" in page.text
    assert "--window 16 x 16 size of the windows" in page.text
    assert "--step not given from one to the next" in page.text
    assert "--offsets yes shifts as well" in page.text
    for name in ("offset", "angle", "z", "ELBO"):
        assert f"{name} says" in page.text
    assert f"pyroshift {pyroshift.__version__}" in page.text


def test_is_complete_in_itself(tmp_path, trained):
    (tmp_path / "maps.png").write_bytes(PNG)
    html = write_report(tmp_path, *trained, RUN).read_text(encoding="utf-8")
    assert all(source.startswith("data:image/png;base64,") for source in Page(html).sources)
    assert not re.search(r"https?://|<script|<link", html)


def test_leaves_out_what_there_is_not(tmp_path, trained):
    maps, history = trained
    run = Run("image", "pyroshift", settings=[])
    path = write_report(tmp_path, maps.drop_vars(["angle", "angle_std"]), history, run)
    page = Page(path.read_text(encoding="utf-8"))
    assert "Notes" not in page.headings
    assert "Maps" not in page.headings
    assert "angle says" not in page.text
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_tells_how_much_each_latent_varies(tmp_path, trained):
    maps, history = trained
    maps = maps.copy(deep=True)
    maps["z"][..., 1] = np.where(np.arange(4) % 2, 3.0, -3.0)
    maps["z_std"][..., 1] = 0.125
    page = Page(write_report(tmp_path, maps, history, RUN).read_text(encoding="utf-8"))
    assert "z 1 3 0.12" in page.text
    assert re.search(r"offset y \S+ px \S+ px", page.text)


def test_names_what_collapsed(tmp_path, trained):
    maps, history = trained
    maps = maps.assign_coords(collapsed=("latent", [False, True]))
    html = write_report(tmp_path, maps, history, RUN).read_text(encoding="utf-8")
    assert re.findall(r"<tr class='collapsed'><td>([^<]*)</td>", html) == ["z 1, collapsed"]
    assert "<tr><td>z 0</td>" in html
    assert "collapsed" in Page(html).text


@pytest.mark.parametrize(("share", "advised"), [(0.9, True), (0.2, False)])
def test_tells_how_much_of_z_is_brightness(tmp_path, trained, share, advised):
    blur = xr.DataArray([share, np.nan], dims="latent")
    text = Page(write_report(tmp_path, *trained, RUN, blur).read_text(encoding="utf-8")).text
    assert f"explains {share:.2f} of z 0" in text
    assert "z 1." not in text.split("explains")[1].split("--")[0]
    assert ("--brightness site" in text) is advised


def test_tells_how_poses_were_found(tmp_path, trained):
    maps, history = trained
    (tmp_path / "maps.png").write_bytes(PNG)
    text = Page(write_report(tmp_path, maps, history, RUN).read_text(encoding="utf-8")).text
    assert "described by a RVAE with NormalGuide" in text
    assert "without --guide normal" in text
    assert "--symmetry" in text


def test_without_a_whole_epoch(tmp_path, trained):
    maps, history = trained
    page = write_report(tmp_path, maps, history.isel(epoch=slice(0)), RUN).read_text()
    assert "trained for 0 epochs." in Page(page).text


def test_its_python_runs(tmp_path, trained, monkeypatch):
    maps, history = trained
    maps.to_netcdf(tmp_path / "maps.nc")
    pyroshift.save(pyroshift.RVAE(16, offsets=True), tmp_path / "model.pt")
    page = write_report(tmp_path, maps, history, RUN).read_text(encoding="utf-8")
    code = re.search(r"<pre>(import xarray.*?)</pre>", page, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    variables = {}
    exec(code.replace("&#x27;", "'"), variables)
    assert isinstance(variables["reconstructed"], xr.DataArray)

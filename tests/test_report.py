import json
import re

import numpy as np
import pytest
import xarray as xr
from markup import Markup

import pyroshift
from pyroshift.report import Run, Setting, write_report

PNG = b"\x89PNG not really"


class Page(Markup):
    """Checks that tags match, and collects the text, the headings and the pictures."""

    def __init__(self, html):
        self.headings, self.sources = [], []
        super().__init__(html)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert tag not in self.void
        super().handle_endtag(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        super().handle_data(data)


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


def test_links_the_explorer(tmp_path, trained):
    assert "explore.html" not in write_report(tmp_path, *trained, RUN).read_text(encoding="utf-8")
    (tmp_path / "explore.html").write_text("a page")
    page = Page(write_report(tmp_path, *trained, RUN).read_text(encoding="utf-8"))
    assert page.sources == ["explore.html"]
    assert "Explore the image" in page.text


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


def test_what_a_blur_explains_of_a_latent_that_collapsed_is_nothing(tmp_path, trained):
    blur = xr.DataArray([0.1, 0.9], dims="latent")
    maps = trained[0].assign_coords(collapsed=("latent", [False, True]))
    text = told(tmp_path, maps, trained[1], RUN, blur)
    assert "explains 0.10 of z 0." in text
    assert "--brightness" not in text


def told(folder, *given, **more):
    return Page(write_report(folder, *given, **more).read_text(encoding="utf-8")).text


def test_tells_lengths_with_a_prefix(tmp_path, trained):
    maps, history = trained
    maps = maps.copy(deep=True)
    maps["offset"].values[:] = np.where(np.arange(4) % 2, 3e-9, -3e-9)[:, None]
    maps["offset"].attrs["units"] = "m"
    assert "offset y 3 nm" in told(tmp_path, maps, history, RUN)


def with_classes(maps, best):
    """Maps of three classes, as sure as 0.75; NaN where there is no window."""
    other = np.where(best == 1, 0, 1)
    each = sum(
        share * (number[..., None] == range(3)) for share, number in ((0.75, best), (0.25, other))
    )
    variables = {"class": (("y", "x"), best), "class_probability": (("y", "x", "kind"), each)}
    known = maps.assign(variables).assign_coords(kind=["0", "1", "2"])
    return known.where(known["class"].notnull())


def test_tells_what_classes_there_are(tmp_path, trained):
    maps, history = trained
    best = np.ones((3, 4))
    best[0], best[1, 0] = 0.0, np.nan
    (tmp_path / "maps.png").write_bytes(PNG)
    (tmp_path / "manifold.png").write_bytes(PNG)
    maps = with_classes(maps, best)
    html = write_report(tmp_path, maps, history, RUN).read_text(encoding="utf-8")
    text = Page(html).text
    assert "class 0 4 (36.4%) 0.75 class 1 7 (63.6%) 0.75 class 2 0 (0.0%)" in text
    assert "<tr class='collapsed'><td>class 2</td>" in html
    assert "class says which kind" in text
    assert "Each class has tiles of its own" in text
    assert "(1 of them left out, as they miss too many pixels)" in text
    assert "Classes" not in Page(write_report(tmp_path, *trained, RUN).read_text()).headings


def test_tells_of_channels_and_gaps(tmp_path, trained):
    maps, history = trained
    (tmp_path / "maps.png").write_bytes(PNG)
    plain = told(tmp_path, maps, history, RUN)
    assert "Light grey" not in plain
    assert "Windows of 16 x 16 pixels, 3 along y" in plain
    assert "Light grey" in told(tmp_path, maps, history, RUN, gaps=True)
    configuration = {"model": "RVAE", "channels": ["height", "current", "phase"]}
    channels = maps.assign_attrs(configuration=json.dumps(configuration))
    blur = xr.DataArray([0.9, 0.1], dims="latent")
    text = told(tmp_path, channels, history, RUN, blur)
    assert "Windows of 16 x 16 pixels of height, current and phase, 3 along y" in text
    assert "The channels of the image come first" in text
    assert "--normalize patch takes it out" in text
    assert "--brightness" not in text
    phases = configuration | {"phase_periods": {"phase": 360.0}}
    text = told(tmp_path, maps.assign_attrs(configuration=json.dumps(phases)), history, RUN, blur)
    assert "--normalize" not in text


def test_tells_settings_of_channels_in_words(tmp_path, trained):
    settings = [
        Setting("--channel", ["height", "phase"], "which"),
        Setting("--likelihood", {"": "gaussian", "phase": "von_mises"}, "noise"),
    ]
    text = told(tmp_path, *trained, Run("image", "pyroshift", settings))
    assert "--channel height, phase which" in text
    assert "--likelihood gaussian, phase=von_mises noise" in text


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

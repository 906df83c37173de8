"""Deflections at the command line: results, their report, and what can't be mapped."""

import numpy as np
import pytest
import xarray as xr
from commands import rejected

from pyroshift import synthetic
from pyroshift.cli import main
from pyroshift.cli.folder import CHECKPOINT, PATTERN_RESULTS, RESULTS

QUICK = ("--epochs", "1", "--quiet")


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.npy"
    np.save(path, synthetic.diffraction((6, 7), (16, 16), 5).pattern.values)
    return path


@pytest.mark.pictures
def test_a_folder_of_results_with_a_report(scan, tmp_path):
    out = tmp_path / "deflection"
    steps = ("--scan-step", "0.5", "nm", "--detector-step", "0.8", "mrad")
    assert main(["patterns", str(scan), *QUICK, *steps, "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {*RESULTS, *PATTERN_RESULTS, CHECKPOINT}
    maps = xr.load_dataset(out / "maps.nc")
    assert dict(maps.offset.sizes) == {"y": 6, "x": 7, "axis": 2}
    assert (maps.offset.units, maps.x.units) == ("mrad", "nm")
    page = (out / "report.html").read_text()
    for heading in ("Deflection", "The mean pattern", "Maps"):
        assert f"<h2>{heading}</h2>" in page
    assert "--detector-step" in page
    assert "moiré" not in page  # what offsets say of a lattice


def test_bins_masks_and_regions(scan, tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[8:, 7:9] = 1
    np.save(tmp_path / "stop.npy", mask)
    options = ["--mask", tmp_path / "stop.npy", "--region", "x", "2", "6", "--binning", "2"]
    out = tmp_path / "deflection"
    assert main(["patterns", str(scan), *QUICK, *map(str, options), "--out", str(out)]) == 0
    maps = xr.load_dataset(out / "maps.nc")
    assert dict(maps.elbo.sizes) == {"y": 6, "x": 5}
    assert np.isfinite(maps.elbo).all()


def test_what_cannot_be_mapped_is_told(scan, tmp_path, capsys):
    out = ("--out", tmp_path / "out")

    def told(values, *options):
        np.save(tmp_path / "bad.npy", values)
        return rejected(capsys, "patterns", tmp_path / "bad.npy", *out, *options)

    counts = np.load(scan).astype(float)
    assert "go down to -1" in told(counts - 1)
    assert "all pixels of the patterns are 0" in told(0 * counts)
    assert "four axes" in told(counts[0])
    assert "1 x 1 positions" in told(counts[:1, :1])
    assert "infinite" in told(counts + np.inf)
    assert "NaN" in told(counts + np.nan)
    assert "--region" in told(counts, "--region", "z", "0", "1")
    assert "'wide'" in told(counts, "--scan-step", "wide", "nm")
    assert not (tmp_path / "out").exists()

"""Strain at the command line: results, their report, and what it is told from."""

import csv

import numpy as np
import pytest
import xarray as xr
from commands import rejected

from pyroshift import synthetic
from pyroshift.cli import main
from pyroshift.cli.folder import CHECKPOINT, RESULTS
from pyroshift.cli.strain import STRAIN_RESULTS

QUICK = ("--window", "16", "--step", "8", "--epochs", "2", "--quiet")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("lattice") / "lattice.npy"
    np.save(path, synthetic.lattice_image((112, 120), period=10, noise=0.1).image.values)
    return path


@pytest.mark.pictures
def test_a_folder_of_results_with_a_report(image, tmp_path):
    out = tmp_path / "strain"
    assert main(["strain", str(image), *QUICK, "--out", str(out), "--resolution", "20"]) == 0
    assert {path.name for path in out.iterdir()} == {*RESULTS, *STRAIN_RESULTS, CHECKPOINT}
    strained = xr.load_dataset(out / "strain.nc")
    assert strained.resolution == 20
    assert float(abs(strained.exx).mean()) < 0.02
    displaced = xr.load_dataset(out / "displacement.nc")
    assert np.allclose(np.linalg.norm(displaced.lattice_vectors, axis=1), 10, rtol=0.01)
    with (out / "dislocations.csv").open() as file:
        assert next(csv.reader(file)) == ["y", "x", "burgers_y", "burgers_x"]
    page = (out / "report.html").read_text()
    for heading in ("Strain", "How much the lattice is strained", "Displacement", "Maps"):
        assert f"<h2>{heading}</h2>" in page
    assert "--resolution" in page
    assert "exx" in page


def test_vectors_region_and_their_names(image, tmp_path):
    out = tmp_path / "strain"
    lattice = ["--vectors", "10.5", "0", "0", "10", "--fixed", "--finite", "--credible", "0.5"]
    command = ["strain", str(image), *QUICK, "--out", str(out)]
    assert main([*command, *lattice]) == 0
    first = xr.load_dataset(out / "strain.nc")
    assert float(first.eyy.mean()) == pytest.approx(10 / 10.5 - 1, abs=0.01)
    assert (first.finite, first.credible) == (1, 0.5)
    assert main([*command, "--region", "0", "112", "0", "120", "--overwrite"]) == 0
    again = xr.load_dataset(out / "strain.nc")
    assert abs(float(again.eyy.mean())) < 0.01


def test_fit_clears_what_strain_left(image, tmp_path, capsys):
    out = tmp_path / "strain"
    assert main(["strain", str(image), *QUICK, "--out", str(out)]) == 0
    capsys.readouterr()
    assert "strain.nc" in rejected(capsys, "fit", image, *QUICK, "--out", out)
    assert main(["fit", str(image), *QUICK, "--out", str(out), "--overwrite"]) == 0
    assert not {path.name for path in out.iterdir()} & set(STRAIN_RESULTS)
    assert "<h2>Strain</h2>" not in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("values", "options", "told"),
    [
        (np.random.default_rng(0).normal(size=(96, 96)), [], "no lattice"),
        (np.full((96, 96), np.nan), [], "NaN|no lattice|pixels"),
        (np.zeros((3, 96, 96)), [], "a stack of 3 frames"),
        (np.zeros((4, 4)), [], "too small"),
        (np.zeros((96, 96)), ["--fixed"], "--vectors"),
        (np.zeros((96, 96)), ["--credible", "90"], "between 0 and 1"),
        (np.zeros((96, 96)), ["--resolution", "-1"], "more than 0"),
        (np.zeros((96, 96)), ["--region", "0", "9", "200", "300"], "from 0 to 95"),
    ],
)
def test_what_strain_cannot_be_told_from_is_told_before_the_work(
    values, options, told, tmp_path, capsys
):
    np.save(tmp_path / "image.npy", values)
    out = tmp_path / "strain"
    message = rejected(capsys, "strain", tmp_path / "image.npy", *options, "--out", out)
    assert any(each in message for each in told.split("|")), message
    assert not out.exists()

"""Spectra at the command line: results, their report, and what can't be told."""

import numpy as np
import pytest
import xarray as xr
from commands import rejected

from pyroshift import synthetic
from pyroshift.cli import main
from pyroshift.cli.folder import CHECKPOINT, RESULTS
from pyroshift.cli.spectra import SPECTRA_RESULTS

QUICK = ("--epochs", "1", "--quiet")
CUBE = synthetic.plasmons((8, 9), length=60, start=-0.8)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("spectra") / "cube.npy"
    np.save(path, CUBE.counts.values)
    return path


@pytest.mark.pictures
def test_a_folder_of_results_with_a_report(file, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--classes", "2", "--range", "0", "55", "--peak", "5", "30"]
    assert main(["spectra", str(file), *QUICK, *options, "--out", str(out)]) == 0
    assert "has no unit" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {*RESULTS, *SPECTRA_RESULTS, CHECKPOINT}
    means = xr.load_dataset(out / "spectra.nc")
    assert means.sizes == {"class": 2, "spectrum": 56}
    classified = xr.load_dataset(out / "classified.nc")
    assert {"peak", "peak_std", "class_index", "class_probability", "z"} <= set(classified)
    assert "Poisson" in classified.configuration  # by the counts
    page = (out / "report.html").read_text()
    for heading in ("Mean spectra", "Where each class is", "Where the peak is", "Maps"):
        assert f"<h2>{heading}</h2>" in page
    assert "--classes" in page
    assert "lattice" not in page


def test_without_classes_latents_are_clustered_and_other_numbers_are_no_counts(tmp_path):
    values = xr.DataArray(np.log1p(CUBE.counts.values))
    np.save(tmp_path / "cube.npy", values)
    out = tmp_path / "out"
    assert main(["spectra", str(tmp_path / "cube.npy"), *QUICK, "--out", str(out)]) == 0
    classified = xr.load_dataset(out / "classified.nc")
    assert "Gaussian" in classified.configuration
    assert "components" in classified.dims


def test_spectra_that_do_not_shift_have_no_peak(file, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--model", "vae", "--classes", "2"]
    assert main(["spectra", str(file), *QUICK, *options, "--out", str(out)]) == 0
    assert {*SPECTRA_RESULTS} - {path.name for path in out.iterdir()} == {"peak.png"}
    classified = xr.load_dataset(out / "classified.nc")
    assert not {"peak", "offset"} & set(classified)
    assert xr.load_dataset(out / "spectra.nc").aligned == 0
    page = (out / "report.html").read_text()
    assert "Mean spectra" in page
    assert "Where the peak is" not in page
    capsys.readouterr()
    for more in (["--peak", "1", "9"], ["--offset-scale", "0.1"]):
        command = ["spectra", file, *options, *more, "--quiet", "--out", tmp_path / "new"]
        assert f"{more[0]} is of spectra that shift" in rejected(capsys, *command)


def test_uneven_axes_and_units(tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    path, out = tmp_path / "cube.h5", tmp_path / "out"
    bias = np.sqrt(np.linspace(1, 4, 60))
    with h5py.File(path, "w") as opened:
        main_set = opened.create_dataset("one/one", data=CUBE.counts.values)
        main_set.attrs.update(quantity="Current", data_type="SPECTRAL_IMAGE", units="A")
        labels = [("y", "SPATIAL", np.arange(8), "nm"), ("x", "SPATIAL", np.arange(9), "nm"),
                  ("bias", "SPECTRAL", bias, "V")]  # fmt: skip
        main_set.attrs["DIMENSION_LABELS"] = [label for label, *_ in labels]
        for label, kind, scale, units in labels:
            opened.create_dataset(f"one/{label}", data=scale).attrs.update(
                dimension_type=kind, units=units
            )
    command = ["spectra", str(path), *QUICK, "--classes", "2", "--out", str(out)]
    assert main(command) == 0
    told = capsys.readouterr().err
    assert "isn't evenly spaced" in told
    assert "no unit" not in told
    assert xr.load_dataset(out / "classified.nc").peak.units == "V"
    assert xr.load_dataset(out / "maps.nc").y.units == "nm"


def test_fit_clears_what_spectra_left(file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["spectra", str(file), *QUICK, "--classes", "2", "--out", str(out)]) == 0
    capsys.readouterr()
    assert "spectra.nc" in rejected(capsys, "spectra", file, *QUICK, "--out", out)
    np.save(tmp_path / "image.npy", np.random.default_rng(0).random((32, 32)))
    image = [str(tmp_path / "image.npy"), "--window", "16", "--overwrite"]
    assert main(["fit", *image, *QUICK, "--out", str(out)]) == 0
    assert not {path.name for path in out.iterdir()} & set(SPECTRA_RESULTS)


@pytest.mark.parametrize(
    ("values", "options", "told"),
    [
        (np.ones((1, 1, 60)), [], "a single spectrum of 60 channels"),
        (np.ones((32, 32)), [], "no cube of spectra"),
        (np.full((4, 5, 60), np.nan), [], "NaN"),
        (-CUBE.counts.values, ["--likelihood", "poisson"], "go down to -"),
        (CUBE.counts.values, ["--range", "100", "200"], "--range goes from 100 to 200"),
        (CUBE.counts.values, ["--peak", "90", "95"], "--peak goes from 90 to 95"),
        (CUBE.counts.values[..., :5], [], "too short"),
        (CUBE.counts.values, ["--channel", "a", "--channel", "b"], "--channel was given 2 times"),
        (CUBE.counts.values, ["--classes", "0"], "--classes must be at least 1"),
    ],
)
def test_what_cannot_be_told_is_said_before_the_work(values, options, told, tmp_path, capsys):
    np.save(tmp_path / "cube.npy", values)
    out = tmp_path / "out"
    assert main(["spectra", str(tmp_path / "cube.npy"), *options, "--out", str(out)]) == 2
    assert told in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()

"""Models weighed and compared at the command line."""

import csv
import shutil

import numpy as np
import pytest
import xarray as xr
from commands import rejected

import pyroshift as ps
from pyroshift.cli import main
from pyroshift.cli.folder import EVIDENCE_RESULTS

QUICK = ("--window", "8", "--step", "4", "--epochs", "2", "--quiet")
DRAWS = ("--draws", "30", "--step", "4")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A lattice in noise."""
    y, x = np.mgrid[:72, :96]
    noise = np.random.default_rng(0).normal(size=y.shape)
    path = tmp_path_factory.mktemp("image") / "lattice.npy"
    np.save(path, (np.sin(y / 1.3) * np.sin(x / 1.6) + 0.2 * noise).astype(np.float32))
    return str(path)


@pytest.fixture(scope="module")
def models(image, tmp_path_factory):
    """Of the same windows, an eighth of the image held out; saved without pictures."""
    folder, paths = tmp_path_factory.mktemp("models"), {}
    cut = ps.extract_patches(ps.load_image(image), 8, 4)
    training, _ = ps.split_patches(cut, 0.2)
    for name, model in {"shift": ps.ShiftVAE(8, guide="normal"), "plain": ps.VAE(8)}.items():
        ps.fit(model, training, epochs=2, progress=False)
        (folder / name).mkdir()
        paths[name] = str(folder / name / "model.pt")
        ps.save(model, paths[name])
    return paths


def told(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.filterwarnings("ignore:the standard errors are of")
def test_models_are_compared_as_by_the_function(image, models, tmp_path, capsys):
    arguments = [*models.values(), image, *DRAWS, "--held-out", "0.2", "--out", str(tmp_path)]
    assert main(["evidence", *arguments]) == 0
    assert {file.name for file in tmp_path.iterdir()} == set(EVIDENCE_RESULTS)
    _, held_out = ps.split_patches(ps.extract_patches(ps.load_image(image), 8, 4), 0.2)
    loaded = {name: ps.load(path) for name, path in models.items()}
    expected = ps.compare(loaded, held_out, draws=30, progress=False)
    found = xr.load_dataset(tmp_path / "evidence.nc", engine="h5netcdf")
    xr.testing.assert_identical(found, expected)
    rows = told(tmp_path / "evidence.csv")
    assert [row["model"] for row in rows] == list(expected.model.values)
    for row in rows:
        one = expected.sel(model=row["model"])
        for name in ("log_evidence", "difference", "difference_se", "elbo", "beyond", "ess"):
            np.testing.assert_allclose(float(row[name]), one[name])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("  ")[0] == "model"
    assert [line.split()[0] for line in lines[1:3]] == [row["model"] for row in rows]
    best = expected.isel(model=0)
    assert f"{float(best.log_evidence):.2f} ± {float(best.log_evidence_se):.2f}" in lines[1]
    assert f"of {len(held_out)} windows" in lines[3]


def test_of_one_model_where_its_guide_can_be_trusted(image, models, tmp_path, capsys):
    arguments = [models["shift"], image, *DRAWS, "--seed", "1", "--out", str(tmp_path)]
    assert main(["evidence", *arguments]) == 0
    patches = ps.extract_patches(ps.load_image(image), 8, 4)
    expected = ps.evidence(ps.load(models["shift"]), patches, draws=30, seed=1, progress=False)
    found = xr.load_dataset(tmp_path / "evidence.nc", engine="h5netcdf")
    xr.testing.assert_identical(found, expected)
    (row,) = told(tmp_path / "evidence.csv")
    assert row["model"] == "shift"
    np.testing.assert_allclose(float(row["log_evidence"]), expected.log_evidence.mean(), rtol=1e-6)
    beyond = (expected.khat > expected.attrs["khat_limit"]).mean()
    np.testing.assert_allclose(float(row["beyond"]), beyond)
    out = capsys.readouterr().out
    assert "difference" not in out
    assert f"{float(expected.elbo.mean()):.2f}" in out


def test_a_fit_holds_out_what_evidence_takes(image, tmp_path):
    """The same model as by `split_patches` and `fit`, and maps of all windows."""
    run = tmp_path / "run"
    assert (
        main(["fit", image, *QUICK, "--model", "vae", "--held-out", "0.2", "--out", str(run)]) == 0
    )
    cut = ps.extract_patches(ps.load_image(image), 8, 4)
    training, _ = ps.split_patches(cut, 0.2)
    model = ps.VAE(8)
    ps.fit(model, training, epochs=2, progress=False)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, ps.load(run / "model.pt").state_dict()[name], name)
    maps = xr.load_dataset(run / "maps.nc", engine="h5netcdf")
    assert int(maps.elbo.notnull().sum()) == len(cut)
    assert "--held-out" in (run / "report.html").read_text(encoding="utf-8")


def test_results_are_replaced_only_when_asked(image, models, tmp_path, capsys):
    arguments = ["evidence", models["plain"], image, *DRAWS, "--quiet", "--out", tmp_path]
    assert main([str(word) for word in arguments]) == 0
    assert capsys.readouterr().out == ""
    assert "--overwrite" in rejected(capsys, *arguments)
    assert main([str(word) for word in [*arguments, "--overwrite"]]) == 0


def test_models_of_one_name_go_by_their_paths(image, models, tmp_path):
    copy = tmp_path / "other" / "plain" / "model.pt"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(models["plain"], copy)
    out = tmp_path / "out"
    assert main(["evidence", models["plain"], str(copy), image, *DRAWS, "--out", str(out)]) == 0
    assert {row["model"] for row in told(out / "evidence.csv")} == {models["plain"], str(copy)}


def test_mistakes_are_told_in_one_line(image, models, tmp_path, capsys):
    out = ("--out", str(tmp_path / "out"))
    larger = tmp_path / "larger.pt"
    ps.save(ps.VAE(10), larger)
    counts = tmp_path / "counts.pt"
    ps.save(ps.VAE(8, likelihood="poisson"), counts)
    for given, message in (
        ([tmp_path / "none.pt", image], "none.pt"),
        ([image, image], "lattice.npy"),
        ([models["plain"], tmp_path / "none.tif"], "none.tif"),
        ([models["plain"], larger, image], "windows of 8 x 8 pixels and larger for 10 x 10"),
        ([models["plain"], counts, image], "counts"),
        ([models["plain"], image, "--draws", "3"], "draws must be a whole number of at least 25"),
        ([models["plain"], image, "--held-out", "1.5"], "held_out must be a share"),
        ([models["plain"], image, "--channel", "a", "--channel", "b"], "channel"),
        ([models["plain"], image, "--device", "abacus"], "abacus"),
        ([models["plain"], image, "--track"], "--at-atoms"),
    ):
        assert message in rejected(capsys, "evidence", *given, *out)
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("mine")
    assert "is a file" in rejected(
        capsys, "evidence", models["plain"], image, "--out", tmp_path / "file"
    )
    message = rejected(capsys, "fit", image, *QUICK[:-1], "--held-out", "0.99", *out)
    assert "windows to train on" in message

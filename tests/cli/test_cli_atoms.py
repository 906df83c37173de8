"""Atoms at the command line: found, written, and windows cut at them."""

import csv

import numpy as np
import pytest
import xarray as xr

from pyroshift import synthetic
from pyroshift.cli import main
from pyroshift.cli.positions import read_positions
from pyroshift.errors import DataError, ReaderError

QUICK = ("--window", "16", "--epochs", "1", "--quiet")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """A file with two frames of a lattice, the second moved by one pixel each way."""
    image = synthetic.lattice_image((97, 97), period=12, noise=0.1).image.values
    path = tmp_path_factory.mktemp("stack") / "stack.npy"
    np.save(path, np.stack([image[:96, :96], image[1:, 1:]]))
    return path


@pytest.fixture(scope="module")
def image(stack):
    path = stack.with_name("image.npy")
    np.save(path, np.load(stack)[0])
    return path


@pytest.fixture(scope="module")
def found(stack):
    folder = stack.with_name("atoms")
    assert main(["atoms", str(stack), "--out", str(folder), "--track", "--quiet"]) == 0
    return folder


def test_atoms_come_as_dataset_table_and_pictures(found):
    assert sorted(path.name for path in found.iterdir()) == [
        "atoms.csv", "atoms.nc", "atoms.png", "tracks.png",
    ]  # fmt: skip
    atoms = xr.load_dataset(found / "atoms.nc")
    assert 2 * 60 < atoms.sizes["atom"] < 2 * 82
    inside = (np.abs(atoms.y - 47.5) < 40) & (np.abs(atoms.x - 47.5) < 40)
    assert (atoms.track[inside] >= 0).mean() > 0.98
    drift = atoms.drift.where(atoms.frame == 1).mean("atom")
    np.testing.assert_allclose(drift, [-1, -1], atol=0.1)
    with (found / "atoms.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == atoms.sizes["atom"]
    np.testing.assert_allclose([float(row["y"]) for row in rows], atoms.y, atol=1e-3)
    assert {"frame", "y", "x", "track", "y_std", "amplitude"} <= set(rows[0])


def test_what_is_written_is_read_as_positions(found):
    atoms = read_positions(found / "atoms.nc")
    assert isinstance(atoms, xr.Dataset)
    table = read_positions(found / "atoms.csv")
    np.testing.assert_allclose(table, np.column_stack([atoms.frame, atoms.y, atoms.x]), atol=1e-3)


@pytest.mark.parametrize(
    "name", [pytest.param("atoms.nc", marks=pytest.mark.pictures), "atoms.csv"]
)
def test_windows_are_cut_at_atoms_from_a_file(stack, found, tmp_path, name):
    options = ["--positions", str(found / name), "--interpolate", "--out", str(tmp_path / "run")]
    assert main(["fit", str(stack), *QUICK, *options]) == 0
    maps = xr.load_dataset(tmp_path / "run" / "maps.nc")
    atoms = xr.load_dataset(found / "atoms.nc").isel(atom=maps.atom.values)
    np.testing.assert_allclose(maps.y, atoms.y, atol=1e-3)
    assert ("track" in maps.coords) == (name == "atoms.nc")


def test_atoms_are_found_on_the_way(image, tmp_path, capsys):
    out = tmp_path / "run"
    options = ["--at-atoms", "--model", "rvae", "--sublattices", "2", "--out", str(out)]
    assert main(["fit", str(image), "--window", "16", "--epochs", "1", *options]) == 0
    assert "atoms found" in capsys.readouterr().out
    maps = xr.load_dataset(out / "maps.nc")
    assert maps.angle.dims == ("atom",)
    assert set(maps.sublattice.values) == {0, 1}
    encoded = ["--at-atoms", "--sublattices", "2", "--quiet", "--out", str(tmp_path / "maps.nc")]
    assert main(["encode", str(out / "model.pt"), str(image), *encoded]) == 0
    xr.testing.assert_allclose(xr.load_dataset(tmp_path / "maps.nc").z, maps.z, atol=1e-4)


def test_dark_atoms(image, tmp_path):
    np.save(tmp_path / "dark.npy", -np.load(image))
    for name, options in ((image, []), (tmp_path / "dark.npy", ["--dark"])):
        out = tmp_path / f"from_{name.stem}"
        assert main(["atoms", str(name), *options, "--quiet", "--out", str(out)]) == 0
    bright, dark = (
        xr.load_dataset(tmp_path / f"from_{name}" / "atoms.nc") for name in ("image", "dark")
    )
    np.testing.assert_allclose(dark.y, bright.y, atol=1e-3)


def test_atoms_by_the_network(image, tmp_path):
    out = tmp_path / "atoms"
    assert main(["atoms", str(image), "--segment", "--quiet", "--out", str(out)]) == 0
    assert 60 < xr.load_dataset(out / "atoms.nc").sizes["atom"] < 82


# What is refused


def test_atoms_that_exist_are_not_replaced_unasked(image, found, capsys):
    before = (found / "atoms.csv").read_text()
    assert main(["atoms", str(image), "--out", str(found)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (found / "atoms.csv").read_text() == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--at-atoms", "--positions", "atoms.nc"], "not both"),
        (["--at-atoms", "--step", "4"], "--step is for windows on a grid"),
        (["--interpolate"], "--at-atoms or --positions"),
        (["--dark"], "--dark has no use without --at-atoms"),
        (["--threshold", "0.0"], "--threshold has no use"),
        (["--sublattices", "2"], "--sublattices has no use"),
        (["--at-atoms", "--track"], "single image"),
        (["--at-atoms", "--separation", "-3"], "separation"),
        (["--at-atoms", "--sublattices", "0"], "sublattices"),
    ],
)
def test_options_that_make_no_sense_are_refused(image, tmp_path, capsys, options, match):
    assert main(["fit", str(image), *QUICK, *options, "--out", str(tmp_path / "run")]) == 2
    assert match in capsys.readouterr().err


def test_atoms_are_not_written_block_by_block(image, tmp_path, capsys):
    command = ["encode", "model.pt", str(image), "--at-atoms", "--out", str(tmp_path / "a.zarr")]
    assert main(command) == 2
    assert "block by block" in capsys.readouterr().err


def test_a_file_in_place_of_the_folder_is_kept(image, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert main(["atoms", str(image), "--out", str(tmp_path / "out"), "--overwrite"]) == 2
    assert (tmp_path / "out").read_text() == "mine"
    assert "is a file" in capsys.readouterr().err


def test_files_that_hold_no_atoms_are_refused(tmp_path):
    (tmp_path / "text.nc").write_text("no netCDF")
    with pytest.raises(ReaderError, match="netCDF"):
        read_positions(tmp_path / "text.nc")
    xr.Dataset({"a": ("b", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(DataError, match="coordinates y and x"):
        read_positions(tmp_path / "other.nc")

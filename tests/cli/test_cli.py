import inspect
import pkgutil
import re
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np
import pytest
import xarray as xr
import zarr
from commands import rejected

import pyroshift
from pyroshift.cli import choices, command, folder, groups, main, options, work
from pyroshift.cli.folder import CHECKPOINT, RESULTS
from pyroshift.cli.images import open_image
from pyroshift.cli.positions import read_positions
from pyroshift.data import blocks as data_blocks
from pyroshift.maps import blocks
from pyroshift.model.pair import GUIDES
from pyroshift.training.run import Run

BLANK = xr.DataArray(np.zeros((2, 2)), dims=("y", "x"))
QUICK = ("--window", "16", "--step", "8", "--epochs", "2", "--quiet")


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A file with a lattice of dots and some noise, 40 x 48."""
    y, x = np.mgrid[:40, :48]
    values = np.sin(y / 1.3) * np.sin(x / 1.6)
    values += 0.1 * np.random.default_rng(0).normal(size=values.shape)
    path = tmp_path_factory.mktemp("image") / "lattice.npy"
    np.save(path, values)
    return str(path)


@pytest.fixture(scope="module")
def result(image, tmp_path_factory):
    """The folder of a run that must not be changed."""
    path = tmp_path_factory.mktemp("runs") / "result"
    assert main(["fit", image, *QUICK, "--out", str(path)]) == 0
    return path


@pytest.fixture
def interrupt_at():
    """A context in which Ctrl-C is pressed in an epoch, the first being 0."""
    epoch = Run._epoch

    @contextmanager
    def interrupt(number):
        def interrupted(self, current, bar):
            if current == number:
                raise KeyboardInterrupt
            return epoch(self, current, bar)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Run, "_epoch", interrupted)
            yield

    return interrupt


QUICK_SEARCH = (
    *("--window", "12", "--step", "4", "--epochs", "1", "--quiet", "--workers", "1"),
    *("--initial", "0.1", "1", "--final", "1"),
)


@pytest.fixture(scope="module")
def searched(image, tmp_path_factory):
    """The folder of a search that must not be changed."""
    path = tmp_path_factory.mktemp("searches") / "search"
    assert main(["search", image, *QUICK_SEARCH, "--out", str(path)]) == 0
    return path


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


class TestFit:
    def test_leaves_all_results_and_nothing_else(self, result):
        assert set(contents(result)) == {*RESULTS, CHECKPOINT}
        assert all(contents(result).values())

    def test_maps_open_in_plain_xarray(self, result):
        maps = xr.load_dataset(result / "maps.nc")
        assert maps.z.dims == ("y", "x", "latent")
        assert maps.offset.dims == ("y", "x", "axis")
        assert dict(maps.sizes) == {"y": 4, "x": 5, "axis": 2, "latent": 2, "mode": 4}
        assert maps.y.units == "px"

    def test_history_and_model_are_those_of_the_run(self, result):
        history = xr.load_dataset(result / "history.nc")
        assert history.sizes["epoch"] == 2
        assert history.attrs["stopped"] == "completed"
        model = pyroshift.load(result / "model.pt")
        assert isinstance(model, pyroshift.ShiftVAE)
        assert model.window == (16, 16)

    def test_agrees_with_the_functions_of_the_package(self, image, result):
        patches = pyroshift.extract_patches(pyroshift.load_image(image), 16, 8)
        model = pyroshift.ShiftVAE(16)
        pyroshift.fit(model, patches, epochs=2, progress=False)
        xr.testing.assert_identical(
            pyroshift.encode(model, patches, robust=True), xr.load_dataset(result / "maps.nc")
        )

    @pytest.mark.parametrize(
        ("given", "sites"),
        [
            (["--model", "vae", "--latent-dim", "1"], ["z"]),
            (["--model", "rvae", "--angle-scale", "0.5"], ["angle", "z"]),
            (["--model", "rvae", "--offsets", "--offset-scale", "0.2"], ["offset", "angle", "z"]),
            (["--decoder", "spatial", "--encoder", "convolutional"], ["offset", "z"]),
            (["--likelihood", "bernoulli", "--normalize", "1-99"], ["offset", "z"]),
            (["--brightness", "site", "--normalize", "image"], ["offset", "z", "brightness"]),
            (["--level", "1", "--normalize", "none", "--window", "16x12"], ["offset", "z"]),
        ],
    )
    def test_every_kind_of_model(self, image, tmp_path, given, sites):
        assert main(["fit", image, *QUICK, *given, "--out", str(tmp_path / "run")]) == 0
        assert set(RESULTS) <= set(contents(tmp_path / "run"))
        model = pyroshift.load(tmp_path / "run" / "model.pt")
        assert [site.name for site in model.given_sites] == sites

    def test_stack_of_images(self, tmp_path):
        np.save(tmp_path / "stack.npy", np.random.default_rng(0).random((3, 32, 32)))
        arguments = ["fit", str(tmp_path / "stack.npy"), *QUICK, "--out", str(tmp_path / "run")]
        assert main(arguments) == 0
        assert xr.load_dataset(tmp_path / "run" / "maps.nc").z.dims == ("frame", "y", "x", "latent")

    def test_positions(self, image, tmp_path, capsys):
        (tmp_path / "atoms.csv").write_text("x,y\n20,10\n30,21\n1,1\n")
        arguments = ["fit", image, "--window", "16", "--epochs", "1", "--quiet"]
        positions = ["--positions", str(tmp_path / "atoms.csv"), "--out", str(tmp_path / "run")]
        assert main([*arguments, *positions]) == 0
        maps = xr.load_dataset(tmp_path / "run" / "maps.nc")
        assert maps.y.values.tolist() == [10.5, 21.5]
        assert maps.x.values.tolist() == [20.5, 30.5]
        assert "note: 1 of 3 positions are left out" in capsys.readouterr().err
        assert "1 of 3 positions are left out" in (tmp_path / "run" / "report.html").read_text()

    def test_says_where_the_results_are(self, image, tmp_path, capsys):
        arguments = [word for word in QUICK if word != "--quiet"]
        assert main(["fit", image, *arguments, "--out", str(tmp_path / "run")]) == 0
        assert str(tmp_path / "run" / "report.html") in capsys.readouterr().out


class TestExistingResults:
    def test_are_refused_before_the_work_and_left_alone(self, image, result, capsys):
        before = contents(result)
        message = rejected(capsys, "fit", "no_such_image.tif", *QUICK, "--out", result)
        assert "--overwrite" in message
        assert contents(result) == before

    def test_are_replaced_if_told_to(self, image, tmp_path):
        arguments = ["fit", image, *QUICK, "--out", str(tmp_path)]
        (tmp_path / "maps.nc").write_text("old")
        (tmp_path / "my notes.txt").write_text("kept")
        assert main([*arguments, "--overwrite", "--seed", "1"]) == 0
        assert "z" in xr.load_dataset(tmp_path / "maps.nc")
        assert (tmp_path / "my notes.txt").read_text() == "kept"

    @pytest.mark.parametrize("wrong", [["--window", "41"], ["--learning-rate", "-1"]])
    def test_survive_a_run_that_fails(self, image, tmp_path, capsys, wrong):
        (tmp_path / "maps.nc").write_text("old")
        rejected(capsys, "fit", image, *QUICK, *wrong, "--out", tmp_path, "--overwrite")
        assert (tmp_path / "maps.nc").read_text() == "old"

    def test_files_of_other_kinds_are_no_obstacle(self, image, tmp_path):
        (tmp_path / "lattice.npy").write_text("mine")
        assert main(["fit", image, *QUICK, "--out", str(tmp_path)]) == 0

    def test_a_file_in_place_of_the_folder(self, image, tmp_path, capsys):
        (tmp_path / "run").write_text("mine")
        assert "is a file" in rejected(capsys, "fit", image, *QUICK, "--out", tmp_path / "run")


class TestResume:
    def test_goes_on_to_the_same_result(self, image, result, tmp_path, interrupt_at):
        arguments = ["fit", image, *QUICK, "--out", str(tmp_path)]
        with interrupt_at(1):
            assert main(arguments) == 0
        assert main([*arguments, "--resume"]) == 0
        for name in ("maps.nc", "history.nc"):
            xr.testing.assert_identical(
                xr.load_dataset(tmp_path / name), xr.load_dataset(result / name)
            )

    def test_for_longer(self, image, tmp_path):
        arguments = ["fit", image, *QUICK, "--schedule", "constant", "--out", str(tmp_path)]
        assert main(arguments) == 0
        assert main([*arguments, "--epochs", "3", "--resume"]) == 0
        assert xr.load_dataset(tmp_path / "history.nc").sizes["epoch"] == 3

    def test_nothing_to_go_on_from(self, image, tmp_path, capsys):
        assert CHECKPOINT in rejected(capsys, "fit", image, *QUICK, "--out", tmp_path, "--resume")

    def test_a_run_with_other_settings_changes_nothing(self, image, result, capsys):
        before = contents(result)
        arguments = ["fit", image, *QUICK, "--batch-size", "5", "--out", result, "--resume"]
        assert "batch_size" in rejected(capsys, *arguments)
        assert "--overwrite replaces the run" in rejected(capsys, *arguments, "--overwrite")
        assert contents(result) == before


class TestInterrupt:
    @pytest.mark.parametrize("whole_epochs", [0, 1])
    def test_of_the_training_keeps_what_there_is(
        self, image, tmp_path, capsys, interrupt_at, whole_epochs
    ):
        with interrupt_at(whole_epochs):
            assert main(["fit", image, *QUICK, "--out", str(tmp_path)]) == 0
        assert set(RESULTS) <= set(contents(tmp_path))
        history = xr.load_dataset(tmp_path / "history.nc")
        assert history.attrs["stopped"] == "interrupted"
        assert history.sizes["epoch"] == whole_epochs
        assert ("--resume" in capsys.readouterr().err) == (whole_epochs > 0)
        assert (tmp_path / CHECKPOINT).exists() == (whole_epochs > 0)
        note = f"interrupted after {whole_epochs} of 2 epochs"
        assert note in (tmp_path / "report.html").read_text(encoding="utf-8")

    def test_elsewhere_is_quiet(self, image, tmp_path, capsys, monkeypatch):
        def interrupted(arguments, notes):
            raise KeyboardInterrupt

        monkeypatch.setitem(command.COMMANDS, "fit", interrupted)
        assert main(["fit", image, *QUICK, "--out", str(tmp_path)]) == 130
        assert capsys.readouterr() == ("", "")


class TestEncode:
    @pytest.mark.parametrize(
        ("name", "read"),
        [("maps.nc", xr.load_dataset), ("maps.zarr", lambda path: xr.open_zarr(path).load())],
    )
    @pytest.mark.parametrize(("given", "robust"), [([], True), (["--no-robust"], False)])
    def test_equals_the_function(self, image, result, tmp_path, name, read, given, robust):
        out = tmp_path / "new" / name
        arguments = ["encode", str(result / "model.pt"), image, "--step", "5", "--quiet", *given]
        assert main([*arguments, "--out", str(out)]) == 0
        patches = pyroshift.extract_patches(pyroshift.load_image(image), 16, 5)
        model = pyroshift.load(result / "model.pt")
        expected = pyroshift.encode(model, patches, robust=robust)
        xr.testing.assert_identical(read(out), expected)

    @pytest.mark.parametrize("given", ["image", "none", "1.0-99.0"])
    @pytest.mark.parametrize("name", ["maps.nc", "maps.zarr"])
    def test_grey_levels_are_stretched_as_in_the_training(self, image, tmp_path, given, name):
        out = tmp_path / "run"
        few = ["--window", "12", "--step", "6", "--epochs", "1", "--model", "vae", "--quiet"]
        assert main(["fit", image, *few, "--normalize", given, "--out", str(out)]) == 0
        arguments = ["encode", str(out / "model.pt"), image, "--step", "6", "--quiet"]
        assert main([*arguments, "--out", str(tmp_path / name)]) == 0
        found = xr.open_dataset(tmp_path / name, engine="zarr" if "zarr" in name else "h5netcdf")
        np.testing.assert_allclose(found.z, xr.load_dataset(out / "maps.nc").z, atol=1e-5)

    def test_neighbours_together_have_no_robust_intervals(self, image, tmp_path):
        model = pyroshift.VAE(16, priors={"z": pyroshift.priors.Matern(2)})
        pyroshift.save(model, tmp_path / "model.pt")
        arguments = ["encode", str(tmp_path / "model.pt"), image, "--quiet"]
        assert main([*arguments, "--out", str(tmp_path / "maps.nc")]) == 0
        assert "intervals" not in xr.load_dataset(tmp_path / "maps.nc").attrs

    def test_does_not_overwrite_unasked(self, image, result, tmp_path, capsys):
        out = tmp_path / "maps.nc"
        out.write_text("mine")
        arguments = ["encode", str(result / "model.pt"), image, "--quiet", "--out", str(out)]
        assert "--overwrite" in rejected(capsys, *arguments)
        assert out.read_text() == "mine"
        assert main([*arguments, "--overwrite"]) == 0
        assert "z" in xr.load_dataset(out)

    @pytest.mark.parametrize("name", ["maps", "maps.png"])
    def test_what_is_no_name_of_maps_is_refused(self, image, result, tmp_path, capsys, name):
        arguments = ["encode", str(result / "model.pt"), image, "--out", str(tmp_path / name)]
        assert "ends in .nc or .zarr" in rejected(capsys, *arguments)
        assert list(tmp_path.iterdir()) == []

    def test_a_failure_leaves_no_file(self, image, result, tmp_path, capsys):
        arguments = ["encode", result / "model.pt", image, "--step", "0"]
        assert "step" in rejected(capsys, *arguments, "--out", tmp_path / "maps.nc")
        assert not contents(tmp_path)

    def test_no_model(self, image, tmp_path, capsys):
        arguments = ["encode", image, image, "--out", tmp_path / "maps.nc"]
        assert "can't be read as a model" in rejected(capsys, *arguments)


@pytest.fixture
def pieces(monkeypatch):
    """The shapes of all parts of the image that were read block by block."""
    read, shapes = data_blocks._read, []

    def noted(image, pixels):
        shapes.append(read(image, pixels).shape)
        return read(image, pixels)

    monkeypatch.setattr(data_blocks, "_read", noted)
    return shapes


@pytest.fixture
def interrupt_block(monkeypatch):
    """A function that has Ctrl-C pressed at a block of `encode_image`, the first being 0."""
    add, calls = blocks._Store.add, []

    def interrupt(number):
        def interrupted(self, maps, region):
            if len(calls) == number:
                raise KeyboardInterrupt
            calls.append(region)
            add(self, maps, region)

        monkeypatch.setattr(blocks._Store, "add", interrupted)
        return calls

    return interrupt


class TestEncodeByBlock:
    def test_says_where_the_maps_are(self, image, result, tmp_path, capsys):
        out = tmp_path / "maps.zarr"
        assert main(["encode", str(result / "model.pt"), image, "--out", str(out)]) == 0
        captured = capsys.readouterr()
        assert captured.out == f"maps of 4 x 5 windows (y, x) are in {out}\n"
        assert captured.err == ""  # this is no terminal

    @pytest.mark.parametrize("quiet", [False, True])
    def test_shows_its_progress_in_a_terminal(
        self, image, result, tmp_path, capsys, monkeypatch, quiet
    ):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        arguments = ["encode", str(result / "model.pt"), image, "--out", str(tmp_path / "m.zarr")]
        assert main([*arguments, *["--quiet"] * quiet]) == 0
        assert ("1/1" in capsys.readouterr().err) == (not quiet)

    @pytest.mark.filterwarnings("ignore:the model was trained on grey levels")
    @pytest.mark.parametrize("level", [[], ["--level", "1"]])
    @pytest.mark.parametrize("normalize", ["patch", "image", "none"])
    def test_of_a_zarr_array(self, image, result, tmp_path, level, normalize):
        values = np.load(image)
        zarr.create_array(tmp_path / "image.zarr", data=values, chunks=(7, 48))
        options = [*level, "--normalize", normalize, "--quiet"]
        arguments = ["encode", str(result / "model.pt"), str(tmp_path / "image.zarr"), *options]
        assert main([*arguments, "--out", str(tmp_path / "maps.zarr")]) == 0
        values = pyroshift.load_image(image)
        patches = pyroshift.extract_patches(
            pyroshift.level(values) if level else values,
            16,
            normalize=None if normalize == "none" else normalize,
        )
        expected = pyroshift.encode(pyroshift.load(result / "model.pt"), patches, robust=True)
        maps = xr.open_zarr(tmp_path / "maps.zarr").load()
        xr.testing.assert_equal(maps, expected)
        assert maps.attrs["source_source"] == "image.zarr"

    def test_of_an_array_in_a_zarr_group(self, image, result, tmp_path, capsys):
        group = zarr.create_group(tmp_path / "scan.zarr")
        group.create_array("height", data=np.load(image))
        model, out = result / "model.pt", tmp_path / "maps.zarr"
        arguments = ["encode", model, tmp_path / "scan.zarr", "--quiet", "--out", out]
        assert "--channel" in rejected(capsys, *arguments)
        assert "no Zarr array depth" in rejected(capsys, *arguments, "--channel", "depth")
        assert main([*map(str, arguments), "--channel", "height"]) == 0
        assert xr.open_zarr(out).z.notnull().all()

    @pytest.mark.parametrize("suffix", [".npy", ".zarr"])
    def test_reads_part_by_part(self, result, tmp_path, pieces, suffix):
        values = np.random.default_rng(0).random((3, 48, 48))
        file = tmp_path / f"stack{suffix}"
        if suffix == ".npy":
            np.save(file, values)
        else:
            zarr.create_array(file, data=values)
        opened = open_image(str(file))
        assert opened.dims == ("frame", "y", "x")
        assert opened.chunks or isinstance(opened.values.base, np.memmap)
        arguments = ["encode", str(result / "model.pt"), str(file), "--quiet"]
        assert main([*arguments, "--out", str(tmp_path / "maps.zarr")]) == 0
        assert set(pieces) == {(1, 48, 48)}

    def test_goes_on_after_an_interruption(self, result, tmp_path, capsys, interrupt_block):
        np.save(tmp_path / "stack.npy", np.random.default_rng(0).random((3, 32, 32)))
        out = tmp_path / "maps.zarr"
        arguments = ["encode", str(result / "model.pt"), str(tmp_path / "stack.npy")]
        interrupt_block(2)
        assert main([*arguments, "--out", str(out)]) == 130
        assert "the same command goes on" in capsys.readouterr().out
        assert "step" in rejected(capsys, *arguments, "--step", "3", "--quiet", "--out", out)
        calls = interrupt_block(None)
        assert main([*arguments, "--quiet", "--out", str(out)]) == 0
        assert len(calls) == 3
        assert xr.open_zarr(out).z.notnull().all()

    def test_does_not_overwrite_unasked(self, image, result, tmp_path, capsys):
        out = tmp_path / "maps.zarr"
        arguments = ["encode", str(result / "model.pt"), image, "--quiet", "--out", str(out)]
        assert main(arguments) == 0
        assert "overwritten" in rejected(capsys, *arguments)
        assert main([*arguments, "--overwrite", "--step", "12"]) == 0
        assert xr.open_zarr(out).z.shape == (3, 3, 2)

    def test_refuses_positions(self, image, result, tmp_path, capsys):
        (tmp_path / "atoms.csv").write_text("20,10\n")
        out = tmp_path / "maps.zarr"
        arguments = ["encode", result / "model.pt", image, "--positions", tmp_path / "atoms.csv"]
        assert "--out maps.nc" in rejected(capsys, *arguments, "--out", out)
        assert not out.exists()

    def test_refuses_to_replace_the_image(self, image, result, tmp_path, capsys):
        file = tmp_path / "scan.zarr"
        zarr.create_group(file).create_array("height", data=np.load(image))
        arguments = ["encode", result / "model.pt", file, "--channel", "height", "--overwrite"]
        assert "the image itself" in rejected(capsys, *arguments, "--out", file)
        assert "height" in zarr.open_group(file, mode="r")

    def test_a_failure_leaves_no_store(self, image, result, tmp_path, capsys):
        arguments = ["encode", result / "model.pt", image, "--step", "0"]
        assert "step" in rejected(capsys, *arguments, "--out", tmp_path / "maps.zarr")
        assert not contents(tmp_path)

    @pytest.mark.parametrize("name", ["missing.zarr", "missing.npy", "damaged.npy"])
    def test_files_that_are_none(self, result, tmp_path, capsys, name):
        (tmp_path / "damaged.npy").write_text("mine")
        arguments = ["encode", result / "model.pt", tmp_path / name]
        assert name in rejected(capsys, *arguments, "--out", tmp_path / "maps.zarr")

    def test_without_the_extra(self, image, result, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr("pyroshift.extras.importlib.util.find_spec", lambda name: None)
        arguments = ["encode", result / "model.pt", image, "--out", tmp_path / "maps.zarr"]
        assert "pyroshift[big]" in rejected(capsys, *arguments)


class TestLittleSpace:
    """Files that can't be written are told in one line, and old ones are as they were."""

    def test_for_maps(self, image, result, tmp_path, capsys, largest_file):
        out = tmp_path / "maps.nc"
        out.write_text("old")
        argv = ("encode", result / "model.pt", image, "--quiet", "--overwrite", "--out", out)
        with largest_file(3000):
            rejected(capsys, *argv)
        assert contents(tmp_path) == {"maps.nc": b"old"}

    def test_for_results(self, image, tmp_path, capsys, largest_file):
        with largest_file(3000):
            assert main(["fit", image, *QUICK, "--out", str(tmp_path)]) == 2
        told = capsys.readouterr().err
        assert told.splitlines()[-1].startswith("pyroshift fit: error: ")
        assert "can't be written" in told
        assert not contents(tmp_path)


class TestMistakes:
    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (["--window", "64"], "larger than the image"),
            (["--window", "1"], "at least 2"),
            (["--step", "0"], "step"),
            (["--channel", "7"], "no channel '7'"),
            (["--level", "-1"], "order"),
            (["--latent-dim", "0"], "latent"),
            (["--likelihood", "bernoulli", "--normalize", "none"], "normalize='patch'"),
            (["--epochs", "0"], "epochs"),
            (["--validation-fraction", "1.5"], "validation_fraction"),
            (["--kl", "0"], "KL weight"),
            (["--kl", "1", "--kl-initial", "0.1"], "either constant"),
            (["--kl-final", "2"], "--kl-initial must be given"),
            (["--device", "abacus"], "device 'abacus' can't be used"),
            (["--offsets"], "--offsets has no use with --model shift"),
            (["--model", "vae", "--offset-scale", "1"], "--offset-scale has no use"),
            (["--model", "rvae", "--offset-scale", "1"], "without --offsets"),
            (["--positions", "atoms.csv"], "--step"),
        ],
    )
    def test_are_told_before_anything_is_written(self, image, tmp_path, capsys, given, told):
        out = tmp_path / "run"
        assert told in rejected(capsys, "fit", image, *QUICK, *given, "--out", out)
        assert not out.exists() or not contents(out)

    def test_no_such_image(self, tmp_path, capsys):
        missing = tmp_path / "missing.tif"
        message = rejected(capsys, "fit", missing, *QUICK, "--out", tmp_path / "run")
        assert "missing.tif" in message

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (["--likelihood", "cauchy"], "choose from"),
            (["--window", "big"], "such as 40 or 40x56"),
            (["--window", "1x2x3"], "such as 40 or 40x56"),
            (["--normalize", "99-1"], "percentiles such as 0.1-99.9"),
            (["--normalize", "all"], "percentiles such as 0.1-99.9"),
        ],
    )
    def test_of_spelling(self, image, tmp_path, capsys, given, told):
        with pytest.raises(SystemExit) as exit_:
            main(["fit", image, *QUICK, *given, "--out", str(tmp_path)])
        assert exit_.value.code == 2
        assert told in capsys.readouterr().err

    @pytest.mark.parametrize("argv", [[], ["fit"], ["fit", "image.tif", "--out", "run"]])
    def test_of_omission(self, argv, capsys):
        with pytest.raises(SystemExit) as exit_:
            main(argv)
        assert exit_.value.code == 2
        assert "required" in capsys.readouterr().err


class TestSearch:
    def test_leaves_all_results_and_nothing_else(self, searched):
        trained = {f"training_000{number}.{end}" for number in (0, 1) for end in ("nc", "pt")}
        results = {"search.nc", "search.png", "model.pt", "search.journal"}
        assert set(contents(searched)) == results | trained

    def test_agrees_with_the_function(self, image, searched):
        found = xr.load_dataset(searched / "search.nc", engine="h5netcdf")
        values = pyroshift.load_image(image)
        expected = pyroshift.search_kl(
            values, 12, 4, initial=[0.1, 1], final=[1], epochs=1, workers=1, progress=False
        )
        xr.testing.assert_equal(found.drop_vars("seconds"), expected.drop_vars("seconds"))
        best = found.sel(initial=found.best_initial, final=found.best_final)
        model = pyroshift.load(searched / "model.pt")
        maps = pyroshift.encode(model, pyroshift.extract_patches(values, 12, 4))
        np.testing.assert_array_equal(maps.z, best.z)

    def test_over_other_settings(self, image, tmp_path, capsys):
        varied = ("--vary", "latent-dim", "1", "2", "--vary", "decoder", "canvas", "spatial")
        out = tmp_path / "search"
        quick = [word for word in QUICK_SEARCH if word != "--quiet"]
        argv = ["search", image, *quick, *varied, "--trainings", "2", "--out", str(out)]
        assert main(argv) == 0
        told = capsys.readouterr().out
        assert "best of 2 trainings: initial " in told
        assert "decoder " in told
        assert "search.png" in told
        found = xr.load_dataset(out / "search.nc", engine="h5netcdf")
        assert dict(found.score.sizes) == {"initial": 2, "final": 1, "latent_dim": 2, "decoder": 2}

    def test_window_that_suits_the_lattice(self, tmp_path, capsys):
        lattice = pyroshift.synthetic.lattice_image((120, 130), period=9.0, noise=0.1).image
        np.save(tmp_path / "lattice.npy", lattice)
        weights = ["--initial", "1", "--final", "1", "--epochs", "1", "--workers", "1"]
        argv = ["search", str(tmp_path / "lattice.npy"), "--window", "auto", *weights]
        assert main([*argv, "--out", str(tmp_path / "search")]) == 0
        assert "window 22, for a lattice with a period of 9 px" in capsys.readouterr().out

    def test_is_not_replaced_unasked(self, image, searched, capsys):
        before = contents(searched)
        told = rejected(capsys, "search", image, *QUICK_SEARCH, "--out", searched)
        assert "--resume to go on with it" in told
        assert contents(searched) == before

    def test_goes_on(self, image, searched, tmp_path, monkeypatch):
        partly = tmp_path / "search"
        argv = ["search", image, *QUICK_SEARCH, "--out", str(partly)]
        assert main([*argv, "--trainings", "1"]) == 0
        trained = contents(partly)
        assert main([*argv, "--resume"]) == 0
        assert contents(partly)["training_0000.nc"] == trained["training_0000.nc"]
        left_out = ["seconds", "training"]
        whole, expected = (
            xr.load_dataset(path / "search.nc", engine="h5netcdf").drop_vars(left_out)
            for path in (partly, searched)
        )
        xr.testing.assert_equal(whole, expected)

    def test_survives_one_that_fails(self, image, searched, capsys):
        before = contents(searched)
        argv = ["search", image, *QUICK_SEARCH, "--overwrite", "--out", searched]
        rejected(capsys, *argv, "--vary", "colour", "1")
        assert contents(searched) == before

    def test_is_replaced_if_told_to(self, image, tmp_path):
        out = tmp_path / "search"
        argv = ["search", image, *QUICK_SEARCH, "--out", str(out)]
        assert main(argv) == 0
        (out / "mine.txt").write_text("kept")
        assert main([*argv, "--final", "3", "--overwrite"]) == 0
        assert (out / "mine.txt").read_text() == "kept"
        assert "training_0002.nc" not in contents(out)
        assert xr.load_dataset(out / "search.nc", engine="h5netcdf").final == 3

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (["--resume"], "no .*search.journal.* to go on from"),
            (["--resume", "--overwrite"], "--overwrite replaces"),
            (["--vary", "decoder"], "--vary decoder names no values"),
            (["--vary", "colour", "1"], "colour"),
            (["--vary", "latent-dim", "2", "two"], "no model can be built"),
            (["--vary", "window", "12", "14"], "one window for all trainings"),
            (["--initial", "-1"], "initial=-1.0 is no KL weight"),
            (["--period", "3", "--model", "vae"], "--period has no use"),
            (["--device", "abacus"], "abacus"),
        ],
    )
    def test_what_makes_no_sense(self, image, tmp_path, capsys, given, told):
        out = tmp_path / "search"
        message = rejected(capsys, "search", image, *QUICK_SEARCH, *given, "--out", out)
        assert re.search(told, message)
        assert not out.exists()


class TestKL:
    @pytest.mark.parametrize(
        ("given", "weights"),
        [
            ([], [1, 1, 1, 1]),
            (["--kl", "3"], [3, 3, 3, 3]),
            (["--kl-initial", "0.5"], [0.5, 0.75, 1, 1]),
            (["--kl-initial", "1", "--kl-final", "4", "--kl-epochs", "3"], [1, 2, 3, 4]),
        ],
    )
    def test_weight_by_epoch(self, image, tmp_path, monkeypatch, given, weights):
        histories = []

        def without_figures(path, model, patches, image, history, *others):
            histories.append(history)

        monkeypatch.setattr(folder, "write_results", without_figures)
        arguments = ["fit", image, *QUICK, "--epochs", "4", *given, "--out", str(tmp_path)]
        assert main(arguments) == 0
        assert histories[0].kl_scale.sel(site="z").values.tolist() == weights


class TestHelp:
    @pytest.mark.parametrize(
        ("argv", "told"),
        [
            (["--help"], ["fit", "search", "encode", "demo", "start here"]),
            (["fit", "--help"], ["examples:", "(default: 100)", "(default: gaussian)", "--resume"]),
            (["search", "--help"], ["examples:", "(default: 20)", "--vary", "pyroshift[search]"]),
            (["encode", "--help"], ["examples:", "--step", "maps.zarr", "pyroshift[big]"]),
            (["demo", "--help"], ["SPIEPy", "(default: demo)"]),
            (["--version"], [f"pyroshift {pyroshift.__version__}"]),
        ],
    )
    def test_teaches(self, argv, told, capsys):
        with pytest.raises(SystemExit) as exit_:
            main(argv)
        assert exit_.value.code == 0
        text = " ".join(capsys.readouterr().out.split())
        assert all(words in text for words in told)

    def test_every_option_of_fit_has_a_meaning(self):
        parsed = options.build_parser().parse_args(["fit", "image", "--out", "run", *QUICK])
        assert all(options.meaning(option) for option in parsed.settings)

    def test_defaults_are_those_of_the_package(self):
        parsed = vars(options.build_parser().parse_args(["fit", "image", "--out", "run", *QUICK]))
        functions = (pyroshift.fit, pyroshift.ShiftVAE, pyroshift.extract_patches)
        left_out = {"image", "model", "window", "step", "epochs"}
        compared = set()
        for function in functions:
            for name, parameter in inspect.signature(function).parameters.items():
                if name in parsed and name not in left_out and parsed[name] is not None:
                    assert parsed[name] == parameter.default, name
                    compared.add(name)
        assert compared >= {"batch_size", "learning_rate", "schedule", "likelihood", "encoder"}
        told = {option.dest: options.meaning(option) for option in parsed["settings"]}
        for name in ("offset_scale", "angle_scale"):
            default = inspect.signature(pyroshift.RVAE).parameters[name].default
            assert f"(default: {default})" in told[name]

    @pytest.mark.parametrize("typed", groups.MODELS)
    def test_guide_is_the_models_own_unless_told(self, typed):
        own = inspect.signature(getattr(pyroshift, groups.MODELS[typed])).parameters["guide"]
        for given, name in ([], own.default), (["--guide", "normal"], "normal"):
            argv = ["fit", "image", "--out", "run", *QUICK, "--model", typed, *given]
            built = choices.builder(options.build_parser().parse_args(argv), BLANK)(16)
            assert type(built.guide_module) is pkgutil.resolve_name(GUIDES[name])
        assert own.default == ("normal" if typed == "vae" else "anchor")  # as --help says

    @pytest.mark.parametrize("name", ["--period", "--symmetry"])
    def test_a_number_or_auto(self, name, capsys):
        model = "shift" if name == "--period" else "rvae"
        argv = ["fit", "image", "--out", "run", *QUICK, "--model", model, name]
        for typed, value in ("auto", "auto"), ("3", 3):
            parsed = options.build_parser().parse_args([*argv, typed])
            assert choices.builder(parsed, BLANK).keywords[name.removeprefix("--")] == value
        with pytest.raises(SystemExit):
            options.build_parser().parse_args([*argv, "some"])
        assert "(or auto)" in capsys.readouterr().err

    def test_loads_nothing_heavy(self):
        argv = [["--version"], ["--help"], *([name, "--help"] for name in command.COMMANDS)]
        code = f"""if True:
            import contextlib, io, sys
            from pyroshift.cli import main
            for argv in {argv}:
                with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
                    main(argv)
            print(sorted({{"torch", "pyro", "numpy", "xarray", "matplotlib"}} & set(sys.modules)))
        """
        told = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert told.stdout == "[]\n"


class TestPositions:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1,2\n3,4.5\n", [[1, 2], [3, 4.5]]),
            ("0, 1, 2\n\n", [[0, 1, 2]]),
            ("\ufeffx, y, kind\n1, 2, C\n", [[2, 1]]),
            ("Y,X,Frame\n1,2,3\n", [[3, 1, 2]]),
        ],
    )
    def test_of_text(self, tmp_path, text, expected):
        (tmp_path / "atoms.csv").write_text(text, encoding="utf-8")
        assert read_positions(tmp_path / "atoms.csv").tolist() == expected

    def test_of_numpy(self, tmp_path):
        np.save(tmp_path / "atoms.npy", [[1, 2], [3, 4]])
        assert read_positions(tmp_path / "atoms.npy").tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "1,2\n3\n", "1;2\n", "1\n2\n", "1,two\n"])
    def test_that_make_no_sense(self, tmp_path, text):
        (tmp_path / "atoms.csv").write_text(text)
        with pytest.raises(pyroshift.errors.ReaderError, match="position"):
            read_positions(tmp_path / "atoms.csv")

    def test_without_a_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="positions"):
            read_positions(tmp_path / "atoms.csv")


class TestWindow:
    def test_auto_is_that_for_the_lattice(self, tmp_path, capsys):
        truth = pyroshift.synthetic.lattice_image((96, 112), period=9, noise=0.3)
        np.save(tmp_path / "lattice.npy", truth["image"])
        given = ["--window", "auto", "--epochs", "1", "--out", str(tmp_path / "out")]
        assert main(["fit", str(tmp_path / "lattice.npy"), *given]) == 0
        assert "window 22, for a lattice with a period of 9 px" in capsys.readouterr().out
        assert xr.load_dataset(tmp_path / "out" / "maps.nc").attrs["window"].tolist() == [22, 22]
        assert "22 x 22" in (tmp_path / "out" / "report.html").read_text()

    def test_both_periods_are_told_where_they_differ(self, tmp_path, capsys):
        y, x = np.mgrid[:96, :112]
        np.save(tmp_path / "lattice.npy", np.cos(2 * np.pi * y / 8) + np.cos(2 * np.pi * x / 10))
        given = ["--window", "auto", "--epochs", "1", "--model", "vae"]
        assert (
            main(["fit", str(tmp_path / "lattice.npy"), *given, "--out", str(tmp_path / "o")]) == 0
        )
        assert "for a lattice with periods of 8 and 10 px" in capsys.readouterr().out

    def test_auto_without_a_lattice(self, tmp_path, capsys):
        np.save(tmp_path / "noise.npy", np.random.default_rng(0).normal(size=(64, 64)))
        given = ["--window", "auto", "--epochs", "1", "--out", str(tmp_path / "out")]
        assert main(["fit", str(tmp_path / "noise.npy"), *given]) == 2
        assert "no lattice" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_neither_a_size_nor_auto(self, capsys):
        with pytest.raises(SystemExit):
            main(["fit", "image.npy", "--window", "large", "--out", "out"])
        assert "such as 40 or 40x56, or auto" in capsys.readouterr().err


class TestDemo:
    def test_its_options_are_known(self):
        options.build_parser().parse_args(["fit", "image", "--out", "demo", *work.DEMO])

    @pytest.mark.pictures
    @pytest.mark.skipif(
        find_spec("spiepy") is None,
        reason="THE DEMO IS NOT TESTED: SPIEPy is missing, pip install pyroshift[demo]",
    )
    def test_small(self, tmp_path, monkeypatch):
        small = ["--window", "16", "--step", "64", "--level", "1", "--epochs", "1"]
        monkeypatch.setattr(work, "DEMO", small)
        monkeypatch.chdir(tmp_path)
        assert main(["demo", "--quiet"]) == 0
        assert set(contents(tmp_path / "demo")) == {*RESULTS, CHECKPOINT}
        assert main(["demo", "--quiet"]) == 2
        assert main(["demo", "--quiet", "--overwrite"]) == 0


def test_python_m_pyroshift():
    done = subprocess.run(
        [sys.executable, "-m", "pyroshift", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"pyroshift {pyroshift.__version__}\n"

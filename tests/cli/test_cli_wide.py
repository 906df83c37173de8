"""Channels, gaps and classes at the command line."""

import re

import numpy as np
import pytest
import tifffile
import torch
import xarray as xr
import zarr
from commands import rejected

import pyroshift as ps
from pyroshift.cli import folder, main, options
from pyroshift.cli.folder import CHECKPOINT, RESULTS
from pyroshift.cli.images import open_image
from pyroshift.errors import ReaderError

QUICK = ("--window", "12", "--step", "6", "--epochs", "1", "--quiet")
BOTH = ("--channel", "Amplitude", "--channel", "Phase")
PHASES = (*BOTH, "--likelihood", "Phase=von_mises", "--normalize", "none")
NAMES = ["Height", "Amplitude", "Phase"]


@pytest.fixture(scope="module")
def values():
    """Heights on a slope, amplitudes of a lattice, and phases, `channel x 36 x 42`."""
    y, x = np.mgrid[:36, :42]
    noise = np.random.default_rng(0).normal(size=(3, 36, 42))
    lattice = np.sin(y / 1.3) * np.sin(x / 1.6)
    cleared = np.stack([y + 0.1 * x, lattice, 90 * np.sign(lattice)])
    return (cleared + 0.1 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def image(values, tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "scan.tif"
    metadata = {"axes": "CYX", "Labels": NAMES}
    tifffile.imwrite(path, values, imagej=True, metadata=metadata)
    return str(path)


@pytest.fixture(scope="module")
def gaps(tmp_path_factory):
    """A stack whose frames miss a border, and one a corner of a quarter."""
    stack = np.random.default_rng(0).random((3, 36, 42))
    for frame in range(3):
        stack[frame, : 2 * frame] = np.nan
    stack[1, :18, :21] = np.nan
    path = tmp_path_factory.mktemp("gaps") / "stack.npy"
    np.save(path, stack)
    return str(path)


@pytest.fixture(scope="module")
def result(image, tmp_path_factory):
    """The folder of a run on amplitudes and phases that must not be changed."""
    path = tmp_path_factory.mktemp("runs") / "result"
    assert main(["fit", image, *QUICK, *PHASES, "--classes", "2", "--out", str(path)]) == 0
    return path


def notes(capsys):
    """What was noted, but for what is expected in so short a training."""
    known = ("windows are left out", "collapsed")
    for line in capsys.readouterr().err.splitlines():
        yield next((words for words in known if words in line), line)


def text_of(folder):
    """The report's words."""
    html = (folder / "report.html").read_text(encoding="utf-8")
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r'src="[^"]+"', "", html)).split())


class TestFit:
    def test_channels_and_classes_leave_all_results(self, result):
        assert {file.name for file in result.iterdir()} == {*RESULTS, CHECKPOINT}
        model = ps.load(result / "model.pt")
        assert model.channels == ("Amplitude", "Phase")
        assert [type(part) for part in model.likelihood.likelihoods] == [ps.Gaussian, ps.VonMises]
        maps = xr.load_dataset(result / "maps.nc", engine="h5netcdf")
        assert maps.class_probability.sizes["kind"] == 2
        told = text_of(result)
        assert "Windows of 12 x 12 pixels of Amplitude and Phase, 5 along y x 6 along x" in told
        assert "--channel Amplitude, Phase which image" in told
        assert "--likelihood gaussian, Phase=von_mises the noise" in told
        assert "--classes 2 how many kinds" in told

    @pytest.mark.parametrize("model", ["shift", "rvae"])
    def test_mirrored_motifs(self, image, tmp_path, model):
        given = ["--channel", "Amplitude", "--model", model, "--flips"]
        assert main(["fit", image, *QUICK, *given, "--out", str(tmp_path / "run")]) == 0
        maps = xr.load_dataset(tmp_path / "run" / "maps.nc", engine="h5netcdf")
        assert set(np.unique(maps.flip)) <= {0.0, 1.0}
        assert ((maps.flip_probability > 0.5) == (maps.flip == 1)).mean() > 0.9
        assert "flip says whether the motif is mirrored" in text_of(tmp_path / "run")

    def test_agrees_with_the_functions_of_the_package(self, image, result):
        patches = ps.extract_patches(ps.load_image(image, NAMES[1:]), 12, 6, normalize=None)
        likelihoods = {"Amplitude": "gaussian", "Phase": "von_mises"}
        model = ps.ShiftVAE(12, likelihood=likelihoods, classes=2)
        ps.fit(model, patches, epochs=1, progress=False)
        maps = xr.load_dataset(result / "maps.nc", engine="h5netcdf")
        xr.testing.assert_identical(ps.encode(model, patches, robust=True), maps)

    def test_channels_by_number(self, image, tmp_path):
        given = ["--channel", "2", "--channel", "0", "--likelihood", "2=student_t"]
        assert main(["fit", image, *QUICK, *given, "--out", str(tmp_path / "run")]) == 0
        likelihood = ps.load(tmp_path / "run" / "model.pt").likelihood
        assert likelihood.channels == ["Phase", "Height"]
        assert [type(part) for part in likelihood.likelihoods] == [ps.StudentT, ps.Gaussian]

    def test_a_likelihood_for_the_only_channel(self, image, tmp_path):
        given = ["--channel", "Phase", "--likelihood", "Phase=von_mises", "--normalize", "none"]
        assert main(["fit", image, *QUICK, *given, "--out", str(tmp_path / "run")]) == 0
        model = ps.load(tmp_path / "run" / "model.pt")
        assert model.channels == ()
        assert isinstance(model.likelihood, ps.VonMises)

    @pytest.mark.parametrize(
        ("given", "levelled"),
        [
            (["--level", "1"], {"Height": 1, "Amplitude": 1}),
            (["--level", "Height=1"], {"Height": 1, "Amplitude": None}),
            (["--level", "0", "--level", "Height=2"], {"Height": 2, "Amplitude": 0}),
        ],
    )
    def test_tilts_of_all_channels_or_of_some(self, image, tmp_path, given, levelled):
        arguments = ["--channel", "Height", "--channel", "Amplitude", "--normalize", "image"]
        assert main(["fit", image, *QUICK, *arguments, *given, "--out", str(tmp_path)]) == 0
        loaded = ps.load_image(image, list(levelled))
        for name, order in levelled.items():
            if order is not None:
                loaded.loc[{"channel": name}] = ps.level(loaded.sel(channel=name), order)
        patches = ps.extract_patches(loaded, 12, 6, normalize="image")
        model = ps.load(tmp_path / "model.pt")
        maps = xr.load_dataset(tmp_path / "maps.nc", engine="h5netcdf")
        np.testing.assert_allclose(ps.encode(model, patches).z, maps.z, atol=1e-3)

    @pytest.mark.parametrize("least", [pytest.param(None, marks=pytest.mark.pictures), 0.9, 0.1])
    def test_stack_with_gaps(self, gaps, tmp_path, capsys, least):
        given = [] if least is None else ["--min-valid", str(least)]
        assert main(["fit", gaps, *QUICK, *given, "--out", str(tmp_path)]) == 0
        with pytest.warns(UserWarning, match="left out"):
            patches = ps.extract_patches(np.load(gaps), 12, 6, min_valid=least or 0.5)
        maps = xr.load_dataset(tmp_path / "maps.nc", engine="h5netcdf")
        assert int(maps.elbo.notnull().sum()) == len(patches)
        told = text_of(tmp_path)
        assert f"({maps.elbo.size - len(patches)} of them left out" in told
        assert "where pixels are missing" in told
        assert set(notes(capsys)) <= {"windows are left out", "collapsed"}

    def test_windows_that_all_miss_some_pixels(self, values, tmp_path, capsys):
        scattered = values[1].copy()
        scattered[np.random.default_rng(1).random(scattered.shape) < 0.3] = np.nan
        np.save(tmp_path / "image.npy", scattered)
        arguments = ["fit", str(tmp_path / "image.npy"), *QUICK, "--out", str(tmp_path / "run")]
        assert main(arguments) == 0
        maps = xr.load_dataset(tmp_path / "run" / "maps.nc", engine="h5netcdf")
        assert maps.elbo.notnull().all()
        assert "where pixels are missing" in text_of(tmp_path / "run")
        assert set(notes(capsys)) <= {"collapsed"}

    def test_windows_are_as_well_explained_as_each_of_their_pixels(self):
        windows = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
        windows[0, :4] = np.nan
        patches = ps.Patches.from_array(windows)
        model = ps.VAE(8)
        maps = ps.encode(model, patches).assign(elbo=("patch", [60.0, 100.0, 90.0]))
        shown, _ = folder._examples(model, patches, maps)
        np.testing.assert_array_equal(shown, windows[[0, 1, 2]])  # 60 nats of 32 pixels first
        shown, _ = folder._examples(model, patches.subset(torch.tensor([1, 2])), maps)
        np.testing.assert_array_equal(shown, windows[[1, 2]])

    def test_atoms_are_found_in_the_first_channel(self, tmp_path):
        lattice = ps.synthetic.lattice_image((96, 96), period=12, noise=0.1).image.values
        both = np.stack([lattice, np.random.default_rng(0).random((96, 96))]).astype(np.float32)
        path = tmp_path / "both.tif"
        tifffile.imwrite(path, both, imagej=True, metadata={"axes": "CYX", "Labels": ["a", "b"]})
        given = ["--channel", "a", "--channel", "b", "--at-atoms", "--model", "vae"]
        few = ["--window", "10", "--epochs", "1", "--quiet"]
        assert main(["fit", str(path), *few, *given, "--out", str(tmp_path / "run")]) == 0
        maps = xr.load_dataset(tmp_path / "run" / "maps.nc", engine="h5netcdf")
        atoms = ps.find_atoms(lattice)
        with pytest.warns(UserWarning, match="left out"):
            patches = ps.extract_patches(lattice, 10, positions=atoms)
        assert maps.sizes["atom"] == len(patches)

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ([*BOTH, "--likelihood", "Height=poisson"], "no channel 'Height' among.*--channel"),
            (["--likelihood", "Phase=poisson"], "no channel 'Phase' among"),
            ([*BOTH, "--level", "Width=1"], "no channel 'Width' among"),
            (["--channel", "Phase", "--channel", "Phase"], "each once"),
            ([*BOTH, "--likelihood", "Phase=von_mises"], "--normalize patch.*--normalize none"),
            (
                ["--likelihood", "von_mises", "--normalize", "1-99"],
                "--normalize 1-99 would stretch",
            ),
            ([*PHASES, "--level", "1"], "phases of 'Phase'.*--level Amplitude=1"),
            (
                ["--likelihood", "von_mises", "--normalize", "none", "--level", "1"],
                "phases: leave it out",
            ),
            ([*BOTH, "--brightness", "site"], "--brightness.*several"),
            (["--classes", "1"], "at least two classes, got 1"),
            (["--model", "vae", "--flips"], "--flips has no use with --model vae"),
            (["--min-valid", "0"], "above 0 and at most 1; got 0.0"),
        ],
    )
    def test_what_makes_no_sense(self, image, tmp_path, capsys, given, told):
        out = tmp_path / "run"
        assert re.search(told, rejected(capsys, "fit", image, *QUICK, *given, "--out", out))
        assert not out.exists()

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            (["--likelihood", "Phase=cauchy"], "no likelihood 'cauchy': choose from gaussian"),
            (["--level", "Height=flat"], "CHANNEL=int value: 'Height=flat'"),
            (["--classes", "few"], "invalid int value: 'few'"),
        ],
    )
    def test_spelling(self, image, tmp_path, capsys, given, told):
        with pytest.raises(SystemExit):
            main(["fit", image, *QUICK, *given, "--out", str(tmp_path)])
        assert told in capsys.readouterr().err


class TestEncode:
    @pytest.fixture
    def expected(self, image, result):
        patches = ps.extract_patches(ps.load_image(image, NAMES[1:]), 12, 5, normalize=None)
        return ps.encode(ps.load(result / "model.pt"), patches, robust=True)

    @pytest.mark.parametrize("given", [[], BOTH, ["--channel", "2", "--channel", "Amplitude"]])
    @pytest.mark.parametrize("name", ["maps.nc", "maps.zarr"])
    def test_channels_are_the_models_in_its_order(
        self, image, result, expected, tmp_path, given, name
    ):
        arguments = ["encode", str(result / "model.pt"), image, "--step", "5", "--quiet"]
        out = tmp_path / name
        assert main([*arguments, "--normalize", "none", *given, "--out", str(out)]) == 0
        read = xr.open_zarr if name.endswith("zarr") else xr.load_dataset
        xr.testing.assert_equal(read(out).load(), expected)

    def test_tilts_are_of_the_channels_as_they_were_asked_for(self, image, result, tmp_path):
        given = ["--channel", "2", "--channel", "1", "--level", "1=1", "--normalize", "none"]
        arguments = ["encode", str(result / "model.pt"), image, "--quiet", *given]
        assert main([*arguments, "--out", str(tmp_path / "maps.nc")]) == 0
        loaded = ps.load_image(image, NAMES[1:])
        loaded[0] = ps.level(loaded[0], 1)
        patches = ps.extract_patches(loaded, 12, normalize=None)
        expected = ps.encode(ps.load(result / "model.pt"), patches)
        np.testing.assert_allclose(xr.load_dataset(tmp_path / "maps.nc").z, expected.z, atol=1e-4)

    def test_channels_of_a_zarr_group(self, values, result, expected, tmp_path):
        group = zarr.create_group(tmp_path / "scan.zarr")
        for name, each in zip(NAMES, values, strict=True):
            group.create_array(name, data=each, chunks=(9, 42))
        assert open_image(str(tmp_path / "scan.zarr"), NAMES).chunks
        arguments = ["encode", str(result / "model.pt"), str(tmp_path / "scan.zarr"), "--quiet"]
        arguments += ["--normalize", "none", "--step", "5", "--out", str(tmp_path / "maps.zarr")]
        assert main(arguments) == 0
        maps = xr.open_zarr(tmp_path / "maps.zarr").load()
        np.testing.assert_allclose(maps.z, expected.z, atol=1e-5)
        group.create_array("Small", data=values[0, :9])
        with pytest.raises(ReaderError, match="different shapes"):
            open_image(str(tmp_path / "scan.zarr"), ["Height", "Small"])

    @pytest.mark.parametrize("name", ["maps.nc", "maps.zarr"])
    def test_gaps(self, gaps, tmp_path, capsys, name):
        run = tmp_path / "run"
        assert main(["fit", gaps, *QUICK, "--model", "vae", "--out", str(run)]) == 0
        few = ["--step", "6", "--min-valid", "0.95", "--quiet", "--out", str(tmp_path / name)]
        assert main(["encode", str(run / "model.pt"), gaps, *few]) == 0
        read = xr.open_zarr if name.endswith("zarr") else xr.load_dataset
        with pytest.warns(UserWarning, match="left out"):
            patches = ps.extract_patches(np.load(gaps), 12, 6, min_valid=0.95)
        assert int(read(tmp_path / name).elbo.notnull().sum()) == len(patches)

    @pytest.mark.parametrize("name", ["maps.nc", "maps.zarr"])
    def test_another_number_of_channels(self, image, result, tmp_path, capsys, name):
        arguments = ["encode", result / "model.pt", image, "--normalize", "none"]
        told = rejected(capsys, *arguments, "--channel", "Phase", "--out", tmp_path / name)
        assert "the channels Amplitude, Phase, but there are the channels Phase" in told
        assert "give --channel Amplitude --channel Phase" in told
        assert not (tmp_path / name).exists()

    def test_a_model_of_one_channel(self, image, tmp_path, capsys):
        run = tmp_path / "run"
        assert main(["fit", image, *QUICK, "--model", "vae", "--out", str(run)]) == 0
        capsys.readouterr()
        out = tmp_path / "maps.nc"
        told = rejected(capsys, "encode", run / "model.pt", image, *BOTH, "--out", out)
        assert "for windows of one channel" in told
        assert "give --channel once" in told


class TestOthers:
    def test_atoms_are_those_of_one_channel(self, image, tmp_path, capsys):
        told = rejected(capsys, "atoms", image, *BOTH, "--out", tmp_path / "atoms")
        assert "in one channel, but --channel was given 2 times (Amplitude, Phase)" in told
        assert not (tmp_path / "atoms").exists()

    @pytest.mark.pictures
    def test_a_search_over_channels_and_classes(self, image, tmp_path):
        given = [*PHASES, "--classes", "2", "--min-valid", "0.3", "--latent-dim", "1"]
        weights = ["--initial", "0.5", "1", "--final", "1", "--workers", "1"]
        few = ["--window", "12", "--step", "3", "--epochs", "1", "--quiet"]
        out = tmp_path / "search"
        assert main(["search", image, *few, *given, *weights, "--out", str(out)]) == 0
        model = ps.load(out / "model.pt")
        assert model.channels == ("Amplitude", "Phase")
        assert model.classes == 2
        found = xr.load_dataset(out / "search.nc", engine="h5netcdf")
        assert found.bound.notnull().all()
        assert (out / "search.png").stat().st_size > 10_000

    def test_help_tells_of_them(self, capsys):
        with pytest.raises(SystemExit):
            main(["fit", "--help"])
        told = " ".join(capsys.readouterr().out.split())
        for words in ("--channel Amplitude --channel Phase", "CHANNEL=NAME", "--classes N",
                      "Phase=von_mises", "--min-valid SHARE", "(default: 0.5)"):  # fmt: skip
            assert words in told

    def test_a_value_for_all_or_by_channel(self):
        def parsed(*given):
            argv = ["fit", "image", "--out", "run", "--window", "8", *given]
            return options.build_parser().parse_args(argv)

        assert parsed().likelihood == "gaussian"
        assert parsed().level is None
        assert parsed("--likelihood", "poisson").likelihood == "poisson"
        assert parsed("--likelihood", "a=b=poisson").likelihood == {
            "": "gaussian",
            "a=b": "poisson",
        }
        assert parsed("--level", "a=1", "--level", "2").level == {"a": 1, "": 2}
        assert parsed().likelihood == "gaussian"  # parsers are built anew, and share nothing

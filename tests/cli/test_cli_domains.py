"""Domains at the command line: results, their report, channels, and what is told beforehand."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import rejected

from pyroshift import synthetic
from pyroshift.cli import main
from pyroshift.cli.domains import DOMAINS_RESULTS, amplitude_and_phase, phase_among
from pyroshift.cli.folder import CHECKPOINT, RESULTS
from pyroshift.errors import SpecificationError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "data"))
from writers import write_nsid

QUICK = ("--window", "12", "--step", "12", "--epochs", "1", "--latent-dim", "1", "--quiet")
NAMES = ("AmplitudeRetrace", "PhaseRetrace")


def saved(path, *images, names=NAMES):
    """A file of an instrument, with images of 10 nm pixels."""
    h5py = pytest.importorskip("h5py")
    datasets = {
        name: (
            image,
            name,
            "IMAGE",
            [
                (axis, "SPATIAL", 1e-8 * np.arange(size), "m")
                for axis, size in zip("yx", image.shape, strict=True)
            ],
        )
        for name, image in zip(names, images, strict=True)
    }
    write_nsid(h5py, path, datasets)
    return path


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Before and after the domains of one polarization have grown, with other offsets."""
    folder = tmp_path_factory.mktemp("scans")
    movie = synthetic.domains((60, 64), share=(0.4, 0.55), offset=80.0, noise=0.05)
    after = synthetic.domains((60, 64), share=0.55, offset=100.0, noise=0.05, seed=0)
    first, second = movie.image[0].values, after.image.values
    truth = float((movie.polarization[1] > movie.polarization[0]).mean())
    paths = [saved(folder / f"{name}.h5", *scan) for name, scan in zip("ab", (first, second))]  # noqa: B905
    return paths, truth


@pytest.mark.pictures
def test_a_folder_of_results_with_a_report(scans, tmp_path):
    (before, after), truth = scans
    out = tmp_path / "domains"
    command = ["domains", str(before), *QUICK, "--second", str(after), "--out", str(out)]
    assert main([*command, "--resolution", "1e-7"]) == 0
    assert {path.name for path in out.iterdir()} == {*RESULTS, *DOMAINS_RESULTS, CHECKPOINT}
    found = xr.load_dataset(out / "walls.nc")
    assert (found.resolution, found.unit, found.credible) == (1e-7, "m", 0.9)
    with (out / "walls.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:2] == ["y", "x"]
    assert {"angle", "angle_lower", "curvature", "wall"} <= set(rows[0])
    assert len(rows) == found.sizes["point"] + 1
    change = xr.load_dataset(out / "switched.nc")
    # The offsets of both scans lie on different sides of 90 degrees, and the sign is kept.
    assert change.fell + change.rose == pytest.approx(truth, abs=0.04)
    assert min(change.fell, change.rose) < 0.01
    assert np.all(np.abs(change.drift) < 5e-9)
    page = (out / "report.html").read_text()
    for heading in ("Domain walls", "How long walls are", "Which way walls go", "What switched"):
        assert f"<h2>{heading}</h2>" in page
    assert "--second" in page
    assert "AmplitudeRetrace and PhaseRetrace" in page


def test_one_scan_leaves_nothing_of_two(scans, tmp_path):
    (before, after), _ = scans
    command = ["domains", str(before), *QUICK, "--out", str(tmp_path)]
    assert main([*command, "--second", str(after)]) == 0
    assert main([*command, "--overwrite"]) == 0
    left = {path.name for path in tmp_path.iterdir()}
    assert "walls.nc" in left
    assert not left & {"switched.nc", "switched.png"}


def test_channels_of_other_names_and_radians(scans, tmp_path):
    image = synthetic.domains((48, 50), noise=0.05).image.values
    path = saved(tmp_path / "odd.h5", image[0], np.deg2rad(image[1]), names=("R", "Theta"))
    named = ("--channel", "0", "--channel", "1", "--phase", "1")
    command = ["domains", str(path), *QUICK, "--out", str(tmp_path / "out")]
    assert main([*command, *named]) == 0
    maps = xr.load_dataset(tmp_path / "out" / "maps.nc")
    assert '"phase_periods"' in maps.attrs["configuration"]
    assert np.isfinite(maps.z).all()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (NAMES, NAMES),
        (
            ("Height", "NapAmplitude", "Amplitude", "NapPhase", "Phase"),
            ("NapAmplitude", "NapPhase"),
        ),
        (
            ("HeightRetrace", "AmplitudeRetrace", "PhaseRetracerace"),
            ("AmplitudeRetrace", "PhaseRetracerace"),
        ),
        (("Phase 1", "Amp 2", "Amp 1"), ("Amp 1", "Phase 1")),
        (("Sample", "phase"), ("phase",)),
    ],
)  # fmt: skip
def test_amplitude_and_phase_are_found_by_name(names, expected):
    assert amplitude_and_phase(names) == expected


def test_phases_that_are_not_known_are_told():
    with pytest.raises(SpecificationError, match="no channel is called a phase"):
        amplitude_and_phase(["Height", "Sample"])
    with pytest.raises(SpecificationError, match="several of the channels"):
        phase_among(["Phase1", "Phase2"], None)
    with pytest.raises(SpecificationError, match="none of the channels A, B is called"):
        phase_among(["A", "B"], None)
    with pytest.raises(SpecificationError, match="--phase C is none"):
        phase_among(["A", "B"], "C")


NOISE = np.random.default_rng(0)
ONES = np.ones((40, 40))
STRIPES = np.where(np.arange(40) % 20 < 10, 30.0, -150.0) * ONES


@pytest.mark.parametrize(
    ("images", "options", "told"),
    [
        ((ONES, 30 + NOISE.normal(size=(40, 40))), [], "no wall"),
        ((ONES, NOISE.uniform(-180, 180, (40, 40))), [], "two opposite domains|no wall"),
        ((ONES, np.full((40, 40), np.nan)), [], "no phase is a finite number"),
        ((np.full((40, 40), np.nan), STRIPES), [], "no phase is a finite number"),
        ((0 * ONES, STRIPES), [], "0 everywhere"),
        ((ONES, STRIPES), ["--thinnest", "1e-8"], "--second"),
        ((ONES, STRIPES), ["--drift", "0", "0"], "--second"),
        ((ONES, STRIPES), ["--credible", "90"], "between 0 and 1"),
        ((ONES, STRIPES), ["--resolution", "1e-9"], "resolution"),
        ((ONES, STRIPES), ["--normalize", "image"], "--normalize none"),
        ((ONES, STRIPES), ["--phase", "Nothing"], "Nothing"),
        ((ONES, STRIPES), ["--channel", "AmplitudeRetrace", "--channel", "Other"], "Other"),
        ((ONES, STRIPES), ["--window", "50"], "50"),
    ],
)
def test_what_domains_cannot_be_told_from_is_told_before_the_work(
    images, options, told, tmp_path, capsys
):
    path = saved(tmp_path / "image.h5", *images)
    out = tmp_path / "domains"
    message = rejected(capsys, "domains", path, *options, "--out", out)
    assert any(each in message for each in told.split("|")), message
    assert not out.exists()


def test_few_domains_do_with_a_drift_that_is_known(tmp_path, capsys):
    phase = np.where(np.arange(40) < 20, 30.0, -150.0) * ONES + NOISE.normal(size=(40, 40))
    path = saved(tmp_path / "image.h5", ONES, phase)
    command = ["domains", path, *QUICK, "--second", path, "--out", tmp_path / "out"]
    assert "--drift" in rejected(capsys, *command)
    assert main([*map(str, command), "--drift", "0", "0"]) == 0
    change = xr.load_dataset(tmp_path / "out" / "switched.nc")
    assert change.rose == change.fell == 0


def test_second_scans_that_do_not_fit_are_told(tmp_path, capsys):
    path = saved(tmp_path / "image.h5", ONES, STRIPES)
    for name, images, told in (
        ("small", (ONES[:30], STRIPES[:30]), "40 x 40 and 30 x 40 pixels"),
        (
            "flat",
            (ONES, 30 * ONES + NOISE.normal(size=(40, 40))),
            "correlat|overlap|same area|mode",
        ),
    ):
        other = saved(tmp_path / f"{name}.h5", *images)
        message = rejected(capsys, "domains", path, "--second", other, "--out", tmp_path / "out")
        assert any(each in message for each in told.split("|")), message
    np.save(tmp_path / "array.npy", STRIPES)
    message = rejected(capsys, "domains", tmp_path / "array.npy", "--out", tmp_path / "out")
    assert "no channel is called a phase" in message
    np.save(tmp_path / "stack.npy", np.stack([STRIPES] * 3))
    np.save(tmp_path / "pixel.npy", np.ones((1, 1)))
    pixel = ("--channel", "0", "--out", tmp_path / "out")
    assert "1 x 1 pixels" in rejected(capsys, "domains", tmp_path / "pixel.npy", *pixel)
    stack = ("--channel", "0", "--out", tmp_path / "out")
    assert "a stack of 3 frames" in rejected(capsys, "domains", tmp_path / "stack.npy", *stack)

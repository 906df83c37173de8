"""Trainings end to end on real measurements, which stay outside the project."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import KDTree

from pyroshift import (
    RVAE,
    VAE,
    Patches,
    ShiftVAE,
    decode,
    dislocations,
    displacement,
    encode,
    extract_patches,
    find_atoms,
    fit,
    load_image,
    load_segmenter,
    load_spectra,
    piezoresponse,
    strain,
    suggest_window,
    switched,
    walls,
)
from pyroshift.cli import main

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def measurement(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"NOT TESTED on real data: there is no {path}")
    return path


def assert_whole(maps):
    """Every map has a finite value everywhere."""
    for name, values in maps.data_vars.items():
        assert np.isfinite(values).all(), name


def test_maps_of_graphite():
    image = load_image(measurement("stm_graphite.tif"))[:200, :240]
    patches = extract_patches(image, window=40, step=16)
    model = ShiftVAE(40)
    history = fit(model, patches, epochs=2, progress=False)
    assert history.loss[-1] < history.loss[0]
    maps = encode(model, patches)
    assert dict(maps.sizes) == {"y": 11, "x": 13, "axis": 2, "latent": 2, "mode": 4}
    assert_whole(maps)


def test_strain_of_a_manganite():
    image = load_image(measurement("stem_nsmo_cryo.tif"))[:256, :256]
    lattice = suggest_window(image)
    patches = extract_patches(image, lattice.window, step=16, normalize="image")
    model = ShiftVAE(patches.window, latent_dim=1, period="auto")
    fit(model, patches, epochs=5, progress=False)
    displaced = displacement(encode(model, patches), lattice)
    assert dislocations(displaced).sizes["dislocation"] == 0
    strained = strain(displaced)
    assert_whole(strained)
    assert float(abs(strained.exx).max()) < 0.1


@pytest.mark.filterwarnings("ignore:.*no unit of length")
def test_domain_walls_of_lead_zirconate_titanate_and_what_switched():
    scans = []
    for number in (1, 2):
        path = measurement(f"pfm_pzt_{number}.h5")
        height, phase = (load_image(path, channel=f"{name}Retrace") for name in ("Height", "Phase"))
        # Lines of the second scan below these are after the tip's contact had changed.
        cosine = np.cos(np.deg2rad(phase)).assign_coords(y=height.y, x=height.x)[:180]
        scans.append(cosine)
    found = walls(scans[0])
    assert found.unit == "m"
    assert 5e-6 < found.total_length < 15e-6
    assert 5 <= found.wall.max() <= 20
    assert_whole(found)
    # The lower domains are islands, on the inner side of their walls.
    assert float((found.curvature * found.length).sum()) < 0
    change = switched(*scans)
    pixel = float(scans[0].y[1] - scans[0].y[0])
    assert np.all(np.abs(change.drift) < 5 * pixel)
    assert change.correlation > 0.7
    assert change.rose + change.fell < 0.05


@pytest.mark.parametrize(
    ("names", "degrees", "length"),
    [
        (("pfm_pto.ibw",), -14.2, (5e-6, 15e-6)),
        (("pfm_pzt_1.h5", "pfm_pzt_2.h5"), -41.9, (5e-6, 15e-6)),
    ],
    ids=["titanate", "zirconate"],
)
def test_domains_from_the_command_line(names, degrees, length, tmp_path):
    image, *second = (str(measurement(name)) for name in names)
    more = ["--second", *second] if second else []
    quick = ["--window", "12", "--step", "12", "--epochs", "1", "--latent-dim", "1", "--quiet"]
    assert main(["domains", image, *more, *quick, "--out", str(tmp_path)]) == 0
    found = xr.load_dataset(tmp_path / "walls.nc")
    assert found.unit == "m"
    assert length[0] < found.total_length < length[1]
    assert_whole(found)
    maps = xr.load_dataset(tmp_path / "maps.nc")
    assert_whole(maps)
    amplitude, phase = json.loads(maps.configuration)["channels"]
    scan = load_image(image, channel=[amplitude, phase])
    response = piezoresponse(scan.sel(channel=phase), scan.sel(channel=amplitude))
    assert (response.period, response.offset) == (360, pytest.approx(degrees, abs=0.1))
    assert response.aligned > 0.95
    if second:
        change = xr.load_dataset(tmp_path / "switched.nc")
        assert np.all(np.abs(change.drift) < 5 * 7.8e-9)
        # Below, the tip's contact had changed: that is a band, whatever it looks like.
        above = change.switched[:180]
        assert float((above != 0).where(above.notnull()).mean()) < 0.05


def test_small_windows_of_measured_domains():
    """One latent of windows of amplitude and phase, and walls by the phase alone."""
    names = ["AmplitudeRetrace", "PhaseRetrace"]
    scan = load_image(measurement("pfm_pzt_1.h5"), channel=names)
    patches = extract_patches(scan, 12, step=8, normalize=None)
    model = RVAE(
        patches.window,
        latent_dim=1,
        likelihood=dict(zip(names, ("gaussian", "von_mises"), strict=True)),
    )
    fit(model, patches, epochs=6, batch_size=32, learning_rate=5e-3, progress=False)
    z = encode(model, patches).z.isel(latent=0)
    response = piezoresponse(scan.sel(channel="PhaseRetrace"))
    share = (response > 0).astype(float).rolling(y=12, x=12, center=True, min_periods=1).mean()
    share = share.sel(y=z.y, x=z.x, method="nearest")
    # Seen: 0.86; by four times as many windows, 0.90.
    assert abs(np.corrcoef(z.values.ravel(), share.values.ravel())[0, 1]) > 0.7


def test_angles_at_the_atoms_of_graphene():
    image = load_image(measurement("stem_graphene_boundary.npy"))
    positions = measurement("stem_graphene_boundary_atoms.npy")
    # Somebody's pickle, in a folder of our own: one table of y, x and class per frame.
    atoms = np.load(positions, allow_pickle=True).item()[0][:, :2]
    with pytest.warns(UserWarning, match="positions are left out"):
        patches = extract_patches(image, window=32, positions=atoms)
    model = RVAE(32)
    fit(model, patches, epochs=2, progress=False)
    maps = encode(model, patches)
    assert maps.angle.dims == ("atom",)
    np.testing.assert_allclose(np.stack([maps.y, maps.x], 1), atoms[maps.atom], atol=0.5)
    assert np.all(np.abs(maps.angle) <= np.pi)
    assert_whole(maps)


def test_atoms_of_graphene_are_where_a_network_found_them():
    image = load_image(measurement("stem_graphene_boundary.npy"))
    positions = measurement("stem_graphene_boundary_atoms.npy")
    given = np.load(positions, allow_pickle=True).item()[0][:, :2].astype(float)
    for segmenter in (None, load_segmenter()):
        atoms = find_atoms(image, segmenter=segmenter)
        found = KDTree(np.column_stack([atoms.y, atoms.x])).query(given)[0] < 3
        assert found.mean() > (0.9 if segmenter is None else 0.85)


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [("stem_abf_stack.hspy", ("--dark", "--track"), 5 * 125), ("stem_mos2_se.dm3", (), 950)],
)
def test_atoms_from_the_command_line(name, options, least, tmp_path):
    """Of a quarter of the image: the first half along both axes."""
    whole = load_image(measurement(name))
    image = str(tmp_path / "quarter.npy")
    np.save(image, whole.isel({dim: slice(whole.sizes[dim] // 2) for dim in ("y", "x")}))
    assert main(["atoms", image, *options, "--quiet", "--out", str(tmp_path / "atoms")]) == 0
    atoms = xr.load_dataset(tmp_path / "atoms" / "atoms.nc")
    assert atoms.sizes["atom"] > least
    quick = ("--guide", "normal", "--epochs", "1", "--quiet")
    training = ("--model", "rvae", "--window", "24", "--interpolate", *quick)
    command = ["fit", image, *training, "--at-atoms", *options, "--out", str(tmp_path / "fit")]
    assert main(command) == 0
    maps = xr.load_dataset(tmp_path / "fit" / "maps.nc")
    inside = atoms.sel(atom=maps.atom)
    np.testing.assert_allclose(maps.y, inside.y, rtol=1e-6)
    if "--track" in options:
        np.testing.assert_array_equal(maps.track, inside.track)
    assert_whole(maps)


def test_channels_of_piezoresponse_from_the_command_line(tmp_path):
    scan, again = (str(measurement(f"pfm_pzt_{number}.h5")) for number in (1, 2))
    channels = ("--channel", "HeightRetrace", "--channel", "PhaseRetrace", "--normalize", "none")
    levelled = ("--level", "HeightRetrace=1")
    windows = ("--window", "24", "--step", "32")
    model = ("--likelihood", "PhaseRetrace=von_mises", "--classes", "2", *windows)
    command = ["fit", scan, *channels, *levelled, *model, "--epochs", "1", "--quiet"]
    assert main([*command, "--out", str(tmp_path / "fit")]) == 0
    command = [
        "encode",
        str(tmp_path / "fit" / "model.pt"),
        again,
        "--normalize",
        "none",
        "--step",
        "32",
        *levelled,
    ]
    assert main([*command, "--quiet", "--out", str(tmp_path / "maps.nc")]) == 0
    first = xr.load_dataset(tmp_path / "fit" / "maps.nc", engine="h5netcdf")
    second = xr.load_dataset(tmp_path / "maps.nc", engine="h5netcdf")
    assert dict(first.elbo.sizes) == dict(second.elbo.sizes)
    assert first.y.units == "m"
    assert "HeightRetrace and PhaseRetrace" in (tmp_path / "fit" / "report.html").read_text()
    assert_whole(first)
    assert_whole(second)


def test_resonance_curves_at_every_pixel():
    spectra = load_spectra(measurement("bepfm_spectra.npy"))
    patches = Patches.from_array(spectra, window_ndim=1, normalize="image")
    model = VAE(patches.window)
    fit(model, patches, epochs=5, progress=False)
    maps = encode(model, patches)
    assert maps.z.shape == (*spectra.shape[:2], 2)
    assert_whole(maps)
    seen = patches.to_xarray()
    residual = seen.values - decode(model, maps).values
    assert np.var(residual) < 0.5 * np.var(seen.values)

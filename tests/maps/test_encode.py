"""Labelled maps from trained models, and back to data."""

import json
import math
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyro.distributions as dist
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pyroshift import (
    RVAE,
    VAE,
    AnchorGuide,
    Content,
    FullyConnectedEncoder,
    Offset,
    Patches,
    PoseSite,
    PoseVAE,
    ShiftVAE,
    classify,
    decode,
    encode,
    extract_patches,
    fit,
    manifold,
    synthetic,
)
from pyroshift.errors import DataError, PyroshiftError

RANDOM = np.random.default_rng(0)
NM = {"units": "nm", "long_name": "height"}


def small(model, window, *arguments, **options):
    """A model with a small encoder, which is all that an untrained one needs."""
    common = {"encoder": FullyConnectedEncoder(window, (8,)), "guide": "normal"}
    return model(window, *arguments, **{**common, **options})


def image(shape, spacing=0.5):
    axes = {name: (name, spacing * np.arange(shape[-2:]["yx".index(name)]), NM) for name in "yx"}
    return xr.DataArray(RANDOM.random(shape), dims=("frame", "y", "x")[-len(shape) :], coords=axes)


def force(model, site, values, width=0.5):
    """Make the guide answer the same for every patch: locations in prior widths."""
    head = model.guide_module.heads[site]
    raw = math.log(math.expm1(width)) - math.log(math.expm1(1.0))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([*values, *[raw] * len(values)]))


def cube(window_ndim=1):
    data = xr.DataArray(
        RANDOM.random((2, 3, 12)),
        dims=("y", "x", "energy"),
        coords={
            "y": ("y", [0.0, 0.5], NM),
            "x": ("x", [0.0, 0.5, 1.0], NM),
            "energy": ("energy", 100 + 0.25 * np.arange(12), {"units": "eV"}),
        },
        attrs={"detector": "HAADF", "dwell": 1.5, "calibrated": True, "history": {"a": 1}},
    )
    return Patches.from_array(data, window_ndim)


# For each: patches, model, dimensions, unit of the offset.
LAYOUTS = {
    "grid": lambda: (
        extract_patches(image((12, 16)), (6, 8), 3),
        small(ShiftVAE, (6, 8), 2), {"y": 3, "x": 3}, "nm",
    ),
    "stack": lambda: (
        extract_patches(image((2, 12, 12)), 6),
        small(RVAE, (6, 6), 1, offsets=True, scales=True), {"frame": 2, "y": 3, "x": 3}, "nm",
    ),
    "atoms": lambda: (
        extract_patches(image((2, 12, 12)), 5, positions=[[0, 3, 3], [1, 6, 7], [1, 8, 4]]),
        small(RVAE, (5, 5), 3, offsets=True), {"atom": 3}, "nm",
    ),
    "cube": lambda: (cube(), small(ShiftVAE, (12,), 2), {"y": 2, "x": 3}, "eV"),
    "signals": lambda: (
        Patches.from_array(RANDOM.random((7, 10))), small(ShiftVAE, (10,), 5), {"patch": 7}, "px",
    ),
    "windows": lambda: (
        Patches.from_array(RANDOM.random((4, 6, 6))), small(VAE, (6, 6), 2), {"patch": 4}, "px",
    ),
    "grid by anchor": lambda: (
        extract_patches(image((12, 16)), (6, 8), 3),
        small(ShiftVAE, (6, 8), 2, guide="anchor"), {"y": 3, "x": 3}, "nm",
    ),
    "atoms by anchor": lambda: (
        extract_patches(image((2, 12, 12)), 5, positions=[[0, 3, 3], [1, 6, 7], [1, 8, 4]]),
        small(RVAE, (5, 5), 3, offsets=True, scales=True, guide="anchor"), {"atom": 3}, "nm",
    ),
    "windows by anchor": lambda: (
        Patches.from_array(RANDOM.random((4, 6, 6))),
        small(RVAE, (6, 6), 2, guide=AnchorGuide(candidates=2)), {"patch": 4}, "px",
    ),
    "cube by anchor": lambda: (
        cube(), small(ShiftVAE, (12,), 2, guide="anchor"), {"y": 2, "x": 3}, "eV",
    ),
}  # fmt: skip
EVERY_LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)


# Labels


@EVERY_LAYOUT
def test_maps_are_labelled(layout):
    patches, model, dims, unit = LAYOUTS[layout]()
    maps = encode(model, patches)
    names = [site.name for site in model.given_sites]
    expected = {*names, *(f"{name}_std" for name in names), "elbo"}
    if isinstance(model.guide_module, AnchorGuide):
        modes = {f"mode_{name}" for name in names if name != "z"}
        expected |= {"pose_entropy", "mode_probability", *modes}
        assert maps.sizes["mode"] == model.guide_module.candidates
    assert set(maps.data_vars) == expected
    trailing = {"z": ("latent",), "offset": ("axis",)}
    units = {"offset": unit, "z": "1", "angle": "rad", "scale": "1", "elbo": "nat"}
    units |= {"probability": "1", "pose_entropy": "nat"}
    for name, values in maps.data_vars.items():
        site = name.removesuffix("_std").removeprefix("mode_")
        mode = ("mode",) if name.startswith("mode_") else ()
        assert values.dims == (*dims, *mode, *trailing.get(site, ())), name
        assert values.dtype == np.float32
        assert values.attrs["units"] == units[site]
        assert values.attrs["long_name"]
        assert ("standard deviation" in values.attrs["long_name"]) == name.endswith("_std")
        assert np.isfinite(values).all()
        assert not name.endswith("_std") or (values > 0).all()
    assert {name: maps.sizes[name] for name in dims} == dims
    assert maps.sizes["latent"] == model.latent_dim
    if "offset" in names:
        assert list(maps["axis"].values) == list(patches.window_dims)


@EVERY_LAYOUT
def test_coordinates_are_those_of_the_patches(layout):
    patches, model, _, _ = LAYOUTS[layout]()
    maps = encode(model, patches)
    for name, coordinate in patches.coords.items():
        found, expected = maps[name].variable, coordinate
        xr.testing.assert_identical(found.to_base_variable(), expected.to_base_variable())
    for name in {"y", "x"} & set(maps.coords):
        assert maps[name].attrs["units"] == "nm"
        assert maps[name].attrs["long_name"]


def test_atoms_know_where_they_are():
    patches, model, _, _ = LAYOUTS["atoms"]()
    maps = encode(model, patches)
    np.testing.assert_array_equal(maps.frame, [0, 1, 1])
    np.testing.assert_allclose(maps.y, [1.5, 3.0, 4.0])
    np.testing.assert_allclose(maps.x, [1.5, 3.5, 2.0])
    assert maps.y.dims == maps.frame.dims == ("atom",)


@EVERY_LAYOUT
def test_attributes_are_what_every_file_format_takes(layout):
    patches, model, _, _ = LAYOUTS[layout]()
    maps = encode(model, patches)
    for attrs in (maps.attrs, *(maps[name].attrs for name in maps.variables)):
        for value in attrs.values():
            items = value if isinstance(value, list) else [value]
            assert all(isinstance(item, str | int | float) for item in items)
            assert not any(isinstance(item, bool) for item in items)


def test_attributes_of_the_source_are_kept_where_they_can_be():
    maps = encode(small(ShiftVAE, (12,)), cube())
    assert maps.attrs["source_detector"] == "HAADF"
    assert maps.attrs["source_dwell"] == 1.5
    assert not {"source_calibrated", "source_history"} & set(maps.attrs)


# Values and units


def test_offsets_are_in_the_units_of_the_source():
    """0.3 half-windows, of 4 pixels each: 1.2 pixels per prior width, on either axis."""
    data = image((12, 16)).assign_coords(x=("x", 2.0 * np.arange(16), NM))
    model = small(ShiftVAE, (6, 8), offset_scale=0.3)
    force(model, "offset", [1.0, -2.0], width=0.5)
    maps = encode(model, extract_patches(data, (6, 8), 3))
    np.testing.assert_allclose(maps.offset.sel(axis="y"), 1.2 * 0.5, rtol=1e-5)
    np.testing.assert_allclose(maps.offset.sel(axis="x"), -2.4 * 2.0, rtol=1e-5)
    np.testing.assert_allclose(maps.offset_std.sel(axis="y"), 0.6 * 0.5, rtol=1e-5)
    np.testing.assert_allclose(maps.offset_std.sel(axis="x"), 0.6 * 2.0, rtol=1e-5)


def test_units_that_differ_are_told_for_each_axis():
    data = image((12, 16)).assign_coords(x=("x", np.arange(16.0), {"units": "eV"}))
    maps = encode(small(ShiftVAE, (6, 8)), extract_patches(data, (6, 8)))
    assert maps.offset.attrs["units"] == maps.offset_std.attrs["units"] == "nm, eV"


@pytest.mark.parametrize("guide", ["normal", "anchor"])
@pytest.mark.parametrize("falling", ["y", "x", "yx"])
def test_coordinate_plus_offset_is_where_the_motif_is(guide, falling):
    """Rows that are counted upwards, say, have their motifs where they are nonetheless."""
    model = small(ShiftVAE, (6, 6), guide=guide)
    rising = image((12, 12))
    turned = {name: (name, -rising[name].values, NM) for name in falling}
    one, other = (
        encode(model, extract_patches(data, 6)) for data in (rising, rising.assign_coords(turned))
    )
    assert (other.offset_std > 0).all()
    assert float(np.abs(one.offset).max()) > 0
    for name in "yx":
        sign = -1 if name in falling else 1
        there = {"axis": name}
        found = other[name] + other.offset.sel(there)
        expected = one[name] + one.offset.sel(there)
        np.testing.assert_allclose(found, sign * expected)
        np.testing.assert_allclose(other.offset_std.sel(there), one.offset_std.sel(there))
    xr.testing.assert_allclose(
        decode(model, one).drop_vars(["y", "x"]), decode(model, other).drop_vars(["y", "x"])
    )


@settings(max_examples=50, deadline=None)
@given(st.floats(-30, 30, width=32))
def test_angles_are_wrapped(angle):
    model = small(RVAE, (6, 6), angle_scale=1.0)
    force(model, "angle", [angle])
    found = encode(model, extract_patches(image((6, 6)), 6)).angle.values
    assert -np.float32(np.pi) < found <= np.float32(np.pi)
    np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * angle), atol=1e-5)


def test_standard_deviations_are_not_their_logarithms():
    model = small(RVAE, (6, 6), 2, offsets=True, angle_scale=0.2)
    for site, size in (("offset", 2), ("angle", 1), ("z", 2)):
        force(model, site, [0.0] * size, width=0.5)
    maps = encode(model, extract_patches(image((6, 6)), 6))
    np.testing.assert_allclose(maps.angle_std, 0.1, rtol=1e-5)
    np.testing.assert_allclose(maps.z_std, 0.5, rtol=1e-5)


# How it is computed


@EVERY_LAYOUT
@pytest.mark.parametrize("batch_size", [1, 4])
def test_batches_do_not_matter(layout, batch_size):
    patches, model, _, _ = LAYOUTS[layout]()
    whole, streamed = encode(model, patches), encode(model, patches, batch_size)
    sampled = ["elbo"]
    xr.testing.assert_allclose(whole.drop_vars(sampled), streamed.drop_vars(sampled), atol=1e-5)
    np.testing.assert_allclose(whole.elbo, streamed.elbo, rtol=0.1)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_bad_batch_sizes_are_refused(batch_size):
    patches, model, _, _ = LAYOUTS["windows"]()
    with pytest.raises(PyroshiftError, match="batch_size"):
        encode(model, patches, batch_size)


@pytest.mark.parametrize("training", [True, False])
def test_mode_weights_and_random_state_stay(training):
    patches, model, _, _ = LAYOUTS["stack"]()
    model.train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    maps = encode(model, patches)
    decode(model, maps)
    manifold(model, 2)
    assert model.training == training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(parameter.grad is not None for parameter in model.parameters())
    xr.testing.assert_identical(encode(model, patches), maps)


class Watched(nn.Module):
    """A decoder that notes in which mode it runs."""

    def __init__(self):
        super().__init__()
        self.scale, self.modes = nn.Parameter(torch.ones(())), []

    def forward(self, z, coordinates):
        self.modes.append(self.training)
        return self.scale * z.sum(-1)[:, None, None] * coordinates.sum(-1)


def test_maps_and_data_are_computed_in_evaluation_mode():
    decoder = Watched()
    model = small(VAE, (6, 6), decoder=decoder).train()
    maps = encode(model, extract_patches(image((6, 6)), 6))
    decode(model, maps)
    assert decoder.modes
    assert not any(decoder.modes)
    assert model.training


def test_parts_that_were_frozen_stay_frozen():
    model = small(VAE, (6, 6)).train()
    model.encoder.eval()
    encode(model, extract_patches(image((6, 6)), 6))
    assert model.training
    assert not model.encoder.training
    assert model.decoder.training


@pytest.mark.parametrize("cut", [lambda data: extract_patches(data, 8), lambda data: cube()])
def test_patches_of_another_window_are_refused(cut):
    with pytest.raises(DataError, match=r"windows of \(6, 6\)"):
        encode(small(VAE, (6, 6)), cut(image((12, 12))))


def test_data_out_of_range_are_refused():
    counts = Patches.from_array(np.arange(256.0).reshape(-1, 16))
    with pytest.raises(DataError, match="Bernoulli"):
        encode(small(VAE, (16,), likelihood="bernoulli"), counts)


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_nothing_is_made_up_where_patches_were_left_out(guide):
    data = image((12, 12))
    data[5, 7] = np.nan
    with pytest.warns(UserWarning, match="left out"):
        patches = extract_patches(data, 4, 2, min_valid=1.0)
    maps = encode(small(ShiftVAE, (4, 4), guide=guide), patches)
    gaps = patches.to_xarray().isnull().any(("window_y", "window_x")).values
    assert 0 < gaps.sum() < gaps.size
    for name, values in maps.data_vars.items():
        missing = values.isnull().any(set(values.dims) - {"y", "x"})
        np.testing.assert_array_equal(missing, gaps, err_msg=name)


# Files

ZARR = [
    pytest.mark.filterwarnings("ignore:Consolidated metadata"),
    pytest.mark.filterwarnings("ignore:The data type"),
]


def reread(dataset, folder, engine):
    path = Path(folder) / "maps"
    if engine == "zarr":
        pytest.importorskip("zarr")
        dataset.to_zarr(path)
    else:
        dataset.to_netcdf(path, engine=engine)
    return xr.load_dataset(path, engine=engine)


@pytest.mark.parametrize(
    ("layout", "engine"),
    [
        pytest.param(layout, engine, marks=ZARR * (engine == "zarr"))
        for layout in LAYOUTS
        for engine in ("h5netcdf", "zarr")
    ],
)
def test_files_bring_everything_back(layout, engine, tmp_path):
    patches, model, _, _ = LAYOUTS[layout]()
    maps = encode(model, patches)
    xr.testing.assert_identical(reread(maps, tmp_path, engine), maps)


@settings(max_examples=20, deadline=None)
@given(
    lead=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    window=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    latents=st.integers(1, 3),
    units=st.sampled_from(["nm", "Å", "µm", ""]),
    text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)
def test_files_of_any_layout(lead, window, latents, units, text):
    dims = [f"lead{axis}" for axis in range(len(lead))]
    data = xr.DataArray(
        RANDOM.random((*lead, *window)),
        dims=(*dims, "y", "x"),
        coords={
            **{name: (name, np.arange(n) / 3) for name, n in zip(dims, lead, strict=True)},
            "x": ("x", np.arange(window[1]) * 0.5, {"units": units}),
        },
        attrs={"comment": text, "number": 3, "none": None, "yes": True},
    )
    maps = encode(small(ShiftVAE, window, latents), Patches.from_array(data, 2))
    with tempfile.TemporaryDirectory() as folder:
        xr.testing.assert_identical(reread(maps, folder, "h5netcdf"), maps)


def test_zarr_takes_them_without_a_warning(tmp_path):
    pytest.importorskip("zarr")
    data = xr.DataArray(
        RANDOM.random((3, 10)), coords={"probe": ["a", "bc", "d"]}, dims=("probe", "x")
    )
    maps = encode(small(ShiftVAE, (10,)), Patches.from_array(data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maps.to_zarr(tmp_path / "maps.zarr", consolidated=False)


def test_plain_xarray_opens_the_file(tmp_path):
    patches, model, _, _ = LAYOUTS["grid"]()
    encode(model, patches).to_netcdf(tmp_path / "maps.nc", engine="h5netcdf")
    code = (
        "import sys, xarray; maps = xarray.load_dataset('maps.nc'); print(dict(maps.sizes)); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{'y': 3, 'x': 3, 'axis': 2, 'latent': 2}"


def test_attributes_of_coordinates_do_not_spoil_the_file(tmp_path):
    data = xr.DataArray(
        RANDOM.random((3, 10)),
        coords={"probe": ("probe", [1, 2, 3], {"origin": {"file": 1}, "none": None})},
        dims=("probe", "x"),
    )
    maps = encode(small(ShiftVAE, (10,)), Patches.from_array(data))
    maps.to_netcdf(tmp_path / "maps.nc", engine="h5netcdf")


def test_stacked_dimensions_are_refused():
    data = xr.DataArray(RANDOM.random((2, 3, 10)), dims=("a", "b", "x"), coords={"a": [0, 1]})
    stacked = data.assign_coords(b=[0, 1, 2]).stack(point=("a", "b")).transpose("point", "x")
    with pytest.raises(DataError, match="reset_index"):
        Patches.from_array(stacked)
    frames = data.expand_dims(y=4).assign_coords(b=[0, 1, 2]).stack(point=("a", "b"))
    with pytest.raises(DataError, match="reset_index"):
        extract_patches(frames.transpose("point", "y", "x"), 2)


@pytest.mark.parametrize(
    "name",
    ["z", "latent", "axis", "offset", "elbo", "angle_std", "mode", "mode_offset", "pose_entropy"],
)
def test_dimensions_named_as_results_are_refused(name):
    data = xr.DataArray(RANDOM.random((3, 10)), coords={name: [1, 2, 3]}, dims=(name, "x"))
    with pytest.raises(DataError, match=name):
        Patches.from_array(data)


@pytest.mark.parametrize("name", ["angle", "scale", "latent", "mode", "mode_probability"])
def test_coordinates_named_as_results_are_refused(name):
    data = xr.DataArray(
        RANDOM.random((3, 10)), coords={name: ("sample", [1, 2, 3])}, dims=("sample", "x")
    )
    with pytest.raises(DataError, match=name):
        Patches.from_array(data)


# A trained model


@pytest.fixture(scope="module")
def trained():
    """A ShiftVAE of 500 peaks, its patches, their truth and their maps."""
    truth = synthetic.peaks(500, noise=0.05)
    patches = Patches.from_array(truth["signal"])
    model = ShiftVAE((100,), latent_dim=1, guide="normal")
    fit(model, patches, epochs=40, batch_size=50, progress=False)
    return model, patches, truth, encode(model, patches)


def test_offsets_are_the_true_ones(trained):
    """In the signal's own unit, positive towards larger index, up to a constant."""
    _, _, truth, maps = trained
    found, true = maps.offset.sel(axis="x").values, truth["offset"].values
    assert maps.offset.attrs["units"] == "a.u."
    assert np.corrcoef(found, true)[0, 1] > 0.99
    assert np.polyfit(true, found, 1)[0] == pytest.approx(1, rel=0.05)


def test_decoded_maps_reconstruct_the_data(trained):
    model, patches, _, maps = trained
    data = patches.to_xarray()
    seen = decode(model, maps)
    assert seen.dims == ("sample", "window_x")
    assert seen.dtype == np.float32
    assert float(((seen.values - data.values) ** 2).mean()) < 0.1 * float(data.var())


def test_the_bound_finds_the_odd_one(trained):
    model, patches, _, maps = trained
    odd = patches.gather()[:20].clone()
    odd[7] = odd[7].flip(0) + 0.5 * torch.sin(torch.arange(100.0))
    found = encode(model, Patches.from_array(odd)).elbo
    assert int(found.values.argmin()) == 7
    assert found.values[7] < maps.elbo.min()


def test_a_positive_offset_moves_the_motif_towards_larger_index(trained):
    model, _, _, _ = trained
    places = [int(decode(model, [0.0], offset=[shift]).argmax("window_x")) for shift in (-9, 0, 12)]
    assert places[1] - places[0] == pytest.approx(9, abs=1)
    assert places[2] - places[1] == pytest.approx(12, abs=1)


def test_pixels_and_units_agree(trained):
    model, patches, _, maps = trained
    in_pixels = maps.offset.values / patches.pixel_size[0]
    from_arrays = decode(model, maps.z.values, offset=in_pixels)
    from_labels = decode(model, maps.z, offset=maps.offset)
    np.testing.assert_allclose(from_arrays.values, from_labels.values, atol=1e-4)
    np.testing.assert_array_equal(from_labels.values, decode(model, maps).values)


# Decoding


def test_classes_found_afterwards_are_no_matter_of_decoding(trained):
    """`classify` names an axis as the site is named that this model doesn't have."""
    model, _, _, maps = trained
    classified = classify(maps, classes=2)
    np.testing.assert_array_equal(decode(model, classified).values, decode(model, maps).values)
    with pytest.raises(DataError, match="class"):
        decode(model, maps.assign({"class": maps.elbo}))


def test_decoded_data_are_labelled():
    patches, model, _, _ = LAYOUTS["grid"]()
    maps = encode(model, patches)
    seen = decode(model, maps)
    assert seen.dims == ("y", "x", "window_y", "window_x")
    assert seen.shape == (3, 3, 6, 8)
    for name in ("y", "x"):
        xr.testing.assert_identical(seen[name].variable, maps[name].variable)
    assert "latent" not in seen.coords
    one = decode(model, maps.isel(y=1, x=2))
    assert one.dims == ("window_y", "window_x")
    np.testing.assert_allclose(one, seen.isel(y=1, x=2), atol=1e-5)


def test_poses_of_every_kind_are_used():
    model = small(RVAE, (6, 6), 1, offsets=True, scales=True)
    with torch.no_grad():
        model.decoder.layers[-1].bias.normal_(generator=torch.Generator().manual_seed(0))
    plain = decode(model, [0.0])
    neutral = decode(model, [0.0], offset=[0.0, 0.0], angle=2 * math.pi, scale=1.0)
    np.testing.assert_allclose(plain, neutral, atol=1e-4)
    np.testing.assert_allclose(decode(model, [0.0], angle=math.pi / 2), np.rot90(plain), atol=1e-4)
    down = decode(model, [0.0], offset=[1.0, 0.0])
    np.testing.assert_allclose(down[1:], plain[:-1], atol=1e-4)
    assert abs(decode(model, [0.0], scale=1.5) - plain).max() > 0.01


def test_one_pose_serves_all_latents():
    model = small(ShiftVAE, (6, 6), 2)
    z = RANDOM.normal(size=(2, 3, 2))
    seen = decode(model, z, offset=[1.0, -1.0])
    assert seen.dims == ("dim_0", "dim_1", "window_y", "window_x")
    each = decode(model, z, offset=np.broadcast_to([1.0, -1.0], (2, 3, 2)))
    np.testing.assert_array_equal(seen, each)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"z": np.zeros((4, 3))}, "2 latents"),
        ({"z": 0.0}, "2 latents"),
        ({"z": np.zeros((4, 2)), "offset": np.zeros((3, 2))}, "offset of shape"),
        ({"z": np.zeros((4, 2)), "offset": np.zeros((4, 3))}, "offset of shape"),
        ({"z": np.zeros((4, 2)), "angle": 0.1}, "angle"),
        ({"z": np.zeros((4, 2)), "scale": 1.1}, "scale"),
    ],
)
def test_latents_and_poses_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        decode(small(ShiftVAE, (6, 6), 2), **arguments)


def test_maps_of_another_model_are_refused():
    patches, model, _, _ = LAYOUTS["stack"]()
    maps = encode(model, patches)
    with pytest.raises(DataError, match=r"\['offset', 'angle', 'scale'\] given"):
        decode(small(VAE, (6, 6), 1), maps)


@pytest.mark.parametrize(
    "likelihood",
    ["gaussian", "bernoulli", "continuous_bernoulli", "poisson"],
)
def test_maps_with_gaps_are_decoded_with_gaps(likelihood):
    data = image((12, 12))
    data[5, 7] = np.nan
    with pytest.warns(UserWarning, match="left out"):
        patches = extract_patches(data, 4, 2, min_valid=1.0)
    model = small(ShiftVAE, (4, 4), likelihood=likelihood)
    maps = encode(model, patches)
    seen = decode(model, maps)
    gaps = maps.elbo.isnull()
    xr.testing.assert_equal(seen.isnull().all(("window_y", "window_x")), gaps)
    xr.testing.assert_equal(seen.isnull().any(("window_y", "window_x")), gaps)


# Manifolds


@pytest.mark.parametrize(("latents", "dims"), [(1, ("z0",)), (2, ("z0", "z1")), (5, ("z0", "z1"))])
@pytest.mark.parametrize("window", [(6, 8), (9,)])
def test_manifolds_of_any_number_of_latents(latents, dims, window):
    model = small(ShiftVAE, window, latents)
    found = manifold(model, size=4)
    assert found.dims == (*dims, *("window_y", "window_x")[-len(window) :])
    assert found.shape == (4,) * len(dims) + window
    assert found.dtype == np.float32
    for name in dims:
        np.testing.assert_allclose(found[name], np.linspace(-2, 2, 4), rtol=1e-6)
    corner = [2.0, -2.0, 0, 0, 0][:latents] if latents > 1 else [2.0]
    here = found.isel(z0=-1, z1=0) if latents > 1 else found.isel(z0=-1)
    np.testing.assert_allclose(here, decode(model, corner), atol=1e-5)


def test_any_two_latents_may_be_varied():
    model = small(VAE, (6, 6), 5)
    found = manifold(model, size=3, latents=(3, 1), limit=1.0)
    assert found.dims[:2] == ("z3", "z1")
    expected = decode(model, [0.0, -1.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(found.sel(z3=1.0, z1=-1.0), expected, atol=1e-5)


@pytest.mark.parametrize("options", [{"size": 1}, {"latents": (0, 2)}, {"latents": (1, 1)}])
def test_bad_manifolds_are_refused(options):
    with pytest.raises(DataError, match=r"at least 2|two different"):
        manifold(small(VAE, (6, 6), 2), **options)


def test_the_grid_is_in_standard_deviations_of_the_prior():
    model = small(VAE, (6, 6), 1, priors={"z": dist.Normal(10.0, 3.0)})
    seen = manifold(model, size=3)
    np.testing.assert_allclose(seen.isel(z0=2), decode(model, [16.0]), atol=1e-5)


def test_the_encoder_sees_every_patch_once():
    model, seen = ShiftVAE((16, 16), guide="normal"), []
    model.encoder.register_forward_hook(lambda module, given, output: seen.append(len(output)))
    patches = extract_patches(np.random.default_rng(0).random((64, 64)), window=16, step=8)
    encode(model, patches, batch_size=20)
    assert sum(seen) == len(patches)


class Stretch(PoseSite):
    """A site of the user's own, with two elements: how much each axis is stretched."""

    def __init__(self):
        super().__init__("stretch", dist.Normal(0.0, 0.1), (2,))

    def transform(self, coordinates, value):
        return coordinates * (1 + value.reshape(-1, 1, 1, 2))

    def reach(self, radius):
        return 1.3 * radius


@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_a_site_of_several_elements_is_mapped(guide, tmp_path):
    model = PoseVAE((16, 16), [Offset(), Stretch(), Content(2)], guide=guide)
    maps = encode(model, extract_patches(image((32, 40)), window=16))
    assert maps.stretch.dims == maps.stretch_std.dims == ("y", "x", "stretch_element")
    if guide == "anchor":
        assert maps.mode_stretch.dims == ("y", "x", "mode", "stretch_element")
    maps.to_netcdf(tmp_path / "maps.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "maps.nc") as found:
        xr.testing.assert_identical(found.stretch.load(), maps.stretch)


# Latents that say nothing


@pytest.mark.parametrize("engine", ["h5netcdf", "zarr"])
def test_collapsed_latents_are_told(engine, tmp_path):
    model = small(ShiftVAE, (6, 6), 2)  # untrained, all posteriors are the priors
    head = model.guide_module.heads["z"]
    with torch.no_grad():
        head.bias[2:] = torch.tensor([-3.0, 0.0])  # widths of the posterior of z
    maps = encode(model, RANDOM.random((8, 6, 6)))
    assert float(maps.z_std[:, 0].mean()) < 0.9 < float(maps.z_std[:, 1].mean())
    assert maps.collapsed.dims == ("latent",)
    assert maps.collapsed.dtype == bool
    assert list(maps.collapsed.values) == [False, True]
    assert list(maps.z.sel(latent=0).collapsed.values.ravel()) == [False]
    path = tmp_path / "maps"
    if engine == "zarr":
        maps.to_zarr(path, consolidated=False)
    else:
        maps.to_netcdf(path, engine=engine)
    options = {"consolidated": False} if engine == "zarr" else {}
    with xr.open_dataset(path, engine=engine, **options) as read:
        xr.testing.assert_identical(read.load(), maps)


# Latents of several sites, and priors that are computed


def test_several_sites_of_latents_go_by_their_own_names():
    sites = [Offset(), Content(2), Content(1, dist.Normal(5.0, 2.0), name="w")]
    model = PoseVAE((8, 8), sites)
    assert model.latent_dim == 3
    patches = extract_patches(np.random.default_rng(0).random((16, 20)), window=8)
    maps = encode(model, patches)
    assert maps.z.dims[-1] == "latent"
    assert maps.sizes["latent"] == 2
    assert maps.w.shape == (*maps.z.shape[:-1], 1)
    together = np.concatenate([maps.z.values, maps.w.values], -1)
    expected = decode(model, together, offset=maps.offset)
    np.testing.assert_array_equal(decode(model, maps).values, expected.values)
    assert decode(model, maps).dims == (*maps.z.dims[:-1], "window_y", "window_x")
    np.testing.assert_allclose(manifold(model, 3, latents=(0, 2)).z2, [1.0, 5.0, 9.0])


class Given(Content):
    """Latents whose prior the site computes."""

    def prior_given(self, values):
        return dist.Normal(torch.full((2,), 10.0), 3.0).to_event(1)


class FromAngle(Content):
    """Latents whose prior goes by the angle."""

    def prior_given(self, values):
        return dist.Normal(values["angle"].cos().unsqueeze(-1).expand(-1, 2), 0.5).to_event(1)


@pytest.mark.parametrize(
    ("site", "mean", "width"), [(Given(2), 10.0, 3.0), (FromAngle(2), 1.0, 0.5)]
)
@pytest.mark.parametrize("guide", ["normal", "anchor"])
def test_maps_and_manifold_go_by_the_prior_that_a_site_computes(site, mean, width, guide):
    model = RVAE(8, priors={"z": site}, guide=guide)
    np.testing.assert_allclose(manifold(model, 3).z1, mean + 2 * width * np.array([-1, 0, 1]))
    patches = extract_patches(np.random.default_rng(0).random((16, 20)), window=8)
    told = json.loads(encode(model, patches).attrs["configuration"])["sites"]["z"]
    assert f"mean {mean:g}, width {width:g}" in told
    if guide == "anchor":
        assert bool((model.guide_module.anchor_latents == mean).all())


def test_modes_are_ranked_by_the_prior_that_a_site_computes():
    # A prior of z by the angle: modes of the angles that it favours gain what it gives them.
    class ByAngle(Content):
        weight = 0.0

        def prior_given(self, values):
            favour = self.weight * values["angle"].cos().unsqueeze(-1)
            return dist.Normal(favour.expand(-1, 2), 1.0).to_event(1)

    site = ByAngle(2)
    model = RVAE(8, priors={"z": site}, guide="anchor", angle_scale=math.inf).eval()
    x = torch.rand(6, 8, 8)
    plain = model.guide_module.summary(model, x)
    site.weight = 30.0
    found = model.guide_module.summary(model, x)
    # Posteriors stay near zero, so that a prior about zero is favoured: angles near a quarter turn.
    assert bool((plain["mode_angle"][:, 0].cos().abs() > 0.3).any())
    assert float(found["mode_angle"][:, 0].cos().abs().mean()) < float(
        plain["mode_angle"][:, 0].cos().abs().mean()
    )


def test_known_mirror_images_are_those_of_the_map():
    windows = np.random.default_rng(0).random((6, 8, 8))
    known = [1.0, np.nan, 0.0, 1.0, 0.0, np.nan]
    patches = Patches.from_array(windows).assign(flip=known)
    maps = encode(ShiftVAE(8, flips=True, guide="normal"), patches)
    assert "flip" in maps.data_vars
    told = np.isfinite(known)
    np.testing.assert_array_equal(maps.flip[told], np.array(known)[told])
    assert "flip" in encode(ShiftVAE(8, guide="normal"), patches).coords


def test_grey_levels_stretched_otherwise_than_in_the_training_are_told():
    image = np.random.default_rng(0).random((32, 32))
    model = VAE(8)
    trained, others = (extract_patches(image, 8, normalize=each) for each in ("image", "patch"))
    fit(model, trained, epochs=1, progress=False)
    encode(model, trained)
    with pytest.warns(UserWarning, match="normalize='image', but these are by 'patch'"):
        encode(model, others)
    encode(model, trained.gather().numpy())  # of which nothing is known

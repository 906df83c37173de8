"""Scans of diffraction patterns: read as they were written, lazily, and refused in plain words."""

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift import Patches, ShiftVAE, encode, load_patterns, synthetic
from pyroshift.errors import DataError, ReaderError

COUNTS = np.random.default_rng(0).poisson(4.0, (4, 5, 12, 16)).astype(np.uint16)


@pytest.fixture
def npy(tmp_path):
    np.save(tmp_path / "scan.npy", COUNTS)
    return tmp_path / "scan.npy"


def axis(name, size, scale, units, navigate):
    return {"name": name, "size": size, "scale": scale, "offset": -scale, "units": units,
            "navigate": navigate}  # fmt: skip


AXES = [
    axis("y", 4, 0.5, "nm", True),
    axis("x", 5, 0.5, "nm", True),
    axis("ky", 12, 0.1, "1/nm", False),
    axis("kx", 16, 0.1, "1/nm", False),
]


def test_npy_is_mapped_and_counts_pixels(npy):
    patterns = load_patterns(npy)
    assert patterns.dims == ("y", "x", "ky", "kx")
    assert isinstance(patterns.variable._data, np.memmap)
    assert patterns.kx.units == "px"
    np.testing.assert_array_equal(patterns, COUNTS)


def test_patches_look_into_the_file_and_change_nothing_in_it(npy):
    patches = Patches.from_array(load_patterns(npy), window_ndim=2)
    assert patches.source.dtype == torch.uint16
    assert patches.gather().dtype == torch.float32
    np.testing.assert_array_equal(patches.gather().reshape(COUNTS.shape), COUNTS)
    patches.source[:] = 0
    np.testing.assert_array_equal(np.load(npy), COUNTS)


def test_hspy_by_rosettasciio(tmp_path):
    hspy = pytest.importorskip("rsciio.hspy")
    path = tmp_path / "scan.hspy"
    signal = {
        "data": COUNTS, "axes": AXES, "original_metadata": {}, "tmp_parameters": {},
        "metadata": {"General": {"title": "scan"}, "Signal": {"signal_type": ""}},
        "package_info": {}, "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {}, "models": {}, "package": "", "package_version": "",
    }  # fmt: skip
    hspy.file_writer(str(path), signal)
    check_scan(load_patterns(path))


def check_scan(patterns):
    np.testing.assert_array_equal(patterns, COUNTS)
    np.testing.assert_allclose(patterns.x, 0.5 * np.arange(5))
    np.testing.assert_allclose(patterns.kx, 0.1 * np.arange(16) - 0.1)
    assert (patterns.y.units, patterns.ky.units) == ("nm", "1/nm")


def write_hspy(path, **options):
    """The layout, with axes in another order: the detector's first."""
    order = (2, 3, 0, 1)
    with h5py.File(path, "w") as file:
        group = file.create_group("Experiments/scan")
        group.create_dataset("data", data=COUNTS.transpose(order), **options)
        for number, place in enumerate(order):
            group.create_group(f"axis-{number}").attrs.update(AXES[place])


def test_axes_that_navigate_are_the_scan_wherever_they_stand(tmp_path):
    write_hspy(tmp_path / "scan.hspy")
    patterns = load_patterns(tmp_path / "scan.hspy")
    check_scan(patterns)
    assert isinstance(patterns.variable._data.base, np.memmap)


def test_compressed_values_are_read_when_needed(tmp_path):
    pytest.importorskip("dask")
    write_hspy(tmp_path / "scan.hspy", chunks=(12, 16, 1, 1), compression="gzip")
    patterns = load_patterns(tmp_path / "scan.hspy")
    assert patterns.chunks is not None
    check_scan(patterns)
    patches = Patches.from_array(patterns, window_ndim=2)
    np.testing.assert_array_equal(patches.gather().reshape(COUNTS.shape), COUNTS)


def test_zspy(tmp_path):
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("dask")
    group = zarr.open_group(str(tmp_path / "scan.zspy"), mode="w").create_group("Experiments/scan")
    group.create_array("data", data=COUNTS)
    for number, told in enumerate(AXES):
        group.create_group(f"axis-{number}").attrs.update(told)
    check_scan(load_patterns(tmp_path / "scan.zspy"))


def test_nsid(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        group = file.create_group("Measurement/scan")
        data = group.create_dataset("scan", data=COUNTS)
        data.attrs["data_type"] = "IMAGE_4D"
        for number, told in enumerate(AXES):
            along = told["offset"] + told["scale"] * np.arange(told["size"])
            scale = group.create_dataset(told["name"], data=along)
            scale.attrs["units"] = told["units"]
            scale.attrs["dimension_type"] = "SPATIAL" if told["navigate"] else "RECIPROCAL"
            scale.make_scale(told["name"])
            data.dims[number].label = told["name"]
            data.dims[number].attach_scale(scale)
    check_scan(load_patterns(tmp_path / "scan.h5"))


@settings(deadline=None, max_examples=25)
@given(
    shape=st.tuples(*[st.integers(1, 4)] * 2, *[st.integers(4, 9)] * 2),
    binning=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_bins_keep_counts_and_mask_takes_whole_bins(shape, binning, seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(3.0, (shape[0], shape[1] + 1, *shape[2:]))
    mask = rng.random(shape[2:]) < 0.1
    height, width = shape[2] // binning, shape[3] // binning
    kept = counts[..., : height * binning, : width * binning]
    binned = load_patterns(counts, binning=binning)
    assert binned.shape == (*counts.shape[:2], height, width)
    assert float(binned.sum()) == kept.sum()
    lost = np.isnan(load_patterns(counts, binning=binning, mask=mask).values)
    blocks = mask[: height * binning, : width * binning]
    blocks = blocks.reshape(height, binning, width, binning).any((1, 3))
    np.testing.assert_array_equal(lost, np.broadcast_to(blocks, lost.shape))


def test_offsets_are_in_the_detectors_unit_over_the_scan(npy):
    patterns = load_patterns(npy, binning=2, scan_step=(0.5, "nm"), detector_step=(0.8, "mrad"))
    assert float(patterns.kx[1] - patterns.kx[0]) == pytest.approx(1.6)
    maps = encode(ShiftVAE((6, 8), likelihood="gaussian"), patterns)
    assert maps.offset.dims == ("y", "x", "axis")
    assert maps.offset.units == "mrad"
    np.testing.assert_allclose(maps.x, 0.5 * np.arange(5))
    assert maps.x.units == "nm"


def test_a_region_is_part_of_the_file_and_of_the_mask(npy):
    region = {"y": (0.4, 1.1), "kx": (3, 9)}
    mask = np.zeros((12, 16), bool)
    mask[:, 3] = True
    step = (0.5, "nm")
    patterns = load_patterns(npy, region=region, scan_step=step)
    np.testing.assert_array_equal(patterns, COUNTS[1:3, :, :, 3:10])
    lost = np.isnan(load_patterns(npy, region=region, scan_step=step, mask=mask).values)
    assert lost[..., 0].all()
    assert not lost[..., 1:].any()


def test_data_arrays_go_by_their_names():
    data = xr.DataArray(COUNTS, dims=("y", "x", "ky", "kx"))
    np.testing.assert_array_equal(load_patterns(data.transpose("kx", "y", "ky", "x")), COUNTS)
    named = xr.DataArray(COUNTS, dims=("row", "column", "qy", "qx"))
    assert load_patterns(named).dims == ("y", "x", "ky", "kx")


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (COUNTS[0], {}, "four axes"),
        (COUNTS[:1, :1], {}, "1 x 1 positions"),
        (COUNTS, {"binning": 9}, "less than 2"),
        (COUNTS, {"binning": 0}, "binning"),
        (COUNTS, {"mask": np.zeros((3, 3), bool)}, r"\(12, 16\)"),
        (COUNTS, {"mask": np.ones((12, 16), bool)}, "no pixel"),
        (COUNTS, {"region": {"z": (0, 1)}}, "'z'"),
        (COUNTS, {"region": {"y": (10, 11)}}, "from 0 to 3"),
        (COUNTS, {"scan_step": (0, "nm")}, "more than 0"),
        (COUNTS, {"scan_step": 2.0}, "a number and its unit"),
        (COUNTS.astype(complex), {}, "complex"),
    ],
)
def test_what_cannot_be_is_told(source, options, said):
    with pytest.raises(DataError, match=said):
        load_patterns(source, **options)


def test_files_that_hold_no_scan_are_told(tmp_path):
    np.save(tmp_path / "image.npy", COUNTS[0, 0])
    with pytest.raises(ReaderError, match="four axes"):
        load_patterns(tmp_path / "image.npy")
    with pytest.raises(FileNotFoundError):
        load_patterns(tmp_path / "none.npy")
    content = (tmp_path / "image.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(content[:100])
    with pytest.raises(ReaderError, match="damaged"):
        load_patterns(tmp_path / "cut.npy")


def test_units_that_are_none_are_told(tmp_path):
    write_hspy(tmp_path / "scan.hspy")
    with h5py.File(tmp_path / "scan.hspy", "a") as file:
        file["Experiments/scan/axis-0"].attrs["units"] = "V"
    with pytest.warns(UserWarning, match="'V'"):
        patterns = load_patterns(tmp_path / "scan.hspy")
    assert patterns.ky.units == patterns.kx.units == "px"


# --- the generator -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=10)
@given(dose=st.floats(50, 1e4), field=st.sampled_from(["vortex", "domains", "none"]),
       seed=st.integers(0, 99))  # fmt: skip
def test_patterns_have_their_dose_and_deflection(dose, field, seed):
    scan = synthetic.diffraction(
        (6, 6), (24, 24), 6, field=field, dose=dose, contrast=0.0, background=0.0, seed=seed
    )
    np.testing.assert_allclose(scan.expected.sum(("ky", "kx")), dose, rtol=1e-4)
    along = {"y": "ky", "x": "kx"}
    for axis_name, name in along.items():
        centre = (scan.expected * scan[name]).sum(("ky", "kx")) / dose
        # Of an even disk the centre of mass is the deflection, but for the sampling of its edge.
        np.testing.assert_allclose(centre, scan.deflection.sel(axis=axis_name), atol=0.02)
    assert float(np.hypot(*np.moveaxis(scan.deflection.values, -1, 0)).max()) <= 2.001


def test_structure_moves_the_centre_of_mass():
    scan = synthetic.diffraction((10, 10), (24, 24), 7, field="none", contrast=0.4)
    centre = (scan.expected * scan.kx).sum(("ky", "kx")) / scan.expected.sum(("ky", "kx"))
    assert float(centre.std()) > 0.1


@pytest.mark.parametrize(
    "options",
    [{"radius": 40}, {"dose": 0}, {"field": "spiral"}, {"contrast": 1.0}, {"shape": (1, 4)}],
)
def test_arguments_out_of_range_are_told(options):
    with pytest.raises(DataError):
        synthetic.diffraction(**options)

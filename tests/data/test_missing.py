"""Missing pixels: windows with enough of the others are kept, and what is missing stays NaN."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyroshift import Patches, extract_patches, synthetic
from pyroshift.errors import DataError, MissingPixelsError

RANDOM = np.random.default_rng(0)


def sliced(image, size, step):
    """All whole windows, by plain slicing; the axes of a window last."""
    views = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(-2, -1))
    views = (
        np.moveaxis(views[..., ::step, ::step, :, :], 0, -3)
        if image.ndim == 3
        else views[::step, ::step]
    )
    return views.reshape(-1, *image.shape[:-2], size, size)


@settings(max_examples=100, deadline=None)
@given(
    missing=hnp.arrays(bool, st.sampled_from([(9, 11), (2, 9, 11)])),
    size=st.integers(2, 5),
    min_valid=st.sampled_from([1e-6, 0.2, 0.5, 0.75, 1.0]),
    normalize=st.sampled_from(["patch", "image", None]),
)
def test_windows_with_enough_pixels_are_kept_as_they_are(missing, size, min_valid, normalize):
    values = np.where(missing, np.nan, RANDOM.integers(1, 9, missing.shape)).astype(np.float32)
    windows = sliced(values, size, 2)
    there = np.isfinite(windows).mean((-2, -1)).reshape(len(windows), -1)
    kept = (there >= min_valid).all(1)
    image = xr.DataArray(values, dims=("channel", "y", "x")[-values.ndim :])
    if not kept.any():
        with pytest.raises(MissingPixelsError, match="every window holds missing pixels"):
            extract_patches(image, size, 2, normalize, min_valid=min_valid)
        return
    if kept.all():
        patches = extract_patches(image, size, 2, normalize, min_valid=min_valid)
    else:
        with pytest.warns(UserWarning, match=rf"^{(~kept).sum()} of {len(kept)} windows are left"):
            patches = extract_patches(image, size, 2, normalize, min_valid=min_valid)
    found, expected = patches.gather().numpy(), windows[kept]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert patches.complete == (not np.isnan(expected).any())
    np.testing.assert_array_equal(patches.positions, np.flatnonzero(kept))
    axes = {"patch": (-2, -1), "image": (-2, -1)}.get(normalize)
    if normalize is None:
        np.testing.assert_array_equal(found, expected)
    elif normalize == "patch":
        low = np.nanmin(expected, axes, keepdims=True)
        height = np.nanmax(expected, axes, keepdims=True) - low
        np.testing.assert_allclose(
            found, (expected - low) / np.where(height > 0, height, 1), atol=1e-6
        )
    else:
        assert np.nanmin(found) >= 0
        assert np.nanmax(found) <= 1
    for each in patches.statistics().values():
        assert np.isfinite(each).all()


@pytest.mark.parametrize("normalize", ["patch", "image", None])
def test_statistics_are_of_what_is_there(normalize):
    image = RANDOM.normal(3, 2, (16, 16)).astype(np.float32)
    image[:3, :5] = np.nan
    patches = extract_patches(image, 4, 4, normalize, min_valid=0.01)
    windows = patches.gather().double()
    known = windows[~torch.isnan(windows)]
    found = patches.statistics()
    assert found["mean"] == pytest.approx(float(known.mean()))
    assert found["stddev"] == pytest.approx(float(known.std(correction=0)))
    assert (found["minimum"], found["maximum"]) == (known.min(), known.max())


def test_a_window_of_one_pixel_or_of_one_value_becomes_zero():
    windows = np.full((2, 4, 4), np.nan)
    windows[0, 1, 2] = 7.0
    windows[1, :2] = -3.0
    found = Patches.from_array(windows, normalize="patch", min_valid=0.05).gather()
    assert torch.equal(torch.isnan(found), torch.isnan(torch.from_numpy(windows)))
    assert float(found.nansum()) == 0.0
    assert float(found[~torch.isnan(found)].abs().max()) == 0.0


def test_missing_pixels_do_not_change_the_others():
    """As they are for a complete image: the range is the same with a grey pixel missing."""
    image = RANDOM.random((24, 24)).astype(np.float32)
    whole = extract_patches(image, 8, 8)
    holed = image.copy()
    for row in range(0, 24, 8):
        for column in range(0, 24, 8):
            window = holed[row : row + 8, column : column + 8]
            window.flat[np.argsort(window, axis=None)[32]] = np.nan
    found = extract_patches(holed, 8, 8)
    assert not found.complete
    differs = found.gather() != whole.gather()
    assert torch.equal(differs, torch.isnan(found.gather()))
    assert int(differs.sum()) == 9


def test_borders_of_a_stack_whose_drift_was_corrected():
    stack = RANDOM.random((3, 40, 48))
    drift = [(0, 0), (6, -9), (-15, 3)]
    image = xr.DataArray(stack, dims=("frame", "y", "x"))
    moved = xr.concat(
        [frame.shift(y=y, x=x) for frame, (y, x) in zip(image, drift, strict=True)], "frame"
    )
    with pytest.warns(UserWarning, match="windows are left out"):
        strict = extract_patches(moved, 8, 4, min_valid=1.0)
    with pytest.warns(UserWarning, match="less than 50%"):
        patches = extract_patches(moved, 8, 4)
    assert len(strict) < len(patches) < math.prod(patches.layout.values())
    share = moved.notnull().values
    for (frame, y, x), lost in zip(
        patches.starts.tolist(), torch.isnan(patches.gather()).numpy(), strict=True
    ):
        there = share[frame, y : y + 8, x : x + 8]
        np.testing.assert_array_equal(~there, lost)
        assert there.mean() >= 0.5
    full = patches.to_xarray()
    assert full.sel(frame=0).notnull().all()
    gone = full.isnull().all(("window_y", "window_x"))
    assert int(gone.sum()) == gone.size - len(patches)


def test_one_channel_that_misses_too_much_costs_the_window():
    image = xr.DataArray(RANDOM.random((2, 8, 8)), dims=("channel", "y", "x"))
    image[1, :3, :4] = np.nan  # 12 of 16 pixels of the first window, of one channel
    with pytest.warns(UserWarning, match="1 of 4 windows are left out"):
        patches = extract_patches(image, 4, 4)
    assert patches.positions.tolist() == [1, 2, 3]
    assert patches.complete


def test_signals_with_gaps():
    signals = RANDOM.random((5, 10))
    signals[1, :4] = signals[3, :6] = np.nan
    with pytest.warns(UserWarning, match=r"1 of 5 windows are left out.*10 of 50") as told:
        patches = Patches.from_array(signals)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(patches.gather(), signals[[0, 1, 2, 4]].astype(np.float32))
    assert patches.to_xarray()[3].isnull().all()


def test_infinite_values_are_no_missing_ones():
    with pytest.raises(DataError, match="infinite"):
        Patches.from_array(np.array([[1.0, np.inf, 2.0]]))


def test_masked_channels():
    masked = np.ma.masked_less(RANDOM.random((6, 2, 9)), 0.2)
    patches = Patches.from_array(masked, 1, dims=("patch", "channel", "x"), min_valid=0.01)
    np.testing.assert_array_equal(patches.gather(), masked.filled(np.nan).astype(np.float32))


@pytest.mark.parametrize("min_valid", [0, -0.5, 1.5, np.nan, "half", None])
def test_shares_that_make_no_sense_are_refused(min_valid):
    for cut in (
        lambda: extract_patches(RANDOM.random((8, 8)), 4, min_valid=min_valid),
        lambda: Patches.from_array(RANDOM.random((8, 8)), min_valid=min_valid),
    ):
        with pytest.raises(DataError, match="min_valid"):
            cut()


def test_the_lattice_of_an_image_with_gaps():
    image = synthetic.lattice_image((128, 160), kind="square", period=11, noise=0.3)["image"].values
    whole = extract_patches(image, 24).lattice_vectors()
    image = image.copy()
    image[:20] = image[60:70, 40:90] = np.nan
    found = extract_patches(image, 24, min_valid=0.1).lattice_vectors()
    lengths = [np.sort(np.linalg.norm(vectors, axis=1)) for vectors in (found, whole)]
    np.testing.assert_allclose(*lengths, rtol=0.01)


def test_interpolated_windows_keep_what_is_missing():
    pytest.importorskip("scipy")
    image = RANDOM.random((20, 20))
    image[10, 10] = np.nan
    patches = extract_patches(image, 6, positions=[[9.3, 9.6], [4.5, 4.5]], interpolate=True)
    lost = torch.isnan(patches.gather()).flatten(1).sum(1)
    assert lost.tolist() == [4, 0]  # the pixels that lie beside it
    assert not patches.complete


def test_subset_keeps_places():
    image = RANDOM.random((12, 12)).astype(np.float32)
    patches = extract_patches(image, 4, 4, normalize=None).assign(number=np.arange(9))
    some = patches.subset(torch.tensor([7, 2]))
    torch.testing.assert_close(some.gather(), patches.gather()[[7, 2]])
    assert some.known["number"].tolist() == [7, 2]
    labelled = some.to_xarray().values.reshape(9, 16)
    assert np.flatnonzero(np.isfinite(labelled).all(1)).tolist() == [2, 7]

"""Which source belongs to which target."""

import numpy as np
import pytest
import torch
import xarray as xr

from pyroshift import Patches, extract_patches, pair_patches, split_patches
from pyroshift.errors import DataError


def numbered(shape, step=1.0, start=0.0):
    """An image whose every pixel is told by its value."""
    coords = {name: start + step * np.arange(size) for name, size in zip("yx", shape, strict=True)}
    return xr.DataArray(np.arange(np.prod(shape), dtype=float).reshape(shape), coords, ("y", "x"))


def spectra_of(image, length=6):
    """Spectra of which each is its pixel's value, plus the channel's number."""
    return image.expand_dims(bias=np.arange(length)).transpose("y", "x", "bias") + np.arange(length)


def assert_right(pairs):
    """Each spectrum starts with the value of its window's middle pixel."""
    source = pairs.known["source"]
    middle = source[:, source.shape[1] // 2, source.shape[2] // 2]
    torch.testing.assert_close(pairs.gather()[:, 0], middle)


@pytest.mark.parametrize("step", [1.0, 0.1, -0.5])
def test_windows_belong_to_the_spectra_at_their_centres(step):
    image = numbered((12, 15), step)
    pairs = pair_patches(extract_patches(image, 5, 2, normalize=None), spectra_of(image))
    assert len(pairs) == 4 * 6
    assert_right(pairs)
    assert_right(pairs.subset(torch.tensor([3, 1])))


def test_spectra_of_a_part_of_the_image():
    image = numbered((12, 15))
    pairs = pair_patches(extract_patches(image, 3, 1, normalize=None), spectra_of(image)[3:6, ::-2])
    assert len(pairs) == 3 * 6  # of eight columns, two are at the border
    assert_right(pairs)


def test_held_out_blocks_stay_held_out():
    image = numbered((30, 30))
    parts = split_patches(extract_patches(image, 3, 1, normalize=None), 0.3, block=9, seed=1)
    pairs = [pair_patches(part, spectra_of(image)) for part in parts]
    assert [len(each) for each in pairs] == [len(part) for part in parts]
    for each in pairs:
        assert_right(each)
    first, second = (set(each.known["source"].flatten().tolist()) for each in pairs)
    assert not first & second


def test_windows_at_positions_go_by_order():
    image = numbered((20, 20))
    positions = np.array([[5, 5], [7, 12], [15, 3]])
    windows = extract_patches(image, 5, positions=positions, normalize=None)
    spectra = spectra_of(image).values[tuple(positions.T)]
    pairs = pair_patches(windows, spectra)
    assert_right(pairs)
    assert list(pairs.layout) == ["atom"]


def test_what_is_known_of_either_goes_along():
    windows = Patches.from_array(np.zeros((4, 3, 3))).assign(dose=np.arange(4.0))
    targets = Patches.from_array(np.zeros((4, 9))).assign(label=["a", "b", "a", "b"])
    pairs = pair_patches(windows, targets)
    assert set(pairs.known) == {"source", "dose", "label"}
    assert pairs.categories == {"label": ("a", "b")}


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        (np.zeros((5, 3, 3)), np.zeros((6, 9)), "5 and 6 places"),
        (np.zeros((1, 3, 3)), np.zeros((1, 9)), "share 1 places"),
        (np.zeros((5, 3, 3)), np.zeros(9), "one spectrum"),
        (np.zeros((5, 3, 3)), np.full((5, 9), "text"), "numbers"),
        (np.zeros((5, 3, 3)), np.full((5, 9), np.inf), "infinite"),
    ],
)
def test_what_is_no_pair_is_told(source, target, told):
    with pytest.raises(DataError, match=told):
        pair_patches(Patches.from_array(source), target)


def test_places_that_nothing_tells_to_be_the_same():
    image = numbered((12, 15))
    windows = extract_patches(image, 4, 1, normalize=None)  # whose centres are between pixels
    with pytest.raises(DataError, match="odd size"):
        pair_patches(windows, spectra_of(image))
    with pytest.raises(DataError, match="nothing tells"):
        pair_patches(windows, np.zeros((99, 9)))
    pairs = pair_patches(extract_patches(image, 3, 1), spectra_of(image))
    with pytest.raises(DataError, match="pairs already"):
        pair_patches(pairs, spectra_of(image))


def test_spectra_that_were_not_taken_are_no_pairs():
    image = numbered((12, 15))
    spectra = spectra_of(image)
    spectra[4:6] = np.nan
    windows = extract_patches(image, 3, 1, normalize=None)
    with pytest.warns(UserWarning, match="left out"):
        pairs = pair_patches(windows, spectra)
    assert len(pairs) == len(windows) - 2 * 13
    assert_right(pairs)

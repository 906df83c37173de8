"""Windows that overlap, whose pixels are to count once."""

from fractions import Fraction

import numpy as np
import pytest
import torch

import pyroshift as ps
from pyroshift.data.blocks import plan_blocks
from pyroshift.data.neighbours import covered_share
from pyroshift.errors import DataError
from pyroshift.model.batch import Batch, gathered

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.random((2, 43, 50))
POSITIONS = np.column_stack(
    [RANDOM.integers(2, size=30), RANDOM.uniform(5, 36, 30), RANDOM.uniform(5, 44, 30)]
)


def once(step=None, image=IMAGE, window=8, **options):
    return ps.extract_patches(image, window, step, overlap="once", **options)


def held(patches):
    """How many windows hold each pixel, `frame x height x width`."""
    count = np.zeros(IMAGE.shape, int)
    for frame, y, x in patches.starts.tolist():
        count[frame, y : y + patches.window[0], x : x + patches.window[1]] += 1
    return count


@pytest.mark.parametrize(
    "patches",
    [
        once(3),
        once((2, 5)),
        once(4, window=(6, 11)),
        once(11),
        once(positions=POSITIONS),
        once(positions=[[0, 20, 20], [1, 20, 20]]),
    ],
    ids=["grid", "two steps", "two sizes", "apart", "positions", "one in each frame"],
)
def test_windows_count_together_as_the_pixels_that_they_cover(patches):
    counts = held(patches)
    assert counts.sum() == len(patches) * np.prod(patches.window)
    np.testing.assert_allclose(patches.power * counts.sum(), (counts > 0).sum())


def test_on_a_large_grid_it_is_the_product_of_step_over_window():
    power = once((4, 2), np.zeros((2000, 1000))).power
    assert 4 / 8 * 2 / 8 < power < 1.01 * 4 / 8 * 2 / 8
    assert once(8).power == once(9).power == 1


def test_one_position_again_and_again():
    assert covered_share(np.array([[0, 5, 5]] * 7), (4, 4)) == Fraction(1, 7)


def test_between_pixels_as_at_the_nearest():
    pytest.importorskip("scipy")
    exactly = once(positions=POSITIONS, interpolate=True)
    assert exactly.power == once(positions=POSITIONS).power


def test_nothing_changes_unless_it_is_asked_for():
    patches = ps.extract_patches(IMAGE, 8, 3)
    assert patches.power is None
    assert torch.is_tensor(gathered(patches, torch.arange(3)))
    assert "power" not in repr(patches)
    assert "power 0.1" in repr(once(3))


def test_windows_keep_it_in_whatever_part_of_them():
    patches = once(3).assign(dose=1.5)
    training, held_out = ps.split_patches(patches, block=10)
    parts = (patches.subset(torch.arange(2)), patches.to("cpu"), training, held_out)
    for part in parts:
        assert part.power == patches.power
    batch = gathered(patches, torch.arange(3))
    assert isinstance(batch, Batch)
    assert batch.power == patches.power
    assert list(batch.known) == ["dose"]


def test_block_by_block_it_is_that_of_all_windows():
    for image in (IMAGE, IMAGE[0]):
        plan = plan_blocks((8, 8), image, (3, 5), "patch", 2, overlap="once")
        assert plan.power == once((3, 5), image).power
        region = next(iter(plan.regions()))
        assert plan.patches(plan.pixels(plan.read(region))).power == plan.power
    assert plan_blocks((8, 8), IMAGE, 3, "patch", 2).power is None


def test_missing_pixels_leave_it_as_it_is():
    image = IMAGE.copy()
    image[:, :20, :20] = np.nan
    with pytest.warns(UserWarning, match="windows are left out"):
        patches = once(3, image)
    assert patches.power == once(3).power


@pytest.mark.parametrize("overlap", ["twice", 1, True])
def test_other_ways_are_refused(overlap, tmp_path):
    with pytest.raises(DataError, match="overlap must be"):
        ps.extract_patches(IMAGE, 8, overlap=overlap)
    with pytest.raises(DataError, match="overlap must be"):
        plan_blocks((8, 8), IMAGE, 3, "patch", 2, overlap=overlap)

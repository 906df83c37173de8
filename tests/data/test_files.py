"""Files where there is no space for them: told in one line, and nothing is lost."""

import errno

import numpy as np
import pytest

import pyroshift
from pyroshift.data.files import naming, written

IMAGE = np.random.default_rng(0).random((80, 90))


@pytest.fixture
def model():
    return pyroshift.ShiftVAE(16, guide="normal")


@pytest.fixture
def refused(largest_file):
    """A function that has some work fail for want of space, and sees what it says of it."""

    def refuse(limit, work):
        with largest_file(limit), pytest.raises(OSError, match="can't be written") as caught:
            work()
        assert "\n" not in str(caught.value)

    return refuse


def test_a_model(tmp_path, model, refused):
    path = tmp_path / "model.pt"
    path.write_text("old")
    refused(10_000, lambda: pyroshift.save(model, path, overwrite=True))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_a_checkpoint(tmp_path, model, refused):
    path = tmp_path / "checkpoint.pt"
    patches = pyroshift.extract_patches(IMAGE, 16, 8)

    def train(epochs):
        options = {"progress": False, "schedule": None, "checkpoint": path}
        return pyroshift.fit(model, patches, epochs=epochs, **options)

    train(1)
    before = path.read_bytes()
    refused(10_000, lambda: train(2))
    assert path.read_bytes() == before
    assert train(2).sizes["epoch"] == 2


@pytest.mark.parametrize("limit", [400, 25_000])
def test_maps_block_by_block(tmp_path, model, refused, limit):
    """With 400 bytes nothing can be begun; with 25000, no block can be written."""
    path = tmp_path / "maps.zarr"

    def work():
        return pyroshift.encode_image(model, IMAGE, path, step=1, rows=65, progress=False)

    refused(limit, work)
    assert path.exists() == (limit == 25_000)
    expected = pyroshift.encode(model, pyroshift.extract_patches(IMAGE, 16, 1))
    np.testing.assert_allclose(work().z, expected.z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_the_error_names_the_file(tmp_path, code):
    with (
        pytest.raises(OSError, match=r"maps\.nc can't be written; an older file is") as caught,
        written(tmp_path / "maps.nc"),
    ):
        raise OSError(code, "of the system")
    assert caught.value.errno == code


def test_other_errors_are_left_alone(tmp_path):
    given = PermissionError(errno.EACCES, "not yours", "there")
    with pytest.raises(PermissionError) as caught, naming(tmp_path, "so"):
        raise given
    assert caught.value is given

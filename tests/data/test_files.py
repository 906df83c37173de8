"""Files where there is no space for them: told in one line, and nothing is lost."""

import errno
import subprocess
import sys

import pytest

from pyroshift.data.files import naming, written

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of sizes")

LIMITED = """if True:
    import resource, sys, warnings
    from pathlib import Path
    import numpy as np, pyroshift
    warnings.simplefilter("ignore")
    folder, limit = Path(sys.argv[1]), int(sys.argv[2])
    image = np.random.default_rng(0).random((80, 90))
    patches = pyroshift.extract_patches(image, 16, 8)
    model = pyroshift.ShiftVAE(16, guide="normal")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def unlimited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    def refused(work):
        limited()
        try:
            work()
        except OSError as error:
            unlimited()
            assert "\\n" not in str(error), error
            assert "can't be written" in str(error), error
            return
        raise AssertionError("written in spite of the limit")
"""


def run(folder, limit, script):
    words = [sys.executable, "-c", LIMITED + script, str(folder), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_model(tmp_path):
    (tmp_path / "model.pt").write_text("old")
    run(
        tmp_path,
        10_000,
        """
    refused(lambda: pyroshift.save(model, folder / "model.pt", overwrite=True))
    """,
    )
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]
    assert (tmp_path / "model.pt").read_text() == "old"


def test_a_checkpoint(tmp_path):
    run(
        tmp_path,
        10_000,
        """
    path = folder / "checkpoint.pt"
    options = {"progress": False, "schedule": None, "checkpoint": path}
    pyroshift.fit(model, patches, epochs=1, **options)
    before = path.read_bytes()
    refused(lambda: pyroshift.fit(model, patches, epochs=2, **options))
    assert path.read_bytes() == before
    assert pyroshift.fit(model, patches, epochs=2, **options).sizes["epoch"] == 2
    """,
    )


@pytest.mark.parametrize("limit", [400, 25_000])
def test_maps_block_by_block(tmp_path, limit):
    """With 400 bytes nothing can be begun; with 25000, no block can be written."""
    run(
        tmp_path,
        limit,
        """
    path = folder / "maps.zarr"
    work = lambda: pyroshift.encode_image(model, image, path, step=1, rows=65, progress=False)
    refused(work)
    assert path.exists() == (limit == 25_000)
    maps = work()
    expected = pyroshift.encode(model, pyroshift.extract_patches(image, 16, 1))
    np.testing.assert_allclose(maps.z, expected.z, rtol=1e-5, atol=1e-5)
    """,
    )


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

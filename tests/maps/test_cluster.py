"""By the workers of a Dask cluster as in this process, whatever befalls them."""

import os
import platform
import signal
import subprocess
import sys

import dask.array
import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster

import pyroshift as ps
from pyroshift.cli import main
from pyroshift.errors import ClusterError, DataError, SpecificationError
from pyroshift.maps import blocks, cluster
from pyroshift.maps.unfinished import UNFINISHED

WINDOW = 6
MODEL = ps.ShiftVAE(WINDOW, latent_dim=1, guide="normal")
IMAGE = np.random.default_rng(0).normal(size=(40, 24))
BLOCKS = 6  # of two rows of windows
OPTIONS = {"rows": 2, "batch_size": 8, "progress": False}


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as local,
        Client(local, set_as_default=False) as connected,
    ):
        yield connected


def files(path):
    found = (file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in found}


def alike(tmp_path, image, **options):
    """The same store, but for one that is made by the workers."""
    ps.encode_image(MODEL, IMAGE, tmp_path / "alone.zarr", **OPTIONS)
    ps.encode_image(MODEL, image, tmp_path / "maps.zarr", **OPTIONS, **options)
    return files(tmp_path / "alone.zarr") == files(tmp_path / "maps.zarr")


class Decoder(ps.CanvasDecoder):
    """A part of the user's own."""


class TestEncode:
    @pytest.mark.parametrize(
        "model",
        [
            ps.ShiftVAE(WINDOW, latent_dim=1, guide="anchor"),
            ps.ShiftVAE(WINDOW, 1, guide="normal", decoder=Decoder((WINDOW, WINDOW), 1)),
        ],
        ids=["anchor", "a part of the user's own"],
    )
    def test_is_the_same_to_the_last_bit(self, client, model, untouched):
        patches = ps.extract_patches(IMAGE, WINDOW, 2)
        with untouched():
            maps = ps.encode(model, patches, batch_size=16, seed=3, client=client)
        assert maps.identical(ps.encode(model, patches, batch_size=16, seed=3))

    def test_of_neighbours_with_a_mask_and_covariates(self, client):
        """All that batches are made of travels."""
        image = IMAGE.copy()
        image[3, 4] = np.nan
        prior = ps.priors.Matern(1)
        model = ps.VAE(WINDOW, 1, priors={"z": prior})
        patches = ps.extract_patches(image, WINDOW, 2, overlap="once")
        maps = ps.encode(model, patches, batch_size=16, client=client)
        assert maps.identical(ps.encode(model, patches, batch_size=16))

    def test_forgets_the_model(self, client):
        ps.encode(MODEL, ps.extract_patches(IMAGE, WINDOW), client=client)
        assert set(client.run(lambda: len(cluster._HELD)).values()) == {0}


class TestImage:
    @pytest.mark.parametrize("chunks", [None, 7])
    def test_is_the_same_to_the_last_byte(self, client, tmp_path, chunks):
        """Sent by this process, or read by the workers."""
        image = IMAGE if chunks is None else dask.array.from_array(IMAGE, chunks=chunks)
        assert alike(tmp_path, image, client=client)

    def test_of_a_stack_with_missing_pixels(self, client, tmp_path):
        image = np.stack([IMAGE, IMAGE[::-1]])
        image[0, :10] = np.nan
        found = []
        for name, more in (("alone.zarr", {}), ("maps.zarr", {"client": client})):
            with pytest.warns(UserWarning, match="missing pixels") as told:
                maps = ps.encode_image(
                    MODEL, image, tmp_path / name, normalize="image", **OPTIONS, **more
                )
            found.append((maps.load(), str(told[0].message)))
        assert found[0][0].identical(found[1][0])
        assert found[0][1] == found[1][1]

    @pytest.mark.parametrize("first", ["here", "there"])
    def test_ctrl_c_keeps_what_is_done(self, client, tmp_path, monkeypatch, first):
        """And the same call goes on, here or there."""
        note, path, noted = blocks._Store.note, tmp_path / "maps.zarr", []

        def noting(self, state):
            note(self, state)
            noted.append(state)
            if len(noted) == 4:  # the first is noted before the first block
                raise KeyboardInterrupt

        ways = [{}, {"client": client}]
        before, after = ways if first == "here" else ways[::-1]
        with monkeypatch.context() as patched:
            patched.setattr(blocks._Store, "note", noting)
            maps = ps.encode_image(MODEL, IMAGE, path, **OPTIONS, **before).load()
            assert UNFINISHED in maps.attrs
            assert int(maps.elbo.notnull().all("x").sum()) >= 3 * OPTIONS["rows"]
            ps.encode_image(MODEL, IMAGE, path, **OPTIONS, **after)
        assert len(noted) == 4 + BLOCKS - 3
        ps.encode_image(MODEL, IMAGE, tmp_path / "alone.zarr", **OPTIONS)
        assert files(path) == files(tmp_path / "alone.zarr")
        assert UNFINISHED not in xr.open_zarr(path, consolidated=False).attrs


def deadly(path, times):
    """The image, as an array whose reading kills the worker so many times."""

    def read(block, block_info=None):
        here = block_info[0]["chunk-location"] == (2, 0)
        deaths = len(list(path.glob("death*")))
        if here and deaths < times:
            (path / f"death{deaths}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block

    image = dask.array.from_array(IMAGE, chunks=(7, 24))
    return image.map_blocks(read, dtype=IMAGE.dtype, meta=np.empty((0, 0)))


class TestWorkersThatDie:
    def test_lose_nothing(self, client, tmp_path):
        image = deadly(tmp_path, times=1)
        before = set(client.run(os.getpid).values())
        # It is read here first, to see that it suits the model: only its first rows.
        assert alike(tmp_path, image, client=client)
        assert (tmp_path / "death0").exists()
        client.wait_for_workers(2, timeout=120)
        assert len(before & set(client.run(os.getpid).values())) == 1

    def test_again_and_again_are_told(self, client, tmp_path, monkeypatch):
        monkeypatch.setattr(client.cluster.scheduler, "allowed_failures", 0)
        with pytest.raises(ClusterError, match=r"smaller blocks \(rows=...\)"):
            alike(tmp_path, deadly(tmp_path, times=1), client=client)
        client.wait_for_workers(2, timeout=120)
        # What others had done stands, and the same call goes on.
        path = tmp_path / "maps.zarr"
        ps.encode_image(MODEL, deadly(tmp_path, times=1), path, **OPTIONS, client=client)
        assert files(path) == files(tmp_path / "alone.zarr")


FAULTS = """
import resource
import numpy as np
from pyroshift.maps.cluster import keep_freed_memory

def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        np.zeros(2**18) + 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

for kept in (False, True, False):
    keep_freed_memory(kept)
    print(faults())
"""


@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="of glibc's malloc alone")
def test_memory_of_arrays_is_not_asked_for_again_and_again():
    """Dask sets for its workers that it is; by it, each array's pages were new ones."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env=os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=True,
    )
    before, kept, after = map(int, done.stdout.split())
    assert kept < 0.1 * min(before, after)


class TestErrors:
    def test_no_scheduler(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cluster, "_TIMEOUT", "0.2s")
        with pytest.raises(ClusterError, match="no Dask scheduler answers at tcp://127"):
            ps.encode_image(MODEL, IMAGE, tmp_path / "maps.zarr", client="tcp://127.0.0.1:1")

    def test_no_address(self):
        with pytest.raises(ClusterError, match="no Dask scheduler answers at ftp://there"):
            ps.encode(MODEL, ps.extract_patches(IMAGE, WINDOW), client="ftp://there")

    def test_no_client(self):
        with pytest.raises(SpecificationError, match=r"client must be .* got 3"):
            ps.encode(MODEL, ps.extract_patches(IMAGE, WINDOW), client=3)

    @pytest.mark.parametrize(
        ("wanted", "told"),
        [({"pyroshift": "9.9"}, "and this process 9.9"), ({"nothing": "1"}, "has no nothing")],
    )
    def test_of_what_workers_have(self, client, monkeypatch, wanted, told):
        monkeypatch.setattr(cluster, "_WANTED", wanted)
        with pytest.raises(ClusterError, match=told):
            ps.encode(MODEL, ps.extract_patches(IMAGE, WINDOW), client=client)

    def test_a_store_that_workers_dont_see(self, client, tmp_path, monkeypatch):
        """As one that is only on this machine."""
        monkeypatch.setattr(blocks._Store, "create", lambda self, template, state: None)
        with pytest.raises(ClusterError, match="the same folder on all machines"):
            ps.encode_image(MODEL, IMAGE, tmp_path / "maps.zarr", **OPTIONS, client=client)

    def test_a_store_that_was_replaced(self, tmp_path):
        path = tmp_path / "maps.zarr"
        ps.encode_image(MODEL, IMAGE, path, **OPTIONS)
        with pytest.raises(ClusterError, match="isn't the store that is to be written"):
            blocks._check_mark(path, "another")

    def test_in_the_data_come_as_they_are(self, client, tmp_path):
        image = IMAGE.copy()
        image[30, 3] = np.inf
        with pytest.raises(DataError, match="infinite"):
            alike(tmp_path, image, client=client)


def test_the_command(client, tmp_path, capsys):
    ps.save(MODEL, tmp_path / "model.pt")
    np.save(tmp_path / "image.npy", IMAGE)
    command = ["encode", str(tmp_path / "model.pt"), str(tmp_path / "image.npy"), "--quiet"]
    address = client.scheduler.address
    for name, read in (("maps.nc", xr.load_dataset), ("maps.zarr", xr.load_dataset)):
        out = tmp_path / name
        assert main([*command, "--out", str(out), "--scheduler", address]) == 0
        alone = tmp_path / f"alone_{name}"
        assert main([*command, "--out", str(alone)]) == 0
        assert read(out).identical(read(alone))
    assert main([*command, "--out", str(tmp_path / "no.nc"), "--scheduler", "nowhere:x"]) == 2
    assert "no Dask scheduler answers at nowhere:x" in capsys.readouterr().err

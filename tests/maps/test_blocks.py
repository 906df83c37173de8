import importlib.util
import json
import subprocess
import sys

import dask.array
import h5py
import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import pyroshift
from pyroshift import encode, encode_image, extract_patches
from pyroshift.errors import DataError
from pyroshift.maps import blocks
from pyroshift.maps.unfinished import UNFINISHED

WINDOW = (6, 8)
SHAPE = (23, 40)
ROWS = 2  # of windows in a block: 18 pixels at most with the steps that are used here
BLOCKS = 3  # of an image of this shape, with the default step


def normal_guided(**options):
    return pyroshift.ShiftVAE(WINDOW, guide="normal", **options)


MODEL = normal_guided(latent_dim=1)


def pixels(*shape):
    return np.random.default_rng(0).normal(size=shape)


IMAGE = pixels(*SHAPE)


def encoded(path, image=IMAGE, model=MODEL, **options):
    return encode_image(model, image, path, **{"rows": ROWS, "progress": False, **options})


def assert_same_maps(found, expected):
    """All but `elbo`, which is drawn block by block, to rounding; names, attributes, coordinates.

    Matrices of another number of rows are multiplied with another rounding.
    """
    assert found.attrs == expected.attrs
    assert set(found.variables) == set(expected.variables)
    for name in expected.variables:
        assert found[name].dims == expected[name].dims
        assert found[name].attrs == expected[name].attrs, name
    for name in expected.coords:
        assert found[name].equals(expected[name]), name
    for name in expected.data_vars:
        assert found[name].dtype == expected[name].dtype
        tolerance = 1e-5 if name != "elbo" else 1e9
        assert np.array_equal(found[name].isnull(), expected[name].isnull()), name
        np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, atol=tolerance)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "maps.zarr"


@pytest.fixture
def stop_after(monkeypatch):
    """A function that makes the run stop with an error after so many blocks; it counts blocks."""

    def stop(number, error=KeyboardInterrupt):
        calls = []

        def counted(model, patches, *arguments, **options):
            if len(patches) > 1:  # one is the sample that is encoded before anything is written
                if len(calls) == number:
                    raise error
                calls.append(len(patches))
            return encode(model, patches, *arguments, **options)

        monkeypatch.setattr(blocks, "encode", counted)
        return calls

    return stop


def contents(folder):
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def to_the_user(told):
    """Those of some warnings that are ours: old versions of Dask warn of their own `__array__`."""
    return [warning for warning in told if issubclass(warning.category, UserWarning)]


class TestMaps:
    @settings(max_examples=15, deadline=None)
    @given(
        frames=st.sampled_from([None, 1, 3]),
        height=st.integers(6, 30),
        width=st.integers(8, 30),
        step=st.one_of(st.none(), st.integers(1, 9), st.tuples(st.integers(2, 9), st.just(5))),
        rows=st.one_of(st.none(), st.integers(1, 40)),
        normalize=st.sampled_from(["patch", "image", None]),
    )
    def test_are_those_of_encode(
        self, tmp_path_factory, frames, height, width, step, rows, normalize
    ):
        image = pixels(*([frames] if frames else []), height, width)
        path = tmp_path_factory.mktemp("store") / "maps.zarr"
        maps = encoded(path, image, step=step, rows=rows, normalize=normalize)
        assert_same_maps(maps, encode(MODEL, extract_patches(image, WINDOW, step, normalize)))

    def test_of_one_block_are_the_same_to_the_last_bit(self, path):
        maps = encoded(path, rows=None, seed=3)
        expected = encode(MODEL, extract_patches(IMAGE, WINDOW), seed=3)
        xr.testing.assert_identical(maps.load(), expected)

    @pytest.mark.parametrize("guide", ["normal", "anchor"])
    def test_of_a_model_with_more_sites(self, path, guide):
        model = pyroshift.RVAE(8, offsets=True, guide=guide)
        assert_same_maps(encoded(path, model=model), encode(model, extract_patches(IMAGE, 8)))

    def test_elbo_is_another_draw_in_every_block(self, path):
        image = np.tile(pixels(9, 40), (3, 1))  # three blocks alike
        elbo = encoded(path, image, step=9, rows=1).elbo.values
        assert len(elbo) == 3
        assert len(np.unique(elbo, axis=0)) == 3

    def test_coordinates_units_and_attributes(self, path):
        coords = {
            "frame": ("frame", np.array(["cold", "hot"]), {"long_name": "temperature"}),
            "row": ("row", np.linspace(3, 1, SHAPE[0], dtype=np.float32), {"units": "nm"}),
            "column": ("column", 0.1 * np.arange(SHAPE[1]), {"units": "um"}),
            "scan": ("row", np.arange(SHAPE[0])),
        }
        attrs = {"source": "tip.sxm", "bias": 0.5}
        image = xr.DataArray(pixels(2, *SHAPE), coords, ("frame", "row", "column"), attrs=attrs)
        expected = encode(MODEL, extract_patches(image, WINDOW))
        assert expected.offset.units == "nm, um"
        assert_same_maps(encoded(path, image), expected)

    def test_the_pixel_size_is_that_of_the_whole_image(self, path):
        uneven = np.cumsum(1 + 8e-4 * np.repeat([1, -1], [12, 11]))
        image = xr.DataArray(IMAGE, {"y": ("y", uneven, {"units": "nm"})}, ("y", "x"))
        assert_same_maps(encoded(path, image), encode(MODEL, extract_patches(image, WINDOW)))

    @pytest.mark.parametrize("step", [(3, 4), [3, 4], (np.int64(3), np.int32(4)), None])
    def test_every_way_to_write_a_step(self, path, step):
        assert_same_maps(encoded(path, step=step), encode(MODEL, extract_patches(IMAGE, (6, 8))))

    def test_numbers_of_numpy(self, path):
        maps = encoded(path, step=np.int64(4), rows=np.int16(2), seed=np.int64(7))
        assert_same_maps(maps, encode(MODEL, extract_patches(IMAGE, WINDOW, 4)))

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, ">f4"])
    @pytest.mark.parametrize("normalize", ["patch", "image"])
    def test_types_of_pixels(self, path, dtype, normalize):
        image = (40 * IMAGE).clip(0, 100).astype(dtype)
        expected = encode(MODEL, extract_patches(image, WINDOW, normalize=normalize))
        assert_same_maps(encoded(path, image, normalize=normalize), expected)

    def test_a_constant_image(self, path):
        assert encoded(path, np.full(SHAPE, 7.0), normalize="image").z.notnull().all()

    def test_the_process_is_left_as_it_is(self, path, untouched):
        with untouched():
            encoded(path)


class TestMissingPixels:
    @pytest.mark.parametrize("normalize", ["patch", "image", None])
    def test_are_missing_in_the_maps_and_told_once(self, path, normalize):
        image = IMAGE.copy()
        image[:12] = np.nan  # the first block, and more
        image[20, 5] = np.nan
        with pytest.warns(UserWarning, match="windows are left out"):
            whole = extract_patches(image, WINDOW, normalize=normalize)
        expected = encode(MODEL, whole)
        missing = int(expected.elbo.isnull().sum())
        with pytest.warns(UserWarning, match="missing pixels") as warned:
            maps = encoded(path, image, normalize=normalize)
        told = to_the_user(warned)
        assert [str(warning.message).split()[0] for warning in told] == [str(missing)]
        assert told[0].filename == __file__.replace(".pyc", ".py")
        assert_same_maps(maps, expected)

    @pytest.mark.parametrize("least", [0.2, 0.9])
    def test_as_few_as_are_asked_for(self, path, least):
        image = IMAGE.copy()
        image[8:14] = np.nan
        with pytest.warns(UserWarning, match="windows are left out"):
            expected = encode(MODEL, extract_patches(image, WINDOW, min_valid=least))
        with pytest.warns(UserWarning, match="missing pixels"):
            maps = encoded(path, image, min_valid=least)
        assert_same_maps(maps, expected)

    def test_everywhere(self, path):
        with pytest.warns(UserWarning, match="54 windows"):
            maps = encoded(path, np.full(SHAPE, np.nan), normalize="image")
        assert maps.elbo.shape == (6, 9)
        assert maps.elbo.isnull().all()

    def test_are_counted_over_interruptions(self, path, stop_after):
        image = IMAGE.copy()
        image[:8] = np.nan  # most of the first block's windows
        image[15:21, :5] = np.nan  # and of one window of the last
        stop_after(1)
        assert UNFINISHED in encoded(path, image).attrs
        stop_after(None)
        with pytest.warns(UserWarning, match="missing pixels") as told:
            maps = encoded(path, image)
        assert int(maps.elbo.isnull().sum()) == 2 * 9 + 1
        assert str(to_the_user(told)[0].message).startswith("19 windows")


class TestChannels:
    """Of very different ranges, in units of their own."""

    MODEL = pyroshift.ShiftVAE(WINDOW, 1, guide="normal", channels=["height", "current"])

    def image(self, *frames):
        values = pixels(*frames, 2, *SHAPE) * np.array([1.0, 1e4])[:, None, None]
        names = {"channel": ["height", "current"], "channel_units": ("channel", ["nm", "pA"])}
        return xr.DataArray(values, names, ("frame", "channel", "y", "x")[-values.ndim :])

    @pytest.mark.parametrize("frames", [(), (2,)])
    @pytest.mark.parametrize("normalize", ["patch", "image", (5, 95), None])
    def test_are_mapped_together(self, path, frames, normalize):
        image = self.image(*frames)
        maps = encoded(path, image, self.MODEL, normalize=normalize)
        expected = encode(self.MODEL, extract_patches(image, WINDOW, normalize=normalize))
        assert_same_maps(maps, expected)

    @pytest.mark.parametrize("dims", [("channel", "y", "x"), ("y", "x", "channel")])
    def test_are_read_block_by_block(self, path, dims):
        image = self.image().transpose(*dims)
        lazy = image.copy(data=dask.array.from_array(image.values, chunks=-1))
        maps = encoded(path, lazy, self.MODEL, normalize="image")
        assert_same_maps(
            maps, encode(self.MODEL, extract_patches(image, WINDOW, normalize="image"))
        )

    def test_hot_pixels_are_told_of_each(self, path):
        image = self.image()
        image[1, 5, 7] = 1e9
        with pytest.warns(UserWarning, match="in channel 'current', 1 pixels lie far") as told:
            encoded(path, image, self.MODEL, normalize="image")
        assert to_the_user(told)[0].filename == __file__.replace(".pyc", ".py")

    def test_another_number_than_the_models_is_refused(self, path):
        with pytest.raises(DataError, match="the model is for windows without channels"):
            encoded(path, self.image())
        assert not path.exists()


class Spy:
    """An array that notes how much of it is asked for."""

    def __init__(self, values):
        self.values, self.shape, self.ndim = values, values.shape, values.ndim
        self.dtype, self.size, self.read = values.dtype, values.size, []

    def __getitem__(self, key):
        found = self.values[key]
        self.read.append(found.shape)
        return found

    def __array__(self, *arguments, **options):
        raise AssertionError("all of the image was asked for")


class TestSources:
    @pytest.mark.parametrize("shape", [SHAPE, (2, *SHAPE)])
    @pytest.mark.parametrize(
        "kind", ["memmap", "DataArray", "Dask", "Zarr", "HDF5", "torch", "file of xarray", "spy"]
    )
    def test_every_kind(self, path, tmp_path, kind, shape):
        image = pixels(*shape).astype(np.float32)
        expected = encode(MODEL, extract_patches(image, WINDOW))
        if kind == "memmap":
            np.save(tmp_path / "image.npy", image)
            source = np.load(tmp_path / "image.npy", mmap_mode="r")
        elif kind == "DataArray":
            source = xr.DataArray(dask.array.from_array(image, chunks=7))
        elif kind == "Dask":
            source = dask.array.from_array(image, chunks=7)
        elif kind == "Zarr":
            source = zarr.create_array(
                tmp_path / "image.zarr", data=image, chunks=(7,) * len(shape)
            )
        elif kind == "HDF5":
            with h5py.File(tmp_path / "image.h5", "w") as file:
                source = file.create_dataset("image", data=image)
                assert_same_maps(encoded(path, source), expected)
            return
        elif kind == "file of xarray":
            xr.DataArray(image, name="image").to_netcdf(tmp_path / "image.nc", engine="h5netcdf")
            with xr.open_dataarray(tmp_path / "image.nc", engine="h5netcdf") as source:
                assert_same_maps(encoded(path, source), expected)
            return
        elif kind == "torch":
            source = torch.from_numpy(image).requires_grad_()
        else:
            source = Spy(image)
        assert_same_maps(encoded(path, source), expected)

    @pytest.mark.parametrize("shape", [(60, 40), (3, 60, 40)])
    @pytest.mark.parametrize("normalize", ["patch", "image", None])
    def test_only_what_is_needed_is_read_at_a_time(self, path, shape, normalize):
        spy = Spy(pixels(*shape))
        encoded(path, spy, normalize=normalize, step=4)
        block = (ROWS - 1) * 4 + WINDOW[0]
        assert max(read[-2] for read in spy.read) <= block
        assert max(int(np.prod(read)) for read in spy.read) <= block * shape[-1]
        pixels_read = sum(int(np.prod(read)) for read in spy.read)
        assert pixels_read < (3.2 if normalize == "image" else 2.2) * np.prod(shape)

    @pytest.mark.parametrize("normalize", ["patch", "image"])
    def test_the_same_of_dask(self, path, normalize):
        asked = []

        def rows(block_info=None):
            asked.append(block_info[None]["array-location"])
            return np.sin(np.add.outer(np.arange(5.0), np.arange(40.0)))

        image = dask.array.map_blocks(rows, chunks=((5,) * 20, (40,)), dtype=float)
        encoded(path, image, normalize=normalize, step=5, rows=1)
        assert len(asked) < (70 if normalize == "image" else 45)  # of 20, each block touches two

    def test_a_large_image_takes_little_memory(self, tmp_path):
        """Of 400 MB, and the peak of a run rises by less than half of that after a small one."""
        pytest.importorskip("resource")
        code = """
import resource, sys
import dask.array, numpy as np, pyroshift, zarr
image = dask.array.random.random((5_000, 10_000), chunks=(250, 10_000))
model = pyroshift.VAE(16, latent_dim=1)
pyroshift.encode_image(model, image[:500], sys.argv[1] + "/small.zarr", step=100, rows=1,
                       progress=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pyroshift.encode_image(model, image, sys.argv[1] + "/large.zarr", step=100, rows=1, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
        kilobytes = int(done.stdout) / (1024 if sys.platform == "darwin" else 1)
        assert kilobytes < 150_000


class TestInterrupt:
    @pytest.mark.parametrize("done", range(BLOCKS))
    def test_keeps_the_blocks_and_goes_on(self, path, tmp_path, stop_after, done):
        whole = encoded(tmp_path / "whole.zarr").load()
        stop_after(done)
        partly = encoded(path).load()
        assert UNFINISHED in partly.attrs
        for name in whole.data_vars:
            assert partly[name][ROWS * done :].isnull().all()
            done_part, whole_part = (maps[name][: ROWS * done] for maps in (partly, whole))
            assert done_part.variable.equals(whole_part.variable)  # what has collapsed comes last
        calls = stop_after(None)
        xr.testing.assert_identical(encoded(path).load(), whole)
        assert len(calls) == BLOCKS - done

    def test_of_a_stack(self, path, tmp_path, stop_after):
        stack = pixels(2, *SHAPE)
        whole = encoded(tmp_path / "whole.zarr", stack).load()
        stop_after(BLOCKS + 1)
        assert encoded(path, stack).z.notnull().all(["y", "x", "latent"]).values.tolist() == [1, 0]
        calls = stop_after(None)
        xr.testing.assert_identical(encoded(path, stack).load(), whole)
        assert len(calls) == BLOCKS - 1

    def test_by_an_error(self, path, tmp_path, stop_after):
        stop_after(2, MemoryError)
        with pytest.raises(MemoryError):
            encoded(path)
        calls = stop_after(None)
        xr.testing.assert_identical(encoded(path).load(), encoded(tmp_path / "whole.zarr").load())
        assert len(calls) == 1 + BLOCKS

    @pytest.mark.parametrize("where", ["add", "note", "finish"])
    def test_at_any_point_of_the_writing(self, path, tmp_path, monkeypatch, where):
        """The block is written, and not noted; or all are, and the mark is still there."""
        whole = encoded(tmp_path / "whole.zarr").load()
        method, calls = getattr(blocks._Store, where), []

        def stopped(self, *arguments):
            calls.append(where)
            if where == "add":
                method(self, *arguments)
            if len(calls) == (1 if where == "finish" else 3):
                raise OSError("no space left on device")
            if where == "note":
                method(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(blocks._Store, where, stopped)
            with pytest.raises(OSError, match="no space left"):
                encoded(path)
        assert UNFINISHED in xr.open_zarr(path).attrs
        xr.testing.assert_identical(encoded(path).load(), whole)

    def test_while_the_store_is_made(self, path, monkeypatch):
        """What isn't whole bears no mark, so that nobody goes on with it."""

        def stopped(self, state):
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(blocks._Store, "note", stopped)
            with pytest.raises(MemoryError):
                encoded(path)
        with pytest.raises(FileExistsError, match="a store already"):
            encoded(path)
        assert encoded(path, overwrite=True).z.notnull().all()

    def test_is_told_with_the_progress(self, path, stop_after, capsys):
        stop_after(1)
        encoded(path, progress=True)
        captured = capsys.readouterr()
        assert f"interrupted after 1 of {BLOCKS} blocks" in captured.out
        stop_after(None)
        encoded(path, progress=True)
        captured = capsys.readouterr()
        assert f"{BLOCKS}/{BLOCKS}" in captured.err
        assert f"0/{BLOCKS}" not in captured.err

    def test_is_quiet_without(self, path, stop_after, capsys):
        stop_after(1)
        encoded(path)
        assert capsys.readouterr() == ("", "")

    def test_going_on_in_another_process_with_labelled_frames(self, path, tmp_path, stop_after):
        np.save(tmp_path / "image.npy", pixels(2, *SHAPE))
        pyroshift.save(MODEL, tmp_path / "model.pt")
        code = """
import sys
import numpy as np, pyroshift, xarray as xr
folder = sys.argv[1]
image = xr.DataArray(np.load(folder + "/image.npy"), {"frame": ["a", "b"]}, ("frame", "y", "x"))
model = pyroshift.load(folder + "/model.pt")
pyroshift.encode_image(model, image, folder + "/maps.zarr", rows=2, progress=False)
"""
        stop_after(2)
        image = xr.DataArray(
            np.load(tmp_path / "image.npy"), {"frame": ["a", "b"]}, ("frame", "y", "x")
        )
        assert UNFINISHED in encoded(path, image).attrs
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
        assert UNFINISHED not in xr.open_zarr(path).attrs


class TestUnfinishedStore:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"step": 3}, "step"),
            ({"step": (3, 5)}, "step"),
            ({"normalize": "image"}, "normalize, range"),
            ({"rows": 3}, "rows"),
            ({"batch_size": 5}, "batch_size"),
            ({"seed": 1}, "seed"),
            ({"min_valid": 0.7}, "min_valid"),
            ({"image": IMAGE + 1}, "image"),
            ({"image": IMAGE[:, :-1]}, "image"),
            ({"image": xr.DataArray(IMAGE, {"x": 2.0 * np.arange(40)}, ("y", "x"))}, "image"),
            (
                {"model": normal_guided(latent_dim=1, seed=1)},
                "weights",
            ),
            ({"model": normal_guided(latent_dim=2)}, "weights"),
            (
                {
                    "model": pyroshift.ShiftVAE(
                        WINDOW, guide="normal", latent_dim=1, offset_scale=0.5
                    )
                },
                "model",
            ),
        ],
    )
    def test_of_something_else_is_refused_unless_overwritten(self, path, stop_after, options, told):
        stop_after(1)
        encoded(path)
        stop_after(None)
        before = contents(path)
        with pytest.raises(FileExistsError, match=f"another .*{told}"):
            encoded(path, **options)
        assert contents(path) == before
        assert encoded(path, **options, overwrite=True).z.notnull().all()

    def test_goes_on_however_the_same_is_written(self, path, stop_after):
        stop_after(1)
        encoded(path, step=[3, 4])
        calls = stop_after(None)
        encoded(path, dask.array.from_array(IMAGE), step=(np.int64(3), 4), rows=np.int64(2))
        assert len(calls) == BLOCKS - 1

    def test_is_begun_anew_if_overwritten(self, path, stop_after):
        stop_after(1)
        encoded(path)
        calls = stop_after(None)
        encoded(path, overwrite=True)
        assert len(calls) == BLOCKS


class TestExisting:
    def test_finished_store_is_refused_unless_overwritten(self, path):
        encoded(path)
        before = contents(path)
        with pytest.raises(FileExistsError, match="overwritten"):
            encoded(path)
        assert contents(path) == before
        maps = encoded(path, pixels(30, 30), overwrite=True)
        assert_same_maps(maps, encode(MODEL, extract_patches(pixels(30, 30), WINDOW)))

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_folder_that_is_no_store_is_never_touched(self, tmp_path, overwrite):
        (tmp_path / "thesis.tex").write_text("mine")
        with pytest.raises(FileExistsError, match="no Zarr store"):
            encoded(tmp_path, overwrite=overwrite)
        assert list(contents(tmp_path).values()) == [b"mine"]

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_folder_around_stores_is_never_touched(self, tmp_path, overwrite):
        encoded(tmp_path / "maps.zarr")
        before = contents(tmp_path)
        with pytest.raises(FileExistsError, match="no Zarr store"):
            encoded(tmp_path, overwrite=overwrite)
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_an_array_is_never_touched(self, path, overwrite):
        image = zarr.create_array(path, data=IMAGE)
        with pytest.raises(FileExistsError, match="no Zarr store of maps"):
            encoded(path, image, overwrite=overwrite)
        assert np.array_equal(zarr.open_array(path, mode="r")[:], IMAGE)

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_file_in_place_of_the_store(self, path, overwrite):
        path.write_text("mine")
        with pytest.raises(FileExistsError, match="no Zarr store"):
            encoded(path, overwrite=overwrite)
        assert path.read_text() == "mine"

    def test_a_path_as_text_in_a_new_folder(self, tmp_path):
        encoded(str(tmp_path / "new" / "maps.zarr"))
        assert xr.open_zarr(tmp_path / "new" / "maps.zarr").z.notnull().all()


INFINITE = IMAGE.copy()
INFINITE[20, 30] = np.inf
MISTAKES = [
    ({"image": pixels(5, 40)}, "larger than the image"),
    ({"image": pixels(40)}, "shape"),
    ({"image": pixels(2, 2, 30, 30)}, "shape"),
    ({"image": dask.array.zeros((2, 2, 30, 30))}, "shape"),
    ({"image": dask.array.zeros(30)}, "shape"),
    ({"image": pixels(0, 30, 30)}, "shape"),
    ({"image": IMAGE + 1j}, "complex"),
    ({"image": IMAGE + 1j, "normalize": "image"}, "complex"),
    ({"image": IMAGE.astype(str)}, "numbers"),
    ({"image": INFINITE, "normalize": "image"}, "infinite"),
    ({"image": np.where(IMAGE > 0, np.inf, 1)}, "infinite"),
    ({"image": xr.Dataset({"height": (("y", "x"), IMAGE)})}, "one variable"),
    ({"image": xr.DataArray(IMAGE, {"y": np.arange(23) ** 2}, ("y", "x"))}, "evenly spaced"),
    ({"step": 0}, "step"),
    ({"step": 2.5}, "step"),
    ({"step": (3, 3, 3)}, "step"),
    ({"step": "ab"}, "step"),
    ({"rows": 0}, "rows"),
    ({"rows": 1.5}, "rows"),
    ({"normalize": "all"}, "normalize"),
    ({"batch_size": 0}, "batch_size"),
    ({"model": pyroshift.VAE((60,))}, "signals"),
    ({"model": pyroshift.VAE(8, likelihood="bernoulli"), "normalize": None}, r"\[0, 1\]"),
    ({"model": pyroshift.VAE(8, likelihood="poisson"), "normalize": None}, "counts"),
]


class TestMistakes:
    @pytest.mark.parametrize(("options", "told"), MISTAKES)
    def test_are_told_before_anything_is_written(self, path, options, told):
        with pytest.raises(DataError, match=told):
            encoded(path, **options)
        assert not path.exists()

    @pytest.mark.parametrize(("options", "told"), MISTAKES[::4])
    def test_are_told_before_an_old_store_is_removed(self, path, options, told):
        encoded(path)
        before = contents(path)
        with pytest.raises(DataError, match=told):
            encoded(path, **options, overwrite=True)
        assert contents(path) == before

    def test_a_model_that_is_none(self, path):
        with pytest.raises(AttributeError):
            encoded(path, model="model.pt")
        assert not path.exists()

    @pytest.mark.parametrize("missing", [["dask"], ["zarr"], ["dask", "zarr"]])
    def test_without_the_extra(self, path, monkeypatch, missing):
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *others: None if name in missing else find_spec(name, *others),
        )
        with pytest.raises(ImportError, match=rf"{' and '.join(missing)}.*pyroshift\[big\]"):
            encoded(path)
        assert not path.exists()


class TestStore:
    def test_opens_in_plain_xarray_and_bears_no_mark(self, path):
        maps = encoded(path)
        xr.testing.assert_identical(xr.open_zarr(path).load(), maps.load())
        assert set(zarr.open_group(path, mode="r").attrs) == set(maps.attrs)
        assert UNFINISHED not in maps.attrs

    def test_opens_in_plain_xarray_while_it_is_unfinished(self, path, stop_after):
        stop_after(1)
        maps = encoded(path)
        xr.testing.assert_identical(xr.open_zarr(path).load(), maps.load())
        assert json.loads(maps.attrs[UNFINISHED])["done"] == 1

    def test_is_lazy_and_chunked_by_block(self, path):
        maps = encoded(path, pixels(2, *SHAPE))
        assert maps.z.chunks == ((1, 1), (2, 2, 2), (9,), (1,))
        assert zarr.open_group(path, mode="r")["z"].chunks == (1, ROWS, 9, 1)

    def test_copies_to_other_formats(self, path, tmp_path, stop_after):
        for stop, name in ((1, "unfinished"), (None, "finished")):
            stop_after(stop)
            maps = encoded(path)
            maps.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
            read = xr.load_dataset(tmp_path / f"{name}.nc", engine="h5netcdf")
            xr.testing.assert_identical(read, maps.load())

    def test_decodes(self, path):
        maps = encoded(path)
        assert pyroshift.decode(MODEL, maps.load()).shape == (6, 9, *WINDOW)


def test_collapsed_latents_are_those_of_all_blocks(path):
    image = IMAGE.copy()
    model = pyroshift.VAE(WINDOW, latent_dim=2)
    with torch.no_grad():
        model.guide_module.heads["z"].bias[2:] = torch.tensor([-2.0, 0.0])
    expected = encode(model, extract_patches(image, WINDOW))
    maps = encoded(path, image, model=model)
    assert list(maps.collapsed.values) == [False, True]
    assert maps.collapsed.equals(expected.collapsed)


@pytest.mark.parametrize("far", [0, 1e8])
def test_percentiles_of_the_whole_image(path, far):
    image = IMAGE + far
    maps = encoded(path, image, normalize=(5, 90))
    expected = encode(MODEL, extract_patches(image, WINDOW, normalize=(5, 90)))
    assert_same_maps(maps, expected)


def test_a_hot_pixel_is_told(path):
    image = IMAGE.copy()
    image[5, 7] = 1e6
    with pytest.warns(UserWarning, match="1 pixels lie far beyond all others"):
        encoded(path, image, normalize="image")


def test_axes_of_the_users_own(path):
    image = xr.DataArray(IMAGE, dims=("row", "col"))
    maps = encoded(path, image)
    assert maps.z.dims == ("row", "col", "latent")
    assert_same_maps(maps, encode(MODEL, extract_patches(image, WINDOW)))


def test_axes_in_any_order(path):
    image = xr.DataArray(pixels(2, *SHAPE), dims=("time", "y", "x"))
    maps = encoded(path, image.transpose("y", "x", "time"))
    assert_same_maps(maps, encode(MODEL, extract_patches(image, WINDOW)))

"""`search_kl`: many trainings, their maps and scores."""

import subprocess
import sys
import time
import warnings
from functools import partial

import numpy as np
import pytest
import xarray as xr
from torch import nn

from pyroshift import (
    FullyConnectedEncoder,
    ShiftVAE,
    encode,
    extract_patches,
    fit,
    load,
    search_kl,
    smoothness,
    synthetic,
)
from pyroshift.errors import DataError, SpecificationError, TrainingError, TrainingWarning
from pyroshift.search.training import Trainer, physical_smoothness
from pyroshift.training.annealing import KLAnnealing

IMAGE = synthetic.lattice_image((72, 80), phases=2, noise=0.1).image
# What a search does is the same whatever it trains: one test takes the default guide.
NORMAL = partial(ShiftVAE, guide="normal")
QUICK = {"model": NORMAL, "epochs": 2, "batch_size": 32, "workers": 1, "progress": False}
WEIGHTS = {"initial": [0.1, 1.0], "final": [1.0, 10.0]}
SEARCH = partial(search_kl, IMAGE, 16, 6, **WEIGHTS, **QUICK)


@pytest.fixture(scope="module")
def found():
    """A search of four trainings."""
    return SEARCH()


@pytest.fixture
def call_at(monkeypatch):
    """Has something happen instead of a training, the first being 0."""

    def patch(number, action):
        calls = []
        train = Trainer.__call__

        def call(self, *arguments):
            calls.append(arguments)
            return action() if len(calls) - 1 == number else train(self, *arguments)

        monkeypatch.setattr(Trainer, "__call__", call)
        return calls

    return patch


def raising(error):
    def action():
        raise error

    return action


def without_times(dataset):
    return dataset.drop_vars(["seconds", "training"]).drop_attrs(deep=False)


class TestResult:
    def test_is_that_of_fit_and_encode(self, found):
        patches = extract_patches(IMAGE, 16, 6)
        model = NORMAL(16)
        history = fit(
            model, patches, epochs=2, batch_size=32, kl=KLAnnealing(0.1, 10.0, 1),
            validation_fraction=0.1, progress=False,
        )  # fmt: skip
        maps, point = encode(model, patches), found.sel(initial=0.1, final=10.0)
        for name in ("z", "offset", "elbo", "collapsed"):
            np.testing.assert_array_equal(point[name].values, maps[name].values)
        assert found.collapsed.dims == ("initial", "final", "latent")
        np.testing.assert_array_equal(point.smoothness, smoothness(maps.z))
        assert float(point.bound) == pytest.approx(-float(history.validation_loss[-1]) / 256)
        assert float(point.score) == physical_smoothness(maps)

    def test_is_labelled(self, found):
        assert found.score.dims == ("initial", "final")
        assert found.z.dims == ("initial", "final", "y", "x", "latent")
        assert found.offset.dims == ("initial", "final", "y", "x", "axis")
        assert not [name for name in found.data_vars if name.endswith("_std")]
        for name in (*found.data_vars, "initial", "final", "y", "x"):
            assert {"units", "long_name"} <= set(found[name].attrs), name
        assert bool((found.seconds > 0).all())

    def test_names_the_best(self):
        found = SEARCH(model=ShiftVAE, score=lambda maps: -float(maps.elbo.mean()))
        best = found.sel(initial=found.best_initial, final=found.best_final)
        assert float(best.score) == float(found.score.max())

    @pytest.mark.parametrize("write", ["to_netcdf", "to_zarr"])
    def test_round_trip(self, found, tmp_path, write):
        path = tmp_path / ("found.nc" if write == "to_netcdf" else "found.zarr")
        options = {"engine": "h5netcdf"} if write == "to_netcdf" else {"consolidated": False}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*specification.*")
            getattr(found, write)(path, **options)
        if write == "to_netcdf":
            again = xr.load_dataset(path, engine="h5netcdf")
        else:
            again = xr.open_zarr(path, consolidated=False).load()
        xr.testing.assert_equal(again, found)
        assert again.best_initial == found.best_initial

    def test_same_seed_same_result_in_any_process(self, found):
        xr.testing.assert_identical(without_times(SEARCH()), without_times(found))
        beside = search_kl(IMAGE, 16, 6, **WEIGHTS, **{**QUICK, "workers": 2})
        # Another process may split its sums over threads in another way.
        xr.testing.assert_allclose(
            without_times(beside), without_times(found), rtol=1e-3, atol=1e-3
        )

    def test_of_a_stack(self):
        stack = xr.concat([IMAGE, IMAGE], "frame")
        found = search_kl(stack, 16, 6, initial=[0.1], final=[1], **QUICK)
        assert found.z.dims == ("initial", "final", "frame", "y", "x", "latent")
        assert found.smoothness.dims == ("initial", "final", "latent")

    def test_parts_bound_to_the_model_are_trained_afresh(self):
        model = partial(NORMAL, encoder=FullyConnectedEncoder((16, 16)))
        after_another = SEARCH(model=model).sel(initial=1.0)
        alone = SEARCH(model=model, initial=[1.0]).sel(initial=1.0)
        xr.testing.assert_equal(without_times(after_another), without_times(alone))

    def test_of_a_model_that_cannot_be_saved(self, tmp_path):
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 8))
        model = partial(NORMAL, encoder=encoder)
        assert int(SEARCH(model=model, trainings=1).score.count()) == 1
        SEARCH(folder=tmp_path, trainings=1)
        before = sorted(tmp_path.iterdir())
        with pytest.raises(SpecificationError, match="Sequential can't be saved"):
            SEARCH(model=model, folder=tmp_path, overwrite=True)
        assert sorted(tmp_path.iterdir()) == before

    def test_missing_pixels_are_told_once(self):
        image = IMAGE.copy()
        image[30:54, 30:54] = np.nan  # windows with little else, and some with more
        with pytest.warns(UserWarning, match="windows are left out") as told:
            found = search_kl(image, 16, 6, **WEIGHTS, **QUICK)
        assert len(told) == 1
        assert bool(found.z.isnull().any())
        assert bool(found.score.notnull().all())


class TestScore:
    def test_collapsed_latents_do_not_count(self):
        rows, columns = np.indices((20, 30)) / 5.0
        z = np.stack([0.05 * np.sin(rows), np.sin(9 * columns)], -1)
        maps = xr.Dataset({"z": (("y", "x", "latent"), z)})
        assert smoothness(maps.z).values[0] > 0.8
        assert physical_smoothness(maps) == smoothness(maps.z).values[1]
        assert physical_smoothness(0.01 * maps) == 0

    def test_is_that_of_the_smoother_latent(self):
        rows, columns = np.indices((20, 30)) / 5.0
        z = np.stack([np.sin(9 * columns), np.sin(rows)], -1)
        maps = xr.Dataset({"z": (("y", "x", "latent"), z)})
        assert physical_smoothness(maps) == smoothness(maps.z).values.max()


class TestVarying:
    def test_windows_keep_their_centres(self):
        options = {
            **QUICK,
            "initial": [1.0],
            "final": [1.0],
            "vary": {"window": [14, 15, (16, 20)]},
        }
        found = search_kl(IMAGE, step=6, **options)
        assert found.score.dims == ("initial", "final", "window")
        assert found.window.values.tolist() == ["14", "15", "16x20"]
        assert bool(found.z.notnull().all())
        reference = extract_patches(IMAGE, (16, 20), 6).coords
        for axis in "yx":
            assert np.abs(found[axis].values - reference[axis].values).max() <= 0.5

    def test_fewer_latents_leave_gaps(self):
        options = {**QUICK, "initial": [1.0], "final": [1.0]}
        found = search_kl(IMAGE, 16, 6, vary={"latent_dim": [1, 3]}, **options)
        count = found.z.notnull().all(["y", "x"]).sum("latent")
        assert count.sel(latent_dim=1).item() == 1
        assert count.sel(latent_dim=3).item() == 3

    def test_some_of_many(self):
        vary = {"decoder": ["canvas", "spatial"], "offset_scale": [0.1, 0.3]}
        found = SEARCH(vary=vary, trainings=3)
        assert found.score.shape == (2, 2, 2, 2)
        assert int(found.score.count()) == int(found.elbo.notnull().all(["y", "x"]).sum()) == 3
        assert found.best_decoder in vary["decoder"]


class TestFolder:
    def test_keeps_every_training(self, found, tmp_path):
        kept = SEARCH(folder=tmp_path)
        xr.testing.assert_identical(without_times(kept), without_times(found))
        best = kept.sel(initial=kept.best_initial, final=kept.best_final)
        maps = encode(load(tmp_path / kept.best_model), extract_patches(IMAGE, 16, 6))
        np.testing.assert_array_equal(maps.z, best.z)

    @pytest.mark.parametrize("interrupt", [0, 2])
    def test_goes_on_after_an_interruption(self, found, tmp_path, call_at, interrupt):
        calls = call_at(interrupt, raising(KeyboardInterrupt()))
        if interrupt == 0:
            with pytest.raises(KeyboardInterrupt):
                SEARCH(folder=tmp_path)
        else:
            with pytest.warns(
                UserWarning, match="interrupted after 2 of 4 trainings; the same call"
            ):
                partly = SEARCH(folder=tmp_path)
            assert int(partly.score.count()) == interrupt
        whole = SEARCH(folder=tmp_path)
        assert len(calls) == 5  # none twice, but the one that was interrupted
        xr.testing.assert_identical(without_times(whole), without_times(found))

    def test_ctrl_c_in_the_midst_of_a_training(self, tmp_path, monkeypatch):
        from pyroshift.training.run import Run

        epochs = []
        epoch = Run._epoch

        def interrupted(self, current, bar):
            epochs.append(current)
            if len(epochs) == 4:
                raise KeyboardInterrupt
            return epoch(self, current, bar)

        monkeypatch.setattr(Run, "_epoch", interrupted)
        with pytest.warns(UserWarning, match="interrupted after 1 of 4 trainings"):
            assert int(SEARCH(folder=tmp_path).score.count()) == 1
        assert int(SEARCH(folder=tmp_path).score.count()) == 4

    def test_more_trainings(self, tmp_path, call_at):
        calls = call_at(-1, None)
        SEARCH(folder=tmp_path, trainings=2)
        SEARCH(folder=tmp_path, trainings=3)
        assert len(calls) == 3
        assert int(SEARCH(folder=tmp_path, trainings=2).score.count()) == 3

    def test_a_search_that_was_killed(self, tmp_path):
        code = (
            "import functools, numpy as np, pyroshift as ps\n"
            "model = functools.partial(ps.ShiftVAE, guide='normal')\n"
            "image = np.random.default_rng(0).random((90, 90))\n"
            "options = {'model': model, 'epochs': 3, 'workers': 1}\n"
            f"ps.search_kl(image, 16, 6, **options, folder={str(tmp_path)!r})\n"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        try:
            while len(list(tmp_path.glob("training_*.nc"))) < 2 and process.poll() is None:
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        image = np.random.default_rng(0).random((90, 90))
        done = len(list(tmp_path.glob("training_*.nc")))
        assert 2 <= done < 36
        again = search_kl(
            image, 16, 6, model=NORMAL, epochs=3, workers=1, folder=tmp_path, trainings=1,
            progress=False,
        )  # fmt: skip
        assert done - 1 <= int(again.score.count()) <= done

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            ({"epochs": 3}, "options of fit"),
            ({"annealing_epochs": 2}, "annealing epochs"),
            ({"seed": 1}, "model, seed|seed"),
            ({"final": [1.0]}, "weights and settings"),
            ({"model": partial(NORMAL, offset_scale=0.2)}, "model"),
            ({"normalize": "image"}, "normalize"),
            ({"score": physical_smoothness.__call__}, "score"),
        ],
    )
    def test_of_another_search(self, tmp_path, change, told):
        SEARCH(folder=tmp_path, trainings=1)
        with pytest.raises(SpecificationError, match=told):
            SEARCH(folder=tmp_path, **change)

    def test_is_replaced_if_told_to(self, tmp_path):
        SEARCH(folder=tmp_path)
        (tmp_path / "mine.txt").write_text("kept")
        found = SEARCH(folder=tmp_path, overwrite=True, trainings=1, seed=1)
        assert int(found.score.count()) == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "mine.txt", "search.journal", "training_0000.nc", "training_0000.pt",
        ]  # fmt: skip

    def test_with_results_but_no_journal(self, tmp_path):
        (tmp_path / "training_0000.pt").write_bytes(b"mine")
        with pytest.raises(FileExistsError, match=r"but no search\.journal"):
            SEARCH(folder=tmp_path)
        assert (tmp_path / "training_0000.pt").read_bytes() == b"mine"


class TestFailures:
    def test_one_training_that_diverges(self, call_at):
        call_at(1, raising(TrainingError("the loss is no number")))
        with pytest.warns(UserWarning, match="'final': 10.0} failed: the loss is no number"):
            found = SEARCH()
        assert bool(found.score.isnull().sel(initial=0.1, final=10.0))
        assert int(found.score.count()) == 3

    def test_all_diverge(self, monkeypatch):
        monkeypatch.setattr(Trainer, "__call__", lambda *_: raising(TrainingError("NaN"))())
        with (
            pytest.raises(TrainingError, match="no training"),
            pytest.warns(UserWarning, match="NaN"),
        ):
            SEARCH()

    def test_other_errors_are_not_hidden(self, call_at):
        call_at(1, raising(MemoryError("full")))
        with pytest.raises(MemoryError, match="full"):
            SEARCH()

    @pytest.mark.parametrize(
        ("given", "error", "told"),
        [
            ({"window": None}, SpecificationError, "one window for all trainings, or some to vary"),
            ({"vary": {"window": [8]}}, SpecificationError, "one window for all trainings"),
            ({"window": 90}, DataError, "window"),
            ({"step": 60}, DataError, "too small to tell smooth from periodic"),
            ({"vary": {"colour": [1]}}, SpecificationError, "no model can be built .*colour"),
            ({"vary": {"latent_dim": [2, 0]}}, SpecificationError, "latent_dim"),
            ({"vary": {"decoder": ["canvas", "brush"]}}, SpecificationError, "brush"),
            ({"final": [-1.0]}, SpecificationError, "final=-1.0"),
            ({"trainings": 0}, SpecificationError, "trainings must be a whole number"),
            ({"workers": 1.5}, SpecificationError, "workers must be a whole number"),
            ({"colour": 1}, SpecificationError, "`fit` has no such option"),
            ({"image": np.zeros((3, 4, 5, 6))}, DataError, "image"),
            ({"image": IMAGE * np.nan}, DataError, "NaN"),
        ],
    )
    def test_are_told_before_the_work(self, tmp_path, call_at, given, error, told):
        calls = call_at(-1, None)
        arguments = {"image": IMAGE, "window": 16, "step": 6, **QUICK, **given}
        with pytest.raises(error, match=told):
            search_kl(folder=tmp_path / "new", **arguments)
        assert not calls
        assert not (tmp_path / "new").exists()

    def test_without_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "optuna", None)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ImportError, match=r"pip install pyroshift\[search\]"):
            SEARCH()


def test_annealing_that_outlasts_the_trainings_is_told_of_once():
    with pytest.warns(TrainingWarning, match="ends at 1.2 and not at 10.*annealing_epochs") as told:
        SEARCH(initial=[0.1], final=[10.0], annealing_epochs=9)
    assert len(told) == 1


def test_of_channels_with_gaps():
    values = np.stack([IMAGE, 1e3 * IMAGE[::-1]])
    values[:, :12, :12] = np.nan
    both = xr.DataArray(values, {"channel": ["a", "b"]}, ("channel", "y", "x"))
    model = partial(ShiftVAE, channels=["a", "b"], guide="normal")
    options = {**QUICK, "initial": [1.0], "final": [1.0], "model": model}
    with pytest.warns(UserWarning, match="left out"):
        found = search_kl(both, 16, 6, **options)
    assert bool(found.z.isnull().any())
    assert np.isfinite(found.bound)
    kept = search_kl(both, 16, 6, **options, min_valid=0.3)
    assert int(kept.z.isnull().sum()) < int(found.z.isnull().sum())


def test_over_the_number_of_classes():
    options = {**QUICK, "initial": [1.0], "final": [1.0], "vary": {"classes": [2, 3]}}
    found = search_kl(IMAGE, 16, 6, **options)
    assert found.kind.values.tolist() == [0, 1, 2]
    counts = found.class_probability.notnull().sum(("initial", "final", "y", "x"))
    assert (counts > 0).values.tolist() == [[True, True, False], [True, True, True]]

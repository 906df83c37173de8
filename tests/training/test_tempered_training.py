"""Training on windows whose pixels count once, and what a model then remembers of it."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from pyro.infer import Trace_ELBO

import pyroshift as ps
from pyroshift.cli import main
from pyroshift.errors import ModelFileError

RANDOM = np.random.default_rng(0)
IMAGE = np.sin(np.arange(44) / 1.5)[:, None] * np.sin(np.arange(40) / 1.5)
IMAGE = IMAGE + 0.1 * RANDOM.normal(size=IMAGE.shape)
NOISE, QUICK = 0.2, {"epochs": 2, "batch_size": 32, "progress": False}


def cut(overlap="once"):
    return ps.extract_patches(IMAGE, 8, 4, normalize=None, overlap=overlap)


def model(noise=NOISE, **options):
    return ps.ShiftVAE(8, likelihood=ps.Gaussian(noise), guide="normal", **options)


def told(made, patches):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ps.encode(made, patches)
    return [str(each.message) for each in caught if "count once" in str(each.message)]


@pytest.mark.filterwarnings("ignore::pyroshift.errors.LatentWarning")
def test_it_is_as_with_wider_noise_but_for_a_constant():
    patches = cut()
    power = patches.power
    histories = [
        ps.fit(model(noise), each, validation_fraction=0.2, **QUICK)
        for noise, each in (
            (NOISE, patches),
            (NOISE / math.sqrt(power), replace(patches, power=None)),
        )
    ]
    constant = 64 / 2 * ((1 - power) * math.log(2 * math.pi * NOISE**2) - math.log(power))
    for name in ("loss", "validation_loss"):
        found, expected = (each[name].values for each in histories)
        np.testing.assert_allclose(found, expected - constant, atol=0.05)
    np.testing.assert_allclose(*(each.kl.values for each in histories), rtol=0.02, atol=0.01)
    assert histories[0].attrs["power"] == power
    assert "power" not in histories[1].attrs


@pytest.mark.filterwarnings("ignore::pyroshift.errors.LatentWarning")
def test_bounds_of_pyro_count_alike():
    patches = cut()
    found = [
        float(ps.fit(model(), patches, elbo=elbo, **QUICK | {"epochs": 1}).loss[0])
        for elbo in (None, Trace_ELBO(num_particles=4))
    ]
    np.testing.assert_allclose(*found, rtol=0.05)


@pytest.mark.filterwarnings("ignore::pyroshift.errors.LatentWarning")
def test_a_run_does_not_go_on_with_pixels_that_count_otherwise(tmp_path):
    path = tmp_path / "run.ckpt"
    ps.fit(model(), cut(), checkpoint=path, **QUICK)
    with pytest.raises(ModelFileError, match="power was"):
        ps.fit(model(), cut(None), checkpoint=path, **QUICK)


@pytest.mark.filterwarnings("ignore::pyroshift.errors.LatentWarning")
def test_a_model_remembers_and_warns(tmp_path):
    made = model()
    ps.fit(made, cut(), **QUICK)
    ps.save(made, tmp_path / "model.pt")
    for each in (made, ps.load(tmp_path / "model.pt")):
        assert told(each, cut()) == []
        assert len(told(each, cut(None))) == 1
    other = model()
    ps.fit(other, cut(None), **QUICK)
    assert told(other, cut()) == []  # asked for there and then


@pytest.mark.filterwarnings("ignore::pyroshift.errors.LatentWarning")
def test_block_by_block_as_at_once(tmp_path):
    pytest.importorskip("zarr")
    made = model()
    ps.fit(made, cut(), **QUICK)
    options = {"step": 4, "normalize": None, "overlap": "once", "rows": 2, "progress": False}
    found = ps.encode_image(made, IMAGE, tmp_path / "maps.zarr", **options)
    expected = ps.encode(made, cut())
    assert found.attrs["power"] == expected.attrs["power"] == cut().power
    np.testing.assert_allclose(found.z, expected.z, atol=1e-4)
    np.testing.assert_allclose(found.elbo.mean(), expected.elbo.mean(), rtol=0.1)


def test_a_search_gives_the_bound_per_pixel_that_counts():
    pytest.importorskip("optuna")
    found = [
        ps.search_kl(
            IMAGE, 8, 4, normalize=None, overlap=overlap, model=model_of_noise,
            initial=[1.0], final=[1.0], workers=1, annealing_epochs=1, **QUICK,
        ).bound.item()
        for overlap in (None, "once")
    ]  # fmt: skip
    # Little is learned in two epochs: the KL terms are small, and the likelihood is as it was.
    np.testing.assert_allclose(*found, rtol=0.1)


def model_of_noise(window, seed):
    return ps.ShiftVAE(window, likelihood=ps.Gaussian(NOISE), guide="normal", seed=seed)


def test_at_the_command_line(tmp_path):
    path = tmp_path / "image.npy"
    np.save(path, IMAGE)
    options = ["--step", "4", "--overlap", "once", "--quiet"]
    out = tmp_path / "out"
    quick = ["--window", "8", "--epochs", "1", "--guide", "normal"]
    assert main(["fit", str(path), *quick, *options, "--out", str(out)]) == 0
    maps = ps_open(out / "maps.nc")
    assert maps["power"] == cut().power
    assert "--overlap" in (out / "report.html").read_text()
    finer = tmp_path / "finer.nc"
    assert main(["encode", str(out / "model.pt"), str(path), *options, "--out", str(finer)]) == 0
    assert ps_open(finer)["power"] == cut().power


def ps_open(path):
    import xarray as xr

    with xr.open_dataset(path) as maps:
        return dict(maps.attrs)

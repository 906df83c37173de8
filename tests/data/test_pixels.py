"""A model is told when pixels are of another size than those that it was trained on."""

import warnings

import numpy as np
import pytest
import xarray as xr

from pyroshift import Patches, ShiftVAE, encode, encode_image, extract_patches, fit, load, save
from pyroshift.data.pixels import checked_pixels

WINDOW = 8


def image(size=0.1, units="nm"):
    values = np.random.default_rng(0).normal(size=(24, 24))
    coords = {axis: (axis, size * np.arange(24), {"units": units}) for axis in "yx"}
    return xr.DataArray(values, coords if size else {}, ("y", "x"))


def cut(*arguments):
    return extract_patches(image(*arguments), WINDOW)


@pytest.fixture(scope="module")
def model():
    made = ShiftVAE(WINDOW, latent_dim=1, guide="normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(made, cut(), epochs=1, progress=False)
    return made


def told(model, patches):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encode(model, patches)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("size", "units", "said"),
    [(0.2, "nm", "0.2 nm"), (0.05, "nm", "0.05 nm"), (-0.2, "nm", "0.2 nm"), (200, "pm", "200 pm")],
)
def test_other_pixels_are_told_with_both_sizes(model, size, units, said):
    (message,) = told(model, cut(size, units))
    assert f"trained on pixels of 0.1 nm, but these are of {said}" in message


@pytest.mark.parametrize(
    ("size", "units"),
    [
        (0.1, "nm"),
        (-0.1, "nm"),
        (0.103, "nm"),
        (100, "pm"),
        (1e-10, "m"),
        (0, ""),
        (5, "px"),
        (5, "V"),
    ],
)
def test_pixels_alike_and_those_of_unknown_size_are_not(model, size, units):
    assert told(model, cut(size, units)) == []


def test_a_model_of_pixels_alone_says_nothing():
    made = ShiftVAE(WINDOW, latent_dim=1, guide="normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(made, cut(0, ""), epochs=1, progress=False)
    assert told(made, cut()) == []


def test_a_saved_model_remembers(model, tmp_path):
    save(model, tmp_path / "model.pt")
    assert len(told(load(tmp_path / "model.pt"), cut(0.2))) == 1


def test_the_first_pixels_count(model):
    before = dict(model.trained_on)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(model, cut(0.7), epochs=1, progress=False)
    assert model.trained_on == before


def test_block_by_block_it_is_told_once(model, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encode_image(model, image(0.2), tmp_path / "maps.zarr", rows=1, progress=False)
    assert len([each for each in caught if "trained on pixels" in str(each.message)]) == 1


def test_the_warning_points_at_the_caller(model):
    with pytest.warns(UserWarning, match="trained on pixels") as caught:
        encode(model, cut(0.2))
    assert caught[0].filename == __file__


def test_untrained_models_and_plain_windows(model):
    assert told(ShiftVAE(WINDOW, guide="normal"), cut(0.2)) == []
    assert told(model, Patches.from_array(np.random.default_rng(0).random((9, 8, 8)))) == []


@pytest.mark.parametrize("value", [{"size": [0.0], "units": ["nm"]}, {"size": [1.0], "units": [3]}])
def test_altered_sizes_are_refused(value):
    with pytest.raises(ValueError, match="no sizes"):
        checked_pixels(value)

"""Classes: right, reproducible, as many as there are, on any layout; and their mean pictures."""

import numpy as np
import pytest
import torch
import xarray as xr

from pyroshift import (
    RVAE,
    VAE,
    Patches,
    class_patches,
    classify,
    encode,
    extract_patches,
    synthetic,
    transition_matrix,
)
from pyroshift.errors import DataError

CENTRES = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
SIZES = (50, 120, 80)


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(1).permutation(np.repeat(range(3), SIZES))


@pytest.fixture(scope="module")
def maps(labels):
    z = CENTRES[labels] + 0.4 * np.random.default_rng(0).standard_normal((250, 2))
    return xr.Dataset({"z": (("atom", "latent"), z.astype(np.float32))})


def test_as_many_classes_as_there_are_largest_first(maps, labels):
    found = classify(maps)
    expected = np.array([2, 0, 1])[labels]  # by size
    np.testing.assert_array_equal(found.class_index, expected)
    assert found["class"].values.tolist() == ["class 0", "class 1", "class 2"]
    np.testing.assert_allclose(found.class_weight, np.sort(SIZES)[::-1] / 250, atol=0.02)
    np.testing.assert_allclose(found.class_probability.sum("class"), 1.0)
    np.testing.assert_array_equal(found.class_probability.argmax("class"), found.class_index)
    assert found.components.values.tolist() == list(range(1, 9))
    assert int(found.components[found.icl.argmin("components")]) == 3


def test_classes_that_are_no_gaussians_are_several_of_them():
    """Crescents; of eight other seeds at least 99.5% are right merged, and at most 87% not."""
    rng = np.random.default_rng(0)
    arm, along = np.repeat([0, 1], (240, 160)), rng.uniform(0, np.pi, 400)
    turned = 1 - 2 * arm
    z = np.stack([np.cos(along) * turned + arm, np.sin(along) * turned + 0.4 * arm], -1)
    maps = xr.Dataset({"z": (("atom", "latent"), z + 0.08 * rng.normal(size=z.shape))})
    merged = classify(maps, classes=2, merge=True)
    assert (merged.class_index == arm).mean() > 0.98
    assert (classify(maps, classes=2).class_index == arm).mean() < 0.95
    np.testing.assert_allclose(merged.class_probability.sum("class"), 1.0)
    np.testing.assert_allclose(merged.class_weight, [0.6, 0.4], atol=0.02)


def test_merging_takes_a_number_of_classes(maps):
    with pytest.raises(DataError, match="how many classes"):
        classify(maps, merge=True)
    xr.testing.assert_identical(
        classify(maps, classes=3, merge=True).class_index, classify(maps, classes=3).class_index
    )


def test_the_same_again_and_whatever_the_order(maps):
    xr.testing.assert_identical(classify(maps), classify(maps))
    order = np.random.default_rng(2).permutation(250)
    shuffled = classify(maps.isel(atom=order))
    np.testing.assert_array_equal(shuffled.class_index, classify(maps).class_index[order])


def test_classifying_again_replaces_what_was_found(maps):
    again = classify(classify(maps), classes=2)
    assert again.sizes["class"] == 2
    assert "components" not in again.dims
    xr.testing.assert_identical(again, classify(maps, classes=2))


def test_skewed_clusters_are_one_class_by_icl_and_several_by_bic():
    rng = np.random.default_rng(0)
    skewed = np.stack([rng.gamma(2.0, size=600), 0.3 * rng.standard_normal(600)], 1)
    round_one = [-3, 0] + 0.3 * rng.standard_normal((300, 2))
    maps = xr.Dataset({"z": (("atom", "latent"), np.concatenate([skewed, round_one]))})
    assert classify(maps).sizes["class"] == 2
    assert classify(maps, criterion="bic").sizes["class"] > 2


def test_one_class_where_there_is_one():
    z = np.random.default_rng(0).standard_normal((300, 2))
    assert classify(xr.Dataset({"z": (("atom", "latent"), z)})).sizes["class"] == 1


def test_names_say_how_many(maps):
    found = classify(maps, names=["hexagon", "pentagon"])
    assert found["class"].values.tolist() == ["hexagon", "pentagon"]
    assert found.class_probability.sel({"class": "pentagon"}).sizes == {"atom": 250}


def test_maps_on_a_grid_with_missing_patches(maps, labels, tmp_path):
    z = maps.z.values.reshape(10, 25, 2).copy()
    z[3, 4] = np.nan
    found = classify(xr.Dataset({"z": (("y", "x", "latent"), z)}))
    assert found.class_index.dims == ("y", "x")
    assert found.class_index.values[3, 4] == -1
    assert np.isnan(found.class_probability.values[3, 4]).all()
    assert (found.class_index.values >= 0).sum() == 249
    found.to_netcdf(tmp_path / "maps.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "maps.nc", engine="h5netcdf") as loaded:
        np.testing.assert_array_equal(loaded.class_index, found.class_index)


def test_collapsed_latents_hardly_count(labels):
    rng = np.random.default_rng(0)
    first = np.where(labels == 0, -1.0, 1.0) + 0.1 * rng.standard_normal(250)
    collapsed = 0.01 * rng.standard_cauchy((250, 3)).clip(-5, 5)
    z = np.column_stack([first, collapsed])
    found = classify(xr.Dataset({"z": (("atom", "latent"), z)}), classes=2)
    np.testing.assert_array_equal(found.class_index, labels == 0)


def test_by_directions_angles_have_no_cut(labels):
    angle = np.where(labels == 0, 0.0, np.pi) + 0.2 * np.random.default_rng(0).normal(size=250)
    wrapped = np.angle(np.exp(1j * angle))
    maps = xr.Dataset({"angle": ("atom", wrapped, {"units": "rad"})})
    found = classify(maps, classes=2, variables="angle")
    np.testing.assert_array_equal(found.class_index, labels == 0)


@pytest.fixture(scope="module")
def of_a_model():
    """Maps of a model with classes, of frames of which a corner is missing."""
    movie = np.random.default_rng(0).random((3, 24, 24))
    movie[:, :9, :9] = np.nan
    with pytest.warns(UserWarning, match="left out"):
        patches = extract_patches(movie, 12, 6)
    return encode(VAE(12, classes=3), patches), patches


def test_classes_of_the_model_are_taken(of_a_model):
    maps, patches = of_a_model
    found = classify(maps)
    np.testing.assert_array_equal(found.class_index, maps["class"].fillna(-1))
    np.testing.assert_array_equal(
        found.class_probability.transpose(*maps.class_probability.dims[:-1], "class"),
        maps.class_probability,
    )
    assert found["class"].values.tolist() == ["class 0", "class 1", "class 2"]
    assert "kind" not in found.dims
    assert float(found.class_weight.sum()) == pytest.approx(1)
    assert class_patches(found, patches).sizes["class"] == 3
    assert transition_matrix(found).probability.shape == (3, 3)
    named = classify(maps.assign_coords(kind=["ring", "cross", "bar"]))
    assert named["class"].values.tolist() == ["ring", "cross", "bar"]
    assert classify(maps, names=["a", "b", "c"])["class"].values.tolist() == ["a", "b", "c"]
    with pytest.raises(DataError, match="3 classes, not 2"):
        classify(maps, classes=2)


def test_classes_by_something_else_replace_the_models(of_a_model):
    found = classify(of_a_model[0], classes=2, variables=["elbo"])
    assert found.sizes["class"] == 2
    assert "kind" not in found.dims
    assert found["class"].dims == ("class",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "classes=0"),
        ({"classes": 2.5}, "classes=2.5"),
        ({"max_classes": None}, "max_classes=None"),
        ({"criterion": "aic"}, "criterion"),
        ({"variables": ("elbo",)}, "no variables"),
        ({"variables": ()}, "no variables"),
        ({"classes": 3, "names": ["a"]}, "1 names were given for 3"),
        ({"classes": 251}, "too few for 251"),
    ],
)
def test_what_cant_be_classified(maps, options, message):
    with pytest.raises(DataError, match=message):
        classify(maps, **options)


@pytest.mark.parametrize("z", [np.full((20, 2), np.nan), np.ones((20, 2)), np.ones((1, 2))])
def test_too_few_patches(z):
    with pytest.raises(DataError, match="too few"):
        classify(xr.Dataset({"z": (("atom", "latent"), z)}))


def test_no_dataset():
    with pytest.raises(DataError, match="no variables"):
        classify(np.ones((20, 2)))


# Mean pictures


@pytest.fixture(scope="module")
def glyphs():
    """Turned and shifted glyphs, the maps that a perfect model would find, and the glyph itself."""
    truth = synthetic.motifs(n=400, window=32, max_angle=3.1, noise=0.05, content=(0.8, 0.8))
    upright = synthetic.motifs(
        n=1, window=32, max_angle=0, max_offset=0, noise=0, content=(0.8, 0.8)
    )
    maps = xr.Dataset(
        {
            "class_index": ("sample", np.arange(400) % 2),
            "offset": (("sample", "axis"), truth.offset.values, {"pixel_size": [1.0, 1.0]}),
            "angle": ("sample", truth.angle.values),
        }
    )
    return Patches.from_array(truth.patch), maps, upright.patch.values[0]


def test_windows_are_brought_into_the_motifs_own_frame(glyphs):
    patches, maps, upright = glyphs
    found = class_patches(maps, patches)
    assert found["count"].values.tolist() == [200, 200]
    middle = np.s_[:, 6:-6, 6:-6]
    # Interpolation smooths a little.
    error = (found.values - upright)[middle]
    assert np.sqrt(np.mean(error**2)) < 0.03
    assert (
        np.corrcoef(found.values[middle].ravel(), np.tile(upright, (2, 1, 1))[middle].ravel())[0, 1]
        > 0.99
    )


def test_as_they_are_they_blur(glyphs):
    patches, maps, upright = glyphs
    found = class_patches(maps, patches, align=False)
    windows = patches.to_xarray().values
    np.testing.assert_allclose(found.values[0], windows[::2].mean(0), atol=1e-5)
    assert found.values.max() < 0.7 * upright.max()


def test_missing_windows_and_empty_classes(glyphs):
    patches, maps, _ = glyphs
    index = np.full(400, -1)
    index[:3] = 2
    found = class_patches(maps.assign(class_index=("sample", index)), patches)
    assert found["count"].values.tolist() == [0, 0, 3]
    assert np.isnan(found.values[:2]).all()


def test_signals_are_shifted():
    signals = torch.zeros(6, 20)
    centres = torch.tensor([8, 9, 10, 11, 12, 13])
    signals[range(6), centres] = 1.0
    maps = xr.Dataset(
        {
            "class_index": ("patch", np.zeros(6, int)),
            "offset": (("patch", "axis"), (centres - 9.5)[:, None].numpy(), {"pixel_size": 1.0}),
        }
    )
    mean = class_patches(maps, Patches.from_array(signals.numpy())).values[0]
    # At the middle, between two samples.
    np.testing.assert_allclose(mean[9:11], 0.5, atol=1e-6)
    assert np.nansum(mean) == pytest.approx(1.0, abs=1e-5)


def test_of_an_image_with_missing_pixels():
    image = np.random.default_rng(0).random((40, 40))
    image[5, 5] = np.nan
    with pytest.warns(UserWarning, match="left out"):
        patches = extract_patches(image, 16, min_valid=1.0)
    found = classify(encode(RVAE(16), patches), classes=2)
    assert int(class_patches(found, patches)["count"].sum()) == len(patches)


def test_missing_pixels_take_no_part(glyphs):
    patches, maps, _ = glyphs
    windows = patches.to_xarray()
    missing = np.random.default_rng(0).random(windows.shape) < 0.2
    holed = Patches.from_array(windows.where(~missing))
    found = class_patches(maps, holed, align=False).values
    shown = np.where(missing, np.nan, windows.values)
    np.testing.assert_allclose(found[0], np.nanmean(shown[::2], 0), atol=1e-5)
    aligned, whole = class_patches(maps, holed), class_patches(maps, patches)
    middle = np.s_[:, 6:-6, 6:-6]
    assert np.abs((aligned - whole).values[middle]).max() < 0.1


def test_pictures_of_channels_are_those_of_each(glyphs):
    patches, maps, _ = glyphs
    windows = patches.to_xarray()
    both = xr.concat([windows, 1 - windows], "channel").assign_coords(channel=["a", "b"])
    found = class_patches(maps, Patches.from_array(both, 2))
    assert found.dims == ("class", "channel", "window_y", "window_x")
    for name, each in (("a", windows), ("b", 1 - windows)):
        alone = class_patches(maps, Patches.from_array(each, 2))
        np.testing.assert_allclose(found.sel(channel=name), alone, atol=1e-6)


def test_pictures_of_other_patches(glyphs):
    patches, maps, _ = glyphs
    with pytest.raises(DataError, match="aren't of these patches"):
        class_patches(maps.isel(sample=slice(10)), patches)
    with pytest.raises(DataError, match="classify"):
        class_patches(maps.drop_vars("class_index"), patches)

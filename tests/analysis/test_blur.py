"""What a blur of the image explains of z."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import Patches, explained_by_blur, extract_patches
from pyroshift.errors import DataError

RANDOM = np.random.default_rng(0)


def image():
    """Noise in a light of its own at every place."""
    light = np.outer(np.linspace(0, 3, 120), np.linspace(-1, 1, 100))
    return light + RANDOM.random((120, 100)) * np.linspace(0.2, 1, 100)


def maps_of(patches, *latents):
    values = np.stack([patches.unflatten(np.asarray(latent)) for latent in latents], -1)
    return xr.DataArray(values, dims=(*patches.layout, "latent"))


def test_shares_are_known_for_mixtures():
    patches = extract_patches(image(), 12, 5, normalize="image")
    windows = patches.gather().numpy()
    mean, spread = windows.mean((1, 2)), windows.std((1, 2))
    mean, other = (mean - mean.mean()) / mean.std(), RANDOM.standard_normal(len(mean))
    other -= mean * (mean @ other) / (mean @ mean)
    other = (other - other.mean()) / other.std()
    z = maps_of(patches, -3 * mean + 1, other, 0.6 * mean + 0.8 * other, spread, np.ones(len(mean)))
    found = explained_by_blur(z, patches).values
    np.testing.assert_allclose(found[:3], [1, 0, 0.36], atol=1e-6)
    assert np.isnan(found[4])
    with_contrast = explained_by_blur(z, patches, contrast=True).values
    np.testing.assert_allclose(with_contrast[[0, 3]], 1, atol=1e-5)
    assert found[3] < 0.9


def test_missing_windows_and_other_orders_of_dimensions_are_taken():
    picture = image()
    picture[30, 40] = np.nan
    with pytest.warns(UserWarning, match="missing pixels"):
        patches = extract_patches(picture, 12, 5, normalize="image", min_valid=1.0)
    means = patches.gather().numpy().mean((1, 2))
    z = maps_of(patches, means).transpose("latent", "x", "y")
    assert explained_by_blur(xr.Dataset({"z": z}), patches).item() == pytest.approx(1)


def test_missing_pixels_do_not_count():
    picture = image()
    picture[RANDOM.random(picture.shape) < 0.3] = np.nan
    patches = extract_patches(picture, 12, 5, normalize=None)
    means, spreads = (
        of(patches.gather().numpy(), (1, 2)).astype(float) for of in (np.nanmean, np.nanstd)
    )
    z = maps_of(patches, means, spreads)
    assert explained_by_blur(z, patches)[0] == pytest.approx(1)
    np.testing.assert_allclose(explained_by_blur(z, patches, contrast=True), 1)


@pytest.mark.parametrize("contrast", [False, True])
def test_channels_explain_together_whatever_their_units(contrast):
    both = np.stack([1e-10 * image(), 100 * image()[::-1]])
    channels = xr.DataArray(both, dims=("channel", "y", "x"))
    patches = extract_patches(channels, 12, 5, normalize=None)
    means = patches.gather().numpy().mean((2, 3), dtype=float)
    z = maps_of(patches, means[:, 0], means[:, 1], (means / means.std(0)).sum(1))
    np.testing.assert_allclose(explained_by_blur(z, patches, contrast), 1, rtol=1e-4)


def test_what_does_not_fit_is_refused():
    patches = extract_patches(image(), 12, 5)
    z = maps_of(patches, np.arange(len(patches)))
    with pytest.raises(DataError, match="pass the patches that were encoded"):
        explained_by_blur(z[1:], patches)
    few = Patches.from_array(RANDOM.random((19, 5, 5)))
    with pytest.raises(DataError, match="too few"):
        explained_by_blur(maps_of(few, np.arange(19)), few)

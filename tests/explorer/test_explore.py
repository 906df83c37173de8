"""What an explorer holds: places, windows and reconstructions, for data of every kind."""

import base64
import json
import re
import zlib

import numpy as np
import pytest
import xarray as xr
from explored import STEP, WINDOW, image, trained

import pyroshift as ps
from pyroshift.errors import DataError

RNG = np.random.default_rng(0)


def opened(page):
    """Header and arrays of a page, those in whole numbers as what they stand for."""
    told = re.search(r'id="header">(.*?)</script>', page).group(1)
    text = re.search(r'id="data">(.*?)</script>', page).group(1)
    header, content = json.loads(told), zlib.decompress(base64.b64decode(text))
    arrays = {
        name: np.frombuffer(content, each["type"], int(np.prod(each["shape"])), each["start"])
        .reshape(each["shape"])
        for name, each in header["arrays"].items()
    }  # fmt: skip
    for name in [name.removesuffix(".low") for name in arrays if name.endswith(".low")]:
        codes, missing = arrays[name], np.iinfo(arrays[name].dtype).max
        if name in ("made", "window", "tile"):  # rows are kept as differences
            codes = np.cumsum(codes, -1, dtype=codes.dtype)
        low, step = (
            arrays[f"{name}.{part}"].reshape(-1, *[1] * (codes.ndim - 1))
            for part in ("low", "step")
        )
        arrays[name] = np.where(codes == missing, np.nan, low + step * codes)
    return header, arrays


def windows_in(header, arrays):
    """Windows of all places as the page finds them, `place x channel x window`."""
    size, channels = header["windows"]["shape"], len(header["windows"]["channels"])
    found = np.full((header["places"]["count"], channels, *size), np.nan)
    for place, slot in enumerate(arrays["slot"]):
        for channel in range(channels):
            if header["windows"]["cut"]:
                frame, *start = arrays["start"][place]
                if frame < 0:
                    continue
                at = tuple(slice(one, one + many) for one, many in zip(start, size, strict=True))
                window = arrays["source"][(frame * channels + channel, *at)]
                if header["windows"]["stretched"]:
                    low, high = np.nanmin(window), np.nanmax(window)
                    window = (window - low) / (high - low)
                found[place, channel] = window
            elif slot >= 0:
                found[place, channel] = arrays["window"][slot * channels + channel]
    return found


def untrained(patches, **options):
    """A model that draws something, and its maps."""
    model = ps.ShiftVAE(
        patches.window, guide="normal", channels=patches.channels or None, **options
    )
    return model, ps.encode(model, patches)


STACK = RNG.random((3, 40, 40))
ATOMS = np.array([[0, 12, 14], [0, 30, 20], [2, 15, 9], [1, 20, 22]])
CUBE = xr.DataArray(
    RNG.random((4, 5, 30)), {"energy": ("energy", 2.0 + 0.1 * np.arange(30), {"units": "eV"})},
    ("y", "x", "energy"),
)  # fmt: skip
HOLED = np.where(np.hypot(*np.mgrid[-20:40, -30:34]) < 15, np.nan, RNG.random((60, 64)))
CHANNELS = xr.DataArray(
    RNG.random((2, 32, 40)), {"channel": ["height", "phase"]}, ("channel", "y", "x")
)
KINDS = {
    "grid": (image, lambda: ps.extract_patches(image(), WINDOW, step=STEP), "grid"),
    "normalized": (image, lambda: ps.extract_patches(image(), WINDOW, normalize=(1, 99)), "grid"),
    "stack": (lambda: STACK, lambda: ps.extract_patches(STACK, 8), "grid"),
    "atoms": (lambda: STACK, lambda: ps.extract_patches(STACK, 8, positions=ATOMS), "points"),
    "missing": (lambda: HOLED, lambda: ps.extract_patches(HOLED, 8), "grid"),
    "channels": (lambda: CHANNELS, lambda: ps.extract_patches(CHANNELS, 16), "grid"),
}
CUT = {
    "spectra": (lambda: ps.Patches.from_array(CUBE, window_ndim=1), "grid"),
    "patterns": (
        lambda: ps.Patches.from_array(RNG.random((4, 5, 9, 9)), 2, dims=("y", "x", "ky", "kx")),
        "grid",
    ),
    "list": (lambda: ps.Patches.from_array(RNG.random((11, 8, 8))), "list"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:.*windows are left out")
def test_windows_are_found_in_the_image_again(kind):
    source, cut, placed = KINDS[kind]
    patches = cut()
    model, maps = untrained(patches)
    explorer = ps.explore(model, maps, source())
    header, arrays = opened(explorer.html())
    assert header["places"]["kind"] == placed
    count = maps.elbo.size
    expected = patches.to_xarray().values.reshape(count, -1, *patches.window)
    np.testing.assert_allclose(windows_in(header, arrays), expected, atol=1e-3)
    made = ps.decode(model, maps).values.reshape(count, -1, *patches.window)
    slots = arrays["slot"]
    assert (slots >= 0).sum() == len(patches)
    known = made[slots >= 0].reshape(-1, *patches.window)
    np.testing.assert_allclose(arrays["made"], known, atol=np.nanmax(np.abs(made)) / 200)
    np.testing.assert_array_equal(
        arrays["field.elbo"].reshape(maps.elbo.shape), maps.elbo.values
    )  # fmt: skip
    assert explorer.selected.dims == maps.elbo.dims
    given = opened(ps.explore(model, maps, patches=patches).html())
    np.testing.assert_allclose(windows_in(*given), expected, atol=1e-3)
    # The image that windows lie in has its coordinates, though only they were given.
    np.testing.assert_allclose(
        given[0]["picture"]["extent"], header["picture"]["extent"], atol=1e-6
    )


@pytest.mark.parametrize("kind", CUT)
def test_windows_that_were_cut_already(kind):
    cut, placed = CUT[kind]
    patches = cut()
    model, maps = untrained(patches, latent_dim=1)
    header, arrays = opened(ps.explore(model, maps, patches=patches).html())
    assert header["places"]["kind"] == placed
    assert (header["picture"] is None) == (placed == "list")
    expected = patches.to_xarray().values.reshape(maps.elbo.size, 1, *patches.window)
    np.testing.assert_allclose(windows_in(header, arrays), expected, atol=1 / 500)


def test_spectra_bring_their_axis():
    model, maps = untrained(ps.Patches.from_array(CUBE, window_ndim=1))
    header, _ = opened(ps.explore(model, maps, patches=CUBE).html())
    told = header["windows"]
    assert (told["origin"], told["axes"], told["stepUnits"]) == (2.0, ["energy"], ["eV"])
    assert told["steps"] == pytest.approx([0.1])


def test_motifs_are_the_models_over_all_that_was_found():
    model, _, maps = trained()
    header, arrays = opened(ps.explore(model, maps, image()).html())
    first, second = header["tiles"]["axes"]
    z = maps.z.values.reshape(-1, 2)
    assert first[0] <= np.percentile(z[:, 0], 1)
    assert first[-1] >= np.percentile(z[:, 0], 99)
    tiles = arrays["tile"].reshape(len(first), len(second), *model.window)
    expected = ps.decode(model, np.array([[first[2], second[5]]])).values[0]
    np.testing.assert_allclose(tiles[2, 5], expected, atol=np.ptp(expected) / 200)


def test_modes_and_classes_are_told():
    patches = ps.extract_patches(image()[:30, :30], WINDOW)
    model = ps.ShiftVAE(WINDOW, classes=2)
    maps = ps.encode(model, patches)
    header, arrays = opened(ps.explore(model, maps, patches=patches).html())
    names = [column["name"] for column in header["modes"]["columns"]]
    assert names == ["mode_probability", "mode_offset_y", "mode_offset_x"]
    np.testing.assert_array_equal(
        arrays["mode.mode_probability"], maps.mode_probability.values.reshape(-1, 4)
    )
    kinds = {field["name"]: field["kinds"] for field in header["fields"]}
    assert kinds["class"] == header["tiles"]["kinds"] == ["0", "1"]
    assert kinds["class_probability_1"] == []


# Selections


def test_selections_are_masks_over_the_maps():
    model, _, maps = trained()
    explorer = ps.explore(model, maps, image())
    assert not explorer.selected.any()
    explorer.selected = maps.elbo > maps.elbo.median()
    assert "58 selected" in repr(explorer)
    np.testing.assert_array_equal(explorer.selected, maps.elbo > maps.elbo.median())
    assert opened(explorer.html())[0]["selected"] == np.flatnonzero(explorer.selected).tolist()
    explorer.selected = [3, 5]  # as a page copies them
    assert np.flatnonzero(explorer.selected).tolist() == [3, 5]
    explorer.selected = []
    assert not explorer.selected.any()


@pytest.mark.parametrize("mask", [np.ones(3, bool), [117], [-1], [0.5], "all"])
def test_selections_that_fit_no_maps(mask):
    model, _, maps = trained()
    explorer = ps.explore(model, maps, image())
    with pytest.raises(DataError, match="selection"):
        explorer.selected = mask


# Pages


def test_pages_keep_to_their_limit(tmp_path):
    model, _, maps = trained()
    explorer = ps.explore(model, maps, image())
    whole = len(explorer.html().encode())
    least = len(explorer._page(explorer.content.reduced(0.0)).encode())
    limit = (0.4 * whole + 0.6 * least) / 1e6
    with pytest.warns(UserWarning, match="leaves out reconstructions of") as told:
        path = explorer.save(tmp_path / "small.html", limit=limit)
    assert path.stat().st_size <= limit * 1e6
    header, arrays = opened(path.read_text())
    kept = int((arrays["slot"] >= 0).sum())
    assert 0.2 * 117 < kept < 0.6 * 117
    assert header["leftOut"][0] in str(told[0].message)
    assert f"of {117 - kept} of 117 windows" in header["leftOut"][0]
    with pytest.raises(DataError, match="larger limit"):
        explorer.html(limit=0.9 * least / 1e6)


def test_pages_replace_nothing_unasked(tmp_path):
    model, _, maps = trained()
    explorer = ps.explore(model, maps, image())
    path = explorer.save(tmp_path / "maps.html")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        explorer.save(path)
    assert explorer.save(path, overwrite=True) == path


def test_text_of_the_users_ends_no_script():
    model, _, maps = trained()
    bad = maps.assign(worse=maps.elbo.assign_attrs(long_name="</script><script>alert(1)</script>"))
    page = ps.explore(model, bad, image()).html()
    assert "<script>alert" not in page
    assert page.count("</script>") == 3


def test_notebooks_without_a_kernel_show_the_page():
    model, _, maps = trained()
    shown = ps.explore(model, maps, image())._repr_mimebundle_()
    assert shown["text/html"].startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
    assert shown["text/plain"].startswith("<Explorer of 117 places over (y, x)")


# What can't be


def other(**changes):
    return ps.ShiftVAE(**{"window": WINDOW, "guide": "normal", **changes})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (other(latent_dim=3), "has 2 latents, not 3"),
        (other(window=16), "windows of"),
        (ps.RVAE(WINDOW, guide="normal"), "has the sites"),
        ("a model", "expected a model"),
    ],
)
def test_maps_of_another_model(model, message):
    with pytest.raises(DataError, match=message):
        ps.explore(model, trained()[2], image())


def test_what_is_no_maps():
    with pytest.raises(DataError, match="expected maps"):
        ps.explore(trained()[0], image(), image())
    with pytest.raises(DataError, match="pass all that encode returned"):
        ps.explore(trained()[0], trained()[2][["elbo"]], image())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there is no image"),
        ({"image": image()[:40]}, "would leave the image"),
        ({"image": image().values}, "would leave the image|cut"),
        ({"patches": ps.extract_patches(np.ones((60, 84)), WINDOW, step=4)}, "maps are over"),
        (
            {"patches": ps.extract_patches(np.ones((60, 84)), 10, step=STEP)},
            "maps are over|windows",
        ),
        ({"image": "scan.tif"}, "read it first"),
        ({"image": np.ones(5)}, "two dimensions"),
    ],
)
def test_data_that_are_not_the_maps(given, message):
    model, _, maps = trained()
    with pytest.raises(DataError, match=message):
        ps.explore(model, maps, **given)


def test_spectra_need_patches_and_stacks_their_frames():
    model, maps = untrained(ps.Patches.from_array(CUBE, window_ndim=1))
    with pytest.raises(DataError, match="patches="):
        ps.explore(model, maps, np.ones((4, 5)))
    model, maps = untrained(ps.extract_patches(STACK, 8))
    with pytest.raises(DataError, match="of 3 frames, but the image has 1"):
        ps.explore(model, maps, STACK[0])

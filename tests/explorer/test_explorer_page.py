"""The saved page in a real browser: what is hovered over, selected, dragged, and read."""

import numpy as np
import pytest
from browser import Page, chromium
from explored import image, trained
from matplotlib.path import Path as Outline

import pyroshift as ps

# The image's edges: coordinates are of pixel centres.
HEIGHT, WIDTH = 30.0, 42.0


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model, _, maps = trained()
    path = tmp_path_factory.mktemp("explorer") / "maps.html"
    return ps.explore(model, maps, image()).save(path)


@pytest.fixture
def page(browser, saved):
    opened = Page(browser, saved)
    yield opened
    opened.close()


def shares():
    """Where on the image each window's centre is, as shares of its width and height."""
    maps = trained()[2]
    y, x = np.meshgrid(maps.y.values, maps.x.values, indexing="ij")
    return np.stack([(x + 0.25) / WIDTH, (y + 0.25) / HEIGHT], -1).reshape(-1, 2)


def greys(values, low, high):
    """Grey levels in which values are shown."""
    return np.clip(np.floor((values - low) / (high - low) * 256), 0, 255)


def windows(place):
    model, patches, maps = trained()
    at = np.unravel_index(place, maps.elbo.shape)
    return patches.to_xarray().values[at], ps.decode(model, maps).values[at]


@pytest.mark.parametrize("place", [0, 31, 112])
def test_hovering_shows_the_window_and_its_reconstruction(page, place):
    page.hover("height", *shares()[place])
    assert page.value("explorer.place") == place
    seen, made = windows(place)
    limits = page.value("explorer.window.limits")
    for label, values in (("window", seen), ("reconstruction", made)):
        shown = page.pixels(label, values.shape)
        # A reconstruction is kept in 255 levels of its own, and the screen has 256.
        np.testing.assert_allclose(shown[..., 0], greys(values, *limits), atol=2.1)
        assert (shown.max(-1) == shown.min(-1)).all()
    assert np.ptp(page.pixels("window", seen.shape)) > 100


def test_residuals_are_red_above_and_blue_below(page):
    page.hover("height", *shares()[40])
    seen, made = windows(40)
    shown, apart = page.pixels("residual", seen.shape), seen - made
    bound = page.value("explorer.window.signed[1]")
    clear = np.abs(apart) > 0.2 * bound
    assert clear.sum() > 10
    redder = shown[..., 0] > shown[..., 2]
    assert (redder == (apart > 0))[clear].all()


def test_numbers_of_a_place_are_those_of_its_maps(page):
    page.hover("map", *shares()[50])
    maps = trained()[2].stack(place=("y", "x")).isel(place=50)
    row = page.tab.locator("tr", has=page.tab.locator("th", has_text="offset x")).first
    mean, deviation = (float(maps[name].sel(axis="x")) for name in ("offset", "offset_std"))
    told = row.locator("td").first.inner_text().replace("\N{MINUS SIGN}", "-")
    assert told.endswith(" nm")
    numbers = [float(number) for number in told.removesuffix(" nm").split(" ± ")]
    np.testing.assert_allclose(numbers, [mean, deviation], rtol=0.1, atol=0.01)


def test_clicking_pins_a_place(page):
    first, second = shares()[[20, 60]]
    page.tab.mouse.click(*page.at("height", *first))
    page.hover("height", *second)
    assert page.value("explorer.place") == 20
    page.tab.mouse.click(*page.at("height", *first))
    page.hover("height", *second)
    assert page.value("explorer.place") == 60


TRIANGLE = [(0.12, 0.07), (0.93, 0.28), (0.41, 0.96), (0.12, 0.07)]


def test_a_lasso_selects_what_it_goes_round(page):
    page.drag("height", TRIANGLE)
    selected = np.array(page.value("Array.from(explorer.selected)"), bool)
    inside = Outline(TRIANGLE).contains_points(shares())
    assert 20 < inside.sum() < inside.size / 2
    np.testing.assert_array_equal(selected, inside)
    assert f"{inside.sum()} of {inside.size} places" in page.tab.locator(".toolbar").inner_text()
    page.tab.get_by_role("button", name="Clear").click()
    assert page.value("explorer.selectedCount") == 0


def test_a_rectangle_adds_with_shift(page):
    page.tab.locator('select[aria-label="shape that selects"]').select_option("rectangle")
    page.drag("map", [(0.05, 0.05), (0.3, 0.3)])
    page.tab.keyboard.down("Shift")
    page.drag("map", [(0.7, 0.7), (0.95, 0.95)])
    page.tab.keyboard.up("Shift")
    selected = np.array(page.value("Array.from(explorer.selected)"), bool)
    x, y = shares().T
    low, high = ((x > start) & (x < end) & (y > start) & (y < end)
                 for start, end in ((0.05, 0.3), (0.7, 0.95)))  # fmt: skip
    assert low.any()
    assert high.any()
    np.testing.assert_array_equal(selected, low | high)


def test_a_lasso_among_latents_shows_where_they_are(page):
    for axis, name in (("horizontal", "z0"), ("vertical", "elbo")):
        page.tab.locator(f'select[aria-label="{axis} axis"]').select_option(name)
    z, elbo = (trained()[2][name].values for name in ("z", "elbo"))
    x, y = z[..., 0].ravel(), elbo.ravel()
    before = page.colours("map", shares())
    # The mark that is drawn of a place says where values are; half of them are on the right.
    order = np.argsort(x)
    at = np.array(page.value("Array.from({length: explorer.places.count}, (_, i) =>"
                             " explorer.scatter.at(i))"))  # fmt: skip
    middle = at[order[x.size // 2 - 1 : x.size // 2 + 1], 0].mean()
    box = page.canvas("places by two").bounding_box()
    left, top = middle / box["width"], (at[:, 1].min() - 5) / box["height"]
    right, bottom = (at.max(0) + 5) / (box["width"], box["height"])
    page.drag("places by two", [(left, top), (right, top), (right, bottom), (left, bottom)])
    selected = np.array(page.value("Array.from(explorer.selected)"), bool)
    np.testing.assert_array_equal(selected, x >= np.sort(x)[x.size // 2])
    correlation = np.corrcoef(np.stack([at.T[0], x])), np.corrcoef(np.stack([-at.T[1], y]))
    assert min(matrix[0, 1] for matrix in correlation) > 0.999
    # On the map, just what is selected has changed its colour.
    changed = np.abs(page.colours("map", shares()) - before).max(-1) > 3
    seen = (shares()[:, 1] < 0.85) | (shares()[:, 0] > 0.35)  # not under the scale bar
    np.testing.assert_array_equal(changed[seen], selected[seen])


def test_dragging_in_the_plane_of_z_draws_the_models_motif(page):
    model = trained()[0]
    before = page.pixels("motif", model.window)
    page.drag("plane of z", [(0.5, 0.5), (0.9, 0.15)])
    z = page.value("explorer.motifs.z")
    assert z[0] > 1
    assert z[1] > 1  # upwards, as in `plot.manifold`
    limits = page.value("explorer.motifs.tiles.limits[0]")
    shown = page.pixels("motif", model.window)
    exact = greys(ps.decode(model, np.array([z])).values[0], *limits)
    # Interpolated between motifs of which the nearest is a fifth of a latent's width away.
    assert np.abs(shown[..., 0] - exact).mean() < 4
    assert np.abs(shown - before).mean() > 1


def test_all_is_reached_by_keys(page):
    reached = set()
    for _ in range(60):
        page.tab.keyboard.press("Tab")
        reached.add(page.value("document.activeElement.getAttribute('aria-label') || "
                               "document.activeElement.textContent"))  # fmt: skip
    for label in ("height: arrow", "map: arrow", "places by two", "plane of z", "map that is shown",
                  "colour map", "lowest value", "shape that selects", "Clear", "Copy"):  # fmt: skip
        assert any(each.startswith(label) for each in reached), (label, reached)
    page.canvas("height").focus()
    start = page.value("explorer.place")
    columns = trained()[2].sizes["x"]
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft"):
        page.tab.keyboard.press(key)
    assert page.value("explorer.place") == start + 2 * columns - 1
    page.tab.keyboard.press("Space")
    assert page.value("explorer.marked()") == [start + 2 * columns - 1]
    page.tab.keyboard.press("Enter")
    assert page.value("explorer.pinned")
    page.tab.keyboard.press("Escape")
    assert page.value("explorer.marked()") == []


def test_colours_and_limits_are_chosen(page):
    page.tab.locator('select[aria-label="map that is shown"]').select_option("offset_y")
    assert page.value("explorer.colours") == "RdBu_r"
    low = page.tab.locator('input[aria-label^="lowest"]')
    low.fill("-0.5")
    low.press("Enter")
    page.tab.locator('select[aria-label="colour map"]').select_option("magma")
    assert page.value("[explorer.colours, explorer.limits[0]]") == ["magma", -0.5]
    page.tab.get_by_role("button", name="Reset").click()
    bound = float(np.abs(trained()[2].offset.sel(axis="y")).max())
    assert -page.value("explorer.limits[0]") == pytest.approx(bound, rel=0.3)


@pytest.mark.parametrize("width", [1280, 800])
def test_it_fits_the_screen_and_can_be_read(browser, saved, width):
    page = Page(browser, saved, width)
    beyond = page.value(
        "Array.from(document.querySelectorAll('body *')).filter((each) => "
        "each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML)"
    )
    assert beyond == []
    assert page.value("document.documentElement.scrollWidth") <= width
    sizes = page.value(
        "Array.from(document.querySelectorAll('#explorer *')).filter((each) => each.offsetWidth "
        "&& each.textContent.trim()).map((each) => parseFloat(getComputedStyle(each).fontSize))"
    )
    assert min(sizes) >= 12
    smallest = page.value("Math.min(...explorer.window.surfaces.map((each) => each.width))")
    assert smallest > 100
    page.close()

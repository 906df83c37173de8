"""Channels, gaps, phases and classes in the figures."""

from functools import cache

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

import pyroshift as ps
from pyroshift import plot
from pyroshift.errors import DataError
from pyroshift.plot.style import LINE_COLOURS

LIKELIHOODS = {"height": "gaussian", "phase": "von_mises"}
KINDS = ("cross", "ring", "spots")


def an_image(frames=()):
    """Heights in metres and phases in degrees, with a gap."""
    rng = np.random.default_rng(0)
    values = np.stack([1e-9 * rng.random((*frames, 32, 40)), 360 * rng.random((*frames, 32, 40))])
    values[..., :9, 30:] = np.nan
    coords = {"channel": list(LIKELIHOODS), "channel_units": ("channel", ["m", "deg"])}
    dims = ("channel", *["frame"] * len(frames), "y", "x")
    return xr.DataArray(values, coords, dims)


def cut(normalize=None):
    with pytest.warns(UserWarning, match="windows are left out"):
        return ps.extract_patches(an_image(), 12, 4, normalize)


@cache
def trained():
    """A model of channels and classes after a step, its patches and their maps."""
    patches = cut()
    options = {"likelihood": LIKELIHOODS, "classes": 3, "guide": "normal"}
    model = ps.ShiftVAE(patches.window, 2, **options)
    ps.fit(model, patches, epochs=1, progress=False)
    maps = ps.encode(model, patches).drop_vars("collapsed")
    return model, patches, maps.assign_coords(kind=list(KINDS))


def panels(figure):
    return {ax.get_title(): ax for ax in figure.axes if ax.get_title()}


def picture(ax):
    return ax.images[-1]


# Channels


@pytest.mark.parametrize("frames", [(), (3,)])
def test_an_image_has_a_panel_for_each_channel(frames):
    figure = plot.image(an_image(frames), frame=0)
    shown = panels(figure)
    assert list(shown) == ["height", "phase"]
    expected = an_image(frames).isel(frame=0) if frames else an_image()
    for name, ax in shown.items():
        np.testing.assert_array_equal(
            np.ma.filled(picture(ax).get_array(), np.nan), expected.sel(channel=name)
        )
    assert picture(shown["height"]).get_clim()[1] < 1e-8
    assert picture(shown["phase"]).get_clim()[1] > 100
    assert [picture(ax).colorbar.ax.get_ylabel() for ax in shown.values()] == ["", "deg"]
    figure.draw_without_rendering()


def test_a_channel_alone_is_an_image():
    figure = plot.image(an_image().sel(channel="phase"))
    assert list(panels(figure)) == ["phase"]
    with pytest.raises(DataError, match=r"channels \['height', 'phase'\].*sel\(channel='height'"):
        plot.image(an_image(), Figure().subplots())


def test_maps_come_after_all_channels():
    _, _, maps = trained()
    shown = panels(plot.maps(maps, an_image(), ["z0"]))
    assert list(shown) == ["height", "phase", "$z_{0}$"]
    assert picture(shown["height"]).get_cmap().name == "gray"
    # As the model takes it.
    assert picture(shown["phase"]).get_cmap().name == "twilight"
    assert picture(shown["phase"]).get_clim() == (0, 360)
    assert plot.latent_map(maps, "z0", image=an_image()).axes[0].images


def test_channels_without_names_or_units_are_numbered():
    bare = xr.DataArray(an_image().values, dims=("channel", "y", "x"))
    assert list(panels(plot.image(bare))) == ["0", "1"]


def test_atoms_are_drawn_over_the_first_channel():
    patches = ps.extract_patches(an_image(), 12, positions=[[20, 20], [20, 10]])
    maps = ps.encode(ps.VAE(12, channels=patches.channels), patches)
    ax = plot.latent_map(maps, "elbo", image=an_image()).axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), an_image()[0])


def rows_of(figure, count):
    """The panels with pictures by row, of so many each."""
    drawn = [ax for ax in figure.axes if ax.images]
    return [drawn[start : start + count] for start in range(0, len(drawn), count)]


def test_reconstructions_of_channels_have_colours_of_their_own():
    model, patches, _ = trained()
    figure = plot.reconstructions(model, patches, n=5)
    figure.draw_without_rendering()
    rows = rows_of(figure, 5)
    assert len(rows) == 6
    assert [ax.get_title(loc="left") for row in rows for ax in row[:1]] == [
        "height", "", "", "phase", "", "",
    ]  # fmt: skip
    limits = [{picture(ax).get_clim() for ax in row} for row in rows]
    assert all(len(each) == 1 for each in limits)
    assert limits[0] == limits[1] != limits[3] == limits[4] == {(0, 360)}
    names = [picture(row[0]).get_cmap().name for row in rows]
    assert names == ["gray", "gray", "RdBu_r", "twilight", "twilight", "RdBu_r"]


def test_phases_differ_by_half_a_period_at_most():
    model, patches, _ = trained()
    figure = plot.reconstructions(model, patches, n=len(patches))
    values = np.concatenate([picture(ax).get_array() for ax in rows_of(figure, len(patches))[5]])
    assert 150 < np.nanmax(np.abs(values)) <= 180


def test_stretched_values_have_no_unit():
    patches = cut("patch")
    model = ps.VAE(12, channels=patches.channels)
    bars = [ax.get_ylabel() for ax in plot.reconstructions(model, patches).axes if not ax.images]
    assert set(bars) == {""}


def test_signals_of_channels_are_told_apart():
    cube = an_image()[:, 10:].rename(x="energy")
    patches = ps.Patches.from_array(cube, 1)
    model = ps.VAE(patches.window, channels=patches.channels, guide="normal")
    figure = plot.reconstructions(model, patches, n=3)
    labels = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert labels == ["height", "residual", "phase (deg)", "residual"]
    figure.draw_without_rendering()
    assert list(panels(plot.manifold(model))) == ["height", "phase"]


# Gaps


def test_gaps_are_unlike_any_grey():
    figure = plot.image(an_image().sel(channel="height"))
    shown = picture(figure.axes[0])
    assert shown.get_array().mask.sum() == 9 * 10
    red, green, blue, opacity = shown.get_cmap().get_bad()
    assert red < green < blue
    assert opacity == 1


def test_an_image_of_gaps_only_is_drawn():
    plot.image(an_image() * np.nan).draw_without_rendering()


def test_collapsed_maps_show_their_gaps():
    values = np.random.default_rng(0).random((3, 4, 1))
    values[1, 1] = np.nan
    maps = xr.Dataset({"z": (("y", "x", "latent"), values)}, {"collapsed": ("latent", [True])})
    shown = picture(plot.latent_map(maps, "z0").axes[0])
    assert shown.get_array().mask.sum() == 1
    assert shown.get_cmap().get_bad()[3] == 1


# Classes


def test_classes_have_colours_and_a_legend():
    _, _, maps = trained()
    shown = panels(plot.maps(maps))
    assert "class" in shown
    assert not [name for name in shown if name in KINDS]
    drawn = picture(shown["class"])
    np.testing.assert_array_equal(np.ma.filled(drawn.get_array(), np.nan), maps["class"])
    colours = [tuple(drawn.cmap(drawn.norm(number))) for number in range(3)]
    assert colours == [to_rgba(colour) for colour in LINE_COLOURS[:3]]
    ticks = drawn.colorbar.ax.get_yticklabels()
    assert [tick.get_text() for tick in ticks] == list(KINDS)


def test_classes_are_the_paler_the_less_sure():
    _, _, maps = trained()
    drawn = picture(plot.latent_map(maps, "class").axes[0])
    sure = maps.class_probability.max("kind").fillna(1)
    np.testing.assert_allclose(drawn.get_alpha(), sure.clip(max=1))


def test_probabilities_of_classes_are_shown_on_request():
    _, _, maps = trained()
    shown = panels(plot.maps(maps, variables=["class_probability"]))
    assert list(shown) == list(KINDS)
    assert {picture(ax).get_clim() for ax in shown.values()} == {(0, 1)}
    assert set(KINDS) <= set(panels(plot.maps(maps, std=True)))
    numbered = maps.assign_coords(kind=range(3))
    assert list(panels(plot.latent_map(numbered, "class_probability_2"))) == ["class 2"]


def test_mirror_images_are_kinds_too():
    patches = ps.Patches.from_array(
        np.random.default_rng(0).random((4, 5, 8, 8)), 2, ("y", "x", "a", "b")
    )
    maps = ps.encode(ps.ShiftVAE(8, flips=True, guide="normal"), patches)
    shown = panels(plot.maps(maps))
    assert "flip" in shown
    assert "flip probability" not in shown
    drawn = picture(shown["flip"])
    ticks = drawn.colorbar.ax.get_yticklabels()
    assert [tick.get_text() for tick in ticks] == ["as drawn", "mirrored"]
    assert (drawn.get_alpha() >= 0.5).all()
    asked = plot.maps(maps, variables=["flip_probability"]).axes[0]
    assert picture(asked).get_clim() == (0, 1)


def test_many_classes_have_colours_of_their_own():
    values = np.arange(12.0).reshape(3, 4)
    maps = xr.Dataset({"class": (("y", "x"), values)}, {"kind": np.arange(12)})
    drawn = picture(plot.latent_map(maps, "class").axes[0])
    assert len({tuple(drawn.cmap(drawn.norm(value))) for value in values.flat}) == 12


def test_classes_of_a_list_and_of_points():
    kinds = {"class": ("patch", [0.0, 2.0, np.nan])}
    ax = plot.maps(xr.Dataset(kinds, {"kind": list(KINDS)})).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(KINDS)
    ax = plot.scatter(trained()[2], color="class").axes[0]
    ticks = ax.collections[0].colorbar.ax.get_yticklabels()
    assert [tick.get_text() for tick in ticks] == list(KINDS)
    places = {"y": ("atom", [1.0, 2.0]), "x": ("atom", [1.0, 3.0]), "kind": list(KINDS)}
    atoms = xr.Dataset(
        {
            "class": ("atom", [1.0, np.nan]),
            "class_probability": (("atom", "kind"), [[0.1, 0.8, 0.1], [np.nan] * 3]),
        },
        places,
    )
    plot.latent_map(atoms, "class").draw_without_rendering()


def test_classes_of_the_model_have_a_picture_of_their_own():
    _, patches, maps = trained()
    ax = plot.classes(maps, an_image()).axes[0]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    counts = [int((maps["class"] == number).sum()) for number in range(3)]
    assert texts == [f"{name} ({count})" for name, count in zip(KINDS, counts, strict=True)]
    found = maps.drop_dims("kind").drop_vars("class")
    found = found.assign(class_index=maps["class"].fillna(-1).astype(int))
    means = ps.class_patches(found, patches)
    figure = plot.class_patches(means)
    assert [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()] == ["height", "phase"]
    assert len(plot.class_patches(means.isel(channel=0)).axes) == len(means["class"])


# The manifold


def test_manifold_has_a_panel_for_each_class_and_channel():
    model, _, maps = trained()
    names = list(panels(plot.manifold(ps.manifold(model, size=3))))
    assert names == [f"class {k}, {channel}" for k in range(3) for channel in LIKELIHOODS]
    figure = plot.manifold(model, maps=maps)
    named = panels(figure)
    shares = [(maps["class"] == number).sum() / maps["class"].count() for number in range(3)]
    assert list(named)[::2] == [
        f"{kind} ({float(share):.0%} of the windows), height"
        for kind, share in zip(KINDS, shares, strict=True)
    ]
    figure.draw_without_rendering()
    by_channel = [{picture(ax).get_clim() for ax in list(named.values())[n::2]} for n in (0, 1)]
    assert [len(limits) for limits in by_channel] == [1, 1]
    assert by_channel[0] != by_channel[1]


def test_manifold_pales_classes_that_no_window_is_of():
    model, _, maps = trained()
    never = maps.assign({"class": xr.where(maps["class"].notnull(), 0.0, np.nan)})
    shown = list(panels(plot.manifold(model, maps=never)).values())
    assert picture(shown[0]).get_alpha() is None
    assert picture(shown[2]).get_alpha().max() == 0.25


@pytest.mark.parametrize(
    ("options", "dim"), [({"channels": 2}, "channel"), ({"classes": 2}, "kind")]
)
@pytest.mark.parametrize("latent_dim", [1, 2])
def test_axes_are_for_one_channel_or_class(options, dim, latent_dim):
    table = ps.manifold(ps.VAE(8, latent_dim, **options), size=3)
    with pytest.raises(DataError, match=rf"of one {dim}, but there are 2.*isel\({dim}=0\)"):
        plot.manifold(table, Figure().subplots())
    assert plot.manifold(table.isel({dim: 0}), Figure().subplots()).axes
    assert len(panels(plot.manifold(table))) == 2

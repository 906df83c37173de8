"""Figures are checked by what they hold: panels, extents, colours, labels, scale bars."""

import gc
import math
import weakref

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

import pyroshift
from pyroshift import plot
from pyroshift.errors import DataError
from pyroshift.plot.colours import robust_limits, symmetric_limits
from pyroshift.plot.geometry import extent, nice_length
from pyroshift.plot.units import with_unit

mpl.use("agg")

WINDOW, STEP, PIXEL = 16, 4, 0.05
POSITIONS = np.array([[10.0, 10.0], [10.0, 20.0], [20.0, 12.0], [28.0, 30.0]])


def encode(model, patches):
    """Maps as of a model that is trained, whose latents haven't collapsed."""
    return pyroshift.encode(model, patches).drop_vars("collapsed", errors="ignore")


@pytest.fixture(scope="module")
def image():
    values = np.random.default_rng(0).random((40, 48))
    coords = {
        name: (name, PIXEL * np.arange(size), {"units": "nm"})
        for name, size in zip("yx", values.shape, strict=True)
    }
    return xr.DataArray(values, coords, ("y", "x"), attrs={"long_name": "height", "units": "pm"})


@pytest.fixture(scope="module")
def patches(image):
    return pyroshift.extract_patches(image, WINDOW, STEP)


@pytest.fixture(scope="module")
def grid(patches):
    return encode(pyroshift.ShiftVAE((WINDOW, WINDOW), guide="normal"), patches)


@pytest.fixture(scope="module")
def atoms(image):
    patches = pyroshift.extract_patches(image, WINDOW, positions=POSITIONS)
    return encode(pyroshift.RVAE((WINDOW, WINDOW), offsets=True, guide="normal"), patches)


@pytest.fixture(scope="module")
def signals():
    return pyroshift.Patches.from_array(np.random.default_rng(0).random((30, 20)))


@pytest.fixture(scope="module")
def plain(signals):
    return encode(pyroshift.ShiftVAE((20,), latent_dim=1, guide="normal"), signals)


@pytest.fixture(autouse=True)
def _nothing_left_in_pyplot():
    """No function may leave a figure open in pyplot."""
    plt.close("all")
    yield
    assert plt.get_fignums() == []


def panels(figure: Figure) -> dict:
    """The figure's Axes by title, without the colour bars."""
    return {ax.get_title(): ax for ax in figure.axes if ax.get_title()}


def mappable(ax):
    """What an Axes shows in colours."""
    return (ax.collections or ax.images)[-1]


def bar_label(ax) -> str:
    return mappable(ax).colorbar.ax.get_ylabel().replace("\n", " ")


def scale_bars(ax) -> list:
    return [artist for artist in ax.get_children() if isinstance(artist, AnchoredSizeBar)]


def grid_dataset(shape=(3, 4), values=None, units="nm", **variables):
    """A Dataset as from `encode`, made up."""
    values = np.arange(math.prod(shape), dtype=float).reshape(shape) if values is None else values
    coords = {
        "y": ("y", 1.0 + 0.5 * np.arange(shape[0]), {"units": units}),
        "x": ("x", 2.0 + 0.5 * np.arange(shape[1]), {"units": units}),
    }
    data = {"z": (("y", "x", "latent"), np.stack([values, -values], -1))}
    return xr.Dataset(
        data | {name: (("y", "x"), value) for name, value in variables.items()}, coords
    )


# maps


def test_maps_show_the_image_and_every_map(grid, image):
    titles = ["image", "$z_{0}$", "$z_{1}$", "offset y", "offset x", "ELBO"]
    assert list(panels(plot.maps(grid, image))) == titles
    assert list(panels(plot.maps(grid))) == titles[1:]


def test_maps_of_a_search_show_the_best_mode_and_how_sure_it_is(patches):
    found = pyroshift.encode(pyroshift.ShiftVAE((WINDOW, WINDOW), guide="anchor"), patches)
    titles = [ax.get_title() for ax in plot.maps(found).axes]
    assert not [title for title in titles if "mode" in title]
    assert len([title for title in titles if "entropy" in title]) == 1
    history = pyroshift.fit(
        pyroshift.ShiftVAE((WINDOW, WINDOW), guide="anchor"), patches, epochs=2, progress=False
    )
    plot.history(history)


def test_maps_show_deviations_on_request(grid):
    found = list(panels(plot.maps(grid, std=True)))
    assert found[5:] == ["$z_{0}$, std", "$z_{1}$, std", "offset y, std", "offset x, std"]


def test_maps_take_components_and_whole_variables(grid):
    assert list(panels(plot.maps(grid, variables=["offset_x"]))) == ["offset x"]
    assert list(panels(plot.maps(grid, variables=["z"]))) == ["$z_{0}$", "$z_{1}$"]
    assert list(panels(plot.maps(grid, variables=["z0"], std=True))) == ["$z_{0}$", "$z_{0}$, std"]
    assert list(panels(plot.maps(grid, variables="elbo"))) == ["ELBO"]


def test_maps_show_variables_that_the_user_added(grid):
    added = grid.assign(cluster_label=grid["elbo"] > grid["elbo"].mean())
    assert "cluster label" in panels(plot.maps(added))
    turned = plot.latent_map(grid.assign(turned=grid["elbo"].T), "turned").axes[0]
    np.testing.assert_array_equal(turned.images[0].get_array(), grid["elbo"])


def test_extent_is_that_of_the_coordinates(grid):
    left, right, bottom, top = plot.latent_map(grid, "z0").axes[0].images[0].get_extent()
    half = STEP * PIXEL / 2
    assert left == pytest.approx(grid["x"][0] - half)
    assert right == pytest.approx(grid["x"][-1] + half)
    assert top == pytest.approx(grid["y"][0] - half)
    assert bottom == pytest.approx(grid["y"][-1] + half)


def test_row_zero_is_on_top(grid, atoms, image):
    for ax in (
        plot.image(image).axes[0],
        plot.latent_map(grid, "z0").axes[0],
        plot.latent_map(atoms, "z0").axes[0],
    ):
        bottom, top = ax.get_ylim()
        assert bottom > top
    np.testing.assert_array_equal(
        plot.latent_map(grid, "z0").axes[0].images[0].get_array(), grid["z"].isel(latent=0)
    )


def test_maps_share_the_field_of_view_of_the_image(grid, image):
    shown = panels(plot.maps(grid, image))
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in shown.values()}
    assert len(limits) == 1
    assert shown["$z_{0}$"].get_xlim() == pytest.approx((-PIXEL / 2, 47.5 * PIXEL))


def test_offsets_diverge_from_zero(grid):
    pixels = plot.latent_map(grid, "offset_y").axes[0].images[0]
    low, high = pixels.get_clim()
    assert low == -high
    assert pixels.get_cmap().name == "RdBu_r"


def test_angles_go_round_the_circle(atoms):
    points = mappable(plot.latent_map(atoms, "angle").axes[0])
    assert points.get_clim() == (-math.pi, math.pi)
    assert points.get_cmap().name == "twilight"
    assert [text.get_text() for text in points.colorbar.ax.get_yticklabels()][2] == "0"


def test_limits_can_be_given(atoms, grid):
    assert mappable(plot.latent_map(atoms, "angle", limits=(-0.1, 0.1)).axes[0]).get_clim() == (
        -0.1,
        0.1,
    )
    shown = panels(plot.maps(grid, limits={"z1": (-3, 3)}))
    assert mappable(shown["$z_{1}$"]).get_clim() == (-3, 3)


def test_colour_bars_have_names_and_units(grid, atoms):
    assert (
        bar_label(plot.latent_map(grid, "offset_y").axes[0])
        == "position of the motif in the window (nm)"
    )
    assert bar_label(plot.latent_map(grid, "z0").axes[0]) == "conventional latent"
    assert (
        bar_label(plot.latent_map(grid, "offset_y_std").axes[0])
        == "posterior standard deviation (nm)"
    )
    assert bar_label(plot.latent_map(atoms, "angle").axes[0]).endswith("(rad)")
    assert bar_label(plot.latent_map(grid, "elbo").axes[0]).endswith("(nat)")


def test_outliers_do_not_wash_out_a_map():
    values = np.random.default_rng(0).random((40, 40))
    values[3, 3] = 1e4
    pixels = plot.latent_map(grid_dataset((40, 40), values), "z0").axes[0].images[0]
    assert pixels.get_clim()[1] < 2
    assert pixels.colorbar.extend == "max"


def test_limits_without_outliers_are_the_range():
    assert robust_limits(np.linspace(2.0, 5.0, 50)) == (2.0, 5.0)
    assert robust_limits([np.nan, np.inf]) == (0.0, 1.0)
    assert symmetric_limits(np.zeros(5)) == (-1.0, 1.0)
    low, high = robust_limits(np.full(5, 3.0))
    assert low < 3.0 < high


@pytest.mark.parametrize(
    ("shape", "fill"),
    [((3, 4), fill) for fill in (np.nan, 0.0, -1e-20, 7.0, 1e30)]
    + [((1, 4), 0.0), ((3, 1), np.nan), ((1, 1), 7.0)],
)
def test_constant_missing_and_thin_maps_are_drawn(shape, fill):
    values = np.full(shape, fill)
    dataset = grid_dataset(shape, values, offset_y=values, angle=values, elbo=values)
    figure = plot.maps(dataset)
    figure.draw_without_rendering()
    assert len(panels(figure)) == 5


def test_partly_missing_map_is_grey_where_missing():
    values = np.arange(12.0).reshape(3, 4)
    values[1, 1] = np.nan
    pixels = plot.latent_map(grid_dataset(values=values), "z0").axes[0].images[0]
    assert pixels.get_array().mask.sum() == 1
    assert tuple(pixels.get_cmap().get_bad()) == pytest.approx((0.88, 0.88, 0.88, 1.0))


# Other layouts


def test_atoms_are_points_over_the_image(atoms, image):
    ax = plot.latent_map(atoms, "elbo", image=image).axes[0]
    points = mappable(ax)
    np.testing.assert_allclose(points.get_offsets()[:, 0], atoms["x"])
    np.testing.assert_allclose(points.get_offsets()[:, 1], atoms["y"])
    np.testing.assert_allclose(points.get_array(), atoms["elbo"])
    assert ax.images[0].get_extent() == pytest.approx(extent(image))
    assert ax.get_aspect() == 1.0


def test_one_atom_is_drawn(atoms):
    plot.maps(atoms.isel(atom=[0])).draw_without_rendering()


def test_frames_of_a_grid(image):
    stack = xr.concat([image, image[::-1].assign_coords(y=image["y"])], "frame")
    patches = pyroshift.extract_patches(stack, WINDOW, 8)
    dataset = pyroshift.encode(pyroshift.ShiftVAE((WINDOW, WINDOW), guide="normal"), patches)
    for frame in (0, 1):
        shown = panels(plot.maps(dataset, stack, frame=frame))
        np.testing.assert_array_equal(
            mappable(shown["ELBO"]).get_array(), dataset["elbo"].isel(frame=frame)
        )
        np.testing.assert_array_equal(mappable(shown["image"]).get_array(), stack[frame])
    with pytest.raises(DataError, match="no frame 2"):
        plot.maps(dataset, frame=2)
    with pytest.raises(DataError, match="no frame 5"):
        plot.image(stack, frame=5)


def test_frames_of_atoms(atoms):
    frames = atoms.assign_coords(frame=("atom", [0, 0, 2, 2]))
    assert len(mappable(plot.latent_map(frames, "z0", frame=2).axes[0]).get_offsets()) == 2
    with pytest.raises(DataError, match=r"choose one of \[0, 2\]"):
        plot.latent_map(frames, "z0", frame=1)


def test_spectra_on_a_grid():
    cube = xr.DataArray(
        np.random.default_rng(0).random((4, 5, 20)),
        {
            "y": ("y", np.arange(4) * 2.0, {"units": "um"}),
            "x": ("x", np.arange(5) * 2.0, {"units": "um"}),
        },
        ("y", "x", "energy"),
    )
    patches = pyroshift.Patches.from_array(cube, window_ndim=1)
    dataset = encode(pyroshift.ShiftVAE((20,), latent_dim=1, guide="normal"), patches)
    shown = panels(plot.maps(dataset))
    assert list(shown) == ["$z_{0}$", "offset energy", "ELBO"]
    assert shown["$z_{0}$"].images[0].get_extent() == [-1.0, 9.0, 7.0, -1.0]
    assert scale_bars(shown["$z_{0}$"])


def test_plain_lists_are_graphs(plain):
    shown = panels(plot.maps(plain))
    assert list(shown) == ["$z_{0}$", "offset x", "ELBO"]
    drawn = mappable(shown["$z_{0}$"]).get_offsets()
    np.testing.assert_allclose(drawn[:, 0], np.arange(30))
    np.testing.assert_allclose(drawn[:, 1], plain["z"].values[:, 0])
    assert shown["ELBO"].get_xlabel() == "patch"
    assert "nat" in shown["ELBO"].get_ylabel()


def test_different_units_along_the_axes_get_ticks_instead_of_a_scale_bar():
    dataset = grid_dataset()
    dataset["x"].attrs["units"] = "V"
    ax = plot.latent_map(dataset, "z0").axes[0]
    assert not scale_bars(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (V)", "y (nm)")
    assert ax.get_aspect() == "auto"


def test_uneven_coordinates_are_drawn_by_index():
    dataset = grid_dataset().assign_coords(x=[0.0, 1.0, 5.0, 7.0], y=["a", "b", "c"])
    assert plot.latent_map(dataset, "z0").axes[0].images[0].get_extent() == [-0.5, 3.5, 2.5, -0.5]


# Scale bars


@pytest.mark.parametrize("shape", [(400, 20), (20, 400), (1, 50)])
def test_long_images_have_panels_of_their_shape(shape):
    ax = plot.image(np.zeros(shape)).axes[0]
    width, height = ax.get_figure().get_size_inches()
    assert 0.2 < height / width < 5
    ax.get_figure().draw_without_rendering()


@pytest.mark.parametrize(
    ("width", "length"), [(256, 50), (12.8, 2), (10, 2), (1.0, 0.2), (3e-8, 5e-9), (7, 2)]
)
def test_scale_bars_are_round_and_about_a_quarter(width, length):
    assert nice_length(width) == pytest.approx(length)


def test_scale_bar_is_as_long_as_it_says(image):
    ax = plot.image(image).axes[0]
    (bar,) = scale_bars(ax)
    assert bar.txt_label.get_text() == "0.5 nm"
    (line,) = bar.size_bar.get_children()
    assert line.get_width() == pytest.approx(0.5)
    assert list(ax.get_xticks()) == []


def test_scale_bar_stands_once_in_a_figure(grid, image):
    assert sum(len(scale_bars(ax)) for ax in plot.maps(grid, image).axes) == 1
    assert sum(len(scale_bars(ax)) for ax in plot.maps(grid).axes) == 1


def test_metres_are_read_with_a_prefix():
    assert with_unit(2e-6, "m") == "2 µm"
    dataset = grid_dataset(units="m")
    dataset = dataset.assign_coords(
        y=dataset["y"] * 1e-9, x=("x", dataset["x"].values * 1e-9, {"units": "m"})
    )
    dataset["y"].attrs["units"] = "m"
    (bar,) = scale_bars(plot.latent_map(dataset, "z0").axes[0])
    assert bar.txt_label.get_text() == "500 pm"


def test_image_without_units_counts_pixels():
    (bar,) = scale_bars(plot.image(np.zeros((100, 100))).axes[0])
    assert bar.txt_label.get_text() == "20 px"


# scatter


def test_scatter_shows_every_patch(grid):
    ax = plot.scatter(grid).axes[0]
    points = mappable(ax)
    np.testing.assert_allclose(points.get_offsets(), grid["z"].values.reshape(-1, 2))
    np.testing.assert_allclose(points.get_array(), grid["elbo"].values.ravel())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_{0}$", "$z_{1}$")


@pytest.mark.parametrize("color", ["z0", "offset_y", "angle", "x", "y", "frame", "elbo"])
def test_scatter_takes_variables_and_coordinates(atoms, color):
    values = mappable(plot.scatter(atoms, "offset_x", "z1", color=color).axes[0]).get_array()
    assert len(values) == len(POSITIONS)


def test_scatter_spreads_coordinates_over_the_grid(grid):
    values = mappable(plot.scatter(grid, color="x").axes[0]).get_array().reshape(grid["elbo"].shape)
    np.testing.assert_allclose(values, np.broadcast_to(grid["x"], values.shape))


def test_scatter_takes_arrays(grid):
    colour = np.arange(grid["elbo"].size)
    np.testing.assert_array_equal(
        mappable(plot.scatter(grid, color=colour).axes[0]).get_array(), colour
    )
    named = grid["elbo"].rename("mine").T.assign_attrs(long_name="mine", units="eV")
    ax = plot.scatter(grid, color=named).axes[0]
    np.testing.assert_array_equal(mappable(ax).get_array(), grid["elbo"].values.ravel())
    assert bar_label(ax) == "mine (eV)"
    with pytest.raises(DataError, match="one number for each"):
        plot.scatter(grid, color=np.arange(3))


def test_scatter_of_one_latent_takes_the_offset(plain):
    ax = plot.scatter(plain).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_{0}$", "offset x (px)")


def test_scatter_leaves_out_missing_patches():
    values = np.arange(12.0).reshape(3, 4)
    values[1] = np.nan
    dataset = grid_dataset(values=values, elbo=values)
    plot.scatter(dataset).axes[0].get_figure().draw_without_rendering()
    plot.scatter(dataset * np.nan).axes[0].get_figure().draw_without_rendering()


def test_scatter_of_many_points_is_finer(grid):
    many = grid_dataset((200, 200), elbo=np.zeros((200, 200)))
    few, more = mappable(plot.scatter(grid).axes[0]), mappable(plot.scatter(many).axes[0])
    assert more.get_sizes()[0] < few.get_sizes()[0]
    assert more.get_alpha() < few.get_alpha()
    assert more.get_rasterized()


# manifold


def test_manifold_tiles_images_with_the_second_latent_upwards():
    array = pyroshift.manifold(pyroshift.VAE((12, 16)), size=5)
    ax = plot.manifold(array).axes[0]
    picture = ax.images[0].get_array()
    assert picture.shape == (5 * 13 - 1, 5 * 17 - 1)
    np.testing.assert_allclose(picture[:12, :16], array[0, 4], rtol=1e-6)
    np.testing.assert_allclose(picture[-12:, -16:], array[4, 0], rtol=1e-6)
    assert ax.get_xlim() == pytest.approx((-2.5, 2.5))
    assert ax.get_ylim() == pytest.approx((-2.5, 2.5))
    assert ax.get_aspect() == pytest.approx(12 / 16)


def test_manifold_names_the_latents_varied():
    model = pyroshift.VAE((12, 12), latent_dim=3)
    ax = plot.manifold(pyroshift.manifold(model, size=3, latents=(2, 0))).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_{2}$", "$z_{0}$")


def test_manifold_of_signals_is_small_graphs():
    ax = plot.manifold(pyroshift.manifold(pyroshift.VAE((20,)), size=4)).axes[0]
    lines = ax.collections[0].get_segments()
    assert len(lines) == 16
    assert all(len(line) == 20 for line in lines)


@pytest.mark.parametrize("window", [(12, 12), (20,)])
def test_manifold_of_one_latent_is_a_row(window):
    ax = plot.manifold(pyroshift.manifold(pyroshift.VAE(window, latent_dim=1), size=6)).axes[0]
    assert ax.get_ylabel() == ""
    assert list(ax.get_yticks()) == []
    ax.get_figure().draw_without_rendering()


def test_manifold_with_one_value_of_the_second_latent():
    array = pyroshift.manifold(pyroshift.VAE((12, 12)), size=3)
    assert plot.manifold(array.isel(z1=[1])).axes[0].get_ylim() == (-0.5, 0.5)


# reconstructions


def test_reconstructions_of_images(patches):
    model = pyroshift.ShiftVAE((WINDOW, WINDOW), guide="normal")
    data = patches.to_xarray()
    decoded = pyroshift.decode(model, pyroshift.encode(model, patches))
    figure = plot.reconstructions(data, decoded, n=5)
    shown = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(shown) == 15
    np.testing.assert_allclose(shown[10], shown[0] - shown[5])
    low, high = figure.axes[10].images[0].get_clim()
    assert low == -high
    assert figure.axes[0].images[0].get_clim() == figure.axes[5].images[0].get_clim()


def test_reconstructions_of_signals(signals):
    model = pyroshift.ShiftVAE((20,))
    decoded = pyroshift.decode(model, pyroshift.encode(model, signals))
    figure = plot.reconstructions(signals.to_xarray(), decoded, n=3)
    assert len(figure.axes) == 6
    data, made = (line.get_ydata() for line in figure.axes[0].lines)
    np.testing.assert_allclose(figure.axes[1].lines[1].get_ydata(), data - made)
    figure.draw_without_rendering()


def test_reconstructions_show_gaps_but_no_patch_that_is_one():
    values = np.random.default_rng(0).random((4, 8, 8))
    decoded = xr.DataArray(values, dims=("patch", "window_y", "window_x"))
    data = decoded.copy()
    data[1, 3, 4:], data[2] = np.nan, np.nan
    figure = plot.reconstructions(data, decoded)
    seen, made, residual = np.reshape([ax for ax in figure.axes if ax.images], (3, 3))
    assert [ax.images[0].get_array().mask.sum() for ax in seen] == [0, 4, 0]
    assert [ax.images[0].get_array().mask.sum() for ax in residual] == [0, 4, 0]
    assert not any(ax.images[0].get_array().mask.any() for ax in made)
    figure.draw_without_rendering()
    with pytest.raises(DataError, match="no patch"):
        plot.reconstructions(data * np.nan, decoded)


def test_reconstructions_differ_by_seed_only():
    values = np.random.default_rng(0).random((50, 8, 8))
    decoded = xr.DataArray(values, dims=("patch", "window_y", "window_x"))
    first, again, other = (
        plot.reconstructions(decoded, decoded, n=2, seed=seed).axes[0].images[0].get_array()
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_reconstructions_of_what_does_not_fit():
    decoded = xr.DataArray(np.zeros((4, 8)), dims=("patch", "window_x"))
    with pytest.raises(DataError, match="differ"):
        plot.reconstructions(decoded[:3], decoded)
    with pytest.raises(DataError, match="window_x"):
        plot.reconstructions(decoded, decoded.rename(window_x="x"))
    with pytest.raises(DataError, match="at least 1"):
        plot.reconstructions(decoded, decoded, n=0)


# history


def made_up_history(epochs, validation=True):
    decay = np.exp(-np.arange(epochs) / 10)
    per_site = np.stack([decay, 2 * decay], -1)
    return xr.Dataset(
        {
            "loss": ("epoch", decay),
            "log_likelihood": ("epoch", -decay),
            "validation_loss": ("epoch", decay if validation else np.full(epochs, np.nan)),
            "learning_rate": ("epoch", np.full(epochs, 1e-3)),
            "kl": (("epoch", "site"), per_site),
            "kl_scale": (("epoch", "site"), np.ones_like(per_site)),
        },
        {"epoch": np.arange(1, epochs + 1), "site": ["offset", "z"]},
    )


@pytest.mark.parametrize("epochs", [0, 1, 2, 1000])
@pytest.mark.parametrize("validation", [True, False])
def test_history_of_any_length(epochs, validation):
    figure = plot.history(made_up_history(epochs, validation))
    figure.draw_without_rendering()
    shown = panels(figure)
    assert list(shown) == [
        "loss", "log likelihood", "KL divergence", "KL weight", "learning rate",
    ]  # fmt: skip
    assert len(shown["loss"].lines) == 1 + (validation and epochs > 0)
    assert len(shown["KL divergence"].lines) == 2
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["offset", "z"]
    assert shown["learning rate"].get_ylim()[0] == 0


def test_history_from_fit(patches):
    model = pyroshift.ShiftVAE((WINDOW, WINDOW), guide="normal")
    dataset = pyroshift.fit(model, patches, epochs=1, progress=False)
    ticks = panels(plot.history(dataset))["loss"].get_xticks()
    assert list(ticks[(ticks > 0.5) & (ticks < 1.5)]) == [1]


# What all share


@pytest.fixture(scope="module")
def found(image):
    options = {"epochs": 1, "workers": 1, "progress": False}
    weights = {"initial": [0.1, 1.0, 10.0], "final": [0.3, 3.0]}
    return pyroshift.search_kl(image, 12, 4, **weights, **options).drop_vars("collapsed")


def heat_maps(figure):
    return [ax for ax in figure.axes if ax.get_title() in ("score", "bound")]


def test_search_shows_scores_over_both_weights(found):
    maps = heat_maps(plot.search(found))
    for ax, name in zip(maps, ("score", "bound"), strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), found[name])
        assert ax.images[0].origin == "lower"
        assert [label.get_text() for label in ax.get_xticklabels()] == ["0.3", "3"]
        assert [label.get_text() for label in ax.get_yticklabels()] == ["0.1", "1", "10"]
        row, column = np.unravel_index(found.score.values.argmax(), found.score.shape)
        frame = ax.patches[0]
        assert frame.get_x() < column < frame.get_x() + frame.get_width()
        assert frame.get_y() < row < frame.get_y() + frame.get_height()


def test_search_shows_maps_of_corners_and_best(found):
    best = np.unravel_index(found.score.values.argmax(), found.score.shape)
    count = len({(0, 0), (0, 1), (2, 0), (2, 1), best})
    figure = plot.search(found)
    titles = [ax.get_title() for ax in figure.axes]
    assert sum("KL weight" in title and "$z_{0}$, smoothness" in title for title in titles) == count
    assert titles.count("offset y") == count


def test_search_shows_the_points_asked_for(found):
    figure = plot.search(found, [(0.9, 3.1)], ["z"])
    (panel,) = (ax for ax in figure.axes if "$z_{0}$" in ax.get_title())
    point = found.isel(initial=1, final=1)
    np.testing.assert_array_equal(panel.images[0].get_array(), point.z.sel(latent=0))
    smooth = f"$z_{{0}}$, smoothness {point.smoothness.values[0]:.2f}"
    assert panel.get_title().splitlines() == ["a: KL weight 1 to 3", smooth]
    letters = [text for text in heat_maps(figure)[0].texts if text.get_text().isalpha()]
    assert [text.get_text() for text in letters] == ["a"]


def test_search_leaves_points_without_training_grey(found):
    partly = found.where((found.initial < 1) | (found.final > 1))
    shown = heat_maps(plot.search(partly))[0].images[0].get_array()
    assert np.ma.getmaskarray(shown).tolist() == [[False, False], [True, False], [True, False]]
    with pytest.raises(DataError, match="nothing was trained at"):
        plot.search(partly, [(1.0, 0.3)])


def test_search_of_more_than_weights(found):
    with pytest.raises(DataError, match=r"found\.sel\(window=\.\.\.\)"):
        plot.search(found.expand_dims(window=[12]))
    with pytest.raises(DataError, match="from search_kl"):
        plot.search(found.drop_vars("bound"))
    with pytest.raises(DataError, match="colour"):
        plot.search(found, variables=["colour"])
    with pytest.raises(DataError, match="nothing was trained"):
        plot.search(found.where(found.initial > 100))


def test_unknown_variables_list_those_there_are(grid):
    for draw in (
        lambda: plot.maps(grid, variables=["zz"]),
        lambda: plot.latent_map(grid, "zz"),
        lambda: plot.scatter(grid, "zz"),
        lambda: plot.scatter(grid, color="zz"),
    ):
        with pytest.raises(DataError, match=r"no variable 'zz'.*'z0', 'z1', 'offset_y'"):
            draw()


def test_what_can_not_be_drawn_says_why(grid, image):
    with pytest.raises(DataError, match="expected a Dataset"):
        plot.maps(grid["elbo"])
    with pytest.raises(DataError, match="no patches"):
        plot.maps(grid.isel(y=slice(0)))
    with pytest.raises(DataError, match="no maps"):
        plot.maps(xr.Dataset())
    with pytest.raises(DataError, match=r"dataset\.isel"):
        plot.maps(grid.expand_dims(sample=2))
    with pytest.raises(DataError, match="in \\('nm', 'nm'\\), but the image"):
        plot.maps(grid, image.values)
    with pytest.raises(DataError, match="an image has two dimensions"):
        plot.image(np.zeros((2, 3, 4, 5)))
    with pytest.raises(DataError, match="what manifold returns"):
        plot.manifold(image)
    with pytest.raises(DataError, match="history from fit"):
        plot.history(grid)
    with pytest.raises(DataError, match="no variables to show"):
        plot.maps(grid, variables=[])


def test_figures_show_themselves_in_notebooks(grid):
    png = b"\x89PNG"
    assert plot.maps(grid, variables=["z0"])._repr_png_().startswith(png)
    assert plot.latent_map(grid, "z0")._repr_png_().startswith(png)


def test_figures_are_freed(grid):
    figure = weakref.ref(plot.maps(grid, variables=["z0"]))
    gc.collect()
    assert figure() is None


def test_the_users_style_stays(grid):
    before = dict(mpl.rcParams)
    plot.maps(grid)
    assert dict(mpl.rcParams) == before


def test_results_are_not_changed(grid, image):
    before = grid.copy(deep=True)
    plot.maps(grid, image)
    plot.scatter(grid)
    xr.testing.assert_identical(grid, before)

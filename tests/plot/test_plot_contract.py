"""What holds for every plot: it returns a Figure, says what is wrong, and leaves all as it was."""

import copy
import inspect
from functools import cache

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import pyroshift as ps
from pyroshift import plot
from pyroshift.data.atoms import labelled_atoms
from pyroshift.errors import DataError

RNG = np.random.default_rng(0)
IMAGE = RNG.random((32, 40))
DOMAINS = np.where(np.hypot(*np.mgrid[-20:20, -20:24]) < 12, 1.0, -1.0)
STACK = xr.DataArray(RNG.random((2, 50, 50)), dims=("frame", "y", "x"))


def model_and_patches():
    return ps.ShiftVAE(16, guide="normal"), ps.extract_patches(IMAGE, 16)


@cache
def encoded():
    maps = ps.encode(*model_and_patches())
    return maps.assign_coords(collapsed=("latent", [False, False]))


@cache
def linked():
    positions = np.array([[0, 10, 10], [0, 10, 30], [1, 11, 31], [1, 11, 11]])
    return ps.link_atoms(labelled_atoms(STACK, positions, {}))


@cache
def displaced():
    y, x = np.indices((8, 8)).reshape(2, -1) * 10.0
    y = np.concatenate([y + frame * np.sin(x / 20) for frame in range(3)])
    coords = {"y": y, "x": np.tile(x, 3), "frame": np.repeat([0, 1, 2], 64)}
    return ps.fit_lattice(xr.Dataset(coords={key: ("atom", row) for key, row in coords.items()}))


def classified():
    coords = {"frame": ("atom", np.arange(4)), "track": ("atom", np.zeros(4, int))}
    variables = {"class_index": ("atom", [0, 0, 1, 1]), "z": (("atom", "latent"), np.ones((4, 2)))}
    return xr.Dataset(variables, coords)


def distortion():
    grid = {"axis": ["y", "x"], "y": np.arange(6.0), "x": np.arange(8.0)}
    values = xr.DataArray(np.ones((2, 6, 8)), grid, ("axis", "y", "x"))
    return xr.Dataset({"distortion": values, "distortion_std": values})


def strained():
    names = [f"{name}{end}" for end in ("", "_std") for name in ("exx", "eyy", "exy", "rotation")]
    return xr.Dataset({name: (("y", "x"), RNG.normal(size=(6, 8))) for name in names})


def walled():
    return ps.walls(DOMAINS)


def searched():
    weights = {"initial": [0.1, 1.0], "final": [0.1, 1.0]}
    variables = {
        "z": ((*weights, "y", "x", "latent"), RNG.normal(size=(2, 2, 9, 9, 1))),
        "offset": ((*weights, "y", "x", "axis"), RNG.normal(size=(2, 2, 9, 9, 2))),
        "smoothness": ((*weights, "latent"), np.full((2, 2, 1), 0.5)),
        "score": (tuple(weights), np.eye(2)),
        "bound": (tuple(weights), np.eye(2)),
    }
    return xr.Dataset(variables, {**weights, "axis": ["y", "x"]})


def compared():
    columns = {
        "log_evidence": [3.0, 1.0], "log_evidence_se": [0.5, 0.4], "difference": [0.0, -2.0],
        "difference_se": [0.0, 0.3], "elbo": [2.5, 0.0],
    }  # fmt: skip
    variables = {name: ("model", values) for name, values in columns.items()}
    return xr.Dataset(variables, {"model": ["turned", "plain"]})


def trusted():
    attrs = {"long_name": "Pareto k-hat", "units": "1"}
    values = np.array([[0.1, 0.5, np.nan], [0.9, np.inf, -0.3]])
    return xr.Dataset({"khat": (("y", "x"), values, attrs)}, attrs={"khat_limit": 0.57})


def calibrated():
    model = ps.ShiftVAE(8, guide="normal")
    return ps.calibrate(model, windows=20, draws=25, progress=False)


def checked():
    return ps.predictive_check(ps.posterior(*model_and_patches(), draws=25))


def table():
    return xr.DataArray(RNG.random((3, 4)), dims=("row", "column"), name="share")


def deflected():
    return xr.Dataset({"offset": (("y", "x", "axis"), RNG.random((4, 5, 2)))})


def spectral():
    both = {name: (("class", "energy"), RNG.random((2, 9))) for name in ("mean", "std")}
    return xr.Dataset(both)


def predicted():
    names = ("mean", "lower", "upper", "std", "observed")
    return xr.Dataset({name: (("y", "x", "bias"), RNG.random((4, 5, 9))) for name in names})


def certain():
    return xr.Dataset({"class_probability": (("y", "x", "class"), RNG.random((4, 5, 2)))})


INPUTS = {
    "abundances": lambda: (certain(),),
    "atoms": lambda: (linked(), STACK),
    "class_patches": lambda: (xr.DataArray(np.zeros((2, 8, 8)), dims=("class", "y", "x")),),
    "classes": lambda: (xr.Dataset({"class_index": (("y", "x"), [[0, 1], [1, 1]])}),),
    "compare": lambda: (compared(),),
    "deflection": lambda: (deflected(),),
    "displacement": lambda: (displaced(),),
    "displacement_modes": lambda: (ps.displacement_modes(displaced(), modes=1),),
    "distortion": lambda: (distortion(),),
    "ensemble": lambda: (ps.ensemble_average(classified()),),
    "heat_map": lambda: (table(),),
    "heat_maps": lambda: (table().to_dataset(),),
    "history": lambda: (ps.fit(*model_and_patches(), epochs=1, progress=False),),
    "image": lambda: (IMAGE,),
    "khat": lambda: (trusted(),),
    "latent_map": lambda: (encoded(), "z0"),
    "manifold": lambda: (ps.manifold(ps.VAE(8), size=3),),
    "maps": lambda: (encoded(), IMAGE),
    "mean_spectra": lambda: (spectral(),),
    "predicted_spectra": lambda: (predicted(),),
    "predictive_check": lambda: (checked(),),
    "rank": lambda: (calibrated(),),
    "reconstructions": lambda: model_and_patches(),
    "rose": lambda: (walled(),),
    "scatter": lambda: (encoded(),),
    "search": lambda: (searched(),),
    "strain": lambda: (strained(),),
    "switched": lambda: (ps.switched(DOMAINS, np.roll(DOMAINS, 1, 0)),),
    "tracks": lambda: (linked(), STACK),
    "trajectories": lambda: (
        xr.Dataset({"z": (("track", "frame", "latent"), RNG.normal(size=(5, 9, 2)))}),
    ),
    "transitions": lambda: (ps.transition_matrix(classified()),),
    "walls": lambda: (walled(), DOMAINS),
}
OF_ONE_PANEL = [
    name for name in INPUTS if "ax" in inspect.signature(getattr(plot, name)).parameters
]

every_plot = pytest.mark.parametrize("name", INPUTS)


def test_all_plots_are_here():
    assert set(INPUTS) == set(plot.__all__)


@every_plot
def test_returns_a_figure_and_leaves_all_else(name):
    given = INPUTS[name]()
    before = copy.deepcopy(given)
    figure = getattr(plot, name)(*given)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == []
    for now, then in zip(given, before, strict=True):
        if isinstance(now, xr.Dataset | xr.DataArray):
            xr.testing.assert_identical(now, then)


@every_plot
@pytest.mark.parametrize("wrong", [None, "maps.nc", xr.Dataset(), np.zeros((2, 2, 2, 2))])
def test_says_what_it_expected(name, wrong):
    with pytest.raises(DataError):
        getattr(plot, name)(wrong, *INPUTS[name]()[1:])


def test_options_of_one_name_are_alike():
    shared = {"ax": None, "frame": 0, "limits": None, "patches": None, "seed": 0}
    for name in INPUTS:
        for option, parameter in inspect.signature(getattr(plot, name)).parameters.items():
            assert parameter.default == shared.get(option, parameter.default), (name, option)


@pytest.mark.parametrize("name", OF_ONE_PANEL)
def test_goes_into_the_axes_given(name):
    figure = Figure()
    left, right = figure.subfigures(1, 2)
    ax = left.subplots()
    assert getattr(plot, name)(*INPUTS[name](), ax=ax) is figure
    assert ax.has_data()
    assert right.axes == []
    figure.draw_without_rendering()


@pytest.mark.parametrize("name", OF_ONE_PANEL)
def test_answers_for_its_axes_as_it_used_to(name):
    figure = getattr(plot, name)(*INPUTS[name]())
    with pytest.warns(DeprecationWarning, match=r"take `get_xlim` of its `\.axes\[0\]`"):
        assert figure.get_xlim() == figure.axes[0].get_xlim()
    assert figure.figure is figure
    for missing in ("no_such_name", "_no_such_name"):
        with pytest.raises(AttributeError, match=missing):
            getattr(figure, missing)


# A model in place of what it makes


def drawn(figure):
    """All numbers that the colours and points of a figure show."""
    shown = [artist for ax in figure.axes for artist in (*ax.images, *ax.collections)]
    return np.concatenate([np.ma.filled(artist.get_array(), np.nan).ravel() for artist in shown])


@pytest.mark.parametrize(
    ("name", "more"), [("maps", (IMAGE,)), ("latent_map", ("offset_y",)), ("scatter", ())]
)
def test_a_model_and_patches_are_as_good_as_its_maps(name, more):
    model, patches = model_and_patches()
    draw = getattr(plot, name)
    by_model = drawn(draw(model, *more, patches=patches))
    np.testing.assert_array_equal(by_model, drawn(draw(ps.encode(model, patches), *more)))
    with pytest.raises(DataError, match="pass patches="):
        draw(model, *more)
    with pytest.raises(DataError, match="leave it out"):
        draw(ps.encode(model, patches), *more, patches=patches)


def test_a_model_is_as_good_as_its_manifold():
    model = ps.VAE(8)
    np.testing.assert_array_equal(
        drawn(plot.manifold(model)), drawn(plot.manifold(ps.manifold(model)))
    )


@pytest.mark.parametrize("shape", [(6, 5, 12, 10), (30, 12)])
def test_a_model_reconstructs_patches(shape):
    names = ("a", "b", "y", "x") if len(shape) == 4 else None
    patches = ps.Patches.from_array(RNG.random(shape), len(shape) // 2, dims=names)
    model = ps.ShiftVAE(patches.window, guide="normal")
    whole = len(patches)  # of all, none is drawn by chance
    decoded = ps.decode(model, ps.encode(model, patches))
    by_model = plot.reconstructions(model, patches, n=whole)
    by_hand = plot.reconstructions(patches.to_xarray(), decoded, n=whole)
    for one, other in zip(by_model.axes, by_hand.axes, strict=True):
        for shown, expected in zip(one.images, other.images, strict=True):
            np.testing.assert_allclose(shown.get_array(), expected.get_array(), atol=1e-5)
        for shown, expected in zip(one.lines, other.lines, strict=True):
            np.testing.assert_allclose(shown.get_ydata(), expected.get_ydata(), atol=1e-5)
    with pytest.raises(DataError, match="patches are expected"):
        plot.reconstructions(model, patches.to_xarray())


# Latents that collapsed


@pytest.fixture
def half_collapsed():
    maps = encoded()
    return maps.assign_coords(collapsed=("latent", [False, True]))


def pale(artist):
    """Whether an artist's colours are all light greys."""
    colours = artist.get_cmap()(np.linspace(0, 1, 9))[:, :3]
    return np.ptp(colours, axis=1).max() < 0.01 and colours.min() > 0.7


def test_maps_name_and_pale_what_collapsed(half_collapsed):
    shown = {ax.get_title(): ax for ax in plot.maps(half_collapsed, std=True).axes}
    assert {"$z_{0}$", "$z_{1}$, collapsed", "$z_{1}$, std, collapsed"} <= set(shown)
    assert [title for title, ax in shown.items() if title and pale(ax.images[0])] == [
        "$z_{1}$, collapsed", "$z_{1}$, std, collapsed",
    ]  # fmt: skip
    one = plot.latent_map(half_collapsed, "z1").axes[0]
    assert one.get_title() == "$z_{1}$, collapsed"
    assert pale(one.images[0])


def test_lists_name_and_pale_what_collapsed():
    z = np.stack([np.arange(5.0)] * 2, 1)
    maps = xr.Dataset({"z": (("patch", "latent"), z)}, {"collapsed": ("latent", [True, False])})
    first, second = plot.maps(maps).axes
    assert (first.get_title(), second.get_title()) == ("$z_{0}$, collapsed", "$z_{1}$")
    one, other = (ax.collections[0].get_facecolor()[0] for ax in (first, second))
    assert np.ptp(one[:3]) == 0 < np.ptp(other[:3])


def test_scatter_names_what_collapsed(half_collapsed):
    ax = plot.scatter(half_collapsed).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_{0}$", "$z_{1}$, collapsed")
    assert not pale(ax.collections[0])
    coloured = plot.scatter(half_collapsed, y="elbo", color="z1").axes[0]
    assert pale(coloured.collections[0])
    assert coloured.collections[0].colorbar.ax.get_ylabel() == "$z_{1}$, collapsed"
    neither = half_collapsed.assign_coords(collapsed=("latent", [True, True]))
    assert pale(plot.scatter(neither).axes[0].collections[0])


@pytest.mark.parametrize("window", [8, (12,)])
def test_manifold_pales_what_the_data_do_not_have(half_collapsed, window):
    array = ps.manifold(ps.VAE(window, guide="normal"), size=3)
    ax = plot.manifold(array, maps=half_collapsed).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$z_{0}$", "$z_{1}$, collapsed")
    if ax.images:
        tile = ax.images[0].get_alpha()[4::9, 4::9]  # in the middle of each
        assert tile.tolist() == [[0.25] * 3, [1.0] * 3, [0.25] * 3]
    else:
        colours = ax.collections[0].get_colors().reshape(3, 3, 4)  # by z0 and z1
        assert (np.ptp(colours[..., :3], axis=-1) == 0).tolist() == [[True, False, True]] * 3
    assert plot.manifold(array).axes[0].get_ylabel() == "$z_{1}$"


def test_search_names_what_collapsed():
    figure = plot.search(searched().assign_coords(collapsed=("latent", [True])), variables=["z"])
    titles = [ax.get_title() for ax in figure.axes]
    assert sum("$z_{0}$, collapsed, smoothness 0.50" in title for title in titles) > 1


# Evidence


def test_khat_turns_its_colours_at_the_limit():
    figure = plot.khat(trusted(), image=None)
    picture = figure.axes[0].images[0]
    low, high = picture.get_clim()
    assert (low + high) / 2 == pytest.approx(0.57)
    assert figure.axes[0].get_title() == "k-hat: 40% beyond 0.57"
    red, _, blue, _ = np.moveaxis(picture.to_rgba(picture.get_array()), -1, 0)
    assert (red > blue).tolist()[1][:2] == [True, True]
    assert (blue > red).tolist()[0][0]
    signals = xr.Dataset({"khat": ("patch", [0.1, 0.9])}, attrs={"khat_limit": 0.7})
    assert [line.get_ydata()[0] for line in plot.khat(signals).axes[0].lines] == [0.7]


def test_khat_takes_a_tree():
    model, patches = ps.ShiftVAE(8, guide="normal"), ps.extract_patches(IMAGE, 8, 8)
    tree = ps.posterior(model, patches, draws=25, predictive=False)
    assert "beyond 0.28" in plot.khat(tree, image=IMAGE).axes[0].get_title()
    with pytest.raises(DataError, match="khat"):
        plot.khat(xr.DataTree())


def test_compare_has_the_best_on_top():
    ax = plot.compare(compared()).axes[0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["turned", "plain"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]

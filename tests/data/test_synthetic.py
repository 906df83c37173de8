"""The truth of the synthetic data, checked against other people's image processing."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import rotate

from pyroshift.data import synthetic
from pyroshift.data.synthetic import _common
from pyroshift.errors import DataError

SPOILT = {
    "brightness": (1.0, 0.5), "rotation": 0.3, "misorientation": 0.4, "coverage": 0.8,
    "vacancies": 0.1, "displacement": 0.3, "drift": 2.0, "jitter": 0.4, "blur": 0.5,
    "illumination": 0.4, "background": 0.3, "dose": 30.0, "noise": 0.1, "correlation": 1.0,
}  # fmt: skip
SMALL = {
    "sines": lambda seed: synthetic.sines(n=4, length=50, seed=seed),
    "peaks": lambda seed: synthetic.peaks(n=4, length=50, asymmetry=0.3, seed=seed),
    "lattice": lambda seed: synthetic.lattice(n=4, window=20, phases=2, noise=0.1, seed=seed),
    "hexagonal": lambda seed: synthetic.lattice(n=4, window=20, kind="hexagonal", seed=seed),
    "lattice_image": lambda seed: synthetic.lattice_image(
        (40, 30), distortion=1.0, phases=2, wall_width=8.0, noise=0.1, seed=seed
    ),
    "motifs": lambda seed: synthetic.motifs(n=4, seed=seed),
    "cards": lambda seed: synthetic.cards(n=4, seed=seed),
    "shapes": lambda seed: synthetic.shapes(n=4, seed=seed),
    "particles": lambda seed: synthetic.particles(n=4, seed=seed),
    "micrograph": lambda seed: synthetic.micrograph((60, 70), period=12, **SPOILT, seed=seed),
    "switching": lambda seed: synthetic.switching(4, (2, 3), seed=seed),
    "domains": lambda seed: synthetic.domains((30, 40), seed=seed),
    "plasmons": lambda seed: synthetic.plasmons((3, 4), length=60, seed=seed),
}
GENERATORS = pytest.mark.parametrize("generate", SMALL.values(), ids=SMALL)
KINDS = pytest.mark.parametrize("kind", ["square", "hexagonal"])


# What all generators share


@GENERATORS
def test_same_seed_same_data(generate):
    xr.testing.assert_identical(generate(3), generate(3))


@GENERATORS
def test_other_seed_other_data(generate):
    one, other = generate(3), generate(4)
    data = next(iter(one.data_vars))
    assert not np.allclose(one[data], other[data])


@GENERATORS
def test_global_random_state_is_untouched(generate):
    before = np.random.get_state()  # noqa: NPY002
    generate(0)
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@GENERATORS
def test_round_trip_to_netcdf(generate, tmp_path):
    dataset = generate(0)
    dataset.to_netcdf(tmp_path / "truth.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "truth.nc", engine="h5netcdf") as loaded:
        xr.testing.assert_identical(dataset, loaded.load())
        assert all(dataset[name].dtype == loaded[name].dtype for name in dataset.data_vars)


@GENERATORS
def test_everything_is_labelled(generate):
    dataset = generate(0)
    assert next(iter(dataset.data_vars.values())).dtype == np.float32
    assert all(isinstance(value, str | int | float) for value in dataset.attrs.values())
    for name, variable in dataset.variables.items():
        if name in ("channel", "channel_units"):
            continue
        assert variable.attrs["long_name"]
        assert name == "axis" or "channel" in variable.dims or variable.attrs["units"]
    if "channel" in dataset.dims:
        assert all(dataset["channel_units"].values)  # one each
    assert all(np.isfinite(variable).all() for variable in dataset.data_vars.values())


# Signals


def test_sines_cross_zero_upwards_at_the_offset():
    waves = synthetic.sines(n=50, length=2001, noise=0.0)
    for signal, offset in zip(waves["signal"].values, waves["offset"].values, strict=True):
        x = waves["x"].values
        near = np.abs(x - offset) < 0.5
        assert np.interp(0, signal[near], x[near]) == pytest.approx(offset, abs=1e-3)


def test_sines_of_the_paper():
    waves = synthetic.sines()
    assert waves["signal"].shape == (5000, 100)
    assert (waves["x"].values[0], waves["x"].values[-1]) == (-10, 10)
    assert set(waves["width"].values) == {1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2}
    assert np.abs(waves["offset"]).max() == pytest.approx(3, abs=0.01)
    assert 0 <= waves["noise"].min() < 0.001
    assert 0.099 < waves["noise"].max() <= 0.1


def test_sines_with_continuous_widths_and_amplitudes():
    waves = synthetic.sines(1000, widths=(1.8, 12), continuous_widths=True, amplitude=(1, 12))
    assert len(set(waves["width"].values)) == 1000
    assert 1.8 <= waves["width"].min() < 2
    assert 11.5 < waves["amplitude"].max() <= 12


def test_residual_of_a_sine_is_noise_of_its_level():
    waves = synthetic.sines(n=20, length=5000, noise=0.5)
    clean = np.sin((waves["x"] - waves["offset"]) / waves["width"])
    level = (waves["signal"] - clean).std("x")
    np.testing.assert_allclose(level, waves["noise"], rtol=0.06)  # 6 standard errors


def test_centroid_and_spread_of_a_peak_are_its_offset_and_width():
    data = synthetic.peaks(n=50, length=400, noise=0.0)
    share = data["signal"] / data["signal"].sum("x")
    centroid = (share * data["x"]).sum("x")
    np.testing.assert_allclose(centroid, data["offset"], atol=1e-3)
    spread = np.sqrt((share * (data["x"] - centroid) ** 2).sum("x"))
    np.testing.assert_allclose(spread, data["width"], rtol=1e-3)


def test_asymmetric_peak_has_its_maximum_at_the_offset_and_its_tail_to_the_right():
    data = synthetic.peaks(n=20, length=2001, noise=0.0, asymmetry=0.5)
    where = data["x"].values[data["signal"].values.argmax(1)]
    np.testing.assert_allclose(where, data["offset"], atol=0.02)
    centroid = (data["signal"] * data["x"]).sum("x") / data["signal"].sum("x")
    assert (centroid > data["offset"] + 0.2 * data["width"]).all()


# Lattices


@KINDS
def test_an_atom_is_at_the_offset(kind):
    data = synthetic.lattice(n=50, window=33, kind=kind, rotation=math.pi, displacement=0)
    for patch, offset in zip(data["patch"].values, data["offset"].values, strict=True):
        # moved back by the truth, a maximum of height 1 lies on the centre of the window
        moved = ndimage.shift(patch, -offset, order=3)
        assert moved[16, 16] == pytest.approx(1, abs=0.01)
        assert moved[16, 16] == moved[14:19, 14:19].max()


@KINDS
def test_the_lattice_has_the_angle_of_the_truth(kind):
    data = synthetic.lattice(
        n=3, window=65, kind=kind, phases=2, rotation=0.4, displacement=0, seed=2
    )
    still = synthetic.lattice(n=100, window=65, kind=kind, phases=2, rotation=0, displacement=0)
    crop = slice(22, 43)
    for sample in range(3):
        patch, offset, angle, phase = (
            data[name].values[sample] for name in ("patch", "offset", "angle", "phase")
        )
        one = int(np.flatnonzero(still["phase"].values == phase)[0])
        upright = ndimage.shift(still["patch"].values[one], -still["offset"].values[one])
        turned = rotate(upright, math.degrees(angle), order=3)
        centred = ndimage.shift(patch, -offset, order=3)
        np.testing.assert_allclose(centred[crop, crop], turned[crop, crop], atol=0.03)


@KINDS
def test_offsets_are_nearest_sites_and_fill_the_cell(kind):
    data = synthetic.lattice(n=2000, window=4, kind=kind, displacement=0)
    vectors, offset = data["lattice_vectors"].values, data["offset"].values
    angle = data["angle"].values
    np.testing.assert_allclose(
        synthetic.reduce_modulo_lattice(offset, vectors, angle), offset, atol=1e-9
    )
    covering = {"square": 1 / math.sqrt(2), "hexagonal": 1 / math.sqrt(3)}[kind] * 12
    assert 0.9 * covering < np.linalg.norm(offset, axis=1).max() <= covering
    np.testing.assert_allclose(offset.mean(0), 0, atol=0.5)  # 6 standard errors


def test_atoms_are_displaced_within_the_disc():
    data = synthetic.lattice(n=300, window=33, atom_width=1.2, rotation=0, displacement=0.1)
    found = []
    for patch, offset in zip(data["patch"].values, data["offset"].values, strict=True):
        near = np.indices(patch.shape).reshape(2, -1).T - 16 - offset
        weight = patch.ravel() * (np.linalg.norm(near, axis=1) < 5)
        found.append(weight @ near / weight.sum())
    distance = np.linalg.norm(found, axis=1)
    assert distance.max() == pytest.approx(0.1 * 12, abs=0.15)
    assert np.mean(distance < 0.6) == pytest.approx(0.25, abs=0.15)


@KINDS
def test_second_phase_fills_the_second_sublattice(kind):
    data = synthetic.lattice(n=200, kind=kind, phases=2, rotation=0)
    assert data["phase"].mean() == pytest.approx(0.5, abs=0.2)
    mean = data["patch"].groupby(data["phase"]).mean(...)
    atoms_per_cell = mean[1] / mean[0]
    assert atoms_per_cell == pytest.approx(1.5, abs=0.05)
    assert synthetic.lattice(n=50, kind=kind)["phase"].max() == 0


@KINDS
def test_maxima_of_the_image_are_its_atoms(kind):
    data = synthetic.lattice_image((120, 90), kind, phases=2, distortion=2.0)
    image, atoms = data["image"].values, data["atoms"].values
    peaks = np.argwhere((ndimage.maximum_filter(image, 5) == image) & (image > 0.3))
    inside = np.all((atoms > 4) & (atoms < np.array([115, 85])), axis=1)
    distance = np.linalg.norm(atoms[inside, None] - peaks, axis=-1).min(1)
    assert inside.sum() > 50
    assert distance.max() < 1.0
    height = ndimage.map_coordinates(image, atoms[inside].T, order=3)
    np.testing.assert_allclose(height, data["brightness"].values[inside], atol=0.1)


@KINDS
def test_removing_the_displacement_leaves_a_perfect_lattice(kind):
    data = synthetic.lattice_image((120, 90), kind, distortion=3.0, seed=1)
    atoms, vectors = data["atoms"].values, data["lattice_vectors"].values
    field = data["displacement"].values
    ideal = atoms.copy()
    for _ in range(20):  # solves atoms = ideal + displacement(ideal)
        move = [ndimage.map_coordinates(f, ideal.T, order=1, mode="nearest") for f in field]
        ideal = atoms - np.stack(move, 1)
    inside = np.all((ideal > 0) & (ideal < np.array([119, 89])), axis=1)
    apart = synthetic.reduce_modulo_lattice(ideal[inside] - ideal[inside][0], vectors)
    assert inside.sum() > 40
    assert np.linalg.norm(apart, axis=1).max() < 0.05
    assert np.abs(field).max() == pytest.approx(3, abs=0.01)


def test_phases_of_the_image():
    sharp = synthetic.lattice_image((60, 80), phases=2)["phase"]
    np.testing.assert_array_equal(sharp[:, :40], 0)
    np.testing.assert_array_equal(sharp[:, 40:], 1)
    smooth = synthetic.lattice_image((60, 80), phases=2, wall_width=20)["phase"].values[0]
    assert 0 < np.diff(smooth).max() < 0.1
    assert (smooth[29], smooth[50]) == (0, 1)
    assert not synthetic.lattice_image((60, 80))["phase"].any()


@given(
    kind=st.sampled_from(["square", "hexagonal"]),
    angle=st.floats(-4, 4),
    difference=st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
)
def test_reduction_modulo_the_lattice_is_exact(kind, angle, difference):
    vectors = synthetic.lattice(n=1, window=2, kind=kind, period=9)["lattice_vectors"].values
    reduced = synthetic.reduce_modulo_lattice(difference, vectors, angle)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    cell = vectors @ turn.T
    steps = np.linalg.solve(cell.T, np.array(difference) - reduced)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    reach = np.indices((31, 31)).reshape(2, -1).T - 15
    brute = np.linalg.norm(difference - (np.round(steps) + reach) @ cell, axis=1).min()
    assert np.linalg.norm(reduced) == pytest.approx(brute, abs=1e-9)


# Motifs


def still_motif(**options):
    return synthetic.motifs(n=1, max_angle=0, max_offset=0, noise=0, **options)["patch"][0].values


def test_motif_is_shifted_as_scipy_shifts():
    data = synthetic.motifs(n=30, max_angle=0, content=(0.5, 0.5), noise=0)
    still = still_motif(content=(0.5, 0.5))
    for patch, offset in zip(data["patch"].values, data["offset"].values, strict=True):
        np.testing.assert_allclose(patch, ndimage.shift(still, offset, order=3), atol=0.04)


def test_motif_is_rotated_as_skimage_rotates():
    data = synthetic.motifs(n=30, max_angle=math.pi, max_offset=0, content=(0.5, 0.5), noise=0)
    still = still_motif(content=(0.5, 0.5))
    for patch, angle in zip(data["patch"].values, data["angle"].values, strict=True):
        np.testing.assert_allclose(patch, rotate(still, math.degrees(angle), order=3), atol=0.06)


def test_motif_is_rotated_before_it_is_shifted():
    data = synthetic.motifs(n=30, content=(0.5, 0.5), noise=0)
    still = still_motif(content=(0.5, 0.5))
    for sample in range(30):
        turned = rotate(still, math.degrees(data["angle"][sample]), order=3)
        moved = ndimage.shift(turned, data["offset"].values[sample], order=3)
        assert np.abs(moved - data["patch"].values[sample]).max() < 0.1


def test_motif_stays_in_the_window_and_has_no_symmetry():
    data = synthetic.motifs(n=200, max_angle=math.pi, noise=0)
    light = data["patch"].sum(("y", "x"))
    wide = still_motif(content=(0.3, 0.8)).sum()
    assert light.min() > 0.9 * wide * 0.8
    border = np.concatenate([data["patch"][:, 0], data["patch"][:, -1]])
    assert np.mean(border > 0.1) < 0.02
    still = still_motif()
    overlap = [
        np.corrcoef(still.ravel(), rotate(still, angle).ravel())[0, 1] for angle in range(45, 316)
    ]
    assert max(overlap) < 0.7


def test_content_changes_several_pixels():
    change = np.abs(still_motif(content=(0.8, 0.8)) - still_motif(content=(0.3, 0.3)))
    assert np.sum(change > 0.3) >= 5
    assert 0.4 < change.max() <= 0.5


def test_pose_and_content_are_independent():
    data = synthetic.motifs(n=3000)
    factors = [data["angle"], data["content"], *data["offset"].values.T]
    correlation = np.corrcoef(np.stack(factors))
    assert np.abs(correlation - np.eye(4)).max() < 0.1  # 5 standard errors


# Cards


def suits(n=40, **options):
    """A picture of each suit by name, from data that hold all four."""
    still = {"max_angle": 0, "max_offset": 0, "max_shear": 0, "noise": 0}
    data = synthetic.cards(n, **{**still, **options})
    names = data["suit"].flag_meanings.split()
    return data, {name: data["patch"].values[data["suit"] == k][0] for k, name in enumerate(names)}


def test_suits_are_as_on_cards():
    _, pictures = suits()
    for picture in pictures.values():
        np.testing.assert_allclose(picture, picture[:, ::-1], atol=1e-5)
        assert ndimage.label(picture > 0.5)[1] == 1
        assert ndimage.label(picture < 0.5)[1] == 1  # no holes
        assert picture[0].max() < 0.01
        assert picture.max() == pytest.approx(1, abs=1e-4)
    upside_down = pictures["diamonds"][::-1]
    np.testing.assert_allclose(pictures["diamonds"], upside_down, atol=1e-5)
    width = {name: (picture > 0.5).sum(1) for name, picture in pictures.items()}
    widest = {name: int(row.argmax()) for name, row in width.items()}
    assert widest["hearts"] < widest["diamonds"] < widest["spades"]  # a heart's lobes are above
    top = {name: row[row > 0][0] for name, row in width.items()}
    assert top["clubs"] > top["spades"]  # a leaf, and a tip
    flat = [picture.ravel() for picture in pictures.values()]
    assert (np.corrcoef(flat) - np.eye(4)).max() < 0.95


@pytest.mark.parametrize("suit", ["clubs", "diamonds", "hearts", "spades"])
def test_suits_are_turned_and_shifted_as_motifs_are(suit):
    _, pictures = suits()
    data, _ = suits(max_angle=math.pi, max_offset=4.0)
    number = data["suit"].flag_meanings.split().index(suit)
    for sample in np.flatnonzero(data["suit"] == number):
        turned = rotate(pictures[suit], math.degrees(data["angle"][sample]), order=3)
        moved = ndimage.shift(turned, data["offset"].values[sample], order=3)
        assert np.abs(moved - data["patch"].values[sample]).mean() < 0.01


def test_shear_slants_and_keeps_the_area():
    _, upright = suits()
    data, pictures = suits(max_shear=0.3)
    assert set(pictures) == set(upright)
    for sample in range(data.sizes["sample"]):
        picture = data["patch"].values[sample]
        name = data["suit"].flag_meanings.split()[int(data["suit"][sample])]
        straight = upright[name]
        assert picture.sum() == pytest.approx(straight.sum(), rel=0.02)
        y, x = np.meshgrid(data["y"], data["x"], indexing="ij")
        down = y - (straight * y).sum() / straight.sum()
        slant = (picture * down * x).sum() / (straight * down * down).sum()
        assert slant == pytest.approx(float(data["shear"][sample]), abs=0.02)


def test_all_suits_come_as_often():
    counts = np.bincount(synthetic.cards(n=4000, window=8)["suit"], minlength=4)
    assert np.abs(counts / 1000 - 1).max() < 0.15  # 5 standard errors


# Shapes and errors


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 5), window=st.integers(2, 40), kind=st.sampled_from(["square", "hexagonal"])
)
def test_patches_have_the_shape_asked_for_and_grey_levels(n, window, kind):
    for data in (
        synthetic.lattice(n, window, kind, phases=2),
        synthetic.motifs(n, window, max_offset=window / 4, noise=0),
    ):
        assert data["patch"].dims == ("sample", "y", "x")
        assert data["patch"].shape == (n, window, window)
        assert data["offset"].shape == (n, 2)
        assert 0 <= data["patch"].min() <= data["patch"].max() <= 1
        assert data["y"].values.sum() == pytest.approx(0)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 5), length=st.integers(2, 200))
def test_signals_have_the_shape_asked_for(n, length):
    for data in (synthetic.sines(n, length), synthetic.peaks(n, length)):
        assert data["signal"].shape == (n, length)
        assert data["offset"].shape == (n,)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(2, 70), width=st.integers(2, 70))
def test_images_have_the_shape_asked_for(height, width):
    data = synthetic.lattice_image((height, width), distortion=1)
    assert data["image"].shape == (height, width)
    assert data["displacement"].shape == (2, height, width)
    assert 0 <= data["image"].min() <= data["image"].max() <= 1
    assert (data["atoms"] >= -0.5).all()


def test_chunks_cover_every_patch():
    data = synthetic.lattice(n=700, window=40)
    assert (data["patch"].max(("y", "x")) > 0.9).all()


@pytest.mark.parametrize(
    ("generate", "options", "message"),
    [
        (synthetic.sines, {"n": -1}, "n=-1 .* integer from 1"),
        (synthetic.sines, {"n": 2.5}, "n=2.5"),
        (synthetic.sines, {"length": 0}, "length=0"),
        (synthetic.sines, {"span": math.nan}, "span=nan .* finite"),
        (synthetic.sines, {"widths": ()}, "widths is empty"),
        (synthetic.sines, {"widths": (1.0, 0.0)}, r"widths=0\.0"),
        (synthetic.sines, {"amplitude": (1.0, math.inf)}, "amplitude=inf"),
        (synthetic.sines, {"noise": -0.1}, r"noise=-0\.1"),
        (synthetic.peaks, {"offset_spread": 11.0}, r"offset_spread=11\.0 .* from 0 to 10"),
        (synthetic.peaks, {"asymmetry": 1.0}, r"asymmetry=1\.0"),
        (synthetic.lattice, {"n": 0}, "n=0"),
        (synthetic.lattice, {"window": 1}, "window=1 .* from 2"),
        (synthetic.lattice, {"kind": "cubic"}, "kind='cubic': choose one of square, hexagonal"),
        (synthetic.lattice, {"period": 2.0}, r"period=2\.0 .* from 6"),
        (synthetic.lattice, {"period": "12"}, "period='12'"),
        (synthetic.lattice, {"atom_width": 0.0}, r"atom_width=0\.0"),
        (synthetic.lattice, {"rotation": math.inf}, "rotation=inf"),
        (synthetic.lattice, {"displacement": 0.6}, r"displacement=0\.6"),
        (synthetic.lattice, {"phases": 3}, "phases=3 .* 1 or 2"),
        (synthetic.lattice_image, {"shape": (1, 50)}, "height=1"),
        (synthetic.lattice_image, {"shape": (50, 50, 50)}, "give .height, width."),
        (synthetic.lattice_image, {"distortion": -1.0}, r"distortion=-1\.0"),
        (synthetic.lattice_image, {"wall_width": math.nan}, "wall_width=nan"),
        (synthetic.lattice_image, {"noise": math.inf}, "noise=inf"),
        (synthetic.cards, {"window": 7}, "window=7"),
        (synthetic.shapes, {"scale": (0.5, 3.0)}, r"scale=3\.0 .* from 0\.1 to 2"),
        (synthetic.shapes, {"max_offset": -1.0}, r"max_offset=-1\.0"),
        (synthetic.particles, {"opening": (-0.1, 1.0)}, r"opening=-0\.1"),
        (synthetic.particles, {"pixel_size": 0.0}, r"pixel_size=0\.0"),
        (synthetic.particles, {"defocus": 11.0}, r"defocus=11\.0 .* from 0 to 10"),
        (synthetic.cards, {"max_shear": 1.5}, r"max_shear=1\.5 .* from 0 to 1"),
        (synthetic.cards, {"max_offset": 25.0}, r"max_offset=25\.0 .* from 0 to 24"),
        (synthetic.motifs, {"window": 1}, "window=1"),
        (synthetic.motifs, {"max_angle": 4.0}, r"max_angle=4\.0"),
        (synthetic.motifs, {"max_offset": 20.0}, r"max_offset=20\.0 .* from 0 to 14"),
        (synthetic.motifs, {"content": (0.5, 1.5)}, r"content=1\.5"),
    ],
)
def test_bad_arguments_say_what_to_do(generate, options, message):
    with pytest.raises(DataError, match=message):
        generate(**options)


@pytest.mark.parametrize("vectors", [[[1, 0]], [[1, 0], [2, 0]], [[1, math.nan], [0, 1]]])
def test_vectors_that_span_no_lattice(vectors):
    with pytest.raises(DataError, match="span no lattice"):
        synthetic.reduce_modulo_lattice([1.0, 2.0], vectors)


def test_a_large_picture_is_drawn_as_a_small_one(monkeypatch):
    """By tiles, which must not show."""
    whole = synthetic.lattice_image((90, 130), distortion=2.0, phases=2).image
    monkeypatch.setattr(_common, "_TILE", 32)
    by_tiles = synthetic.lattice_image((90, 130), distortion=2.0, phases=2).image
    np.testing.assert_allclose(by_tiles, whole, atol=1e-6)

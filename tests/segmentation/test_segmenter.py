"""Segmentation of atoms: that it finds them, at any scale, and that nothing else depends on it."""

import json
import math

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max

import pyroshift as ps
from pyroshift import segmentation
from pyroshift.data.atoms import labelled_atoms
from pyroshift.errors import DataError, ModelFileError, SpecificationError, TrainingError
from pyroshift.segmentation.denoising import denoised, typical_separation
from pyroshift.segmentation.labelled import Labelled
from pyroshift.segmentation.network import UNet
from pyroshift.segmentation.scaling import RADIUS, SPACING, discs, logits, prepared
from pyroshift.segmentation.simulation import Simulated, random_micrograph

QUICK = {"steps": 3, "batch_size": 1, "size": 32, "progress": False}


@pytest.fixture(scope="module")
def shipped():
    return ps.load_segmenter()


def lattice(period=12.0, **options):
    return ps.synthetic.micrograph((128, 144), period=period, **options)


def scores(probability, atoms, separation):
    """Precision and recall of the peaks of a probability, edges left out, and their distances."""
    smooth = gaussian_filter(probability, separation / 10)  # discs are flat
    peaks = peak_local_max(
        smooth, min_distance=int(separation / 3), threshold_abs=0.3, exclude_border=False
    )
    last = np.array(probability.shape) - 1

    def inner(points):
        return points[((points > separation / 2) & (points < last - separation / 2)).all(1)]

    right = cKDTree(atoms).query(inner(peaks))[0]
    found = cKDTree(peaks).query(inner(atoms))[0]
    return np.mean(right < separation / 2), np.mean(found < separation / 2), found


# The shipped state


@pytest.mark.parametrize("kind", ["square", "hexagonal", "honeycomb"])
@pytest.mark.parametrize(("noise", "least"), [(0.1, 0.98), (1 / 3, 0.95)])
def test_atoms_are_found(shipped, kind, noise, least):
    period = 18 if kind == "honeycomb" else 14
    seen = lattice(period, kind=kind, noise=noise, vacancies=0.03, drift=2, seed=7)
    separation = period / math.sqrt(3) if kind == "honeycomb" else period
    probability = ps.segment(seen["image"], shipped).values
    precision, recall, distance = scores(probability, seen["atoms"].values, separation)
    assert precision >= least
    assert recall >= least
    assert np.median(distance) < 1  # whole pixels


def test_there_are_hardly_any_atoms_in_noise(shipped):
    noise = np.random.default_rng(0).standard_normal((128, 144))
    covered = [
        (ps.segment(image, shipped, separation=12).values > 0.5).mean()
        for image in (noise, lattice(noise=0.3)["image"])
    ]
    assert covered[0] < covered[1] / 3


def test_a_missing_atom_is_not_made_up(shipped):
    seen = lattice(vacancies=0.1, noise=0.05, seed=1)
    whole = lattice(noise=0.05, seed=1)["atoms"].values
    vacant = whole[cKDTree(seen["atoms"]).query(whole)[0] > 1]
    probability = ps.segment(seen["image"], shipped, separation=12)

    def at(points):
        y, x = np.round(points).astype(int).T
        return probability.values[y.clip(0, 127), x.clip(0, 143)]

    assert len(vacant) > 5
    assert np.median(at(vacant)) < 0.1
    assert np.median(at(seen["atoms"].values)) > 0.7


def test_probability_is_that_of_being_near_an_atom(shipped):
    """Of pixels with a probability around p, about that share is within the disc of an atom."""
    rng, predicted, true = np.random.default_rng(3), [], []
    for _ in range(12):
        image, target = Simulated().draw(rng, 112)
        with torch.no_grad():
            predicted.append(torch.sigmoid(shipped.network(image[None]))[0].numpy())
        true.append(target.numpy())
    predicted, true = np.concatenate(predicted), np.concatenate(true)
    for low in (0.1, 0.3, 0.5, 0.7):
        among = (predicted >= low) & (predicted < low + 0.2)
        assert true[among].mean() == pytest.approx(predicted[among].mean(), abs=0.15)


def test_shipped_state_is_small():
    path = segmentation.__path__[0] + "/segmenter.pt"
    with open(path, "rb") as file:
        assert len(file.read()) < 300_000


# Noise


def likeness(one, other):
    return np.corrcoef(one.flatten(), other.flatten())[0, 1]


def test_weak_noise_stays():
    image = lattice(noise=0.1, vacancies=0.1)["image"].values
    assert likeness(denoised(image), image) > 0.99  # all but the slow background


def test_strong_noise_goes():
    clear, noisy = (lattice(noise=noise, rotation=0.3)["image"].values for noise in (0, 1))
    assert likeness(clear, denoised(noisy)) > 1.5 * likeness(clear, noisy)


@pytest.mark.parametrize(
    "frame",
    [np.ones((40, 50)), np.eye(8), np.random.default_rng(0).standard_normal((64, 64))],
    ids=["flat", "small", "noise"],
)
def test_frames_without_a_lattice_stay_as_they_are(frame):
    np.testing.assert_array_equal(denoised(frame), frame)
    with pytest.raises(DataError, match="give separation="):
        typical_separation(frame)


def test_missing_pixels_stay_missing():
    image = lattice(noise=1)["image"].values.copy()
    image[5:9, 7:30] = np.nan
    np.testing.assert_array_equal(np.isnan(denoised(image)), np.isnan(image))


@pytest.mark.parametrize(("kind", "spacing"), [("square", 12), ("honeycomb", 12 / math.sqrt(3))])
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_separation_is_that_of_neighbours(kind, spacing, noise):
    seen = ps.synthetic.micrograph((256, 256), kind, 12, 1.7, noise=noise, seed=3)
    found = typical_separation(np.stack([seen["image"].values] * 2))
    assert found == pytest.approx(spacing, rel=0.2)


def test_atoms_in_noise_as_high_as_they_are(shipped):
    seen = ps.synthetic.micrograph((256, 256), "hexagonal", 14, 2.2, noise=1, drift=3, seed=5)
    found = [
        scores(
            ps.segment(seen["image"], shipped, separation=14, denoise=denoise).values,
            seen["atoms"].values,
            14,
        )
        for denoise in (True, False)
    ]
    assert min(found[0][:2]) > 0.95
    assert found[0][1] > found[1][1]


# Images


def test_result_has_the_image_s_coordinates(shipped):
    seen = lattice()
    image = seen["image"].assign_coords(
        y=("y", 0.1 * np.arange(128), {"units": "nm"}), x=("x", 0.1 * np.arange(144) - 3)
    )
    probability = ps.segment(image, shipped, separation=12)
    assert probability.name == "probability"
    assert probability.dims == ("y", "x")
    xr.testing.assert_identical(probability.coords.to_dataset(), image.coords.to_dataset())
    assert probability.attrs == {
        "long_name": "probability of an atom", "units": "1", "separation": 12.0,
    }  # fmt: skip
    assert 0 <= probability.min() <= probability.max() <= 1


def test_frames_of_a_stack_are_alike(shipped, capsys):
    image = lattice(noise=0.2)["image"].values
    stack = ps.segment(np.stack([image, image[::-1]]), shipped, separation=12)
    assert stack.dims == ("frame", "y", "x")
    np.testing.assert_array_equal(stack[0], ps.segment(image, shipped, separation=12))
    assert "frame" in capsys.readouterr().err


def test_dark_atoms(shipped):
    image = lattice(noise=0.2)["image"]
    np.testing.assert_array_equal(
        ps.segment(image, shipped, separation=12),
        ps.segment(-image, shipped, dark=True, separation=12),
    )


@settings(max_examples=10, deadline=None)
@given(st.floats(0.1, 1e4), st.floats(-1e3, 1e3))
def test_grey_levels_and_their_offset_do_not_matter(scale, offset):
    image, segmenter = lattice(noise=0.2)["image"].values[:64, :64], ps.load_segmenter()
    plain = segmenter.probability(image, separation=12)
    other = segmenter.probability(scale * (image + offset), separation=12)
    np.testing.assert_allclose(plain, other, atol=0.02)


@pytest.mark.parametrize("factor", [0.6, 1.7, 3.0])
def test_scale_is_that_of_the_separation(shipped, factor):
    image = lattice(16, atom_width=3)["image"].values
    scaled = zoom(image, factor, order=1, grid_mode=True, mode="nearest")
    one = shipped.probability(image, separation=16)
    other = shipped.probability(scaled, separation=16 * factor)
    back = zoom(other, np.array(one.shape) / other.shape, order=1, grid_mode=True, mode="nearest")
    assert np.corrcoef(one.ravel(), back.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("tile", [20, 32, 77])
def test_tiles_leave_no_seams(tile):
    net = UNet((4, 6, 8), (1, 2)).eval()
    image = torch.randn(150, 171)
    torch.testing.assert_close(logits(net, image, tile), logits(net, image, 1000))


def test_missing_pixels(shipped):
    image = lattice(noise=0.1)["image"].values
    holed = image.copy()
    missing = np.random.default_rng(0).uniform(size=image.shape) < 0.05
    holed[missing] = np.nan
    holed[50:80, 60:90] = np.nan
    whole = shipped.probability(image, separation=12)
    found = shipped.probability(holed, separation=12)
    assert np.isfinite(found).all()
    assert found[58:72, 68:82].max() < 0.3
    away = np.ones(image.shape, bool)
    away[38:92, 48:102] = False
    assert np.corrcoef(found[away], whole[away])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.zeros(9), "two dimensions"),
        (np.zeros((2, 2, 9, 9)), "two dimensions"),
        (np.zeros((0, 9)), "empty"),
        (np.zeros((1, 1)), "separation"),
        (np.full((64, 64), np.nan), "no lattice"),
        (np.full((64, 64), np.inf), "infinite"),
        (np.zeros((9, 9), complex), "complex"),
        (xr.Dataset({"image": ("y", [1.0])}), "one variable"),
        (np.random.default_rng(0).standard_normal((64, 64)), "give separation="),
    ],
)
def test_images_that_can_not_be_segmented(shipped, image, match):
    with pytest.raises(DataError, match=match):
        ps.segment(image, shipped)


@pytest.mark.parametrize("separation", [0, -3, math.nan, math.inf, 1000])
def test_separations_out_of_range(shipped, separation):
    with pytest.raises(DataError, match="separation="):
        ps.segment(np.eye(64), shipped, separation=separation)


def test_one_pixel_and_flat_images_have_no_atoms(shipped):
    assert ps.segment(np.ones((1, 1)), shipped, separation=1).shape == (1, 1)
    assert ps.segment(np.ones((40, 50)), shipped, separation=9).max() < 0.5
    with pytest.raises(DataError, match="all are missing"):
        ps.segment(np.full((40, 50), np.nan), shipped, separation=9)


def test_a_frame_must_be_an_image(shipped):
    with pytest.raises(DataError, match="height x width"):
        shipped.probability(np.zeros((2, 9, 9)), separation=5)


def test_uneven_light_goes_away():
    even = lattice(atom_width=2, noise=0.1)["image"].values
    y = np.linspace(0, 1, len(even))[:, None]
    one, other = prepared(even, 12, SPACING), prepared((0.3 + y) * even + 2 * y, 12, SPACING)
    inner = (slice(13, -13), slice(None))  # at the border, a slope is no slope of the mean
    assert np.corrcoef(one[inner].flatten(), other[inner].flatten())[0, 1] > 0.95


# Files


def test_round_trip(shipped, tmp_path):
    image = lattice(noise=0.2)["image"].values
    shipped.save(tmp_path / "one.pt")
    again = ps.load_segmenter(tmp_path / "one.pt")
    assert repr(again) == repr(shipped)
    np.testing.assert_array_equal(
        again.probability(image, separation=12), shipped.probability(image, separation=12)
    )
    with pytest.raises(FileExistsError, match="overwrite"):
        shipped.save(tmp_path / "one.pt")
    shipped.save(tmp_path / "one.pt", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["one.pt"]


def test_files_that_hold_no_segmenter(shipped, tmp_path):
    with pytest.raises(FileNotFoundError, match="no segmenter"):
        ps.load_segmenter(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("nothing")
    with pytest.raises(ModelFileError, match="can't be read"):
        ps.load_segmenter(tmp_path / "text.pt")
    ps.save(ps.VAE(8), tmp_path / "model.pt")
    with pytest.raises(ModelFileError, match="no segmenter"):
        ps.load_segmenter(tmp_path / "model.pt")
    shipped.save(tmp_path / "altered.pt")
    content = torch.load(tmp_path / "altered.pt", weights_only=True)
    content["settings"] = json.dumps({"widths": [8, 8], "dilations": [1], "spacing": 8})
    torch.save(content, tmp_path / "altered.pt")
    with pytest.raises(ModelFileError, match="damaged"):
        ps.load_segmenter(tmp_path / "altered.pt")


def test_loading_leaves_the_random_state(untouched):
    with untouched():
        ps.load_segmenter()


# Training


def test_training_lowers_the_loss(untouched):
    with untouched():
        segmenter = ps.train_segmenter(steps=15, batch_size=2, size=48, progress=False)
    loss = segmenter.history.loss
    assert loss.sizes == {"step": 15}
    assert segmenter.history.attrs == {"stopped": "completed"}
    assert loss[-5:].mean() < 0.8 * loss[0]
    assert not segmenter.network.training


def test_same_seed_same_network():
    one, same, other = (ps.train_segmenter(**QUICK, seed=seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(one.history, same.history)
    assert not np.allclose(one.history.loss, other.history.loss)


def test_ctrl_c_keeps_what_was_learnt(monkeypatch, capsys):
    draw, calls = Simulated.draw, []

    def interrupted(self, rng, size):
        calls.append(size)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return draw(self, rng, size)

    monkeypatch.setattr(Simulated, "draw", interrupted)
    segmenter = ps.train_segmenter(**QUICK | {"progress": True})
    assert segmenter.history.attrs["stopped"] == "interrupted"
    assert segmenter.history.loss.sizes == {"step": 2}
    assert "interrupted after 2 steps" in capsys.readouterr().out


def test_losses_that_are_no_numbers(monkeypatch):
    bad = (torch.full((32, 32), math.nan), torch.zeros(32, 32))
    monkeypatch.setattr(Simulated, "draw", lambda self, rng, size: bad)
    with pytest.raises(TrainingError, match="learning rate"):
        ps.train_segmenter(**QUICK)


def test_labelled_images_teach_what_counts_as_an_atom(shipped):
    """Of two sublattices only one is labelled, so that the other one is to be left out."""
    seen = lattice(18, brightness=(1, 0.6), atom_width=2.2, noise=0.1, seed=2)
    bright = seen["atoms"].values[seen["sublattice"] == 0]
    faint = seen["atoms"].values[seen["sublattice"] == 1]
    taught = ps.train_segmenter(
        seen["image"], bright, start=shipped, steps=40, batch_size=2, size=64, progress=False
    )
    fresh = lattice(18, brightness=(1, 0.6), atom_width=2.2, noise=0.1, seed=2)["image"].values

    def at(segmenter, points):
        y, x = np.round(points).astype(int).T
        return np.median(
            segmenter.probability(fresh, separation=18)[y.clip(0, 127), x.clip(0, 143)]
        )

    assert at(taught, bright) > 0.5 > at(taught, faint)
    assert taught.network is not shipped.network


def test_labelled_atoms_may_be_a_dataset_or_arrays():
    seen = lattice(16)
    stack = xr.concat([seen["image"], seen["image"]], "frame")
    positions = np.insert(seen["atoms"].values, 0, 1, axis=1)
    by_dataset = Labelled(stack, labelled_atoms(stack, positions, {}))
    by_array = Labelled(stack.values, positions)
    assert len(by_dataset.pairs) == len(by_array.pairs) == 1  # frame 0 has no labels
    for one, other in zip(by_dataset.pairs[0], by_array.pairs[0], strict=True):
        torch.testing.assert_close(one, other)


def test_labels_are_where_the_atoms_are():
    seen = lattice(16)
    pieces = Labelled(seen["image"], seen["atoms"].values)
    rng = np.random.default_rng(0)
    for size in (32, 100):  # the larger one is more than there is
        image, target = pieces.draw(rng, size)
        assert image.shape == target.shape == (size, size)
        assert image[target > 0.9].mean() > 1 > 0 > image[target == 0].mean()


def test_dark_labelled_atoms():
    seen = lattice(16)
    one = Labelled(seen["image"], seen["atoms"].values).pairs[0][0]
    other = Labelled(-seen["image"], seen["atoms"].values, dark=True).pairs[0][0]
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("images", "atoms", "match"),
    [
        (np.eye(32), None, "both"),
        (None, np.eye(2), "both"),
        (np.eye(32), np.zeros((0, 2)), "must be"),
        (np.eye(32), np.zeros((3, 4)), "must be"),
        (np.eye(32), np.array([[3, np.nan]]), "finite"),
        (np.eye(32), np.array([[3, 4]]), "apart"),
        (np.eye(32), np.array([[3, 4.0], [3, 4.0]]), "apart"),
        (np.eye(32), np.array([[5, 3, 4.0], [5, 9, 4.0]]), "frame 5"),
        (np.zeros((2, 32, 32)), np.array([[3, 4.0], [9, 4.0]]), "must say which"),
        (np.zeros(32), np.array([[3, 4.0], [9, 4.0]]), "two dimensions"),
    ],
)
def test_labels_that_can_not_be_used(images, atoms, match):
    with pytest.raises(DataError, match=match):
        ps.train_segmenter(images, atoms, **QUICK)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0}, {"batch_size": 0}, {"size": 3}, {"seed": -1}, {"steps": 1.5},
        {"learning_rate": 0}, {"learning_rate": math.nan},
    ],
    ids=str,
)  # fmt: skip
def test_options_that_make_no_sense(options):
    with pytest.raises(SpecificationError, match="must be"):
        ps.train_segmenter(**QUICK | options)


def test_a_start_at_another_scale():
    with pytest.raises(SpecificationError, match="spacing"):
        ps.train_segmenter(start=ps.Segmenter(UNet((4, 8)), spacing=5), **QUICK)


# Targets


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 12), st.floats(-3, 12))
def test_discs_are_round_and_in_their_place(y, x):
    target = discs(np.array([[y, x]]), (10, 9)).numpy()
    rows, columns = np.indices((10, 9))
    distance = np.hypot(rows - y, columns - x)
    np.testing.assert_allclose(target, np.clip(RADIUS + 0.5 - distance, 0, 1), atol=1e-6)


def test_simulated_images_differ_in_what_they_are_said_to():
    rng = np.random.default_rng(0)
    seen = [random_micrograph(rng, 64) for _ in range(60)]
    assert {one.attrs["kind"] for one in seen} == {"square", "hexagonal", "honeycomb"}
    spacings = [
        np.median(cKDTree(one["atoms"]).query(one["atoms"], 2)[0][:, 1])
        for one in seen
        if one.sizes["atom"] > 20
    ]
    assert min(spacings) < 7
    assert max(spacings) > 10
    assert all(np.isfinite(one["image"]).all() for one in seen)

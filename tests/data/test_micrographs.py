"""Simulated micrographs: is the truth true, and is what spoils the image of the stated size?"""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from pyroshift.data.synthetic import lattice_image, micrograph
from pyroshift.errors import DataError

KINDS = ("square", "hexagonal", "honeycomb")


def maxima(image, atoms):
    """Positions refined around atoms by the three logarithms along each axis, exact for a peak."""
    found = []
    for y, x in np.round(atoms).astype(int):
        log = np.log(image[y - 1 : y + 2, x - 1 : x + 2].astype(float))
        steps = [
            (line[0] - line[2]) / (2 * (line[0] - 2 * line[1] + line[2]))
            for line in (log[:, 1], log[1])
        ]
        found.append([y + steps[0], x + steps[1]])
    return np.array(found)


def inside(seen, margin=3):
    atoms = seen["atoms"].values
    last = np.array(seen["image"].shape) - 1
    return atoms[np.all((atoms >= margin) & (atoms <= last - margin), axis=1)]


# The truth


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(KINDS), st.floats(-3, 3), st.floats(0, 3), st.floats(0, 1.0), st.integers(0, 99)
)  # fmt: skip
def test_atoms_are_where_the_image_has_its_maxima(kind, rotation, drift, blur, seed):
    options = {"rotation": rotation, "drift": drift, "blur": blur, "seed": seed}
    seen = micrograph((64, 72), kind, 24, 1.5, displacement=0.4, **options)
    atoms = inside(seen)
    assert len(atoms) >= 4
    assert np.abs(maxima(seen["image"].values, atoms) - atoms).max() < 0.05


def test_atoms_are_at_their_sites_moved_by_drift():
    seen = micrograph((80, 90), drift=5.0, seed=1)
    moves = np.stack(
        [np.interp(seen["ideal"][:, 0], seen["y"], along[:, 0]) for along in seen["displacement"]],
        1,
    )
    np.testing.assert_allclose(seen["ideal"] + moves, seen["atoms"], atol=0.1)
    assert 1 < np.abs(seen["displacement"]).max() <= 5


def test_ideal_sites_are_a_lattice():
    seen = micrograph((80, 90), "hexagonal", 14, rotation=0.7, drift=3, displacement=0.5)
    steps = seen["ideal"].values - seen["ideal"].values[0]
    index = steps @ np.linalg.inv(seen["lattice_vectors"].values)
    np.testing.assert_allclose(index, np.round(index), atol=1e-9)


def test_what_comes_after_the_atoms_leaves_the_truth_alone():
    clean = micrograph((60, 60), drift=2, vacancies=0.1, misorientation=0.3)
    noisy = micrograph(
        (60, 60), drift=2, vacancies=0.1, misorientation=0.3, jitter=1, blur=1, illumination=0.5,
        background=0.5, dose=10, noise=1, correlation=1,
    )  # fmt: skip
    xr.testing.assert_identical(clean.drop_vars("image"), noisy.drop_vars("image"))


@pytest.mark.parametrize(
    ("kind", "brightness", "per_cell", "cell"),
    [
        ("square", (1.0,), 1, 1.0),
        ("square", (1.0, 0.5), 2, 1.0),
        ("square", (1.0, 0.5, 0.2), 4, 1.0),
        ("square", (1.0, 0.0, 0.2), 3, 1.0),
        ("hexagonal", (1.0,), 1, math.sqrt(3) / 2),
        ("hexagonal", (1.0, 0.5), 2, math.sqrt(3) / 2),
        ("honeycomb", (1.0,), 2, math.sqrt(3) / 2),
    ],
)
def test_number_of_atoms(kind, brightness, per_cell, cell):
    seen = micrograph((200, 200), kind, 10, brightness=brightness)
    assert seen.sizes["atom"] == pytest.approx(per_cell * 400 / cell, rel=0.06)
    for number, light in enumerate(brightness):
        np.testing.assert_array_equal(seen["brightness"][seen["sublattice"] == number], light)


def test_lattice_is_that_of_lattice_image():
    seen, other = micrograph(period=13), lattice_image(period=13)
    np.testing.assert_allclose(seen["lattice_vectors"], other["lattice_vectors"])
    nearest = cKDTree(seen["atoms"]).query(seen["atoms"], 2)[0][:, 1]
    np.testing.assert_allclose(nearest, 13)


def test_vacancies():
    whole, holed = micrograph(period=8), micrograph(period=8, vacancies=0.3)
    missing = 1 - holed.sizes["atom"] / whole.sizes["atom"]
    assert missing == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / whole.sizes["atom"]))
    away = cKDTree(holed["atoms"]).query(whole["atoms"])[0] > 1
    y, x = np.round(whole["atoms"].values[away]).astype(int).clip(0, 255).T
    assert holed["image"].values[y, x].max() < 0.1


def test_coverage():
    assert micrograph(coverage=0.0).sizes["atom"] == 0
    assert not micrograph(coverage=0.0)["image"].values.any()
    whole, half = micrograph(period=8).sizes["atom"], micrograph(period=8, coverage=0.5)
    assert half.sizes["atom"] == pytest.approx(whole / 2, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_grains(kind):
    seen = micrograph(kind=kind, period=14, misorientation=0.3, seed=2)
    tree = cKDTree(seen["atoms"])
    spacing = 14 / math.sqrt(3) if kind == "honeycomb" else 14
    nearest, index = tree.query(seen["atoms"], 2)
    assert nearest[:, 1].min() >= 0.7 * spacing * (1 - 1e-9)
    bonds = (seen["atoms"].values[index[:, 1]] - seen["atoms"].values)[
        np.isclose(nearest[:, 1], spacing)
    ]
    fold = 4 if kind == "square" else 6
    angle = np.mod(np.arctan2(-bonds[:, 0], bonds[:, 1]) - 0.1, 2 * math.pi / fold)
    turned = np.mod(angle - angle[0] + 0.1, 2 * math.pi / fold) - 0.1
    assert np.ptp(turned) == pytest.approx(0.3)
    assert len(set(np.round(turned, 6))) == 2


# What spoils the image


def test_blur_widens_and_keeps_the_light():
    sharp, blurred = (micrograph((80, 80), period=20, blur=blur, seed=3) for blur in (0, 2))
    assert float(blurred["image"].sum()) == pytest.approx(float(sharp["image"].sum()), rel=0.03)
    assert float(blurred["image"].max()) == pytest.approx(0.5, abs=0.02)


def test_jitter_moves_every_row_by_its_own():
    still, shaken = (micrograph((200, 90), period=30, jitter=j, seed=5) for j in (0, 1.5))
    atoms = inside(still, margin=14)
    shifts = []
    for y, x in np.round(atoms).astype(int):
        columns = np.arange(x - 12, x + 13)
        row = shaken["image"].values[y, columns]
        shifts.append(row @ columns / row.sum())
    assert np.std(np.array(shifts) - atoms[:, 1]) > 0.5
    np.testing.assert_allclose(shaken["image"].sum("x")[60], still["image"].sum("x")[60], rtol=0.1)


def test_light_is_lost_up_to_the_stated_share():
    even, uneven = (micrograph(illumination=light, seed=1)["image"] for light in (0, 0.6))
    kept = (uneven / even).values[even.values > 0.01]
    assert kept.min() == pytest.approx(0.4, abs=0.02)
    assert kept.max() == pytest.approx(1.0, abs=0.02)


def test_background():
    seen = micrograph(coverage=0, background=0.7)["image"].values
    assert (seen.min(), seen.max()) == pytest.approx((0, 0.7))
    assert np.abs(np.diff(seen, axis=0)).max() < 0.05


def test_counts_have_the_variance_of_counts():
    exact = micrograph(period=8, atom_width=2)["image"].values
    counted = micrograph(period=8, atom_width=2, dose=5)["image"].values
    np.testing.assert_allclose(5 * counted, np.round(5 * counted), atol=1e-5)
    excess = (counted - exact) ** 2 / np.maximum(exact / 5, 1e-6)
    assert excess[exact > 0.1].mean() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("correlation", [0.0, 1.5])
def test_noise(correlation):
    seen = micrograph(coverage=0, noise=0.4, correlation=correlation)["image"].values
    assert seen.std() == pytest.approx(0.4, rel=0.02)
    beside = np.corrcoef(seen[:, :-1].ravel(), seen[:, 1:].ravel())[0, 1]
    expected = math.exp(-1 / (4 * correlation**2)) if correlation else 0
    assert beside == pytest.approx(expected, abs=0.05)


# What can't be used


@pytest.mark.parametrize(
    "options",
    [
        {"shape": (64,)}, {"shape": (64, 1)}, {"shape": (64.0, 64)}, {"kind": "cubic"},
        {"period": 0}, {"period": math.nan}, {"atom_width": 0}, {"brightness": ()},
        {"brightness": (1, -1)}, {"brightness": (1, 1), "kind": "honeycomb"},
        {"brightness": (1, 1, 1, 1)}, {"rotation": math.inf}, {"misorientation": 9},
        {"coverage": 1.1}, {"vacancies": -0.1}, {"displacement": 9}, {"drift": 99}, {"jitter": 9},
        {"blur": -1}, {"illumination": 2}, {"background": -1}, {"dose": 0}, {"noise": -1},
        {"correlation": 99}, {"dose": math.nan},
    ],
    ids=str,
)  # fmt: skip
def test_arguments_out_of_range(options):
    with pytest.raises(DataError, match=r"can't be used|unknown|is empty"):
        micrograph(**options)

"""Atoms found where they are known to be, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from pyroshift import find_atoms, load_image, synthetic
from pyroshift.errors import DataError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NEAR = 2.0  # pixels, within which an atom is the one that is meant
MARGIN = 2.0  # pixels from the border, where atoms may be cut


def positions(atoms):
    return np.stack([atoms.y.values, atoms.x.values], 1)


def inside(points, shape):
    return ((points > MARGIN) & (points < np.array(shape) - 1 - MARGIN)).all(1)


def compared(atoms, truth, shape):
    """Share of true atoms found, of found ones that are true, errors and these over their std."""
    found = positions(atoms)
    distance, nearest = cKDTree(found).query(truth)
    from_truth, _ = cKDTree(truth).query(found)
    met = (distance < NEAR) & inside(truth, shape)
    error = found[nearest[met]] - truth[met]
    std = np.stack([atoms.y_std.values, atoms.x_std.values], 1)[nearest[met]]
    recall = (distance < NEAR)[inside(truth, shape)].mean()
    precision = (from_truth < NEAR)[inside(found, shape)].mean()
    return recall, precision, error, error / std


def crystal(shape=(128, 136), noise=0.1, seed=0, **options):
    data = synthetic.lattice_image(shape, noise=noise, distortion=1.0, seed=seed, **options)
    return data["image"].astype(float), data["atoms"].values


def root_mean_square(values):
    return np.sqrt(np.mean(values**2))


# Known atoms


@pytest.mark.parametrize("kind", ["square", "hexagonal"])
@pytest.mark.parametrize("phases", [1, 2])
@pytest.mark.parametrize(("noise", "least", "error"), [(0.1, 0.97, 0.1), (1 / 3, 0.95, 0.25)])
def test_lattices_are_found(kind, phases, noise, least, error):
    image, truth = crystal((160, 160), noise, kind=kind, phases=phases, period=16, atom_width=2.5)
    atoms = find_atoms(image, progress=False)
    recall, precision, errors, _ = compared(atoms, truth, image.shape)
    assert recall >= least
    assert precision >= least
    # The second phase's other atoms are half as bright: their errors are twice as large.
    assert root_mean_square(errors) <= error * (1 if phases == 1 else 1.5)


def test_noise_as_high_as_atoms():
    image, truth = crystal((200, 200), noise=1.0, period=16, atom_width=3)
    recall, precision, errors, _ = compared(find_atoms(image), truth, image.shape)
    assert recall >= 0.9
    assert precision >= 0.9
    assert root_mean_square(errors) <= 0.5


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_standard_deviations_are_honest(noise):
    scaled = [
        compared(find_atoms(image, prior=False), truth, image.shape)[3]
        for image, truth in (crystal(noise=noise, seed=seed) for seed in range(4))
    ]
    assert root_mean_square(np.concatenate(scaled)) == pytest.approx(1, abs=0.15)


def test_single_atoms_in_noise():
    rng = np.random.default_rng(0)
    truth = np.array([[20.3, 30.6], [60.1, 90.8], [90.5, 40.2], [30.7, 100.4]])
    rows, columns = np.indices((120, 130))
    image = sum(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 18) for y, x in truth)
    atoms = find_atoms(image + 0.1 * rng.normal(size=image.shape))
    recall, precision, errors, _ = compared(atoms, truth, image.shape)
    assert recall == 1
    assert precision == 1
    assert root_mean_square(errors) < 0.15


def test_an_atom_off_its_lattice_and_a_vacancy():
    rng = np.random.default_rng(1)
    truth = np.stack(np.meshgrid(np.arange(10.0, 150, 14), np.arange(10.0, 150, 14)), -1)
    truth = truth.reshape(-1, 2) + 0.1
    truth[37] += 3.0
    truth = np.delete(truth, 62, 0)
    rows, columns = np.indices((160, 160))
    image = sum(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 12.5) for y, x in truth)
    atoms = find_atoms(image + 0.1 * rng.normal(size=image.shape))
    assert atoms.sizes["atom"] == len(truth)
    distance, _ = cKDTree(positions(atoms)).query(truth)
    assert distance.max() < 0.5


def disordered(count, noise, seed, size=128, width=3.0):
    """Blobs anywhere, but at least five widths apart, and where they are."""
    rng = np.random.default_rng(seed)
    places = np.empty((0, 2))
    for place in rng.uniform(12, size - 12, (20 * count, 2)):
        if len(places) < count and (np.hypot(*(places - place).T) > 5 * width).all():
            places = np.vstack([places, place])
    along_y, along_x = (np.exp(-0.5 * ((np.arange(size) - each) / width) ** 2) for each in (
        places[:, :1], places[:, 1:]
    ))  # fmt: skip
    return along_y.T @ along_x + noise * rng.normal(size=(size, size)), places


@pytest.mark.parametrize("count", [1, 2, 5, 20, 40])
@pytest.mark.parametrize("noise", [0, 1e-3, 0.1, 0.3])
def test_particles_without_order(count, noise):
    wrong = 0
    for seed in range(3):
        image, truth = disordered(count, noise, seed)
        found = positions(find_atoms(image, progress=False))
        there = (cKDTree(found).query(truth)[0] < NEAR).all()
        wrong += not (there and len(found) == len(truth))
    # Of 40 such images each, with other seeds, 5 of those with most particles and noise weren't
    # right to the last one, and at most 2 of any others.
    assert wrong <= 1


def test_noise_alone_has_no_atoms():
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(size=(128, 128))
        with pytest.raises(DataError, match="no atoms stand out"):
            find_atoms(noise)


# What must not matter


@settings(deadline=None, max_examples=10)
@given(st.floats(0.01, 1e4), st.floats(-1e4, 1e4), st.booleans())
def test_grey_levels_and_contrast_do_not_matter(scale, level, dark):
    image, _ = crystal((64, 64))
    atoms = find_atoms(image)
    other = find_atoms((-scale if dark else scale) * image + level, dark=dark)
    np.testing.assert_allclose(positions(other), positions(atoms), atol=1e-4)
    np.testing.assert_allclose(other.amplitude, scale * atoms.amplitude, rtol=1e-4)


@pytest.mark.parametrize("turn", [lambda v: v[::-1], lambda v: v[:, ::-1], lambda v: v.T])
def test_turned_images_have_turned_atoms(turn):
    image, _ = crystal((96, 96))
    numbered = np.arange(96.0)
    rows, columns = np.meshgrid(numbered, numbered, indexing="ij")
    atoms = positions(find_atoms(image.values))
    other = positions(find_atoms(np.ascontiguousarray(turn(image.values))))
    assert len(other) == len(atoms)
    whole = np.rint(other).astype(int)
    back = np.stack([turn(rows)[tuple(whole.T)], turn(columns)[tuple(whole.T)]], 1)
    assert cKDTree(atoms).query(back)[0].max() < 1.5


def test_illumination_does_not_matter():
    image, truth = crystal((128, 128))
    bright = 1 + 5 * np.linspace(0, 1, 128) + 3 * np.linspace(0, 1, 128)[:, None] ** 2
    recall, precision, errors, _ = compared(find_atoms(image + bright), truth, image.shape)
    assert recall > 0.98
    assert precision > 0.98
    assert root_mean_square(errors) < 0.1


def test_missing_pixels_leave_atoms_out():
    image, truth = crystal((96, 96))
    image[40:52, 30:45] = np.nan
    with pytest.warns(UserWarning, match=r"\d+ atoms touch missing pixels"):
        atoms = find_atoms(image)
    found = positions(atoms)
    assert not ((found > (38, 28)) & (found < (54, 47))).all(1).any()
    recall, precision, _, _ = compared(atoms, truth, image.shape)
    assert precision == 1
    assert recall > 0.9


@pytest.mark.parametrize(("count", "height"), [(1, 300), (3, 100), (1, -300), (20, 30)])
def test_hot_pixels_are_told_and_hide_no_atoms(count, height):
    image, truth = crystal((96, 96))
    rng = np.random.default_rng(0)
    places = rng.choice(96 * 96, count, replace=False)
    image.values.ravel()[places] = height * rng.uniform(1, 2, count)
    with pytest.warns(UserWarning, match=f"^{count} pixels? lie"):
        atoms = find_atoms(image)
    recall, precision, errors, _ = compared(atoms, truth, image.shape)
    assert (recall, precision) == (1, 1)
    assert root_mean_square(errors) < 0.15


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize(("height", "period"), [(20, 12), (20, 8), (30, 12), (40, 20)])
def test_images_few_periods_high(height, period, noise):
    # With the shorter side's slowest waves taken from both axes there were up to 20 times as many.
    image, truth = crystal((height, 576), noise, period=period, atom_width=period / 6)
    recall, precision, _, _ = compared(find_atoms(image), truth, image.shape)
    assert recall > 0.97
    assert precision > 0.97


def test_sites_four_to_a_side_are_a_lattice():
    # 140 x 139 pixels: its four waves are 3.97 of the shorter side's.
    movie = synthetic.switching(6, (4, 4), initial=(1, 0))
    assert movie.image.shape[1:] == (140, 139)
    assert find_atoms(movie.image, progress=False).sizes["atom"] == 6 * 4 * 4


def test_noise_in_images_few_periods_high_is_no_atoms():
    image, truth = crystal((20, 576), 0.3, period=12)
    assert compared(find_atoms(image, separation=10), truth, image.shape)[1] > 0.9
    with pytest.raises(DataError, match=r"separation=\.\.\."):
        find_atoms(image)


GREY_LEVELS = {
    "far from zero": lambda image: 1e8 + 0.3 * image.astype(float),
    "large counts": lambda image: (3e9 + 1e3 * image.astype(float)).astype(np.uint32),
    "bytes": lambda image: (60 + 120 * image).clip(0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", GREY_LEVELS)
@pytest.mark.parametrize("dark", [False, True])
def test_grey_levels_of_any_kind(change, dark):
    image, truth = crystal((96, 96))
    values = GREY_LEVELS[change]((-image if dark else image).values)
    assert compared(find_atoms(values, dark=dark), truth, image.shape)[:2] == (1, 1)


ROWS, COLUMNS = np.indices((96, 80))
SMOOTH = {
    "plane": 0.3 * ROWS + 0.2 * COLUMNS + 5,
    "plane in single precision": (0.3 * ROWS + 0.2 * COLUMNS + 5).astype(np.float32),
    "plane in volts": 1e-9 * (ROWS - 1.7 * COLUMNS),
    "plane far from zero": 1e8 + ROWS + 0.5 * COLUMNS,
    "plane in counts": (0.7 * ROWS + 0.4 * COLUMNS).astype(np.uint8),
    "plane in stretched counts": (0.7 * ROWS + 0.4 * COLUMNS).astype(np.uint8) / 255,
    "curved": 0.01 * (ROWS - 30) ** 2 + 0.1 * COLUMNS,
}


@pytest.mark.parametrize("surface", SMOOTH)
@pytest.mark.parametrize("dark", [False, True])
def test_rounding_is_no_atoms(surface, dark):
    with pytest.raises(DataError, match="smooth surface"):
        find_atoms(SMOOTH[surface], dark=dark)


# Options


@pytest.mark.parametrize("light", [0.0, 1.0])
def test_sublattices_by_brightness(light):
    image, truth = crystal((160, 160), noise=0.05, phases=2, period=16, atom_width=2.5)
    data = synthetic.lattice_image((160, 160), noise=0.05, distortion=1.0, phases=2, period=16,
                                   atom_width=2.5)  # fmt: skip
    image = image * (1 + light * np.linspace(0, 1, 160))
    atoms = find_atoms(image, sublattices=2)
    _, nearest = cKDTree(truth).query(positions(atoms))
    expected = (data["brightness"].values[nearest] < 0.75).astype(int)
    assert np.mean(atoms.sublattice.values == expected) > 0.97


def test_threshold_leaves_the_faint_out():
    image, _ = crystal((128, 128), noise=0.05, phases=2, period=16, atom_width=2.5)
    every, strong = find_atoms(image), find_atoms(image, threshold=0.75)
    assert strong.sizes["atom"] < every.sizes["atom"]
    assert strong.amplitude.min() > 0.7 * strong.amplitude.max()


def test_separation_given():
    image, truth = crystal((96, 96))
    atoms = find_atoms(image, separation=12)
    assert atoms.separation == 12
    assert compared(atoms, truth, image.shape)[:2] == (1, 1)


class Known:
    """Says where atoms are, from the truth."""

    def __init__(self, truth):
        self.truth = truth

    def probability(self, frame, *, separation):
        rows, columns = np.indices(frame.shape)
        distance = cKDTree(self.truth).query(np.stack([rows, columns], -1).reshape(-1, 2))[0]
        return (distance < 3).reshape(frame.shape).astype(float)


def test_candidates_from_a_segmenter():
    image, truth = crystal((96, 96))
    recall, precision, errors, _ = compared(
        find_atoms(image, segmenter=Known(truth)), truth, image.shape
    )
    assert (recall, precision) == (1, 1)
    assert root_mean_square(errors) < 0.12


# Stacks and labels


def test_frames_of_a_stack_are_as_images():
    frames = [crystal((64, 64), seed=seed)[0].values for seed in range(2)]
    stack = find_atoms(np.stack(frames), progress=False)
    assert set(stack.frame.values) == {0, 1}
    for number, frame in enumerate(frames):
        alone = positions(find_atoms(frame))
        together = positions(stack.isel(atom=stack.frame == number))
        assert len(alone) == len(together)
        assert cKDTree(alone).query(together)[0].max() < 0.2


@pytest.mark.parametrize("blank", [0.0, np.nan, SMOOTH["plane"][:64, :64]])
def test_a_blank_frame_of_a_stack_has_no_atoms(blank):
    frame, truth = crystal((64, 64))
    stack = np.stack([frame.values] * 3)
    stack[1] = blank
    with pytest.warns(UserWarning, match="1 of 3 frames are left without atoms: frame 1 "):
        atoms = find_atoms(stack, progress=False)
    assert set(atoms.frame.values) == {0, 2}
    assert compared(atoms.isel(atom=atoms.frame == 2), truth, frame.shape)[:2] == (1, 1)
    with pytest.raises(DataError, match=r"frame 0 .*; frame 1 "):
        find_atoms(np.stack([stack[1]] * 2))


def test_units_of_the_image():
    image, _ = crystal((64, 64))
    plain = find_atoms(image.drop_vars(["y", "x"]))
    image = image.assign_coords(
        y=("y", 5 + 0.2 * np.arange(64), {"units": "nm"}),
        x=("x", 0.2 * np.arange(64), {"units": "nm"}),
    )
    atoms = find_atoms(image)
    np.testing.assert_allclose(atoms.y, 5 + 0.2 * plain.y)
    np.testing.assert_allclose(atoms.x_std, 0.2 * plain.x_std)
    np.testing.assert_allclose(atoms.width, 0.2 * plain.width)
    assert {atoms[name].units for name in ("y", "x", "y_std", "x_std", "width")} == {"nm"}


def test_round_trip_to_netcdf(tmp_path):
    image, _ = crystal((64, 64))
    atoms = find_atoms(image)
    atoms.to_netcdf(tmp_path / "atoms.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "atoms.nc", engine="h5netcdf") as loaded:
        xr.testing.assert_identical(atoms, loaded.load())


# Errors


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros(20), {}, "two dimensions"),
        (np.zeros((2, 2, 20, 20)), {}, "two dimensions"),
        (np.zeros((1, 1)), {}, "too small to find atoms in: it takes 16 x 16"),
        (np.zeros((0, 20)), {}, "empty"),
        (np.zeros((20, 20)), {}, "everywhere"),
        (np.full((20, 20), np.nan), {}, "missing"),
        (np.full((20, 20), np.inf), {}, "infinite"),
        (np.full((20, 20), "a"), {}, "numbers"),
        (np.eye(20), {"separation": 0}, "separation=0"),
        (np.eye(20), {"separation": -3.0}, "separation=-3"),
        (np.eye(20), {"separation": 15}, "separation=15"),
        (np.eye(20), {"separation": np.nan}, "separation=nan"),
        (np.eye(20), {"threshold": 0}, "threshold=0"),
        (np.eye(20), {"threshold": 2}, "threshold=2"),
        (np.eye(20), {"sublattices": 0}, "sublattices=0"),
    ],
)
def test_what_cannot_be_used_is_refused(image, options, message):
    with pytest.raises(DataError, match=message):
        find_atoms(image, **options)


def test_a_dataset_is_refused():
    with pytest.raises(DataError, match="one variable"):
        find_atoms(xr.Dataset({"image": (("y", "x"), np.eye(20))}))


# Real measurements, which stay outside the project


def test_atoms_of_graphene():
    image, given = (DATA / f"stem_graphene_boundary{end}" for end in (".npy", "_atoms.npy"))
    if not image.is_file() or not given.is_file():
        pytest.skip(f"NOT TESTED on real data: there is no {image}")
    # Somebody's pickle, in a folder of our own: one table of y, x and class per frame.
    known = np.load(given, allow_pickle=True).item()[0][:, :2]
    atoms = find_atoms(load_image(image), progress=False)
    distance, _ = cKDTree(positions(atoms)).query(known)
    assert np.mean(distance < 3) >= 0.9
    assert atoms.sizes["atom"] < 1.15 * len(known)

"""Atoms and their ways, drawn where they are."""

import numpy as np
import pytest
import xarray as xr

from pyroshift import link_atoms, plot
from pyroshift.data.atoms import labelled_atoms
from pyroshift.errors import DataError

PLACES = np.array([
    [0, 10, 10], [0, 10, 30], [0, 30, 20],
    [1, 11, 31], [1, 11, 11],
    [2, 12, 12], [2, 12, 32], [2, 32, 22],
])  # fmt: skip


def stack(spacing=1.0, unit="px"):
    axes = {name: (name, spacing * np.arange(50), {"units": unit}) for name in "yx"}
    values = np.random.default_rng(0).random((3, 50, 50))
    return xr.DataArray(values, dims=("frame", "y", "x"), coords=axes)


def atoms_of(image, **coords):
    return labelled_atoms(image, PLACES, {}).assign_coords(
        {name: ("atom", values) for name, values in coords.items()}
    )


def rings(ax):
    return [collection.get_offsets() for collection in ax.collections]


@pytest.mark.parametrize(("frame", "count"), [(0, 3), (1, 2), (2, 3)])
def test_atoms_are_drawn_in_their_frame_and_unit(frame, count):
    image = stack(0.1, "nm")
    (points,) = rings(plot.atoms(atoms_of(image), image, frame=frame).axes[0])
    expected = 0.1 * PLACES[PLACES[:, 0] == frame][:, [2, 1]]
    assert len(points) == count
    np.testing.assert_allclose(points, expected)


def test_kinds_are_told_apart_and_counted():
    ax = plot.atoms(atoms_of(stack(), sublattice=[0, 1, 1, 0, 1, 0, 1, 1]), stack()).axes[0]
    assert [len(points) for points in rings(ax)] == [1, 2]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0: 1", "1: 2"]


@pytest.mark.parametrize("color", [None, "nothing", "sublattice"])
def test_one_kind_needs_no_legend(color):
    ax = plot.atoms(atoms_of(stack(), sublattice=np.zeros(8, int)), stack(), color=color).axes[0]
    assert ax.get_legend() is None
    assert len(rings(ax)) == 1


def test_labels_that_come_twice_do_no_harm():
    twice = xr.concat([atoms_of(stack()), atoms_of(stack())], "atom")
    assert len(rings(plot.atoms(twice, stack()).axes[0])[0]) == 6


def test_a_part_of_the_image_is_all_that_is_shown():
    part = stack()[:, 5:25, 5:35]
    for ax in (
        plot.atoms(atoms_of(stack()), part).axes[0],
        plot.tracks(link_atoms(atoms_of(stack())), part).axes[0],
    ):
        assert ax.axis() == (4.5, 34.5, 24.5, 4.5)


def test_tracks_go_where_atoms_went():
    linked = link_atoms(atoms_of(stack()))
    ax = plot.tracks(linked, stack(), drift=True).axes[0]
    ways = [path.vertices for path in ax.collections[0].get_paths()]
    assert [way.tolist() for way in ways] == [
        [[10, 10], [11, 11], [12, 12]],
        [[30, 10], [31, 11], [32, 12]],
        [[20, 30], [22, 32]],
    ]


@pytest.mark.parametrize("frame", [0, 2])
def test_without_drift_atoms_that_only_drifted_stay(frame):
    linked = link_atoms(atoms_of(stack()))
    ax = plot.tracks(linked, stack(), frame=frame).axes[0]
    ends = np.array([path.vertices for path in ax.collections[0].get_paths()[:2]])
    np.testing.assert_allclose(np.ptp(ends, axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(ends[0, 0], 10 + frame, atol=1e-6)


def test_tracks_of_atoms_that_aren_t_linked_are_refused():
    with pytest.raises(DataError, match="link_atoms"):
        plot.tracks(atoms_of(stack()), stack())


def test_too_many_kinds_are_refused():
    atoms = atoms_of(stack())
    many = xr.concat([atoms.isel(atom=slice(3))] * 8, "atom")
    with pytest.raises(DataError, match="too many to tell apart"):
        plot.atoms(many.assign_coords(kind=("atom", np.arange(24))), stack(), color="kind", frame=0)


def test_frames_without_atoms_are_refused():
    with pytest.raises(DataError, match="frame 7"):
        plot.atoms(atoms_of(stack()), stack(), frame=7)


@pytest.mark.parametrize("draw", [plot.atoms, plot.tracks])
def test_atoms_in_another_unit_than_the_image_are_refused(draw):
    with pytest.raises(DataError, match="in px, but the image's in nm"):
        draw(link_atoms(atoms_of(stack())), stack(0.1, "nm"))


def test_what_isn_t_atoms_is_refused():
    with pytest.raises(DataError, match="atoms must be"):
        plot.atoms(xr.Dataset(), stack())

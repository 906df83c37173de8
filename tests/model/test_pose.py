"""Signs and units of the coordinates, checked against other people's image processing."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.transform import rotate

from pyroshift.model.decoders import look_at
from pyroshift.model.pose import (
    affine_grid,
    half_window,
    pixel_grid,
    reduce_modulo,
    unrotate,
    unscale,
    unshift,
    wrap_angle,
)

WINDOWS = pytest.mark.parametrize("window", [(40, 40), (41, 41), (30, 48), (48, 31)], ids=str)

angles = st.floats(-10, 10)
scales = st.floats(0.2, 5)
offsets = st.tuples(st.floats(-2, 2), st.floats(-2, 2))


def smooth_image(window, seed=0):
    noise = np.random.default_rng(seed).normal(size=window)
    image = ndimage.gaussian_filter(noise, 3)
    return image / image.std()


def grid_of(window):
    return pixel_grid(window).double().unsqueeze(0)


def seen(image, coordinates):
    """The image as a canvas, looked at through coordinates."""
    canvas = torch.from_numpy(np.ascontiguousarray(image)).unsqueeze(0)
    return look_at(canvas, coordinates, image.shape)[0].numpy()


def interior(image, margin=9):
    return image[(slice(margin, -margin),) * image.ndim]


def disc(image, radius):
    """The pixels that stay inside the window whatever the rotation."""
    y, x = (np.arange(size) - (size - 1) / 2 for size in image.shape)
    return image[np.hypot(y[:, None], x) < radius]


# Grids


@pytest.mark.parametrize("window", [(7,), (8,), (2, 2), (5, 9), (9, 5), (6, 6)], ids=str)
def test_grid_is_centred_and_isotropic(window):
    grid = pixel_grid(window)
    assert grid.shape == (*window, len(window))
    torch.testing.assert_close(grid.reshape(-1, len(window)).mean(0), torch.zeros(len(window)))
    for axis in range(len(window)):
        steps = grid[..., axis].diff(dim=axis)
        torch.testing.assert_close(steps, torch.full_like(steps, 2 / max(window)))
        for other in set(range(len(window))) - {axis}:
            assert (grid[..., axis].diff(dim=other) == 0).all()


def test_half_window_is_half_the_longer_side():
    assert half_window((20, 40)) == half_window((40, 20)) == half_window((40,)) == 20


# Signs


@WINDOWS
@pytest.mark.parametrize("shift", [(3.0, 0.0), (0.0, -5.0), (-2.5, 4.25)], ids=str)
def test_unshift_is_scipys_shift(window, shift):
    image = smooth_image(window)
    offset = torch.tensor([shift], dtype=torch.double) / half_window(window)
    moved = seen(image, unshift(grid_of(window), offset))
    expected = ndimage.shift(image, shift, order=1)
    np.testing.assert_allclose(interior(moved), interior(expected), atol=1e-6)


@pytest.mark.parametrize("shift", [3.0, -4.5])
def test_unshift_of_signals_is_scipys_shift(shift):
    signal = smooth_image((60,))
    offset = torch.tensor([[shift]], dtype=torch.double) / half_window((60,))
    moved = seen(signal, unshift(grid_of((60,)), offset))
    expected = ndimage.shift(signal, shift, order=1)
    np.testing.assert_allclose(interior(moved), interior(expected), atol=1e-6)


@WINDOWS
@pytest.mark.parametrize("degrees", [10.0, -35.0, 90.0, 160.0])
def test_unrotate_is_scikit_images_rotate(window, degrees):
    # skimage turns rigidly in pixels: equality in a non-square window means no shear.
    image = smooth_image(window)
    angle = torch.tensor([math.radians(degrees)], dtype=torch.double)
    turned = seen(image, unrotate(grid_of(window), angle))
    expected = rotate(image, degrees, order=1)
    radius = min(window) / 2 - 2
    np.testing.assert_allclose(disc(turned, radius), disc(expected, radius), atol=1e-6)


@WINDOWS
def test_unscale_magnifies_about_the_centre(window):
    image = smooth_image(window)
    larger = seen(image, unscale(grid_of(window), torch.tensor([1.5], dtype=torch.double)))
    centre = (np.array(window) - 1) / 2
    expected = ndimage.affine_transform(image, np.eye(2) / 1.5, centre - centre / 1.5, order=1)
    np.testing.assert_allclose(larger, expected, atol=1e-6)


@WINDOWS
def test_all_sites_together_read_the_motif_at_the_documented_place(window):
    # R(-angle) (r - offset) / scale; scipy reads the input at matrix @ r + shift, in pixels.
    image = smooth_image(window)
    shift, angle, scale = np.array([2.5, -4.0]), 0.7, 1.3
    unit = half_window(window)
    coordinates = unshift(grid_of(window), torch.from_numpy(shift[None] / unit))
    coordinates = unrotate(coordinates, torch.tensor([angle], dtype=torch.double))
    coordinates = unscale(coordinates, torch.tensor([scale], dtype=torch.double))
    # Counter-clockwise as displayed takes +x (right) towards -y (up): in (y, x), this is R(angle).
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = np.linalg.inv(turn) / scale
    centre = (np.array(window) - 1) / 2
    expected = ndimage.affine_transform(image, matrix, centre - matrix @ (centre + shift), order=1)
    inside = ndimage.affine_transform(
        np.ones(window), matrix, centre - matrix @ (centre + shift), order=1
    )
    assert (inside > 0.999).sum() > 500
    actual = seen(image, coordinates)
    np.testing.assert_allclose(actual[inside > 0.999], expected[inside > 0.999], atol=1e-6)


def test_offset_is_a_displacement_in_the_image_whatever_the_angle():
    window, shift = (40, 40), (4.0, -6.0)
    image = ndimage.gaussian_filter(np.pad(np.ones((6, 2)), ((17, 17), (19, 19))), 2)
    offset = torch.tensor([shift], dtype=torch.double) / half_window(window)
    for angle in (0.0, 0.9, -2.0):
        coordinates = unshift(grid_of(window), offset)
        coordinates = unrotate(coordinates, torch.tensor([angle], dtype=torch.double))
        found = np.array(ndimage.center_of_mass(seen(image, coordinates)))
        np.testing.assert_allclose(found - 19.5, shift, atol=0.02)


def test_every_patch_has_its_own_pose():
    grid = grid_of((6, 8)).expand(3, -1, -1, -1)
    offset = torch.tensor([[0.1, 0.2], [0.0, -0.3], [0.5, 0.0]], dtype=torch.double)
    angle = torch.tensor([0.0, 1.0, -2.0], dtype=torch.double)
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.double)
    together = unscale(unrotate(unshift(grid, offset), angle), scale)
    for patch in range(3):
        one = slice(patch, patch + 1)
        alone = unscale(unrotate(unshift(grid[one], offset[one]), angle[one]), scale[one])
        torch.testing.assert_close(together[one], alone)


# Properties


@settings(deadline=None)
@given(offset=offsets)
def test_shift_then_unshift_is_nothing(offset):
    grid, value = grid_of((4, 6)), torch.tensor([offset], dtype=torch.double)
    torch.testing.assert_close(unshift(unshift(grid, value), -value), grid)


@settings(deadline=None)
@given(first=angles, second=angles)
def test_rotations_compose(first, second):
    grid = grid_of((4, 6))
    first, second = (torch.tensor([angle], dtype=torch.double) for angle in (first, second))
    twice = unrotate(unrotate(grid, first), second)
    torch.testing.assert_close(twice, unrotate(grid, first + second))
    torch.testing.assert_close(unrotate(unrotate(grid, first), -first), grid)
    torch.testing.assert_close(unrotate(grid, first), unrotate(grid, first + 2 * math.pi))


@settings(deadline=None)
@given(offset=offsets, angle=angles)
def test_poses_keep_distances(offset, angle):
    grid = grid_of((4, 7))
    moved = unshift(grid, torch.tensor([offset], dtype=torch.double))
    moved = unrotate(moved, torch.tensor([angle], dtype=torch.double))
    before, after = (torch.pdist(points.reshape(-1, 2)) for points in (grid, moved))
    torch.testing.assert_close(before, after)


@settings(deadline=None)
@given(scale=scales, angle=angles)
def test_scale_divides_distances_and_commutes_with_rotation(scale, angle):
    grid = grid_of((4, 7))
    scale, angle = (torch.tensor([value], dtype=torch.double) for value in (scale, angle))
    torch.testing.assert_close(unscale(grid, scale), grid / scale)
    torch.testing.assert_close(
        unscale(unrotate(grid, angle), scale), unrotate(unscale(grid, scale), angle)
    )


@settings(deadline=None)
@given(angle=st.floats(-1e3, 1e3))
@example(angle=math.pi)
@example(angle=-math.pi)
@example(angle=0.0)
@example(angle=math.nextafter(-math.pi, -4))
def test_wrapped_angles_are_the_same_angles_in_one_turn(angle):
    angle = torch.tensor(angle, dtype=torch.double)
    wrapped = wrap_angle(angle)
    # One rounding error beyond an end is no other angle.
    assert -math.pi - 1e-12 < wrapped <= math.pi + 1e-12
    torch.testing.assert_close(
        torch.stack((wrapped.cos(), wrapped.sin())), torch.stack((angle.cos(), angle.sin()))
    )


def test_both_ends_wrap_to_plus_pi():
    ends = torch.tensor([math.pi, -math.pi, 3 * math.pi, -3 * math.pi], dtype=torch.double)
    torch.testing.assert_close(wrap_angle(ends), torch.full((4,), math.pi, dtype=torch.double))


@st.composite
def lattices(draw):
    """Two shortest vectors of a lattice, one in each row."""
    length, angle = draw(st.floats(0.05, 2)), draw(angles)
    along = draw(st.floats(-0.5, 0.5))
    across = max(draw(st.floats(0.5, 3)), math.sqrt(1 - along**2))
    first = length * np.array([math.cos(angle), math.sin(angle)])
    second = along * first + across * np.array([-first[1], first[0]])
    return torch.from_numpy(np.stack((first, second)))


def whole(cells):
    return bool(((cells - cells.round()).abs() < 1e-9).all())


@settings(deadline=None)
@given(vectors=lattices(), offset=st.tuples(st.floats(-5, 5), st.floats(-5, 5)))
@example(vectors=torch.eye(2, dtype=torch.double), offset=(0.5, -0.5))
@example(vectors=torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]]).double(), offset=(0.5, 0.5))
@example(vectors=torch.tensor([[2.0, 2e-6], [-2e-6, 2.0]]).double(), offset=(1.0, 1.0))
def test_reduced_offsets_are_the_shortest_and_differ_by_lattice_vectors(vectors, offset):
    offset = torch.tensor([offset], dtype=torch.double)
    reduced = reduce_modulo(offset, vectors)
    assert reduced.shape == offset.shape
    assert whole((reduced - offset) @ torch.linalg.inv(vectors))
    steps = torch.cartesian_prod(*[torch.arange(-3.0, 4.0, dtype=torch.double)] * 2)
    # Of two that are as short to that, the same one is taken whatever the rounding.
    alike = 3e-5 * vectors.abs().max()
    assert bool((reduced.norm() <= (reduced + steps @ vectors).norm(dim=-1) + alike).all())
    # Once more changes nothing, but for offsets halfway between two lattice points.
    again = reduce_modulo(reduced, vectors)
    torch.testing.assert_close(again.norm(), reduced.norm())
    assert whole((again - reduced) @ torch.linalg.inv(vectors))
    nearest = (reduced + steps @ vectors).norm(dim=-1).sort().values
    if float(nearest[1] - nearest[0]) > 1e-6:
        torch.testing.assert_close(again, reduced)


@settings(deadline=None)
@given(period=st.floats(0.05, 2), offset=st.floats(-5, 5))
def test_reduced_offsets_of_signals_are_the_shortest(period, offset):
    reduced = reduce_modulo(
        torch.tensor([[offset]], dtype=torch.double), torch.tensor([[period]], dtype=torch.double)
    )
    assert abs(float(reduced)) <= period / 2 + 1e-9
    assert whole((reduced - offset) / period)


def test_offsets_are_reduced_each_on_its_own():
    offset = torch.randn(4, 3, 2)
    vectors = torch.tensor([[0.5, 0.1], [-0.2, 0.6]])
    one_by_one = torch.stack([reduce_modulo(o, vectors) for o in offset.reshape(-1, 2)])
    torch.testing.assert_close(reduce_modulo(offset, vectors), one_by_one.reshape(4, 3, 2))


@settings(deadline=None)
@given(
    window=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    offset=offsets,
    angle=angles,
    scale=scales,
)
def test_a_row_and_a_column_tell_what_an_affine_map_does(window, offset, angle, scale):
    def carried(points):
        points = points.expand(3, *points.shape)
        shift = torch.tensor([offset] * 3, dtype=torch.double)
        turn = torch.tensor([angle, 0.0, -angle], dtype=torch.double)
        zoom = torch.tensor([scale, 1.0, 2.0], dtype=torch.double)
        return unscale(unrotate(unshift(points, shift), turn), zoom)

    grid = pixel_grid(window).double()
    torch.testing.assert_close(affine_grid(carried, grid), carried(grid))


def test_gradients_reach_every_pose():
    grid = grid_of((4, 6))
    offset = torch.tensor([[0.1, -0.2]], dtype=torch.double, requires_grad=True)
    angle = torch.tensor([0.3], dtype=torch.double, requires_grad=True)
    scale = torch.tensor([1.2], dtype=torch.double, requires_grad=True)

    def pose(offset, angle, scale):
        return unscale(unrotate(unshift(grid, offset), angle), scale)

    assert torch.autograd.gradcheck(pose, (offset, angle, scale))

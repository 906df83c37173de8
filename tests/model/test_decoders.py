"""Decoders: shapes, and what they show against a direct evaluation."""

import pytest
import torch
from torch import nn

from pyroshift.errors import SpecificationError
from pyroshift.model.decoders import DECODERS, CanvasDecoder, SpatialDecoder, look_at
from pyroshift.model.pose import half_window, pixel_grid, unrotate, unscale, unshift
from pyroshift.model.vae import ShiftVAE

WINDOWS = pytest.mark.parametrize(
    "window", [(8, 8), (7, 7), (5, 8), (9, 4), (2, 2), (12,), (13,), (2,)], ids=str
)


def coordinates(window, batch=3):
    grid = pixel_grid(window)
    return grid.expand(batch, *grid.shape)


@WINDOWS
@pytest.mark.parametrize("latent_dim", [1, 3])
@pytest.mark.parametrize("name", DECODERS)
def test_shapes_and_gradients(window, latent_dim, name):
    decoder = DECODERS[name](window, latent_dim)
    z = torch.randn(3, latent_dim, requires_grad=True)
    grid = (coordinates(window) * 0.9).requires_grad_()
    output = decoder(z, grid)
    assert output.shape == (3, *window)
    (output * torch.randn_like(output)).sum().backward()
    for value in (z, grid, *decoder.parameters()):
        assert bool((value.grad != 0).any())
    # Each patch reads its own coordinates: every row of the batch gets gradients.
    assert bool((grid.grad != 0).flatten(1).any(1).all())


@pytest.mark.parametrize("name", DECODERS)
def test_coordinates_of_one_patch_leave_the_others_alone(name):
    decoder, z = DECODERS[name]((6, 8), 2), torch.randn(2, 2)
    one = coordinates((6, 8), 2).clone()
    other = one.clone()
    other[1] = unshift(other[1:], torch.tensor([[0.2, -0.1]]))
    assert torch.equal(decoder(z, one)[0], decoder(z, other)[0])
    assert not torch.allclose(decoder(z, one)[1], decoder(z, other)[1])


# The canvas


@WINDOWS
@pytest.mark.parametrize("margin", [0, 1, 4])
def test_without_a_pose_the_window_is_the_middle_of_the_canvas(window, margin):
    decoder, z = CanvasDecoder(window, 2, margin), torch.randn(3, 2)
    middle = (slice(None), *(slice(margin, margin + size) for size in window))
    canvas = decoder.canvas(z)
    assert canvas.shape == (3, *(size + 2 * margin for size in window))
    torch.testing.assert_close(decoder(z, coordinates(window)), canvas[middle])


@pytest.mark.parametrize("window", [(8, 8), (5, 8), (9, 4)], ids=str)
@pytest.mark.parametrize("shift", [(2, 0), (0, -3), (-1, 4)], ids=str)
def test_a_whole_pixel_shift_moves_the_crop(window, shift):
    margin = 4
    decoder, z = CanvasDecoder(window, 2, margin), torch.randn(3, 2)
    offset = torch.tensor([shift], dtype=torch.float) * 2 / max(window)
    seen = decoder(z, unshift(coordinates(window), offset))
    crop = [slice(margin - s, margin - s + size) for s, size in zip(shift, window, strict=True)]
    torch.testing.assert_close(seen, decoder.canvas(z)[:, crop[0], crop[1]])


def test_a_whole_sample_shift_moves_the_crop_of_signals():
    decoder, z = CanvasDecoder((11,), 2, margin=5), torch.randn(3, 2)
    seen = decoder(z, unshift(coordinates((11,)), torch.tensor([[3 * 2 / 11]])))
    torch.testing.assert_close(seen, decoder.canvas(z)[:, 2:13])


def test_half_a_pixel_is_the_mean_of_two():
    canvas = torch.randn(1, 9)
    seen = look_at(canvas, coordinates((9,), 1) + 1 / 9, (9,))
    expected = (canvas[:, 1:] + canvas[:, :-1]) / 2
    torch.testing.assert_close(seen[:, :-1], expected)


def test_beyond_the_canvas_its_edge_goes_on():
    canvas = torch.randn(1, 6, 8)
    far = torch.tensor([[[[-9.0, 0.125], [9.0, 0.125], [0.125, -9.0], [0.125, 9.0]]]])
    seen = look_at(canvas, far, (6, 8)).flatten()
    expected = (canvas[0, 0, 4], canvas[0, -1, 4], canvas[0, 3, 0], canvas[0, 3, -1])
    torch.testing.assert_close(seen, torch.stack(expected))


@pytest.mark.parametrize("canvas_shape", [(2, 6), (6, 2), (1, 6), (6, 1), (1, 1), (1,)], ids=str)
def test_thin_canvases_are_read(canvas_shape):
    canvas = torch.randn(2, *canvas_shape)
    grid = coordinates(canvas_shape, 2)
    torch.testing.assert_close(look_at(canvas, grid, canvas_shape), canvas)


def test_quarter_turn_is_torchs_rot90():
    decoder, z = CanvasDecoder((8, 8), 2, margin=3), torch.randn(1, 2)
    seen = decoder(z, unrotate(coordinates((8, 8), 1), torch.tensor([torch.pi / 2])))
    upright = decoder(z, coordinates((8, 8), 1))
    torch.testing.assert_close(seen, torch.rot90(upright, 1, (1, 2)), rtol=1e-4, atol=1e-5)


def test_gradients_of_the_pose_are_those_of_the_interpolation():
    canvas = torch.randn(2, 10, 9, dtype=torch.double, requires_grad=True)
    grid = pixel_grid((6, 5)).double().expand(2, 6, 5, 2)
    # Not at a kink: no pixel falls on another.
    pose = torch.tensor([[0.031, -0.117, 0.3], [0.2, 0.05, -0.4]], dtype=torch.double)

    def window(pose, canvas):
        moved = unrotate(unshift(grid, pose[:, :2]), pose[:, 2])
        return look_at(canvas, moved, (6, 5))

    assert torch.autograd.gradcheck(window, (pose.requires_grad_(), canvas))


@pytest.mark.parametrize(
    ("window", "margin"), [((8, 8), -3), ((6, 9), -2), ((12,), -5), ((8, 8), -1)], ids=str
)
def test_a_canvas_may_be_smaller_than_the_window(window, margin):
    decoder, z = CanvasDecoder(window, 2, margin), torch.randn(3, 2)
    canvas = decoder.canvas(z)
    sizes = tuple(size + 2 * margin for size in window)
    assert canvas.shape == (3, *sizes) == (3, *decoder.canvas_shape)
    seen = decoder(z, coordinates(window))
    middle = (slice(None), *(slice(-margin, size + margin) for size in window))
    torch.testing.assert_close(seen[middle], canvas)
    # Beyond it, its edge goes on.
    first, last = (slice(None), *(0,) * len(window)), (slice(None), *(-1,) * len(window))
    torch.testing.assert_close(seen[first], canvas[first])
    torch.testing.assert_close(seen[last], canvas[last])
    torch.testing.assert_close(seen[:, -margin - 1], seen[:, 0])


@pytest.mark.parametrize(
    ("window", "margin"), [((8, 8), -4), ((8, 8), -5), ((7, 9), -3), ((6,), -3)], ids=str
)
def test_margins_that_leave_no_canvas_are_refused(window, margin):
    with pytest.raises(SpecificationError, match=f"margin={margin}"):
        CanvasDecoder(window, 2, margin)


@pytest.mark.parametrize("window", [(8, 8), (5, 9), (12,)], ids=str)
def test_the_canvas_is_smoothed(window):
    # (1, 2, 1) / 4 along every axis: a checkerboard is gone, a gradient stays.
    decoder = CanvasDecoder(window, 2)
    shape = tuple(size + 2 for size in window)
    ramp = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij")).sum(0)

    def canvas(raw):
        with torch.no_grad():
            decoder.layers[-1].weight.zero_()
            decoder.layers[-1].bias.copy_(raw.flatten())
            return decoder.canvas(torch.randn(1, 2))[0]

    checkerboard = 1 - 2.0 * (ramp % 2)
    torch.testing.assert_close(canvas(checkerboard), torch.zeros(window))
    inner = (slice(1, -1),) * len(window)
    torch.testing.assert_close(canvas(ramp.float()), ramp.float()[inner])
    spike = torch.zeros(shape)
    spike[(3,) * len(window)] = 1
    found = canvas(spike)
    assert float(found.sum()) == pytest.approx(1)
    assert float(found[(2,) * len(window)]) == pytest.approx(0.5 ** len(window))
    assert int((found != 0).sum()) == 3 ** len(window)


@pytest.mark.parametrize("window", [(16, 16), (32,)], ids=str)
def test_the_canvas_starts_almost_flat(window):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        canvas = CanvasDecoder(window, 2, margin=4).canvas(torch.randn(64, 2)).detach()
    assert float(canvas.abs().max()) < 0.2
    assert float((canvas - canvas.mean(0)).abs().max()) > 1e-4  # but z is seen


# The coordinate network


@pytest.mark.parametrize("window", [(4, 5), (6,)], ids=str)
def test_spatial_decoder_is_its_network_pixel_by_pixel(window):
    decoder, z = SpatialDecoder(window, 2, hidden=(7, 6)), torch.randn(3, 2)
    grid = unscale(coordinates(window), torch.tensor([0.5, 1.0, 2.0]))
    linear = [layer for layer in decoder.layers if isinstance(layer, nn.Linear)]
    output = decoder(z, grid).reshape(3, -1)
    for patch in range(3):
        for pixel, place in enumerate(grid[patch].reshape(-1, len(window))):
            hidden = decoder.from_coordinates.weight @ place + decoder.from_coordinates.bias
            hidden = torch.tanh(hidden + decoder.from_latents.weight @ z[patch])
            hidden = torch.tanh(linear[0].weight @ hidden + linear[0].bias)
            value = linear[1].weight @ hidden + linear[1].bias
            torch.testing.assert_close(output[patch, pixel], value[0])


def test_any_module_of_that_signature_is_a_decoder():
    class Blob(nn.Module):
        def forward(self, z, coordinates):
            return z[:, :1, None] * torch.exp(-coordinates.square().sum(-1))

    model = ShiftVAE((6, 8), latent_dim=1, decoder=Blob())
    values = {"offset": torch.zeros(1, 2), "z": torch.ones(1, 1)}
    expected = torch.exp(-pixel_grid((6, 8)).square().sum(-1))[None]
    torch.testing.assert_close(model.output(values), expected)


@pytest.mark.parametrize("window", [(9,), (8, 6)], ids=str)
def test_the_mean_output_is_the_mean_of_outputs(window):
    decoder = CanvasDecoder(window, 2, margin=3, hidden=(5, 7))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(generator=generator)
    z, coordinates = torch.randn(6, 2, generator=generator), pixel_grid(window)
    expected = decoder(z, coordinates.expand(6, *coordinates.shape)).mean(0)
    torch.testing.assert_close(decoder.mean_output(z, coordinates), expected)


@pytest.mark.parametrize("window", [(9,), (8, 6)], ids=str)
def test_slopes_are_central_differences_over_half_a_pixel(window):
    decoder = CanvasDecoder(window, 1, margin=3)
    with torch.no_grad():
        decoder.layers[-1].bias.normal_(generator=torch.Generator().manual_seed(0))
    z, unit = torch.zeros(4, 1), half_window(window)
    generator = torch.Generator().manual_seed(1)
    shift = torch.rand(4, *(1,) * len(window), len(window), generator=generator) / unit
    coordinates = pixel_grid(window) + shift
    output, slope = decoder.output_and_slope(z, coordinates)
    torch.testing.assert_close(output, decoder(z, coordinates))
    for axis in range(len(window)):
        step = torch.zeros(len(window))
        step[axis] = 0.5 / unit
        difference = decoder(z, coordinates + step) - decoder(z, coordinates - step)
        torch.testing.assert_close(slope[..., axis], unit * difference, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("maps", [None, 2])
@pytest.mark.parametrize("window", [(9,), (8, 6)], ids=str)
def test_one_canvas_for_motifs_that_are_all_one_gives_what_many_give(window, maps):
    decoder = CanvasDecoder(window, 2, margin=3, maps=maps)
    generator = torch.Generator().manual_seed(0)
    coordinates = pixel_grid(window) + torch.rand(4, *window, len(window), generator=generator)
    alike, others = torch.ones(4, 2), torch.randn(4, 2, generator=generator)
    mixed = torch.cat([alike, others])
    found = decoder.output_and_slope(alike, coordinates)
    beside = decoder.output_and_slope(mixed, torch.cat([coordinates, coordinates]))
    for one, many in zip(found, beside, strict=True):
        torch.testing.assert_close(one, many[:4])


def test_beyond_the_canvas_there_is_no_slope():
    decoder = CanvasDecoder((8, 8), 1)
    with torch.no_grad():
        decoder.layers[-1].bias.normal_(generator=torch.Generator().manual_seed(0))
    _, slope = decoder.output_and_slope(torch.zeros(1, 1), torch.full((1, 8, 8, 2), 3.0))
    assert not slope.any()

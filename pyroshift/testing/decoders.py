"""What every decoder must satisfy."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyroshift.model.parts import as_window
from pyroshift.model.pose import pixel_grid
from pyroshift.testing.report import Check, Report, require, require_close, require_gradient, run


def check_decoder(decoder: nn.Module, window: int | Sequence[int], latent_dim: int) -> Report:
    """Everything that a decoder of one's own must satisfy.

    Args:
        decoder: called with (z, coordinates): `batch x latent` and `batch x height x width x 2` or
            `batch x length x 1`, half-windows; it stays as it is.
        window: that it is made for, as a model takes it.
        latent_dim: number of latents that it is made for.

    Returns:
        What was checked.

    Raises:
        CheckError: if anything doesn't hold, with all that does not.

    Example:
        >>> from pyroshift import SpatialDecoder
        >>> print(check_decoder(SpatialDecoder((8, 8), 2), 8, 2).subject)
        SpatialDecoder
    """
    draw = _Inputs(as_window(window), latent_dim)
    return run(type(decoder).__name__, DECODER_CHECKS, decoder, draw)


class _Inputs:
    """Latents and coordinates such as models hand to a decoder."""

    def __init__(self, window: tuple[int, ...], latent_dim: int) -> None:
        self.window, self.latent_dim = window, latent_dim

    def __call__(self, count: int = 4) -> tuple[Tensor, Tensor]:
        axes = len(self.window)
        shift = 0.3 * torch.rand(count, *(1,) * axes, axes)
        return torch.randn(count, self.latent_dim), pixel_grid(self.window) - shift


def _varied(decoder: nn.Module) -> nn.Module:
    """A copy with weights that are none of a start's, which may be zero."""
    twin = copy.deepcopy(decoder)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return twin


def _gives_a_number_per_pixel(decoder: nn.Module, draw: _Inputs) -> None:
    z, coordinates = draw()
    found = decoder(z, coordinates)
    expected = tuple(coordinates.shape[:-1])
    require(tuple(found.shape) == expected, f"it gives {tuple(found.shape)}, not {expected}")
    require(bool(torch.isfinite(found).all()), "it gives infinities or no numbers")
    one = decoder(z[:1], coordinates[:1])
    require(tuple(one.shape) == (1, *expected[1:]), f"of a batch of one it gives {one.shape}")


def _takes_any_coordinates(decoder: nn.Module, draw: _Inputs) -> None:
    z, coordinates = draw()
    some = coordinates.flatten(1, -2)[:, ::3].unsqueeze(1)
    if coordinates.dim() == 4:
        found = _varied(decoder)(z, some)
        require(
            found.shape == some.shape[:-1],
            f"of {tuple(some.shape)} coordinates it gives {tuple(found.shape)}: the search for "
            "poses asks for other numbers of them than a window has pixels",
        )
    far = decoder(z, 5 * coordinates)
    require(bool(torch.isfinite(far).all()), "far outside of the window it gives no numbers")


def _patches_are_independent(decoder: nn.Module, draw: _Inputs) -> None:
    z, coordinates = draw()
    twin = _varied(decoder).eval()
    require_close(twin(z, coordinates)[2:3], twin(z[2:3], coordinates[2:3]), "a patch on its own")


def _depends_on_both(decoder: nn.Module, draw: _Inputs) -> None:
    z, coordinates = (value.requires_grad_() for value in draw())
    twin = _varied(decoder)
    weights = torch.randn(coordinates.shape[:-1])
    (twin(z, coordinates) * weights).sum().backward()
    wanted = [("z", z), ("the coordinates", coordinates), *twin.named_parameters()]
    for name, value in wanted:
        require_gradient(name, value)


def _moves_to_double_precision(decoder: nn.Module, draw: _Inputs) -> None:
    z, coordinates = draw()
    found = copy.deepcopy(decoder).double()(z.double(), coordinates.double())
    require(found.dtype == torch.double, f"after .double(), it gives {found.dtype}")


def _state_holds_all(decoder: nn.Module, draw: _Inputs) -> None:
    twin, (z, coordinates) = _varied(decoder), draw()
    other = copy.deepcopy(decoder)
    other.load_state_dict(twin.state_dict())
    require_close(
        other.eval()(z, coordinates), twin.eval()(z, coordinates), "with the weights of another"
    )


def _extras_agree(decoder: nn.Module, draw: _Inputs) -> None:
    twin, (z, coordinates) = _varied(decoder).eval(), draw()
    output = twin(z, coordinates)
    if (mean_output := getattr(twin, "mean_output", None)) is not None:
        alike = coordinates[:1].expand_as(coordinates)
        found = mean_output(z, coordinates[0])
        require_close(found, twin(z, alike).mean(0), "mean_output")
    if (output_and_slope := getattr(twin, "output_and_slope", None)) is not None:
        found, slope = output_and_slope(z, coordinates)
        require_close(found, output, "the output of output_and_slope")
        require(slope.shape == coordinates.shape, f"the slope has shape {tuple(slope.shape)}")
    if (changes := getattr(twin, "changes", None)) is not None:
        found = changes([(z, -z), (-z, z)], coordinates)
        change = output - twin(-z, coordinates)
        require_close(found, torch.stack([change, -change], 1), "changes")


DECODER_CHECKS = (
    Check("it gives one number per pixel", _gives_a_number_per_pixel),
    Check("it takes any coordinates", _takes_any_coordinates),
    Check("patches are independent", _patches_are_independent),
    Check("latents, coordinates and parameters get a gradient", _depends_on_both),
    Check("double precision", _moves_to_double_precision),
    Check("its state holds all that it has learned", _state_holds_all),
    Check("what else it offers agrees with its output", _extras_agree),
)

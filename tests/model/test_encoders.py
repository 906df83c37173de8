"""Encoders: shapes, gradients, and errors."""

import pytest
import torch
from torch import nn

from pyroshift.errors import SpecificationError
from pyroshift.model.encoders import (
    ENCODERS,
    ConvolutionalEncoder,
    FullyConnectedEncoder,
    count_features,
)
from pyroshift.model.vae import ShiftVAE

WINDOWS = pytest.mark.parametrize("window", [(8, 8), (7, 7), (5, 8), (9, 4), (12,), (13,)], ids=str)


@WINDOWS
@pytest.mark.parametrize("name", ENCODERS)
def test_shapes_and_gradients(window, name):
    encoder = ENCODERS[name](window)
    x = torch.randn(3, *window, requires_grad=True)
    features = encoder(x)
    assert features.shape == (3, 256)
    assert encoder(x[:1]).shape == (1, 256)
    features.square().sum().backward()
    # Every pixel is seen, and every layer is used.
    assert bool((x.grad != 0).all())
    assert all(bool((parameter.grad != 0).any()) for parameter in encoder.parameters())


@pytest.mark.parametrize("name", ENCODERS)
def test_patches_are_encoded_apart(name):
    encoder = ENCODERS[name]((8, 6))
    x = torch.randn(3, 8, 6)
    together = encoder(x)
    for patch in range(3):
        torch.testing.assert_close(together[patch : patch + 1], encoder(x[patch : patch + 1]))


def test_widths_are_the_users():
    assert FullyConnectedEncoder((8, 6), hidden=(32, 16, 5))(torch.rand(2, 8, 6)).shape == (2, 5)
    encoder = ConvolutionalEncoder((9, 17), channels=(4, 8, 3), features=11)
    assert encoder(torch.rand(2, 9, 17)).shape == (2, 11)
    channels = [layer.out_channels for layer in encoder.layers if isinstance(layer, nn.Conv2d)]
    assert channels == [4, 8, 3]


@pytest.mark.parametrize("window", [(3, 3), (3, 40), (40, 3), (3,)], ids=str)
def test_windows_too_small_for_the_convolutions_are_refused(window):
    with pytest.raises(SpecificationError, match="too small for 2 convolutions"):
        ConvolutionalEncoder(window)
    assert ConvolutionalEncoder(window, channels=(4,))(torch.rand(2, *window)).shape == (2, 256)


@pytest.mark.parametrize("training", [True, False])
def test_counting_features_changes_nothing(training):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(48, 7), nn.BatchNorm1d(7)).train(training)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert count_features(encoder, (8, 6)) == 7
    assert encoder.training is training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


class Returns(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.value


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (torch.zeros(1, 3, 4), r"\(1, 3, 4\)"),
        (torch.zeros(3), r"\(3,\)"),
        ((torch.zeros(1, 3), torch.zeros(1, 3)), "tuple"),
        (None, "NoneType"),
    ],
    ids=["three axes", "one axis", "tuple", "None"],
)
def test_encoders_that_return_something_else_are_refused(value, got):
    with pytest.raises(SpecificationError, match=f"`batch x features`, but gave {got}"):
        ShiftVAE((8, 6), encoder=Returns(value))


def test_unknown_encoders_are_refused():
    with pytest.raises(SpecificationError, match=r"unknown encoder 'resnet'.*'convolutional'"):
        ShiftVAE((8, 6), encoder="resnet")
    with pytest.raises(SpecificationError, match="torch module"):
        ShiftVAE((8, 6), encoder=lambda x: x)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_model_takes_each_encoder_by_name(name):
    model = ShiftVAE((8, 6), encoder=name)
    assert isinstance(model.encoder, ENCODERS[name])
    assert model.guide_module.summary(model, torch.rand(3, 8, 6))["offset"].shape == (3, 2)

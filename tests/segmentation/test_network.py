"""The segmenting network: shapes, and that it sees no farther than it says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyroshift.errors import SpecificationError
from pyroshift.segmentation.network import ChannelNorm, UNet


def network(widths=(4, 6, 8), dilations=(1, 2)):
    return UNet(widths, dilations).eval()


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 45), st.integers(1, 45),
    st.sampled_from([((4,), (1,)), ((4, 6), (1, 2)), ((2, 3, 4, 5), (1,))]),
)  # fmt: skip
def test_any_image_gives_one_logit_per_pixel(batch, height, width, build):
    found = network(*build)(torch.zeros(batch, height, width))
    assert found.shape == (batch, height, width)
    assert torch.isfinite(found).all()


def test_every_weight_gets_a_gradient():
    net = network()
    net(torch.randn(2, 32, 32)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


def test_an_image_does_not_change_the_others_of_its_batch():
    net, images = network(), torch.randn(3, 24, 24)
    together = net(images)
    torch.testing.assert_close(together[1], net(images[1:2])[0])


@pytest.mark.parametrize("build", [((4,), (1, 3)), ((4, 6), (2,)), ((4, 6, 8), (1, 2, 4))])
def test_a_pixel_changes_nothing_beyond_the_reach(build):
    net = network(*build)
    size = 2 * net.reach + 41
    image = torch.randn(1, size, size)
    for shift in range(net.stride):
        y = x = size // 2 + shift
        changed = image.clone()
        changed[0, y, x] += 10
        moved = ((net(changed) - net(image))[0].abs() > 1e-6).nonzero()
        farthest = int((moved - torch.tensor([y, x])).abs().max())
        assert 0 < farthest <= net.reach


def test_a_shift_by_the_stride_shifts_the_result():
    net = network()
    size = 2 * net.reach + 16
    image = torch.randn(1, size + net.stride, size)
    inside = slice(net.reach, net.reach + 16)
    torch.testing.assert_close(
        net(image[:, net.stride :])[:, inside, inside],
        net(image)[:, net.reach + net.stride : net.reach + 16 + net.stride, inside],
    )


def test_channels_of_a_pixel_are_normalised():
    x = ChannelNorm(16)(5 + 3 * torch.randn(2, 16, 4, 5))
    torch.testing.assert_close(x.mean(1), torch.zeros(2, 4, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.var(1, correction=0), torch.ones(2, 4, 5), atol=1e-4, rtol=0)


@pytest.mark.parametrize("build", [((), (1,)), ((4,), ()), ((4, 0), (1,)), ((4,), (0,))])
def test_networks_that_make_no_sense(build):
    with pytest.raises(SpecificationError, match="can't be used"):
        UNet(*build)

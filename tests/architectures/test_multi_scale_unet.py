from itertools import pairwise

import pytest
import torch
from contracts.architecture import ArchitectureContract
from torch import nn
from torch.nn import functional

from nnunet_pancext.architectures import MultiScaleUNet, count_parameters


class TestMultiScaleUNet(ArchitectureContract):
    network_class = MultiScaleUNet
    num_downsamplings = 4
    options = {"base_channels": 8}
    strides_are_kernels = True


def conv(kernel, narrow, wide):
    return kernel * kernel * narrow * wide + wide + 2 * wide  # with bias, and the norm's two


def test_parameters_by_hand():
    """Eq. 1-4 with channels 8, 16, 32, 64, 128 and 2D kernels."""
    channels = [8, 16, 32, 64, 128]
    expected = 0
    narrow = 1
    for wide in channels[:-1]:
        half = wide // 2
        expected += conv(3, narrow, wide) + conv(3, wide, wide)
        expected += conv(1, narrow, half) + conv(3, half, half) + conv(5, narrow, half) + conv(3, half, half)
        narrow = wide
    expected += conv(1, 64, 64) + conv(3, 64, 64)
    expected += conv(3, 64, 32) + conv(3, 32, 32) + conv(5, 64, 32) + conv(3, 32, 32)
    for narrow, wide in pairwise(channels):
        expected += 4 * narrow * wide + narrow + 2 * conv(3, 2 * narrow, narrow)
    expected += 8 * 2 + 2
    network = MultiScaleUNet(spatial_dims=2, in_channels=1, num_classes=2, base_channels=8)
    assert count_parameters(network) == expected


@pytest.mark.parametrize(("dims", "widths"), [(2, [64, 128, 256, 512, 512]), (3, [32, 64, 128, 256, 512])])
def test_default_widths(dims, widths):
    with torch.device("meta"):
        network = MultiScaleUNet(spatial_dims=dims, in_channels=1, num_classes=2)
        features = network.backbone(torch.empty(1, 1, *(32,) * dims))
    assert [found.shape[1] for found in features] == widths


def test_both_encoders_reach_the_centre_and_the_decoder():
    network = MultiScaleUNet(spatial_dims=2, in_channels=1, num_classes=2, base_channels=8).eval()
    image = torch.randn(1, 1, 32, 32)
    whole = network.backbone(image)
    for encoder in (network.backbone.first_encoder, network.backbone.second_encoder):
        handles = [
            module.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
            for module in encoder.modules()
            if isinstance(module, nn.Sequential)
        ]
        changed = network.backbone(image)
        for handle in handles:
            handle.remove()
        assert all(not torch.equal(output, other) for output, other in zip(whole, changed, strict=True))


@pytest.mark.parametrize("dims", [2, 3], ids=["2d", "3d"])
def test_the_backbone_is_eq_1_to_4(dims):
    strides = [(1, 2, 2)[-dims:], *[(2,) * dims] * 3]
    network = MultiScaleUNet(
        spatial_dims=dims, in_channels=1, num_classes=2, base_channels=8, strides=strides
    ).eval()
    parts = network.backbone
    pool = functional.max_pool2d if dims == 2 else functional.max_pool3d
    image = torch.randn(1, 1, *(32,) * dims, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = second = image
        skips = []
        for level, stride in enumerate(strides):
            of_1, of_5 = parts.second_encoder[level]
            first = parts.first_encoder[level](first)
            second = torch.cat([of_1(second), of_5(second)], dim=1)
            skips.append((first, second))
            first, second = pool(first, stride, stride), pool(second, stride, stride)
        of_3, of_5 = parts.second_centre
        features = torch.cat([parts.first_centre(first), of_3(second), of_5(second)], dim=1)
        expected = [features]
        for level in (3, 2, 1, 0):
            first, second = skips[level]
            enlarged = parts.enlarge[level](features)
            joined = parts.first_merge[level](torch.cat([enlarged, first], dim=1))
            features = parts.second_merge[level](torch.cat([joined, second], dim=1))
            expected.insert(0, features)
        torch.testing.assert_close(parts(image), expected)


def test_base_channels_must_divide():
    with pytest.raises(ValueError, match="base_channels is 6"):
        MultiScaleUNet(spatial_dims=2, in_channels=1, num_classes=2, base_channels=6)

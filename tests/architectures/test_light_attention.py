"""Attention that takes the place of the non-local one: against the papers' formulas and other libraries."""

import math

import pytest
import torch
from monai.networks.blocks import ChannelSELayer

from nnunet_pancext.architectures import CDINSTSeg
from nnunet_pancext.architectures.blocks.localization import (
    EfficientChannelAttention,
    SpatialAttentionModule,
    SqueezeExcitation,
)

SPATIAL = {2: (5, 7), 3: (3, 5, 4)}


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def dims(request):
    return request.param


def features_of(dims, channels=32):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, channels, *SPATIAL[dims], generator=generator, dtype=torch.float64)


def test_squeeze_and_excitation_is_monais(dims):
    ours = SqueezeExcitation(channels=32).double()
    theirs = ChannelSELayer(spatial_dims=dims, in_channels=32, r=16).double()
    weights = [ours.squeeze.weight, ours.squeeze.bias, ours.excite.weight, ours.excite.bias]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), weights, strict=True)))
    torch.testing.assert_close(ours(features_of(dims)), theirs(features_of(dims)), rtol=0, atol=1e-13)


def test_efficient_channel_attention_is_its_papers_equation(dims):
    features = features_of(dims)
    block = EfficientChannelAttention(channels=32).double()
    (kernel,) = block.parameters()
    taps = kernel.flatten()
    assert len(taps) == 3
    mean = features.flatten(2).mean(2)
    weights = torch.zeros(2, 32, dtype=torch.float64)
    for channel in range(32):
        for tap, neighbour in zip(taps, range(channel - 1, channel + 2), strict=True):
            if 0 <= neighbour < 32:
                weights[:, channel] += tap * mean[:, neighbour]
    expected = features * weights.sigmoid().view(2, 32, *[1] * dims)
    torch.testing.assert_close(block(features), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("channels", [8, 16, 32, 64, 128, 256, 512, 1024])
def test_the_kernel_of_efficient_channel_attention_is_the_papers(channels):
    """Eq. 12 with gamma 2 and b 1, rounded to odd as the authors do."""
    size = EfficientChannelAttention(channels=channels).along_channels.kernel_size[0]
    truncated = math.floor(abs(math.log2(channels) / 2 + 1 / 2))
    assert size % 2 == 1
    assert size in (truncated, truncated + 1)
    assert {64: 3, 128: 5, 256: 5, 512: 5}.get(channels, size) == size


def test_the_spatial_attention_module_is_its_papers_equation(dims):
    features = features_of(dims)
    block = SpatialAttentionModule(spatial_dims=dims).double()
    (kernel,) = block.parameters()
    assert kernel.shape == (1, 2, *[7] * dims)
    padded = torch.zeros(2, 2, *(length + 6 for length in SPATIAL[dims]), dtype=torch.float64)
    inside = tuple(slice(3, 3 + length) for length in SPATIAL[dims])
    padded[(slice(None), 0, *inside)] = features.mean(1)
    padded[(slice(None), 1, *inside)] = features.max(1).values
    expected = torch.empty_like(features)
    for position in torch.cartesian_prod(*map(torch.arange, SPATIAL[dims])).tolist():
        window = padded[(..., *(slice(start, start + 7) for start in position))]
        weight = (window * kernel[0]).flatten(1).sum(1).sigmoid()
        at = (slice(None), slice(None), *position)
        expected[at] = features[at] * weight[:, None]
    torch.testing.assert_close(block(features), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("attention", "kind"),
    [("se", SqueezeExcitation), ("eca", EfficientChannelAttention), ("sam", SpatialAttentionModule)],
)
def test_one_attention_takes_the_place_of_both_non_local_ones(dims, attention, kind):
    options = {"spatial_dims": dims, "in_channels": 1, "num_classes": 3, "base_channels": 8}
    network = CDINSTSeg(**options, attention=attention)
    usual = CDINSTSeg(**options)
    assert isinstance(network.mine.localize.attention, kind)
    different = network.state_dict().keys() ^ usual.state_dict().keys()
    assert {".".join(name.split(".")[:3]) for name in different} == {
        "mine.localize.attention",
        "mine.localize.channel_attention",
        "mine.localize.spatial_attention",
    }
    assert network.attention_names == usual.attention_names


def test_an_unknown_attention_is_refused():
    with pytest.raises(ValueError, match="attention is 'cbam'; it must be one of non-local, se, eca, sam"):
        CDINSTSeg(spatial_dims=2, in_channels=1, num_classes=2, base_channels=8, attention="cbam")

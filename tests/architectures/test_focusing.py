"""The blocks of localization and focusing against the published equations, written out in float64."""

import pytest
import torch
from contracts.convolutions import convolutions
from contracts.saved_memory import largest_saved
from torch import nn
from torch.nn import functional

from nnunet_pancext.architectures.blocks.focusing import (
    ContextExploration,
    FocusingModule,
    foreground_probability,
)
from nnunet_pancext.architectures.blocks.localization import (
    ChannelAttention,
    NonLocalLocalization,
    SpatialAttention,
)
from nnunet_pancext.architectures.blocks.target_mining import TargetMining

SPATIAL = {2: (5, 4), 3: (3, 4, 2)}
STRIDE = {2: (2, 1), 3: (1, 2, 2)}


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def dims(request):
    return request.param


def features_of(dims, channels=16):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, channels, *SPATIAL[dims], generator=generator, dtype=torch.float64)


def randomised(module):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return module.double().eval()


def conv(features, layer, dilation=1):
    padding = [dilation * (kernel // 2) for kernel in layer.weight.shape[2:]]
    operation = functional.conv2d if features.dim() == 4 else functional.conv3d
    return operation(features, layer.weight, layer.bias, padding=padding, dilation=dilation)


def norm(features, layer):
    axes = tuple(range(2, features.dim()))
    shape = (1, -1, *[1] * len(axes))
    mean = features.mean(axes, keepdim=True)
    variance = ((features - mean) ** 2).mean(axes, keepdim=True)
    return (features - mean) / (variance + layer.eps).sqrt() * layer.weight.view(shape) + layer.bias.view(
        shape
    )


def cbr(features, layers, dilation=1):
    return norm(conv(features, layers[0], dilation), layers[1]).clamp_min(0)


def test_the_convolutions_of_context_exploration(dims):
    block = ContextExploration(spatial_dims=dims, channels=16, norm="instance")
    assert convolutions(block.reductions) == [(16, 4, 1, 1)] * 4
    expected = [(1, 1), (3, 1), (3, 1), (3, 2), (5, 1), (3, 4), (7, 1), (3, 8)]
    assert convolutions(block.branches) == [(4, 4, kernel, dilation) for kernel, dilation in expected]
    assert convolutions(block.fusion) == [(16, 16, 1, 1)]


def test_the_convolutions_of_focusing_and_localization(dims):
    block = FocusingModule(
        spatial_dims=dims, channels=8, higher_channels=16, stride=STRIDE[dims], norm="instance"
    )
    assert convolutions(block.enlarge) == [(16, 8, 7, 1)]
    assert convolutions(block.map) == [(8, 1, 7, 1)]
    block = NonLocalLocalization(spatial_dims=dims, channels=16)
    assert convolutions(block) == [(16, 1, 7, 1)]


def test_channel_attention_is_eq_5_and_6(dims):
    block = randomised(ChannelAttention())
    features = features_of(dims)
    rows = features.flatten(2)
    expected = torch.empty_like(rows)
    for sample in range(2):
        for i in range(16):
            scores = torch.stack([rows[sample, i] @ rows[sample, j] for j in range(16)])
            weights = (scores - scores.max()).exp() / (scores - scores.max()).exp().sum()
            mixed = sum(weights[j] * rows[sample, j] for j in range(16))
            expected[sample, i] = block.gamma * mixed + rows[sample, i]
    torch.testing.assert_close(block(features), expected.view_as(features), rtol=0, atol=1e-12)


def test_spatial_attention_is_eq_7_and_8(dims):
    block = randomised(SpatialAttention(channels=16))
    features = features_of(dims)
    positions = features.flatten(2).transpose(1, 2)
    query, key, value = (
        positions @ layer.weight.T + layer.bias for layer in (block.query, block.key, block.value)
    )
    assert query.shape[2] == 2
    attention = (query @ key.transpose(1, 2)).softmax(dim=2)
    expected = block.gamma * (attention @ value).transpose(1, 2).reshape(features.shape) + features
    torch.testing.assert_close(block(features), expected, rtol=0, atol=1e-12)


def test_the_attention_matrix_is_not_stored():
    """What is kept for the backward pass stays linear in the number of positions."""
    block = SpatialAttention(channels=32)
    positions = 40 * 40
    largest = largest_saved(lambda: block(torch.randn(1, 32, 40, 40, requires_grad=True)))
    assert largest <= 32 * positions < positions**2


def test_gammas_start_at_one():
    block = NonLocalLocalization(spatial_dims=2, channels=16)
    assert block.channel_attention.gamma == 1
    assert block.spatial_attention.gamma == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_channel_attention_survives_half_precision(dtype):
    block = ChannelAttention()
    features = torch.full((1, 4, 64, 64), 8.0, dtype=dtype)  # products of 262,144: beyond half precision
    with torch.autocast("cpu", dtype=dtype):
        found = block(features)
    torch.testing.assert_close(found.float(), torch.full((1, 4, 64, 64), 16.0))


def test_context_exploration_adds_each_branch_to_the_next(dims):
    block = randomised(ContextExploration(spatial_dims=dims, channels=16, norm="instance"))
    features = features_of(dims)
    previous, found = 0, []
    for number, dilation in enumerate((1, 2, 4, 8)):
        local, context = block.branches[number]
        assert set(local[0].weight.shape[2:]) == {2 * number + 1}
        previous = cbr(cbr(cbr(features, block.reductions[number]) + previous, local), context, dilation)
        found.append(previous)
    expected = cbr(torch.cat(found, dim=1), block.fusion)
    torch.testing.assert_close(block(features), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sides", [("foreground", "background"), ("foreground",), ("background",)])
def test_focusing_is_eq_9(dims, sides):
    block = randomised(
        FocusingModule(
            spatial_dims=dims,
            channels=8,
            higher_channels=16,
            stride=STRIDE[dims],
            norm="instance",
            sides=sides,
        )
    )
    higher = features_of(dims)
    size = [length * step for length, step in zip(SPATIAL[dims], STRIDE[dims], strict=True)]
    generator = torch.Generator().manual_seed(2)
    features = torch.randn(2, 8, *size, generator=generator, dtype=torch.float64)
    attention = torch.rand(2, 1, *size, generator=generator, dtype=torch.float64)
    mode = "bilinear" if dims == 2 else "trilinear"
    expected = functional.interpolate(cbr(higher, block.enlarge), size=size, mode=mode)
    if "foreground" in sides:
        false_positive = block.explore["foreground"](features * attention)
        expected = expected - block.scales["foreground"] * false_positive
        expected = norm(expected, block.finish["foreground"][0]).clamp_min(0)
    if "background" in sides:
        false_negative = block.explore["background"](features * (1 - attention))
        expected = expected + block.scales["background"] * false_negative
        expected = norm(expected, block.finish["background"][0]).clamp_min(0)
    refined, logits = block(features, higher, attention)
    torch.testing.assert_close(refined, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(logits, conv(expected, block.map), rtol=0, atol=1e-10)


def test_the_scales_of_focusing_start_at_one():
    block = FocusingModule(spatial_dims=2, channels=8, higher_channels=8, stride=(2, 2), norm="batch")
    assert {name: scale.item() for name, scale in block.scales.items()} == {"foreground": 1, "background": 1}


def test_foreground_of_two_classes_is_the_sigmoid_of_their_difference():
    logits = features_of(2, channels=2)
    expected = (logits[:, 1:] - logits[:, :1]).sigmoid()
    torch.testing.assert_close(foreground_probability(logits), expected, rtol=0, atol=1e-14)


def test_foreground_of_regions_and_of_one_channel():
    logits = features_of(2, channels=3)
    found = foreground_probability(logits, torch.tensor(True))
    torch.testing.assert_close(found, logits.sigmoid().amax(1, keepdim=True))
    found = foreground_probability(logits, torch.tensor(False))
    torch.testing.assert_close(found, 1 - logits.softmax(1)[:, :1])
    torch.testing.assert_close(foreground_probability(logits[:, :1]), logits[:, :1].sigmoid())


def test_mining_looks_where_the_coarser_map_finds_foreground(dims):
    mining = randomised(
        TargetMining(spatial_dims=dims, channels=(8, 16), strides=[STRIDE[dims]], norm="instance")
    )
    deepest = features_of(dims)
    size = [length * step for length, step in zip(SPATIAL[dims], STRIDE[dims], strict=True)]
    fine = torch.randn(2, 8, *size, dtype=torch.float64)
    attended, coarse = mining.localize(deepest)
    mode = "bilinear" if dims == 2 else "trilinear"
    attention = functional.interpolate(coarse, size=size, mode=mode).sigmoid()
    expected = mining.refine[0](fine, attended, attention)
    refined, maps = mining([fine, deepest])
    torch.testing.assert_close(refined, expected[0])
    torch.testing.assert_close(maps[0], expected[1])
    torch.testing.assert_close(maps[1], coarse)


@pytest.mark.parametrize("focusing", [True, False])
@pytest.mark.parametrize("localization", [True, False])
def test_what_is_left_out_has_no_parameters(localization, focusing):
    mining = TargetMining(
        spatial_dims=2,
        channels=(8, 16),
        strides=[(2, 2)],
        norm="batch",
        localization=localization,
        focusing=focusing,
    )
    kinds = {type(module) for module in mining.modules()}
    assert (SpatialAttention in kinds) is localization
    assert (ContextExploration in kinds) is focusing
    assert all(isinstance(part, nn.Conv2d) for part in mining.training_only_modules)
    assert bool(mining.training_only_modules) is not focusing


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="got 6 channels"):
        ContextExploration(spatial_dims=2, channels=6, norm="batch")
    for sides in ((), ("middle",)):
        with pytest.raises(ValueError, match="must name foreground or background"):
            FocusingModule(
                spatial_dims=2, channels=8, higher_channels=8, stride=(2, 2), norm="batch", sides=sides
            )


def test_weights_of_both_sides_are_not_for_one():
    options = {"spatial_dims": 2, "channels": 8, "higher_channels": 16, "stride": (2, 2), "norm": "batch"}
    both, one = FocusingModule(**options), FocusingModule(**options, sides=("foreground",))
    with pytest.raises(RuntimeError, match=r"explore\.background"):
        one.load_state_dict(both.state_dict())
    with pytest.raises(RuntimeError, match=r"explore\.background"):
        both.load_state_dict(one.state_dict())

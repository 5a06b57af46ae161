"""The contract's own check: it finds what is cut off, and excuses what a layer takes away by definition."""

import pytest
import torch
from contracts.gradients import idle_parameters
from torch import nn
from torch.nn import functional

from nnunet_pancext.architectures import AttentionUNet, DLKUNet, MultiScaleUNet


class Sum(nn.Module):
    """The sum of two branches, the second times `factor`."""

    def __init__(self, first, second, factor=1.0):
        super().__init__()
        self.first, self.second, self.factor = first, second, factor

    def forward(self, image):
        return self.first(image) + self.factor * self.second(image)


class Attention(nn.Module):
    """Attention over positions: a constant added to every key changes nothing."""

    def __init__(self, fused):
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(1, 2, 1) for _ in range(3))
        self.fused = fused

    def forward(self, image):
        query, key, value = (
            layer(image).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        if self.fused:
            return functional.scaled_dot_product_attention(query, key, value)
        return (query @ key.transpose(1, 2)).softmax(dim=-1) @ value


def idle(network):
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return idle_parameters(network, torch.randn(2, 1, 6, 6))


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.InstanceNorm2d(4, affine=True), nn.GroupNorm(4, 4)])
def test_a_bias_that_a_norm_takes_away_is_excused(norm):
    assert idle(nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Conv2d(4, 1, 1))) == []


@pytest.mark.parametrize("fused", [True, False])
def test_a_bias_that_a_softmax_takes_away_is_excused(fused):
    assert idle(Attention(fused)) == []


def test_a_branch_that_is_cut_off_is_found():
    branch = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    network = Sum(nn.Conv2d(1, 4, 1), branch, factor=0.0)
    assert idle(network) == [f"second.{name}" for name, _ in branch.named_parameters()]


def test_a_layer_that_is_never_called_is_found():
    network = nn.Sequential(nn.Conv2d(1, 1, 1))
    network.forgotten = nn.Identity()
    network.forgotten.layer = nn.Conv2d(1, 1, 1)
    network.forward = lambda image: network[0](image)
    assert idle(network) == ["forgotten.layer.weight", "forgotten.layer.bias"]


def test_a_weight_is_excused_by_no_norm():
    """A norm over one position, and a softmax over one channel, are constant."""
    one_position = nn.Sequential(nn.Conv2d(1, 4, 6), nn.GroupNorm(4, 4), nn.Conv2d(4, 1, 1))
    assert "0.weight" in idle(one_position)
    one_channel = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Softmax(dim=1), nn.Conv2d(1, 1, 1))
    assert idle(one_channel) == ["0.weight"]


@pytest.mark.parametrize(
    ("network_class", "options"),
    [
        (DLKUNet, {"num_levels": 3, "base_channels": 4}),
        (AttentionUNet, {"base_channels": 4}),
        (MultiScaleUNet, {"base_channels": 8}),
    ],
)
def test_a_layer_of_a_network_that_is_cut_off_is_found(network_class, options):
    """Every seventh convolution in turn is detached: its output stays the same."""
    torch.manual_seed(0)
    network = network_class(spatial_dims=2, in_channels=1, num_classes=3, deep_supervision=True, **options)
    image = torch.randn(2, 1, *(2 * step for step in network.minimum_size))
    assert idle_parameters(network, image) == []
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    for name in list(layers)[::7]:
        hook = layers[name].register_forward_hook(lambda layer, inputs, output: output.detach())
        found = idle_parameters(network, image)
        hook.remove()
        assert {f"{name}.{part}" for part, _ in layers[name].named_parameters()} <= set(found)

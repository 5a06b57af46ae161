import pytest
import torch
from contracts.architecture import ArchitectureContract
from contracts.gradients import idle_parameters
from torch import nn
from torch.nn import functional

from nnunet_pancext.architectures import AttentionUNet, count_parameters
from nnunet_pancext.architectures.blocks.attention_gate import AdditiveAttention, AttentionGate, GatedSkip


class TestAttentionUNet(ArchitectureContract):
    network_class = AttentionUNet
    num_downsamplings = 4
    options = {"base_channels": 4}
    has_auxiliary_heads = False
    strides_are_kernels = True


def build(**options):
    torch.manual_seed(0)
    return AttentionUNet(
        **{"spatial_dims": 2, "in_channels": 1, "num_classes": 2, "base_channels": 4, **options}
    )


@pytest.mark.parametrize("dims", [2, 3], ids=["2d", "3d"])
def test_a_gradient_reaches_every_head(dims):
    network = build(spatial_dims=dims, num_heads=3, deep_supervision=True)
    image = torch.randn(2, 1, *network.minimum_size[:-1], 2 * network.minimum_size[-1])
    assert idle_parameters(network, image) == []


# By hand: each further head of a level with c channels adds to the gate c*c*8 (theta), 2c*c + c (phi),
# c + 1 (psi), c*c + c + 2c (w) and c*c (its share of the combining convolution).
HEAD = sum(12 * c * c + 5 * c + 1 for c in (32, 64, 128))


@pytest.mark.parametrize(
    ("num_heads", "parameters"),
    [(0, 5_887_466), (1, 6_213_613), (2, 6_472_784), (3, 6_472_784 + HEAD)],
)
def test_parameters_in_3d(num_heads, parameters):
    with torch.device("meta"):
        network = build(spatial_dims=3, base_channels=16, num_heads=num_heads)
    assert count_parameters(network) == parameters


class SingleGate(nn.Module):
    """A gated skip as Oktay et al. draw it, without any notion of heads: 2D, stride 2, InstanceNorm."""

    def __init__(self, channels, gating_channels):
        super().__init__()
        self.theta = nn.Conv2d(channels, channels, 2, 2, bias=False)
        self.phi = nn.Conv2d(gating_channels, channels, 1)
        self.psi = nn.Conv2d(channels, 1, 1)
        self.w = nn.Conv2d(channels, channels, 1)
        self.w_norm = nn.InstanceNorm2d(channels, affine=True)
        self.combine = nn.Conv2d(channels, channels, 1)
        self.combine_norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, skip, gating):
        coarse = torch.sigmoid(self.psi(functional.relu(self.theta(skip) + self.phi(gating))))
        attention = functional.interpolate(coarse, size=skip.shape[2:], mode="bilinear")
        gated = self.w_norm(self.w(attention * skip))
        return functional.relu(self.combine_norm(self.combine(gated)))


def test_one_head_is_the_single_gate_weight_for_weight():
    torch.manual_seed(0)
    single = SingleGate(4, 8)
    for parameter in single.parameters():
        nn.init.normal_(parameter)
    options = {"spatial_dims": 2, "channels": 4, "gating_channels": 8, "stride": (2, 2), "norm": "instance"}
    one_head = GatedSkip(num_heads=1, **options)
    one_head.load_state_dict(dict(zip(one_head.state_dict(), single.state_dict().values(), strict=True)))
    skip, gating = torch.randn(2, 4, 12, 8), torch.randn(2, 8, 6, 4)
    torch.testing.assert_close(one_head(skip, gating)[0], single(skip, gating))


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_logits_and_attention_come_from_one_pass(deep_supervision):
    network = build(num_heads=2, deep_supervision=deep_supervision).eval()
    image = torch.randn(1, 1, 50, 44)  # padded inside
    expected, maps = network(image), network.attention_maps(image)
    passes = []
    network.encoder[0].register_forward_hook(lambda *_: passes.append(1))
    logits, attentions = network(image, return_attention=True)
    assert len(passes) == 1
    assert len(attentions) == 3
    assert all(map(torch.equal, attentions, maps))
    if not deep_supervision:
        logits, expected = [logits], [expected]
    assert all(map(torch.equal, logits, expected))


def test_the_attention_is_the_papers_formula():
    torch.manual_seed(0)
    gate = AdditiveAttention(spatial_dims=2, channels=4, gating_channels=8, stride=(2, 2)).double()
    skip = torch.randn(2, 4, 12, 10, dtype=torch.float64)
    gating = torch.randn(2, 8, 6, 5, dtype=torch.float64)
    joint = functional.conv2d(skip, gate.theta.weight, stride=2)
    joint = (joint + functional.conv2d(gating, gate.phi.weight, gate.phi.bias)).clamp(min=0)
    coarse = 1 / (1 + torch.exp(-functional.conv2d(joint, gate.psi.weight, gate.psi.bias)))
    expected = functional.interpolate(coarse, size=(12, 10), mode="bilinear", align_corners=False)
    torch.testing.assert_close(gate(skip, gating), expected)


def test_a_gate_weighs_the_skip_by_its_attention():
    gate = AttentionGate(spatial_dims=2, channels=4, gating_channels=8, stride=(1, 2), norm="instance").eval()
    skip, gating = torch.randn(1, 4, 8, 8), torch.randn(1, 8, 8, 4)
    gated, attention = gate(skip, gating)
    assert attention.shape == (1, 1, 8, 8)
    torch.testing.assert_close(gated, gate.w(skip * attention))


@pytest.mark.parametrize("num_heads", [1, 3])
def test_attention_maps_are_one_per_gated_level_and_head(num_heads):
    network = build(num_heads=num_heads).eval()
    maps = network.attention_maps(torch.randn(1, 1, 64, 32))
    assert [tuple(found.shape) for found in maps] == [
        (1, num_heads, 32, 16),
        (1, num_heads, 16, 8),
        (1, num_heads, 8, 4),
    ]
    assert all(found.min() > 0 and found.max() < 1 for found in maps)


@pytest.mark.parametrize("num_heads", [1, 3])
def test_a_gate_weighs_the_encoders_features_and_is_steered_from_one_level_below(num_heads):
    network = build(num_heads=num_heads).eval()
    made, given = {}, {}

    def keep_output(module, _, output):
        made[module] = output.clone()

    def keep_inputs(gate, inputs):
        given[gate] = [value.clone() for value in inputs]

    for module in (*network.encoder, *network.decoder):
        module.register_forward_hook(keep_output)
    for gated in network.gated_skips:
        for gate in gated.gates:
            gate.register_forward_pre_hook(keep_inputs)
    network(torch.randn(1, 1, 32, 48))
    bottleneck = network.gating(made[network.encoder[-1]])
    below = [*(made[stage] for stage in network.decoder[2:]), bottleneck]
    for gated, encoded, signal in zip(network.gated_skips, network.encoder[1:-1], below, strict=True):
        assert len(gated.gates) == num_heads
        for gate in gated.gates:
            skip, gating = given[gate]
            assert torch.equal(skip, made[encoded])
            assert torch.equal(gating, signal)


def test_without_gates_there_are_no_maps():
    assert build(num_heads=0).eval().attention_maps(torch.randn(1, 1, 32, 32)) == []


def test_the_output_is_fused_from_all_levels():
    network = build(deep_supervision=True).eval()
    image = torch.randn(1, 1, 32, 48)
    features = network.forward_features(image)
    enlarged = [
        functional.interpolate(head(level), size=(32, 48), mode="bilinear")
        for head, level in zip(network.level_heads, features, strict=True)
    ]
    fused, *coarser = network(image)
    torch.testing.assert_close(fused, network.head(torch.cat(enlarged, dim=1)))
    assert [tuple(found.shape[2:]) for found in coarser] == [(16, 24), (8, 12), (4, 6)]


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="num_heads is -1"):
        build(num_heads=-1)
    with pytest.raises(ValueError, match="too small for AttentionUNet"):
        build(spatial_dims=3)(torch.randn(1, 1, 16, 16, 16))  # InstanceNorm would have one position

import pytest
import torch
from contracts.architecture import ArchitectureContract
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from nnunet_pancext.architectures import DLKUNet, count_parameters
from nnunet_pancext.architectures.blocks.large_kernel import LargeKernelAttention, LargeKernelBlock


class TestDLKUNet(ArchitectureContract):
    network_class = DLKUNet
    num_downsamplings = 2
    options = {"num_levels": 3, "base_channels": 4}
    strides_are_kernels = True
    compiled_dims = (2, 3)


def build(num_levels, **options):
    return DLKUNet(spatial_dims=2, in_channels=1, num_classes=9, num_levels=num_levels, **options)


@pytest.mark.parametrize(
    ("num_levels", "base_channels", "parameters"),
    [
        (3, None, 1_131_379),
        (4, None, 4_494_451),
        (5, None, 17_708_659),
        (3, 64, 524_883),
        (4, 64, 2_046_035),
        (5, 64, 7_971_923),
        (3, 128, 1_967_251),
        (4, 128, 7_893_139),
        (5, 128, 31_279_251),
    ],
)
def test_parameters_of_the_papers_sizes(num_levels, base_channels, parameters):
    with torch.device("meta"):
        assert count_parameters(build(num_levels, base_channels=base_channels)) == parameters


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"depthwise_kernel": 5}, 17_848_451),
        ({"depthwise_kernel": 7}, 18_058_139),
        ({"large_kernels": (3, 7)}, 17_638_003),
        ({"large_kernels": (5, 5)}, 17_602_675),
    ],
)
def test_parameters_of_the_papers_kernels(options, parameters):
    with torch.device("meta"):
        assert count_parameters(build(5, **options)) == parameters


@pytest.mark.parametrize(("num_levels", "billions"), [(3, 10.280), (4, 14.385), (5, 18.403)])
def test_multiply_adds_at_the_papers_size(num_levels, billions):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build(num_levels)(torch.empty(1, 1, 224, 224))
    assert counter.get_total_flops() / 2e9 == pytest.approx(billions, rel=1e-3)


@pytest.mark.parametrize(
    ("spatial_dims", "norm", "width"), [(2, nn.BatchNorm2d, 96), (3, nn.InstanceNorm3d, 32)]
)
def test_norm_and_width_follow_the_dimensions(spatial_dims, norm, width):
    with torch.device("meta"):
        network = DLKUNet(spatial_dims=spatial_dims, in_channels=1, num_classes=2, num_levels=3)
    norms = [layer for layer in network.modules() if "Norm" in type(layer).__name__]
    assert {type(layer) for layer in norms} == {norm}
    assert norms[0].num_features == width


def test_the_attention_is_the_papers_formula():
    torch.manual_seed(0)
    attention = LargeKernelAttention(spatial_dims=2, channels=4).double()
    local, wide, pointwise = attention.gate
    features = torch.randn(1, 4, 30, 31, dtype=torch.float64)
    gate = functional.conv2d(features, local.weight, local.bias, padding=2, groups=4)
    gate = functional.conv2d(gate, wide.weight, wide.bias, padding=9, dilation=3, groups=4)
    gate = functional.conv2d(gate, pointwise.weight, pointwise.bias)
    torch.testing.assert_close(attention(features), features * gate)


def randomised(module):
    """Return the module in double precision, its BatchNorms no longer nearly the identity."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return module.double().eval()


def block_by_hand(block, features, *, second_relu=False):
    """DW3, 1x1, BN, ReLU; DW3, 1x1, BN = u within 20; then u * [1x1(DW7 dilation 3 (DW5(u)))]."""
    for first in (0, 4):
        depthwise, pointwise, norm = block.separable[first : first + 3]
        weight, bias = depthwise.weight, depthwise.bias
        features = functional.conv2d(features, weight, bias, padding=1, groups=len(weight))
        features = functional.conv2d(features, pointwise.weight, pointwise.bias)
        features = (features - column(norm.running_mean)) / column(norm.running_var + norm.eps).sqrt()
        features = features * column(norm.weight) + column(norm.bias)
        if second_relu:
            features = features.clamp(0, 20)
        else:
            features = features.clamp(min=0) if first == 0 else features.clamp(-20, 20)
    local, wide, pointwise = block.attention.gate
    width = len(local.weight)
    gate = functional.conv2d(features, local.weight, local.bias, padding=2, groups=width)
    gate = functional.conv2d(gate, wide.weight, wide.bias, padding=9, dilation=3, groups=width)
    return features * functional.conv2d(gate, pointwise.weight, pointwise.bias)


def column(values):
    return values[:, None, None]


@pytest.mark.parametrize("second_relu", [False, True])
@pytest.mark.parametrize("size", [1, 100], ids=["usual", "beyond the bounds"])
def test_the_block_is_the_papers_order_of_layers(second_relu, size):
    block = LargeKernelBlock(spatial_dims=2, in_channels=3, out_channels=4, second_relu=second_relu)
    features = size * torch.randn(2, 3, 14, 11, dtype=torch.float64)
    expected = block_by_hand(randomised(block), features, second_relu=second_relu)
    torch.testing.assert_close(block(features), expected)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("built", [False, True])
def test_a_checkpoint_contains_the_form_of_its_weights(recwarn, stored, built):
    torch.manual_seed(0)
    trained = build(3, base_channels=4, second_relu=stored).eval()
    loaded = build(3, base_channels=4, second_relu=built).eval()
    loaded.load_state_dict(trained.state_dict())
    image = torch.randn(1, 1, 16, 16)
    assert torch.equal(loaded(image), trained(image))
    assert loaded.state_dict()["second_relu"] == stored
    messages = [str(warning.message) for warning in recwarn if "DLKUNet" in str(warning.message)]
    assert len(messages) == (stored != built)


def test_a_checkpoint_without_a_form_is_of_the_former_one_and_runs_as_such():
    torch.manual_seed(0)
    former = build(3, base_channels=4, second_relu=True).eval()
    weights = former.state_dict()
    del weights["second_relu"]
    loaded = build(3, base_channels=4).eval()
    with pytest.warns(UserWarning, match="a second ReLU in each block, as in former versions, .* that form"):
        loaded.load_state_dict(weights, strict=True)
    image = torch.randn(1, 1, 16, 16)
    assert torch.equal(loaded(image), former(image))
    assert "second_relu" not in weights
    again = build(3, base_channels=4).eval()  # what is saved after `--c`
    again.load_state_dict(loaded.state_dict())
    assert torch.equal(again(image), former(image))


def test_weights_of_a_part_leave_the_form():
    network = build(3, base_channels=4)
    encoder = {name: value for name, value in network.state_dict().items() if name.startswith("encoder.")}
    network.load_state_dict(encoder, strict=False)
    assert not network.second_relu
    assert network.encoder[0].separable[-1].min_val == -20
    with pytest.raises(RuntimeError, match="second_relu"):
        network.load_state_dict(encoder)


def test_the_network_is_the_papers_path_through_encoder_and_decoder():
    network = randomised(build(3, base_channels=4, strides=[(2, 2), (1, 2)], deep_supervision=True))
    image = torch.randn(2, 1, 14, 16, dtype=torch.float64)
    first, second, deepest = network.encoder
    finest = block_by_hand(first, image)
    middle = block_by_hand(second, functional.max_pool2d(finest, (2, 2)))
    features = block_by_hand(deepest, functional.max_pool2d(middle, (1, 2)))
    for level, skip, stride in ((1, middle, (1, 2)), (0, finest, (2, 2))):
        enlarge = network.upsamplers[level]
        enlarged = functional.conv_transpose2d(features, enlarge.weight, enlarge.bias, stride=stride)
        features = block_by_hand(network.decoder[level], torch.cat([skip, enlarged], dim=1))
    torch.testing.assert_close(network(image)[0], network.head(features))


def test_the_attention_sees_23_positions_along_an_axis():
    attention = LargeKernelAttention(spatial_dims=2, channels=1)
    image = torch.zeros(1, 1, 41, 41, requires_grad=True)
    attention.gate(image)[0, 0, 20, 20].backward()
    seen = image.grad[0, 0].abs().sum(dim=0).nonzero().flatten()
    assert (seen.min(), seen.max()) == (20 - 11, 20 + 11)


def test_the_residual_adds_what_the_attention_weighs():
    torch.manual_seed(0)
    block = LargeKernelBlock(spatial_dims=2, in_channels=2, out_channels=4, residual=True).eval()
    features = torch.randn(1, 2, 16, 16)
    with_identity = block(features)
    block.residual = False
    torch.testing.assert_close(with_identity, block(features) + block.separable(features))


def test_flat_kernels_of_the_plan_make_flat_depthwise_kernels():
    network = DLKUNet(
        spatial_dims=3,
        in_channels=1,
        num_classes=2,
        num_levels=3,
        base_channels=4,
        strides=[(1, 2, 2), (2, 2, 2)],
        kernel_sizes=[(1, 3, 3), (3, 3, 3), (3, 3, 3)],
    )
    for stage in (network.encoder[0], network.decoder[0]):
        kernels = [tuple(layer.kernel_size) for layer in stage.modules() if hasattr(layer, "kernel_size")]
        assert {(1, 3, 3), (1, 5, 5), (1, 7, 7)} == {kernel for kernel in kernels if kernel != (1, 1, 1)}
    assert tuple(network.encoder[1].attention.gate[1].kernel_size) == (7, 7, 7)
    assert network(torch.randn(1, 1, 5, 16, 18)).shape == (1, 2, 5, 16, 18)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="num_levels is 1"):
        build(1)
    with pytest.raises(ValueError, match="is 4; it must be odd"):
        build(3, depthwise_kernel=4)
    with pytest.raises(ValueError, match="is 6; it must be odd"):
        build(3, large_kernels=(5, 6))
    with pytest.raises(ValueError, match="kernel_sizes needs 3 entries of 2 numbers"):
        build(3, kernel_sizes=[(3, 3)])


def test_an_unusual_image_does_not_grow_from_block_to_block():
    """Running variances lag behind the features while these grow: here, tenfold in standard deviation."""
    torch.manual_seed(0)
    network = DLKUNet(
        spatial_dims=2, in_channels=1, num_classes=2, base_channels=8, deep_supervision=True
    ).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.fill_(0.01)
    for block in (*network.encoder, *network.decoder):
        nn.init.normal_(block.attention.gate[-1].weight, std=1)
    with torch.no_grad():
        largest = [logits.abs().max() for logits in network(30 * torch.randn(1, 1, 64, 64))]
    assert max(largest) < 65504  # half precision's end

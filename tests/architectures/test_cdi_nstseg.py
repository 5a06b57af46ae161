import pytest
import torch
from contracts.architecture import ArchitectureContract
from contracts.convolutions import convolutions
from contracts.gradients import idle_parameters

from nnunet_pancext.architectures import CDINSTSeg
from nnunet_pancext.architectures.blocks.scale_fusion import ScaleFusion

SMALL = {"base_channels": 8}


class CDIContract(ArchitectureContract):
    network_class = CDINSTSeg
    num_downsamplings = 4
    options = SMALL
    has_auxiliary_heads = False

    def image(self, network, *, channels=1, extra=0):
        size = [step + extra for step in network.minimum_size]
        size[-1] = 3 * network.size_divisibility[-1] + extra  # so that the scales differ
        return torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(1))


class TestCDINSTSeg(CDIContract):
    compiled_dims = (2,)  # three scales and two sides take long to trace, and are the same in 3D


def build(dims=2, **options):
    torch.manual_seed(0)
    return CDINSTSeg(spatial_dims=dims, in_channels=1, num_classes=3, **SMALL, **options)


@pytest.mark.parametrize(("dims", "base"), [(2, 64), (3, 32)], ids=["2d", "3d"])
def test_the_convolutions_of_the_paper(dims, base):
    with torch.device("meta"):
        network = CDINSTSeg(spatial_dims=dims, in_channels=1, num_classes=3)
    doubled = [base, 2 * base, 4 * base, 8 * base]
    assert [convolutions(stage) for stage in network.encoder] == [
        [(narrow, wide, 3, 1), (wide, wide, 3, 1)]
        for narrow, wide in zip([1, *doubled], [*doubled, 16 * base], strict=True)
    ]
    *compress, aspp = network.compress
    assert [convolutions(level) for level in compress] == [[(width, base, 3, 1)] for width in doubled]
    assert convolutions(aspp.branches) == [
        (16 * base, base, kernel, dilation) for kernel, dilation in ((1, 1), (3, 2), (3, 5), (3, 7))
    ]
    assert convolutions(aspp.mean) == [(16 * base, base, 1, 1)]
    assert convolutions(aspp.fusion) == [(5 * base, base, 3, 1)]
    assert [convolutions(level) for level in network.widen] == [[(base, width, 3, 1)] for width in doubled]
    same = (base, base, 3, 1)
    assert len(network.fuse) == 5
    for fuse in network.fuse:
        assert [convolutions(before) for before in fuse.before] == [[same], [], [(base, base, 5, 1)]]
        assert [convolutions(after) for after in fuse.after] == [[same]] * 3
        assert convolutions(fuse.weigh) == [(3 * base, base, 1, 1), same, same, (base, 3, 1, 1)]


ABLATIONS = [
    {"scale_fusion": False},
    {"localization": False},
    {"focusing": False},
    {"scales": (1.0,)},
    {"scales": (0.5, 1.0)},
    {"scales": (1.0, 1.5)},
    {"sides": ("foreground",)},
    {"sides": ("background",)},
    {"attention": "se"},
    {"attention": "eca"},
    {"attention": "sam"},
]


@pytest.mark.parametrize("deep_supervision", [True, False])
@pytest.mark.parametrize("options", ABLATIONS, ids=str)
def test_a_gradient_reaches_every_parameter_of_an_ablation(options, deep_supervision):
    network = build(deep_supervision=deep_supervision, **options)
    if not deep_supervision:
        for part in network.training_only_modules:
            part.requires_grad_(False)
    assert idle_parameters(network, torch.randn(2, 1, 48, 48)) == []


def test_the_scales_share_one_encoder_and_see_other_sizes():
    network = build().eval()
    seen = []
    network.encoder[0].register_forward_hook(lambda module, inputs, output: seen.append(output.shape[2:]))
    network(torch.randn(1, 1, 64, 64))
    assert seen == [(32, 32), (64, 64), (96, 96)]


def test_axes_with_few_voxels_keep_their_size():
    network = build(dims=3, strides=[(1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)]).eval()
    seen = []
    network.encoder[0].register_forward_hook(lambda module, inputs, output: seen.append(output.shape[2:]))
    network(torch.randn(1, 1, 16, 64, 64))
    assert seen == [(16, 32, 32), (16, 64, 64), (16, 96, 96)]


def test_the_weights_of_the_scales_sum_to_one():
    """If all scales are equal, the fusion returns one of them."""
    fusion = ScaleFusion(spatial_dims=2, channels=8, scales=(0.5, 1.0, 1.5), norm="batch").eval()
    same = torch.randn(1, 8, 6, 6)
    for after in fusion.after:
        after.register_forward_hook(lambda module, inputs, output: same)
    found = fusion([torch.randn(1, 8, size, size) for size in (3, 6, 9)])
    torch.testing.assert_close(found, same)


def test_a_larger_scale_is_pooled_by_maximum_plus_mean():
    fusion = ScaleFusion(spatial_dims=2, channels=8, scales=(1.0, 2.0), norm="batch").eval()
    seen = []
    fusion.after[1].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    large = torch.randn(1, 8, 4, 4)
    fusion([torch.randn(1, 8, 2, 2), large])
    blocks = fusion.before[1](large).unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    torch.testing.assert_close(seen[0], blocks.amax(4) + blocks.mean(4))


def test_the_finest_fused_features_feed_the_last_map():
    network = build(deep_supervision=True)
    idle = idle_parameters(
        network, torch.randn(2, 1, 48, 48), loss=lambda outputs: outputs[0].square().mean()
    )
    assert not any(name.startswith("fuse.0.") for name in idle)


def test_recomputation_computes_each_scale_twice_and_changes_no_gradient():
    image = torch.randn(1, 1, 16, 16, 48)
    gradients = []
    for recompute, times in ((False, 1), (True, 2)):
        network = build(dims=3, deep_supervision=True, recompute=recompute)
        computed = []
        network.encoder[0].register_forward_pre_hook(lambda *_, computed=computed: computed.append(True))
        sum(output.square().mean() for output in network(image)).backward()
        assert len(computed) == times * len(network.scales)
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert all(torch.equal(gradient, other) for gradient, other in zip(*gradients, strict=True))


def test_recomputation_in_3d_compiles_without_a_graph_break():
    options = {"scales": (1.0, 1.5), "sides": ("foreground",), "localization": False}  # less to trace
    network = build(dims=3, recompute=True, **options)
    image = torch.randn(1, 1, 16, 16, 48)
    gradients = []
    for forward in (network, torch.compile(network, fullgraph=True, backend="eager")):
        network.zero_grad()
        forward(image).square().mean().backward()
        gradients.append([value.grad for value in network.parameters() if value.grad is not None])
    torch._dynamo.reset()
    for gradient, other in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5)


def test_bad_options_are_refused():
    for scales in ((0.5, 1.5), (1.0, 1.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match="must hold 1"):
            build(scales=scales)
    with pytest.raises(ValueError, match="BatchNorm twice per batch"):
        build(recompute=True)
    with pytest.raises(ValueError, match="localization is False"):
        build(localization=False, attention="se")


@pytest.mark.parametrize(
    ("stored", "built", "finds"),
    [("foreground", "background", "false positives"), ("background", "foreground", "false negatives")],
)
def test_weights_of_one_side_run_as_that_side(stored, built, finds):
    """A trainer's name has meant the other side in a former version."""
    trained = build(sides=(stored,)).eval()
    torch.manual_seed(1)
    loaded = CDINSTSeg(spatial_dims=2, in_channels=1, num_classes=3, **SMALL, sides=(built,)).eval()
    parameters = set(loaded.parameters())
    with pytest.warns(UserWarning, match=f"look for {finds} alone"):
        loaded.load_state_dict(trained.state_dict(), strict=True)
    assert set(loaded.parameters()) == parameters  # those that an optimiser holds
    image = torch.randn(1, 1, 48, 48)
    assert torch.equal(loaded(image), trained(image))
    assert loaded.state_dict().keys() == trained.state_dict().keys()

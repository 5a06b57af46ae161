"""How the stages of the pancreatic-tumour network are connected: windows, inputs and outputs of stage 2."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from nnunet_pancext.architectures import PancreasTumorCascade, count_parameters
from nnunet_pancext.architectures.lesion_stage import LesionStage
from nnunet_pancext.architectures.pancreas_tumor_cascade import PHASES
from nnunet_pancext.architectures.windows import choose_windows

MODE = {2: "bilinear", 3: "trilinear"}
SIZE = {2: (64, 64), 3: (32, 32, 64)}


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def dims(request):
    return request.param


def build(dims=2, **options):
    torch.manual_seed(0)
    arguments = {"base_channels": 8, "margin": 2, "deep_supervision": True, **options}
    network = PancreasTumorCascade(spatial_dims=dims, in_channels=2, num_classes=3, **arguments)
    nn.init.zeros_(network.stage_1.head.seg_layers.bias)  # so that stage 1 finds something
    return network


def with_truth(dims):
    image = torch.randn(2, 3, *SIZE[dims], generator=torch.Generator().manual_seed(1))
    image[:, 2] = 0
    image[(slice(None), 2, *[slice(20, 27)] * dims)] = 1
    return image


def inputs_of(module):
    seen = []
    module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    return seen


def outputs_of(module):
    seen = []
    module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    return seen


def test_maps_come_finest_first_and_the_localization_map_last(dims):
    network = build(dims)
    mine = network.stage_2.mine
    seen = [outputs_of(part.map) for part in (*mine.refine, mine.localize)]
    output = network(with_truth(dims))
    maps = [found for (found,) in seen]
    assert all(finer.numel() > coarser.numel() for finer, coarser in pairwise(maps))
    assert maps[0].shape[2:] == output.windows.size
    for logits, found in zip(output.lesion_logits, maps, strict=True):
        expected = functional.interpolate(found, size=output.windows.size, mode=MODE[dims])
        torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize(
    ("phase", "saliency"), [("S", True), ("I", True), ("J", True), ("test", True), ("J", False)]
)
def test_stage_2_sees_windows_of_the_image_times_the_saliency(dims, phase, saliency):
    network = build(dims, saliency=saliency)
    if saliency:
        nn.init.normal_(network.saliency.layers[-1].weight)  # far from the identity
    if phase == "test":
        network.eval()
    else:
        network.phase = phase
    seen = inputs_of(network.stage_2)
    data = with_truth(dims)
    with torch.no_grad():
        output = network(data)
        expected = image = data[:, :2]
        if saliency and phase != "S":
            expected = image * network.saliency(output.organ_logits.sigmoid())
    torch.testing.assert_close(seen, [output.windows.crop(expected)])


def organ_logits(value, elsewhere=-4.0):
    """Return logits with an organ at 40 to 46 along both axes."""
    organ = torch.full((1, 1, 96, 96), elsewhere)
    organ[..., 40:47, 40:47] = value
    return organ


def cascade_with(logits, *, phase="J", **options):
    """Return a network, with windows not rounded to multiples of 16, whose stage 1 returns `logits`."""
    network = build(strides=[(1, 1)] * 4, **options)
    network.phase = phase
    network.stage_1.forward = lambda image: logits
    return network


def window_size(network, *channels):
    """Return the size of the window that stage 2 sees, None where it does not run."""
    seen = []
    network.stage_2.forward = lambda window: seen.append(window) or [window[:, :1]]
    network(torch.cat([torch.zeros(1, 2, 96, 96), *channels], dim=1))
    return tuple(seen[0].shape[2:]) if seen else None


def test_the_margin_is_added_on_every_side_of_the_predicted_organ():
    windows = choose_windows(organ_logits(4.0) > 0, margin=(20, 3), size_divisibility=(1, 1))
    assert windows.size == (7 + 2 * 20, 7 + 2 * 3)
    assert windows.starts == ((20, 37),)


def test_the_default_margin_is_20_voxels():
    network = PancreasTumorCascade(spatial_dims=2, in_channels=1, num_classes=3, base_channels=8)
    assert network.margin == (20, 20)


def test_the_organ_is_where_its_probability_exceeds_one_half():
    logits = organ_logits(0.01, elsewhere=-0.01)
    assert window_size(cascade_with(logits).eval()) == (11, 11)
    assert window_size(cascade_with(organ_logits(-0.01)).eval()) is None


@pytest.mark.parametrize("phase", PHASES)
def test_margins_vary_in_training_alone(phase):
    organ = organ_logits(4.0)
    truth = (organ > 0).float()
    network = cascade_with(organ, margin=20, phase=phase)

    def sizes(*channels):
        return [window_size(network, *channels) for _ in range(100)]

    torch.manual_seed(0)
    varied = sizes(truth)
    assert 30 < varied.count((47, 47)) < 70
    assert len(set(varied)) > 20
    assert set(sizes()) == {(47, 47)}  # no training without the ground truth
    network.eval()
    assert set(sizes(truth)) == set(sizes()) == {(47, 47)}


@pytest.mark.parametrize(
    ("dims", "widths"), [(2, [32, 64, 128, 256, 512]), (3, [16, 32, 64, 128, 256])], ids=["2d", "3d"]
)
def test_default_widths_of_stage_2(dims, widths):
    with torch.device("meta"):
        network = PancreasTumorCascade(spatial_dims=dims, in_channels=1, num_classes=3)
    reduced = [reduce[0] for reduce in network.stage_2.reduce]
    assert [layer.out_channels for layer in reduced] == widths
    assert [layer.kernel_size for layer in reduced] == [(3,) * dims] * 5


def conv(kernel, narrow, wide):
    return kernel * kernel * narrow * wide + wide + 2 * wide  # with bias, and the norm's two


def test_parameters_of_stage_2_by_hand():
    """Section 3.2 with 2D kernels: channels 8, 16, 32, 64, 128 are reduced to half."""
    stage = LesionStage(
        spatial_dims=2,
        in_channels=1,
        strides=[(2, 2)] * 4,
        base_channels=8,
        localization=True,
        focusing=True,
        norm="batch",
    )
    reduced = [4, 8, 16, 32, 64]
    expected = sum(conv(3, 2 * width, width) for width in reduced)
    expected += 2 * (64 * 8 + 8) + (64 * 64 + 64) + 2 + (49 * 64 + 1)  # query, key; value; gammas; map
    for narrow, wide in pairwise(reduced):
        inner = narrow // 4
        explore = 4 * conv(1, narrow, inner) + conv(1, narrow, narrow)
        explore += sum(conv(kernel, inner, inner) + conv(3, inner, inner) for kernel in (1, 3, 5, 7))
        expected += conv(7, wide, narrow) + 2 * explore + 2 + 2 * 2 * narrow + (49 * narrow + 1)
    # the backbone is counted in the test of the multi-scale U-Net
    assert count_parameters(stage) - count_parameters(stage.backbone) == expected

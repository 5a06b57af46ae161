import pytest
import torch
from contracts.architecture import ArchitectureContract
from torch import nn

from nnunet_pancext.architectures import SegResNetNL, count_parameters


class TestSegResNetNL(ArchitectureContract):
    network_class = SegResNetNL
    num_downsamplings = 3
    options = {"init_filters": 8}


@pytest.mark.parametrize(
    ("blocks", "parameters"), [(0, 6_298_530), (1, 6_430_242), (2, 6_561_954), (3, 6_693_666), (4, 6_825_378)]
)
def test_parameters_of_the_papers_ablation(blocks, parameters):
    network = SegResNetNL(spatial_dims=2, in_channels=1, num_classes=2, num_non_local_blocks=blocks)
    assert count_parameters(network) == parameters


@pytest.mark.parametrize(
    ("init_filters", "blocks", "millions"),
    [(16, 0, 4.7009), (16, 2, 4.7671), (32, 0, 18.7960), (32, 2, 19.0594)],
)
def test_parameters_in_3d(init_filters, blocks, millions):
    network = SegResNetNL(
        spatial_dims=3, in_channels=1, num_classes=2, init_filters=init_filters, num_non_local_blocks=blocks
    )
    assert round(count_parameters(network) / 1e6, 4) == millions


def test_two_non_local_blocks_are_the_default():
    network = SegResNetNL(spatial_dims=2, in_channels=1, num_classes=2)
    assert count_parameters(network) == 6_561_954


@pytest.mark.parametrize(("spatial_dims", "size"), [(2, (64, 48)), (3, (16, 24, 32))])
def test_equals_monai_with_the_same_weights(spatial_dims, size):
    nets = pytest.importorskip("monai.networks.nets", reason="MONAI holds the reference SegResNet")
    torch.manual_seed(0)
    reference = nets.SegResNet(
        spatial_dims=spatial_dims, init_filters=16, in_channels=2, out_channels=3
    ).eval()
    for parameter in reference.parameters():
        nn.init.normal_(parameter, std=0.3)
    network = SegResNetNL(
        spatial_dims=spatial_dims, in_channels=2, num_classes=3, init_filters=16, num_non_local_blocks=0
    ).eval()
    copied = network.load_state_dict(_from_monai(reference.state_dict()), strict=False)
    assert not copied.unexpected_keys
    assert all(key.startswith("auxiliary_heads.") for key in copied.missing_keys)
    image = torch.randn(2, 2, *size)
    with torch.no_grad():
        expected = reference(image)
        assert expected.std() > 0.1
        torch.testing.assert_close(network(image), expected, rtol=1e-5, atol=1e-5)


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="cannot be negative"):
        SegResNetNL(spatial_dims=2, in_channels=1, num_classes=2, num_non_local_blocks=-1)
    with pytest.raises(ValueError, match="divisible by 8, not 12"):
        SegResNetNL(spatial_dims=2, in_channels=1, num_classes=2, init_filters=12)
    with pytest.raises(ValueError, match="norm is 'layer'"):
        SegResNetNL(spatial_dims=2, in_channels=1, num_classes=2, norm="layer")


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_other_norms_have_the_same_parameters(norm):
    network = SegResNetNL(spatial_dims=3, in_channels=1, num_classes=2, init_filters=8, norm=norm)
    grouped = SegResNetNL(spatial_dims=3, in_channels=1, num_classes=2, init_filters=8)
    assert count_parameters(network) == count_parameters(grouped)
    assert network(torch.randn(2, 1, 16, 16, 16)).shape == (2, 2, 16, 16, 16)


def _from_monai(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the weights of MONAI's SegResNet with its default number of levels."""
    parts = {"norm1": "body.0", "conv1.conv": "body.2", "norm2": "body.3", "conv2.conv": "body.5"}

    def renamed(key: str) -> str:
        group, rest = key.split(".", 1)
        if group == "convInit":
            return rest.replace("conv", "stem")
        if group == "conv_final":
            return rest.replace("0.", "head.norm.").replace("2.conv.", "head.seg_layers.")
        position, index, rest = rest.split(".", 2)
        if group == "up_samples":  # MONAI lists the decoder deepest first
            return f"reducers.{2 - int(position)}.{rest.removeprefix('conv.')}"
        if group == "down_layers" and rest == "conv.weight":
            return f"encoder.{position}.0.weight"
        for old, new in parts.items():
            rest = rest.replace(old, new)
        if group == "up_layers":
            return f"decoder.{2 - int(position)}.{rest}"
        return f"encoder.{position}.{index}.{rest}"

    return {renamed(key): value for key, value in state.items()}

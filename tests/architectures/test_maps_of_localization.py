"""Maps that networks with localization show of themselves: what steers their later parts."""

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from nnunet_pancext.architectures import CDINSTSeg, PancreasTumorCascade
from nnunet_pancext.architectures.blocks.focusing import FocusingModule
from nnunet_pancext.architectures.injected_unet import FocusedUNet
from nnunet_pancext.attention.maps import PatchMaps

SIZE = (40, 56)  # no multiple of the strides: 48 x 64 inside
ORGAN = (slice(10, 20), slice(30, 41))


def build(kind, **options):
    torch.manual_seed(0)
    return kind(spatial_dims=2, in_channels=1, num_classes=3, base_channels=8, **options).eval()


def cascade_that_finds(where, **options):
    """Return a cascade whose stage 1 finds what `where` marks."""
    network = build(PancreasTumorCascade, margin=2, **options)

    class Found(nn.Module):
        def forward(self, image):
            logits = torch.full_like(image, -4.0)
            logits[(..., *where)] = 3.0
            return logits

    network.stage_1 = Found()
    return network


def attention_given(network, image):
    """Return what each focusing module is given to look at, finest first."""
    given = []
    for module in network.modules():
        if isinstance(module, FocusingModule):
            module.register_forward_pre_hook(lambda _, inputs: given.insert(0, inputs[2]))
    with torch.no_grad():
        network(image)
    return given


def test_the_cascade_shows_its_saliency_window_and_lesion_maps():
    network = cascade_that_finds(ORGAN)
    image = torch.randn(2, 1, *SIZE)
    with torch.no_grad():
        maps = dict(zip(network.attention_names, network.attention_maps(image), strict=True))
        probabilities = network(image).softmax(dim=1)
    assert list(maps) == [
        "saliency",
        "window",
        *(f"stage2_map_level{level}" for level in (1, 2, 3, 4)),
        "stage2_localization_level5",
    ]
    assert {tuple(found.shape) for found in maps.values()} == {(2, 1, *SIZE)}
    saliency = torch.full((2, 1, *SIZE), -4.0)
    saliency[(..., *ORGAN)] = 3.0
    torch.testing.assert_close(maps["saliency"], saliency.sigmoid())
    inside = maps["window"] == 1
    assert inside[(..., *ORGAN)].all()
    assert (~inside).any()
    assert not maps["window"][~inside].any()
    finest = maps["stage2_map_level1"]
    torch.testing.assert_close(finest[inside], probabilities[:, 2:][inside])
    for name in list(maps)[2:]:
        assert not maps[name][~inside].any()
        assert maps[name][inside].min() > 0


def test_where_the_cascade_finds_no_organ_stage_2_has_no_maps():
    network = cascade_that_finds((slice(0), slice(0)))
    saliency, *others = network.attention_maps(torch.randn(1, 1, *SIZE))
    assert len(others) == len(network.attention_names) - 1
    assert saliency.max() < 0.5
    assert not torch.cat(others).any()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"localization": False, "focusing": False}, ["map_level1"]),
        ({"localization": False}, [f"map_level{level}" for level in range(1, 6)]),
    ],
    ids=["neither", "no localization"],
)
def test_ablations_of_the_cascade_name_what_they_have(options, names):
    network = cascade_that_finds(ORGAN, **options)
    assert network.attention_names[2:] == [f"stage2_{name}" for name in names]
    assert len(network.attention_maps(torch.randn(1, 1, *SIZE))) == 2 + len(names)


@pytest.mark.parametrize("has_regions", [False, True], ids=["labels", "regions"])
def test_cdi_shows_what_its_focusing_modules_look_at(has_regions):
    network = build(CDINSTSeg)
    network.mine.has_regions.fill_(has_regions)
    image = torch.randn(1, 1, *SIZE)
    with torch.no_grad():
        maps = network.attention_maps(image)
    assert network.attention_names == ["map_level2", "map_level3", "map_level4", "localization_level5"]
    assert [tuple(found.shape[2:]) for found in maps] == [(24, 32), (12, 16), (6, 8), (3, 4)]
    for given, coarser in zip(attention_given(network, image), maps[1:], strict=True):
        # enlarged before the softmax, not behind it: alike but for that
        torch.testing.assert_close(given.mean(), coarser.mean(), rtol=0.05, atol=0)


def test_cdi_without_localization_calls_no_map_so():
    assert build(CDINSTSeg, localization=False).attention_names[-1] == "map_level5"


def test_the_focused_unet_shows_the_maps_of_all_levels():
    torch.manual_seed(0)
    given = PlainConvUNet(
        1, 3, [8, 16, 32], nn.Conv2d, 3, [1, 2, 2], [1, 1, 1], 2, [1, 1], norm_op=nn.InstanceNorm2d
    )
    network = FocusedUNet(given, spatial_dims=2).eval()
    network.decoder.deep_supervision = True
    image = torch.randn(1, 1, 16, 24)
    with torch.no_grad():
        maps, logits = network.attention_maps(image), network(image)
    assert network.attention_names == ["map_level1", "map_level2", "localization_level3"]
    assert [tuple(found.shape) for found in maps] == [(1, 1, 16, 24), (1, 1, 8, 12), (1, 1, 4, 6)]
    for found, output in zip(maps, logits, strict=False):
        torch.testing.assert_close(found, 1 - output.softmax(dim=1)[:, :1])


def test_maps_of_a_padded_patch_stay_where_they_are():
    """The deepest map has a cell for each 16 voxels of the patch, the last ones for its padding too."""
    network = build(CDINSTSeg)
    network.attention_maps = lambda image: [torch.arange(4.0).expand(1, 1, 3, 4)]
    with torch.no_grad():
        (found,) = PatchMaps(network)(torch.randn(1, 1, *SIZE))
    assert found.shape == (1, *SIZE)
    assert found[0, 0, 8].item() == pytest.approx(1 / 32)  # half a voxel right of the first cell's middle
    assert found[0, 0, 55].item() == pytest.approx(2 + 31.5 / 16 - 1, abs=0.01)

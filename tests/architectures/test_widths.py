"""The number of channels of the finest level, as every network takes it."""

import pytest
import torch

from nnunet_pancext.architectures import (
    AttentionUNet,
    CDINSTSeg,
    DLKUNet,
    MultiScaleUNet,
    PancreasTumorCascade,
    SegResNetNL,
)

STEPS = {AttentionUNet: 1, CDINSTSeg: 4, DLKUNet: 1, MultiScaleUNet: 4, PancreasTumorCascade: 8}


@pytest.mark.parametrize("network", STEPS)
@pytest.mark.parametrize("number", [0, -8])
def test_a_width_is_positive(network, number):
    with pytest.raises(ValueError, match=f"base_channels is {number}; it must be"):
        network(spatial_dims=2, in_channels=1, num_classes=3, base_channels=number)
    with pytest.raises(ValueError, match=f"init_filters is {number}; it must be at least 1"):
        SegResNetNL(spatial_dims=2, in_channels=1, num_classes=3, init_filters=number)


@pytest.mark.parametrize(("network", "step"), [item for item in STEPS.items() if item[1] > 1])
def test_a_width_can_be_divided(network, step):
    for wrong in (step // 2, step + step // 2):
        with pytest.raises(ValueError, match=f"is {wrong}; it must be a positive multiple of {step}"):
            network(spatial_dims=2, in_channels=1, num_classes=3, base_channels=wrong)
    made = network(spatial_dims=2, in_channels=1, num_classes=3, base_channels=step)
    assert made(torch.randn(2, 1, 64, 64)).shape == (2, 3, 64, 64)


def test_the_cascade_without_focusing_needs_less():
    made = PancreasTumorCascade(spatial_dims=2, in_channels=1, num_classes=3, base_channels=4, focusing=False)
    assert made(torch.randn(2, 1, 64, 64)).shape == (2, 3, 64, 64)

"""The contract of the trainers of the two-stage network for pancreatic tumours."""

import pytest
import torch
from contracts.trainer import TrainerContract

from nnunet_pancext.errors import PancextError


def made_batch(organ=1, lesion=2):
    target = torch.zeros(2, 1, 32, 32)
    target[..., 4:16, 8:20] = organ
    target[..., 12:18, 12:16] = lesion  # reaches beyond the organ
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(2, 1, 32, 32, generator=generator) + (target > 0)
    return {"data": data, "target": [target], "keys": ["one", "other"]}


class CascadeContract(TrainerContract):
    resumed = "2d"
    refused = {
        "fourteen foregrounds": "Set them in its dataset.json",
        "regions": "region-based labels .* MultiScaleUNetTrainer",
        "regions and ignore": "region-based labels",
    }
    test_outputs_match_the_targets = None  # the maps lie in windows
    test_a_parameter_without_a_gradient_does_not_ask_for_one = None  # see the network's tests

    def test_a_training_step_without_deep_supervision(self, folders):
        kind = type("Probe", (self.variant(),), {"enable_deep_supervision": False})
        with pytest.raises(PancextError, match="always supervises all its maps"):
            self.make("2d", trainer=kind)
